package prompt

import (
	"unicode"
	"unicode/utf8"
)

// folded is a text as an attacker means it to be read: characters that print
// nothing are left out, every kind of line end is "\n" and every kind of blank
// " ", and look-alikes of the characters that marks are made of are those
// characters. at says where in the text each byte of it comes from.
type folded struct {
	text string
	at   []int // nil where the text is its own
}

// fold reads a text so. Most texts are their own.
func fold(s string) folded {
	if plain(s) {
		return folded{text: s}
	}
	text, at := make([]byte, 0, len(s)), make([]int, 0, len(s)+1)
	for i, r := range s {
		if r = foldRune(r); r < 0 {
			continue
		}
		text = utf8.AppendRune(text, r)
		for len(at) < len(text) {
			at = append(at, i)
		}
	}
	return folded{string(text), append(at, len(s))}
}

// place gives the position in the text of one in its folded form.
func (f folded) place(i int) int {
	if f.at == nil {
		return i
	}
	return f.at[i]
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < 0x20 && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// foldRune gives what a character is read as, and −1 for one that prints
// nothing.
func foldRune(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r >= ' ' && r < 0x7f:
		return r
	case r == '\r' || r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029:
		return '\n'
	case r < 0x20 || r == 0x7f || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector):
		return -1
	case unicode.Is(unicode.Zs, r):
		return ' '
	case r == '｜': // DeepSeek's, which stands for itself
		return r
	case r >= 0xff01 && r <= 0xff5e: // the full width forms of ASCII
		return r - 0xff01 + '!'
	}
	if to, ok := lookalikes[r]; ok {
		return to
	}
	return r
}

// lookalikes are characters that are read as ASCII ones of which marks, turns
// and special tokens are made.
var lookalikes = func() map[rune]rune {
	m := map[rune]rune{}
	for to, from := range map[rune]string{
		'<': "‹˂ᐸ❮❰⟨〈〈﹤", '>': "›˃ᐳ❯❱⟩〉〉﹥", '|': "¦ǀ│∣❘￨ⅼ", '(': "❨⁽₍﹙⟮", ')': "❩⁾₎﹚⟯", '[': "⁅⟦﹇", ']': "⁆⟧﹈",
		':': "ː˸։׃܃∶꞉︓﹕", '#': "﹟♯", '/': "⁄∕⧸", '_': "﹍﹎﹏ˍ",
		'A': "АΑᎪ", 'B': "ВΒᏴ", 'C': "СϹᏟ", 'E': "ЕΕᎬ", 'I': "ІΙ", 'M': "МΜ", 'N': "Ν", 'O': "ОΟ", 'R': "Ꭱ", 'S': "ЅᏚ", 'T': "ТΤᎢ", 'U': "Ս", 'X': "ХΧ", 'Y': "ҮΥ",
		'a': "аɑ", 'c': "сϲ", 'd': "ԁ", 'e': "еҽ", 'i': "іı", 'l': "ӏ", 'm': "м", 'n': "ո", 'o': "оοօ", 'p': "рρ", 'r': "г", 's': "ѕ", 't': "т", 'u': "υս", 'x': "хχ", 'y': "уү",
		'\u0000': "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0",
	} {
		for _, r := range from {
			m[r] = to
			if to == 0 {
				m[r] = -1
			}
		}
	}
	return m
}()

// Plainly gives a text as it is meant to be read, with look-alikes and what
// prints nothing folded away: what is not in it is not in the text, however it
// is written.
func Plainly(s string) string { return fold(s).text }
