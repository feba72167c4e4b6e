package eval

import "math"

// Prevalence is a rate that a judge reported, corrected for the judge's errors.
type Prevalence struct {
	Apparent    Figure `json:"apparent"`    // the rate as judged
	Sensitivity Figure `json:"sensitivity"` // share of the gold's positives that the judge calls so
	Specificity Figure `json:"specificity"` // share of its negatives
	// Estimate is the corrected rate, NaN where the judge is no better than chance.
	Estimate Figure   `json:"estimate"`
	CI       Interval `json:"ci"`
}

// Counted is how many of a number of trials came out as named.
type Counted struct{ K, N int }

func (c Counted) share() float64 { return float64(c.K) / float64(c.N) }

// RoganGladen corrects the rate of positive verdicts by the judge's sensitivity
// and specificity on gold labels (Rogan and Gladen, 1978):
//
//	θ = (p + specificity − 1)/(sensitivity + specificity − 1), cut to [0, 1]
//
// positive counts the judge's positive verdicts of all, sensitive those of the
// gold's positives, specific its negative verdicts of the gold's negatives. The
// interval, of 95 %, is that of Lang and Reiczigel (2014), which counts the
// uncertainty of all three; it takes items for independent ones. Where
// sensitivity + specificity ≤ 1 nothing can be said: the estimate is NaN and the
// interval [0, 1].
func RoganGladen(positive, sensitive, specific Counted) Prevalence {
	p := Prevalence{
		Apparent: Figure(positive.share()), Sensitivity: Figure(sensitive.share()), Specificity: Figure(specific.share()),
		Estimate: Figure(math.NaN()), CI: Interval{0, 1},
	}
	youden := float64(p.Sensitivity + p.Specificity - 1)
	if !(youden > 0) || positive.N == 0 {
		return p
	}
	unit := func(x float64) float64 { return math.Max(0, math.Min(1, x)) }
	p.Estimate = Figure(unit((float64(p.Apparent+p.Specificity) - 1) / youden))

	// Adjusted counts, as of z²/2 more successes and failures, or of one of each.
	z2 := z95 * z95
	n, n1, n0 := float64(positive.N)+z2, float64(sensitive.N)+2, float64(specific.N)+2
	rate := (float64(positive.K) + z2/2) / n
	se, sp := (float64(sensitive.K)+1)/n1, (float64(specific.K)+1)/n0
	j := se + sp - 1
	if j <= 0 {
		return p
	}
	theta := (rate + sp - 1) / j
	vSe, vSp := se*(1-se)/n1, sp*(1-sp)/n0
	sd := math.Sqrt(rate*(1-rate)/n+vSe*theta*theta+vSp*(1-theta)*(1-theta)) / j
	shift := 2 * z2 * (theta*vSe - (1-theta)*vSp)
	p.CI = Interval{unit(theta + shift - z95*sd), unit(theta + shift + z95*sd)}
	return p
}
