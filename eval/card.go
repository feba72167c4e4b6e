package eval

import (
	"math"
	"unicode/utf8"

	"cai/dataset"
)

// Trial is a pair that people judged and what a judge made of it. P, Votes and Z
// speak of the pair's first reply.
type Trial struct {
	Pair *dataset.Pair
	Z    float64 // the judge's log-odds that the first reply is better; NaN where it abstains
	// Bias is the position bias in log-odds, and SameSlot the share of questions
	// in which one slot won both orders; NaN where one order alone was asked.
	Bias, SameSlot float64
	Coverage       float64 // smallest of the judgments; NaN where unknown
	// Repeats is how often the pair was judged again, Flips how often another
	// reply won then.
	Repeats, Flips int
	Seconds        float64 // that the judgments took
}

// Card is what a judge is worth by people's labels, on their pairs. The package
// comment defines the figures that it shares with [Set]; κ, [Prevalence] and the
// log loss take the pairs in the order in which they are given.
type Card struct {
	Set
	Abstained int `json:"abstained"` // pairs without an answer of the judge
	// Kappa is Cohen's κ with the side that most votes go to, over the pairs of
	// the accuracy; WeightedKappa, of quadratic weights, has the gold's ties as a
	// class between the sides, over these as well.
	Kappa           Figure   `json:"kappa"`
	KappaCI         Interval `json:"kappa_ci"`
	WeightedKappa   Figure   `json:"weighted_kappa"`
	WeightedKappaCI Interval `json:"weighted_kappa_ci"`
	// AlphaPeople is Krippendorff's α, nominal, of the annotators among
	// themselves, and Alpha with the judge as one more; null where nobody voted
	// beside another.
	Alpha       Figure    `json:"alpha"`
	AlphaCI     *Interval `json:"alpha_ci,omitempty"`
	AlphaPeople Figure    `json:"alpha_people"`
	// HumanCeiling is the mean agreement of an annotator with the majority of the
	// others, null for one annotator; Ceiling has the judge beside it.
	HumanCeiling Figure   `json:"human_ceiling"`
	Ceiling      *Ceiling `json:"ceiling,omitempty"`

	Bins int `json:"ece_bins"`
	// Calibration is that of the judge's own log-odds; Maps are the maps fitted
	// to the gold, with figures out of fold. Chosen names the better one, and
	// Temperature is T of σ(z/T).
	Calibration Quality              `json:"calibration"`
	Maps        map[string]FittedMap `json:"maps"`
	Chosen      string               `json:"map"`
	Temperature Figure               `json:"temperature"`

	PositionBias   Figure   `json:"position_bias"` // mean, log-odds
	PositionBiasCI Interval `json:"position_bias_ci"`
	SameSlotRate   Figure   `json:"same_slot_rate"`
	SameSlotCI     Interval `json:"same_slot_ci"`
	// LengthBias is the effect of one SD of the length difference on the judge's
	// choice, in log-odds, with the gold held fixed.
	LengthBias   Figure     `json:"length_bias"`
	LengthDetail LengthBias `json:"length_detail"`
	// FlipRate is the share of repetitions that another reply won.
	FlipRate Figure   `json:"flip_rate"`
	FlipCI   Interval `json:"flip_ci"`
	Repeats  int      `json:"repeats"`
	Coverage Figure   `json:"coverage"` // mean
	Seconds  Figure   `json:"seconds_per_pair"`
	// Prevalence is how often the first reply wins by the judge, corrected. On the
	// gold itself that is the gold's own rate; see [Card.Rate].
	Prevalence          Prevalence `json:"prevalence"`
	sensitive, specific Counted
}

// Rate corrects how often a side wins on pairs without labels, k of n by the
// judge, for the errors that it makes on the gold. The gold's sides are in an
// arbitrary order, and so sensitivity and specificity are those of either side.
func (c *Card) Rate(k, n int) Prevalence { return RoganGladen(Counted{k, n}, c.sensitive, c.specific) }

// Quality says how well probabilities are calibrated.
type Quality struct {
	LogLoss     Figure     `json:"log_loss"`
	LogLossCI   Interval   `json:"log_loss_ci"`
	Brier       Figure     `json:"brier"`
	BrierParts  BrierParts `json:"brier_parts"` // of P(first) against the gold, in ECEBins bins
	ECE         Figure     `json:"ece"`
	ECECI       Interval   `json:"ece_ci"`
	ECEDebiased Figure     `json:"ece_debiased"`
	Reliability []Bin      `json:"reliability"` // of the confidence in the side that was picked
}

// FittedMap is a map of log-odds fitted to gold.
type FittedMap struct {
	Map Calibration `json:"params"` // fitted to all pairs
	Quality
}

// The names of maps.
const (
	MapTemperature = "temperature"
	MapIsotonic    = "isotonic"
)

// gold is the trials that count, column by column.
type gold struct {
	trials   []Trial
	z, p     []float64
	clusters []dataset.Hash
}

