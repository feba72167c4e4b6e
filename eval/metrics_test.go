package eval_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"cai/eval"
)

var (
	nan = math.NaN()
	inf = math.Inf(1)
)

// near compares to within rounding; NaN is near NaN.
func near(a, b float64) bool {
	return math.Abs(a-b) < 1e-12 || math.IsNaN(a) && math.IsNaN(b)
}

func TestLosses(t *testing.T) {
	ln3 := math.Log(3) // the log-odds of 3/4
	for _, c := range []struct {
		name                     string
		margins, labels          []float64
		accuracy, logLoss, brier float64
	}{
		{"right", []float64{ln3}, []float64{1}, 1, 0.2876820724517809, 0.0625},
		{"wrong", []float64{ln3}, []float64{0}, 0, 1.3862943611198906, 0.5625},
		{"right for the second", []float64{-ln3}, []float64{0}, 1, 0.2876820724517809, 0.0625},
		{"tie of the comparer", []float64{0}, []float64{1}, 0.5, 0.6931471805599453, 0.25},
		{"soft label, met", []float64{ln3}, []float64{0.75}, 1, 0.5623351446188083, 0},
		{"soft label, certain", []float64{0}, []float64{0.75}, 0.5, 0.6931471805599453, 0.0625},
		{"mean of two", []float64{ln3, ln3}, []float64{1, 0}, 0.5, 0.8369882167858358, 0.3125},
		{"tied and missing labels do not count", []float64{ln3, 5, 5}, []float64{1, 0.5, nan}, 1, 0.2876820724517809, 0.0625},
		{"certain and right", []float64{inf}, []float64{1}, 1, 0x1p-52, 0},
		{"certain and wrong costs 52 bits", []float64{-inf}, []float64{1}, 0, 36.04365338911715, 1},
		{"nothing", nil, nil, nan, nan, nan},
		{"no answer", []float64{nan}, []float64{1}, nan, nan, nan},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := eval.Accuracy(c.margins, c.labels); !near(got, c.accuracy) {
				t.Errorf("accuracy %v, want %v", got, c.accuracy)
			}
			if got := eval.LogLoss(c.margins, c.labels); !near(got, c.logLoss) {
				t.Errorf("log loss %v, want %v", got, c.logLoss)
			}
			if got := eval.Brier(c.margins, c.labels); !near(got, c.brier) {
				t.Errorf("Brier score %v, want %v", got, c.brier)
			}
		})
	}
}

func TestECE(t *testing.T) {
	for _, c := range []struct {
		name       string
		conf, corr []float64
		bins       int
		want       float64
	}{
		// Bins {.6 .7} and {.8 .9}: |1.3 − 1| and |1.7 − 2|, over 4.
		{"two bins", []float64{0.9, 0.6, 0.8, 0.7}, []float64{1, 1, 1, 0}, 2, 0.15},
		{"one bin", []float64{0.9, 0.6, 0.8, 0.7}, []float64{1, 1, 1, 0}, 1, 0},
		// Five in two bins: the first two, then three: |1.1 − 0| and |2.4 − 3|.
		{"bins of unequal size", []float64{0.5, 0.6, 0.7, 0.8, 0.9}, []float64{0, 0, 1, 1, 1}, 2, 0.34},
		// Equal confidences: 3/4 correct at 0.8, wherever the cut falls.
		{"equal confidences share", []float64{0.8, 0.8, 0.8, 0.8}, []float64{0, 1, 1, 1}, 2, 0.05},
		{"a tie over a cut", []float64{0.5, 0.8, 0.8, 1}, []float64{0.5, 1, 0, 1}, 2, 0.15},
		{"fewer than bins", []float64{0.6, 1}, []float64{1, 1}, 15, 0.2},
		{"perfect", []float64{1, 1, 1}, []float64{1, 1, 1}, 15, 0},
		{"always wrong", []float64{1, 1, 1}, []float64{0, 0, 0}, 15, 1},
		{"a coin's half", []float64{0.5, 0.5}, []float64{0.5, 0.5}, 15, 0},
		{"nothing", nil, nil, 15, nan},
		{"NaN", []float64{0.5, nan}, []float64{1, 1}, 15, nan},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := eval.ECE(c.conf, c.corr, c.bins); !near(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// The figure lies in [0, 1], does not depend on the order of predictions, and
// is at least the gap of the overall means, which one bin gives.
func TestECEProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type pred struct{ conf, corr float64 }
		preds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pred {
			return pred{
				rapid.OneOf(rapid.SampledFrom([]float64{0.5, 0.75, 1}), rapid.Float64Range(0.5, 1)).Draw(t, "conf"),
				rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "corr"),
			}
		}), 1, 60).Draw(t, "predictions")
		ece := func(ps []pred, bins int) float64 {
			conf, corr := make([]float64, len(ps)), make([]float64, len(ps))
			for i, p := range ps {
				conf[i], corr[i] = p.conf, p.corr
			}
			return eval.ECE(conf, corr, bins)
		}
		got := ece(preds, eval.ECEBins)
		if !(got >= 0 && got <= 1) {
			t.Fatalf("%v is not in [0, 1]", got)
		}
		if one := ece(preds, 1); got < one-1e-12 {
			t.Fatalf("%v in %d bins, %v in one", got, eval.ECEBins, one)
		}
		if again := ece(rapid.Permutation(preds).Draw(t, "permuted"), eval.ECEBins); again != got {
			t.Fatalf("%v, permuted %v", got, again)
		}
	})
}

