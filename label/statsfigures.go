package label

import (
	"math"

	"cai/dataset"
)

// Figures are what [Stats] come to. Shares and means are NaN over nothing.
type Figures struct {
	Pairs      int64 // with a judgment under one of the principles
	Labels     int64 // of those, with a label
	Principles []PrincipleFigures
}

// PrincipleFigures say how one principle votes.
type PrincipleFigures struct {
	Principle dataset.Hash
	Weight    float64

	Judgments   int64
	Coverage    float64 // mean over judgments
	LowCoverage float64 // share of judgments under the minimum

	Pairs      int64 // with a judgment
	Counted    int64 // of those, pairs on which the principle has a say
	Abstained  int64 // pairs on which it has none for want of coverage
	Incomplete int64 // and for want of an order

	Bias         float64 // mean position bias, log-odds
	SameSlotRate float64
	Strength     float64 // mean |z|

	// Agreement is the share of labels that the principle's own vote agrees
	// with, ties half; AgreementOthers the same for the label that the other
	// principles make without it, which its own vote does not flatter.
	Agreement, AgreementOthers float64
	// Correlation is that of z with the weighted mean of the others' z, about 0.
	Correlation float64

	// Flips counts labels that would be the other way round without the
	// principle, Undecided those that would be a tie or not be there.
	// Decisive is the share of flips among its votes, FlipShare among all
	// labels.
	Flips, Undecided    int64
	Decisive, FlipShare float64
	Examples            []dataset.Hash // pairs that flip, the farthest first

	// Conflicts are those with each principle, itself among them, in the order
	// of NewStats.
	Conflicts []Conflict
}

// Conflict is how often two principles disagree.
type Conflict struct {
	N           int64   // pairs on which both have a say
	Opposite    float64 // share of those on which they vote for different replies
	Correlation float64 // of their z, about 0
}

// Figures gives the figures of what was added so far.
func (s *Stats) Figures() Figures {
	k := len(s.sums)
	out := Figures{Pairs: s.pairs, Labels: s.labels, Principles: make([]PrincipleFigures, k)}
	for h, i := range s.index {
		c := &s.sums[i]
		f := PrincipleFigures{
			Principle: h, Weight: s.set.Weights[h],
			Judgments: c.judgments, Coverage: c.coverage / float64(c.judgments),
			LowCoverage: share(c.lowJudgments, c.judgments),
			Pairs:       c.pairs, Counted: c.counted, Abstained: c.low, Incomplete: c.incomplete,
			Bias: c.bias / float64(c.ordered), SameSlotRate: c.same / float64(c.ordered),
			Strength:        c.strength / float64(c.counted),
			Agreement:       c.agree / float64(c.compared),
			AgreementOthers: c.agreeOthers / float64(c.comparedOthers),
			Correlation:     correlation(c.zr, c.zz, c.rr),
			Flips:           c.flips, Undecided: c.lost,
			Decisive: share(c.flips, c.compared), FlipShare: share(c.flips, s.labels),
			Conflicts: make([]Conflict, k),
		}
		for _, e := range c.examples {
			f.Examples = append(f.Examples, e.pair)
		}
		for j := range k {
			x, y := &s.both[i*k+j], &s.both[j*k+i]
			f.Conflicts[j] = Conflict{N: x.n, Opposite: share(x.opposite, x.n), Correlation: correlation(x.xy, x.xx, y.xx)}
		}
		f.Conflicts[i] = Conflict{N: c.counted, Opposite: 0, Correlation: 1}
		out.Principles[i] = f
	}
	return out
}

func share(n, of int64) float64 { return float64(n) / float64(of) }

// correlation is Σxy / √(Σx² Σy²), NaN where one is always 0.
func correlation(xy, xx, yy float64) float64 {
	if xx == 0 || yy == 0 {
		return math.NaN()
	}
	return math.Max(-1, math.Min(1, xy/math.Sqrt(xx*yy)))
}
