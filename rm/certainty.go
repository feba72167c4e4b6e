package rm

import (
	"math"
	"slices"
)

// Certainty is what validation pairs, which the weights had not seen, say of how
// far a model's margins can be trusted. All margins are in log-odds.
type Certainty struct {
	// Pairs is the number of validation pairs with a clear label. The figures
	// hold for pairs like them.
	Pairs int `json:"pairs"`
	// Conformal has, by level, what makes a set of the replies that may be the
	// better one: split conformal prediction with the nonconformity −y·z, so
	// that on average over pairs like those of training the set holds the better
	// reply at least as often as the level says.
	Conformal []ConformalPoint `json:"conformal"`
	// DontKnow has, by target error, the least margin from which on the
	// validation pairs' error was no more than that.
	DontKnow []DontKnowPoint `json:"dont_know"`
	// Bins are fifths of the validation pairs by the size of their margin.
	Bins []MarginBin `json:"bins"`
}

// ConformalPoint is the set of one level: First is in it where the margin is at
// least −Margin, Second where it is at most Margin. Above 0, margins of a size
// below Margin give sets of both.
type ConformalPoint struct {
	Level  float64 `json:"level"`
	Margin float64 `json:"margin"`
}

// Set tells which of a pair's replies are in the set, by its margin.
func (c ConformalPoint) Set(margin float64) (first, second bool) {
	return margin >= -c.Margin, margin <= c.Margin
}

// DontKnowPoint is a margin below which to say "I don't know". Share is how
// much of the validation pairs was left to be judged; where not even the largest
// margins were that good, Share is 0 and Margin larger than any.
type DontKnowPoint struct {
	Error  float64 `json:"error"`
	Margin float64 `json:"margin"`
	Share  float64 `json:"share"`
}

// MarginBin is the accuracy of pairs whose margins have a size from Margin up to
// that of the next bin.
type MarginBin struct {
	Margin   float64 `json:"margin"`
	Pairs    int     `json:"pairs"`
	Accuracy float64 `json:"accuracy"`
}

// The levels and errors of which a model file tells.
var (
	conformalLevels = []float64{0.8, 0.9, 0.95}
	dontKnowErrors  = []float64{0.05, 0.1, 0.15, 0.2, 0.25}
)

// numBins is the number of Certainty.Bins.
const numBins = 5

// minCertainty is the least number of clear validation pairs: fewer cannot tell
// of a level of 0.95.
const minCertainty = 20

// newCertainty makes the figures of margins z and labels p; nil where there are
// too few.
func newCertainty(z, p []float64) *Certainty {
	var s []float64 // y·z
	for i := range z {
		switch {
		case p[i] > 0.5:
			s = append(s, z[i])
		case p[i] < 0.5:
			s = append(s, -z[i])
		}
	}
	n := len(s)
	if n < minCertainty {
		return nil
	}
	c := &Certainty{Pairs: n}
	slices.Sort(s)
	for _, level := range conformalLevels {
		// The ⌈(n + 1)·level⌉-th smallest of the −y·z.
		k := min(n, int(math.Ceil(float64(n+1)*level-1e-9)))
		c.Conformal = append(c.Conformal, ConformalPoint{level, -s[n-k]})
	}
	// From the largest margins down.
	slices.SortFunc(s, func(a, b float64) int {
		switch x, y := math.Abs(a), math.Abs(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		case a < b: // of equal sizes the wrong ones first: no threshold parts them
			return -1
		case a > b:
			return 1
		}
		return 0
	})
	for _, target := range dontKnowErrors {
		d := DontKnowPoint{Error: target, Margin: 2 * math.Max(1, math.Abs(s[0]))}
		wrong := 0.0
		for i, v := range s {
			wrong += 1 - right(v)
			last := i == n-1 || math.Abs(s[i+1]) < math.Abs(v)
			if last && wrong <= target*float64(i+1) {
				d.Margin, d.Share = math.Abs(v), float64(i+1)/float64(n)
			}
		}
		c.DontKnow = append(c.DontKnow, d)
	}
	for b := range numBins {
		part := s[n*(numBins-1-b)/numBins : n*(numBins-b)/numBins]
		bin := MarginBin{Margin: math.Abs(part[len(part)-1]), Pairs: len(part)}
		for _, v := range part {
			bin.Accuracy += right(v) / float64(len(part))
		}
		c.Bins = append(c.Bins, bin)
	}
	c.Bins[0].Margin = 0
	return c
}

// right is 1 where the signed margin y·z tells the label, half at 0.
func right(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v == 0:
		return 0.5
	}
	return 0
}

// At gives the set's margins of a level; ok tells whether there are any.
func (c *Certainty) At(level float64) (p ConformalPoint, ok bool) {
	if c != nil {
		for _, p := range c.Conformal {
			if p.Level == level {
				return p, true
			}
		}
	}
	return p, false
}

// Coverage is how conformal sets did on labelled pairs. The shares are of N, the
// pairs with a clear label; SingleAccuracy is of the sets of one.
type Coverage struct {
	Level          float64 `json:"level"`
	N              int     `json:"n"`
	Covered        float64 `json:"coverage"`
	Single         float64 `json:"single"`
	SingleAccuracy float64 `json:"single_accuracy"`
}

// Cover counts how the point's sets do on pairs with margins z and labels p.
func (c ConformalPoint) Cover(z, p []float64) Coverage {
	out := Coverage{Level: c.Level}
	covered, single, rightSingle := 0.0, 0.0, 0.0
	for i := range z {
		if p[i] == 0.5 || math.IsNaN(p[i]) {
			continue
		}
		out.N++
		first, second := c.Set(z[i])
		holds := first
		if p[i] < 0.5 {
			holds = second
		}
		if holds {
			covered++
		}
		if first != second {
			single++
			if holds {
				rightSingle++
			}
		}
	}
	if out.N > 0 {
		out.Covered, out.Single = covered/float64(out.N), single/float64(out.N)
	}
	if single > 0 {
		out.SingleAccuracy = rightSingle / single
	}
	return out
}
