package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

func (a *app) modelCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "model",
		Usage: "what a reward model's file says, and whether it is so",
		Subcommands: []*urfave.Command{
			{
				Name:      "show",
				Usage:     "what the file of a reward model says of it",
				ArgsUsage: "FILE",
				Description: "Prints versions, features, heads, the data's and the constitution's hash, the judge,\n" +
					"the command line of the training, the figures of the holdout and the tensors. The file\n" +
					"is checked whole: checksum, settings, sizes. --json prints all of the figures.\n" + exitHelp,
				Action: a.runModelShow,
			},
			{
				Name:      "verify",
				Usage:     "the holdout figures of a model, recomputed from its data",
				ArgsUsage: "FILE --data FILE…",
				Description: "Splits the pairs as the training did, by prompt and seed, scores the holdout, and\n" +
					"compares the figures with those in the file, to 1e-9. Without --data the pairs are the\n" +
					"labels of the database, read with the options that cai train was given. Pairs or labels\n" +
					"other than those of the training are an error, found by their hash.\n\n" +
					"--json prints {\"holds\", \"compared\", \"differ\": [{\"figure\", \"stored\", \"found\"}],\n" +
					"\"holdout\", \"data_hash\"}. The exit code is 4 where a figure differs.\n" + exitHelp,
				Flags: append([]urfave.Flag{
					&urfave.StringSliceFlag{Name: "data", Usage: "a preference `FILE` that the model was trained on; repeatable"},
					&urfave.Float64Flag{Name: "holdout", Usage: "the `SHARE` of prompts kept aside, where the file does not say"},
				}, append(readingFlags(), inputFlags()...)...),
				Action: a.runModelVerify,
			},
		},
	}
}

// modelJSON is what cai model show prints.
type modelJSON struct {
	File             string          `json:"file"`
	FormatVersion    int             `json:"format_version"`
	FeatureVersion   int             `json:"feature_version"`
	Features         []string        `json:"features"`
	Dim              int             `json:"dim"`
	NGrams           int             `json:"ngrams"`
	Sources          []string        `json:"sources"`
	Head             string          `json:"head"`
	Members          []string        `json:"members"`
	Seed             int64           `json:"seed"`
	Holdout          *float64        `json:"holdout_share"`
	PromptKey        string          `json:"prompt_key"` // folded, or exact for files of builds before it
	HoldoutAuthors   string          `json:"holdout_authors,omitempty"`
	L2               float64         `json:"l2"`
	Temperature      float64         `json:"temperature"`
	Tie              float64         `json:"tie,omitempty"`
	Debias           []string        `json:"debias"`
	Pairs            int             `json:"pairs"`
	DataHash         string          `json:"data_hash"`
	ConstitutionHash string          `json:"constitution_hash,omitempty"`
	Judge            string          `json:"judge,omitempty"`
	Version          string          `json:"version,omitempty"`
	Command          string          `json:"command,omitempty"`
	Created          string          `json:"created,omitempty"`
	Metrics          json.RawMessage `json:"metrics"`
	Certainty        *rm.Certainty   `json:"certainty"`
	Profile          *profileJSON    `json:"profile"`
	Tensors          []rm.TensorInfo `json:"tensors"`
}

// modelFile loads the one model that the command line names.
func modelFile(c *urfave.Context) (*rm.Model, string, error) {
	if c.NArg() != 1 {
		return nil, "", hinted(usagef("model %s: %d files are named, need one", c.Command.Name, c.NArg()), "name a model file; cai train makes one")
	}
	m, err := rm.Load(c.Args().First())
	return m, c.Args().First(), err
}

func (a *app) runModelShow(c *urfave.Context) error {
	m, file, err := modelFile(c)
	if err != nil {
		return err
	}
	d := &m.Metadata
	out := modelJSON{
		File: file, FormatVersion: d.FormatVersion, FeatureVersion: d.FeatureVersion,
		Features: d.Features, Dim: d.Dim, NGrams: d.NGrams, Sources: append([]string{}, m.Sources()...),
		Head: d.Head, Members: m.Members(), Seed: d.Seed, PromptKey: cmp.Or(d.PromptKey, "exact"), HoldoutAuthors: d.HoldoutAuthors,
		L2: d.L2, Temperature: d.Temperature, Tie: d.Tie, Debias: append([]string{}, d.Debias...),
		Pairs: d.Pairs, DataHash: d.DataHash.String(), Judge: d.Judge, Version: d.Version, Command: d.Command,
		Metrics: d.Metrics, Certainty: d.Certainty, Profile: profileOf(d.Profile), Tensors: m.Tensors(),
	}
	if d.Holdout > 0 {
		out.Holdout = &d.Holdout
	}
	if !d.ConstitutionHash.IsZero() {
		out.ConstitutionHash = d.ConstitutionHash.String()
	}
	if !d.Created.IsZero() {
		out.Created = d.Created.UTC().Format(time.RFC3339)
	}
	if len(out.Metrics) == 0 {
		out.Metrics = json.RawMessage("null")
	}
	if c.Bool("json") {
		return a.writeJSON(out)
	}
	a.printModel(&out)
	return nil
}

