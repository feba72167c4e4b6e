package eval

import (
	"math"

	"gonum.org/v1/gonum/mathext"

	"cai/dataset"
)

// Paired compares two judges on the same pairs.
type Paired struct {
	N int `json:"n"`
	// FirstAlone and SecondAlone are on how many pairs the one is right and the
	// other is not, or less so.
	FirstAlone  int `json:"first_alone"`
	SecondAlone int `json:"second_alone"`
	// P is McNemar's test, exact and of two sides, PMid its mid-p form, which is
	// less cautious and still rarely errs.
	P    Figure `json:"p"`
	PMid Figure `json:"p_mid"`
	// Delta is the accuracy of the first less that of the second, with a paired
	// bootstrap interval, clustered.
	Delta   Figure   `json:"delta"`
	DeltaCI Interval `json:"delta_ci"`
}

// ComparePaired compares two judges by how right each was on the same pairs, from
// 0 to 1; a pair that one of them has no figure of, NaN, is left out.
//
// P is by McNemar (1947), PMid by Fagerland, Lydersen and Laake (2013): given how
// many pairs tell the judges apart, each is as likely to fall to either, were
// they equally good. Both take pairs for independent ones; where pairs share
// prompts, the interval of Delta is the one to read.
func ComparePaired(first, second []float64, clusters []dataset.Hash, o Options) Paired {
	var deltas []float64
	var in []dataset.Hash
	var p Paired
	for i := range first {
		d := first[i] - second[i]
		if math.IsNaN(d) {
			continue
		}
		deltas, in = append(deltas, d), append(in, clusters[i])
		switch {
		case d > 0:
			p.FirstAlone++
		case d < 0:
			p.SecondAlone++
		}
	}
	p.N = len(deltas)
	exact, mid := McNemar(p.FirstAlone, p.SecondAlone)
	p.P, p.PMid = Figure(exact), Figure(mid)
	p.Delta, p.DeltaCI = Figure(average(deltas)), BootstrapCI(deltas, in, Interval{-1, 1}, o)
	return p
}

// McNemar gives the two-sided p-values of b against c discordant pairs: exact,
// min(1, 2·P(X ≤ min(b, c))) for X binomial of n = b + c and ½, and mid-p,
// 2·P(X ≤ min(b, c)) − P(X = b), or 1 − ½P(X = b) for b = c. Both are 1 where
// nothing is discordant.
func McNemar(b, c int) (exact, mid float64) {
	n, k := float64(b+c), float64(min(b, c))
	if b+c == 0 {
		return 1, 1
	}
	// P(X = k) and P(X ≤ k) = I_½(n − k, k + 1).
	ln := func(x float64) float64 { v, _ := math.Lgamma(x + 1); return v }
	at := math.Exp(ln(n) - ln(k) - ln(n-k) - n*math.Ln2)
	if b == c {
		return 1, 1 - at/2
	}
	below := mathext.RegIncBeta(n-k, k+1, 0.5)
	return math.Min(1, 2*below), 2*below - at
}
