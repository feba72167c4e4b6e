package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/label"
	"cai/store"
	"cai/toml"
)

// readingFlags are the options of every command that reads labels.
func readingFlags() []urfave.Flag {
	return append(votingFlags(),
		&urfave.Float64Flag{Name: "min-margin", Usage: "leave out labels whose margin |2p − 1| is below `X`"},
		&urfave.Float64Flag{Name: "temperature", Value: 1, Usage: "divide the labels' log-odds by `T`: p = sigmoid(z/T), for mean sigmoid(logit(p)/T); no label changes sides; not for vote"},
		&urfave.BoolFlag{Name: "calibrated", Usage: "turn the labels by the newest calibration of these judges, principles and rule that cai calibrate has kept"},
		&urfave.Float64Flag{Name: "clamp", Usage: "hold each principle's probability within [`C`, 1 − C] before principles are averaged, as in Constitutional AI with 0.4; it loses the order of certainty, which --calibrated keeps; not for vote"},
	)
}

// votingFlags say which judgments count and how much.
func votingFlags() []urfave.Flag {
	return append([]urfave.Flag{
		&urfave.StringFlag{Name: "aggregate", Value: string(label.LogOdds), Usage: "how principles become one label: logodds, mean or vote (`RULE`)"},
		&urfave.StringFlag{Name: "weights", Usage: "weights by principle id, TOML or JSON, instead of the constitution's (`FILE`)"},
		minCoverageFlag(),
		&urfave.IntFlag{Name: "orders", Value: 2, Usage: "with `1`, a principle counts that was asked in one order only"},
		principleFlag(),
		sourceFlag(),
		juryFlag(),
	}, judgesFlags()...)
}

func sourceFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "source", Usage: "only pairs of this `FILE`, named as it was to cai label"}
}

// settings are how labels are read from judgments.
type settings struct {
	rule        label.Rule
	temperature float64 // 0 is 1
	clamp       float64 // 0 is off
	minCoverage float64
	oneOrder    bool
	weights     map[string]float64 // by principle id; nil takes the principles' own
}

func (s settings) of(ps []constitution.Principle) label.Settings {
	set := label.Settings{Rule: s.rule, Temperature: s.temperature, Clamp: s.clamp, MinCoverage: s.minCoverage, OneOrder: s.oneOrder, Weights: map[dataset.Hash]float64{}}
	for i := range ps {
		w := ps[i].Weight
		if s.weights != nil {
			w = s.weights[ps[i].ID]
		}
		set.Weights[ps[i].Hash()] = w
	}
	return set
}

// reading is the labels that a command asked for.
type reading struct {
	store *store.Store
	*panel
	filter    store.Filter
	set       label.Settings
	ids       map[dataset.Hash]string // of principles
	con       *constitution.Constitution
	minMargin float64
	turned    string // by which map labels are turned, for people; "" by none

	// counted while it is read
	pairs, abstained, narrow int64
}

// labelled is a judged pair with its label.
type labelled struct {
	*store.Judged
	label.Label
}

// reading opens what the flags of readingFlags, or of votingFlags, name.
func (a *app) reading(c *urfave.Context) (*reading, error) {
	return a.readingOf(c, pooling(c))
}

