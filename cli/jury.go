package cli

import (
	"cmp"
	"context"
	"math"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/label"
	"cai/store"
)

func (a *app) juryCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "jury",
		Usage: "how far each of several judges is to be trusted, and what they are worth together",
		Description: "Reads the judgments in the database, of all judges or of those that --judge names,\n" +
			"without asking a model. Each judge's log-odds free of position bias are its vote.\n\n" +
			"Without gold, reliability is estimated from how the judges agree (Dawid and Skene, 1979,\n" +
			"with one accuracy a judge, since pairs have no order): EST from votes alone, and WEIGHT,\n" +
			"what one unit of log-odds is worth, from their size too. That takes three judges, and\n" +
			"judges that err independently: where two err together they are believed too much. With\n" +
			"two judges nothing is known, and the weights are equal.\n\n" +
			"Where the sources say which reply was chosen: RIGHT, each judge's accuracy, and GOLD,\n" +
			"its weight by logistic regression, not below 0; then, over the pairs that all judges\n" +
			"answer, the single judges, the equal pool, both juries without gold and the one that\n" +
			"gold has weighed, out of fold in five parts by prompt, beside null baselines, with\n" +
			"paired tests (McNemar) against the equal pool and the best judge.\n\n" +
			"WITHOUT says what the jury loses without a judge: accuracy of the equal pool and of the\n" +
			"gold's, or the mean certainty of its labels; FLIPS is the share of labels that turn.\n" +
			"Two judges: kappa of their votes, and the correlation of their errors given the truth,\n" +
			"which is 0 for independent ones; from four judges on it needs no gold. At the end the\n" +
			"pairs on which they differ most. Intervals are 95 %, by prompt.\n\n" +
			"cai labels, export and train take the weights by --jury dawid-skene or --jury gold.\n\n" +
			"--json prints pairs, gold, identified, judges [{id, model, accuracy, estimated, weight,\n" +
			"gold_weight, without {…}}], agreement, juries [{name, n, accuracy, ci, log_loss, ece,\n" +
			"against_equal, against_best}], baselines, disputed.\n" + exitHelp,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "aggregate", Value: string(label.LogOdds), Usage: "how principles become one label: logodds, mean or vote (`RULE`)"},
			&urfave.StringFlag{Name: "weights", Usage: "weights by principle id, TOML or JSON, instead of the constitution's (`FILE`)"},
			minCoverageFlag(),
			&urfave.IntFlag{Name: "orders", Value: 2, Usage: "with `1`, a principle counts that was asked in one order only"},
			principleFlag(),
			sourceFlag(),
			&urfave.StringSliceFlag{Name: "judge", Usage: "only these judges: `ID` (as many digits as it takes) or model name, repeated"},
			&urfave.IntFlag{Name: "disputed", Value: 5, Usage: "show the `N` pairs on which the judges differ most"},
			&urfave.IntFlag{Name: "bootstrap", Value: 1000, Usage: "resamples for intervals of weights, fewer where there are very many pairs (`N`)"},
			&urfave.Int64Flag{Name: "seed", Usage: "seed of the intervals (`N`)"},
		},
		Action: a.runJury,
	}
}

type jurorJSON struct {
	ID       dataset.Hash `json:"id"`
	Model    string       `json:"model"`
	Mode     string       `json:"mode"`
	Shape    string       `json:"shape"`
	Pairs    int          `json:"pairs"` // that it has a label of
	SameSlot eval.Figure  `json:"same_slot_rate"`
	Bias     eval.Figure  `json:"position_bias"`
	Seconds  eval.Figure  `json:"seconds_per_pair"`

	Gold       int           `json:"gold_pairs"`
	Accuracy   eval.Figure   `json:"accuracy"`
	AccuracyCI eval.Interval `json:"accuracy_ci"`

	Estimated    eval.Figure   `json:"estimated"` // accuracy, from votes alone; null where it cannot be known
	EstimatedCI  eval.Interval `json:"estimated_ci"`
	Weight       eval.Figure   `json:"weight"` // without gold, for one unit of log-odds; likewise
	WeightCI     eval.Interval `json:"weight_ci"`
	GoldWeight   eval.Figure   `json:"gold_weight"`
	GoldWeightCI eval.Interval `json:"gold_weight_ci"`

	Without withoutJSON `json:"without"`
}

