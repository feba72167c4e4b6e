package label

import (
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"cai/dataset"
)

const (
	// Pilot is how many pairs are asked under every principle before the rule
	// may leave anything out.
	Pilot = 20
	// DefaultRisk is the flip probability at which the rule stops.
	DefaultRisk = 0.05

	// AuditOneIn is one pair in how many that is asked in full whatever the rule
	// says, so that what the rule would have done can be held against the truth.
	AuditOneIn = 20
	// fitPairs bounds the pairs that a model is fitted to.
	fitPairs = 1000
	// A question whose prefix is held costs about as much as reading this many
	// bytes of a prompt: some 25 tokens of question and one decoding step.
	questionBytes = 180
)

// AdaptiveStore is what [Adaptive] needs besides [Store].
type AdaptiveStore interface {
	// PairSoFar gives what a judge has said of one pair, and the stop of a rule
	// there, nil where it has none.
	PairSoFar(ctx context.Context, judge, pair, rule dataset.Hash) ([]dataset.Judgment, *dataset.Stop, error)
	// LatestJudgments gives what a judge has said of the pairs that came last,
	// at most so many of them, each pair's judgments together.
	LatestJudgments(ctx context.Context, judge dataset.Hash, pairs int) iter.Seq2[[]dataset.Judgment, error]
	// AddStop keeps that a pair needs no more questions.
	AddStop(context.Context, *dataset.Stop) error
}

// Adaptive lets a [Runner] stop asking about a pair when the label of all the
// principles is unlikely to be another one. A principle is always asked in both
// orders. Set as Runner.Adaptive; the runner fills it with what it learns.
type Adaptive struct {
	Store AdaptiveStore
	// Risk is the probability, above 0 and below ½, that the label of the full
	// principle set (rule logodds) would differ, at which the rule stops.
	Risk float64
	// Weights are those of the label.
	Weights map[dataset.Hash]float64
	// MinCoverage is the coverage below which a judgment abstains.
	MinCoverage float64
	// Votes is how many answers make one judgment, for a judge that samples:
	// further samples of a question then make its answer surer, and are asked
	// where the label is not certain without them. 0 is a judge whose samples
	// are all the same, and then the first is all that is asked.
	Votes int

	rule dataset.Hash
	of   map[dataset.Hash]int // principle to its place in the job
	set  Settings

	mu     sync.Mutex
	rows   [][]float64 // of pairs that went by, the last fitPairs
	next   int         // place in rows of the next one
	seen   int         // all that went by
	full   int         // of those, asked under every principle
	pilots int         // pairs of the pilot that are being asked
	model  *Model
	fitted int // seen when the model was fitted
}

// prepare reads what the judge has said before.
func (a *Adaptive) prepare(ctx context.Context, job dataset.Job) error {
	return a.prepareWith(ctx, job, func([]dataset.Judgment) {})
}

// prepareWith is prepare; each sees the judgments of every pair that is read.
func (a *Adaptive) prepareWith(ctx context.Context, job dataset.Job, each func([]dataset.Judgment)) error {
	a.rows, a.next, a.seen, a.full, a.model, a.fitted = nil, 0, 0, 0, nil, 0
	a.rule, a.of = dataset.RuleHash(a.Weights), map[dataset.Hash]int{}
	a.set = Settings{Rule: LogOdds, MinCoverage: a.MinCoverage, Weights: a.Weights}
	for i, p := range job.Principles {
		a.of[p] = i
	}
	for js, err := range a.Store.LatestJudgments(ctx, job.Judge, fitPairs) {
		if err != nil {
			return err
		}
		if len(js) > 0 {
			a.learn(js)
			each(js)
		}
	}
	return nil
}

