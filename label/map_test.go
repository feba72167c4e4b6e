package label_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/label"
)

// turnRound gives the judgments as if the replies had changed places.
func turnRound(js []dataset.Judgment) []dataset.Judgment {
	out := slices.Clone(js)
	for i := range out {
		if out[i].Order == dataset.OrderAB {
			out[i].Order = dataset.OrderBA
		} else {
			out[i].Order = dataset.OrderAB
		}
	}
	return out
}

// A map that is odd and never falls changes how certain a label is, not which
// reply it names, nor what is said of its parts; what a line through 0 does is
// what a temperature does.
func TestAMapTurnsTheLogOddsOfALabel(t *testing.T) {
	maps := map[string]func(float64) float64{
		"line":    func(z float64) float64 { return z / 4 },
		"flat":    func(z float64) float64 { return max(-1, min(1, z)) },
		"nothing": func(float64) float64 { return 0 },
		"root":    math.Cbrt,
	}
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		name := rapid.SampledFrom([]string{"flat", "line", "nothing", "root"}).Draw(t, "map")
		set := label.Settings{Rule: rule(t), Weights: w}
		turned := set
		turned.Map = maps[name]
		a, _ := label.Aggregate(js, set)
		b, _ := label.Aggregate(js, turned)
		if want := 1 / (1 + math.Exp(-turned.Map(logit(a.P)))); math.Abs(b.P-want) > 1e-6 || !near(b.Margin, math.Abs(2*b.P-1)) {
			t.Fatalf("%s: P %v of %v, want %v", name, b.P, a.P, want)
		}
		if (a.P-0.5)*(b.P-0.5) < 0 || !slices.Equal(a.Parts, b.Parts) || a.Bias != b.Bias && !math.IsNaN(a.Bias) {
			t.Fatalf("%s turns %+v into %+v", name, a, b)
		}
		if c, _ := label.Aggregate(turnRound(js), turned); !near(b.P, 1-c.P) {
			t.Fatalf("%s: P %v, with the replies in each other's place %v", name, b.P, c.P)
		}
		if set.Rule != label.Vote && name == "line" {
			set.Temperature = 4
			if c, _ := label.Aggregate(js, set); math.Abs(c.P-b.P) > 1e-9 {
				t.Fatalf("a slope of ¼ gives %v, a temperature of 4 %v", b.P, c.P)
			}
		}
	})
}

// Each part keeps within the bounds, and so does the label; what lies within
// already stays; and beyond the bounds all are alike.
func TestClampHoldsTheParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js, w := judged(t)
		set := label.Settings{Rule: rapid.SampledFrom([]label.Rule{label.LogOdds, label.Mean}).Draw(t, "rule"), Weights: w}
		clamped := set
		c := rapid.Float64Range(0.01, 0.49).Draw(t, "clamp")
		clamped.Clamp = c
		a, _ := label.Aggregate(js, set)
		b, _ := label.Aggregate(js, clamped)
		all := true
		for i := range a.Parts {
			want := max(c, min(1-c, a.Parts[i].P))
			all = all && want == a.Parts[i].P
			if !near(b.Parts[i].P, want) || b.Parts[i].Z != a.Parts[i].Z {
				t.Fatalf("clamp %v: a part's P %v of %v", c, b.Parts[i].P, a.Parts[i].P)
			}
		}
		if b.P < c-1e-9 || b.P > 1-c+1e-9 || all && !near(a.P, b.P) {
			t.Fatalf("clamp %v: P %v of %v", c, b.P, a.P)
		}
		if d, _ := label.Aggregate(turnRound(js), clamped); !near(b.P, 1-d.P) {
			t.Fatalf("clamp %v: P %v, with the replies in each other's place %v", c, b.P, d.P)
		}
	})
}

func TestClampByHand(t *testing.T) {
	js := slices.Concat(asked(0, 5, 0, 1), asked(1, 9, 0, 1), asked(2, -0.1, 0, 1))
	w := map[dataset.Hash]float64{principle(0): 1, principle(1): 1, principle(2): 2}
	l, _ := label.Aggregate(js, label.Settings{Weights: w, Clamp: 0.4})
	if want := 1 / (1 + math.Exp(-(2*math.Log(1.5)-0.2)/4)); !near(l.P, want) {
		t.Errorf("P %v, by hand %v", l.P, want)
	}
	l, _ = label.Aggregate(js, label.Settings{Rule: label.Mean, Weights: w, Clamp: 0.4})
	if want := (0.6 + 0.6 + 2/(1+math.Exp(0.1))) / 4; !near(l.P, want) {
		t.Errorf("mean: P %v, by hand %v", l.P, want)
	}
	// The order of certainty is lost.
	one := map[dataset.Hash]float64{principle(0): 1}
	x, _ := label.Aggregate(asked(0, 5, 0, 1), label.Settings{Weights: one, Clamp: 0.4})
	y, _ := label.Aggregate(asked(0, 1, 0, 1), label.Settings{Weights: one, Clamp: 0.4})
	if !near(x.P, 0.6) || x.P != y.P {
		t.Errorf("clamped %v and %v", x.P, y.P)
	}
}
