package rm

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"
	"sync"
)

// blockNumbers is how many numbers of 32 bits a block of rows on disk has at
// most, but for its last row.
const blockNumbers = 1 << 17

// diskRows are the rows of a matrix on disk, in blocks.
type diskRows struct {
	shelf   *shelf
	blocks  []diskBlock // in the order of their rows
	entries []int32     // how many numbers each row stands for
}

// diskBlock is some rows that follow one another.
type diskBlock struct {
	first, rows int
	at          int64
	size        int
}

// rowBlock is a block in memory. It is reused, with what its rows are slices of.
type rowBlock struct {
	x     []sparseRow
	col   []uint32
	val   []float32
	terms []entry
	runs  []run
	raw   []byte
}

var rowBlocks = sync.Pool{New: func() any { return new(rowBlock) }}

// each calls f for the rows from lo up to hi, in order. The next block is read
// and decoded meanwhile.
func (d *diskRows) each(lo, hi int, f func(i int, r *sparseRow)) {
	first := sort.Search(len(d.blocks), func(k int) bool { return d.blocks[k].first+d.blocks[k].rows > lo })
	ready := make(chan *rowBlock, 1)
	go func() {
		defer close(ready)
		for k := first; k < len(d.blocks) && d.blocks[k].first < hi; k++ {
			b := rowBlocks.Get().(*rowBlock)
			if err := d.read(&d.blocks[k], b); err != nil {
				d.shelf.fail(err)
				return
			}
			ready <- b
		}
	}()
	for k := first; ; k++ {
		b, ok := <-ready
		if !ok {
			return
		}
		from := d.blocks[k].first
		for i := max(lo, from); i < min(hi, from+len(b.x)); i++ {
			f(i, &b.x[i-from])
		}
		rowBlocks.Put(b)
	}
}

// Sizes of what a block consists of, in bytes: a row's numbers of columns, of
// plain ones, of terms and of runs and its expected numbers, and a run.
const (
	rowBytes = 4*4 + 8*numExpected
	runBytes = 3*4 + 8*maxStride
)

func (d *diskRows) read(at *diskBlock, b *rowBlock) error {
	b.raw = slices.Grow(b.raw[:0], at.size)[:at.size]
	if err := d.shelf.matrix.read(b.raw, at.at); err != nil {
		return err
	}
	le := binary.LittleEndian
	raw, heads := b.raw[at.rows*rowBytes:], b.raw[:at.rows*rowBytes]
	cols, terms, runs := 0, 0, 0
	for h := heads; len(h) > 0; h = h[rowBytes:] {
		cols, terms, runs = cols+int(le.Uint32(h)), terms+int(le.Uint32(h[8:])), runs+int(le.Uint32(h[12:]))
	}
	if len(raw) != 8*cols+4*terms+runBytes*runs {
		return &SpillError{d.shelf.matrix.path, d.shelf.matrix.end.Load(), errRecord}
	}
	b.col = slices.Grow(b.col[:0], cols)[:cols]
	b.val = slices.Grow(b.val[:0], cols)[:cols]
	b.terms = slices.Grow(b.terms[:0], terms)[:terms]
	b.runs = slices.Grow(b.runs[:0], runs)[:runs]
	for i := range b.col {
		b.col[i] = le.Uint32(raw[4*i:])
	}
	raw = raw[4*cols:]
	for i := range b.val {
		b.val[i] = math.Float32frombits(le.Uint32(raw[4*i:]))
	}
	raw = raw[4*cols:]
	for i := range b.terms {
		b.terms[i] = entry(le.Uint32(raw[4*i:]))
	}
	raw = raw[4*terms:]
	for i := range b.runs {
		r := &b.runs[i]
		r.end, r.first, r.stride = int32(le.Uint32(raw)), int32(le.Uint32(raw[4:])), int32(le.Uint32(raw[8:]))
		for c := range r.by {
			r.by[c] = math.Float64frombits(le.Uint64(raw[12+8*c:]))
		}
		raw = raw[runBytes:]
	}
	b.x = slices.Grow(b.x[:0], at.rows)[:at.rows]
	cols, terms, runs = 0, 0, 0
	for i := range b.x {
		r, h := &b.x[i], heads[i*rowBytes:]
		nc, nt, nr := int(le.Uint32(h)), int(le.Uint32(h[8:])), int(le.Uint32(h[12:]))
		r.col, r.val, r.plain = b.col[cols:cols+nc], b.val[cols:cols+nc], int(le.Uint32(h[4:]))
		r.terms, r.runs = b.terms[terms:terms+nt], b.runs[runs:runs+nr]
		cols, terms, runs = cols+nc, terms+nt, runs+nr
		for e := range r.expected {
			r.expected[e] = math.Float64frombits(le.Uint64(h[16+8*e:]))
		}
	}
	return nil
}

// blockWriter writes rows that follow one another.
type blockWriter struct {
	rows    *diskRows
	first   int // row of the block
	block   rowBlock
	blocks  []diskBlock
	numbers int
}

// add appends the row with the given number, which it copies.
func (w *blockWriter) add(i int, r *sparseRow) {
	b := &w.block
	if len(b.x) == 0 {
		w.first = i
	}
	b.x = append(b.x, sparseRow{plain: r.plain, expected: r.expected, col: r.col, terms: r.terms, runs: r.runs}) // for their lengths
	b.col, b.val = append(b.col, r.col...), append(b.val, r.val...)
	b.terms, b.runs = append(b.terms, r.terms...), append(b.runs, r.runs...)
	w.rows.entries[i] = int32(r.entries())
	if w.numbers += 2*len(r.col) + len(r.terms) + rowBytes/4; w.numbers >= blockNumbers {
		w.flush()
	}
}

// flush writes the block.
func (w *blockWriter) flush() {
	b, raw := &w.block, w.block.raw[:0]
	if len(b.x) == 0 {
		return
	}
	le := binary.LittleEndian
	for i := range b.x {
		r := &b.x[i]
		for _, n := range []int{len(r.col), r.plain, len(r.terms), len(r.runs)} {
			raw = le.AppendUint32(raw, uint32(n))
		}
		for _, e := range r.expected {
			raw = le.AppendUint64(raw, math.Float64bits(e))
		}
	}
	for _, c := range b.col {
		raw = le.AppendUint32(raw, c)
	}
	for _, v := range b.val {
		raw = le.AppendUint32(raw, math.Float32bits(v))
	}
	for _, e := range b.terms {
		raw = le.AppendUint32(raw, uint32(e))
	}
	for i := range b.runs {
		r := &b.runs[i]
		for _, n := range []int32{r.end, r.first, r.stride} {
			raw = le.AppendUint32(raw, uint32(n))
		}
		for _, v := range r.by {
			raw = le.AppendUint64(raw, math.Float64bits(v))
		}
	}
	at, err := w.rows.shelf.matrix.append(raw)
	if err != nil {
		w.rows.shelf.fail(err)
		return
	}
	w.blocks = append(w.blocks, diskBlock{w.first, len(b.x), at, len(raw)})
	*b = rowBlock{x: b.x[:0], col: b.col[:0], val: b.val[:0], terms: b.terms[:0], runs: b.runs[:0], raw: raw}
	w.numbers = 0
}
