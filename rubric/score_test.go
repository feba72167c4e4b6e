package rubric_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
	"cai/rubric"
)

// item is a criterion with one sample of a distribution.
func item(c *rubric.Criterion, p ...[]float64) rubric.Item {
	it := rubric.Item{Criterion: c, Applies: 1}
	for s, d := range p {
		it.Samples = append(it.Samples, dataset.Grade{Sample: s, Distribution: d, Coverage: 0.9})
	}
	return it
}

func yes(p float64) []float64 { return []float64{1 - p, p} }

func TestVeto(t *testing.T) {
	good := &rubric.Criterion{ID: "good", Weight: 1}
	for _, c := range []struct {
		veto   rubric.Criterion
		score  float64
		vetoed bool
	}{
		{rubric.Criterion{ID: "v", Weight: 1, Veto: true, Threshold: 0.5}, 0.4, true},
		{rubric.Criterion{ID: "v", Weight: 1, Veto: true, Threshold: 0.5}, 0.5, false},
		{rubric.Criterion{ID: "v", Weight: -1, Veto: true, Threshold: 0.5}, 0.6, true},
		{rubric.Criterion{ID: "v", Weight: -1, Veto: true, Threshold: 0.5}, 0.5, false},
		{rubric.Criterion{ID: "v", Weight: 0, Veto: true, Threshold: 0.2}, 0.1, true},
		{rubric.Criterion{ID: "v", Weight: 1, Threshold: 0.5}, 0, false},
	} {
		res := &rubric.Result{Items: []rubric.Item{item(good, yes(1)), item(&c.veto, yes(c.score))}}
		s := res.Total(0)
		if (len(s.Vetoed) == 1) != c.vetoed || c.vetoed != (s.Value == 0) {
			t.Errorf("%+v at %v: %+v", c.veto, c.score, s)
		}
	}
}

// A score is from 0 to 1; all good and no pitfall is 1, the reverse 0; more of a
// good quality is never worse, more of a pitfall never better; what does not
// apply changes nothing, nor does the scale of the weights.
func TestTotalProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "criteria")
		cs := make([]rubric.Criterion, n)
		xs := make([]float64, n)
		build := func(xs []float64, scale float64) float64 {
			res := &rubric.Result{}
			for i := range cs {
				c := cs[i]
				c.Weight *= scale
				res.Items = append(res.Items, item(&c, yes(xs[i])))
			}
			res.Items = append(res.Items, rubric.Item{Criterion: &rubric.Criterion{Weight: 5}, Applies: 0.1})
			return res.Total(0.1).Value
		}
		best, worst := make([]float64, n), make([]float64, n)
		for i := range cs {
			w := rapid.Float64Range(0.1, 10).Draw(t, "weight")
			best[i] = 1
			if rapid.Bool().Draw(t, "pitfall") {
				w, best[i], worst[i] = -w, 0, 1
			}
			cs[i].Weight = w
			xs[i] = rapid.Float64Range(0, 1).Draw(t, "score")
		}
		v := build(xs, 1)
		if v < 0 || v > 1 || math.Abs(build(best, 1)-1) > 1e-12 || math.Abs(build(worst, 1)) > 1e-12 {
			t.Fatalf("%v; best %v, worst %v", v, build(best, 1), build(worst, 1))
		}
		if math.Abs(build(xs, 3)-v) > 1e-12 {
			t.Fatal("the scale of the weights matters")
		}
		k := rapid.IntRange(0, n-1).Draw(t, "changed")
		more := slices.Clone(xs)
		more[k] = min(1, xs[k]+0.1)
		if d := build(more, 1) - v; d*cs[k].Weight < -1e-12 {
			t.Fatalf("weight %v: %v more is %v", cs[k].Weight, more[k]-xs[k], d)
		}
	})
}

func TestLowCoverageAbstains(t *testing.T) {
	c := &rubric.Criterion{ID: "x", Weight: 1}
	it := item(c, yes(0.2), yes(0.8))
	it.Samples[1].Coverage = 0.05
	if p, coverage := it.Distribution(0.1); !near(p, yes(0.2)) || coverage != 0.05 {
		t.Errorf("%v, %v", p, coverage)
	}
	it.Samples[0].Coverage = 0.05
	if s := (&rubric.Result{Items: []rubric.Item{it}}).Total(0.1); !math.IsNaN(s.Value) {
		t.Errorf("%+v", s)
	}
}

func TestPBetter(t *testing.T) {
	// Φ(0.1/√(0.06² + 0.08²)) = Φ(1) by a table of the normal distribution.
	a, b := rubric.Score{Value: 0.6, SD: 0.06}, rubric.Score{Value: 0.5, SD: 0.08}
	if p := rubric.PBetter(a, b); math.Abs(p-0.8413447460685429) > 1e-9 {
		t.Errorf("%v", p)
	}
	if p := rubric.PBetter(a, b) + rubric.PBetter(b, a); math.Abs(p-1) > 1e-12 {
		t.Errorf("both ways sum up to %v", p)
	}
	sure := rubric.Score{Value: 1}
	if rubric.PBetter(sure, rubric.Score{}) != 1 || rubric.PBetter(rubric.Score{}, sure) != 0 || rubric.PBetter(sure, sure) != 0.5 {
		t.Error("without a spread the larger is the better")
	}
}

