package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	pformat "github.com/parquet-go/parquet-go/format"
)

// eachParquet reads the rows of a Parquet file, one row group's pages at a time.
// Columns are found by name; lists in any of the forms that writers have made
// come out as lists, maps as objects.
func (in *input) eachParquet(fn func(rawRecord) bool) (err error) {
	// A damaged file may be one that the library did not foresee.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a Parquet file that is damaged, or has more than is read here: %v", r)
		}
	}()
	if head, _ := in.r.Peek(4); string(head) != "PAR1" && len(head) > 0 {
		return fmt.Errorf("not a Parquet file, although its name says so: it begins with %q", head)
	}
	file, size, err := in.seekable()
	if err != nil {
		return err
	}
	if size == 0 {
		return nil
	}
	// The library makes room for as long a footer as the file says that it has.
	var end [8]byte
	if _, err := file.ReadAt(end[:], max(0, size-8)); err != nil || int64(binary.LittleEndian.Uint32(end[:])) > size-12 {
		return errors.New("not readable as Parquet: its end is missing or damaged")
	}
	f, err := parquet.OpenFile(file, size)
	if err != nil {
		return fmt.Errorf("not readable as Parquet: %w", err)
	}
	for _, g := range f.Metadata().RowGroups {
		for i := range g.Columns {
			switch codec := g.Columns[i].MetaData.Codec; codec {
			case pformat.Lz4Raw, pformat.Lz4, pformat.LZO:
				// The library fails on what pyarrow writes, and on damaged data it takes
				// memory without end.
				return fmt.Errorf("column %q is compressed with %s, which is not read here: write the file with zstd, snappy or gzip", strings.Join(g.Columns[i].MetaData.PathInSchema, "."), codec)
			}
		}
	}
	leaf := 0
	root := makeStruct(f.Schema(), 0, 0, &leaf)
	if err := root.ours(f); err != nil {
		return err
	}
	values := make([][]parquet.Value, leaf)
	line := 0
	buf := make([]parquet.Row, 64)
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				line++
				if !fn(root.row(row, values, line)) {
					return rows.Close()
				}
			}
			if errors.Is(err, io.EOF) || err == nil && n == 0 {
				break
			} else if err != nil {
				rows.Close()
				return fmt.Errorf("row %d: %w", line+1, err)
			}
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	return nil
}

// seekable gives the file itself, or a copy of what is not one.
func (in *input) seekable() (io.ReaderAt, int64, error) {
	if in.file != nil {
		if st, err := in.file.Stat(); err == nil && st.Mode().IsRegular() {
			return in.file, st.Size(), nil
		}
	}
	tmp, err := os.CreateTemp("", "cai-parquet-*")
	if err != nil {
		return nil, 0, err
	}
	os.Remove(tmp.Name())
	in.closer = append(in.closer, tmp.Close)
	n, err := io.Copy(tmp, in.r)
	return tmp, n, err
}

// column is a node of the schema as values are read from it.
type column struct {
	kind   byte  // '"' text, '*' JSON as a text, '0' another leaf, 'd' 'u' 'h' 'T' 'D' see number, '{' struct, '[' list, 'm' map
	unit   int64 // of decimals the scale, of times the nanoseconds
	name   string
	leaf   int // the first leaf under it
	leaves int
	def    int // definition level from which on it is there
	rep    int // of a list: repetition level of a further element
	fields []*column
	elem   *column
	// message tells that a struct has a role: in one message a key that others have is
	// not there, which Parquet can only say by null.
	message bool
	// spilled tells that the column extra of a file holds further columns.
	spilled bool
}

func makeStruct(n parquet.Node, rep, def int, leaf *int) *column {
	c := &column{kind: '{', leaf: *leaf, def: def}
	for _, f := range n.Fields() {
		child := makeColumn(f.Name(), f, rep, def, leaf)
		child.name = f.Name()
		c.fields = append(c.fields, child)
		c.message = c.message || f.Name() == "role"
	}
	c.leaves = *leaf - c.leaf
	return c
}

// makeColumn reads a node of the schema; rep and def are the levels of what it is
// in.
func makeColumn(name string, n parquet.Node, rep, def int, leaf *int) *column {
	if n.Optional() {
		def++
	}
	if n.Repeated() { // a list without the annotation
		return asRepeated(rep, def, leaf, func(rep, def int) *column { return makePresent(name, n, rep, def, leaf) })
	}
	return makePresent(name, n, rep, def, leaf)
}

func asRepeated(rep, def int, leaf *int, elem func(rep, def int) *column) *column {
	c := &column{kind: '[', leaf: *leaf, def: def, rep: rep + 1}
	c.elem = elem(rep+1, def+1)
	c.leaves = *leaf - c.leaf
	return c
}

// makePresent is makeColumn where def counts the node itself.
func makePresent(name string, n parquet.Node, rep, def int, leaf *int) *column {
	if n.Leaf() {
		c := &column{kind: '0', leaf: *leaf, leaves: 1, def: def}
		c.kind, c.unit = leafKind(n.Type())
		*leaf++
		return c
	}
	list, isMap := annotation(n)
	fields := n.Fields()
	if !(list || isMap) || len(fields) != 1 || !fields[0].Repeated() {
		return makeStruct(n, rep, def, leaf)
	}
	inner := fields[0]
	c := asRepeated(rep, def, leaf, func(rep, def int) *column {
		// Three levels, but for the older forms in which the repeated node is the
		// element itself.
		if list && !inner.Leaf() && len(inner.Fields()) == 1 && inner.Name() != "array" && inner.Name() != name+"_tuple" {
			f := inner.Fields()[0]
			return makeColumn(f.Name(), f, rep, def, leaf)
		}
		return makePresent(inner.Name(), inner, rep, def, leaf)
	})
	if isMap && len(c.elem.fields) == 2 && c.elem.fields[0].kind == '"' {
		c.kind = 'm'
	}
	return c
}

