package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cai/eval"
	"cai/report"
)

// document lays out an evaluation, verdicts first.
func (e *evaluation) document() *report.Document {
	var names []string
	for _, s := range e.scorers {
		names = append(names, s.name)
	}
	doc := &report.Document{Title: "Evaluation: " + strings.Join(names, ", ")}
	add := func(bs ...report.Block) { doc.Blocks = append(doc.Blocks, bs...) }
	add(report.Text("Intervals are 95 %, bootstrapped by prompt. Longer, shorter, markdown and author are null baselines on the same pairs: what one reaches who looks at nothing else."))
	sets := report.Table{Head: []string{"by", "set", "pairs", "prompts", "accuracy", "interval", "longer", "shorter", "markdown", "author", "log loss", "ECE", "length ρ"}}
	scores := report.Table{Head: []string{"by", "set", "benchmark", "part", "n", "score", "interval", "longer", "shorter", "markdown"}}
	var notes []string
	for _, s := range e.scorers {
		for i := range s.sets {
			set := &s.sets[i].Set
			doc.Verdicts = append(doc.Verdicts, e.verdict(s, set))
			author := "–"
			if set.Author != nil {
				author = set.Author.Accuracy.String()
			}
			sets.Rows = append(sets.Rows, []string{
				s.name, set.Name, strconv.Itoa(set.N), strconv.Itoa(set.Prompts), set.Accuracy.String(), set.CI.String(),
				set.Baselines["longer"].String(), set.Baselines["shorter"].String(), set.Baselines["markdown"].String(), author,
				set.LogLoss.String(), set.ECE.String(), set.LengthSpearman.String(),
			})
			if set.Benchmark != nil {
				scores.Rows = append(scores.Rows, benchmarkRows(s.name, set.Name, set.Benchmark)...)
				notes = append(notes, benchmarkNote(set.Name, set.Benchmark))
			}
		}
		for _, b := range e.together(s) {
			scores.Rows = append(scores.Rows, benchmarkRows(s.name, "all files", b)...)
		}
	}
	add(report.Heading("Accuracy"), sets)
	if len(scores.Rows) > 0 {
		add(report.Heading("Benchmarks by their own rules"), scores)
		for i, n := range notes {
			if !slices.Contains(notes[:i], n) {
				add(report.Text(n))
			}
		}
	}
	if len(e.contests) > 0 {
		t := report.Table{Head: []string{"set", "first", "second", "pairs", "first alone right", "second alone right", "accuracy gained", "interval", "McNemar p", "by the benchmark's rule", "interval"}}
		for _, k := range e.contests {
			row := []string{k.Set, k.First, k.Second, strconv.Itoa(k.N), strconv.Itoa(k.FirstAlone), strconv.Itoa(k.SecondAlone), gained(k.Delta), k.DeltaCI.String(), pValue(k.P), "–", ""}
			if k.Benchmark != nil {
				row[9], row[10] = gained(k.Benchmark.Delta), k.Benchmark.DeltaCI.String()
			}
			t.Rows = append(t.Rows, row)
		}
		add(report.Heading("Side by side"), t)
	}
	add(report.Heading("By length and overlap"), e.bandsTable(),
		report.Text("Length is that of the chosen reply over the rejected one, in code points; overlap is what their sets of words share of all words in either."))
	for _, s := range e.scorers {
		for i := range s.sets {
			if p, ok := reliabilityPlot(s, &s.sets[i].Set); ok {
				add(p)
			}
		}
	}
	return doc
}

// gained is a difference of accuracies.
func gained(f eval.Figure) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%+.3f", float64(f))
}

// verdict is what an accuracy beside its baselines comes to.
func (e *evaluation) verdict(s *evalScorer, set *eval.Set) report.Verdict {
	var b strings.Builder
	verdict(&b, s.name+" on "+set.Name, set.Figures)
	v := report.Verdict{Level: report.Pass, Text: fmt.Sprintf("%s, accuracy %s %s", strings.TrimSpace(b.String()), set.Accuracy, set.CI)}
	switch {
	case s.kind == "baseline":
		v.Level = report.Note
	case set.CI[0] <= 0.5:
		v.Level = report.Fail
	case set.DeltaCI[0] <= 0:
		v.Level = report.Warn
	}
	if k := set.Benchmark; k != nil {
		v.Text += fmt.Sprintf("; %s %s %s", k.Title(), k.Overall, k.CI)
	}
	v.Text += "."
	return v
}

