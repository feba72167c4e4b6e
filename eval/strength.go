package eval

import (
	"cmp"
	"slices"
)

// authorRidge is λ of the strengths' prior, a Gaussian of mean 0 and variance 1
// in log-odds, which hundreds of games outweigh and few do not.
const authorRidge = 1.0

// Fit gives the strengths θ that minimise
//
//	Σ −p ln σ(z) − (1−p) ln σ(−z) + λ/2·‖θ‖², z = θ_a + θ_{a,s} − θ_b − θ_{b,s}
//
// over the games, λ = 1: the model of Bradley and Terry (1952) with a ridge. The
// terms θ_{a,s}, an author's strength in a subset, are there where the games are
// of more than one subset: who writes well may not refuse well. An author whom
// no game names is unknown. The same games in any order give the same strengths.
func (g *Games) Fit() *Strengths {
	s := &Strengths{all: map[string]float64{}, in: map[[2]string]float64{}}
	keys := make([]meeting, 0, len(g.met))
	subsets := map[string]bool{}
	for key := range g.met {
		keys = append(keys, key)
		subsets[key.subset] = true
	}
	slices.SortFunc(keys, func(x, y meeting) int {
		return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b), cmp.Compare(x.subset, y.subset))
	})
	numbers := map[[2]string]int{}
	number := func(key [2]string) int {
		i, ok := numbers[key]
		if !ok {
			i = len(numbers)
			numbers[key] = i
		}
		return i
	}
	f := &strengthFit{}
	for _, key := range keys {
		t := g.met[key]
		r := rival{n: float64(t.n), won: float64(t.won) / gameOne}
		r.a[0], r.b[0] = number([2]string{key.a, ""}), number([2]string{key.b, ""})
		r.terms = 1
		if len(subsets) > 1 && key.subset != "" {
			r.a[1], r.b[1] = number([2]string{key.a, key.subset}), number([2]string{key.b, key.subset})
			r.terms = 2
		}
		f.rivals = append(f.rivals, r)
	}
	theta := f.solve(len(numbers))
	for key, i := range numbers {
		if key[1] == "" {
			s.all[key[0]] = theta[i]
		} else {
			s.in[key] = theta[i]
		}
	}
	return s
}

// rival is one meeting of authors: the numbers of their coefficients, how often
// they met and how often a won.
type rival struct {
	a, b   [2]int
	terms  int
	n, won float64
}

type strengthFit struct{ rivals []rival }

// margin gives a's strength less b's.
func (r *rival) margin(x []float64) float64 {
	z := 0.0
	for k := range r.terms {
		z += x[r.a[k]] - x[r.b[k]]
	}
	return z
}

// spread adds v to a's coefficients and takes it from b's.
func (r *rival) spread(x []float64, v float64) {
	for k := range r.terms {
		x[r.a[k]] += v
		x[r.b[k]] -= v
	}
}

func (f *strengthFit) loss(x []float64) float64 {
	sum := authorRidge / 2 * dot(x, x)
	for i := range f.rivals {
		r := &f.rivals[i]
		z := r.margin(x)
		sum += r.won*softplus(-z) + (r.n-r.won)*softplus(z)
	}
	return sum
}

// solve minimises the loss by Newton's method; its steps are solved for by
// conjugate gradients, since the Hessian is sparse where authors are many.
func (f *strengthFit) solve(n int) []float64 {
	x, grad, trial := make([]float64, n), make([]float64, n), make([]float64, n)
	curve := make([]float64, len(f.rivals))
	loss := f.loss(x)
	for range 100 {
		for i := range grad {
			grad[i] = authorRidge * x[i]
		}
		for i := range f.rivals {
			r := &f.rivals[i]
			p := Sigmoid(r.margin(x))
			r.spread(grad, r.n*p-r.won)
			curve[i] = r.n * p * (1 - p)
		}
		step := conjugate(grad, func(v, out []float64) {
			for i := range out {
				out[i] = authorRidge * v[i]
			}
			for i := range f.rivals {
				r := &f.rivals[i]
				r.spread(out, curve[i]*r.margin(v))
			}
		})
		// g·H⁻¹g is twice what the step gains on the quadratic model. Where the loss
		// is flat to rounding the gradient is not yet, and whole steps are right.
		if gain := dot(grad, step); gain <= 1e-12*(1+loss) {
			for i := range x {
				x[i] -= step[i]
			}
			if gain <= 1e-20*(1+loss) {
				break
			}
			continue
		}
		t, less := 1.0, false
		for range 40 {
			for i := range x {
				trial[i] = x[i] - t*step[i]
			}
			if l := f.loss(trial); l < loss {
				loss, less = l, true
				break
			}
			t /= 2
		}
		if !less {
			break
		}
		copy(x, trial)
	}
	return x
}

// conjugate solves A·x = b for a positive definite A, given as a product, by
// conjugate gradients (Hestenes and Stiefel, 1952).
func conjugate(b []float64, product func(v, out []float64)) []float64 {
	x, r := make([]float64, len(b)), slices.Clone(b)
	p, ap := slices.Clone(b), make([]float64, len(b))
	rr := dot(r, r)
	end := 1e-24 * rr
	for range 2*len(b) + 20 {
		if rr <= end || rr == 0 {
			break
		}
		product(p, ap)
		alpha := rr / dot(p, ap)
		for i := range x {
			x[i] += alpha * p[i]
			r[i] -= alpha * ap[i]
		}
		next := dot(r, r)
		for i := range p {
			p[i] = r[i] + next/rr*p[i]
		}
		rr = next
	}
	return x
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}
