package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/label"
	"cai/store"
)

func (a *app) calibrateCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "calibrate",
		Usage:     "a judge against people's labels",
		ArgsUsage: "--gold FILE…",
		Description: "Gold is pairs that people labelled: prompt, response_a, response_b and labels, a list\n" +
			"of \"a\", \"b\" or \"tie\" of one or several annotators, or any preference format. The\n" +
			"model of --model judges what the database does not hold of them yet, as cai label does\n" +
			"and with its options; with --judge, stored judges are measured and nothing is asked,\n" +
			"several of them side by side, or as one with --pool or --jury.\n\n" +
			"Figures: accuracy beside null baselines, Cohen's kappa (weighted with ties as a class),\n" +
			"Krippendorff's alpha with the annotators, the human ceiling (an annotator, and the\n" +
			"judge, against the majority of the others), log loss, Brier score in parts, ECE in 15\n" +
			"bins of equal mass and less its bias, position bias, length bias beyond the gold's own,\n" +
			"flip rate on repetition (--repeat), coverage, and with --apply how often the first reply\n" +
			"wins on pairs without labels, corrected for the judge's errors (Rogan-Gladen; interval\n" +
			"of Lang and Reiczigel). Other intervals are 95 %, bootstrapped by prompt.\n\n" +
			"A temperature and an isotonic map of the log-odds, both odd, are fitted in five folds\n" +
			"by prompt; their figures are out of fold. The one with the smaller log loss, or that of\n" +
			"--map, is kept in the database for labels of the same judge, principles and rule:\n" +
			"cai labels --calibrated, cai train --calibrated.\n\n" +
			"--drift compares with the same judge on other weights of the model that the database\n" +
			"knows, on the same pairs. --probes asks again after edits of replies: worthless ones and\n" +
			"injected instructions, which should not win a pair, and some that make a reply worse,\n" +
			"which should lose it. A flip rate is the share of pairs whose verdict turned.\n\n" +
			"--json prints n, accuracy, kappa, ece, brier, log_loss, temperature, position_bias,\n" +
			"length_bias, flip_rate, human_ceiling, their intervals, calibration and maps; of several\n" +
			"judges {judges: […], paired: […]}.\n" + exitHelp,
		Flags: slices.Concat([]urfave.Flag{
			&urfave.StringSliceFlag{Name: "gold", Usage: "pairs that people labelled; repeated for more (`FILE`)"},
			&urfave.StringSliceFlag{Name: "apply", Usage: "pairs without labels: how often the first reply wins there, corrected for the judge's errors on the gold (`FILE`)"},
			&urfave.StringFlag{Name: "card", Usage: "write the judge's card to `FILE`: .md, .json or .html"},
			requireFlag("kappa>=0.4"),
			&urfave.BoolFlag{Name: "drift", Usage: "compare with the same judge on other weights of its model"},
			&urfave.StringFlag{Name: "map", Value: "auto", Usage: "which map is kept: temperature, isotonic, auto or none (`NAME`)"},
			&urfave.IntFlag{Name: "repeat", Usage: "ask `N` pairs again, for the flip rate"},
			&urfave.IntFlag{Name: "probes", Usage: "edit the replies of `N` pairs and see what turns the verdict"},
			&urfave.IntFlag{Name: "own", Usage: "with --probes: have the model itself reply to `N` of the prompts, and hold that against the reply that people chose"},
			&urfave.StringFlag{Name: "author", Usage: "with --probes: the judge's own model as the data name authors (`NAME`)"},
			&urfave.StringFlag{Name: "aggregate", Value: string(label.LogOdds), Usage: "how principles become one label: logodds, mean or vote (`RULE`)"},
			&urfave.StringFlag{Name: "weights", Usage: "weights by principle id, TOML or JSON, instead of the constitution's (`FILE`)"},
			&urfave.Int64Flag{Name: "bootstrap-seed", Usage: "seed of the intervals (`N`)"},
			juryFlag(),
		}, judgesFlags(), askFlags(), spreadFlags(), inputFlags()),
		Action: a.runCalibrate,
	}
}

// calibration is one run of cai calibrate.
type calibration struct {
	app        *app
	c          *urfave.Context
	store      *store.Store
	files      []string // the gold
	principles []constitution.Principle
	set        label.Settings
	bounds     []bound
	options    eval.Options
	run        *labelRun // nil where nothing is asked
}

