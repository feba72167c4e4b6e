package rm

import (
	"math"
	"strconv"
)

// baggedShare is the share of the hashed columns that a member of an ensemble
// may use.
const baggedShare = 0.8

// ensemble fits a linear head to each of several resamples of the prompts
// (bootstrap: every pair of a prompt counts as often as the prompt is drawn),
// with a share of the hashed columns closed to it. L2 and the strength of
// debiasing are those of the single head. Members are brought to the spread of
// margins of the single head before their mean is taken (Coste et al. 2024
// standardise before aggregating).
func (f *fitter) ensemble() ([]member, blend, error) {
	fail := func(err error) ([]member, blend, error) { return nil, blend{}, err }
	w, err := f.settle()
	if err != nil {
		return fail(err)
	}
	n := f.o.Ensemble
	step := 0
	fit := func(x *matrix, k int, from []float64) ([]float64, error) {
		f.progress("ensemble", step, 2*n)
		step++
		p := f.problem(f.resample(x, k))
		p.closed, p.bare = f.closed(k), true
		wk := append([]float64(nil), from...)
		for j, c := range p.closed {
			if c {
				wk[j] = 0
			}
		}
		_, err := p.solve(f.ctx, wk, pathTolerance)
		return wk, err
	}
	train, val := f.x.span(0, f.t.Train), f.x.span(f.t.Train, f.x.rows())
	if f.t.Validation > 0 {
		z, whole, mean := make([]float64, val.rows()), make([]float64, val.rows()), make([]float64, val.rows())
		val.times(w, whole)
		for k := range n {
			wk, err := fit(train, k, w)
			if err != nil {
				return fail(err)
			}
			val.times(wk, z)
			s := spread(whole) / spread(z)
			for i := range mean {
				mean[i] += s * z[i] / float64(n)
			}
		}
		f.measure(mean, f.labels(f.t.Train))
	} else {
		step = n
	}
	p := f.problem(f.x)
	p.bare = true
	if _, err := p.solve(f.ctx, w, tolerance); err != nil {
		return fail(err)
	}
	z := make([]float64, f.x.rows())
	f.x.times(w, z)
	whole := spread(z)
	var members []member
	for k := range n {
		wk, err := fit(f.x, k, w)
		if err != nil {
			return fail(err)
		}
		f.x.times(wk, z)
		m := f.member(memberName(k), newLinear(wk, nil, f.t.L2))
		m.scale = whole / spread(z)
		members = append(members, m)
	}
	f.progress("ensemble", 2*n, 2*n)
	return members, blend{Kind: blendMean}, nil
}

// resample gives x, a span of f.x from its first row on, with the rows' weights
// times how often their prompts were drawn for member k. Whether a prompt is
// drawn hangs on it, the seed and k alone.
func (f *fitter) resample(x *matrix, k int) *matrix {
	out := *x
	out.weight = make([]float64, x.rows())
	for i := range out.weight {
		out.weight[i] = float64(poisson(place(f.rows[i].prompt, memberSeed(f.o.Seed, k))))
		if x.weight != nil {
			out.weight[i] *= x.weight[i]
		}
	}
	return &out
}

// closed tells which columns member k may not use.
func (f *fitter) closed(k int) []bool {
	out := make([]bool, f.x.cols)
	s := f.space
	share := func(salt uint64, j int) bool {
		return unit(mix(uint64(j)+salt)^uint64(memberSeed(f.o.Seed, k))) >= baggedShare
	}
	if s.words != nil {
		for i, b := range s.words.index {
			if share(1<<32, int(b)) {
				j := s.wordCol(i)
				out[j] = true
				if i < s.common {
					for c := range numExpected {
						out[j+1+c] = true
					}
				}
			}
		}
	}
	if s.chars != nil {
		for i, b := range s.chars.index {
			out[s.charCol(i)] = share(2<<32, int(b))
		}
	}
	return out
}

func memberSeed(seed int64, k int) int64 { return seed ^ int64(mix(uint64(k)+0x51ed270b)) }

// unit gives a place in [0, 1) for a hash.
func unit(h uint64) float64 { return float64(mix(h)>>11) / (1 << 53) }

// poisson gives the number of draws of mean 1 that has the place u in [0, 1).
func poisson(u float64) int {
	p, sum, k := math.Exp(-1), math.Exp(-1), 0
	for u >= sum && k < 16 {
		k++
		p /= float64(k)
		sum += p
	}
	return k
}

// spread is the root of the mean square of margins, 1 where they are all 0. Their
// mean is 0 as far as it hangs on which reply stands first.
func spread(z []float64) float64 {
	if s := dot(z, z); s > 0 {
		return math.Sqrt(s / float64(len(z)))
	}
	return 1
}
func memberName(k int) string { return strconv.Itoa(k + 1) }
