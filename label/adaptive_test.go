package label_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/label"
	"cai/llm"
)

// rowsOf draws z of n pairs under k principles with one correlation.
func rowsOf(r *rand.Rand, n, k int, rho float64) [][]float64 {
	rows := make([][]float64, n)
	for i := range rows {
		pair := r.NormFloat64()
		rows[i] = make([]float64, k)
		for j := range rows[i] {
			rows[i][j] = math.Sqrt(rho)*pair + math.Sqrt(1-rho)*r.NormFloat64()
		}
	}
	return rows
}

func unknown(k int) []label.Seen {
	seen := make([]label.Seen, k)
	for i := range seen {
		seen[i] = label.Seen{Z: math.NaN(), Weight: 1}
	}
	return seen
}

// model draws a model and a pair of which some principles were asked.
func drawnModel(t *rapid.T) (*label.Model, []label.Seen) {
	k := rapid.IntRange(1, 8).Draw(t, "principles")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	rows := rowsOf(r, rapid.IntRange(5, 60).Draw(t, "pairs"), k, rapid.Float64Range(0, 0.9).Draw(t, "rho"))
	for _, z := range rows {
		for j := range z {
			if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
				z[j] = math.NaN()
			}
		}
	}
	m, ok := label.FitModel(k, rows)
	if !ok {
		t.Skip("nothing known")
	}
	seen := unknown(k)
	for i := range seen {
		seen[i].Weight = rapid.Float64Range(0.1, 3).Draw(t, "weight")
		if rapid.Bool().Draw(t, "asked") {
			seen[i].Z = rapid.Float64Range(-4, 4).Draw(t, "z")
		}
	}
	return m, seen
}

func TestTheFlipProbabilityMirrorsWithTheReplies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, seen := drawnModel(t)
		mirrored := slices.Clone(seen)
		for i := range mirrored {
			mirrored[i].Z = -mirrored[i].Z
		}
		a, b := m.Outlook(seen), m.Outlook(mirrored)
		if math.Abs(a.Mean+b.Mean) > 1e-9 || math.Abs(a.Flip()-b.Flip()) > 1e-9 {
			t.Fatalf("mean %g and %g, flip %g and %g", a.Mean, b.Mean, a.Flip(), b.Flip())
		}
		if f := a.Flip(); !(f >= 0 && f <= 0.5) {
			t.Fatalf("flip %g", f)
		}
	})
}

func TestNothingSeenIsACoinAndEverythingSeenIsCertain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, seen := drawnModel(t)
		none, all := slices.Clone(seen), slices.Clone(seen)
		var sum float64
		for i := range seen {
			none[i].Z = math.NaN()
			if math.IsNaN(all[i].Z) {
				all[i].Z = float64(i) - 2.5
			}
			sum += all[i].Weight * all[i].Z
		}
		o := m.Outlook(none)
		if f := o.Flip(); f != 0.5 {
			t.Fatalf("nothing seen: flip %g", f)
		}
		o = m.Outlook(all)
		if f := o.Flip(); f > 1e-6 && math.Abs(sum) > 1e-3 || math.Abs(o.Mean-sum) > 1e-6*(1+math.Abs(sum)) {
			t.Fatalf("everything seen: flip %g, mean %g, sum %g", f, o.Mean, sum)
		}
	})
}

