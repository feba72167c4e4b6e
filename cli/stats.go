package cli

import (
	"context"
	"math"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/label"
)

func (a *app) constitutionStats() *urfave.Command {
	return &urfave.Command{
		Name:  "stats",
		Usage: "how the principles vote in the database",
		Description: "Reads the judgments under the principles in use, without asking the model, and says\n" +
			"for each principle: PAIRS it was asked about; ABST, the share on which it abstains for\n" +
			"want of coverage or of an order; COV, mean coverage, and LOW, the share of judgments\n" +
			"under --min-coverage; BIAS, mean position bias in log-odds, and SAME, how often the\n" +
			"same slot won both orders; ALL, how often its own vote agrees with the label, ties half,\n" +
			"and REST, with the label that the other principles make without it (ALL is flattered by\n" +
			"its own weight); CORR, the correlation of its z with the others' mean; FLIPS, the share\n" +
			"of labels that are the other way round without it. Where the input says which reply\n" +
			"was chosen: RIGHT, how often its vote agrees, with the 95 % interval by prompt.\n\n" +
			"Then each two principles: below the diagonal the share of pairs on which they vote for\n" +
			"different replies, above it the correlation of their z. Correlations are about 0, so\n" +
			"that no figure depends on which reply is called a.\n\n" +
			"--json prints one line a principle: id, weight, pairs, counted, abstained, incomplete,\n" +
			"judgments, coverage, low_coverage, position_bias, same_slot_rate, strength (mean |z|),\n" +
			"agreement, agreement_others, correlation, decisive (share of flips among its votes),\n" +
			"flips {count, share, undecided, examples}, conflicts {ID: {n, opposite, correlation}},\n" +
			"against_source {n, accuracy, ci, baselines, label, label_ci}.\n" + exitHelp,
		Flags: append(votingFlags(),
			&urfave.IntFlag{Name: "examples", Usage: "up to `N` pairs a principle whose label flips without it, the clearest first"},
			&urfave.Int64Flag{Name: "seed", Usage: "seed of the intervals (`N`)"},
		),
		Action: a.runConstitutionStats,
	}
}

type conflictJSON struct {
	N           int64       `json:"n"`
	Opposite    eval.Figure `json:"opposite"`
	Correlation eval.Figure `json:"correlation"`
}

type flipsJSON struct {
	Count     int64          `json:"count"`
	Share     eval.Figure    `json:"share"` // of all labels
	Undecided int64          `json:"undecided"`
	Examples  []dataset.Hash `json:"examples"`
}

// sourceJSON compares one principle with the replies that the sources call
// chosen, on the pairs on which it has a say; the label and the null baselines
// are over the same pairs.
type sourceJSON struct {
	N         int                    `json:"n"`
	Accuracy  eval.Figure            `json:"accuracy"`
	CI        eval.Interval          `json:"ci"`
	Baselines map[string]eval.Figure `json:"baselines"`
	Label     eval.Figure            `json:"label"`
	LabelCI   eval.Interval          `json:"label_ci"`
}

type statsJSON struct {
	ID        string                  `json:"id"`
	Title     string                  `json:"title"`
	Hash      dataset.Hash            `json:"hash"`
	Weight    float64                 `json:"weight"`
	Judgments int64                   `json:"judgments"`
	Pairs     int64                   `json:"pairs"`
	Counted   int64                   `json:"counted"`
	Abstained int64                   `json:"abstained"`
	Incompl   int64                   `json:"incomplete"`
	Coverage  eval.Figure             `json:"coverage"`
	Low       eval.Figure             `json:"low_coverage"`
	Bias      eval.Figure             `json:"position_bias"`
	SameSlot  eval.Figure             `json:"same_slot_rate"`
	Strength  eval.Figure             `json:"strength"`
	Agreement eval.Figure             `json:"agreement"`
	Others    eval.Figure             `json:"agreement_others"`
	Corr      eval.Figure             `json:"correlation"`
	Decisive  eval.Figure             `json:"decisive"`
	Flips     flipsJSON               `json:"flips"`
	Conflicts map[string]conflictJSON `json:"conflicts"`
	Source    *sourceJSON             `json:"against_source,omitempty"`
}

// voting is the statistics of a reading.
type voting struct {
	*reading
	principles []constitution.Principle
	figures    label.Figures
	shares     *eval.Shares
}

// The columns of voting.shares for each principle, and for all of them once
// more at the end.
const (
	shareRight = iota // the principle's own vote
	shareLabel        // the label, on the same pairs
	shareNull         // the baselines, on the same pairs
)

func (v *voting) column(i, what int) int {
	return i*(shareNull+len(eval.Baselines())) + what
}

