package cli

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

func holdoutAuthorsFlag() urfave.Flag {
	return &urfave.StringFlag{
		Name:  "holdout-authors",
		Usage: "train on no reply of `N` authors, or of a share of them below 1, drawn with --seed, and measure on the pairs of two of them",
	}
}

// authorship is who wrote the replies of the pairs that a model is trained on,
// for the author baseline, and which authors are kept from training.
type authorship struct {
	unseen  []string // sorted; nil where nobody is kept from training
	seen    int      // how many others there are
	names   []string // of authors and subsets
	numbers map[string]int32
	pairs   []authored
	prompts map[dataset.Hash]bool // of all pairs trained on, where authors are kept from it
	dropped int
	key     func(dataset.Conversation) dataset.Hash // what tells prompts apart in training
}

// authored is what the author baseline needs of a pair, in place of its texts.
type authored struct {
	prompt                dataset.Hash
	first, second, subset int32
	p                     float64
}

// authorsWanted reads what --holdout-authors says, as a number of authors or a
// share of them; both are 0 where it is not given.
func authorsWanted(s string) (n int, share float64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 2 {
		return n, 0, nil
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil && x > 0 && x < 1 {
		return 0, x, nil
	}
	return 0, 0, usagef("--holdout-authors %s is neither a number of authors from 2 up, which a pair needs, nor a share of them between 0 and 1", s)
}

// draw reads the pairs for their authors and draws those that training will not
// see.
func (w *authorship) draw(pairs iter.Seq2[*dataset.Pair, error], n int, share float64, seed int64) error {
	known := map[string]string{}
	met := map[[2]string]bool{} // in a pair that can be tested
	for p, err := range pairs {
		if err != nil {
			return err
		}
		by := [2]string{p.First.Author, p.Second.Author}
		for i, name := range by {
			if _, ok := known[name]; !ok && name != "" {
				name = strings.Clone(name) // it may be a part of the record's whole text
				known[name] = name
			}
			by[i] = known[name]
		}
		if p.First.Text != p.Second.Text && p.Labelled() && p.P != 0.5 {
			met[by] = true
		}
	}
	names := sortedKeys(known)
	if share > 0 {
		n = max(2, int(math.Round(share*float64(len(names)))))
	}
	if len(names) == 0 {
		return hinted(fmt.Errorf("--holdout-authors: no pair names who wrote its replies"),
			"authors are read from columns such as chosen_model and rejected_model, mc and mr, model_a and model_b")
	}
	if n > len(names)-2 {
		return hinted(fmt.Errorf("--holdout-authors: %d of %d authors leave fewer than two to train on", n, len(names)),
			"the authors are %s", listed(names, 12))
	}
	order := rand.New(rand.NewPCG(uint64(seed), 0)).Perm(len(names))
	for _, k := range order[:n] {
		w.unseen = append(w.unseen, names[k])
	}
	slices.Sort(w.unseen)
	w.seen = len(names) - n
	for by := range met {
		_, first := slices.BinarySearch(w.unseen, by[0])
		_, second := slices.BinarySearch(w.unseen, by[1])
		if first && second {
			return nil
		}
	}
	return hinted(fmt.Errorf("--holdout-authors: no pair with a clear label is of two of %s", listed(w.unseen, 12)),
		"use another --seed, or more authors")
}

// away tells how many of the pair's replies were written by authors that
// training does not see.
func (w *authorship) away(p *dataset.Pair) (n int) {
	for _, name := range []string{p.First.Author, p.Second.Author} {
		if _, ok := slices.BinarySearch(w.unseen, name); ok {
			n++
		}
	}
	return n
}

// training gives the pairs to train on, those without a reply of an unseen
// author, and notes who wrote theirs.
func (w *authorship) training(pairs iter.Seq2[*dataset.Pair, error]) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		*w = authorship{unseen: w.unseen, seen: w.seen, key: w.key, numbers: map[string]int32{}, prompts: map[dataset.Hash]bool{}}
		for p, err := range pairs {
			if err == nil {
				if n := w.away(p); n > 0 {
					if n == 1 {
						w.dropped++
					}
					continue
				}
				w.note(p)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func (w *authorship) note(p *dataset.Pair) {
	named := p.First.Author != "" && p.Second.Author != "" && p.First.Text != p.Second.Text && p.Labelled()
	if !named && w.unseen == nil {
		return
	}
	prompt := w.key(p.Prompt)
	if w.unseen != nil {
		w.prompts[prompt] = true
	}
	if named {
		w.pairs = append(w.pairs, authored{prompt, w.number(p.First.Author), w.number(p.Second.Author), w.number(subset(p)), p.P})
	}
}

func (w *authorship) number(name string) int32 {
	i, ok := w.numbers[name]
	if !ok {
		name = strings.Clone(name)
		i = int32(len(w.names))
		w.numbers[name] = i
		w.names = append(w.names, name)
	}
	return i
}

// fit gives the strengths of the authors on the pairs that were trained on:
// those whose prompts are not in the holdout.
func (w *authorship) fit(holdout []rm.Scored) *eval.Strengths {
	away := map[dataset.Hash]bool{}
	for _, s := range holdout {
		prompt := w.key(s.Pair.Prompt)
		away[prompt] = true
		delete(w.prompts, prompt)
	}
	var g eval.Games
	for _, p := range w.pairs {
		if !away[p.prompt] {
			g.Add(w.names[p.first], w.names[p.second], w.names[p.subset], p.p)
		}
	}
	return g.Fit()
}

// authorsJSON is how a model did on authors that it had not seen.
type authorsJSON struct {
	Unseen  []string `json:"unseen"`
	Seen    int      `json:"seen"`    // how many other authors there are
	Dropped int      `json:"dropped"` // pairs of one unseen and one other author
	eval.Set
	// PromptsUnseen is over the pairs whose prompts were not trained on either,
	// nil where there is none.
	PromptsUnseen *eval.Figures `json:"prompts_unseen,omitempty"`
}

// measure compares the pairs whose authors are both unseen, so that the author
// baseline of training has nothing to say of them. It follows fit.
func (w *authorship) measure(ctx context.Context, m *rm.Model, pairs iter.Seq2[*dataset.Pair, error], o eval.Options) (*authorsJSON, error) {
	test := func(yield func(*dataset.Pair, error) bool) {
		for p, err := range pairs {
			if err == nil && (w.away(p) < 2 || p.First.Text == p.Second.Text) {
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
	o.Key = w.key
	c := &awayComparer{m: m, prompts: w.prompts, key: w.key}
	set, err := eval.Run(ctx, "authors", test, c, o)
	if err != nil {
		return nil, err
	}
	out := &authorsJSON{Unseen: w.unseen, Seen: w.seen, Dropped: w.dropped, Set: set}
	if len(c.kept) > 0 {
		o.Progress = nil
		out.PromptsUnseen = new(eval.Evaluate("", c.kept, o).Figures)
	}
	return out, nil
}

// awayComparer is a reward model that keeps its answers to prompts that it was
// not trained on.
type awayComparer struct {
	m       *rm.Model
	prompts map[dataset.Hash]bool // trained on
	key     func(dataset.Conversation) dataset.Hash
	kept    []eval.Result
}

// Compare serves one goroutine.
func (c *awayComparer) Compare(ctx context.Context, p *dataset.Pair) (eval.Comparison, error) {
	margin, first, second, err := c.m.Margin(ctx, p)
	a := eval.Comparison{Margin: margin, First: first.Mean, Second: second.Mean, Scored: true}
	if err == nil && !c.prompts[c.key(p.Prompt)] {
		c.kept = append(c.kept, eval.Result{Pair: p, Comparison: a})
	}
	return a, err
}

func printAuthors(w io.Writer, o *authorsJSON) {
	if o == nil {
		return
	}
	fmt.Fprintf(w, "of %d authors not trained on (%s): accuracy %s %s over %d pairs, %d prompts; %s\n",
		len(o.Unseen), listed(o.Unseen, 12), o.Accuracy, o.CI, o.N, o.Prompts, baselineText(o.Figures))
	if f := o.PromptsUnseen; f != nil {
		fmt.Fprintf(w, "of them on prompts not trained on either: %s %s over %d pairs, %d prompts; %s\n",
			f.Accuracy, f.CI, f.N, f.Prompts, baselineText(*f))
	}
	fmt.Fprintf(w, "%d pairs of one of these authors and another are in neither; train without --holdout-authors for a model of all pairs\n", o.Dropped)
	verdict(w, "on unseen authors the model", o.Figures)
}

// listed names up to n of the names.
func listed(names []string, n int) string {
	if len(names) > n {
		return printable(strings.Join(names[:n], ", ")) + ", …"
	}
	return printable(strings.Join(names, ", "))
}

// counted shows how many pairs were read.
func counted(pairs iter.Seq2[*dataset.Pair, error], p *progress) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		n := int64(0)
		for pair, err := range pairs {
			n++
			p.set(n, "")
			if !yield(pair, err) {
				return
			}
		}
	}
}
