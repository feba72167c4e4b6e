package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

func (a *app) trainCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "train",
		Usage: "a reward model of labels or preference files, offline",
		Description: "Trains on the labels of the database or, with --data, on preference files. The\n" +
			"features are hashed word n-grams and the style of the reply (--features hash,style),\n" +
			"and on request its character n-grams (chars), embeddings of prompt and reply by a model\n" +
			"(embed:MODEL, kept in the database) and what a judge's stored judgments say of it, by\n" +
			"principle (judge:MODEL); the loss is Bradley-Terry on the labels' probabilities. Prompts\n" +
			"are split three ways: on some the model is fitted, on some the strength of L2 and the\n" +
			"temperature are chosen, and on the holdout, which neither has seen, the figures are measured. Every accuracy\n" +
			"stands beside the null baselines on the same pairs. Labels of a judge make the figures\n" +
			"say how well the model agrees with that judge, not with people.\n\n" +
			"--head linear is the fastest form. mlp is a network. principles has a linear head for\n" +
			"each principle, trained on its stored judgments, and a gate that mixes them by the\n" +
			"prompt; with --data also a head for what the labels say beyond them. stack sums a head\n" +
			"on all features, one on each group and a network. auto compares them by cross-validation\n" +
			"over prompts. --ensemble 8 fits eight models to resamples: std is then their\n" +
			"disagreement.\n\n" +
			"--noise fit learns which share of the labels, of each --annotator, is the wrong way round,\n" +
			"and does not let them count as the others do; --ties learns from ties; --margin widens\n" +
			"the scores of clear labels; --weight takes weights from a column.\n\n" +
			"--debias length keeps the model from preferring length, --debias length,markup from\n" +
			"markup too: labels that go with it are balanced, and its covariance with the margins is\n" +
			"penalised until the correlation on the validation pairs is that of --length-correlation.\n" +
			"Accuracy falls by it: the command prints what it is where the longer and where the\n" +
			"shorter reply was chosen.\n\n" +
			"Where the data name who wrote each reply, the baseline author knows that alone. With\n" +
			"--holdout-authors N the model sees no reply of N authors and is measured on the pairs\n" +
			"of two of them: what is left of its accuracy there is no recognition of authors.\n\n" +
			"The validation pairs also say how sure the model may be: the margins of conformal sets,\n" +
			"those from which on the error is below a target, accuracy by margin. They stand in the\n" +
			"model file.\n\n" +
			"Features of more pairs than fit into a quarter of --memory are streamed from temporary\n" +
			"files beside --out, which takes about 8 KB of disk for a pair of 300 words; the model\n" +
			"is the same.\n\n" +
			"The model is one safetensors file with its settings and figures, written beside and\n" +
			"renamed. The same data and seed give the same model.\n\n" +
			"--json prints pairs, features, holdout {n, accuracy, ci, log_loss, ece}, baselines,\n" +
			"length_spearman, longer_chosen, shorter_chosen, certainty, coverage, train_seconds,\n" +
			"feature_seconds, model.\n" + exitHelp,
		Flags: append(append([]urfave.Flag{
			&urfave.StringSliceFlag{Name: "data", Usage: "train on this preference `FILE` instead of the database's labels; repeatable"},
			&urfave.Float64Flag{Name: "holdout", Value: 0.1, Usage: "the `SHARE` of prompts that the figures are measured on"},
			holdoutAuthorsFlag(),
			&urfave.Int64Flag{Name: "seed", Usage: "seed of the split (`N`)"},
			&urfave.DurationFlag{Name: "budget", Value: 10 * time.Minute, Usage: "with --head auto: the `TIME` for trying forms of the model"},
			memoryFlag(),
			&urfave.StringFlag{Name: "out", Value: "rm.safetensors", Usage: "write the model to `FILE`"},
		}, slices.Concat(modelFlags(), fitFlags(), readingFlags())...), inputFlags()...),
		Action: a.runTrain,
	}
}

