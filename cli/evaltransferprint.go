package cli

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printTransfer writes the matrix as a table: a row for what was trained on, a
// column for what was tested on.
func printTransfer(w io.Writer, o *transferJSON) {
	if o.Transfer != nil {
		printMatrix(w, o)
	}
	if a := o.Authors; a != nil {
		fmt.Fprintf(w, "authors not trained on: %s on average, longer wins %s; %d draws, which differ by %s\n", a.Mean, a.Longer, len(a.Draws), a.SD)
		for _, d := range a.Draws {
			fmt.Fprintf(w, "  %s of %d: %s %s over %d pairs, longer wins %s", listed(d.Unseen, 6), d.Seen+len(d.Unseen), d.Accuracy, d.CI, d.N, d.Longer)
			if p := d.PromptsUnseen; p != nil {
				fmt.Fprintf(w, "; their prompts unseen too %s %s over %d", p.Accuracy, p.CI, p.N)
			}
			fmt.Fprintln(w)
		}
	}
}

func printMatrix(w io.Writer, o *transferJSON) {
	fmt.Fprintln(w, "accuracy on each domain (column) of models trained on each (row); no model has seen the prompts it is tested on")
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name string, cell func(i int) string) {
		fmt.Fprintf(tw, "%s", printable(name))
		for i := range o.Tests {
			fmt.Fprintf(tw, "\t%s", cell(i))
		}
		fmt.Fprintln(tw)
	}
	row("", func(i int) string { return printable(o.Domains[i]) })
	for i, name := range o.Domains {
		row(name, func(j int) string { return fmt.Sprintf("%s %s", o.Cells[i][j].Accuracy, o.Cells[i][j].CI) })
	}
	row("all but it", func(i int) string { return fmt.Sprintf("%s %s", o.LeftOut[i].Accuracy, o.LeftOut[i].CI) })
	row("longer wins", func(i int) string {
		return fmt.Sprintf("%s %s", o.Tests[i].Baselines["longer"], o.Tests[i].CI["longer"])
	})
	row("pairs, prompts", func(i int) string { return fmt.Sprintf("%d, %d", o.Tests[i].N, o.Tests[i].Prompts) })
	_ = tw.Flush() // w's error comes with what is written next
	for i, c := range o.LeftOut {
		switch name := printable(o.Domains[i]); {
		case c.N == 0:
			fmt.Fprintf(w, "%s: every other pair is of its own prompts, so nothing is left to train on\n", name)
		case c.CI.Contains(0.5):
			fmt.Fprintf(w, "%s: what the others teach cannot be told from chance there\n", name)
		case c.DeltaCI[0] <= 0:
			fmt.Fprintf(w, "%s: what the others teach is not surely better than a null baseline there (%+.3f %s)\n", name, float64(c.Delta), c.DeltaCI)
		default:
			fmt.Fprintf(w, "%s: the others teach more than any null baseline (%+.3f %s)\n", name, float64(c.Delta), c.DeltaCI)
		}
	}
	for _, name := range sortedKeys(o.TooSmall) {
		fmt.Fprintf(w, "%s: %d prompts are too few to be a domain\n", printable(name), o.TooSmall[name])
	}
}
