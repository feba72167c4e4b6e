package label_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/label"
)

// votedPair is one pair with its judgments.
type votedPair struct {
	hash dataset.Hash
	js   []dataset.Judgment
}

// voted draws pairs judged under k principles by one or two judges; some
// judgments are missing and some have little coverage.
func voted(t *rapid.T) ([]votedPair, []dataset.Hash, map[dataset.Hash]float64) {
	k := rapid.IntRange(1, 4).Draw(t, "principles")
	judges := rapid.IntRange(1, 2).Draw(t, "judges")
	var ps []dataset.Hash
	weights := map[dataset.Hash]float64{}
	for i := range k {
		ps = append(ps, principle(i))
		weights[principle(i)] = float64(rapid.IntRange(0, 8).Draw(t, "weight")) / 4
	}
	pairs := make([]votedPair, rapid.IntRange(0, 12).Draw(t, "pairs"))
	for n := range pairs {
		pairs[n].hash = dataset.HashOf("pair", fmt.Sprint(n))
		for i := range k {
			for j := range judges {
				for _, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
					if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
						continue
					}
					pairs[n].js = append(pairs[n].js, dataset.Judgment{
						Principle: principle(i), Judge: dataset.HashOf("judge", fmt.Sprint(j)), Order: o,
						LPFirst: float64(-rapid.IntRange(1, 40).Draw(t, "lp")) / 8, LPSecond: float64(-rapid.IntRange(1, 40).Draw(t, "lp2")) / 8,
						LPTie: math.NaN(), Coverage: rapid.Float64Range(0.001, 1).Draw(t, "coverage"),
					})
				}
			}
		}
	}
	return pairs, ps, weights
}

func figuresOf(pairs []votedPair, ps []dataset.Hash, set label.Settings) label.Figures {
	s := label.NewStats(ps, set, 3)
	for _, p := range pairs {
		s.Add(p.hash, p.js)
	}
	return s.Figures()
}

// numbers lists every figure by name, so that two sets can be compared.
func numbers(f label.Figures) map[string]float64 {
	out := map[string]float64{"pairs": float64(f.Pairs), "labels": float64(f.Labels)}
	for _, p := range f.Principles {
		name := p.Principle.String()[:8]
		for key, v := range map[string]float64{
			"judgments": float64(p.Judgments), "coverage": p.Coverage, "low": p.LowCoverage,
			"pairs": float64(p.Pairs), "counted": float64(p.Counted), "abstained": float64(p.Abstained), "incomplete": float64(p.Incomplete),
			"bias": p.Bias, "same": p.SameSlotRate, "strength": p.Strength,
			"agreement": p.Agreement, "others": p.AgreementOthers, "correlation": p.Correlation,
			"flips": float64(p.Flips), "undecided": float64(p.Undecided), "decisive": p.Decisive, "share": p.FlipShare,
		} {
			out[name+" "+key] = v
		}
		for i, e := range p.Examples {
			out[fmt.Sprintf("%s example %d %s", name, i, e)] = 1
		}
		for j, c := range p.Conflicts {
			other := name + " × " + f.Principles[j].Principle.String()[:8]
			out[other+" n"], out[other+" opposite"], out[other+" correlation"] = float64(c.N), c.Opposite, c.Correlation
		}
	}
	return out
}

func sameFigures(t *rapid.T, what string, a, b label.Figures) {
	t.Helper()
	x, y := numbers(a), numbers(b)
	if !maps.EqualFunc(x, y, near) {
		for k, v := range x {
			if w, ok := y[k]; !ok || !near(v, w) {
				t.Errorf("%s: %s was %v, is %v (%v)", what, k, v, w, ok)
			}
		}
		t.Fatalf("%s changes the figures", what)
	}
}