// results grades n replies: by reply, criterion and sample.
func results(r *rubric.Rubric, n int, score func(i, criterion, sample int) float64) []*rubric.Result {
	var out []*rubric.Result
	for i := range n {
		res := &rubric.Result{Reply: &rubric.Reply{Prompt: dataset.Prompt(fmt.Sprint(i / 2))}}
		for k := range r.Criteria {
			res.Items = append(res.Items, item(&r.Criteria[k], yes(score(i, k, 0)), yes(score(i, k, 1))))
		}
		out = append(out, res)
	}
	return out
}

func TestConsistency(t *testing.T) {
	r := &rubric.Rubric{Criteria: []rubric.Criterion{
		{ID: "good", Weight: 1}, {ID: "same", Weight: 1}, {ID: "pitfall", Weight: -1}, {ID: "dead", Weight: 1}, {ID: "own", Weight: 1},
	}}
	rep := rubric.Consistency(r, results(r, 20, func(i, k, s int) float64 {
		x := float64(i) / 20
		switch k {
		case 0:
			return x
		case 1:
			return x * x
		case 2:
			return 1 - x + 0.05*float64(s) // listed downwards, a little more
		case 3:
			return 0.5
		}
		return float64(i*7%20) / 20
	}), 0.1, eval.Options{})
	if rep.Replies != 20 || rep.Prompts != 10 || rep.Samples != 2 {
		t.Errorf("%d replies, %d prompts, %d samples", rep.Replies, rep.Prompts, rep.Samples)
	}
	if !slices.Equal(rep.Dead, []string{"dead"}) {
		t.Errorf("dead: %v", rep.Dead)
	}
	if len(rep.Redundant) != 3 || rep.Redundant[0].A != "good" || rep.Redundant[0].B != "same" || rep.Redundant[0].Rho != 1 || rep.Redundant[1].Rho != -1 {
		t.Errorf("redundant: %+v", rep.Redundant)
	}
	c := rep.Criteria
	if c[0].ICC != 1 || !near([]float64{float64(c[2].ListBias), float64(c[0].ListBias)}, []float64{0.05, 0}) || c[3].ICC.Defined() {
		t.Errorf("ICC %v, list bias %v, of the dead %v", c[0].ICC, c[2].ListBias, c[3].ICC)
	}
	if c[2].Discrimination < 0.8 || c[4].Discrimination > 0.5 || c[3].Discrimination.Defined() {
		t.Errorf("discrimination %v, of its own way %v, of the dead %v", c[2].Discrimination, c[4].Discrimination, c[3].Discrimination)
	}
	if !near([]float64{float64(c[3].Levels[0]), float64(c[3].Levels[1])}, []float64{0.5, 0.5}) || c[0].Applied != 20 {
		t.Errorf("%+v", c[3])
	}
	// Three of one mind and one of its own: the mean of three 1s and three ρ.
	rho := float64(rep.Correlations[4][0])
	if want := (3 + 3*rho) / 6; math.Abs(float64(rep.Halo)-want) > 1e-9 {
		t.Errorf("halo %v, want %v", rep.Halo, want)
	}
	if !rep.HaloCI.Contains(float64(rep.Halo)) || rep.HaloCI[0] >= rep.HaloCI[1] {
		t.Errorf("halo %v in %v", rep.Halo, rep.HaloCI)
	}
	if rep.FirstShare < 0.75 || rep.FirstShare > 1 {
		t.Errorf("first factor %v", rep.FirstShare)
	}
	if rep.ICC < 0.9 || rep.ICC >= 1 {
		t.Errorf("ICC %v", rep.ICC)
	}
}

// Samples that know nothing of each other do not agree, and criteria that know
// nothing of each other have no halo.
func TestConsistencyOfNoise(t *testing.T) {
	r := &rubric.Rubric{Criteria: []rubric.Criterion{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}, {ID: "c", Weight: -1}}}
	rep := rubric.Consistency(r, results(r, 400, func(i, k, s int) float64 {
		h := dataset.HashOf("noise", fmt.Sprint(i, k, s))
		return float64(h[0]) / 255
	}), 0.1, eval.Options{})
	if !rep.ICCCI.Contains(0) || math.Abs(float64(rep.ICC)) > 0.2 || math.Abs(float64(rep.Halo)) > 0.15 || !rep.HaloCI.Contains(0) || rep.FirstShare > 0.45 {
		t.Errorf("ICC %v %v, halo %v %v, first %v", rep.ICC, rep.ICCCI, rep.Halo, rep.HaloCI, rep.FirstShare)
	}
	if len(rep.Dead)+len(rep.Redundant) > 0 {
		t.Errorf("%v, %v", rep.Dead, rep.Redundant)
	}
}

// A reply with a failed question is left out of the report as a whole.
func TestConsistencyLeavesFailuresOut(t *testing.T) {
	r := &rubric.Rubric{Criteria: []rubric.Criterion{{ID: "a", Weight: 1}}}
	all := results(r, 4, func(i, _, _ int) float64 { return float64(i) / 4 })
	all[1].Items[0].Err = fmt.Errorf("failed")
	if rep := rubric.Consistency(r, all, 0.1, eval.Options{}); rep.Replies != 3 || rep.Halo.Defined() || rep.FirstShare.Defined() {
		t.Errorf("%+v", rep)
	}
}
