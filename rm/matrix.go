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
	x    []sparseRow
	p    []float64 // label of each row: P(a is better)
	cols int
}

// sparseRow is one row's columns, ascending, and their values.
type sparseRow struct {
	col []uint32
	val []float32
}

func (m *matrix) rows() int { return len(m.x) }

// span gives the rows from i to j.
func (m *matrix) span(i, j int) *matrix { return &matrix{x: m.x[i:j], p: m.p[i:j], cols: m.cols} }

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
		entries += len(m.x[i].col)
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
			s, vals := 0.0, m.x[i].val
			for k, c := range m.x[i].col {
				s += w[c] * float64(vals[k])
			}
			out[i] = s
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
			vals, ri := m.x[i].val, r[i]
			if square {
				for k, c := range m.x[i].col {
					v := float64(vals[k])
					acc[c] += ri * v * v
				}
			} else {
				for k, c := range m.x[i].col {
					acc[c] += ri * float64(vals[k])
				}
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
			cols, vals := m.x[i].col, m.x[i].val
			z := 0.0
			for k, c := range cols {
				z += v[c] * float64(vals[k])
			}
			z *= h[i]
			for k, c := range cols {
				acc[c] += z * float64(vals[k])
			}
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
