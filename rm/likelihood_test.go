package rm

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func drawLikelihood(t *rapid.T) *likelihood {
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		return &likelihood{margin: rapid.Float64Range(0, 3).Draw(t, "margin")}
	case 1:
		return &likelihood{tie: rapid.Float64Range(0.01, 5).Draw(t, "nu")}
	}
	return &likelihood{noise: []float64{rapid.Float64Range(0, 0.45).Draw(t, "noise")}}
}

func drawLabel(t *rapid.T) float64 {
	return rapid.OneOf(rapid.Just(0.5), rapid.Just(0.0), rapid.Just(1.0), rapid.Float64Range(0, 1)).Draw(t, "p")
}

func TestLikelihoodGradients(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, p, z := drawLikelihood(t), drawLabel(t), rapid.Float64Range(-8, 8).Draw(t, "z")
		if math.Abs(z) < 1e-4 {
			z = 0.01 // |z| is in the formulas
		}
		const eps = 1e-5
		at := func(z float64) (loss, slope float64) { loss, slope, _ = l.at(z, p, 0); return }
		up, slopeUp := at(z + eps)
		down, slopeDown := at(z - eps)
		_, slope, curve := l.at(z, p, 0)
		if d := (up - down) / (2 * eps); math.Abs(d-slope) > 1e-6*(1+math.Abs(d)) {
			t.Errorf("%+v at %v, label %v: slope %v, differences say %v", *l, z, p, slope, d)
		}
		if curve < 0 {
			t.Errorf("%+v at %v, label %v: curvature %v", *l, z, p, curve)
		}
		if l.noise == nil {
			if d := (slopeUp - slopeDown) / (2 * eps); math.Abs(d-curve) > 1e-5*(1+math.Abs(d)) {
				t.Errorf("%+v at %v, label %v: curvature %v, differences say %v", *l, z, p, curve, d)
			}
		}
	})
}

func TestLikelihoodKnowsNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, p, z := drawLikelihood(t), drawLabel(t), rapid.Float64Range(-700, 700).Draw(t, "z")
		a, sa, ca := l.at(z, p, 0)
		b, sb, cb := l.at(-z, 1-p, 0)
		for _, v := range []float64{a - b, sa + sb, ca - cb} {
			if !(math.Abs(v) <= 1e-9*(1+math.Abs(a))) {
				t.Errorf("%+v at %v, label %v: %v %v %v, mirrored %v %v %v", *l, z, p, a, sa, ca, b, sb, cb)
			}
		}
	})
}

// TestLikelihoodsWithNothingAreBradleyTerry: no margin and no noise.
func TestLikelihoodsWithNothingAreBradleyTerry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, z := drawLabel(t), rapid.Float64Range(-30, 30).Draw(t, "z")
		want := crossEntropy(z, p)
		for _, l := range []likelihood{{}, {noise: []float64{0}}, {noise: []float64{1e-13}}} {
			if got, _, _ := l.at(z, p, 0); math.Abs(got-want) > 1e-6*(1+want) && math.Abs(z) < 10 {
				t.Errorf("%+v: %v, want %v", l, got, want)
			}
		}
	})
}

func TestTieProbabilitiesSumToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nu, z := rapid.Float64Range(0.01, 10).Draw(t, "nu"), rapid.Float64Range(-50, 50).Draw(t, "z")
		l := likelihood{tie: nu}
		a, _, _ := l.at(z, 1, 0)
		b, _, _ := l.at(z, 0, 0)
		if sum := math.Exp(-a) + math.Exp(-b) + tieProbability(nu, z); math.Abs(sum-1) > 1e-12 {
			t.Errorf("the probabilities sum to %v", sum)
		}
		tie, _, _ := l.at(z, 0.5, 0)
		if math.Abs(math.Exp(-tie)-tieProbability(nu, z)) > 1e-12 {
			t.Errorf("the loss of a tie is %v, its probability %v", tie, tieProbability(nu, z))
		}
	})
}
