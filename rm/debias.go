package rm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cai/eval"
)

// What Options.Debias can name.
const (
	DebiasLength = "length" // code points
	DebiasMarkup = "markup" // bold, lists, headings, code, tables
)

// nuisances are the style features that measure what a debiased model must not
// prefer, summed.
var nuisances = map[string][]string{
	DebiasLength: {"log_code_points"},
	DebiasMarkup: {"log_bold", "log_list_items", "log_numbered_items", "log_headings", "log_code_blocks", "log_table_rows"},
}

// A bias is what keeps a fit from a nuisance. Labels that go with it are
// balanced: a pair counts by ½ over how often, going by the nuisance and by the
// kind of prompt alone, its label is what it is (inverse propensity), so that
// in the weighted data the nuisance says nothing of the label. And the
// covariance of margin and nuisance is penalised: κ/2·Σₘ(uₘᵀz)², with z = X·w
// and the uₘ of norm 1, which adds a matrix of low rank, κ·Σₘ vₘvₘᵀ with
// vₘ = Xᵀuₘ, to the Hessian and leaves the problem convex. The uₘ are the sign
// and the rank of the difference, and both times each component of the
// expectation: a preference for length in one kind of prompt must not be paid
// for by one against it in another.
type bias struct {
	u      [][]float64 // by vector, by row
	length []float64   // difference of code points of each row
	p      []float64   // labels before they were balanced
	target float64     // |ρ| of margin and length that is aimed at
}

// newBias gives the bias of rows, which are in the order of the matrix; nil
// where there is nothing to be kept from.
func newBias(rows []row, o Options) *bias {
	if len(o.Debias) == 0 {
		return nil
	}
	b := &bias{u: nuisanceRows(rows, o.Debias), length: make([]float64, len(rows)), target: o.LengthCorrelation}
	j := slices.Index(styleNames, "log_code_points")
	eachRow(rows, false, func(i int, r *row) {
		k := len(r.dense) / 2
		b.length[i] = math.Expm1(float64(r.dense[j])) - math.Expm1(float64(r.dense[k+j]))
	})
	return b
}

// strengths are those tried, in their order, until ρ is no more than the target.
var strengths = []float64{0, 0.1, 0.3, 1, 3, 10}

// debias chooses the strength κ at the ridge that was chosen, starting from its
// weights w: the least of strengths at which ρ is at most the target, and
// between that and the one before by halving the interval. Where none is, it is
// the one whose |ρ| comes closest. It sets temperature and strength, and w.
func (f *fitter) debias(w []float64) error {
	train, val := f.x.span(0, f.t.Train), f.x.span(f.t.Train, f.x.rows())
	u := make([][]float64, len(f.bias.u))
	for i, c := range f.bias.u {
		u[i] = c[:f.t.Train]
	}
	labels, length := f.bias.p[f.t.Train:], f.bias.length[f.t.Train:]
	p := &bt{x: train, sums: train.newSums(), lambda: f.t.L2, low: lowRank(train, u), bare: true}
	z := make([]float64, val.rows())
	var best []float64
	low := math.Inf(1)
	try := func(kappa float64) (float64, error) {
		f.progress("debias", len(f.t.Debias), 0)
		p.kappa = kappa
		if _, err := p.solve(f.ctx, w, pathTolerance); err != nil {
			return 0, err
		}
		val.times(w, z)
		temp, loss := f.temperature(z, labels)
		rho := eval.Spearman(z, length)
		if math.IsNaN(rho) { // scores or lengths are all the same
			rho = 0
		}
		f.t.Debias = append(f.t.Debias, DebiasPoint{kappa, rho, loss, accuracy(z, labels)})
		if d := math.Abs(math.Abs(rho) - f.bias.target); d < low {
			low, best = d, append(best[:0], w...)
			f.t.DebiasStrength = kappa
			f.certain(z, labels, temp)
		}
		return rho, nil
	}
	last := 0.0
	for _, kappa := range strengths {
		rho, err := try(kappa)
		if err != nil {
			return err
		}
		if rho > f.bias.target {
			last = kappa
			continue
		}
		if kappa == 0 {
			break
		}
		for lo, hi, i := last, kappa, 0; i < 3; i++ {
			mid := (lo + hi) / 2
			if rho, err = try(mid); err != nil {
				return err
			}
			if rho > f.bias.target {
				lo = mid
			} else {
				hi = mid
			}
		}
		break
	}
	copy(w, best)
	return nil
}

