package cli

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/label"
	"cai/llm"
)

// paceCalls is how many stored calls the forecast of a dry run is made from.
const paceCalls = 2000

// planJSON is what a job would ask, and what that is likely to take.
type planJSON struct {
	Questions    int64 `json:"questions"`
	Pending      int64 `json:"pending"`
	Calls        int64 `json:"calls"`
	PromptTokens int64 `json:"prompt_tokens"`
	CachedTokens int64 `json:"cached_tokens"` // of those, what a prefix cache saves
	// Seconds is null where this judge has judged nothing yet.
	Seconds *float64 `json:"seconds"`
	// MeasuredOn is the number of stored calls that the guess rests on; with 0,
	// tokens are reckoned at four bytes each.
	MeasuredOn  int                 `json:"measured_on"`
	Parallel    float64             `json:"parallel"` // calls at once, as measured
	AtMost      bool                `json:"at_most,omitempty"`
	Server      bool                `json:"server"` // a server has been asked which weights it has
	ByPrinciple []principlePlanJSON `json:"by_principle"`
}

type principlePlanJSON struct {
	ID           string `json:"id"`
	Wanted       int64  `json:"wanted"`
	Done         int64  `json:"done"`
	Failed       int64  `json:"failed"`
	Pending      int64  `json:"pending"`
	Calls        int64  `json:"calls"`
	PromptTokens int64  `json:"prompt_tokens"`
}

// reach asks the server for the model, and all hosts for its weights. A dry run
// goes on without a server, as far as the database knows the judge.
func (l *labelRun) reach() error {
	var err error
	if l.model, err = l.app.model(l.c); err == nil {
		l.fleet, err = l.app.fleet(l.c, l.model)
	}
	if l.c.Bool("dry-run") && llm.KindOf(err) == llm.KindServerAbsent {
		l.away, err = err, nil
	}
	return err
}

// known finds the judge of an absent server in the database: the last one with
// the model's name whose settings are those of the command line. Where there is
// none, the server's absence is the error.
func (l *labelRun) known() error {
	if l.away == nil {
		return nil
	}
	options, err := llm.ParseOptions(l.c.StringSlice("option"))
	if err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	judges, err := l.store.Judges(l.c.Context)
	if err != nil {
		return err
	}
	name := l.c.String("model")
	for i := len(judges) - 1; i >= 0; i-- {
		k := judges[i]
		if k.Model != name || k.Judgments+k.Failures == 0 || !slices.Contains(l.judges.modes, k.Mode) {
			continue
		}
		l.model = &model{
			id:      llm.Identity{Backend: k.Backend, Model: k.Model, Digest: k.Digest},
			options: llm.AnswerOptions(options),
		}
		j, err := l.judges.make(l.model, k.Mode)
		if err != nil {
			return err
		}
		if j.id.Hash() == k.Hash {
			l.app.note(l.c, "%v: the plan is that of %s as the database knows it, judge %s", l.away, k.Model, shortID(k.Hash))
			return nil
		}
	}
	return l.away
}

