package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// eachCSV reads separated values (RFC 4180) with a header line. It is not
// encoding/csv, which turns a carriage return before a line feed inside a
// quoted field into nothing: text must come out as it came in.
func (in *input) eachCSV(fn func(rawRecord) bool) error {
	c, err := in.csvReader()
	if err != nil {
		return err
	}
	bad, err := c.row()
	if err == io.EOF {
		return nil
	} else if err != nil {
		return err
	}
	h, err := c.header(bad)
	if err != nil {
		return err
	}
	for i, name := range h.names {
		h.numbers[i] = ofNumbers(cmp.Or(in.ours[name], name))
	}
	var buf []byte
	var obj Object
	for {
		bad, err := c.row()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		rec := rawRecord{line: c.start, bad: bad}
		if rec.bad == "" {
			if rec.bad, err = h.misfit(c); err != nil {
				return err
			}
		}
		if rec.bad == "" {
			buf, obj, rec.bad = h.object(c, buf[:0], obj[:0])
			rec.obj = obj
		}
		if !fn(rec) {
			return nil
		}
	}
}

// csvHeader is the names of a file's columns.
type csvHeader struct {
	names   []string
	at      map[string]int
	extra   int    // the column of that name, -1 without one
	unnamed int    // columns without a name
	numbers []bool // columns of numbers
}

// extraColumn holds, as one JSON object, the columns that the CSV writer has no
// column for.
const extraColumn = "extra"

// header takes the row that was read as the header.
func (c *csvReader) header(bad string) (*csvHeader, error) {
	if bad != "" {
		return nil, fmt.Errorf("line %d: the header: %s", c.start, bad)
	}
	h := &csvHeader{at: make(map[string]int, c.cells()), extra: -1}
	for i := range c.cells() {
		name := string(c.cell(i))
		first, twice := h.at[name]
		switch {
		case name == "":
			h.unnamed++
		case twice:
			return nil, fmt.Errorf("line %d: columns %d and %d of the header are both named %q", c.start, first+1, i+1, name)
		case name == extraColumn:
			h.extra = i
		}
		h.at[name] = i
		h.names = append(h.names, name)
	}
	h.numbers = make([]bool, len(h.names))
	if len(h.names) == 1 && strings.ContainsAny(h.names[0], otherCommas) {
		return nil, fmt.Errorf("line %d: the header %q is one column: cells are separated by a comma, a semicolon, a tab or a vertical bar", c.start, h.names[0])
	}
	return h, nil
}

// misfit says what keeps the reader's row from being one under the header. The
// error is that a file with another header was joined on.
func (h *csvHeader) misfit(c *csvReader) (string, error) {
	same := c.cells() == len(h.names) && (c.marked || len(h.names) > 1)
	for i := 0; same && i < len(h.names); i++ {
		same = string(c.cell(i)) == h.names[i]
	}
	switch {
	case same:
		return "the header again: files were joined as they are; take the line out", nil
	case c.marked:
		for i := range c.cells() {
			if name := string(c.cell(i)); knownColumn(name) {
				return "", fmt.Errorf("line %d: a byte order mark and another header: a file with other columns was joined on", c.start)
			}
		}
		return "a byte order mark before the row: another file was joined on, or the text begins with one and needs quotes", nil
	case c.cells() != len(h.names):
		return fmt.Sprintf("%d fields where the header has %d", c.cells(), len(h.names)), nil
	}
	return "", nil
}