// measured is a judge, or a jury, with its card.
type measured struct {
	panel  *panel
	trials []eval.Trial
	card   judgeCard
}

// judgeCard is what is known of a judge.
type judgeCard struct {
	Judge string `json:"judge"`
	Model string `json:"model"`
	Mode  string `json:"mode"`
	Shape string `json:"shape"`
	eval.Card
	Drift  *driftJSON   `json:"drift,omitempty"`
	Probes []judgeProbe `json:"probes,omitempty"`
	// Rates are how often the first reply wins in the files of --apply.
	Rates []rateJSON `json:"rates,omitempty"`
}

// driftJSON compares a judge with itself on other weights. The first is the
// present one.
type driftJSON struct {
	Judge    string      `json:"judge"` // the earlier one
	Digest   string      `json:"digest"`
	Accuracy eval.Figure `json:"accuracy"` // the earlier one's, on the gold
	// Agreement is the share of pairs for which both prefer the same reply.
	Agreement   eval.Figure   `json:"agreement"`
	AgreementCI eval.Interval `json:"agreement_ci"`
	eval.Paired
	Drifted bool `json:"drifted"` // the interval of delta does not hold 0
}

// rateJSON is how often the first reply of a file's pairs wins.
type rateJSON struct {
	File      string `json:"file"`
	N         int    `json:"n"`
	Abstained int    `json:"abstained"`
	eval.Prevalence
}

type pairedJSON struct {
	First  string `json:"first"`
	Second string `json:"second"`
	eval.Paired
}

func (a *app) runCalibrate(c *urfave.Context) error {
	k := &calibration{app: a, c: c, options: eval.Options{Seed: c.Int64("bootstrap-seed")}}
	if err := k.check(); err != nil {
		return err
	}
	judges, err := k.judges()
	if err != nil {
		return err
	}
	for _, m := range judges {
		if err := k.measure(m); err != nil {
			return err
		}
	}
	var paired []pairedJSON
	for i, m := range judges {
		for _, other := range judges[i+1:] {
			paired = append(paired, pairedJSON{m.card.Judge, other.card.Judge, eval.CompareTrials(m.trials, other.trials, k.options)})
		}
	}
	var result any = judges[0].card
	if len(judges) > 1 {
		cards := make([]judgeCard, len(judges))
		for i, m := range judges {
			cards[i] = m.card
		}
		result = struct {
			Judges []judgeCard  `json:"judges"`
			Paired []pairedJSON `json:"paired"`
		}{cards, paired}
	}
	doc := cardDocument(judges, paired, k.files)
	if c.Bool("json") {
		if err := a.writeJSON(result); err != nil {
			return err
		}
	} else if err := doc.Text(printer{a.Out}); err != nil {
		return err
	}
	if err := a.writeCard(c.String("card"), doc, result); err != nil {
		return err
	}
	if err := a.require(k.bounds, result); err != nil {
		return err
	}
	if k.run != nil && k.run.in.bad > 0 {
		return silent(ExitSomeFailed)
	}
	return nil
}

func (k *calibration) check() error {
	c := k.c
	var err error
	k.files = append(c.StringSlice("gold"), c.Args().Slice()...)
	if len(k.files) == 0 {
		return hinted(usagef("calibrate: no gold is named"), "name pairs that people labelled with --gold FILE")
	}
	if k.bounds, err = parseBounds(c); err != nil {
		return err
	}
	if err := checkCard(c.String("card")); err != nil {
		return err
	}
	if m := c.String("map"); !slices.Contains([]string{"auto", "none", eval.MapTemperature, eval.MapIsotonic}, m) {
		return usagef("--map %q is not known: use auto, temperature, isotonic or none", m)
	}
	if c.Int("repeat") < 0 || c.Int("probes") < 0 || c.Int("own") < 0 {
		return usagef("--repeat, --probes and --own cannot be negative")
	}
	if c.Int("probes") == 0 && (c.Int("own") > 0 || c.String("author") != "") {
		return usagef("--own and --author belong to --probes")
	}
	stored := c.IsSet("judge") || pooling(c)
	if stored && (c.Int("repeat") > 0 || c.Int("probes") > 0) {
		return hinted(usagef("--repeat and --probes ask the model, and --judge asks nothing"), "leave out --judge and name the model with --model")
	}
	rule, err := label.ParseRule(c.String("aggregate"))
	if err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	set := settings{rule: rule, minCoverage: c.Float64("min-coverage"), oneOrder: c.Int("orders") == 1}
	if _, k.principles, err = k.app.principles(c); err != nil {
		return err
	}
	if file := c.String("weights"); file != "" {
		if set.weights, err = readWeights(file, k.principles); err != nil {
			return err
		}
	}
	k.set = set.of(k.principles)
	return nil
}

