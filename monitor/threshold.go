package monitor

import (
	"math"
	"math/rand/v2"
)

// shape is the size of a window, as far as thresholds hang on it.
type shape struct{ each, prompts int }

// shapeOf rounds the number of prompts down to steps of a tenth, so that windows of
// nearly one size have one threshold, which is that of the smaller.
func shapeOf(replies, prompts int) shape {
	step := math.Floor(math.Log(float64(prompts))*10) / 10
	g := int(math.Exp(step) + 1e-9)
	return shape{each: max(1, replies/prompts), prompts: max(minPrompts, min(prompts, g))}
}

// thresholds are what is compared with for windows of one shape.
type thresholds struct {
	scale     []float64 // of each column's |t|, so that all have the same tail
	limit     [numStats]float64
	allowance float64 // of the drift
}

// run is how many windows are drawn for one drawn reference: drift is summed over
// them.
const run = 32

// bounds of the number of windows drawn; see draws.
const leastDraws, mostDraws = 4000, 40000

// draws is how many windows tell the rate of false alarms to about a tenth of it.
func draws(rate float64) int {
	n := int(math.Ceil(min(mostDraws, max(leastDraws, 100/rate))/run)) * run
	return n
}

// The scale of a column is what its |t| exceeds in this share of windows beside
// what a normal variable does.
const tail, normalTail = 0.99, 2.5758

// calibrate finds the thresholds for windows of a shape at a rate of false alarms.
func (r *reference) calibrate(s shape, rate float64, seed int64) *thresholds {
	n := draws(rate)
	g := rand.New(rand.NewPCG(uint64(seed), uint64(s.each)<<32|uint64(s.prompts)))
	th := &thresholds{allowance: allowance(s.prompts, r.Prompts)}
	p := r.width + len(levels)
	t, joint := make([]float64, n*p), make([]float64, n)
	base, window := r.newBaseline(), newSample(r.width)
	of, in := newAdder(r.width, 1, nil, true), newAdder(r.width, 1, nil, false)
	prompts, x, rows := make([]int32, r.Prompts), make([]float64, r.width), []int32(nil)
	for i := range n {
		if i%run == 0 {
			for k := range prompts {
				prompts[k] = int32(g.IntN(r.Prompts))
			}
			r.baselineOf(prompts, of, base)
			in.cuts = base.cuts
		}
		in.reset()
		for range s.prompts {
			all := r.of(g.IntN(r.Prompts))
			if s.each < len(all) {
				rows = append(rows[:0], all...)
				for k := range s.each {
					j := k + g.IntN(len(rows)-k)
					rows[k], rows[j] = rows[j], rows[k]
				}
				all = rows[:s.each]
			}
			in.add(r.Codes, all)
		}
		in.fill(&window)
		base.compare(&window, t[i*p:(i+1)*p])
		joint[i] = base.together(t[i*p:(i+1)*p], x)
	}
	th.scale = scales(t, p)
	values := make([][numStats]float64, n)
	for i := range values {
		statistics(t[i*p:(i+1)*p], th.scale, r.width, joint[i], &values[i])
	}
	th.limits(values, rate)
	return th
}

// allowance is what t of the scores may be in every window of g prompts beside a
// reference of r before its sum grows: a half, as for a shift of one, and twice the
// standard deviation of what the reference's own error adds to each of them.
func allowance(g, r int) float64 {
	return 0.5 + 2*math.Sqrt(float64(g)/float64(g+r))
}

// scales gives for each of p columns what its |t| has to be divided by.
func scales(t []float64, p int) []float64 {
	out, column := make([]float64, p), make([]float64, len(t)/p)
	for j := range out {
		for i := range column {
			column[i] = math.Abs(t[i*p+j])
		}
		out[j] = max(1, quantile(sorted(column), tail)/normalTail)
	}
	return out
}

// limits sets the thresholds so that any statistic exceeds its own in a share rate
// of the drawn windows, each of them as often as any other.
func (th *thresholds) limits(values [][numStats]float64, rate float64) {
	var by [numStats][]float64
	column := make([]float64, len(values))
	for k := range numStats - 1 {
		for i := range values {
			column[i] = values[i][k]
		}
		by[k] = sorted(column)
	}
	set := func(a float64) (rings float64) {
		for k := range numStats - 1 {
			th.limit[k] = quantile(by[k], 1-a)
		}
		lo, hi := 0.0, 100.0
		for range 24 {
			mid := (lo + hi) / 2
			if th.count(values, mid, false) > a*float64(len(values)) {
				lo = mid
			} else {
				hi = mid
			}
		}
		th.limit[statDrft] = hi
		return th.count(values, hi, true) / float64(len(values))
	}
	lo, hi := rate/(2*numStats), rate
	for range 12 {
		if mid := (lo + hi) / 2; set(mid) > rate {
			hi = mid
		} else {
			lo = mid
		}
	}
	set(lo)
}

// count counts the windows in which the drift is beyond limit, or, with any, in
// which something is.
func (th *thresholds) count(values [][numStats]float64, limit float64, any bool) (n float64) {
	sum := 0.0
	for i := range values {
		if i%run == 0 {
			sum = 0
		}
		var rings bool
		_, sum, rings = drift(sum, values[i][0], th.allowance, limit)
		for k := 0; any && k < numStats-1; k++ {
			rings = rings || values[i][k] > th.limit[k]
		}
		if rings {
			n++
		}
	}
	return n
}
