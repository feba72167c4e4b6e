package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// shape is the type of a column as all of its values have it so far. Parquet has
// one type for a column; JSON may have several, which become JSON texts.
type shape struct {
	kind    byte // 0 nothing but null yet, 't' boolean, 'i' integer, 'f' float, '"' text, '[' list, '{' object, '*' JSON as a text
	elem    *shape
	columns          // of an object, in the order that they were seen
	fields  []*shape // theirs
	values  []json.RawMessage
	column  int  // the first leaf
	def     int  // definition level of a value that is there
	deep    int  // lists and objects around it
	file    *int // columns of the file, those inside others too
	large   bool // an integer has more digits than a float
}

const (
	// maxFields bounds the fields of a struct, for objects whose keys are data.
	maxFields = 200
	// maxColumns bounds the columns of a file, each of which takes 20 KB of memory
	// while it is written. Further ones stand in the column extra, as JSON.
	maxColumns = 2000
	// maxNested bounds how deep a column's type goes: Parquet's levels are bytes.
	maxNested = 32
)

func (s *shape) see(raw json.RawMessage) {
	kind := kindOf(raw)
	if kind == 0 || kind == 'n' || s.kind == '*' {
		return
	}
	switch kind {
	case 'f':
		kind = 't'
	case '0':
		kind = 'f'
		switch n, err := strconv.ParseInt(string(raw), 10, 64); {
		case err == nil:
			kind = 'i'
			s.large = s.large || n < -1<<53 || n > 1<<53
		case !bytes.ContainsAny(raw, ".eE") || !finite(number(raw)):
			kind = '*'
		}
	}
	switch {
	case s.kind == 0:
		s.kind = kind
	case (s.kind == 'i' && kind == 'f' || s.kind == 'f' && kind == 'i') && !s.large:
		s.kind = 'f'
	case s.kind != kind || s.kind == 'f' && s.large:
		s.kind = '*'
	}
	if (s.kind == '[' || s.kind == '{') && s.deep > maxNested {
		s.kind = '*'
	}
	switch s.kind {
	case '[':
		items, err := elements(raw)
		if err != nil {
			s.kind = '*'
			return
		}
		if s.elem == nil {
			s.elem = &shape{deep: s.deep + 1, file: s.file}
		}
		for _, item := range items {
			s.elem.see(item)
		}
	case '{':
		var sc scanner
		o, err := sc.record(nil, raw)
		if err != nil || len(o) == 0 {
			s.kind = '*' // Parquet has no struct without fields
			return
		}
		s.object(o)
	}
}

func (s *shape) object(o Object) {
	for i, f := range o {
		place := i // most records have the same columns in the same order
		if i >= len(s.names) || s.names[i] != f.Key {
			var known bool
			if place, known = s.at[f.Key]; !known {
				full := s.deep > 0 && len(s.names) >= maxFields || *s.file >= maxColumns
				if full && s.deep == 0 {
					continue // a column of the file, which goes into extra
				}
				if full || f.Key == "" {
					s.kind = '*'
					return
				}
				place = s.add(f.Key)
				*s.file++
				s.fields = append(s.fields, &shape{deep: s.deep + 1, file: s.file})
			}
		}
		s.fields[place].see(f.Value)
	}
}

// group is a struct that keeps the order of its fields.
type group struct {
	parquet.Group
	columns
}

func (g group) Fields() []parquet.Field {
	fields := g.Group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int { return g.at[a.Name()] - g.at[b.Name()] })
	return fields
}

// node gives the Parquet type, everything nullable, and numbers the leaves.
func (s *shape) node(def int, leaf *int) parquet.Node {
	s.def, s.column = def+1, *leaf
	var n parquet.Node
	switch s.kind {
	case '[':
		n = parquet.List(s.elem.node(def+2, leaf))
		return parquet.Optional(n)
	case '{':
		return parquet.Optional(s.group(def+1, leaf))
	case 't':
		n = parquet.Leaf(parquet.BooleanType)
	case 'i':
		n = parquet.Leaf(parquet.Int64Type)
	case 'f':
		n = parquet.Leaf(parquet.DoubleType)
	default:
		n = parquet.String()
	}
	*leaf++
	return parquet.Optional(n)
}

func (s *shape) group(def int, leaf *int) parquet.Node {
	g := group{parquet.Group{}, s.columns}
	for i, name := range s.names {
		g.Group[name] = s.fields[i].node(def, leaf)
	}
	return g
}

// texts gives the leaves that hold JSON as texts.
func (s *shape) texts(leaves []int) []int {
	switch s.kind {
	case '*':
		return append(leaves, s.column)
	case '[':
		return s.elem.texts(leaves)
	case '{':
		for _, f := range s.fields {
			leaves = f.texts(leaves)
		}
	}
	return leaves
}

