package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/label"
	"cai/store"
)

// measure fills a judge's card and keeps its map.
func (k *calibration) measure(m *measured) error {
	c := k.c
	ctx, cancel := k.app.untilStop(c.Context)
	defer cancel()
	var err error
	if m.trials, err = k.trials(ctx, m.panel); err != nil {
		return err
	}
	j := &m.panel.judges[0]
	m.card = judgeCard{Judge: m.panel.hashes(), Model: m.panel.names(), Mode: j.Mode, Shape: shapeText(j.Template)}
	if len(m.trials) == 0 {
		return hinted(fmt.Errorf("%s has judged no pair of the gold under these principles", m.card.Model), "cai calibrate without --judge has it judge them")
	}
	if c.Int("repeat") > 0 {
		if err := k.repeat(ctx, m.trials); err != nil {
			return err
		}
	}
	m.card.Card = eval.Calibrate(m.card.Model, m.trials, k.options)
	if m.card.N == 0 {
		return hinted(errors.New("no pair of the gold says which reply is better"), "gold needs labels: see cai calibrate --help")
	}
	for _, file := range c.StringSlice("apply") {
		rate, err := k.rate(ctx, m, file)
		if err != nil {
			return err
		}
		m.card.Rates = append(m.card.Rates, rate)
	}
	if c.Bool("drift") {
		if m.card.Drift, err = k.drift(ctx, m); err != nil {
			return err
		}
	}
	if c.Int("probes") > 0 {
		if m.card.Probes, err = k.probes(ctx, m); err != nil {
			return err
		}
	}
	return k.keep(ctx, m)
}

// rate counts the pairs of a file that its first reply wins.
func (k *calibration) rate(ctx context.Context, m *measured, file string) (rateJSON, error) {
	r, wins := rateJSON{File: file}, 0
	f, set := k.filter(m.panel)
	f.Source = file
	for j, err := range k.store.Judged(ctx, f) {
		if err != nil {
			return r, err
		}
		l, ok := label.Aggregate(j.Judgments, set)
		if !ok || l.P == 0.5 {
			r.Abstained++
			continue
		}
		r.N++
		if (l.P > 0.5) != j.Swapped[0] {
			wins++
		}
	}
	r.Prevalence = m.card.Rate(wins, r.N)
	return r, nil
}

// filter finds what a panel judged under the principles, and how it is read.
func (k *calibration) filter(p *panel) (store.Filter, label.Settings) {
	set := k.set
	set.Judges = p.byHash()
	f := store.Filter{Judge: p.judges[0].Hash, Pool: p.others()}
	for i := range k.principles {
		f.Principles = append(f.Principles, k.principles[i].Hash())
	}
	return f, set
}

// trials reads what the judges of a panel made of the gold.
func (k *calibration) trials(ctx context.Context, p *panel) ([]eval.Trial, error) {
	f, set := k.filter(p)
	var out []eval.Trial
	seen := map[dataset.Hash]bool{}
	for _, file := range k.files {
		f.Source = file
		for j, err := range k.store.Judged(ctx, f) {
			if err != nil {
				return nil, err
			}
			if !seen[j.Key.Hash] {
				seen[j.Key.Hash] = true
				out = append(out, trialOf(j, set))
			}
			if n := k.c.Int("limit"); n > 0 && len(out) == n {
				return out, nil
			}
		}
	}
	return out, nil
}

// trialOf is a judged pair beside what people said of it.
func trialOf(j *store.Judged, set label.Settings) eval.Trial {
	nan := math.NaN()
	t := eval.Trial{
		Pair: &dataset.Pair{Prompt: j.Prompt, First: j.A, Second: j.B, P: j.P, Votes: j.Votes},
		Z:    nan, Bias: nan, SameSlot: nan, Coverage: nan,
	}
	if t.Pair.Votes == nil && !math.IsNaN(j.P) {
		t.Pair.Votes = []float64{j.P}
	}
	samples := map[int][]dataset.Judgment{}
	for _, g := range j.Judgments {
		samples[g.Sample] = append(samples[g.Sample], g)
		t.Seconds += g.Duration.Seconds()
	}
	if l, ok := label.Aggregate(j.Judgments, set); ok {
		t.Z, t.Bias, t.SameSlot, t.Coverage = logit(l.P), l.Bias, l.SameSlotRate, l.Coverage
	}
	first, ok := label.Aggregate(samples[0], set)
	for s, js := range samples {
		if l, again := label.Aggregate(js, set); s > 0 && ok && again {
			t.Repeats++
			if (l.P > 0.5) != (first.P > 0.5) {
				t.Flips++
			}
		}
	}
	return t
}

