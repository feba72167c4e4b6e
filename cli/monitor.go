package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/monitor"
	"cai/rm"
)

// monitorHelp tells what the options of monitorFlags do; it stands in two commands.
const monitorHelp = "A window of replies is held against those of the model's profile, which cai train keeps\n" +
	"of its holdout, or of --reference: the mean score and the model's disagreement (upwards),\n" +
	"the distribution of scores, each feature's mean (length, lists, refusal, …) and all of\n" +
	"them together, and the drift of the score over windows. An alarm rings where one of them is\n" +
	"above its threshold. Thresholds are drawn from the reference so that --false-alarm is the\n" +
	"share of windows in which any of them rings while nothing has changed. Replies to one\n" +
	"prompt count as alike. The replies of a policy differ from those of the training from its\n" +
	"first window on: to watch it while it is optimised, name replies of its beginning by\n" +
	"--reference.\n"

// monitorFlags say how scores are watched.
func monitorFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Name: "window", Value: monitor.DefaultWindow, Usage: "replies of a window that is tested (`N`)"},
		&urfave.Float64Flag{Name: "false-alarm", Value: monitor.DefaultFalseAlarm, Usage: "the share `P` of windows that may ring while nothing has changed"},
		&urfave.StringFlag{Name: "reference", Usage: "hold windows against the replies of `FILE`, such as accepted ones of production, not against the training's"},
	}
}

// monitorOptions reads them.
func monitorOptions(c *urfave.Context) (monitor.Options, error) {
	o, err := monitor.Options{Window: c.Int("window"), FalseAlarm: c.Float64("false-alarm")}.Resolved()
	if err == nil && c.Int("window") == 0 {
		err = errors.New("a window of no reply")
	}
	if err == nil && c.Float64("false-alarm") == 0 {
		err = errors.New("a false-alarm rate of 0: thresholds would be without bound")
	}
	if err != nil {
		return o, usagef("--window, --false-alarm: %v", err)
	}
	return o, nil
}

// Bounds of what is read of a reference file, and of what is used of it.
const (
	referenceReplies = 200_000
	referencePrompts = 4096
)

// referenceProfile scores the replies of a file. Where they answer very many
// prompts, those with the least hashes are used.
func (a *app) referenceProfile(ctx context.Context, c *urfave.Context, m *rm.Model, file string) (*rm.Profile, error) {
	in, err := a.inputFiles(c, []string{file})
	if err != nil {
		return nil, err
	}
	in.asFound() // --format, --columns and --scale are of the records
	p := a.progress(c, "reference", "replies", 0)
	defer p.done()
	var prompts []dataset.Hash
	var rows [][]float32
	s := scoring{model: m, prompt: c.String("prompt"), observed: func(items []rm.Item, seen [][]float32) {
		for i, it := range items {
			h := it.Prompt.Key()
			if len(it.Prompt) == 0 { // another one each
				h = dataset.ResponseHash(dataset.Hash{}, it.Reply)
			}
			prompts, rows = append(prompts, h), append(rows, seen[i])
		}
		p.set(int64(len(rows)), "")
	}}
	nothing := func(*dataset.Record, []rm.Score) error { return nil }
	for r, err := range in.records() {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.add(r) {
			if err := s.flush(ctx, nothing); err != nil {
				return nil, err
			}
		}
		if len(rows) > referenceReplies {
			return nil, hinted(usagef("--reference %s: more than %d replies", file, referenceReplies), "name a part of them")
		}
	}
	if err := s.flush(ctx, nothing); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("--reference %s: the file holds no reply", file)
	}
	prompts, rows = leastPrompts(prompts, rows)
	out, err := rm.NewProfile(rm.ProfileFile, m.Observed(), prompts, rows)
	if err != nil {
		return nil, fmt.Errorf("--reference %s: %w", file, err)
	}
	return out, nil
}

// leastPrompts leaves the rows of the prompts with the least hashes.
func leastPrompts(prompts []dataset.Hash, rows [][]float32) ([]dataset.Hash, [][]float32) {
	different := slices.Clone(prompts)
	slices.SortFunc(different, func(a, b dataset.Hash) int { return bytes.Compare(a[:], b[:]) })
	different = slices.Compact(different)
	if len(different) <= referencePrompts {
		return prompts, rows
	}
	last := different[referencePrompts-1]
	var hs []dataset.Hash
	var out [][]float32
	for i, h := range prompts {
		if bytes.Compare(h[:], last[:]) <= 0 {
			hs, out = append(hs, h), append(out, rows[i])
		}
	}
	return hs, out
}

// watching is a monitor of the replies that a command scores.
type watching struct {
	app     *app
	monitor *monitor.Monitor
	file    *dataset.File // of the windows; nil without
	enc     *dataset.Encoder
	windows int
	rang    int
	err     error // the first one of writing
}

