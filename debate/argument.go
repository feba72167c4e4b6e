package debate

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"cai/prompt"
)

var (
	wrapped = regexp.MustCompile(`(?is)<argument>(.*?)(?:</argument>|$)`)
	// echo is a heading that a side gives its turn.
	echo = regexp.MustCompile(`(?i)^[*#\s]*(?:(?:debater|consultant)\b[^:.!?]{0,40}|(?:my |the )?argument):[*\s]*`)

	// label is a name of somebody who speaks. It is broken by a blank before its
	// colon.
	label = regexp.MustCompile(`(?i)(?:debater|consultant)(?:[^:.!?\n]{0,39}[^\s:.!?])?():`)
	// forged is a mark in a prompt or a reply.
	forged = regexp.MustCompile(`(?i)\[()(?:verified|not in the text|cut)`)
)

// argument makes a turn of what a debater wrote: one line, of at most most
// words, whose quotations are marked, and in which nothing else can be taken for
// a mark, a turn or a special token of a chat template.
func argument(raw string, truncated bool, most int, src sources) Turn {
	if m := wrapped.FindStringSubmatch(raw); m != nil && says(m[1]) {
		raw = m[1]
	}
	line := echo.ReplaceAllString(oneLine(raw), "")
	line, cut := shorten(line, truncated, most)
	turn := Turn{Cut: cut, Quotes: []Quote{}}
	text, quoted := quotations(line)
	var b strings.Builder
	for i, t := range text {
		t = defuse(t)
		if r, _ := utf8.DecodeRuneInString(t); i > 0 && !unicode.IsPunct(r) {
			b.WriteByte(' ')
		}
		b.WriteString(t)
		if i < len(quoted) {
			q := src.quotation(quoted[i])
			turn.Quotes = append(turn.Quotes, q)
			b.WriteString(" " + q.shown())
		}
	}
	line = prompt.Neutralise(oneLine(b.String()))
	if !says(line) {
		return Turn{}
	}
	if cut {
		line += " " + cutMark
	}
	turn.Text = line
	return turn
}

// oneLine makes each run of white space one blank and leaves out characters that
// are not seen.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.In(r, unicode.Cc, unicode.Cf) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// defuse takes from a piece of a turn what could be taken for a mark or for
// another turn: square brackets, and what looks like them, become round ones,
// and a debater's name is broken off its colon.
func defuse(s string) string {
	return prompt.Break(strings.Map(round, s), label, " ")
}

func round(r rune) rune {
	if r < 0x80 && r != '[' && r != ']' {
		return r
	}
	if strings.ContainsRune("【〔〚⟦⁅❲〘", r) || prompt.Plainly(string(r)) == "[" {
		return '('
	}
	if strings.ContainsRune("】〕〛⟧⁆❳〙", r) || prompt.Plainly(string(r)) == "]" {
		return ')'
	}
	return r
}

// guardText does for a prompt or a reply, which keeps its lines and brackets,
// what defuse does for a turn.
func guardText(s string) string {
	return prompt.Break(prompt.Break(s, forged, " "), label, " ")
}

// shorten cuts a line that has more than most words, or whose end is missing:
// behind a sentence if that leaves half of it or more, else behind a word.
func shorten(line string, truncated bool, most int) (string, bool) {
	kept, over := firstWords(line, most)
	switch {
	case over:
	case !truncated:
		return line, false
	default: // the last word may be a part of one
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			kept = line[:i]
		}
	}
	for i := len(kept); i > 0 && 2*i >= len(kept); i-- {
		if (i == len(kept) || kept[i] == ' ' || ideographic(kept[:i])) && ends(kept[:i]) {
			return kept[:i], true
		}
	}
	return kept, true
}

// firstWords gives the beginning of a line that has most words, and whether
// anything is left. What stands between blanks is a word, and so is each
// character of a script that writes no blanks.
func firstWords(line string, most int) (string, bool) {
	n, begin, inside := 0, 0, false
	for i, r := range line {
		switch {
		case r == ' ':
			begin, inside = i, false
			continue
		case blankless(r):
			begin, inside = i, false
			n++
		case !inside && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			inside = true
			n++
		}
		if n > most {
			return strings.TrimSpace(line[:begin]), true
		}
	}
	return line, false
}

func blankless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// ends tells whether a text ends with a sentence.
func ends(s string) bool {
	s = strings.TrimRight(s[max(0, len(s)-40):], " ")
	for {
		t := strings.TrimRight(s, "\"'”’»)*_")
		if m := tag.FindAllStringIndex(t, -1); len(m) > 0 && m[len(m)-1][1] == len(t) {
			t = t[:m[len(m)-1][0]]
		}
		if t == s {
			break
		}
		s = t
	}
	return strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") || ideographic(s)
}

// ideographic tells whether a text ends with a stop that no blank follows.
func ideographic(s string) bool {
	return strings.HasSuffix(s, "。") || strings.HasSuffix(s, "！") || strings.HasSuffix(s, "？")
}
