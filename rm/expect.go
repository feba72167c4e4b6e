package rm

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"cai/dataset"
)

// Settings of the expectation, chosen like the others of the space. They are
// used in training alone.
const (
	// expectRidge is the ridge of the regression on the words of a prompt,
	// which have norm 1 together, for each prompt counted by its pairs.
	expectRidge = 5
	// expectFolds is the number of parts of the cross-fitting.
	expectFolds = 5
	// expectClip bounds a standardised expectation. It is part of the format.
	expectClip = 3
)

// numExpected is the number of principal components that are expected.
const numExpected = 2

// expectation tells from a prompt's words what replies to it tend to look like:
// the first principal components of the style features, over training pairs the
// mean of both replies, regressed on the words of the prompt. No label enters
// it. Where the prompt asks for something harmful replies refuse, where it asks
// for code they hold code; so these few numbers say what kind of prompt it is,
// and whether a feature speaks for a reply may hang on them: each style feature
// and each n-gram has a weight for each of them beside its own.
//
// Training pairs get their numbers from regressions that did not see their
// prompts, as the prompts to come will.
type expectation struct {
	words  *vocab
	weight []float32            // words × numExpected
	mean   [numExpected]float32 // of what it says of training pairs
	scale  [numExpected]float32 // 1 over its standard deviation
}

// prompts are the different prompts of rows.
type prompts struct {
	of    []int    // the prompt of each row
	words []uint32 // known words of all prompts, one prompt after the other,
	value []float32
	end   []int     // and where each prompt's end
	count []float64 // pairs of each
	fold  []int
	y     [][numExpected]float64
}

// add appends a prompt with the words x.
func (p *prompts) add(x sparseRow) {
	p.words, p.value = append(p.words, x.col...), append(p.value, x.val...)
	p.end = append(p.end, len(p.words))
}

// row gives the words of prompt i.
func (p *prompts) row(i int) (words []uint32, value []float32) {
	from := 0
	if i > 0 {
		from = p.end[i-1]
	}
	return p.words[from:p.end[i]], p.value[from:p.end[i]]
}

// at gives the numbers of a prompt with the given hashed words.
func (e *expectation) at(es []entry) (g [numExpected]float64) {
	x := e.row(es)
	raw := e.raw(x.col, x.val, func(c uint32, k int) float64 { return float64(e.weight[int(c)*numExpected+k]) })
	for k := range g {
		g[k] = e.standard(k, raw[k])
	}
	return g
}

func (e *expectation) standard(k int, v float64) float64 {
	z := (v - float64(e.mean[k])) * float64(e.scale[k])
	return max(-expectClip, min(expectClip, z))
}

func (e *expectation) raw(words []uint32, value []float32, weight func(c uint32, k int) float64) (g [numExpected]float64) {
	for i, c := range words {
		for k := range g {
			g[k] += float64(value[i]) * weight(c, k)
		}
	}
	return g
}

// row gives the known words of a prompt, by idf and with norm 1.
func (e *expectation) row(es []entry) (x sparseRow) {
	norm := e.words.gateNorm(es) / gateWeight
	for _, w := range es {
		if i := e.words.at[w.bucket()]; i >= 0 {
			x.col = append(x.col, uint32(i))
			x.val = append(x.val, float32(float64(e.words.idf[i])*norm))
		}
	}
	x.plain = len(x.col)
	return x
}

// fitExpectation learns the expectation from rows, whose style the space knows,
// and sets that of each row.
func (s *space) fitExpectation(rows []row) *expectation {
	e := &expectation{words: s.gate}
	axes := s.styleAxes(rows)
	p := e.gather(rows)
	k := len(styleNames)
	eachRow(rows, false, func(i int, r *row) {
		for c := range numExpected {
			t := 0.0
			for j := range k {
				t += axes[c][j] * (s.standard(j, r.dense[j]) + s.standard(j, r.dense[k+j]))
			}
			p.y[p.of[i]][c] += t / 2
		}
	})
	for i, n := range p.count {
		for c := range numExpected {
			p.y[i][c] /= n
		}
	}
	// What a regression on the other folds says of each prompt.
	out := make([][numExpected]float64, len(p.end))
	ws := make([][]float64, (expectFolds+1)*numExpected)
	parallel(len(ws), func(b int) { ws[b] = p.ridge(b/numExpected, b%numExpected, len(e.words.index)) })
	for i := range out {
		w := ws[p.fold[i]*numExpected:]
		words, value := p.row(i)
		out[i] = e.raw(words, value, func(c uint32, k int) float64 { return w[k][c] })
	}
	e.weight = make([]float32, len(e.words.index)*numExpected)
	for k := range numExpected {
		for c, v := range ws[expectFolds*numExpected+k] {
			e.weight[c*numExpected+k] = float32(v)
		}
		n, sum, sq := 0.0, 0.0, 0.0
		for i, o := range out {
			n, sum = n+p.count[i], sum+p.count[i]*o[k]
		}
		for i, o := range out {
			sq += p.count[i] * (o[k] - sum/n) * (o[k] - sum/n)
		}
		e.mean[k] = float32(sum / n)
		if sd := math.Sqrt(sq / n); sd > 1e-6 {
			e.scale[k] = float32(1 / sd)
		}
	}
	for i := range rows {
		for k := range numExpected {
			rows[i].expected[k] = e.standard(k, out[p.of[i]][k])
		}
	}
	return e
}

