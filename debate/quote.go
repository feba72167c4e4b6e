package debate

import (
	"regexp"
	"strings"
	"unicode"

	"cai/judge"
	"cai/prompt"
)

// The marks behind a quotation, and at the end of a turn that was cut.
const (
	verifiedMark = "[verified]"
	absentMark   = "[not in the text]"
	cutMark      = "[cut]"
)

// sources are the texts that quotations are looked up in: as they are, and as
// the debaters saw them, white space in each run made one blank.
type sources struct{ a, b, prompt []string }

func sourcesOf(q judge.Question) sources {
	s := sources{a: readings(q.First), b: readings(q.Second)}
	for _, m := range q.Prompt {
		s.prompt = append(s.prompt, readings(m.Content)...)
	}
	return s
}

func readings(text string) []string {
	raw, seen := oneLine(text), oneLine(guardText(prompt.Quote(text)))
	if raw == seen {
		return []string{raw}
	}
	return []string{raw, seen}
}

// quotation looks a quotation up. Marks of quotation around it and stops at its
// end are the writer's, and need not stand in the text.
func (s sources) quotation(text string) Quote {
	q := Quote{Text: text}
	bare := strings.TrimSpace(strings.Trim(text, "\"'`“”„‘’«»"))
	for _, t := range []string{text, bare, strings.TrimRight(bare, ".,;:!?…")} {
		if !says(t) {
			continue
		}
		a, b := stands(t, s.a), stands(t, s.b)
		switch {
		case a && b:
			q.In = "A and B"
		case a:
			q.In = sideA
		case b:
			q.In = sideB
		case stands(t, s.prompt):
			q.In = "prompt"
		default:
			continue
		}
		q.Verified = true
		return q
	}
	return q
}

func stands(text string, in []string) bool {
	for _, t := range in {
		if strings.Contains(t, text) {
			return true
		}
	}
	return false
}

// says tells whether there is a letter or a digit in a text.
func says(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// shown is a quotation as the judge sees it.
func (q Quote) shown() string {
	text := "<quote>" + defuse(q.Text) + "</quote> "
	switch {
	case !q.Verified:
		return text + absentMark
	case q.In == "prompt":
		return text + verifiedMark + " (in the prompt)"
	case q.In == "A and B":
		return text + verifiedMark + " (in both replies)"
	}
	return text + verifiedMark + " (in reply " + q.In + ")"
}

var tag = regexp.MustCompile(`(?i)<\s*(/?)\s*quote\s*>`)

// quotations takes a line apart into what is said and what is quoted: text[i]
// stands before quoted[i], and the last of text after them all. A quotation that
// is not ended is ended by the next one, or by the end; a tag that ends none is
// a blank. One without a letter or a digit is text.
func quotations(line string) (text, quoted []string) {
	var b strings.Builder
	open := -1 // where the quotation begins
	at := 0
	end := func(to int) {
		if q := strings.TrimSpace(line[open:to]); says(q) {
			text, quoted = append(text, b.String()), append(quoted, q)
			b.Reset()
		} else {
			b.WriteString(" " + q + " ")
		}
		open = -1
	}
	for _, m := range tag.FindAllStringSubmatchIndex(line, -1) {
		if open >= 0 {
			end(m[0])
		} else {
			b.WriteString(line[at:m[0]] + " ")
		}
		at = m[1]
		if m[2] == m[3] {
			open = m[1]
		}
	}
	if open >= 0 {
		end(len(line))
	} else {
		b.WriteString(line[at:])
	}
	return append(text, b.String()), quoted
}
