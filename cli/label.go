package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/label"
	"cai/llm"
	"cai/prompt"
	"cai/store"
)

func (a *app) labelCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "label",
		Usage:     "have a model judge pairs of replies",
		ArgsUsage: "FILE…",
		Description: "Takes preference files: prompt with chosen and rejected, response_a and response_b,\n" +
			"or responses (all pairs); HH transcripts; TRL's forms; JSON, JSON Lines, CSV. Each\n" +
			"pair is judged under each principle in both orders, one answer token a question, and\n" +
			"every answer is in the database before the next question is put. Started again, the\n" +
			"same command goes on where it was; when all is judged it makes no call.\n\n" +
			"--adaptive asks a pair under some of the principles, always in both orders, and goes on\n" +
			"only while the label of all of them could well be another one. It learns how the\n" +
			"principles go together from the first 20 pairs, which are asked in full, as is one in\n" +
			"twenty after that, to check. Its labels keep their side; their p is that of the\n" +
			"principles that were asked. Without --adaptive, the rest is asked later.\n\n" +
			"--dry-run shows the plan: for each principle the questions and what is done of them, the\n" +
			"calls, their prompt tokens and, once this judge has judged something, the time, at the\n" +
			"pace of its stored calls. It needs no server where the database knows the judge. With\n" +
			"--json it stands under plan.\n\n" +
			"--pairs N does not ask about all pairs of a prompt with many responses but about N: at\n" +
			"first each response with another, then, in rounds, those whose outcome is expected to\n" +
			"tell most about the ranking (Bradley-Terry). Pairs that were judged before count.\n\n" +
			"--mode cot has the model write a rationale, which is kept with the judgment, and reads\n" +
			"the answer token after it: some ten times the time of a question, and other judgments.\n" +
			"--samples K draws K rationales, the first greedily, and labels average their\n" +
			"probabilities. After a rationale a model is surer than it is right: see cai calibrate.\n\n" +
			"--host more than once spreads the pairs over several servers, which must have the same\n" +
			"weights: each takes the next pair when it is free. --jobs auto finds out how many pairs\n" +
			"at once are fastest on each. While a server fails it is left alone and looked for; its\n" +
			"pairs go to others or wait, and nothing is marked as failed. Several cai label on one\n" +
			"database share the work. --events writes start, progress (every 5 s), away, back, left,\n" +
			"groups (pairs at once, by --jobs auto) and end as JSON Lines.\n\n" +
			"Questions that failed are kept with their reason and left alone until --retry-failed.\n" +
			"Ctrl-C finishes what is in flight; a second Ctrl-C gives that up, too.\n\n" +
			"--json prints pairs, judgments, reused, failed, abstained, calls, prompt_tokens,\n" +
			"seconds, and what the labels are worth: position_bias, same_slot_rate and, where the\n" +
			"input says which reply was chosen, accuracy with its 95 % interval beside baselines.\n" +
			"With --adaptive also saved (questions that are left out), stopped_early (their pairs)\n" +
			"and audit; with --dry-run, expected: the questions that will be asked.\n" + exitHelp,
		Flags: slices.Concat(askFlags(), []urfave.Flag{
			&urfave.IntFlag{Name: "pairs", Usage: "at most `N` pairs of a prompt with many responses, those that tell most about their ranking"},
			&urfave.BoolFlag{Name: "dry-run", Usage: "say what would be asked and what that is likely to take, and ask nothing"},
		}, adaptiveFlags(), spreadFlags(), inputFlags()),
		Action: a.runLabel,
	}
}

// askFlags say how pairs are judged.
func askFlags() []urfave.Flag {
	return append([]urfave.Flag{
		principleFlag(),
		&urfave.IntFlag{Name: "orders", Value: 2, Usage: "ask each pair in both orders, or in `1`: half the calls, and the position bias stays in the labels"},
		&urfave.StringFlag{Name: "mode", Usage: "token: read the answer's probabilities; vote: sample answers and count them; cot: the same as token after a written rationale; default: token where the server gives log-probabilities (`MODE`)"},
		&urfave.IntFlag{Name: "samples", Value: 1, Usage: "judgments of each question (`K`)"},
		&urfave.IntFlag{Name: "votes", Value: judge.DefaultVotes, Usage: "answers sampled for a judgment in mode vote (`N`)"},
		limitFlag("pairs"),
		&urfave.IntFlag{Name: "seed", Usage: "seed of votes, rationales and the choice of pairs (`N`)"},
		shapeFlag(),
		&urfave.BoolFlag{Name: "retry-failed", Usage: "ask again what failed before"},
		minCoverageFlag(),
	}, reasonFlags()...)
}