func (a *app) printModel(o *modelJSON) {
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(a.Out, "%-18s %s\n", name, printable(text))
		}
	}
	line("model", "%s", o.File)
	line("versions", "file format %d, features %d", o.FormatVersion, o.FeatureVersion)
	line("trained by", "%s", strings.TrimSpace("cai "+orUnknown(o.Version)))
	line("command", "%s", o.Command)
	line("created", "%s", o.Created)
	text := strings.Join(o.Features, ",")
	if o.Dim > 0 {
		text += fmt.Sprintf("; %d buckets", o.Dim)
	}
	if o.NGrams > 0 {
		text += fmt.Sprintf(", n-grams of up to %d words", o.NGrams)
	}
	line("features", "%s", text)
	line("head", "%s: %s", o.Head, strings.Join(o.Members, ", "))
	line("trained on", "%d pairs, data hash %s", o.Pairs, o.DataHash)
	split := fmt.Sprintf("seed %d", o.Seed)
	if o.Holdout != nil {
		split += fmt.Sprintf(", %g of the prompts kept aside", *o.Holdout)
	}
	if o.PromptKey == "exact" {
		split += "; prompts told apart byte by byte, as earlier builds did"
	}
	line("split", "%s", split)
	line("authors aside", "%s", o.HoldoutAuthors)
	line("L2, temperature", "%g, %.4g", o.L2, o.Temperature)
	line("debias", "%s", strings.Join(o.Debias, ","))
	if o.Tie > 0 {
		line("ties", "nu %.4g", o.Tie)
	}
	line("judge", "%s", o.Judge)
	line("constitution", "%s", o.ConstitutionHash)
	var t trainJSON
	if err := json.Unmarshal(o.Metrics, &t); err == nil && t.Holdout.N > 0 {
		h := t.Holdout
		line("holdout", "%d pairs, %d prompts: accuracy %s %s; %s", h.N, h.Prompts, h.Accuracy, h.CI, baselineText(h.Figures))
		line("", "log loss %s (chance 0.693), ECE %s, length Spearman %s", h.LogLoss, h.ECE, h.LengthSpearman)
	} else {
		line("holdout", "the file holds no figures")
	}
	line("profile", "%s", o.Profile.text())
	for _, t := range o.Tensors {
		line("tensor", "%s %s %v", t.Name, t.DType, t.Shape)
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "of a version not written down"
	}
	return s
}

// differing is a figure that is not what the file says.
type differing struct {
	Figure string `json:"figure"`
	Stored any    `json:"stored"`
	Found  any    `json:"found"`
}

type verifyJSON struct {
	Holds    bool            `json:"holds"`
	Compared int             `json:"compared"`
	Differ   []differing     `json:"differ"`
	Holdout  json.RawMessage `json:"holdout"`
	DataHash string          `json:"data_hash"`
}

