package dataset

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// File is an output that appears under its name only when it is complete: it
// is written beside it and renamed by [File.Commit], so that a crash or a full
// disk leaves what was there before.
type File struct {
	name, target, temp string
	file               *os.File
	buf                *bufio.Writer  // nil where every write goes straight out
	zip                io.WriteCloser // nil where nothing is compressed
	done               bool
}

// Create opens an output. A name that ends in .gz or .zst is compressed; "-" or
// "" is standard output, to which every Write goes at once. A name that is a
// device or a pipe is written to directly, since it cannot be replaced.
func Create(path string) (*File, error) {
	f := &File{name: path}
	if path == "" || path == "-" {
		f.name, f.file = "standard output", os.Stdout
		return f, nil
	}
	f.target = path
	// A link stays and what it points to is replaced.
	if t, err := filepath.EvalSymlinks(path); err == nil {
		f.target = t
	}
	mode := os.FileMode(0o644)
	if st, err := os.Stat(f.target); err == nil {
		if st.IsDir() {
			return nil, fmt.Errorf("create %s: it is a folder", path)
		}
		if !st.Mode().IsRegular() {
			if f.file, err = os.OpenFile(f.target, os.O_WRONLY, 0); err != nil {
				return nil, err
			}
			f.compress()
			return f, nil
		}
		mode = st.Mode().Perm()
	}
	var id [6]byte
	rand.Read(id[:])
	dir, base := filepath.Split(f.target)
	f.temp = filepath.Join(dir, "."+base+"."+hex.EncodeToString(id[:])+".tmp")
	var err error
	// Not os.CreateTemp, whose files nobody else may read: the umask decides.
	if f.file, err = os.OpenFile(f.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode); err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("create %s: %w", f.name, err)
	}
	f.compress()
	return f, nil
}

// compress puts the compression that the name asks for before the file.
func (f *File) compress() {
	f.buf = bufio.NewWriterSize(f.file, 256<<10)
	switch strings.ToLower(filepath.Ext(f.name)) {
	case ".gz":
		f.zip = gzip.NewWriter(f.buf)
	case ".zst":
		z, err := zstd.NewWriter(f.buf, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err) // only wrong options fail, and these are fixed
		}
		f.zip = z
	}
}

// Write writes to the output.
func (f *File) Write(p []byte) (int, error) {
	var n int
	var err error
	switch {
	case f.done:
		err = os.ErrClosed
	case f.zip != nil:
		n, err = f.zip.Write(p)
	case f.buf != nil:
		n, err = f.buf.Write(p)
	default:
		n, err = f.file.Write(p)
	}
	if err != nil {
		return n, f.fail("write", err)
	}
	return n, nil
}

// fail words an error with the output's own name, not the one beside it.
func (f *File) fail(what string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		err = link.Err
	}
	return fmt.Errorf("%s %s: %w", what, f.name, err)
}

// Commit ends the output: it is on disk under its name when Commit returns
// without an error, and untouched otherwise.
func (f *File) Commit() error { return CommitAll(f) }

// CommitAll commits several outputs: all of them are on disk before the first takes
// its name, and none takes it where one fails to be written.
func CommitAll(files ...*File) error {
	var err error
	for _, f := range files {
		if err = f.end(); err != nil {
			break
		}
	}
	for _, f := range files {
		if err != nil {
			f.Close()
			f.drop()
		} else if err = f.rename(); err != nil {
			f.drop()
		}
	}
	return err
}

// end brings all that was written onto the disk.
func (f *File) end() error {
	if f.done {
		return f.fail("commit", os.ErrClosed)
	}
	f.done = true
	if f.target == "" {
		return nil
	}
	err := f.flush()
	if err == nil && f.temp != "" {
		err = f.file.Sync()
	}
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return f.fail("write", err)
	}
	return nil
}

// rename puts the output in its place.
func (f *File) rename() error {
	if f.temp == "" {
		return nil
	}
	if err := os.Rename(f.temp, f.target); err != nil {
		return f.fail("write", err)
	}
	f.temp = ""
	if dir, err := os.Open(filepath.Dir(f.target)); err == nil {
		// The rename itself is durable only once the folder is. Some file
		// systems can't sync a folder; there is nothing more to do there.
		dir.Sync()
		dir.Close()
	}
	return nil
}

// drop takes away what rename would have put in place.
func (f *File) drop() {
	if f.temp != "" {
		os.Remove(f.temp)
	}
}

func (f *File) flush() error {
	if f.zip != nil {
		if err := f.zip.Close(); err != nil {
			return err
		}
	}
	return f.buf.Flush()
}

// Close throws the output away unless it was committed; it is meant for defer.
func (f *File) Close() error {
	if f.done || f.target == "" {
		f.done = true
		return nil
	}
	f.done = true
	if f.zip != nil && f.temp != "" {
		f.buf.Reset(io.Discard) // a zstd writer holds memory until it is closed
		f.zip.Close()
	}
	err := f.file.Close()
	if f.temp != "" {
		if rerr := os.Remove(f.temp); err == nil {
			err = rerr
		}
	}
	if err != nil {
		return f.fail("close", err)
	}
	return nil
}

// Encoder writes JSON Lines: text as it is, without the escapes that JSON needs
// only inside HTML, and each line in one write, so that lines of several
// writers to one pipe do not mix.
type Encoder struct {
	w   io.Writer
	buf bytes.Buffer
	enc *json.Encoder
}

// NewEncoder makes an encoder to w.
func NewEncoder(w io.Writer) *Encoder {
	e := &Encoder{w: w}
	e.enc = json.NewEncoder(&e.buf)
	e.enc.SetEscapeHTML(false)
	return e
}

// Encode writes v as one line. Nothing is written if v does not marshal.
func (e *Encoder) Encode(v any) error {
	e.buf.Reset()
	if o, ok := v.(Object); ok {
		// The values are known to be JSON, possibly over several lines.
		b, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		if bytes.IndexByte(b, '\n') < 0 {
			e.buf.Write(b)
			e.buf.WriteByte('\n')
		} else if err := e.enc.Encode(json.RawMessage(b)); err != nil {
			return err
		}
	} else if err := e.enc.Encode(v); err != nil {
		return err
	}
	_, err := e.w.Write(e.buf.Bytes())
	return err
}
