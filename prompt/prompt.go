// Package prompt lays texts from strangers before a model.
//
// Conversations and replies are quoted inside a larger prompt, so they must not
// be able to end their quotation: a reply that contains a chat template's
// special token, a line that looks like a turn, or an answer mark is given a
// blank that takes the meaning away and leaves the text readable. Nothing else
// is changed.
package prompt

import (
	"regexp"
	"strings"

	"cai/dataset"
)

var (
	// special matches the control tokens of the chat templates in common use
	// (ChatML, Llama, Gemma, Mistral, DeepSeek), which tokenizers recognise
	// inside ordinary text.
	special = regexp.MustCompile(`<(\|[^|<>\s]{1,40}\|>|｜[^｜<>]{1,40}｜>|/?s>|/?think>|bos>|eos>|pad>|unk>|start_of_turn>|end_of_turn>|start_header_id>|end_header_id>|eot_id>)|\[(/?INST\]|/?SYSTEM_PROMPT\]|/?AVAILABLE_TOOLS\]|TOOL_CALLS\])|<(<SYS>>|</SYS>>)`)
	mark    = regexp.MustCompile(`(?m)^([ \t]*)\(([AB])\)`)
	turn    = regexp.MustCompile(`(?m)^([ \t]*)(User|Assistant|System|Tool):`)
)

// Neutralise takes the meaning from special tokens by a blank after their
// first character.
func Neutralise(s string) string {
	if !strings.ContainsAny(s, "<[") {
		return s
	}
	return special.ReplaceAllStringFunc(s, func(m string) string { return m[:1] + " " + m[1:] })
}

// Quote makes a text safe to stand as a reply or a turn inside a prompt.
func Quote(s string) string {
	s = Neutralise(s)
	if strings.Contains(s, "(A)") || strings.Contains(s, "(B)") {
		s = mark.ReplaceAllString(s, "$1( $2)")
	}
	if strings.Contains(s, ":") {
		s = turn.ReplaceAllString(s, "$1$2 :")
	}
	return s
}

// Transcript writes a conversation as lines of "User: …" and "Assistant: …",
// a blank line between turns.
func Transcript(c dataset.Conversation) string {
	var b strings.Builder
	for i, m := range c {
		if i > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(speaker(m.Role))
		b.WriteString(": ")
		b.WriteString(Quote(m.Content))
	}
	return b.String()
}

func speaker(role string) string {
	switch role {
	case "assistant":
		return "Assistant"
	case "system":
		return "System"
	case "tool":
		return "Tool"
	default:
		return "User"
	}
}

// Context estimates the context length, in tokens, for a prompt of the longest
// quoted texts (bytes) of a job, its fixed wording and an answer of at most
// answer tokens. It is a power of two from 4096 up, so that jobs of similar
// size share one and the server need not load the model again. Three bytes a
// token is a low estimate for prose in Latin script and a fair one elsewhere.
func Context(longest, answer int) int {
	need := longest/3 + answer + 512
	n := 4096
	for n < need {
		n *= 2
	}
	return n
}
