package eval_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// Shares give what the figures over all values at once give.
func TestSharesAreBootstrapCIAsPairsCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "pairs")
		s := eval.NewShares(2)
		var values []float64
		var clusters []dataset.Hash
		for i := range n {
			v := rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "value")
			c := dataset.HashOf("prompt", fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "prompt")))
			values, clusters = append(values, v), append(clusters, c)
			s.Add(c, 1, v)
			if i%2 == 0 {
				s.Add(c, 0, 1-v)
			}
		}
		got, ci, count := s.Share(1, eval.Options{})
		want := eval.BootstrapCI(values, clusters, eval.Interval{0, 1}, eval.Options{})
		if count != n || n > 0 && ci != want || n == 0 && got.Defined() {
			t.Fatalf("%v %v over %d, want %v over %d", got, ci, count, want, n)
		}
		var sum float64
		for _, v := range values {
			sum += v
		}
		if n > 0 && (math.Abs(float64(got)-sum/float64(n)) > 1e-12 || s.Mean(1) != got) {
			t.Fatalf("share %v, mean %v, want %v", got, s.Mean(1), sum/float64(n))
		}
	})
}

// With more prompts than are kept apart, shares are still exact, the order does
// not matter and the interval is near that of separate prompts.
func TestSharesOfManyPromptsKeepTheirIntervals(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const n = 10_000
	forth, back := eval.NewShares(1), eval.NewShares(1)
	values, clusters := make([]float64, n), make([]dataset.Hash, n)
	var sum float64
	for i := range n {
		clusters[i] = dataset.HashOf("prompt", fmt.Sprint(i/2))
		if rnd.Float64() < 0.7 {
			values[i] = 1
		}
		sum += values[i]
	}
	for i := range n {
		forth.Add(clusters[i], 0, values[i])
		back.Add(clusters[n-1-i], 0, values[n-1-i])
	}
	got, ci, count := forth.Share(0, eval.Options{})
	again, ci2, _ := back.Share(0, eval.Options{})
	if float64(got) != sum/n || count != n || got != again || ci != ci2 {
		t.Errorf("share %v of %d %v, from behind %v %v, want %v", got, count, ci, again, ci2, sum/n)
	}
	want := eval.BootstrapCI(values, clusters, eval.Interval{0, 1}, eval.Options{})
	width := want[1] - want[0]
	if d := (ci[1] - ci[0]) / width; d < 0.9 || d > 1.1 {
		t.Errorf("interval %v of clusters by hash, %v of prompts", ci, want)
	}
}

func TestCorrectScoresAsAccuracyDoes(t *testing.T) {
	for _, tt := range []struct{ margin, label, want float64 }{
		{2, 1, 1}, {-2, 0.2, 1}, {2, 0, 0}, {0, 1, 0.5}, {2, 0.5, math.NaN()}, {2, math.NaN(), math.NaN()}, {math.NaN(), 1, math.NaN()},
	} {
		if got := eval.Correct(tt.margin, tt.label); got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("margin %v, label %v: %v, want %v", tt.margin, tt.label, got, tt.want)
		}
	}
}
