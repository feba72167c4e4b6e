package eval

import (
	"cmp"
	"math"
	"slices"
)

// Bin is one point of a reliability curve: forecasts of like size, their mean,
// and how often what they say came true.
type Bin struct {
	N         int      `json:"n"`
	Low, High Figure   `json:"-"` // least and greatest forecast
	Forecast  Figure   `json:"forecast"`
	Outcome   Figure   `json:"outcome"`
	CI        Interval `json:"ci"` // Wilson's, of Outcome
	square    float64  // mean of the squared outcomes
}

// variance is that of one outcome within the bin: o(1−o) where outcomes are 0 and
// 1.
func (b *Bin) variance() float64 {
	return math.Max(0, b.square-float64(b.Outcome)*float64(b.Outcome))
}

func (b *Bin) gap() float64 { return float64(b.Forecast - b.Outcome) }

// Reliability gives the reliability curve in bins of equal mass, cut and with
// ties shared as [ECE] describes; empty bins are left out. Forecasts and outcomes
// are in [0, 1]; outcomes may be fractional. Nil over nothing and where one is
// NaN.
//
// The interval of a bin takes its outcomes for independent ones: where several
// pairs share a prompt it is too narrow.
func Reliability(forecasts, outcomes []float64, bins int) []Bin {
	ps := binned(forecasts, outcomes)
	n := len(ps)
	if n == 0 || bins < 1 {
		return nil
	}
	var out []Bin
	for k := range bins {
		part := ps[k*n/bins : (k+1)*n/bins]
		if len(part) == 0 {
			continue
		}
		var forecast, outcome, square float64
		for _, p := range part {
			forecast += p.forecast
			outcome += p.outcome
			square += p.square
		}
		m := float64(len(part))
		b := Bin{
			N: len(part), Low: Figure(part[0].forecast), High: Figure(part[len(part)-1].forecast),
			Forecast: Figure(forecast / m), Outcome: Figure(outcome / m), square: square / m,
		}
		b.CI = Wilson(outcome, len(part))
		out = append(out, b)
	}
	return out
}

type forecast struct{ forecast, outcome, square float64 }

// binned sorts forecasts; those that are equal share their mean outcome. It gives
// nil where one is NaN.
func binned(forecasts, outcomes []float64) []forecast {
	ps := make([]forecast, len(forecasts))
	for i := range ps {
		ps[i] = forecast{forecasts[i], outcomes[i], outcomes[i] * outcomes[i]}
	}
	slices.SortFunc(ps, func(a, b forecast) int {
		return cmp.Or(cmp.Compare(a.forecast, b.forecast), cmp.Compare(a.outcome, b.outcome))
	})
	for i := 0; i < len(ps); {
		j, sum, square := i, 0.0, 0.0
		for ; j < len(ps) && ps[j].forecast == ps[i].forecast; j++ {
			sum += ps[j].outcome
			square += ps[j].square
		}
		if j == i { // a NaN equals nothing, itself included
			return nil
		}
		for k := i; k < j; k++ {
			ps[k].outcome, ps[k].square = sum/float64(j-i), square/float64(j-i)
		}
		i = j
	}
	return ps
}

// z95 is the 97.5 % quantile of the normal distribution.
const z95 = 1.959963984540054

// Wilson is Wilson's 95 % score interval (1927) of a share of n independent
// trials; successes may be fractional. [0, 1] over none.
func Wilson(successes float64, n int) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	m, z2 := float64(n), z95*z95
	p := successes / m
	centre := (p + z2/(2*m)) / (1 + z2/m)
	half := z95 * math.Sqrt(math.Max(0, p*(1-p)/m+z2/(4*m*m))) / (1 + z2/m)
	return Interval{math.Max(0, math.Min(p, centre-half)), math.Min(1, math.Max(p, centre+half))}
}

