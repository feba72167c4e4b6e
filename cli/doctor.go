package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/eval"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
)

// What a judge has to reach.
const (
	leastRight    = 30                  // of the 40 built-in pairs
	leastCoverage = judge.LeastCoverage // mean
	goodCoverage  = 0.5
)

func (a *app) doctorCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "doctor",
		Usage: "whether the server and the model can serve as a judge, and how fast",
		Description: "Checks the server, the model's weights and chat template, the context length that it\n" +
			"really has, that a prompt which is too long is refused and not cut, log-probabilities,\n" +
			"and answers by a JSON schema. Then it has the model judge 40 built-in pairs whose worse\n" +
			"reply is unmistakably bad, in both orders: how many are right once the position bias is\n" +
			"out, how much of the probability fell on the answers, how often the same slot wins\n" +
			"twice, and whether the same question gets the same answer again. At last it measures\n" +
			"what a job costs: the prompt cache, whether several pairs at once pay, and the hours\n" +
			"for --pairs of --tokens under --principles.\n\n" +
			"The default prompt shape is tried on all pairs and each other one on a dozen. The two\n" +
			"best of those that promise more than the default go on to the rest. Another shape is\n" +
			"recommended if it is right on two pairs more, or on as many with a much higher coverage\n" +
			"or a signal a quarter stronger; a pair on which labels would abstain does not count.\n\n" +
			"Nothing is written to the database. A small model on one core takes about ten minutes;\n" +
			"each check is printed as it is done. Exit 4 says that the model cannot judge: it has no\n" +
			"chat template, gives no log-probabilities, puts less than 0.1 of the probability on\n" +
			"the answers, is right on fewer than 30 of the 40 pairs in its best shape, or its server\n" +
			"cuts prompts.\n\n" +
			"--json prints {ok, checks: [{name, ok, verdict, value, text, hint}], shapes, shape,\n" +
			"jobs, job, not_tried}; verdict is pass, warn or fail.\n" + exitHelp,
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "all-shapes", Usage: "try every prompt shape on all the pairs"},
			&urfave.IntFlag{Name: "pairs", Value: 1000, Usage: "tell the hours for a job of `N` pairs"},
			&urfave.IntFlag{Name: "principles", Usage: "under `K` principles; default: the constitution's"},
			&urfave.IntFlag{Name: "tokens", Value: 600, Usage: "a prompt and its two replies being `T` tokens long together"},
		},
		Action: a.runDoctor,
	}
}

// checkJSON is one check. A warning is no failure: the model can judge, and
// something should be known or can be made better.
type checkJSON struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Verdict string `json:"verdict"`
	Value   any    `json:"value"`
	Text    string `json:"text"`
	Hint    string `json:"hint"`
}

type doctorJSON struct {
	OK       bool        `json:"ok"`
	Model    string      `json:"model"`
	Host     string      `json:"host"`
	Digest   string      `json:"digest"`
	Checks   []checkJSON `json:"checks"`
	Shapes   []shapeJSON `json:"shapes"`
	Shape    string      `json:"shape"` // recommended; "" where none will do
	Jobs     int         `json:"jobs"`  // recommended; 0 where that was not tried
	Job      *jobJSON    `json:"job"`
	NotTried []string    `json:"not_tried"`
	Seconds  float64     `json:"seconds"`
}

type shapeJSON struct {
	Name         string      `json:"name"`
	About        string      `json:"about"`
	Pairs        int         `json:"pairs"`
	Right        int         `json:"right"`
	Kept         int         `json:"kept"` // right, with a coverage on which no label abstains
	Failed       int         `json:"failed"`
	SameSlot     int         `json:"same_slot"`
	SameSlotRate eval.Figure `json:"same_slot_rate"`
	Z            eval.Figure `json:"z"`
	PositionBias eval.Figure `json:"position_bias"`
	Coverage     eval.Figure `json:"coverage"`
	Wrong        []string    `json:"wrong"` // the pairs whose worse reply it preferred, or saw no difference in
	Recommended  bool        `json:"recommended"`
}