// The rule's next principles are open ones, each once, and the first is the one
// after which least is uncertain.
func TestTheNextPrincipleTellsMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, seen := drawnModel(t)
		var open []int
		for i := range seen {
			if math.IsNaN(seen[i].Z) {
				open = append(open, i)
			}
		}
		if len(open) == 0 {
			t.Skip("all asked")
		}
		o := m.Outlook(seen)
		next := o.Next(open, 0.05, label.Cost{Reread: rapid.Float64Range(0, 20).Draw(t, "reread")})
		if len(next) == 0 || len(next) > len(open) {
			t.Fatalf("%d of %d", len(next), len(open))
		}
		once := map[int]bool{}
		for _, p := range next {
			if once[p] || !slices.Contains(open, p) {
				t.Fatalf("next %v of %v", next, open)
			}
			once[p] = true
		}
		// What a principle leaves uncertain does not depend on the answers, but
		// for a common factor: all are compared at answers of 0.
		left := func(p int) float64 {
			with := slices.Clone(seen)
			with[p].Z = 0
			// The spread over what is typical: the scale that z = 0 for all gives.
			for i := range with {
				if !math.IsNaN(with[i].Z) {
					with[i].Z = 0
				}
			}
			a := m.Outlook(with)
			return a.SD
		}
		for _, p := range open {
			if left(p) < left(next[0])*(1-1e-6)-1e-9 {
				t.Fatalf("principle %d leaves %g, the chosen %d leaves %g", p, left(p), next[0], left(next[0]))
			}
		}
	})
}

func TestDearOrdersMakeLargeBatches(t *testing.T) {
	m, _ := label.FitModel(12, rowsOf(rand.New(rand.NewPCG(1, 1)), 300, 12, 0.5))
	open := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	o := m.Outlook(unknown(12))
	cheap, dear := o.Next(open, 0.05, label.Cost{Reread: 0}), o.Next(open, 0.05, label.Cost{Reread: 30})
	if len(cheap) > 2 || len(dear) <= len(cheap) {
		t.Fatalf("%d principles where the other order costs nothing, %d where it costs thirty questions", len(cheap), len(dear))
	}
}

// The rule learns the correlation from pairs of which it saw a part that it
// chose by what it had seen.
func TestTheFitBearsWhatTheRuleLeftOut(t *testing.T) {
	const k, n = 6, 3000
	rows := rowsOf(rand.New(rand.NewPCG(3, 4)), n, k, 0.6)
	for _, z := range rows {
		if math.Abs(z[0]+z[1]) > 1.5 {
			for j := 2; j < k; j++ {
				z[j] = math.NaN()
			}
		}
	}
	m, ok := label.FitModel(k, rows)
	if !ok {
		t.Fatal("no model")
	}
	seen := unknown(k)
	seen[0].Z = 1
	// Of the five others 0.6 each is expected; without regard to what is missing
	// it would be less.
	o := m.Outlook(seen)
	if math.Abs(o.Mean-4) > 0.25 {
		t.Fatalf("expected sum %g, want about 4", o.Mean)
	}
}

// Among pairs at which the rule stopped, the share with another label than the
// full one is at most the threshold.
func TestStoppedPairsFlipNoMoreOftenThanTheThreshold(t *testing.T) {
	for _, nu := range []int{0, 4} { // normal, and easy and hard pairs
		for _, risk := range []float64{0.1, 0.02} {
			r := rand.New(rand.NewPCG(11, uint64(nu)))
			rows := rowsOf(r, 2000, 10, 0.5)
			if nu > 0 {
				for _, z := range rows {
					var chi float64
					for range nu {
						x := r.NormFloat64()
						chi += x * x
					}
					for j := range z {
						z[j] *= math.Sqrt(float64(nu) / chi)
					}
				}
			}
			m, _ := label.FitModel(10, rows[:100])
			weights := slices.Repeat([]float64{1}, 10)
			var got label.Replay
			for _, z := range rows[100:] {
				m.Replay(&got, z, weights, risk, label.Cost{Reread: 2})
			}
			share := float64(got.Flipped) / float64(got.Stopped)
			if got.Stopped < 1000 || share > risk || got.Asked*4 > got.Wanted*3 {
				t.Errorf("nu %d, risk %g: %d of %d stopped pairs flipped (%.3f); %d of %d asked", nu, risk, got.Flipped, got.Stopped, share, got.Asked, got.Wanted)
			}
		}
	}
}

