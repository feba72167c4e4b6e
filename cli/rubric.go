package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/prompt"
	"cai/rubric"
)

func (a *app) rubricCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "rubric",
		Usage: "draft and check the rubrics that cai grade uses",
		Subcommands: []*urfave.Command{
			{
				Name:        "lint",
				Usage:       "what is wrong with a rubric",
				ArgsUsage:   "FILE",
				Description: rubric.LintHelp + "\nExits with 4 if there are errors or warnings.\n" + exitHelp,
				Action:      a.runRubricLint,
			},
			{
				Name:  "draft",
				Usage: "have the model propose a rubric, to be edited",
				Description: "--from principles words a yes-or-no question for each principle of the constitution;\n" +
					"--pairs FILE one for what sets chosen replies apart from rejected ones. Proposals that\n" +
					"lint finds anything wrong with, or that say what another one says, are left out. What\n" +
					"comes out is a start: read it, take out what does not matter, give weights, describe\n" +
					"levels, add pitfalls; then look at cai grade --report.\n\n" +
					"Prints TOML, or writes it to --out, and never over a file that is there without --force.\n" + exitHelp,
				Flags: append([]urfave.Flag{
					&urfave.StringFlag{Name: "from", Value: "principles", Usage: "`WHAT` to draft from: principles"},
					&urfave.StringFlag{Name: "pairs", Usage: "draft from the labelled pairs of `FILE`"},
					principleFlag(),
					&urfave.IntFlag{Name: "criteria", Value: 7, Usage: "at most `N` criteria from pairs"},
					&urfave.IntFlag{Name: "limit", Value: 20, Usage: "look at up to `N` pairs; 0 takes all"},
					&urfave.IntFlag{Name: "seed", Usage: "seed of the model's sampler (`N`)"},
					&urfave.StringFlag{Name: "out", Usage: "write the TOML to `FILE` instead of stdout"},
					&urfave.BoolFlag{Name: "force", Usage: "write over a file that is there"},
				}, inputFlags()...),
				Action: a.runRubricDraft,
			},
		},
	}
}

func (a *app) runRubricLint(c *urfave.Context) error {
	if c.NArg() != 1 {
		return usagef("lint takes one file, not %d", c.NArg())
	}
	r, err := rubric.Load(c.Args().First())
	if err != nil {
		return err
	}
	findings := r.Lint()
	bad := 0
	for _, f := range findings {
		if f.Severity != constitution.SeverityInfo {
			bad++
		}
		if c.Bool("json") {
			if err := a.writeJSON(f); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.Out, "%s:%d: %s: %s: %s (%s)\n", printable(r.File), f.Line, f.Severity, printable(f.Criterion), printable(f.Message), f.Rule)
		if f.Hint != "" {
			fmt.Fprintf(a.Out, "    %s\n", printable(f.Hint))
		}
	}
	if !c.Bool("json") {
		fmt.Fprintf(a.Out, "%d criteria, %d errors and warnings, %d remarks\n", len(r.Criteria), bad, len(findings)-bad)
	}
	if bad > 0 {
		return silent(ExitCheck)
	}
	return nil
}

func (a *app) runRubricDraft(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	switch {
	case c.NArg() > 0:
		return usagef("draft takes no file: --pairs FILE names pairs, --out FILE the output")
	case c.String("from") != "principles":
		return hinted(usagef("--from %q: use principles, or --pairs FILE", c.String("from")), "")
	case c.String("pairs") != "" && c.IsSet("from"):
		return usagef("--from and --pairs: one of them")
	case c.Int("criteria") < 1:
		return usagef("--criteria must be at least 1")
	}
	name := c.String("out")
	if name != "" && name != "-" && !c.Bool("force") {
		if _, err := os.Lstat(name); err == nil {
			return hinted(usagef("%s is there already", name), "--force writes over it")
		}
	}
	var pairs []*dataset.Pair
	var ps []constitution.Principle
	longest := 0
	var err error
	if file := c.String("pairs"); file != "" {
		pairs, longest, err = a.examples(c, file)
	} else {
		_, ps, err = a.principles(c)
	}
	if err != nil {
		return err
	}
	m, err := a.model(c)
	if err != nil {
		return err
	}
	if err := a.fit(c, m, prompt.Context(longest, 256)); err != nil {
		return err
	}
	a.startsOver = true
	p := a.progress(c, "draft", "calls", 0)
	defer p.done()
	d := &rubric.Draft{Model: m, Seed: c.Int("seed")}
	r := &rubric.Rubric{Name: "draft"}
	if pairs != nil {
		r.Description = fmt.Sprintf("Drafted by %s from pairs of %s. Edit before use.", m.id.Model, c.String("pairs"))
		r.Criteria, err = d.FromPairs(ctx, pairs, c.Int("criteria"))
	} else {
		r.Description = fmt.Sprintf("Drafted by %s from principles. Edit before use.", m.id.Model)
		r.Criteria, err = d.FromPrinciples(ctx, ps)
	}
	if err != nil {
		return err
	}
	p.done()
	for _, l := range d.Left {
		a.note(c, "left out: %s", oneLine(l))
	}
	if len(r.Criteria) == 0 {
		return hinted(fmt.Errorf("draft: no proposal of the model is of use"), "use a larger model, or write criteria by hand: cai grade --help")
	}
	// What is written is what will be read.
	data := r.TOML()
	if _, err := rubric.Parse(cmp.Or(name, "draft"), data); err != nil {
		return err
	}
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	if _, err := out.Write(data); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	a.note(c, "%d criteria, %d calls; edit them, then: cai rubric lint %s", len(r.Criteria), d.Calls, cmp.Or(strings.TrimPrefix(name, "-"), "FILE"))
	return nil
}

// examples reads labelled pairs to draft from, and the length of the longest.
func (a *app) examples(c *urfave.Context, file string) (pairs []*dataset.Pair, longest int, err error) {
	in, err := a.inputFiles(c, []string{file})
	if err != nil {
		return nil, 0, err
	}
	for p, err := range in.pairs() {
		if err != nil {
			return nil, 0, err
		}
		if !p.Labelled() || p.P == 0.5 {
			continue
		}
		n := len(p.First.Text) + len(p.Second.Text)
		for _, m := range p.Prompt {
			n += len(m.Content)
		}
		longest = max(longest, n)
		if pairs = append(pairs, p); len(pairs) == c.Int("limit") {
			break
		}
	}
	if len(pairs) == 0 {
		return nil, 0, fmt.Errorf("%s: no pair says which reply is better", file)
	}
	return pairs, longest, nil
}
