package rm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// memoryShare is the share of Options.Memory that the features of the pairs may
// take before they go to disk. The rest is for the garbage that waits for its
// collector, the weights and what a fit needs beside them.
const memoryShare = 4

// SpillError tells that the file which holds what does not fit into memory
// could not be made, written or read.
type SpillError struct {
	Path  string
	Bytes int64 // written before
	Err   error
}

func (e *SpillError) Error() string {
	return fmt.Sprintf("temporary file %s for what exceeds the memory, after %.1f MB: %v", e.Path, float64(e.Bytes)/1e6, e.Err)
}

func (e *SpillError) Unwrap() error { return e.Err }

// shelf is where the features of rows lie that do not fit into memory: in two
// files, of the features as they come and of the rows of the matrix. What goes
// wrong with them is kept and ends the training, since passes over rows give no
// errors.
type shelf struct {
	dir    string
	rows   *spillFile
	matrix *spillFile // nil until there is a matrix
	stop   context.CancelFunc

	mu     sync.Mutex
	reason error
}

// newShelf makes the first file. stop is called when something goes wrong.
func newShelf(dir string, stop context.CancelFunc) (*shelf, error) {
	f, err := createSpill(dir)
	if err != nil {
		return nil, err
	}
	return &shelf{dir: dir, rows: f, stop: stop}, nil
}

// fail notes the first error.
func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == nil {
		s.reason = err
	}
	s.stop()
}

// failure gives what went wrong; nil also where there is no shelf.
func (s *shelf) failure() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// close frees the files.
func (s *shelf) close() error {
	if s == nil {
		return nil
	}
	err := s.rows.close()
	if s.matrix != nil {
		err = errors.Join(err, s.matrix.close())
	}
	return err
}

// shelfOf gives the shelf of rows, nil where they are in memory. They are all in
// one or all in the other.
func shelfOf(rows []row) *shelf {
	if len(rows) == 0 {
		return nil
	}
	return rows[0].shelf
}

// spillFile is a temporary file. It is written at its end, from several
// goroutines, and read anywhere. Where the system allows it has no name from the
// start, so that nothing is left of it however the program ends.
type spillFile struct {
	file *os.File
	path string
	end  atomic.Int64
}

func createSpill(dir string) (*spillFile, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(dir, ".cai-train-*")
	if err != nil {
		return nil, &SpillError{Path: dir, Err: err}
	}
	_ = os.Remove(f.Name()) // where it fails it is done in the end
	return &spillFile{file: f, path: f.Name()}, nil
}

// append writes b and tells where it is.
func (s *spillFile) append(b []byte) (int64, error) {
	at := s.end.Add(int64(len(b))) - int64(len(b))
	if _, err := s.file.WriteAt(b, at); err != nil {
		return 0, &SpillError{s.path, at, err}
	}
	return at, nil
}

// read fills b with what is at a place.
func (s *spillFile) read(b []byte, at int64) error {
	if _, err := s.file.ReadAt(b, at); err != nil {
		return &SpillError{s.path, s.end.Load(), fmt.Errorf("%d bytes at %d: %w", len(b), at, err)}
	}
	return nil
}

func (s *spillFile) close() error {
	err := s.file.Close()
	if e := os.Remove(s.path); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// record is where the features of a row lie on a shelf: its numbers and the
// words of its prompt, then the hashed features of the replies, then the texts.
type record struct {
	shelf            *shelf // nil where the features are in memory
	at               int64
	head, body, text int32 // bytes
}

// put writes the features of rows, and the texts of those that have them, and
// takes them out of memory.
func (s *shelf) put(rows []row) error {
	var b []byte
	for i := range rows {
		r := &rows[i]
		r.shelf = s
		start := len(b)
		r.at = int64(start)
		b = r.features.appendHead(b)
		r.head = int32(len(b) - start)
		b = r.features.appendBody(b)
		r.body = int32(len(b)-start) - r.head
		if r.pair != nil {
			b = appendPair(b, r.pair)
		}
		r.text = int32(len(b)-start) - r.head - r.body
	}
	at, err := s.rows.append(b)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].at += at
		rows[i].pair = nil
		rows[i].forget()
	}
	return nil
}

// rowReader brings the features of rows back. It holds scratch space: what it
// gives is good until the next.
type rowReader struct {
	raw      []byte
	features features
	row      row
}

// read gives the row with its features, or but the first part of them. It is r
// itself where they are in memory.
func (d *rowReader) read(r *row, whole bool) *row {
	if r.shelf == nil {
		return r
	}
	n := int(r.head)
	if whole {
		n += int(r.body)
	}
	d.raw = slices.Grow(d.raw[:0], n)[:n]
	d.row = *r
	d.row.features = &d.features
	err := r.shelf.rows.read(d.raw, r.at)
	if err == nil {
		err = d.features.decode(d.raw, int(r.head))
	}
	if err != nil {
		r.shelf.fail(err)
		d.row.features = noFeatures
	}
	return &d.row
}

// eachRow calls f with every row and its features, in order; without whole but
// with its numbers and the words of its prompt. f may look at the row but not
// change it. If the shelf fails it stops.
func eachRow(rows []row, whole bool, f func(i int, r *row)) {
	var d rowReader
	s := shelfOf(rows)
	for i := range rows {
		r := d.read(&rows[i], whole)
		if s != nil && r.features == noFeatures && s.failure() != nil {
			return
		}
		f(i, r)
	}
}

// anyOrder does what eachRow does in the order in which the rows lie on disk,
// for what does not hang on it.
func anyOrder(rows []row, whole bool, f func(r *row)) {
	if shelfOf(rows) == nil {
		eachRow(rows, whole, func(_ int, r *row) { f(r) })
		return
	}
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int { return cmp.Compare(rows[i].at, rows[j].at) })
	var d rowReader
	for _, i := range order {
		f(d.read(&rows[i], whole))
	}
}