// Nothing that is arbitrary shows in the statistics: the order of pairs, of
// judgments and of principles, which reply of a pair is called a, and the
// weights' common factor.
func TestStatsDependOnNothingArbitrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs, ps, w := voted(t)
		set := label.Settings{Rule: rule(t), MinCoverage: 0.2, Weights: w, OneOrder: rapid.Bool().Draw(t, "one order")}
		want := figuresOf(pairs, ps, set)

		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		shuffled := slices.Clone(pairs)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i := range shuffled {
			js := slices.Clone(shuffled[i].js)
			rnd.Shuffle(len(js), func(i, j int) { js[i], js[j] = js[j], js[i] })
			shuffled[i].js = js
		}
		sameFigures(t, "another order of pairs and judgments", want, figuresOf(shuffled, ps, set))

		turned := slices.Clone(pairs)
		for i := range turned {
			if rnd.IntN(2) == 0 {
				continue
			}
			turned[i].js = slices.Clone(turned[i].js)
			for n := range turned[i].js {
				j := &turned[i].js[n]
				j.Order = map[dataset.Order]dataset.Order{dataset.OrderAB: dataset.OrderBA, dataset.OrderBA: dataset.OrderAB}[j.Order]
			}
		}
		sameFigures(t, "changing replies of some pairs", want, figuresOf(turned, ps, set))

		scaled := set
		scaled.Weights = map[dataset.Hash]float64{}
		factor := rapid.Float64Range(0.01, 100).Draw(t, "factor")
		for h, x := range w {
			scaled.Weights[h] = x * factor
		}
		got := figuresOf(pairs, ps, scaled)
		sameFigures(t, "a common factor of the weights", want, got)

		back := slices.Clone(ps)
		slices.Reverse(back)
		got = figuresOf(pairs, back, set)
		slices.Reverse(got.Principles)
		for i := range got.Principles {
			slices.Reverse(got.Principles[i].Conflicts)
		}
		sameFigures(t, "another order of principles", want, got)
	})
}

// What dropping a principle flips is what happens when it is dropped.
func TestFlipsAreThoseOfTheLabelsWithoutThePrinciple(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs, ps, w := voted(t)
		set := label.Settings{Rule: rule(t), MinCoverage: 0.2, Weights: w}
		got := figuresOf(pairs, ps, set)
		for _, f := range got.Principles {
			less := set
			less.Weights = maps.Clone(w)
			delete(less.Weights, f.Principle)
			var flips, undecided, labels int64
			for _, p := range pairs {
				with, ok := label.Aggregate(p.js, set)
				without, still := label.Aggregate(p.js, less)
				if !ok {
					continue
				}
				labels++
				has := slices.ContainsFunc(with.Parts, func(x label.Part) bool { return x.Principle == f.Principle })
				a, b := side(with.P), side(without.P)
				switch {
				case has && !still, a != 0 && still && b == 0:
					undecided++
				case still && a*b < 0:
					flips++
				}
			}
			// A principle that weighs nothing has no part in a label, and where it
			// alone speaks there is none.
			if f.Flips != flips || f.Undecided != undecided || got.Labels != labels {
				t.Fatalf("principle %s: %d flips and %d undecided of %d labels, want %d, %d, %d",
					f.Principle, f.Flips, f.Undecided, got.Labels, flips, undecided, labels)
			}
			if int64(len(f.Examples)) != min(3, flips) {
				t.Fatalf("%d examples of %d flips", len(f.Examples), flips)
			}
		}
	})
}

func side(p float64) int {
	switch {
	case math.Abs(p-0.5) < 1e-9:
		return 0
	case p > 0.5:
		return 1
	}
	return -1
}

// asked makes both orders of a principle's judgment with preference z and bias.
func asked(p int, z, bias, coverage float64) []dataset.Judgment {
	return []dataset.Judgment{
		{Principle: principle(p), Order: dataset.OrderAB, LPFirst: bias + z - 9, LPSecond: -9, Coverage: coverage},
		{Principle: principle(p), Order: dataset.OrderBA, LPFirst: bias - z - 9, LPSecond: -9, Coverage: coverage},
	}
}

