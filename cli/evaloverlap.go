package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
)

// Which null baselines are fitted, by --baselines.
const (
	autoBaselines    = "auto"    // the bag of words where that takes no more than some seconds
	allBaselines     = "all"     // always
	surfaceBaselines = "surface" // never
)

// autoWordPairs is how many pairs the bag-of-words baseline is fitted to unasked,
// and maxWordPairs how many training pairs it is ever fitted to.
const (
	autoWordPairs = 20_000
	maxWordPairs  = 100_000
)

// overlapExamples is how many duplicates of prompts, and of replies, are named.
const overlapExamples = 5

// overlapFlags are those of cai eval that bring in the training data.
func overlapFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "train", Usage: "a `FILE` that was trained on: its prompts and replies are looked for in the others; repeatable"},
		&urfave.StringFlag{Name: "baselines", Value: autoBaselines, Usage: "`WHICH` null baselines: auto (a bag of words up to 20,000 pairs), all (always), surface (none that is fitted to words)"},
	}
}

// wordPairs reads --baselines.
func wordPairs(c *urfave.Context) (int, error) {
	switch v := c.String("baselines"); v {
	case autoBaselines:
		return autoWordPairs, nil
	case allBaselines:
		return math.MaxInt, nil
	case surfaceBaselines:
		return 0, nil
	default:
		return 0, usagef("--baselines %s: use auto, all or surface", v)
	}
}

// trainedOn is what the files of --train say of those that are evaluated.
type trainedOn struct {
	files []string
	in    map[string]*eval.Duplicates // by test file
	words *eval.Words                 // fitted to them
}

// bag is the bag-of-words baseline of the training files, nil without them.
func (t *trainedOn) bag() *eval.Words {
	if t == nil {
		return nil
	}
	return t.words
}

// trainedOn reads the test files for their texts, and the training files once past
// them; nil without --train.
func (a *app) trainedOn(ctx context.Context, c *urfave.Context, in *inputs) (*trainedOn, error) {
	files := c.StringSlice("train")
	if len(files) == 0 {
		return nil, nil
	}
	train, err := a.inputFiles(c, files)
	if err != nil {
		return nil, err
	}
	train.asFound() // --format, --columns and --scale are of the files that are evaluated
	for _, f := range files {
		if f == "-" {
			return nil, usagef("--train - : training data are read from files")
		}
	}
	out := &trainedOn{in: map[string]*eval.Duplicates{}}
	for _, f := range files {
		out.files = append(out.files, setName(f))
	}
	var sets []*eval.Duplicates
	for _, f := range in.files {
		d := &eval.Duplicates{}
		p := a.progress(c, "eval: texts of "+filepath.Base(f), "pairs", 0)
		n := 0
		for pair, err := range decided(in, f, c.Int("limit")) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				p.done()
				return nil, err
			}
			d.Add(pair)
			n++
			p.set(int64(n), "")
		}
		p.done()
		out.in[f] = d
		sets = append(sets, d)
	}
	p := a.progress(c, "eval: training texts", "pairs", 0)
	defer p.done()
	bags := eval.Bags{Most: maxWordPairs}
	words := c.String("baselines") != surfaceBaselines
	pairs := func(yield func(*dataset.Pair, error) bool) {
		for pair, err := range train.pairs() {
			if err == nil && words {
				bags.Add(pair)
			}
			if !yield(pair, err) {
				return
			}
		}
	}
	if err := eval.FindDuplicates(ctx, pairs, sets, func(n int) { p.set(int64(n), "") }); err != nil {
		return nil, err
	}
	out.words = bags.Fit()
	return out, nil
}

// wordsComparer reads a file for the words of its replies; with --train it is the
// baseline fitted there.
func wordsComparer(t *trainedOn, in *inputs, file string, limit int) (eval.Comparer, error) {
	if w := t.bag(); w != nil {
		return w, nil
	}
	comparer, _, err := eval.BagOfWords(decided(in, file, limit))
	return comparer, err
}

// partComparer notes how its comparer does on pairs whose texts were trained on,
// and on the others.
type partComparer struct {
	eval.Comparer
	texts *eval.Duplicates
	rows  []partRow
}

type partRow struct {
	prompt          dataset.Hash
	right, longer   float64
	byPrompt, reply bool // found in the training data
}

// Compare serves one goroutine.
func (c *partComparer) Compare(ctx context.Context, p *dataset.Pair) (eval.Comparison, error) {
	a, err := c.Comparer.Compare(ctx, p)
	if err != nil || math.IsNaN(a.Margin) {
		return a, err
	}
	r := partRow{prompt: p.Prompt.Key(), right: eval.Correct(a.Margin, p.P)}
	if longer, err := eval.Baseline("longer"); err == nil {
		l, _ := longer.Compare(ctx, p) // never fails
		r.longer = eval.Correct(l.Margin, p.P)
	}
	r.byPrompt, r.reply = c.texts.Of(p)
	c.rows = append(c.rows, r)
	return a, nil
}

