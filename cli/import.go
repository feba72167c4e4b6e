package cli

import (
	"errors"
	"iter"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
)

func (a *app) importCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "import",
		Usage:     "preference files into the database, without a judge",
		ArgsUsage: "FILE…",
		Description: strings.TrimSpace(wrapped("Formats: "+strings.Join(dataset.Formats(), ", ")+
			"; found from the columns if --format does not name one.", "", 88)) + "\n" +
			"Several turns, roles and the further keys of a prompt's messages are kept, and so are\n" +
			"labels, votes, authors and all other columns.\n\n" +
			"cai label takes the pairs from there: named again, a file that has not changed is not\n" +
			"read again. A file's pairs become those of the database when all of it has been read;\n" +
			"stopped before that, the same command starts with that file again, and a pair that is\n" +
			"there already is not stored twice. Replies that are byte for byte the same make no pair.\n\n" +
			"--json prints pairs, new, identical, bad, and files with the same for each.\n" + exitHelp,
		Flags:  inputFlags(),
		Action: a.runImport,
	}
}

// importedJSON is what an import found in one file.
type importedJSON struct {
	File      string `json:"file"`
	Records   int64  `json:"records"`
	Pairs     int64  `json:"pairs"`     // different ones
	New       int64  `json:"new"`       // of those, not in the database before
	Identical int64  `json:"identical"` // pairs of the same two replies, left out
	Unchanged bool   `json:"unchanged"` // the file had these pairs before
}

type importJSON struct {
	Pairs     int64          `json:"pairs"`
	New       int64          `json:"new"`
	Identical int64          `json:"identical"`
	Bad       int            `json:"bad"` // records left out by --skip-bad
	Files     []importedJSON `json:"files"`
}

func (a *app) runImport(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	in, err := a.inputs(c, "preference files")
	if err != nil {
		return err
	}
	if err := tryOut(in, dataset.Pairs); err != nil {
		return err
	}
	st, err := a.store(c)
	if err != nil {
		return err
	}
	p := a.progress(c, "import", "pairs", 0)
	defer p.done()
	keys := int64(0)
	res := importJSON{Files: []importedJSON{}}
	in.seen = func(pair *dataset.Pair) {
		if len(pair.First.Unsaid()) > 0 || len(pair.Second.Unsaid()) > 0 {
			keys++
		}
	}
	for _, f := range in.files {
		imp, err := in.importFile(ctx, st, f, func(n int64) { p.set(n, f) })
		var bad *dataset.RecordError
		if errors.As(err, &bad) && bad.Lone {
			return hinted(err, "--skip-bad leaves out replies that make no pair, and counts them")
		} else if err != nil {
			return err
		}
		res.Files = append(res.Files, importedJSON{f, imp.Records, imp.Pairs, imp.New, imp.Identical, imp.Unchanged})
		res.Pairs += imp.Pairs
		res.New += imp.New
		res.Identical += imp.Identical
	}
	p.done()
	res.Bad = in.bad()
	for _, f := range res.Files {
		note := ""
		if f.Unchanged {
			note = "; it has not changed"
		}
		a.note(c, "%s: %d pairs of %d records, %d of them new%s", f.File, f.Pairs, f.Records, f.New, note)
	}
	if res.Identical > 0 {
		a.note(c, "%d pairs of identical replies are left out: there is nothing to judge", res.Identical)
	}
	if keys > 0 {
		a.warn("%d pairs have replies with keys beside role, content and tool calls, which the database does not keep", keys)
	}
	if c.Bool("json") {
		if err := a.writeJSON(res); err != nil {
			return err
		}
	}
	return nil
}

// watched shows each pair to look on its way.
func watched(pairs iter.Seq2[*dataset.Pair, error], look func(*dataset.Pair)) iter.Seq2[*dataset.Pair, error] {
	if look == nil {
		return pairs
	}
	return func(yield func(*dataset.Pair, error) bool) {
		for p, err := range pairs {
			if err == nil {
				look(p)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}
