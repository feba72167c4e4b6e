package cli

import (
	"fmt"
	"io"
	"strings"

	"cai/eval"
)

func printSet(w io.Writer, s *eval.Set) {
	fmt.Fprintf(w, "%s: accuracy %s %s over %d pairs, %d prompts; %s\n", printable(s.Name), s.Accuracy, s.CI, s.N, s.Prompts, baselineText(s.Figures))
	printAuthor(w, "  ", s.Author)
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
