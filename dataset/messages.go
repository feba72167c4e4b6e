package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// roles maps the names that files use, in any case, to the four that a [Message]
// has.
var roles = map[string]string{
	"system": "system", "developer": "system",
	"user": "user", "human": "user", "prompter": "user",
	"assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatbot": "assistant", "chatgpt": "assistant",
	"tool": "tool", "function": "tool", "ipython": "tool", "observation": "tool", "function_call": "assistant",
	"tool_call": "assistant", "tool_response": "tool",
}

// foldedRoles are those of which the name says more than the role that it becomes.
var foldedRoles = []string{"developer", "function", "ipython", "observation", "function_call", "tool_call", "tool_response"}

// roleOf gives the role that a name stands for.
func roleOf(name string) (string, bool) {
	role, ok := roles[name]
	if !ok {
		role, ok = roles[strings.ToLower(strings.TrimSpace(name))]
	}
	return role, ok
}

// parseMessages reads a list of {"role","content"}, or of {"from","value"} as
// ShareGPT has them. Content may be a list of parts, see [readParts]. The list may also stand as one object of lists, see [isMessages].
func parseMessages(raw json.RawMessage) (Conversation, error) {
	items, err := turns(raw)
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
	m, err := readMessage(raw)
	if err != nil {
		return Message{}, err
	}
	role, ok := roleOf(m.Role)
	if !ok {
		return Message{}, fmt.Errorf("unknown role %q (system, user, assistant or tool)", m.Role)
	}
	m.Role = role
	return m, nil
}

// readMessage is parseMessage with the role as it is named.
func readMessage(raw json.RawMessage) (m Message, err error) {
	var s scanner
	o, err := s.record(nil, raw)
	if err != nil {
		return Message{}, errors.New(`not an object {"role","content"}`)
	}
	names := [2]string{"role", "content"}
	if o.Get("role") == nil {
		names[0] = "from"
	}
	if o.Get("content") == nil {
		switch {
		case names[0] == "from" || o.Get("value") != nil:
			names[1] = "value"
		case o.Get("text") != nil:
			names[1] = "text"
		}
	}
	if m.Role, err = unquote(o.Get(names[0])); err != nil {
		return Message{}, errors.New(`no "role"`)
	}
	var extra []byte
	standard := false // of a role that says it: written as others write it
	said, kept, err := readContent(o, names[1])
	if err != nil {
		return Message{}, err
	}
	m.Content = said
	if kept != nil {
		extra = append([]byte(keptContent), kept...)
	} else if slices.Contains(callRoles, strings.ToLower(m.Role)) {
		if lines, calls := standardCalls(said); calls != nil {
			standard = true
			m.Content, _ = compose(lines)
			extra = append([]byte(keptContent+`null,"tool_calls":`), calls...)
		}
	}
	for _, f := range o {
		if f.Key == names[0] || f.Key == names[1] || f.Key == "tool_calls" && standard {
			continue
		}
		before := byte(',')
		if extra == nil {
			before = '{'
		}
		extra = append(append(append(append(extra, before), quote(f.Key)...), ':'), f.Value...)
	}
	if extra != nil {
		m.Extra = string(extra) + "}"
	}
	return m, nil
}

