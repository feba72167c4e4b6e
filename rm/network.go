package rm

import (
	"math"
	"slices"
)

// network is the head with one hidden layer of rectified units:
//
//	r = Σₖ outₖ·max(0, biasₖ + Σⱼ xⱼ·inⱼₖ + Σᵥ tᵥ·wordᵥₖ)
//
// The inputs x are the dense features, what is expected of replies to the
// prompt, what the sources say of the prompt and, of sources that say as much of
// the prompt as of the reply (embeddings), the products of both; all with mean 0
// and standard deviation 1. The t are the commonest n-grams.
type network struct {
	hidden int
	in     []float32 // inputs × hidden
	word   []float32 // n-grams × hidden
	bias   []float32
	out    []float32
}

// maxNetWords is the number of n-grams, the commonest, that a network sees.
const maxNetWords = 1 << 14

// numInputs is the number of inputs of a network on a space.
func (s *space) numInputs() int {
	n := s.dense() + s.asked() + numExpected
	for _, src := range s.sources {
		if src.Prompt == src.Reply {
			n += src.Reply
		}
	}
	return n
}

// netWords is the number of n-grams of a network on a space.
func (s *space) netWords() int {
	if s.words == nil {
		return 0
	}
	return min(maxNetWords, len(s.words.index))
}

// inputs computes the inputs of a network from what was standardised.
func (s *space) inputs(dense, asked []float64, expected [numExpected]float64, out []float32) {
	n := 0
	put := func(v float64) {
		out[n] = float32(v)
		n++
	}
	for j, v := range dense {
		put(v / s.size(j))
	}
	for _, v := range expected {
		put(v)
	}
	for _, v := range asked {
		put(v)
	}
	r, p := len(dense), 0
	for _, src := range s.sources {
		r -= src.Reply
	}
	for _, src := range s.sources {
		if src.Prompt == src.Reply {
			for j := range src.Reply {
				put(dense[r+j] / s.size(r+j) * asked[p+j])
			}
		}
		r, p = r+src.Reply, p+src.Prompt
	}
}

// netReply is a reply as a network sees it.
type netReply struct {
	in   []float32
	hits []hit
}

// value computes r, and the sums of the hidden units, of which there is room for
// in h.
func (n *network) value(x netReply, h []float32) float64 {
	copy(h, n.bias)
	for j, v := range x.in {
		if v != 0 {
			axpy(v, n.in[j*n.hidden:(j+1)*n.hidden], h)
		}
	}
	for _, t := range x.hits {
		axpy(t.value, n.word[int(t.place)*n.hidden:(int(t.place)+1)*n.hidden], h)
	}
	r := float32(0)
	for k, v := range h {
		if v > 0 {
			r += v * n.out[k]
		}
	}
	return float64(r)
}

// axpy adds a·x to y, which is of the same length.
func axpy(a float32, x, y []float32) {
	y = y[:len(x)]
	for k, v := range x {
		y[k] += a * v
	}
}

// back adds t times the gradient of r to g, whose words are those of x alone:
// that of hit i stands at i. h are the sums that value left.
func (n *network) back(x netReply, h []float32, t float32, g *network, delta []float32) {
	for k, v := range h {
		delta[k] = 0
		if v > 0 {
			g.out[k] += t * v
			delta[k] = t * n.out[k]
		}
	}
	axpy(1, delta, g.bias)
	for j, v := range x.in {
		if v != 0 {
			axpy(v, delta, g.in[j*n.hidden:(j+1)*n.hidden])
		}
	}
	for i, w := range x.hits {
		axpy(w.value, delta, g.word[i*n.hidden:(i+1)*n.hidden])
	}
}

func (n *network) tensors() map[string]tensor {
	return map[string]tensor{
		"in": {f: n.in, width: n.hidden}, "word": {f: n.word, width: n.hidden},
		"bias": {f: n.bias}, "out": {f: n.out},
	}
}

func (n *network) clone() *network {
	return &network{n.hidden, slices.Clone(n.in), slices.Clone(n.word), slices.Clone(n.bias), slices.Clone(n.out)}
}

// finite tells whether all weights are finite.
func (n *network) finite() bool {
	for _, v := range [][]float32{n.in, n.word, n.bias, n.out} {
		for _, w := range v {
			if math.IsNaN(float64(w)) || math.IsInf(float64(w), 0) {
				return false
			}
		}
	}
	return true
}

func (n *network) margins(s *space, rows []row, _ *matrix, out []float64) {
	nb := min(len(rows), 4*maxBlocks)
	parallel(nb, func(b int) {
		r := netReader{space: s}
		h := make([]float32, n.hidden)
		for i := len(rows) * b / nb; i < len(rows)*(b+1)/nb; i++ {
			x, y := r.row(&rows[i])
			out[i] = n.value(x, h) - n.value(y, h)
		}
	})
}

// netReader gives rows as a network sees them.
type netReader struct {
	*space
	dense, asked []float64
}

// row gives both replies.
func (r *netReader) row(w *row) (a, b netReply) {
	k := r.space.dense()
	if r.dense == nil {
		r.dense, r.asked = make([]float64, k), make([]float64, r.space.asked())
	}
	for j, v := range w.asked {
		r.asked[j] = r.standardAsked(j, v)
	}
	reply := func(dense []float32, es []entry) netReply {
		for j, v := range dense {
			r.dense[j] = r.standard(j, v)
		}
		x := netReply{in: make([]float32, r.numInputs())}
		r.inputs(r.dense, r.asked, w.expected, x.in)
		var strange float64
		x.hits = r.seen(r.words.hits(es, nil, &strange))
		return x
	}
	return reply(w.dense[:k], w.a), reply(w.dense[k:], w.b)
}

// seen leaves of the hits those that a network sees.
func (s *space) seen(hits []hit) []hit {
	out := hits[:0]
	for _, h := range hits {
		if int(h.place) < s.netWords() {
			out = append(out, h)
		}
	}
	return out
}

func (n *network) open(m *Model) headState {
	return &networkState{network: n, x: netReply{in: make([]float32, m.space.numInputs())}, h: make([]float32, n.hidden)}
}

// networkState is a network at work.
type networkState struct {
	*network
	x netReply
	h []float32
}

func (n *networkState) prompt(*scorer) {}

func (n *networkState) reply(s *scorer) (value, variance float64) {
	s.space.inputs(s.standard, s.asked, s.expected, n.x.in)
	n.x.hits = s.space.seen(append(n.x.hits[:0], s.hits...))
	return n.value(n.x, n.h), 0
}
