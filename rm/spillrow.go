package rm

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"cai/dataset"
)

// features are what a row of the matrix is made of.
type features struct {
	a, b           []entry
	charsA, charsB []entry
	words          []entry   // of the prompt
	dense          []float32 // the numbers of a that are there for every reply, then of b
	asked          []float32 // what the sources say of the prompt alone
}

// noFeatures are those of a row that has none, or none any more.
var noFeatures = &features{}

// bytes is about how much memory they take.
func (f *features) bytes() int64 {
	n := len(f.a) + len(f.b) + len(f.charsA) + len(f.charsB) + len(f.words) + len(f.dense) + len(f.asked)
	return 4*int64(n) + 7*24
}

// errRecord tells that a record of a temporary file is not what was written.
var errRecord = errors.New("a record is not what was written")

// appendHead encodes the numbers and the words of the prompt: each list as its
// length and its items, of 32 bits.
func (f *features) appendHead(b []byte) []byte {
	b = appendFloats(b, f.dense)
	b = appendFloats(b, f.asked)
	return appendEntries(b, f.words)
}

// appendBody encodes the others.
func (f *features) appendBody(b []byte) []byte {
	for _, es := range [][]entry{f.a, f.b, f.charsA, f.charsB} {
		b = appendEntries(b, es)
	}
	return b
}

// decode reads what the two wrote, of which the first is of head bytes, or that
// alone.
func (f *features) decode(b []byte, head int) error {
	d := decoder{b: b[:head]}
	f.dense = d.floats(f.dense)
	f.asked = d.floats(f.asked)
	f.words = d.entries(f.words)
	if d.bad || len(d.b) > 0 {
		return errRecord
	}
	f.a, f.b, f.charsA, f.charsB = f.a[:0], f.b[:0], f.charsA[:0], f.charsB[:0]
	if d.b = b[head:]; len(d.b) == 0 {
		return nil
	}
	for _, es := range []*[]entry{&f.a, &f.b, &f.charsA, &f.charsB} {
		*es = d.entries(*es)
	}
	if d.bad || len(d.b) > 0 {
		return errRecord
	}
	return nil
}

func appendEntries[T ~uint32](b []byte, es []T) []byte {
	b = binary.AppendUvarint(b, uint64(len(es)))
	for _, e := range es {
		b = binary.LittleEndian.AppendUint32(b, uint32(e))
	}
	return b
}

func appendFloats(b []byte, v []float32) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// decoder reads lists and texts from the front of b.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// take gives the next items of the given size.
func (d *decoder) take(size int) []byte {
	n := d.number()
	if n > uint64(len(d.b)/size) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:int(n)*size]
	d.b = d.b[len(out):]
	return out
}

func (d *decoder) entries(out []entry) []entry {
	b := d.take(4)
	out = slices.Grow(out[:0], len(b)/4)[:len(b)/4]
	for i := range out {
		out[i] = entry(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

func (d *decoder) floats(out []float32) []float32 {
	b := d.take(4)
	out = slices.Grow(out[:0], len(b)/4)[:len(b)/4]
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

func (d *decoder) text() string { return string(d.take(1)) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendPair encodes a pair byte for byte.
func appendPair(b []byte, p *dataset.Pair) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.Prompt)))
	for _, m := range p.Prompt {
		b = appendText(appendText(b, m.Role), m.Content)
	}
	for _, r := range []dataset.Response{p.First, p.Second} {
		b = appendText(appendText(b, r.Text), r.Author)
	}
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.P))
	s := &p.Source
	b = appendText(appendText(b, s.File), s.ID)
	b = binary.AppendVarint(b, int64(s.Line))
	b = binary.AppendVarint(b, int64(s.Sub))
	b = binary.AppendUvarint(b, uint64(len(s.Extra)))
	for _, f := range s.Extra {
		b = appendText(appendText(b, f.Key), string(f.Value))
	}
	return b
}

// decodePair reads what appendPair wrote.
func decodePair(b []byte) (*dataset.Pair, error) {
	d := decoder{b: b}
	p := &dataset.Pair{}
	for range d.number() {
		if d.bad {
			return nil, errRecord
		}
		p.Prompt = append(p.Prompt, dataset.Message{Role: d.text(), Content: d.text()})
	}
	for _, r := range []*dataset.Response{&p.First, &p.Second} {
		r.Text, r.Author = d.text(), d.text()
	}
	if len(d.b) < 8 {
		return nil, errRecord
	}
	p.P = math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	s := &p.Source
	s.File, s.ID = d.text(), d.text()
	s.Line, s.Sub = d.signed(), d.signed()
	for range d.number() {
		if d.bad {
			return nil, errRecord
		}
		s.Extra = append(s.Extra, dataset.Field{Key: d.text(), Value: d.take(1)})
	}
	if d.bad || len(d.b) > 0 {
		return nil, errRecord
	}
	return p, nil
}

func (d *decoder) signed() int {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

// thePair gives the row's pair, from disk if it lies there; nil where it has
// none.
func (r *row) thePair() *dataset.Pair {
	if r.pair != nil || r.shelf == nil || r.text == 0 {
		return r.pair
	}
	b := make([]byte, r.text)
	err := r.shelf.rows.read(b, r.at+int64(r.head)+int64(r.body))
	if err == nil {
		var p *dataset.Pair
		if p, err = decodePair(b); err == nil {
			return p
		}
	}
	r.shelf.fail(err)
	return nil
}
