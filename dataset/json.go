package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a record, so that hostile input cannot
// exhaust the stack.
const maxDepth = 512

// jsonError is what is wrong with a JSON text and where, in bytes from its
// start.
type jsonError struct {
	offset int
	reason string
}

func (e *jsonError) Error() string {
	return fmt.Sprintf("not valid JSON at byte %d: %s", e.offset+1, e.reason)
}

// scanner walks a JSON text without copying it. It is stricter than
// encoding/json, which replaces bytes that are not UTF-8 and half surrogate
// pairs by U+FFFD: text must come out as it came in, so both are errors here.
type scanner struct {
	data  []byte
	pos   int
	depth int
	// keys holds the keys seen so far, so that a file's columns are named by
	// the same few strings in every record; nil makes new ones.
	keys map[string]string
}

// maxKeys bounds scanner.keys, for files whose keys are data.
const maxKeys = 256

// appendObject appends the fields of the object that is the whole of data to o.
// Values are slices of data, not copies.
func appendObject(o Object, data []byte) (Object, error) {
	s := scanner{}
	return s.record(o, data)
}

// record is appendObject with the scanner's keys.
func (s *scanner) record(o Object, data []byte) (Object, error) {
	if !utf8.Valid(data) {
		return o, errors.New(badUTF8(data))
	}
	s.data, s.pos, s.depth = data, 0, 0
	s.space()
	o, err := s.object(o)
	if err != nil {
		return o, err
	}
	s.space()
	if s.pos < len(s.data) {
		return o, s.fail("more text after the end of the record")
	}
	return o, nil
}

func (s *scanner) fail(reason string) error { return &jsonError{s.pos, reason} }

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// object reads an object and appends its fields to o.
func (s *scanner) object(o Object) (Object, error) {
	if s.pos >= len(s.data) || s.data[s.pos] != '{' {
		return o, s.fail("a record is an object {…}" + s.found())
	}
	s.pos++
	start := len(o)
	var seen map[string]bool
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == '}' {
		s.pos++
		return o, nil
	}
	for {
		s.space()
		at := s.pos
		key, err := s.key()
		if err != nil {
			return o, err
		}
		if twice(o[start:], key, &seen) {
			return o, &jsonError{at, fmt.Sprintf("key %q is given twice", key)}
		}
		s.space()
		from := s.pos
		if err := s.skip(); err != nil {
			return o, err
		}
		o = append(o, Field{key, s.data[from:s.pos:s.pos]})
		more, err := s.next('}')
		if err != nil {
			return o, err
		}
		if !more {
			return o, nil
		}
	}
}

// twice tells whether a key is among the fields before it. Looking through them
// is quickest for a record's few columns; for an object of many keys they are
// kept in a map.
func twice(fields Object, key string, seen *map[string]bool) bool {
	const few = 32
	if len(fields) < few {
		for i := range fields {
			if fields[i].Key == key {
				return true
			}
		}
		return false
	}
	if *seen == nil {
		*seen = make(map[string]bool, 2*few)
		for i := range fields {
			(*seen)[fields[i].Key] = true
		}
	}
	if (*seen)[key] {
		return true
	}
	(*seen)[key] = true
	return false
}

// key reads a key and the colon after it.
func (s *scanner) key() (string, error) {
	if s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return "", s.fail("a key in double quotes is expected" + s.found())
	}
	from := s.pos
	if err := s.skipString(); err != nil {
		return "", err
	}
	raw := s.data[from:s.pos]
	key, known := s.keys[string(raw)]
	if !known {
		var err error
		if key, err = unquote(raw); err != nil {
			return "", err
		}
		if s.keys != nil && len(s.keys) < maxKeys {
			s.keys[string(raw)] = key
		}
	}
	s.space()
	if s.pos >= len(s.data) || s.data[s.pos] != ':' {
		return "", s.fail("a colon is expected after a key" + s.found())
	}
	s.pos++
	return key, nil
}