func (a *app) runModelVerify(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	a.startsOver = true
	if _, _, err = modelFile(c); err != nil {
		return err
	}
	m, done, err := a.rewardModel(c, c.Args().First())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	stored := map[string]any{}
	if err := json.Unmarshal(m.Metadata.Metrics, &stored); err != nil {
		return hinted(fmt.Errorf("%s holds no figures to verify", c.Args().First()), "cai train writes them into the model")
	}
	authors, authorShare, err := authorsWanted(m.Metadata.HoldoutAuthors)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Args().First(), err)
	}
	share := m.Metadata.Holdout
	switch {
	case share == 0 && !c.IsSet("holdout"):
		return hinted(usagef("%s does not say which share of the prompts was kept aside", c.Args().First()), "give the --holdout of its training; the default was 0.1")
	case share == 0:
		share = c.Float64("holdout")
	case c.IsSet("holdout") && c.Float64("holdout") != share:
		return usagef("--holdout %v: the model was trained with %v", c.Float64("holdout"), share)
	}
	pairs, err := a.verifyPairs(ctx, c)
	if err != nil {
		return err
	}
	written := authorship{key: m.Metadata.Key()}
	if authors > 0 || authorShare > 0 {
		if err := written.draw(pairs, authors, authorShare, m.Metadata.Seed); err != nil {
			return err
		}
	}
	t, err := m.ScoreHoldout(ctx, written.training(pairs), share)
	if errors.Is(err, rm.ErrOtherData) {
		return hinted(fmt.Errorf("%w: %d usable pairs with the hash %s, the model says %s", err, t.Pairs, t.DataHash, m.Metadata.DataHash),
			"name every file of the training, as it was then; %s", commandHint(m))
	}
	if err != nil {
		return err
	}
	var now trainJSON
	strengths := written.fit(t.Holdout)
	now.measure(m, t.Holdout, strengths)
	if written.unseen != nil {
		now.Authors, err = written.measure(ctx, m, pairs, eval.Options{Seed: m.Metadata.Seed, Subset: subset, Authors: strengths})
		if err != nil {
			return err
		}
	}
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	found := map[string]any{}
	if err := json.Unmarshal(b, &found); err != nil {
		return err
	}
	out := verifyJSON{Differ: []differing{}, DataHash: t.DataHash.String()}
	for _, key := range []string{"holdout", "baselines", "length_spearman", "longer_chosen", "shorter_chosen", "coverage", "holdout_authors"} {
		out.compare(key, stored[key], found[key])
	}
	out.Holds = len(out.Differ) == 0
	if out.Holdout, err = json.Marshal(now.Holdout); err != nil {
		return err
	}
	if c.Bool("json") {
		err = a.writeJSON(out)
	} else if out.Holds {
		fmt.Fprintf(a.Out, "%s: %d figures of %d holdout pairs are what the file says, accuracy %s %s\n",
			printable(c.Args().First()), out.Compared, now.Holdout.N, now.Holdout.Accuracy, now.Holdout.CI)
	} else {
		for _, d := range out.Differ {
			fmt.Fprintf(a.Out, "%s: the file says %v, the data %v\n", printable(d.Figure), d.Stored, d.Found)
		}
	}
	if err != nil {
		return err
	}
	if !out.Holds {
		return &exitError{code: ExitCheck, err: fmt.Errorf("%d of %d figures differ from those in the file", len(out.Differ), out.Compared)}
	}
	return nil
}

// verifyPairs gives the pairs that the command line names.
func (a *app) verifyPairs(ctx context.Context, c *urfave.Context) (seqOfPairs, error) {
	if files := c.StringSlice("data"); len(files) > 0 {
		in, err := a.inputFiles(c, files)
		if err != nil {
			return nil, err
		}
		return in.pairs(), in.rewindable()
	}
	r, err := a.reading(c)
	if err != nil {
		return nil, hinted(err, "name the training's preference files by --data, or its database by --db")
	}
	return r.trainingPairs(ctx), nil
}

type seqOfPairs = func(yield func(*dataset.Pair, error) bool)

// commandHint tells how the model was trained.
func commandHint(m *rm.Model) string {
	if m.Metadata.Command == "" {
		return "the file does not say how it was trained"
	}
	return "it was trained by: " + m.Metadata.Command
}

// figureTolerance is how far a recomputed figure may be from the stored one.
const figureTolerance = 1e-9

// compare notes where found is not what is stored, by the figures' paths.
func (o *verifyJSON) compare(path string, stored, found any) {
	switch s := stored.(type) {
	case map[string]any:
		if f, ok := found.(map[string]any); ok {
			keys := map[string]bool{}
			for k := range s {
				keys[k] = true
			}
			for k := range f {
				keys[k] = true
			}
			for _, k := range sortedKeys(keys) {
				o.compare(path+"."+k, s[k], f[k])
			}
			return
		}
	case []any:
		if f, ok := found.([]any); ok && len(f) == len(s) {
			for i := range s {
				o.compare(fmt.Sprintf("%s.%d", path, i), s[i], f[i])
			}
			return
		}
	case float64:
		if f, ok := found.(float64); ok {
			o.Compared++
			if !(math.Abs(s-f) <= figureTolerance) {
				o.Differ = append(o.Differ, differing{path, s, f})
			}
			return
		}
	}
	o.Compared++
	if !reflect.DeepEqual(stored, found) {
		o.Differ = append(o.Differ, differing{path, stored, found})
	}
}
