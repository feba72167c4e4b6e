package rm

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// matrix is the sparse design matrix, by rows: the difference of the features
// of the two replies of each pair. A column is a feature; each row holds its
// entries divided by the scales of their columns, so that what all entries of a
// column have in common, such as an idf, is not stored with each.
type matrix struct {
	x []sparseRow
	p []float64 // label of each row: P(a is better)
	// weight of each row, with mean 1; nil where all are 1
	weight []float64
	like   *likelihood // nil is Bradley–Terry
	by     []int32     // annotator of each row; nil where nobody asked
	scale  []float32   // by column; nil where all are 1
	cols   int
	// disk has the rows where they do not fit into memory, from number first on.
	disk  *diskRows
	first int
}

// sparseRow is one row: entries of any value, and terms.
type sparseRow struct {
	col []uint32
	val []float32
	// plain is how many entries are of one column. Each of those behind is of
	// as many columns as there are numbers in expected, and one more: its value,
	// and its value times each of those, in columns that follow one another.
	// They are not stored, since they come from the row's few numbers.
	plain    int
	expected [numExpected]float64

	// terms are hashed features by their places in a vocabulary, with their
	// counts, as most features of a pair are: in one reply only, so that the
	// norm of that reply is all there is to know. They take half the room of
	// other entries.
	terms []entry
	runs  []run
}

// run is a stretch of a row's terms with the factors in common. A term with
// place i is the entries of the columns first + i·stride + c, for c below
// stride, each the value of its count times by[c].
type run struct {
	end           int32 // in terms; it begins where the one before it ends
	first, stride int32
	by            [maxStride]float64
}

// maxStride bounds the columns of one term.
const maxStride = 4

// float is what weights are held in.
type float interface{ float32 | float64 }

// dotRow is the row times w.
func dotRow[T float](r *sparseRow, w []T) float64 {
	z := 0.0
	vals := r.val[:len(r.col)]
	for k, c := range r.col[:r.plain] {
		z += float64(w[c]) * float64(vals[k])
	}
	g := r.expected
	vals = vals[r.plain:]
	for k, c := range r.col[r.plain:] {
		v := w[c : c+1+numExpected : c+1+numExpected]
		z += (float64(v[0]) + g[0]*float64(v[1]) + g[1]*float64(v[2])) * float64(vals[k])
	}
	from := int32(0)
	for i := range r.runs {
		run := &r.runs[i]
		z += dotRun(run, r.terms[from:run.end], w[run.first:])
		from = run.end
	}
	return z
}

// dotRun is what the terms of a run come to with the weights w, from its first
// column on. The sums are several, so that one addition does not wait for the
// other.
func dotRun[T float](r *run, es []entry, w []T) float64 {
	var a, b, c, d float64
	switch r.stride {
	case 1:
		for ; len(es) >= 4; es = es[4:] {
			a += es[0].tf() * float64(w[es[0]>>8])
			b += es[1].tf() * float64(w[es[1]>>8])
			c += es[2].tf() * float64(w[es[2]>>8])
			d += es[3].tf() * float64(w[es[3]>>8])
		}
		for _, e := range es {
			a += e.tf() * float64(w[e>>8])
		}
		return (a + b + c + d) * r.by[0]
	case 3:
		for _, e := range es {
			v, t := w[e>>8*3:][:3], e.tf()
			a += t * float64(v[0])
			b += t * float64(v[1])
			c += t * float64(v[2])
		}
		return a*r.by[0] + b*r.by[1] + c*r.by[2]
	case 4:
		for _, e := range es {
			v, t := w[e>>8*4:][:4], e.tf()
			a += t * float64(v[0])
			b += t * float64(v[1])
			c += t * float64(v[2])
			d += t * float64(v[3])
		}
		return a*r.by[0] + b*r.by[1] + c*r.by[2] + d*r.by[3]
	}
	for _, e := range es {
		for c := range r.stride {
			a += e.tf() * r.by[c] * float64(w[int32(e>>8)*r.stride+c])
		}
	}
	return a
}