// judges gives the judges to be measured: those that --judge names, or that of
// --model, which is asked what it has not said yet.
func (k *calibration) judges() ([]*measured, error) {
	if k.c.IsSet("judge") || pooling(k.c) {
		return k.stored()
	}
	l := k.app.newLabelRun(k.c)
	l.files = k.all()
	k.run = l
	mode, err := l.prepare()
	if err != nil {
		return nil, err
	}
	count, err := l.judgeAll(mode)
	if err != nil {
		return nil, err
	}
	k.store = l.store
	if count.Failed > 0 {
		k.app.note(k.c, "%d questions failed: their pairs may be missing here; cai status says why", count.Failed)
	}
	info, err := k.info(l.job.Judge)
	if err != nil {
		return nil, err
	}
	p := &panel{}
	return []*measured{{panel: p}}, p.add(info, 1)
}

// all is the gold and the pairs that are to be counted.
func (k *calibration) all() []string { return slices.Concat(k.files, k.c.StringSlice("apply")) }

func (k *calibration) info(judge dataset.Hash) (store.JudgeInfo, error) {
	all, err := k.store.Judges(k.c.Context)
	if err != nil {
		return store.JudgeInfo{}, err
	}
	for _, j := range all {
		if j.Hash == judge {
			return j, nil
		}
	}
	return store.JudgeInfo{}, fmt.Errorf("judge %s is not in %s", shortID(judge), k.c.String("db"))
}

// stored finds the judges that --judge names, and brings the gold into the
// store, so that its votes are there.
func (k *calibration) stored() ([]*measured, error) {
	a, c := k.app, k.c
	st, err := a.existingStore(c)
	if err != nil {
		return nil, err
	}
	k.store = st
	p, err := a.panel(c, st)
	if err != nil {
		return nil, err
	}
	in, err := a.inputFiles(c, k.all())
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	for _, f := range in.files {
		if _, err := in.importFile(ctx, st, f, func(int64) {}); err != nil {
			return nil, err
		}
	}
	if c.IsSet("jury") {
		f, set := k.filter(p)
		if err := a.weigh(c, st, p, set, f.Principles); err != nil {
			return nil, err
		}
	}
	if pooling(c) {
		return []*measured{{panel: p}}, nil
	}
	var out []*measured
	for _, j := range p.judges {
		one := &panel{}
		if err := one.add(j, 1); err != nil {
			return nil, err
		}
		out = append(out, &measured{panel: one})
	}
	return out, nil
}

// measure fills a judge's card and keeps its map.
func (k *calibration) measure(m *measured) error {
	c := k.c
	ctx, cancel := k.app.untilStop(c.Context)
	defer cancel()
	var err error
	if m.trials, err = k.trials(ctx, m.panel); err != nil {
		return err
	}
	j := &m.panel.judges[0]
	m.card = judgeCard{Judge: m.panel.hashes(), Model: m.panel.names(), Mode: j.Mode, Shape: shapeText(j.Template)}
	if len(m.trials) == 0 {
		return hinted(fmt.Errorf("%s has judged no pair of the gold under these principles", m.card.Model), "cai calibrate without --judge has it judge them")
	}
	if c.Int("repeat") > 0 {
		if err := k.repeat(ctx, m.trials); err != nil {
			return err
		}
	}
	m.card.Card = eval.Calibrate(m.card.Model, m.trials, k.options)
	if m.card.N == 0 {
		return hinted(errors.New("no pair of the gold says which reply is better"), "gold needs labels: see cai calibrate --help")
	}
	for _, file := range c.StringSlice("apply") {
		rate, err := k.rate(ctx, m, file)
		if err != nil {
			return err
		}
		m.card.Rates = append(m.card.Rates, rate)
	}
	if c.Bool("drift") {
		if m.card.Drift, err = k.drift(ctx, m); err != nil {
			return err
		}
	}
	if c.Int("probes") > 0 {
		if m.card.Probes, err = k.probes(ctx, m); err != nil {
			return err
		}
	}
	return k.keep(ctx, m)
}

