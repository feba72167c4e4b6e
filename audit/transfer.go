package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

// Domain is pairs of one kind, which are read several times.
type Domain struct {
	Name  string
	Pairs iter.Seq2[*dataset.Pair, error]
}

// TransferOptions are those of [MeasureTransfer].
type TransferOptions struct {
	// Train is how each model is trained; its Holdout is not used.
	Train rm.Options
	Seed  int64 // of the bootstrap
	// Progress is called before each of the fits.
	Progress func(done, total int)
}

// Transfer tells how models trained on one domain do on another: whether what they
// have learned is of the task or of the data.
//
// No model is tested on a pair whose prompt it was trained on. Each domain has five
// models, each trained on four fifths of its prompts, and every domain is tested on
// by them, each pair by the model that was not given the fifth of its prompt. So
// the diagonal is a cross-validation, and the cells of a row are of models that
// are trained alike.
type Transfer struct {
	Domains []TransferDomain `json:"-"`
	// Cells are by the domain trained on and the domain tested on.
	Cells [][]TransferCell `json:"cells"`
	// LeftOut is for each domain a model trained on all the others, without their
	// pairs of prompts that this domain has too.
	LeftOut []TransferCell `json:"left_out"`
}

// TransferDomain is what there is of a domain: its pairs with a clear label and
// their prompts, and how the null baselines do on them.
type TransferDomain struct {
	Name      string                   `json:"name"`
	N         int                      `json:"n"`
	Prompts   int                      `json:"prompts"`
	Baselines map[string]eval.Figure   `json:"baselines"`
	CI        map[string]eval.Interval `json:"baselines_ci"`
}

// TransferCell is how models did on a domain, with an interval by prompt. N is the
// number of pairs tested on, Trained that of pairs trained on, the mean of five
// models but for LeftOut. Delta is the accuracy less that of the better of the
// baselines longer, shorter and markdown there, with a paired interval.
type TransferCell struct {
	Trained  int           `json:"trained"`
	N        int           `json:"n"`
	Accuracy eval.Figure   `json:"accuracy"`
	CI       eval.Interval `json:"ci"`
	LogLoss  eval.Figure   `json:"log_loss"`
	Delta    eval.Figure   `json:"delta"`
	DeltaCI  eval.Interval `json:"delta_ci"`
}

// ErrFewDomains tells that there are not two domains.
var ErrFewDomains = errors.New("a transfer matrix needs two domains")

// MeasureTransfer trains 6 models for each of the domains and tests all of them.
// Its result hangs on the pairs of each domain, in any order, and on the options.
func MeasureTransfer(ctx context.Context, domains []Domain, o TransferOptions) (*Transfer, error) {
	if len(domains) < 2 {
		return nil, ErrFewDomains
	}
	t := &transferring{ctx: ctx, o: o, domains: domains, total: (eval.Folds + 1) * len(domains)}
	t.o.Train.Holdout = 0
	out := &Transfer{}
	prompts := make([]map[dataset.Hash]bool, len(domains))
	for i, d := range domains {
		prompts[i] = map[dataset.Hash]bool{}
		for p, err := range d.Pairs {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			prompts[i][p.Prompt.Key()] = true
		}
	}
	for i, d := range domains {
		c := &foldModels{}
		trained := 0
		for k := range c.of {
			m, err := t.fit(without(d.Pairs, func(h dataset.Hash) bool { return eval.Fold(h) == k }))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.Name, err)
			}
			c.of[k] = m
			if m != nil {
				trained += m.Metadata.Pairs
			}
		}
		row := make([]TransferCell, len(domains))
		for j := range domains {
			set, err := t.test(j, c)
			if err != nil {
				return nil, err
			}
			row[j] = cellOf(set, trained/eval.Folds)
			if i == j {
				out.Domains = append(out.Domains, TransferDomain{d.Name, set.N, set.Prompts, set.Baselines, set.BaselinesCI})
			}
		}
		out.Cells = append(out.Cells, row)
	}
	for i := range domains {
		m, err := t.fit(func(yield func(*dataset.Pair, error) bool) {
			for j, d := range domains {
				if j == i {
					continue
				}
				for p, err := range without(d.Pairs, func(h dataset.Hash) bool { return prompts[i][h] }) {
					if !yield(p, err) {
						return
					}
				}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("all but %s: %w", domains[i].Name, err)
		}
		trained := 0
		if m != nil {
			trained = m.Metadata.Pairs
		}
		set, err := t.test(i, &foldModels{all: m})
		if err != nil {
			return nil, err
		}
		out.LeftOut = append(out.LeftOut, cellOf(set, trained))
	}
	return out, nil
}

func cellOf(s eval.Set, trained int) TransferCell {
	return TransferCell{
		Trained: trained, N: s.N, Accuracy: s.Accuracy, CI: s.CI, LogLoss: s.LogLoss,
		Delta: s.Delta, DeltaCI: s.DeltaCI,
	}
}

// without leaves out the pairs of some prompts.
func without(pairs iter.Seq2[*dataset.Pair, error], prompt func(dataset.Hash) bool) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for p, err := range pairs {
			if err == nil && prompt(p.Prompt.Key()) {
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// transferring is the work of [MeasureTransfer].
type transferring struct {
	ctx         context.Context
	o           TransferOptions
	domains     []Domain
	done, total int
}

// fit trains a model; nil where there is no pair to train on.
func (t *transferring) fit(pairs iter.Seq2[*dataset.Pair, error]) (*rm.Model, error) {
	if t.o.Progress != nil {
		t.o.Progress(t.done, t.total)
	}
	t.done++
	m, tr, err := rm.Train(t.ctx, pairs, t.o.Train)
	switch {
	case errors.Is(err, rm.ErrNoPairs):
		return nil, nil
	case err != nil:
		return nil, err
	case tr.Interrupted:
		return nil, context.Cause(t.ctx)
	}
	return m, nil
}

// test gives the figures of models on a domain. Authors are left out of them: they
// are no baseline that one domain could hand to another.
func (t *transferring) test(domain int, c eval.Comparer) (eval.Set, error) {
	d := t.domains[domain]
	return eval.Run(t.ctx, d.Name, anonymous(d.Pairs), c, eval.Options{Seed: t.o.Seed})
}

// anonymous leaves out who wrote the replies.
func anonymous(pairs iter.Seq2[*dataset.Pair, error]) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for p, err := range pairs {
			if err == nil {
				q := *p
				q.First.Author, q.Second.Author = "", ""
				p = &q
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// foldModels compares each pair by the model that has not seen its prompt.
type foldModels struct {
	of  [eval.Folds]*rm.Model
	all *rm.Model // in place of all of them
}

func (c *foldModels) Compare(ctx context.Context, p *dataset.Pair) (eval.Comparison, error) {
	m := c.all
	if m == nil {
		m = c.of[eval.Fold(p.Prompt.Key())]
	}
	if m == nil {
		return eval.Comparison{}, eval.ErrAbstain
	}
	margin, first, second, err := m.Margin(ctx, p)
	return eval.Comparison{Margin: margin, First: first.Mean, Second: second.Mean, Scored: true}, err
}
