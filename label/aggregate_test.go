package label_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/label"
)

func principle(i int) dataset.Hash { return dataset.HashOf("principle", string(rune('a'+i))) }

// judged draws the judgments of one pair, and the weights of its principles.
func judged(t *rapid.T) ([]dataset.Judgment, map[dataset.Hash]float64) {
	k := rapid.IntRange(1, 5).Draw(t, "principles")
	samples := rapid.IntRange(1, 3).Draw(t, "samples")
	weights := map[dataset.Hash]float64{}
	var js []dataset.Judgment
	for i := range k {
		weights[principle(i)] = rapid.Float64Range(0.1, 3).Draw(t, "weight")
		for _, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
			for s := range samples {
				lp := rapid.Float64Range(-12, -1e-6).Draw(t, "lp")
				js = append(js, dataset.Judgment{
					Principle: principle(i), Order: o, Sample: s,
					LPFirst: lp, LPSecond: rapid.Float64Range(-12, -1e-6).Draw(t, "lp2"),
					LPTie: math.NaN(), Coverage: rapid.Float64Range(0.001, 1).Draw(t, "coverage"),
				})
			}
		}
	}
	return js, weights
}

func rule(t *rapid.T) label.Rule {
	return rapid.SampledFrom([]label.Rule{label.LogOdds, label.Mean, label.Vote}).Draw(t, "rule")
}

func near(a, b float64) bool {
	return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b)
}

// Had the two replies changed places, in the pair and before the judge, the
// label would be the other one with the same certainty, bias and coverage.
func TestSwappingTheRepliesMirrorsTheLabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rule(t), MinCoverage: 0.2, Weights: w}
		swapped := slices.Clone(js)
		for i := range swapped {
			if swapped[i].Order == dataset.OrderAB {
				swapped[i].Order = dataset.OrderBA
			} else {
				swapped[i].Order = dataset.OrderAB
			}
		}
		a, okA := label.Aggregate(js, set)
		b, okB := label.Aggregate(swapped, set)
		if okA != okB || okA && (!near(a.P, 1-b.P) || !near(a.Margin, b.Margin) || !near(a.Bias, b.Bias) || !near(a.Coverage, b.Coverage) || !near(a.SameSlotRate, b.SameSlotRate)) {
			t.Fatalf("label %+v, swapped %+v", a, b)
		}
	})
}

func TestTheOrderOfJudgmentsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rule(t), MinCoverage: 0.1, Weights: w}
		a, okA := label.Aggregate(js, set)
		shuffled := slices.Clone(js)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		b, okB := label.Aggregate(shuffled, set)
		if okA != okB || okA && (!near(a.P, b.P) || !near(a.Bias, b.Bias) || len(a.Parts) != len(b.Parts)) {
			t.Fatalf("label %+v, shuffled %+v", a, b)
		}
	})
}

// A judge that always prefers a slot, whatever stands there, says nothing.
func TestPositionBiasAloneGivesNoPreference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bias := rapid.Float64Range(-6, 6).Draw(t, "bias")
		w := map[dataset.Hash]float64{principle(0): 1}
		js := []dataset.Judgment{
			{Principle: principle(0), Order: dataset.OrderAB, LPFirst: -1 + bias, LPSecond: -1, Coverage: 1},
			{Principle: principle(0), Order: dataset.OrderBA, LPFirst: -1 + bias, LPSecond: -1, Coverage: 1},
		}
		for _, r := range []label.Rule{label.LogOdds, label.Mean, label.Vote} {
			l, ok := label.Aggregate(js, label.Settings{Rule: r, Weights: w})
			if !ok || !near(l.P, 0.5) || !near(l.Bias, bias) {
				t.Fatalf("%s: P %v, bias %v, want 0.5 and %v", r, l.P, l.Bias, bias)
			}
		}
	})
}