// row gives z by principle, NaN where it is not known, and whether every
// principle that counts was asked in both orders.
func (a *Adaptive) row(js []dataset.Judgment) (z []float64, full bool) {
	z = make([]float64, len(a.of))
	for i := range z {
		z[i] = math.NaN()
	}
	l, _ := Aggregate(js, a.set)
	for _, p := range l.Parts {
		if i, ok := a.of[p.Principle]; ok {
			z[i] = p.Z
		}
	}
	asked := map[dataset.Slot]bool{}
	for i := range js {
		asked[dataset.Slot{Principle: js[i].Principle, Order: js[i].Order}] = true
	}
	full = true
	for p := range a.of {
		if a.Weights[p] > 0 && !(asked[dataset.Slot{Principle: p, Order: dataset.OrderAB}] && asked[dataset.Slot{Principle: p, Order: dataset.OrderBA}]) {
			full = false
		}
	}
	return z, full
}

// learn takes what is known of a pair into account.
func (a *Adaptive) learn(js []dataset.Judgment) {
	z, full := a.row(js)
	known := false
	for _, x := range z {
		known = known || !math.IsNaN(x)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if full {
		a.full++ // one whose judge abstained teaches nothing, but the pilot ends
	}
	if !known {
		return
	}
	a.seen++
	if len(a.rows) < fitPairs {
		a.rows = append(a.rows, z)
		return
	}
	a.rows[a.next] = z
	a.next = (a.next + 1) % fitPairs
}

// current gives the model, fitted again when half as many pairs more are known,
// and nil as long as too little is.
func (a *Adaptive) current() *Model {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.full < Pilot {
		return nil
	}
	if a.model == nil || a.seen >= a.fitted+max(1, a.fitted/2) {
		if m, ok := FitModel(len(a.of), a.rows); ok {
			a.model = m
		}
		a.fitted = a.seen
	}
	return a.model
}

// pilot takes a place in the pilot, if there is one; the caller gives it back
// when the pair is done with.
func (a *Adaptive) pilot() (taken bool, leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.full+a.pilots >= Pilot {
		return false, func() {}
	}
	a.pilots++
	return true, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.pilots--
	}
}

// Audited tells whether a pair is one of those that are asked in full whatever
// the rule says: one in twenty, by its hash.
func Audited(pair dataset.Hash) bool { return binary.BigEndian.Uint32(pair[12:])%AuditOneIn == 0 }

// adaptivePair asks the open questions of one pair until the rule stops.
func (s *state) adaptivePair(ctx context.Context, w dataset.Work, stop <-chan struct{}) error {
	a := s.Adaptive
	m := a.current()
	p := pairState{state: s, w: &w, order: dataset.OrderAB}
	if len(w.Slots) < len(s.Job.Principles)*len(s.Job.Orders)*s.Job.Samples {
		js, end, err := a.Store.PairSoFar(ctx, s.Job.Judge, w.Pair, a.rule)
		if err != nil {
			return err
		}
		if end != nil && end.Flip <= a.Risk {
			a.learn(js) // another process has been here
			return nil
		}
		p.js = js
	}
	pilot, leave := a.pilot()
	defer leave()
	if pilot || Audited(w.Pair) {
		done, err := p.all(ctx, stop)
		if done {
			a.learn(p.js)
		}
		return err
	}
	cost := Cost{Reread: float64(len(w.A)+len(w.B)) / questionBytes}
	for {
		// While the pilot is under way other pairs are asked principle by
		// principle, since one at least is needed of each.
		if m == nil {
			m = a.current()
		}
		flip, batch := p.decide(m, a, cost)
		if len(batch) == 0 {
			a.learn(p.js)
			left := p.left()
			if left == 0 {
				return nil
			}
			if err := a.Store.AddStop(context.WithoutCancel(ctx), &dataset.Stop{
				Pair: w.Pair, Judge: s.Job.Judge, Rule: a.rule, Flip: flip, Created: time.Now(),
			}); err != nil {
				return err
			}
			s.add(func(c *Count) { c.Saved += int64(left) })
			return nil
		}
		// The order that the server read last comes first.
		for _, o := range []dataset.Order{p.order, other(p.order)} {
			if done, err := p.ask(ctx, stop, o, batch); !done {
				return err
			}
		}
	}
}

