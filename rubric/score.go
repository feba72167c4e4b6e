package rubric

import (
	"math"

	"cai/dataset"
)

// Distribution is the mean of the distributions of the samples whose coverage is
// at least minCoverage, and the smallest coverage of all samples; nil if none
// counts.
func (it *Item) Distribution(minCoverage float64) (p []float64, coverage float64) {
	n := 0.0
	for i := range it.Samples {
		g := &it.Samples[i]
		if i == 0 {
			coverage = g.Coverage
		}
		coverage = min(coverage, g.Coverage)
		if !dataset.Counts(g.Coverage, minCoverage) {
			continue
		}
		if p == nil {
			p = make([]float64, len(g.Distribution))
		}
		n++
		for k, x := range g.Distribution {
			p[k] += (x - p[k]) / n
		}
	}
	return p, coverage
}

// Score is what a reply is worth.
type Score struct {
	// Value is from 0 to 1; NaN where no criterion has a score.
	Value float64
	// SD is the standard deviation of Value as the model sees it: of the
	// distributions over the levels, taken as independent of each other.
	SD float64
	// Vetoed are the criteria whose veto made Value 0.
	Vetoed []string
}

// Total adds up the criteria of a reply. With w_j the weights and c_j, from 0 to
// 1, the expected levels of the criteria that apply, and P the sum of the
// absolute values of those weights that are negative,
//
//	score = (Σ w_j c_j + P) / Σ |w_j|
//
// so that 1 is every good quality in full and no pitfall, and 0 the reverse. With
// no negative weight this is the explicit aggregation of Rubrics as Rewards
// (2507.17746), Σ w_j c_j / Σ w_j. A criterion that does not apply, or has too
// little coverage, counts for nothing. A veto that does not hold makes it 0.
//
// Of a reply asked about as a whole the score is that expected level.
func (r *Result) Total(minCoverage float64) Score {
	s := Score{Value: math.NaN(), SD: math.NaN()}
	var sum, weights, variance float64
	for i := range r.Items {
		it := &r.Items[i]
		p, _ := it.Distribution(minCoverage)
		if p == nil {
			continue
		}
		x, w := dataset.ExpectedLevel(p), 1.0
		if c := it.Criterion; c != nil {
			w = c.Weight
			if c.vetoes(x) {
				s.Vetoed = append(s.Vetoed, c.ID)
			}
		}
		sum += w * x
		if w < 0 {
			sum -= w
		}
		weights += math.Abs(w)
		variance += w * w * spread(p, x)
	}
	if weights > 0 {
		s.Value = min(1, max(0, sum/weights))
		s.SD = math.Sqrt(variance) / weights
	}
	if len(s.Vetoed) > 0 {
		s.Value = 0
		if weights == 0 {
			s.SD = 0
		}
	}
	return s
}

// vetoes tells whether a criterion's score makes the reply's 0.
func (c *Criterion) vetoes(x float64) bool {
	switch {
	case !c.Veto:
		return false
	case c.Pitfall():
		return x > c.Threshold
	}
	return x < c.Threshold
}

// spread is the variance of a level on the scale from 0 to 1.
func spread(p []float64, mean float64) float64 {
	v := 0.0
	for i, x := range p {
		d := float64(i)/float64(len(p)-1) - mean
		v += x * d * d
	}
	return v
}

// PBetter is the probability that the reply of score a is better than that of
// score b if both are spread normally about their values by SD, independently:
// Φ((a − b)/√(SD_a² + SD_b²)).
func PBetter(a, b Score) float64 {
	d, sd := a.Value-b.Value, math.Hypot(a.SD, b.SD)
	switch {
	case d == 0:
		return 0.5
	case sd == 0 && d > 0:
		return 1
	case sd == 0:
		return 0
	}
	return 0.5 * math.Erfc(-d/sd/math.Sqrt2)
}