// object makes a record of the reader's row, its values appended to buf.
func (h *csvHeader) object(c *csvReader, buf []byte, obj Object) (_ []byte, _ Object, bad string) {
	for i, name := range h.names {
		cell := c.cell(i)
		if len(cell) == 0 && (name == "" || h.numbers[i]) {
			continue // as after a delimiter at the end of each line; or null
		}
		if name == "" && h.unnamed > 1 {
			return buf, nil, fmt.Sprintf("column %d has a value and no name in the header", i+1)
		}
		if i == h.extra && (len(cell) == 0 || cell[0] == '{') {
			continue
		}
		from := len(buf)
		if buf = appendQuoted(buf, cell); h.numbers[i] && decimalComma(cell, c.comma) {
			buf[from+1+bytes.IndexByte(cell, ',')] = '.'
		}
		obj = append(obj, Field{name, buf[from:len(buf):len(buf)]})
	}
	if h.extra < 0 || !bytes.HasPrefix(c.cell(h.extra), []byte("{")) {
		return buf, obj, ""
	}
	cell := c.cell(h.extra)
	n := len(obj)
	all, err := appendObject(obj, cell)
	if err != nil {
		return buf, append(obj[:n], Field{extraColumn, quote(string(cell))}), ""
	}
	for _, f := range all[n:] {
		if _, twice := h.at[f.Key]; twice && f.Key != extraColumn {
			return buf, nil, fmt.Sprintf("the column %q has a key %q, and the header has a column of that name", extraColumn, f.Key)
		}
	}
	return buf, all, ""
}

// ofNumbers tells whether a column holds numbers that say which reply is better, or
// by how much.
func ofNumbers(name string) bool {
	switch kind, _ := labelKind(name, false); kind {
	case labelProb, labelVote, labelFlag:
		return true
	case labelChoice:
		return name != "chosen" // mostly a reply
	}
	return name == "margin" || strings.Contains(name, "score") || strings.Contains(name, "rating")
}

// decimalComma tells whether a cell is a number whose decimals a comma begins, as
// spreadsheets write it in most of Europe, and there with other commas between
// cells. Where the comma stands between cells, three decimals could be thousands.
func decimalComma(cell []byte, comma byte) bool {
	whole, decimals, ok := bytes.Cut(bytes.TrimLeft(cell, "+-"), []byte(","))
	digits := func(b []byte) bool { return len(b) > 0 && len(bytes.Trim(b, "0123456789")) == 0 }
	return ok && digits(whole) && digits(decimals) && (comma != ',' || len(decimals) != 3)
}

// csvReader reads rows that may go over several lines.
type csvReader struct {
	lines  lineReader
	comma  byte
	line   int    // lines read
	start  int    // line on which the last row began
	text   []byte // the last row's cells, one after the other
	ends   []int  // where each ends in text
	marked bool   // a byte order mark stood before the row
	ended  bool   // what follows cannot be told from text
	// invalid says where the row is not UTF-8, on invalidLine.
	invalid     string
	invalidLine int
}

func (c *csvReader) cells() int { return len(c.ends) }

// cell gives a cell of the last row, valid until the next.
func (c *csvReader) cell(i int) []byte {
	from := 0
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.text[from:c.ends[i]]
}

func (c *csvReader) end() { c.ends = append(c.ends, len(c.text)) }

// row reads the next row, or says what is wrong with it.
func (c *csvReader) row() (bad string, err error) {
	c.text, c.ends, c.invalid = c.text[:0], c.ends[:0], ""
	var raw []byte
	for {
		if c.ended {
			return "", io.EOF
		}
		raw, err = c.next()
		if err == errTooLong {
			c.start = c.line
			return tooLong(), nil
		} else if err != nil {
			return "", err
		}
		if len(bytes.TrimRight(raw, "\r")) > 0 {
			break
		}
	}
	c.start = c.line
	if c.marked = bytes.HasPrefix(raw, []byte(mark)); c.marked {
		raw = raw[len(mark):]
	}
	for more := true; more; {
		if len(raw) > 0 && raw[0] == '"' {
			if raw, more, bad, err = c.quoted(raw[1:]); bad != "" || err != nil {
				return bad, err
			}
			continue
		}
		cell := raw
		if i := bytes.IndexByte(raw, c.comma); i >= 0 {
			cell, raw = raw[:i], raw[i+1:]
		} else {
			cell, more = bytes.TrimRight(raw, "\r"), false
		}
		if bad == "" {
			bad = c.bare(cell)
		}
		c.text = append(c.text, cell...)
		c.end()
	}
	if c.invalid != "" && c.invalidLine > c.start {
		return fmt.Sprintf("line %d: %s", c.invalidLine, c.invalid), nil
	}
	return cmp.Or(c.invalid, bad), nil
}