// addTo adds t times the row to acc.
func (r *sparseRow) addTo(acc []float64, t float64) {
	vals := r.val[:len(r.col)]
	for k, c := range r.col[:r.plain] {
		acc[c] += t * float64(vals[k])
	}
	t1, t2 := t*r.expected[0], t*r.expected[1]
	vals = vals[r.plain:]
	for k, c := range r.col[r.plain:] {
		v, x := acc[c:c+1+numExpected:c+1+numExpected], float64(vals[k])
		v[0] += t * x
		v[1] += t1 * x
		v[2] += t2 * x
	}
	from := int32(0)
	for i := range r.runs {
		run := &r.runs[i]
		run.addTo(r.terms[from:run.end], acc[run.first:], t)
		from = run.end
	}
}

func (r *run) addTo(es []entry, acc []float64, t float64) {
	by := r.by
	for c := range by {
		by[c] *= t
	}
	switch r.stride {
	case 1:
		for _, e := range es {
			acc[e>>8] += by[0] * e.tf()
		}
	case 3:
		for _, e := range es {
			v, t := acc[e>>8*3:][:3], e.tf()
			v[0] += by[0] * t
			v[1] += by[1] * t
			v[2] += by[2] * t
		}
	case 4:
		for _, e := range es {
			v, t := acc[e>>8*4:][:4], e.tf()
			v[0] += by[0] * t
			v[1] += by[1] * t
			v[2] += by[2] * t
			v[3] += by[3] * t
		}
	default:
		for _, e := range es {
			for c := range r.stride {
				acc[int32(e>>8)*r.stride+c] += by[c] * e.tf()
			}
		}
	}
}

// addSquares adds t times the squares of the row's entries to acc.
func (r *sparseRow) addSquares(acc []float64, t float64) {
	for k, c := range r.col {
		v := float64(r.val[k])
		acc[c] += t * v * v
		if k >= r.plain {
			for e, g := range r.expected {
				acc[int(c)+1+e] += t * v * v * g * g
			}
		}
	}
	from := int32(0)
	for i := range r.runs {
		run := &r.runs[i]
		es, acc := r.terms[from:run.end], acc[run.first:]
		from = run.end
		if run.stride == 1 {
			s := t * run.by[0] * run.by[0]
			for _, e := range es {
				acc[e>>8] += s * e.tf() * e.tf()
			}
			continue
		}
		for _, e := range es {
			for c := range run.stride {
				v := run.by[c] * e.tf()
				acc[int32(e>>8)*run.stride+c] += t * v * v
			}
		}
	}
}

// entries is how many numbers the row stands for.
func (r *sparseRow) entries() int {
	n := r.plain + (1+numExpected)*(len(r.col)-r.plain)
	from := int32(0)
	for _, run := range r.runs {
		n += int((run.end - from) * run.stride)
		from = run.end
	}
	return n
}

func (m *matrix) rows() int { return len(m.p) }

// each calls f for the rows from lo up to hi, in order. The rows are good only
// until f returns.
func (m *matrix) each(lo, hi int, f func(i int, r *sparseRow)) {
	if m.disk != nil {
		m.disk.each(m.first+lo, m.first+hi, func(i int, r *sparseRow) { f(i-m.first, r) })
		return
	}
	for i := lo; i < hi; i++ {
		f(i, &m.x[i])
	}
}

// span gives the rows from i to j.
func (m *matrix) span(i, j int) *matrix {
	s := &matrix{p: m.p[i:j], like: m.like, scale: m.scale, cols: m.cols, disk: m.disk, first: m.first + i}
	if m.disk == nil {
		s.x = m.x[i:j]
	}
	if m.by != nil {
		s.by = m.by[i:j]
	}
	if m.weight != nil {
		s.weight = m.weight[i:j]
	}
	return s
}

// weigh multiplies a value of each row by its weight.
func (m *matrix) weigh(v []float64) {
	for i, w := range m.weight {
		v[i] *= w
	}
}

// parallel calls f for each block from 0 to n−1, on as many goroutines as
// there are processors. What f computes must not hang on which runs first.
func parallel(n int, f func(block int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		}()
	}
	wg.Wait()
}

// blocks is how many blocks of rows a sum over rows is divided into: as many
// as can work at once, but so few that adding up their results costs little
// beside the work. It hangs on the data alone, never on the machine, so that
// sums round the same everywhere.
func (m *matrix) blocks() int {
	entries := 0
	if m.disk != nil {
		for _, n := range m.disk.entries[m.first:][:m.rows()] {
			entries += int(n)
		}
	}
	for i := range m.x {
		entries += m.x[i].entries()
	}
	return max(1, min(maxBlocks, entries/(6*max(1, m.cols))))
}

