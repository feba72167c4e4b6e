package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

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

// appendQuoted writes a text as a JSON string, as encoding/json does without its
// escapes for HTML.
func appendQuoted(b, text []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for {
		n := plain(text)
		// Two line ends of Unicode that JavaScript once did not take.
		if i := bytes.Index(text[:n], lineSeparator[:2]); i >= 0 {
			if n = i; bytes.HasPrefix(text[n:], lineSeparator) || bytes.HasPrefix(text[n:], paragraphSeparator) {
				b = append(append(b, text[:n]...), `\u202`...)
				b = append(b, hex[text[n+2]&0xf])
				text = text[n+3:]
				continue
			}
			n += 2
		}
		b, text = append(b, text[:n]...), text[n:]
		if len(text) == 0 {
			return append(b, '"')
		}
		c := text[0]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b, text = append(b, '\\'), text[1:]
		switch c {
		case '"', '\\':
			b = append(b, c)
		case '\b':
			b = append(b, 'b')
		case '\f':
			b = append(b, 'f')
		case '\n':
			b = append(b, 'n')
		case '\r':
			b = append(b, 'r')
		case '\t':
			b = append(b, 't')
		default:
			b = append(b, 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
}

var lineSeparator, paragraphSeparator = []byte("\u2028"), []byte("\u2029")

// quote writes a text as a JSON string.
func quote(s string) []byte { return appendQuoted(make([]byte, 0, len(s)+2), []byte(s)) }
