package rm

import (
	"math"
	"slices"
)

// defaultOrders is the longest word n-gram.
const defaultOrders = 2

// minCount is the number of training replies that must have a bucket for it to
// get a weight.
const minCount = 2

// styleClip bounds a standardised style feature, so that one odd reply cannot
// carry a score anywhere.
const styleClip = 4

// space turns features into numbers: what the training pairs say of how common
// and how large each one is. Columns are the style features, then the known
// buckets in ascending order.
type space struct {
	spec
	mean, scale []float32 // of the style features
	index       []uint32  // the known buckets, ascending
	idf         []float32 // of the known buckets
	rare        float32   // the idf of any other
	at          []int32   // by bucket: the place in index, -1 where unknown
}

// styles is the number of style columns.
func (s *space) styles() int { return len(s.mean) }

func (s *space) cols() int { return s.styles() + len(s.index) }

// fitSpace learns the space from rows.
func fitSpace(rows []row, sp spec) *space {
	s := &space{spec: sp}
	if sp.style {
		s.fitStyle(rows)
	}
	if !sp.hash {
		return s
	}
	df := make([]int32, sp.dim)
	for i := range rows {
		for _, e := range rows[i].a {
			df[e.bucket()]++
		}
		for _, e := range rows[i].b {
			df[e.bucket()]++
		}
	}
	n := float64(2 * len(rows))
	// The smoothed idf, as if one more reply had every bucket.
	idf := func(df int32) float32 { return float32(1 + math.Log((1+n)/(1+float64(df)))) }
	for b, c := range df {
		if c >= minCount {
			s.index = append(s.index, uint32(b))
			s.idf = append(s.idf, idf(c))
		}
	}
	s.rare = idf(0)
	s.lookup()
	return s
}

// lookup makes the way from buckets to places in index.
func (s *space) lookup() {
	s.at = make([]int32, s.dim)
	for i := range s.at {
		s.at[i] = -1
	}
	for i, b := range s.index {
		s.at[b] = int32(i)
	}
}

// fitStyle learns mean and standard deviation of the style features. One that
// never varies gets the scale 0, which leaves it out.
func (s *space) fitStyle(rows []row) {
	k := len(styleNames)
	s.mean, s.scale = make([]float32, k), make([]float32, k)
	n := float64(2 * len(rows))
	for j := range k {
		sum, sq := 0.0, 0.0
		for i := range rows {
			sum += float64(rows[i].style[j]) + float64(rows[i].style[k+j])
		}
		mean := sum / n
		for i := range rows {
			a, b := float64(rows[i].style[j])-mean, float64(rows[i].style[k+j])-mean
			sq += a*a + b*b
		}
		s.mean[j] = float32(mean)
		if sd := math.Sqrt(sq / n); sd > 1e-6 {
			s.scale[j] = float32(1 / sd)
		}
	}
}

// styleWeight sets the size of a standardised style feature beside the hashed
// features, which have norm 1 together: the ridge is one and the same.
var styleWeight = 0.3

// standard gives style feature j standardised.
func (s *space) standard(j int, v float32) float64 {
	z := (float64(v) - float64(s.mean[j])) * float64(s.scale[j])
	return max(-styleClip, min(styleClip, z)) * styleWeight
}

// sublinear is the value of a signed count before idf.
var sublinear = func() (t [256]float64) {
	for c := 1; c <= 127; c++ {
		t[c] = 1 + math.Log(float64(c))
		t[256-c] = -t[c]
	}
	t[128] = t[129]
	return t
}()

func (e entry) tf() float64 { return sublinear[uint8(e)] }

// norm gives 1 over the Euclidean norm of a reply's hashed features, 0 where
// there are none.
func (s *space) norm(es []entry) float64 {
	sum := 0.0
	for _, e := range es {
		v := e.tf()
		if k := s.at[e.bucket()]; k >= 0 {
			v *= float64(s.idf[k])
		} else {
			v *= float64(s.rare)
		}
		sum += v * v
	}
	if sum == 0 {
		return 0
	}
	return 1 / math.Sqrt(sum)
}

// design makes the matrix of rows and sums the features of all replies into
// total, of cols places. It frees the rows' features as it goes.
func (s *space) design(rows []row, total []float64) *matrix {
	m := &matrix{x: make([]sparseRow, len(rows)), p: make([]float64, len(rows)), cols: s.cols()}
	n := m.blocks()
	acc := make([][]float64, n)
	parallel(n, func(b int) {
		lo, hi := m.bounds(b, n)
		acc[b] = make([]float64, s.cols())
		d := differ{space: s, diff: make([]float64, s.cols())}
		for i := lo; i < hi; i++ {
			m.x[i] = d.row(&rows[i], acc[b])
			m.p[i] = rows[i].p()
			rows[i].a, rows[i].b, rows[i].style = nil, nil, nil
		}
	})
	for _, a := range acc {
		for j, v := range a {
			total[j] += v
		}
	}
	return m
}

// differ makes rows of the matrix; it holds scratch space.
type differ struct {
	*space
	diff []float64 // all zero between rows
	cols []uint32
}

func (d *differ) row(r *row, total []float64) sparseRow {
	out := sparseRow{}
	d.cols = d.cols[:0]
	k := d.styles()
	for j := range k {
		a, b := d.standard(j, r.style[j]), d.standard(j, r.style[k+j])
		total[j] += a + b
		if a != b {
			d.diff[j] = a - b
			d.cols = append(d.cols, uint32(j))
		}
	}
	add := func(es []entry, sign float64) {
		norm := d.norm(es)
		for _, e := range es {
			i := d.at[e.bucket()]
			if i < 0 {
				continue
			}
			j := uint32(k) + uint32(i)
			v := e.tf() * float64(d.idf[i]) * norm
			total[j] += v
			if d.diff[j] == 0 {
				d.cols = append(d.cols, j)
			}
			d.diff[j] += sign * v
		}
	}
	add(r.a, 1)
	add(r.b, -1)
	slices.Sort(d.cols)
	out.col = make([]uint32, 0, len(d.cols))
	out.val = make([]float32, 0, len(d.cols))
	for _, j := range d.cols {
		if v := float32(d.diff[j]); v != 0 {
			out.col = append(out.col, j)
			out.val = append(out.val, v)
		}
		d.diff[j] = 0
	}
	return out
}