func (m *memory) said(pair dataset.Hash) []dataset.Judgment {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []dataset.Judgment
	for _, j := range m.judgments {
		if j.Pair == pair {
			out = append(out, *j)
		}
	}
	return out
}

func (m *memory) LatestJudgments(_ context.Context, _ dataset.Hash, n int) iter.Seq2[[]dataset.Judgment, error] {
	return func(yield func([]dataset.Judgment, error) bool) {
		for _, w := range m.pairs[max(0, len(m.pairs)-n):] {
			if js := m.said(w.Pair); len(js) > 0 && !yield(js, nil) {
				return
			}
		}
	}
}

// adaptiveMemory keeps stops beside the rest, and has no pending pair that is
// stopped.
type adaptiveMemory struct {
	*memory
	stopMu sync.Mutex
	stops  map[dataset.Hash]*dataset.Stop
}

func (m *adaptiveMemory) PairSoFar(_ context.Context, _, pair, rule dataset.Hash) ([]dataset.Judgment, *dataset.Stop, error) {
	m.stopMu.Lock()
	defer m.stopMu.Unlock()
	if s := m.stops[pair]; s != nil && s.Rule == rule {
		return m.said(pair), s, nil
	}
	return m.said(pair), nil, nil
}

func (m *adaptiveMemory) AddStop(_ context.Context, s *dataset.Stop) error {
	m.stopMu.Lock()
	defer m.stopMu.Unlock()
	m.stops[s.Pair] = s
	return nil
}

func (m *adaptiveMemory) Pending(ctx context.Context, job dataset.Job) iter.Seq2[dataset.Work, error] {
	return func(yield func(dataset.Work, error) bool) {
		for w, err := range m.memory.Pending(ctx, job) {
			m.stopMu.Lock()
			stopped := m.stops[w.Pair] != nil
			m.stopMu.Unlock()
			if !stopped && !yield(w, err) {
				return
			}
		}
	}
}

// opinions judges by hidden z of pair and principle, with a position bias.
type opinions struct {
	mu    sync.Mutex
	calls int
	seed  uint64
	fail  func(q judge.Question) error
}

func (o *opinions) of(pair, principle string) float64 {
	r := rand.New(rand.NewPCG(o.seed, hash64(pair)))
	ease, common := 0.2+2*r.Float64(), r.NormFloat64()
	r = rand.New(rand.NewPCG(o.seed, hash64(pair+"\x00"+principle)))
	return ease * (common + 0.6*r.NormFloat64())
}

func hash64(s string) uint64 {
	h := dataset.HashOf("test", s)
	var x uint64
	for _, b := range h[:8] {
		x = x<<8 | uint64(b)
	}
	return x
}

func (o *opinions) Compare(_ context.Context, q judge.Question) (judge.Answer, error) {
	o.mu.Lock()
	o.calls++
	o.mu.Unlock()
	if o.fail != nil {
		if err := o.fail(q); err != nil {
			return judge.Answer{}, err
		}
	}
	name, swapped := strings.CutPrefix(q.First, "bad ")
	if !swapped {
		name = strings.TrimPrefix(q.First, "good ")
	}
	z := o.of(name, q.Principle.ID)
	if swapped {
		z = -z
	}
	s := z + 0.7
	return judge.Answer{LPFirst: -math.Log1p(math.Exp(-s)), LPSecond: -math.Log1p(math.Exp(s)), Coverage: 1, PromptTokens: 10, Calls: 1}, nil
}

func adaptiveRunner(m *adaptiveMemory, j label.Comparer, principles int) *label.Runner {
	r := &label.Runner{Store: m, Judge: j, Workers: 1}
	r.Job = dataset.Job{Orders: []dataset.Order{dataset.OrderAB, dataset.OrderBA}, Samples: 1}
	a := &label.Adaptive{Store: m, Risk: 0.05, Weights: map[dataset.Hash]float64{}}
	for i := range principles {
		r.Principles = append(r.Principles, constitution.Principle{
			ID: fmt.Sprint("p", i), Critique: "c", Revision: "r", Compare: fmt.Sprintf("Which reply is more %d?", i), Weight: 1,
		})
	}
	for i := range r.Principles {
		h := r.Principles[i].Hash()
		r.Job.Principles = append(r.Job.Principles, h)
		a.Weights[h] = 1
	}
	r.Adaptive = a
	return r
}

