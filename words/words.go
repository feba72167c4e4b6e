// Package words cuts texts into words and hashes them: what word counts,
// n-grams and shingles are made of, the same everywhere.
//
// A word is a run of letters, digits and combining marks in lower case, with
// apostrophes inside it ("don’t" and "don't" are the same); in scripts that put
// no spaces between words each character is a word. The hashes are part of the
// format of model files: they do not change.
package words

import (
	"unicode"
	"unicode/utf8"
)

const (
	hashInit  = 0xcbf29ce484222325
	hashPrime = 0x100000001b3
)

// Mix spreads the bits of x over the whole word (the finaliser of SplitMix64,
// Steele, Lea and Flood 2014).
func Mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Follow extends the hash of a sequence of words by one more. The order of the
// words counts.
func Follow(h, word uint64) uint64 { return Mix(h*0x9e3779b97f4a7c15 + word) }

// Hash hashes one word as [Hashes] does, without the lowering of case.
func Hash(s string) uint64 {
	h := uint64(hashInit)
	for _, r := range s {
		h = (h ^ uint64(r)) * hashPrime
	}
	return Mix(h)
}

// asciiWord maps an ASCII byte of a word to its lower case, and any other byte
// to 0.
var asciiWord = func() (t [256]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c] = c
		t[c-'a'+'A'] = c
	}
	return t
}()

// Hashes appends the hashes of the words of s to dst, in their order.
func Hashes(s string, dst []uint64) []uint64 {
	h, in := uint64(hashInit), false // the word that has begun, if one has
	for i := 0; i < len(s); {
		c := s[i]
		if l := asciiWord[c]; l != 0 {
			for {
				h = (h ^ uint64(l)) * hashPrime
				if i++; i == len(s) {
					return append(dst, Mix(h))
				}
				c = s[i]
				if l = asciiWord[c]; l == 0 {
					break
				}
			}
			in = true
		}
		if c < utf8.RuneSelf {
			i++
			switch {
			case !in:
			case c == '\'' && StartsWord(s[i:]):
				h = (h ^ '\'') * hashPrime
			default:
				dst = append(dst, Mix(h))
				h, in = hashInit, false
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '’' && in && StartsWord(s[i:]):
			h = (h ^ '\'') * hashPrime
			continue
		case Unspaced(r):
			if in {
				dst = append(dst, Mix(h))
			}
			h, in = (hashInit^uint64(r))*hashPrime, true
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			h = (h ^ uint64(unicode.ToLower(r))) * hashPrime
			in = true
			continue
		}
		if in {
			dst = append(dst, Mix(h))
			h, in = hashInit, false
		}
	}
	if in {
		dst = append(dst, Mix(h))
	}
	return dst
}

// StartsWord tells whether s begins with a letter.
func StartsWord(s string) bool {
	if s != "" && s[0] < utf8.RuneSelf {
		return asciiWord[s[0]] > '9'
	}
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r)
}

// Unspaced tells whether r belongs to a script written without spaces between
// its words.
func Unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}
