package cli

import (
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
)

func (a *app) convertCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "convert",
		Usage:     "preference files from one format to another",
		ArgsUsage: "[--from F] [--to F] [--split SHARES] IN [OUT]; --check FILE…",
		Description: "Formats: " + strings.Join(dataset.WriteFormats(), ", ") + ".\n" +
			"--from is found from the columns if it is not named; --verbose tells which of them\n" +
			"decided. OUT's name says how the records are held: .jsonl, .json, .csv, .tsv, .parquet,\n" +
			"and .gz or .zst after it; without --to only that changes. - is stdin or stdout.\n" +
			"What the new format cannot hold is listed at the end; whole records that were left\n" +
			"out make the command exit with 3. Pairs are made of kto's replies where neighbours\n" +
			"of both labels answer the same prompt.\n\n" +
			"--split train=0.9,test=0.1 writes OUT in parts, out.jsonl as out.train.jsonl and\n" +
			"out.test.jsonl, which appear together at the end. A prompt is in one part, whatever its\n" +
			"case, white space and Unicode form; each part has its share of every stratum as nearly\n" +
			"as whole prompts allow; and which prompt goes where follows from --seed and the\n" +
			"prompts, not from their order. The input is read twice.\n\n" +
			"--json prints records, bad, files and losses where OUT is a file.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "from", Aliases: []string{"format"}, Usage: "the input's `FORMAT`; default: found from the first records"},
			&urfave.StringFlag{Name: "to", Usage: "the output's `FORMAT`; default: the records as they are"},
			&urfave.IntFlag{Name: "pairs", Usage: "take at most `N` pairs of a list of replies; 0 takes all"},
			&urfave.Int64Flag{Name: "seed", Usage: "`SEED` of the pairs that are drawn, and of --split"},
			&urfave.BoolFlag{Name: "check", Usage: "look for what is wrong with the preference files instead: duplicates, contradictions, identical, empty or swapped sides, leaks between splits (files, or a column split), languages, unfinished ends, control characters, length gap, place of the winner"},
			&urfave.StringSliceFlag{Name: "against", Usage: "with --check: prompts and pairs that stand in `FILE`, too, byte for byte or but for case, white space and Unicode form; repeatable"},
			requireFlag("checks.duplicates.share<=0.01"),
		}, append(meaningFlags(), splitFlags()...)...),
		Action: a.runConvert,
	}
}

func (a *app) runConvert(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.Bool("check") {
		return a.runCheck(c)
	}
	for _, name := range []string{"require", "against"} {
		if c.IsSet(name) {
			return usagef("--%s belongs to --check", name)
		}
	}
	a.startsOver = true
	args := c.Args().Slice()
	if len(args) < 1 || len(args) > 2 {
		return hinted(usagef("convert: %d files are named, where IN and OUT are expected", len(args)), "an example: cai convert --to trl in.parquet out.jsonl.gz")
	}
	name := "-"
	if len(args) == 2 {
		name = args[1]
	}
	split, err := a.splitting(c, name)
	if err != nil {
		return err
	}
	in, err := a.inputsOf(c, args[:1], "the file to convert")
	if err != nil {
		return err
	}
	in.opts.Pairs, in.opts.Seed = c.Int("pairs"), c.Int64("seed")
	in.opts.Unlabelled = c.String("to") == "" // the records stay as they are
	verbose := c.Bool("verbose")
	in.told = func(t dataset.Told) bool {
		if t.Kind == dataset.ToldFormat && verbose {
			fmt.Fprintf(a.Err, "cai: %s is read as %s: %s\n", printable(t.File), t.Format, t.Text)
			verbose = false // where it is read twice
		}
		return t.Kind == dataset.ToldUnread // which is listed among what is lost
	}
	parts, err := a.openConverting(c, name, split, in.opts)
	if err != nil {
		return err
	}
	defer closeConverting(parts)
	prog := a.progress(c, "convert", "records", 0)
	defer prog.done()
	if split != nil {
		if err := in.rewindable(); err != nil {
			return err
		}
		if err := split.count(ctx, in, prog); err != nil {
			return err
		}
	}
	n := int64(0)
	for r, err := range in.records() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		p, err := split.part(r, parts)
		if err != nil {
			return err
		}
		if err := p.conv.Write(r); err != nil {
			return err
		}
		if n++; n%256 == 0 {
			prog.set(n, "")
		}
	}
	prog.done()
	return a.converted(c, in, split, parts)
}

// converted ends the outputs, puts them in place and says what became of the records.
func (a *app) converted(c *urfave.Context, in *inputs, split *splitting, parts []*converting) error {
	res := convertJSON{Bad: in.bad(), Files: []splitJSON{}, Losses: []lossJSON{}}
	var converters []*dataset.Converter
	for _, p := range parts {
		if err := p.conv.Flush(); err != nil {
			return err
		}
		p.Records = p.conv.Written
		res.Records += p.Records
		res.Files = append(res.Files, p.splitJSON)
		converters = append(converters, p.conv)
	}
	losses := dataset.AllLosses(converters...)
	left := 0
	for _, l := range losses {
		res.Losses = append(res.Losses, lossJSON(l))
		if l.Left {
			left += l.Records
		}
	}
	if res.Records == 0 {
		a.sayLosses(losses)
		return noneWritten(left, c.String("to"))
	}
	for _, p := range parts {
		if err := p.conv.Close(); err != nil {
			return err
		}
	}
	if err := commitConverting(parts); err != nil {
		return err
	}
	a.note(c, "%d records", res.Records)
	for _, p := range parts {
		if split != nil {
			a.note(c, "%s: %d records, %.1f %%, of %d prompts", p.File, p.Records, 100*float64(p.Records)/float64(max(1, res.Records)), p.Prompts)
		}
	}
	a.sayLosses(losses)
	if c.Bool("json") && parts[0].File != "-" {
		if err := a.writeJSON(res); err != nil {
			return err
		}
	}
	if left > 0 {
		return silent(ExitSomeFailed)
	}
	return nil
}

// noneWritten says that a format could hold none of the records, so that no file is
// made.
func noneWritten(left int, format string) error {
	return &exitError{code: ExitSomeFailed, err: fmt.Errorf("none of %d records can be written as %s: nothing is written", left, format)}
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
