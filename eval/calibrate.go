package eval

import (
	"cmp"
	"math"
	"slices"

	"cai/dataset"
)

// Calibration turns log-odds into better ones. Every calibration here is odd,
// Apply(−z) = −Apply(z), since the two replies of a pair have no order: what a
// judge says of the swapped pair must be the opposite. So none moves a margin to
// the other side, and accuracy stays what it was.
type Calibration interface {
	Apply(z float64) float64
}

// Temperature multiplies log-odds by Slope, the inverse of a temperature (Guo,
// Pleiss, Sun and Weinberger, 2017). It has no intercept.
type Temperature struct {
	Slope float64 `json:"slope"`
}

// Apply gives Slope·z.
func (t Temperature) Apply(z float64) float64 { return t.Slope * clamp(z) }

// FitTemperature gives the slope β ≥ 0 that minimises the log loss of σ(βz)
// against the labels, over the same pairs as [Accuracy]; 1 over none. A slope of
// 0 says that the margins tell nothing. Where the labels would have it grow
// without end, it is held where the mean of |βz| is ln(n+1): the certainty that n
// successes in n trials give by Laplace's rule.
func FitTemperature(margins, labels []float64) Temperature {
	z, p := usable(margins, labels)
	size := 0.0
	for i := range z {
		size += math.Abs(z[i])
	}
	if size == 0 {
		return Temperature{1}
	}
	n := float64(len(z))
	lo, hi := 0.0, n*math.Log(n+1)/size
	slope := func(beta float64) (d float64) {
		for i := range z {
			d += z[i] * (Sigmoid(beta*z[i]) - p[i])
		}
		return d
	}
	if slope(lo) >= 0 {
		return Temperature{0}
	}
	if slope(hi) <= 0 {
		return Temperature{hi}
	}
	for range 200 { // the derivative grows with β
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			break
		}
		if slope(mid) < 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return Temperature{lo + (hi-lo)/2}
}

// usable gives the margins and labels of the pairs that count.
func usable(margins, labels []float64) (z, p []float64) {
	for i, label := range labels {
		if skipLabel(label) == "" && !math.IsNaN(margins[i]) {
			z, p = append(z, clamp(margins[i])), append(p, label)
		}
	}
	return z, p
}

// Isotonic is a monotone map of log-odds: P[i] is the probability at |z| = X[i],
// with straight lines in between, from ½ at 0, and constant beyond the last.
type Isotonic struct {
	X []float64 `json:"x"`
	P []float64 `json:"p"`
	// Bound is the least probability that is ever said.
	Bound float64 `json:"bound"`
}

// FitIsotonic gives the monotone map with the least squared error against the
// labels (Zadrozny and Elkan, 2002), made odd: each pair counts as it is and
// turned, (z, p) and (−z, 1−p). That is isotonic regression of P(the side with
// |z| is right) on |z|, by pooling adjacent violators (Ayer and others, 1955),
// held at ½ from below. Pairs are those of [Accuracy]; no probability leaves
// [1/(n+2), (n+1)/(n+2)], Laplace's rule for n pairs. Over no pairs the map says
// ½ of all.
func FitIsotonic(margins, labels []float64) Isotonic {
	z, p := usable(margins, labels)
	for i := range z {
		if z[i] < 0 {
			z[i], p[i] = -z[i], 1-p[i]
		}
	}
	m := Isotonic{Bound: 1 / float64(len(z)+2)}
	order := make([]int, len(z))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(z[i], z[j]), cmp.Compare(p[i], p[j])) })
	type block struct {
		from, to, sum, n float64
	}
	var blocks []block
	for k := 0; k < len(order); {
		x := z[order[k]]
		b := block{from: x, to: x}
		for ; k < len(order) && z[order[k]] == x; k++ {
			b.sum += p[order[k]]
			b.n++
		}
		if x == 0 {
			continue // turned, it cancels itself: ½
		}
		for len(blocks) > 0 && blocks[len(blocks)-1].sum*b.n >= b.sum*blocks[len(blocks)-1].n {
			last := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			b.from, b.sum, b.n = last.from, b.sum+last.sum, b.n+last.n
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		value := math.Max(0.5, b.sum/b.n)
		m.X, m.P = append(m.X, b.from), append(m.P, value)
		if b.to > b.from {
			m.X, m.P = append(m.X, b.to), append(m.P, value)
		}
	}
	return m
}

// Probability gives the probability that the side with the positive sign is
// right.
func (m Isotonic) Probability(z float64) float64 {
	if z < 0 {
		return 1 - m.Probability(-z)
	}
	z = clamp(z)
	i, _ := slices.BinarySearch(m.X, z)
	p := 0.5
	switch {
	case len(m.X) == 0 || z == 0:
	case i == len(m.X):
		p = m.P[i-1]
	default:
		x0, p0 := 0.0, 0.5
		if i > 0 {
			x0, p0 = m.X[i-1], m.P[i-1]
		}
		p = p0 + (m.P[i]-p0)*(z-x0)/(m.X[i]-x0)
	}
	return math.Min(p, 1-m.Bound)
}

// Apply gives the log-odds of that probability.
func (m Isotonic) Apply(z float64) float64 {
	if z < 0 {
		return -m.Apply(-z)
	}
	p := m.Probability(z)
	return math.Log(p) - math.Log1p(-p)
}

// CrossFit gives each margin as a calibration turns it that was fitted to other
// prompts alone: prompts[i] is that of pair i, and they are dealt into five parts
// by hash. Figures over what it gives are out of fold. A pair without a label is
// turned as well, and no fit sees it.
func CrossFit(margins, labels []float64, prompts []dataset.Hash, fit func(margins, labels []float64) Calibration) []float64 {
	out := make([]float64, len(margins))
	for k := range numFolds {
		var z, p []float64
		for i := range margins {
			if foldOf(prompts[i]) != k {
				z, p = append(z, margins[i]), append(p, labels[i])
			}
		}
		c := fit(z, p)
		for i := range margins {
			if foldOf(prompts[i]) == k {
				out[i] = c.Apply(margins[i])
			}
		}
	}
	return out
}
