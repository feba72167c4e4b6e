package cli

import (
	"math"

	"cai/eval"
	"cai/label"
)

// report measures the jury. bootstrap is the number of resamples for the weights.
func (t *court) report(bootstrap int) juryJSON {
	out := juryJSON{
		Pairs: len(t.truth), Gold: t.golds(), Identified: t.blind.Identified,
		Agreement: []agreementJSON{}, Juries: []juryRowJSON{}, Disputed: []disputeJSON{},
	}
	prompts := map[string]bool{}
	for _, p := range t.prompts {
		prompts[string(p[:])] = true
	}
	out.Prompts = len(prompts)
	if !t.blind.Identified {
		out.Why = unidentified(len(t.judges))
	}
	out.Judges = t.jurors(bootstrap)
	t.without(out.Judges)
	t.agreement(&out)
	t.compare(&out)
	t.keepDisputes()
	for i := range t.disputes {
		out.Disputed = append(out.Disputed, t.disputes[i].disputeJSON)
	}
	return out
}

// jurors says what is known of each judge alone.
func (t *court) jurors(bootstrap int) []jurorJSON {
	k := len(t.judges)
	const most = 1_000_000 // pairs in all resamples
	n := min(bootstrap, max(200, most/len(t.truth)))
	cis := eval.BootstrapEach(t.prompts, func(items []int) []float64 {
		leans, labels := t.some(items)
		votes, blind, gold := eval.JuryOfVotes(leans), eval.JuryOfMargins(leans), eval.JuryOfGold(leans, labels)
		out := append(append([]float64{}, votes.Accuracy...), blind.Weights...)
		return append(out, gold.Weights...)
	}, eval.Interval{0, math.Inf(1)}, n, t.options.Seed)
	nan := eval.Figure(math.NaN())
	out := make([]jurorJSON, k)
	for i, j := range t.judges {
		s := &t.sums[i]
		o := &out[i]
		*o = jurorJSON{
			ID: j.Hash, Model: j.Model, Mode: j.Mode, Shape: shapeText(j.Template), Pairs: s.pairs,
			SameSlot: eval.Figure(s.same / float64(s.both)), Bias: eval.Figure(s.bias / float64(s.both)),
			Seconds:   eval.Figure(s.time / float64(s.pairs)),
			Estimated: nan, EstimatedCI: eval.Interval{0.5, 1}, Weight: nan, WeightCI: noWeight, GoldWeight: nan, GoldWeightCI: noWeight,
		}
		right := t.right(t.leans[i])
		prompts := t.prompts[:0:0]
		var known []float64
		for p, r := range right {
			if !math.IsNaN(r) {
				known, prompts = append(known, r), append(prompts, t.prompts[p])
			}
		}
		o.Gold = len(known)
		o.Accuracy = eval.Figure(eval.Accuracy(t.clean(t.leans[i])))
		o.AccuracyCI = eval.BootstrapCI(known, prompts, eval.Interval{0, 1}, t.options)
		if t.votes.Identified {
			o.Estimated, o.EstimatedCI = eval.Figure(t.votes.Accuracy[i]), finite(cis[i])
		}
		if t.blind.Identified {
			o.Weight, o.WeightCI = eval.Figure(t.blind.Weights[i]), finite(cis[k+i])
		}
		if t.golds() > 0 {
			o.GoldWeight, o.GoldWeightCI = eval.Figure(t.gold.Weights[i]), finite(cis[2*k+i])
		}
	}
	return out
}

// noWeight is the interval of a weight of which nothing is known.
var noWeight = eval.Interval{0, eval.MaxLogOdds}

// finite keeps an interval of weights within what JSON can hold.
func finite(i eval.Interval) eval.Interval {
	return eval.Interval{min(i[0], eval.MaxLogOdds), min(i[1], eval.MaxLogOdds)}
}

// some are the leans and labels of some pairs.
func (t *court) some(items []int) (leans [][]float64, labels []float64) {
	leans = make([][]float64, len(t.leans))
	labels = make([]float64, len(items))
	for k := range leans {
		leans[k] = make([]float64, len(items))
		for i, p := range items {
			leans[k][i] = t.leans[k][p]
		}
	}
	for i, p := range items {
		labels[i] = t.truth[p]
	}
	return leans, labels
}

// clean leaves out the pairs without a margin.
func (t *court) clean(margins []float64) (m, labels []float64) {
	for i, z := range margins {
		if !math.IsNaN(z) {
			m, labels = append(m, z), append(labels, t.truth[i])
		}
	}
	return m, labels
}

