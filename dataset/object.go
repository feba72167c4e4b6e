package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Field is one key of an [Object].
type Field struct {
	Key   string
	Value json.RawMessage
}

// Object is a JSON object that keeps the order of its keys, so that a record
// comes out with its columns as they came in.
type Object []Field

// Get gives the value under key, nil if there is none.
func (o Object) Get(key string) json.RawMessage {
	for i := range o {
		if o[i].Key == key {
			return o[i].Value
		}
	}
	return nil
}

// Set replaces the value under key, or appends it. The value must marshal.
func (o *Object) Set(key string, value any) error {
	raw, err := marshal(value)
	if err != nil {
		return fmt.Errorf("column %q: %w", key, err)
	}
	for i := range *o {
		if (*o)[i].Key == key {
			(*o)[i].Value = raw
			return nil
		}
	}
	*o = append(*o, Field{key, raw})
	return nil
}

// MarshalJSON writes the keys in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := marshal(f.Key)
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		if len(f.Value) == 0 {
			b.WriteString("null")
		}
		b.Write(f.Value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object; a key given twice, or text that is not valid
// Unicode, is an error.
func (o *Object) UnmarshalJSON(data []byte) error {
	out, err := appendObject((*o)[:0], bytes.Clone(data))
	if err != nil {
		return err
	}
	*o = out
	return nil
}

// clone copies o with its values, which may be slices of a buffer that is read
// into again.
func (o Object) clone() Object {
	n := 0
	for i := range o {
		n += len(o[i].Value)
	}
	buf := make([]byte, 0, n)
	out := make(Object, len(o))
	for i, f := range o {
		from := len(buf)
		buf = append(buf, f.Value...)
		out[i] = Field{f.Key, buf[from:len(buf):len(buf)]}
	}
	return out
}

// marshal is json.Marshal without the escaping of <, > and &, so that text
// stays readable and comes out as it came in.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
