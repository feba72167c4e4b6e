package eval

import (
	"math"
	"slices"

	"cai/dataset"
)

// Slope is an effect in log-odds with its 95 % interval.
type Slope struct {
	Estimate Figure   `json:"estimate"`
	CI       Interval `json:"ci"`
}

// LengthBias is how the difference of lengths moves choices, in log-odds for each
// SD of that difference.
type LengthBias struct {
	N  int    `json:"n"`
	SD Figure `json:"sd"` // root mean square of the differences, in the unit given
	// Judge and Gold are the effects on the judge's choices and on the gold's.
	Judge Slope `json:"judge"`
	Gold  Slope `json:"gold"`
	// Beyond is the effect on the judge's choices with the gold held fixed; 0 is
	// none, and where its interval holds 0 none is shown.
	Beyond Slope `json:"beyond"`
	// Longer is σ(Beyond): how often the judge chooses a reply that is one SD
	// longer where the gold is a tie.
	Longer Figure `json:"longer"`
}

// lengthRidge keeps an effect finite where it explains every choice: a prior of
// standard deviation 10 in log-odds.
const lengthRidge = 0.01

// MeasureLengthBias regresses choices on length: choices[i] and gold[i] are the
// probabilities of the first reply, hard or soft, lengths[i] how much longer the
// first is. With x = length/SD and g = 2·gold − 1 it fits, by logistic
// regression without intercept, since pairs have no order,
//
//	judge: logit P(choice) = βx    gold: logit P(gold) = βx
//	beyond: logit P(choice) = βx + γg
//
// Intervals are from the sandwich variance clustered by prompt (Liang and Zeger,
// 1986). Pairs with a NaN are left out.
func MeasureLengthBias(choices, gold, lengths []float64, clusters []dataset.Hash) LengthBias {
	var y, t, x, g []float64
	var in []dataset.Hash
	square := 0.0
	for i := range choices {
		if math.IsNaN(choices[i] + gold[i] + lengths[i]) {
			continue
		}
		y, t, x = append(y, choices[i]), append(t, gold[i]), append(x, lengths[i])
		g, in = append(g, 2*gold[i]-1), append(in, clusters[i])
		square += lengths[i] * lengths[i]
	}
	b := LengthBias{N: len(y), SD: Figure(math.Sqrt(square / float64(len(y))))}
	if b.SD > 0 {
		for i := range x {
			x[i] /= float64(b.SD)
		}
	}
	b.Judge = slopeOf(y, in, x)
	b.Gold = slopeOf(t, in, x)
	b.Beyond = slopeOf(y, in, x, g)
	b.Longer = Figure(Sigmoid(float64(b.Beyond.Estimate)))
	return b
}

// slopeOf fits y to the columns and gives the first one's coefficient.
func slopeOf(y []float64, clusters []dataset.Hash, columns ...[]float64) Slope {
	f := Logistic(y, clusters, lengthRidge, columns...)
	se := z95 * f.SE[0]
	if math.IsNaN(se) {
		return Slope{Figure(f.Coef[0]), Interval{-MaxLogOdds, MaxLogOdds}}
	}
	return Slope{Figure(f.Coef[0]), Interval{f.Coef[0] - se, f.Coef[0] + se}}
}

// LogisticFit is a fitted regression. SE is NaN below two clusters.
type LogisticFit struct{ Coef, SE []float64 }

// Logistic fits P(y = 1) = σ(Σ β_k columns[k]) by minimising
//
//	Σ −y ln σ(z) − (1−y) ln σ(−z) + ridge/2·‖β‖²
//
// without intercept; y may be fractional, the ridge must be above 0. SE are the
// roots of the diagonal of H⁻¹(Σ_c s_c s_cᵀ)H⁻¹, with s_c a cluster's sum of
// gradients, and no correction for small numbers.
func Logistic(y []float64, clusters []dataset.Hash, ridge float64, columns ...[]float64) LogisticFit {
	d := len(columns)
	coef := make([]float64, d)
	z := func(beta []float64, i int) (z float64) {
		for k := range beta {
			z += beta[k] * columns[k][i]
		}
		return z
	}
	loss := func(beta []float64) float64 {
		sum := ridge / 2 * dot(beta, beta)
		for i := range y {
			m := z(beta, i)
			sum += y[i]*softplus(-m) + (1-y[i])*softplus(m)
		}
		return sum
	}
	hessian := make([][]float64, d)
	grad, trial := make([]float64, d), make([]float64, d)
	derive := func() {
		for k := range hessian {
			hessian[k] = make([]float64, d)
			hessian[k][k] = ridge
			grad[k] = ridge * coef[k]
		}
		for i := range y {
			p := Sigmoid(z(coef, i))
			for k := range d {
				grad[k] += columns[k][i] * (p - y[i])
				for l := range d {
					hessian[k][l] += columns[k][i] * columns[l][i] * p * (1 - p)
				}
			}
		}
	}
	at := loss(coef)
	for range 100 {
		derive()
		step := solveFor(hessian, grad)
		if dot(grad, step) <= 1e-24*(1+at) {
			break
		}
		better := false
		for t := 1.0; t > 1e-9; t /= 2 {
			for k := range trial {
				trial[k] = coef[k] - t*step[k]
			}
			if l := loss(trial); l < at {
				at, better = l, true
				break
			}
		}
		if !better {
			break
		}
		copy(coef, trial)
	}
	derive()
	// A last full step: where the loss is flat to rounding, the gradient is not.
	step := solveFor(hessian, grad)
	for k := range coef {
		coef[k] -= step[k]
	}
	derive()
	return LogisticFit{coef, sandwich(hessian, clusters, func(i, k int) float64 {
		return columns[k][i] * (Sigmoid(z(coef, i)) - y[i])
	})}
}

// sandwich gives the standard errors; score is the gradient of one item's loss.
func sandwich(hessian [][]float64, clusters []dataset.Hash, score func(i, k int) float64) []float64 {
	d := len(hessian)
	sums := map[dataset.Hash][]float64{}
	for i, c := range clusters {
		s := sums[c]
		if s == nil {
			s = make([]float64, d)
			sums[c] = s
		}
		for k := range s {
			s[k] += score(i, k)
		}
	}
	keys := make([]dataset.Hash, 0, len(sums))
	for c := range sums {
		keys = append(keys, c)
	}
	slices.SortFunc(keys, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	variance := make([]float64, d)
	for _, c := range keys {
		for k, v := range solveFor(hessian, sums[c]) {
			variance[k] += v * v
		}
	}
	for k := range variance {
		if variance[k] = math.Sqrt(variance[k]); len(keys) < 2 {
			variance[k] = math.NaN()
		}
	}
	return variance
}

// solveFor solves a·x = b for a small positive definite a, by Gauss's elimination.
func solveFor(a [][]float64, b []float64) []float64 {
	n := len(b)
	m, x := make([][]float64, n), slices.Clone(b)
	for i := range m {
		m[i] = slices.Clone(a[i])
	}
	for i := range n {
		for j := i + 1; j < n; j++ {
			f := m[j][i] / m[i][i]
			for k := i; k < n; k++ {
				m[j][k] -= f * m[i][k]
			}
			x[j] -= f * x[i]
		}
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= m[i][k] * x[k]
		}
		x[i] /= m[i][i]
	}
	return x
}