// maxBlocks bounds the blocks, and with them the processors that a fit uses.
const maxBlocks = 8

// bounds gives the rows of block i of n.
func (m *matrix) bounds(i, n int) (int, int) { return m.rows() * i / n, m.rows() * (i + 1) / n }

// scaled are weights times the scales of their columns, for a pass. Being read
// far more often than they are made, and from memory that is seldom near, they
// are in 32 bits.
var scaled = sync.Pool{New: func() any { return new([]float32) }}

// times computes out = X·w.
func (m *matrix) times(w, out []float64) {
	n := min(m.rows(), 4*maxBlocks) // each row is a sum of its own
	if m.scale == nil {
		parallel(n, func(b int) {
			lo, hi := m.bounds(b, n)
			m.each(lo, hi, func(i int, r *sparseRow) { out[i] = dotRow(r, w) })
		})
		return
	}
	u := m.scaled(w)
	defer scaled.Put(u)
	parallel(n, func(b int) {
		lo, hi := m.bounds(b, n)
		m.each(lo, hi, func(i int, r *sparseRow) { out[i] = dotRow(r, *u) })
	})
}

func (m *matrix) scaled(w []float64) *[]float32 {
	u := scaled.Get().(*[]float32)
	if cap(*u) < m.cols {
		*u = make([]float32, m.cols)
	}
	*u = (*u)[:m.cols]
	for j, c := range m.scale {
		(*u)[j] = float32(w[j] * float64(c))
	}
	return u
}

// sums is the scratch space of sums over rows.
type sums [][]float64

func (m *matrix) newSums() sums {
	s := make(sums, m.blocks())
	for i := range s {
		s[i] = make([]float64, m.cols)
	}
	return s
}

// transposeTimes computes out = Xᵀ·r, or with square the sum of r·x² for each
// column.
func (m *matrix) transposeTimes(r, out []float64, square bool, s sums) {
	n := len(s)
	parallel(n, func(b int) {
		acc := s[b]
		clear(acc)
		lo, hi := m.bounds(b, n)
		m.each(lo, hi, func(i int, x *sparseRow) {
			if square {
				x.addSquares(acc, r[i])
			} else {
				x.addTo(acc, r[i])
			}
		})
	})
	m.total(s, out, square)
}

// curve computes out = Xᵀ·diag(h)·X·v in one pass: each row is used twice while
// it is in the cache.
func (m *matrix) curve(h, v, out []float64, s sums) {
	n := len(s)
	var u *[]float32
	if m.scale != nil {
		u = m.scaled(v)
		defer scaled.Put(u)
	}
	parallel(n, func(b int) {
		acc := s[b]
		clear(acc)
		lo, hi := m.bounds(b, n)
		m.each(lo, hi, func(i int, r *sparseRow) {
			var z float64
			if u != nil {
				z = dotRow(r, *u)
			} else {
				z = dotRow(r, v)
			}
			r.addTo(acc, h[i]*z)
		})
	})
	m.total(s, out, false)
}

// total adds up the blocks, always in the same order, and scales the columns,
// of squares by the squares of their scales.
func (m *matrix) total(s sums, out []float64, square bool) {
	n := 4 * maxBlocks // each column is a sum of its own
	parallel(n, func(b int) {
		lo, hi := len(out)*b/n, len(out)*(b+1)/n
		copy(out[lo:hi], s[0][lo:hi])
		for _, acc := range s[1:] {
			for c := lo; c < hi; c++ {
				out[c] += acc[c]
			}
		}
		m.rescale(out, lo, hi)
		if square {
			m.rescale(out, lo, hi)
		}
	})
}

// rescale multiplies the columns from lo to hi by their scales.
func (m *matrix) rescale(out []float64, lo, hi int) {
	if m.scale == nil {
		return
	}
	for c, v := range m.scale[lo:hi] {
		out[lo+c] *= float64(v)
	}
}

// sigmoid is 1 / (1 + e^−z).
func sigmoid(z float64) float64 {
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}

// crossEntropy is −p·ln σ(z) − (1 − p)·ln σ(−z), in nats, without overflow.
func crossEntropy(z, p float64) float64 {
	return math.Max(z, 0) - p*z + math.Log1p(math.Exp(-math.Abs(z)))
}