// bare says what is wrong with a field without quotes.
func (c *csvReader) bare(cell []byte) string {
	switch {
	case c.comma != '\t' && bytes.IndexByte(cell, '"') >= 0: // files of tabs often have no quoting at all
		return `a quote inside a field that does not begin with one; write the field as "…" with "" for each quote`
	case bytes.IndexByte(cell, '\r') >= 0 || bytes.IndexByte(cell, '\n') >= 0:
		return `a line end of another kind than the header's inside a field without quotes; write the field as "…"`
	case bytes.IndexByte(cell, 0) >= 0:
		return "a NUL byte, as in UTF-16 text that was joined on, or a damaged file"
	}
	return ""
}

// quoted reads the rest of a quoted field and what separates it from the next.
func (c *csvReader) quoted(raw []byte) (rest []byte, more bool, bad string, err error) {
	opened := c.line
	for {
		i := bytes.IndexByte(raw, '"')
		if i < 0 {
			c.text = append(append(c.text, raw...), c.lines.newline())
			if len(c.text) > MaxRecord {
				err = errTooLong
			} else {
				raw, err = c.next()
			}
			switch {
			case err == io.EOF:
				return nil, false, fmt.Sprintf("the quoted field that begins on line %d has no end", opened), nil
			case err == errTooLong:
				c.ended = true
				return nil, false, fmt.Sprintf("%s; the quoted field that begins on line %d may have no end", tooLong(), opened), nil
			case err != nil:
				return nil, false, "", err
			}
			continue
		}
		c.text = append(c.text, raw[:i]...)
		if raw = raw[i+1:]; len(raw) == 0 || raw[0] != '"' {
			break
		}
		c.text = append(c.text, '"')
		raw = raw[1:]
	}
	c.end()
	switch {
	case len(bytes.TrimRight(raw, "\r")) == 0:
		return nil, false, "", nil
	case raw[0] != c.comma:
		return nil, false, fmt.Sprintf("text after the end of the quoted field that begins on line %d", opened), nil
	}
	return raw[1:], true, "", nil
}

// next gives the next line with its carriage return, if it has one: inside a
// quoted field it is text.
func (c *csvReader) next() ([]byte, error) {
	line, err := c.lines.nextKeep()
	if err == nil || err == errTooLong {
		c.line++
	}
	if c.invalid == "" && !utf8.Valid(line) {
		c.invalid, c.invalidLine = badUTF8(line), c.line
	}
	return line, err
}

const (
	commas      = ",;\t|"       // what may separate cells
	otherCommas = ":~^\x01\x1f" // what may not
	probed      = 16            // rows that are looked at where the header leaves it open
	sepLine     = "sep="        // of Excel: the line before the header names the comma
)

// csvReader makes a reader of what the beginning of the file shows: which
// character separates the cells, and what ends a line.
func (in *input) csvReader() (*csvReader, error) {
	head, n := in.peekHeader()
	c := &csvReader{lines: lineReader{r: in.r, end: '\n'}, comma: ','}
	if rest := bytes.TrimLeft(head[n:], "\r"); len(rest) < len(head[n:]) && (len(rest) == 0 || rest[0] != '\n') {
		c.lines.end = '\r'
	}
	header := bytes.TrimLeft(head[:n], "\r\n")
	if x, ok := bytes.CutPrefix(header, []byte(sepLine)); ok && len(x) == 1 {
		c.comma = x[0]
		if _, err := c.row(); err != io.EOF {
			return c, err
		}
		return c, nil
	}
	var found []byte
	outside := unquoted(header)
	for i := range len(commas) {
		if bytes.IndexByte(outside, commas[i]) >= 0 {
			found = append(found, commas[i])
		}
	}
	switch tabs := tabs(in.ext()); {
	case tabs && bytes.IndexByte(outside, '\t') >= 0, tabs && len(found) == 0:
		c.comma = '\t'
	case tabs:
		return nil, fmt.Errorf("line 1: the header has no tab, although the file's name says that tabs separate its cells; it has %q: name the file .csv", found)
	case len(found) == 1:
		c.comma = found[0]
	case len(found) > 1:
		var ok bool
		if c.comma, ok = in.choose(head, c.lines.end, found); !ok {
			return nil, fmt.Errorf("line 1: the header has each of %q, and it is not clear which of them separates the cells: write the names that have one as \"…\"", found)
		}
	}
	return c, nil
}

