package rm

import "math"

// scales gives the scales of the matrix's columns: the idf of hashed features
// and of the prompt's words, 1 of the others.
func (s *space) scales() []float32 {
	c := make([]float32, s.cols())
	for j := range c {
		c[j] = 1
	}
	if s.words != nil {
		for i, idf := range s.words.idf {
			j := s.wordCol(i)
			c[j] = idf
			if i < s.common {
				for e := range numExpected {
					c[j+1+e] = idf
				}
			}
		}
	}
	if s.chars != nil {
		copy(c[s.charCol(0):], s.chars.idf)
	}
	if s.gate != nil {
		for i, idf := range s.gate.idf {
			for g := range gated {
				c[s.gates()+i*len(gated)+g] = idf
			}
		}
	}
	return c
}

// places gives the known ones of the hashed features as terms, and 1 over the
// norm of all.
func (v *vocab) places(es, out []entry) ([]entry, float64) {
	sum := 0.0
	for _, e := range es {
		x := e.tf()
		if i := v.at[e.bucket()]; i >= 0 {
			x *= float64(v.idf[i])
			out = append(out, entry(i)<<8|e&0xff)
		} else {
			x *= float64(v.rare)
		}
		sum += x * x
	}
	if sum == 0 {
		return out, 0
	}
	return out, 1 / math.Sqrt(sum)
}

// differ makes rows of the matrix; it holds scratch space.
type differ struct {
	*space
	total []float64 // sum of the features of both replies of all rows, by the scales; nil where nobody asks
	mark  []int32   // by place: 1 + that in a; all zero between rows
	a, b  []entry
	out   sparseRow
	// Entries of stride columns, which stand behind the others in the end.
	col []uint32
	val []float32
}

func (s *space) newDiffer(total []float64) *differ {
	n := 0
	for _, v := range []*vocab{s.words, s.chars} {
		if v != nil {
			n = max(n, len(v.index))
		}
	}
	return &differ{space: s, total: total, mark: make([]int32, n)}
}

// plain puts the values of both replies into column j.
func (d *differ) plain(j int, a, b float64) {
	if d.total != nil {
		d.total[j] += a + b
	}
	if v := float32(a - b); v != 0 {
		d.out.col = append(d.out.col, uint32(j))
		d.out.val = append(d.out.val, v)
	}
}

// sum adds terms times their factor to the total.
func (d *differ) sum(es []entry, norm float64, first, common int, g [numExpected]float64) {
	if d.total == nil {
		return
	}
	for _, e := range es {
		v, i := e.tf()*norm, int(e>>8)
		if i >= common {
			d.total[first+common*numExpected+i] += v
			continue
		}
		t := d.total[first+i*stride:][:stride]
		t[0] += v
		for c, x := range g {
			t[1+c] += v * x
		}
	}
}

// hashed adds hashed features of both replies, of which v is the vocabulary and
// first the first column: those of one reply as terms, those of both as
// entries. The first common places have a stride.
func (d *differ) hashed(v *vocab, a, b []entry, first, common int) {
	var na, nb float64
	d.a, na = v.places(a, d.a[:0])
	d.b, nb = v.places(b, d.b[:0])
	d.sum(d.a, na, first, common, d.out.expected)
	d.sum(d.b, nb, first, common, d.out.expected)
	for k, e := range d.a {
		d.mark[e>>8] = int32(k + 1)
	}
	kept := d.b[:0]
	for _, e := range d.b {
		k := d.mark[e>>8]
		if k == 0 {
			kept = append(kept, e)
			continue
		}
		v := float32(d.a[k-1].tf()*na - e.tf()*nb)
		d.a[k-1] &^= 0xff
		i := int(e >> 8)
		switch {
		case v == 0:
		case i < common:
			d.col, d.val = append(d.col, uint32(first+i*stride)), append(d.val, v)
		default:
			d.out.col, d.out.val = append(d.out.col, uint32(first+common*numExpected+i)), append(d.out.val, v)
		}
	}
	d.b = kept
	for _, e := range d.a {
		d.mark[e>>8] = 0
	}
	g := d.out.expected
	for _, r := range []struct {
		es   []entry
		norm float64
	}{{d.a, na}, {d.b, -nb}} {
		if common > 0 {
			d.take(r.es, 0, common)
			d.run(first, stride, [maxStride]float64{r.norm, r.norm * g[0], r.norm * g[1]})
		}
		d.take(r.es, common, math.MaxInt)
		d.run(first+common*numExpected, 1, [maxStride]float64{r.norm})
	}
}

// take appends those of the terms whose places are from lo up to hi.
func (d *differ) take(es []entry, lo, hi int) {
	for _, e := range es {
		if i := int(e >> 8); i >= lo && i < hi && e&0xff != 0 {
			d.out.terms = append(d.out.terms, e)
		}
	}
}

// run makes a run of the terms since the one before.
func (d *differ) run(first, stride int, by [maxStride]float64) {
	begin, n := int32(0), len(d.out.runs)
	if n > 0 {
		begin = d.out.runs[n-1].end
	}
	if end := int32(len(d.out.terms)); end > begin {
		d.out.runs = append(d.out.runs, run{end, int32(first), int32(stride), by})
	}
}

// gatedStyle adds the gated style features of both replies: a term for each word
// of the prompt.
func (d *differ) gatedStyle(r *row) {
	norm := d.gate.gateNorm(r.words)
	k := len(r.dense) / 2
	var by, both [maxStride]float64
	for g, j := range gatedAt {
		a, b := d.standard(j, r.dense[j]), d.standard(j, r.dense[k+j])
		by[g], both[g] = norm*(a-b), norm*(a+b)
	}
	for _, e := range r.words {
		i := d.gate.at[e.bucket()]
		if i < 0 {
			continue
		}
		d.out.terms = append(d.out.terms, entry(i)<<8|1)
		if d.total != nil {
			for g := range gated {
				d.total[d.gates()+int(i)*len(gated)+g] += both[g]
			}
		}
	}
	d.run(d.gates(), len(gated), by)
}
