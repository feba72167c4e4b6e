package rm

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The ascent on the dual ends near the minimum of the primal, also where it
// goes on from what another λ left.
func TestAscentEndsAtTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _ := drawMatrix(t)
		for j := range m.scale {
			m.scale[j] = 0.3 // the columns of a stride have one scale
		}
		for i := range m.p {
			m.p[i] = rapid.Float64Range(0, 1).Draw(t, "p")
		}
		if rapid.Bool().Draw(t, "weights") {
			m.weight = rapid.SliceOfN(rapid.Float64Range(0, 3), m.rows(), m.rows()).Draw(t, "weight")
		}
		p := &bt{x: m, sums: m.newSums()}
		w := make([]float64, m.cols)
		zero := math.Sqrt(dot(p.gradientAt(w), p.gradientAt(w)))
		norm := 0.0
		for i := range m.x {
			norm = max(norm, m.x[i].square(m.scale))
		}
		for _, by := range []float64{4, 1} {
			p.lambda = by * max(norm, 1)
			if err := p.ascend(t.Context(), w, 1e-4); err != nil {
				t.Fatal(err)
			}
			g := p.gradientAt(w)
			if got := math.Sqrt(dot(g, g)); got > 0.02*zero+1e-4 {
				t.Fatalf("λ %v: the gradient is %v, at 0 %v", p.lambda, got, zero)
			}
		}
	})
}

// A row's squared norm is that of its entries.
func TestRowsSquare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _ := drawMatrix(t)
		for j := range m.scale {
			m.scale[j] = 0.7
		}
		squares := make([]float64, m.cols)
		for i := range m.x {
			one := m.span(i, i+1)
			one.transposeTimes([]float64{1}, squares, true, one.newSums())
			want := 0.0
			for _, v := range squares {
				want += v
			}
			if got := m.x[i].square(m.scale); math.Abs(got-want) > 1e-4*(1+want) {
				t.Fatalf("row %d: %v, want %v", i, got, want)
			}
		}
	})
}

// Sorting numbers and moving rows once comes to the same as sorting rows.
func TestArrange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.Permutation([]int32{0, 1, 2, 3, 4, 5, 6}).Draw(t, "order")
		rows := make([]row, len(order))
		for i := range rows {
			rows[i].n = int64(i)
		}
		arrange(rows, append([]int32(nil), order...))
		for i, j := range order {
			if rows[i].n != int64(j) {
				t.Fatalf("%v: row %d is at %d", order, rows[i].n, i)
			}
		}
	})
}
