package rm

import (
	"fmt"
	"slices"
)

// observed is what a scorer read of one reply. The zero value is the reply from
// which a single one is explained: average in everything, without a known n-gram.
type observed struct {
	standard       []float64
	raw            []float32
	hits, charHits []hit
}

// observe keeps what s has read.
func (s *scorer) observe() *observed {
	return &observed{
		standard: append([]float64(nil), s.standard...), raw: append([]float32(nil), s.dense...),
		hits: append([]hit(nil), s.hits...), charHits: append([]hit(nil), s.charHits...),
	}
}

// attribution divides the difference of the scores of two replies to one prompt
// among the features.
type attribution struct {
	dense    []float64 // by dense feature, what its own weight gives
	byPrompt []float64 // by dense feature, what the kind of prompt adds to that
	gated    []float64 // by gated feature
	asked    []float64 // by number that the sources give of the prompt
	expected [numExpected]float64
	words    [2][]float64 // by reply, by hit
	chars    [2][]float64
	// Of words, what the kind of prompt adds.
	wordsByPrompt [2][]float64
	// What the heads say where all features are 0, less their means over the
	// training replies.
	constant float64
}

func newAttribution(s *space, r [2]*observed) *attribution {
	a := &attribution{
		dense: make([]float64, s.dense()), byPrompt: make([]float64, s.dense()),
		gated: make([]float64, len(gated)), asked: make([]float64, s.asked()),
	}
	for i, o := range r {
		a.words[i], a.wordsByPrompt[i] = make([]float64, len(o.hits)), make([]float64, len(o.hits))
		a.chars[i] = make([]float64, len(o.charHits))
	}
	return a
}

// attribute adds c times what state k says of r[0] less what it says of r[1].
func (s *scorer) attribute(k int, c float64, r [2]*observed, single bool, a *attribution) error {
	switch h := s.states[k].(type) {
	case *linearState:
		h.attribute(s, c, r, a)
	case *networkState:
		h.attribute(s, c, r, single, a)
	default:
		return fmt.Errorf("%s: the parts of a %T are not known", s.members[k].name, h)
	}
	return nil
}

// attribute of a linear head is each weight times the difference of its feature.
func (l *linearState) attribute(s *scorer, c float64, r [2]*observed, a *attribution) {
	sp := s.space
	sign := [2]float64{c, -c}
	for i, o := range r {
		for j, v := range o.standard {
			a.dense[j] += sign[i] * float64(l.weight[j]) * v
		}
		if sp.gate != nil {
			for g, j := range gatedAt {
				if len(o.standard) > 0 {
					a.gated[g] += sign[i] * l.gateWeight[g] * o.standard[j]
				}
			}
			for j, v := range o.standard {
				for e, x := range s.expected {
					a.byPrompt[j] += sign[i] * float64(l.weight[sp.expects()+j*numExpected+e]) * v * x
				}
			}
		}
		for n, h := range o.hits {
			at, v := sp.wordCol(int(h.place)), sign[i]*float64(h.value)
			a.words[i][n] += float64(l.weight[at]) * v
			if int(h.place) < sp.common {
				for e, x := range s.expected {
					a.wordsByPrompt[i][n] += float64(l.weight[at+1+e]) * x * v
				}
			}
		}
		for n, h := range o.charHits {
			a.chars[i][n] += sign[i] * float64(l.weight[sp.charCol(int(h.place))]) * float64(h.value)
		}
	}
}

// attribute of a network is by integrated gradients (Sundararajan, Taly and Yan
// 2017) along the straight line from the inputs of r[1] to those of r[0], which
// are complete: they sum up to the difference. Along the line each hidden unit's
// sum is linear, so the gradient changes only where one passes zero and the
// integral needs no steps: input j gets Δxⱼ·Σₖ outₖ·inⱼₖ·tₖ, with tₖ the share of
// the line on which unit k is above zero. A single reply's line begins at inputs
// that are all zero, those of the average reply to the average prompt.
func (n *networkState) attribute(s *scorer, c float64, r [2]*observed, single bool, a *attribution) {
	sp := s.space
	var x [2]netReply
	for i, o := range r {
		x[i].in = make([]float32, sp.numInputs())
		if i == 0 || !single {
			sp.inputs(o.standard, s.asked, s.expected, x[i].in)
		}
		x[i].hits = sp.seen(slices.Clone(o.hits))
	}
	slope, from := n.path(x[0], x[1])
	if single {
		for k, o := range n.out {
			a.constant += c * float64(o) * max(0, from[k])
		}
	}
	along := func(w []float32, j int) float64 { return c * n.along(slope, w, j) }
	in := [2][]float32{x[0].in, x[1].in}
	part := func(j int) float64 {
		if d := float64(in[0][j]) - float64(in[1][j]); d != 0 {
			return d * along(n.in, j)
		}
		return 0
	}
	at := 0
	next := func() float64 { at++; return part(at - 1) }
	for j := range a.dense {
		a.dense[j] += next()
	}
	for e := range a.expected {
		a.expected[e] += next()
	}
	for j := range a.asked {
		a.asked[j] += next()
	}
	j := sp.firstSource()
	for _, src := range sp.sources {
		for i := range src.Reply {
			if src.Prompt == src.Reply {
				a.byPrompt[j+i] += next()
			}
		}
		j += src.Reply
	}
	for i, o := range r {
		sign := float64(1 - 2*i)
		for m, h := range o.hits {
			if int(h.place) < sp.netWords() {
				a.words[i][m] += sign * float64(h.value) * along(n.word, int(h.place))
			}
		}
	}
}

// path gives for each hidden unit its weight times the share of the way from the
// sums of b to those of a on which it is above zero, and the sums of b.
func (n *network) path(a, b netReply) (slope, from []float64) {
	var sums [2][]float64
	for i, x := range []netReply{a, b} {
		sums[i] = make([]float64, n.hidden)
		for k, v := range n.bias {
			sums[i][k] = float64(v)
		}
		for j, v := range x.in {
			n.addTimes(sums[i], n.in, j, float64(v))
		}
		for _, h := range x.hits {
			n.addTimes(sums[i], n.word, int(h.place), float64(h.value))
		}
	}
	slope = make([]float64, n.hidden)
	for k, o := range n.out {
		slope[k] = float64(o) * above(sums[0][k], sums[1][k])
	}
	return slope, sums[1]
}

// along gives the mean gradient by input j of w on a path with the given slopes.
func (n *network) along(slope []float64, w []float32, j int) (g float64) {
	for k, v := range w[j*n.hidden : (j+1)*n.hidden] {
		g += slope[k] * float64(v)
	}
	return g
}

// addTimes adds v times row j of w to out.
func (n *network) addTimes(out []float64, w []float32, j int, v float64) {
	if v == 0 {
		return
	}
	for k, x := range w[j*n.hidden : (j+1)*n.hidden] {
		out[k] += v * float64(x)
	}
}

// above gives the share of the way from a to b that is above zero.
func above(a, b float64) float64 {
	switch {
	case a > 0 && b > 0:
		return 1
	case a <= 0 && b <= 0:
		return 0
	}
	return max(a, b) / (max(a, b) - min(a, b))
}

// firstSource is the first of the dense features that the sources give.
func (s *space) firstSource() int {
	n := s.dense()
	for _, src := range s.sources {
		n -= src.Reply
	}
	return n
}