// dryRun says what would be asked, and what that is likely to take. It asks
// nothing.
func (l *labelRun) dryRun(mode string) error {
	a, c := l.app, l.c
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	j, err := l.judges.make(l.model, mode)
	if err != nil {
		return err
	}
	l.judge, l.job.Judge = j, j.id.Hash()
	if err := l.store.PutJudge(ctx, j.id); err != nil {
		return err
	}
	p := a.progress(c, "plan", "pairs", 0)
	plan, err := l.store.Outlook(ctx, l.job, func(n int64) { p.set(n, "") })
	p.done()
	if err != nil {
		return err
	}
	l.plan = plan.Plan
	calls, err := l.store.Calls(ctx, l.job.Judge, paceCalls)
	if err != nil {
		return err
	}
	pace, measured := label.Measure(calls, l.question)
	votes := int64(1)
	if mode == judge.ModeVote {
		votes = int64(c.Int("votes"))
	}
	if l.judges.calls > 0 {
		votes = l.judges.calls
	}
	if err := l.adapt(ctx, mode); err != nil {
		return err
	}
	adaptive, err := l.forecast()
	if err != nil {
		return err
	}
	f := pace.Forecast(&plan, votes, l.question)
	if adaptive != nil { // the rule leaves questions out evenly, as far as one can tell
		asked := l.pending()
		if adaptive.Expected != nil {
			asked = *adaptive.Expected
		}
		f = f.Scaled(float64(asked) / float64(max(1, plan.Open())))
	}
	out := planJSON{
		Questions: plan.Wanted, Pending: l.pending(), Calls: f.Calls, PromptTokens: f.Tokens, CachedTokens: f.Cached,
		MeasuredOn: pace.Calls, Parallel: pace.Parallel, AtMost: adaptive != nil && adaptive.Expected == nil, Server: l.away == nil,
		ByPrinciple: []principlePlanJSON{},
	}
	if measured || out.Pending == 0 {
		seconds := f.Time.Seconds()
		out.Seconds = &seconds
	}
	ids := map[dataset.Hash]string{}
	for i := range l.principles {
		ids[l.principles[i].Hash()] = l.principles[i].ID
	}
	for i, k := range plan.ByPrinciple {
		out.ByPrinciple = append(out.ByPrinciple, principlePlanJSON{
			ids[k.Principle], k.Wanted, k.Done, k.Failed, k.Open, k.Open * votes, f.ByPrinciple[i],
		})
	}
	if c.Bool("json") {
		return a.writeJSON(struct {
			labelJSON
			Plan planJSON `json:"plan"`
		}{
			labelJSON{
				Pairs: plan.Pairs, Reused: plan.Done, Failed: plan.Failed, Pending: out.Pending,
				Identical: l.identical, Judge: l.job.Judge.String(), Model: l.model.id.Model,
				Seconds:      time.Since(l.started).Seconds(),
				adaptiveJSON: adaptive,
				trust:        trust{PositionBias: eval.Figure(math.NaN()), SameSlotRate: eval.Figure(math.NaN())},
			}, out,
		})
	}
	l.printPlan(&out)
	if adaptive != nil {
		adaptive.printForecast(a.Out)
	}
	return nil
}

// question gives the bytes of a principle's question in a prompt, for one that
// is not in use those of a usual one.
func (l *labelRun) question(h dataset.Hash) int {
	const usual = 60
	for i := range l.principles {
		if dataset.Hash(l.principles[i].Hash()) == h {
			return len(l.principles[i].Compare) + len(" Answer A or B.")
		}
	}
	return usual
}

func (l *labelRun) printPlan(p *planJSON) {
	w := l.app.Out
	fmt.Fprintf(w, "%d pairs × %d principles × %d orders", l.plan.Pairs, len(p.ByPrinciple), len(l.job.Orders))
	if l.job.Samples > 1 {
		fmt.Fprintf(w, " × %d samples", l.job.Samples)
	}
	fmt.Fprintf(w, " = %d questions: %d judged, %d failed before, %d to ask\n\n", p.Questions, l.plan.Done, l.plan.Failed, p.Pending)
	fmt.Fprintf(w, "%s %10s %10s %8s %10s %13s\n", column("PRINCIPLE", idWidth), "QUESTIONS", "JUDGED", "FAILED", "TO ASK", "PROMPT TOKENS")
	for _, k := range p.ByPrinciple {
		fmt.Fprintf(w, "%s %10d %10d %8d %10d %13s\n", column(k.ID, idWidth), k.Wanted, k.Done, k.Failed, k.Pending, about(k.PromptTokens))
	}
	if p.Pending == 0 {
		fmt.Fprintln(w, "\nnothing to ask")
		return
	}
	most := ""
	if p.AtMost {
		most = "at most "
	}
	fmt.Fprintf(w, "\n%s%d calls, about %s prompt tokens, of which a prefix cache saves %s\n", most, p.Calls, about(p.PromptTokens), about(p.CachedTokens))
	if p.Seconds == nil {
		fmt.Fprintf(w, "time: unknown, since %s has judged nothing here yet; tokens are reckoned at four bytes each\n", printable(l.model.id.Model))
		l.app.note(l.c, "cai doctor measures how long a job takes")
		return
	}
	fmt.Fprintf(w, "time: about %s at the pace of %d calls of %s, %.1f at once\n",
		duration(time.Duration(*p.Seconds*float64(time.Second))), p.MeasuredOn, printable(l.model.id.Model), p.Parallel)
}

// about is a number with two digits that mean something.
func about(n int64) string {
	if n < 100 {
		return fmt.Sprint(n)
	}
	scale := math.Pow(10, math.Floor(math.Log10(float64(n)))-1)
	return fmt.Sprintf("%.0f", math.Round(float64(n)/scale)*scale)
}
