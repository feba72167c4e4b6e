package rm_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cai/dataset"
	"cai/rm"
)

// votesOf are two principles on the pairs of these tests: one of the good words,
// one of the bad ones.
func votesOf(p *dataset.Pair) []float64 {
	count := func(text string, words []string) (n float64) {
		for _, w := range strings.Fields(strings.Trim(text, ".")) {
			if slices.Contains(words, strings.Trim(w, ".")) {
				n++
			}
		}
		return n
	}
	vote := func(d float64) float64 { return 1 / (1 + math.Exp(-d)) }
	return []float64{
		vote(count(p.First.Text, goodWords) - count(p.Second.Text, goodWords)),
		vote(count(p.Second.Text, badWords) - count(p.First.Text, badWords)),
	}
}

// forms are options for each form of a model.
func forms() map[string]rm.Options {
	votes := func(o rm.Options) rm.Options {
		o.Principles, o.Votes = []string{"good", "bad"}, votesOf
		return o
	}
	both := []string{rm.FeatureHash, rm.FeatureStyle}
	return map[string]rm.Options{
		"linear":         {},
		"chars":          {Features: []string{rm.FeatureChars}},
		"all features":   {Features: []string{rm.FeatureHash, rm.FeatureStyle, rm.FeatureChars}},
		"sources":        {Features: both, Sources: []rm.Source{letters{id: "1"}}},
		"source alone":   {Sources: []rm.Source{letters{id: "1"}}},
		"ensemble":       {Ensemble: 3},
		"mlp":            {Head: rm.HeadMLP},
		"mlp, sources":   {Head: rm.HeadMLP, Features: both, Sources: []rm.Source{letters{id: "1"}}},
		"mlp, ensemble":  {Head: rm.HeadMLP, Ensemble: 2},
		"stack":          {Head: rm.HeadStack, Features: both, Sources: []rm.Source{letters{id: "1"}}},
		"principles":     votes(rm.Options{Head: rm.HeadPrinciples}),
		"and the rest":   votes(rm.Options{Head: rm.HeadPrinciples, Rest: true}),
		"auto":           {Head: rm.HeadAuto},
		"auto of a list": votes(rm.Options{Head: rm.HeadAuto, Features: []string{rm.FeatureStyle, rm.FeatureHash}}),
	}
}

// formPairs are what [trained] trains its models of; few of them tell nothing of
// what was learned.
var formPairs = sync.OnceValue(func() []*dataset.Pair { return makePairs(5, few(400, 100)) })

type trainedForm struct {
	o  rm.Options
	m  *rm.Model
	tr *rm.Training
}

// trainings train each form once for all tests that look at models of it.
var trainings = sync.OnceValue(func() map[string]func() (trainedForm, error) {
	out := map[string]func() (trainedForm, error){}
	for name, o := range forms() {
		o.Dim, o.Holdout = 1<<14, 0.2
		if o.Head == rm.HeadAuto && testing.Short() {
			continue // it trains the others, which are here
		}
		out[name] = sync.OnceValues(func() (trainedForm, error) {
			m, tr, err := rm.Train(context.Background(), seq(formPairs()), o)
			if err == nil {
				err = m.Bind(o.Sources...)
			}
			return trainedForm{o, m, tr}, err
		})
	}
	return out
})

