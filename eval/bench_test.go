package eval_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"cai/dataset"
	"cai/eval"
)

// BenchmarkEvaluate is the whole of an evaluation but for the comparer, over
// pairs of different prompts, the case with the most clusters to resample.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{1_000, 20_000, 100_000} {
		r := rand.New(rand.NewPCG(1, 2))
		results := make([]eval.Result, n)
		for i := range results {
			results[i] = eval.Result{
				Pair: &dataset.Pair{
					Prompt: dataset.Prompt(fmt.Sprint(i)),
					First:  dataset.Response{Text: "a **bold** claim"},
					Second: dataset.Response{Text: "a plain claim, and a longer one"},
					P:      float64(r.IntN(2)),
				},
				Comparison: eval.Comparison{Margin: r.NormFloat64()},
			}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				eval.Evaluate("bench", results, eval.Options{})
			}
		})
	}
}
