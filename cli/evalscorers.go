package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

// evalScorer is one of those that pairs are evaluated by.
type evalScorer struct {
	name, kind string // rm, judge or baseline
	// of gives its comparer for a file.
	of   func(file string) (eval.Comparer, error)
	done func() error // nil if there is nothing to close
	sets []evalSet    // of the files
	seen *outcomes    // of a judge
}

// set takes what a scorer came to on a file.
func (s *evalScorer) set(of eval.Set, by eval.Comparer) {
	out := evalSet{Set: of}
	if m, ok := by.(*rmComparer); ok {
		out.Conformal = coverage(m.Model, m.margins, m.labels)
		m.margins, m.labels = nil, nil
	}
	s.sets = append(s.sets, out)
}

// evalScorers opens what the command line names: reward models in their order, the
// judge, baselines.
func (a *app) evalScorers(c *urfave.Context, in *inputs, trained *trainedOn) (out []*evalScorer, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closeScorers(out))
			out = nil
		}
	}()
	models, baselines := c.StringSlice("rm"), list(c.StringSlice("baseline"))
	always := func(by eval.Comparer) func(string) (eval.Comparer, error) {
		return func(string) (eval.Comparer, error) { return by, nil }
	}
	for i, file := range models {
		if slices.Contains(models[:i], file) {
			return out, usagef("--rm %s is named twice", file)
		}
		m, done, err := a.rewardModel(c, file)
		if err != nil {
			return out, err
		}
		out = append(out, &evalScorer{name: shortName(file, models), kind: "rm", of: always(&rmComparer{Model: m}), done: done})
	}
	if c.Bool("judge") {
		j, err := a.judgeComparer(c, func(yield func(*dataset.Pair, error) bool) {
			for _, f := range in.files {
				for p, err := range decided(in, f, c.Int("limit")) {
					if !yield(p, err) {
						return
					}
				}
			}
		})
		if err != nil {
			return out, err
		}
		out = append(out, &evalScorer{name: j.model.id.Model, kind: "judge", of: always(j), done: j.close, seen: &j.seen})
	}
	for i, name := range baselines {
		if slices.Contains(baselines[:i], name) {
			return out, usagef("--baseline %s is named twice", name)
		}
		s := &evalScorer{name: name, kind: "baseline"}
		switch name {
		case eval.AuthorBaseline:
			s.of = func(file string) (eval.Comparer, error) { return authorComparer(in, file, c.Int("limit")) }
		case eval.WordsBaseline:
			s.of = func(file string) (eval.Comparer, error) { return wordsComparer(trained, in, file, c.Int("limit")) }
		default:
			b, err := eval.Baseline(name)
			if err != nil {
				return out, &exitError{code: ExitUsage, err: fmt.Errorf("%w, %s, %s", err, eval.AuthorBaseline, eval.WordsBaseline)}
			}
			s.of = always(b)
		}
		out = append(out, s)
	}
	return out, nil
}

func closeScorers(scorers []*evalScorer) error {
	var errs []error
	for _, s := range scorers {
		if s.done != nil {
			errs = append(errs, s.done())
		}
	}
	return errors.Join(errs...)
}

// shortName is a file's name without its folder, unless another of the files has
// the same.
func shortName(file string, files []string) string {
	for _, other := range files {
		if other != file && filepath.Base(other) == filepath.Base(file) {
			return file
		}
	}
	return filepath.Base(file)
}

// authorComparer reads a file for who wrote its replies.
func authorComparer(in *inputs, file string, limit int) (eval.Comparer, error) {
	comparer, named, err := eval.Authors(decided(in, file, limit), subset)
	if err != nil {
		return nil, err
	}
	if named == 0 {
		return nil, hinted(fmt.Errorf("%s: no labelled pair names who wrote both replies", file),
			"the author baseline reads columns such as chosen_model and rejected_model, mc and mr, model_a and model_b")
	}
	return comparer, nil
}

// rmComparer is a reward model as a comparer.
type rmComparer struct {
	*rm.Model
	margins, labels []float64 // of the file that is compared
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
