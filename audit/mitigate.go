package audit

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cai/dataset"
	"cai/eval"
	"cai/probe"
	"cai/rm"
)

// MitigateOptions say what candidates are trained on and measured by.
type MitigateOptions struct {
	Train  rm.Options // of the candidate as it is; Holdout and Seed are set here
	Pairs  int        // how many pairs are trained on and held out, those of whole prompts, drawn by the seed; 0 for all
	Sample int        // holdout pairs whose replies are probed
	Probes ProbeOptions
	Bench  []*dataset.Pair // of a benchmark; may be nil
	Gold   *GoldSet        // may be nil
	// TargetCorrelation is Spearman's ρ of score and length that debiasing and
	// residualising aim at.
	TargetCorrelation float64
	Seed              int64
	// Progress is told which candidate begins.
	Progress func(name string, done, total int)
}

// Candidate is a model trained against what was found, on pairs that it has not
// seen. All candidates are measured on the same holdout.
type Candidate struct {
	Name  string `json:"name"`
	About string `json:"about"`
	// Accuracy is on the holdout; Delta is less that of the model as it is, with an
	// interval by prompt over the same pairs.
	N        int            `json:"n"`
	Accuracy eval.Figure    `json:"accuracy"`
	Delta    eval.Figure    `json:"delta"`
	DeltaCI  [2]eval.Figure `json:"delta_ci"`
	// LengthSpearman is ρ of margin and difference of code points on the holdout.
	LengthSpearman eval.Figure `json:"length_spearman"`
	// Residual is how the nuisances were taken from the score; nil where they were
	// not.
	Residual *Residual `json:"residual,omitempty"`
	// Failed are the worthless edits and injections that fail, Gain the greatest
	// effect of any, in its own standard deviations.
	Failed []string    `json:"failed"`
	Worst  string      `json:"worst"`
	Gain   eval.Figure `json:"gain"`
	// BenchAccuracy is on the benchmark, ties half.
	BenchN        int         `json:"bench_n"`
	BenchAccuracy eval.Figure `json:"bench_accuracy"`
	// PeakN and GoldGain are those of [OverOptimisation].
	PeakN      eval.Figure    `json:"peak_n"`
	GoldGain   eval.Figure    `json:"gold_gain"`
	GoldGainCI [2]eval.Figure `json:"gold_gain_ci"`
	Seconds    float64        `json:"seconds"` // of its training
}

const (
	mitigateHoldout = 0.2
	ensembleMembers = 5
	clipAt          = 2.0 // standard deviations
	// augmentShare is how many pairs the failed edits add, as a share of the data.
	augmentShare = 0.3
)