func (a *app) runConstitutionStats(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.NArg() > 0 {
		return hinted(usagef("stats takes no file %q", c.Args().First()), "--constitution FILE names the principles, --source FILE restricts the pairs")
	}
	if c.Int("examples") < 0 {
		return usagef("--examples cannot be negative")
	}
	r, err := a.reading(c)
	if err != nil {
		return err
	}
	v := &voting{reading: r}
	_, ps, err := a.principles(c)
	if err != nil {
		return err
	}
	seen := map[dataset.Hash]bool{}
	for _, p := range ps {
		if h := dataset.Hash(p.Hash()); !seen[h] { // two with the same texts are one
			seen[h] = true
			v.principles = append(v.principles, p)
		}
	}
	p := a.progress(c, "stats", "pairs", 0)
	err = v.read(ctx, c.Int("examples"), func(n int64) { p.set(n, "") })
	p.done()
	if err != nil {
		return err
	}
	if v.figures.Pairs == 0 {
		return hinted(errNoVotes(r), "they may have been made under others: --constitution FILE names them")
	}
	o := eval.Options{Seed: c.Int64("seed")}
	lines := make([]statsJSON, len(v.principles))
	for i := range lines {
		lines[i] = v.line(i, o)
	}
	if c.Bool("json") {
		for _, l := range lines {
			if err := a.writeJSON(l); err != nil {
				return err
			}
		}
		return nil
	}
	v.print(a.Out, lines, o)
	return nil
}

// read adds up the judged pairs.
func (v *voting) read(ctx context.Context, examples int, progress func(int64)) error {
	hashes := make([]dataset.Hash, len(v.principles))
	for i := range v.principles {
		hashes[i] = v.principles[i].Hash()
	}
	stats := label.NewStats(hashes, v.set, examples)
	v.shares = eval.NewShares(v.column(len(hashes)+1, 0))
	baselines := make([]eval.Comparer, len(eval.Baselines()))
	for i, name := range eval.Baselines() {
		var err error
		if baselines[i], err = eval.Baseline(name); err != nil {
			return err
		}
	}
	null := make([]float64, len(baselines))
	var n int64
	for j, err := range v.store.Judged(ctx, v.filter) {
		if err != nil {
			return err
		}
		votes := stats.Add(j.Key.Hash, j.Judgments)
		n++
		progress(n)
		if math.IsNaN(eval.Correct(0, j.P)) {
			continue // nobody has said which reply is better
		}
		prompt := j.Prompt.Key()
		pair := &dataset.Pair{Prompt: j.Prompt, First: j.A, Second: j.B, P: j.P}
		for i, b := range baselines {
			c, err := b.Compare(ctx, pair)
			if err != nil {
				return err
			}
			null[i] = eval.Correct(c.Margin, j.P)
		}
		for i, lean := range append(votes.Lean, votes.Whole) {
			right := eval.Correct(lean, j.P)
			if math.IsNaN(right) {
				continue
			}
			v.shares.Add(prompt, v.column(i, shareRight), right)
			if whole := eval.Correct(votes.Whole, j.P); !math.IsNaN(whole) {
				v.shares.Add(prompt, v.column(i, shareLabel), whole)
			}
			for b := range null {
				v.shares.Add(prompt, v.column(i, shareNull+b), null[b])
			}
		}
	}
	v.figures = stats.Figures()
	return nil
}

// line is what is said of principle i.
func (v *voting) line(i int, o eval.Options) statsJSON {
	p, f := &v.principles[i], &v.figures.Principles[i]
	out := statsJSON{
		ID: p.ID, Title: p.Title, Hash: f.Principle, Weight: f.Weight,
		Judgments: f.Judgments, Pairs: f.Pairs, Counted: f.Counted, Abstained: f.Abstained, Incompl: f.Incomplete,
		Coverage: eval.Figure(f.Coverage), Low: eval.Figure(f.LowCoverage),
		Bias: eval.Figure(f.Bias), SameSlot: eval.Figure(f.SameSlotRate), Strength: eval.Figure(f.Strength),
		Agreement: eval.Figure(f.Agreement), Others: eval.Figure(f.AgreementOthers), Corr: eval.Figure(f.Correlation),
		Decisive:  eval.Figure(f.Decisive),
		Flips:     flipsJSON{f.Flips, eval.Figure(f.FlipShare), f.Undecided, nonNil(f.Examples)},
		Conflicts: map[string]conflictJSON{},
	}
	for j, c := range f.Conflicts {
		if j != i {
			out.Conflicts[v.principles[j].ID] = conflictJSON{c.N, eval.Figure(c.Opposite), eval.Figure(c.Correlation)}
		}
	}
	out.Source = v.source(i, o)
	return out
}

// source compares principle i, or the label for the number after the last, with
// the replies that the sources call chosen; nil where they say nothing.
func (v *voting) source(i int, o eval.Options) *sourceJSON {
	var s sourceJSON
	if s.Accuracy, s.CI, s.N = v.shares.Share(v.column(i, shareRight), o); s.N == 0 {
		return nil
	}
	s.Label, s.LabelCI, _ = v.shares.Share(v.column(i, shareLabel), o)
	s.Baselines = map[string]eval.Figure{}
	for b, name := range eval.Baselines() {
		s.Baselines[name] = v.shares.Mean(v.column(i, shareNull+b))
	}
	return &s
}