// Calibrate measures a judge. Intervals are clustered by prompt.
func Calibrate(name string, trials []Trial, o Options) Card {
	var results []Result
	all, counted := &gold{}, &gold{}
	c := Card{Bins: ECEBins}
	for _, t := range trials {
		if math.IsNaN(t.Z) {
			c.Abstained++
			continue
		}
		cluster := t.Pair.Prompt.Key()
		results = append(results, Result{t.Pair, Comparison{Margin: t.Z}})
		all.add(t, cluster)
		if skipLabel(t.Pair.P) == "" {
			counted.add(t, cluster)
		}
	}
	c.Set = Evaluate(name, results, o)
	c.agreement(all, counted, o)
	c.calibration(counted, o)
	c.biases(all, counted, o)
	return c
}

func (g *gold) add(t Trial, cluster dataset.Hash) {
	g.trials = append(g.trials, t)
	g.z, g.p = append(g.z, t.Z), append(g.p, t.Pair.P)
	g.clusters = append(g.clusters, cluster)
}

// sides gives the classes 0 second, 1 tie, 2 first.
func sides(p []float64, of func(float64) float64) []int {
	out := make([]int, len(p))
	for i, x := range p {
		switch VoteOf(of(x)) {
		case VoteFirst:
			out[i] = 2
		case VoteTie:
			out[i] = 1
		}
	}
	return out
}

func same(x float64) float64 { return x }

func pick[T any](v []T, items []int) []T {
	out := make([]T, len(items))
	for i, k := range items {
		out[i] = v[k]
	}
	return out
}

var signed = Interval{-1, 1}

func (c *Card) agreement(all, counted *gold, o Options) {
	judge, people := sides(counted.z, Sigmoid), sides(counted.p, same)
	c.Kappa = Figure(Kappa(judge, people))
	c.KappaCI = BootstrapOf(counted.clusters, func(items []int) float64 {
		return Kappa(pick(judge, items), pick(people, items))
	}, signed, o)
	labelled := all.where(func(t *Trial) bool { return !math.IsNaN(t.Pair.P) })
	judge3, people3 := sides(labelled.z, Sigmoid), sides(labelled.p, same)
	c.WeightedKappa = Figure(WeightedKappa(judge3, people3, 3, 2))
	c.WeightedKappaCI = BootstrapOf(labelled.clusters, func(items []int) float64 {
		return WeightedKappa(pick(judge3, items), pick(people3, items), 3, 2)
	}, signed, o)

	nan := Figure(math.NaN())
	c.Alpha, c.AlphaPeople, c.HumanCeiling = nan, nan, nan
	voted := all.where(func(t *Trial) bool { return len(t.Pair.Votes) > 0 })
	if len(voted.trials) == 0 {
		return
	}
	votes := make([][]Vote, len(voted.trials)) // by item and annotator
	units := make([][]Vote, len(voted.trials)) // the same without gaps
	with := make([][]Vote, len(voted.trials))
	own := make([]Vote, len(voted.trials))
	for i, t := range voted.trials {
		own[i] = VoteOf(Sigmoid(t.Z))
		for _, p := range t.Pair.Votes {
			v := VoteOf(p)
			votes[i] = append(votes[i], v)
			if v != NoVote {
				units[i] = append(units[i], v)
			}
		}
		with[i] = append([]Vote{own[i]}, units[i]...)
	}
	c.Alpha, c.AlphaPeople = Figure(Alpha(with)), Figure(Alpha(units))
	ci := BootstrapOf(voted.clusters, func(items []int) float64 { return Alpha(pick(with, items)) }, signed, o)
	c.AlphaCI = &ci
	ceiling := HumanCeiling(votes, own, voted.clusters, o)
	c.Ceiling, c.HumanCeiling = &ceiling, ceiling.Human
}

func (g *gold) where(keep func(*Trial) bool) *gold {
	out := &gold{}
	for i := range g.trials {
		if keep(&g.trials[i]) {
			out.add(g.trials[i], g.clusters[i])
		}
	}
	return out
}

func (c *Card) calibration(g *gold, o Options) {
	c.Calibration = quality(g.z, g, o)
	c.Maps = map[string]FittedMap{}
	for name, fit := range map[string]func(z, p []float64) Calibration{
		MapTemperature: func(z, p []float64) Calibration { return FitTemperature(z, p) },
		MapIsotonic:    func(z, p []float64) Calibration { return FitIsotonic(z, p) },
	} {
		c.Maps[name] = FittedMap{fit(g.z, g.p), quality(CrossFit(g.z, g.p, g.clusters, fit), g, o)}
	}
	c.Chosen = MapTemperature
	if c.Maps[MapIsotonic].LogLoss < c.Maps[MapTemperature].LogLoss {
		c.Chosen = MapIsotonic
	}
	c.Temperature = Figure(1 / c.Maps[MapTemperature].Map.(Temperature).Slope)
}

