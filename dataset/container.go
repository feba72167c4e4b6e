package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// container is how a file holds its records.
type container int

const (
	containerLines  container = iota // one JSON object a line
	containerArray                   // one JSON array of objects
	containerValues                  // JSON objects over several lines each
	containerCSV
	containerParquet
	containerText // no records: the whole file is one text
)

// container tells how the file holds its records, from its name and its first
// bytes. Text is what is left when text is allowed.
func (in *input) container(format string, text bool) container {
	if head, _ := in.r.Peek(4); string(head) == "PAR1" || in.ext() == ".parquet" {
		return containerParquet
	}
	switch format {
	case "csv":
		return containerCSV
	case "jsonl":
		return containerLines
	case "text":
		return containerText
	}
	switch in.ext() {
	case ".csv":
		return containerCSV
	case ".jsonl", ".ndjson", ".json":
		text = false
	default:
		// A name such as answer.md decides; stdin and names without an
		// extension are decided by what they hold.
		if text && in.ext() != "" {
			return containerText
		}
	}
	head, rest := in.peekText()
	switch {
	case len(head) == 0:
		if text {
			return containerText
		}
		return containerLines
	case head[0] == '[':
		after := bytes.TrimLeft(head[1:], " \t\r\n")
		if text && (len(after) == 0 || after[0] != '{') {
			return containerText
		}
		return containerArray
	case head[0] != '{':
		if text {
			return containerText
		}
		return containerLines
	}
	line, _, complete := bytes.Cut(head, []byte("\n"))
	if !complete && !rest {
		line, complete = head, true
	}
	if complete {
		if _, err := appendObject(nil, line); err != nil {
			if text {
				return containerText
			}
			// A first line that only opens an object belongs to one that is
			// written over several lines; a broken line of JSON Lines is longer.
			if s := bytes.TrimSpace(line); len(s) == 1 || in.ext() == ".json" {
				return containerValues
			}
		}
	}
	return containerLines
}

// peekText gives the file's beginning from the first byte that is no space, and
// whether there may be more than it. It waits for no more than a line, so that
// a slow writer's first record is read when it comes.
func (in *input) peekText() (head []byte, more bool) {
	for n := 1; ; n = in.r.Buffered() + 1 {
		_, err := in.r.Peek(min(n, readBuffer))
		head, _ = in.r.Peek(in.r.Buffered())
		full := len(head) == readBuffer
		head = bytes.TrimLeft(head, " \t\r\n")
		if err != nil || full || bytes.IndexByte(head, '\n') > 0 {
			return head, err == nil
		}
	}
}

// rawRecord is one record as its container holds it. Its object's values may be
// slices of a buffer that the next record overwrites.
type rawRecord struct {
	line  int
	obj   Object
	cells bool   // a row of CSV, of which every value is a text
	bad   string // what is wrong with the record, if anything
}

// each calls fn with every record until fn returns false. An error is one that
// ends the file; a record that is wrong is passed on with its reason.
func (in *input) each(c container, fn func(rawRecord) bool) error {
	var err error
	switch c {
	case containerCSV:
		err = in.eachCSV(fn)
	case containerParquet:
		err = in.eachParquet(fn)
	case containerArray, containerValues:
		err = in.eachValue(c == containerArray, fn)
	default:
		err = in.eachLine(fn)
	}
	if err != nil {
		return in.readError(err)
	}
	return nil
}

// errTooLong tells that a record passed [MaxRecord].
var errTooLong = errors.New("record too long")

func tooLong() string { return fmt.Sprintf("longer than %d MiB", MaxRecord>>20) }

// lineReader gives a file's lines without their ends.
type lineReader struct {
	r    *bufio.Reader
	long []byte // a line that does not fit the reader's buffer
}

// next gives the next line, valid until the call after it.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.nextKeep()
	return bytes.TrimSuffix(line, []byte("\r")), err
}

