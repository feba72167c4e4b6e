package cli

import (
	"context"
	"iter"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
)

// judgeComparer is a judge as a comparer: both orders, all principles.
type judgeComparer struct {
	app        *app
	c          *urfave.Context
	judge      *judge.Judge
	shape      judge.Shape
	model      *remembered
	principles []constitution.Principle
	any        bool // it has answered
	seen       outcomes
}

// judgeComparer makes a judge that has room for the longest of the pairs.
func (a *app) judgeComparer(c *urfave.Context, pairs iter.Seq2[*dataset.Pair, error]) (*judgeComparer, error) {
	shape, err := shapeOf(c)
	if err != nil {
		return nil, err
	}
	_, ps, err := a.principles(c)
	if err != nil {
		return nil, err
	}
	longest := 0
	for p, err := range pairs {
		if err != nil {
			return nil, err
		}
		n := len(p.First.Text) + len(p.Second.Text)
		for _, m := range p.Prompt {
			n += len(m.Content)
		}
		longest = max(longest, n)
	}
	m, err := a.model(c)
	if err != nil {
		return nil, err
	}
	st, err := a.store(c)
	if err != nil {
		return nil, err
	}
	if err := a.fit(c, m, prompt.Context(longest, 16)); err != nil {
		return nil, err
	}
	j := &judgeComparer{app: a, c: c, shape: shape, model: a.remember(m, st), principles: ps}
	return j, j.use(judge.ModeToken)
}

func (j *judgeComparer) use(mode string) error {
	var err error
	j.judge, err = judge.New(j.model, j.model.id, judge.Settings{Shape: j.shape, Mode: mode, Options: j.model.options})
	return err
}

// Compare leaves out, as an abstention, a pair that cannot be judged, or about
// which too little of the probability fell on the answers.
func (j *judgeComparer) Compare(ctx context.Context, pair *dataset.Pair) (eval.Comparison, error) {
	prefs, err := j.judge.Prefer(ctx, pair.Prompt, pair.First.Text, pair.Second.Text, j.principles)
	if !j.any && llm.KindOf(err) == llm.KindNoLogprobs && j.judge.ID.Mode == judge.ModeToken {
		j.app.noLogprobs(j.c)
		if err := j.use(judge.ModeVote); err != nil {
			return eval.Comparison{}, err
		}
		prefs, err = j.judge.Prefer(ctx, pair.Prompt, pair.First.Text, pair.Second.Text, j.principles)
	}
	if err != nil {
		if err := j.app.itemError(err, pair.Source, ""); err != nil {
			return eval.Comparison{}, err
		}
		return eval.Comparison{}, eval.ErrAbstain
	}
	j.any = true
	p, ok := judge.Pool(prefs, j.principles)
	j.seen.answer(ok, p.First)
	if !ok {
		return eval.Comparison{}, eval.ErrAbstain
	}
	// Log-odds for the first reply, where it is shown first and where second.
	return eval.Comparison{Margin: p.Z, Orders: [2]float64{p.Z + p.Bias, p.Z - p.Bias}, BothOrders: true}, nil
}

// close says why the judge gave few answers, if it did.
func (j *judgeComparer) close() error {
	j.seen.say(j.app, j.c)
	return nil
}
