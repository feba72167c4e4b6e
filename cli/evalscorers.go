package cli

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

// authorComparer reads a file for who wrote its replies.
func authorComparer(in *inputs, file string, limit int) (eval.Comparer, error) {
	bad := in.bad
	comparer, named, err := eval.Authors(limited(readFile(in, file, dataset.Pairs), limit), subset)
	if err != nil {
		return nil, err
	}
	if named == 0 {
		return nil, hinted(fmt.Errorf("%s: no labelled pair names who wrote both replies", file),
			"the author baseline reads columns such as chosen_model and rejected_model, mc and mr, model_a and model_b")
	}
	in.bad = bad // the same records are read again
	return comparer, nil
}

func (a *app) comparer(c *urfave.Context, in *inputs) (eval.Comparer, error) {
	switch {
	case c.String("baseline") == eval.AuthorBaseline:
		return nil, nil // there is one for each file
	case c.String("baseline") != "":
		b, err := eval.Baseline(c.String("baseline"))
		if err != nil {
			return nil, &exitError{code: ExitUsage, err: fmt.Errorf("%w, %s", err, eval.AuthorBaseline)}
		}
		return b, nil
	case c.String("rm") != "":
		m, done, err := a.rewardModel(c, c.String("rm"))
		if err != nil {
			return nil, err
		}
		return &rmComparer{Model: m, done: done}, nil
	}
	return a.judgeComparer(c, in)
}

// rmComparer is a reward model as a comparer.
type rmComparer struct {
	*rm.Model
	margins, labels []float64 // of the file that is compared
	done            func() error
}

// Compare serves one goroutine.
func (m *rmComparer) Compare(ctx context.Context, p *dataset.Pair) (eval.Comparison, error) {
	margin, first, second, err := m.Margin(ctx, p)
	if err != nil {
		return eval.Comparison{}, err
	}
	m.margins, m.labels = append(m.margins, margin), append(m.labels, p.P)
	return eval.Comparison{Margin: margin, First: first.Mean, Second: second.Mean, Scored: true}, nil
}
