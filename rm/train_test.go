package rm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"cai/dataset"
	"cai/rm"
)

// The pairs of these tests are made of words that are good, bad or neither: the
// better reply has more good words and fewer bad ones.
var (
	goodWords = strings.Fields("kind clear honest patient thorough careful warm precise humble fair")
	badWords  = strings.Fields("rude vague false hasty sloppy reckless cold wrong smug biased")
	fillWords = strings.Fields("the a river stone tells of many paths where old birds sing and low winds turn under grey light")
)

func makeReply(r *rand.Rand, good, bad int) string {
	var w []string
	for range good {
		w = append(w, goodWords[r.IntN(len(goodWords))])
	}
	for range bad {
		w = append(w, badWords[r.IntN(len(badWords))])
	}
	for range 8 + r.IntN(12) {
		w = append(w, fillWords[r.IntN(len(fillWords))])
	}
	r.Shuffle(len(w), func(i, j int) { w[i], w[j] = w[j], w[i] })
	return strings.Join(w, " ") + "."
}

// makePairs makes n pairs over n/2 prompts, labelled with certainty.
func makePairs(seed uint64, n int) []*dataset.Pair {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]*dataset.Pair, n)
	for i := range out {
		p := &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprintf("Tell me story %d about birds.", i/2)),
			First:  dataset.Response{Text: makeReply(r, 3, 1)},
			Second: dataset.Response{Text: makeReply(r, 1, 3)},
			P:      1,
			Source: dataset.Source{File: "made.jsonl", Line: i + 1},
		}
		if r.IntN(2) == 0 {
			p = mirror(p)
		}
		out[i] = p
	}
	return out
}

func mirror(p *dataset.Pair) *dataset.Pair {
	q := *p
	q.First, q.Second, q.P = p.Second, p.First, 1-p.P
	return &q
}

func seq(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func score(t testing.TB, m *rm.Model, c dataset.Conversation, text string) rm.Score {
	t.Helper()
	s, err := m.Score(context.Background(), c, text)
	if err != nil {
		t.Error(err)
	}
	return s
}

func margin(t testing.TB, m *rm.Model, p *dataset.Pair) (z, first, second float64) {
	t.Helper()
	z, a, b, err := m.Margin(context.Background(), p)
	if err != nil {
		t.Error(err)
	}
	return z, a.Mean, b.Mean
}

func mustTrain(t testing.TB, pairs []*dataset.Pair, o rm.Options) (*rm.Model, *rm.Training) {
	t.Helper()
	if o.Dim == 0 {
		o.Dim = 1 << 14
	}
	m, tr, err := rm.Train(context.Background(), seq(pairs), o)
	if err != nil {
		t.Fatal(err)
	}
	return m, tr
}

// statistics skips a test whose point is a figure over many pairs where -short is
// set, as it is beside the race detector: smaller tests take the same paths.
func statistics(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a figure over many pairs")
	}
}

// few gives fewer pairs where -short is set.
func few(n, short int) int {
	if testing.Short() {
		return short
	}
	return n
}

