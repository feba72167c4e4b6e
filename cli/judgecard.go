package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cai/dataset"
	"cai/eval"
	"cai/report"
)

var cardTypes = []string{".md", ".json", ".html"}

// checkCard refuses a card of a kind that cannot be written.
func checkCard(file string) error {
	if file != "" && !slices.Contains(cardTypes, filepath.Ext(file)) {
		return usagef("--card %s: a card is a file that ends in %s", file, strings.Join(cardTypes, ", "))
	}
	return nil
}

// writeCard writes a document in the form that the file's name asks for; JSON is
// the result itself. Nothing is written for no name.
func (a *app) writeCard(file string, doc *report.Document, result any) error {
	if file == "" {
		return nil
	}
	f, err := dataset.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	switch filepath.Ext(file) {
	case ".json":
		err = dataset.NewEncoder(f).Encode(result)
	case ".html":
		err = doc.HTML(f)
	default:
		err = doc.Markdown(f)
	}
	if err != nil {
		return err
	}
	return f.Commit()
}

// printer takes control characters from what is printed.
type printer struct{ w io.Writer }

func (p printer) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, printable(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// cardDocument lays out the cards of judges.
func cardDocument(judges []*measured, paired []pairedJSON, gold []string) *report.Document {
	doc := &report.Document{Title: "Judge card: " + judges[0].card.Model}
	if len(judges) > 1 {
		doc.Title = fmt.Sprintf("%d judges on the same gold", len(judges))
	}
	for _, m := range judges {
		name := ""
		if len(judges) > 1 {
			name = m.card.Model + ", " + m.card.Mode + ": "
		}
		for _, v := range m.card.verdicts() {
			doc.Verdicts = append(doc.Verdicts, report.Verdict{Level: v.Level, Text: name + v.Text})
		}
	}
	doc.Blocks = append(doc.Blocks, report.Text("Gold: "+strings.Join(gold, ", ")+". Intervals are 95 %, bootstrapped by prompt unless a name says otherwise."))
	for _, m := range judges {
		m.card.blocks(doc)
	}
	if len(paired) > 0 {
		t := report.Table{Head: []string{"first", "second", "pairs", "first alone right", "second alone right", "accuracy gained", "interval", "McNemar p"}}
		for _, p := range paired {
			t.Rows = append(t.Rows, []string{
				p.First[:min(12, len(p.First))], p.Second[:min(12, len(p.Second))], strconv.Itoa(p.N), strconv.Itoa(p.FirstAlone), strconv.Itoa(p.SecondAlone),
				p.Delta.String(), p.DeltaCI.String(), p.P.String(),
			})
		}
		doc.Blocks = append(doc.Blocks, report.Heading("Side by side"), t)
	}
	return doc
}

// verdicts says what the card means.
func (k *judgeCard) verdicts() (out []report.Verdict) {
	say := func(level report.Level, format string, args ...any) {
		out = append(out, report.Verdict{Level: level, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case k.CI.Contains(0.5):
		say(report.Fail, "On these %d pairs the judge cannot be told from chance: accuracy %s %s. Do not rely on its labels.", k.N, k.Accuracy, k.CI)
	case k.Accuracy < 0.5:
		say(report.Fail, "The judge is worse than chance on these %d pairs: accuracy %s %s.", k.N, k.Accuracy, k.CI)
	case k.DeltaCI[0] <= 0:
		say(report.Warn, "The judge is above chance, accuracy %s %s over %d pairs, but not surely better than %q (%s).", k.Accuracy, k.CI, k.N, k.BestBaseline, k.Baselines[k.BestBaseline])
	default:
		say(report.Pass, "The judge agrees with people on %s %s of %d pairs; the best null baseline, %q, on %s.", k.Accuracy, k.CI, k.N, k.BestBaseline, k.Baselines[k.BestBaseline])
	}
	if h := k.Ceiling; h != nil && h.Human.Defined() {
		level := report.Pass
		if h.DeltaCI[1] < 0 {
			level = report.Warn
		}
		say(level, "Against the majority of the other annotators the judge is right on %s %s, an annotator on %s %s.", h.Judge, h.JudgeCI, h.Human, h.HumanCI)
	}
	raw, fitted := k.Calibration, k.Maps[k.mapName()]
	level := report.Pass
	if raw.LogLossCI[0] > 0.6931471805599453 {
		level = report.Fail
	} else if raw.ECEDebiased > 0.1 {
		level = report.Warn
	}
	after := fmt.Sprintf("after the %s map, out of fold, %s (%s)", k.mapName(), fitted.ECE, fitted.LogLoss)
	if t, ok := fitted.Map.(eval.Temperature); ok && t.Slope == 0 {
		after = "no temperature makes them better than a coin"
	}
	say(level, "As they are, the judge's probabilities have an ECE of %s (log loss %s; a coin has 0.693); %s.", raw.ECE, raw.LogLoss, after)
	if k.SameSlotRate.Defined() {
		level = report.Pass
		if k.SameSlotRate > 0.3 {
			level = report.Warn
		}
		say(level, "One slot wins both orders in %s of the questions, with %+.2f in log-odds for the first: one order alone would say little.", k.SameSlotRate, float64(k.PositionBias))
	}
	if b := k.LengthDetail.Beyond; b.CI[0] > 0 || b.CI[1] < 0 {
		which := "longer"
		if b.Estimate < 0 {
			which = "shorter"
		}
		say(report.Warn, "It favours %s replies beyond what people do: %+.2f in log-odds %s for each SD of the length difference.", which, float64(b.Estimate), b.CI)
	}
	if k.Repeats > 0 {
		level = report.Pass
		if k.FlipCI[0] > 0.05 {
			level = report.Warn
		}
		say(level, "Asked again, it chose otherwise in %s %s of %d pairs.", k.FlipRate, k.FlipCI, k.Repeats)
	}
	if d := k.Drift; d != nil {
		level, text := report.Pass, "no drift is seen"
		if d.Drifted {
			level, text = report.Fail, "the judge has drifted"
		}
		say(level, "Against the earlier weights %s, %s: same verdict on %s %s, accuracy %s now and %s then (change %s %s).",
			d.Digest[:min(19, len(d.Digest))], text, d.Agreement, d.AgreementCI, k.Accuracy, d.Accuracy, d.Delta, d.DeltaCI)
	}
	var fooled []string
	for _, p := range k.Probes {
		if p.Verdict == verdictFail {
			fooled = append(fooled, p.Probe)
		}
	}
	switch {
	case len(fooled) > 0:
		say(report.Fail, "Verdicts turn by what should not matter, or stay where they should turn: %s.", strings.Join(fooled, ", "))
	case len(k.Probes) > 0:
		say(report.Pass, "No probe turned its verdicts beyond doubt.")
	}
	return out
}

// temperatureText has a sign for one without end, of log-odds that tell nothing.
func temperatureText(t eval.Figure) string {
	if !t.Defined() {
		return "∞"
	}
	return t.String()
}

// mapName is the map that is kept, or would be.
func (k *judgeCard) mapName() string {
	if _, ok := k.Maps[k.Chosen]; ok {
		return k.Chosen
	}
	return eval.MapTemperature
}

// blocks adds the card's tables and plots.
func (k *judgeCard) blocks(doc *report.Document) {
	add := func(bs ...report.Block) { doc.Blocks = append(doc.Blocks, bs...) }
	add(report.Heading(fmt.Sprintf("Judge %s: %s, mode %s, shape %s", k.Judge[:min(12, len(k.Judge))], k.Model, k.Mode, k.Shape)))
	agreement := report.Table{Head: []string{"agreement with people", "figure", "interval"}}
	row := func(t *report.Table, name string, f eval.Figure, ci *eval.Interval) {
		cells := []string{name, f.String(), ""}
		if ci != nil && f.Defined() {
			cells[2] = ci.String()
		}
		t.Rows = append(t.Rows, cells)
	}
	row(&agreement, fmt.Sprintf("accuracy, %d pairs of %d prompts", k.N, k.Prompts), k.Accuracy, &k.CI)
	for _, name := range eval.Baselines() {
		ci := k.BaselinesCI[name]
		row(&agreement, "  "+name+" wins", k.Baselines[name], &ci)
	}
	row(&agreement, "Cohen's kappa", k.Kappa, &k.KappaCI)
	row(&agreement, "weighted kappa, ties between", k.WeightedKappa, &k.WeightedKappaCI)
	row(&agreement, "Krippendorff's alpha, annotators and judge", k.Alpha, k.AlphaCI)
	row(&agreement, "  annotators alone", k.AlphaPeople, nil)
	if h := k.Ceiling; h != nil {
		row(&agreement, "annotator against the others (ceiling)", h.Human, &h.HumanCI)
		row(&agreement, "  judge against the same", h.Judge, &h.JudgeCI)
		row(&agreement, "  difference", h.Delta, &h.DeltaCI)
	}
	add(agreement)
	if skipped := skippedText(k.Skipped, k.Abstained); skipped != "" {
		add(report.Text("Left out: " + skipped + "."))
	}

	cal := report.Table{Head: []string{"calibration", "log loss", "Brier", "reliability", "resolution", fmt.Sprintf("ECE (%d bins)", k.Bins), "interval", "ECE less bias"}}
	for _, q := range []struct {
		name string
		eval.Quality
	}{
		{"as it is", k.Calibration},
		{fmt.Sprintf("temperature %s, out of fold", temperatureText(k.Temperature)), k.Maps[eval.MapTemperature].Quality},
		{"isotonic, out of fold", k.Maps[eval.MapIsotonic].Quality},
	} {
		cal.Rows = append(cal.Rows, []string{
			q.name, q.LogLoss.String(), q.Brier.String(), q.BrierParts.Reliability.String(), q.BrierParts.Resolution.String(),
			q.ECE.String(), q.ECECI.String(), q.ECEDebiased.String(),
		})
	}
	add(cal, k.reliabilityPlot())

	biases := report.Table{Head: []string{"biases and noise", "figure", "interval"}}
	row(&biases, "position bias, log-odds for the first slot", k.PositionBias, &k.PositionBiasCI)
	row(&biases, "same slot in both orders", k.SameSlotRate, &k.SameSlotCI)
	row(&biases, "length: judge's choice, log-odds a SD", k.LengthDetail.Judge.Estimate, &k.LengthDetail.Judge.CI)
	row(&biases, "  people's choice", k.LengthDetail.Gold.Estimate, &k.LengthDetail.Gold.CI)
	row(&biases, "  judge's beyond people's", k.LengthDetail.Beyond.Estimate, &k.LengthDetail.Beyond.CI)
	row(&biases, fmt.Sprintf("flip rate, %d repetitions (Wilson)", k.Repeats), k.FlipRate, &k.FlipCI)
	row(&biases, "coverage, mean of the pairs' smallest", k.Coverage, nil)
	row(&biases, "seconds a pair", k.Seconds, nil)
	for _, r := range k.Rates {
		row(&biases, fmt.Sprintf("first reply wins in %s, %d pairs, as judged", r.File, r.N), r.Apparent, nil)
		row(&biases, "  corrected for the judge's errors (Lang-Reiczigel)", r.Estimate, &r.CI)
	}
	add(biases)
	if len(k.Probes) > 0 {
		add(probeBlocks(k.Probes)...)
	}
}

// skippedText lists the pairs that no figure counts.
func skippedText(skipped map[string]int, abstained int) string {
	var parts []string
	for _, reason := range sortedKeys(skipped) {
		parts = append(parts, fmt.Sprintf("%d %s", skipped[reason], strings.ReplaceAll(reason, "_", " ")))
	}
	if abstained > 0 {
		parts = append(parts, fmt.Sprintf("%d on which the judge abstains", abstained))
	}
	return strings.Join(parts, ", ")
}

func (k *judgeCard) reliabilityPlot() report.Plot {
	p := report.Plot{
		Title: "Reliability: how often the judge is right, by how sure it is", XLabel: "confidence", YLabel: "right",
		X: [2]float64{0.5, 1}, Y: [2]float64{0, 1}, Diagonal: true,
	}
	series := func(name string, bins []eval.Bin) report.Series {
		s := report.Series{Name: name, Points: true}
		for _, b := range bins {
			s.X, s.Y = append(s.X, float64(b.Forecast)), append(s.Y, float64(b.Outcome))
			s.Low, s.High = append(s.Low, b.CI[0]), append(s.High, b.CI[1])
		}
		return s
	}
	p.Series = []report.Series{
		series("as it is", k.Calibration.Reliability),
		series("after the "+k.mapName()+" map", k.Maps[k.mapName()].Reliability),
	}
	return p
}
