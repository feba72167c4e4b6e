package cli

import (
	"fmt"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
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

// pairedJSON is two judges on the same gold.
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
	if k.run != nil && k.run.seen.most() {
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