func TestStatsOnFiguresWorkedOutByHand(t *testing.T) {
	w := map[dataset.Hash]float64{principle(0): 2, principle(1): 1, principle(2): 1}
	ps := []dataset.Hash{principle(0), principle(1), principle(2)}
	pairs := []votedPair{
		// 2·1 − 1 + 0.5: a wins; without the first principle b does.
		{principle(10), slices.Concat(asked(0, 1, 2, 0.9), asked(1, -1, 0, 0.9), asked(2, 0.5, 0, 0.9))},
		// 2·1 + 3 − 1: a wins whatever is dropped.
		{principle(11), slices.Concat(asked(0, 1, 0, 0.9), asked(1, 3, 0, 0.9), asked(2, -1, 0, 0.9))},
		// The third abstains; −2·1 + 4 = 2: without the second b wins.
		{principle(12), slices.Concat(asked(0, -1, 0, 0.9), asked(1, 4, 0, 0.9), asked(2, -1, 0, 0.05))},
	}
	f := figuresOf(pairs, ps, label.Settings{MinCoverage: 0.1, Weights: w})
	if f.Pairs != 3 || f.Labels != 3 {
		t.Fatalf("%d pairs, %d labels, want 3 and 3", f.Pairs, f.Labels)
	}
	a, b, c := f.Principles[0], f.Principles[1], f.Principles[2]
	for _, tt := range []struct {
		what      string
		got, want float64
	}{
		{"flips of the first", float64(a.Flips), 1},
		{"its decisive share", a.Decisive, 1.0 / 3},
		{"its agreement with the label", a.Agreement, 2.0 / 3},
		{"its agreement with the others", a.AgreementOthers, 1.0 / 3},
		{"its bias", a.Bias, 2.0 / 3},
		{"its same slot rate", a.SameSlotRate, 1.0 / 3},
		{"its strength", a.Strength, 1},
		// z = 1, 1, −1 against the others' means −1/4, 1, 4.
		{"its correlation", a.Correlation, (-0.25 + 1 - 4) / math.Sqrt(3*(1.0/16+1+16))},
		{"flips of the second", float64(b.Flips), 1},
		{"flips of the third", float64(c.Flips), 0},
		{"abstentions of the third", float64(c.Abstained), 1},
		{"low coverage of the third", c.LowCoverage, 1.0 / 3},
		{"coverage of the third", c.Coverage, (0.9 + 0.9 + 0.05) / 3},
		{"conflicts of first and second", a.Conflicts[1].Opposite, 2.0 / 3},
		{"conflicts of second and third", b.Conflicts[2].Opposite, 1},
		{"pairs of first and third", float64(a.Conflicts[2].N), 2},
		{"correlation of second and third", b.Conflicts[2].Correlation, (-0.5 - 3) / math.Sqrt((1+9)*(0.25+1))},
	} {
		if !near(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	if len(a.Examples) != 1 || a.Examples[0] != principle(10) || len(b.Examples) != 1 || b.Examples[0] != principle(12) {
		t.Errorf("examples %v and %v", a.Examples, b.Examples)
	}
}

// A principle without weight is followed and has no say.
func TestAPrincipleWithoutWeightDecidesNothing(t *testing.T) {
	w := map[dataset.Hash]float64{principle(0): 1, principle(1): 0}
	ps := []dataset.Hash{principle(0), principle(1)}
	pairs := []votedPair{{principle(10), slices.Concat(asked(0, 1, 0, 1), asked(1, -7, 0, 1))}}
	f := figuresOf(pairs, ps, label.Settings{Weights: w})
	silent := f.Principles[1]
	if silent.Counted != 1 || silent.Flips != 0 || silent.Undecided != 0 || silent.Agreement != 0 || silent.Conflicts[0].Opposite != 1 {
		t.Errorf("%+v", silent)
	}
	if f.Principles[0].Undecided != 1 {
		t.Errorf("without the only principle that weighs, %d labels are gone, want 1", f.Principles[0].Undecided)
	}
}
