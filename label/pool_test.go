package label_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/label"
)

// by gives judgments to a judge.
func by(name string, js []dataset.Judgment) []dataset.Judgment {
	js = slices.Clone(js)
	for i := range js {
		js[i].Judge = dataset.HashOf("judge", name)
	}
	return js
}

func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

// In log-odds a pool is the weighted mean of what its judges say.
func TestAPoolIsTheMeanOfItsJudgesLogOdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		one, two := by("one", js), by("two", js)
		for i := range two {
			two[i].LPFirst = rapid.Float64Range(-12, -1e-6).Draw(t, "lp")
		}
		v := rapid.Float64Range(0.1, 5).Draw(t, "weight of the second")
		judges := map[dataset.Hash]float64{one[0].Judge: 1, two[0].Judge: v}
		set := label.Settings{Weights: w, Judges: judges}
		a, _ := label.Aggregate(one, set)
		b, _ := label.Aggregate(two, set)
		both, ok := label.Aggregate(slices.Concat(two, one), set)
		want := (logit(a.P) + v*logit(b.P)) / (1 + v)
		if !ok || math.Abs(logit(both.P)-want) > 1e-6 || both.Judges != 2 || a.Judges != 1 {
			t.Fatalf("pooled %v of %d judges, want %v", logit(both.P), both.Judges, want)
		}
		if !near(both.Bias, (a.Bias+v*b.Bias)/(1+v)) {
			t.Fatalf("bias %v of %v and %v", both.Bias, a.Bias, b.Bias)
		}
	})
}

// A judge pooled with itself says what it says alone, by every rule, and a judge
// that is not in the pool is not heard.
func TestAPoolOfOneIsThatJudge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rule(t), MinCoverage: 0.2, Weights: w}
		want, ok := label.Aggregate(js, set)
		got, ok2 := label.Aggregate(slices.Concat(by("one", js), by("two", js)), set)
		if ok != ok2 || ok && (!near(got.P, want.P) || !near(got.Bias, want.Bias) || !near(got.SameSlotRate, want.SameSlotRate)) {
			t.Fatalf("with itself %+v, alone %+v", got, want)
		}
		other := slices.Clone(js)
		for i := range other {
			other[i].LPFirst, other[i].LPSecond = other[i].LPSecond, other[i].LPFirst
		}
		set.Judges = map[dataset.Hash]float64{dataset.HashOf("judge", "one"): 2}
		got, ok2 = label.Aggregate(slices.Concat(by("one", js), by("two", other)), set)
		if ok != ok2 || ok && !near(got.P, want.P) {
			t.Fatalf("beside a judge that is not asked %+v, alone %+v", got, want)
		}
	})
}

// A temperature divides log-odds. It changes how sure a label is, never which
// reply it names; 1 changes nothing and two of them multiply.
func TestTemperatureDividesTheLogOddsOfALabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rapid.SampledFrom([]label.Rule{label.LogOdds, label.Mean}).Draw(t, "rule"), Weights: w}
		warm := set
		warm.Temperature = rapid.Float64Range(0.3, 10).Draw(t, "temperature")
		a, _ := label.Aggregate(js, set)
		b, _ := label.Aggregate(js, warm)
		// Past 25 in log-odds, a probability's rounding decides its log-odds.
		exact := func(p, q float64) bool { return math.Abs(logit(p)) < 25 && math.Abs(logit(q)) < 25 }
		if exact(a.P, b.P) && math.Abs(logit(b.P)*warm.Temperature-logit(a.P)) > 1e-6*(1+math.Abs(logit(a.P))) {
			t.Fatalf("T = %v: log-odds %v of %v", warm.Temperature, logit(b.P), logit(a.P))
		}
		for i := range a.Parts {
			if exact(a.Parts[i].P, b.Parts[i].P) && math.Abs(logit(b.Parts[i].P)*warm.Temperature-logit(a.Parts[i].P)) > 1e-5*(1+math.Abs(logit(a.Parts[i].P))) {
				t.Fatalf("T = %v: a part's log-odds %v of %v", warm.Temperature, logit(b.Parts[i].P), logit(a.Parts[i].P))
			}
			if a.Parts[i].Z != b.Parts[i].Z || a.Parts[i].Bias != b.Parts[i].Bias {
				t.Fatal("a temperature changes what was read")
			}
		}
		if (a.P-0.5)*(b.P-0.5) < 0 {
			t.Fatalf("T = %v turns %v into %v", warm.Temperature, a.P, b.P)
		}
		warm.Temperature = 1
		if c, _ := label.Aggregate(js, warm); c.P != a.P {
			t.Fatalf("T = 1 turns %v into %v", a.P, c.P)
		}
	})
}

func TestTemperatureOnFiguresWorkedOutByHand(t *testing.T) {
	w := map[dataset.Hash]float64{principle(0): 1}
	js := asked(0, 2, 0.7, 1)
	l, _ := label.Aggregate(js, label.Settings{Weights: w, Temperature: 4})
	if want := 1 / (1 + math.Exp(-0.5)); !near(l.P, want) {
		t.Errorf("logodds: %v, want σ(2/4) = %v", l.P, want)
	}
	mean, _ := label.Aggregate(js, label.Settings{Rule: label.Mean, Weights: w})
	l, _ = label.Aggregate(js, label.Settings{Rule: label.Mean, Weights: w, Temperature: 2})
	if want := 1 / (1 + math.Sqrt((1-mean.P)/mean.P)); !near(l.P, want) {
		t.Errorf("mean: %v, want σ(logit(%v)/2) = %v", l.P, mean.P, want)
	}
	certain := []dataset.Judgment{
		{Principle: principle(0), Order: dataset.OrderAB, LPFirst: 0, LPSecond: -900, Coverage: 1},
		{Principle: principle(0), Order: dataset.OrderBA, LPFirst: -900, LPSecond: 0, Coverage: 1},
	}
	if l, _ = label.Aggregate(certain, label.Settings{Rule: label.Mean, Weights: w, Temperature: 3}); l.P != 1 {
		t.Errorf("a certain label becomes %v", l.P)
	}
}
