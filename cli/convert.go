package cli

import (
	"errors"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
)

func (a *app) convertCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "convert",
		Usage:     "preference files from one format to another",
		ArgsUsage: "[--from F] [--to F] IN [OUT]; --check FILE…",
		Description: "Formats: " + strings.Join(dataset.WriteFormats(), ", ") + ".\n" +
			"--from is found from the columns if it is not named; --verbose tells which of them\n" +
			"decided. OUT's name says how the records are held: .jsonl, .json, .csv, .parquet, and\n" +
			".gz or .zst after it; without --to only that changes. - is stdin or stdout.\n" +
			"What the new format cannot hold is listed at the end; whole records that were left\n" +
			"out make the command exit with 3. Pairs are made of kto's replies where neighbours\n" +
			"of both labels answer the same prompt.\n" + exitHelp,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "from", Usage: "the input's `FORMAT`; default: found from the first records"},
			&urfave.StringFlag{Name: "to", Usage: "the output's `FORMAT`; default: the records as they are"},
			&urfave.IntFlag{Name: "pairs", Usage: "take at most `N` pairs of a list of replies; 0 takes all"},
			&urfave.Int64Flag{Name: "seed", Usage: "`SEED` of the pairs that are drawn"},
			&urfave.BoolFlag{Name: "check", Usage: "look for what is wrong with the preference files instead: duplicates, contradictions, identical, empty or swapped sides, leaks between splits (files, or a column split), mixed scripts, unfinished ends, control characters, length gap, place of the winner"},
			requireFlag("checks.duplicates.share<=0.01"),
			&urfave.BoolFlag{Name: "skip-bad", Usage: "count records that cannot be read instead of stopping at the first; exits with 3"},
		},
		Action: a.runConvert,
	}
}

func (a *app) runConvert(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.Bool("check") {
		return a.runCheck(c)
	}
	if len(c.StringSlice("require")) > 0 {
		return usagef("--require belongs to --check")
	}
	a.startsOver = true
	args := c.Args().Slice()
	if len(args) < 1 || len(args) > 2 {
		return hinted(usagef("convert: %d files are named, where IN and OUT are expected", len(args)), "an example: cai convert --to trl in.parquet out.jsonl.gz")
	}
	in, err := a.inputsOf(c, args[:1], "the file to convert")
	if err != nil {
		return err
	}
	in.opts.Format, in.opts.Pairs, in.opts.Seed = c.String("from"), c.Int("pairs"), c.Int64("seed")
	if c.Bool("verbose") {
		in.opts.Detected = func(file, format, why string) {
			fmt.Fprintf(a.Err, "cai: %s is read as %s: %s\n", printable(file), format, why)
		}
	}
	name := "-"
	if len(args) == 2 {
		name = args[1]
	}
	out := &output{Writer: a.Out}
	if name != "-" {
		f, err := dataset.Create(name)
		if err != nil {
			return err
		}
		out = &output{Writer: f, file: f}
	}
	defer out.close()
	conv, err := dataset.NewConverter(c.String("to"), name, out, in.opts)
	if err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	for r, err := range in.records() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := conv.Write(r); err != nil {
			return err
		}
	}
	if err := conv.Close(); err != nil {
		return err
	}
	if conv.Written == 0 && in.bad == 0 && conv.Left() == 0 {
		return errors.New("convert: the input holds no record")
	}
	if err := out.commit(); err != nil {
		return err
	}
	a.note(c, "%d records", conv.Written)
	a.sayLosses(conv.Losses())
	if in.bad > 0 || conv.Left() > 0 {
		return silent(ExitSomeFailed)
	}
	return nil
}

// sayLosses lists what a format could not hold.
func (a *app) sayLosses(losses []dataset.Loss) {
	for _, l := range losses {
		what := "lost"
		if l.Left {
			what = "left out"
		}
		a.warn("%s in %d records, first at %s: %s", what, l.Records, l.First, l.What)
	}
}
