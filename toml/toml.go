// Package toml reads the TOML files that people write for cai: the values as they
// stand, and the line of each key, so that whatever is wrong can be named with its
// line.
//
// Values are never decoded into structs. A decoder that fills one matches keys to
// fields in any case, so that two keys of a file would share a place; here keys
// that differ by case are different keys, as TOML has it.
package toml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// Error is what keeps a file from being read.
type Error struct {
	Line    int // from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Decode reads a file as UTF-8 without a byte order mark, whose line ends are \n.
// Of the array of tables that is named, the places of its tables are given.
func Decode(text, array string) (map[string]any, *Places, *Error) {
	places := scan(text, array)
	if places.tooDeep > 0 {
		return nil, nil, &Error{places.tooDeep, "tables or arrays are nested too deeply"}
	}
	var m map[string]any
	if _, err := toml.Decode(text, &m); err != nil {
		return nil, nil, syntax(text, &places, err)
	}
	return m, &places, nil
}

// syntax gives what the decoder says. It names the line after the fault where a
// line end was the fault, and the file's end where a string is left open.
func syntax(text string, places *Places, err error) *Error {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return &Error{1, "not valid TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	}
	line := pe.Position.Line
	if start := pe.Position.Start; start >= 0 && start <= len(text) {
		line = min(line, 1+strings.Count(text[:start], "\n"))
	}
	msg := strings.Join(strings.Fields(pe.Message), " ")
	switch {
	case places.open > 0 && strings.Contains(msg, "EOF"):
		line, msg = places.open, "the string that begins here never ends"
	case msg == "":
		msg = strings.TrimPrefix(pe.Error(), "toml: ")
	}
	return &Error{max(1, line), "not valid TOML: " + msg}
}

// Tables gives the tables of an array, however it was written; nil are none.
func Tables(v any) (tables []map[string]any, ok bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case []map[string]any:
		return v, true
	case []any:
		out := make([]map[string]any, len(v))
		for i := range v {
			m, ok := v[i].(map[string]any)
			if !ok {
				return nil, false
			}
			out[i] = m
		}
		return out, true
	}
	return nil, false
}
