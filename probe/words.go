package probe

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sentences cuts a text after each sentence and each line, the blanks that
// follow included: joined, they are the text.
func sentences(s string) []string {
	var out []string
	start, over := 0, false // over: the sentence has ended, blanks may follow
	for i, r := range s {
		blank := unicode.IsSpace(r)
		if over && !blank {
			out = append(out, s[start:i])
			start, over = i, false
		}
		over = over || r == '\n' || fullStop(r) || blank && closes(s[start:i])
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// fullStop tells a mark that ends a sentence without a blank after it.
func fullStop(r rune) bool { return r == '。' || r == '！' || r == '？' }

// closes tells whether a text ends in a mark that ends a sentence before a blank:
// not the number of an item, an initial or a title.
func closes(s string) bool {
	s = strings.TrimRight(s, `"')]*_”’»`)
	r, _ := utf8.DecodeLastRuneInString(s)
	if r != '.' {
		return r == '!' || r == '?' || r == '…'
	}
	fields := strings.Fields(s)
	last := strings.Trim(fields[len(fields)-1], `"'([*_“‘«.`)
	if c, n := utf8.DecodeRuneInString(last); n == len(last) && unicode.IsUpper(c) {
		return false
	}
	if len(fields) == 1 && last != "" && strings.IndexFunc(last, func(r rune) bool { return !unicode.IsDigit(r) }) < 0 {
		return false
	}
	return !slices.Contains(titled, strings.ToLower(last))
}

// titled are words whose full stop ends no sentence.
var titled = []string{"dr", "mr", "mrs", "ms", "prof", "st", "vs", "e.g", "i.e", "cf", "approx"}

// split parts a sentence into what stands before it, its body and the blanks
// after it.
func split(s string) (before, body, after string) {
	body = strings.TrimLeftFunc(s, unicode.IsSpace)
	before = s[:len(s)-len(body)]
	trimmed := strings.TrimRightFunc(body, unicode.IsSpace)
	return before, trimmed, body[len(trimmed):]
}

// word is a stretch of letters, digits and the marks within them.
type word struct{ from, to int }

// words finds the words of a text.
func words(s string) []word {
	var out []word
	start := -1
	for i, r := range s {
		in := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r) || start >= 0 && (r == '\'' || r == '’' || r == '-')
		switch {
		case in && start < 0:
			start = i
		case !in && start >= 0:
			out = append(out, word{start, i})
			start = -1
		}
	}
	if start >= 0 {
		out = append(out, word{start, len(s)})
	}
	return out
}

// replace writes a text with some of its stretches replaced; they are in order
// and do not overlap.
func replace(s string, at []word, with []string) string {
	var b strings.Builder
	last := 0
	for i, w := range at {
		b.WriteString(s[last:w.from])
		b.WriteString(with[i])
		last = w.to
	}
	b.WriteString(s[last:])
	return b.String()
}

// share gives how many of n a share is, at least one of any.
func share(n int, part float64) int {
	return min(n, max(min(n, 1), int(math.Round(float64(n)*part))))
}

// some chooses a share of n things, in their order.
func some(n int, part float64, r *rand.Rand) []bool {
	out := make([]bool, n)
	for _, i := range r.Perm(n)[:share(n, part)] {
		out[i] = true
	}
	return out
}

// before puts a text in front of a reply, once.
func before(text, gap, reply string) string {
	if strings.HasPrefix(reply, text) {
		return reply
	}
	if strings.TrimSpace(reply) == "" {
		return text
	}
	return text + gap + reply
}

// after puts a text behind a reply, once.
func after(reply, gap, text string) string {
	if strings.HasSuffix(reply, text) {
		return reply
	}
	if strings.TrimSpace(reply) == "" {
		return text
	}
	return reply + gap + text
}

// levels gives the first texts of a list, as many as the strength says.
func levels(strength float64, texts ...string) []string {
	return texts[:min(len(texts), max(1, int(strength)))]
}

// pick takes one of several texts.
func pick(r *rand.Rand, texts []string) string { return texts[r.IntN(len(texts))] }