type trainJSON struct {
	Pairs          int                    `json:"pairs"`
	Features       int                    `json:"features"`
	Holdout        eval.Set               `json:"holdout"`
	Baselines      map[string]eval.Figure `json:"baselines"`
	Authors        *authorsJSON           `json:"holdout_authors,omitempty"`
	LengthSpearman eval.Figure            `json:"length_spearman"`
	LongerChosen   side                   `json:"longer_chosen"`
	ShorterChosen  side                   `json:"shorter_chosen"`
	Certainty      *rm.Certainty          `json:"certainty"`
	Coverage       *rm.Coverage           `json:"coverage"`
	Debias         []rm.DebiasPoint       `json:"debias,omitempty"`
	DebiasStrength float64                `json:"debias_strength,omitempty"`
	Head           string                 `json:"head"`
	Members        []string               `json:"members"`
	Tried          []rm.Candidate         `json:"tried,omitempty"`
	Tie            float64                `json:"tie,omitempty"`
	Noise          map[string]float64     `json:"noise,omitempty"`
	TrainSeconds   float64                `json:"train_seconds"`
	FeatureSeconds float64                `json:"feature_seconds"`
	L2             float64                `json:"l2"`
	Temperature    float64                `json:"temperature"`
	Skipped        map[string]int         `json:"skipped"`
	Model          string                 `json:"model"`
}

// side is the accuracy on the pairs whose better reply is the longer one, or the
// shorter one.
type side struct {
	N        int         `json:"n"`
	Accuracy eval.Figure `json:"accuracy"`
}

// bySide gives the accuracies where the longer and where the shorter reply is
// the better one; pairs of equal lengths and without a better one are in
// neither.
func bySide(results []eval.Result) (longer, shorter side) {
	sums := [2]float64{}
	n := [2]int{}
	for _, r := range results {
		d := utf8.RuneCountInString(r.Pair.First.Text) - utf8.RuneCountInString(r.Pair.Second.Text)
		if d == 0 || r.Pair.P == 0.5 {
			continue
		}
		k := 0
		if (d > 0) != (r.Pair.P > 0.5) {
			k = 1
		}
		n[k]++
		sums[k] += eval.Correct(r.Margin, r.Pair.P)
	}
	return side{n[0], eval.Figure(sums[0] / float64(n[0]))}, side{n[1], eval.Figure(sums[1] / float64(n[1]))}
}

// conformalLevel is the level of the sets that are shown.
const conformalLevel = 0.9

// coverage is how the model's conformal sets did; nil where it has none.
func coverage(m *rm.Model, margins, labels []float64) *rm.Coverage {
	point, ok := m.Metadata.Certainty.At(conformalLevel)
	if !ok || len(margins) == 0 {
		return nil
	}
	c := point.Cover(margins, labels)
	return &c
}

// measure computes the figures of the holdout, whose pairs are scored.
func (o *trainJSON) measure(m *rm.Model, holdout []rm.Scored, authors *eval.Strengths) {
	results := make([]eval.Result, len(holdout))
	margins, labels := make([]float64, len(results)), make([]float64, len(results))
	for i, s := range holdout {
		results[i] = eval.Result{Pair: s.Pair, Comparison: eval.Comparison{
			Margin: s.First.Mean - s.Second.Mean, First: s.First.Mean, Second: s.Second.Mean, Scored: true,
		}}
		margins[i], labels[i] = s.First.Mean-s.Second.Mean, s.Pair.P
	}
	o.Holdout = eval.Evaluate("holdout", results, eval.Options{Seed: m.Metadata.Seed, Subset: subset, Authors: authors, Key: m.Metadata.Key()})
	o.Baselines, o.LengthSpearman = o.Holdout.Baselines, o.Holdout.LengthSpearman
	o.LongerChosen, o.ShorterChosen = bySide(results)
	o.Coverage = coverage(m, margins, labels)
}

func printCoverage(w io.Writer, c *rm.Coverage) {
	if c != nil {
		fmt.Fprintf(w, "conformal sets of level %.2f: %.3f hold the better reply; %.3f are of one reply, right in %.3f of cases\n",
			c.Level, c.Covered, c.Single, c.SingleAccuracy)
	}
}

