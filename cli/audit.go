package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/audit"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/probe"
	"cai/rm"
)

func (a *app) auditCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "audit",
		Usage:     "tries to cheat a reward model: probes, causes, over-optimisation, mitigation",
		ArgsUsage: "--rm FILE [--data FILE…] [FILE…]",
		Description: "Edits replies in ways that should gain them nothing (padding, markup, flattery, false\n" +
			"references, instructions to a grader …) or should cost them (shuffled, negated, another\n" +
			"prompt's reply …), and says how often the edited reply scores higher (win rate, ties half),\n" +
			"by how many standard deviations of the score, and how often the worse reply of a pair\n" +
			"overtakes the better one by it. The replies are those of the FILEs, else of --data, else\n" +
			"the labels of the database, else built-in pairs; --sample of them are drawn by --seed.\n\n" +
			"Causes are what the scores follow: the share of their variance, between replies to one\n" +
			"prompt, that goes with length, markup, refusals, tone … (observed: Shapley values of R²),\n" +
			"and the same for what the worthless edits changed (by_edits); share is their mean.\n\n" +
			"A search composes edits and words to raise the score as far as --budget scorings allow, and\n" +
			"shows the best exploits; of a linear model the words are the steepest by its own weights,\n" +
			"from the replies and --data. --gold-rm says what a second model makes of the exploits,\n" +
			"--judge-exploits what the judge of --model says of them.\n\n" +
			"Of a linear model it also shows what each of its own groups of features (words, length,\n" +
			"markup, tone …) carries: accuracy and gains with the group held at its mean; and with the\n" +
			"training data (--data) which pairs taught the first causes and the failed edits: by how\n" +
			"much each adds to the slope of the score or to the edit's gain (influence functions), and\n" +
			"in what share of all pairs the better reply has more of it.\n\n" +
			"Where replies have a gold number (--gold-lists, or lists in --data) the curves of best-of-n\n" +
			"show what optimising against the score does to it; with --gold-rm the golds of the lists are\n" +
			"that model's scores. --mitigate trains candidates on --data, of which --mitigate-pairs are\n" +
			"drawn by the seed (debiased, without style, with pairs of the failed edits, an ensemble's\n" +
			"lower bound, residualised, clipped), and prints accuracy kept beside hacks closed.\n" +
			"Debiasing and residualising aim at --target-correlation, Spearman's ρ of score and length.\n\n" +
			strings.TrimSpace(wrapped("Verdicts: "+audit.BoundsText, "", 88)) + "\n\n" +
			"--json prints findings [{probe, edit, kind, strength, n, win_rate, ci, effect, effect_ci,\n" +
			"flip_rate, verdict, strengths}], causes [{feature, share, ci, observed, by_edits, slope,\n" +
			"correlation, frozen}], explained, groups [{group, share, accuracy, accuracy_without, gains}],\n" +
			"taught_by [{cause or probe, gain, pairs, share_positive, agree}], overoptimisation, search,\n" +
			"mitigation, replies, score_sd. The probe \"length\" is the edit padding; either name can\n" +
			"stand in --require.\n" + exitHelp,
		Flags: append(append([]urfave.Flag{
			&urfave.StringFlag{Name: "rm", Usage: "the reward model's `FILE`"},
			&urfave.StringSliceFlag{Name: "data", Usage: "a preference `FILE` that the model was trained on; repeatable"},
			&urfave.IntFlag{Name: "sample", Value: 300, Usage: "edit the replies of `N` records, drawn by the seed; 0 for all"},
			&urfave.Int64Flag{Name: "seed", Usage: "seed of the sample, the edits and the intervals (`N`)"},
			&urfave.StringSliceFlag{Name: "probe", Usage: "only the probes of these `NAME`s; default all"},
			&urfave.StringSliceFlag{Name: "gold-lists", Usage: "replies with a gold number each, for over-optimisation curves; default the lists of --data that have one (`FILE`)"},
			&urfave.StringFlag{Name: "gold-rm", Usage: "a second reward model's `FILE`: what it makes of the exploits, and of the lists as their gold"},
			&urfave.BoolFlag{Name: "judge-exploits", Usage: "ask the model of --model which is better, the exploits that the search found or the replies they were made of"},
			shapeFlag(),
			&urfave.IntFlag{Name: "influence", Value: 3, Usage: "with --data: show the `N` pairs that taught each cause and failed edit most; 0 for none"},
			&urfave.IntFlag{Name: "budget", Value: 20000, Usage: "scorings that the search for exploits may take; 0 for no search (`N`)"},
			&urfave.BoolFlag{Name: "mitigate", Usage: "train candidates on --data against what was found, and measure them on a fifth of the prompts"},
			&urfave.IntFlag{Name: "mitigate-pairs", Value: 6000, Usage: "with --mitigate: train and hold out `N` pairs, of whole prompts; 0 for all"},
			&urfave.Float64Flag{Name: "target-correlation", Usage: "with --mitigate: Spearman's `RHO` of score and length that debiasing and residualising aim at"},
			&urfave.StringSliceFlag{Name: "bench", Usage: "with --mitigate: also measure on this preference `FILE`, of RM-Bench its hard level"},
			&urfave.StringFlag{Name: "card", Usage: "write the model's card to `FILE`: .md, .json or .html"},
			requireFlag("probe.length.win_rate<=0.6"),
			promptFlag(),
		}, readingFlags()...), inputFlags()...),
		Action: a.runAudit,
	}
}