// nextKeep is next with the carriage return that may end a line. A line that is
// too long is read to its end and given as errTooLong.
func (l *lineReader) nextKeep() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		l.long = append(l.long[:0], line...)
		for err == bufio.ErrBufferFull {
			line, err = l.r.ReadSlice('\n')
			if len(l.long) <= MaxRecord {
				l.long = append(l.long, line...)
			}
		}
		line = l.long
		if len(line) > MaxRecord+2 {
			l.long = nil
			if err == nil || err == io.EOF {
				err = errTooLong
			}
			return nil, err
		}
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

func (in *input) eachLine(fn func(rawRecord) bool) error {
	lines := lineReader{r: in.r}
	s := scanner{keys: map[string]string{}}
	var obj Object
	for n := 1; ; n++ {
		line, err := lines.next()
		switch {
		case err == io.EOF:
			return nil
		case err == errTooLong:
			if !fn(rawRecord{line: n, bad: tooLong()}) {
				return nil
			}
			continue
		case err != nil:
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		rec := rawRecord{line: n}
		obj, err = s.record(obj[:0], line)
		if rec.obj = obj; err != nil {
			rec.obj, rec.bad = nil, err.Error()
		}
		if !fn(rec) {
			return nil
		}
	}
}

// eachValue reads objects from an array, or one after the other, without
// holding more than one. Such a file has no lines of its own, so records are
// counted.
func (in *input) eachValue(array bool, fn func(rawRecord) bool) error {
	v := valueReader{r: in.r}
	s := scanner{keys: map[string]string{}}
	if array {
		v.space()
		v.r.ReadByte() // the bracket that told the array
	}
	var obj Object
	for n := 1; ; n++ {
		c, err := v.space()
		if array && err == nil && n > 1 && c != ']' {
			if c != ',' {
				fn(rawRecord{line: n, bad: fmt.Sprintf("not valid JSON: a comma or \"]\" is expected before the record, not %q", string(rune(c)))})
				return nil
			}
			v.r.ReadByte()
			if c, err = v.space(); err == nil && c == ']' {
				fn(rawRecord{line: n, bad: "not valid JSON: a comma without a record after it"})
				return nil
			}
		}
		switch {
		case err == io.EOF:
			if array {
				fn(rawRecord{line: n, bad: "not valid JSON: the array has no end; the file is cut off"})
			}
			return nil
		case err != nil:
			return err
		case array && c == ']':
			v.r.ReadByte()
			if c, err := v.space(); err == nil {
				fn(rawRecord{line: n, bad: fmt.Sprintf("not valid JSON: %q after the end of the array", string(rune(c)))})
			} else if err != io.EOF {
				return err
			}
			return nil
		}
		raw, err := v.value()
		if err == io.EOF {
			fn(rawRecord{line: n, bad: "not valid JSON: the record has no end; the file is cut off"})
			return nil
		} else if err == errTooLong {
			// Without an end to the value there is no next one.
			fn(rawRecord{line: n, bad: tooLong()})
			return nil
		} else if err != nil {
			return err
		}
		rec := rawRecord{line: n}
		obj, err = s.record(obj[:0], raw)
		if rec.obj = obj; err != nil {
			rec.obj, rec.bad = nil, err.Error()
		}
		if !fn(rec) {
			return nil
		}
	}
}

// valueReader cuts a stream of JSON into its values.
type valueReader struct {
	r   *bufio.Reader
	buf []byte
}

// space goes past white space and gives the byte after it, unread.
func (v *valueReader) space() (byte, error) {
	for {
		c, err := v.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c, v.r.UnreadByte()
		}
	}
}

// value gives the next value up to its closing bracket, or, where it has none,
// up to a comma, a bracket or white space. It is not checked.
func (v *valueReader) value() ([]byte, error) {
	v.buf = v.buf[:0]
	depth, quoted, escaped := 0, false, false
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
