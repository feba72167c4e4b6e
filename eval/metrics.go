package eval

import (
	"cmp"
	"math"
	"slices"
)

// ECEBins is the number of equal-mass bins of the calibration errors reported
// here.
const ECEBins = 15

// MaxLogOdds is where log-odds are cut, ln 2⁵²: beyond it, σ(m) differs from 1
// by less than a float64 near 1 can hold.
const MaxLogOdds = 52 * math.Ln2

// Sigmoid is the logistic function 1/(1+e⁻ˣ): the probability that has the
// log-odds x.
func Sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// softplus is ln(1+eˣ) = −ln σ(−x), without overflow.
func softplus(x float64) float64 {
	return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
}

// Accuracy is the share of pairs where the sign of the margin agrees with the
// label. margins[i] is the log-odds that the first reply of pair i is better,
// labels[i] the probability that it is. A margin of 0 counts one half; pairs
// with a label of 1/2 or NaN are left out. NaN if none is left.
func Accuracy(margins, labels []float64) float64 {
	return mean(margins, labels, correct)
}

// LogLoss is the mean cross-entropy in nats of σ(margin) against the labels,
// over the same pairs as [Accuracy].
func LogLoss(margins, labels []float64) float64 {
	return mean(margins, labels, logLoss)
}

// Brier is the mean squared difference between σ(margin) and the label, over
// the same pairs as [Accuracy].
func Brier(margins, labels []float64) float64 {
	return mean(margins, labels, brier)
}

func mean(margins, labels []float64, f func(m, p float64) float64) float64 {
	sum, n := 0.0, 0
	for i, p := range labels {
		if math.IsNaN(p) || p == 0.5 {
			continue
		}
		sum += f(margins[i], p)
		n++
	}
	return sum / float64(n)
}

// The loss of one pair; m and p speak of the same reply.

func correct(m, p float64) float64 {
	switch {
	case math.IsNaN(m):
		return math.NaN()
	case m == 0:
		return 0.5
	case (m > 0) == (p > 0.5):
		return 1
	}
	return 0
}

func logLoss(m, p float64) float64 {
	m = clamp(m)
	return p*softplus(-m) + (1-p)*softplus(m)
}

func brier(m, p float64) float64 {
	d := Sigmoid(clamp(m)) - p
	return d * d
}

func clamp(m float64) float64 {
	return math.Max(-MaxLogOdds, math.Min(MaxLogOdds, m))
}

// ECE is the expected calibration error: predictions are sorted by confidence
// and cut into bins of equal mass, bin i holding the ranks from ⌊i·n/bins⌋ up to
// ⌊(i+1)·n/bins⌋, and the differences between mean confidence and mean
// correctness of the bins are averaged by their size. Both inputs are in
// [0, 1]; correctness may be fractional. Predictions of equal confidence share
// their mean correctness, so which of them falls on which side of a cut does
// not matter. NaN over no predictions.
//
// The estimate is biased upwards: under perfect calibration it is not 0 but of
// the order of √(bins/n). [DebiasedECE] takes the bias away.
func ECE(confidence, correctness []float64, bins int) float64 {
	bs := Reliability(confidence, correctness, bins)
	if bs == nil {
		return math.NaN()
	}
	total := 0.0
	for i := range bs {
		total += float64(bs[i].N) * math.Abs(bs[i].gap())
	}
	return total / float64(len(confidence))
}

// Spearman is Spearman's rank correlation ρ: Pearson's correlation of the
// ranks, where equal values share the mean of their ranks. NaN with fewer than
// two values, or when all values of x or of y are equal.
func Spearman(x, y []float64) float64 {
	if len(x) != len(y) || len(x) < 2 {
		return math.NaN()
	}
	rx, ry := ranks(x), ranks(y)
	var xx, yy, xy float64
	for i := range rx {
		xx += rx[i] * rx[i]
		yy += ry[i] * ry[i]
		xy += rx[i] * ry[i]
	}
	if xx == 0 || yy == 0 {
		return math.NaN()
	}
	// One square root of the product gives exactly 1 for equal ranks; otherwise
	// the quotient could leave [-1, 1] by rounding.
	return math.Max(-1, math.Min(1, xy/math.Sqrt(xx*yy)))
}

// ranks gives the ranks of v less their mean: exact multiples of one half, so
// their products add up exactly up to some hundred thousand values.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
	r := make([]float64, len(v))
	centre := float64(len(v)-1) / 2
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			r[order[k]] = float64(i+j-1)/2 - centre
		}
		i = j
	}
	return r
}

// Kappa is Cohen's κ between two raters of the same items: agreement beyond
// what their own rates of each class give by chance. NaN over no items, and
// when both raters only ever name one and the same class.
func Kappa[T comparable](a, b []T) float64 {
	if len(a) != len(b) || len(a) == 0 {
		return math.NaN()
	}
	agree := 0
	na, nb := map[T]int{}, map[T]int{}
	for i := range a {
		na[a[i]]++
		nb[b[i]]++
		if a[i] == b[i] {
			agree++
		}
	}
	n, chance := len(a), 0
	for class, k := range na {
		chance += k * nb[class]
	}
	// Both shares times n², in whole numbers, so no order of classes matters.
	return float64(agree*n-chance) / float64(n*n-chance)
}