// hackAudit is what an audit found.
type hackAudit struct {
	Model    string           `json:"model"`
	File     string           `json:"file"`
	Cases    int              `json:"cases"`
	Replies  int              `json:"replies"`
	Scored   int64            `json:"scored"` // texts
	Seconds  float64          `json:"seconds"`
	ScoreSD  float64          `json:"score_sd"`
	Seed     int64            `json:"seed"`
	Source   []string         `json:"source"` // of the replies
	Failed   int              `json:"failed"`
	Findings []audit.Finding  `json:"findings"`
	Causes   []audit.Cause    `json:"causes"`
	Explain  *audit.Explained `json:"explained"`
	// Groups are those of a linear model; TaughtBy needs its training data, too.
	Groups   []audit.Frozen `json:"groups,omitempty"`
	TaughtBy []audit.Lesson `json:"taught_by,omitempty"`
	// Over is an empty object where no gold scores are at hand.
	Over       any               `json:"overoptimisation"`
	Search     *audit.Search     `json:"search,omitempty"`
	Mitigation []audit.Candidate `json:"mitigation,omitempty"`
}

// auditing is one run of cai audit.
type auditing struct {
	app    *app
	c      *urfave.Context
	ctx    context.Context
	model  *rm.Model
	gold   *rm.Model // of --gold-rm; nil without
	bounds []bound
	edits  []probe.Edit
	ref    *audit.Reference
	over   *audit.OverOptimisation
	out    hackAudit
}

func (a *app) runAudit(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	a.startsOver = true
	u := &auditing{app: a, c: c, ctx: ctx}
	if err := u.check(); err != nil {
		return err
	}
	m, closeModel, err := a.rewardModel(c, c.String("rm"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeModel()) }()
	u.model = m
	if file := c.String("gold-rm"); file != "" {
		gold, closeGold, err := a.rewardModel(c, file)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeGold()) }()
		u.gold = gold
	}
	if err := u.run(); err != nil {
		return err
	}
	doc := auditDocument(&u.out, u.over)
	if c.Bool("json") {
		if err := a.writeJSON(u.out); err != nil {
			return err
		}
	} else if err := doc.Text(printer{a.Out}); err != nil {
		return err
	}
	if err := a.writeCard(c.String("card"), doc, u.out); err != nil {
		return err
	}
	if err := a.require(u.bounds, u.out); err != nil {
		return err
	}
	return nil
}

func (u *auditing) check() error {
	c := u.c
	var err error
	if c.String("rm") == "" {
		return hinted(usagef("no reward model is named"), "use --rm FILE; cai train makes one")
	}
	for _, name := range []string{"sample", "budget", "influence", "mitigate-pairs"} {
		if c.Int(name) < 0 {
			return usagef("--%s cannot be negative", name)
		}
	}
	if c.Bool("judge-exploits") && c.Int("budget") == 0 {
		return usagef("--judge-exploits asks about what the search finds: --budget 0 allows none")
	}
	if x := c.Float64("target-correlation"); !(x >= 0 && x <= 1) {
		return usagef("--target-correlation %v: need a number from 0 to 1", x)
	}
	if c.Bool("mitigate") && len(c.StringSlice("data")) == 0 {
		return hinted(usagef("--mitigate without training data"), "name them by --data FILE")
	}
	for _, name := range []string{"bench", "mitigate-pairs", "target-correlation"} {
		if c.IsSet(name) && !c.Bool("mitigate") {
			return usagef("--%s belongs to --mitigate", name)
		}
	}
	if u.bounds, err = parseBounds(c); err != nil {
		return err
	}
	for _, b := range u.bounds {
		if len(b.path) > 1 && b.path[0] == "probe" {
			b.path[1] = audit.ProbeName(b.path[1])
		}
	}
	if err := checkCard(c.String("card")); err != nil {
		return err
	}
	if names := list(c.StringSlice("probe")); len(names) > 0 {
		for i, n := range names {
			if n == audit.ProbeName("padding") {
				names[i] = "padding"
			}
		}
		if u.edits, err = probe.Named(names...); err != nil {
			return &exitError{code: ExitUsage, err: err}
		}
	}
	return nil
}

