package eval

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"cai/dataset"
)

// BootstrapEach gives 95 % percentile bootstrap intervals of several statistics
// that are computed together, from n resamples of whole clusters: statistic is
// given the numbers of the items drawn, by several goroutines. A statistic that is
// NaN in most of the resamples, and all of them below two clusters, have bounds.
// See [BootstrapOf], which never draws less than [MinResamples].
func BootstrapEach(clusters []dataset.Hash, statistic func(items []int) []float64, bounds Interval, n int, seed int64) []Interval {
	all := make([]int, len(clusters))
	members := map[dataset.Hash][]int{}
	for i, c := range clusters {
		all[i] = i
		members[c] = append(members[c], i)
	}
	point := statistic(all)
	out := make([]Interval, len(point))
	for k := range out {
		out[k] = bounds
	}
	if len(members) < 2 || n < 1 {
		return out
	}
	keys := make([]dataset.Hash, 0, len(members))
	for c := range members {
		keys = append(keys, c)
	}
	slices.SortFunc(keys, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	drawn := make([][]float64, n)
	workers := min(runtime.GOMAXPROCS(0), 8)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var items []int
			for r := w; r < n; r += workers {
				s := mix(uint64(seed)) + uint64(r)
				draw := rand.New(rand.NewPCG(mix(s), mix(s^0x9e3779b97f4a7c15)))
				items = items[:0]
				for range keys {
					items = append(items, members[keys[draw.IntN(len(keys))]]...)
				}
				drawn[r] = statistic(items)
			}
		})
	}
	wg.Wait()
	for k := range point {
		var samples []float64
		for _, d := range drawn {
			if !math.IsNaN(d[k]) {
				samples = append(samples, d[k])
			}
		}
		if 2*len(samples) > n && !math.IsNaN(point[k]) {
			out[k] = interval(samples, point[k], bounds)
		}
	}
	return out
}
