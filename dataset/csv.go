package dataset

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// eachCSV reads comma-separated values (RFC 4180) with a header line. It is not
// encoding/csv, which turns a carriage return before a line feed inside a
// quoted field into nothing: text must come out as it came in.
func (in *input) eachCSV(fn func(rawRecord) bool) error {
	c := csvReader{lines: lineReader{r: in.r}}
	var header []string
	for {
		row, bad, err := c.row()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		rec := rawRecord{line: c.start, cells: true, bad: bad}
		switch {
		case bad != "":
		case header == nil:
			if header = row; !headerFits(header) {
				return fmt.Errorf("line %d: the header must name each column once: %q", c.start, row)
			}
			continue
		case len(row) != len(header):
			rec.bad = fmt.Sprintf("%d fields where the header has %d", len(row), len(header))
		default:
			rec.obj = make(Object, 0, len(row))
			for i, cell := range row {
				if header[i] == extraColumn && strings.HasPrefix(cell, "{") {
					continue
				}
				rec.obj = append(rec.obj, Field{header[i], quote(cell)})
			}
			for i, cell := range row {
				if header[i] == extraColumn && strings.HasPrefix(cell, "{") {
					if obj, err := appendObject(rec.obj, []byte(cell)); err != nil {
						rec.obj = append(rec.obj, Field{extraColumn, quote(cell)})
					} else {
						rec.obj = obj
					}
				}
			}
		}
		if bad != "" && header == nil {
			return fmt.Errorf("line %d: %s", c.start, bad)
		}
		if !fn(rec) {
			return nil
		}
	}
}

// extraColumn holds, as one JSON object, the columns that the CSV writer has no
// column for.
const extraColumn = "extra"

func headerFits(header []string) bool {
	seen := map[string]bool{}
	for _, h := range header {
		if seen[h] {
			return false
		}
		seen[h] = true
	}
	return true
}

// csvReader reads records that may go over several lines.
type csvReader struct {
	lines lineReader
	line  int // lines read
	start int // line on which the last record began
}

// row gives the next record's fields, or what is wrong with it.
func (c *csvReader) row() (fields []string, bad string, err error) {
	var raw string
	for {
		raw, err = c.next()
		if err == errTooLong {
			c.start = c.line
			return nil, tooLong(), nil
		} else if err != nil {
			return nil, "", err
		}
		if strings.TrimSuffix(raw, "\r") != "" {
			break
		}
	}
	c.start = c.line
	for {
		if i := strings.IndexByte(raw, '"'); i != 0 {
			// A bare field.
			cell, rest, more := strings.Cut(raw, ",")
			if !more {
				cell = strings.TrimSuffix(cell, "\r")
			}
			if strings.Contains(cell, `"`) && bad == "" {
				bad = `a quote inside a field that does not begin with one; write the field as "…" with "" for each quote`
			}
			fields = append(fields, cell)
			if !more {
				break
			}
			raw = rest
			continue
		}
		var cell strings.Builder
		raw = raw[1:]
		for {
			i := strings.IndexByte(raw, '"')
			if i < 0 {
				cell.WriteString(raw)
				cell.WriteByte('\n')
				if cell.Len() > MaxRecord {
					return nil, tooLong(), nil
				}
				if raw, err = c.next(); err == io.EOF {
					return nil, "a quoted field has no end", nil
				} else if err == errTooLong {
					return nil, tooLong(), nil
				} else if err != nil {
					return nil, "", err
				}
				continue
			}
			cell.WriteString(raw[:i])
			raw = raw[i+1:]
			if !strings.HasPrefix(raw, `"`) {
				break
			}
			cell.WriteByte('"')
			raw = raw[1:]
		}
		fields = append(fields, cell.String())
		if raw == "" || raw == "\r" {
			break
		}
		if raw[0] != ',' {
			return nil, "text after the end of a quoted field", nil
		}
		raw = raw[1:]
	}
	for _, f := range fields {
		if !utf8.ValidString(f) && bad == "" {
			bad = badUTF8([]byte(f))
		}
	}
	return fields, bad, nil
}

// next gives the next line with its carriage return, if it has one: inside a
// quoted field it is text.
func (c *csvReader) next() (string, error) {
	line, err := c.lines.nextKeep()
	if err == nil || err == errTooLong {
		c.line++
	}
	return string(line), err
}

// quote writes a text as a JSON string.
func quote(s string) []byte {
	b, err := marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return b
}
