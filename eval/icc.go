package eval

import "math"

// ICC are intraclass correlations: how much of the variance of ratings lies
// between the subjects. One, Agreement and Consistency are of a single rating,
// the others of the mean of all raters. Names are those of Shrout and Fleiss
// (1979) and of McGraw and Wong (1996).
type ICC struct {
	Subjects int `json:"subjects"`
	Raters   int `json:"raters"`
	// One is ICC(1,1): raters are others for each subject.
	One     Figure `json:"one"`
	OneMean Figure `json:"one_mean"`
	// Agreement is ICC(2,1) = ICC(A,1): a rater's severity counts as error.
	Agreement     Figure `json:"agreement"`
	AgreementMean Figure `json:"agreement_mean"`
	// Consistency is ICC(3,1) = ICC(C,1): it does not. ConsistencyMean is
	// Cronbach's α.
	Consistency     Figure `json:"consistency"`
	ConsistencyMean Figure `json:"consistency_mean"`
}

// Intraclass gives the correlations of ratings, ratings[i][j] being the j-th
// rater's, or the j-th repetition's, of subject i, none missing. From the mean
// squares of the two-way table, R between n subjects, C between k raters, E of
// the rest, and W within subjects:
//
//	ICC(1,1) = (R − W)/(R + (k−1)W)                 ICC(1,k) = (R − W)/R
//	ICC(A,1) = (R − E)/(R + (k−1)E + k(C − E)/n)    ICC(A,k) = (R − E)/(R + (C − E)/n)
//	ICC(C,1) = (R − E)/(R + (k−1)E)                 ICC(C,k) = (R − E)/R
//
// They may fall below 0. NaN for fewer than two subjects or raters, for a table
// that is not full, and where all ratings are equal.
func Intraclass(ratings [][]float64) ICC {
	n := len(ratings)
	nan := Figure(math.NaN())
	c := ICC{n, 0, nan, nan, nan, nan, nan, nan}
	if n > 0 {
		c.Raters = len(ratings[0])
	}
	if n < 2 || c.Raters < 2 {
		return c
	}
	k, m := float64(c.Raters), float64(n)
	rows, columns := make([]float64, n), make([]float64, c.Raters)
	mean := 0.0
	for i, row := range ratings {
		if len(row) != c.Raters {
			return c
		}
		for j, x := range row {
			rows[i] += x / k
			columns[j] += x / m
			mean += x / (k * m)
		}
	}
	var between, raters, rest, within float64
	for i, row := range ratings {
		between += k * (rows[i] - mean) * (rows[i] - mean)
		for j, x := range row {
			d := x - rows[i] - columns[j] + mean
			rest += d * d
			within += (x - rows[i]) * (x - rows[i])
		}
	}
	for _, x := range columns {
		raters += m * (x - mean) * (x - mean)
	}
	r, s, e, w := between/(m-1), raters/(k-1), rest/((m-1)*(k-1)), within/(m*(k-1))
	c.One, c.OneMean = Figure((r-w)/(r+(k-1)*w)), Figure((r-w)/r)
	c.Agreement, c.AgreementMean = Figure((r-e)/(r+(k-1)*e+k*(s-e)/m)), Figure((r-e)/(r+(s-e)/m))
	c.Consistency, c.ConsistencyMean = Figure((r-e)/(r+(k-1)*e)), Figure((r-e)/r)
	return c
}