// peekHeader gives the file's beginning, and where in it the first line that is
// not empty ends. It waits for no more than that line and a byte.
func (in *input) peekHeader() (head []byte, end int) {
	for n := 1; ; n = in.r.Buffered() + 1 {
		_, err := in.r.Peek(min(n, readBuffer))
		head, _ = in.r.Peek(in.r.Buffered())
		end = len(head) - len(bytes.TrimLeft(head, "\r\n"))
		quoted := false
		for ; end < len(head); end++ {
			if c := head[end]; c == '"' {
				quoted = !quoted
			} else if !quoted && (c == '\n' || c == '\r') {
				break
			}
		}
		after := bytes.TrimLeft(head[end:], "\r") // a carriage return may be half of a line end
		if err != nil || len(head) == readBuffer || len(after) > 0 {
			return head, end
		}
	}
}

// unquoted gives what of a line stands in no quotes.
func unquoted(line []byte) []byte {
	var out []byte
	for i, part := range bytes.Split(line, []byte(`"`)) {
		if i%2 == 0 {
			out = append(out, part...)
		}
	}
	return out
}

// choose finds the comma of a header that has several: the one that gives the
// most columns whose names are known, else the only one by which the first rows
// have as many cells as the header.
func (in *input) choose(head []byte, end byte, found []byte) (byte, bool) {
	known, fitting := make([]int, len(found)), []byte(nil)
	for i, comma := range found {
		p := csvReader{lines: lineReader{r: bufio.NewReaderSize(bytes.NewReader(head), readBuffer), end: end}, comma: comma}
		if bad, err := p.row(); bad != "" || err != nil {
			continue
		}
		columns, rows, fits := p.cells(), 0, true
		for k := range columns {
			if name := string(p.cell(k)); in.ours[name] != "" || knownColumn(name) {
				known[i]++
			}
		}
		for ; rows < probed && fits; rows++ {
			bad, err := p.row()
			if err != nil || p.lines.r.Buffered() == 0 && head[len(head)-1] != end { // a part of a row
				break
			}
			fits = bad == "" && p.cells() == columns
		}
		if fits && rows > 0 {
			fitting = append(fitting, comma)
		}
	}
	most := slices.Max(known)
	if i := slices.Index(known, most); most > 0 && !slices.Contains(known[i+1:], most) {
		return found[i], true
	}
	if len(fitting) == 1 {
		return fitting[0], true
	}
	return 0, false
}

// knownColumn tells whether a name is one that the formats have for a column.
func knownColumn(name string) bool {
	switch name {
	case "chosen", "rejected", "responses", "completions", "label", "labels", "id", "label_prob", "margin", extraColumn:
		return true
	}
	for _, t := range twoColumns {
		if name == t.names[0] || name == t.names[1] {
			return true
		}
	}
	return slices.Contains(promptColumns, name) || slices.Contains(replyColumns, name)
}

// looksCSV tells whether a text begins with the header of separated values: a
// line with the names of two known columns at least.
func (in *input) looksCSV(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	line, _, _ = bytes.Cut(line, []byte("\r"))
	if bytes.HasPrefix(line, []byte(sepLine)) && len(line) == len(sepLine)+1 {
		return true
	}
	n := 0
	for _, cell := range bytes.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(commas, r) }) {
		if name := string(bytes.Trim(cell, `"`)); in.ours[name] != "" || knownColumn(name) {
			n++
		}
	}
	return n >= 2
}

// appendCell writes a text as a cell. Quotes stand around what would be read as
// something else without them, by this reader or by others.
func appendCell(b []byte, text string, comma byte) []byte {
	first, _ := utf8.DecodeRuneInString(text)
	if text == "" || strings.IndexByte(text, comma) < 0 && !strings.ContainsAny(text, "\"\r\n\x00") &&
		!unicode.IsSpace(first) && first != '\ufeff' && text != `\.` {
		return append(b, text...)
	}
	b = append(b, '"')
	for {
		before, after, more := strings.Cut(text, `"`)
		b = append(b, before...)
		if !more {
			return append(b, '"')
		}
		b, text = append(b, `""`...), after
	}
}
