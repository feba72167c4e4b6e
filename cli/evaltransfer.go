package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"cai/audit"
	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

const (
	// maxDomains bounds the domains of a matrix, whose fits are six for each.
	maxDomains = 30
	// domainPrompts is how many prompts a domain needs, so that each fifth of them has
	// some.
	domainPrompts = 10
	// keptPairs is how many pairs are held in memory; more are read again from their
	// files for each fit.
	keptPairs = 50_000
	// byAuthor is the column of --by that stands for who wrote the replies.
	byAuthor = "author"
	// unseenShare is the share of authors that a draw keeps from training.
	unseenShare = 0.3
)

// transferFlags are those of cai eval --matrix.
func transferFlags() []urfave.Flag {
	holdout := holdoutAuthorsFlag()
	holdout.(*urfave.StringFlag).Usage = "with --matrix: keep `N` authors, or a share of them below 1, from training in each draw; default 0.3"
	return slices.Concat([]urfave.Flag{
		&urfave.BoolFlag{Name: "matrix", Usage: "train on each file and test on each, and train on all but one; the options below are as those of cai train"},
		&urfave.StringFlag{Name: "by", Usage: "with --matrix: domains are the values of this `COLUMN` instead of the files; author for unseen authors alone"},
		&urfave.IntFlag{Name: "draws", Value: 5, Usage: "with --matrix: how often (`N`) authors are drawn to be kept from training, where they are named; 0 for none"},
		holdout,
		memoryFlag(),
	}, modelFlags(), fitFlags())
}

// transferOnly names an option that was given and only --matrix takes; "" for none.
func transferOnly(c *urfave.Context) string {
	for _, f := range transferFlags() {
		if name := f.Names()[0]; name != "matrix" && c.IsSet(name) {
			return name
		}
	}
	return ""
}

// transferJSON is what --matrix prints.
type transferJSON struct {
	Domains []string `json:"domains"` // the names, in the order of cells
	*audit.Transfer
	Tests    []audit.TransferDomain `json:"tests"`
	TooSmall map[string]int         `json:"too_small,omitempty"` // prompts of domains that were left out
	Authors  *authorDraws           `json:"authors,omitempty"`
}

// transferring is a run of cai eval --matrix.
type transferring struct {
	app     *app
	c       *urfave.Context
	in      *inputs
	by      string
	options rm.Options

	names   []string // of domains, as they come
	domains map[string]*domainPairs
	pairs   int
	named   int // pairs whose authors are both named
	kept    bool
}

// domainPairs is what is known of a domain after the first reading.
type domainPairs struct {
	pairs   []*dataset.Pair // nil where they are not kept
	prompts map[dataset.Hash]bool
}

