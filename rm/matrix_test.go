package rm

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawMatrix draws a matrix with entries, terms and scales, and the same
// written out.
func drawMatrix(t *rapid.T) (m *matrix, full [][]float64) {
	const places = 12
	strides := []int{1, 1 + numExpected, maxStride, 2}
	m = &matrix{cols: 3 * (1 + numExpected)}
	first := make([]int, len(strides))
	for i, s := range strides {
		first[i] = m.cols
		m.cols += places * s
	}
	for range m.cols {
		m.scale = append(m.scale, rapid.Float32Range(0.1, 4).Draw(t, "scale"))
	}
	value := rapid.Float64Range(-2, 2)
	for range rapid.IntRange(1, 20).Draw(t, "rows") {
		var r sparseRow
		x := make([]float64, m.cols)
		for k := range r.expected {
			r.expected[k] = value.Draw(t, "expected")
		}
		for j := range 2 {
			r.col, r.val = append(r.col, uint32(j)), append(r.val, float32(value.Draw(t, "plain")))
			x[j] += float64(r.val[j])
		}
		r.plain = len(r.col)
		r.col, r.val = append(r.col, 1+numExpected), append(r.val, float32(value.Draw(t, "stride")))
		x[1+numExpected] += float64(r.val[2])
		for k, g := range r.expected {
			x[2+numExpected+k] += g * float64(r.val[2])
		}
		for i, s := range strides {
			run := run{first: int32(first[i]), stride: int32(s)}
			for c := range s {
				run.by[c] = value.Draw(t, "by")
			}
			for _, p := range rapid.SliceOfDistinct(rapid.Uint32Range(0, places-1), rapid.ID[uint32]).Draw(t, "places") {
				e := pack(p, rapid.IntRange(-127, 127).Draw(t, "count"))
				r.terms = append(r.terms, e)
				for c := range s {
					x[first[i]+int(p)*s+c] += e.tf() * run.by[c]
				}
			}
			if run.end = int32(len(r.terms)); rapid.Bool().Draw(t, "empty") || len(r.terms) > 0 {
				r.runs = append(r.runs, run)
			}
		}
		for j := range x {
			x[j] *= float64(m.scale[j])
		}
		m.x, m.p, full = append(m.x, r), append(m.p, 0.5), append(full, x)
	}
	return m, full
}

// The passes over a matrix give what its entries written out do, whatever form
// they have.
func TestPassesAreThoseOfTheEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, full := drawMatrix(t)
		w, h := make([]float64, m.cols), make([]float64, m.rows())
		for j := range w {
			w[j] = rapid.Float64Range(-1, 1).Draw(t, "w")
		}
		for i := range h {
			h[i] = rapid.Float64Range(0, 1).Draw(t, "h")
		}
		z, times := make([]float64, m.rows()), make([]float64, m.rows())
		transposed, squares, curve := make([]float64, m.cols), make([]float64, m.cols), make([]float64, m.cols)
		for i, x := range full {
			z[i] = dot(x, w)
			for j, v := range x {
				transposed[j] += h[i] * v
				squares[j] += h[i] * v * v
				curve[j] += h[i] * z[i] * v
			}
		}
		near := func(what string, got, want []float64) {
			size := 0.0
			for _, v := range want {
				size = max(size, math.Abs(v))
			}
			for j := range want {
				if math.Abs(got[j]-want[j]) > 1e-5*(1+size) {
					t.Fatalf("%s: %d is %v, want %v", what, j, got[j], want[j])
				}
			}
		}
		out, s := make([]float64, m.cols), m.newSums()
		m.times(w, times)
		near("times", times, z)
		m.transposeTimes(h, out, false, s)
		near("transposed", out, transposed)
		m.transposeTimes(h, out, true, s)
		near("squares", out, squares)
		m.curve(h, w, out, s)
		near("curve", out, curve)
	})
}