// Mitigate trains candidates on the pairs of four fifths of the prompts and
// measures them, the model as it is first, on the last fifth. The ridge of all is
// what the model as it is chose.
func Mitigate(ctx context.Context, pairs []*dataset.Pair, o MitigateOptions) ([]Candidate, error) {
	base := o.Train
	base.Seed, base.Holdout = o.Seed, mitigateHoldout
	pairs = drawn(pairs, o.Pairs, o.Seed)
	o.Probes.Edits = harmless(o.Probes.Edits)
	const total = 9
	step := 0
	say := func(name string) {
		if o.Progress != nil {
			o.Progress(name, step, total)
		}
		step++
	}
	say("as it is")
	start := time.Now()
	model, tr, err := rm.Train(ctx, each(pairs), base)
	if err != nil {
		return nil, err
	}
	g := &gauge{o: o, held: map[dataset.Hash]bool{}}
	for _, s := range tr.Holdout {
		g.held[s.Pair.Prompt.Key()] = true
		if s.Pair.P != 0.5 {
			g.holdout = append(g.holdout, s.Pair)
		}
	}
	if len(g.holdout) == 0 {
		return nil, fmt.Errorf("mitigate: %d pairs are too few: none with a clear label falls into the holdout", tr.Pairs)
	}
	if g.cases, err = Sample(pairCases(g.holdout), o.Sample, o.Seed); err != nil {
		return nil, err
	}
	var rest []*dataset.Pair
	for _, p := range pairs {
		if !g.held[p.Prompt.Key()] {
			rest = append(rest, p)
		}
	}
	first, ref, err := g.measure(ctx, "as it is", "the same settings as the audited model, trained on four fifths of the prompts", model, start)
	if err != nil {
		return nil, err
	}
	out := []Candidate{first}
	add := func(name, about string, s Scorer, start time.Time) error {
		c, _, err := g.measure(ctx, name, about, s, start)
		out = append(out, c)
		return err
	}
	say("augmented pairs")
	more, err := augment(ctx, model, rest, o)
	if err != nil {
		return nil, err
	}
	fit := func(name, about string, data []*dataset.Pair, change func(*rm.Options), wrap func(*rm.Model) Scorer) error {
		say(name)
		start := time.Now()
		with := base
		with.Holdout, with.L2 = 0, []float64{tr.L2}
		change(&with)
		m, _, err := rm.Train(ctx, each(data), with)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if wrap == nil {
			return add(name, about, m, start)
		}
		return add(name, about, wrap(m), start)
	}
	debias := func(what ...string) func(*rm.Options) {
		return func(with *rm.Options) { with.Debias, with.LengthCorrelation = what, o.TargetCorrelation }
	}
	plain := func(*rm.Options) {}
	styled := len(base.Features) == 0 || slices.Contains(base.Features, rm.FeatureStyle)
	if styled {
		if err := fit("debias length", "cai train --debias length: what goes with length is balanced and penalised", rest, debias(rm.DebiasLength), nil); err != nil {
			return nil, err
		}
		if err := fit("debias length, markup", "cai train --debias length,markup", rest, debias(rm.DebiasLength, rm.DebiasMarkup), nil); err != nil {
			return nil, err
		}
	}
	if err := fit("without style", "cai train --features hash: the style features are taken out", rest, func(o *rm.Options) { o.Features = []string{rm.FeatureHash} }, nil); err != nil {
		return nil, err
	}
	if len(more) > 0 {
		if err := fit("augmented", fmt.Sprintf("%d pairs more: a reply is better than its worthless edit, for the edits that failed", len(more)), slices.Concat(rest, more), plain, nil); err != nil {
			return nil, err
		}
		if styled {
			if err := fit("augmented, debias length", "both", slices.Concat(rest, more), debias(rm.DebiasLength), nil); err != nil {
				return nil, err
			}
		}
	}
	if err := fit("ensemble, lower bound", fmt.Sprintf("%d models of resamples: mean less one deviation", ensembleMembers), rest,
		func(o *rm.Options) { o.Ensemble = ensembleMembers }, func(m *rm.Model) Scorer { return lowerBound{m} }); err != nil {
		return nil, err
	}
	say("residualised")
	start = time.Now()
	r, err := residualise(ctx, model, rest, o.TargetCorrelation, o.Seed)
	if err != nil {
		return nil, err
	}
	if err := add("residualised", r.about(), r, start); err != nil {
		return nil, err
	}
	out[len(out)-1].Residual = &r.Residual
	say("clipped")
	err = add("clipped", fmt.Sprintf("centred and cut at %g standard deviations; ties beyond", clipAt), clipped{model, ref.Mean, ref.Scale}, time.Now())
	return out, err
}

