package rm

import (
	"errors"
	"math"
	"math/rand/v2"
)

// Settings of the training of networks.
const (
	netHidden   = 32
	netBatch    = 64   // pairs a step
	netParts    = 4    // parts of a batch, whose gradients are computed apart
	netRate     = 1e-3 // of Adam
	netWordRate = 0.01 // of AdaGrad for the n-grams
	netDecay    = 0.1  // of the weights, each step times the rate
	netEpochs   = 12   // at most
	netPatience = 3    // epochs without a gain before it stops
	netBlind    = 3    // epochs where there are no validation pairs
)

// netPair is a pair as a network sees it.
type netPair struct {
	a, b      netReply
	p, weight float64
}

// mlp fits a network, or one to each of several resamples of the prompts. How
// many epochs it takes is chosen on the validation rows.
func (f *fitter) mlp() ([]member, blend, error) {
	fail := func(err error) ([]member, blend, error) { return nil, blend{}, err }
	f.t.L2, f.t.Temperature = netDecay, 1
	n := max(1, f.o.Ensemble)
	epochs := netBlind
	if f.t.Validation > 0 {
		val := f.rows[f.t.Train:]
		labels := f.labels(f.t.Train)
		mean := make([]float64, len(val))
		for k := range n {
			z, best, err := f.trainNetwork(k, f.t.Train, netEpochs, val, labels)
			if err != nil {
				return fail(err)
			}
			s := 1 / spread(z)
			if k == 0 {
				epochs, s = best, 1
			}
			for i := range mean {
				mean[i] += s * z[i] / float64(n)
			}
			if k == 0 && n > 1 {
				for i := range mean {
					mean[i] /= spread(z)
				}
			}
		}
		f.measure(mean, labels)
	}
	var members []member
	for k := range n {
		net := f.newNetwork(k)
		if _, err := f.fitNetwork(net, k, len(f.rows), epochs, nil); err != nil {
			return fail(err)
		}
		m := member{name: HeadMLP, head: net, scale: 1}
		z := make([]float64, len(f.rows))
		net.margins(f.space, f.rows, f.x, z)
		m.offset = net.mean(f.space, f.rows)
		if n > 1 {
			m.name, m.scale = memberName(k), 1/spread(z)
		}
		members = append(members, m)
	}
	kind := blendOne
	if n > 1 {
		kind = blendMean
	}
	return members, blend{Kind: kind}, nil
}

// mean gives the mean value over the replies of rows.
func (n *network) mean(s *space, rows []row) float64 {
	r := netReader{space: s}
	h := make([]float32, n.hidden)
	sum := 0.0
	for i := range rows {
		a, b := r.row(&rows[i])
		sum += n.value(a, h) + n.value(b, h)
	}
	return sum / float64(2*len(rows))
}

// trainNetwork fits network k to the first rows and gives its margins of the
// rows val at the epoch whose loss there is least, and that epoch.
func (f *fitter) trainNetwork(k, rows, epochs int, val []row, labels []float64) (best []float64, epoch int, err error) {
	net := f.newNetwork(k)
	low, z := math.Inf(1), make([]float64, len(val))
	_, err = f.fitNetwork(net, k, rows, epochs, func(e int) bool {
		net.margins(f.space, val, nil, z)
		_, loss := temperature(z, labels)
		f.t.Path = append(f.t.Path, PathPoint{L2: netDecay, LogLoss: loss, Accuracy: accuracy(z, labels)})
		if loss < low {
			low, epoch = loss, e
			best = append(best[:0], z...)
			f.measure(z, labels)
			f.soFar = &member{name: HeadMLP, head: net.clone(), scale: 1, offset: net.mean(f.space, f.rows)}
		}
		return e-epoch >= netPatience
	})
	return best, epoch, err
}

// newNetwork makes network k with random weights.
func (f *fitter) newNetwork(k int) *network {
	r := rand.New(rand.NewPCG(uint64(memberSeed(f.o.Seed, k)), 1))
	in, words := f.space.numInputs(), f.space.netWords()
	n := &network{hidden: netHidden}
	fill := func(size int, sd float64) []float32 {
		v := make([]float32, size)
		for i := range v {
			v[i] = float32(sd * r.NormFloat64())
		}
		return v
	}
	n.in = fill(in*netHidden, 1/math.Sqrt(float64(in)))
	n.word = fill(words*netHidden, 0.3)
	n.bias = make([]float32, netHidden)
	n.out = fill(netHidden, 1/math.Sqrt(netHidden))
	return n
}

// errNetwork tells that the weights of a network grew beyond all bounds.
var errNetwork = errors.New("the network's fit does not converge: features or labels are not finite")

