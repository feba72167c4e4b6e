package label

import (
	"fmt"
	"math"
	"slices"

	"cai/dataset"
)

// Rule is how the judgments of one pair become one label.
type Rule string

// The rules, for weights w_k and, per principle k, the log-odds s₁ and s₂ that
// the first slot wins with reply a first and with b first.
const (
	// LogOdds is P(a) = σ(Σ w_k z_k / Σ w_k) with z_k = (s₁ − s₂)/2: position
	// bias is taken out where it acts, in log-odds.
	LogOdds Rule = "logodds"
	// Mean is P(a) = Σ w_k ½[p_ab(a) + p_ba(a)] / Σ w_k, the rule of RLAIF
	// (Lee et al. 2023, arXiv 2309.00267).
	Mean Rule = "mean"
	// Vote is the weighted share of principles with z_k > 0, ties half.
	Vote Rule = "vote"
)

// ParseRule reads a rule's name.
func ParseRule(s string) (Rule, error) {
	switch r := Rule(s); r {
	case LogOdds, Mean, Vote:
		return r, nil
	}
	return "", fmt.Errorf("aggregate %q is not known: use logodds, mean or vote", s)
}

// Settings are how judgments are read.
type Settings struct {
	Rule Rule
	// MinCoverage is the coverage below which a judgment abstains.
	MinCoverage float64
	// Weights gives each principle's weight. A principle that is not in it is
	// left out.
	Weights map[dataset.Hash]float64
	// OneOrder lets a principle count that was asked in one order only. Its
	// position bias is then unknown and stays in the label.
	OneOrder bool
}

// Part is what one principle says about a pair.
type Part struct {
	Principle dataset.Hash
	P         float64 // that reply a is the better one
	Z         float64 // log-odds of the same, free of position bias
	Bias      float64 // log-odds by which the first slot is favoured; NaN for one order
	SameSlot  bool    // the same slot won in both orders
}

// Label is what the judgments of one pair come to.
type Label struct {
	P      float64 // that reply a is the better one
	Margin float64 // |2P − 1|
	// Bias is the mean position bias in log-odds, positive where the first slot
	// is favoured; NaN where no principle was asked in both orders.
	Bias float64
	// SameSlotRate is the share of principles for which the same slot won in
	// both orders.
	SameSlotRate float64
	Coverage     float64 // the smallest of the judgments that count
	Parts        []Part  // by principle hash
	Abstained    int     // principles left out for coverage or a missing order
}

// slot gathers the samples of one principle in one order.
type slot struct {
	p        float64 // sum of normalised probabilities of the first slot
	n        int
	coverage float64 // smallest that counts
	low      bool    // a judgment was left out for its coverage
}

func (s *slot) add(j *dataset.Judgment, minCoverage float64) {
	if j.Coverage < minCoverage {
		s.low = true
		return
	}
	if s.n == 0 {
		s.coverage = j.Coverage
	}
	s.coverage = min(s.coverage, j.Coverage)
	s.p += sigmoid(j.LogOdds())
	s.n++
}

// Aggregate makes a label of one pair's judgments by one judge. Samples of the
// same question are averaged as probabilities. It reports false where every
// principle abstained. The order of the judgments does not matter.
func Aggregate(js []dataset.Judgment, set Settings) (Label, bool) {
	slots := map[dataset.Hash]*[2]slot{}
	var order []dataset.Hash
	single := map[dataset.Hash]*[2]float64{} // log-odds where there is one sample
	for i := range js {
		j := &js[i]
		if set.Weights[j.Principle] <= 0 {
			continue
		}
		s := slots[j.Principle]
		if s == nil {
			s = new([2]slot)
			slots[j.Principle] = s
			single[j.Principle] = new([2]float64)
			order = append(order, j.Principle)
		}
		o := 0
		if j.Order == dataset.OrderBA {
			o = 1
		}
		s[o].add(j, set.MinCoverage)
		if s[o].n == 1 && j.Coverage >= set.MinCoverage {
			single[j.Principle][o] = j.LogOdds()
		}
	}
	slices.SortFunc(order, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })

	l := Label{Coverage: math.Inf(1)}
	var sum, weight, bias, same float64
	var both int
	for _, k := range order {
		s, lo := slots[k], single[k]
		part := Part{Principle: k}
		var mean float64
		switch {
		case s[0].n > 0 && s[1].n > 0:
			s1, s2 := s[0].logOdds(lo[0]), s[1].logOdds(lo[1])
			part.Z, part.Bias = (s1-s2)/2, (s1+s2)/2
			part.SameSlot = s1*s2 > 0
			mean = (s[0].mean() + 1 - s[1].mean()) / 2
			bias += part.Bias
			both++
			if part.SameSlot {
				same++
			}
		case set.OneOrder && s[0].n > 0:
			part.Z, part.Bias = s[0].logOdds(lo[0]), math.NaN()
			mean = s[0].mean()
		case set.OneOrder && s[1].n > 0:
			part.Z, part.Bias = -s[1].logOdds(lo[1]), math.NaN()
			mean = 1 - s[1].mean()
		default:
			l.Abstained++
			continue
		}
		for _, o := range s {
			if o.n > 0 {
				l.Coverage = min(l.Coverage, o.coverage)
			}
		}
		w := set.Weights[k]
		weight += w
		switch set.Rule {
		case Mean:
			part.P = mean
			sum += w * mean
		case Vote:
			part.P = vote(part.Z)
			sum += w * part.P
		default:
			part.P = sigmoid(part.Z)
			sum += w * part.Z
		}
		l.Parts = append(l.Parts, part)
	}
	if weight == 0 {
		return l, false
	}
	l.P = sum / weight
	if set.Rule == LogOdds || set.Rule == "" {
		l.P = sigmoid(l.P)
	}
	l.Margin = math.Abs(2*l.P - 1)
	l.Bias, l.SameSlotRate = math.NaN(), math.NaN()
	if both > 0 {
		l.Bias, l.SameSlotRate = bias/float64(both), same/float64(both)
	}
	return l, true
}

func (s *slot) mean() float64 { return s.p / float64(s.n) }

// logOdds gives the log-odds of the mean probability. For one sample that is
// the sample's own log-odds, which is exact where the probability is rounded to
// 0 or 1.
func (s *slot) logOdds(single float64) float64 {
	if s.n == 1 {
		return single
	}
	p := s.mean()
	return math.Log(p) - math.Log1p(-p)
}

func vote(z float64) float64 {
	switch {
	case z > 0:
		return 1
	case z < 0:
		return 0
	}
	return 0.5
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// noTie is the log-probability of a tie where the judge was not offered one.
var noTie = math.NaN()