// put appends a value to the leaves; def is how much of the path to it is there.
func (s *shape) put(row []parquet.Row, raw json.RawMessage, rep, depth, def int) {
	kind := kindOf(raw)
	there := kind != 0 && kind != 'n'
	if there {
		def = s.def
	}
	switch s.kind {
	case '[':
		var items []json.RawMessage
		if there {
			items, _ = elements(raw)
		}
		if len(items) == 0 {
			s.elem.put(row, nil, rep, depth+1, def)
			return
		}
		for i, item := range items {
			if i > 0 {
				rep = depth + 1
			}
			s.elem.put(row, item, rep, depth+1, def+1)
		}
		return
	case '{':
		var o Object
		if there {
			var sc scanner
			o, _ = sc.record(nil, raw)
		}
		s.putFields(row, o, rep, depth, def)
		return
	}
	var v parquet.Value
	switch {
	case !there:
		v = parquet.NullValue()
	case s.kind == 't':
		v = parquet.BooleanValue(kind == 't')
	case s.kind == 'i':
		n, _ := strconv.ParseInt(string(raw), 10, 64)
		v = parquet.Int64Value(n)
	case s.kind == 'f':
		v = parquet.DoubleValue(number(raw))
	case s.kind == '"':
		text, _ := unquote(raw)
		v = parquet.ByteArrayValue([]byte(text))
	default:
		v = parquet.ByteArrayValue(raw)
	}
	row[s.column] = append(row[s.column], v.Level(rep, def, s.column))
}

func (s *shape) putFields(row []parquet.Row, o Object, rep, depth, def int) {
	s.values, _ = s.spread(o, s.values)
	for i, field := range s.fields {
		field.put(row, s.values[i], rep, depth, def)
	}
}

// parquetWriter keeps the records in a temporary file until the types of all
// columns are known, then writes them by row groups: memory does not grow with
// the file. It writes no key "huggingface": readers take the schema from Parquet.
type parquetWriter struct {
	w     io.Writer
	spool *os.File
	buf   *bufio.Writer
	enc   *Encoder
	root  shape
	full  bool // some columns stand in the column extra
	err   error
}

// Metadata of a file, for reading it back: that the column extra holds further
// columns, and which of the innermost columns hold JSON as texts, as a list of their
// numbers.
const (
	extraKey = "cai.extra"
	jsonKey  = "cai.json"
)

func newParquetWriter(w io.Writer) *parquetWriter {
	p := &parquetWriter{w: w, root: shape{kind: '{', file: new(int)}}
	if p.spool, p.err = os.CreateTemp("", "cai-parquet-*"); p.err == nil {
		os.Remove(p.spool.Name()) // gone with the process, however that ends
		p.buf = bufio.NewWriterSize(p.spool, readBuffer)
		p.enc = NewEncoder(p.buf)
	}
	return p
}

func (p *parquetWriter) WriteRow(o Object) error {
	if p.err != nil {
		return p.err
	}
	if p.root.object(o); p.root.kind != '{' {
		return errors.New("a column without a name: Parquet needs one")
	}
	p.full = p.full || *p.root.file >= maxColumns
	return p.enc.Encode(o)
}

// spill makes room for the columns that the file has no place for, in one that is
// called extra. A column of the source of that name becomes one of them.
func (s *shape) spill() {
	var kept shape
	for i, name := range s.names {
		if name != extraColumn {
			kept.add(name)
			kept.fields = append(kept.fields, s.fields[i])
		}
	}
	kept.add(extraColumn)
	s.columns, s.fields = kept.columns, append(kept.fields, &shape{kind: '*'})
}

// spilled gives a record with the columns together that have no place.
func (s *shape) spilled(o Object) Object {
	var out, rest Object
	for _, f := range o {
		if _, ok := s.at[f.Key]; ok && f.Key != extraColumn {
			out = append(out, f)
		} else {
			rest = append(rest, f)
		}
	}
	if rest == nil {
		return out
	}
	raw, err := rest.MarshalJSON()
	if err != nil {
		panic(err) // values that the scanner has been past
	}
	return append(out, Field{extraColumn, raw})
}

const (
	groupRows  = 20000
	groupBytes = 64 << 20
)

func (p *parquetWriter) Close() error {
	if p.err != nil {
		return p.err
	}
	defer p.spool.Close()
	if len(p.root.names) == 0 {
		p.root.object(Object{{"prompt", nil}}) // a file needs a column
	}
	options := []parquet.WriterOption{parquet.Compression(&parquet.Snappy), parquet.CreatedBy("cai", "", "")}
	if p.full {
		p.root.spill()
		options = append(options, parquet.KeyValueMetadata(extraKey, "json"))
	}
	if err := p.buf.Flush(); err != nil {
		return err
	}
	if _, err := p.spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	leaves := 0
	schema := parquet.NewSchema("schema", p.root.group(0, &leaves))
	if texts := p.root.texts(nil); texts != nil {
		raw, err := marshal(texts)
		if err != nil {
			return err
		}
		options = append(options, parquet.KeyValueMetadata(jsonKey, string(raw)))
	}
	w := parquet.NewWriter(p.w, append(options, schema)...)
	lines := lineReader{r: bufio.NewReaderSize(p.spool, readBuffer)}
	columns := make([]parquet.Row, leaves)
	var obj Object
	var row parquet.Row
	rows, size := 0, 0
	for {
		line, err := lines.next()
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if obj, err = appendObject(obj[:0], line); err != nil {
			return err
		}
		row = row[:0]
		for i := range columns {
			columns[i] = columns[i][:0]
		}
		if p.full {
			obj = p.root.spilled(obj)
		}
		p.root.putFields(columns, obj, 0, 0, 0)
		for i := range columns {
			row = append(row, columns[i]...)
		}
		if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
		rows, size = rows+1, size+len(line)
		if rows >= groupRows || size >= groupBytes {
			if err := w.Flush(); err != nil {
				return err
			}
			rows, size = 0, 0
		}
	}
	return w.Close()
}

// jsonNumber writes a float that JSON can hold, else null.
func jsonNumber(x float64) json.RawMessage {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return json.RawMessage("null")
	}
	return strconv.AppendFloat(nil, x, 'g', -1, 64)
}
