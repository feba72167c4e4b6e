package cli

import (
	"context"
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/judge"
	"cai/label"
	"cai/store"
)

// adaptiveFlags are the options of cai label that leave questions out.
func adaptiveFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "adaptive", Usage: "stop asking about a pair when the label of all the principles is unlikely to differ; after a pilot of pairs that are asked in full"},
		&urfave.Float64Flag{Name: "flip-risk", Value: label.DefaultRisk, Usage: "with --adaptive: the probability `P` that the label of all the principles would differ, at which to stop"},
	}
}

// adaptiveRun is a labelling run's --adaptive.
type adaptiveRun struct {
	rule  *label.Adaptive
	store *store.Store
	saved store.Saved // before the run
}

// checkAdaptive refuses what --adaptive cannot do.
func checkAdaptive(c *urfave.Context) error {
	risk := c.Float64("flip-risk")
	switch {
	case !c.Bool("adaptive") && c.IsSet("flip-risk"):
		return usagef("--flip-risk says when --adaptive stops: it needs --adaptive")
	case c.Bool("adaptive") && c.Int("orders") == 1:
		return usagef("--adaptive asks every principle in both orders: it cannot go with --orders 1")
	case c.Bool("adaptive") && !(risk > 0 && risk < 0.5):
		return usagef("--flip-risk %g: use a probability above 0 and below 0.5", risk)
	}
	return nil
}

// adapt prepares --adaptive for the job as it is.
func (l *labelRun) adapt(ctx context.Context, mode string) error {
	c := l.c
	if !c.Bool("adaptive") {
		return nil
	}
	set := settings{rule: label.LogOdds, minCoverage: c.Float64("min-coverage")}.of(l.principles)
	a := &label.Adaptive{
		Store: l.store, Risk: c.Float64("flip-risk"), Weights: set.Weights, MinCoverage: set.MinCoverage,
	}
	if mode == judge.ModeVote {
		a.Votes = c.Int("votes")
	} else if l.job.Samples > 1 {
		l.app.warn("a sample repeats the answer of the one before in mode %s: --adaptive asks the first alone once the pilot is over", mode)
	}
	l.job.Rule, l.job.Risk = dataset.RuleHash(set.Weights), a.Risk
	l.adaptive = &adaptiveRun{rule: a, store: l.store}
	var err error
	l.adaptive.saved, err = l.store.Saved(ctx, l.job)
	return err
}

// adaptiveJSON says what --adaptive left out.
type adaptiveJSON struct {
	Saved        int64 `json:"saved"`         // questions of the job that are not asked
	StoppedEarly int64 `json:"stopped_early"` // pairs whose label was certain enough without them
	// Expected is how many of the pending questions will be asked, as far as can
	// be told before.
	Expected *int64     `json:"expected,omitempty"`
	Audit    *auditJSON `json:"audit,omitempty"`
}

// auditJSON holds the rule against pairs that were asked in full for that.
type auditJSON struct {
	Pairs   int     `json:"pairs"`
	Stopped int     `json:"stopped"` // the rule would have left something out
	Flipped int     `json:"flipped"` // of those, with another label than the full one
	Asked   float64 `json:"asked"`   // share of the questions
}

// report gives what the rule has left out, and how its audit went.
func (r *adaptiveRun) report(ctx context.Context, job dataset.Job) (*adaptiveJSON, error) {
	job.RetryFailed = false // what failed and was left is counted as failed
	left, err := r.store.Saved(ctx, job)
	if err != nil {
		return nil, err
	}
	out := &adaptiveJSON{Saved: left.Questions, StoppedEarly: left.Pairs}
	audit, ok, err := r.rule.Audit(ctx, job, true)
	if err != nil || !ok {
		return out, err
	}
	out.Audit = &auditJSON{audit.Pairs, audit.Stopped, audit.Flipped, float64(audit.Asked) / float64(max(1, audit.Wanted))}
	return out, nil
}

// forecast says what the rule has left out so far and how much of what is
// pending it will ask, as its record has it; nil without --adaptive.
func (l *labelRun) forecast() (*adaptiveJSON, error) {
	r := l.adaptive
	if r == nil {
		return nil, nil
	}
	out := &adaptiveJSON{Saved: r.saved.Questions, StoppedEarly: r.saved.Pairs}
	// Until the rule has stopped a pair, every pair that was asked in full is
	// as good as an audited one.
	past, ok, err := r.rule.Audit(l.c.Context, l.job, r.saved.Pairs > 0)
	if err != nil || !ok || past.Wanted == 0 {
		return out, err
	}
	share := float64(past.Asked) / float64(past.Wanted)
	share += (1 - share) / label.AuditOneIn
	n := int64(float64(l.pending())*share + 0.5)
	out.Expected = &n
	return out, nil
}

func (j *adaptiveJSON) printForecast(w io.Writer) {
	if j.Expected == nil {
		fmt.Fprintf(w, "adaptive: how many of them will be asked is known after a pilot of %d pairs\n", label.Pilot)
		return
	}
	fmt.Fprintf(w, "adaptive: about %d of them will be asked\n", *j.Expected)
}

func (j *adaptiveJSON) print(w io.Writer) {
	fmt.Fprintf(w, "adaptive: %d questions left out of %d pairs whose label was certain enough\n", j.Saved, j.StoppedEarly)
	if a := j.Audit; a != nil && a.Stopped > 0 {
		fmt.Fprintf(w, "audit: of %d pairs that were asked in full to check, the rule would have stopped %d early, %d of them with another label\n",
			a.Pairs, a.Stopped, a.Flipped)
	}
}