// next reads the comma or the closing bracket after an element, and tells
// whether another element follows.
func (s *scanner) next(closing byte) (bool, error) {
	s.space()
	if s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ',':
			s.pos++
			return true, nil
		case closing:
			s.pos++
			return false, nil
		}
	}
	return false, s.fail(fmt.Sprintf("a comma or %q is expected", string(closing)) + s.found())
}

// found names what stands at the scanner's place, for an error.
func (s *scanner) found() string {
	if s.pos >= len(s.data) {
		return ", but the record ends"
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	return fmt.Sprintf(", not %q", r)
}

// skip goes past one value of any kind, checking it.
func (s *scanner) skip() error {
	if s.pos >= len(s.data) {
		return s.fail("the record ends where a value is expected")
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		return s.skipString()
	case c == '{' || c == '[':
		return s.skipNested(c)
	case c == '-' || c >= '0' && c <= '9':
		return s.skipNumber()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	for _, word := range [...]string{"NaN", "Infinity"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			return s.fail(word + " is no JSON value; write null")
		}
	}
	return s.fail("a value is expected" + s.found())
}

func (s *scanner) skipNested(open byte) error {
	if s.depth++; s.depth > maxDepth {
		return s.fail(fmt.Sprintf("nested more than %d deep", maxDepth))
	}
	defer func() { s.depth-- }()
	closing := open + 2 // '{'+2 is '}', '['+2 is ']'
	s.pos++
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == closing {
		s.pos++
		return nil
	}
	for {
		s.space()
		if open == '{' {
			if _, err := s.key(); err != nil {
				return err
			}
			s.space()
		}
		if err := s.skip(); err != nil {
			return err
		}
		more, err := s.next(closing)
		if err != nil || !more {
			return err
		}
	}
}

func (s *scanner) digits() int {
	from := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - from
}

func (s *scanner) skipNumber() error {
	at := func(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }
	if at('-') {
		s.pos++
	}
	if at('0') {
		s.pos++
	} else if s.digits() == 0 {
		return s.fail("a digit is expected" + s.found())
	}
	if at('.') {
		s.pos++
		if s.digits() == 0 {
			return s.fail("a digit is expected" + s.found())
		}
	}
	if at('e') || at('E') {
		s.pos++
		if at('+') || at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail("a digit is expected" + s.found())
		}
	}
	return nil
}

// skipString goes past a string, checking its escapes.
func (s *scanner) skipString() error {
	s.pos++
	for {
		s.pos += plain(s.data[s.pos:])
		if s.pos >= len(s.data) {
			return s.fail("the record ends inside a string")
		}
		switch s.data[s.pos] {
		case '"':
			s.pos++
			return nil
		case '\\':
			if _, n, err := escape(s.data[s.pos:]); err != nil {
				return s.fail(err.Error())
			} else {
				s.pos += n
			}
		default:
			return s.fail(fmt.Sprintf("control character 0x%02x in a string must be written as an escape", s.data[s.pos]))
		}
	}
}

// elements gives the values of an array that the scanner has been past.
func elements(raw json.RawMessage) ([]json.RawMessage, error) {
	s := scanner{data: raw}
	s.space()
	if s.pos >= len(s.data) || s.data[s.pos] != '[' {
		return nil, s.fail("a list is expected" + s.found())
	}
	s.pos++
	var out []json.RawMessage
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == ']' {
		return nil, nil
	}
	for {
		s.space()
		from := s.pos
		if err := s.skip(); err != nil {
			return nil, err
		}
		out = append(out, raw[from:s.pos])
		more, err := s.next(']')
		if err != nil || !more {
			return out, err
		}
	}
}

// kindOf gives the first byte of a value: '"', '{', '[', 't', 'f', 'n', or '0'
// for a number; 0 where there is none.
func kindOf(raw json.RawMessage) byte {
	if len(raw) == 0 {
		return 0
	}
	switch c := raw[0]; c {
	case '"', '{', '[', 't', 'f', 'n':
		return c
	}
	return '0'
}
