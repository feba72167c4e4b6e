package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
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

// badUTF8 describes the first byte of data that is not UTF-8.
func badUTF8(data []byte) string {
	i := 0
	for i < len(data) {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Sprintf("not valid UTF-8: byte %d of the record is 0x%02x", i+1, data[i])
		}
		i += n
	}
	return "not valid UTF-8"
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
		for i := start; i < len(o); i++ {
			if o[i].Key == key {
				return o, &jsonError{at, fmt.Sprintf("key %q is given twice", key)}
			}
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

// plain counts the bytes before the first one that ends or escapes a string, or
// may not stand in one. It looks at eight bytes at a time, since nearly all of
// a file is text inside strings.
func plain(b []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := uint64(b[i]) | uint64(b[i+1])<<8 | uint64(b[i+2])<<16 | uint64(b[i+3])<<24 |
			uint64(b[i+4])<<32 | uint64(b[i+5])<<40 | uint64(b[i+6])<<48 | uint64(b[i+7])<<56
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// The lowest marked byte is exact; those above it may be marked wrongly
		// by a borrow, which does no harm.
		m := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			return i
		}
	}
	return i
}

// escape reads the escape sequence at the start of b and gives its rune and its
// length.
func escape(b []byte) (rune, int, error) {
	if len(b) < 2 {
		return 0, 0, errors.New("the record ends inside a string")
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
		r := hex4(b[2:])
		if r < 0 {
			return 0, 0, errors.New(`\u needs four hexadecimal digits`)
		}
		if !utf16.IsSurrogate(r) {
			return r, 6, nil
		}
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if full := utf16.DecodeRune(r, hex4(b[8:])); full != utf8.RuneError {
				return full, 12, nil
			}
		}
		return 0, 0, fmt.Errorf(`\u%04x is half a surrogate pair, which is no character`, r)
	}
	return 0, 0, fmt.Errorf("%q is no escape sequence", string(b[:2]))
}

// hex4 reads four hexadecimal digits, -1 if they are not there.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unquote gives the text of a string that the scanner has been past.
func unquote(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", errors.New("not a text")
	}
	body := raw[1 : len(raw)-1]
	n := plain(body)
	if n == len(body) {
		return string(body), nil
	}
	out := make([]byte, n, len(body))
	copy(out, body)
	for n < len(body) {
		if body[n] != '\\' {
			return "", errors.New("not a text")
		}
		r, size, err := escape(body[n:])
		if err != nil {
			return "", err
		}
		out = utf8.AppendRune(out, r)
		n += size
		m := plain(body[n:])
		out = append(out, body[n:n+m]...)
		n += m
	}
	return string(out), nil
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
