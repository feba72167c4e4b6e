package rm

// linear is the head that is a sum of weights times features.
type linear struct {
	weight   []float32 // by column
	variance []float32 // of the weight's posterior, 1/Hⱼⱼ by column; nil where it is not known
	prior    float64   // 1/λ, the variance of a weight that training said nothing of
}

func newLinear(w, diag []float64, l2 float64) *linear {
	l := &linear{weight: make([]float32, len(w)), prior: 1 / l2}
	for j, v := range w {
		l.weight[j] = float32(v)
	}
	if diag != nil {
		l.variance = make([]float32, len(w))
		for j, v := range diag {
			l.variance[j] = float32(1 / v)
		}
	}
	return l
}

// mean gives the head's mean over replies whose features sum up to total.
func (l *linear) mean(total []float64, replies int) float64 {
	sum := 0.0
	for j, w := range l.weight {
		sum += float64(w) * total[j]
	}
	return sum / float64(replies)
}

func (l *linear) margins(_ *space, _ []row, x *matrix, out []float64) {
	w := make([]float64, len(l.weight))
	for j, v := range l.weight {
		w[j] = float64(v)
	}
	x.times(w, out)
}

func (l *linear) tensors() map[string]tensor {
	t := map[string]tensor{"weight": {f: l.weight}}
	if l.variance != nil {
		t["variance"] = tensor{f: l.variance}
	}
	return t
}

func (l *linear) open(*Model) headState {
	return &linearState{
		linear:     l,
		gateWeight: make([]float64, len(gated)), gateVariance: make([]float64, len(gated)),
	}
}

// linearState is a linear head at work: what the prompt's words add to the
// weights of the gated style features, and the variances of that.
type linearState struct {
	*linear
	gateWeight, gateVariance []float64
}

// variances gives the variances of the weights of n columns from j on.
func (l *linear) variances(j, n int) []float32 {
	if l.variance == nil {
		return nil
	}
	return l.variance[j : j+n]
}

func (l *linearState) prompt(s *scorer) {
	if s.space.gate == nil {
		return
	}
	clear(l.gateWeight)
	clear(l.gateVariance)
	for _, h := range s.gates {
		first, x := s.space.gates()+int(h.place)*len(gated), float64(h.value)
		for g := range gated {
			l.gateWeight[g] += x * float64(l.weight[first+g])
		}
		for g, q := range l.variances(first, len(gated)) {
			l.gateVariance[g] += x * x * float64(q)
		}
	}
}

func (l *linearState) reply(s *scorer) (mean, variance float64) {
	sp := s.space
	k := len(s.standard)
	for j, v := range s.standard {
		mean += float64(l.weight[j]) * v
	}
	for j, q := range l.variances(0, k) {
		variance += float64(q) * s.standard[j] * s.standard[j]
	}
	if sp.gate != nil {
		for g, j := range gatedAt {
			v := s.standard[j]
			mean += l.gateWeight[g] * v
			variance += l.gateVariance[g] * v * v
		}
		at := sp.expects()
		for _, v := range s.standard {
			for c, g := range s.expected {
				mean += float64(l.weight[at+c]) * v * g
			}
			for c, q := range l.variances(at, numExpected) {
				variance += float64(q) * v * v * s.expected[c] * s.expected[c]
			}
			at += numExpected
		}
	}
	for _, h := range s.hits {
		at, v := sp.wordCol(int(h.place)), float64(h.value)
		wi := float64(l.weight[at])
		common := int(h.place) < sp.common
		if common {
			for c, g := range s.expected {
				wi += g * float64(l.weight[at+1+c])
			}
		}
		mean += wi * v
		if l.variance != nil {
			qi := float64(l.variance[at])
			if common {
				for c, g := range s.expected {
					qi += g * g * float64(l.variance[at+1+c])
				}
			}
			variance += qi * v * v
		}
	}
	for _, h := range s.charHits {
		at, v := sp.charCol(int(h.place)), float64(h.value)
		mean += float64(l.weight[at]) * v
		if l.variance != nil {
			variance += float64(l.variance[at]) * v * v
		}
	}
	if l.variance != nil {
		variance += l.prior * s.strange
	}
	return mean, variance
}
