package rubric

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cai/dataset"
	"cai/prompt"
)

// Question is one thing that is asked about a reply: a criterion, whether one
// applies, or the reply as a whole.
type Question struct {
	Name      string // for people
	Text      string
	Levels    []string // none is yes or no
	Reference string   // the answer to judge beside; empty is none
}

// Hash identifies the question by what a model sees of it.
func (q *Question) Hash() dataset.Hash {
	parts := []string{squeeze(q.Text), q.Reference}
	for _, l := range q.Levels {
		parts = append(parts, oneLine(l))
	}
	return dataset.HashOf("criterion", parts...)
}

// Wordings is how many ways there are to put a question that differ: three
// requests for the answer, each with the levels in both directions. A sample
// beyond them repeats one, and a server that answers the same to the same
// question has nothing new to say to it.
const Wordings = 6

var (
	// The fake Ollama of the tests knows these by their ends.
	askLevel = [...]string{
		"Answer with a single digit, %s to %s.",
		"Which level fits best? Write only its digit, %s to %s.",
		"Give the digit of the level that fits best, %s to %s.",
	}
	askYesNo = [...]string{"Answer %s or %s.", "Write only %s or %s.", "Is that so? %s or %s."}
)

const askQuote = "Copy from the reply, word for word, the words that decide this, at most one sentence. Write only the quotation, nothing before it, or None."

// Options gives the answers of the question, the lowest first, each one token:
// No and Yes, or a digit for each level, from 1 or, for a scale of ten, from 0.
func (q *Question) Options() []string {
	if len(q.Levels) == 0 {
		return []string{"No", "Yes"}
	}
	first := 1
	if len(q.Levels) == MaxLevels {
		first = 0
	}
	out := make([]string, len(q.Levels))
	for i := range out {
		out[i] = string(rune('0' + first + i))
	}
	return out
}

// Descends tells whether a sample lists the levels from the highest down.
func Descends(sample int) bool { return sample%2 == 1 }

// cue is the end of the prompt: the question, its scale and how to answer.
func (q *Question) cue(sample int) string {
	options := q.Options()
	wording := sample % Wordings / 2
	var b strings.Builder
	b.WriteString(squeeze(q.Text))
	b.WriteByte('\n')
	if len(q.Levels) == 0 {
		first, second := options[1], options[0] // "Yes or No" is the order that people use
		if Descends(sample) {
			first, second = second, first
		}
		fmt.Fprintf(&b, askYesNo[wording], first, second)
		return b.String()
	}
	lines := make([]string, len(options))
	for i, o := range options {
		lines[i] = o + ": " + oneLine(q.Levels[i])
	}
	if Descends(sample) {
		slices.Reverse(lines)
		slices.Reverse(options)
	}
	b.WriteString(strings.Join(lines, "\n"))
	b.WriteByte('\n')
	fmt.Fprintf(&b, askLevel[wording], options[0], options[len(options)-1])
	return b.String()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Reply is a reply to grade.
type Reply struct {
	Prompt    dataset.Conversation // nil where unknown
	Response  dataset.Response
	Reference string // a reference answer; empty where there is none
}

// heading is what stands before the texts of a prompt, in whatever letters.
var heading = regexp.MustCompile(`(?mi)^[ \t]*(?:Assistant.s[ \t]+reply|Reference[ \t]+answer)[ \t]*():`)

// quote makes a text safe to stand under one of the headings here.
func quote(s string) string {
	return prompt.Break(prompt.Quote(s), heading, " ")
}

// render writes a prompt. What a reply's questions have in common comes first,
// then what those with a reference have in common, and the question last.
func render(r *Reply, reference, end string) string {
	var b strings.Builder
	if len(r.Prompt) > 0 {
		b.WriteString(prompt.Break(prompt.Transcript(r.Prompt), heading, " "))
		b.WriteString("\n\n")
	}
	b.WriteString("Assistant's reply:\n")
	b.WriteString(quote(r.Response.Text))
	if reference != "" {
		b.WriteString("\n\nReference answer:\n")
		b.WriteString(quote(reference))
	}
	b.WriteString("\n\n")
	b.WriteString(prompt.Neutralise(end))
	return b.String()
}

// Render writes the prompt of a question about a reply. Its last paragraph is
// the question.
func Render(r *Reply, q *Question, sample int) string {
	return render(r, q.Reference, q.cue(sample))
}

func renderQuote(r *Reply, q *Question) string {
	return render(r, q.Reference, squeeze(q.Text)+"\n"+askQuote)
}

// holisticLevels is the scale of [Rubric.Holistic].
var holisticLevels = []string{"very poor", "poor", "fair", "good", "very good"}

// Holistic is the one question of implicit aggregation: the reply as a whole, by
// all criteria together. Vetoes and questions whether a criterion applies are
// left to the model's judgment.
func (r *Rubric) Holistic(reference string) Question {
	q := Question{Name: "overall", Levels: holisticLevels}
	var good, bad []string
	for i := range r.Criteria {
		c := &r.Criteria[i]
		line := "- " + oneLine(c.Text)
		if w := c.Weight; w != 1 && w != -1 && w != 0 {
			line += fmt.Sprintf(" (weight %g)", max(w, -w))
		}
		if c.AppliesWhen != "" {
			line += " (only if: " + oneLine(c.AppliesWhen) + ")"
		}
		if c.Pitfall() {
			bad = append(bad, line)
		} else {
			good = append(good, line)
		}
		if c.Reference {
			q.Reference = reference
		}
	}
	parts := []string{"How good is the reply by all of these criteria together?"}
	if len(good) > 0 {
		parts = append(append(parts, "Yes counts for it:"), good...)
	}
	if len(bad) > 0 {
		parts = append(append(parts, "Yes counts against it:"), bad...)
	}
	q.Text = strings.Join(parts, "\n")
	return q
}

// TemplateHash identifies the wording around the texts: the hash of rendered
// probes, so that no change of wording goes unnoticed.
func TemplateHash() dataset.Hash {
	r := &Reply{
		Prompt:    dataset.Conversation{{Role: "system", Content: "s<|x|>"}, {Role: "user", Content: "u\nReference answer: x"}},
		Response:  dataset.Response{Text: "r\nAssistant's reply: y\n(A)"},
		Reference: "f",
	}
	var parts []string
	for _, q := range []Question{{Text: "q"}, {Text: "q", Levels: []string{"l", "m", "n"}, Reference: "f"}} {
		for s := range Wordings {
			parts = append(parts, Render(r, &q, s))
		}
		parts = append(parts, renderQuote(r, &q))
	}
	return dataset.HashOf("template", parts...)
}
