package rm

import (
	"context"
	"errors"
	"math"
)

// bt is the Bradley–Terry problem on soft labels with a ridge:
//
//	f(w) = Σᵢ cᵢ·[ln(1 + e^{zᵢ}) − pᵢ·zᵢ] + λ/2·‖w‖² + κ/2·Σₘ (vₘᵀw)²,   z = X·w
//
// with the rows' weights cᵢ, and the vₘ of a penalty where there is one. It is
// strictly convex and twice differentiable:
//
//	∇f = Xᵀ·diag(c)·(σ(z) − p) + λw + κ·Σₘ vₘ(vₘᵀw)
//	∇²f = Xᵀ·diag(c·σ(z)(1 − σ(z)))·X + λI + κ·Σₘ vₘvₘᵀ
type bt struct {
	x      *matrix
	lambda float64
	kappa  float64
	low    [][]float64 // the vₘ
	closed []bool      // columns whose weights stay 0; nil where there are none
	sums   sums
	duals  duals
	bare   bool // solve need not give the diagonal
}

// shut sets what belongs to closed columns to 0.
func (t *bt) shut(v []float64) {
	for j, c := range t.closed {
		if c {
			v[j] = 0
		}
	}
}

// lowTimes adds κ·Σₘ vₘ(vₘᵀw) to out.
func (t *bt) lowTimes(w, out []float64) {
	for _, v := range t.low {
		if s := t.kappa * dot(v, w); s != 0 {
			for j, vj := range v {
				out[j] += s * vj
			}
		}
	}
}

// ridge gives the part of f along w + α·step that hangs on the weights alone.
func (t *bt) ridge(w, step []float64) func(alpha float64) float64 {
	ww, ws, ss := t.lambda*dot(w, w), t.lambda*dot(w, step), t.lambda*dot(step, step)
	for _, v := range t.low {
		a, b := dot(v, w), dot(v, step)
		ww, ws, ss = ww+t.kappa*a*a, ws+t.kappa*a*b, ss+t.kappa*b*b
	}
	return func(alpha float64) float64 { return (ww + alpha*(2*ws+alpha*ss)) / 2 }
}