// rate counts the pairs of a file that its first reply wins.
func (k *calibration) rate(ctx context.Context, m *measured, file string) (rateJSON, error) {
	r, wins := rateJSON{File: file}, 0
	f, set := k.filter(m.panel)
	f.Source = file
	for j, err := range k.store.Judged(ctx, f) {
		if err != nil {
			return r, err
		}
		l, ok := label.Aggregate(j.Judgments, set)
		if !ok || l.P == 0.5 {
			r.Abstained++
			continue
		}
		r.N++
		if (l.P > 0.5) != j.Swapped[0] {
			wins++
		}
	}
	r.Prevalence = m.card.Rate(wins, r.N)
	return r, nil
}

// filter finds what a panel judged under the principles, and how it is read.
func (k *calibration) filter(p *panel) (store.Filter, label.Settings) {
	set := k.set
	set.Judges = p.byHash()
	f := store.Filter{Judge: p.judges[0].Hash, Pool: p.others()}
	for i := range k.principles {
		f.Principles = append(f.Principles, k.principles[i].Hash())
	}
	return f, set
}

// trials reads what the judges of a panel made of the gold.
func (k *calibration) trials(ctx context.Context, p *panel) ([]eval.Trial, error) {
	f, set := k.filter(p)
	var out []eval.Trial
	seen := map[dataset.Hash]bool{}
	for _, file := range k.files {
		f.Source = file
		for j, err := range k.store.Judged(ctx, f) {
			if err != nil {
				return nil, err
			}
			if !seen[j.Key.Hash] {
				seen[j.Key.Hash] = true
				out = append(out, trialOf(j, set))
			}
			if n := k.c.Int("limit"); n > 0 && len(out) == n {
				return out, nil
			}
		}
	}
	return out, nil
}

// trialOf is a judged pair beside what people said of it.
func trialOf(j *store.Judged, set label.Settings) eval.Trial {
	nan := math.NaN()
	t := eval.Trial{
		Pair: &dataset.Pair{Prompt: j.Prompt, First: j.A, Second: j.B, P: j.P, Votes: j.Votes},
		Z:    nan, Bias: nan, SameSlot: nan, Coverage: nan,
	}
	if t.Pair.Votes == nil && !math.IsNaN(j.P) {
		t.Pair.Votes = []float64{j.P}
	}
	samples := map[int][]dataset.Judgment{}
	for _, g := range j.Judgments {
		samples[g.Sample] = append(samples[g.Sample], g)
		t.Seconds += g.Duration.Seconds()
	}
	if l, ok := label.Aggregate(j.Judgments, set); ok {
		t.Z, t.Bias, t.SameSlot, t.Coverage = logit(l.P), l.Bias, l.SameSlotRate, l.Coverage
	}
	first, ok := label.Aggregate(samples[0], set)
	for s, js := range samples {
		if l, again := label.Aggregate(js, set); s > 0 && ok && again {
			t.Repeats++
			if (l.P > 0.5) != (first.P > 0.5) {
				t.Flips++
			}
		}
	}
	return t
}

// repeat asks some pairs once more. Their answers are kept apart from judgments.
func (k *calibration) repeat(ctx context.Context, trials []eval.Trial) error {
	l := k.run
	again, err := l.judges.make(k.app.remember(l.model, k.store), l.judge.id.Mode)
	if err != nil {
		return err
	}
	n := min(k.c.Int("repeat"), len(trials))
	p := k.app.progress(k.c, "repeat", "pairs", int64(n))
	defer p.done()
	for i := range trials[:n] {
		t := &trials[i]
		if math.IsNaN(t.Z) {
			continue
		}
		js, err := k.askPair(ctx, again, t.Pair, k.c.Int("samples"))
		if err != nil {
			if err := k.app.itemError(err, dataset.Source{File: k.files[0]}, ""); err != nil {
				return err
			}
			continue
		}
		if l, ok := label.Aggregate(js, k.set); ok {
			t.Repeats++
			if (l.P > 0.5) != (t.Z > 0) {
				t.Flips++
			}
		}
		p.set(int64(i+1), "")
	}
	return nil
}

