package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// MaxRecord is the most bytes that one record may have.
	MaxRecord = 64 << 20

	// A compressed file that grew past bombSize and more than bombRatio times
	// is taken for an attack, not for data: text rarely shrinks 20 times.
	bombSize  = 1 << 30
	bombRatio = 1000

	readBuffer = 256 << 10
)

// input is an opened file: decompressed, in UTF-8, without a byte order mark.
type input struct {
	name   string // as the user named it
	base   string // lower case, without .gz or .zst; empty for stdin
	r      *bufio.Reader
	closer []func() error
	file   *os.File          // where it is read as it is
	ours   map[string]string // our names of columns by the file's, where the user gave them
}

// openInput opens the named file, "-" being stdin.
func openInput(name string, o ReadOptions) (in *input, err error) {
	in = &input{name: name, ours: map[string]string{}}
	for ours, theirs := range o.Columns {
		in.ours[theirs] = ours
	}
	defer func() {
		if err != nil {
			in.Close()
			in = nil
		}
	}()
	raw := o.Copy
	if name != "-" {
		in.base = strings.ToLower(filepath.Base(name))
	}
	switch {
	case raw != nil:
	case name == "-" && o.Stdin != nil:
		raw = o.Stdin
	case name == "-":
		raw = os.Stdin
	default:
		f, err := os.Open(name)
		if err != nil {
			return in, err // "open NAME: no such file or directory" says it all
		}
		in.closer = append(in.closer, f.Close)
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return in, fmt.Errorf("%s: a folder, not a file", name)
		}
		raw, in.file = f, f
	}
	counted := &countReader{r: raw}
	in.r = bufio.NewReaderSize(counted, readBuffer)
	if err := in.decompress(counted); err != nil {
		return in, err
	}
	if err := in.foreign(); err != nil {
		return in, err
	}
	in.decode()
	return in, nil
}

// ext gives the file's extension under the one of its compression.
func (in *input) ext() string { return filepath.Ext(in.base) }

// decompress looks at the file's first bytes rather than its name, so that it
// works on stdin and on files that were renamed.
func (in *input) decompress(counted *countReader) error {
	head, _ := in.r.Peek(4)
	var out io.Reader
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in.r)
		if err != nil {
			return fmt.Errorf("%s: gzip: %w", in.name, err)
		}
		in.closer = append(in.closer, z.Close)
		out = z
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine: parsing is as fast as decoding, and the cores have a
		// model to run. The window bounds the memory that a file can ask for.
		z, err := zstd.NewReader(in.r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return fmt.Errorf("%s: zstd: %w", in.name, err)
		}
		in.closer = append(in.closer, func() error { z.Close(); return nil })
		out = z
	}
	for ext, what := range map[string]string{".gz": "gzip", ".zst": "zstd"} {
		if strings.HasSuffix(in.base, ext) {
			if out == nil && len(head) > 0 {
				return fmt.Errorf("%s: not %s data, although its name says so", in.name, what)
			}
			in.base = strings.TrimSuffix(in.base, ext)
		}
	}
	if out != nil {
		in.file = nil
		in.r = bufio.NewReaderSize(&bombGuard{r: out, in: counted}, readBuffer)
	}
	return nil
}

// Close closes what was opened, the last first.
func (in *input) Close() error {
	var errs []error
	for i := len(in.closer) - 1; i >= 0; i-- {
		errs = append(errs, in.closer[i]())
	}
	in.closer = nil
	return errors.Join(errs...)
}

// readError words a failure to read, which ends the sequence.
func (in *input) readError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: the compressed data ends too early; the file is cut off", in.name)
	}
	return fmt.Errorf("%s: %w", in.name, err)
}

type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bombGuard ends a decompression that makes far more than it reads.
type bombGuard struct {
	r  io.Reader
	in *countReader
	n  int64
}

func (b *bombGuard) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > bombSize && b.n/bombRatio > b.in.n {
		return n, fmt.Errorf("decompresses to more than %d times its size; refusing to read on", bombRatio)
	}
	return n, err
}
