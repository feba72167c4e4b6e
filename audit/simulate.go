package audit

import "math"

// RankGolds gives golds for n samples, ascending by their proxy scores, with which
// best-of-k is on average exactly r(√KL(k)) for each k up to n: data whose curve
// is known, to hold an estimate against. The equations of [Ranked.BestOf] are
// triangular in the ranks; their coefficients grow like binomials, so n beyond 40
// leaves fewer than four digits.
func RankGolds(n int, r func(d float64) float64) []float64 {
	gold := make([]float64, n)
	for k := n; k >= 1; k-- {
		// Rank k is the best of the one subset of ranks 1 … k, and rank i of
		// C(i−1, k−1) of the C(n, k) subsets.
		c, sum := 1.0, 0.0 // C(i−1, k−1)
		for i := k + 1; i <= n; i++ {
			c *= float64(i-1) / float64(i-k)
			sum += c * gold[i-1]
		}
		all := c * float64(n) / float64(k) // C(n, k) = C(n−1, k−1)·n/k
		gold[k-1] = all*r(math.Sqrt(KL(float64(k)))) - sum
	}
	return gold
}
