package monitor

import (
	"math"
	"slices"

	"cai/rm"
)

// The statistics of a window.
const (
	ScoreMean    = "score_mean"         // t of the mean score: it rings upwards alone
	ScoreShape   = "score_distribution" // largest |t| of the shares of replies above quantiles of the reference's scores
	Disagreement = "disagreement"       // t of the mean of the score's deviation; upwards alone
	Feature      = "feature"            // largest |t| of a feature's mean
	Features     = "features"           // √(tᵀC⁻¹t) of all of them, with the reference's correlations C
	ScoreDrift   = "score_drift"        // sum over windows of what t of the score is above an allowance (CUSUM, Page 1954)
)

// numStats is the number of statistics; ScoreDrift is the last.
const (
	numStats = 6
	statDrft = numStats - 1
)

// Names are the statistics in the order of [Window.Statistics].
func Names() []string {
	return []string{ScoreMean, ScoreShape, Disagreement, Feature, Features, ScoreDrift}
}

// levels are the quantiles of the reference's scores at which shares are compared.
var levels = []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}

// The first columns of a profile.
const (
	colScore = 0
	colStd   = 1
	colFirst = 2 // of the features
)

// sample is the means of columns over prompts: first those of a profile, as codes,
// then the shares of replies whose score is above each cut.
type sample struct {
	replies, prompts int
	mean, se2        []float64 // and the squares of the means' standard errors
}

// adder computes a sample.
type adder struct {
	width       int
	cuts        []byte
	replies     int
	prompts     int
	y, sum, sq  []float64
	cross       []float64 // sums of products of columns, width × width; nil where they are not wanted
	fromCodes   int       // bytes before the codes of a row
	bytesOfARow int
}

func newAdder(width, before int, cuts []byte, cross bool) *adder {
	p := width + len(levels)
	a := &adder{width: width, cuts: cuts, y: make([]float64, p), sum: make([]float64, p), sq: make([]float64, p), fromCodes: before, bytesOfARow: before + width}
	if cross {
		a.cross = make([]float64, width*width)
	}
	return a
}

func (a *adder) reset() {
	a.replies, a.prompts = 0, 0
	clear(a.sum)
	clear(a.sq)
	clear(a.cross)
}

// add adds a prompt whose replies have the given rows among codes.
func (a *adder) add(codes []byte, rows []int32) {
	clear(a.y)
	shares := a.y[a.width:]
	for _, r := range rows {
		at := int(r)*a.bytesOfARow + a.fromCodes
		row := codes[at : at+a.width]
		for j, c := range row {
			a.y[j] += float64(c)
		}
		for k, cut := range a.cuts {
			if row[colScore] > cut {
				shares[k]++
			}
		}
	}
	scale := 1 / float64(len(rows))
	for j := range a.y {
		v := a.y[j] * scale
		a.y[j] = v
		a.sum[j] += v
		a.sq[j] += v * v
	}
	a.replies += len(rows)
	a.prompts++
	if a.cross != nil {
		for i, v := range a.y[:a.width] {
			for j, u := range a.y[:i] {
				a.cross[i*a.width+j] += v * u
			}
		}
	}
}

// fill writes the sample to s, whose slices have room.
func (a *adder) fill(s *sample) {
	n := float64(a.prompts)
	s.replies, s.prompts = a.replies, a.prompts
	for j, sum := range a.sum {
		m := sum / n
		s.mean[j] = m
		v := (a.sq[j] - n*m*m) / max(1, n-1)
		if v < 1e-9*(1+m*m) { // what rounding leaves of no variance
			v = 0
		}
		s.se2[j] = v / n
	}
}

func newSample(width int) sample {
	p := width + len(levels)
	return sample{mean: make([]float64, p), se2: make([]float64, p)}
}

// baseline is what windows are held against.
type baseline struct {
	sample
	cuts []byte
	// chol is the lower Cholesky factor of the columns' correlations between
	// prompts, shrunk towards none, by row.
	chol []float64
}

// shrink is the least share of the correlations that is taken away.
const shrink = 0.05

// set computes the baseline from an adder with products.
func (b *baseline) set(a *adder) {
	a.fill(&b.sample)
	w, n := a.width, float64(a.prompts)
	lambda := max(shrink, float64(w)/(float64(w)+n))
	for i := range w {
		for j := range i {
			cov := (a.cross[i*w+j] - n*b.mean[i]*b.mean[j]) / max(1, n-1) / n
			r := 0.0
			if d := b.se2[i] * b.se2[j]; d > 0 {
				r = max(-1, min(1, cov/math.Sqrt(d))) * (1 - lambda)
			}
			b.chol[i*w+j] = r
		}
		b.chol[i*w+i] = 1
	}
	for i := range w {
		for j := 0; j <= i; j++ {
			v := b.chol[i*w+j]
			for k := range j {
				v -= b.chol[i*w+k] * b.chol[j*w+k]
			}
			if i == j {
				b.chol[i*w+i] = math.Sqrt(max(v, 1e-6))
			} else {
				b.chol[i*w+j] = v / b.chol[j*w+j]
			}
		}
	}
}

