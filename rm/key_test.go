package rm

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// copies are what becomes of a prompt on its way through other people's files.
var copies = []func(string) string{
	strings.ToUpper, strings.ToLower, norm.NFD.String, norm.NFC.String, width.Widen.String,
	func(s string) string { return "\t" + strings.ReplaceAll(s, " ", " \n ") + "\u00a0" },
	func(s string) string { return strings.ReplaceAll(s, "e", "\u200be") },
	func(s string) string { return s },
}

func each(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Copies of a prompt that differ by case, white space or Unicode form fall into one
// part of the split, one fold, and one resample of an ensemble.
func TestCopiesOfAPromptStayTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := []string{"Why", "IS", "café", "straße", "İstanbul", "Σίσυφος", "ガラス", "blue?", "ﬁve", "Việt"}
		var pairs []*dataset.Pair
		question := map[string]string{} // by first reply
		for i := range rapid.IntRange(3, 30).Draw(t, "prompts") {
			text := fmt.Sprint(strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 5).Draw(t, "words"), " "), " ", i)
			for k := range rapid.IntRange(1, 4).Draw(t, "copies") {
				first := fmt.Sprintf("yes %d %d", i, k)
				question[first] = text
				pairs = append(pairs, &dataset.Pair{
					Prompt: dataset.Prompt(rapid.SampledFrom(copies).Draw(t, "copy")(text)),
					First:  dataset.Response{Text: first}, Second: dataset.Response{Text: fmt.Sprint("no ", i, k)}, P: 1,
				})
			}
		}
		share, seed := rapid.Float64Range(0, 0.8).Draw(t, "share"), rapid.Int64().Draw(t, "seed")
		rows, _, err := collect(t.Context(), each(pairs), spec{}, Options{Holdout: share, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			rows[i].by = question[max(rows[i].pair.First.Text, rows[i].pair.Second.Text)]
		}
		train, validation := split(rows, share)
		sides := map[string][3]int{}
		for i := range rows {
			part := 0
			for _, end := range []int{train, train + validation} {
				if i >= end {
					part++
				}
			}
			r := &rows[i]
			side := [3]int{part, r.fold(seed), poisson(place(r.prompt, memberSeed(seed, 1)))}
			if before, ok := sides[r.by]; ok && before != side {
				t.Fatalf("copies of %q are in part, fold, resample %v and %v", r.by, before, side)
			}
			sides[r.by] = side
		}
	})
}

// memorable are pairs of prompts with a coin for a label, in four copies each: what
// can be learned of them is the copies.
func memorable(prompts int) (pairs []*dataset.Pair) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(i int, side string) dataset.Response {
		return dataset.Response{Text: fmt.Sprintf("%s%d w%d x%d", side, i, r.IntN(40), r.IntN(40))}
	}
	for i := range prompts {
		first, second, p := text(i, "a"), text(i, "b"), float64(r.IntN(2))
		for _, change := range copies[:4] {
			pairs = append(pairs, &dataset.Pair{Prompt: dataset.Prompt(change(fmt.Sprintf("Où est le café n° %d?", i))), First: first, Second: second, P: p})
		}
	}
	return pairs
}

// A model that has seen a copy of each prompt of the holdout is right on it whatever
// there is to learn; one that has not is right by chance.
func TestTheHoldoutHasNoCopies(t *testing.T) {
	pairs := memorable(250)
	right := func(tr *Training) float64 {
		n := 0.0
		for _, s := range tr.Holdout {
			n += eval.Correct(s.First.Mean-s.Second.Mean, s.Pair.P)
		}
		return n / float64(len(tr.Holdout))
	}
	_, tr, err := Train(t.Context(), each(pairs), Options{Holdout: 0.3, Features: []string{FeatureHash}, L2: []float64{0.1}})
	if err != nil {
		t.Fatal(err)
	}
	if x := right(tr); x < 0.3 || x > 0.7 {
		t.Errorf("accuracy %v on a holdout of %d pairs whose labels are coins", x, len(tr.Holdout))
	}
	if n := tr.Train + tr.Validation + len(tr.Holdout); n != len(pairs) {
		t.Errorf("%d of %d pairs are in a part", n, len(pairs))
	}
	// As earlier builds split: told apart byte by byte.
	_, tr, err = Train(t.Context(), each(pairs), Options{Holdout: 0.3, Features: []string{FeatureHash}, L2: []float64{0.1}, key: dataset.Conversation.Hash})
	if err != nil {
		t.Fatal(err)
	}
	if x := right(tr); x < 0.9 {
		t.Errorf("accuracy %v where copies are in both parts: the data of this test have nothing to remember", x)
	}
}

// The replies that a profile is made of know copies of a prompt for one.
func TestProfilesTakeCopiesForOnePrompt(t *testing.T) {
	pairs := memorable(20)
	_, prompts := profileItems(pairs)
	slices.SortFunc(prompts, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	if n := len(slices.Compact(prompts)); n != 20 {
		t.Errorf("%d prompts of 20", n)
	}
	k := &keeper{}
	for _, p := range pairs {
		k.offer(p)
	}
	at := map[float64]bool{}
	for _, p := range k.kept {
		at[p.at] = true
	}
	if len(at) != 20 {
		t.Errorf("%d places of 20 prompts", len(at))
	}
}