// watch makes the monitor that the command line asks for; nil where it asks for
// none.
func (a *app) watch(ctx context.Context, c *urfave.Context, m *rm.Model) (*watching, error) {
	if !c.Bool("monitor") {
		for _, name := range []string{"window", "false-alarm", "reference", "monitor-out"} {
			if c.IsSet(name) {
				return nil, usagef("--%s without --monitor", name)
			}
		}
		return nil, nil
	}
	o, err := monitorOptions(c)
	if err != nil {
		return nil, err
	}
	profile := m.Metadata.Profile
	if file := c.String("reference"); file != "" {
		if profile, err = a.referenceProfile(ctx, c, m, file); err != nil {
			return nil, err
		}
	}
	w := &watching{app: a}
	if w.monitor, err = monitor.New(profile, o); err != nil {
		return nil, hinted(err, "name a file of accepted replies with --reference, or train the model again with a larger holdout")
	}
	if name := c.String("monitor-out"); name != "" {
		if name == "-" {
			return nil, usagef("--monitor-out -: stdout holds the scores; name a file")
		}
		if w.file, err = dataset.Create(name); err != nil {
			return nil, err
		}
		w.enc = dataset.NewEncoder(w.file)
	}
	return w, nil
}

// observe takes scored replies.
func (w *watching) observe(items []rm.Item, seen [][]float32) {
	for i := range items {
		if b := w.monitor.Add(monitor.PromptKey(items[i].Prompt), seen[i]); b != nil {
			w.test(b)
		}
	}
}

func (w *watching) test(b *monitor.Batch) {
	out := w.monitor.Test(b)
	if w.enc != nil && w.err == nil {
		w.err = w.enc.Encode(out)
	}
	switch {
	case out.Untested != "":
		w.app.warn("window %d, replies %d to %d: not tested: %s", out.Number, out.First, out.First+out.Replies-1, out.Untested)
		return
	case out.Alarm:
		w.rang++
		fmt.Fprintf(w.app.Err, "cai: alarm: window %d, replies %d to %d, %d prompts: %s\n",
			out.Number, out.First, out.First+out.Replies-1, out.Prompts, printable(out.Text()))
	}
	w.windows++
}

// finish tests what is left, says what was found and keeps the file of windows.
func (w *watching) finish(c *urfave.Context) error {
	b, left := w.monitor.Rest()
	if b != nil {
		w.test(b)
	}
	if left > 0 {
		w.app.note(c, "monitor: the last %d replies are too few, or answer too few prompts, for a window and were not tested", left)
	}
	ref := w.monitor.Reference()
	w.app.note(c, "monitor: an alarm rang in %d of %d windows; the reference is %d replies to %d prompts%s, and by chance it rings in %g %% of windows",
		w.rang, w.windows, ref.Replies, ref.Prompts, referenceOf(ref.Source), 100*w.monitor.Options().FalseAlarm)
	if w.windows == 0 {
		w.app.warn("monitor: nothing was tested")
	}
	if w.err != nil {
		return w.err
	}
	if w.file != nil {
		return w.file.Commit()
	}
	return nil
}

func (w *watching) close() {
	if w != nil && w.file != nil {
		w.file.Close()
	}
}

// referenceOf says where the replies of a profile come from.
func referenceOf(source string) string {
	switch source {
	case rm.ProfileHoldout:
		return " of the holdout"
	case rm.ProfileTraining:
		return " of the training itself"
	}
	return " of --reference"
}

// profileJSON is what cai model show prints of a profile.
type profileJSON struct {
	Source  string          `json:"source"`
	Replies int             `json:"replies"`
	Prompts int             `json:"prompts"`
	Columns []profileColumn `json:"columns"`
	Levels  []float64       `json:"levels"`
}

type profileColumn struct {
	Name      string    `json:"name"`
	Mean      float64   `json:"mean"`
	SD        float64   `json:"sd"`
	Quantiles []float64 `json:"quantiles,omitempty"`
}

func profileOf(p *rm.Profile) *profileJSON {
	if p == nil {
		return nil
	}
	out := &profileJSON{Source: p.Source, Replies: p.Replies, Prompts: p.Prompts, Levels: p.Levels}
	for _, c := range p.Columns {
		out.Columns = append(out.Columns, profileColumn{c.Name, c.Mean, c.SD, c.Quantiles})
	}
	return out
}

// text says it in a line.
func (p *profileJSON) text() string {
	if p == nil {
		return "none: train again to have replies watched (cai score --monitor, cai serve)"
	}
	return fmt.Sprintf("%d replies to %d prompts%s, score %.2f ± %.2f", p.Replies, p.Prompts,
		referenceOf(p.Source), p.Columns[0].Mean, p.Columns[0].SD)
}
