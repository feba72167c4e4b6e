package eval_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"

	"cai/dataset"
	"cai/eval"
)

// copied gives pairs with several to a prompt, and the same with prompts that differ
// by case, white space or Unicode form.
func copied(n int, seed uint64) (same, copies []*dataset.Pair) {
	changes := []func(string) string{
		strings.ToUpper, strings.ToLower, norm.NFD.String, width.Widen.String, strings.ToTitle,
		func(s string) string { return "\n" + strings.ReplaceAll(s, " ", "\u00a0 ") },
		func(s string) string { return s },
	}
	r := rand.New(rand.NewPCG(seed, 1))
	word := func() string { return fmt.Sprint("w", r.IntN(60)) }
	for i := range n {
		text := fmt.Sprintf("Wie heißt Straße %d in İzmir, né?", i/4)
		p := &dataset.Pair{
			Prompt: dataset.Prompt(text), P: float64(r.IntN(2)),
			First:  dataset.Response{Text: fmt.Sprint(i, word(), word(), word()), Author: word()[:2]},
			Second: dataset.Response{Text: fmt.Sprint(i, word(), word()), Author: word()[:2]},
			Source: dataset.Source{File: "f", Line: i + 1},
		}
		q := *p
		q.Prompt = dataset.Prompt(changes[r.IntN(len(changes))](text))
		same, copies = append(same, p), append(copies, &q)
	}
	return same, copies
}

// Copies of a prompt count as one wherever figures are clustered or cross-fitted by
// prompt: all figures are those of prompts that are the same byte for byte.
func TestCopiesAreOnePrompt(t *testing.T) {
	same, copies := copied(240, 5)
	figures := func(pairs []*dataset.Pair) map[string]any {
		out := map[string]any{}
		keep := func(name string, v any, err error) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out[name] = string(b)
		}
		longer, err := eval.Baseline("longer")
		if err != nil {
			t.Fatal(err)
		}
		set, err := eval.Run(t.Context(), "x", sequence(pairs), longer, eval.Options{WordPairs: 1000, Bins: true})
		if set.Prompts != 60 {
			t.Errorf("%d prompts, not 60", set.Prompts)
		}
		keep("Run", set, err)
		set, err = eval.Run(t.Context(), "x", sequence(pairs), longer, eval.Options{Sample: 100})
		keep("Run of a sample", set, err)
		words, _, err := eval.BagOfWords(sequence(pairs))
		set, err2 := eval.Run(t.Context(), "x", sequence(pairs), words, eval.Options{})
		keep("BagOfWords", set, err)
		keep("BagOfWords", set, err2)
		authors, _, err := eval.Authors(sequence(pairs), nil)
		set, err2 = eval.Run(t.Context(), "x", sequence(pairs), authors, eval.Options{})
		keep("Authors", set, err)
		keep("Authors", set, err2)
		var trials []eval.Trial
		for i, p := range pairs {
			trials = append(trials, eval.Trial{Pair: p, Z: float64(i%7) - 3})
		}
		keep("Calibrate", eval.Calibrate("j", trials, eval.Options{}), nil)
		return out
	}
	want, got := figures(same), figures(copies)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: of copies\n%s\nof the same prompts\n%s", name, got[name], want[name])
		}
	}
}

// A copy of a training prompt is found in the training data.
func TestCopiesAreFoundAgain(t *testing.T) {
	same, copies := copied(80, 6)
	d := &eval.Duplicates{}
	for _, p := range copies {
		d.Add(p)
	}
	if err := eval.FindDuplicates(t.Context(), sequence(same), []*eval.Duplicates{d}, nil); err != nil {
		t.Fatal(err)
	}
	if s := d.Prompts(); s.N != 20 || s.Exact != 20 {
		t.Errorf("of 20 prompts %+v", s)
	}
}
