package cli

import (
	"fmt"
	"io"
	"strings"

	"cai/eval"
)

// print writes the figures of all scorers, those of several by their names.
func (e *evaluation) print(w io.Writer) {
	bins := e.c.Bool("bins")
	for _, s := range e.scorers {
		if len(e.scorers) > 1 {
			fmt.Fprintf(w, "%s %s\n", s.kind, printable(s.name))
		}
		for i := range s.sets {
			printSet(w, &s.sets[i].Set)
			if s.sets[i].Conformal != nil {
				fmt.Fprint(w, "  ")
				printCoverage(w, s.sets[i].Conformal)
			}
			printOverlap(w, s.sets[i].Overlap)
			if bins {
				printBins(w, &s.sets[i].Set)
			}
		}
		for _, b := range e.together(s) {
			fmt.Fprintf(w, "all files of %s:\n", b.Title())
			printBenchmark(w, b)
		}
	}
	for _, k := range e.contests {
		fmt.Fprintf(w, "%s: %s less %s %+.3f %s over %d pairs; %d to %d of those that tell them apart, McNemar p %s",
			printable(k.Set), printable(k.First), printable(k.Second), float64(k.Delta), k.DeltaCI, k.N, k.FirstAlone, k.SecondAlone, pValue(k.P))
		if k.Benchmark != nil {
			fmt.Fprintf(w, "; by the benchmark's rule %+.3f %s", float64(k.Benchmark.Delta), k.Benchmark.DeltaCI)
		}
		fmt.Fprintln(w)
	}
}

// pValue has the digits that are needed.
func pValue(p eval.Figure) string {
	if p > 0 && p < 0.001 {
		return fmt.Sprintf("%.1g", float64(p))
	}
	return p.String()
}

func printSet(w io.Writer, s *eval.Set) {
	fmt.Fprintf(w, "%s: accuracy %s %s over %d pairs, %d prompts; %s\n", printable(s.Name), s.Accuracy, s.CI, s.N, s.Prompts, baselineText(s.Figures))
	printAuthor(w, "  ", s.Author)
	printWords(w, "  ", s.Words)
	fmt.Fprintf(w, "  log loss %s (chance 0.693), ECE %s, length Spearman %s", s.LogLoss, s.ECE, s.LengthSpearman)
	for _, reason := range sortedKeys(s.Skipped) {
		fmt.Fprintf(w, ", %d left out: %s", s.Skipped[reason], strings.ReplaceAll(reason, "_", " "))
	}
	fmt.Fprintln(w)
	for _, name := range sortedKeys(s.Subsets) {
		f := s.Subsets[name]
		fmt.Fprintf(w, "  %-28s %s %s over %d; %s\n", printable(name), f.Accuracy, f.CI, f.N, baselineText(f))
	}
	fmt.Fprint(w, "  ")
	verdict(w, "it", s.Figures)
	if s.Benchmark != nil {
		printBenchmark(w, s.Benchmark)
	}
}

// printBenchmark writes the score by a benchmark's own rule.
func printBenchmark(w io.Writer, b *eval.Benchmark) {
	unit := "pairs"
	if b.Rule == eval.RuleRewardBench2 {
		unit = "prompts"
	}
	fmt.Fprintf(w, "  %s: %s %s over %d %s; %s; beyond %q %s %s\n",
		b.Title(), b.Overall, b.CI, b.N, unit, nullText(b.Baselines), b.BestBaseline, gained(b.Delta), b.DeltaCI)
	fmt.Fprintf(w, "    it is %s\n", b.Means)
	for _, s := range b.Sections {
		printSection(w, "    ", &s)
	}
	for _, l := range b.Levels {
		if len(b.Sections) == 1 {
			break // they are the section's own
		}
		fmt.Fprintf(w, "    %-26s %s %s; %s\n", l.Name, l.Score, l.CI, nullText(l.Baselines))
	}
	for i, row := range b.Matrix {
		cells := make([]string, len(row))
		for j, f := range row {
			cells[j] = f.String()
		}
		fmt.Fprintf(w, "    chosen %-19s %s\n", styleNames[i], strings.Join(cells, "  "))
	}
	if len(b.Matrix) > 0 {
		fmt.Fprintf(w, "    (columns: rejected %s)\n", strings.Join(styleNames, ", "))
	}
	if a := b.Agreement; a != nil {
		fmt.Fprintf(w, "    both orders name the same reply in %s %s of %d pairs\n", a.Score, a.CI, a.N)
	}
	if len(b.Missing) > 0 {
		fmt.Fprintf(w, "    not in the data: %s\n", listed(b.Missing, 23))
	}
	if b.Incomplete > 0 {
		fmt.Fprintf(w, "    %d records left out of the score: not all pairs of the replies that they count were compared\n", b.Incomplete)
	}
	if b.Unknown > 0 {
		fmt.Fprintf(w, "    %d pairs left out of the score: the benchmark has no such subset\n", b.Unknown)
	}
	for _, n := range b.Notes {
		fmt.Fprintf(w, "    %s\n", n)
	}
}

