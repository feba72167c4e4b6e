package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/store"
)

func (a *app) exportCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "export",
		Usage: "labels or revisions as training data, or a reward model for other programs",
		Description: "Formats: trl (prompt, chosen, rejected as text or messages), trl-conversational\n" +
			"(always messages), hh (transcripts), csv, sft (prompt, completion: the chosen reply\n" +
			"alone), and those of cai convert. --out's name says how the records are held: .jsonl,\n" +
			".json, .csv, .tsv, .parquet. --from labels takes the chosen and rejected replies of the labels; --from\n" +
			"revisions takes the steps of cai revise: accepted revisions against what they replaced,\n" +
			"or for sft the last accepted revision of each reply. What the format cannot hold is listed\n" +
			"at the end; whole records that were left out make the command exit with 3.\n\n" +
			"--rm FILE hands over a reward model: --out DIR becomes a folder with its card and texts\n" +
			"with their scores, and by --format python (weights, settings and a reader that needs\n" +
			"Python's standard library alone), safetensors (the same without a reader) or onnx (a\n" +
			"graph from dense features to the score, for linear heads on style and embeddings).\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "format", Value: "trl", Usage: "`FORMAT`: " + strings.Join(dataset.WriteFormats(), ", ")},
			&urfave.StringFlag{Name: "from", Value: "labels", Usage: "`WHAT`: labels or revisions"},
			outFlag("write"),
		}, append(handoverFlags(), readingFlags()...)...),
		Action: a.runExport,
	}
}

func (a *app) runExport(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.IsSet("rm") {
		return a.exportModel(c)
	}
	if c.NArg() > 0 {
		return usagef("export takes no file: --out FILE names the output, --source FILE restricts the pairs")
	}
	var prefs iter.Seq2[*dataset.Preference, error]
	var finish func(n int)
	var labels *reading // nil for revisions
	switch from := c.String("from"); from {
	case "labels":
		r, err := a.reading(c)
		if err != nil {
			return err
		}
		prefs, labels = r.preferences(ctx), r
		finish = func(n int) { r.say(ctx, a, c, n) }
	case "revisions":
		st, err := a.existingStore(c)
		if err != nil {
			return err
		}
		prefs = revisions(ctx, st, c.String("format") == "sft")
		finish = func(n int) { a.note(c, "%d records of revisions", n) }
	default:
		return usagef("--from %q: use labels or revisions", from)
	}
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	w, err := dataset.NewPreferenceFile(c.String("format"), c.String("out"), out)
	if err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	n, left := 0, 0
	for p, err := range prefs {
		if err != nil {
			return err
		}
		switch err := w.Write(p); {
		case errors.Is(err, dataset.ErrCannotHold):
			left++
		case err != nil:
			return err
		default:
			n++
		}
	}
	switch {
	case n == 0 && left == 0:
		return fmt.Errorf("nothing to export: no %s is there", strings.TrimSuffix(c.String("from"), "s"))
	case n == 0:
		a.sayLosses(w.Losses())
		return noneWritten(left, c.String("format"))
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	finish(n)
	a.sayLosses(w.Losses())
	if err := a.writeDatasetCard(c, labels, n); err != nil {
		return err
	}
	if left > 0 {
		return silent(ExitSomeFailed)
	}
	return nil
}

// preferences gives the labels as preference data, the chosen reply first.
func (r *reading) preferences(ctx context.Context) iter.Seq2[*dataset.Preference, error] {
	return func(yield func(*dataset.Preference, error) bool) {
		for l, err := range r.labels(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			p := &dataset.Pair{Prompt: l.Prompt, First: l.A, Second: l.B, P: l.Label.P}
			if p.P < 0.5 {
				p.First, p.Second, p.P = p.Second, p.First, 1-p.P
			}
			pref := &dataset.Preference{Pair: p, P: p.P, ID: l.Key.Hash.String()}
			if len(l.Sources) > 0 {
				p.Source = l.Sources[0]
				pref.Extra = l.Sources[0].Extra
			}
			if !yield(pref, nil) {
				return
			}
		}
	}
}

// revisions gives the steps of revisions as preference data: each accepted
// revision against the reply that it replaced or, with last, only the accepted
// revisions that no later one replaced, for which a rejected reply means
// nothing.
func revisions(ctx context.Context, st *store.Store, last bool) iter.Seq2[*dataset.Preference, error] {
	return func(yield func(*dataset.Preference, error) bool) {
		var group []*dataset.Revision // accepted, of one prompt
		var of dataset.Hash
		flush := func() bool {
			replaced := map[string]bool{}
			for _, r := range group {
				replaced[r.Before.Text] = true
			}
			done := map[string]bool{}
			for _, r := range group {
				key := r.After.Text
				if !last {
					key += "\x00" + r.Before.Text
				}
				if done[key] || last && replaced[r.After.Text] {
					continue
				}
				done[key] = true
				p := &dataset.Pair{Prompt: r.Prompt, First: r.After, Second: r.Before, P: r.P}
				k := p.Key()
				if !yield(&dataset.Preference{Pair: p, P: r.P, ID: k.Hash.String()}, nil) {
					return false
				}
			}
			group = group[:0]
			return true
		}
		for r, err := range st.Revisions(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if h := r.Prompt.Hash(); h != of {
				if !flush() {
					return
				}
				of = h
			}
			if r.Accepted {
				group = append(group, r)
			}
		}
		flush()
	}
}
