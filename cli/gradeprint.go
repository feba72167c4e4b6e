package cli

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"cai/rubric"
)

// print writes a reply's grades for a person.
func (l *gradeLine) print(w io.Writer) {
	name := l.file
	if l.line > 0 {
		name += " " + l.id
	}
	fmt.Fprintf(w, "%s: %s", printable(name), scoreText(l.total.Value))
	if !math.IsNaN(l.total.SD) {
		fmt.Fprintf(w, " ± %.2f", l.total.SD)
	}
	if len(l.total.Vetoed) > 0 {
		fmt.Fprintf(w, " (vetoed by %s)", printable(strings.Join(l.total.Vetoed, ", ")))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range l.criteria {
		c := &l.criteria[i]
		fmt.Fprintf(t, "  %s\t%s\t", printable(c.ID), scoreText(float64(c.Score)))
		switch {
		case c.Failure != "":
			fmt.Fprintf(t, "failed: %s", c.Failure)
		case c.Applies < 0.5:
			fmt.Fprintf(t, "does not apply (%.2f)", float64(c.Applies))
		case !c.Applies.Defined():
			fmt.Fprint(t, "too little coverage to tell whether it applies")
		case len(c.Distribution) == 0:
			fmt.Fprintf(t, "too little coverage (%.2f)", float64(c.Coverage))
		default:
			fmt.Fprint(t, strings.Join(percents(c.Distribution), " "))
		}
		if c.Evidence != nil {
			fmt.Fprintf(t, "\t“%s”", printable(oneLine(*c.Evidence)))
		} else if c.Dropped {
			fmt.Fprint(t, "\t(the quotation is not in the reply)")
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func scoreText(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.2f", x)
}

// percents writes a distribution, the lowest level first.
func percents(p []float64) []string {
	out := make([]string, len(p))
	for i, x := range p {
		out[i] = fmt.Sprintf("%.0f%%", 100*x)
	}
	return out
}

// printReport writes a consistency report for a person.
func printReport(w io.Writer, r *rubric.Report) {
	fmt.Fprintf(w, "\nconsistency over %d replies to %d prompts, %d samples of each question\n", r.Replies, r.Prompts, r.Samples)
	fmt.Fprintf(w, "samples agree about the score: ICC %s %s, of their mean %s; levels listed downwards give %+.3f\n",
		r.ICC, r.ICCCI, r.ICCMean, float64(r.ListBias))
	fmt.Fprintf(w, "halo: criteria correlate by %s %s on average, one common factor has %s of all\n", r.Halo, r.HaloCI, r.FirstShare)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CRITERION\tN\tMEAN\tSD\tICC\tDISCRIMINATION\tDOWNWARDS\tCOVERAGE\tLEVELS, LOWEST FIRST")
	for i := range r.Criteria {
		c := &r.Criteria[i]
		levels := make([]float64, len(c.Levels))
		for k, x := range c.Levels {
			levels[k] = float64(x)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s %s\t%s\t%s\t%s\n", printable(c.ID), c.Applied, c.Mean, c.SD, c.ICC,
			c.Discrimination, c.DiscriminationCI, c.ListBias, c.Coverage, strings.Join(percents(levels), " "))
	}
	t.Flush()
	if len(r.Dead) > 0 {
		fmt.Fprintf(w, "dead, the same for every reply: %s\n", printable(strings.Join(r.Dead, ", ")))
	}
	for _, p := range r.Redundant {
		fmt.Fprintf(w, "redundant: %s and %s (rank correlation %s)\n", printable(p.A), printable(p.B), p.Rho)
	}
}