// right is how right margins are, by pair: NaN where the sources say nothing, or
// the margins.
func (t *court) right(margins []float64) []float64 {
	out := make([]float64, len(margins))
	for i, z := range margins {
		out[i] = eval.Correct(z, t.truth[i])
	}
	return out
}

// equal is the pool in log-odds, over the judges that are not left out: the mean
// of what they say by the rule.
func (t *court) equal(out int) []float64 {
	margins := make([]float64, len(t.truth))
	for i := range margins {
		sum, n := 0.0, 0.0
		for k := range t.leans {
			if x := t.leans[k][i]; k != out && !math.IsNaN(x) {
				sum += x
				n++
			}
		}
		margins[i] = t.logOdds(sum / n)
	}
	return margins
}

// logOdds turns what the rule averages into log-odds.
func (t *court) logOdds(lean float64) float64 {
	if t.rule == label.Mean {
		return logit(0.5 + lean)
	}
	return lean
}

// ofJury are a jury's log-odds; a judge that is left out adds nothing.
func (t *court) ofJury(j *eval.Jury, out int) []float64 {
	leans := t.leans
	if out >= 0 {
		leans = append([][]float64{}, leans...)
		leans[out] = make([]float64, len(t.truth))
	}
	margins := make([]float64, len(t.truth))
	for i := range margins {
		margins[i] = j.Margin(leans, i)
	}
	return margins
}

// ofGold are the log-odds of the jury that gold weighs, out of fold.
func (t *court) ofGold(out int) []float64 {
	leans := t.leans
	if out >= 0 {
		leans = append(append([][]float64{}, leans[:out]...), leans[out+1:]...)
	}
	return eval.CrossFitJury(leans, t.truth, t.prompts)
}

// without says what each judge adds.
func (t *court) without(out []jurorJSON) {
	whole := t.equal(-1)
	if t.blind.Identified {
		whole = t.ofJury(t.blind, -1)
	}
	var equal, gold []float64
	if t.golds() > 0 {
		equal, gold = t.right(t.equal(-1)), t.right(t.ofGold(-1))
	}
	for k := range out {
		w := &out[k].Without
		rest := t.equal(k)
		if t.blind.Identified {
			rest = t.ofJury(t.blind, k)
		}
		var certainty, flips, n float64
		for i := range whole {
			if math.IsNaN(whole[i]) {
				continue
			}
			n++
			if math.IsNaN(rest[i]) { // nobody else has a say
				rest[i] = 0
			}
			certainty += eval.Sigmoid(math.Abs(whole[i])) - eval.Sigmoid(math.Abs(rest[i]))
			switch {
			case whole[i]*rest[i] < 0:
				flips++
			case (whole[i] == 0) != (rest[i] == 0):
				flips += 0.5
			}
		}
		w.Certainty, w.Flips = eval.Figure(certainty/n), eval.Figure(flips/n)
		if equal == nil {
			continue
		}
		e := eval.ComparePaired(equal, t.right(t.equal(k)), t.prompts, t.options)
		g := eval.ComparePaired(gold, t.right(t.ofGold(k)), t.prompts, t.options)
		w.Equal, w.Gold = &e, &g
	}
}

// agreement compares each two judges.
func (t *court) agreement(out *juryJSON) {
	for k := range t.leans {
		for l := range k {
			a := agreementJSON{A: t.judges[l].Hash, B: t.judges[k].Hash, Errors: eval.Figure(math.NaN())}
			kappa, n := eval.VoteKappa(t.leans[l], t.leans[k])
			a.Kappa, a.N = eval.Figure(kappa), n
			switch {
			case out.Gold > 0:
				first, second := t.errors(l, k)
				x := eval.Accuracy(first, t.ones(first))
				y := eval.Accuracy(second, t.ones(second))
				a.Errors, a.By = eval.Figure(eval.ErrorCorrelation(first, second, x, y)), "gold"
			case t.votes.Identified && len(t.judges) > 3:
				a.Errors = eval.Figure(eval.ErrorCorrelation(t.leans[l], t.leans[k], t.votes.Accuracy[l], t.votes.Accuracy[k]))
				a.By = "votes"
			}
			if !a.Errors.Defined() {
				a.By = ""
			}
			out.Agreement = append(out.Agreement, a)
		}
	}
}

// errors gives what two judges say of the pairs that both answer and that have
// gold, turned so that the right reply is the first.
func (t *court) errors(k, l int) (first, second []float64) {
	for i, p := range t.truth {
		x, y := t.leans[k][i], t.leans[l][i]
		if math.IsNaN(eval.Correct(0, p)) || math.IsNaN(x+y) {
			continue
		}
		if p < 0.5 {
			x, y = -x, -y
		}
		first, second = append(first, x), append(second, y)
	}
	return first, second
}