func TestSpearman(t *testing.T) {
	for _, c := range []struct {
		name string
		x, y []float64
		want float64
	}{
		// The textbook's ten people, intelligence and hours of television.
		{
			"textbook",
			[]float64{106, 100, 86, 101, 99, 103, 97, 113, 112, 110},
			[]float64{7, 27, 2, 50, 28, 29, 20, 12, 6, 17},
			-29.0 / 165,
		},
		// Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5/√(4.5·5).
		{"ties", []float64{1, 2, 2, 3}, []float64{1, 2, 3, 4}, 0.9486832980505138},
		// Ranks 1.5 1.5 3 against 1 2.5 2.5: 0.75/1.5.
		{"ties in both", []float64{1, 1, 2}, []float64{1, 2, 2}, 0.5},
		{"monotone, not linear", []float64{1, 2, 3}, []float64{1, 10, 1000}, 1},
		{"reversed", []float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{"infinite is only large", []float64{-inf, 0, inf}, []float64{1, 2, 3}, 1},
		{"constant", []float64{1, 1, 1}, []float64{1, 2, 3}, nan},
		{"one", []float64{1}, []float64{1}, nan},
		{"lengths differ", []float64{1, 2}, []float64{1, 2, 3}, nan},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := eval.Spearman(c.x, c.y); !near(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// bruteSpearman is Pearson's correlation of ranks counted one against all.
func bruteSpearman(x, y []float64) float64 {
	rank := func(v []float64) []float64 {
		r := make([]float64, len(v))
		for i := range v {
			for j := range v {
				switch {
				case v[j] < v[i]:
					r[i]++
				case v[j] == v[i]:
					r[i] += 0.5
				}
			}
		}
		return r
	}
	pearson := func(a, b []float64) float64 {
		var ma, mb, ab, aa, bb float64
		for i := range a {
			ma += a[i] / float64(len(a))
			mb += b[i] / float64(len(b))
		}
		for i := range a {
			ab += (a[i] - ma) * (b[i] - mb)
			aa += (a[i] - ma) * (a[i] - ma)
			bb += (b[i] - mb) * (b[i] - mb)
		}
		return ab / math.Sqrt(aa*bb)
	}
	return pearson(rank(x), rank(y))
}

func TestSpearmanAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Small integers make ties, the others none.
		value := rapid.OneOf(
			rapid.Map(rapid.IntRange(-3, 3), func(i int) float64 { return float64(i) }),
			rapid.Float64Range(-10, 10),
		)
		n := rapid.IntRange(2, 40).Draw(t, "n")
		x := rapid.SliceOfN(value, n, n).Draw(t, "x")
		y := rapid.SliceOfN(value, n, n).Draw(t, "y")
		got := eval.Spearman(x, y)
		if constant(x) || constant(y) {
			if !math.IsNaN(got) {
				t.Fatalf("%v where one side is constant", got)
			}
			return
		}
		if want := bruteSpearman(x, y); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v, want %v", got, want)
		}
		if back := eval.Spearman(y, x); math.Abs(back-got) > 1e-15 {
			t.Fatalf("not symmetric: %v and %v", got, back)
		}
	})
}

func constant(v []float64) bool {
	for _, x := range v {
		if x != v[0] {
			return false
		}
	}
	return true
}

func TestKappa(t *testing.T) {
	rater := func(n ...int) (a, b []string) { // yes/yes, yes/no, no/yes, no/no
		for i, k := range n {
			for range k {
				a = append(a, []string{"yes", "yes", "no", "no"}[i])
				b = append(b, []string{"yes", "no", "yes", "no"}[i])
			}
		}
		return a, b
	}
	for _, c := range []struct {
		name string
		n    []int
		want float64
	}{
		{"textbook", []int{20, 5, 10, 15}, 0.4},
		{"same agreement, other rates", []int{45, 15, 25, 15}, 0.130434782608695654},
		{"perfect", []int{3, 0, 0, 4}, 1},
		{"opposite", []int{0, 3, 3, 0}, -1},
		{"chance", []int{1, 1, 1, 1}, 0},
		{"one class only", []int{5, 0, 0, 0}, nan},
		{"nothing", nil, nan},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := rater(c.n...)
			if got := eval.Kappa(a, b); !near(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestSigmoidStaysAProbability(t *testing.T) {
	for _, x := range []float64{0, 1, -1, 800, -800, inf, -inf} {
		p, q := eval.Sigmoid(x), eval.Sigmoid(-x)
		if !(p >= 0 && p <= 1) || math.Abs(p+q-1) > 1e-15 {
			t.Errorf("σ(%v) = %v, σ(−%v) = %v", x, p, x, q)
		}
	}
	if got := eval.Sigmoid(math.Log(3)); !near(got, 0.75) {
		t.Errorf("σ(ln 3) = %v", got)
	}
}
