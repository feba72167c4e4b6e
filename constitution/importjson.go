package constitution

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// kind is what a JSON value is, in words for a message.
type kind string

const (
	jsonObject kind = "an object"
	jsonList   kind = "a list"
	jsonString kind = "a string"
	jsonNumber kind = "a number"
	jsonOther  kind = "true, false or null"
)

// node is a JSON value with its line; an object keeps the order of its keys,
// and a key that stands twice.
type node struct {
	line    int
	kind    kind
	text    string // of a string or a number
	list    []node
	members []member
}

type member struct {
	key   string
	value node
}

func (n node) has(names []string) bool {
	for _, m := range n.members {
		if slices.Contains(names, m.key) {
			return true
		}
	}
	return false
}

func (n node) get(names []string) node {
	for _, m := range n.members {
		if slices.Contains(names, m.key) {
			return m.value
		}
	}
	return node{}
}

// maxJSONDepth bounds how deep values may stand in one another.
const maxJSONDepth = 64

type jsonReader struct {
	text string
	dec  *json.Decoder
	line int // at offset
	off  int
}

// readJSON reads the values of a file: one, or one after the other.
func readJSON(text string) ([]node, *Error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(strings.NewReader(text)), line: 1}
	r.dec.UseNumber()
	var out []node
	for {
		n, err := r.value(0)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			var se *json.SyntaxError
			var e *Error
			switch {
			case errors.As(err, &e):
				return nil, e
			case errors.As(err, &se):
				return nil, &Error{Line: r.lineAt(int(se.Offset)), Message: "not valid JSON: " + se.Error()}
			}
			return nil, &Error{Line: r.lineAt(len(text)), Message: "not valid JSON: the file ends too early"}
		}
		out = append(out, n)
	}
}

// lineAt gives the line of an offset; offsets only grow.
func (r *jsonReader) lineAt(off int) int {
	if off = min(off, len(r.text)); off > r.off {
		r.line += strings.Count(r.text[r.off:off], "\n")
		r.off = off
	}
	return r.line
}

func (r *jsonReader) value(depth int) (node, error) {
	tok, err := r.dec.Token()
	if err != nil {
		if depth > 0 {
			err = unexpected(err)
		}
		return node{}, err
	}
	n := node{line: r.lineAt(int(r.dec.InputOffset()))}
	if depth > maxJSONDepth {
		return n, &Error{Line: n.line, Message: fmt.Sprintf("values stand more than %d deep in one another", maxJSONDepth)}
	}
	switch tok := tok.(type) {
	case string:
		n.kind, n.text = jsonString, tok
	case json.Number:
		n.kind, n.text = jsonNumber, tok.String()
	case json.Delim:
		n.kind = jsonList
		if tok == '{' {
			n.kind = jsonObject
		}
		for r.dec.More() {
			var key string
			if n.kind == jsonObject {
				k, err := r.dec.Token()
				if err != nil {
					return n, unexpected(err)
				}
				key, _ = k.(string)
			}
			v, err := r.value(depth + 1)
			if err != nil {
				return n, err
			}
			if n.kind == jsonObject {
				n.members = append(n.members, member{key, v})
			} else {
				n.list = append(n.list, v)
			}
		}
		if _, err := r.dec.Token(); err != nil { // the closing bracket
			return n, unexpected(err)
		}
	default:
		n.kind = jsonOther
	}
	return n, nil
}

// unexpected makes the end of the file inside a value an error of its own.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
