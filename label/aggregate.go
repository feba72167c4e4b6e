package label

import (
	"fmt"
	"math"

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
	// Judges gives the weights of the judges that are pooled; nil weighs every
	// judge 1. Per principle, their z, probabilities and biases are averaged
	// over those that count.
	Judges map[dataset.Hash]float64
	// Temperature T > 0 divides the log-odds of a label and of its parts: P is
	// σ(z/T) under [LogOdds] and σ(logit(p)/T) under [Mean]. It never changes
	// which reply wins. 0 is 1. A share of votes has no temperature.
	Temperature float64
	// Map turns the log-odds of a label, once the temperature has, into better
	// ones: a calibration. It must be odd, Map(−z) = −Map(z), since a pair has no
	// order, and never fall. Log-odds may be infinite. nil leaves labels as they
	// are. Parts are not turned: a map is fitted to labels, and what is right for
	// these is too much or too little for a part.
	Map func(z float64) float64
	// Clamp c in (0, ½) holds P of each part within [c, 1−c] before parts are
	// averaged, as Constitutional AI does with c = 0.4 for answers after a chain of
	// thought, which were nearly all certain (Bai et al. 2022, arXiv 2212.08073,
	// section 4.1). 0 is off. It makes everything beyond c the same, so that the
	// order of certainty is lost, and c is taken from nowhere: a Map that was
	// fitted to people's labels keeps the order and says how certain to be. Votes
	// are not clamped.
	Clamp float64
	// OneOrder lets a principle count that was asked in one order only. Its
	// position bias is then unknown and stays in the label.
	OneOrder bool
}

// judge gives a judge's weight.
func (set *Settings) judge(h dataset.Hash) float64 {
	if set.Judges == nil {
		return 1
	}
	return set.Judges[h]
}

// lean is what a voice adds to a label, times its weight: positive for reply a, 0
// for a tie, of the same size when the replies change places. For log-odds it is
// z, for probabilities and votes their distance from ½.
func (set *Settings) lean(v *voice) float64 {
	most := math.Inf(1)
	switch set.Rule {
	case Mean:
		if set.Clamp > 0 {
			most = 0.5 - set.Clamp
		}
		return max(-most, min(most, v.mean-0.5))
	case Vote:
		return vote(v.Z) - 0.5
	}
	if set.Clamp > 0 {
		most = math.Log1p(-set.Clamp) - math.Log(set.Clamp)
	}
	return max(-most, min(most, v.Z))
}

// cool applies the temperature to a probability.
func (set *Settings) cool(p float64) float64 {
	if set.Temperature == 0 || set.Temperature == 1 {
		return p
	}
	return sigmoid((math.Log(p) - math.Log1p(-p)) / set.Temperature)
}

// Part is what one principle says about a pair.
type Part struct {
	Principle dataset.Hash
	P         float64 // that reply a is the better one
	Z         float64 // log-odds of the same, free of position bias
	Bias      float64 // log-odds by which the first slot is favoured; NaN for one order
	SameSlot  bool    // the same slot won in both orders, for most of the judges
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
	Judges       int     // judges of which at least one principle counts
}

// Aggregate makes a label of one pair's judgments. Samples of the same question
// by the same judge are averaged as probabilities. It reports false where every
// principle abstained. The order of the judgments does not matter.
func Aggregate(js []dataset.Judgment, set Settings) (Label, bool) {
	l := Label{Coverage: math.Inf(1)}
	var sum, weight, bias, same float64
	var both int
	judges := map[dataset.Hash]bool{}
	for _, v := range voices(js, &set) {
		w := set.Weights[v.Principle]
		if w <= 0 {
			continue
		}
		if !v.counts() {
			l.Abstained++
			continue
		}
		if !math.IsNaN(v.Bias) {
			bias += v.Bias
			same += v.same
			both++
		}
		l.Coverage = min(l.Coverage, v.coverage)
		weight += w
		lean := set.lean(&v)
		sum += w * lean
		v.P = set.p(lean)
		l.Parts = append(l.Parts, v.Part)
		for _, j := range v.judges {
			judges[j] = true
		}
	}
	if weight == 0 {
		return l, false
	}
	l.Judges = len(judges)
	l.P = set.turn(sum / weight)
	l.Margin = math.Abs(2*l.P - 1)
	l.Bias, l.SameSlotRate = math.NaN(), math.NaN()
	if both > 0 {
		l.Bias, l.SameSlotRate = bias/float64(both), same/float64(both)
	}
	return l, true
}

// p gives the probability that a lean, or a weighted mean of leans, stands for.
func (set *Settings) p(lean float64) float64 {
	switch set.Rule {
	case Vote:
		return 0.5 + lean
	case Mean:
		return set.cool(0.5 + lean)
	}
	if set.Temperature > 0 {
		lean /= set.Temperature
	}
	return sigmoid(lean)
}

// turn gives the probability of a label, through the map.
func (set *Settings) turn(lean float64) float64 {
	if set.Map == nil {
		return set.p(lean)
	}
	if set.Rule == Vote || set.Rule == Mean {
		p := set.p(lean)
		return sigmoid(set.Map(math.Log(p) - math.Log1p(-p)))
	}
	if set.Temperature > 0 {
		lean /= set.Temperature
	}
	return sigmoid(set.Map(lean))
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
