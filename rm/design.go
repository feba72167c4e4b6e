package rm

import "slices"

// design makes the matrix of rows and sums the features of all replies into
// total, of cols places. Unless they are to be kept it frees the rows' features as
// it goes.
func (s *space) design(rows []row, total []float64, keep bool) *matrix {
	m := &matrix{x: make([]sparseRow, len(rows)), p: make([]float64, len(rows)), cols: s.cols()}
	n := max(1, min(maxBlocks/2, len(rows)/64))
	acc := make([][]float64, n)
	parallel(n, func(b int) {
		lo, hi := m.bounds(b, n)
		acc[b] = make([]float64, s.cols())
		d := differ{space: s, total: acc[b], diff: make([]float64, s.cols())}
		for i := lo; i < hi; i++ {
			m.x[i] = d.row(&rows[i])
			m.p[i] = rows[i].p()
			if !keep {
				rows[i].forget()
			}
		}
	})
	for _, a := range acc {
		for j, v := range a {
			total[j] += v
		}
	}
	return m
}

// known makes the matrix of rows that the space was not learned from; it sets
// what is expected of them.
func (s *space) known(rows []row) *matrix {
	m := &matrix{x: make([]sparseRow, len(rows)), p: make([]float64, len(rows)), cols: s.cols()}
	n := max(1, min(4*maxBlocks, len(rows)/64))
	parallel(n, func(b int) {
		d := differ{space: s, diff: make([]float64, s.cols())}
		lo, hi := m.bounds(b, n)
		for i := lo; i < hi; i++ {
			if s.expect != nil {
				rows[i].expected = s.expect.at(rows[i].words)
			}
			m.x[i] = d.row(&rows[i])
			m.p[i] = rows[i].p()
		}
	})
	return m
}

// differ makes rows of the matrix; it holds scratch space.
type differ struct {
	*space
	total []float64 // sum of the features of both replies of all rows
	diff  []float64 // all zero between rows
	cols  []uint32  // those of diff that were touched
}

// add puts a value of the reply with the given sign, 1 for a, −1 for b, into
// column j.
func (d *differ) add(j int, sign, v float64) {
	if d.total != nil {
		d.total[j] += v
	}
	if d.diff[j] == 0 {
		d.cols = append(d.cols, uint32(j))
	}
	d.diff[j] += sign * v
}

// charGrams adds the character n-grams of one reply.
func (d *differ) charGrams(es []entry, sign float64) {
	norm := d.chars.norm(es)
	for _, e := range es {
		if i := d.chars.at[e.bucket()]; i >= 0 {
			d.add(d.charCol(int(i)), sign, e.tf()*float64(d.chars.idf[i])*norm)
		}
	}
}

// hashed adds the hashed features of one reply: of each the first column alone,
// since the others of the stride follow from it and the expectation.
func (d *differ) hashed(es []entry, sign float64, r *row) {
	norm := d.words.norm(es)
	for _, e := range es {
		i := d.words.at[e.bucket()]
		if i < 0 {
			continue
		}
		j, v := d.wordCol(int(i)), e.tf()*float64(d.words.idf[i])*norm
		d.add(j, sign, v)
		if int(i) < d.common && d.total != nil {
			for c, g := range r.expected {
				d.total[j+1+c] += v * g
			}
		}
	}
}

// gates adds the gated style features of both replies: a value for each word of
// the prompt and each feature.
func (d *differ) gatedStyle(r *row) {
	k := d.dense()
	norm := d.gate.gateNorm(r.words)
	for _, e := range r.words {
		i := d.gate.at[e.bucket()]
		if i < 0 {
			continue
		}
		v := float64(d.gate.idf[i]) * norm
		first := d.gates() + int(i)*len(gated)
		for g, j := range gatedAt {
			d.add(first+g, 1, v*d.standard(j, r.dense[j]))
			d.add(first+g, -1, v*d.standard(j, r.dense[k+j]))
		}
	}
}

// expectedDense adds the dense features times what replies to the prompt are
// expected to be like.
func (d *differ) expectedDense(r *row) {
	k := d.dense()
	for j := range k {
		a, b := d.standard(j, r.dense[j]), d.standard(j, r.dense[k+j])
		for c, g := range r.expected {
			d.add(d.expects()+j*numExpected+c, 1, a*g)
			d.add(d.expects()+j*numExpected+c, -1, b*g)
		}
	}
}

// row gives the difference of the features of a and b.
func (d *differ) row(r *row) sparseRow {
	d.cols = d.cols[:0]
	k := d.dense()
	for j := range k {
		d.add(j, 1, d.standard(j, r.dense[j]))
		d.add(j, -1, d.standard(j, r.dense[k+j]))
	}
	if d.words != nil {
		d.hashed(r.a, 1, r)
		d.hashed(r.b, -1, r)
	}
	if d.chars != nil {
		d.charGrams(r.charsA, 1)
		d.charGrams(r.charsB, -1)
	}
	if d.gate != nil {
		d.gatedStyle(r)
		d.expectedDense(r)
	}
	slices.Sort(d.cols)
	// One array for both, the plain columns first: the dense ones, and those
	// behind the common words'.
	lo, hi := len(d.cols), len(d.cols)
	if d.common > 0 {
		lo, _ = slices.BinarySearch(d.cols, uint32(k))
		hi, _ = slices.BinarySearch(d.cols, uint32(d.wordEnd()))
	}
	out := sparseRow{col: make([]uint32, 0, len(d.cols)), val: make([]float32, 0, len(d.cols)), expected: r.expected}
	take := func(cols []uint32) {
		for _, j := range cols {
			// A column touched, cancelled and touched again stands there twice;
			// the second time its difference is spent.
			if v := float32(d.diff[j]); v != 0 {
				out.col = append(out.col, j)
				out.val = append(out.val, v)
			}
			d.diff[j] = 0
		}
	}
	take(d.cols[:lo])
	take(d.cols[hi:])
	out.plain = len(out.col)
	take(d.cols[lo:hi])
	return out
}