func TestLearnsAndKeepsHoldoutApart(t *testing.T) {
	pairs := makePairs(1, 600)
	m, tr := mustTrain(t, pairs, rm.Options{Holdout: 0.2, Seed: 3})
	if tr.Pairs != 600 || tr.Train+tr.Validation+len(tr.Holdout) != 600 || tr.Validation == 0 {
		t.Fatalf("parts %d + %d + %d of %d", tr.Train, tr.Validation, len(tr.Holdout), tr.Pairs)
	}
	right := 0
	held := map[dataset.Hash]bool{}
	for _, s := range tr.Holdout {
		held[s.Pair.Prompt.Hash()] = true
		if (s.First.Mean > s.Second.Mean) == (s.Pair.P == 1) {
			right++
		}
		_, first, second, err := m.Margin(context.Background(), s.Pair)
		if err != nil {
			t.Fatal(err)
		}
		if first != s.First || second != s.Second {
			t.Fatalf("holdout scores %v, %v; the model gives %v, %v", s.First, s.Second, first, second)
		}
	}
	if acc := float64(right) / float64(len(tr.Holdout)); acc < 0.9 {
		t.Errorf("holdout accuracy %.2f on an easy task", acc)
	}
	// Every pair of a held prompt is in the holdout.
	n := 0
	for _, p := range pairs {
		if held[p.Prompt.Hash()] {
			n++
		}
	}
	if n != len(tr.Holdout) {
		t.Errorf("%d pairs of held prompts, %d of them in the holdout", n, len(tr.Holdout))
	}
	// What is held out has no say: other labels there, the same model.
	other := slices.Clone(pairs)
	for i, p := range other {
		if held[p.Prompt.Hash()] {
			q := *p
			q.P = 1 - p.P
			other[i] = &q
		}
	}
	m2, _ := mustTrain(t, other, rm.Options{Holdout: 0.2, Seed: 3})
	sameScores(t, m, m2, pairs)
}

func sameScores(t testing.TB, a, b *rm.Model, pairs []*dataset.Pair) {
	t.Helper()
	for _, p := range pairs {
		for _, text := range []string{p.First.Text, p.Second.Text, "unseen zyxgrp words\n\n- " + p.First.Text} {
			if x, y := score(t, a, p.Prompt, text), score(t, b, p.Prompt, text); x != y {
				t.Fatalf("scores %+v and %+v of %q", x, y, text)
			}
		}
	}
}

func TestSaveLoadBitIdentical(t *testing.T) {
	pairs := makePairs(2, 200)
	for _, features := range [][]string{{"hash"}, {"style"}, {"hash", "style"}} {
		m, _ := mustTrain(t, pairs, rm.Options{Features: features, Holdout: 0.1})
		m.Metadata.Judge = "qwen \"x\" <1>"
		m.Metadata.Metrics = []byte(`{"accuracy": 0.5}`)
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := rm.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		sameScores(t, m, got, pairs)
		if a, b := describe(t, m), describe(t, got); a != b {
			t.Errorf("metadata\n%s\nbecame\n%s", a, b)
		}
	}
}

