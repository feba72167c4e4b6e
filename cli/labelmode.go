package cli

import (
	"context"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/judge"
	"cai/label"
	"cai/llm"
)

// asker answers the questions of a job.
type asker struct {
	label.Comparer
	id   dataset.Judge
	room int // tokens that an answer may add to the prompt
}

// judges are the ways in which a run of cai label can ask.
type judges struct {
	// modes are the judge's modes that belong to the command. Where --mode names
	// none, the first is used.
	modes []string
	make  func(llm.Chatter, string) (asker, error)
	calls int64 // that a judgment takes in a plan, 0 for what the mode takes
	// report, if set, tells of the judgments what only this command knows.
	report func(context.Context) (*debatesJSON, error)
}

// reasonFlags bound what is written before an answer.
func reasonFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Name: "reason-tokens", Value: judge.DefaultReasonTokens, Usage: "bound of a rationale in mode cot (`N`)"},
		&urfave.IntFlag{Name: "think-tokens", Value: judge.DefaultThinkTokens, Usage: "what a model that can think may spend on thoughts beside that, in mode cot (`N`)"},
		&urfave.Float64Flag{Name: "reason-temperature", Value: judge.DefaultReasonTemperature, Usage: "temperature of rationales after the first of --samples (`T`)"},
	}
}

func checkReason(c *urfave.Context) error {
	switch {
	case c.Int("votes") < 1:
		return usagef("--votes must be at least 1")
	case c.Int("reason-tokens") < 1 || c.Int("think-tokens") < 1:
		return usagef("--reason-tokens and --think-tokens must be at least 1")
	case !(c.Float64("reason-temperature") > 0) || c.Float64("reason-temperature") > 2:
		return usagef("--reason-temperature %v is not from 0 to 2", c.Float64("reason-temperature"))
	}
	return nil
}

// mode gives the mode that --mode names, or the one in which this model has
// judged before: a server that gave no log-probabilities is not asked for them
// again.
func (l *labelRun) mode() (string, error) {
	if m := l.c.String("mode"); m != "" {
		return m, nil
	}
	if l.judges.modes[0] != judge.ModeToken {
		return l.judges.modes[0], nil
	}
	has := map[string]bool{}
	for _, mode := range []string{judge.ModeToken, judge.ModeVote} {
		j, err := l.judges.make(l.model, mode)
		if err != nil {
			return "", err
		}
		if has[mode], err = l.store.HasJudged(l.c.Context, j.id.Hash()); err != nil {
			return "", err
		}
	}
	if has[judge.ModeVote] && !has[judge.ModeToken] {
		return judge.ModeVote, nil
	}
	return judge.ModeToken, nil
}

// judgeOf makes a judge of the settings on the command line.
func (l *labelRun) judgeOf(m llm.Chatter, mode string) (asker, error) {
	c := l.c
	shape, err := shapeOf(c)
	if err != nil {
		return asker{}, err
	}
	votes := c.Int("votes")
	if mode == judge.ModeReason && !c.IsSet("votes") {
		votes = 0
	}
	j, err := judge.New(m, l.model.id, judge.Settings{
		Shape: shape, Mode: mode, Votes: votes, Seed: c.Int("seed"), Options: l.model.options,
		Reason: judge.Reason{Tokens: c.Int("reason-tokens"), Think: c.Int("think-tokens"), Temperature: c.Float64("reason-temperature")},
	})
	if err != nil {
		return asker{}, err
	}
	return asker{j, j.ID, j.Room()}, nil
}
