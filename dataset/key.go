package dataset

import (
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Key tells prompts apart where copies must not be told apart: what splits data,
// makes folds, or draws clusters puts prompts of one key together. It is over the
// roles and the contents as [NormalText] has them; turns without content say
// nothing. Where a prompt is, in a store or a pair, is by its [Conversation.Hash].
func (c Conversation) Key() Hash {
	parts := make([]string, 0, 2*len(c))
	var b []byte
	for _, m := range c {
		if b = appendNormal(b[:0], m.Content); len(b) > 0 {
			parts = append(parts, m.Role, string(b))
		}
	}
	return HashOf("prompt", parts...)
}

// NormalText is a text as it is compared where its case, white space and Unicode
// form are no matter: compatibility decomposition of the full case folding (the
// caseless matching D146 of the Unicode Standard, 3.13) without the characters that
// print nothing, with one blank for each run of white space and none at the ends.
// The letter i with and without its dot is one, so that no mapping to upper or
// lower case tells texts apart. It is for comparison, not for reading.
func NormalText(text string) string { return string(appendNormal(nil, text)) }

// SplitKey is what a record is split by: the key of its prompt or, of a record
// without one, its replies.
func SplitKey(r *Record) Hash {
	prompt, replies := r.Prompt, r.Responses
	switch {
	case r.Pair != nil:
		prompt, replies = r.Pair.Prompt, []Response{r.Pair.First, r.Pair.Second}
	case r.Reply != nil:
		prompt, replies = r.Reply.Prompt, []Response{r.Reply.Response}
	}
	if len(prompt) > 0 {
		return prompt.Key()
	}
	texts := replyTexts(replies)
	for i := range texts {
		texts[i] = NormalText(texts[i])
	}
	return HashOf("replies", texts...)
}

// normalASCII maps the bytes that print to their lower case, white space to a
// blank, and all others to 0.
var normalASCII = func() (t [utf8.RuneSelf]byte) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c - 'A' + 'a'
	}
	for _, c := range " \t\n\v\f\r" {
		t[c] = ' '
	}
	return t
}()

// appendNormal appends a text as [NormalText] has it.
func appendNormal(b []byte, text string) []byte {
	start := len(b)
	n := normaliser{b: slices.Grow(b, len(text)), start: start, last: &plainASCII[0]}
	if n.take(text) {
		return n.b
	}
	// Marks that stand in another order than the canonical one, before or after
	// the case is folded.
	n.b, n.blank, n.ordered, n.last = n.b[:start], false, true, &plainASCII[0]
	n.take(norm.NFKD.String(strings.Map(printing, text)))
	return norm.NFKD.Append(n.b[:start], n.b[start:]...)
}

// normaliser maps a text character by character: all that it does but for the order
// of marks has no context.
type normaliser struct {
	b       []byte
	start   int
	blank   bool // white space since the last character
	ordered bool // the order of marks is seen to elsewhere
	last    *mapped
}

// take appends a text. It stops and gives false at marks out of their order.
func (n *normaliser) take(text string) bool {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i += n.ascii(text[i:])
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		m := normalRune(r)
		switch {
		case m.text == "":
			continue
		case m.blanks:
			if !n.take(m.text) {
				return false
			}
			continue
		case n.blank:
			n.gap()
		case m.first == 0:
		case n.last.dotted && r == dotAbove:
			continue
		case !n.ordered && (m.first < n.last.end || n.last.iota):
			return false
		case n.last.dotted:
			n.b = append(n.b, m.text...)
			n.last = &mapped{end: m.end, dotted: true}
			continue
		}
		n.b = append(n.b, m.text...)
		n.last = m
	}
	return true
}

// ascii appends what a text begins with, and gives the length of that.
func (n *normaliser) ascii(text string) int {
	b, blank, i := n.b, n.blank, 0
	for ; i < len(text) && text[i] < utf8.RuneSelf; i++ {
		c := normalASCII[text[i]]
		switch {
		case c > ' ':
			if blank && len(b) > n.start {
				b = append(b, ' ')
			}
			b, blank = append(b, c), false
		case c == ' ':
			blank = true
		}
	}
	if len(b) > len(n.b) {
		n.last = &plainASCII[b[len(b)-1]]
	}
	n.b, n.blank = b, blank
	return i
}

// plainASCII is what marks after a character of ASCII have to know of it.
var plainASCII = [utf8.RuneSelf]mapped{'i': {dotted: true}, 'j': {dotted: true}}

// gap appends the blank that the white space before a character comes to.
func (n *normaliser) gap() {
	if n.blank {
		if len(n.b) > n.start {
			n.b = append(n.b, ' ')
		}
		n.blank, n.last = false, &plainASCII[0]
	}
}

// dotAbove is what the upper case of i has in Turkish, and its lower case in
// Lithuanian.
const dotAbove = 0x307

// mapped is what a character is in a normal text, with the combining classes of
// its first and its last one there.
type mapped struct {
	text       string // empty of one that prints nothing
	first, end uint8
	blanks     bool // some of it is white space
	dotted     bool // the letter that marks after it belong to is an i or a j
	iota       bool // it has the iota below, a mark that folds to a letter
}

// normalPages are the mappings, 256 characters a page, made when first used.
var normalPages [(unicode.MaxRune + 1) / 256]atomic.Pointer[[256]mapped]

func normalRune(r rune) *mapped {
	page := &normalPages[r>>8]
	t := page.Load()
	if t == nil {
		t = new([256]mapped)
		fold := cases.Fold()
		for i := range t {
			t[i] = mapRune(&fold, r&^0xff|rune(i))
		}
		page.Store(t)
	}
	return &t[r&0xff]
}

func mapRune(fold *cases.Caser, r rune) mapped {
	var m mapped
	s := norm.NFD.String(string(r))
	for _, c := range s {
		m.iota = m.iota || c == 0x345
	}
	s = norm.NFKD.String(fold.String(norm.NFKD.String(fold.String(s))))
	var b []byte
	for _, c := range s {
		// Dotless i, and Cherokee, of which the folding knows nothing.
		c = unicode.ToLower(unicode.ToUpper(c))
		switch {
		case unicode.IsSpace(c):
			b, m.blanks = append(b, ' '), true
			continue
		case c == dotAbove && m.dotted, ignorable(c):
			continue
		}
		b = utf8.AppendRune(b, c)
		if class(c) == 0 {
			m.dotted = c == 'i' || c == 'j'
		}
	}
	m.text = string(b)
	if m.text != "" {
		first, _ := utf8.DecodeRune(b)
		last, _ := utf8.DecodeLastRune(b)
		m.first, m.end = class(first), class(last)
	}
	return m
}

// printing leaves out the characters that print nothing.
func printing(r rune) rune {
	if ignorable(r) && !unicode.IsSpace(r) {
		return -1
	}
	return r
}

func class(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }

// ignorable tells whether a character prints nothing.
func ignorable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) &&
		!unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