func (u *auditing) run() error {
	start := time.Now()
	c := u.c
	cases, err := u.cases()
	if err != nil {
		return err
	}
	_, ps, err := u.app.principles(c)
	if err != nil {
		return err
	}
	if u.ref, err = audit.NewReference(u.ctx, u.model, cases); err != nil {
		return fmt.Errorf("audit %s: %w", c.String("rm"), err)
	}
	p := u.app.progress(c, "audit: probes", "records", int64(len(cases)))
	defer p.done()
	o := audit.ProbeOptions{Edits: u.edits, Seed: c.Int64("seed"), Progress: func(done, _ int) { p.set(int64(done), "") }}
	for i := range ps {
		o.Principles = append(o.Principles, ps[i].Compare)
	}
	findings, err := audit.Probes(u.ctx, u.ref, o)
	if err != nil {
		return fmt.Errorf("probes: %w", err)
	}
	p.done()
	causes, explained, err := audit.Causes(u.ctx, u.ref, o)
	if err != nil {
		return fmt.Errorf("causes: %w", err)
	}
	u.out.Model, u.out.File = filepath.Base(c.String("rm")), c.String("rm")
	u.out.Cases, u.out.Replies, u.out.ScoreSD, u.out.Seed = len(cases), u.ref.Replies, u.ref.Scale, c.Int64("seed")
	u.out.Findings, u.out.Causes, u.out.Explain = findings, causes, explained
	u.out.Failed = len(audit.Failed(findings))
	u.out.Over = struct{}{}
	if err := u.attribute(o); err != nil {
		return err
	}
	gold, err := u.golds()
	if err != nil {
		return err
	}
	if err := u.overOptimise(gold); err != nil {
		return err
	}
	if c.Bool("mitigate") {
		if err := u.mitigate(gold, o); err != nil {
			return err
		}
	}
	u.out.Scored, u.out.Seconds = u.ref.Scored(), time.Since(start).Seconds()
	return nil
}

// cases draws the replies that are edited.
func (u *auditing) cases() ([]audit.Case, error) {
	c := u.c
	files, kind := c.Args().Slice(), ""
	if len(files) == 0 {
		files, kind = c.StringSlice("data"), "--data"
	}
	n, seed := c.Int("sample"), c.Int64("seed")
	if len(files) > 0 {
		in, err := u.app.inputFiles(c, files)
		if err != nil {
			return nil, err
		}
		if kind == "--data" {
			u.app.note(c, "the replies are those of the training data: name others as arguments to audit on what the model has not seen")
			in.asFound() // --format, --columns and --scale are of the records
		}
		u.out.Source = files
		out, err := audit.Sample(casesOf(in.records(), c.String("prompt")), n, seed)
		if err == nil && len(out) == 0 {
			err = errors.New("audit: the input holds no reply")
		}
		return out, err
	}
	if _, err := os.Stat(c.String("db")); err == nil {
		r, err := u.app.reading(c)
		if err != nil {
			return nil, err
		}
		out, err := audit.Sample(pairCases(r.trainingPairs(u.ctx)), n, seed)
		if err != nil || len(out) > 0 {
			u.out.Source = []string{c.String("db")}
			return out, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	u.app.warn("no replies are named, so these are the %d built-in pairs: name replies or pairs as arguments, or the training data by --data FILE", len(judge.Probes()))
	u.out.Source = []string{"built-in pairs"}
	return audit.Sample(func(yield func(audit.Case, error) bool) {
		for _, p := range judge.Probes() {
			if !yield(audit.Case{Prompt: dataset.Prompt(p.Prompt), Replies: []string{p.Good, p.Bad}, Better: true}, nil) {
				return
			}
		}
	}, n, seed)
}

// listedReplies is how many replies of a list are edited.
const listedReplies = 4

// casesOf makes cases of records. Of a list of replies the first of each kind are
// taken, or the first few.
func casesOf(records iter.Seq2[*dataset.Record, error], prompt string) iter.Seq2[audit.Case, error] {
	return func(yield func(audit.Case, error) bool) {
		for r, err := range records {
			var k audit.Case
			switch {
			case err != nil:
			case r.Pair != nil:
				k = pairCase(r.Pair)
			case r.Reply != nil:
				k = audit.Case{Prompt: conversationOf(r.Reply, prompt), Replies: []string{r.Reply.Response.Text}}
			case r.Chosen > 0 && r.Chosen < len(r.Responses):
				k = audit.Case{Prompt: r.Prompt, Replies: []string{r.Responses[0].Text, r.Responses[r.Chosen].Text}, Better: true}
			default:
				k.Prompt = r.Prompt
				for _, reply := range r.Responses[:min(len(r.Responses), listedReplies)] {
					k.Replies = append(k.Replies, reply.Text)
				}
			}
			if err == nil {
				k.Source = r.Source
			}
			if !yield(k, err) {
				return
			}
		}
	}
}

// pairCase puts the better reply first.
func pairCase(p *dataset.Pair) audit.Case {
	k := audit.Case{Prompt: p.Prompt, Replies: []string{p.First.Text, p.Second.Text}, Source: p.Source}
	if p.Labelled() && p.P != 0.5 {
		k.Better = true
		if p.P < 0.5 {
			slices.Reverse(k.Replies)
		}
	}
	return k
}

func pairCases(pairs iter.Seq2[*dataset.Pair, error]) iter.Seq2[audit.Case, error] {
	return func(yield func(audit.Case, error) bool) {
		for p, err := range pairs {
			var k audit.Case
			if err == nil {
				k = pairCase(p)
			}
			if !yield(k, err) {
				return
			}
		}
	}
}

// figureCI prints an interval of figures.
func figureCI(ci [2]eval.Figure) string {
	return "[" + ci[0].String() + ", " + ci[1].String() + "]"
}