// extraKeys are the keys of a message's Extra.
func extraKeys(extra string) (keys []string) {
	if extra == "" {
		return nil
	}
	o, err := appendObject(nil, []byte(extra))
	if err != nil {
		return []string{extra} // not what readMessage makes
	}
	for _, f := range o {
		if f.Key != "content" {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// appendMessage writes a message with the keys that it came with.
func appendMessage(b []byte, m Message) []byte {
	b = append(append(b, `{"role":`...), quote(m.Role)...)
	if !strings.HasPrefix(m.Extra, keptContent) {
		b = append(append(b, `,"content":`...), quote(m.Content)...)
	}
	if m.Extra == "" {
		return append(b, '}')
	}
	return append(append(b, ','), m.Extra[1:]...)
}

func appendMessages(b []byte, c []Message) []byte {
	b = append(b, '[')
	for i, m := range c {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMessage(b, m)
	}
	return append(b, ']')
}

// MarshalJSON writes role, content and the further keys.
func (m Message) MarshalJSON() ([]byte, error) { return appendMessage(nil, m), nil }

// UnmarshalJSON reads a message under whatever role it has.
func (m *Message) UnmarshalJSON(b []byte) (err error) {
	*m, err = readMessage(b)
	return err
}

// isMessages tells whether a column holds messages: a list of objects, or, as
// older writers of Parquet made of that, an object of lists under role and content.
func isMessages(raw json.RawMessage) bool {
	return firstKind(raw) == '{' || kindOf(raw) == '{' && listsOfMessages(raw) != nil
}

// listsOfMessages gives the columns of messages that are an object of lists, nil
// if the object is none.
func listsOfMessages(raw json.RawMessage) Object {
	o, err := appendObject(nil, raw)
	if err != nil || kindOf(o.Get("role")) != '[' || kindOf(o.Get("content")) != '[' {
		return nil
	}
	for _, f := range o {
		if k := kindOf(f.Value); k != '[' && k != 'n' {
			return nil
		}
	}
	return o
}

// turns gives the messages of a list one by one.
func turns(raw json.RawMessage) ([]json.RawMessage, error) {
	if kindOf(raw) != '{' {
		return elements(raw)
	}
	columns := listsOfMessages(raw)
	if columns == nil {
		return elements(raw) // which says what is expected
	}
	var out []Object
	for i, f := range columns {
		if kindOf(f.Value) == 'n' {
			continue
		}
		values, err := elements(f.Value)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			out = make([]Object, len(values))
		}
		if len(values) != len(out) {
			return nil, fmt.Errorf("messages as lists: %d under %q, %d under %q", len(values), f.Key, len(out), columns[0].Key)
		}
		for j, v := range values {
			if kindOf(v) != 'n' || f.Key == "content" { // what a message has not is null there
				out[j] = append(out[j], Field{f.Key, v})
			}
		}
	}
	items := make([]json.RawMessage, len(out))
	for i, o := range out {
		items[i], _ = o.MarshalJSON() // values that the scanner has been past
	}
	return items, nil
}

// isMessage tells whether a value is one message alone.
func isMessage(raw json.RawMessage) bool {
	o, err := appendObject(nil, raw)
	if err != nil {
		return false
	}
	name, err := unquote(o.Get("role"))
	if err != nil {
		name, err = unquote(o.Get("from"))
	}
	_, ok := roleOf(name)
	return err == nil && ok && (has(o, "content", "value") || has(o, callKeys...))
}

// parsePrompt reads a prompt given as text or as messages. A text may be the JSON of
// messages, since a cell of CSV can hold them only so, or have marks for its turns.
func parsePrompt(raw json.RawMessage, asTranscript bool) (Conversation, error) {
	switch kindOf(raw) {
	case '"':
		text, err := unquote(raw)
		if err != nil {
			return nil, err
		}
		if asTranscript && isTranscript(text) || asksForTurn(text) {
			return transcriptPrompt(text), nil
		}
		if text != "" && (text[0] == '[' || text[0] == '{') {
			if raw := messagesIn(text); raw != nil {
				return parseMessages(listOfMessages(raw))
			}
			if isReprOfMessages(text) {
				return nil, errors.New(reprReason)
			}
		}
		if c := steerTurns(text); c != nil {
			return c, nil
		}
		return Prompt(text), nil
	case '{', '[':
		if kindOf(raw) == '{' && !isMessages(messagesOf(raw)) && !isMessage(raw) {
			break
		}
		c, err := parseMessages(listOfMessages(raw))
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

// listOfMessages gives the list of an object {"messages": […]}, one message as a list
// of it, and a list as it is.
func listOfMessages(raw json.RawMessage) json.RawMessage {
	raw = messagesOf(raw)
	if kindOf(raw) == '{' && !isMessages(raw) {
		return slices.Concat([]byte("["), raw, []byte("]"))
	}
	return raw
}

// steerMark stands before each turn but the first in the prompts of HelpSteer2.
const steerMark = "<extra_id_1>"

// steerTurns cuts a prompt of HelpSteer2 at its marks, nil if it has none. The line
// end before a mark belongs to it.
func steerTurns(text string) Conversation {
	if !strings.Contains(text, steerMark+"Assistant\n") {
		return nil
	}
	var c Conversation
	role := "user"
	for i, part := range strings.Split(text, steerMark) {
		if i > 0 {
			name, body, _ := strings.Cut(part, "\n")
			named, ok := roleOf(name)
			if !ok {
				return nil // the mark is a word of the text
			}
			role, part = named, body
		}
		c = append(c, Message{Role: role, Content: part})
	}
	for i := range c[:len(c)-1] {
		c[i].Content = strings.TrimSuffix(c[i].Content, "\n")
	}
	if last := c[len(c)-1]; last.Role == "assistant" && strings.TrimSpace(last.Content) == "" {
		c = c[:len(c)-1] // it asks for the reply
	}
	return c
}

// parseReply reads a reply given as text, as one message of the assistant, or
// as a dialogue that repeats the prompt; the turns before the reply are given
// too.
func parseReply(raw json.RawMessage) (Conversation, Response, error) {
	switch kindOf(raw) {
	case '"':
		text, err := unquote(raw)
		return nil, Response{Text: text}, err
	case '{':
		if raw = messagesOf(raw); kindOf(raw) == '{' && !isMessages(raw) {
			m, err := parseMessage(raw)
			if err == nil && m.Role != "assistant" {
				err = fmt.Errorf("a message of the %s, not a reply", m.Role)
			}
			return nil, Response{Text: m.Content, Extra: m.Extra}, err
		}
		fallthrough
	case '[':
		c, err := parseMessages(raw)
		if err != nil {
			return nil, Response{}, err
		}
		return splitReply(c)
	case 'n':
		return nil, Response{}, errors.New("null, not a text")
	}
	return nil, Response{}, errors.New("not a text")
}

// messageLosses names what a [Message] does not keep of messages that it is read
// from.
func messageLosses(raw json.RawMessage) (out []string) {
	if k := kindOf(raw); k != '[' && k != '{' {
		return nil
	}
	// Most messages have neither, and a look is quicker than reading them again.
	folded := slices.ContainsFunc(foldedRoles, func(name string) bool { return bytes.Contains(raw, []byte(name)) })
	if !folded && !bytes.Contains(raw, []byte(`"type"`)) {
		return nil
	}
	items := []json.RawMessage{raw}
	if kindOf(raw) == '[' || isMessages(raw) {
		var err error
		if items, err = turns(raw); err != nil {
			return nil
		}
	}
	for _, item := range items {
		o, err := appendObject(nil, item)
		if err != nil {
			continue
		}
		role, content := o.Get("role"), o.Get("content")
		if role == nil {
			role = o.Get("from")
		}
		if name, err := unquote(role); err == nil && slices.Contains(foldedRoles, strings.ToLower(name)) {
			kept, _ := roleOf(name)
			out = append(out, fmt.Sprintf("the name of the role %q, which is written %q", name, kept))
		}
		parts, err := elements(content)
		if kindOf(content) != '[' || err != nil {
			continue
		}
		whole := len(parts) == 1
		for _, p := range parts {
			part, _ := appendObject(nil, p)
			if kind, err := unquote(part.Get("type")); err == nil && kind != "text" {
				whole = true // a call, with which the parts are kept
				break
			}
			for _, f := range part {
				whole = whole && (f.Key == "type" || f.Key == "text" || kindOf(f.Value) == 'n')
			}
		}
		if !whole {
			out = append(out, "how the content of a message is divided into parts")
		}
	}
	return out
}
