package cli

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
)

func (a *app) labelsCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "labels",
		Usage: "the labels that the judgments come to",
		Description: "Computed afresh from the judgments, without asking the model: weights, rule and\n" +
			"thresholds can change at any time. A principle counts if it was asked in both orders\n" +
			"with enough coverage; a pair for which none does has no label.\n\n" +
			"With s1 and s2 the log-odds that the first slot wins with reply a first and with b\n" +
			"first, z = (s1 - s2)/2 is the preference and (s1 + s2)/2 the position bias.\n" +
			"logodds: P(a) = sigmoid of the weighted mean of z. mean: weighted mean of the two\n" +
			"orders' probabilities. vote: weighted share of z > 0, ties half.\n\n" +
			"Of several judges one has to be named by --judge, or they are pooled (--judge A=2\n" +
			"--judge B, or --pool for all): for each principle, their z, probabilities and biases\n" +
			"are averaged by the judges' weights over those that count, and then the rule applies.\n" +
			"--jury measures those weights: dawid-skene from how the judges agree, gold from the\n" +
			"chosen replies of the sources; cai jury reports on both.\n" +
			"--calibrated turns a label's log-odds by the map that cai calibrate fitted to people's\n" +
			"labels of exactly these judges, weights, principles and rule; principles stay as they\n" +
			"were. It never changes which reply wins. --clamp 0.4 is the cruder means of the\n" +
			"Constitutional AI paper: all beyond 0.6 becomes 0.6.\n" +
			"--min-margin looks at the margin after these.\n\n" +
			"--json prints one line each: pair, prompt, chosen, rejected, p, margin,\n" +
			"position_bias, same_slot_rate, coverage, principles {ID: P(chosen)}; of a pool also\n" +
			"judges, the number of those that count.\n" + exitHelp,
		Flags:  append(readingFlags(), outFlag("write the JSON Lines")),
		Action: a.runLabels,
	}
}

type labelsJSON struct {
	Pair         dataset.Hash         `json:"pair"`
	Prompt       dataset.Conversation `json:"prompt"`
	Chosen       string               `json:"chosen"`
	Rejected     string               `json:"rejected"`
	P            float64              `json:"p"`
	Margin       float64              `json:"margin"`
	PositionBias eval.Figure          `json:"position_bias"`
	SameSlotRate eval.Figure          `json:"same_slot_rate"`
	Coverage     float64              `json:"coverage"`
	Abstained    int                  `json:"abstained"`        // principles
	Judges       int                  `json:"judges,omitempty"` // of a pool, those that count
	Principles   map[string]float64   `json:"principles"`
}

// line is a label as the outside sees it: the chosen reply first.
func (r *reading) line(l labelled) labelsJSON {
	out := labelsJSON{
		Pair: l.Key.Hash, Prompt: l.Prompt, Chosen: l.A.Text, Rejected: l.B.Text,
		P: l.Label.P, Margin: l.Margin, Coverage: l.Coverage, Abstained: l.Abstained,
		PositionBias: eval.Figure(l.Bias), SameSlotRate: eval.Figure(l.SameSlotRate),
		Principles: map[string]float64{},
	}
	if len(r.judges) > 1 {
		out.Judges = l.Judges
	}
	swap := out.P < 0.5
	if swap {
		out.Chosen, out.Rejected, out.P = out.Rejected, out.Chosen, 1-out.P
	}
	for _, part := range l.Parts {
		p := part.P
		if swap {
			p = 1 - p
		}
		out.Principles[r.ids[part.Principle]] = p
	}
	return out
}

func (a *app) runLabels(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.NArg() > 0 {
		return usagef("labels takes no file; --source FILE restricts it to the pairs of one")
	}
	r, err := a.reading(c)
	if err != nil {
		return err
	}
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	enc := dataset.NewEncoder(out)
	human := !c.Bool("json") && !out.toFile()
	n := 0
	for l, err := range r.labels(ctx) {
		if err != nil {
			return err
		}
		line := r.line(l)
		n++
		if !human {
			if err := enc.Encode(line); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%s  p %.3f  bias %+.2f  coverage %.2f\n  prompt    %s\n  chosen    %s\n  rejected  %s\n",
			shortID(line.Pair), line.P, float64(line.PositionBias), line.Coverage,
			clip(lastTurn(line.Prompt)), clip(line.Chosen), clip(line.Rejected))
	}
	if err := out.commit(); err != nil {
		return err
	}
	r.say(ctx, a, c, n)
	return nil
}

// say tells what became of the pairs that were read.
func (r *reading) say(_ context.Context, a *app, c *urfave.Context, n int) {
	turned := ""
	if r.turned != "" {
		turned = "; " + r.turned
	}
	a.note(c, "%d labels by %s; of %d judged pairs %d abstain and %d are below the margin%s", n, r.names(), r.pairs, r.abstained, r.narrow, turned)
	if r.pairs == 0 {
		a.note(c, "no judgments under the principles of %s: they may have been made under others (--constitution, --principle)", r.con.File)
	}
}

// lastTurn is what the replies answer.
func lastTurn(conv dataset.Conversation) string {
	if len(conv) == 0 {
		return ""
	}
	return conv[len(conv)-1].Content
}

// clip puts the beginning of a text on one line.
func clip(s string) string {
	const width = 88
	r := []rune(oneLine(printable(s)))
	if len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return string(r)
}
