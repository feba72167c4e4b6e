package rm

import (
	"unicode"
	"unicode/utf8"
)

// The orders of the character n-grams: code points within a word, a space before
// and behind it counted.
const minChars, maxChars = 3, 5

// charGrams appends the hashed character n-grams of a text to rows, as reply
// does the n-grams of its words. Words end at white space alone, so punctuation
// takes part; letters are in lower case.
func (e *extractor) charGrams(text string, rows []entry) []entry {
	w := e.runes[:0]
	end := func() {
		if len(w) > 1 {
			w = append(w, ' ')
			for i := range w {
				h := uint64(hashInit) ^ 0x9ddfea08eb382d69
				for n := 1; n <= maxChars && i+n <= len(w); n++ {
					h = (h ^ uint64(w[i+n-1])) * hashPrime
					if n >= minChars {
						e.count(mix(h))
					}
				}
			}
		}
		w = append(w[:0], ' ')
	}
	w = append(w, ' ')
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		i += n
		switch {
		case unicode.IsSpace(r):
			end()
		case r < utf8.RuneSelf:
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			w = append(w, r)
		default:
			w = append(w, unicode.ToLower(r))
		}
		if len(w) > 1<<12 { // a text without white space
			end()
		}
	}
	end()
	e.runes = w
	return e.drain(rows)
}