// readingOf is reading with judges pooled that are not named one by one, or
// refused.
func (a *app) readingOf(c *urfave.Context, pool bool) (*reading, error) {
	rule, err := label.ParseRule(c.String("aggregate"))
	if err != nil {
		return nil, &exitError{code: ExitUsage, err: err}
	}
	set := settings{rule: rule, minCoverage: c.Float64("min-coverage"), oneOrder: c.Int("orders") == 1}
	if c.Int("orders") != 1 && c.Int("orders") != 2 {
		return nil, usagef("--orders %d: use 1 or 2", c.Int("orders"))
	}
	if c.IsSet("temperature") {
		set.temperature = c.Float64("temperature")
		switch {
		case !(set.temperature > 0) || math.IsInf(set.temperature, 1):
			return nil, usagef("--temperature %v is not a number above 0", set.temperature)
		case rule == label.Vote && set.temperature != 1:
			return nil, hinted(usagef("--temperature: a share of votes has no log-odds to divide"), "use --aggregate logodds or mean")
		}
	}
	if c.IsSet("clamp") {
		set.clamp = c.Float64("clamp")
		switch {
		case !(set.clamp >= 0 && set.clamp < 0.5):
			return nil, usagef("--clamp %v is not a number from 0 up to, and without, 0.5", set.clamp)
		case rule == label.Vote && set.clamp > 0:
			return nil, hinted(usagef("--clamp: a vote is certain by its nature"), "use --aggregate logodds or mean")
		}
	}
	con, ps, err := a.principles(c)
	if err != nil {
		return nil, err
	}
	if file := c.String("weights"); file != "" {
		if set.weights, err = readWeights(file, ps); err != nil {
			return nil, err
		}
	}
	st, err := a.existingStore(c)
	if err != nil {
		return nil, err
	}
	r := &reading{store: st, con: con, set: set.of(ps), ids: map[dataset.Hash]string{}, minMargin: c.Float64("min-margin")}
	if r.panel, err = a.panelOf(c, st, pool); err != nil {
		return nil, err
	}
	r.set.Judges = r.byHash()
	r.filter = store.Filter{Judge: r.judges[0].Hash, Pool: r.others(), Source: c.String("source")}
	if err := checkSource(c, st); err != nil {
		return nil, err
	}
	for i := range ps {
		r.ids[ps[i].Hash()] = ps[i].ID
		r.filter.Principles = append(r.filter.Principles, ps[i].Hash())
	}
	if c.IsSet("jury") {
		if err := a.weigh(c, st, r.panel, r.set, r.filter.Principles); err != nil {
			return nil, err
		}
		r.set.Judges = r.byHash()
	}
	return r, r.calibrate(c)
}

// calibrate sets the map of the labels that --temperature, --clamp or
// --calibrated name.
func (r *reading) calibrate(c *urfave.Context) error {
	if t := r.set.Temperature; t > 0 && t != 1 {
		r.turned = fmt.Sprintf("temperature %g", t)
	}
	if r.set.Clamp > 0 {
		r.turned = strings.TrimPrefix(fmt.Sprintf("%s, parts clamped at %g", r.turned, r.set.Clamp), ", ")
	}
	if !c.Bool("calibrated") {
		return nil
	}
	for _, other := range []string{"temperature", "clamp"} {
		if c.IsSet(other) {
			return usagef("--calibrated and --%s: the calibration was fitted to labels without it", other)
		}
	}
	kept, ok, err := r.store.Calibration(c.Context, subjectOf(r.panel, r.set))
	if err != nil {
		return err
	}
	if !ok {
		return hinted(usagef("no calibration of %s with these weights, principles and rule is in %s", r.names(), c.String("db")),
			"run cai calibrate --gold FILE with the same --judge, --principle, --weights and --aggregate")
	}
	m, err := decodeCalibration(kept)
	if err != nil {
		return err
	}
	r.set.Map = m.Apply
	r.turned = fmt.Sprintf("calibrated by the %s map of %s, fitted to %d pairs of %s",
		kept.Method, kept.Created.Format("2006-01-02 15:04"), kept.N, strings.Join(kept.Gold, ", "))
	return nil
}

// readWeights reads weights by principle id. A principle that is not named
// weighs nothing.
func readWeights(file string, ps []constitution.Principle) (map[string]float64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	w, places := map[string]float64{}, &toml.Places{}
	if text := strings.TrimPrefix(string(data), "\ufeff"); !strings.HasPrefix(strings.TrimSpace(text), "{") {
		var bad *toml.Error
		if w, places, bad = tomlWeights(text); bad != nil {
			return nil, fmt.Errorf("read %s:%d: %s", file, bad.Line, bad.Message)
		}
	} else if err := json.Unmarshal([]byte(text), &w); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	known := map[string]bool{}
	for i := range ps {
		known[ps[i].ID] = true
	}
	var sum float64
	for _, id := range slices.Sorted(maps.Keys(w)) {
		at := file
		if line := places.Keys[id]; line > 0 {
			at = fmt.Sprintf("%s:%d", file, line)
		}
		if x := w[id]; !known[id] {
			return nil, fmt.Errorf("read %s: no principle %q in the constitution%s", at, id, constitution.DidYouMean(id, slices.Sorted(maps.Keys(known))))
		} else if !(x >= 0) || math.IsInf(x, 1) {
			return nil, fmt.Errorf("read %s: principle %q: weight %v is not a number from 0 up", at, id, x)
		}
		sum += w[id]
	}
	if sum == 0 {
		return nil, fmt.Errorf("read %s: no principle has a weight above 0", file)
	}
	return w, nil
}

