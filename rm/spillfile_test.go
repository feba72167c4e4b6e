package rm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
)

func drawPair(t *rapid.T) *dataset.Pair {
	text := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }) // not always UTF-8
	p := &dataset.Pair{
		First:  dataset.Response{Text: text.Draw(t, "first"), Author: text.Draw(t, "author")},
		Second: dataset.Response{Text: text.Draw(t, "second")},
		P:      rapid.Float64().Draw(t, "p"),
		Source: dataset.Source{File: text.Draw(t, "file"), Line: rapid.Int().Draw(t, "line"), Sub: rapid.Int().Draw(t, "sub"), ID: text.Draw(t, "id")},
	}
	for range rapid.IntRange(0, 3).Draw(t, "turns") {
		p.Prompt = append(p.Prompt, dataset.Message{Role: text.Draw(t, "role"), Content: text.Draw(t, "content")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "columns") {
		p.Source.Extra = append(p.Source.Extra, dataset.Field{Key: text.Draw(t, "key"), Value: []byte(text.Draw(t, "value"))})
	}
	return p
}

// A record gives back what was put into it, whole or the first part alone, and
// one that was cut short is an error.
func TestRecordsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOf(rapid.Map(rapid.Uint32(), func(v uint32) entry { return entry(v) }))
		f := &features{
			a: entries.Draw(t, "a"), b: entries.Draw(t, "b"), charsA: entries.Draw(t, "charsA"), charsB: entries.Draw(t, "charsB"),
			words: entries.Draw(t, "words"), dense: rapid.SliceOf(rapid.Float32()).Draw(t, "dense"), asked: rapid.SliceOf(rapid.Float32()).Draw(t, "asked"),
		}
		head := f.appendHead(nil)
		whole := f.appendBody(head[:len(head):len(head)])
		got := features{a: make([]entry, 5), dense: make([]float32, 2)}
		if err := got.decode(whole, len(head)); err != nil || !bytes.Equal(got.appendBody(got.appendHead(nil)), whole) {
			t.Fatalf("%v: %v, want %v", err, got, *f)
		}
		if err := got.decode(head, len(head)); err != nil || !slices.Equal(got.words, f.words) || len(got.a) != 0 {
			t.Fatalf("%v: %v, want the head of %v", err, got, *f)
		}
		if cut := rapid.IntRange(len(head)+1, len(whole)-1).Draw(t, "cut"); got.decode(whole[:cut], len(head)) == nil {
			t.Fatalf("%d of %d bytes are no error", cut, len(whole))
		}
		p := drawPair(t)
		b := appendPair(nil, p)
		if back, err := decodePair(b); err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%v: %v, want %v", err, back, p)
		}
		if cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); true {
			if _, err := decodePair(b[:cut]); err == nil {
				t.Fatalf("%d of %d bytes are no error", cut, len(b))
			}
		}
	})
}

// onDisk writes the rows of m to a file and gives the matrix that reads them.
func onDisk(t interface {
	Fatal(...any)
	Cleanup(func())
}, m *matrix, dir string, block int,
) *matrix {
	_, stop := context.WithCancel(context.Background())
	sh, err := newShelf(dir, stop)
	if err != nil {
		t.Fatal(err)
	}
	if sh.matrix, err = createSpill(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sh.close() })
	d := *m
	d.x, d.disk = nil, &diskRows{shelf: sh, entries: make([]int32, m.rows())}
	w := blockWriter{rows: d.disk}
	for i := range m.x {
		w.add(i, &m.x[i])
		if (i+1)%block == 0 {
			w.flush()
		}
	}
	w.flush()
	d.disk.blocks = w.blocks
	return &d
}

// Any span of a matrix on disk gives to every pass what it gives in memory, bit
// for bit, whatever blocks it lies in.
func TestMatrixOnDiskIsThatInMemory(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		m, _ := drawMatrix(t)
		d := onDisk(t, m, dir, rapid.IntRange(1, 5).Draw(t, "block"))
		if m.rows() > 0 {
			i := rapid.IntRange(0, m.rows()-1).Draw(t, "from")
			j := rapid.IntRange(i, m.rows()).Draw(t, "to")
			m, d = m.span(i, j), d.span(i, j)
		}
		w, h := make([]float64, m.cols), make([]float64, m.rows())
		for j := range w {
			w[j] = rapid.Float64Range(-1, 1).Draw(t, "w")
		}
		for i := range h {
			h[i] = rapid.Float64Range(0, 1).Draw(t, "h")
		}
		passes := func(m *matrix) [4][]float64 {
			z, out, s := make([]float64, m.rows()), [3][]float64{make([]float64, m.cols), make([]float64, m.cols), make([]float64, m.cols)}, m.newSums()
			m.times(w, z)
			m.transposeTimes(h, out[0], false, s)
			m.transposeTimes(h, out[1], true, s)
			m.curve(h, w, out[2], s)
			return [4][]float64{z, out[0], out[1], out[2]}
		}
		if got, want := passes(d), passes(m); !reflect.DeepEqual(got, want) || d.blocks() != m.blocks() {
			t.Fatalf("%v, want %v", got, want)
		}
		if err := d.disk.shelf.failure(); err != nil {
			t.Fatal(err)
		}
	})
}

// A file that cannot be read or written ends the fit, with its name and size.
func TestFilesThatFail(t *testing.T) {
	dir := t.TempDir()
	m := &matrix{cols: 2, p: []float64{1, 0}, x: []sparseRow{{col: []uint32{0}, val: []float32{1}, plain: 1}, {col: []uint32{1}, val: []float32{1}, plain: 1}}}
	d := onDisk(t, m, dir, 1)
	ctx, cancel := context.WithCancel(t.Context())
	d.disk.shelf.stop = cancel
	if err := d.disk.shelf.matrix.file.Truncate(d.disk.blocks[1].at + 3); err != nil {
		t.Fatal(err)
	}
	p := &bt{x: d, lambda: 1, sums: d.newSums()}
	_, err := p.solve(ctx, make([]float64, 2), tolerance)
	var spill *SpillError
	if failed := d.disk.shelf.failure(); err == nil || !errors.As(failed, &spill) || !errors.Is(failed, io.EOF) {
		t.Errorf("%v, %v", err, failed)
	}

	f, err := os.Open(os.DevNull) // not for writing
	if err != nil {
		t.Fatal(err)
	}
	s := &spillFile{file: f, path: "/some/file"}
	s.end.Store(5_000_000)
	if _, err := s.append([]byte("x")); err == nil || !strings.Contains(err.Error(), "/some/file") || !strings.Contains(err.Error(), "5.0 MB") {
		t.Errorf("%v", err)
	}
}