// checks are the names of all checks, in their order.
var checks = []string{
	"server", "model", "capabilities", "template", "context", "truncation", "logprobs", "structured_output",
	"builtin_pairs", "coverage", "position_bias", "flip_rate", "shape", "rates", "prefix_cache", "parallel", "hours",
}

// doctor is one run of cai doctor.
type doctor struct {
	app       *app
	c         *urfave.Context
	ctx       context.Context
	model     *model
	principle constitution.Principle // that the built-in pairs are judged by
	asked     []constitution.Principle
	out       doctorJSON
	started   time.Time

	tokens, bytes int64 // of prompts so far, to tell one from the other
}

func (a *app) runDoctor(c *urfave.Context) error {
	a.startsOver = true
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	switch {
	case c.NArg() > 0:
		return usagef("doctor takes no file: it judges pairs of its own")
	case c.Int("pairs") < 1 || c.Int("principles") < 0 || c.Int("tokens") < 1:
		return usagef("--pairs and --tokens must be at least 1, and --principles cannot be negative")
	}
	con, err := a.constitution(c)
	if err != nil {
		return err
	}
	d := &doctor{app: a, c: c, ctx: ctx, principle: judge.ProbePrinciple(), asked: con.Principles, started: time.Now()}
	d.out.Checks, d.out.Shapes, d.out.NotTried = []checkJSON{}, []shapeJSON{}, []string{}
	err = d.examine()
	if err != nil && a.stopped(c.Context) {
		return err
	}
	if err != nil && d.model == nil && len(d.out.Checks) == 0 {
		return err // no question of the server: usage
	}
	d.conclude(err)
	if c.Bool("json") {
		if err := a.writeJSON(d.out); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return err
	case !c.Bool("json"):
		d.print()
	}
	if !d.out.OK {
		return silent(ExitCheck)
	}
	return nil
}

// errEnough ends the examination: what is left makes no sense any more.
var errEnough = errors.New("enough is known")

