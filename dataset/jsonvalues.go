package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// values reads objects from arrays, or one after the other, without holding more
// than one. Such a file has no lines of its own, so records are counted.
type values struct {
	valueReader
	in  *input
	s   scanner
	obj Object
	n   int // records so far
	fn  func(rawRecord) bool
}

// errEnded tells that reading has ended before the file, and why has been said.
var errEnded = errors.New("ended")

func (in *input) eachValue(c container, fn func(rawRecord) bool) error {
	v := &values{valueReader: valueReader{r: in.r}, in: in, s: scanner{keys: map[string]string{}}, fn: fn}
	err := error(nil)
	for err == nil {
		if _, err = v.space(); err != nil {
			break
		}
		switch c {
		case containerValues:
			err = v.record()
		default:
			err = v.list(c == containerObject)
		}
	}
	if err == io.EOF || err == errEnded {
		return nil
	}
	return err
}

// end tells the consumer of a fault after which nothing can be read.
func (v *values) end(reason string) error {
	v.fn(rawRecord{line: v.n + 1, bad: reason})
	return errEnded
}

// record reads a value as a record.
func (v *values) record() error {
	raw, err := v.value()
	switch {
	case err == io.EOF:
		return v.end("not valid JSON: the record has no end; the file is cut off")
	case err == errTooLong:
		return v.end(tooLong()) // without an end to the value there is no next one
	case err != nil:
		return err
	}
	v.n++
	rec := rawRecord{line: v.n}
	v.obj, err = v.s.record(v.obj[:0], raw)
	if rec.obj = v.obj; err != nil {
		rec.obj, rec.bad = nil, err.Error()
	}
	if !v.fn(rec) {
		return errEnded
	}
	return nil
}

// list reads an array of records or, with object, the object that holds it.
func (v *values) list(object bool) error {
	key := ""
	if object {
		var at int
		if at, key = v.in.toList(); key == "" {
			return v.end("another object, after one that holds the records in a list")
		}
		v.r.Discard(at)
	} else if c, _ := v.space(); c != '[' {
		return v.end(fmt.Sprintf("not valid JSON: %q after the end of the array", string(rune(c))))
	}
	v.r.ReadByte()
	for first := true; ; first = false {
		c, err := v.space()
		if err == nil && c == ',' && !first {
			v.r.ReadByte()
			if c, err = v.space(); err == nil && c == ']' {
				return v.end("not valid JSON: a comma without a record after it")
			}
		} else if err == nil && c != ']' && !first {
			return v.end(fmt.Sprintf("not valid JSON: a comma or \"]\" is expected before the record, not %q", string(rune(c))))
		}
		switch {
		case err == io.EOF:
			return v.end("not valid JSON: the array has no end; the file is cut off")
		case err != nil:
			return err
		case c == ']':
			v.r.ReadByte()
			if object {
				return v.rest(key)
			}
			return nil
		}
		if err := v.record(); err != nil {
			return err
		}
	}
}

// rest reads what an object holds after the list of records: something about the
// file, but no other list of records.
func (v *values) rest(key string) error {
	c, err := v.space()
	if err == io.EOF {
		return v.end("not valid JSON: the object around the records has no end; the file is cut off")
	} else if err != nil {
		return err
	}
	v.buf = append(v.buf[:0], '{')
	if c == ',' {
		v.r.ReadByte()
	}
	raw, err := v.toEnd(1)
	if err == io.EOF {
		return v.end("not valid JSON: the object around the records has no end; the file is cut off")
	} else if err != nil && err != errTooLong {
		return err
	}
	if err == nil {
		v.obj, err = v.s.record(v.obj[:0], raw)
	}
	if err != nil {
		return v.end(fmt.Sprintf("after the list %q: %v", key, err))
	}
	for _, f := range v.obj {
		if firstKind(f.Value) == '{' {
			return fmt.Errorf("the object holds the lists %q and %q: write the one that is meant as JSON Lines, for example with jq -c '.%s[]'", key, f.Key, key)
		}
	}
	return nil
}

// valueReader cuts a stream of JSON into its values.
type valueReader struct {
	r   *bufio.Reader
	buf []byte
}

// space goes past white space and gives the byte after it, unread. A byte order
// mark between values, where files were joined, is no more than that.
func (v *valueReader) space() (byte, error) {
	for {
		c, err := v.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		if err := v.r.UnreadByte(); err != nil {
			return 0, err
		}
		if c != mark[0] {
			return c, nil
		}
		if head, _ := v.r.Peek(len(mark)); string(head) != mark {
			return c, nil
		}
		v.r.Discard(len(mark))
	}
}

// value gives the next value up to its closing bracket, or, where it has none,
// up to a comma, a bracket or white space. It is not checked.
func (v *valueReader) value() ([]byte, error) {
	v.buf = v.buf[:0]
	return v.toEnd(0)
}

// toEnd is value where so many brackets are open in what has been read of it.
func (v *valueReader) toEnd(depth int) ([]byte, error) {
	quoted, escaped := false, false
	for {
		chunk, err := v.r.Peek(max(1, v.r.Buffered()))
		if len(chunk) == 0 {
			if err == io.EOF && depth == 0 && !quoted && len(v.buf) > 0 {
				return v.buf, nil
			}
			return nil, err
		}
		for i, c := range chunk {
			done, keep := false, 1
			switch {
			case escaped:
				escaped = false
			case quoted:
				switch c {
				case '\\':
					escaped = true
				case '"':
					quoted = false
				}
			case c == '"':
				quoted = true
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				if depth--; depth <= 0 {
					done = true
					if depth < 0 && len(v.buf)+i > 0 {
						keep = 0 // it closes what is around this value
					}
				}
			case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n') && len(v.buf)+i > 0:
				done, keep = true, 0
			}
			if done {
				v.buf = append(v.buf, chunk[:i+keep]...)
				v.r.Discard(i + keep)
				return v.buf, nil
			}
		}
		if len(v.buf)+len(chunk) > MaxRecord {
			return nil, errTooLong
		}
		v.buf = append(v.buf, chunk...)
		v.r.Discard(len(chunk))
	}
}
