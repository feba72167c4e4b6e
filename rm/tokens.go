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

// hashBytes hashes a text as it is, eight bytes at a time.
func hashBytes(s string) uint64 {
	h := uint64(len(s))
	for ; len(s) >= 8; s = s[8:] {
		h = follow(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
	}
	last := uint64(0)
	for i := range len(s) {
		last = last<<8 | uint64(s[i])
	}
	return follow(h, last)
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

// tokenize appends the hashes of the tokens of s to dst. A token is a run of
// letters, digits and combining marks in lower case, with apostrophes inside it
// ("don’t" and "don't" are the same); in scripts that put no spaces between
// words each character is a token.
func tokenize(s string, dst []uint64) []uint64 {
	h, in := uint64(hashInit), false // the token that has begun, if one has
	for i := 0; i < len(s); {
		c := s[i]
		if l := asciiWord[c]; l != 0 {
			for {
				h = (h ^ uint64(l)) * hashPrime
				if i++; i == len(s) {
					return append(dst, mix(h))
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
			case c == '\'' && startsWord(s[i:]):
				h = (h ^ '\'') * hashPrime
			default:
				dst = append(dst, mix(h))
				h, in = hashInit, false
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '’' && in && startsWord(s[i:]):
			h = (h ^ '\'') * hashPrime
			continue
		case unspaced(r):
			if in {
				dst = append(dst, mix(h))
			}
			h, in = (hashInit^uint64(r))*hashPrime, true
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			h = (h ^ uint64(unicode.ToLower(r))) * hashPrime
			in = true
			continue
		}
		if in {
			dst = append(dst, mix(h))
			h, in = hashInit, false
		}
	}
	if in {
		dst = append(dst, mix(h))
	}
	return dst
}

// startsWord tells whether s goes on with a letter.
func startsWord(s string) bool {
	if s != "" && s[0] < utf8.RuneSelf {
		return asciiWord[s[0]] > '9'
	}
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r)
}

// unspaced tells whether r belongs to a script written without spaces between
// its words.
func unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}