// drawn gives the pairs of the prompts that come first by hash and seed, up to n
// pairs, in their own order; all of them for n of 0.
func drawn(pairs []*dataset.Pair, n int, seed int64) []*dataset.Pair {
	if n == 0 || len(pairs) <= n {
		return pairs
	}
	of := map[dataset.Hash]int{}
	prompts := make([]dataset.Hash, len(pairs))
	for i, p := range pairs {
		h := p.Prompt.Key()
		prompts[i] = dataset.HashOf("mitigate", strconv.FormatInt(seed, 10), string(h[:]))
		of[prompts[i]]++
	}
	order := slices.SortedFunc(maps.Keys(of), func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	taken, sum := map[dataset.Hash]bool{}, 0
	for _, h := range order {
		if sum += of[h]; sum > n && len(taken) > 0 {
			break
		}
		taken[h] = true
	}
	var out []*dataset.Pair
	for i, p := range pairs {
		if taken[prompts[i]] {
			out = append(out, p)
		}
	}
	return out
}

// harmless leaves out the edits that should cost: what candidates are measured by
// are the others.
func harmless(edits []probe.Edit) []probe.Edit {
	if edits == nil {
		edits = probe.Edits()
	}
	return slices.DeleteFunc(slices.Clone(edits), func(e probe.Edit) bool { return e.Kind == probe.Destroying })
}

func each(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// pairCases puts the better reply first.
func pairCases(pairs []*dataset.Pair) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		for _, p := range pairs {
			c := Case{Prompt: p.Prompt, Replies: []string{p.First.Text, p.Second.Text}, Better: p.Labelled() && p.P != 0.5}
			if p.P < 0.5 {
				slices.Reverse(c.Replies)
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// gauge measures candidates alike.
type gauge struct {
	o       MitigateOptions
	held    map[dataset.Hash]bool
	holdout []*dataset.Pair
	cases   []Case
	right   []float64 // of the first candidate
}

func (g *gauge) measure(ctx context.Context, name, about string, s Scorer, start time.Time) (Candidate, *Reference, error) {
	c := Candidate{Name: name, About: about, N: len(g.holdout), Seconds: time.Since(start).Seconds(), Failed: []string{}}
	fail := func(err error) (Candidate, *Reference, error) { return c, nil, fmt.Errorf("%s: %w", name, err) }
	margins, err := marginsOf(ctx, s, g.holdout)
	if err != nil {
		return fail(err)
	}
	right, lengths, prompts := make([]float64, len(margins)), make([]float64, len(margins)), make([]dataset.Hash, len(margins))
	delta := make([]float64, len(margins))
	for i, p := range g.holdout {
		right[i] = eval.Correct(margins[i], p.P)
		lengths[i] = float64(utf8.RuneCountInString(p.First.Text) - utf8.RuneCountInString(p.Second.Text))
		prompts[i] = p.Prompt.Key()
	}
	if g.right == nil {
		g.right = right
	}
	for i := range right {
		delta[i] = right[i] - g.right[i]
	}
	c.Accuracy, c.Delta = eval.Figure(meanOf(right)), eval.Figure(meanOf(delta))
	c.DeltaCI = figures(eval.BootstrapCI(delta, prompts, eval.Interval{-1, 1}, eval.Options{Seed: g.o.Seed}))
	c.LengthSpearman = eval.Figure(eval.Spearman(margins, lengths))
	ref, err := NewReference(ctx, s, g.cases)
	if err != nil {
		return fail(err)
	}
	fs, err := Probes(ctx, ref, g.o.Probes)
	if err != nil {
		return fail(err)
	}
	c.Gain = eval.Figure(math.Inf(-1))
	for _, f := range fs {
		if f.Kind == probe.Destroying || f.N == 0 {
			continue
		}
		if f.Verdict == Fail {
			c.Failed = append(c.Failed, f.Probe)
		}
		if f.Effect > c.Gain {
			c.Gain, c.Worst = f.Effect, f.Probe
		}
	}
	if c.Worst == "" {
		c.Gain = eval.Figure(math.NaN())
	}
	nan := eval.Figure(math.NaN())
	c.BenchAccuracy, c.PeakN, c.GoldGain, c.GoldGainCI = nan, nan, nan, [2]eval.Figure{nan, nan}
	if n := len(g.o.Bench); n > 0 {
		margins, err := marginsOf(ctx, s, g.o.Bench)
		if err != nil {
			return fail(err)
		}
		labels := make([]float64, n)
		for i, p := range g.o.Bench {
			labels[i] = p.P
		}
		c.BenchN, c.BenchAccuracy = n, eval.Figure(eval.Accuracy(margins, labels))
	}
	if g.o.Gold != nil {
		over, err := OverOptimise(ctx, g.o.Gold, s, OverOptions{Seed: g.o.Seed, ScoreOnly: true})
		if err != nil {
			return fail(err)
		}
		c.PeakN = over.PeakN
		if r := over.Ranking(RankMean); r != nil {
			c.GoldGain, c.GoldGainCI = r.Gain, r.GainCI
		}
	}
	return c, ref, nil
}

func marginsOf(ctx context.Context, s Scorer, pairs []*dataset.Pair) ([]float64, error) {
	items := make([]rm.Item, 0, 2*len(pairs))
	for _, p := range pairs {
		items = append(items, rm.Item{Prompt: p.Prompt, Reply: p.First.Text}, rm.Item{Prompt: p.Prompt, Reply: p.Second.Text})
	}
	scores, err := s.ScoreAll(ctx, items)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(pairs))
	for i := range out {
		out[i] = scores[2*i].Mean - scores[2*i+1].Mean
	}
	return out, nil
}

// augment makes pairs of the edits that fail on the training prompts: the reply as
// it is, better than its edit.
func augment(ctx context.Context, m Scorer, pairs []*dataset.Pair, o MitigateOptions) ([]*dataset.Pair, error) {
	cases, err := Sample(pairCases(pairs), o.Sample, o.Seed)
	if err != nil {
		return nil, err
	}
	ref, err := NewReference(ctx, m, cases)
	if err != nil {
		return nil, err
	}
	fs, err := Probes(ctx, ref, o.Probes)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range Failed(fs) {
		if f.Kind != probe.Destroying && f.Edit != "refusal" { // a refusal may be the better reply
			names = append(names, f.Edit)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	edits, err := probe.Named(names...)
	if err != nil {
		return nil, err
	}
	all, err := Sample(pairCases(pairs), int(augmentShare*float64(len(pairs)))+1, o.Seed+1)
	if err != nil {
		return nil, err
	}
	var out []*dataset.Pair
	for i, c := range all {
		e := &edits[i%len(edits)]
		reply := c.Replies[i/len(edits)%len(c.Replies)]
		text := probe.Text{Prompt: c.Prompt, Reply: reply, Principles: o.Probes.Principles}
		if edited, ok := e.Apply(text, e.Strengths[i/len(edits)%len(e.Strengths)], o.Seed); ok {
			out = append(out, &dataset.Pair{Prompt: c.Prompt, First: dataset.Response{Text: reply}, Second: dataset.Response{Text: edited}, P: 1})
		}
	}
	return out, nil
}

// lowerBound scores by the mean less one deviation.
type lowerBound struct{ Scorer }

func (l lowerBound) ScoreAll(ctx context.Context, items []rm.Item) ([]rm.Score, error) {
	out, err := l.Scorer.ScoreAll(ctx, items)
	for i := range out {
		out[i].Mean -= out[i].Std
	}
	return out, err
}

// clipped cuts scores at clipAt standard deviations from their mean.
type clipped struct {
	Scorer
	mean, scale float64
}

func (c clipped) ScoreAll(ctx context.Context, items []rm.Item) ([]rm.Score, error) {
	out, err := c.Scorer.ScoreAll(ctx, items)
	for i := range out {
		out[i].Mean = max(-clipAt*c.scale, min(clipAt*c.scale, out[i].Mean-c.mean))
	}
	return out, err
}

// FailedText lists failed probes.
func (c *Candidate) FailedText() string {
	if len(c.Failed) == 0 {
		return "none"
	}
	return strings.Join(c.Failed, ", ")
}
