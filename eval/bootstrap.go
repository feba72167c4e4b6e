package eval

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"cai/dataset"
)

// MinResamples is the least number of bootstrap resamples, and the default.
const MinResamples = 2000

// BootstrapCI is the 95 % percentile bootstrap interval of the mean of values,
// resampled by cluster: values[i] belongs to clusters[i], and the values of a
// cluster are drawn together. bounds is what is returned when there are fewer
// than two clusters, the widest interval possible: {0, 1} for a share. Of the
// options it uses Seed and Bootstrap. The order of the values does not matter,
// up to the rounding of sums.
func BootstrapCI(values []float64, clusters []dataset.Hash, bounds Interval, o Options) Interval {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(
			slices.Compare(clusters[a][:], clusters[b][:]),
			cmp.Compare(values[a], values[b]))
	})
	t := newTable(1)
	for k, i := range order {
		if k == 0 || clusters[i] != clusters[order[k-1]] {
			t.next()
		}
		t.add(values[i])
	}
	return t.intervals(o, []Interval{bounds})[0]
}

// table holds, for each cluster, the number of its pairs and the sum of each
// of width figures over them. That is all a resample needs: the mean of a
// figure is a quotient of two sums over the clusters drawn.
type table struct {
	width int
	sums  []float64 // per cluster: the number, then the sums
}

func newTable(width int) *table { return &table{width: width} }

// next starts a cluster.
func (t *table) next() { t.sums = append(t.sums, make([]float64, t.width+1)...) }

// add counts one pair in the last cluster.
func (t *table) add(values ...float64) {
	row := t.sums[len(t.sums)-t.width-1:]
	row[0]++
	for i, v := range values {
		row[i+1] += v
	}
}

func (t *table) clusters() int { return len(t.sums) / (t.width + 1) }

// means gives each figure's mean over all pairs, NaN over none.
func (t *table) means() []float64 {
	total := make([]float64, t.width+1)
	for i, v := range t.sums {
		total[i%(t.width+1)] += v
	}
	for i := range total[1:] {
		total[i+1] /= total[0]
	}
	return total[1:]
}

// intervals gives the percentile interval of each figure, over the same
// resamples, so that figures of one table may be compared. An interval is
// widened to hold its point estimate, which a skewed distribution of cluster
// sizes could otherwise leave just outside.
func (t *table) intervals(o Options, bounds []Interval) []Interval {
	out := slices.Clone(bounds)
	if t.clusters() < 2 {
		return out
	}
	n := max(o.Bootstrap, MinResamples)
	samples := make([]float64, n*t.width) // figure by figure
	workers := 1
	if n*t.clusters() > 1<<20 {
		workers = min(runtime.GOMAXPROCS(0), 8)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			total := make([]float64, t.width+1)
			for r := w; r < n; r += workers {
				t.resample(total, o.Seed, r)
				for i := range t.width {
					samples[i*n+r] = total[i+1] / total[0]
				}
			}
		})
	}
	wg.Wait()
	for i, point := range t.means() {
		s := samples[i*n : (i+1)*n]
		slices.Sort(s)
		out[i] = Interval{
			math.Min(quantile(s, 0.025), point),
			math.Max(quantile(s, 0.975), point),
		}
	}
	return out
}

// resample draws as many clusters as there are, with replacement, and adds up
// their sums. Each resample has a generator of its own, seeded by its number,
// so it does not matter which goroutine makes it.
func (t *table) resample(total []float64, seed int64, r int) {
	clear(total)
	s := mix(uint64(seed)) + uint64(r)
	pcg := rand.NewPCG(mix(s), mix(s^0x9e3779b97f4a7c15))
	n, width := uint64(t.clusters()), len(total)
	for range n {
		// The high word of the product is uniform over [0, n) up to n/2⁶⁴.
		k, _ := bits.Mul64(pcg.Uint64(), n)
		row := t.sums[int(k)*width : int(k)*width+width]
		for i, v := range row {
			total[i] += v
		}
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014): seeds that
// differ in one bit give unrelated generators.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// quantile interpolates linearly between the order statistics (type 7 of
// Hyndman and Fan, 1996).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
