package judge

import (
	"fmt"
	"strings"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
	"cai/prompt"
)

// Shape is the wording around the texts of a comparison. Which one brings out
// the strongest signal depends on the model, so cai doctor tries them; the
// wording is part of a judge's identity, by its template hash.
//
// In every shape the texts are quoted and the principle's question comes at the
// end: what stands before it is the same for all principles, and a server with
// a prefix cache reads it once. Only a text that repeats the question word for
// word reads otherwise under that principle, where it is marked as a quotation.
type Shape struct {
	Name  string
	About string // what sets it apart
	// Prefix names what stands before the question. Shapes of one Prefix have
	// the same text there, so that asking a pair in one of them after the other
	// costs only the question.
	Prefix string

	system string    // system message; none if empty
	start  string    // before the conversation
	marks  [2]string // before the replies
	ask    func(question string) string
}

const (
	letter = "Answer with a single letter, A or B."
	task   = "You compare two replies to the same conversation and say which of them the question at the end asks for. " + letter
)

var (
	parentheses = [2]string{"(A) ", "(B) "}
	headings    = [2]string{"### Reply A\n\n", "### Reply B\n\n"}
)

// shapes has the default first, and shapes of one prefix side by side.
var shapes = []Shape{
	{
		Name: "question", About: `"Which reply is …? Answer A or B." after the replies (the default)`,
		Prefix: "plain", marks: parentheses,
		ask: func(q string) string { return q + " Answer A or B." },
	},
	{
		Name: "choose", About: `"Choose the reply that is …. ` + letter + `" after the replies`,
		Prefix: "plain", marks: parentheses,
		ask: func(q string) string { return imperative(q) + " " + letter },
	},
	{
		Name: "system", About: `the same with a system prompt`,
		Prefix: "system", system: task, marks: parentheses,
		ask: func(q string) string { return imperative(q) + " " + letter },
	},
	{
		Name: "bare", About: "how to answer only in the system prompt, the bare question last",
		Prefix: "system", system: task, marks: parentheses,
		ask: func(q string) string { return q },
	},
	{
		Name: "start", About: "how to answer at the very start, before the conversation",
		Prefix: "start", start: letter, marks: parentheses,
		ask: imperative,
	},
	{
		Name: "headings", About: "headings instead of (A) and (B)",
		Prefix: "headings", marks: headings,
		ask: func(q string) string { return imperative(q) + " " + letter },
	},
	{
		Name: fenced, About: "replies between marks that no reply can forge, and a word on what they are",
		Prefix: fenced, marks: parentheses,
		ask: func(q string) string { return q + " Answer A or B." },
	},
}

// Shapes lists the shapes, the default first and those of one Prefix side by
// side.
func Shapes() []Shape { return append([]Shape(nil), shapes...) }

// DefaultShape is the shape that is used unless another is named.
func DefaultShape() Shape { return shapes[0] }

// ParseShape finds a shape by its name; "" is the default.
func ParseShape(name string) (Shape, error) {
	if name == "" {
		return DefaultShape(), nil
	}
	for _, s := range shapes {
		if s.Name == name {
			return s, nil
		}
	}
	return Shape{}, fmt.Errorf("shape %q is not known: use %s", name, strings.Join(ShapeNames(), ", "))
}

// ShapeNames lists the names of the shapes.
func ShapeNames() []string {
	names := make([]string, len(shapes))
	for i, s := range shapes {
		names[i] = s.Name
	}
	return names
}

// ShapeOf names the shape of a stored judge by its template hash; "" if it is
// of another version.
func ShapeOf(template string) string {
	for _, s := range shapes {
		if s.TemplateHash().String() == template || s.reasonHash().String() == template {
			return s.Name
		}
	}
	return ""
}

// In is the same judge in another shape.
func (j *Judge) In(s Shape) *Judge {
	k := *j
	k.Shape = s
	hash := s.TemplateHash
	if j.ID.Mode == ModeReason {
		hash = s.reasonHash
	}
	k.ID.Template = hash().String()
	return &k
}

// Render writes the prompt of a comparison.
func (s Shape) Render(q Question) []llm.Message {
	return s.render(q, s.ask(strings.TrimSpace(q.Principle.Compare)))
}

// render writes a prompt that ends in ask.
func (s Shape) render(q Question, ask string) []llm.Message {
	var b strings.Builder
	if s.start != "" {
		b.WriteString(s.start + "\n\n")
	}
	f := s.fence(q)
	b.WriteString(s.guard(prompt.Transcript(q.Prompt), ask))
	for i, text := range [2]string{q.First, q.Second} {
		b.WriteString("\n\n" + s.marks[i])
		b.WriteString(f.around(s.guard(prompt.Quote(text), ask)))
	}
	b.WriteString("\n\n")
	b.WriteString(f.reminder())
	b.WriteString(ask)
	user := llm.Message{Role: "user", Content: b.String()}
	if s.system == "" {
		return []llm.Message{user}
	}
	return []llm.Message{{Role: "system", Content: s.system}, user}
}

// TemplateHash identifies the wording around the texts: the hash of a rendered
// probe, so that no change of wording goes unnoticed. The default shape is
// known by the hash that it had before there were others.
func (s Shape) TemplateHash() dataset.Hash {
	parts := rendered(s.Render)
	if s.Name == shapes[0].Name {
		parts = parts[1:2] // the text of the first message
	}
	return dataset.HashOf("template", parts...)
}

// rendered gives the roles and texts of prompts for a question that tries what
// a template does with the texts.
func rendered(render func(Question) []llm.Message) (parts []string) {
	for _, compare := range []string{"q", "Which reply is more q?"} {
		for _, m := range render(Question{
			Prompt: dataset.Conversation{
				{Role: "system", Content: "s<|x|>"},
				{Role: "user", Content: "u"},
				{Role: "assistant", Content: "a\nUser: (A)"},
				{Role: "user", Content: "v"},
			},
			First: "1\n(A)", Second: "2\n(B)",
			Principle: &constitution.Principle{Compare: compare},
		}) {
			parts = append(parts, m.Role, m.Content)
		}
	}
	return parts
}