func newAdaptiveMemory(pairs int) *adaptiveMemory {
	return &adaptiveMemory{memory: newMemory(pairs), stops: map[dataset.Hash]*dataset.Stop{}}
}

// sides gives the label's side of each pair.
func sides(m *memory, r *label.Runner) map[dataset.Hash]bool {
	byPair := map[dataset.Hash][]dataset.Judgment{}
	for _, j := range m.judgments {
		byPair[j.Pair] = append(byPair[j.Pair], *j)
	}
	out := map[dataset.Hash]bool{}
	for pair, js := range byPair {
		if l, ok := label.Aggregate(js, label.Settings{Weights: r.Adaptive.Weights}); ok {
			out[pair] = l.P > 0.5
		}
	}
	return out
}

func TestAnAdaptiveJobAsksLessAndLabelsAlike(t *testing.T) {
	const pairs, principles = 300, 8
	m, j := newAdaptiveMemory(pairs), &opinions{seed: 5}
	r := adaptiveRunner(m, j, principles)
	count, err := r.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wanted := int64(pairs * principles * 2)
	if count.Judgments+count.Saved != wanted || count.Saved*3 < wanted || len(m.stops) == 0 {
		t.Fatalf("%d judgments and %d saved of %d, %d stops", count.Judgments, count.Saved, wanted, len(m.stops))
	}
	slots := map[string]int{}
	for _, jd := range m.judgments {
		slots[fmt.Sprint(jd.Pair, jd.Principle)]++
	}
	for k, n := range slots {
		if n != 2 {
			t.Fatalf("%s was asked in %d orders", k, n)
		}
	}
	for _, s := range m.stops {
		if s.Flip > 0.05 || label.Audited(s.Pair) {
			t.Fatalf("stop %+v, audited %v", s, label.Audited(s.Pair))
		}
	}
	again, err := adaptiveRunner(m, j, principles).Run(t.Context(), nil)
	if err != nil || again.Calls != 0 || again.Saved != 0 {
		t.Fatalf("again: %+v, %v", again, err)
	}

	full := newMemory(pairs)
	all := adaptiveRunner(newAdaptiveMemory(0), j, principles)
	all.Store, all.Adaptive = full, nil
	if _, err := all.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want, differ := sides(full, r), 0
	for pair, side := range sides(m.memory, r) {
		if side != want[pair] {
			differ++
		}
	}
	if differ > pairs/20 {
		t.Fatalf("%d of %d labels differ", differ, pairs)
	}

	audit, ok, err := adaptiveRunner(m, j, principles).Adaptive.Audit(t.Context(), r.Job, true)
	if err != nil || !ok || audit.Pairs == 0 || audit.Pairs > pairs/5 || audit.Asked >= audit.Wanted {
		t.Fatalf("audit %+v, %v, %v", audit, ok, err)
	}
}

// However many pairs are worked on at once, no more than the pilot and the
// audited ones are asked in full for lack of a model.
func TestAWideJobDoesNotOutrunThePilot(t *testing.T) {
	m, j := newAdaptiveMemory(120), &opinions{seed: 8}
	j.fail = func(judge.Question) error {
		time.Sleep(time.Millisecond)
		return nil
	}
	r := adaptiveRunner(m, j, 12)
	r.Workers = 60
	count, err := r.Run(t.Context(), nil)
	if err != nil || count.Judgments+count.Saved != 120*24 || count.Saved < 120*24/4 {
		t.Fatalf("%+v, %v", count, err)
	}
}