func (a *app) evalMatrix(ctx context.Context, c *urfave.Context) (err error) {
	t := &transferring{app: a, c: c, by: c.String("by"), domains: map[string]*domainPairs{}, kept: true}
	for _, other := range []string{"rm", "judge", "baseline", "train", "rule", "bins", "baselines"} {
		if c.IsSet(other) {
			return usagef("--matrix trains models of its own, without --%s", other)
		}
	}
	if c.Int("draws") < 0 {
		return usagef("--draws cannot be negative")
	}
	authors, share, err := authorsWanted(c.String("holdout-authors"))
	if err != nil {
		return err
	}
	if authors == 0 && share == 0 {
		share = unseenShare
	}
	if t.options, err = modelOptions(c); err != nil {
		return err
	}
	if h := t.options.Head; h == rm.HeadPrinciples || h == rm.HeadAuto {
		return hinted(usagef("--matrix cannot train with --head %s", h), "use --head linear, mlp or stack")
	}
	unbound, err := memoryOptions(c, &t.options)
	if err != nil {
		return err
	}
	defer unbound()
	t.options.TempDir = ""
	if t.in, err = a.inputs(c, "preference files"); err != nil {
		return err
	}
	if err := tryOut(t.in, dataset.Pairs); err != nil {
		return err
	}
	names := list(c.StringSlice("features"))
	sources, done, err := a.sources(c, names, sourceOptions{Keep: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	t.options.Sources = sources
	a.startsOver = len(sources) == 0 // embeddings are kept as they come
	if err := t.read(ctx); err != nil {
		return err
	}
	out := transferJSON{}
	if t.by != byAuthor {
		if err := t.matrix(ctx, &out); err != nil {
			return err
		}
	}
	if draws := c.Int("draws"); t.named > 0 && draws > 0 || t.by == byAuthor {
		if out.Authors, err = t.authors(ctx, max(draws, 1), authors, share); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		if err := a.writeJSON(map[string]any{"matrix": out}); err != nil {
			return err
		}
	} else {
		printTransfer(a.Out, &out)
	}
	return nil
}

// domain names that of a pair.
func (t *transferring) domain(p *dataset.Pair, file string) string {
	if t.by != "" && t.by != byAuthor {
		if v := columnText(p, t.by); v != "" {
			return v
		}
	}
	return setName(file)
}

// all gives the pairs of all files with the names of their domains.
func (t *transferring) all(yield func(string, *dataset.Pair, error) bool) {
	for _, f := range t.in.files {
		for p, err := range decided(t.in, f, t.c.Int("limit")) {
			name := ""
			if err == nil {
				if p.First.Text == p.Second.Text {
					continue
				}
				name = t.domain(p, f)
			}
			if !yield(name, p, err) || err != nil {
				return
			}
		}
	}
}

// read reads the pairs for their domains, prompts and authors.
func (t *transferring) read(ctx context.Context) (err error) {
	p := t.app.progress(t.c, "eval: domains", "pairs", 0)
	defer p.done()
	t.all(func(name string, pair *dataset.Pair, e error) bool {
		if err = errors.Join(e, ctx.Err()); err != nil {
			return false
		}
		d := t.domains[name]
		if d == nil {
			if len(t.names) == maxDomains {
				err = hinted(fmt.Errorf("there are more than %d domains", maxDomains), "use fewer files, or --by with a column of fewer values")
				return false
			}
			d = &domainPairs{prompts: map[dataset.Hash]bool{}}
			t.domains[name] = d
			t.names = append(t.names, name)
		}
		if pair.Labelled() && pair.P != 0.5 {
			d.prompts[pair.Prompt.Key()] = true
		}
		if pair.First.Author != "" && pair.Second.Author != "" {
			t.named++
		}
		if t.kept {
			d.pairs = append(d.pairs, pair)
		}
		if t.pairs++; t.pairs > keptPairs && t.kept {
			t.kept = false
			for _, d := range t.domains {
				d.pairs = nil
			}
		}
		p.set(int64(t.pairs), "")
		return true
	})
	return err
}

// of gives the pairs of the domains that use names.
func (t *transferring) of(use func(name string) bool) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		if t.kept {
			for _, name := range t.names {
				if !use(name) {
					continue
				}
				for _, p := range t.domains[name].pairs {
					if !yield(p, nil) {
						return
					}
				}
			}
			return
		}
		t.all(func(name string, p *dataset.Pair, err error) bool {
			return err == nil && !use(name) || yield(p, err)
		})
	}
}

// matrix trains and tests on all domains that are large enough.
func (t *transferring) matrix(ctx context.Context, out *transferJSON) error {
	var domains []audit.Domain
	out.TooSmall = map[string]int{}
	for _, name := range t.names {
		if n := len(t.domains[name].prompts); n < domainPrompts {
			out.TooSmall[name] = n
			continue
		}
		out.Domains = append(out.Domains, name)
		domains = append(domains, audit.Domain{Name: name, Pairs: t.of(func(n string) bool { return n == name })})
	}
	if len(domains) < 2 {
		return hinted(fmt.Errorf("a matrix needs two domains of at least %d prompts with a clear label; there are %d", domainPrompts, len(domains)),
			"name several files, or a column of their records with --by")
	}
	p := t.app.progress(t.c, "eval: matrix", "fits", 0)
	defer p.done()
	var err error
	out.Transfer, err = audit.MeasureTransfer(ctx, domains, audit.TransferOptions{
		Train: t.options, Seed: t.c.Int64("seed"),
		Progress: func(done, total int) { p.outOf(int64(total)); p.set(int64(done), "") },
	})
	if err != nil {
		return memoryHint(err)
	}
	out.Tests = out.Transfer.Domains
	return nil
}

