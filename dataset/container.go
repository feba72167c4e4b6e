package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// container is how a file holds its records.
type container int

const (
	containerLines  container = iota // one JSON object a line
	containerArray                   // one JSON array of objects, or several
	containerObject                  // the same as a value of a JSON object
	containerValues                  // JSON objects over several lines each
	containerCSV
	containerParquet
	containerText // no records: the whole file is one text
)

// container tells how the file holds its records, from its name and its first
// bytes. Text is what is left when text is allowed.
func (in *input) container(format string, text bool) (container, error) {
	if head, _ := in.r.Peek(4); string(head) == "PAR1" || in.ext() == ".parquet" {
		return containerParquet, nil
	}
	switch format {
	case "csv":
		return containerCSV, nil
	case "jsonl":
		return containerLines, nil
	case "text":
		return containerText, nil
	}
	switch ext := in.ext(); {
	case ext == ".jsonl" || ext == ".ndjson" || ext == ".json":
		text = false
	case ext == ".csv" || tabs(ext):
		if head, _ := in.peekText(); page(head) {
			return 0, errPage
		}
		return containerCSV, nil
	case text && ext != "":
		// A name such as answer.md decides; stdin and names without an
		// extension are decided by what they hold.
		return containerText, nil
	}
	head, more := in.peekText()
	switch {
	case len(head) == 0:
	case head[0] == '[':
		after := bytes.TrimLeft(head[1:], " \t\r\n")
		if text && (len(after) == 0 || after[0] != '{') {
			return containerText, nil
		}
		return containerArray, nil
	case head[0] == '{':
		c, whole := in.objects(head, more)
		if !whole && text {
			return containerText, nil
		}
		return c, nil
	case in.looksCSV(head):
		return containerCSV, nil
	case !text && page(head):
		return 0, errPage
	}
	if text {
		return containerText, nil
	}
	return containerLines, nil
}

var errPage = errors.New("a page of HTML or XML, not records: a sign-in or error page that was fetched in place of the file?")

// objects tells how a file holds its records that begins with an object, and
// whether what was seen of it can be one.
func (in *input) objects(head []byte, more bool) (c container, whole bool) {
	if _, key := in.toList(); key != "" {
		return containerObject, true
	}
	line, rest, complete := bytes.Cut(head, []byte("\n"))
	if first, after, ok := bytes.Cut(line, []byte("\r")); ok && len(after)+len(rest) > 0 && len(bytes.TrimSpace(after)) > 0 {
		// Carriage returns alone end the lines: they are white space of JSON.
		if _, err := appendObject(nil, first); err == nil {
			return containerValues, true
		}
	}
	if !complete && more {
		return containerLines, true
	}
	if _, err := appendObject(nil, line); err != nil {
		// A first line that only opens an object belongs to one that is
		// written over several lines; a broken line of JSON Lines is longer.
		if s := bytes.TrimSpace(line); len(s) == 1 || in.ext() == ".json" {
			return containerValues, false
		}
		return containerLines, false
	}
	return containerLines, true
}

// listKeys are the names under which an object holds a file's records.
var listKeys = []string{
	"data", "dataset", "train", "training", "validation", "valid", "val", "dev", "test", "eval", "records", "rows",
	"examples", "instances", "items", "samples", "pairs", "preferences", "comparisons", "entries", "results",
}

// toList tells where in the file, from here, the list of records begins that is a
// value of an object, perhaps after something about the file, and under which key;
// the key is empty where the object is a record itself.
func (in *input) toList() (at int, key string) {
	for n := 1; ; n = in.r.Buffered() + 1 {
		_, err := in.r.Peek(min(n, readBuffer))
		head, _ := in.r.Peek(in.r.Buffered())
		s := scanner{data: head}
		if key := s.toList(); key != "" || s.pos < len(head) || err != nil || len(head) == readBuffer {
			return s.pos, key
		}
	}
}

// toList goes to the list of records that an object holds, and gives its key.
// Without one it stops at what tells so, which may be the end of what can be seen.
func (s *scanner) toList() string {
	at := func(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }
	s.space()
	if !at('{') {
		return ""
	}
	for {
		s.pos++
		s.space()
		key, err := s.key()
		if err != nil || knownColumn(key) {
			return ""
		}
		s.space()
		if at('[') && slices.Contains(listKeys, key) {
			inside := scanner{data: s.data, pos: s.pos + 1}
			if inside.space(); inside.pos == len(s.data) {
				s.pos = len(s.data)
				return ""
			}
			if c := s.data[inside.pos]; c == '{' || c == ']' {
				return key
			}
		}
		if s.skip() != nil {
			return ""
		}
		if s.space(); !at(',') {
			return ""
		}
	}
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
	line int
	obj  Object
	bad  string // what is wrong with the record, if anything
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
	case containerArray, containerObject, containerValues:
		err = in.eachValue(c, fn)
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
	end  byte   // what ends a line; 0 is a line feed
	long []byte // a line that does not fit the reader's buffer
}

func (l *lineReader) newline() byte { return cmp.Or(l.end, '\n') }

// next gives the next line, valid until the call after it.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.nextKeep()
	return bytes.TrimSuffix(line, []byte("\r")), err
}

// nextKeep is next with the carriage return that may end a line. A line that is
// too long is read to its end and given as errTooLong.
func (l *lineReader) nextKeep() ([]byte, error) {
	end := l.newline()
	line, err := l.r.ReadSlice(end)
	if err == bufio.ErrBufferFull {
		l.long = append(l.long[:0], line...)
		for err == bufio.ErrBufferFull {
			line, err = l.r.ReadSlice(end)
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
	if n := len(line) - 1; line[n] == end {
		line = line[:n]
	}
	return line, nil
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
		line = bytes.TrimPrefix(line, []byte(mark)) // where files were joined
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
