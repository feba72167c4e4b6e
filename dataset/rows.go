package dataset

import (
	"encoding/csv"
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
// array for .json, CSV for .csv, Parquet for .parquet, else JSON Lines. An
// ending .gz or .zst is left to [Create].
func NewRowWriter(name string, w io.Writer) RowWriter {
	switch rowExt(name) {
	case ".json":
		return &arrayWriter{w: w, enc: NewEncoder(w)}
	case ".csv":
		return &csvRows{w: csv.NewWriter(w), none: []string{"prompt"}}
	case ".parquet":
		return newParquetWriter(w)
	}
	return lineWriter{NewEncoder(w)}
}

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

// csvRows writes a header from its first record; columns that come later stand in
// the column extra, as JSON. A text is its own cell, null an empty one, and any
// other value its JSON.
type csvRows struct {
	w       *csv.Writer
	columns []string
	none    []string // the header of a file without records
	begun   bool
}

func (w *csvRows) WriteRow(o Object) error {
	if !w.begun {
		w.begun = true
		for _, f := range o {
			if f.Key != extraColumn {
				w.columns = append(w.columns, f.Key)
			}
		}
		if err := w.w.Write(append(slices.Clone(w.columns), extraColumn)); err != nil {
			return err
		}
	}
	row := make([]string, 0, len(w.columns)+1)
	for _, c := range w.columns {
		raw := o.Get(c)
		cell := string(raw)
		if s, err := unquote(raw); err == nil {
			cell = s
		} else if kindOf(raw) == 'n' {
			cell = ""
		}
		row = append(row, cell)
	}
	cell, err := extraCell(o, w.columns, extraColumn)
	if err != nil {
		return err
	}
	return w.w.Write(append(row, cell))
}

// extraCell is the cell of the column extra: what a record has beside its columns
// and the further names, as JSON; empty where that is nothing.
func extraCell(o Object, columns []string, names ...string) (string, error) {
	var rest Object
	for _, f := range o {
		if !slices.Contains(names, f.Key) && !slices.Contains(columns, f.Key) {
			rest = append(rest, f)
		}
	}
	if rest == nil {
		return "", nil
	}
	raw, err := rest.MarshalJSON()
	return string(raw), err
}

func (w *csvRows) Close() error {
	if !w.begun {
		if err := w.w.Write(append(slices.Clone(w.none), extraColumn)); err != nil {
			return err
		}
	}
	w.w.Flush()
	return w.w.Error()
}

// checkContainer tells whether a format's columns fit what a name asks for.
func (f *outFormat) checkContainer(name string) error {
	ext := rowExt(name)
	switch {
	case f.name == "csv" && ext != ".csv" && ext != "" && name != "" && name != "-":
		return fmt.Errorf("the format csv makes no %s file: name it .csv, or use trl", ext)
	case f.nested && ext == ".csv":
		return fmt.Errorf("cells of CSV, which are texts, cannot hold the columns of the format %s: name the file .jsonl or .parquet", f.name)
	}
	return nil
}
