package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
)

func (a *app) constitutionCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "constitution",
		Usage: "show, check, compare and import principles, and see how they vote",
		Subcommands: []*urfave.Command{
			{
				Name:        "show",
				Usage:       "the principles in use",
				ArgsUsage:   "[FILE]",
				Description: "With --json: name, hash and the principles with their own hashes.\n" + exitHelp,
				Flags:       []urfave.Flag{principleFlag()},
				Action:      a.runConstitutionShow,
			},
			{
				Name:        "lint",
				Usage:       "what is wrong with the principles",
				ArgsUsage:   "[FILE]",
				Description: constitution.LintHelp + "\nExits with 4 if there are errors or warnings.\n" + exitHelp,
				Action:      a.runConstitutionLint,
			},
			{
				Name:        "diff",
				Usage:       "what changed between two constitutions",
				ArgsUsage:   "A B",
				Description: "Principles are matched by id, renamed ones by their texts. A comment or another\norder is no difference; a changed text means that cai label asks that principle\nagain.\n" + exitHelp,
				Action:      a.runConstitutionDiff,
			},
			{
				Name:      "import",
				Usage:     "make TOML of another tool's principles",
				ArgsUsage: "FILE",
				Description: "Reads the critic and revision pairs of llm-swarm's JSON, the prompt files of the\n" +
					"Constitutional AI paper, lists of critique_request and revision_request, and what\n" +
					"cai constitution show --json prints. Prints TOML on stdout, or writes it to --out;\n" +
					"what was derived or left out is said on stderr.\n" + exitHelp,
				Flags:  []urfave.Flag{outFlag("write the TOML")},
				Action: a.runConstitutionImport,
			},
			a.constitutionStats(),
		},
	}
}

func principleFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "principle", Usage: "only the principle with this `ID`, or tag:NAME; repeatable"}
}

// constitutionArg loads the file that is named as the only argument, or the
// constitution in use.
func (a *app) constitutionArg(c *urfave.Context) (*constitution.Constitution, error) {
	switch c.NArg() {
	case 0:
		return a.constitution(c)
	case 1:
		return constitution.Load(c.Args().First())
	}
	return nil, usagef("%s takes one file, not %d", c.Command.Name, c.NArg())
}

type principleJSON struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Hash     string   `json:"hash"`
	Weight   float64  `json:"weight"`
	Tags     []string `json:"tags"`
	Compare  string   `json:"compare"`
	Critique string   `json:"critique"`
	Revision string   `json:"revision"`
	Check    string   `json:"check"`
}

func (a *app) runConstitutionShow(c *urfave.Context) error {
	con, err := a.constitutionArg(c)
	if err != nil {
		return err
	}
	ps := con.Principles
	if ids := c.StringSlice("principle"); len(ids) > 0 {
		if ps, err = con.Select(ids); err != nil {
			return &exitError{code: ExitUsage, err: err}
		}
	}
	if c.Bool("json") {
		out := struct {
			Name       string          `json:"name"`
			File       string          `json:"file"`
			Hash       string          `json:"hash"`
			Principles []principleJSON `json:"principles"`
		}{con.Name, con.File, dataset.Hash(con.Hash()).String(), []principleJSON{}}
		for i := range ps {
			p := &ps[i]
			out.Principles = append(out.Principles, principleJSON{
				p.ID, p.Title, dataset.Hash(p.Hash()).String(), p.Weight, nonNil(p.Tags), p.Compare, p.Critique, p.Revision, p.Question(),
			})
		}
		return a.writeJSON(out)
	}
	fmt.Fprintf(a.Out, "%s (%s), %d principles, %s\n\n", printable(cmp.Or(con.Name, "constitution")), printable(con.File), len(con.Principles), dataset.Hash(con.Hash()))
	w := tabwriter.NewWriter(a.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tWEIGHT\tTAGS\tCOMPARISON")
	for i := range ps {
		p := &ps[i]
		fmt.Fprintf(w, "%s\t%g\t%s\t%s\n", printable(p.ID), p.Weight, printable(strings.Join(p.Tags, " ")), printable(oneLine(p.Compare)))
	}
	return w.Flush()
}

func (a *app) runConstitutionLint(c *urfave.Context) error {
	con, err := a.constitutionArg(c)
	if err != nil {
		return err
	}
	findings := con.Lint()
	bad := 0
	for _, f := range findings {
		if f.Severity != "info" {
			bad++
		}
		if c.Bool("json") {
			if err := a.writeJSON(f); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.Out, "%s:%d: %s: %s: %s (%s)\n", printable(con.File), f.Line, f.Severity, printable(f.Principle), printable(f.Message), f.Rule)
		if f.Hint != "" {
			fmt.Fprintf(a.Out, "    %s\n", printable(f.Hint))
		}
	}
	if !c.Bool("json") {
		fmt.Fprintf(a.Out, "%d principles, %d errors and warnings, %d remarks\n", len(con.Principles), bad, len(findings)-bad)
	}
	if bad > 0 {
		return silent(ExitCheck)
	}
	return nil
}

func (a *app) runConstitutionDiff(c *urfave.Context) error {
	if c.NArg() != 2 {
		return usagef("diff takes two files, not %d", c.NArg())
	}
	var cons [2]*constitution.Constitution
	for i := range cons {
		con, err := constitution.Load(c.Args().Get(i))
		if err != nil {
			return err
		}
		cons[i] = con
	}
	changes := constitution.Diff(cons[0], cons[1])
	for _, ch := range changes {
		if c.Bool("json") {
			if err := a.writeJSON(ch); err != nil {
				return err
			}
			continue
		}
		again := ""
		if ch.Again {
			again = " (asked again)"
		}
		fmt.Fprintf(a.Out, "%s %s%s\n", ch.Kind, printable(ch.ID), again)
		for _, f := range ch.Fields {
			fmt.Fprintf(a.Out, "  %s\n    - %s\n    + %s\n", f.Field, printable(oneLine(f.Old)), printable(oneLine(f.New)))
		}
	}
	if len(changes) == 0 && !c.Bool("json") {
		fmt.Fprintln(a.Out, "no difference")
	}
	return nil
}

func (a *app) runConstitutionImport(c *urfave.Context) error {
	if c.NArg() != 1 {
		return usagef("import takes one file, not %d", c.NArg())
	}
	name := c.Args().First()
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(a.In)
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return err
	}
	con, notes, err := constitution.Import(name, data)
	for _, n := range notes {
		a.note(c, "%s", n)
	}
	if err != nil {
		return err
	}
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	if _, err := out.Write(con.TOML()); err != nil {
		return err
	}
	return out.commit()
}

// oneLine puts a text on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// nonNil is an empty list in JSON where there is none.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