func minCoverageFlag() urfave.Flag {
	return &urfave.Float64Flag{Name: "min-coverage", Value: 0.1, Usage: "labels abstain on judgments whose answers had less probability than `X`"}
}

type labelJSON struct {
	Pairs        int64   `json:"pairs"`
	Judgments    int64   `json:"judgments"`
	Reused       int64   `json:"reused"`
	Failed       int64   `json:"failed"`
	Abstained    int64   `json:"abstained"`
	Calls        int64   `json:"calls"`
	PromptTokens int64   `json:"prompt_tokens"`
	Seconds      float64 `json:"seconds"`
	Pending      int64   `json:"pending"`
	Identical    int64   `json:"identical"`
	Judge        string  `json:"judge"`
	Model        string  `json:"model"`
	*adaptiveJSON
	*debatesJSON
	trust
}

// labelRun is one run of cai label.
type labelRun struct {
	app        *app
	c          *urfave.Context
	store      *store.Store
	model      *model
	fleet      *fleet
	con        *constitution.Constitution
	principles []constitution.Principle
	files      []string // those of the command line
	in         *inputs
	job        dataset.Job
	judge      asker
	judges     judges       // how the pairs are judged; set before the run
	plan       dataset.Plan // before the run
	counted    bool         // the plan is more than the longest pair
	identical  int64
	adaptive   *adaptiveRun // nil without --adaptive
	active     *chooser     // nil without --pairs
	seen       outcomes
	started    time.Time
	away       error // why no server answers a dry run
}

func (a *app) runLabel(c *urfave.Context) error {
	return a.newLabelRun(c).run()
}

// newLabelRun makes a run that asks the model of --model in the modes of
// [judge.Judge].
func (a *app) newLabelRun(c *urfave.Context) *labelRun {
	l := &labelRun{app: a, c: c, started: time.Now(), files: c.Args().Slice()}
	l.judges = judges{modes: judge.Modes(), make: l.judgeOf}
	return l
}

func (l *labelRun) run() error {
	mode, err := l.prepare()
	if err != nil {
		return err
	}
	if l.c.Bool("dry-run") {
		return l.dryRun(mode)
	}
	count, err := l.judgeAll(mode)
	if err != nil && !errors.Is(err, label.ErrStopped) {
		return err
	}
	return errors.Join(l.report(count), err)
}

// prepare brings the pairs into the store, and gives the mode to judge them in.
func (l *labelRun) prepare() (mode string, err error) {
	if err := l.check(); err != nil {
		return "", err
	}
	if err := l.open(); err != nil {
		return "", err
	}
	if mode, err = l.mode(); err != nil {
		return "", err
	}
	return mode, l.choose(mode)
}

// judgeAll asks all that is pending. Where the server gives no log-probabilities
// and no mode was named, it goes over to votes.
func (l *labelRun) judgeAll(mode string) (label.Count, error) {
	a, c := l.app, l.c
	if err := l.use(mode); err != nil {
		return label.Count{}, err
	}
	count, err := l.rounds(mode)
	if llm.KindOf(err) == llm.KindNoLogprobs && c.String("mode") == "" && mode == judge.ModeToken {
		a.noLogprobs(c)
		if err := l.choose(judge.ModeVote); err != nil {
			return count, err
		}
		if err := l.use(judge.ModeVote); err != nil {
			return count, err
		}
		before := count
		count, err = l.rounds(judge.ModeVote)
		count.Calls += before.Calls
	}
	if err != nil && !errors.Is(err, label.ErrStopped) {
		a.note(c, "%d judgments of this run are in %s", count.Judgments, c.String("db"))
	}
	l.seen.say(a, c)
	return count, err
}