// askPair judges a pair by all principles, in both orders, as the given sample.
func (k *calibration) askPair(ctx context.Context, j asker, pair *dataset.Pair, sample int) ([]dataset.Judgment, error) {
	var out []dataset.Judgment
	for _, order := range k.run.job.Orders {
		q := judge.Question{Prompt: pair.Prompt, First: pair.First.Text, Second: pair.Second.Text, Sample: sample}
		if order == dataset.OrderBA {
			q.First, q.Second = q.Second, q.First
		}
		for i := range k.principles {
			q.Principle = &k.principles[i]
			ans, err := j.Compare(ctx, q)
			if err != nil {
				return nil, err
			}
			out = append(out, dataset.Judgment{
				Principle: q.Principle.Hash(), Order: order, LPFirst: ans.LPFirst, LPSecond: ans.LPSecond, Coverage: ans.Coverage,
			})
		}
	}
	return out, nil
}

// probes asks about edited replies. Their answers are kept apart from judgments.
func (k *calibration) probes(ctx context.Context, m *measured) ([]judgeProbe, error) {
	l := k.run
	known := k.app.remember(l.model, k.store)
	again, err := l.judges.make(known, l.judge.id.Mode)
	if err != nil {
		return nil, err
	}
	j, ok := again.Comparer.(prober)
	if !ok {
		return nil, fmt.Errorf("a judge of mode %s cannot be probed", l.judge.id.Mode)
	}
	var pairs []*dataset.Pair
	for i := range m.trials {
		if n := k.c.Int("probes"); len(pairs) < n {
			pairs = append(pairs, m.trials[i].Pair)
		}
	}
	o := probeOptions{Seed: int64(k.c.Int("seed")), Author: k.c.String("author"), Own: k.c.Int("own")}
	if o.Own > 0 {
		o.Write = writes(known, ownReplyTokens)
	}
	p := k.app.progress(k.c, "probe", "comparisons", 0)
	defer p.done()
	return k.app.probeJudge(ctx, j, pairs, k.principles, o, func(done, total int) {
		p.outOf(int64(total))
		p.set(int64(done), "")
	})
}

// ownReplyTokens bounds the replies that a judge's own model writes for --own.
const ownReplyTokens = 256

// drift compares a judge with the last one before it that differs in nothing but
// the weights of its model.
func (k *calibration) drift(ctx context.Context, m *measured) (*driftJSON, error) {
	if len(m.panel.judges) > 1 {
		return nil, usagef("--drift is for one judge, not for a pool")
	}
	now := m.panel.judges[0]
	all, err := judgesOf(ctx, k.store)
	if err != nil {
		return nil, err
	}
	for _, j := range slices.Backward(all) {
		twin := j.Judge
		twin.Digest = now.Digest
		if j.Digest == now.Digest || j.Model != now.Model || twin.Hash() != now.Hash {
			continue
		}
		p := &panel{}
		if err := p.add(j, 1); err != nil {
			return nil, err
		}
		before, err := k.trials(ctx, p)
		if err != nil {
			return nil, err
		}
		if len(before) == 0 {
			continue
		}
		d := &driftJSON{
			Judge: j.Hash.String(), Digest: j.Digest, Paired: eval.CompareTrials(m.trials, before, k.options),
			Accuracy: eval.Calibrate(j.Model, before, k.options).Accuracy,
		}
		d.Agreement, d.AgreementCI = eval.AgreeTrials(m.trials, before, k.options)
		d.Drifted = !d.DeltaCI.Contains(0)
		return d, nil
	}
	return nil, hinted(fmt.Errorf("the database knows no other weights of %s that judged this gold in the same way", now.Model),
		"run cai calibrate with each version of the model on the same --db")
}

// keep stores the map of a judge.
func (k *calibration) keep(ctx context.Context, m *measured) error {
	method := k.c.String("map")
	switch method {
	case "none":
		return nil
	case "auto":
		method = m.card.Chosen
	}
	m.card.Chosen = method
	fitted := m.card.Maps[method]
	params, err := json.Marshal(fitted.Map)
	if err != nil {
		return err
	}
	figures, err := json.Marshal(fitted.Quality)
	if err != nil {
		return err
	}
	set := k.set
	set.Judges = m.panel.byHash()
	c := &store.Calibration{
		Subject: subjectOf(m.panel, set), Method: method, Params: params, Figures: figures, Gold: k.files, N: m.card.N,
	}
	if len(m.panel.judges) == 1 {
		c.Judge = m.panel.judges[0].Hash
	}
	return k.store.PutCalibration(ctx, c)
}