// withoutJSON is what a jury loses without one of its judges: figures with it less
// those without.
type withoutJSON struct {
	Equal     *eval.Paired `json:"equal,omitempty"` // accuracy
	Gold      *eval.Paired `json:"gold,omitempty"`
	Certainty eval.Figure  `json:"certainty"` // mean of max(p, 1 − p)
	Flips     eval.Figure  `json:"flips"`     // share of labels that turn, to a tie half
}

type agreementJSON struct {
	A     dataset.Hash `json:"a"`
	B     dataset.Hash `json:"b"`
	N     int          `json:"n"`
	Kappa eval.Figure  `json:"kappa"`
	// Errors is the correlation of their errors, by gold where there is some, else
	// by the estimated accuracies, for which it takes four judges.
	Errors eval.Figure `json:"error_correlation"`
	By     string      `json:"by,omitempty"`
}

type juryRowJSON struct {
	Name         string        `json:"name"`
	Judge        *dataset.Hash `json:"judge,omitempty"` // of a single one
	N            int           `json:"n"`
	Accuracy     eval.Figure   `json:"accuracy"`
	CI           eval.Interval `json:"ci"`
	LogLoss      eval.Figure   `json:"log_loss"`
	LogLossCI    eval.Interval `json:"log_loss_ci"`
	ECE          eval.Figure   `json:"ece"`
	ECECI        eval.Interval `json:"ece_ci"`
	AgainstEqual *eval.Paired  `json:"against_equal,omitempty"`
	AgainstBest  *eval.Paired  `json:"against_best,omitempty"`
}

type disputeJSON struct {
	Pair   dataset.Hash         `json:"pair"`
	Prompt dataset.Conversation `json:"prompt"`
	A      string               `json:"response_a"`
	B      string               `json:"response_b"`
	Votes  map[string]float64   `json:"votes"` // log-odds of a, by judge
	Gold   eval.Figure          `json:"gold"`  // P(a) as the sources say
}

type juryJSON struct {
	Pairs      int                    `json:"pairs"`
	Gold       int                    `json:"gold"`
	Prompts    int                    `json:"prompts"`
	Identified bool                   `json:"identified"`
	Why        string                 `json:"why,omitempty"`
	Judges     []jurorJSON            `json:"judges"`
	Agreement  []agreementJSON        `json:"agreement"`
	Compared   int                    `json:"compared"` // pairs with gold that all judges answer
	Best       string                 `json:"best,omitempty"`
	Juries     []juryRowJSON          `json:"juries"`
	Baselines  map[string]eval.Figure `json:"baselines,omitempty"`
	Disputed   []disputeJSON          `json:"disputed"`
}

// court is one run of cai jury.
type court struct {
	*reading
	*hearing
	votes, blind, gold *eval.Jury
	options            eval.Options
	nulls              map[string][]float64 // of baselines: right, by pair; NaN without gold
	disputes           []dispute
	most               int
	sums               []jurorSums
}

// jurorSums add up what single labels say of a judge.
type jurorSums struct {
	pairs, both      int
	bias, same, time float64
}

// dispute is a pair with how strongly judges contradict each other.
type dispute struct {
	disputeJSON
	z []float64
}

func (a *app) runJury(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.NArg() > 0 {
		return hinted(usagef("jury takes no file %q", c.Args().First()), "--source FILE restricts the pairs")
	}
	if c.Int("disputed") < 0 || c.Int("bootstrap") < 0 {
		return usagef("--disputed and --bootstrap cannot be negative")
	}
	r, err := a.readingOf(c, true)
	if err != nil {
		return err
	}
	if len(r.judges) < 2 {
		return hinted(usagef("%s is the only judge in %s", r.names(), c.String("db")), "cai label with another --model makes a second one")
	}
	for _, w := range r.weights {
		if w != 1 {
			return usagef("jury measures the weights: name judges without =WEIGHT")
		}
	}
	t := &court{
		reading: r, options: eval.Options{Seed: c.Int64("seed")}, most: c.Int("disputed"),
		nulls: map[string][]float64{}, sums: make([]jurorSums, len(r.judges)),
	}
	p := a.progress(c, "jury: read", "pairs", 0)
	err = t.read(ctx, func(n int) { p.set(int64(n), "") })
	p.done()
	if err != nil {
		return err
	}
	if len(t.truth) == 0 {
		return hinted(errNoVotes(r), "they may have been made under others: --constitution FILE names them")
	}
	t.votes, t.blind, t.gold = eval.JuryOfVotes(t.leans), eval.JuryOfMargins(t.leans), eval.JuryOfGold(t.leans, t.truth)
	out := t.report(c.Int("bootstrap"))
	if c.Bool("json") {
		return a.writeJSON(out)
	}
	out.print(a.Out)
	return nil
}