func (a *app) runTrain(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.NArg() > 0 {
		return hinted(usagef("train takes no argument %q", c.Args().First()), "preference files are named by --data FILE")
	}
	if h := c.Float64("holdout"); !(h > 0 && h < 1) {
		return usagef("--holdout %v is not a share between 0 and 1", h)
	}
	o, err := modelOptions(c)
	if err != nil {
		return err
	}
	authors, share, err := authorsWanted(c.String("holdout-authors"))
	if err != nil {
		return err
	}
	var pairs iter.Seq2[*dataset.Pair, error]
	var in *inputs
	var r *reading
	if files := c.StringSlice("data"); len(files) > 0 {
		if in, err = a.inputFiles(c, files); err != nil {
			return err
		}
		if err := tryOut(in, dataset.Pairs); err != nil {
			return err
		}
		pairs = in.pairs()
	}
	if in == nil || o.Head == rm.HeadPrinciples {
		if r, err = a.reading(c); err != nil {
			return err
		}
	}
	if in == nil {
		pairs = r.trainingPairs(ctx)
	}
	o.Holdout, o.Budget = c.Float64("holdout"), c.Duration("budget")
	unbound, err := memoryOptions(c, &o)
	if err != nil {
		return err
	}
	defer unbound()
	if r != nil && (o.Head == rm.HeadPrinciples || o.Head == rm.HeadAuto) {
		v, err := r.votes(ctx)
		if err != nil {
			return err
		}
		o.Principles, o.Votes, o.Rest = v.ids, v.of, in != nil
	}
	written := authorship{key: dataset.Conversation.Key}
	if authors > 0 || share > 0 {
		p := a.progress(c, "train: authors", "pairs", 0)
		err := written.draw(counted(pairs, p), authors, share, c.Int64("seed"))
		p.done()
		if err != nil {
			return err
		}
	}
	names := list(c.StringSlice("features"))
	sources, closeSources, err := a.sources(c, names, sourceOptions{Keep: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSources()) }()
	o.Sources = sources
	a.startsOver = len(sources) == 0 // embeddings are kept as they come

	var p *progress
	stage := ""
	o.Progress = func(s string, done, total int) {
		if s != stage {
			if p != nil {
				p.done()
			}
			stage = s
			p = a.progress(c, "train: "+s, "steps", int64(total))
		}
		p.set(int64(done), "")
	}
	model, tr, err := rm.Train(ctx, written.training(pairs), o)
	if p != nil {
		p.done()
	}
	if err != nil {
		return memoryHint(err)
	}

	strengths := written.fit(tr.Holdout)
	out := trainJSON{
		Pairs: tr.Pairs, Features: tr.Features, Certainty: tr.Certainty,
		TrainSeconds: tr.TrainSeconds, FeatureSeconds: tr.FeatureSeconds,
		L2: tr.L2, Temperature: tr.Temperature, Skipped: tr.Skipped, Model: c.String("out"),
	}
	out.measure(model, tr.Holdout, strengths)
	if out.Holdout.N == 0 {
		return hinted(fmt.Errorf("%d pairs are too few: none with a clear label falls into the holdout, so nothing would be known about the model", tr.Pairs),
			"use pairs of more prompts, or a larger --holdout")
	}
	out.Debias, out.DebiasStrength = tr.Debias, tr.DebiasStrength
	out.Head, out.Members, out.Tried = model.Metadata.Head, model.Members(), tr.Tried
	out.Tie, out.Noise = tr.Tie, tr.Noise
	if written.unseen != nil && !tr.Interrupted {
		p := a.progress(c, "train: authors not seen", "pairs", 0)
		out.Authors, err = written.measure(ctx, model, pairs, eval.Options{
			Seed: c.Int64("seed"), Subset: subset, Authors: strengths, Progress: func(n int) { p.set(int64(n), "") },
		})
		p.done()
		if err != nil {
			return err
		}
	}
	if err := describe(c, model, out); err != nil {
		return err
	}
	if in != nil {
		r = nil // the labels are those of the files
	}
	if r != nil {
		model.Metadata.ConstitutionHash = r.con.Hash()
		model.Metadata.Judge = r.hashes()
		if r.turned != "" {
			a.note(c, "labels: %s", r.turned)
		}
	}
	if err := model.Save(c.String("out")); err != nil {
		return err
	}
	if c.Bool("json") {
		if err := a.writeJSON(out); err != nil {
			return err
		}
	} else {
		a.printTraining(out, r)
	}
	if tr.Interrupted {
		fmt.Fprintf(a.Err, "cai: stopped: %s is the model that there was, %s, fitted to a part of the pairs\n", printable(out.Model), out.Head)
		return silent(ExitInterrupted)
	}
	return nil
}