func benchmarkRows(by, set string, b *eval.Benchmark) (rows [][]string) {
	row := func(part string, n int, score eval.Figure, ci eval.Interval, nulls map[string]eval.Figure) {
		r := []string{by, set, b.Title(), part, strconv.Itoa(n), score.String(), ci.String()}
		for _, name := range eval.Baselines() {
			if f, ok := nulls[name]; ok {
				r = append(r, f.String())
			} else {
				r = append(r, "–")
			}
		}
		rows = append(rows, r)
	}
	row("overall", b.N, b.Overall, b.CI, b.Baselines)
	var parts func(string, eval.Sections)
	parts = func(of string, list eval.Sections) {
		for i := range list {
			s := &list[i]
			row(of+s.Name, s.N, s.Score, s.CI, s.Baselines)
			parts(of+s.Name+", ", s.Parts)
		}
	}
	parts("", b.Sections)
	if len(b.Sections) > 1 {
		parts("", b.Levels)
	}
	for i, r := range b.Matrix {
		for j, f := range r {
			rows = append(rows, []string{by, set, b.Title(), "chosen " + styleNames[i] + ", rejected " + styleNames[j], "", f.String(), "", "–", "–", "–"})
		}
	}
	if b.Agreement != nil {
		row("both orders agree", b.Agreement.N, b.Agreement.Score, b.Agreement.CI, nil)
	}
	return rows
}

func benchmarkNote(set string, b *eval.Benchmark) string {
	text := fmt.Sprintf("%s, %s: overall is %s.", set, b.Title(), b.Means)
	if len(b.Missing) > 0 {
		text += " Not in the data: " + strings.Join(b.Missing, ", ") + "."
	}
	if b.Incomplete > 0 {
		text += fmt.Sprintf(" %d records left out: not all pairs of the replies that they count were compared.", b.Incomplete)
	}
	if b.Unknown > 0 {
		text += fmt.Sprintf(" %d pairs left out: the benchmark has no such subset.", b.Unknown)
	}
	for _, n := range b.Notes {
		text += " " + strings.ToUpper(n[:1]) + n[1:] + "."
	}
	return text
}

func (e *evaluation) bandsTable() report.Table {
	t := report.Table{Head: []string{"by", "set", "band of", "from", "to", "pairs", "accuracy", "interval"}}
	for _, s := range e.scorers {
		for i := range s.sets {
			set := &s.sets[i].Set
			for _, k := range []struct {
				what  string
				bands []eval.Band
			}{{"length", set.ByLength}, {"overlap", set.ByOverlap}} {
				for _, b := range k.bands {
					t.Rows = append(t.Rows, []string{
						s.name, set.Name, k.what, fmt.Sprintf("%.2f", float64(b.Low)), fmt.Sprintf("%.2f", float64(b.High)), strconv.Itoa(b.N), b.Accuracy.String(), b.CI.String(),
					})
				}
			}
		}
	}
	return t
}

// reliabilityPlot draws how often certainty is right; false where there is none.
func reliabilityPlot(s *evalScorer, set *eval.Set) (report.Plot, bool) {
	p := report.Plot{
		Title: s.name + " on " + set.Name, XLabel: "certainty max(p, 1 − p)", YLabel: "share right",
		X: [2]float64{0.5, 1}, Y: [2]float64{0, 1}, Diagonal: true,
	}
	series := report.Series{Name: "by prompt, 95 %", Points: true}
	for _, b := range set.Reliability {
		series.X, series.Y = append(series.X, float64(b.Forecast)), append(series.Y, float64(b.Outcome))
		series.Low, series.High = append(series.Low, b.CI[0]), append(series.High, b.CI[1])
	}
	p.Series = []report.Series{series}
	return p, len(series.X) > 0
}
