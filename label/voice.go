package label

import (
	"math"
	"slices"

	"cai/dataset"
)

// slot gathers the samples of one question: one judge, principle and order.
type slot struct {
	p        float64 // sum of normalised probabilities of the first slot
	n        int
	single   float64 // log-odds of the first sample
	coverage float64 // smallest that counts
	low      bool    // a judgment was left out for its coverage
}

func (s *slot) add(j *dataset.Judgment, minCoverage float64) {
	if !dataset.Counts(j.Coverage, minCoverage) {
		s.low = true
		return
	}
	if s.n == 0 {
		s.coverage, s.single = j.Coverage, j.LogOdds()
	}
	s.coverage = min(s.coverage, j.Coverage)
	s.p += sigmoid(j.LogOdds())
	s.n++
}

func (s *slot) mean() float64 { return s.p / float64(s.n) }

// logOdds gives the log-odds of the mean probability. For one sample that is
// the sample's own log-odds, which is exact where the probability is rounded to
// 0 or 1.
func (s *slot) logOdds() float64 {
	if s.n == 1 {
		return s.single
	}
	p := s.mean()
	return math.Log(p) - math.Log1p(-p)
}

// voice is what one principle says about one pair, by all its judges together.
type voice struct {
	Part                    // P is set where the rule is known
	mean     float64        // ½[p_ab(a) + p_ba(a)]
	same     float64        // share of judges, by weight, for which the same slot won twice; NaN for one order
	coverage float64        // the smallest that counts
	low      bool           // a judgment was left out for its coverage
	judges   []dataset.Hash // those that count; none where the principle abstains
}

func (v *voice) counts() bool { return len(v.judges) > 0 }

// voices reads one pair's judgments, by principle hash. A principle of
// set.Weights that has a judgment is there even if it abstains.
func voices(js []dataset.Judgment, set *Settings) []voice {
	type who struct{ principle, judge dataset.Hash }
	slots := map[who]*[2]slot{}
	var order []who
	for i := range js {
		j := &js[i]
		if _, ok := set.Weights[j.Principle]; !ok || set.judge(j.Judge) <= 0 {
			continue
		}
		k := who{j.Principle, j.Judge}
		s := slots[k]
		if s == nil {
			s = new([2]slot)
			slots[k] = s
			order = append(order, k)
		}
		o := 0
		if j.Order == dataset.OrderBA {
			o = 1
		}
		s[o].add(j, set.MinCoverage)
	}
	slices.SortFunc(order, func(a, b who) int {
		if c := slices.Compare(a.principle[:], b.principle[:]); c != 0 {
			return c
		}
		return slices.Compare(a.judge[:], b.judge[:])
	})
	var out []voice
	for i := 0; i < len(order); {
		v := voice{Part: Part{Principle: order[i].principle}, coverage: math.Inf(1)}
		var pool pooled
		for ; i < len(order) && order[i].principle == v.Principle; i++ {
			s := slots[order[i]]
			v.low = v.low || s[0].low || s[1].low
			if pool.add(s, set.judge(order[i].judge), set.OneOrder) {
				v.judges = append(v.judges, order[i].judge)
				for _, o := range s {
					if o.n > 0 {
						v.coverage = min(v.coverage, o.coverage)
					}
				}
			}
		}
		pool.into(&v)
		out = append(out, v)
	}
	return out
}

// pooled averages several judges' readings of one principle, by their weights.
type pooled struct {
	z, mean, weight  float64
	bias, same, both float64 // of judges that were asked in both orders
}

// add counts a judge, and reports false where it abstains.
func (p *pooled) add(s *[2]slot, w float64, oneOrder bool) bool {
	switch {
	case s[0].n > 0 && s[1].n > 0:
		s1, s2 := s[0].logOdds(), s[1].logOdds()
		p.z += w * (s1 - s2) / 2
		p.mean += w * (s[0].mean() + 1 - s[1].mean()) / 2
		p.bias += w * (s1 + s2) / 2
		if s1*s2 > 0 {
			p.same += w
		}
		p.both += w
	case oneOrder && s[0].n > 0:
		p.z += w * s[0].logOdds()
		p.mean += w * s[0].mean()
	case oneOrder && s[1].n > 0:
		p.z -= w * s[1].logOdds()
		p.mean += w * (1 - s[1].mean())
	default:
		return false
	}
	p.weight += w
	return true
}

func (p *pooled) into(v *voice) {
	v.Bias, v.same = math.NaN(), math.NaN()
	if p.both > 0 {
		v.Bias, v.same = p.bias/p.both, p.same/p.both
		v.SameSlot = v.same > 0.5
	}
	if p.weight > 0 {
		v.Z, v.mean = p.z/p.weight, p.mean/p.weight
	}
}
