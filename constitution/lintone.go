package constitution

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	namesAB   = regexp.MustCompile(`\([ABab]\)|\b[AB]\b\s*(or|and|/)\s*\b[AB]\b|\b(?i:option|reply|response|answer) [AB12]\b|\[\[[AB]\]\]`)
	starts    = regexp.MustCompile(`(?i)^which (of (the|these|those|both) )?(two |assistant |assistant's )?(reply|replies|response|responses|answer|answers|one)\b`)
	setPhrase = regexp.MustCompile(`(?i)\b(pros and cons|causes? and effects?|rules and regulations|terms and conditions|questions and answers|trial and error|back and forth|black and white|more or less|sooner or later|right and wrong|facts and figures)\b`)
	joins     = regexp.MustCompile(`(?i)\b(and|or|but|plus|yet|while|as well as)\b|[;&]|\pL/\pL`)
	wayOut    = regexp.MustCompile(`(?i)\b(if|when|where|unless|otherwise)\b[^.?!]*\b(write|say|answer|state|reply|respond)\b`)
	clauses   = regexp.MustCompile(`[.!?;:,\n—–]+`)

	// asks are the words that a request for a critique begins with.
	asks = set(`say tell point name list find look identify explain describe discuss consider critique criticise criticize comment
		note quote show check see give state write think read judge assess evaluate review examine analyse analyze decide determine
		mark mention count compare follow rate take highlight pick spot search verify test ask cite report outline
		what what's where which who whose how why when is are does do did has have can could would should will`)
	// changes are the words that a request for a revision begins with.
	changes = set(`rewrite revise amend write change edit correct replace remove make give reply answer improve mend fix shorten
		lengthen add rephrase reword produce provide cut keep take respond state say put use turn adjust adapt restate redo delete
		modify create generate offer explain update alter drop strip leave mark name show tell soften clarify expand suggest`)
	openers = set(`please now also then carefully first next finally so and kindly just furthermore instead`)

	// positives are what to ask for instead of a bad quality.
	positives = map[string]string{
		"harmful": "harmless", "harm": "harmless", "harms": "harmless", "dangerous": "safe", "unsafe": "safe", "toxic": "respectful",
		"offensive": "respectful", "rude": "polite", "impolite": "polite", "insulting": "respectful", "disrespectful": "respectful",
		"misleading": "truthful", "false": "truthful", "untrue": "truthful", "dishonest": "honest", "deceptive": "honest",
		"wrong": "correct", "incorrect": "correct", "inaccurate": "accurate", "unclear": "clear", "unfair": "fair", "biased": "fair",
		"racist": "fair to all groups", "sexist": "fair to all groups", "violent": "peaceful", "illegal": "lawful", "unlawful": "lawful",
		"unethical": "ethical", "immoral": "ethical", "evasive": "direct", "preachy": "matter-of-fact", "irrelevant": "relevant",
		"unhelpful": "helpful", "incomplete": "complete", "insensitive": "considerate", "unkind": "kind", "hateful": "kind",
	}
)

// question lints the comparison.
func (l *linter) question(p *Principle) {
	q := strings.TrimSpace(p.Compare)
	ws := words(q)
	const example = `ask "Which reply is more …?"`
	if n := strings.Count(q, "?"); n > 1 {
		l.add(p, SeverityError, "question-form", fmt.Sprintf("the comparison has %d question marks", n), "ask one question: split it into two principles")
	}
	if m := namesAB.FindString(q); m != "" {
		l.add(p, SeverityError, "question-form", fmt.Sprintf("the comparison names the answers (%q)", m), `leave that out: cai adds the replies' marks and "Answer A or B." itself`)
	}
	if n, t := len(ws), tokens(q); n > longQuestionWords || t > longQuestionTokens {
		l.add(p, SeverityWarning, "long-question", fmt.Sprintf("the comparison is %d words long, about %d tokens", n, t),
			"ten words are enough; what explains the principle belongs into critique and revision")
	}
	if !isEnglish(q) {
		l.add(p, SeverityInfo, "other-language", "the comparison does not look like English: rules on words were left out", "")
		return
	}
	switch {
	case len(ws) > 0 && yesNo[ws[0]]:
		l.add(p, SeverityError, "question-form", fmt.Sprintf("the comparison is a yes-or-no question (%q)", ws[0]), example+"; a question over one reply belongs into check")
	case !starts.MatchString(q) || !strings.HasSuffix(q, "?"):
		l.add(p, SeverityWarning, "question-start", `the comparison is not a question of the form "Which reply …?"`, example)
	}
	if !compares(q) {
		l.add(p, SeverityWarning, "no-comparative", "the comparison compares nothing: it may be true of both replies", `put "more", "better" or a word such as "clearer" into it`)
	}
	if neg := negated(q); len(neg) > 0 {
		hint := "ask for the good quality"
		for _, w := range neg {
			if good := positives[w]; good != "" {
				hint = fmt.Sprintf("ask for the good quality, such as \"Which reply is more %s?\"", good)
				break
			}
		}
		l.add(p, SeverityWarning, "negated-question", fmt.Sprintf("the comparison is negated or asks for the bad (%s)", quoted(neg)), hint)
	}
	if m := joins.FindString(setPhrase.ReplaceAllString(q, "")); m != "" && !p.hasTag("overall") {
		l.add(p, SeverityWarning, "double-question", fmt.Sprintf("the comparison asks for two things at once (%q)", strings.ToLower(m)),
			`split it into two principles, or give it the tag "overall" if it sums up`)
	}
	if isVague(q, asking) {
		l.add(p, SeverityWarning, "vague-question", "the comparison names no quality that could be looked for", "name what makes a reply good: truthful, clear, polite, short …")
	}
}

