package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
	"cai/rubric"
	"cai/store"
)

func (a *app) gradeCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "grade",
		Usage:     "replies by the criteria of a rubric",
		ArgsUsage: "FILE…",
		Description: "A FILE is one reply (text, Markdown) or JSON Lines of records with prompt or\n" +
			"messages, and response, a list of responses, or a pair. A column reference or\n" +
			"reference_answer is shown to the criteria that ask for it (reference = true). The\n" +
			"rubric is TOML (cai rubric draft writes one) or prometheus JSON.\n\n" +
			"Each criterion is one question with one answer token; its score is the expected value\n" +
			"of that token's distribution over the levels, 0 to 1. Every second sample lists the\n" +
			"levels from the highest down: the mean of an even number of samples is free of most of\n" +
			"the bias that models have for places in a list.\n\n" +
			"With w the weights, c the scores of the criteria that apply and P the sum of the sizes\n" +
			"of the negative weights: score = (Σ w·c + P) / Σ |w|. A veto that does not hold makes it\n" +
			"0. --aggregate implicit asks one question about the reply as a whole instead, with all\n" +
			"criteria listed, and knows no veto.\n\n" +
			"--pairs-out makes preference pairs of the replies to the same prompt: margin is the\n" +
			"difference of their scores, label_prob the probability that the chosen one is better,\n" +
			"if scores are spread normally by their sd.\n\n" +
			"--report measures the rubric itself: agreement between samples (ICC), halo, criteria that\n" +
			"are dead or redundant, what each adds, use of levels, with 95 % intervals by prompt.\n\n" +
			"Each answer is kept in the database as it comes; a second run asks nothing twice, and\n" +
			"one that was stopped goes on. --json prints one line each: file, line, id, score, sd,\n" +
			"coverage, vetoed, aggregate, criteria [{id, score, distribution (lowest level first),\n" +
			"coverage, applies, weight, evidence, evidence_dropped, failure}], model, and the columns\n" +
			"of the record that are not used; --report adds a last line {\"report\": …}.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "rubric", Usage: "the rubric's `FILE`"},
			&urfave.StringFlag{Name: "aggregate", Value: "explicit", Usage: "`HOW` a score is made: explicit (weighted criteria) or implicit (one question)"},
			&urfave.IntFlag{Name: "samples", Value: 2, Usage: "ask each question `K` times, in other words and with the levels turned, up to 6"},
			&urfave.BoolFlag{Name: "evidence", Usage: "a quotation of the reply for each criterion, dropped unless it is in the reply"},
			&urfave.Float64Flag{Name: "min-coverage", Value: 0.1, Usage: "leave out answers with less probability than `X` on the levels"},
			&urfave.StringFlag{Name: "pairs-out", Usage: "write preference pairs of replies to the same prompt to `FILE` (TRL)"},
			&urfave.Float64Flag{Name: "min-margin", Value: 0.05, Usage: "replies whose scores differ by less than `X` are a tie and make no pair"},
			&urfave.BoolFlag{Name: "report", Usage: "measure how consistent the rubric is"},
			limitFlag("replies"),
			promptFlag(),
			&urfave.IntFlag{Name: "seed", Usage: "seed of sampled answers and of the intervals (`N`)"},
			againFlag(),
			outFlag("write the JSON Lines"),
		}, inputFlags()...),
		Action: a.runGrade,
	}
}

// gradeJob is one run of cai grade.
type gradeJob struct {
	app         *app
	c           *urfave.Context
	rubric      *rubric.Rubric
	in          *inputs
	store       *store.Store
	model       *model
	grader      *rubric.Grader
	asked       rubric.Asked
	minCoverage float64
	seen        outcomes

	total    int // replies
	graded   int
	failed   int // questions
	kinds    map[llm.Kind]int
	quotes   int // asked for
	dropped  int // of them, those that are not in the reply
	skipped  int // criteria that did not apply
	unshown  int // replies without the reference answer that a criterion asks for
	unwanted int // replies with one that no criterion asks for
	results  []*rubric.Result
	scored   []scored
}

// scored is a graded reply on its way into pairs.
type scored struct {
	reply *rubric.Reply
	score rubric.Score
}

func (a *app) runGrade(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	j, err := a.gradeJob(c)
	if err != nil {
		return err
	}
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	var pairs *output
	if name := c.String("pairs-out"); name != "" {
		f, err := dataset.Create(name)
		if err != nil {
			return err
		}
		pairs = &output{Writer: f, file: f}
		defer pairs.close()
	}
	if err := j.open(ctx); err != nil {
		return err
	}
	if err := j.run(ctx, out); err != nil {
		return err
	}
	if c.Bool("report") {
		rep := rubric.Consistency(j.rubric, j.results, j.minCoverage, eval.Options{Seed: int64(c.Int("seed"))})
		if c.Bool("json") || out.toFile() {
			if err := dataset.NewEncoder(out).Encode(map[string]any{"report": rep}); err != nil {
				return err
			}
		}
		if !c.Bool("json") {
			printReport(a.Out, &rep)
		}
	}
	if err := out.commit(); err != nil {
		return err
	}
	if pairs != nil {
		if err := j.writePairs(pairs); err != nil {
			return err
		}
	}
	j.say()
	if j.failed > 0 || j.seen.most() {
		return silent(ExitSomeFailed)
	}
	return nil
}