// check refuses what makes no sense before anything is opened.
func (l *labelRun) check() error {
	c := l.c
	switch {
	case c.Int("orders") != 1 && c.Int("orders") != 2:
		return usagef("--orders %d: use 1 or 2", c.Int("orders"))
	case c.Int("samples") < 1:
		return usagef("--samples must be at least 1")
	case c.Int("pairs") < 0:
		return usagef("--pairs cannot be negative")
	case c.Duration("patience") < 0:
		return usagef("--patience cannot be negative")
	case c.String("mode") != "" && !slices.Contains(l.judges.modes, c.String("mode")):
		return usagef("--mode %q is not known: use %s", c.String("mode"), strings.Join(l.judges.modes, ", "))
	}
	if slices.Contains(l.judges.modes, judge.ModeToken) { // cai label's own options
		if err := errors.Join(checkReason(c), checkAdaptive(c)); err != nil {
			return err
		}
	}
	if _, err := jobs(c); err != nil {
		return err
	}
	_, err := shapeOf(c)
	return err
}

// open loads the principles, brings the pairs into the store and asks the
// server for the model.
func (l *labelRun) open() error {
	a, c := l.app, l.c
	var err error
	if l.con, l.principles, err = a.principles(c); err != nil {
		return err
	}
	if l.in, err = a.inputsOf(c, l.files, "preference files"); err != nil {
		return err
	}
	l.in.opts.Pairs, l.in.opts.Seed = c.Int("pairs"), int64(c.Int("seed"))
	if err := tryOut(l.in, dataset.Pairs); err != nil {
		return err
	}
	if err := l.reach(); err != nil {
		return err
	}
	if l.store, err = a.store(c); err != nil {
		return err
	}
	if err := l.known(); err != nil {
		return err
	}
	if err := l.store.PutConstitution(c.Context, l.con); err != nil {
		return err
	}
	for i := range l.principles {
		l.job.Principles = append(l.job.Principles, l.principles[i].Hash())
	}
	l.job.Orders = []dataset.Order{dataset.OrderAB, dataset.OrderBA}
	if c.Int("orders") == 1 {
		l.job.Orders = l.job.Orders[:1]
		a.warn("one order only: the judge's position bias stays in the labels")
	}
	l.job.Samples, l.job.Limit = c.Int("samples"), c.Int("limit")
	l.job.RetryFailed, l.job.Since = c.Bool("retry-failed"), l.started
	if c.Int("pairs") > 0 {
		return nil // the files are read once for each round
	}
	return l.bring()
}

// bring brings the pairs of the files into the store.
func (l *labelRun) bring() error {
	a, c := l.app, l.c
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	p := a.progress(c, "import", "pairs", 0)
	defer p.done()
	first := l.job.Files == nil
	l.job.Files, l.identical = nil, 0
	if l.active != nil {
		l.active.ctx, l.active.added = ctx, 0
	}
	for _, f := range l.in.files {
		imp, err := l.in.importFile(ctx, l.store, f, func(n int64) { p.set(n, f) })
		if err != nil {
			return err
		}
		l.identical += imp.Identical
		l.job.Files = append(l.job.Files, imp.File)
	}
	if l.identical > 0 && first {
		a.note(c, "%d pairs of identical replies are left out: there is nothing to judge", l.identical)
	}
	return nil
}

// use makes the judge of a mode and plans its job.
func (l *labelRun) use(mode string) error {
	var err error
	if l.judge, err = l.judges.make(l.model, mode); err != nil {
		return err
	}
	l.job.Judge = l.judge.id.Hash()
	if err := l.store.PutJudge(l.c.Context, l.judge.id); err != nil {
		return err
	}
	if err := l.size(); err != nil {
		return err
	}
	if err := l.adapt(l.c.Context, mode); err != nil {
		return err
	}
	longest, texts := 0, l.plan.Longest
	for i := range l.principles {
		longest = max(longest, len(l.principles[i].Compare))
	}
	if l.active != nil {
		texts = max(texts, l.active.longest)
	}
	return l.app.fit(l.c, l.model, prompt.Context(texts+longest, l.judge.room))
}

// pending is how many questions the job will ask.
func (l *labelRun) pending() int64 {
	n := l.plan.Wanted - l.plan.Done
	if !l.job.RetryFailed {
		n -= l.plan.Failed
	}
	if l.adaptive != nil {
		n -= l.adaptive.saved.Questions
	}
	return n
}

