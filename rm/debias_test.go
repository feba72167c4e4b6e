package rm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"cai/dataset"
	"cai/rm"
)

// longPairs are pairs whose better reply has more good words and is the longer
// one in nine of ten.
func longPairs(n int) []*dataset.Pair {
	r := rand.New(rand.NewPCG(21, 1))
	out := make([]*dataset.Pair, n)
	for i := range out {
		good, bad := makeReply(r, 2, 1), makeReply(r, 1, 2)
		pad := strings.Repeat(" and so the river goes", 1+r.IntN(8))
		if r.IntN(10) > 0 {
			good += pad
		} else {
			bad += pad
		}
		p := &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprintf("Tell me story %d about birds.", i)),
			First:  dataset.Response{Text: good}, Second: dataset.Response{Text: bad}, P: 1,
		}
		if r.IntN(2) == 0 {
			p = mirror(p)
		}
		out[i] = p
	}
	return out
}

// byLength gives the accuracies of a training's holdout where the longer and
// where the shorter reply is the better one.
func byLength(tr *rm.Training) (longer, shorter float64) {
	var right, n [2]float64
	for _, s := range tr.Holdout {
		k := 0
		if (len(s.Pair.First.Text) > len(s.Pair.Second.Text)) != (s.Pair.P == 1) {
			k = 1
		}
		n[k]++
		if (s.First.Mean > s.Second.Mean) == (s.Pair.P == 1) {
			right[k]++
		}
	}
	return right[0] / n[0], right[1] / n[1]
}

func TestDebiasedModelDoesNotJudgeByLength(t *testing.T) {
	statistics(t)
	pairs := longPairs(1500)
	_, plain := mustTrain(t, pairs, rm.Options{Holdout: 0.3})
	_, fair := mustTrain(t, pairs, rm.Options{Holdout: 0.3, Debias: []string{rm.DebiasLength}})
	l0, s0 := byLength(plain)
	l1, s1 := byLength(fair)
	if s0 > 0.6 || l0 < 0.9 {
		t.Errorf("without debiasing %.2f where the longer is better, %.2f where the shorter is: the pairs tempt nobody", l0, s0)
	}
	if s1 < 0.65 || l1 < 0.65 || math.Abs(l1-s1) > 0.25 {
		t.Errorf("debiased: %.2f where the longer is better, %.2f where the shorter is", l1, s1)
	}
	if len(fair.Debias) == 0 || len(plain.Debias) != 0 {
		t.Errorf("points tried: %v, without debiasing %v", fair.Debias, plain.Debias)
	}
	// A looser target leaves more of the correlation.
	_, some := mustTrain(t, pairs, rm.Options{Holdout: 0.3, Debias: []string{rm.DebiasLength}, LengthCorrelation: 0.4})
	if some.DebiasStrength > fair.DebiasStrength {
		t.Errorf("strength %v for a correlation of 0.4, %v for none", some.DebiasStrength, fair.DebiasStrength)
	}
}

func TestDebiasOptions(t *testing.T) {
	for _, o := range []rm.Options{
		{Debias: []string{"tea"}},
		{Debias: []string{rm.DebiasLength}, Features: []string{"hash"}},
		{LengthCorrelation: -1},
		{LengthCorrelation: math.NaN()},
	} {
		if _, _, err := rm.Train(t.Context(), seq(makePairs(1, 20)), o); err == nil {
			t.Errorf("options %+v: no error", o)
		}
	}
}

// What is good hangs on the kind of prompt: the expectation must find the kinds
// by what replies to them look like.
func TestExpectationFindsKindsOfPrompts(t *testing.T) {
	statistics(t)
	r := rand.New(rand.NewPCG(22, 1))
	var pairs []*dataset.Pair
	for i := range 1200 {
		prompt, opening := fmt.Sprintf("Write code number %d, please.", i), "```\nx := 1\n```\n\n- a\n- b\n\n"
		if i%2 == 0 {
			prompt, opening = fmt.Sprintf("Number %d: should I worry?", i), "I'm sorry, but I can't say. "
		}
		p := &dataset.Pair{
			Prompt: dataset.Prompt(prompt),
			First:  dataset.Response{Text: opening + makeReply(r, 3, 1)},
			Second: dataset.Response{Text: opening + makeReply(r, 1, 3)},
			P:      float64(i % 2),
		}
		pairs = append(pairs, p)
	}
	_, tr := mustTrain(t, pairs, rm.Options{Holdout: 0.3})
	right := 0
	for _, s := range tr.Holdout {
		if (s.First.Mean > s.Second.Mean) == (s.Pair.P == 1) {
			right++
		}
	}
	if acc := float64(right) / float64(len(tr.Holdout)); acc < 0.8 {
		t.Errorf("holdout accuracy %.2f: the same words are good for one kind of prompt and bad for the other", acc)
	}
}

func TestTableTrainsAsTrainDoes(t *testing.T) {
	pairs := makePairs(23, 300)
	o := rm.Options{Dim: 1 << 14, Seed: 4}
	table, err := rm.NewTable(t.Context(), seq(pairs), o)
	if err != nil {
		t.Fatal(err)
	}
	every := make([]int, table.Len())
	for i := range every {
		every[i] = i
	}
	want, _ := mustTrain(t, pairs, o)
	for range 2 { // training leaves the table as it was
		got, tr, err := table.Train(t.Context(), every, rm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if tr.Pairs != len(pairs) {
			t.Errorf("%d pairs", tr.Pairs)
		}
		sameScores(t, want, got, pairs)
		for i, z := range table.Margins(got, every) {
			if m, _, _ := margin(t, got, table.Pair(i)); math.Abs(m-z) > 1e-4 {
				t.Fatalf("pair %d: margin %v, from the table %v", i, m, z)
			}
		}
	}
}