// gradeJob reads the command line, the rubric and once through the input, so
// that what is wrong with them is found before the first call.
func (a *app) gradeJob(c *urfave.Context) (*gradeJob, error) {
	j := &gradeJob{app: a, c: c, kinds: map[llm.Kind]int{}, minCoverage: c.Float64("min-coverage")}
	j.asked = rubric.Asked{Samples: c.Int("samples"), Evidence: c.Bool("evidence"), Again: c.Bool("retry-failed"), MinCoverage: j.minCoverage}
	j.asked.OnAnswer = func(x llm.Choice) { j.seen.answer(dataset.Counts(x.Coverage, j.minCoverage), x.First) }
	switch how := c.String("aggregate"); how {
	case "explicit":
	case "implicit":
		j.asked.Holistic = true
		if c.Bool("report") {
			return nil, usagef("--report is about criteria, which --aggregate implicit does not ask one by one")
		}
	default:
		return nil, usagef("--aggregate %q: use explicit or implicit", how)
	}
	if s := j.asked.Samples; s < 1 || s > rubric.Wordings {
		return nil, usagef("--samples %d: there are %d ways to put a question; use 1 to %d", s, rubric.Wordings, rubric.Wordings)
	}
	for _, name := range []string{"min-coverage", "min-margin"} {
		if x := c.Float64(name); !(x >= 0 && x <= 1) {
			return nil, usagef("--%s %v is not from 0 to 1", name, x)
		}
	}
	if c.String("rubric") == "" {
		return nil, hinted(usagef("no rubric is named"), "use --rubric FILE; cai rubric draft --out FILE writes one to start from")
	}
	var err error
	if j.rubric, err = loadRubric(c.String("rubric")); err != nil {
		return nil, err
	}
	if j.in, err = a.inputs(c, "replies: text, Markdown or JSON Lines"); err != nil {
		return nil, err
	}
	return j, j.in.rewindable()
}