// fitNetwork trains net on the first rows for so many epochs; after each it calls
// done, if there is one, with the number of epochs so far, and ends when that
// says so. The steps are AdamW's (Loshchilov and Hutter 2019), for n-grams those
// of AdaGrad (Duchi et al. 2011), in an order that the seed decides.
func (f *fitter) fitNetwork(net *network, k, rows, epochs int, done func(int) bool) (int, error) {
	r := rand.New(rand.NewPCG(uint64(memberSeed(f.o.Seed, k)), 2))
	weight := f.x.weight
	if f.o.Ensemble > 1 {
		weight = f.resample(f.x, k).weight
	}
	opt := newAdam(net)
	order := r.Perm(rows)
	for e := 1; e <= epochs; e++ {
		r.Shuffle(rows, func(i, j int) { order[i], order[j] = order[j], order[i] })
		for at := 0; at < rows; at += netBatch {
			if err := f.ctx.Err(); err != nil {
				return e, err
			}
			f.progress("network", at/netBatch, (rows+netBatch-1)/netBatch)
			opt.begin()
			batch := order[at:min(rows, at+netBatch)]
			parallel(netParts, func(p int) {
				g := &opt.parts[p]
				rd := netReader{space: f.space}
				for _, i := range batch[len(batch)*p/netParts : len(batch)*(p+1)/netParts] {
					c := 1.0
					if weight != nil {
						c = weight[i]
					}
					if c == 0 {
						continue
					}
					a, b := rd.row(&f.rows[i])
					g.add(net, netPair{a, b, f.x.p[i], c})
				}
			})
			opt.step(net, len(batch), netRate/(1+0.25*float64(e-1)))
		}
		if !net.finite() {
			return e, errNetwork
		}
		if done != nil && done(e) {
			return e, nil
		}
	}
	return epochs, nil
}

// netGradient is the gradient of a part of a batch.
type netGradient struct {
	network       // words left empty
	ha, hb, delta []float32
	words         []wordGradient
	loss          float64
}

// wordGradient is that of one n-gram.
type wordGradient struct {
	place int32
	g     []float32
}

func newGradient(n *network) netGradient {
	return netGradient{
		network: network{
			hidden: n.hidden, in: make([]float32, len(n.in)),
			bias: make([]float32, n.hidden), out: make([]float32, n.hidden),
		},
		ha: make([]float32, n.hidden), hb: make([]float32, n.hidden), delta: make([]float32, n.hidden),
	}
}

func (g *netGradient) clear() {
	clear(g.in)
	clear(g.bias)
	clear(g.out)
	g.words, g.loss = g.words[:0], 0
}

// add adds the gradient of a pair's cross-entropy.
func (g *netGradient) add(n *network, p netPair) {
	z := n.value(p.a, g.ha) - n.value(p.b, g.hb)
	g.loss += p.weight * crossEntropy(z, p.p)
	t := float32(p.weight * (sigmoid(z) - p.p))
	for i, x := range []netReply{p.a, p.b} {
		h, s := g.ha, t
		if i == 1 {
			h, s = g.hb, -t
		}
		g.word = make([]float32, len(x.hits)*n.hidden)
		n.back(x, h, s, &g.network, g.delta)
		for j, w := range x.hits {
			g.words = append(g.words, wordGradient{w.place, g.word[j*n.hidden : (j+1)*n.hidden]})
		}
	}
}

// adam is the state of the training's steps.
type adam struct {
	parts        []netGradient
	first, other [3][]float32 // moments of in, bias, out
	words        []float32    // sums of squares, by n-gram
	steps        int
}

func newAdam(n *network) *adam {
	a := &adam{words: make([]float32, len(n.word)/n.hidden)}
	for range netParts {
		a.parts = append(a.parts, newGradient(n))
	}
	for i, v := range [][]float32{n.in, n.bias, n.out} {
		a.first[i], a.other[i] = make([]float32, len(v)), make([]float32, len(v))
	}
	return a
}

func (a *adam) begin() {
	for i := range a.parts {
		a.parts[i].clear()
	}
}

// step moves the weights by the gradient of a batch of so many pairs.
func (a *adam) step(n *network, pairs int, rate float64) {
	const b1, b2, eps = 0.9, 0.999, 1e-8
	a.steps++
	c1, c2 := 1-math.Pow(b1, float64(a.steps)), 1-math.Pow(b2, float64(a.steps))
	scale := float32(1 / float64(pairs))
	for i, w := range [][]float32{n.in, n.bias, n.out} {
		m, v := a.first[i], a.other[i]
		var gs [netParts][]float32
		for p := range a.parts {
			gs[p] = [][]float32{a.parts[p].in, a.parts[p].bias, a.parts[p].out}[i]
		}
		for j := range w {
			g := float32(0)
			for p := range gs {
				g += gs[p][j]
			}
			g *= scale
			m[j] = b1*m[j] + (1-b1)*g
			v[j] = b2*v[j] + (1-b2)*g*g
			step := float64(m[j]) / c1 / (math.Sqrt(float64(v[j])/c2) + eps)
			w[j] -= float32(rate * (step + netDecay*float64(w[j])))
		}
	}
	for p := range a.parts {
		for _, w := range a.parts[p].words {
			at := n.word[int(w.place)*n.hidden : (int(w.place)+1)*n.hidden]
			sq := float32(0)
			for _, g := range w.g {
				sq += g * g
			}
			a.words[w.place] += sq / float32(n.hidden)
			if s := math.Sqrt(float64(a.words[w.place])); s > 0 {
				axpy(float32(-netWordRate/s), w.g, at)
			}
		}
	}
}