func other(o dataset.Order) dataset.Order {
	if o == dataset.OrderAB {
		return dataset.OrderBA
	}
	return dataset.OrderAB
}

// pairState is one pair while it is asked.
type pairState struct {
	*state
	w     *dataset.Work
	js    []dataset.Judgment
	order dataset.Order // that the server read last
	asked map[dataset.Slot]bool
}

// left counts the questions that are open.
func (p *pairState) left() int { return len(p.w.Slots) - len(p.asked) }

// all asks everything that is open. It reports false where it was stopped.
func (p *pairState) all(ctx context.Context, stop <-chan struct{}) (bool, error) {
	for _, slot := range p.w.Slots {
		if done, err := p.one(ctx, stop, slot); !done {
			return false, err
		}
	}
	return true, nil
}

// ask asks the next sample of principles in one order.
func (p *pairState) ask(ctx context.Context, stop <-chan struct{}, o dataset.Order, batch []int) (bool, error) {
	for _, k := range batch {
		// The first sample that is open in either order, so that the orders keep
		// level.
		slot, found := dataset.Slot{}, false
		for _, open := range p.w.Slots {
			if open.Principle == p.Job.Principles[k] && !p.asked[open] && (!found || open.Sample < slot.Sample) {
				slot, found = open, true
			}
		}
		slot.Order = o
		if !found || !slices.Contains(p.w.Slots, slot) || p.asked[slot] {
			continue
		}
		if done, err := p.one(ctx, stop, slot); !done {
			return false, err
		}
	}
	return true, nil
}

func (p *pairState) one(ctx context.Context, stop <-chan struct{}, slot dataset.Slot) (bool, error) {
	select {
	case <-stop:
		p.stopped.Store(true)
		return false, nil
	default:
	}
	j, err := p.state.ask(ctx, p.w, slot)
	if err != nil {
		return false, err
	}
	if j != nil {
		p.js = append(p.js, *j)
	}
	if p.asked == nil {
		p.asked = map[dataset.Slot]bool{}
	}
	p.asked[slot] = true
	p.order = slot.Order
	return true, nil
}

// decide gives the flip probability of the pair's label, and the principles of
// which one more sample is to be asked, none where that is low enough.
func (p *pairState) decide(m *Model, a *Adaptive, cost Cost) (flip float64, batch []int) {
	seen := make([]Seen, len(p.Job.Principles))
	z, _ := a.row(p.js)
	samples := p.samples()
	// A principle is fresh until it has an answer in both orders, and can be
	// asked again where it could have more.
	var half, fresh, again []int
	for k, h := range p.Job.Principles {
		w, n := a.Weights[h], samples[k]
		seen[k] = Seen{Z: z[k], Weight: w}
		ab, ba := p.isOpen(h, dataset.OrderAB, a.Votes > 0), p.isOpen(h, dataset.OrderBA, a.Votes > 0)
		switch {
		case w <= 0:
		case n.n[0] == 0 && n.n[1] > 0 && ab, n.n[1] == 0 && n.n[0] > 0 && ba:
			half = append(half, k) // the job was stopped between the orders
			fallthrough
		case n.n[0] == 0 && n.n[1] == 0 && ab && ba:
			fresh = append(fresh, k)
		case (ab || ba) && a.Votes > 0 && !math.IsNaN(z[k]):
			seen[k].Noise = n.noise(a.Votes, p.Job.Samples)
			again = append(again, k)
		case math.IsNaN(z[k]):
			seen[k].Weight = 0 // it failed, or abstains: it is no part of the label
		}
	}
	switch {
	case len(half) > 0:
		return 0.5, half
	case m == nil && len(fresh) > 0:
		return 0.5, fresh[:1]
	case m == nil && len(again) > 0:
		return 0.5, again
	case m == nil:
		return 0, nil
	}
	o := m.Outlook(seen)
	flip = o.Flip()
	switch {
	case flip <= a.Risk:
		return flip, nil
	case len(fresh) > 0:
		return flip, o.Next(fresh, a.Risk, cost)
	case len(again) > 0:
		return flip, mostNoise(again, seen, samples, a.Votes, p.Job.Samples)
	}
	return 0, nil // nothing that is open could change the label
}