// loss gives the weighted cross-entropy at the margins z + α·zs.
func (t *bt) loss(z, zs []float64, alpha float64) float64 {
	f := 0.0
	for i, zi := range z {
		c := t.x.lossAt(i, zi+alpha*zs[i])
		if t.x.weight != nil {
			c *= t.x.weight[i]
		}
		f += c
	}
	return f
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// value gives f at w with X·w in z.
func (t *bt) value(w, z []float64) float64 {
	return t.ridge(w, w)(0) + t.loss(z, z, 0)
}

// gradient gives ∇f at w with X·w in z; r is scratch for the residuals.
func (t *bt) gradient(w, z, r, g []float64) {
	for i, zi := range z {
		r[i] = t.x.slope(i, zi)
	}
	t.x.weigh(r)
	t.x.transposeTimes(r, g, false, t.sums)
	for j, wj := range w {
		g[j] += t.lambda * wj
	}
	t.lowTimes(w, g)
	t.shut(g)
}

// curvature gives the second derivative of the loss by z for each row, which for
// Bradley–Terry is σ(z)(1 − σ(z)).
func (m *matrix) curvature(z, h []float64) {
	for i, zi := range z {
		if m.like != nil {
			_, _, h[i] = m.like.at(zi, m.p[i], m.annotator(i))
			continue
		}
		s := sigmoid(zi)
		h[i] = s * (1 - s)
	}
}

// annotator gives that of row i.
func (m *matrix) annotator(i int) int32 {
	if m.by == nil {
		return 0
	}
	return m.by[i]
}

// lossAt gives the loss of row i at the margin z.
func (m *matrix) lossAt(i int, z float64) float64 {
	if m.like != nil {
		l, _, _ := m.like.at(z, m.p[i], m.annotator(i))
		return l
	}
	return crossEntropy(z, m.p[i])
}

// slope gives its derivative.
func (m *matrix) slope(i int, z float64) float64 {
	if m.like != nil {
		_, s, _ := m.like.at(z, m.p[i], m.annotator(i))
		return s
	}
	return sigmoid(z) - m.p[i]
}

// hessian gives ∇²f·v, 0 in the closed columns; h are the curvatures.
func (t *bt) hessian(h, v, out []float64) {
	t.x.curve(h, v, out, t.sums)
	for j := range out {
		out[j] += t.lambda * v[j]
	}
	t.lowTimes(v, out)
	t.shut(out)
}

// diagonal gives the diagonal of ∇²f; h are the curvatures.
func (t *bt) diagonal(h, d []float64) {
	t.x.transposeTimes(h, d, true, t.sums)
	for j := range d {
		d[j] += t.lambda
	}
	for _, v := range t.low {
		for j, vj := range v {
			d[j] += t.kappa * vj * vj
		}
	}
}

// errStuck tells that the line search found no descent although the gradient is
// not small, which numbers that are not finite bring about.
var errStuck = errors.New("the fit does not descend: features or labels are not finite")

// What ends a fit: the norm of the gradient, relative to that at w = 0. The
// fits that choose the ridge need not be as close as the one that stays.
const pathTolerance, tolerance = 2e-2, 1e-2

// solve moves w, the starting point, to the minimum of f by Newton's method
// with the steps found by conjugate gradients (a truncated Newton method, as in
// Lin, Weng and Keerthi 2008), preconditioned by the diagonal, and a
// backtracking line search, which costs no pass over the data. It leaves the
// gradient's norm at most tol times that at 0 and gives the diagonal of ∇²f, but
// for a bare problem.
// Where nothing is penalised or closed and λ is not small it starts from where
// the ascent on the dual ends, which takes fewer passes, whatever w is.
func (t *bt) solve(ctx context.Context, w []float64, tol float64) ([]float64, error) {
	n, d := t.x.rows(), t.x.cols
	z, r, h := make([]float64, n), make([]float64, n), make([]float64, n)
	g, diag := make([]float64, d), make([]float64, d)
	step, res, dir, hd, pre := make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
	zs := make([]float64, n)

	clear(pre)
	t.gradient(pre, z, r, g) // at 0
	stop := tol * math.Sqrt(dot(g, g))
	if t.low == nil && t.closed == nil && t.x.scale != nil && t.x.like == nil {
		if err := t.ascend(ctx, w, tol); err != nil {
			return nil, err
		}
	}
	zero := dot(w, w) == 0
	if !zero {
		t.x.times(w, z)
	}
	f := t.value(w, z)
	for iter := 0; ; iter++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if iter > 0 || !zero { // else it is that at 0
			t.gradient(w, z, r, g)
		}
		norm := math.Sqrt(dot(g, g))
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			return nil, errStuck
		}
		end := norm <= stop || iter >= 100
		if end && t.bare {
			return nil, nil
		}
		t.x.curvature(z, h)
		t.x.weigh(h)
		t.diagonal(h, diag)
		if end {
			return diag, nil
		}
		// Conjugate gradients on ∇²f·step = −g, until the residual is a fifth.
		clear(step)
		for j := range g {
			res[j] = -g[j]
			pre[j] = res[j] / diag[j]
			dir[j] = pre[j]
		}
		rho := dot(res, pre)
		for k := 0; k < 200; k++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			t.hessian(h, dir, hd)
			alpha := rho / dot(dir, hd)
			for j := range step {
				step[j] += alpha * dir[j]
				res[j] -= alpha * hd[j]
			}
			if math.Sqrt(dot(res, res)) <= max(0.2*norm, 0.5*stop) {
				break
			}
			for j := range res {
				pre[j] = res[j] / diag[j]
			}
			next := dot(res, pre)
			beta := next / rho
			rho = next
			for j := range dir {
				dir[j] = pre[j] + beta*dir[j]
			}
		}
		t.x.times(step, zs)
		slope := dot(g, step)
		ridge := t.ridge(w, step)
		alpha := 1.0
		for {
			// f along the step, from what is known of z and of the norms.
			v := ridge(alpha) + t.loss(z, zs, alpha)
			if v <= f+1e-4*alpha*slope {
				f = v
				break
			}
			if alpha /= 2; alpha < 1e-10 {
				if slope > -1e-9*math.Abs(f) {
					return diag, nil // as low as floating point can tell
				}
				return nil, errStuck
			}
		}
		for j := range w {
			w[j] += alpha * step[j]
		}
		for i := range z {
			z[i] += alpha * zs[i]
		}
	}
}

// temperatureSpread is the standard deviation of the prior of ln T around 0.
const temperatureSpread = 0.5

// temperature gives the T that makes σ(z/T) fit p best: the maximum a
// posteriori under the cross-entropy and a normal prior of ln T, which keeps a
// handful of pairs from claiming certainty and says nothing beside hundreds. It
// gives the mean cross-entropy at T as well, NaN where there are no pairs.
func temperature(z, p []float64) (t, loss float64) {
	return temperatureOf(z, func(i int, z float64) float64 { return crossEntropy(z, p[i]) })
}

// temperatureOf is the same where the loss of row i at a margin is at.
func temperatureOf(z []float64, at func(i int, z float64) float64) (t, loss float64) {
	if len(z) == 0 {
		return 1, math.NaN()
	}
	entropy := func(s float64) float64 {
		l := 0.0
		for i := range z {
			l += at(i, s*z[i])
		}
		return l
	}
	f := func(lnS float64) float64 {
		return entropy(math.Exp(lnS)) + lnS*lnS/(2*temperatureSpread*temperatureSpread)
	}
	// Six standard deviations are enough.
	s := math.Exp(golden(-6*temperatureSpread, 6*temperatureSpread, f))
	return 1 / s, entropy(s) / float64(len(z))
}