// loadRubric reads a rubric that can be graded by.
func loadRubric(name string) (*rubric.Rubric, error) {
	r, err := rubric.Load(name)
	if notFound(err) {
		return nil, hinted(err, "cai rubric draft --out %s writes one to start from", name)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range r.Lint() {
		if f.Severity == "error" {
			return nil, hinted(fmt.Errorf("%s:%d: criterion %q: %s", name, f.Line, f.Criterion, f.Message), "cai rubric lint %s lists everything", name)
		}
	}
	return r, nil
}

// open finds out how long the texts are, and opens the model and the store.
func (j *gradeJob) open(ctx context.Context) error {
	a, c := j.app, j.c
	wants := slices.ContainsFunc(j.rubric.Criteria, func(c rubric.Criterion) bool { return c.Reference })
	longest := 0
	for g, err := range j.replies() {
		if err != nil {
			return err
		}
		j.total++
		n := len(g.reply.Response.Text) + len(g.reply.Reference)
		for _, m := range g.reply.Prompt {
			n += len(m.Content)
		}
		longest = max(longest, n)
		switch {
		case wants && g.reply.Reference == "":
			j.unshown++
		case !wants && g.reply.Reference != "":
			j.unwanted++
		}
	}
	m, err := a.model(c)
	if err != nil {
		return err
	}
	if j.store, err = a.store(c); err != nil {
		return err
	}
	asked := len(j.rubric.Holistic("").Text)
	if !j.asked.Holistic {
		for i := range j.rubric.Criteria {
			cr := &j.rubric.Criteria[i]
			asked = max(asked, len(cr.Text)+len(strings.Join(cr.Levels, "")))
		}
	}
	if err := a.fit(c, m, prompt.Context(longest+asked, 128)); err != nil {
		return err
	}
	j.model = m
	if err := j.store.PutRubric(ctx, j.rubric.Hash(), cmp.Or(j.rubric.Name, j.rubric.File), string(j.rubric.TOML())); err != nil {
		return err
	}
	return j.by(ctx, 0)
}

// by sets who grades.
func (j *gradeJob) by(ctx context.Context, votes int) error {
	j.grader = rubric.New(j.model, j.model.id, j.store, j.rubric, votes, j.c.Int("seed"), j.model.options)
	return j.store.PutJudge(ctx, j.grader.ID)
}

// toGrade is one reply of the input.
type toGrade struct {
	reply  rubric.Reply
	source dataset.Source
	id     string
}

// replies gives every reply of the input: of a record with a list or a pair,
// each of them.
func (j *gradeJob) replies() iter.Seq2[*toGrade, error] {
	return limited(func(yield func(*toGrade, error) bool) {
		for rec, err := range j.in.records() {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, g := range j.of(rec) {
				if !yield(g, nil) {
					return
				}
			}
		}
	}, j.c.Int("limit"))
}

func (j *gradeJob) of(rec *dataset.Record) []*toGrade {
	base := toGrade{source: rec.Source, id: recordID(rec.Source)}
	for _, column := range []string{"reference", "reference_answer"} {
		if json.Unmarshal(rec.Object.Get(column), &base.reply.Reference) == nil && strings.TrimSpace(base.reply.Reference) != "" {
			break
		}
		base.reply.Reference = ""
	}
	var out []*toGrade
	add := func(p dataset.Conversation, r dataset.Response, sub string) {
		g := base
		if len(p) == 0 && j.c.String("prompt") != "" {
			p = dataset.Prompt(j.c.String("prompt"))
		}
		g.reply.Prompt, g.reply.Response = p, r
		g.id += sub
		out = append(out, &g)
	}
	switch {
	case rec.Pair != nil:
		add(rec.Pair.Prompt, rec.Pair.First, "/1")
		add(rec.Pair.Prompt, rec.Pair.Second, "/2")
	case rec.Reply != nil:
		add(rec.Reply.Prompt, rec.Reply.Response, "")
	default:
		for i, r := range rec.Responses {
			add(rec.Prompt, r, fmt.Sprintf("/%d", i+1))
		}
	}
	return out
}

func (j *gradeJob) run(ctx context.Context, out *output) error {
	a, c := j.app, j.c
	human := !c.Bool("json") && !out.toFile()
	enc := dataset.NewEncoder(out)
	each := j.asked.Samples
	if !j.asked.Holistic {
		each *= len(j.rubric.Criteria)
	}
	p := a.progress(c, "grade", "grades", int64(j.total*each))
	defer p.done()
	if human && isTerminal(a.Out) {
		p.off = true // the text itself shows how far it is
	}
	settled := int64(0)
	j.asked.OnGrade = func(n int) {
		settled += int64(n)
		note := ""
		if j.failed > 0 {
			note = fmt.Sprintf("%d failed", j.failed)
		}
		p.set(settled, note)
	}
	for g, err := range j.replies() {
		if err != nil {
			return err
		}
		res, err := j.grader.Grade(ctx, &g.reply, j.asked)
		if j.graded == 0 && llm.KindOf(err) == llm.KindNoLogprobs {
			a.noLogprobs(c)
			if err := j.by(ctx, judge.DefaultVotes); err != nil {
				return err
			}
			res, err = j.grader.Grade(ctx, &g.reply, j.asked)
		}
		if err != nil {
			return err
		}
		j.graded++
		line := j.line(g, res)
		if err := j.failures(g, res); err != nil {
			return err
		}
		if human {
			line.print(a.Out)
		} else if err := enc.Encode(line.object(g.source.Extra)); err != nil {
			return err
		}
		if c.Bool("report") {
			j.results = append(j.results, res)
		}
		if c.String("pairs-out") != "" && len(g.reply.Prompt) > 0 && line.whole {
			j.scored = append(j.scored, scored{&g.reply, line.total})
		}
	}
	return nil
}

// failures says and counts what has no answer.
func (j *gradeJob) failures(g *toGrade, res *rubric.Result) error {
	for i := range res.Items {
		it := &res.Items[i]
		for _, err := range []error{it.Err, it.QuoteErr} {
			if err == nil {
				continue
			}
			kind := llm.KindOf(err)
			if err := j.app.itemError(fmt.Errorf("criterion %s: %w", it.Question.Name, err), g.source, ""); err != nil {
				return err
			}
			j.failed++
			j.kinds[kind]++
		}
		if it.Applies < 0.5 {
			j.skipped++
		}
	}
	return nil
}

// say sums up.
func (j *gradeJob) say() {
	a, c := j.app, j.c
	text := fmt.Sprintf("%d replies, %d failed", j.graded, j.failed)
	if j.failed > 0 {
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(j.kinds)) {
			kinds = append(kinds, fmt.Sprintf("%s %d", k, j.kinds[k]))
		}
		text += " (" + strings.Join(kinds, ", ") + "; the same command asks them again)"
	}
	a.note(c, "%s, %d calls, %d answers from the store", text, j.grader.Calls, j.grader.Reused)
	j.seen.say(a, c)
	if j.skipped > 0 {
		a.note(c, "%d criteria did not apply to their reply", j.skipped)
	}
	if j.quotes > 0 {
		a.note(c, "evidence: %d quotations, %d of them not in the reply and dropped", j.quotes, j.dropped)
	}
	if j.unshown > 0 {
		a.note(c, "%d replies have no reference answer: criteria that use one were asked without", j.unshown)
	}
	if j.unwanted > 0 {
		a.note(c, "%d replies have a reference answer that no criterion uses: reference = true in the rubric shows it", j.unwanted)
	}
}
