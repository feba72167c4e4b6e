package rm

import (
	"context"
	"math"
)

// What bounds the ascent on the dual: the passes, and by how much each must
// shrink what is left for another to follow.
const (
	maxEpochs  = 12
	dualShrink = 0.75
	// dualNorm bounds the mean of ‖xᵢ‖²/4λ: beyond it conjugate gradients are
	// quicker.
	dualNorm = 1
)

// duals are the variables of the dual of a [bt] without a penalty: one a row,
// with w = Σᵢ αᵢxᵢ/λ, which at the minimum are αᵢ = cᵢ(pᵢ − σ(zᵢ)).
type duals struct {
	alpha   []float64
	squares []float64 // ‖xᵢ‖²
	mean    float64   // of them, by the rows' weights
	// By column the weight times its scale, and the square of the scale, in
	// turn: what the entries of a row need lies together.
	u []float32
}

// ascend moves w to about where the gradient's norm is the share tol of that
// at 0, by coordinate ascent on the dual (Shalev-Shwartz and Zhang 2013; for
// this loss Yu, Huang and Lin 2011): each row in turn sets its αᵢ to what is
// best with the others as they are. A pass over the rows costs as much as one of
// a step of conjugate gradients, and where λ is not small beside ‖xᵢ‖²/4 a few
// of them do. It starts from the α of the call before, which need not have been
// for the same λ. What it leaves is only as good as its own estimate: the
// gradient has to be looked at.
func (t *bt) ascend(ctx context.Context, w []float64, tol float64) error {
	x := t.x
	d := &t.duals
	if d.alpha == nil {
		d.alpha, d.squares = make([]float64, x.rows()), make([]float64, x.rows())
		x.each(0, x.rows(), func(i int, r *sparseRow) {
			d.squares[i] = r.square(x.scale)
			d.mean += t.row(i) * d.squares[i] / float64(x.rows())
		})
	}
	if d.mean > 4*dualNorm*t.lambda {
		return nil
	}
	if d.u == nil {
		d.u = make([]float32, 2*x.cols)
		for j, c := range x.scale {
			d.u[2*j+1] = c * c
		}
	} else {
		x.transposeTimes(d.alpha, w, false, t.sums)
		for j := range w {
			d.u[2*j] = float32(w[j] / t.lambda * float64(x.scale[j]))
		}
	}
	first, last := 0.0, math.Inf(1)
	for i := range x.p {
		r := t.row(i) * (0.5 - x.p[i])
		first += r * r * d.squares[i]
	}
	for range maxEpochs {
		if err := ctx.Err(); err != nil {
			return err
		}
		left := 0.0
		x.each(0, x.rows(), func(i int, r *sparseRow) {
			c, q := t.row(i), d.squares[i]/t.lambda
			z := dotPairs(r, d.u)
			left += d.squares[i] * square(d.alpha[i]-c*(x.p[i]-sigmoid(z)))
			if delta := rise(d.alpha[i], z, c, x.p[i], q); delta != 0 {
				d.alpha[i] += delta
				addPairs(r, d.u, delta/t.lambda)
			}
		})
		if left <= tol*tol*first || left > dualShrink*dualShrink*last {
			break
		}
		last = left
	}
	for j, c := range x.scale {
		w[j] = 0
		if c != 0 {
			w[j] = float64(d.u[2*j]) / float64(c)
		}
	}
	return nil
}

// row is the weight of row i.
func (t *bt) row(i int) float64 {
	if t.x.weight == nil {
		return 1
	}
	return t.x.weight[i]
}

func square(v float64) float64 { return v * v }

// rise gives the δ with α + δ = c·(p − σ(z + δq)), which is between 0 and the
// α that z itself asks for, by Newton's method.
func rise(alpha, z, c, p, q float64) float64 {
	delta := 0.0
	for range 4 {
		s := sigmoid(z + delta*q)
		g := alpha + delta - c*(p-s)
		delta -= g / (1 + c*q*s*(1-s))
		if math.Abs(g) < 1e-4 {
			break
		}
	}
	return delta
}

