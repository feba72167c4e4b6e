package eval_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"cai/eval"
)

func TestMurphysPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		bins := rapid.IntRange(1, 20).Draw(t, "bins")
		level := rapid.SampledFrom([]float64{0.1, 0.3, 0.5, 0.8})
		few := rapid.Bool().Draw(t, "few levels")
		f, y := make([]float64, n), make([]float64, n)
		for i := range f {
			if f[i] = rapid.Float64Range(0, 1).Draw(t, "f"); few {
				f[i] = level.Draw(t, "level")
			}
			y[i] = float64(rapid.IntRange(0, 1).Draw(t, "y"))
		}
		b := eval.Murphy(f, y, bins)
		if !near(float64(b.Reliability-b.Resolution+b.Uncertainty+b.Within), float64(b.Brier)) {
			t.Fatalf("%+v", b)
		}
		if b.Reliability < 0 || b.Resolution < 0 || b.Uncertainty < 0 || b.Resolution > b.Uncertainty+1e-12 || b.Uncertainty > 0.25+1e-12 {
			t.Fatalf("%+v", b)
		}
		total := 0
		for _, bin := range eval.Reliability(f, y, bins) {
			total += bin.N
			if bin.Forecast < bin.Low-1e-12 || bin.Forecast > bin.High+1e-12 || !bin.CI.Contains(float64(bin.Outcome)) {
				t.Fatalf("%+v", bin)
			}
		}
		if total != n {
			t.Fatalf("%d of %d in bins", total, n)
		}
		// Debiasing takes away, never adds.
		if e, d := eval.ECE(f, y, bins), eval.DebiasedECE(f, y, bins); d > e+1e-12 {
			t.Fatalf("ECE %v, debiased %v", e, d)
		}
	})
}

// Forecasts of few values, each in bins of its own: the classic parts, with
// nothing within.
func TestMurphyByHand(t *testing.T) {
	f := []float64{0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8}
	y := []float64{0, 0, 0, 1, 1, 1, 1, 1}
	b := eval.Murphy(f, y, 2)
	for name, x := range map[string][2]float64{
		"reliability": {float64(b.Reliability), (0.05*0.05 + 0.2*0.2) / 2},
		"resolution":  {float64(b.Resolution), 0.375 * 0.375},
		"uncertainty": {float64(b.Uncertainty), 0.625 * 0.375},
		"within":      {float64(b.Within), 0},
	} {
		if !near(x[0], x[1]) {
			t.Errorf("%s: %v, by hand %v", name, x[0], x[1])
		}
	}
	if b := eval.Murphy([]float64{nan}, []float64{1}, 5); b.Brier.Defined() || eval.Reliability(nil, nil, 5) != nil {
		t.Errorf("nothing to measure: %+v", b)
	}
}

// Where calibration is perfect the plain ECE is biased upwards, the debiased one
// by 2 − √2 of that, and the squared error not at all.
func TestDebiasedErrors(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	var plain, debiased, squared float64
	const draws, n = 200, 300
	for range draws {
		f, y := make([]float64, n), make([]float64, n)
		for i := range f {
			f[i] = 0.5 + r.Float64()/2
			if r.Float64() < f[i] {
				y[i] = 1
			}
		}
		plain += eval.ECE(f, y, eval.ECEBins) / draws
		debiased += eval.DebiasedECE(f, y, eval.ECEBins) / draws
		squared += eval.DebiasedSquaredError(f, y, eval.ECEBins) / draws
	}
	if plain < 0.05 || math.Abs(debiased/plain-(2-math.Sqrt2)) > 0.05 || math.Abs(squared) > 5e-4 {
		t.Errorf("ECE %.4f, debiased %.4f, squared %.5f, all 0 in truth", plain, debiased, squared)
	}
}