// read hears the judges and the null baselines.
func (t *court) read(ctx context.Context, progress func(int)) error {
	baselines := map[string]eval.Comparer{}
	for _, name := range eval.Baselines() {
		b, err := eval.Baseline(name)
		if err != nil {
			return err
		}
		baselines[name] = b
	}
	n := 0
	var failed error
	h, err := hear(ctx, t.store, t.panel, t.set, t.filter, func(j *store.Judged, labels []label.Label) {
		n++
		progress(n)
		t.count(j, labels)
		gold := goldOf(j)
		for name, b := range baselines {
			c, err := b.Compare(ctx, &dataset.Pair{Prompt: j.Prompt, First: j.A, Second: j.B, P: gold})
			if err != nil {
				failed = err
			}
			t.nulls[name] = append(t.nulls[name], eval.Correct(c.Margin, gold))
		}
	})
	t.hearing = h
	return cmp.Or(err, failed)
}

// count adds up what the single labels of a pair say, and keeps it if it is
// disputed.
func (t *court) count(j *store.Judged, labels []label.Label) {
	z := make([]float64, len(labels))
	for k, l := range labels {
		s := &t.sums[k]
		if z[k] = math.NaN(); l.Judges == 0 {
			continue
		}
		z[k] = logit(l.P)
		s.pairs++
		if !math.IsNaN(l.Bias) {
			s.bias += l.Bias
			s.same += l.SameSlotRate
			s.both++
		}
	}
	for i := range j.Judgments {
		for k := range t.judges {
			if t.judges[k].Hash == j.Judgments[i].Judge && labels[k].Judges > 0 {
				t.sums[k].time += j.Judgments[i].Duration.Seconds()
			}
		}
	}
	if against(z, nil) == 0 || t.most == 0 {
		return
	}
	d := dispute{disputeJSON{j.Key.Hash, j.Prompt, j.A.Text, j.B.Text, map[string]float64{}, eval.Figure(goldOf(j))}, z}
	for k := range z {
		if !math.IsNaN(z[k]) {
			d.Votes[shortID(t.judges[k].Hash)] = z[k]
		}
	}
	t.disputes = append(t.disputes, d)
	if len(t.disputes) > 64*t.most {
		t.keepDisputes()
	}
}

// keepDisputes keeps the pairs on which the weaker side speaks loudest, each judge
// in its own unit.
func (t *court) keepDisputes() {
	size := make([]float64, len(t.judges))
	for k := range size {
		square, n := 0.0, 0.0
		for i := range t.disputes {
			if z := t.disputes[i].z[k]; !math.IsNaN(z) {
				square += min(z*z, eval.MaxLogOdds*eval.MaxLogOdds)
				n++
			}
		}
		size[k] = math.Sqrt(square / n)
	}
	slices.SortStableFunc(t.disputes, func(a, b dispute) int {
		return cmp.Or(cmp.Compare(against(b.z, size), against(a.z, size)), slices.Compare(a.Pair[:], b.Pair[:]))
	})
	t.disputes = t.disputes[:min(t.most, len(t.disputes))]
}

// against is how much the weaker side of a pair has to say.
func against(z, size []float64) float64 {
	var a, b float64
	for k, x := range z {
		if size != nil {
			x /= size[k]
		}
		if math.IsNaN(x) { // silent
			continue
		}
		a += max(0, x)
		b += max(0, -x)
	}
	return min(a, b)
}