// gather finds the different prompts of rows.
func (e *expectation) gather(rows []row) *prompts {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	// In the order of their hashes, so that sums round the same however the
	// rows lie.
	slices.SortFunc(order, func(x, y int) int {
		if c := bytes.Compare(rows[x].prompt[:], rows[y].prompt[:]); c != 0 {
			return c
		}
		return bytes.Compare(rows[x].key[:], rows[y].key[:])
	})
	p := &prompts{of: make([]int, len(rows))}
	var last dataset.Hash
	var d rowReader
	for _, i := range order {
		r := &rows[i]
		if len(p.end) == 0 || r.prompt != last {
			last = r.prompt
			p.add(e.row(d.read(r, false).words))
			p.count = append(p.count, 0)
			p.fold = append(p.fold, int(binary.LittleEndian.Uint64(last[:8])%expectFolds))
		}
		p.of[i] = len(p.end) - 1
		p.count[len(p.end)-1]++
	}
	p.y = make([][numExpected]float64, len(p.end))
	return p
}

// ridge regresses component k of the targets on the words of the prompts of all
// folds but one, by conjugate gradients on the normal equations
// (Xᵀ·diag(n)·X + λI)·w = Xᵀ·diag(n)·y.
func (p *prompts) ridge(without, k, cols int) []float64 {
	times := func(w, out []float64) {
		copy(out, w)
		for j := range out {
			out[j] *= expectRidge
		}
		for i, fold := range p.fold {
			if fold == without {
				continue
			}
			words, value := p.row(i)
			z := 0.0
			for n, c := range words {
				z += w[c] * float64(value[n])
			}
			z *= p.count[i]
			for n, c := range words {
				out[c] += z * float64(value[n])
			}
		}
	}
	w, res, dir, hd := make([]float64, cols), make([]float64, cols), make([]float64, cols), make([]float64, cols)
	for i, fold := range p.fold {
		if fold != without {
			words, value := p.row(i)
			for n, c := range words {
				res[c] += p.count[i] * p.y[i][k] * float64(value[n])
			}
		}
	}
	copy(dir, res)
	rho := dot(res, res)
	for stop, i := 1e-4*rho, 0; rho > stop && i < 200; i++ {
		times(dir, hd)
		alpha := rho / dot(dir, hd)
		for j := range w {
			w[j] += alpha * dir[j]
			res[j] -= alpha * hd[j]
		}
		next := dot(res, res)
		for j := range dir {
			dir[j] = res[j] + next/rho*dir[j]
		}
		rho = next
	}
	return w
}

// styleAxes gives the first principal components of the style features, the
// mean of both replies of each row, by orthogonal iteration.
func (s *space) styleAxes(rows []row) (axes [numExpected][]float64) {
	k := len(styleNames)
	cov := make([]float64, k*k)
	t, mean := make([]float64, k), make([]float64, k)
	each := func(f func()) {
		eachRow(rows, false, func(_ int, r *row) {
			for j := range k {
				t[j] = (s.standard(j, r.dense[j]) + s.standard(j, r.dense[k+j])) / 2
			}
			f()
		})
	}
	each(func() {
		for j := range k {
			mean[j] += t[j] / float64(len(rows))
		}
	})
	each(func() {
		for j := range k {
			for l := range j + 1 {
				cov[j*k+l] += (t[j] - mean[j]) * (t[l] - mean[l])
			}
		}
	})
	for c := range axes {
		axes[c] = make([]float64, k)
		for j := range k {
			axes[c][j] = 1 / float64(1+(j+c*7)%k) // no axis of symmetry
		}
	}
	next := make([]float64, k)
	for range 200 {
		for c := range axes {
			clear(next)
			for j := range k {
				for l := range k {
					next[j] += cov[max(j, l)*k+min(j, l)] * axes[c][l]
				}
			}
			for _, before := range axes[:c] {
				d := dot(next, before)
				for j := range next {
					next[j] -= d * before[j]
				}
			}
			norm := math.Sqrt(dot(next, next))
			if norm < 1e-12 {
				clear(axes[c]) // the style varies in fewer ways
				continue
			}
			for j := range next {
				axes[c][j] = next[j] / norm
			}
		}
	}
	return axes
}