// trained gives the model of a form, with its options and what training says of it.
// It is shared: no test may change it.
func trained(t testing.TB, form string) trainedForm {
	t.Helper()
	f, err := trainings()[form]()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// letters is a source: shares of a few letters in prompt and reply, as an
// embedding might give them. It does not know replies that start with "?".
type letters struct {
	id string
}

func (l letters) Name() string      { return "embed:letters" }
func (l letters) ID() string        { return l.id }
func (l letters) Dims() (p, r int)  { return 32, 32 }
func (l letters) Columns() []string { return nil }

func (l letters) Vectors(_ context.Context, items []rm.Item) ([]rm.Vector, error) {
	of := func(text string) []float32 {
		v := make([]float32, 32)
		for _, w := range strings.Fields(text) {
			h := fnv.New32a()
			h.Write([]byte(strings.Trim(w, ".")))
			v[h.Sum32()%32]++
		}
		return v
	}
	out := make([]rm.Vector, len(items))
	for i, it := range items {
		if strings.HasPrefix(it.Reply, "?") {
			continue
		}
		prompt := ""
		if len(it.Prompt) > 0 {
			prompt = it.Prompt[0].Content
		}
		out[i] = rm.Vector{Prompt: of(prompt), Reply: of(it.Reply), Known: true}
	}
	return out, nil
}

func TestEveryFormLearnsAndIsKeptBitForBit(t *testing.T) {
	for name := range trainings() {
		t.Run(name, func(t *testing.T) {
			f := trained(t, name)
			m, tr := f.m, f.tr
			right := 0.0
			for _, s := range tr.Holdout {
				if (s.First.Mean > s.Second.Mean) == (s.Pair.P == 1) {
					right++
				}
			}
			if acc := right / float64(len(tr.Holdout)); acc < 0.8 && !testing.Short() {
				t.Errorf("accuracy %.3f on %d pairs of the holdout", acc, len(tr.Holdout))
			}
			if !(tr.Temperature > 0) || tr.Certainty == nil && !testing.Short() {
				t.Errorf("temperature %v, certainty %v", tr.Temperature, tr.Certainty)
			}
			file := filepath.Join(t.TempDir(), "m.safetensors")
			if err := m.Save(file); err != nil {
				t.Fatal(err)
			}
			back, err := rm.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := back.Bind(f.o.Sources...); err != nil {
				t.Fatal(err)
			}
			if got, want := back.Members(), m.Members(); !slices.Equal(got, want) {
				t.Errorf("members %v after loading, %v before", got, want)
			}
			for _, p := range formPairs()[:20] {
				for _, text := range []string{p.First.Text, "", "Ünbekannt 中文 words.", "? not known to the source"} {
					if x, y := score(t, m, p.Prompt, text), score(t, back, p.Prompt, text); x != y {
						t.Fatalf("score of %q is %v before saving, %v after", text, x, y)
					}
				}
				z, first, second := margin(t, m, p)
				if w, f, s := margin(t, m, mirror(p)); z != -w || f != second || s != first {
					t.Errorf("margin %v, of the mirrored pair %v", z, w)
				}
			}
		})
	}
}

func TestFormsDoNotHangOnProcessorsOrOrder(t *testing.T) {
	pairs := makePairs(6, few(100, 40))
	back := slices.Clone(pairs)
	slices.Reverse(back)
	for i := range back {
		if i%3 == 0 {
			back[i] = mirror(back[i])
		}
	}
	for _, name := range []string{"ensemble", "mlp", "mlp, ensemble", "stack", "principles"} {
		o := forms()[name]
		a, _ := mustTrain(t, pairs, o)
		old := runtime.GOMAXPROCS(1)
		b, _ := mustTrain(t, back, o)
		runtime.GOMAXPROCS(old)
		for _, p := range pairs[:5] {
			if x, y := score(t, a, p.Prompt, p.First.Text), score(t, b, p.Prompt, p.First.Text); x != y {
				t.Errorf("%s: %v and %v", name, x, y)
			}
		}
	}
}

func TestTableScoresAsTheModelDoes(t *testing.T) {
	pairs := makePairs(7, few(80, 40))
	for name, o := range forms() {
		if o.Head == rm.HeadAuto {
			continue // its model is of one of the others
		}
		o.Dim = 1 << 14
		table, err := rm.NewTable(context.Background(), seq(pairs), o)
		if err != nil {
			t.Fatal(err)
		}
		var train, test []int
		for i := range table.Len() {
			if i%4 == 0 {
				test = append(test, i)
			} else {
				train = append(train, i)
			}
		}
		m, _, err := table.Train(context.Background(), train, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := m.Bind(o.Sources...); err != nil {
			t.Fatal(err)
		}
		for i, z := range table.Margins(m, test) {
			if want, _, _ := margin(t, m, table.Pair(test[i])); math.Abs(z-want) > 1e-3 {
				t.Errorf("%s: pair %d: margin %v from the table, %v from the model", name, test[i], z, want)
			}
		}
	}
}

func TestEnsembleIsLessSureOfWhatIsOdd(t *testing.T) {
	pairs := makePairs(18, 400)
	m, _ := mustTrain(t, pairs, rm.Options{Ensemble: 8})
	one, _ := mustTrain(t, pairs, rm.Options{})
	if n := len(m.Members()); n != 8 {
		t.Fatalf("%d members", n)
	}
	var few, many float64
	for _, p := range pairs[:50] {
		few += score(t, m, p.Prompt, "the river turns.").Std
		many += score(t, m, p.Prompt, strings.Repeat("kind clear rude vague honest hasty ", 6)).Std
		a, b := score(t, m, p.Prompt, p.First.Text).Mean, score(t, one, p.Prompt, p.First.Text).Mean
		if a*b < 0 && math.Abs(b) > 1 {
			t.Errorf("the ensemble gives %v, a single model %v", a, b)
		}
	}
	if !(many > 0 && few > 0) {
		t.Errorf("deviations %v and %v", few, many)
	}
	if a, b := score(t, m, nil, "same"), score(t, m, nil, "same"); a != b {
		t.Errorf("one text has the scores %v and %v", a, b)
	}
}

func TestPrinciplesNeedVotes(t *testing.T) {
	pairs := makePairs(9, 100)
	nobody := func(*dataset.Pair) []float64 { return nil }
	_, _, err := rm.Train(context.Background(), seq(pairs), rm.Options{
		Head: rm.HeadPrinciples, Principles: []string{"good"}, Votes: nobody,
	})
	if err == nil || !strings.Contains(err.Error(), "good") {
		t.Errorf("no votes: %v", err)
	}
	m, _ := mustTrain(t, pairs, forms()["principles"])
	if got := m.Members(); !slices.Equal(got, []string{"good", "bad"}) {
		t.Errorf("members %v", got)
	}
	m, _ = mustTrain(t, pairs, forms()["and the rest"])
	if got := m.Members(); !slices.Equal(got, []string{"good", "bad", rm.RestHead}) {
		t.Errorf("members %v", got)
	}
	// Votes for a part of the pairs are enough.
	part := forms()["principles"]
	part.Votes = func(p *dataset.Pair) []float64 {
		if p.Source.Line%2 == 0 {
			return []float64{votesOf(p)[0], math.NaN()}
		}
		return votesOf(p)
	}
	mustTrain(t, pairs, part)
}

func TestAutoSaysWhatItTried(t *testing.T) {
	statistics(t)
	tr := trained(t, "auto of a list").tr
	var heads []string
	for _, c := range tr.Tried {
		heads = append(heads, c.Head)
		if c.Error != "" || !(c.LogLoss > 0) || !(c.Accuracy > 0.5) {
			t.Errorf("tried %+v", c)
		}
	}
	if !slices.Equal(heads, []string{rm.HeadLinear, rm.HeadMLP, rm.HeadStack, rm.HeadPrinciples}) {
		t.Errorf("tried %v", heads)
	}
	o := forms()["auto"]
	o.Budget = time.Nanosecond
	m, tr := mustTrain(t, makePairs(10, 100), o)
	if len(tr.Tried) != 3 || tr.Tried[0].Error != "" || tr.Tried[1].Error == "" || m.Metadata.Head != rm.HeadLinear {
		t.Errorf("without time: %s of %+v", m.Metadata.Head, tr.Tried)
	}
}

func TestSourcesAreThoseOfTheTraining(t *testing.T) {
	pairs := makePairs(11, 100)
	m, _ := mustTrain(t, pairs, rm.Options{Sources: []rm.Source{letters{id: "1"}}})
	file := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(file); err != nil {
		t.Fatal(err)
	}
	m, err := rm.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Sources(); !slices.Equal(got, []string{"embed:letters"}) {
		t.Errorf("sources %v", got)
	}
	if _, err := m.Score(context.Background(), pairs[0].Prompt, "words"); !errors.Is(err, rm.ErrUnbound) {
		t.Errorf("unbound: %v", err)
	}
	if err := m.Bind(); err == nil || !strings.Contains(err.Error(), "embed:letters") {
		t.Errorf("no source: %v", err)
	}
	if err := m.Bind(letters{id: "2"}); err == nil || !strings.Contains(err.Error(), "trained with 1") {
		t.Errorf("another source: %v", err)
	}
	if err := m.Bind(letters{id: "1"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []rm.Source{short{}, failing{}} {
		_, _, err := rm.Train(context.Background(), seq(pairs), rm.Options{Sources: []rm.Source{bad}})
		if err == nil || !strings.Contains(err.Error(), "embed:bad") {
			t.Errorf("%T: %v", bad, err)
		}
	}
}

// short is a source that gives too few numbers, failing one that gives none.
type (
	short   struct{ letters }
	failing struct{ letters }
)

func (short) Name() string   { return "embed:bad" }
func (failing) Name() string { return "embed:bad" }

func (short) Vectors(_ context.Context, items []rm.Item) ([]rm.Vector, error) {
	out := make([]rm.Vector, len(items))
	for i := range out {
		out[i] = rm.Vector{Prompt: make([]float32, 32), Reply: make([]float32, 31), Known: true}
	}
	return out, nil
}

func (failing) Vectors(context.Context, []rm.Item) ([]rm.Vector, error) {
	return nil, fmt.Errorf("embed:bad is away")
}

func TestHeadOptionsAreChecked(t *testing.T) {
	pairs := makePairs(12, 20)
	for want, o := range map[string]rm.Options{
		"head":       {Head: "tree"},
		"ensemble":   {Ensemble: rm.MaxEnsemble + 1},
		"resamples":  {Ensemble: 2, Head: rm.HeadStack},
		"debias":     {Debias: []string{rm.DebiasLength}, Head: rm.HeadMLP},
		"principles": {Head: rm.HeadPrinciples},
		"twice":      {Sources: []rm.Source{letters{}, letters{}}},
	} {
		if want == "resamples" {
			want = "ensemble"
		}
		if _, _, err := rm.Train(context.Background(), seq(pairs), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestStoppedTrainingKeepsWhatThereIs(t *testing.T) {
	pairs := makePairs(13, 300)
	for stage, o := range map[string]rm.Options{
		"refit": {}, "ensemble": {Ensemble: 4}, "network": {Head: rm.HeadMLP}, "stack": {Head: rm.HeadStack}, "auto: mlp": {Head: rm.HeadAuto},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		o.Dim, o.Holdout = 1<<14, 0.1
		o.Progress = func(s string, _, _ int) {
			if s == stage {
				if n++; n == 20 || stage != "network" {
					cancel()
				}
			}
		}
		m, tr, err := rm.Train(ctx, seq(pairs), o)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", stage, err)
			continue
		}
		if !tr.Interrupted || len(tr.Holdout) == 0 || len(m.Members()) != 1 {
			t.Errorf("%s: interrupted %v, %d in the holdout, members %v", stage, tr.Interrupted, len(tr.Holdout), m.Members())
		}
		if z, _, _ := margin(t, m, pairs[0]); math.IsNaN(z) {
			t.Errorf("%s: margin %v", stage, z)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := rm.Train(ctx, seq(pairs), rm.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped before there is anything: %v", err)
	}
}