// isOpen tells whether a principle has a question that is not answered in one
// order; without more, only first samples count.
func (p *pairState) isOpen(principle dataset.Hash, o dataset.Order, more bool) bool {
	for _, slot := range p.w.Slots {
		if slot.Principle == principle && slot.Order == o && !p.asked[slot] && (more || slot.Sample == 0) {
			return true
		}
	}
	return false
}

// counts is how many judgments of one principle there are by order, and the sum
// of their probabilities of the first slot.
type counts struct {
	n [2]int
	p [2]float64
}

func (p *pairState) samples() []counts {
	out := make([]counts, len(p.Job.Principles))
	for i := range p.js {
		j := &p.js[i]
		k, ok := p.Adaptive.of[j.Principle]
		if !ok || j.Sample >= p.Job.Samples {
			continue
		}
		o := 0
		if j.Order == dataset.OrderBA {
			o = 1
		}
		out[k].n[o]++
		out[k].p[o] += sigmoid(j.LogOdds())
	}
	return out
}

// noise is the variance by which z will still move until there are full samples
// of votes answers each: log-odds of a share p of n·votes draws have a variance
// of 1/(n·votes·p(1 − p)), and z is half their difference.
func (c counts) noise(votes, full int) float64 {
	var v float64
	for o, n := range c.n {
		if n == 0 || n >= full {
			continue
		}
		share := c.p[o] / float64(n)
		one := 1 / (float64(votes) * share * (1 - share))
		v += one * (1/float64(n) - 1/float64(full)) / 4
	}
	return v
}

// mostNoise gives the quarter of principles, at least one, a further sample of
// which takes most variance from the label.
func mostNoise(again []int, seen []Seen, samples []counts, votes, full int) []int {
	gain := func(k int) float64 {
		c := samples[k]
		before := c.noise(votes, full)
		for o := range c.n {
			if c.n[o] > 0 {
				c.p[o] *= float64(c.n[o]+1) / float64(c.n[o])
				c.n[o]++
			}
		}
		return seen[k].Weight * seen[k].Weight * (before - c.noise(votes, full))
	}
	out := append([]int(nil), again...)
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(gain(b), gain(a)) })
	return out[:(len(out)+3)/4]
}

// Audit runs the rule over pairs that this judge was asked in full, with what
// it has learned, and says what it would have done: over those that are asked in
// full for this purpose, or over all of them, which is only fair as long as the
// rule has stopped none. It reports false where there are too few.
func (a *Adaptive) Audit(ctx context.Context, job dataset.Job, only bool) (Replay, bool, error) {
	fresh := &Adaptive{Store: a.Store, Risk: a.Risk, Weights: a.Weights, MinCoverage: a.MinCoverage}
	var rows [][]float64
	if err := fresh.prepareWith(ctx, job, func(js []dataset.Judgment) {
		z, full := fresh.row(js)
		if !full || only && !Audited(js[0].Pair) {
			return
		}
		for i, x := range z {
			if math.IsNaN(x) && a.Weights[job.Principles[i]] > 0 {
				return // the judge abstained
			}
		}
		rows = append(rows, z)
	}); err != nil {
		return Replay{}, false, err
	}
	m := fresh.current()
	if m == nil || len(rows) == 0 {
		return Replay{}, false, nil
	}
	weights := make([]float64, len(job.Principles))
	for i, p := range job.Principles {
		weights[i] = a.Weights[p]
	}
	var r Replay
	for _, z := range rows {
		m.Replay(&r, z, weights, a.Risk, Cost{Reread: auditReread})
	}
	return r, true, nil
}

// auditReread is the cost of changing the order for pairs whose texts are not
// at hand.
const auditReread = 4