// ask runs the job, with progress.
func (l *labelRun) ask() (label.Count, error) {
	a, c := l.app, l.c
	if idle, err := l.idle(); idle || err != nil {
		return label.Count{}, err
	}
	run, err := l.store.StartRun(c.Context, "label", map[string]any{
		"files": l.in.files, "judge": l.job.Judge.String(), "principles": len(l.principles),
		"orders": len(l.job.Orders), "samples": l.job.Samples, "limit": l.job.Limit,
	})
	if err != nil {
		return label.Count{}, err
	}
	watch, err := l.watch()
	if err != nil {
		return label.Count{}, err
	}
	defer watch.close()
	defer l.countBeside(watch)()
	hosts, err := l.fleet.hosts(func(m llm.Chatter) (asker, error) { return l.judges.make(m, l.judge.id.Mode) })
	if err != nil {
		return label.Count{}, err
	}
	claims, err := l.store.Claim(c.Context, l.job)
	if err != nil {
		return label.Count{}, err
	}
	defer claims.Close()
	r := &label.Runner{
		Store: l.store, Claims: claims, Hosts: hosts, Job: l.job, Principles: l.principles,
		Patience: c.Duration("patience"), MinCoverage: c.Float64("min-coverage"),
		OnEvent: watch.host, OnCount: watch.counted, OnFailure: l.seen.failure,
		OnAnswer: func(a judge.Answer, abstains bool) { l.seen.answer(!abstains, a.First) },
	}
	if l.adaptive != nil {
		r.Adaptive = l.adaptive.rule
	}
	ended := make(chan struct{})
	var talk sync.WaitGroup
	talk.Go(func() {
		select {
		case <-a.Stop:
			a.note(c, "stopping when the calls in flight are done; Ctrl-C again gives them up")
		case <-ended:
		}
	})
	count, err := r.Run(c.Context, a.Stop)
	close(ended)
	talk.Wait()
	ferr := l.store.FinishRun(context.WithoutCancel(c.Context), run, count)
	return count, errors.Join(err, ferr)
}

// report sums up the run and what its labels are worth.
func (l *labelRun) report(n label.Count) error {
	a, c := l.app, l.c
	ctx := context.WithoutCancel(c.Context)
	after, err := l.store.Plan(ctx, l.job)
	if err != nil {
		return err
	}
	out := labelJSON{
		Pairs: after.Pairs, Judgments: n.Judgments, Reused: l.reused(after, n),
		Failed: after.Failed, Abstained: n.Abstained, Calls: n.Calls, PromptTokens: n.PromptTokens,
		Seconds: time.Since(l.started).Seconds(), Pending: after.Wanted - after.Done - after.Failed,
		Identical: l.identical, Judge: l.job.Judge.String(), Model: l.model.id.Model,
	}
	if l.adaptive != nil {
		if out.adaptiveJSON, err = l.adaptive.report(ctx, l.job); err != nil {
			return err
		}
		out.Pending -= out.Saved
	}
	if l.judges.report != nil {
		if out.debatesJSON, err = l.judges.report(ctx); err != nil {
			return err
		}
	}
	set := settings{rule: label.LogOdds, minCoverage: c.Float64("min-coverage"), oneOrder: c.Int("orders") == 1}
	out.trust, err = a.trust(ctx, l.store, l.judgedFilter(), set.of(l.principles))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := a.writeJSON(out); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.Out, "%d pairs: %d judgments, %d reused, %d failed, %d abstained; %d calls, %d prompt tokens, %.1f s\n",
			out.Pairs, out.Judgments, out.Reused, out.Failed, out.Abstained, out.Calls, out.PromptTokens, out.Seconds)
		if out.adaptiveJSON != nil {
			out.adaptiveJSON.print(a.Out)
		}
		if out.debatesJSON != nil {
			out.debatesJSON.print(a.Out)
		}
		out.trust.print(a.Out)
	}
	if out.Failed > 0 {
		if !c.Bool("quiet") {
			a.note(c, "%d questions failed: cai status says why, cai %s --retry-failed asks them again", out.Failed, c.Command.Name)
		}
		return silent(ExitSomeFailed)
	}
	if l.seen.most() {
		return silent(ExitSomeFailed)
	}
	return nil
}

// judgedFilter finds what the judge made of the pairs of this run.
func (l *labelRun) judgedFilter() store.Filter {
	return store.Filter{Judge: l.job.Judge, Principles: l.job.Principles, Files: l.job.Files, Limit: l.job.Limit}
}
