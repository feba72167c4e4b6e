package rm

import "slices"

// design makes the matrix of rows and sums the features of all replies into
// total, of cols places. Unless they are to be kept it frees the rows' features as
// it goes. Rows on a shelf become a matrix on it.
func (s *space) design(rows []row, total []float64, keep bool) *matrix {
	m := &matrix{p: make([]float64, len(rows)), cols: s.cols(), scale: s.scales()}
	sh := shelfOf(rows)
	if sh == nil {
		m.x = make([]sparseRow, len(rows))
	} else {
		m.disk = &diskRows{shelf: sh, entries: make([]int32, len(rows))}
		var err error
		if sh.matrix, err = createSpill(sh.dir); err != nil {
			sh.fail(err)
			return m
		}
	}
	n := max(1, min(maxBlocks/2, len(rows)/64))
	acc, written := make([][]float64, n), make([][]diskBlock, n)
	parallel(n, func(b int) {
		lo, hi := m.bounds(b, n)
		acc[b] = make([]float64, s.cols())
		d := s.newDiffer(acc[b])
		w := blockWriter{rows: m.disk}
		eachRow(rows[lo:hi], true, func(i int, r *row) {
			i += lo
			m.p[i] = r.p()
			if sh != nil {
				w.add(i, d.differ(r))
				return
			}
			m.x[i] = d.row(r)
			if !keep {
				r.forget()
			}
		})
		w.flush()
		written[b] = w.blocks
	})
	if sh != nil {
		m.disk.blocks = slices.Concat(written...)
	}
	for _, a := range acc {
		for j, v := range a {
			total[j] += v
		}
	}
	m.rescale(total, 0, len(total))
	return m
}

// known makes the matrix of rows that the space was not learned from; it sets
// what is expected of them.
func (s *space) known(rows []row) *matrix {
	m := &matrix{x: make([]sparseRow, len(rows)), p: make([]float64, len(rows)), cols: s.cols(), scale: s.scales()}
	n := max(1, min(4*maxBlocks, len(rows)/64))
	parallel(n, func(b int) {
		d := s.newDiffer(nil)
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

// expectedDense adds the dense features times what replies to the prompt are
// expected to be like.
func (d *differ) expectedDense(r *row) {
	k := d.dense()
	for j := range k {
		a, b := d.standard(j, r.dense[j]), d.standard(j, r.dense[k+j])
		for c, g := range r.expected {
			d.plain(d.expects()+j*numExpected+c, a*g, b*g)
		}
	}
}

// row gives the difference of the features of a and b.
func (d *differ) row(r *row) sparseRow {
	o := d.differ(r)
	return sparseRow{
		col: slices.Clone(o.col), val: slices.Clone(o.val), plain: o.plain, expected: r.expected,
		terms: slices.Clone(o.terms), runs: slices.Clone(o.runs),
	}
}

// differ gives what row does, good until the next.
func (d *differ) differ(r *row) *sparseRow {
	o := &d.out
	o.col, o.val, o.terms, o.runs = o.col[:0], o.val[:0], o.terms[:0], o.runs[:0]
	d.col, d.val = d.col[:0], d.val[:0]
	o.expected = r.expected
	k := d.dense()
	for j := range k {
		d.plain(j, d.standard(j, r.dense[j]), d.standard(j, r.dense[k+j]))
	}
	if d.words != nil {
		d.hashed(d.words, r.a, r.b, k, d.common)
	}
	if d.chars != nil {
		d.hashed(d.chars, r.charsA, r.charsB, d.charCol(0), 0)
	}
	if d.gate != nil {
		d.gatedStyle(r)
		d.expectedDense(r)
	}
	o.plain = len(o.col)
	o.col, o.val = append(o.col, d.col...), append(o.val, d.val...)
	return o
}
