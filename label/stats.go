package label

import (
	"math"

	"cai/dataset"
)

// Stats adds up how the principles of a constitution vote, pair by pair. It
// holds sums, one K×K matrix of them for K principles, and no pair.
//
// Which reply of a pair is called a is arbitrary, so every figure stays the
// same when the replies of any pair change places: signs are compared with
// signs, and correlations are taken about 0, Σxy / √(Σx² Σy²), not about a mean
// that would depend on the naming.
type Stats struct {
	set      Settings
	index    map[dataset.Hash]int
	sums     []sums
	both     []cross // K×K, [i*K+j]
	votes    Votes
	examples int

	pairs, labels int64
}

// sums are what is added up for one principle.
type sums struct {
	pairs, counted, low, incomplete int64
	judgments, lowJudgments         int64
	coverage                        float64
	bias, same                      float64
	ordered                         int64 // counted pairs with a bias
	strength                        float64

	agree, agreeOthers float64 // ties half
	compared           int64   // counted pairs with a label
	comparedOthers     int64   // and with at least one other principle that weighs
	zr, zz, rr         float64 // z against the weighted mean of the others' z

	flips, lost int64
	examples    []example
}

// cross is what is added up for two principles, over the pairs on which both
// count.
type cross struct {
	n, opposite int64
	xy, xx      float64 // z_i z_j and z_i²
}

// NewStats makes empty sums for principles, which set.Weights must hold; those
// that weigh 0 are followed and have no say. Of each kind of pair that a
// principle decides, examples are kept by id.
func NewStats(principles []dataset.Hash, set Settings, examples int) *Stats {
	s := &Stats{
		set: set, index: map[dataset.Hash]int{}, examples: examples,
		sums: make([]sums, len(principles)), both: make([]cross, len(principles)*len(principles)),
		votes: Votes{Lean: make([]float64, len(principles))},
	}
	for i, p := range principles {
		s.index[p] = i
	}
	return s
}

// Votes is how one pair was voted on.
type Votes struct {
	// Lean is each principle's lean, positive for reply a, 0 for a tie, NaN
	// where it abstains; in the order of NewStats.
	Lean []float64
	// Whole is the lean of the label, NaN where there is none.
	Whole float64
}

// Add counts the judgments of one pair. The votes are valid until the next
// call.
func (s *Stats) Add(pair dataset.Hash, js []dataset.Judgment) Votes {
	for i := range js {
		j := &js[i]
		if k, ok := s.index[j.Principle]; ok && s.set.judge(j.Judge) > 0 {
			c := &s.sums[k]
			c.judgments++
			c.coverage += j.Coverage
			if !dataset.Counts(j.Coverage, s.set.MinCoverage) {
				c.lowJudgments++
			}
		}
	}
	s.votes.Whole = math.NaN()
	for i := range s.votes.Lean {
		s.votes.Lean[i] = math.NaN()
	}
	said := voices(js, &s.set)
	if len(said) == 0 {
		return s.votes
	}
	s.pairs++
	var all, size, weight, z float64 // Σwx, Σw|x|, Σw, Σwz
	counted := said[:0]
	for _, v := range said {
		k, ok := s.index[v.Principle]
		if !ok {
			continue
		}
		c := &s.sums[k]
		c.pairs++
		if !v.counts() {
			if v.low {
				c.low++
			} else {
				c.incomplete++
			}
			continue
		}
		c.counted++
		c.strength += math.Abs(v.Z)
		if !math.IsNaN(v.Bias) {
			c.bias += v.Bias
			c.same += v.same
			c.ordered++
		}
		w, x := s.set.Weights[v.Principle], s.set.lean(&v)
		s.votes.Lean[k] = x
		all += w * x
		size += w * math.Abs(x)
		weight += w
		z += w * v.Z
		counted = append(counted, v)
	}
	s.cross(counted)
	if weight == 0 {
		return s.votes
	}
	s.labels++
	whole := sign(all, size)
	s.votes.Whole = float64(whole) * math.Abs(all) / weight
	for _, v := range counted {
		s.against(pair, &v, whole, all, size, weight, z)
	}
	return s.votes
}

// against compares one principle with the label and with what the label would
// be without it.
func (s *Stats) against(pair dataset.Hash, v *voice, whole int, all, size, weight, z float64) {
	c := &s.sums[s.index[v.Principle]]
	w, x := s.set.Weights[v.Principle], s.set.lean(v)
	own := sign(x, math.Abs(x))
	c.compared++
	c.agree += agree(own, whole)
	others := weight - w
	if others <= 1e-12*weight {
		c.lost++ // nobody else has a say
		return
	}
	rest := sign(all-w*x, size)
	c.comparedOthers++
	c.agreeOthers += agree(own, rest)
	r := (z - w*v.Z) / others
	c.zr += v.Z * r
	c.zz += v.Z * v.Z
	c.rr += r * r
	switch {
	case whole*rest < 0:
		c.flips++
		c.keep(example{pair, math.Min(math.Abs(all)/weight, math.Abs(all-w*x)/others)}, s.examples)
	case whole != 0 && rest == 0:
		c.lost++
	}
}

// cross compares the principles with each other.
func (s *Stats) cross(counted []voice) {
	k := len(s.sums)
	for i := range counted {
		for j := range counted {
			if i == j {
				continue
			}
			a, b := s.index[counted[i].Principle], s.index[counted[j].Principle]
			c := &s.both[a*k+b]
			x, y := counted[i].Z, counted[j].Z
			c.n++
			if x*y < 0 {
				c.opposite++
			}
			c.xy += x * y
			c.xx += x * x
		}
	}
}

// example is a pair that a principle decides, and how far: the smaller of the
// leans with and without it.
type example struct {
	pair dataset.Hash
	far  float64
}

// keep remembers the n farthest examples, so that it does not matter in which
// order pairs come.
func (c *sums) keep(e example, n int) {
	at := len(c.examples)
	for at > 0 && (c.examples[at-1].far < e.far || c.examples[at-1].far == e.far && e.pair.Less(c.examples[at-1].pair)) {
		at--
	}
	if at >= n {
		return
	}
	c.examples = append(c.examples, example{})
	copy(c.examples[at+1:], c.examples[at:])
	c.examples[at] = e
	c.examples = c.examples[:min(n, len(c.examples))]
}

// agree is 1 for two equal signs, 0 for opposite ones, ½ where one is 0.
func agree(a, b int) float64 { return float64(1+a*b) / 2 }

// sign gives the sign of a sum of terms whose sizes add up to size: what lies
// within rounding of 0 is a tie, whatever the weights' common factor.
func sign(x, size float64) int {
	switch {
	case math.Abs(x) <= 1e-12*size:
		return 0
	case x > 0:
		return 1
	}
	return -1
}