// examine runs the checks. What makes later ones senseless ends it.
func (d *doctor) examine() error {
	for _, step := range []func() error{d.server, d.describe, d.template, d.context, d.logprobs, d.truncation, d.structured, d.judgePairs, d.speed, d.parallel, d.hours} {
		if err := step(); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (d *doctor) pass(name string, value any, format string, args ...any) {
	d.add(checkJSON{Name: name, OK: true, Verdict: "pass", Value: value, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(name string, value any, hint, format string, args ...any) {
	d.add(checkJSON{Name: name, OK: true, Verdict: "warn", Value: value, Hint: hint, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) fail(name string, value any, hint, format string, args ...any) {
	d.add(checkJSON{Name: name, Verdict: "fail", Value: value, Hint: hint, Text: fmt.Sprintf(format, args...)})
}

// broke is a check that an error ended. Being stopped says nothing of the server.
func (d *doctor) broke(name string, err error) {
	if d.ctx.Err() != nil {
		return
	}
	d.fail(name, nil, llm.HintOf(err), "%v", bare(err))
}

// add keeps a check, and shows it: as data on stdout, or as talk where stdout is
// for JSON.
func (d *doctor) add(k checkJSON) {
	d.out.Checks = append(d.out.Checks, k)
	word := map[string]string{"pass": "ok", "warn": "warn", "fail": "FAIL"}[k.Verdict]
	line := fmt.Sprintf("%-4s  %-17s  %s", word, strings.ReplaceAll(k.Name, "_", " "), k.Text)
	if d.c.Bool("json") {
		d.app.note(d.c, "%s", line)
		return
	}
	fmt.Fprintln(d.app.Out, printable(line))
	if k.Hint != "" {
		fmt.Fprintln(d.app.Out, printable("      "+strings.Repeat(" ", 19)+"→ "+k.Hint))
	}
}

// conclude fills in what follows from the checks. err is what ended them.
func (d *doctor) conclude(err error) {
	d.out.OK = err == nil
	for _, k := range d.out.Checks {
		d.out.OK = d.out.OK && k.OK
	}
	for _, name := range checks {
		if !slices.ContainsFunc(d.out.Checks, func(k checkJSON) bool { return k.Name == name }) {
			d.out.NotTried = append(d.out.NotTried, name)
		}
	}
	if !d.out.OK {
		d.out.Shape = ""
		for i := range d.out.Shapes {
			d.out.Shapes[i].Recommended = false
		}
	}
	d.out.Seconds = time.Since(d.started).Seconds()
}

// print ends what a person reads: the verdict, and why.
func (d *doctor) print() {
	w := d.app.Out
	name := d.c.String("model")
	if len(d.out.NotTried) > 0 {
		fmt.Fprintf(w, "not tried: %s\n", strings.ReplaceAll(strings.Join(d.out.NotTried, ", "), "_", " "))
	}
	if d.out.OK {
		fmt.Fprintf(w, "\n%s can serve as a judge", printable(name))
		if d.out.Shape != judge.DefaultShape().Name {
			fmt.Fprintf(w, "; say --shape %s", d.out.Shape)
		}
		fmt.Fprintln(w)
		return
	}
	fmt.Fprintf(w, "\n%s cannot serve as a judge:\n", printable(name))
	for _, k := range d.out.Checks {
		if !k.OK {
			fmt.Fprintf(w, "  %s: %s\n", strings.ReplaceAll(k.Name, "_", " "), printable(k.Text))
		}
	}
}

// printShapes shows what came of the prompt shapes.
func (d *doctor) printShapes() {
	if d.c.Bool("json") {
		return
	}
	w := tabwriter.NewWriter(d.app.Out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shape\tpairs\tright\tkept\tsame slot\tmean z\tposition bias\tcoverage\tfailed\t")
	for _, s := range d.out.Shapes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%+.2f\t%+.2f\t%.2f\t%d\t\n", s.Name, s.Pairs, s.Right, s.Kept, s.SameSlot, float64(s.Z), float64(s.PositionBias), float64(s.Coverage), s.Failed)
	}
	w.Flush()
}

// server finds the server and the model, and sets the context length once and
// for all, because each change has the server load the model again.
func (d *doctor) server() error {
	m, err := d.app.model(d.c)
	switch llm.KindOf(err) {
	case "":
		if err != nil {
			return err
		}
	case llm.KindModelMissing:
		d.pass("server", nil, "a server answers")
		d.broke("model", err)
		return err
	default:
		d.broke("server", err)
		return err
	}
	d.model = m
	d.out.Model, d.out.Host, d.out.Digest = m.id.Model, m.Host(), m.id.Digest
	need := prompt.Context(d.c.Int("tokens")*6, 64)
	if err := d.app.fit(d.c, m, need); err != nil {
		d.broke("server", err)
		return err
	}
	value := map[string]string{"host": m.Host(), "version": m.id.Version, "backend": m.id.Backend}
	recognised := true
	if m.id.Backend != "ollama" {
		i, err := m.Inspect(d.ctx)
		if err != nil {
			d.broke("server", err)
			return err
		}
		recognised = i.Recognised
	}
	switch {
	case !recognised:
		d.warn("server", value, "what follows shows whether it answers questions as OpenAI's servers do", "a server answers at %s; it does not list its models as OpenAI's protocol says", m.Host())
	case m.id.Backend != "ollama":
		d.pass("server", value, "one that speaks OpenAI's protocol at %s", m.Host())
	case m.id.Version != "" && older(m.id.Version, "0.12.11"):
		d.warn("server", value, "update Ollama: it gives log-probabilities from 0.12.11 on", "Ollama %s at %s", m.id.Version, m.Host())
	default:
		d.pass("server", value, "Ollama %s at %s", m.id.Version, m.Host())
	}
	return nil
}

// older tells whether version a is older than b; what is no version is not.
func older(a, b string) bool {
	var x, y [3]int
	if n, _ := fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2]); n < 2 {
		return false
	}
	if n, _ := fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2]); n < 2 {
		return false
	}
	return slices.Compare(x[:], y[:]) < 0
}
