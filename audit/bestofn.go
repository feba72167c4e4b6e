package audit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// KL is log n − (n−1)/n, the divergence in nats of best-of-n from the policy that
// its n samples are drawn from (Stiennon et al. 2020, Gao et al. 2022). That is
// exact where no two samples are ever the same or score the same; for texts in
// general it is an upper bound (Beirami et al. 2024), which is loose where the
// policy repeats itself. n is at least 1 and need not be whole.
func KL(n float64) float64 { return math.Log(n) - (n-1)/n }

// KLCaveat is what has to stand beside every curve over √KL.
const KLCaveat = "KL = log n − (n−1)/n is an upper bound on the divergence of best-of-n where replies can repeat or tie (Beirami et al. 2024); the true one is smaller."

// nOfKL inverts KL: the n ≥ 1 of which the divergence is kl.
func nOfKL(kl float64) float64 {
	if !(kl > 0) {
		return 1
	}
	if math.IsInf(kl, 1) {
		return kl
	}
	// KL(e^x) is x − 1 + e^−x, between x − 1 and x.
	lo, hi := kl, kl+1
	for range 200 {
		x := (lo + hi) / 2
		if x-1+math.Exp(-x) < kl {
			lo = x
		} else {
			hi = x
		}
	}
	return math.Exp((lo + hi) / 2)
}

// Ranked is the samples of one prompt in the order of a proxy score.
type Ranked struct {
	order []int // ascending by proxy
	ties  []int // ties[k] is the end in order of the k-th group of equal proxies
}

// Rank orders N samples by their proxy scores, of which none may be NaN.
func Rank(proxy []float64) (*Ranked, error) {
	r := &Ranked{order: make([]int, len(proxy))}
	for i, v := range proxy {
		if math.IsNaN(v) {
			return nil, fmt.Errorf("sample %d has no proxy score", i+1)
		}
		r.order[i] = i
	}
	slices.SortFunc(r.order, func(a, b int) int { return cmp.Or(cmp.Compare(proxy[a], proxy[b]), cmp.Compare(a, b)) })
	for i := range r.order {
		if i+1 == len(r.order) || proxy[r.order[i+1]] != proxy[r.order[i]] {
			r.ties = append(r.ties, i+1)
		}
	}
	return r, nil
}

// BestOf is the unbiased estimate, from N samples, of what value is on average of
// the sample that the proxy likes best of n, 1 ≤ n ≤ N: the mean over all subsets
// of n samples,
//
//	Σᵢ C(i−1, n−1)/C(N, n)·value₍ᵢ₎, i = n … N
//
// with value₍ᵢ₎ of the sample of rank i, ascending by the proxy (Coste et al. 2024).
// Samples that the proxy holds equal share their weight, as if their order had been
// drawn at random each time. With value the proxy itself it is the proxy's own
// curve. It is NaN for other n.
//
// The share of subsets without a sample above rank i, C(i, n)/C(N, n), comes from
// that of rank i+1 by the factor (i+1−n)/(i+1), which loses no digits and needs no
// logarithms of factorials.
func (r *Ranked) BestOf(n int, value []float64) float64 {
	return r.pick(n, value, false)
}

// WorstOf is BestOf for the sample that the proxy likes least of n.
func (r *Ranked) WorstOf(n int, value []float64) float64 {
	return r.pick(n, value, true)
}

func (r *Ranked) pick(n int, value []float64, worst bool) float64 {
	size := len(r.order)
	if n < 1 || n > size || len(value) != size {
		return math.NaN()
	}
	// below is the share of subsets that lie within the lowest i ranks, or the
	// highest where the worst is wanted.
	sum, below, i := 0.0, 1.0, size
	group := func(from, to int) float64 { // mean of the places from … to−1
		total := 0.0
		for _, at := range r.order[from:to] {
			total += value[at]
		}
		return total / float64(to-from)
	}
	take := func(count int, mean float64) {
		next := below
		for range count {
			next *= max(0, float64(i-n)) / float64(i)
			i--
		}
		sum += (below - next) * mean
		below = next
	}
	if worst {
		from := 0
		for _, to := range r.ties {
			take(to-from, group(from, to))
			from = to
		}
		return sum
	}
	for k := len(r.ties) - 1; k >= 0; k-- {
		from := 0
		if k > 0 {
			from = r.ties[k-1]
		}
		take(r.ties[k]-from, group(from, r.ties[k]))
	}
	return sum
}
