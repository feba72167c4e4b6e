package eval

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"cai/dataset"
)

// BootstrapOf is the 95 % percentile bootstrap interval of any statistic, such as
// κ, α or a slope, which is given the numbers of the items drawn, whole clusters
// with replacement, so that an item may come more than once. It is called by
// several goroutines. Resamples where it is NaN are left out; bounds is returned
// where there are fewer than two clusters, or where most are NaN. A mean is
// quicker by [BootstrapCI].
func BootstrapOf(clusters []dataset.Hash, statistic func(items []int) float64, bounds Interval, o Options) Interval {
	members := map[dataset.Hash][]int{}
	for i, c := range clusters {
		members[c] = append(members[c], i)
	}
	if len(members) < 2 {
		return bounds
	}
	keys := make([]dataset.Hash, 0, len(members))
	for c := range members {
		keys = append(keys, c)
	}
	slices.SortFunc(keys, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	samples := make([]float64, max(o.Bootstrap, MinResamples))
	workers := min(runtime.GOMAXPROCS(0), 8)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var items []int
			for r := w; r < len(samples); r += workers {
				s := mix(uint64(o.Seed)) + uint64(r)
				draw := rand.New(rand.NewPCG(mix(s), mix(s^0x9e3779b97f4a7c15)))
				items = items[:0]
				for range keys {
					items = append(items, members[keys[draw.IntN(len(keys))]]...)
				}
				samples[r] = statistic(items)
			}
		})
	}
	wg.Wait()
	n := len(samples)
	samples = slices.DeleteFunc(samples, math.IsNaN)
	all := make([]int, len(clusters))
	for i := range all {
		all[i] = i
	}
	point := statistic(all)
	if 2*len(samples) < n || math.IsNaN(point) {
		return bounds
	}
	return interval(samples, point, bounds)
}
