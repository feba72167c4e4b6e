package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// roles maps the names that files use to the four that a [Message] has.
var roles = map[string]string{
	"system": "system", "developer": "system",
	"user": "user", "human": "user", "prompter": "user",
	"assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatbot": "assistant",
	"tool": "tool", "function": "tool", "ipython": "tool",
}

// parseMessages reads a list of {"role","content"}, or of {"from","value"} as
// ShareGPT has them. Content may be a list of parts of which all are text.
func parseMessages(raw json.RawMessage) (Conversation, error) {
	items, err := elements(raw)
	if err != nil {
		return nil, err
	}
	c := make(Conversation, 0, len(items))
	for i, item := range items {
		m, err := parseMessage(item)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i+1, err)
		}
		c = append(c, m)
	}
	return c, nil
}

func parseMessage(raw json.RawMessage) (Message, error) {
	var s scanner
	o, err := s.record(nil, raw)
	if err != nil {
		return Message{}, errors.New(`not an object {"role","content"}`)
	}
	roleRaw, content := o.Get("role"), o.Get("content")
	if roleRaw == nil {
		roleRaw = o.Get("from")
		if content == nil {
			content = o.Get("value")
		}
	}
	name, err := unquote(roleRaw)
	if err != nil {
		return Message{}, errors.New(`no "role"`)
	}
	role, ok := roles[name]
	if !ok {
		return Message{}, fmt.Errorf("unknown role %q (system, user, assistant or tool)", name)
	}
	switch kindOf(content) {
	case '"':
		text, err := unquote(content)
		return Message{role, text}, err
	case '[':
		text, err := joinParts(content)
		return Message{role, text}, err
	case 0:
		return Message{}, errors.New(`no "content"`)
	}
	return Message{}, errors.New("content is not a text")
}

// joinParts reads content given as [{"type":"text","text":…}].
func joinParts(raw json.RawMessage) (string, error) {
	parts, err := elements(raw)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, p := range parts {
		var s scanner
		o, err := s.record(nil, p)
		if err != nil {
			return "", fmt.Errorf("content part %d is no object", i+1)
		}
		if kind, err := unquote(o.Get("type")); err == nil && kind != "text" {
			return "", fmt.Errorf("content part %d is %q; only text can be judged", i+1, kind)
		}
		text, err := unquote(o.Get("text"))
		if err != nil {
			return "", fmt.Errorf("content part %d has no text", i+1)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// parsePrompt reads a prompt given as text or as messages. A cell of CSV can
// hold messages only as the text of their JSON.
func parsePrompt(raw json.RawMessage, asTranscript, cell bool) (Conversation, error) {
	switch kindOf(raw) {
	case '"':
		text, err := unquote(raw)
		if err != nil {
			return nil, err
		}
		if asTranscript && isTranscript(text) || asksForTurn(text) {
			return transcriptPrompt(text), nil
		}
		if cell && strings.HasPrefix(text, `[{"`) && strings.HasSuffix(text, "}]") {
			raw := []byte(text)
			s := scanner{data: raw}
			if s.skip() == nil && s.pos == len(raw) {
				if c, err := parseMessages(raw); err == nil && len(c) > 0 {
					return c, nil
				}
			}
		}
		return Prompt(text), nil
	case '[':
		c, err := parseMessages(raw)
		if err != nil {
			return nil, err
		}
		if len(c) == 0 {
			return nil, nil
		}
		return c, nil
	}
	return nil, errors.New("neither a text nor a list of messages")
}

// parseReply reads a reply given as text, as one message of the assistant, or
// as a dialogue that repeats the prompt; the turns before the reply are given
// too.
func parseReply(raw json.RawMessage) (Conversation, string, error) {
	switch kindOf(raw) {
	case '"':
		text, err := unquote(raw)
		return nil, text, err
	case '[':
		c, err := parseMessages(raw)
		if err != nil {
			return nil, "", err
		}
		return splitReply(c)
	case '{':
		m, err := parseMessage(raw)
		if err == nil && m.Role != "assistant" {
			err = fmt.Errorf("a message of the %s, not a reply", m.Role)
		}
		return nil, m.Content, err
	case 'n':
		return nil, "", errors.New("null, not a text")
	}
	return nil, "", errors.New("not a text")
}