// nuisanceRows gives the vectors for rows, which are in the order of the matrix.
func nuisanceRows(rows []row, names []string) [][]float64 {
	var u [][]float64
	for _, name := range names {
		d := make([]float64, len(rows))
		eachRow(rows, false, func(i int, r *row) {
			k := len(r.dense) / 2
			for _, f := range nuisances[name] {
				j := slices.Index(styleNames, f)
				d[i] += float64(r.dense[j]) - float64(r.dense[k+j])
			}
		})
		sign, rank := make([]float64, len(d)), oddRanks(d)
		for i, v := range d {
			switch {
			case v > 0:
				sign[i] = 1
			case v < 0:
				sign[i] = -1
			}
		}
		for _, base := range [][]float64{sign, rank} {
			u = append(u, base)
			for c := range numExpected {
				v := make([]float64, len(d))
				for i := range v {
					v[i] = base[i] * rows[i].expected[c]
				}
				u = append(u, v)
			}
		}
	}
	return u
}

// oddRanks gives each value's sign times the rank of its size, from 0 to 1.
func oddRanks(d []float64) []float64 {
	size := make([]float64, len(d))
	for i, v := range d {
		size[i] = math.Abs(v)
	}
	sorted := slices.Sorted(slices.Values(size))
	out := make([]float64, len(d))
	for i, v := range d {
		lo, _ := slices.BinarySearch(sorted, size[i])
		hi, _ := slices.BinarySearch(sorted, math.Nextafter(size[i], math.Inf(1)))
		out[i] = math.Copysign(float64(lo+hi)/2/float64(len(d)), v)
		if v == 0 {
			out[i] = 0
		}
	}
	return out
}

// dense makes a matrix of columns, for the fits of few features.
func dense(columns [][]float64, p []float64) *matrix {
	m := &matrix{cols: len(columns), p: p, x: make([]sparseRow, len(p))}
	for i := range m.x {
		r := sparseRow{col: make([]uint32, len(columns)), val: make([]float32, len(columns)), plain: len(columns)}
		for j, c := range columns {
			r.col[j], r.val[j] = uint32(j), float32(c[i])
		}
		m.x[i] = r
	}
	return m
}

// balance reweights the labels of x, to which u belongs: labels q that the
// nuisance alone predicts count less, in the ratio ½ to q. Weights have mean 1.
func balance(ctx context.Context, x *matrix, u [][]float64) error {
	m := dense(u, x.p)
	p := &bt{x: m, lambda: 1, sums: m.newSums()}
	w := make([]float64, m.cols)
	if _, err := p.solve(ctx, w, 1e-6); err != nil {
		return fmt.Errorf("balance: %w", err)
	}
	z := make([]float64, m.rows())
	m.times(w, z)
	old := x.weight
	x.p, x.weight = slices.Clone(x.p), make([]float64, len(x.p))
	sum := 0.0
	for i, v := range z {
		q := sigmoid(max(-3, min(3, v)))
		one, zero := x.p[i]*0.5/q, (1-x.p[i])*0.5/(1-q)
		weight := one + zero
		x.p[i] = one / (one + zero)
		if old != nil {
			weight *= old[i]
		}
		x.weight[i] = weight
		sum += weight
	}
	for i := range x.weight {
		x.weight[i] *= float64(len(x.weight)) / sum
	}
	return nil
}

// lowRank gives the vectors vₘ = Xᵀuₘ of the penalty, the uₘ scaled to norm 1.
func lowRank(x *matrix, u [][]float64) [][]float64 {
	s := x.newSums()
	var v [][]float64
	for _, c := range u {
		norm := math.Sqrt(dot(c, c))
		if norm == 0 {
			continue
		}
		r := make([]float64, len(c))
		for i := range r {
			r[i] = c[i] / norm
		}
		out := make([]float64, x.cols)
		x.transposeTimes(r, out, false, s)
		v = append(v, out)
	}
	return v
}
