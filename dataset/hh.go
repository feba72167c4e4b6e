package dataset

import (
	"errors"
	"fmt"
	"strings"
)

// The turn markers of the HH-RLHF transcripts.
const (
	humanMarker     = "\n\nHuman:"
	assistantMarker = "\n\nAssistant:"
)

// isTranscript tells whether a text begins as an HH transcript does. The blank
// line before the first turn is often lost.
func isTranscript(text string) bool {
	t := strings.TrimLeft(text, "\n")
	return strings.HasPrefix(t, "Human:") || strings.HasPrefix(t, "Assistant:") ||
		strings.Contains(text, humanMarker) && strings.Contains(text, assistantMarker)
}

// parseTranscript cuts a transcript at its turn markers. One space after a
// marker belongs to the marker; every other byte belongs to its turn. Text
// before the first marker is a system message.
func parseTranscript(text string) Conversation {
	if !strings.HasPrefix(text, "\n\n") {
		if t := strings.TrimLeft(text, "\n"); strings.HasPrefix(t, "Human:") || strings.HasPrefix(t, "Assistant:") {
			text = "\n\n" + t
		}
	}
	role := "system"
	var c Conversation
	for {
		h, a := strings.Index(text, humanMarker), strings.Index(text, assistantMarker)
		next, marker, at := "user", humanMarker, h
		if h < 0 || a >= 0 && a < h {
			next, marker, at = "assistant", assistantMarker, a
		}
		body := text
		if at >= 0 {
			body = text[:at]
		}
		if role != "system" || body != "" {
			c = append(c, Message{Role: role, Content: body})
		}
		if at < 0 {
			return c
		}
		role, text = next, strings.TrimPrefix(text[at+len(marker):], " ")
	}
}

// transcriptPrompt reads a prompt that is a transcript: the turns before the
// assistant's, with or without the marker that asks for it.
func transcriptPrompt(text string) Conversation {
	c := parseTranscript(text)
	if n := len(c); n > 1 && c[n-1].Role == "assistant" && strings.TrimSpace(c[n-1].Content) == "" {
		return c[:n-1]
	}
	return c
}

// asksForTurn tells whether a prompt is without doubt a transcript: it has the
// person's marker and ends with the assistant's.
func asksForTurn(text string) bool {
	return strings.Contains(text, humanMarker) && strings.HasSuffix(strings.TrimSuffix(text, " "), assistantMarker)
}

// splitTranscripts reads a pair of transcripts that are the same up to the last
// turn, which is the assistant's.
func splitTranscripts(chosen, rejected string) (Conversation, Response, Response, error) {
	if !isTranscript(chosen) {
		return nil, Response{}, Response{}, fmt.Errorf(`chosen is no transcript of "\n\nHuman: …\n\nAssistant: …"`)
	}
	if !isTranscript(rejected) {
		return nil, Response{}, Response{}, fmt.Errorf(`rejected is no transcript of "\n\nHuman: …\n\nAssistant: …"`)
	}
	return splitDialogues(parseTranscript(chosen), parseTranscript(rejected))
}

// splitDialogues takes the prompt out of two dialogues that both repeat it and
// end with a reply.
func splitDialogues(chosen, rejected Conversation) (_ Conversation, cReply, rReply Response, err error) {
	c, cReply, err := splitReply(chosen)
	if err != nil {
		return nil, cReply, rReply, fmt.Errorf("chosen: %w", err)
	}
	r, rReply, err := splitReply(rejected)
	if err != nil {
		return nil, cReply, rReply, fmt.Errorf("rejected: %w", err)
	}
	if !sameTurns(c, r) {
		return nil, cReply, rReply, errors.New("chosen and rejected part before their last turn, so they are not replies to one conversation")
	}
	return c, cReply, rReply, nil
}

// splitReply takes the assistant's last turn off a dialogue.
func splitReply(c Conversation) (Conversation, Response, error) {
	if len(c) == 0 {
		return nil, Response{}, errors.New("no turns")
	}
	last := c[len(c)-1]
	if last.Role != "assistant" {
		return nil, Response{}, fmt.Errorf("the last turn is the %s's, so there is no reply", last.Role)
	}
	reply := Response{Text: last.Content, Extra: last.Extra}
	if len(c) == 1 {
		return nil, reply, nil
	}
	return c[: len(c)-1 : len(c)-1], reply, nil
}

func sameTurns(a, b Conversation) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// transcript writes a conversation as HH has it, without the reply. A text that
// holds a marker would be read as more turns than it is.
func transcript(c Conversation) (string, error) {
	var b strings.Builder
	for i, m := range c {
		text := m.Content
		if m.Role == "system" {
			text = "\n\n" + strings.TrimLeft(text, "\n")
		}
		if strings.Contains(text, humanMarker) || strings.Contains(text, assistantMarker) {
			return "", fmt.Errorf("%w: a transcript can't hold a turn that itself has a line \"Human:\" or \"Assistant:\"", ErrCannotHold)
		}
		switch m.Role {
		case "user":
			b.WriteString(humanMarker + " ")
		case "assistant":
			b.WriteString(assistantMarker + " ")
		case "system":
			if i > 0 || m.Content == "" {
				return "", fmt.Errorf("%w: a transcript can hold a system message only at its start", ErrCannotHold)
			}
		default:
			return "", fmt.Errorf("%w: a transcript has no turn for the role %q", ErrCannotHold, m.Role)
		}
		b.WriteString(m.Content)
	}
	return b.String(), nil
}