// square gives the squared norm of a row.
func (r *sparseRow) square(scale []float32) float64 {
	sum, g := 0.0, 1.0
	for _, e := range r.expected {
		g += e * e
	}
	for k, c := range r.col {
		v := square(float64(r.val[k]) * float64(scale[c]))
		if k >= r.plain {
			v *= g // the columns of a stride have one scale
		}
		sum += v
	}
	from := int32(0)
	for i := range r.runs {
		run := &r.runs[i]
		g := 0.0
		for _, by := range run.by[:run.stride] {
			g += by * by
		}
		for _, e := range r.terms[from:run.end] {
			sum += g * square(e.tf()*float64(scale[run.first+int32(e>>8)*run.stride]))
		}
		from = run.end
	}
	return sum
}

// dotPairs is the row times the weights in u.
func dotPairs(r *sparseRow, u []float32) float64 {
	z := 0.0
	vals := r.val[:len(r.col)]
	for k, c := range r.col[:r.plain] {
		z += float64(u[2*c]) * float64(vals[k])
	}
	g := r.expected
	vals = vals[r.plain:]
	for k, c := range r.col[r.plain:] {
		v := u[2*c:][:2*(1+numExpected)]
		z += (float64(v[0]) + g[0]*float64(v[2]) + g[1]*float64(v[4])) * float64(vals[k])
	}
	from := int32(0)
	for i := range r.runs {
		run := &r.runs[i]
		es, u := r.terms[from:run.end], u[2*run.first:]
		from = run.end
		var a, b, c, d float64
		switch run.stride {
		case 1:
			for ; len(es) >= 4; es = es[4:] {
				a += es[0].tf() * float64(u[es[0]>>8*2])
				b += es[1].tf() * float64(u[es[1]>>8*2])
				c += es[2].tf() * float64(u[es[2]>>8*2])
				d += es[3].tf() * float64(u[es[3]>>8*2])
			}
			for _, e := range es {
				a += e.tf() * float64(u[e>>8*2])
			}
			z += (a + b + c + d) * run.by[0]
		case 3:
			for _, e := range es {
				v, t := u[e>>8*6:][:6], e.tf()
				a += t * float64(v[0])
				b += t * float64(v[2])
				c += t * float64(v[4])
			}
			z += a*run.by[0] + b*run.by[1] + c*run.by[2]
		default:
			for _, e := range es {
				for c := range run.stride {
					z += run.by[c] * e.tf() * float64(u[2*(int32(e>>8)*run.stride+c)])
				}
			}
		}
	}
	return z
}

// addPairs adds t times the row to the weights in u.
func addPairs(r *sparseRow, u []float32, t float64) {
	f := float32(t)
	vals := r.val[:len(r.col)]
	for k, c := range r.col[:r.plain] {
		v := u[2*c:][:2]
		v[0] += f * vals[k] * v[1]
	}
	g0, g1 := float32(r.expected[0]), float32(r.expected[1])
	vals = vals[r.plain:]
	for k, c := range r.col[r.plain:] {
		v := u[2*c:][:2*(1+numExpected)]
		x := f * vals[k] * v[1]
		v[0] += x
		v[2] += x * g0
		v[4] += x * g1
	}
	from := int32(0)
	for i := range r.runs {
		run := &r.runs[i]
		es, u := r.terms[from:run.end], u[2*run.first:]
		from = run.end
		switch run.stride {
		case 1:
			f := float32(t * run.by[0])
			for _, e := range es {
				v := u[e>>8*2:][:2]
				v[0] += f * tf32[uint8(e)] * v[1]
			}
		case 3:
			f0, f1, f2 := float32(t*run.by[0]), float32(t*run.by[1]), float32(t*run.by[2])
			for _, e := range es {
				v := u[e>>8*6:][:6]
				x := tf32[uint8(e)] * v[1]
				v[0] += f0 * x
				v[2] += f1 * x
				v[4] += f2 * x
			}
		default:
			for _, e := range es {
				for c := range run.stride {
					v := u[2*(int32(e>>8)*run.stride+c):][:2]
					v[0] += float32(t*run.by[c]) * tf32[uint8(e)] * v[1]
				}
			}
		}
	}
}

// tf32 is sublinear in 32 bits.
var tf32 = func() (t [256]float32) {
	for i, v := range sublinear {
		t[i] = float32(v)
	}
	return t
}()
