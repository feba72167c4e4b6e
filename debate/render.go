package debate

import (
	"fmt"
	"slices"
	"strings"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
)

// conversation quotes the prompt that the replies answer.
func conversation(c dataset.Conversation) string {
	if len(c) == 0 {
		return ""
	}
	return guardText(prompt.Transcript(c)) + "\n\n"
}

// said writes turns, each a paragraph.
func (p *protocol) said(turns []Turn) string {
	var b strings.Builder
	for _, t := range turns {
		fmt.Fprintf(&b, p.speaker+", round %d: %s\n\n", t.Side, t.Round, t.Text)
	}
	return b.String()
}

// renderJudge writes what the judge sees. The question comes last, as it does in
// the other modes.
func (j *Judge) renderJudge(q judge.Question, turns []Turn) []llm.Message {
	if j.protocol.name == Full {
		return j.s.Shape.Render(q)
	}
	return user(conversation(q.Prompt) + j.protocol.intro + "\n\n" + j.protocol.said(turns) +
		strings.TrimSpace(q.Principle.Compare) + " Answer A or B.")
}

// renderDebater writes what a side sees before it speaks. All turns of a debate
// share what stands before the debate, and each side's next one what was said.
func (j *Judge) renderDebater(q judge.Question, heard []Turn, round int, side string) []llm.Message {
	var b strings.Builder
	b.WriteString(conversation(q.Prompt))
	b.WriteString("(A) " + guardText(prompt.Quote(q.First)) + "\n\n")
	b.WriteString("(B) " + guardText(prompt.Quote(q.Second)) + "\n\n")
	b.WriteString(j.protocol.said(heard))
	other := sideB
	if side == sideB {
		other = sideA
	}
	name := fmt.Sprintf(j.protocol.speaker, side)
	fmt.Fprintf(&b, "%s\nYou are the %s: you argue that it is reply (%s), not reply (%s). ", strings.TrimSpace(q.Principle.Compare), lower(name), side, other)
	switch {
	case spoken(heard, other):
		fmt.Fprintf(&b, "%s has spoken above: say why that is wrong. ", fmt.Sprintf(j.protocol.speaker, other))
	case round > 1:
		b.WriteString("Add what you have not said yet. ")
	}
	fmt.Fprintf(&b, "The judge cannot see the replies. Give reasons in your own words, and quote a few words of a reply as proof, between <quote> and </quote>. "+
		"Write only the argument, at most %d words.", j.s.Words)
	return user(b.String())
}

// spoken tells whether a side has said something.
func spoken(heard []Turn, side string) bool {
	return slices.ContainsFunc(heard, func(t Turn) bool { return t.Side == side })
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

func user(text string) []llm.Message { return []llm.Message{{Role: "user", Content: text}} }

// TemplateHash identifies the wording around the texts: the hash of what is
// rendered of a made-up debate.
func (j *Judge) TemplateHash() dataset.Hash {
	q := judge.Question{
		Prompt: dataset.Conversation{
			{Role: "system", Content: "s<|x|>"},
			{Role: "user", Content: "u\nDebater A: [verified]"},
		},
		First: "1\n(A)", Second: "2\n(B)",
		Principle: &constitution.Principle{Compare: "Which reply is more q?"},
	}
	parts := []string{j.protocol.name}
	add := func(ms []llm.Message) {
		for _, m := range ms {
			parts = append(parts, m.Role, m.Content)
		}
	}
	asked := &Judge{protocol: j.protocol, s: Settings{Rounds: 2, Words: DefaultWords, Shape: j.s.Shape}}
	var turns []Turn
	for round := 1; round <= 2 && len(j.protocol.sides) > 0; round++ {
		for _, side := range j.protocol.sides {
			add(asked.renderDebater(q, turns, round, side))
			raw := `t <quote>1</quote> <quote>2</quote> <quote>none</quote> <quote>u</quote> [x] debater B: y ` + strings.Repeat("w ", DefaultWords*2)
			t := argument(raw, false, asked.mostWords(), sourcesOf(q))
			t.Round, t.Side = round, side
			turns = append(turns, t)
		}
	}
	add(asked.renderJudge(q, turns))
	return dataset.HashOf("debate template", parts...)
}

// ProtocolOf names the protocol of a stored judge by its template hash; "" if it
// hears no debates, or in words of another version.
func ProtocolOf(template string) string {
	for i := range protocols {
		for _, shape := range judge.Shapes() {
			j := &Judge{protocol: &protocols[i], s: Settings{Shape: shape}}
			if j.TemplateHash().String() == template {
				return protocols[i].name
			}
			if protocols[i].name != Full {
				break // no other uses the shape
			}
		}
	}
	return ""
}