// A pair that another process has stopped meanwhile is left alone.
func TestAnAdaptiveJobLeavesAStopAlone(t *testing.T) {
	m, j := newAdaptiveMemory(60), &opinions{seed: 4}
	if _, err := adaptiveRunner(m, j, 8).Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	calls := j.calls
	r := adaptiveRunner(m, j, 8)
	r.Store = m.memory // whose pending pairs include those that were stopped
	if count, err := r.Run(t.Context(), nil); err != nil || j.calls != calls || count.Saved != 0 || len(m.stops) == 0 {
		t.Fatalf("%+v, %v: %d further calls, %d stops", count, err, j.calls-calls, len(m.stops))
	}
}

func TestAnAdaptiveJobGoesOnWhereItWasStopped(t *testing.T) {
	m, j := newAdaptiveMemory(120), &opinions{seed: 9}
	stop := make(chan struct{})
	j.fail = func(judge.Question) error {
		if j.calls == 411 { // in the middle of a pair
			close(stop)
		}
		return nil
	}
	r := adaptiveRunner(m, j, 6)
	if _, err := r.Run(t.Context(), stop); err == nil {
		t.Fatal("not stopped")
	}
	j.fail = nil
	first := len(m.judgments)
	count, err := adaptiveRunner(m, j, 6).Run(t.Context(), nil)
	if err != nil || m.doubled != 0 || int(count.Judgments)+first != len(m.judgments) || j.calls != len(m.judgments) {
		t.Fatalf("%+v, %v: %d doubled, %d calls, %d judgments", count, err, m.doubled, j.calls, len(m.judgments))
	}
	for _, w := range m.pairs {
		js := m.said(w.Pair)
		if len(js) == 0 || len(js)%2 != 0 || len(js) < 12 && m.stops[w.Pair] == nil {
			t.Fatalf("pair %s has %d judgments, stop %v", w.Pair, len(js), m.stops[w.Pair])
		}
	}
}

// A principle that cannot be asked is no part of the label, and no reason to go
// on or to stop.
func TestAnAdaptiveJobBearsAPrincipleThatFails(t *testing.T) {
	m, j := newAdaptiveMemory(150), &opinions{seed: 2}
	j.fail = func(q judge.Question) error {
		if q.Principle.ID == "p3" && strings.HasSuffix(q.First, "7") {
			return &llm.Error{Kind: llm.KindContext, Op: "chat"}
		}
		return nil
	}
	count, err := adaptiveRunner(m, j, 6).Run(t.Context(), nil)
	if err != nil || count.Saved == 0 || int(count.Judgments+count.Failed+count.Saved) != 150*12 {
		t.Fatalf("%+v, %v", count, err)
	}
	calls := j.calls
	if count, err = adaptiveRunner(m, j, 6).Run(t.Context(), nil); err != nil || j.calls != calls {
		t.Fatalf("again: %+v, %v, %d calls", count, err, j.calls-calls)
	}
}

// In mode vote a sample tells more, and is asked where the label is in doubt; in
// mode token it tells nothing.
func TestSamplesAreSpentWhereTheyTellSomething(t *testing.T) {
	for _, votes := range []int{0, 8} {
		m, j := newAdaptiveMemory(200), &opinions{seed: 6}
		r := adaptiveRunner(m, j, 4)
		r.Job.Samples, r.Adaptive.Votes = 3, votes
		count, err := r.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		more, pairs := 0, map[dataset.Hash]bool{}
		for _, s := range m.stops {
			pairs[s.Pair] = true
		}
		for _, jd := range m.judgments {
			if jd.Sample > 0 && pairs[jd.Pair] {
				more++
			}
		}
		if votes == 0 && more != 0 || votes > 0 && more == 0 || count.Saved == 0 {
			t.Errorf("%d votes: %d further samples of stopped pairs, %d saved", votes, more, count.Saved)
		}
	}
}