// tomlWeights reads weights in TOML, one key a principle.
func tomlWeights(text string) (map[string]float64, *toml.Places, *toml.Error) {
	m, places, bad := toml.Decode(text, "")
	if bad != nil {
		return nil, nil, bad
	}
	w := map[string]float64{}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		switch x := m[id].(type) {
		case float64:
			w[id] = x
		case int64:
			w[id] = float64(x)
		default:
			return nil, nil, &toml.Error{Line: places.Keys[id], Message: fmt.Sprintf("%q is not a number", id)}
		}
	}
	return w, places, nil
}

// checkSource refuses a --source that the store has not seen.
func checkSource(c *urfave.Context, st *store.Store) error {
	name := c.String("source")
	if name == "" {
		return nil
	}
	files, err := st.Files(c.Context)
	if err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		if f.Name == name {
			return nil
		}
		names = append(names, f.Name)
	}
	return hinted(usagef("no pairs of %s are in the database", name), "it holds pairs of: %s", strings.Join(names, ", "))
}

// labels gives the labels, and counts the pairs that abstain and those whose
// margin is too narrow.
func (r *reading) labels(ctx context.Context) iter.Seq2[labelled, error] {
	return func(yield func(labelled, error) bool) {
		r.pairs, r.abstained, r.narrow = 0, 0, 0
		for j, err := range r.store.Judged(ctx, r.filter) {
			if err != nil {
				yield(labelled{}, err)
				return
			}
			r.pairs++
			l, ok := label.Aggregate(j.Judgments, r.set)
			switch {
			case !ok:
				r.abstained++
				continue
			case l.Margin < r.minMargin:
				r.narrow++
				continue
			}
			if !yield(labelled{j, l}, nil) {
				return
			}
		}
	}
}

// logit gives the log-odds of a probability.
func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

// trust says what labels are worth, as far as that can be seen from the labels
// themselves and from what their sources say.
type trust struct {
	Labels          int64 `json:"labels"`
	AbstainedLabels int64 `json:"abstained_labels"`
	// SampledFrom is the number of pairs of which the labels are a sample, where
	// there are very many; else 0.
	SampledFrom  int64       `json:"labels_sampled_from,omitempty"`
	PositionBias eval.Figure `json:"position_bias"`  // mean, log-odds, over labels
	SameSlotRate eval.Figure `json:"same_slot_rate"` // mean over labels
	// Human compares the labels with the replies that the sources call chosen.
	Human *eval.Set `json:"against_source,omitempty"`
	// AtChance tells that the interval of the accuracy holds ½.
	AtChance *bool `json:"at_chance,omitempty"`
}

// trustPairs bounds the pairs whose labels are compared with their sources, so
// that memory does not grow with the store; the intervals are narrow by then.
const trustPairs = 20_000

// trust reads labels, of very many a sample, and measures them.
func (a *app) trust(ctx context.Context, st *store.Store, f store.Filter, set label.Settings) (trust, error) {
	if f.Limit > 0 && f.Limit <= trustPairs {
		return a.trustIn(ctx, st, f, set)
	}
	judged, err := st.CountJudged(ctx, f.Judge, trustPairs+1)
	if err != nil || judged <= trustPairs {
		return a.trustIn(ctx, st, f, set)
	}
	files, err := st.Files(ctx)
	if err != nil {
		return trust{}, err
	}
	var pairs int64
	for _, file := range files {
		if len(f.Files) > 0 && slices.Contains(f.Files, file.ID) || len(f.Files) == 0 && (f.Source == "" || f.Source == file.Name) {
			pairs += file.Pairs
		}
	}
	if f.Limit > 0 {
		pairs = min(pairs, int64(f.Limit))
	}
	sample := f
	sample.OneIn = (pairs + trustPairs - 1) / trustPairs
	t, err := a.trustIn(ctx, st, sample, set)
	if err == nil && sample.OneIn > 1 && t.Labels+t.AbstainedLabels < trustPairs/50 {
		return a.trustIn(ctx, st, f, set) // few of these pairs are judged: all of them then
	}
	if sample.OneIn > 1 {
		t.SampledFrom = pairs
	}
	return t, err
}

