package rm

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/optimize"
)

// gateRidge is the ridge on the numbers of the gate between principles.
const gateRidge = 1

// principles fits a linear head to the votes of each principle and a gate that
// mixes them: the score is c·Σₖ sₖ(prompt)·rₖ, with shares s that are a softmax of
// what the prompt's expectation comes to, after ArmoRM (Wang et al. 2024). The
// gate is fitted to the pairs' labels on margins of heads that did not see the
// pairs' prompts. L2 is that which suits a single head on the labels best.
//
// A score is a sum of named parts, and without a principle it is the same sum
// without that part: nothing has to be asked again. With Options.Rest one part,
// named RestHead, is fitted to the labels themselves: where people gave them, it
// holds what they say beyond the principles, and the gate shows by its share how
// much that is.
func (f *fitter) principles() ([]member, blend, error) {
	fail := func(err error) ([]member, blend, error) { return nil, blend{}, err }
	start, err := f.settle()
	if err != nil {
		return fail(err)
	}
	names := slices.Clone(f.o.Principles)
	if f.o.Rest {
		names = append(names, RestHead)
	}
	n := len(names)
	z := make([][]float64, n)
	var members []member
	for k, name := range names {
		f.progress("principles", k, n)
		x := *f.x
		x.like = nil
		if k < len(f.o.Principles) && f.vote(&x, k) == 0 {
			return fail(fmt.Errorf("principle %s: none of the pairs has a judgment of it", name))
		}
		solve := func(x *matrix, tol float64) ([]float64, []float64, error) {
			w := append([]float64(nil), start...)
			p := &bt{x: x, lambda: f.t.L2, sums: x.newSums()}
			diag, err := p.solve(f.ctx, w, tol)
			return w, diag, err
		}
		z[k], err = f.outOfFold(func(_ int, use []bool, out []float64) error {
			w, _, err := solve(x.only(use), pathTolerance)
			if err == nil {
				x.times(w, out)
			}
			return err
		})
		if err != nil {
			return fail(err)
		}
		w, diag, err := solve(&x, tolerance)
		if err != nil {
			return fail(fmt.Errorf("principle %s: %w", name, err))
		}
		m := f.member(name, newLinear(w, diag, f.t.L2))
		m.scale = 1 / spread(z[k])
		for i := range z[k] {
			z[k][i] *= m.scale
		}
		members = append(members, m)
	}
	f.progress("principles", n, n)
	g := gateFit{z: z, rows: f.rows, p: f.x.p}
	b, err := g.fit()
	if err != nil {
		return fail(fmt.Errorf("the gate: %w", err))
	}
	f.measure(g.margins(&b), f.x.p)
	return members, b, nil
}

// vote sets the labels of x to the votes of principle k, and the weights of rows
// without one to 0. It gives the number of rows with one.
func (f *fitter) vote(x *matrix, k int) (known int) {
	x.p, x.weight = make([]float64, len(f.rows)), make([]float64, len(f.rows))
	for i := range f.rows {
		x.p[i] = 0.5
		if v := f.rows[i].votes[k]; !math.IsNaN(float64(v)) {
			x.p[i], x.weight[i] = float64(v), 1
			if f.x.weight != nil {
				x.weight[i] = f.x.weight[i]
			}
			known++
		}
	}
	return known
}

// gateFit is the problem of the gate: the mean cross-entropy of the labels p and
// the margins, and a ridge.
type gateFit struct {
	z    [][]float64 // by principle, by row
	rows []row
	p    []float64
}

// blend reads the parameters: ln c, and for each principle a constant and a
// factor for each component of the expectation.
func (g *gateFit) blend(theta []float64) blend {
	b := blend{Kind: blendGate, Coef: []float64{math.Exp(theta[0])}}
	for k := range g.z {
		b.Gate = append(b.Gate, theta[1+k*stride:1+(k+1)*stride])
	}
	return b
}

func (g *gateFit) margins(b *blend) []float64 {
	out, shares := make([]float64, len(g.rows)), make([]float64, len(g.z))
	for i := range out {
		b.shares(len(g.z), g.rows[i].expected, shares)
		for k, s := range shares {
			out[i] += s * g.z[k][i]
		}
	}
	return out
}

// value gives the loss at theta and, if grad is not nil, its gradient: with
// m = Σₖ sₖzₖ and the residual e, ∂/∂ln c = e·m and, for the softmax's inputs aₖ,
// ∂/∂aₖ = e·sₖ(zₖ − m/c·…), where s includes c.
func (g *gateFit) value(theta, grad []float64) float64 {
	b := g.blend(theta)
	clear(grad)
	loss, shares := 0.0, make([]float64, len(g.z))
	for i := range g.rows {
		b.shares(len(g.z), g.rows[i].expected, shares)
		m := 0.0
		for k, s := range shares {
			m += s * g.z[k][i]
		}
		loss += crossEntropy(m, g.p[i])
		if grad == nil {
			continue
		}
		e := sigmoid(m) - g.p[i]
		grad[0] += e * m
		for k, s := range shares {
			d := e * s * (g.z[k][i] - m/b.Coef[0])
			at := grad[1+k*stride : 1+(k+1)*stride]
			at[0] += d
			for c, x := range g.rows[i].expected {
				at[1+c] += d * x
			}
		}
	}
	n := float64(len(g.rows))
	loss /= n
	for j := range grad {
		grad[j] /= n
	}
	for j, t := range theta {
		loss += gateRidge / (2 * n) * t * t
		if grad != nil {
			grad[j] += gateRidge / n * t
		}
	}
	return loss
}

// fit finds the gate from equal shares on. The problem is not convex, but small
// and started from its middle.
func (g *gateFit) fit() (blend, error) {
	theta := make([]float64, 1+len(g.z)*stride)
	r, err := optimize.Minimize(optimize.Problem{
		Func: func(t []float64) float64 { return g.value(t, nil) },
		Grad: func(grad, t []float64) { g.value(t, grad) },
	}, theta, &optimize.Settings{GradientThreshold: 1e-6, MajorIterations: 500}, &optimize.LBFGS{})
	if r == nil {
		return blend{}, err
	}
	// A line search that floating point ends has found what there is to find.
	return g.blend(r.X), nil
}
