package label_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/label"
)

func drawnComparisons(t *rapid.T) (int, []label.Comparison) {
	k := rapid.IntRange(2, 9).Draw(t, "replies")
	var cs []label.Comparison
	for range rapid.IntRange(0, 20).Draw(t, "comparisons") {
		i := rapid.IntRange(0, k-1).Draw(t, "i")
		j := (i + rapid.IntRange(1, k-1).Draw(t, "step")) % k
		cs = append(cs, label.Comparison{I: i, J: j, P: rapid.Float64Range(0, 1).Draw(t, "p")})
	}
	return k, cs
}

// Named otherwise, given in another order or the other way round, comparisons
// say the same.
func TestRelabellingRepliesChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, cs := drawnComparisons(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		name := r.Perm(k)
		other := make([]label.Comparison, len(cs))
		for at, from := range r.Perm(len(cs)) {
			c := cs[from]
			other[at] = label.Comparison{I: name[c.I], J: name[c.J], P: c.P}
			if r.IntN(2) == 0 {
				other[at] = label.Comparison{I: name[c.J], J: name[c.I], P: 1 - c.P}
			}
		}
		a, b := label.Rank(k, cs), label.Rank(k, other)
		for i := range k {
			for j := range i {
				m1, v1 := a.Difference(i, j)
				m2, v2 := b.Difference(name[i], name[j])
				if math.Abs(m1-m2) > 1e-5 || math.Abs(v1-v2) > 1e-5*(1+v1) {
					t.Fatalf("replies %d and %d: %g ± %g, renamed %g ± %g", i, j, m1, v1, m2, v2)
				}
			}
		}
		if best := a.Pick(1, nil); len(best) > 0 {
			p, q := best[0], b.Pick(1, nil)[0]
			if g1, g2 := a.Gain(p[0], p[1]), b.Gain(q[0], q[1]); math.Abs(g1-g2) > 1e-5 {
				t.Fatalf("the best pair tells %g, renamed %g", g1, g2)
			}
		}
	})
}

// A comparison at one's expectation leaves scores as they were and makes no
// difference less certain.
func TestMoreComparisonsMakeScoresSurer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, cs := drawnComparisons(t)
		before := label.RankWidth(k, cs, 2)
		i := rapid.IntRange(0, k-1).Draw(t, "first")
		j := (i + rapid.IntRange(1, k-1).Draw(t, "second")) % k
		mean, v := before.Difference(i, j)
		after := label.RankWidth(k, append(slices.Clone(cs), label.Comparison{I: i, J: j, P: 1 / (1 + math.Exp(-mean))}), 2)
		_, now := after.Difference(i, j)
		p := 1 / (1 + math.Exp(-mean))
		if want := 1 / (1/v + p*(1-p)); math.Abs(now-want) > 1e-4*want {
			t.Fatalf("variance %g, then %g, want %g", v, now, want)
		}
		for a := range k {
			for b := range a {
				_, v1 := before.Difference(a, b)
				if _, v2 := after.Difference(a, b); v2 > v1*(1+1e-6) {
					t.Fatalf("replies %d and %d: variance %g, then %g", a, b, v1, v2)
				}
			}
		}
	})
}

// Where a beats b as surely as b beats c, a is ranked over b and b over c.
func TestRankingIsTransitive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 8).Draw(t, "replies")
		p := rapid.Float64Range(0.6, 1).Draw(t, "p")
		var cs []label.Comparison
		for i := range k - 1 {
			cs = append(cs, label.Comparison{I: i + 1, J: i, P: p})
		}
		r := label.Rank(k, cs)
		if !slices.IsSorted(r.Scores) || r.Scores[0] == r.Scores[k-1] {
			t.Fatalf("scores %v", r.Scores)
		}
	})
}

func TestGainIsLargestWhereTheOrderIsOpen(t *testing.T) {
	// 0 and 1 were compared with 2 to 5 and are far apart; 6 and 7 are unknown.
	var cs []label.Comparison
	for i := 2; i < 6; i++ {
		cs = append(cs, label.Comparison{I: 0, J: i, P: 1}, label.Comparison{I: i, J: 1, P: 1})
	}
	r := label.Rank(8, cs)
	if known, open := r.Gain(0, 1), r.Gain(6, 7); !(known >= 0 && open > 2*known && open <= 1) {
		t.Fatalf("gain %g where the order is known, %g where nothing is", known, open)
	}
}

func TestPairsAreChosenOnceUpToTheNumberAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 14).Draw(t, "replies")
		n := rapid.IntRange(1, 120).Draw(t, "pairs")
		seed := rapid.Uint64().Draw(t, "seed")
		taken := map[[2]int]bool{}
		var cs []label.Comparison
		rounds := 0
		for {
			next := label.NextPairs(k, n, cs, taken, seed)
			if again := label.NextPairs(k, n, cs, taken, seed); !slices.Equal(next, again) {
				t.Fatalf("%v, asked again %v", next, again)
			}
			if len(next) == 0 {
				break
			}
			rounds++
			for _, p := range next {
				if p[0] < 0 || p[0] >= p[1] || p[1] >= k || taken[p] {
					t.Fatalf("pair %v of %d replies, taken %v", p, k, taken[p])
				}
				taken[p] = true
				if rapid.IntRange(0, 5).Draw(t, "fails") > 0 {
					cs = append(cs, label.Comparison{I: p[0], J: p[1], P: float64(p[1]%3) / 2})
				}
			}
		}
		if want := min(n, k*(k-1)/2); len(taken) != want || rounds > 14 {
			t.Fatalf("%d pairs in %d rounds, want %d", len(taken), rounds, want)
		}
	})
}

// On replies whose order is known, twice as many comparisons as replies order
// them better when they are chosen than when they are drawn.
func TestChosenPairsOrderBetterThanDrawnOnes(t *testing.T) {
	const k, n = 30, 75
	var chosen, drawn float64
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		rank := r.Perm(k)
		compare := func(p [2]int) label.Comparison {
			c := label.Comparison{I: p[0], J: p[1]}
			if rank[p[0]] > rank[p[1]] {
				c.P = 1
			}
			return c
		}
		taken := map[[2]int]bool{}
		var a, b []label.Comparison
		for next := label.NextPairs(k, n, a, taken, seed); len(next) > 0; next = label.NextPairs(k, n, a, taken, seed) {
			for _, p := range next {
				taken[p] = true
				a = append(a, compare(p))
			}
		}
		for len(b) < n {
			if i, j := r.IntN(k), r.IntN(k); i < j {
				b = append(b, compare([2]int{i, j}))
			}
		}
		chosen += concordance(label.Rank(k, a).Scores, rank)
		drawn += concordance(label.Rank(k, b).Scores, rank)
	}
	if chosen < drawn+0.3 { // of 8
		t.Fatalf("concordance %.3f where pairs are chosen, %.3f where they are drawn", chosen/8, drawn/8)
	}
}

// concordance is Kendall's τ of scores with a rank.
func concordance(s []float64, rank []int) float64 {
	var sum, n float64
	for i := range s {
		for j := range i {
			n++
			switch d := (s[i] - s[j]) * float64(rank[i]-rank[j]); {
			case d > 0:
				sum++
			case d < 0:
				sum--
			}
		}
	}
	return sum / n
}