// authorDraws is how models did on authors that they had not seen, over several
// draws of who they are.
type authorDraws struct {
	Draws []authorDraw `json:"draws"`
	// Mean is over the draws, SD how much they differ.
	Mean   eval.Figure `json:"mean"`
	SD     eval.Figure `json:"sd"`
	Longer eval.Figure `json:"longer"`
}

// authorDraw is one of them. N counts pairs of two unseen authors.
type authorDraw struct {
	Unseen   []string      `json:"unseen"`
	Seen     int           `json:"seen"`
	N        int           `json:"n"`
	Accuracy eval.Figure   `json:"accuracy"`
	CI       eval.Interval `json:"ci"`
	Longer   eval.Figure   `json:"longer"`
	// PromptsUnseen is over the pairs whose prompts were not trained on either; nil
	// where there is none.
	PromptsUnseen *part `json:"prompts_unseen,omitempty"`
}

// authors trains without the replies of some authors and tests on the pairs of two
// of them, several times.
func (t *transferring) authors(ctx context.Context, draws, n int, share float64) (*authorDraws, error) {
	pairs := t.of(func(string) bool { return true })
	p := t.app.progress(t.c, "eval: unseen authors", "draws", int64(draws))
	defer p.done()
	out := &authorDraws{}
	seed := t.c.Int64("seed")
	var failed error
	for k := 0; len(out.Draws) < draws && k < 3*draws; k++ {
		p.set(int64(len(out.Draws)), "")
		w := authorship{key: dataset.Conversation.Key}
		if err := w.draw(pairs, n, share, seed+int64(k)); err != nil {
			failed = err // another draw may have pairs of two of its authors
			continue
		}
		o := t.options
		o.Seed = seed + int64(k)
		m, tr, err := rm.Train(ctx, w.training(pairs), o)
		if err == nil && tr.Interrupted {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, memoryHint(err)
		}
		got, err := w.measure(ctx, m, pairs, eval.Options{Seed: seed, Authors: w.fit(nil)})
		if err != nil {
			return nil, err
		}
		d := authorDraw{Unseen: got.Unseen, Seen: got.Seen, N: got.N, Accuracy: got.Accuracy, CI: got.CI, Longer: got.Baselines["longer"]}
		if f := got.PromptsUnseen; f != nil {
			d.PromptsUnseen = &part{f.N, f.Prompts, f.Accuracy, f.CI, f.Baselines["longer"]}
		}
		out.Draws = append(out.Draws, d)
	}
	switch {
	case len(out.Draws) > 0:
		out.sum()
		return out, nil
	case t.by == byAuthor:
		return nil, failed
	}
	t.app.note(t.c, "no unseen authors: %v", failed)
	return nil, nil
}

func (o *authorDraws) sum() {
	n := float64(len(o.Draws))
	mean, longer, sd := 0.0, 0.0, 0.0
	for _, d := range o.Draws {
		mean += float64(d.Accuracy) / n
		longer += float64(d.Longer) / n
	}
	for _, d := range o.Draws {
		sd += (float64(d.Accuracy) - mean) * (float64(d.Accuracy) - mean) / (n - 1)
	}
	o.Mean, o.Longer, o.SD = eval.Figure(mean), eval.Figure(longer), eval.Figure(math.Sqrt(sd))
}