// most bounds |t|, which is without bound where neither side varies.
const most = 1000

// compare writes the t of each column of a window.
func (b *baseline) compare(s *sample, t []float64) {
	for j := range t {
		d := s.mean[j] - b.mean[j]
		switch v := s.se2[j] + b.se2[j]; {
		case math.Abs(d) < 1e-9:
			t[j] = 0
		case v == 0:
			t[j] = math.Copysign(most, d)
		default:
			t[j] = max(-most, min(most, d/math.Sqrt(v)))
		}
	}
}

// together is √(tᵀC⁻¹t) over the profile's columns; x is scratch space of their
// number.
func (b *baseline) together(t, x []float64) float64 {
	w, sum := len(x), 0.0
	for i := range w {
		v := t[i]
		for k := range i {
			v -= b.chol[i*w+k] * x[k]
		}
		x[i] = v / b.chol[i*w+i]
		sum += x[i] * x[i]
	}
	return math.Sqrt(sum)
}

// largest gives the place of the largest |t|/scale and that value.
func largest(t, scale []float64, from, to int) (at int, value float64) {
	at = from
	for j := from; j < to; j++ {
		if v := math.Abs(t[j]) / scale[j]; v > value {
			at, value = j, v
		}
	}
	return at, value
}

// statistics fills in those that need one window alone.
func statistics(t, scale []float64, width int, joint float64, out *[numStats]float64) {
	out[0] = t[colScore] / scale[colScore]
	_, out[1] = largest(t, scale, width, len(t))
	out[2] = t[colStd] / scale[colStd]
	_, out[3] = largest(t, scale, colFirst, width)
	out[4] = joint
}

// drift is the cumulative sum of t of the scores, and whether it is beyond limit,
// from where it begins again.
func drift(sum, t, allowance, limit float64) (value, next float64, rings bool) {
	value = max(0, sum+t-allowance)
	if value > limit {
		return value, 0, true
	}
	return value, value, false
}

// reference is a profile that windows can be drawn from.
type reference struct {
	*rm.Profile
	width  int
	starts []int32 // the first row of each prompt, and the number of rows
	rows   []int32 // 0, 1, 2, …
}

func newReference(p *rm.Profile) *reference {
	r := &reference{Profile: p, width: len(p.Columns)}
	for i := range p.Replies {
		if p.Codes[i*(r.width+1)] == 1 {
			r.starts = append(r.starts, int32(i))
		}
		r.rows = append(r.rows, int32(i))
	}
	r.starts = append(r.starts, int32(p.Replies))
	return r
}

// of gives the rows of a prompt.
func (r *reference) of(prompt int) []int32 { return r.rows[r.starts[prompt]:r.starts[prompt+1]] }

// cutsOf gives the codes above which a share of replies lies that is 1 less each of
// the levels, each prompt counting the same.
func (r *reference) cutsOf(prompts []int32, cuts []byte) {
	var hist [256]float64
	for _, g := range prompts {
		rows := r.of(int(g))
		for _, i := range rows {
			hist[r.Codes[int(i)*(r.width+1)+1+colScore]] += 1 / float64(len(rows))
		}
	}
	sum, k := 0.0, 0
	for code, v := range hist {
		sum += v
		for k < len(levels) && sum >= levels[k]*float64(len(prompts))-1e-9 {
			cuts[k] = byte(code)
			k++
		}
	}
	for ; k < len(levels); k++ {
		cuts[k] = 255
	}
}

// baselineOf makes b that of the given prompts.
func (r *reference) baselineOf(prompts []int32, a *adder, b *baseline) {
	r.cutsOf(prompts, b.cuts)
	a.cuts = b.cuts
	a.reset()
	for _, g := range prompts {
		a.add(r.Codes, r.of(int(g)))
	}
	b.set(a)
}

func (r *reference) newBaseline() *baseline {
	return &baseline{sample: newSample(r.width), cuts: make([]byte, len(levels)), chol: make([]float64, r.width*r.width)}
}

// whole is the baseline of all prompts.
func (r *reference) whole() *baseline {
	b := r.newBaseline()
	all := make([]int32, r.Prompts)
	for i := range all {
		all[i] = int32(i)
	}
	r.baselineOf(all, newAdder(r.width, 1, nil, true), b)
	return b
}

// quantile is that of sorted values from which on a share of at most 1 − q is
// larger.
func quantile(sorted []float64, q float64) float64 {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(0, min(len(sorted)-1, i))]
}

func sorted(v []float64) []float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v
}
