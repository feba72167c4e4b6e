package cli

import (
	"fmt"
	"io"

	"cai/eval"
)

// name is a juror in a table.
func (j *jurorJSON) name() string {
	return fmt.Sprintf("%s %s", shortID(j.ID)[:8], column(j.Model, 20))
}

// print writes the report for people, 100 columns at most but for texts.
func (o *juryJSON) print(w io.Writer) {
	fmt.Fprintf(w, "%d judges of %d pairs, %d prompts; of %d pairs the sources say which reply was chosen\n", len(o.Judges), o.Pairs, o.Prompts, o.Gold)
	if o.Why != "" {
		fmt.Fprintf(w, "without gold the judges' reliability is not known, and weights are equal:\n%s\n", o.Why)
	}
	fmt.Fprintf(w, "\n   %-29s %7s %5s %6s %-6s %-14s\n", "JUDGE", "PAIRS", "SAME", "BIAS", "RIGHT", "95 %")
	for i := range o.Judges {
		j := &o.Judges[i]
		fmt.Fprintf(w, "%2d %s %7s %5s %6s %-6s", i+1, j.name(), count(int64(j.Pairs)), percent(float64(j.SameSlot)), signed(j.Bias), j.Accuracy)
		if j.Accuracy.Defined() {
			fmt.Fprintf(w, " %s over %d", j.AccuracyCI, j.Gold)
		}
		fmt.Fprintln(w)
	}
	if o.Identified || o.Gold > 0 {
		fmt.Fprintf(w, "\n   %-29s %-20s %-20s %-20s\n", "JUDGE", "EST", "WEIGHT", "GOLD")
		for i := range o.Judges {
			j := &o.Judges[i]
			fmt.Fprintf(w, "%2d %s %-20s %-20s %-20s\n", i+1, j.name(), estimate(j.Estimated, j.EstimatedCI), estimate(j.Weight, j.WeightCI), estimate(j.GoldWeight, j.GoldWeightCI))
		}
	}
	o.printWithout(w)
	o.printMatrices(w)
	o.printJuries(w)
	for i, d := range o.Disputed {
		if i == 0 {
			fmt.Fprint(w, "\nthe pairs on which the judges differ most, log-odds of a by each judge\n")
		}
		fmt.Fprintf(w, "%s ", shortID(d.Pair))
		for k := range o.Judges {
			if z, ok := d.Votes[shortID(o.Judges[k].ID)]; ok {
				fmt.Fprintf(w, "  %d: %+.2f", k+1, z)
			}
		}
		if d.Gold.Defined() {
			fmt.Fprintf(w, "  sources: P(a) %.2f", float64(d.Gold))
		}
		fmt.Fprintf(w, "\n  prompt  %s\n  a       %s\n  b       %s\n", clip(lastTurn(d.Prompt)), clip(d.A), clip(d.B))
	}
}

// estimate is a figure with its interval in two decimals.
func estimate(f eval.Figure, ci eval.Interval) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", float64(f), ci[0], ci[1])
}

func (o *juryJSON) printWithout(w io.Writer) {
	fmt.Fprintf(w, "\n   %-29s %9s %5s", "WITHOUT", "CERTAINTY", "FLIPS")
	if o.Gold > 0 {
		fmt.Fprintf(w, "  %-24s %-24s", "EQUAL POOL", "GOLD'S JURY")
	}
	fmt.Fprintln(w)
	for i := range o.Judges {
		j := &o.Judges[i]
		fmt.Fprintf(w, "%2d %s %9s %5s", i+1, j.name(), less(j.Without.Certainty), percent(float64(j.Without.Flips)))
		for _, p := range []*eval.Paired{j.Without.Equal, j.Without.Gold} {
			if p != nil {
				fmt.Fprintf(w, "  %-24s", lessWithin(p))
			}
		}
		fmt.Fprintln(w)
	}
}

// less is what is lost without a judge, as a change.
func less(f eval.Figure) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%+.3f", 0-float64(f))
}

func lessWithin(p *eval.Paired) string {
	if !p.Delta.Defined() {
		return "–"
	}
	return fmt.Sprintf("%s [%+.3f, %+.3f]", less(p.Delta), -p.DeltaCI[1], -p.DeltaCI[0])
}

func (o *juryJSON) printMatrices(w io.Writer) {
	by := ""
	for _, a := range o.Agreement {
		if a.By != "" {
			by = a.By
		}
	}
	fmt.Fprint(w, "\nbelow the diagonal: kappa of the votes, in hundredths")
	switch by {
	case "gold":
		fmt.Fprint(w, "; above: correlation of errors by gold, 0 if independent")
	case "votes":
		fmt.Fprint(w, "; above: that of errors, by the estimates, 0 if independent")
	}
	fmt.Fprint(w, "\n   ")
	for k := range o.Judges {
		fmt.Fprintf(w, "%5d", k+1)
	}
	fmt.Fprintln(w)
	at := func(k, l int) *agreementJSON { // l < k
		return &o.Agreement[k*(k-1)/2+l]
	}
	for k := range o.Judges {
		fmt.Fprintf(w, "%2d ", k+1)
		for l := range o.Judges {
			switch {
			case l < k:
				fmt.Fprintf(w, "%5s", hundredths(at(k, l).Kappa))
			case l > k && by != "":
				fmt.Fprintf(w, "%5s", hundredths(at(l, k).Errors))
			default:
				fmt.Fprintf(w, "%5s", "·")
			}
		}
		fmt.Fprintln(w)
	}
}

func (o *juryJSON) printJuries(w io.Writer) {
	if len(o.Juries) == 0 {
		return
	}
	fmt.Fprintf(w, "\nagainst the chosen replies, over the %d pairs that all judges answer\n", o.Compared)
	fmt.Fprintf(w, "%-29s %-22s %-8s %-6s %s\n", "", "ACCURACY", "LOG LOSS", "ECE", "LESS THE EQUAL POOL'S")
	for i := range o.Juries {
		r := &o.Juries[i]
		name := r.Name
		if r.Judge != nil {
			name = fmt.Sprintf("%d %s", i+1, name)
		}
		fmt.Fprintf(w, "%s %-22s %-8s %-6s", column(name, 29), fmt.Sprintf("%s %s", r.Accuracy, r.CI), r.LogLoss, r.ECE)
		if p := r.AgainstEqual; p != nil {
			fmt.Fprintf(w, " %+.3f, p %.2f", float64(p.Delta), float64(p.P))
		}
		fmt.Fprintln(w)
	}
	for i, name := range eval.Baselines() {
		if i > 0 {
			fmt.Fprint(w, ", ")
		}
		fmt.Fprintf(w, "%s wins %s", name, o.Baselines[name])
	}
	fmt.Fprintln(w)
	for i := range o.Juries {
		if p := o.Juries[i].AgainstBest; p != nil && o.Juries[i].Judge == nil {
			fmt.Fprintf(w, "%s less the best judge's: %+.3f [%+.3f, %+.3f], %d pairs against %d, p %.2f\n",
				o.Juries[i].Name, float64(p.Delta), p.DeltaCI[0], p.DeltaCI[1], p.FirstAlone, p.SecondAlone, float64(p.P))
		}
	}
}