// quality measures log-odds against the gold.
func quality(z []float64, g *gold, o Options) Quality {
	conf, corr := make([]float64, len(z)), make([]float64, len(z))
	first, loss := make([]float64, len(z)), make([]float64, len(z))
	for i, m := range z {
		conf[i], corr[i] = confidence(m, g.p[i])
		first[i], loss[i] = Sigmoid(clamp(m)), logLoss(m, g.p[i])
	}
	return Quality{
		LogLoss:    Figure(average(loss)),
		LogLossCI:  BootstrapCI(loss, g.clusters, Interval{0, MaxLogOdds}, o),
		Brier:      Figure(Brier(z, g.p)),
		BrierParts: Murphy(first, g.p, ECEBins),
		ECE:        Figure(ECE(conf, corr, ECEBins)),
		ECECI: BootstrapOf(g.clusters, func(items []int) float64 {
			return ECE(pick(conf, items), pick(corr, items), ECEBins)
		}, Interval{0, 1}, o),
		ECEDebiased: Figure(DebiasedECE(conf, corr, ECEBins)),
		Reliability: Reliability(conf, corr, ECEBins),
	}
}

// confidence gives the probability of the side that log-odds pick, and what the
// label gives to that side.
func confidence(m, p float64) (conf, corr float64) {
	conf, corr = Sigmoid(math.Abs(clamp(m))), 0.5
	switch {
	case m > 0:
		corr = p
	case m < 0:
		corr = 1 - p
	}
	return conf, corr
}

func (c *Card) biases(all, counted *gold, o Options) {
	var bias, slot, coverage, seconds []float64
	var in []dataset.Hash
	flips := 0
	for i, t := range all.trials {
		if !math.IsNaN(t.Bias) {
			bias, slot, in = append(bias, t.Bias), append(slot, t.SameSlot), append(in, all.clusters[i])
		}
		if !math.IsNaN(t.Coverage) {
			coverage = append(coverage, t.Coverage)
		}
		seconds = append(seconds, t.Seconds)
		c.Repeats += t.Repeats
		flips += t.Flips
	}
	c.PositionBias = Figure(average(bias))
	c.PositionBiasCI = BootstrapCI(bias, in, Interval{-MaxLogOdds, MaxLogOdds}, o)
	c.SameSlotRate = Figure(average(slot))
	c.SameSlotCI = BootstrapCI(slot, in, Interval{0, 1}, o)
	c.Coverage, c.Seconds = Figure(average(coverage)), Figure(average(seconds))
	c.FlipRate = Figure(float64(flips) / float64(c.Repeats))
	c.FlipCI = Wilson(float64(flips), c.Repeats)

	choices, lengths := make([]float64, len(counted.z)), make([]float64, len(counted.z))
	var positive, sensitive, specific Counted
	for i, t := range counted.trials {
		choices[i] = vote(t.Z)
		lengths[i] = float64(utf8.RuneCountInString(t.Pair.First.Text) - utf8.RuneCountInString(t.Pair.Second.Text))
		won := t.Z > 0
		positive.add(won)
		if t.Pair.P > 0.5 {
			sensitive.add(won)
		} else {
			specific.add(!won)
		}
	}
	c.LengthDetail = MeasureLengthBias(choices, counted.p, lengths, counted.clusters)
	c.LengthBias = c.LengthDetail.Beyond.Estimate
	c.sensitive, c.specific = sensitive, specific
	c.Prevalence = c.Rate(positive.K, positive.N)
}

func (c *Counted) add(yes bool) {
	c.N++
	if yes {
		c.K++
	}
}

// vote is 1 where log-odds are for the first reply, ½ where they are for none.
func vote(z float64) float64 {
	switch {
	case z > 0:
		return 1
	case z < 0:
		return 0
	}
	return 0.5
}

// CompareTrials compares two judges on the pairs that both have judged, by how
// right each was.
func CompareTrials(first, second []Trial, o Options) Paired {
	var a, b []float64
	in := both(first, second, func(x, y *Trial) {
		a, b = append(a, Correct(x.Z, x.Pair.P)), append(b, Correct(y.Z, y.Pair.P))
	})
	return ComparePaired(a, b, in, o)
}

// AgreeTrials gives the share of pairs for which two judges prefer the same
// reply, those left out for which one has no preference.
func AgreeTrials(first, second []Trial, o Options) (Figure, Interval) {
	var same []float64
	var in []dataset.Hash
	prompts := both(first, second, func(x, y *Trial) {
		if agree := x.Z * y.Z; agree > 0 {
			same = append(same, 1)
		} else if agree < 0 {
			same = append(same, 0)
		} else {
			same = append(same, math.NaN())
		}
	})
	kept := same[:0]
	for i, s := range same {
		if !math.IsNaN(s) {
			kept, in = append(kept, s), append(in, prompts[i])
		}
	}
	return Figure(average(kept)), BootstrapCI(kept, in, Interval{0, 1}, o)
}

// both calls f for the pairs that both have judged, and gives their prompts.
func both(first, second []Trial, f func(x, y *Trial)) (prompts []dataset.Hash) {
	at := map[dataset.Hash]int{}
	for i := range second {
		at[second[i].Pair.Key().Hash] = i
	}
	for i := range first {
		if k, ok := at[first[i].Pair.Key().Hash]; ok {
			f(&first[i], &second[k])
			prompts = append(prompts, first[i].Pair.Prompt.Key())
		}
	}
	return prompts
}
