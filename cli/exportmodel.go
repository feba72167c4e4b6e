package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/handover"
)

// handoverFlags are those of cai export that are about models and cards.
func handoverFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "rm", Usage: "hand over the reward model in `FILE` instead of labels"},
		&urfave.StringFlag{Name: "card", Usage: "write a dataset card for the Hugging Face Hub as well, such as README.md (`FILE`)"},
		&urfave.StringFlag{Name: "license", Usage: "the licence that the card names, such as apache-2.0 (`ID`); unknown without"},
	}
}

// exportModel writes the folder of a model.
func (a *app) exportModel(c *urfave.Context) error {
	form, dir := c.String("format"), c.String("out")
	switch {
	case !c.IsSet("format"):
		form = handover.Python
	case !slices.Contains(handover.Formats(), form):
		return usagef("--format %s: a model is handed over as %s", form, strings.Join(handover.Formats(), ", "))
	}
	if dir == "" || dir == "-" {
		return hinted(usagef("a model is handed over as a folder"), "name one that is not there yet: --out DIR")
	}
	if c.IsSet("card") {
		return hinted(usagef("--card is for labels"), "the folder of a model has its card, README.md")
	}
	err := handover.Write(c.Context, c.String("rm"), filepath.Clean(dir), handover.Options{Format: form, License: c.String("license"), Version: Version()})
	switch {
	case errors.Is(err, handover.ErrForm):
		return hinted(err, "--format python takes every model; onnx takes linear heads on style and features from outside")
	case errors.Is(err, fs.ErrExist):
		return hinted(err, "name a folder that is not there yet")
	case err != nil:
		return err
	}
	if c.Bool("json") {
		return a.writeJSON(map[string]string{"folder": dir, "format": form})
	}
	a.note(c, "%s: the model as %s, with its card and texts to check a reader by", dir, form)
	return nil
}

// writeDatasetCard writes the card of exported labels; r is nil for revisions.
func (a *app) writeDatasetCard(c *urfave.Context, r *reading, n int) error {
	file := c.String("card")
	if file == "" {
		return nil
	}
	l := handover.Labels{
		Name: "cai labels", Format: c.String("format"), License: c.String("license"),
		Records: n, Source: c.String("from"), Version: Version(),
	}
	if out := c.String("out"); out != "" && out != "-" {
		l.File = filepath.Base(out)
		l.Name = strings.TrimSuffix(l.File, filepath.Ext(l.File))
	}
	if r != nil {
		l.Judge, l.Constitution = r.names(), "`"+dataset.Hash(r.con.Hash()).String()+"`"
		l.Aggregation = c.String("aggregate")
		if r.minMargin > 0 {
			l.Aggregation += fmt.Sprintf(", margins from %g", r.minMargin)
		}
		if r.turned != "" {
			l.Aggregation += ", " + r.turned
		}
		l.Calibrated = "none is kept of these judges, principles and this rule"
		kept, ok, err := r.store.Calibration(c.Context, subjectOf(r.panel, r.set))
		if err != nil {
			return err
		}
		if ok {
			used := "not used for these labels"
			if c.Bool("calibrated") {
				used = "used for these labels"
			}
			l.Calibrated = fmt.Sprintf("%s map of %s, fitted to %d pairs of %s; %s",
				kept.Method, kept.Created.Format("2006-01-02"), kept.N, strings.Join(kept.Gold, ", "), used)
		}
	}
	return writeWhole(file, handover.DatasetCard(&l))
}
