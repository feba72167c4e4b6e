package audit_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"cai/audit"
)

// all is best-of-n by brute force: the mean over every subset of n samples of
// the mean value of those that the proxy likes best in it.
func all(n int, proxy, value []float64, better func(a, b float64) bool) float64 {
	total, subsets := 0.0, 0
	for set := range 1 << len(proxy) {
		var in []int
		for i := range proxy {
			if set>>i&1 == 1 {
				in = append(in, i)
			}
		}
		if len(in) != n {
			continue
		}
		best := in[0]
		for _, i := range in {
			if better(proxy[i], proxy[best]) {
				best = i
			}
		}
		sum, ties := 0.0, 0
		for _, i := range in {
			if proxy[i] == proxy[best] {
				sum += value[i]
				ties++
			}
		}
		total += sum / float64(ties)
		subsets++
	}
	return total / float64(subsets)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func ranked(t interface{ Fatal(...any) }, proxy []float64) *audit.Ranked {
	r, err := audit.Rank(proxy)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// samples draws proxies of which many are equal, and golds.
func samples(t *rapid.T, most int) (proxy, gold []float64) {
	n := rapid.IntRange(1, most).Draw(t, "N")
	for range n {
		proxy = append(proxy, float64(rapid.IntRange(-3, 3).Draw(t, "proxy")))
		gold = append(gold, rapid.Float64Range(-5, 5).Draw(t, "gold"))
	}
	return proxy, gold
}

func TestBestOfAgreesWithAllSubsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		proxy, gold := samples(t, 9)
		r := ranked(t, proxy)
		for n := 1; n <= len(proxy); n++ {
			if got, want := r.BestOf(n, gold), all(n, proxy, gold, func(a, b float64) bool { return a > b }); !near(got, want) {
				t.Fatalf("best of %d of %v, gold %v: %v, all subsets give %v", n, proxy, gold, got, want)
			}
			if got, want := r.WorstOf(n, gold), all(n, proxy, gold, func(a, b float64) bool { return a < b }); !near(got, want) {
				t.Fatalf("worst of %d of %v, gold %v: %v, all subsets give %v", n, proxy, gold, got, want)
			}
		}
	})
}

// Many samples, by the published formula with logarithms of factorials.
func TestBestOfManyAgreesWithTheFormula(t *testing.T) {
	const size = 3000
	proxy, gold := make([]float64, size), make([]float64, size)
	for i := range proxy {
		proxy[i] = float64(i * 7919 % size)
		gold[i] = math.Sin(float64(i))
	}
	r := ranked(t, proxy)
	byRank := make([]float64, size)
	for i, p := range proxy {
		byRank[int(p)] = gold[i]
	}
	logC := func(n, k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return a - b - c
	}
	for _, n := range []int{1, 2, 17, 400, 2999, 3000} {
		want := 0.0
		for i := n; i <= size; i++ {
			want += math.Exp(logC(i-1, n-1)-logC(size, n)) * byRank[i-1]
		}
		if got := r.BestOf(n, gold); math.Abs(got-want) > 1e-8 {
			t.Errorf("best of %d of %d: %v, by the formula %v", n, size, got, want)
		}
	}
}

func TestBestOfProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		proxy, gold := samples(t, 40)
		r := ranked(t, proxy)
		n := len(proxy)
		mean, top, atTop := 0.0, math.Inf(-1), 0.0
		for i, g := range gold {
			mean += g / float64(n)
			top = max(top, proxy[i])
		}
		ties := 0.0
		for i, g := range gold {
			if proxy[i] == top {
				atTop += g
				ties++
			}
		}
		if got := r.BestOf(1, gold); !near(got, mean) {
			t.Fatalf("best of 1 is %v, the mean %v", got, mean)
		}
		if got := r.BestOf(n, gold); !near(got, atTop/ties) {
			t.Fatalf("best of all is %v, that of the best %v", got, atTop/ties)
		}
		for k := 2; k <= n; k++ {
			if a, b := r.BestOf(k-1, proxy), r.BestOf(k, proxy); b < a-1e-9 {
				t.Fatalf("the proxy falls from %v to %v at %d", a, b, k)
			}
			if a, b := r.WorstOf(k-1, proxy), r.WorstOf(k, proxy); b > a+1e-9 {
				t.Fatalf("the worst's proxy rises from %v to %v at %d", a, b, k)
			}
		}
		order := rapid.Permutation(index(n)).Draw(t, "order")
		p2, g2 := make([]float64, n), make([]float64, n)
		for i, at := range order {
			p2[i], g2[i] = proxy[at], gold[at]
		}
		r2 := ranked(t, p2)
		for k := 1; k <= n; k++ {
			if a, b := r.BestOf(k, gold), r2.BestOf(k, g2); !near(a, b) {
				t.Fatalf("best of %d is %v, of the same samples in another order %v", k, a, b)
			}
		}
	})
}

func index(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestBestOfOutOfRange(t *testing.T) {
	r := ranked(t, []float64{1, 2})
	for _, n := range []int{-1, 0, 3} {
		if got := r.BestOf(n, []float64{1, 2}); !math.IsNaN(got) {
			t.Errorf("best of %d of 2 is %v", n, got)
		}
	}
	if _, err := audit.Rank([]float64{1, math.NaN()}); err == nil {
		t.Error("a sample without a proxy score was ranked")
	}
}

func TestKL(t *testing.T) {
	if audit.KL(1) != 0 {
		t.Errorf("KL of best-of-1 is %v", audit.KL(1))
	}
	if got, want := audit.KL(16), math.Log(16)-15.0/16; got != want {
		t.Errorf("KL of best-of-16 is %v, want %v", got, want)
	}
}
