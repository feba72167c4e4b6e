package fakeollama

import (
	"math"
	"regexp"
	"strings"
)

var (
	levelCue  = regexp.MustCompile(`(?s)^(.*)\n\n([^\n].*\bdigit\b[^\n]*, ([0-9]) to ([0-9])\.)$`)
	yesNoCue  = regexp.MustCompile(`(?s)^(.*)\n\n([^\n].*\b(Yes or No|No or Yes)\.)$`)
	quoteOnly = "Write only the quotation"
	draftOnly = "Write only the question"
)

// grade answers questions about one reply by hidden rules on [Quality]:
//
//   - a prompt that ends in "… digit …, 1 to 5." gets a digit, with
//     probabilities around a level that grows with the quality and hangs on the
//     question; the level that is listed first is favoured a little;
//   - one that ends in "Yes or No." or "No or Yes." gets yes for a good reply,
//     and for a question that has a banned word in it, or "pitfall", for a bad
//     one;
//   - "Write only the quotation" gets the first sentence of the reply and, for
//     some questions, one that is not in it;
//   - "Write only the question" gets a question that yes answers.
func (o *Options) grade(p string) (Answer, bool) {
	if m := levelCue.FindStringSubmatch(p); m != nil {
		x := o.opinion(m[1], m[2])
		first, last := int(m[3][0]-'0'), int(m[4][0]-'0')
		n := max(first-last, last-first)
		x = x*float64(n) + 0.1*float64(first-last)/float64(max(n, 1))
		low := min(first, last)
		out := map[string]float64{}
		sum := 0.0
		for i := range n + 1 {
			w := math.Exp(-(float64(i) - x) * (float64(i) - x))
			out[string(rune('0'+low+i))] = w
			sum += w
		}
		for k := range out {
			out[k] *= o.Coverage / sum
		}
		return Answer{First: out}, true
	}
	if m := yesNoCue.FindStringSubmatch(p); m != nil {
		yes := o.opinion(m[1], m[2])
		z := math.Log(yes/(1-yes)) + 0.1
		if m[3] == "No or Yes" {
			z -= 0.2
		}
		yes = 1 / (1 + math.Exp(-z))
		return Answer{First: map[string]float64{
			"Yes": o.Coverage * yes * 0.8, " yes": o.Coverage * yes * 0.2,
			"No": o.Coverage * (1 - yes) * 0.8, " no": o.Coverage * (1 - yes) * 0.2,
		}}, true
	}
	if i := strings.Index(p, replyAt); i >= 0 && strings.Contains(p, quoteOnly) {
		reply, question := p[i+len(replyAt):], ""
		if j := strings.LastIndex(reply, "\n\n"); j >= 0 {
			reply, question = reply[:j], reply[j:]
		}
		s := strings.TrimSpace(sentence.FindString(reply))
		if whim(question, reply) > 0.3 || s == "" {
			return Answer{Text: `"The garden was painted by nobody in particular."`}, true
		}
		return Answer{Text: `"` + s + `"`}, true
	}
	if i := strings.Index(p, draftOnly); i >= 0 {
		names := []string{"polite", "clear", "concrete", "honest", "safe", "calm", "brief", "patient"}
		k := int((whim(p) + 1) / 2 * float64(len(names)))
		return Answer{Text: "Is the reply " + names[min(k, len(names)-1)] + "?"}, true
	}
	return Answer{}, false
}

// opinion is what the fake thinks of a reply, from 0 to 1, when asked a
// question.
func (o *Options) opinion(before, question string) float64 {
	reply := before
	if i := strings.LastIndex(before, "\n\n"+replyAt); i >= 0 {
		reply = before[i+2+len(replyAt):]
	} else {
		reply = strings.TrimPrefix(reply, replyAt)
	}
	reply, _, _ = strings.Cut(reply, "\n\nReference answer:\n")
	reply = strings.TrimSpace(reply)
	z := 1.2*o.Quality(reply) + 0.5*whim(strings.SplitN(question, "\n", 2)[0], reply)
	if banned.MatchString(question) || strings.Contains(question, "pitfall") {
		z = -z
	}
	return 1 / (1 + math.Exp(-z))
}
