package fakeollama

import (
	"fmt"
	"hash/fnv"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Banned are the words that make a reply bad in the eyes of the default
// answers.
var Banned = []string{
	"bomb", "cheat", "dumb", "fool", "hack", "hate", "idiot", "kill", "loser", "poison", "scam",
	"shut up", "steal", "stupid", "useless", "weapon", "worthless",
}

// Welcome are the words that make a reply good.
var Welcome = []string{"because", "careful", "help", "perhaps", "please", "safe", "sorry", "thank", "understand"}

var (
	banned  = words(Banned)
	welcome = words(Welcome)
)

func words(w []string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(` + strings.Join(w, "|") + `)(s|ed|ful|ing)?\b`)
}

// Quality is what the default answers think of a reply: each of the [Banned]
// words takes 1 away, up to 3, each of the [Welcome] ones adds 0.3, up to 0.9;
// an empty reply has −2, and every other text a whim of at most 0.2.
func Quality(reply string) float64 {
	reply = strings.TrimSpace(reply)
	if reply == "" {
		return -2
	}
	bad := len(banned.FindAllStringIndex(reply, 3))
	good := len(welcome.FindAllStringIndex(reply, 3))
	return 0.3*float64(good) - float64(bad) + 0.2*whim(reply)
}

// whim is a number from −1 to 1 that a text always has.
func whim(parts ...string) float64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	// FNV's high bits barely move with the last bytes: mix them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return 2*float64(x>>11)/(1<<53) - 1
}

const (
	cue      = "Answer A or B."
	letter   = "Answer with a single letter, A or B."
	replyAt  = "Assistant's reply:\n"
	critAt   = "\n\nCritique of the reply:\n"
	newReply = "Write only the new reply"
	critOnly = "Write only the critique"
	notYet   = "Do not answer yet."
	resumed  = "With that in mind: "
)

// Default answers by hidden rules on [Quality], so that a whole job over the
// fake has sensible results:
//
//   - a prompt with "(A) …" and "(B) …" that ends in "Answer A or B." is a
//     comparison: the better reply is preferred, by twice the difference in
//     log-odds, with a small whim for each question, and bias is added for (A);
//     so is one with "Answer with a single letter, A or B." in any message, and
//     headings "### Reply A" and "### Reply B" are as good as the marks;
//   - one whose options are "Yes." and "No." is a check: yes for a reply without
//     banned words;
//   - a question about a debate is answered by what was said, and "Write only the
//     argument" gets an argument that quotes the reply it is for;
//   - "Write only the critique" gets a critique that names them;
//   - "Write only the new reply" gets the reply without the sentences that hold
//     them, or the reply itself if there are none;
//   - "Do not answer yet." gets a sentence on what it sees, and a question that
//     follows with "With that in mind:" is about the same texts;
//   - anything else gets a sentence or two.
func Default(r Request, bias float64) Answer {
	return (&Options{Bias: bias, Quality: Quality, Coverage: covered}).answer(r)
}

func (o *Options) answer(r Request) Answer {
	if most := o.Whims[r.Model]; most > 0 {
		own := *o
		own.Whims = nil
		own.Quality = func(reply string) float64 { return o.Quality(reply) + most*whim(r.Model, reply) }
		return own.answer(r)
	}
	p := strings.TrimSpace(r.Prompt())
	if strings.HasPrefix(p, resumed) {
		p = r.resume(p)
	}
	switch {
	case strings.Contains(p, notYet):
		return Answer{Text: weigh(p)}
	case strings.HasSuffix(p, cue):
		if z, ok := o.choose(p); ok {
			return Answer{First: odds(z+o.Bias, o.Coverage)}
		}
		if z, ok := o.hear(p); ok {
			return Answer{First: odds(z+o.Bias, o.Coverage)}
		}
	case r.mentions(letter):
		if z, ok := o.choose(headed.Replace(strings.TrimSuffix(p, letter))); ok {
			return Answer{First: odds(z+o.Bias, o.Coverage)}
		}
	case strings.Contains(p, newReply):
		if reply, ok := between(p, replyAt, critAt); ok {
			return Answer{Text: rewrite(reply)}
		}
	case strings.Contains(p, argueOnly):
		if text, ok := argue(p); ok {
			return Answer{Text: text}
		}
	case strings.Contains(p, critOnly):
		if i := strings.Index(p, replyAt); i >= 0 {
			return Answer{Text: criticise(p[i+len(replyAt):])}
		}
	}
	if a, ok := o.grade(p); ok {
		return a
	}
	names := []string{"weather", "garden", "train", "recipe", "letter", "budget", "song", "map"}
	i := int((whim(p) + 1) / 2 * float64(len(names)-1))
	return Answer{Text: fmt.Sprintf("That depends on the %s. Please tell me more, so that I can help.", names[i])}
}

// resume puts a question that is asked again after a rationale under the texts
// that it is about.
func (r Request) resume(p string) string {
	for _, m := range r.Messages {
		if i := strings.LastIndex(m.Content, "\n"); i >= 0 && strings.Contains(m.Content, notYet) {
			return m.Content[:i+1] + strings.TrimPrefix(p, resumed)
		}
	}
	return p
}

// weigh says which of the words that it knows stand in the texts.
func weigh(p string) string {
	bad, good := banned.FindAllString(p, 3), welcome.FindAllString(p, 3)
	return fmt.Sprintf("Of what weighs against a reply I see %d words here, of what speaks for one %d.", len(bad), len(good))
}

var headed = strings.NewReplacer("\n### Reply A\n\n", "\n(A) ", "\n### Reply B\n\n", "\n(B) ")

// mentions tells whether a text stands in any of the messages.
func (r Request) mentions(text string) bool {
	return slices.ContainsFunc(r.Messages, func(m Message) bool { return strings.Contains(m.Content, text) })
}

// choose gives the log-odds of (A) in a comparison or a check.
func (o *Options) choose(p string) (float64, bool) {
	if rest, ok := strings.CutSuffix(p, "\n(A) Yes.\n(B) No.\n"+cue); ok {
		return check(rest), true
	}
	if rest, ok := strings.CutSuffix(p, "\n(A) No.\n(B) Yes.\n"+cue); ok {
		return -check(rest), true
	}
	// The marks cannot stand at the start of a line within a text, so the last
	// ones are the real ones.
	b := strings.LastIndex(p, "\n(B) ")
	if b < 0 {
		return 0, false
	}
	a := strings.LastIndex(p[:b], "\n(A) ")
	if a < 0 {
		return 0, false
	}
	second, question := p[b+5:], ""
	if i := strings.LastIndex(second, "\n"); i >= 0 {
		second, question = second[:i], second[i+1:]
	}
	first, second := strings.TrimSpace(p[a+5:b]), strings.TrimSpace(second)
	return 2*(o.Quality(first)-o.Quality(second)) + 0.3*(whim(question, first)-whim(question, second)), true
}

// check gives the log-odds that the answer to a yes/no question about a reply
// is yes.
func check(p string) float64 {
	reply, question := p, ""
	if i := strings.LastIndex(p, "\n\n"); i >= 0 {
		reply, question = p[:i], p[i+2:]
	}
	if i := strings.Index(reply, replyAt); i >= 0 {
		reply = reply[i+len(replyAt):]
	}
	bad := len(banned.FindAllStringIndex(reply, 3))
	return 1.5 - 2*float64(bad) + 0.3*whim(question, reply)
}

// covered is how much probability falls on the two letters.
const covered = 0.96

// odds spreads the probability over the two letters and some of their
// spellings, and leaves a little to other tokens.
func odds(z, covered float64) map[string]float64 {
	a := 1 / (1 + math.Exp(-z))
	return map[string]float64{
		"A": covered * a * 0.9, " A": covered * a * 0.1,
		"B": covered * (1 - a) * 0.9, " B": covered * (1 - a) * 0.1,
	}
}

func between(s, from, to string) (string, bool) {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return "", false
	}
	i := strings.LastIndex(s, to)
	if i < 0 {
		return "", false
	}
	return s[:i], true
}

func criticise(reply string) string {
	if i := strings.LastIndex(reply, "\n\n"); i >= 0 {
		reply = reply[:i] // the request
	}
	m := banned.FindAllString(reply, 3)
	if len(m) == 0 {
		return "The reply is fine in this respect: it is polite and safe."
	}
	return fmt.Sprintf("The reply says %q, which a careful assistant would not. It should leave that out and explain instead.", strings.ToLower(strings.Join(m, ", ")))
}

var sentence = regexp.MustCompile(`[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+$`)

func rewrite(reply string) string {
	if !banned.MatchString(reply) {
		return strings.TrimSpace(reply)
	}
	var b strings.Builder
	for _, s := range sentence.FindAllString(reply, -1) {
		if !banned.MatchString(s) {
			b.WriteString(s)
		}
	}
	out := strings.TrimSpace(b.String())
	if out != "" {
		out += " "
	}
	return out + "I am sorry that I cannot say more here; please ask me for help with something safe."
}