func describe(t *testing.T, m *rm.Model) string {
	t.Helper()
	b, err := json.Marshal(m.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOrderAndOrientationDoNotCount(t *testing.T) {
	pairs := makePairs(3, 300)
	r := rand.New(rand.NewPCG(9, 9))
	for i, p := range pairs {
		q := *p
		q.P = r.Float64()
		pairs[i] = &q
	}
	o := rm.Options{Holdout: 0.1, Seed: 5}
	m, tr := mustTrain(t, pairs, o)
	other := make([]*dataset.Pair, len(pairs))
	for i, j := range r.Perm(len(pairs)) {
		other[i] = mirror(pairs[j])
	}
	other = append(other, other[:50]...) // said twice
	m2, tr2 := mustTrain(t, other, o)
	sameScores(t, m, m2, pairs)
	if tr.DataHash != tr2.DataHash || tr2.Skipped[rm.SkippedDuplicate] != 50 || tr2.Pairs != tr.Pairs {
		t.Errorf("data %s and %s, skipped %v", tr.DataHash, tr2.DataHash, tr2.Skipped)
	}
}

func TestSameModelOnAnyNumberOfProcessors(t *testing.T) {
	pairs := makePairs(4, few(1200, 300))
	o := rm.Options{Holdout: 0.1}
	m, _ := mustTrain(t, pairs, o)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m1, _ := mustTrain(t, pairs, o)
	sameScores(t, m, m1, pairs)
}

func TestMarginIsAntisymmetric(t *testing.T) {
	pairs := makePairs(5, 100)
	m, _ := mustTrain(t, pairs, rm.Options{})
	for _, p := range pairs {
		z, first, second := margin(t, m, p)
		back, f2, s2 := margin(t, m, mirror(p))
		if z != -back || first != s2 || second != f2 || z != first-second {
			t.Fatalf("margin %v (%v, %v), mirrored %v (%v, %v)", z, first, second, back, f2, s2)
		}
		if s := score(t, m, p.Prompt, p.First.Text); s.Mean != first || !(s.Std > 0) {
			t.Fatalf("score %+v, margin's %v", s, first)
		}
	}
}

func TestSkipsWhatTeachesNothing(t *testing.T) {
	pairs := makePairs(6, 40)
	same := *pairs[0]
	same.Second = same.First
	open := *pairs[1]
	open.Prompt = dataset.Prompt("Another?")
	open.P = math.NaN()
	_, tr := mustTrain(t, append(slices.Clone(pairs), &same, &open, mirror(pairs[2])), rm.Options{})
	if tr.Skipped[rm.SkippedIdentical] != 1 || tr.Skipped[rm.SkippedUnlabelled] != 1 || tr.Skipped[rm.SkippedDuplicate] != 1 || tr.Pairs != 40 {
		t.Errorf("skipped %v, pairs %d", tr.Skipped, tr.Pairs)
	}
}

func TestTrainErrors(t *testing.T) {
	pairs := makePairs(7, 400)
	_, _, err := rm.Train(context.Background(), seq(nil), rm.Options{})
	if !errors.Is(err, rm.ErrNoPairs) {
		t.Errorf("no pairs: %v", err)
	}
	bad := errors.New("x.jsonl:3: no reply")
	_, _, err = rm.Train(context.Background(), func(yield func(*dataset.Pair, error) bool) {
		for i, p := range pairs {
			if i == 200 {
				yield(nil, bad)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}, rm.Options{})
	if !errors.Is(err, bad) {
		t.Errorf("reading error became %v", err)
	}
	// Later there is a model to come back with.
	for stage := range map[string]bool{"features": true, "path": true} {
		ctx, cancel := context.WithCancel(context.Background())
		_, _, err = rm.Train(ctx, seq(pairs), rm.Options{Dim: 1 << 14, Progress: func(s string, _, _ int) {
			if s == stage {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in %s: %v", stage, err)
		}
		cancel()
	}
	for _, o := range []rm.Options{{Features: []string{"tea"}}, {Holdout: 1}, {Holdout: math.NaN()}, {Dim: 1000}, {L2: []float64{0}}, {L2: []float64{math.NaN()}}} {
		if _, _, err = rm.Train(context.Background(), seq(pairs), o); err == nil || errors.Is(err, rm.ErrNoPairs) {
			t.Errorf("options %+v: %v", o, err)
		}
	}
}

func TestFewPrompts(t *testing.T) {
	for prompts := 1; prompts <= 12; prompts++ {
		for seed := range int64(few(10, 2)) {
			pairs := makePairs(8, 2*prompts)
			_, tr := mustTrain(t, pairs, rm.Options{Holdout: 0.1, Seed: seed})
			if tr.Train == 0 || tr.Train+tr.Validation+len(tr.Holdout) != 2*prompts {
				t.Fatalf("%d prompts: parts %d, %d, %d", prompts, tr.Train, tr.Validation, len(tr.Holdout))
			}
			if prompts >= 3 && (tr.Validation == 0 || len(tr.Holdout) == 0) {
				t.Fatalf("%d prompts: parts %d, %d, %d", prompts, tr.Train, tr.Validation, len(tr.Holdout))
			}
			for _, s := range tr.Holdout {
				if s.Pair == nil || math.IsNaN(s.First.Mean) {
					t.Fatal("a holdout pair without text or score")
				}
			}
		}
	}
}

// Labels that say nothing make a model that says nothing.
func TestTiesAloneTeachNothing(t *testing.T) {
	pairs := makePairs(9, 60)
	for _, p := range pairs {
		p.P = 0.5
	}
	m, tr := mustTrain(t, pairs, rm.Options{Holdout: 0.1})
	if tr.Temperature < 0.99 || tr.Temperature > 1.01 {
		t.Errorf("temperature %v", tr.Temperature)
	}
	for _, p := range pairs {
		if z, _, _ := margin(t, m, p); z != 0 {
			t.Fatalf("margin %v", z)
		}
	}
}

// A label of 0.7 is learned as a probability of 0.7, not as a win.
func TestSoftLabelsAreProbabilities(t *testing.T) {
	statistics(t)
	pairs := makePairs(10, 2000)
	for _, p := range pairs {
		p.P = 0.3 + 0.4*p.P
	}
	m, _ := mustTrain(t, pairs, rm.Options{})
	mean := 0.0
	for _, p := range pairs {
		z, _, _ := margin(t, m, p)
		if p.P < 0.5 {
			z = -z
		}
		mean += 1 / (1 + math.Exp(-z)) / float64(len(pairs))
	}
	if math.Abs(mean-0.7) > 0.03 {
		t.Errorf("mean probability of the better reply %.3f, labelled 0.7", mean)
	}
}

// Contradicting duplicates, in either orientation, count as their mean.
func TestDuplicatesAreAveraged(t *testing.T) {
	pairs := makePairs(11, 200)
	var twice, tied []*dataset.Pair
	for _, p := range pairs {
		a, b, c := *p, *p, *p
		a.P, b.P, c.P = 1, 0.25, 0.625
		twice = append(twice, &a, mirror(&b))
		tied = append(tied, &c)
	}
	m1, t1 := mustTrain(t, twice, rm.Options{})
	m2, t2 := mustTrain(t, tied, rm.Options{})
	sameScores(t, m1, m2, pairs)
	if t1.DataHash != t2.DataHash || t1.Pairs != t2.Pairs {
		t.Errorf("data hashes %s, %s; pairs %d, %d", t1.DataHash, t2.DataHash, t1.Pairs, t2.Pairs)
	}
}

// The less of a reply the training has seen, the less sure the score.
func TestStdGrowsWithTheUnknown(t *testing.T) {
	pairs := makePairs(12, 800)
	m, _ := mustTrain(t, pairs, rm.Options{Features: []string{"hash"}})
	known := score(t, m, pairs[0].Prompt, "kind clear honest patient thorough careful warm precise humble fair")
	unknown := score(t, m, pairs[0].Prompt, "qwzx vbnm plokij uhbygv tfcrdx eszwaq mjunhy bgtvfr cdexsw zaqxsw")
	if !(unknown.Std > known.Std) {
		t.Errorf("std %v of known words, %v of unknown", known.Std, unknown.Std)
	}
}

func TestConcurrentScores(t *testing.T) {
	pairs := makePairs(13, 100)
	m, _ := mustTrain(t, pairs, rm.Options{})
	want := make([]rm.Score, len(pairs))
	for i, p := range pairs {
		want[i] = score(t, m, p.Prompt, p.First.Text)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, p := range pairs {
				if got := score(t, m, p.Prompt, p.First.Text); got != want[i] {
					t.Errorf("score %v, alone %v", got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkScore scores replies of 1,000 characters, none twice in a row.
func BenchmarkScore(b *testing.B) {
	pairs := makePairs(14, 400)
	for _, features := range []string{"hash", "style", "hash,style"} {
		b.Run(features, func(b *testing.B) {
			m, _ := mustTrain(b, pairs, rm.Options{Dim: rm.DefaultDim, Features: strings.Split(features, ",")})
			var replies []string
			for i := range 100 {
				var all strings.Builder
				for j := range 20 {
					all.WriteString(pairs[(i+j)%len(pairs)].First.Text + " ")
				}
				replies = append(replies, all.String()[:1000])
			}
			for i := 0; b.Loop(); i++ {
				score(b, m, pairs[i%len(pairs)].Prompt, replies[i%len(replies)])
			}
		})
	}
}