// overlapJSON is what a test file shares with the training data, and the accuracy
// with and without the pairs concerned.
type overlapJSON struct {
	Train     []string    `json:"train"`
	Threshold float64     `json:"threshold"`
	Prompts   eval.Shared `json:"prompts"`
	Replies   eval.Shared `json:"replies"`
	// The pairs whose prompt was found, those of which a reply was, those of which
	// nothing was, and those whose prompt was not.
	PromptFound part             `json:"prompt_found"`
	ReplyFound  part             `json:"reply_found"`
	Clean       part             `json:"clean"`
	PromptClean part             `json:"prompt_clean"`
	Examples    []eval.Duplicate `json:"examples"`
}

// part is some of the pairs of a file.
type part struct {
	N        int           `json:"n"`
	Prompts  int           `json:"prompts"`
	Accuracy eval.Figure   `json:"accuracy"`
	CI       eval.Interval `json:"ci"`
	Longer   eval.Figure   `json:"longer"`
}

// overlap sums up what was noted of a file.
func (t *trainedOn) overlap(c *partComparer, seed int64) *overlapJSON {
	d := c.texts
	o := &overlapJSON{
		Train: t.files, Threshold: eval.NearDuplicate, Prompts: d.Prompts(), Replies: d.Replies(),
		Examples: d.Examples(overlapExamples),
	}
	if o.Examples == nil {
		o.Examples = []eval.Duplicate{}
	}
	o.PromptFound = partOf(c.rows, seed, func(r *partRow) bool { return r.byPrompt })
	o.ReplyFound = partOf(c.rows, seed, func(r *partRow) bool { return r.reply })
	o.Clean = partOf(c.rows, seed, func(r *partRow) bool { return !r.byPrompt && !r.reply })
	o.PromptClean = partOf(c.rows, seed, func(r *partRow) bool { return !r.byPrompt })
	return o
}

func partOf(rows []partRow, seed int64, in func(*partRow) bool) part {
	var values []float64
	var prompts []dataset.Hash
	right, longer := 0.0, 0.0
	different := map[dataset.Hash]bool{}
	for i := range rows {
		if r := &rows[i]; in(r) {
			values, prompts = append(values, r.right), append(prompts, r.prompt)
			right, longer = right+r.right, longer+r.longer
			different[r.prompt] = true
		}
	}
	n := float64(len(values))
	return part{
		len(values), len(different), eval.Figure(right / n),
		eval.BootstrapCI(values, prompts, eval.Interval{0, 1}, eval.Options{Seed: seed}), eval.Figure(longer / n),
	}
}

// printOverlap says what the training data share with a file.
func printOverlap(w io.Writer, o *overlapJSON) {
	if o == nil {
		return
	}
	fmt.Fprintf(w, "  in the training data: %s prompts, %s replies\n", sharedText(o.Prompts), sharedText(o.Replies))
	for _, k := range []struct {
		what string
		part
	}{
		{"prompt trained on", o.PromptFound},
		{"a reply trained on", o.ReplyFound},
		{"nothing trained on", o.Clean},
	} {
		if k.N > 0 {
			fmt.Fprintf(w, "    %-20s %s %s over %d; longer wins %s\n", k.what, k.Accuracy, k.CI, k.N, k.Longer)
		} else {
			fmt.Fprintf(w, "    %-20s no pair\n", k.what)
		}
	}
	for _, e := range o.Examples {
		what := "the same words as"
		if !e.Exact {
			what = fmt.Sprintf("Jaccard %.2f with", e.Jaccard)
		}
		fmt.Fprintf(w, "    %s of %s: %s %s\n", e.Kind, placeText(e.Test), what, placeText(e.Train))
	}
}

func sharedText(s eval.Shared) string {
	return fmt.Sprintf("%d exact and %d near duplicates of %d", s.Exact, s.Near, s.N)
}

func placeText(p eval.Place) string {
	return fmt.Sprintf("%s:%d", printable(filepath.Base(p.File)), p.Line)
}

// printWords says what the words of the replies alone come to.
func printWords(w io.Writer, indent string, f *eval.WordFigures) {
	if f == nil {
		return
	}
	how := "cross-fitted by prompt,"
	if f.Trained > 0 {
		how = fmt.Sprintf("fitted to %d training pairs,", f.Trained)
	}
	fmt.Fprintf(w, "%sthe words of the replies alone, %s tell %s %s over %d pairs; beyond them %+.3f %s\n",
		indent, how, f.Accuracy, f.CI, f.N, float64(f.Delta), f.DeltaCI)
}
