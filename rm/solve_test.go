package rm

import (
	"context"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawProblem draws a small problem with at least one entry in every row.
func drawProblem(t *rapid.T) *bt {
	rows := rapid.IntRange(1, 40).Draw(t, "rows")
	cols := rapid.IntRange(1, 12).Draw(t, "cols")
	x := &matrix{cols: cols}
	for range rows {
		var r sparseRow
		for c := range cols {
			if v := rapid.Float32Range(-2, 2).Draw(t, "x"); v > -1 && v != 0 {
				r.col = append(r.col, uint32(c))
				r.val = append(r.val, v)
			}
		}
		r.plain = len(r.col)
		x.x = append(x.x, r)
		x.p = append(x.p, rapid.Float64Range(0, 1).Draw(t, "p"))
	}
	if rapid.Bool().Draw(t, "strides") { // every entry as that of a hashed feature
		x.cols = cols * (1 + numExpected)
		for i := range x.x {
			x.x[i].plain = 0
			for k := range x.x[i].col {
				x.x[i].col[k] *= 1 + numExpected
			}
			for e := range numExpected {
				x.x[i].expected[e] = rapid.Float64Range(-3, 3).Draw(t, "expected")
			}
		}
	}
	if rapid.Bool().Draw(t, "weights") {
		x.weight = rapid.SliceOfN(rapid.Float64Range(0.1, 3), rows, rows).Draw(t, "weight")
	}
	p := &bt{x: x, lambda: rapid.Float64Range(0.05, 10).Draw(t, "lambda"), sums: x.newSums()}
	for range rapid.IntRange(0, 2).Draw(t, "rank") {
		p.kappa = rapid.Float64Range(0, 3).Draw(t, "kappa")
		p.low = append(p.low, rapid.SliceOfN(rapid.Float64Range(-1, 1), x.cols, x.cols).Draw(t, "low"))
	}
	return p
}

func (t *bt) at(w []float64) float64 {
	z := make([]float64, t.x.rows())
	t.x.times(w, z)
	return t.value(w, z)
}

func (t *bt) gradientAt(w []float64) []float64 {
	z, r, g := make([]float64, t.x.rows()), make([]float64, t.x.rows()), make([]float64, t.x.cols)
	t.x.times(w, z)
	t.gradient(w, z, r, g)
	return g
}

func TestGradientAndDiagonalAreTheDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		w := rapid.SliceOfN(rapid.Float64Range(-2, 2), p.x.cols, p.x.cols).Draw(t, "w")
		z, h, d := make([]float64, p.x.rows()), make([]float64, p.x.rows()), make([]float64, p.x.cols)
		p.x.times(w, z)
		p.x.curvature(z, h)
		p.x.weigh(h)
		p.diagonal(h, d)
		g := p.gradientAt(w)
		const eps = 1e-5
		for j := range w {
			at := func(e float64) (float64, float64) {
				v := append([]float64(nil), w...)
				v[j] += e
				return p.at(v), p.gradientAt(v)[j]
			}
			f1, g1 := at(eps)
			f0, g0 := at(-eps)
			if got := (f1 - f0) / (2 * eps); math.Abs(got-g[j]) > 1e-5*(1+math.Abs(got)) {
				t.Fatalf("gradient %v, differences give %v", g[j], got)
			}
			if got := (g1 - g0) / (2 * eps); math.Abs(got-d[j]) > 1e-5*(1+math.Abs(got)) {
				t.Fatalf("diagonal of the Hessian %v, differences give %v", d[j], got)
			}
		}
	})
}

// f is strictly convex, so wherever the fit starts it ends at the one minimum,
// and every other point is higher by at least λ/2 times its squared distance.
func TestSolveFindsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		draw := func(name string) []float64 {
			return rapid.SliceOfN(rapid.Float64Range(-5, 5), p.x.cols, p.x.cols).Draw(t, name)
		}
		w, v := draw("start"), draw("other start")
		for _, x := range [][]float64{w, v} {
			if _, err := p.solve(context.Background(), x, 1e-9); err != nil {
				t.Fatal(err)
			}
		}
		for j := range w {
			if math.Abs(w[j]-v[j]) > 1e-5 {
				t.Fatalf("weight %d is %v from one start, %v from another", j, w[j], v[j])
			}
		}
		f, u := p.at(w), draw("other")
		far := 0.0
		for j := range u {
			far += (u[j] - w[j]) * (u[j] - w[j])
		}
		if other := p.at(u); other < f+p.lambda/2*far-1e-6*(1+math.Abs(other)) {
			t.Fatalf("minimum %v, elsewhere %v", f, other)
		}
	})
}

func TestSolveRefusesWhatIsNotFinite(t *testing.T) {
	x := &matrix{cols: 1, x: []sparseRow{{col: []uint32{0}, val: []float32{float32(math.NaN())}, plain: 1}}, p: []float64{1}}
	p := &bt{x: x, lambda: 1, sums: x.newSums()}
	if _, err := p.solve(context.Background(), make([]float64, 1), 1e-3); err == nil {
		t.Error("no error")
	}
}

func TestTemperature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "n")
		draw := rapid.SliceOfN(rapid.Float64Range(-6, 6), n, n).Draw(t, "z")
		want := rapid.Float64Range(0.3, 3).Draw(t, "t")
		draw[0] = 1
		// Labels that are what a temperature says are told best by that one; as many
		// of them as leave no say to the prior.
		got, _ := temperatureOf(draw, func(i int, z float64) float64 { return 10_000 * crossEntropy(z, sigmoid(draw[i]/want)) })
		if math.Abs(got-want) > 0.05*want {
			t.Fatalf("temperature %v, labels made with %v", got, want)
		}
	})
	if got, loss := temperature([]float64{2, -1}, []float64{1, 0}); got < 0.3 || got >= 1 || loss > 0.2 {
		t.Errorf("two pairs told right: temperature %v, loss %v", got, loss)
	}
	if got, _ := temperature([]float64{0, 0}, []float64{1, 0}); math.Abs(got-1) > 1e-5 {
		t.Errorf("temperature of no difference is %v", got)
	}
	if got, _ := temperature(nil, nil); got != 1 {
		t.Errorf("temperature of nothing is %v", got)
	}
}

func TestCrossEntropyFarOut(t *testing.T) {
	for _, c := range []struct{ z, p, want float64 }{
		{0, 0.3, math.Ln2},
		{800, 1, 0},
		{800, 0, 800},
		{-800, 1, 800},
		{-800, 0, 0},
	} {
		if got := crossEntropy(c.z, c.p); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("crossEntropy(%v, %v) = %v, want %v", c.z, c.p, got, c.want)
		}
	}
}
