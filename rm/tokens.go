package rm

import (
	"unicode"
	"unicode/utf8"
)

// Hashes of the feature space. They are part of the file format: a change of
// any of them is a change of featureVersion.
const (
	hashInit  = 0xcbf29ce484222325
	hashPrime = 0x100000001b3
)

// mix spreads the bits of x over the whole word (the finaliser of SplitMix64,
// Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// follow extends the hash of a sequence of tokens by one more. The order of the
// tokens counts.
func follow(h, token uint64) uint64 { return mix(h*0x9e3779b97f4a7c15 + token) }

// hashWord hashes one token as [tokenize] does, without the lowering of case.
func hashWord(s string) uint64 {
	h := uint64(hashInit)
	for _, r := range s {
		h = (h ^ uint64(r)) * hashPrime
	}
	return mix(h)
}

// asciiWord maps an ASCII byte of a word to its lower case, and any other byte
// to 0.
var asciiWord = func() (t [128]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c] = c
		t[c-'a'+'A'] = c
	}
	return t
}()

// tokenize appends the hashes of the tokens of s to dst. A token is a run of
// letters, digits and combining marks in lower case, with apostrophes inside it
// ("don’t" and "don't" are the same); in scripts that put no spaces between
// words each character is a token.
func tokenize(s string, dst []uint64) []uint64 {
	h, in := uint64(hashInit), false
	flush := func() {
		if in {
			dst = append(dst, mix(h))
			h, in = hashInit, false
		}
	}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			i++
			if l := asciiWord[c]; l != 0 {
				h = (h ^ uint64(l)) * hashPrime
				in = true
				continue
			}
			if c == '\'' && in && startsWord(s[i:]) {
				h = (h ^ '\'') * hashPrime
				continue
			}
			flush()
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '’' && in && startsWord(s[i:]):
			h = (h ^ '\'') * hashPrime
		case unspaced(r):
			flush()
			h, in = (hashInit^uint64(r))*hashPrime, true
			flush()
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			h = (h ^ uint64(unicode.ToLower(r))) * hashPrime
			in = true
		default:
			flush()
		}
	}
	flush()
	return dst
}

// startsWord tells whether s goes on with a letter.
func startsWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r)
}

// unspaced tells whether r belongs to a script written without spaces between
// its words.
func unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}
