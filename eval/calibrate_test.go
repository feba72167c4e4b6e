package eval_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// answers are margins with labels of all kinds.
func answers(t *rapid.T) (z, p []float64) {
	n := rapid.IntRange(0, 40).Draw(t, "n")
	z = rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]float64{0, 1, -1, 2, inf, -inf, nan}), rapid.Float64Range(-6, 6)), n, n).Draw(t, "z")
	p = rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]float64{0, 1, 0.5, nan}), rapid.Float64Range(0, 1)), n, n).Draw(t, "p")
	return z, p
}

// swapSome turns some of the pairs round.
func swapSome(t *rapid.T, z, p []float64) (z2, p2 []float64) {
	z2, p2 = slices.Clone(z), slices.Clone(p)
	for i := range z2 {
		if rapid.Bool().Draw(t, "swap") {
			z2[i], p2[i] = -z2[i], 1-p2[i]
		}
	}
	return z2, p2
}

var calibrations = map[string]func(z, p []float64) eval.Calibration{
	"temperature": func(z, p []float64) eval.Calibration { return eval.FitTemperature(z, p) },
	"isotonic":    func(z, p []float64) eval.Calibration { return eval.FitIsotonic(z, p) },
}

// Calibrations are odd, never fall, say nothing of 0, and do not see which reply
// stood first.
func TestCalibrationsAreOddAndMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, p := answers(t)
		z2, p2 := swapSome(t, z, p)
		at := rapid.SliceOfN(rapid.Float64Range(-8, 8), 2, 10).Draw(t, "at")
		at = append(at, 0, 1, -1, inf, -inf)
		slices.Sort(at)
		for name, fit := range calibrations {
			c, turned := fit(z, p), fit(z2, p2)
			last := math.Inf(-1)
			for _, x := range at {
				y := c.Apply(x)
				switch {
				case math.IsNaN(y) || y < last-1e-12:
					t.Fatalf("%s: %v after %v, of %v", name, y, last, x)
				case y != -c.Apply(-x):
					t.Fatalf("%s is not odd at %v: %v and %v", name, x, y, c.Apply(-x))
				case x == 0 && y != 0:
					t.Fatalf("%s: 0 becomes %v", name, y)
				case math.Abs(y-turned.Apply(x)) > 1e-6*(1+math.Abs(y)):
					t.Fatalf("%s: %v, and %v of the turned pairs", name, y, turned.Apply(x))
				}
				last = y
			}
		}
	})
}

// No other slope has a smaller loss, unless it is past the bound.
func TestTemperatureIsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, p := answers(t)
		for i := range z {
			if math.IsNaN(z[i]) {
				p[i] = nan
			}
		}
		best := eval.FitTemperature(z, p)
		loss := func(slope float64) float64 {
			turned := make([]float64, len(z))
			for i := range z {
				turned[i] = eval.Temperature{Slope: slope}.Apply(z[i])
			}
			return eval.LogLoss(turned, p)
		}
		at, n, size := loss(best.Slope), 0.0, 0.0
		for i := range z {
			if !math.IsNaN(p[i]) && p[i] != 0.5 {
				n++
				size += math.Abs(eval.Temperature{Slope: 1}.Apply(z[i]))
			}
		}
		for _, f := range []float64{0, 0.5, 0.9, 0.99, 1.01, 1.1, 2} {
			other := best.Slope * f
			if other*size <= n*math.Log(n+1) && loss(other) < at-1e-9*(1+at) {
				t.Fatalf("slope %v has the loss %v, %v has %v", best.Slope, at, other, loss(other))
			}
		}
	})
}

func TestTemperatureOfAnOverconfidentJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	var z, p []float64
	for range 5000 {
		m := 2 * r.NormFloat64()
		label := 0.0
		if r.Float64() < eval.Sigmoid(m) {
			label = 1
		}
		z, p = append(z, 4*m), append(p, label) // says four times too much
	}
	if c := eval.FitTemperature(z, p); math.Abs(c.Slope-0.25) > 0.02 {
		t.Errorf("slope %v, drawn with 0.25", c.Slope)
	}
	if c := eval.FitTemperature([]float64{3, 2, -1}, []float64{0, 0, 1}); c.Slope != 0 {
		t.Errorf("a judge that is always wrong: slope %v", c.Slope)
	}
	// Always right: no more certain than three successes of three can make it.
	if c := eval.FitTemperature([]float64{1, 1, -1}, []float64{1, 1, 0}); !near(c.Slope, math.Log(4)) {
		t.Errorf("a judge that is always right: slope %v", c.Slope)
	}
	if c := eval.FitTemperature(nil, nil); c.Slope != 1 {
		t.Errorf("nothing to fit: slope %v", c.Slope)
	}
}

// The map is a projection: its mean is that of what was pooled, and on its own
// output it changes nothing.
func TestIsotonic(t *testing.T) {
	// |z| 1, 2, 3, 4 with the side's outcomes 1, 0, 1, 1: the first two are pooled.
	m := eval.FitIsotonic([]float64{1, 2, -3, 4}, []float64{1, 0, 0, 1})
	for x, want := range map[float64]float64{1: 0.5, 2: 0.5, 2.5: 2.0 / 3, 3: 5.0 / 6, 9: 5.0 / 6, -3: 1.0 / 6, 0: 0.5} {
		// Between 2 and 3 the line goes to 1, which is then held at (n+1)/(n+2).
		if x == 2.5 {
			want = 0.75
		}
		if got := m.Probability(x); !near(got, want) {
			t.Errorf("at %v: %v, by hand %v", x, got, want)
		}
	}
	if m := eval.FitIsotonic(nil, nil); m.Apply(5) != 0 {
		t.Errorf("nothing to fit: %v", m.Apply(5))
	}
	rapid.Check(t, func(t *rapid.T) {
		z, p := answers(t)
		for i := range z { // distinct sizes, so that no point is an average
			z[i] = float64(i+1) * []float64{1, -1}[i%2]
			if math.IsNaN(p[i]) || p[i] == 0.5 {
				p[i] = 1
			}
		}
		m := eval.FitIsotonic(z, p)
		again := make([]float64, len(z))
		for i := range z {
			again[i] = m.Probability(z[i])
			if again[i] == 0.5 { // it would count as no label
				return
			}
		}
		twice := eval.FitIsotonic(z, again)
		for i := range z {
			if math.Abs(twice.Probability(z[i])-again[i]) > 1e-9 {
				t.Fatalf("at %v: %v, then %v", z[i], again[i], twice.Probability(z[i]))
			}
		}
	})
}

// What a pair becomes does not hang on the labels of its own prompt.
func TestCrossFitDoesNotSeeItsPrompt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, p := answers(t)
		if len(z) == 0 {
			return
		}
		clusters := make([]dataset.Hash, len(z))
		for i := range clusters {
			clusters[i] = dataset.Prompt(string(rune('a' + rapid.IntRange(0, 9).Draw(t, "prompt")))).Hash()
		}
		of := clusters[rapid.IntRange(0, len(z)-1).Draw(t, "pair")]
		other := slices.Clone(p)
		for i := range other {
			if clusters[i] == of {
				other[i] = rapid.Float64Range(0, 1).Draw(t, "other label")
			}
		}
		for name, fit := range calibrations {
			a, b := eval.CrossFit(z, p, clusters, fit), eval.CrossFit(z, other, clusters, fit)
			for i := range a {
				if clusters[i] == of && !equal(a[i], b[i]) {
					t.Fatalf("%s: %v and %v", name, a[i], b[i])
				}
			}
		}
	})
}