// annotation tells whether a group is marked as a list or a map, in the newer or
// the older way.
func annotation(n parquet.Node) (list, isMap bool) {
	if lt := n.Type().LogicalType(); lt != nil {
		switch lt.Value.(type) {
		case *pformat.ListType:
			return true, false
		case *pformat.MapType:
			return false, true
		}
	}
	if ct := n.Type().ConvertedType(); ct != nil {
		return *ct == deprecated.List, *ct == deprecated.Map || *ct == deprecated.MapKeyValue
	}
	return false, false
}

// row makes a record of a row's values.
func (c *column) row(row parquet.Row, values [][]parquet.Value, line int) rawRecord {
	for i := range values {
		values[i] = values[i][:0]
	}
	for _, v := range row {
		values[v.Column()] = append(values[v.Column()], v)
	}
	rec := rawRecord{line: line, obj: make(Object, 0, len(c.fields))}
	for _, f := range c.fields {
		raw, err := f.append(nil, values[f.leaf:f.leaf+f.leaves])
		if err != nil {
			return rawRecord{line: line, bad: fmt.Sprintf("column %q: %v", f.name, err)}
		}
		switch {
		case kindOf(raw) == 'n': // Parquet has no column that is missing in one row
		case c.spilled && f.name == extraColumn:
			if rec.obj, err = appendObject(rec.obj, raw); err != nil {
				return rawRecord{line: line, bad: fmt.Sprintf("column %q: %v", f.name, err)}
			}
		default:
			rec.obj = append(rec.obj, Field{f.name, raw})
		}
	}
	return rec
}

// append writes the value that the leaves under c hold as JSON; values are those
// leaves' own.
func (c *column) append(b []byte, values [][]parquet.Value) ([]byte, error) {
	if c.leaves == 0 || len(values[0]) == 0 {
		return append(b, "null"...), nil
	}
	first := values[0][0]
	if first.DefinitionLevel() < c.def {
		return append(b, "null"...), nil
	}
	var err error
	switch c.kind {
	case '{':
		b = append(b, '{')
		start := len(b)
		for _, f := range c.fields {
			before := len(b)
			if before > start {
				b = append(b, ',')
			}
			b = append(append(b, quote(f.name)...), ':')
			value := len(b)
			if b, err = f.append(b, f.of(c, values)); err != nil {
				return b, err
			}
			if c.message && f.name != "content" && string(b[value:]) == "null" {
				b = b[:before]
			}
		}
		return append(b, '}'), nil
	case '[', 'm':
		return c.appendList(b, values, first)
	case '"', '*':
		text := first.ByteArray()
		if !utf8.Valid(text) {
			return b, errors.New(badUTF8(text))
		}
		if s := (scanner{data: text}); c.kind == '*' && s.skip() == nil && s.pos == len(text) {
			return append(b, text...), nil
		}
		return appendQuoted(b, text), nil
	case '0':
	default:
		return c.appendLogical(b, first)
	}
	switch first.Kind() {
	case parquet.Boolean:
		return strconv.AppendBool(b, first.Boolean()), nil
	case parquet.Int32:
		return strconv.AppendInt(b, int64(first.Int32()), 10), nil
	case parquet.Int64:
		return strconv.AppendInt(b, first.Int64(), 10), nil
	case parquet.Float:
		return append(b, jsonFloat(float64(first.Float()))...), nil
	case parquet.Double:
		return append(b, jsonFloat(first.Double())...), nil
	}
	return append(b, quote(first.String())...), nil
}

func (c *column) appendList(b []byte, values [][]parquet.Value, first parquet.Value) ([]byte, error) {
	open, end := byte('['), byte(']')
	if c.kind == 'm' {
		open, end = '{', '}'
	}
	b = append(b, open)
	if first.DefinitionLevel() <= c.def {
		return append(b, end), nil // there, and without elements
	}
	left, part := slices.Clone(values), make([][]parquet.Value, len(values))
	var err error
	for n := 0; len(left[0]) > 0; n++ {
		for i := range left {
			end := min(1, len(left[i]))
			for end < len(left[i]) && left[i][end].RepetitionLevel() > c.rep {
				end++
			}
			part[i], left[i] = left[i][:end], left[i][end:]
		}
		if n > 0 {
			b = append(b, ',')
		}
		if c.kind == '[' {
			if b, err = c.elem.append(b, part); err != nil {
				return b, err
			}
			continue
		}
		key, value := c.elem.fields[0], c.elem.fields[1]
		if b, err = key.append(b, key.of(c, part)); err != nil {
			return b, err
		}
		if b, err = value.append(append(b, ':'), value.of(c, part)); err != nil {
			return b, err
		}
	}
	return append(b, end), nil
}

// of gives those of the values under a column that belong to c.
func (c *column) of(around *column, values [][]parquet.Value) [][]parquet.Value {
	return values[c.leaf-around.leaf:][:c.leaves]
}