// repeat asks some pairs once more. Their answers are kept apart from judgments.
func (k *calibration) repeat(ctx context.Context, trials []eval.Trial) error {
	l := k.run
	again, err := l.judges.make(k.app.remember(l.model, k.store), l.judge.id.Mode)
	if err != nil {
		return err
	}
	n := min(k.c.Int("repeat"), len(trials))
	p := k.app.progress(k.c, "repeat", "pairs", int64(n))
	defer p.done()
	for i := range trials[:n] {
		t := &trials[i]
		if math.IsNaN(t.Z) {
			continue
		}
		js, err := k.askPair(ctx, again, t.Pair, k.c.Int("samples"))
		if err != nil {
			if err := k.app.itemError(err, dataset.Source{File: k.files[0]}, ""); err != nil {
				return err
			}
			continue
		}
		if l, ok := label.Aggregate(js, k.set); ok {
			t.Repeats++
			if (l.P > 0.5) != (t.Z > 0) {
				t.Flips++
			}
		}
		p.set(int64(i+1), "")
	}
	return nil
}

// askPair judges a pair by all principles, in both orders, as the given sample.
func (k *calibration) askPair(ctx context.Context, j asker, pair *dataset.Pair, sample int) ([]dataset.Judgment, error) {
	var out []dataset.Judgment
	for _, order := range k.run.job.Orders {
		q := judge.Question{Prompt: pair.Prompt, First: pair.First.Text, Second: pair.Second.Text, Sample: sample}
		if order == dataset.OrderBA {
			q.First, q.Second = q.Second, q.First
		}
		for i := range k.principles {
			q.Principle = &k.principles[i]
			ans, err := j.Compare(ctx, q)
			if err != nil {
				return nil, err
			}
			out = append(out, dataset.Judgment{
				Principle: q.Principle.Hash(), Order: order, LPFirst: ans.LPFirst, LPSecond: ans.LPSecond, Coverage: ans.Coverage,
			})
		}
	}
	return out, nil
}

// probes asks about edited replies. Their answers are kept apart from judgments.
func (k *calibration) probes(ctx context.Context, m *measured) ([]judgeProbe, error) {
	l := k.run
	known := k.app.remember(l.model, k.store)
	again, err := l.judges.make(known, l.judge.id.Mode)
	if err != nil {
		return nil, err
	}
	j, ok := again.Comparer.(prober)
	if !ok {
		return nil, fmt.Errorf("a judge of mode %s cannot be probed", l.judge.id.Mode)
	}
	var pairs []*dataset.Pair
	for i := range m.trials {
		if n := k.c.Int("probes"); len(pairs) < n {
			pairs = append(pairs, m.trials[i].Pair)
		}
	}
	o := probeOptions{Seed: int64(k.c.Int("seed")), Author: k.c.String("author"), Own: k.c.Int("own")}
	if o.Own > 0 {
		o.Write = writes(known, ownReplyTokens)
	}
	p := k.app.progress(k.c, "probe", "comparisons", 0)
	defer p.done()
	return k.app.probeJudge(ctx, j, pairs, k.principles, o, func(done, total int) {
		p.outOf(int64(total))
		p.set(int64(done), "")
	})
}

// ownReplyTokens bounds the replies that a judge's own model writes for --own.
const ownReplyTokens = 256

// drift compares a judge with the last one before it that differs in nothing but
// the weights of its model.
func (k *calibration) drift(ctx context.Context, m *measured) (*driftJSON, error) {
	if len(m.panel.judges) > 1 {
		return nil, usagef("--drift is for one judge, not for a pool")
	}
	now := m.panel.judges[0]
	all, err := judgesOf(ctx, k.store)
	if err != nil {
		return nil, err
	}
	for _, j := range slices.Backward(all) {
		twin := j.Judge
		twin.Digest = now.Digest
		if j.Digest == now.Digest || j.Model != now.Model || twin.Hash() != now.Hash {
			continue
		}
		p := &panel{}
		if err := p.add(j, 1); err != nil {
			return nil, err
		}
		before, err := k.trials(ctx, p)
		if err != nil {
			return nil, err
		}
		if len(before) == 0 {
			continue
		}
		d := &driftJSON{
			Judge: j.Hash.String(), Digest: j.Digest, Paired: eval.CompareTrials(m.trials, before, k.options),
			Accuracy: eval.Calibrate(j.Model, before, k.options).Accuracy,
		}
		d.Agreement, d.AgreementCI = eval.AgreeTrials(m.trials, before, k.options)
		d.Drifted = !d.DeltaCI.Contains(0)
		return d, nil
	}
	return nil, hinted(fmt.Errorf("the database knows no other weights of %s that judged this gold in the same way", now.Model),
		"run cai calibrate with each version of the model on the same --db")
}

// keep stores the map of a judge.
func (k *calibration) keep(ctx context.Context, m *measured) error {
	method := k.c.String("map")
	switch method {
	case "none":
		return nil
	case "auto":
		method = m.card.Chosen
	}
	m.card.Chosen = method
	fitted := m.card.Maps[method]
	params, err := json.Marshal(fitted.Map)
	if err != nil {
		return err
	}
	figures, err := json.Marshal(fitted.Quality)
	if err != nil {
		return err
	}
	set := k.set
	set.Judges = m.panel.byHash()
	c := &store.Calibration{
		Subject: subjectOf(m.panel, set), Method: method, Params: params, Figures: figures, Gold: k.files, N: m.card.N,
	}
	if len(m.panel.judges) == 1 {
		c.Judge = m.panel.judges[0].Hash
	}
	return k.store.PutCalibration(ctx, c)
}
