package eval_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cai/dataset"
	"cai/eval"
)

// longerFirst answers by length alone, so that its figures are known.
type longerFirst struct{}

func (longerFirst) Compare(_ context.Context, p *dataset.Pair) (eval.Comparison, error) {
	return eval.Comparison{Margin: float64(len(p.First.Text) - len(p.Second.Text))}, nil
}

// A sample is of whole prompts, keeps within its bound, does not depend on the
// order of the pairs, and a bound that is not reached changes nothing.
func TestASampleIsOfWholePrompts(t *testing.T) {
	var pairs []*dataset.Pair
	for i := range 3000 {
		p := &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprintf("prompt %d", i/3)),
			First:  dataset.Response{Text: fmt.Sprint(i)}, Second: dataset.Response{Text: fmt.Sprint(i * i)},
			P: float64(i % 2),
		}
		pairs = append(pairs, p)
	}
	run := func(ps []*dataset.Pair, sample int) eval.Set {
		t.Helper()
		var seq iter.Seq2[*dataset.Pair, error] = func(yield func(*dataset.Pair, error) bool) {
			for _, p := range ps {
				if !yield(p, nil) {
					return
				}
			}
		}
		s, err := eval.Run(t.Context(), "s", seq, longerFirst{}, eval.Options{Sample: sample})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all, kept := run(pairs, 0), run(pairs, 500)
	if kept.N > 500 || kept.N < 200 || kept.N != 3*kept.Prompts || kept.SampledFrom != 3000 || all.SampledFrom != 0 {
		t.Errorf("kept %d pairs of %d prompts, of %d", kept.N, kept.Prompts, kept.SampledFrom)
	}
	if math.Abs(float64(kept.Accuracy-all.Accuracy)) > 0.1 {
		t.Errorf("accuracy %v of the sample, %v of all", kept.Accuracy, all.Accuracy)
	}
	back := slices.Clone(pairs)
	slices.Reverse(back)
	if d := cmp.Diff(kept, run(back, 500)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(all, run(pairs, 3000)); d != "" {
		t.Error(d)
	}
}
