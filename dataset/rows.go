package dataset

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// RowWriter writes records in one container. Close ends it and does not close
// what is written to.
type RowWriter interface {
	WriteRow(Object) error
	Close() error
}

// NewRowWriter makes a writer of the container that a file's name asks for: a JSON
// array for .json, CSV for .csv, the same with tabs for .tsv and .tab, Parquet for
// .parquet, else JSON Lines. An ending .gz or .zst is left to [Create].
func NewRowWriter(name string, w io.Writer) RowWriter {
	ext := rowExt(name)
	switch {
	case ext == ".json":
		return &arrayWriter{w: w, enc: NewEncoder(w)}
	case ext == ".csv":
		return &csvRows{w: w, comma: ',', none: []string{"prompt"}}
	case tabs(ext):
		return &csvRows{w: w, comma: '\t', none: []string{"prompt"}}
	case ext == ".parquet":
		return newParquetWriter(w)
	}
	return lineWriter{NewEncoder(w)}
}

// tabs tells whether an extension is one of files whose cells are separated by tabs.
func tabs(ext string) bool { return ext == ".tsv" || ext == ".tab" }

func rowExt(name string) string {
	name = strings.ToLower(name)
	for _, ext := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, ext)
	}
	return filepath.Ext(name)
}

// lineWriter writes JSON Lines.
type lineWriter struct{ enc *Encoder }

func (w lineWriter) WriteRow(o Object) error { return w.enc.Encode(o) }
func (w lineWriter) Close() error            { return nil }

// arrayWriter writes one JSON array with a record a line.
type arrayWriter struct {
	w   io.Writer
	enc *Encoder
	n   int
}

func (w *arrayWriter) WriteRow(o Object) error {
	before := ","
	if w.n == 0 {
		before = "["
	}
	w.n++
	if _, err := io.WriteString(w.w, before); err != nil {
		return err
	}
	return w.enc.Encode(o)
}

func (w *arrayWriter) Close() error {
	end := "]\n"
	if w.n == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(w.w, end)
	return err
}

// columns are the names of columns in their order.
type columns struct {
	names []string
	at    map[string]int
}

// add gives the place of a column, at the end if it is new.
func (c *columns) add(name string) int {
	if c.at == nil {
		c.at = map[string]int{}
	}
	if _, ok := c.at[name]; !ok {
		c.at[name] = len(c.names)
		c.names = append(c.names, name)
	}
	return c.at[name]
}

// spread puts a record's values at the places of its columns, nil where it has
// none, and gives the fields that have no column.
func (c *columns) spread(o Object, values []json.RawMessage) (_ []json.RawMessage, rest Object) {
	values = slices.Grow(values[:0], len(c.names))[:len(c.names)]
	clear(values)
	for i, f := range o {
		if i >= len(c.names) || c.names[i] != f.Key { // most records have the same columns in the same order
			place, ok := c.at[f.Key]
			if !ok {
				rest = append(rest, f)
				continue
			}
			i = place
		}
		if values[i] == nil {
			values[i] = f.Value
		}
	}
	return values, rest
}

// csvRows writes a header from its first record; columns that come later, and
// one of the source's own that is called extra, stand in the column extra, as JSON. A text is its own cell, null an empty one, and any
// other value its JSON.
type csvRows struct {
	w     io.Writer
	comma byte
	columns
	none   []string // the header of a file without records
	begun  bool
	values []json.RawMessage
	buf    []byte
}

func (w *csvRows) WriteRow(o Object) error {
	if !w.begun {
		for _, f := range o {
			if f.Key != extraColumn {
				w.add(f.Key)
			}
		}
		w.header(w.names)
	}
	var rest Object
	w.values, rest = w.spread(o, w.values)
	for _, raw := range w.values {
		cell := string(raw)
		if s, err := unquote(raw); err == nil {
			cell = s
		} else if kindOf(raw) == 'n' {
			cell = ""
		}
		w.buf = append(appendCell(w.buf, cell, w.comma), w.comma)
	}
	if len(rest) > 0 {
		raw, err := rest.MarshalJSON()
		if err != nil {
			return err
		}
		w.buf = appendCell(w.buf, string(raw), w.comma)
	}
	w.buf = append(w.buf, '\n')
	return w.flush(readBuffer)
}

// header writes the names and that of the column extra.
func (w *csvRows) header(names []string) {
	w.begun = true
	for _, name := range names {
		w.buf = append(appendCell(w.buf, name, w.comma), w.comma)
	}
	w.buf = append(w.buf, extraColumn+"\n"...)
}

// flush writes out what is at least so much.
func (w *csvRows) flush(least int) error {
	if len(w.buf) < least {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *csvRows) Close() error {
	if !w.begun {
		w.header(w.none)
	}
	return w.flush(1)
}

// checkContainer tells whether a format's columns fit what a name asks for.
func (f *outFormat) checkContainer(name string) error {
	ext := rowExt(name)
	switch {
	case f.name == "csv" && ext != ".csv" && !tabs(ext) && ext != "" && name != "" && name != "-":
		return fmt.Errorf("the format csv makes no %s file: name it .csv or .tsv, or use trl", ext)
	}
	return nil
}
