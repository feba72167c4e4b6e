package rm

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// matrix is the sparse design matrix, by rows: the difference of the features
// of the two replies of each pair, style columns first, then the hashed ones
// that are known, the commonest first.
type matrix struct {
	x []sparseRow
	p []float64 // label of each row: P(a is better)
	// weight of each row, with mean 1; nil where all are 1
	weight []float64
	cols   int
}

// sparseRow is one row's columns, ascending, and their values.
type sparseRow struct {
	col []uint32
	val []float32
	// plain is how many entries are of one column. Each of those behind is of
	// as many columns as there are numbers in expected, and one more: its value,
	// and its value times each of those, in columns that follow one another.
	// They are not stored, since they come from the row's few numbers.
	plain    int
	expected [numExpected]float64
}

// dot is the row times w.
func (r *sparseRow) dot(w []float64) float64 {
	z := 0.0
	vals := r.val[:len(r.col)]
	for k, c := range r.col[:r.plain] {
		z += w[c] * float64(vals[k])
	}
	if r.plain == len(r.col) {
		return z
	}
	g := r.expected
	vals = vals[r.plain:]
	for k, c := range r.col[r.plain:] {
		v := w[c : c+1+numExpected : c+1+numExpected]
		z += (v[0] + g[0]*v[1] + g[1]*v[2]) * float64(vals[k])
	}
	return z
}

// addTo adds t times the row to acc.
func (r *sparseRow) addTo(acc []float64, t float64) {
	vals := r.val[:len(r.col)]
	for k, c := range r.col[:r.plain] {
		acc[c] += t * float64(vals[k])
	}
	if r.plain == len(r.col) {
		return
	}
	t1, t2 := t*r.expected[0], t*r.expected[1]
	vals = vals[r.plain:]
	for k, c := range r.col[r.plain:] {
		v, x := acc[c:c+1+numExpected:c+1+numExpected], float64(vals[k])
		v[0] += t * x
		v[1] += t1 * x
		v[2] += t2 * x
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
}

func (m *matrix) rows() int { return len(m.x) }

// span gives the rows from i to j.
func (m *matrix) span(i, j int) *matrix {
	s := &matrix{x: m.x[i:j], p: m.p[i:j], cols: m.cols}
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
	for i := range m.x {
		entries += m.x[i].plain + (1+numExpected)*(len(m.x[i].col)-m.x[i].plain)
	}
	return max(1, min(maxBlocks, entries/(4*max(1, m.cols))))
}

// maxBlocks bounds the blocks, and with them the processors that a fit uses.
const maxBlocks = 8

// bounds gives the rows of block i of n.
func (m *matrix) bounds(i, n int) (int, int) { return m.rows() * i / n, m.rows() * (i + 1) / n }

// times computes out = X·w.
func (m *matrix) times(w, out []float64) {
	n := min(m.rows(), 4*maxBlocks) // each row is a sum of its own
	parallel(n, func(b int) {
		lo, hi := m.bounds(b, n)
		for i := lo; i < hi; i++ {
			out[i] = m.x[i].dot(w)
		}
	})
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
		for i := lo; i < hi; i++ {
			if square {
				m.x[i].addSquares(acc, r[i])
			} else {
				m.x[i].addTo(acc, r[i])
			}
		}
	})
	s.total(out)
}

// curve computes out = Xᵀ·diag(h)·X·v in one pass: each row is used twice while
// it is in the cache.
func (m *matrix) curve(h, v, out []float64, s sums) {
	n := len(s)
	parallel(n, func(b int) {
		acc := s[b]
		clear(acc)
		lo, hi := m.bounds(b, n)
		for i := lo; i < hi; i++ {
			m.x[i].addTo(acc, h[i]*m.x[i].dot(v))
		}
	})
	s.total(out)
}

// total adds up the blocks, always in the same order.
func (s sums) total(out []float64) {
	n := 4 * maxBlocks // each column is a sum of its own
	parallel(n, func(b int) {
		lo, hi := len(out)*b/n, len(out)*(b+1)/n
		copy(out[lo:hi], s[0][lo:hi])
		for _, acc := range s[1:] {
			for c := lo; c < hi; c++ {
				out[c] += acc[c]
			}
		}
	})
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