func (a *app) printTraining(o trainJSON, r *reading) {
	h := o.Holdout
	fmt.Fprintf(a.Out, "%s: %d pairs, %d features, L2 %g, temperature %.2f; features %.1f s, training %.1f s\n",
		printable(o.Model), o.Pairs, o.Features, o.L2, o.Temperature, o.FeatureSeconds, o.TrainSeconds)
	for _, t := range o.Tried {
		if t.Error != "" {
			fmt.Fprintf(a.Out, "tried %s: %s\n", t.Head, t.Error)
			continue
		}
		fmt.Fprintf(a.Out, "tried %s: log loss %.4f (± %.4f beside %s), accuracy %.3f, %.0f s\n", t.Head, t.LogLoss, t.LogLossSE, o.Tried[0].Head, t.Accuracy, t.Seconds)
	}
	if len(o.Members) > 1 || len(o.Tried) > 0 {
		fmt.Fprintf(a.Out, "the model is %s: %s\n", o.Head, printable(strings.Join(o.Members, ", ")))
	}
	for _, reason := range sortedKeys(o.Skipped) {
		fmt.Fprintf(a.Out, "left out: %d %s\n", o.Skipped[reason], reason)
	}
	fmt.Fprintf(a.Out, "holdout of %d pairs, %d prompts: accuracy %s %s; %s\n", h.N, h.Prompts, h.Accuracy, h.CI, baselineText(h.Figures))
	printAuthor(a.Out, "", h.Author)
	fmt.Fprintf(a.Out, "log loss %s (chance 0.693), ECE %s, length Spearman %s\n", h.LogLoss, h.ECE, h.LengthSpearman)
	fmt.Fprintf(a.Out, "where the longer reply is chosen: %s over %d; where the shorter: %s over %d\n",
		o.LongerChosen.Accuracy, o.LongerChosen.N, o.ShorterChosen.Accuracy, o.ShorterChosen.N)
	for _, by := range sortedKeys(o.Noise) {
		fmt.Fprintf(a.Out, "labels the wrong way round%s: %.3f\n", of(by), o.Noise[by])
	}
	if o.Tie > 0 {
		fmt.Fprintf(a.Out, "ties: nu %.3f, so equal scores are a tie in %.3f of cases\n", o.Tie, o.Tie/(2+o.Tie))
	}
	if len(o.Debias) > 0 {
		fmt.Fprintf(a.Out, "debiased with strength %.2f, chosen on the validation pairs\n", o.DebiasStrength)
	}
	printCoverage(a.Out, o.Coverage)
	if o.Certainty != nil {
		for _, d := range o.Certainty.DontKnow {
			if d.Error == 0.1 && d.Share > 0 {
				fmt.Fprintf(a.Out, "for an error of %.2f judge only pairs with a margin of at least %.2f: %.2f of them\n", d.Error, d.Margin, d.Share)
			}
		}
	}
	if r != nil {
		fmt.Fprintf(a.Out, "the labels are those of %s: the figures tell how well the model agrees with it\n", printable(r.names()))
	}
	verdict(a.Out, "the model", h.Figures)
	printAuthors(a.Out, o.Authors)
}

// of names an annotator.
func of(annotator string) string {
	if annotator == "" {
		return ""
	}
	return " of " + printable(annotator)
}

// trainingPairs gives the labels as pairs for training.
func (r *reading) trainingPairs(ctx context.Context) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for l, err := range r.labels(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			p := &dataset.Pair{Prompt: l.Prompt, First: l.A, Second: l.B, P: l.Label.P}
			if len(l.Sources) > 0 {
				p.Source = l.Sources[0]
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}