// trustIn reads the labels of a filter and measures them.
func (a *app) trustIn(ctx context.Context, st *store.Store, f store.Filter, set label.Settings) (trust, error) {
	r := &reading{store: st, filter: f, set: set}
	var t trust
	var bias, same float64
	var both int64
	var asked *dataset.Pair // the last pair given to eval.Run, which asks about it at once
	var margin float64
	pairs := func(yield func(*dataset.Pair, error) bool) {
		for l, err := range r.labels(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			t.Labels++
			if !math.IsNaN(l.Bias) {
				bias += l.Bias
				same += l.SameSlotRate
				both++
			}
			asked = &dataset.Pair{Prompt: l.Prompt, First: l.A, Second: l.B, P: l.Judged.P}
			margin = logit(l.Label.P)
			if !yield(asked, nil) {
				return
			}
		}
	}
	set1, err := eval.Run(ctx, "source", pairs, marginOf(func(p *dataset.Pair) float64 {
		if p != asked {
			return math.NaN()
		}
		return margin
	}), eval.Options{Sample: trustPairs})
	if err != nil {
		return t, err
	}
	t.AbstainedLabels = r.abstained
	t.PositionBias = eval.Figure(bias / float64(both))
	t.SameSlotRate = eval.Figure(same / float64(both))
	if set1.N > 0 {
		t.Human = &set1
		chance := set1.CI.Contains(0.5)
		t.AtChance = &chance
	}
	return t, nil
}

// marginOf is a comparer whose margins are known.
type marginOf func(*dataset.Pair) float64

func (f marginOf) Compare(_ context.Context, p *dataset.Pair) (eval.Comparison, error) {
	return eval.Comparison{Margin: f(p)}, nil
}

func (t *trust) print(w io.Writer) {
	fmt.Fprintf(w, "labels: %d, %d abstain", t.Labels, t.AbstainedLabels)
	if t.SampledFrom > 0 {
		fmt.Fprintf(w, " in a sample of the %d pairs", t.SampledFrom)
	}
	if t.PositionBias.Defined() {
		fmt.Fprintf(w, "; position bias %+.2f in log-odds, the same slot won both orders in %.0f %% of questions", float64(t.PositionBias), 100*float64(t.SameSlotRate))
	}
	fmt.Fprintln(w)
	h := t.Human
	if h == nil {
		return
	}
	fmt.Fprintf(w, "against the chosen replies of the input: accuracy %s %s over %d pairs%s; %s\n", h.Accuracy, h.CI, h.N, sampleText(h), baselineText(h.Figures))
	switch {
	case *t.AtChance:
		fmt.Fprintln(w, "the judge cannot be told from chance on these pairs: do not rely on its labels")
	case float64(h.Accuracy) < 0.5:
		fmt.Fprintln(w, "the judge is worse than chance on these pairs: do not rely on its labels")
	case h.DeltaCI[0] <= 0:
		fmt.Fprintf(w, "the judge is above chance, but not surely better than %q\n", h.BestBaseline)
	}
}

// sampleText tells where figures are over some of the pairs only.
func sampleText(s *eval.Set) string {
	if s.SampledFrom == 0 {
		return ""
	}
	return fmt.Sprintf(" (prompts drawn by hash, of %d pairs)", s.SampledFrom)
}

// baselineText lists the accuracies of the null baselines.
func baselineText(f eval.Figures) string {
	var parts []string
	for _, name := range eval.Baselines() {
		parts = append(parts, fmt.Sprintf("%s wins %s", name, f.Baselines[name]))
	}
	if f.Author != nil {
		parts = append(parts, fmt.Sprintf("%s %s over %d", eval.AuthorBaseline, f.Author.Accuracy, f.Author.N))
	}
	if f.Words != nil {
		parts = append(parts, fmt.Sprintf("%s %s", eval.WordsBaseline, f.Words.Accuracy))
	}
	return strings.Join(parts, ", ")
}
