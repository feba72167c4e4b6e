package rm

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestNetworkGradientIsThatOfItsLoss compares with central differences, in the
// precision that float32 leaves.
func TestNetworkGradientIsThatOfItsLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		const inputs, words, hidden = 3, 4, 5
		fill := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
			return v
		}
		n := &network{hidden: hidden, in: fill(inputs * hidden), word: fill(words * hidden), bias: fill(hidden), out: fill(hidden)}
		reply := func() netReply {
			return netReply{in: fill(inputs), hits: []hit{{int32(r.IntN(words)), r.Float32()}, {int32(r.IntN(words)), r.Float32()}}}
		}
		pair := netPair{reply(), reply(), r.Float64(), 0.5 + r.Float64()}
		g := newGradient(n)
		g.add(n, pair)
		got := map[*float32]float64{}
		for _, v := range []struct{ w, g []float32 }{{n.in, g.in}, {n.bias, g.bias}, {n.out, g.out}} {
			for i := range v.w {
				got[&v.w[i]] = float64(v.g[i])
			}
		}
		for i := range n.word {
			got[&n.word[i]] = 0
		}
		for _, w := range g.words {
			for k, v := range w.g {
				got[&n.word[int(w.place)*hidden+k]] += float64(v)
			}
		}
		loss := func() float64 {
			h := make([]float32, hidden)
			return pair.weight * crossEntropy(n.value(pair.a, h)-n.value(pair.b, h), pair.p)
		}
		if math.Abs(loss()-g.loss) > 1e-6 {
			t.Fatalf("loss %v, want %v", g.loss, loss())
		}
		const eps = 1.0 / 256
		for w, v := range got {
			old := *w
			*w = old + eps
			up := loss()
			*w = old - eps
			down := loss()
			*w = old
			// A unit that turns on or off within the step has no gradient there.
			if d := (up - down) / (2 * eps); math.Abs(d-v) > 0.02*(1+math.Abs(v)) && !kinked(n, pair, w, eps) {
				t.Errorf("gradient %v, differences say %v", v, d)
			}
		}
	})
}

// kinked tells whether a hidden unit changes sides when w moves by eps.
func kinked(n *network, p netPair, w *float32, eps float32) bool {
	sides := func() (out []bool) {
		h := make([]float32, n.hidden)
		for _, x := range []netReply{p.a, p.b} {
			n.value(x, h)
			for _, v := range h {
				out = append(out, v > 0)
			}
		}
		return out
	}
	old := *w
	*w = old + eps
	up := sides()
	*w = old - eps
	down := sides()
	*w = old
	for i := range up {
		if up[i] != down[i] {
			return true
		}
	}
	return false
}

func TestGateGradientIsThatOfItsLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		g := gateFit{z: [][]float64{nil, nil, nil}}
		for range 7 {
			var w row
			for c := range w.expected {
				w.expected[c] = r.NormFloat64()
			}
			g.rows, g.p = append(g.rows, w), append(g.p, r.Float64())
			for k := range g.z {
				g.z[k] = append(g.z[k], r.NormFloat64())
			}
		}
		theta := make([]float64, 1+len(g.z)*stride)
		for j := range theta {
			theta[j] = r.NormFloat64()
		}
		grad := make([]float64, len(theta))
		g.value(theta, grad)
		for j := range theta {
			old := theta[j]
			theta[j] = old + 1e-5
			up := g.value(theta, nil)
			theta[j] = old - 1e-5
			down := g.value(theta, nil)
			theta[j] = old
			if d := (up - down) / 2e-5; math.Abs(d-grad[j]) > 1e-6*(1+math.Abs(d)) {
				t.Errorf("parameter %d: gradient %v, differences say %v", j, grad[j], d)
			}
		}
	})
}

// TestPoissonHasMeanOne over the places of a resample.
func TestPoissonHasMeanOne(t *testing.T) {
	n, sum, sq := 100000, 0.0, 0.0
	for i := range n {
		k := float64(poisson(unit(uint64(i))))
		sum, sq = sum+k, sq+k*k
	}
	mean := sum / float64(n)
	if v := sq/float64(n) - mean*mean; math.Abs(mean-1) > 0.02 || math.Abs(v-1) > 0.03 {
		t.Errorf("mean %v, variance %v, want 1 and 1", mean, v)
	}
}