// DebiasedECE is the expected calibration error less an estimate of its upward
// bias (Kumar, Liang and Ma, 2019): were a bin's outcome a draw from a normal
// distribution about what was seen, with gap g and variance v = o(1−o)/n, the
// mean gap would be that of a folded normal,
//
//	E|N(g, v)| = √(2v/π)·exp(−g²/2v) + g·erf(g/√(2v)),
//
// and what that is above |g| is taken away: Σ n_b/n (2|g| − E|N(g, v)|). Bins are
// those of [ECE]. It may fall below 0. It does not take all of the bias: where
// calibration is perfect, 2 − √2 of it, 59 %, are left. [DebiasedSquaredError] has
// none.
func DebiasedECE(confidence, correctness []float64, bins int) float64 {
	bs := Reliability(confidence, correctness, bins)
	if bs == nil {
		return math.NaN()
	}
	sum := 0.0
	for i := range bs {
		g, v := math.Abs(bs[i].gap()), bs[i].variance()/float64(bs[i].N)
		folded := g
		if v > 0 {
			folded = math.Sqrt(2*v/math.Pi)*math.Exp(-g*g/(2*v)) + g*math.Erf(g/math.Sqrt(2*v))
		}
		sum += float64(bs[i].N) * (2*g - folded)
	}
	return sum / float64(len(confidence))
}

// DebiasedSquaredError estimates the mean squared calibration error of the bins
// without bias (Bröcker, 2012; Kumar, Liang and Ma, 2019):
//
//	Σ n_b/n (g_b² − o_b(1−o_b)/(n_b − 1))
//
// It may fall below 0. NaN where a bin has a single forecast.
func DebiasedSquaredError(confidence, correctness []float64, bins int) float64 {
	bs := Reliability(confidence, correctness, bins)
	if bs == nil {
		return math.NaN()
	}
	sum := 0.0
	for i := range bs {
		if bs[i].N < 2 {
			return math.NaN()
		}
		g := bs[i].gap()
		sum += float64(bs[i].N) * (g*g - bs[i].variance()/float64(bs[i].N-1))
	}
	return sum / float64(len(confidence))
}

// BrierParts is a Brier score in parts: Brier = Reliability − Resolution +
// Uncertainty + Within.
type BrierParts struct {
	Brier       Figure `json:"brier"`
	Reliability Figure `json:"reliability"` // Σ n_b/n (f_b − o_b)²: how far forecasts are off; 0 is best
	Resolution  Figure `json:"resolution"`  // Σ n_b/n (o_b − o)²: how far forecasts tell outcomes apart
	Uncertainty Figure `json:"uncertainty"` // variance of the outcomes, which no forecast changes
	// Within is what forecasts vary within their bins, Var(f) − 2 Cov(f, o) there;
	// 0 where all forecasts of a bin are equal.
	Within Figure `json:"within"`
}

// Murphy decomposes the mean of (forecast − outcome)² after Murphy (1973), with
// the term for forecasts that vary within a bin of Stephenson, Coelho and
// Jolliffe (2008). Bins are those of [Reliability].
func Murphy(forecasts, outcomes []float64, bins int) BrierParts {
	nan := Figure(math.NaN())
	bs := Reliability(forecasts, outcomes, bins)
	if bs == nil {
		return BrierParts{nan, nan, nan, nan, nan}
	}
	n := float64(len(forecasts))
	mean := average(outcomes)
	var brier, variance, reliability, resolution float64
	for i, f := range forecasts {
		brier += (f - outcomes[i]) * (f - outcomes[i]) / n
		variance += (outcomes[i] - mean) * (outcomes[i] - mean) / n
	}
	for i := range bs {
		w := float64(bs[i].N) / n
		d := float64(bs[i].Outcome) - mean
		reliability += w * bs[i].gap() * bs[i].gap()
		resolution += w * d * d
	}
	return BrierParts{
		Figure(brier), Figure(reliability), Figure(resolution), Figure(variance),
		Figure(brier - reliability + resolution - variance),
	}
}
