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
	var t table
	for k, i := range order {
		if k == 0 || clusters[i] != clusters[order[k-1]] {
			t.next()
		}
		t.add(values[i])
	}
	return interval(t.resample(o)[0], t.means()[0], bounds)
}

// columns is how many figures a table holds: with their number of pairs, a
// cluster then fills one cache line, and a draw is one access to memory.
const columns = 7

// table holds, for each cluster, the sums of up to seven figures over its pairs
// and, last, the number of its pairs. That is all a resample needs: the mean of
// a figure is a quotient of two sums over the clusters drawn.
type table struct{ sums [][columns + 1]float64 }

// next starts a cluster.
func (t *table) next() { t.sums = append(t.sums, [columns + 1]float64{}) }

// add counts one pair in the last cluster.
func (t *table) add(values ...float64) {
	row := &t.sums[len(t.sums)-1]
	for i, v := range values {
		row[i] += v
	}
	row[columns]++
}

// means gives each figure's mean over all pairs, NaN over none.
func (t *table) means() (m [columns]float64) {
	var total [columns + 1]float64
	for _, row := range t.sums {
		for i, v := range row {
			total[i] += v
		}
	}
	for i := range m {
		m[i] = total[i] / total[columns]
	}
	return m
}

// resample gives each figure's mean in each of the resamples, the same ones
// for all figures, so that differences of figures are paired. The slices are
// nil below two clusters.
func (t *table) resample(o Options) (samples [columns][]float64) {
	if len(t.sums) < 2 {
		return samples
	}
	n := max(o.Bootstrap, MinResamples)
	for i := range samples {
		samples[i] = make([]float64, n)
	}
	workers := 1
	if n*len(t.sums) > 1<<18 { // some milliseconds of work
		workers = min(runtime.GOMAXPROCS(0), 8)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for r := w; r < n; r += workers {
				total := t.draw(o.Seed, r)
				for i := range samples {
					samples[i][r] = total[i] / total[columns]
				}
			}
		})
	}
	wg.Wait()
	return samples
}

// draw draws as many clusters as there are, with replacement, and adds up
// their sums. Each resample has a generator of its own, seeded by its number,
// so it does not matter which goroutine makes it.
func (t *table) draw(seed int64, r int) [columns + 1]float64 {
	s := mix(uint64(seed)) + uint64(r)
	pcg := rand.NewPCG(mix(s), mix(s^0x9e3779b97f4a7c15))
	n := uint64(len(t.sums))
	var a, b, c, d, e, f, g, h float64 // in registers, unlike an array
	for range n {
		// The high word of the product is uniform over [0, n) up to n/2⁶⁴.
		k, _ := bits.Mul64(pcg.Uint64(), n)
		row := &t.sums[k]
		a += row[0]
		b += row[1]
		c += row[2]
		d += row[3]
		e += row[4]
		f += row[5]
		g += row[6]
		h += row[7]
	}
	return [columns + 1]float64{a, b, c, d, e, f, g, h}
}

// interval gives the 95 % percentile interval of samples, which it sorts;
// bounds where there are none. It is widened to hold the point estimate, which
// a skewed distribution of cluster sizes could otherwise leave just outside.
func interval(samples []float64, point float64, bounds Interval) Interval {
	if len(samples) == 0 {
		return bounds
	}
	slices.Sort(samples)
	return Interval{
		math.Min(quantile(samples, 0.025), point),
		math.Max(quantile(samples, 0.975), point),
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
