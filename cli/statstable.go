package cli

import (
	"fmt"
	"io"
	"math"
	"strings"

	"cai/dataset"
	"cai/eval"
)

// errNoVotes tells that the judgments there are have nothing to do with the
// principles in use.
func errNoVotes(r *reading) error {
	return fmt.Errorf("no judgments of %s under the principles of %s", r.names(), r.con.File)
}

// idWidth is how much of a principle's id a table shows; with it a line has 100
// columns at most.
const idWidth = 20

// matrixColumns is how many principles stand beside each other in the matrix,
// where they go by their numbers in the table.
const matrixColumns = 24

// print writes the tables for people.
func (v *voting) print(w io.Writer, lines []statsJSON, o eval.Options) {
	fmt.Fprintf(w, "%d labels of %d judged pairs by %s\n\n", v.figures.Labels, v.figures.Pairs, printable(v.names()))
	human := false
	for i := range lines {
		human = human || lines[i].Source != nil
	}
	fmt.Fprintf(w, "%-*s %7s %4s %4s %4s %6s %4s %4s %4s %5s %5s", idWidth+3, "PRINCIPLE", "PAIRS", "ABST", "COV", "LOW", "BIAS", "SAME", "ALL", "REST", "CORR", "FLIPS")
	if human {
		fmt.Fprintf(w, " %5s %s", "RIGHT", "95 %")
	}
	fmt.Fprintln(w)
	for i := range lines {
		l := &lines[i]
		abstains := float64(l.Abstained+l.Incompl) / float64(l.Pairs)
		fmt.Fprintf(w, "%2d %s %7s %4s %4s %4s %6s %4s %4s %4s %5s %5s", i+1, column(l.ID, idWidth), count(l.Pairs),
			percent(abstains), decimals(l.Coverage), percent(float64(l.Low)), signed(l.Bias), percent(float64(l.SameSlot)),
			percent(float64(l.Agreement)), percent(float64(l.Others)), hundredths(l.Corr), percentOne(float64(l.Flips.Share)))
		if s := l.Source; s != nil {
			fmt.Fprintf(w, " %5s %.0f–%.0f", percent(float64(s.Accuracy)), 100*s.CI[0], 100*s.CI[1])
		}
		fmt.Fprintln(w)
	}
	if s := v.source(len(lines), o); s != nil {
		fmt.Fprintf(w, "\nagainst the chosen replies of the input, over %d pairs: the labels are right on %s %s;\n",
			s.N, s.Accuracy, s.CI)
		for i, name := range eval.Baselines() {
			if i > 0 {
				fmt.Fprint(w, ", ")
			}
			fmt.Fprintf(w, "%s wins %s", name, s.Baselines[name])
		}
		fmt.Fprintln(w)
	}
	v.printMatrix(w)
	for i := range lines {
		if ids := lines[i].Flips.Examples; len(ids) > 0 {
			fmt.Fprintf(w, "\nlabels that flip without %s:\n", printable(lines[i].ID))
			printIDs(w, ids)
		}
	}
}

// printMatrix writes who votes against whom.
func (v *voting) printMatrix(w io.Writer) {
	k := len(v.principles)
	if k < 2 {
		return
	}
	fmt.Fprintln(w, "\nbelow the diagonal: % of pairs with opposite votes; above: correlation of z, in hundredths")
	for from := 0; from < k; from += matrixColumns {
		to := min(from+matrixColumns, k)
		fmt.Fprintf(w, "%3s", "")
		for j := from; j < to; j++ {
			fmt.Fprintf(w, "%4d", j+1)
		}
		fmt.Fprintln(w)
		for i := range k {
			fmt.Fprintf(w, "%2d ", i+1)
			for j := from; j < to; j++ {
				c := v.figures.Principles[i].Conflicts[j]
				cell := "·"
				switch {
				case j < i:
					cell = hundredths(eval.Figure(c.Opposite))
				case j > i:
					cell = hundredths(eval.Figure(c.Correlation))
				}
				fmt.Fprintf(w, "%4s", cell)
			}
			fmt.Fprintln(w)
		}
	}
}

// printIDs writes ids of pairs, some to a line.
func printIDs(w io.Writer, ids []dataset.Hash) {
	const each = 6
	for i, h := range ids {
		sep := "\n"
		if i%each != each-1 && i != len(ids)-1 {
			sep = " "
		}
		fmt.Fprintf(w, "  %s%s", shortID(h), sep)
	}
}

// column is a text of exactly n characters.
func column(s string, n int) string {
	r := []rune(oneLine(printable(s)))
	if len(r) > n {
		r = append(r[:n-1], '…')
	}
	return string(r) + strings.Repeat(" ", n-len(r))
}

// count is a number in at most seven characters.
func count(n int64) string {
	if n >= 10_000_000 {
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.0f%%", 100*x)
}

// percentOne has one decimal, for shares that are small.
func percentOne(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.1f%%", 100*x)
}

func decimals(f eval.Figure) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(f))
}

func signed(f eval.Figure) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%+.2f", float64(f))
}

// hundredths is a correlation as a whole number.
func hundredths(f eval.Figure) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%.0f", math.Round(100*float64(f))+0) // no "-0"
}
