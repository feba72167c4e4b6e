package eval_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

var unit = eval.Interval{0, 1}

func cluster(i int) dataset.Hash { return dataset.HashOf("test", strconv.Itoa(i)) }

// With many prompts of one pair each, the percentile interval of a share is the
// normal approximation's: p ± 1.96·√(p(1−p)/n).
func TestBootstrapAgreesWithTheNormalApproximation(t *testing.T) {
	const n = 2500
	values, clusters := make([]float64, n), make([]dataset.Hash, n)
	for i := range values {
		clusters[i] = cluster(i)
		if i%5 > 0 {
			values[i] = 1
		}
	}
	ci := eval.BootstrapCI(values, clusters, unit, eval.Options{Seed: 1})
	half := 1.96 * math.Sqrt(0.8*0.2/n)
	if math.Abs(ci[0]-(0.8-half)) > 0.1*half || math.Abs(ci[1]-(0.8+half)) > 0.1*half {
		t.Errorf("%v, want about [%.4f, %.4f]", ci, 0.8-half, 0.8+half)
	}
}

// Ten copies of a pair say no more than one does.
func TestCopiesWithinAPromptDoNotNarrowTheInterval(t *testing.T) {
	var v1, v10 []float64
	var c1, c10 []dataset.Hash
	for i := range 40 {
		x := float64(i % 2)
		v1, c1 = append(v1, x), append(c1, cluster(i))
		for range 10 {
			v10, c10 = append(v10, x), append(c10, cluster(i))
		}
	}
	o := eval.Options{Seed: 3}
	one, ten := eval.BootstrapCI(v1, c1, unit, o), eval.BootstrapCI(v10, c10, unit, o)
	if one != ten {
		t.Errorf("%v of one pair a prompt, %v of ten copies", one, ten)
	}
}

func TestFewerThanTwoPromptsSayNothing(t *testing.T) {
	if got := eval.BootstrapCI(nil, nil, unit, eval.Options{}); got != unit {
		t.Errorf("no pairs: %v", got)
	}
	one := []dataset.Hash{cluster(1), cluster(1), cluster(1)}
	if got := eval.BootstrapCI([]float64{1, 1, 0}, one, unit, eval.Options{}); got != unit {
		t.Errorf("one prompt: %v", got)
	}
}

// The interval lies within the values, holds their mean, depends on the seed
// and not on the order.
func TestBootstrapProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			value   float64
			cluster int
		}
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item {
			return item{
				// Quarters add up exactly, so not even the last digit may differ.
				float64(rapid.IntRange(0, 4).Draw(t, "quarters")) / 4,
				rapid.IntRange(0, 12).Draw(t, "cluster"),
			}
		}), 1, 40).Draw(t, "items")
		o := eval.Options{Seed: rapid.Int64().Draw(t, "seed")}
		ci := func(items []item) eval.Interval {
			v, c := make([]float64, len(items)), make([]dataset.Hash, len(items))
			for i, x := range items {
				v[i], c[i] = x.value, cluster(x.cluster)
			}
			return eval.BootstrapCI(v, c, unit, o)
		}
		mean := 0.0
		for _, x := range items {
			mean += x.value / float64(len(items))
		}
		got := ci(items)
		if got[0] < 0 || got[1] > 1 || got[0] > mean+1e-12 || got[1] < mean-1e-12 {
			t.Fatalf("%v with mean %v", got, mean)
		}
		if again := ci(rapid.Permutation(items).Draw(t, "permuted")); again != got {
			t.Fatalf("%v, permuted %v", got, again)
		}
	})
}

func TestSeedsGiveDifferentResamples(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	values, clusters := make([]float64, 200), make([]dataset.Hash, 200)
	for i := range values {
		values[i], clusters[i] = r.Float64(), cluster(i)
	}
	a := eval.BootstrapCI(values, clusters, unit, eval.Options{Seed: 1})
	b := eval.BootstrapCI(values, clusters, unit, eval.Options{Seed: 2})
	if a == b {
		t.Errorf("seeds 1 and 2 both give %v", a)
	}
	if math.Abs(a[0]-b[0]) > 0.01 || math.Abs(a[1]-b[1]) > 0.01 {
		t.Errorf("%v and %v are too far apart for 2000 resamples", a, b)
	}
}

// Prompts are easy or hard, so their pairs succeed and fail together. The
// clustered interval holds the true share about 95 times in 100; one that
// takes pairs as independent is too narrow.
func TestIntervalsCoverNominally(t *testing.T) {
	const trials, few, prompts, truth = 160, 40, 40, 0.7
	r := rand.New(rand.NewPCG(11, 12))
	clustered, naive := 0, 0
	for trial := range trials {
		var values []float64
		var byPrompt, byPair []dataset.Hash
		for p := range prompts {
			rate := 0.95
			if r.IntN(2) == 0 {
				rate = 0.45
			}
			for range 1 + r.IntN(8) {
				x := 0.0
				if r.Float64() < rate {
					x = 1
				}
				values = append(values, x)
				byPrompt = append(byPrompt, cluster(p))
				byPair = append(byPair, cluster(1000+len(values)))
			}
		}
		o := eval.Options{Seed: int64(trial)}
		if eval.BootstrapCI(values, byPrompt, unit, o).Contains(truth) {
			clustered++
		}
		// A quarter tells the other from it, which covers far less.
		if trial < few && eval.BootstrapCI(values, byPair, unit, o).Contains(truth) {
			naive++
		}
	}
	t.Logf("coverage by prompt %d/%d, by pair %d/%d", clustered, trials, naive, few)
	if c := float64(clustered) / trials; c < 0.91 || c > 0.98 {
		t.Errorf("intervals by prompt cover %.3f", c)
	}
	if c := float64(naive) / few; c > 0.90 {
		t.Errorf("intervals by pair cover %.3f: the simulation has no clusters", c)
	}
}