// texts lints the critique and the revision.
func (l *linter) texts(p *Principle) {
	if strings.EqualFold(strings.TrimSpace(p.Critique), strings.TrimSpace(p.Revision)) {
		l.add(p, SeverityError, "same-texts", "critique and revision are the same text", "the critique asks what is wrong, the revision asks for a better reply")
	}
	for _, t := range []struct{ field, text string }{{"critique", p.Critique}, {"revision", p.Revision}} {
		if n := len(words(t.text)); n > longTextWords {
			l.add(p, SeverityWarning, "long-text", fmt.Sprintf("the %s is %d words long", t.field, n), "small models lose the thread: keep to three sentences")
		}
	}
	if !isEnglish(p.Compare) {
		return
	}
	if !begins(p.Critique, asks) && !strings.Contains(p.Critique, "?") {
		l.add(p, SeverityWarning, "asks-nothing", "the critique asks nothing", `begin with what to do: "Quote each passage that …"`)
	}
	if !begins(p.Revision, changes) {
		l.add(p, SeverityWarning, "asks-nothing", "the revision asks for nothing", `begin with what to do: "Rewrite the reply so that …"`)
	}
	for _, t := range []struct{ field, text string }{{"critique", p.Critique}, {"revision", p.Revision}} {
		if isVague(t.text, frame) {
			l.add(p, SeverityWarning, "vague-text", fmt.Sprintf("the %s names nothing that could be looked for", t.field), "say which faults are meant, with an example or two")
		}
	}
	if !wayOut.MatchString(p.Critique) {
		l.add(p, SeverityInfo, "invites-faults", "the critique does not say what to write if nothing is wrong", `end with "If there is none, write: …"`)
	}
}

// begins tells whether a clause of the text begins with one of the verbs.
func begins(text string, verbs map[string]bool) bool {
	for _, clause := range clauses.Split(text, -1) {
		for _, w := range words(clause) {
			if verbs[w] {
				return true
			}
			if !openers[w] {
				break
			}
		}
	}
	return false
}

// check lints the question over one reply.
func (l *linter) check(p *Principle) {
	q := strings.TrimSpace(p.Check)
	if q == "" {
		l.add(p, SeverityInfo, "no-check", fmt.Sprintf("there is no check; a single reply is asked: %s", clip(p.Question())), `check = "Is the reply …?", to which yes is good`)
		return
	}
	if !isEnglish(p.Compare) {
		return
	}
	if ws := words(q); len(ws) == 0 || !yesNo[ws[0]] || strings.Count(q, "?") != 1 {
		l.add(p, SeverityWarning, "check-form", "the check is not one yes-or-no question", `ask "Is the reply …?" or "Does the reply …?"`)
	}
	if neg := negated(q); len(neg) > 0 {
		l.add(p, SeverityWarning, "check-form", fmt.Sprintf("the check is negated or asks for the bad (%s)", quoted(neg)), "yes must be the good answer: ask for the good quality")
	}
}

func (p *Principle) hasTag(tag string) bool { return slices.Contains(p.Tags, tag) }

func quoted(ws []string) string {
	out := make([]string, len(ws))
	for i, w := range ws {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}
