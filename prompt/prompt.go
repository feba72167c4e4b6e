// Package prompt lays texts from strangers before a model.
//
// Conversations and replies are quoted inside a larger prompt, so they must not
// be able to end their quotation: a reply that contains a chat template's
// special token, a line that looks like a turn, or an answer mark is given a
// blank that takes the meaning away and leaves the text readable. Marks are
// found as they are meant to be read, in look-alike letters too and with
// characters between them that print nothing. Nothing else is changed.
package prompt

import (
	"strings"

	"cai/dataset"
)

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