// styleNames are RM-Bench's styles, in the order of its lists.
var styleNames = []string{"concise", "detailed", "Markdown"}

func printSection(w io.Writer, indent string, s *eval.Section) {
	weight := ""
	if s.Weight > 0 {
		weight = fmt.Sprintf(", counts %g", s.Weight)
	}
	fmt.Fprintf(w, "%s%-26s %s %s over %d%s; %s\n", indent, s.Name, s.Score, s.CI, s.N, weight, nullText(s.Baselines))
	for i := range s.Parts {
		printSection(w, indent+"  ", &s.Parts[i])
	}
}

// nullText lists what the null baselines come to.
func nullText(baselines map[string]eval.Figure) string {
	var parts []string
	for _, name := range eval.Baselines() {
		parts = append(parts, fmt.Sprintf("%s %s", name, baselines[name]))
	}
	return strings.Join(parts, ", ")
}

// printBins writes accuracy by length and by overlap, and the reliability of
// certainty.
func printBins(w io.Writer, s *eval.Set) {
	for _, k := range []struct {
		what  string
		bands []eval.Band
	}{
		{"length of chosen over rejected", s.ByLength},
		{"overlap of the replies' words", s.ByOverlap},
	} {
		fmt.Fprintf(w, "  by %s:\n", k.what)
		for _, b := range k.bands {
			fmt.Fprintf(w, "    %5.2f to %5.2f  %s %s over %d\n", float64(b.Low), float64(b.High), b.Accuracy, b.CI, b.N)
		}
	}
	if len(s.Reliability) > 0 {
		fmt.Fprintln(w, "  certainty, and how often it is right:")
		for _, b := range s.Reliability {
			fmt.Fprintf(w, "    %s  %s %s over %d\n", b.Forecast, b.Outcome, b.CI, b.N)
		}
	}
}

// printAuthor says what knowing the authors alone comes to, where they are named.
func printAuthor(w io.Writer, indent string, f *eval.AuthorFigures) {
	if f != nil {
		fmt.Fprintf(w, "%swho wrote the replies, %d authors, tells %s %s over %d pairs; beyond it %+.3f %s\n",
			indent, f.Authors, f.Accuracy, f.CI, f.N, float64(f.Delta), f.DeltaCI)
	}
}

// verdict says in words what an accuracy beside its baselines comes to.
func verdict(w io.Writer, what string, f eval.Figures) {
	switch {
	case f.CI.Contains(0.5):
		fmt.Fprintf(w, "%s cannot be told from chance on these pairs\n", what)
	case float64(f.Accuracy) < 0.5:
		fmt.Fprintf(w, "%s is worse than chance on these pairs\n", what)
	case f.BestBaseline != "" && f.DeltaCI[0] <= 0:
		fmt.Fprintf(w, "%s is above chance, but not surely better than %q (%+.3f %s)\n", what, f.BestBaseline, float64(f.Delta), f.DeltaCI)
	default:
		fmt.Fprintf(w, "%s is better than every baseline on these pairs (%+.3f %s)\n", what, float64(f.Delta), f.DeltaCI)
	}
}