func TestRulesOnFiguresWorkedOutByHand(t *testing.T) {
	w := map[dataset.Hash]float64{principle(0): 1, principle(1): 3}
	js := []dataset.Judgment{
		{Principle: principle(0), Order: dataset.OrderAB, LPFirst: math.Log(0.8), LPSecond: math.Log(0.2), Coverage: 0.9}, // s1 = ln 4
		{Principle: principle(0), Order: dataset.OrderBA, LPFirst: math.Log(0.5), LPSecond: math.Log(0.5), Coverage: 0.8}, // s2 = 0
		{Principle: principle(1), Order: dataset.OrderAB, LPFirst: math.Log(0.2), LPSecond: math.Log(0.8), Coverage: 0.7}, // s1 = −ln 4
		{Principle: principle(1), Order: dataset.OrderBA, LPFirst: math.Log(0.2), LPSecond: math.Log(0.8), Coverage: 0.6}, // s2 = −ln 4
	}
	// z = ln 2 and 0; weighted mean = ln 2 / 4.
	for _, tt := range []struct {
		rule label.Rule
		want float64
	}{
		{label.LogOdds, 1 / (1 + math.Exp(-math.Ln2/4))},
		{label.Mean, (0.65 + 3*0.5) / 4},
		{label.Vote, (1 + 3*0.5) / 4},
	} {
		l, ok := label.Aggregate(js, label.Settings{Rule: tt.rule, Weights: w})
		if !ok || !near(l.P, tt.want) {
			t.Errorf("%s: P %v, want %v", tt.rule, l.P, tt.want)
		}
		if want := (math.Log(4)/2 - math.Log(4)) / 2; !near(l.Bias, want) {
			t.Errorf("%s: bias %v, want %v", tt.rule, l.Bias, want)
		}
		if l.Coverage != 0.6 || l.SameSlotRate != 0.5 {
			t.Errorf("%s: coverage %v and same slot %v, want 0.6 and 0.5", tt.rule, l.Coverage, l.SameSlotRate)
		}
	}
}

func TestAPrincipleAbstainsWithoutCoverageOrAnOrder(t *testing.T) {
	w := map[dataset.Hash]float64{principle(0): 1, principle(1): 1}
	good := dataset.Judgment{Principle: principle(0), LPFirst: -0.1, LPSecond: -3, Coverage: 0.9, Order: dataset.OrderAB}
	goodBA := good
	goodBA.Order = dataset.OrderBA
	low := dataset.Judgment{Principle: principle(1), LPFirst: -9, LPSecond: -3, Coverage: 0.05, Order: dataset.OrderAB}
	lowBA := low
	lowBA.Order = dataset.OrderBA

	l, ok := label.Aggregate([]dataset.Judgment{good, goodBA, low, lowBA}, label.Settings{MinCoverage: 0.1, Weights: w})
	if !ok || len(l.Parts) != 1 || l.Abstained != 1 || l.Coverage != 0.9 {
		t.Errorf("low coverage: %+v, %v: want the good principle alone and one abstention", l, ok)
	}
	if l, ok := label.Aggregate([]dataset.Judgment{good}, label.Settings{Weights: w}); ok {
		t.Errorf("one order: %+v, want no label", l)
	}
	l, ok = label.Aggregate([]dataset.Judgment{good}, label.Settings{Weights: w, OneOrder: true})
	if !ok || !near(l.P, 1/(1+math.Exp(-2.9))) || !math.IsNaN(l.Bias) {
		t.Errorf("one order allowed: %+v, %v", l, ok)
	}
	if _, ok := label.Aggregate(nil, label.Settings{Weights: w}); ok {
		t.Error("no judgments made a label")
	}
}

func TestAPrincipleThatIsNotWeighedIsLeftOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rule(t), Weights: w}
		want, _ := label.Aggregate(js, set)
		stranger := dataset.Judgment{Principle: principle(20), Order: dataset.OrderAB, LPFirst: -0.01, LPSecond: -7, Coverage: 1}
		other := stranger
		other.Order = dataset.OrderBA
		got, _ := label.Aggregate(append(slices.Clone(js), stranger, other), set)
		if !near(got.P, want.P) {
			t.Fatalf("P %v with a stranger's judgments, %v without", got.P, want.P)
		}
	})
}

// A judgment of coverage 0 says nothing: no threshold makes it count.
func TestAJudgmentWithoutCoverageNeverCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rule(t), Weights: w} // asks for no coverage
		want, ok := label.Aggregate(js, set)
		for p := range w {
			for _, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
				js = append(js, dataset.Judgment{Principle: p, Order: o, Sample: 9, LPFirst: -1, LPSecond: -7, LPTie: math.NaN()})
			}
		}
		got, still := label.Aggregate(js, set)
		if ok != still || !near(got.P, want.P) || !near(got.Coverage, want.Coverage) {
			t.Fatalf("%+v becomes %+v", want, got)
		}
	})
}
