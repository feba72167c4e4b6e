package audit

import (
	"math"

	"cai/dataset"
	"cai/eval"
)

// grid gives the n of a curve's points: close to one another where the curve bends,
// then a fifth apart, so that they are about evenly spread over √KL, and the last.
func grid(most int) (ns []int) {
	for n := 1; n < most; n = max(n+1, int(math.Round(float64(n)*1.2))) {
		ns = append(ns, n)
	}
	return append(ns, most)
}

// curve is the best-of-n curves of one ranking by prompt, less their values at
// n = 1, in standard deviations.
type curve struct {
	n           []int
	d           []float64   // √KL
	proxy, gold [][]float64 // by prompt, by point
	// alpha and beta are the prompts' own fits, whose means are the curve's: the
	// fit is linear in the golds.
	alpha, beta []float64
	proxyMean   float64
	proxySD     float64
}

// pooledSD is the root of the mean of the prompts' variances: the spread that
// choosing among the replies to one prompt can use.
func pooledSD(rows [][]float64) float64 {
	v := 0.0
	for _, r := range rows {
		m, n := meanOf(r), float64(len(r))
		for _, x := range r {
			v += (x - m) * (x - m) / (n - 1) / float64(len(rows))
		}
	}
	return math.Sqrt(v)
}

// newCurve measures a ranking. Every prompt has at least most replies.
func newCurve(value, gold [][]float64, goldSD float64, most int) (*curve, error) {
	c := &curve{n: grid(most), proxySD: pooledSD(value)}
	for _, n := range c.n {
		c.d = append(c.d, math.Sqrt(KL(float64(n))))
	}
	for i := range value {
		r, err := Rank(value[i])
		if err != nil {
			return nil, err
		}
		p, g := make([]float64, len(c.n)), make([]float64, len(c.n))
		p0, g0 := meanOf(value[i]), meanOf(gold[i])
		c.proxyMean += p0 / float64(len(value))
		for j, n := range c.n {
			if n == 1 {
				continue
			}
			if c.proxySD > 0 {
				p[j] = (r.BestOf(n, value[i]) - p0) / c.proxySD
			}
			g[j] = (r.BestOf(n, gold[i]) - g0) / goldSD
		}
		c.proxy, c.gold = append(c.proxy, p), append(c.gold, g)
	}
	c.fit()
	return c, nil
}

// fit fits R(d) = d(α − βd) to the mean gold curve (Gao, Schulman and Hilton 2022),
// R(0) = 0 by construction, by least squares over the points with weights of one
// over the variance of the point's mean. The weights hang on the spread between
// prompts alone, so the fit of the mean is the mean of the prompts' fits with the
// same weights. NaN below three points or without spread.
//
// What is optimised by reinforcement learning is fitted by R(d) = d(α − β·ln d)
// instead, with its peak at e^(α/β − 1); best-of-n says nothing about that β.
func (c *curve) fit() {
	c.alpha, c.beta = make([]float64, len(c.gold)), make([]float64, len(c.gold))
	weight := make([]float64, len(c.d))
	var a, b, e float64 // Σwd², Σwd³, Σwd⁴
	for j, d := range c.d {
		if d == 0 {
			continue
		}
		var column []float64
		for _, g := range c.gold {
			column = append(column, g[j])
		}
		if _, sd := moments(column); sd > 0 {
			weight[j] = 1 / (sd * sd)
		}
		a += weight[j] * d * d
		b += weight[j] * d * d * d
		e += weight[j] * d * d * d * d
	}
	det := a*e - b*b
	for i, g := range c.gold {
		var u, v float64 // Σwdy, Σwd²y
		for j, d := range c.d {
			u += weight[j] * d * g[j]
			v += weight[j] * d * d * g[j]
		}
		if !(det > 1e-12*a*e) {
			c.alpha[i], c.beta[i] = math.NaN(), math.NaN()
			continue
		}
		c.alpha[i] = (e*u - b*v) / det
		c.beta[i] = (b*u - a*v) / det
	}
}

// peakOf is √KL at the top of d(α − βd): α/2β; 0 where it falls from the start, +∞
// where it never falls.
func peakOf(alpha, beta float64) float64 {
	switch {
	case math.IsNaN(alpha):
		return alpha
	case alpha <= 0:
		return 0
	case beta <= 0:
		return math.Inf(1)
	}
	return alpha / (2 * beta)
}

// squeeze brings [0, ∞] to [0, 1], so that intervals can be taken of peaks that are
// nowhere; stretch brings it back.
func squeeze(d float64) float64 {
	if math.IsInf(d, 1) {
		return 1
	}
	return d / (1 + d)
}

func stretch(t float64) float64 {
	if t >= 1 {
		return math.Inf(1)
	}
	return t / (1 - t)
}

// nearest gives the point of the curve next to d, and whether d is not beyond the
// last.
func (c *curve) nearest(d float64) (at int, within bool) {
	for j := range c.d {
		if math.Abs(c.d[j]-d) < math.Abs(c.d[at]-d) {
			at = j
		}
	}
	return at, d < c.d[len(c.d)-1]
}

// Figures of a resample, after those of the points: proxy, gold, gap, fit of each.
const (
	figAlpha = iota
	figBeta
	figPeak
	figFall
	figDelta
	numFigs
)

// statistic gives the figures over the prompts drawn. base is the curve that the
// gain is compared with, from the same prompts.
func (c *curve) statistic(base *curve, peak int) func(items []int) []float64 {
	k := len(c.n)
	return func(items []int) []float64 {
		out := make([]float64, 4*k+numFigs)
		if len(items) == 0 {
			return out
		}
		alpha, beta, before := 0.0, 0.0, 0.0
		for _, i := range items {
			for j, v := range c.proxy[i] {
				out[j] += v
			}
			for j, v := range c.gold[i] {
				out[k+j] += v
			}
			alpha += c.alpha[i]
			beta += c.beta[i]
			before += base.gold[i][k-1]
		}
		n := float64(len(items))
		alpha, beta = alpha/n, beta/n
		for j, d := range c.d {
			out[j] /= n
			out[k+j] /= n
			out[2*k+j] = out[j] - out[k+j]
			out[3*k+j] = d * (alpha - beta*d)
		}
		more := out[4*k:]
		more[figAlpha], more[figBeta], more[figPeak] = alpha, beta, squeeze(peakOf(alpha, beta))
		more[figFall] = out[2*k-1] - out[k+peak]
		more[figDelta] = out[2*k-1] - before/n
		return out
	}
}

// measure computes the figures over all prompts and their intervals.
func (c *curve) measure(base *curve, clusters []dataset.Hash, o OverOptions) (point []float64, ci []eval.Interval) {
	all := make([]int, len(c.gold))
	for i := range all {
		all[i] = i
	}
	point = c.statistic(base, 0)(all)
	at, _ := c.nearest(stretch(point[4*len(c.n)+figPeak]))
	f := c.statistic(base, at)
	return f(all), eval.BootstrapEach(clusters, f, eval.Interval{math.NaN(), math.NaN()}, o.Resamples, o.Seed)
}