func (t *court) ones(like []float64) []float64 {
	out := make([]float64, len(like))
	for i := range out {
		out[i] = 1
	}
	return out
}

// compare holds judges and juries against gold, over the pairs with gold that all
// judges answer.
func (t *court) compare(out *juryJSON) {
	if out.Gold == 0 {
		return
	}
	shared := make([]bool, len(t.truth))
	for i, p := range t.truth {
		shared[i] = !math.IsNaN(eval.Correct(0, p))
		for k := range t.leans {
			shared[i] = shared[i] && !math.IsNaN(t.leans[k][i])
		}
		if shared[i] {
			out.Compared++
		}
	}
	if out.Compared == 0 {
		return
	}
	type system struct {
		row     juryRowJSON
		margins []float64
	}
	var all []system
	for k := range t.judges {
		margins := make([]float64, len(t.truth))
		for i := range margins {
			margins[i] = t.logOdds(t.leans[k][i])
		}
		all = append(all, system{juryRowJSON{Name: t.judges[k].Model, Judge: &t.judges[k].Hash}, margins})
	}
	all = append(all, system{juryRowJSON{Name: "equal pool"}, t.equal(-1)})
	if t.votes.Identified {
		all = append(all, system{juryRowJSON{Name: "dawid-skene, votes"}, t.ofJury(t.votes, -1)})
	}
	if t.blind.Identified {
		all = append(all, system{juryRowJSON{Name: juryDawidSkene}, t.ofJury(t.blind, -1)})
	}
	all = append(all, system{juryRowJSON{Name: "gold, out of fold"}, t.ofGold(-1)})
	rights := make([][]float64, len(all))
	best := 0
	for s := range all {
		for i := range shared {
			if !shared[i] {
				all[s].margins[i] = math.NaN()
			}
		}
		rights[s] = t.right(all[s].margins)
		t.measure(&all[s].row, all[s].margins)
		if s < len(t.judges) && all[s].row.Accuracy > all[best].row.Accuracy {
			best = s
		}
	}
	out.Best = shortID(t.judges[best].Hash)
	pool := len(t.judges)
	for s := range all {
		if s != pool {
			p := eval.ComparePaired(rights[s], rights[pool], t.prompts, t.options)
			all[s].row.AgainstEqual = &p
		}
		if s != best {
			p := eval.ComparePaired(rights[s], rights[best], t.prompts, t.options)
			all[s].row.AgainstBest = &p
		}
		out.Juries = append(out.Juries, all[s].row)
	}
	out.Baselines = map[string]eval.Figure{}
	for name, right := range t.nulls {
		sum := 0.0
		for i := range shared {
			if shared[i] {
				sum += right[i]
			}
		}
		out.Baselines[name] = eval.Figure(sum / float64(out.Compared))
	}
}

// measure fills in the figures of margins.
func (t *court) measure(row *juryRowJSON, margins []float64) {
	var z, labels, right, confidence, correct []float64
	prompts := t.prompts[:0:0]
	for i, m := range margins {
		r := eval.Correct(m, t.truth[i])
		if math.IsNaN(r) {
			continue
		}
		z, labels, prompts = append(z, m), append(labels, t.truth[i]), append(prompts, t.prompts[i])
		right = append(right, r)
		confidence = append(confidence, eval.Sigmoid(math.Abs(m)))
		said := t.truth[i]
		switch {
		case m == 0:
			said = 0.5
		case m < 0:
			said = 1 - said
		}
		correct = append(correct, said)
	}
	pick := func(from []float64, items []int) []float64 {
		out := make([]float64, len(items))
		for i, p := range items {
			out[i] = from[p]
		}
		return out
	}
	row.N = len(z)
	row.Accuracy, row.CI = eval.Figure(eval.Accuracy(z, labels)), eval.BootstrapCI(right, prompts, eval.Interval{0, 1}, t.options)
	row.LogLoss = eval.Figure(eval.LogLoss(z, labels))
	row.LogLossCI = eval.BootstrapOf(prompts, func(items []int) float64 {
		return eval.LogLoss(pick(z, items), pick(labels, items))
	}, eval.Interval{0, eval.MaxLogOdds}, t.options)
	row.ECE = eval.Figure(eval.ECE(confidence, correct, eval.ECEBins))
	row.ECECI = eval.BootstrapOf(prompts, func(items []int) float64 {
		return eval.ECE(pick(confidence, items), pick(correct, items), eval.ECEBins)
	}, eval.Interval{0, 1}, t.options)
}
