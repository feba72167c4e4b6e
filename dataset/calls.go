package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Tool calls are part of what a message says. Its text has them as most chat templates
// write them, each on a line of its own after what else was said:
//
//	<tool_call>{"name":"lookup","arguments":{"q":"tea"}}</tool_call>
//
// Arguments that are the JSON of an object or a list in a string are that value. Ids of
// calls are left out, since they say nothing. Where a message has such lines, the same
// marks in its other text are broken by a backslash, so that no text says what only a
// call says.

// callKeys are the keys under which a message has calls.
var callKeys = []string{"tool_calls", "function_call", "toolCalls", "functionCall", "tool_call", "function_calls"}

// callRoles are the roles whose text is the JSON of calls.
var callRoles = []string{"function_call", "tool_call"}

// The types of the parts of a content that are no text and can be judged.
var (
	callParts   = []string{"tool_use", "server_tool_use", "tool_call", "tool-call", "function_call"}
	resultParts = []string{"tool_result", "tool-result", "tool_response"}
)

var (
	nameKeys     = []string{"name", "toolName", "tool_name", "function", "tool"}
	argumentKeys = []string{"arguments", "parameters", "args", "input"}
	// callIDs are keys of a call that say nothing of what is called.
	callIDs = []string{"id", "call_id", "tool_call_id", "tool_use_id", "toolCallId", "index"}
)

// keptContent is how the Extra of a message begins that has its content as it came,
// since its text is not that alone.
const keptContent = `{"content":`

// speaks tells whether a message's text has calls or results that came beside it.
func speaks(text, extra string) bool {
	return text != "" && strings.HasPrefix(extra, keptContent)
}

// WithoutCalls gives the conversation with the texts that messages had in versions that
// did not read tool calls, and whether any is another.
func (c Conversation) WithoutCalls() (Conversation, bool) {
	out, changed := c, false
	for i, m := range c {
		text, extra, ok := withoutCalls(m.Content, m.Extra)
		if !ok {
			continue
		}
		if !changed {
			out, changed = slices.Clone(c), true
		}
		out[i].Content, out[i].Extra = text, extra
	}
	return out, changed
}

// KeyWithoutCalls gives the identity that the pair had in versions that did not read
// tool calls, and whether it is another.
func (p *Pair) KeyWithoutCalls() (PairKey, bool) {
	q := *p
	var changed, first, second bool
	q.Prompt, changed = p.Prompt.WithoutCalls()
	if text, _, ok := withoutCalls(p.First.Text, p.First.Extra); ok {
		q.First.Text, first = text, true
	}
	if text, _, ok := withoutCalls(p.Second.Text, p.Second.Extra); ok {
		q.Second.Text, second = text, true
	}
	return q.Key(), changed || first || second
}

func withoutCalls(text, extra string) (string, string, bool) {
	if !speaks(text, extra) {
		return text, extra, false
	}
	o, err := appendObject(nil, []byte(extra))
	if err != nil {
		return text, extra, false
	}
	switch content := o.Get("content"); kindOf(content) {
	case 'n':
		return "", extra, true
	case '"':
		if text, err = unquote(content); err == nil {
			rest, _ := without(o, "content").MarshalJSON() // values that the scanner has been past
			return text, string(rest), true
		}
	}
	return text, extra, false // such a message was an error
}

// Unsaid gives the keys of the message that the reply came as which its text does not
// say: all but role, content and tool calls.
func (r Response) Unsaid() []string { return unsaid(r.Text, r.Extra) }

func unsaid(text, extra string) []string {
	keys := extraKeys(extra)
	if speaks(text, extra) {
		keys = slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(callKeys, k) })
	}
	return keys
}

// piece is a part of a message: a text, or a line that is a call or a tool's result.
type piece struct {
	text string
	line bool
}

var textMark = regexp.MustCompile(`<(\\*/?tool_(?:call|response)>)`)

// compose makes the text of a message of its parts, and tells whether lines are in it.
func compose(pieces []piece) (string, bool) {
	var lines []string
	said, spoken := "", slices.ContainsFunc(pieces, func(p piece) bool { return p.line })
	flush := func() {
		if said != "" {
			lines = append(lines, textMark.ReplaceAllString(said, `<\$1`))
		}
		said = ""
	}
	for _, p := range pieces {
		if !p.line {
			said += p.text
			continue
		}
		flush()
		lines = append(lines, p.text)
	}
	if !spoken {
		return said, false
	}
	flush()
	return strings.Join(lines, "\n"), true
}

// readParts reads content given as a list of parts: texts, calls, and results of tools.
func readParts(raw json.RawMessage) ([]piece, error) {
	parts, err := elements(raw)
	if err != nil {
		return nil, err
	}
	out := make([]piece, len(parts))
	for i, p := range parts {
		var s scanner
		o, err := s.record(nil, p)
		if err != nil {
			return nil, fmt.Errorf("content part %d is no object", i+1)
		}
		kind, err := unquote(o.Get("type"))
		switch {
		case err != nil || kind == "text":
			if out[i].text, err = unquote(o.Get("text")); err != nil {
				return nil, fmt.Errorf("content part %d has no text", i+1)
			}
		case slices.Contains(callParts, kind):
			out[i] = piece{callLine(without(o, "type"), nil), true}
		case slices.Contains(resultParts, kind):
			text, err := resultText(o)
			if err != nil {
				return nil, fmt.Errorf("content part %d: %w", i+1, err)
			}
			out[i] = piece{"<tool_response>" + textMark.ReplaceAllString(text, `<\$1`) + "</tool_response>", true}
		default:
			return nil, fmt.Errorf("content part %d is %q; only text can be judged", i+1, kind)
		}
	}
	return out, nil
}

// resultText is what a tool gave: a text, texts in parts, or the JSON of a value.
func resultText(o Object) (string, error) {
	for _, key := range []string{"content", "output", "result", "response"} {
		switch raw := o.Get(key); kindOf(raw) {
		case 0, 'n':
		case '"':
			return unquote(raw)
		default:
			if firstObject(raw).Get("type") == nil {
				return string(appendCompact(nil, raw, false)), nil
			}
			pieces, err := readParts(raw)
			if err != nil {
				return "", err
			}
			text, _ := compose(pieces)
			return text, nil
		}
	}
	return "", nil
}

// callLines are the calls that a message has beside its content.
func callLines(o Object) (lines []piece) {
	for _, key := range callKeys {
		for _, raw := range callsIn(o.Get(key)) {
			call, err := appendObject(nil, raw)
			if err != nil {
				call = nil
			}
			lines = append(lines, piece{callLine(call, raw), true})
		}
	}
	return lines
}

// callsIn gives the calls of a list of them, of one alone, or of the JSON of either.
func callsIn(raw json.RawMessage) (out []json.RawMessage) {
	switch kindOf(raw) {
	case 0, 'n', 'f':
		return nil
	case '[':
		items, err := elements(raw)
		if err != nil {
			return []json.RawMessage{raw}
		}
		for _, item := range items {
			out = append(out, callsIn(item)...)
		}
		return out
	case '"':
		text, err := unquote(raw)
		if value := jsonIn(text); value != nil {
			return callsIn(value)
		}
		if err == nil && (strings.TrimSpace(text) == "" || text == "null") {
			return nil
		}
	}
	return []json.RawMessage{raw}
}

// callLine writes a call. One that has no name, or arguments under a name that is not
// known here, stands there as it came, without its id; raw is what it came as, for one
// that is no object.
func callLine(call Object, raw json.RawMessage) string {
	b := []byte("<tool_call>")
	if name, args, ok := namedCall(call); ok {
		b = appendMarked(append(b, `{"name":`...), quote(name))
		b = append(appendArguments(append(b, `,"arguments":`...), args), '}')
	} else if call != nil {
		raw, _ := without(call, callIDs...).MarshalJSON() // values that the scanner has been past
		b = appendCompact(b, raw, true)
	} else {
		b = appendCompact(b, raw, true)
	}
	return string(append(b, "</tool_call>"...))
}

// namedCall finds a call's name and its arguments, which may stand in an object of
// their own.
func namedCall(call Object) (name string, args json.RawMessage, ok bool) {
	for _, key := range []string{"function", "custom", "functionCall", "function_call"} {
		raw := call.Get(key)
		if text, err := unquote(raw); err == nil {
			raw = jsonIn(text)
		}
		if kindOf(raw) == '{' {
			if inner, err := appendObject(nil, raw); err == nil {
				call = inner
			}
			break
		}
	}
	i := slices.IndexFunc(call, func(f Field) bool { return slices.Contains(nameKeys, f.Key) && kindOf(f.Value) == '"' })
	if i < 0 {
		return "", nil, false
	}
	name, _ = unquote(call[i].Value)
	found, other := 0, false
	for j, f := range call {
		switch {
		case i == j || kindOf(f.Value) == 'n' || f.Key == "type" || slices.Contains(callIDs, f.Key):
		case slices.Contains(argumentKeys, f.Key):
			args = f.Value
			found++
		default:
			other = true
		}
	}
	return name, args, found == 1 || found == 0 && !other
}

// appendArguments writes arguments as the value that they are; none are no fields.
func appendArguments(b []byte, raw json.RawMessage) []byte {
	switch kindOf(raw) {
	case 0, 'n':
		return append(b, "{}"...)
	case '"':
		text, err := unquote(raw)
		if err == nil && strings.TrimSpace(text) == "" {
			return append(b, "{}"...)
		}
		if value := jsonIn(text); value != nil {
			return appendCompact(b, value, false)
		}
	}
	return appendCompact(b, raw, true)
}

// standardCalls reads the text of a turn whose role says that it is the JSON of calls,
// and gives their lines and the value of "tool_calls" that is read as the same lines.
func standardCalls(text string) (lines []piece, calls []byte) {
	raws := callsIn(jsonIn(text))
	for _, raw := range raws {
		call, err := appendObject(nil, raw)
		name, args, ok := namedCall(call)
		if err != nil || !ok {
			return nil, nil
		}
		lines = append(lines, piece{callLine(call, raw), true})
		written := appendArguments(nil, args)
		if written[0] == '{' || written[0] == '[' {
			written = quote(string(written))
		}
		before := byte(',')
		if calls == nil {
			before = '['
		}
		calls = fmt.Appendf(append(calls, before), `{"type":"function","function":{"name":%s,"arguments":%s}}`, quote(name), written)
	}
	if calls != nil {
		calls = append(calls, ']')
	}
	return lines, calls
}

// appendCompact writes a value that the scanner has been past without white space, its
// texts as they are written here, and without marks. With absent, fields that are null
// are left out: in a file whose objects all have the same fields, as in Parquet, they
// are those that the object has not.
func appendCompact(b []byte, raw json.RawMessage, absent bool) []byte {
	s := scanner{data: raw}
	return s.compact(b, absent)
}

func (s *scanner) compact(b []byte, absent bool) []byte {
	s.space()
	from := s.pos
	if from >= len(s.data) {
		return b
	}
	open := s.data[from]
	if open != '{' && open != '[' {
		if s.skip() != nil {
			s.pos = len(s.data)
		}
		return appendMarked(b, s.data[from:s.pos])
	}
	closing := open + 2
	s.pos++
	b = append(b, open)
	first := true
	for s.space(); s.pos < len(s.data) && s.data[s.pos] != closing; s.space() {
		if s.data[s.pos] == ',' {
			s.pos++
			continue
		}
		at := len(b)
		if !first {
			b = append(b, ',')
		}
		if open == '{' {
			b = append(s.compact(b, absent), ':')
			s.space()
			s.pos++
			s.space()
			if absent && s.pos < len(s.data) && s.data[s.pos] == 'n' {
				s.pos += len("null")
				b = b[:at]
				continue
			}
		}
		b, first = s.compact(b, absent), false
	}
	s.pos++
	return append(b, closing)
}

var jsonMark = regexp.MustCompile(`<(/?tool_(?:call|response)>)`)

// appendMarked writes a value that is neither a list nor an object, a text without the
// marks of calls.
func appendMarked(b, raw []byte) []byte {
	if text, err := unquote(raw); err == nil {
		raw = jsonMark.ReplaceAll(quote(text), []byte(`\u003c$1`))
	}
	return append(b, raw...)
}

// readContent reads what a message says: its content, which stands under a key, and its
// calls. kept is the content for the message's Extra where the text is not that alone.
func readContent(o Object, key string) (text string, kept json.RawMessage, err error) {
	content := o.Get(key)
	var pieces []piece
	switch kindOf(content) {
	case '"':
		text, err = unquote(content)
		pieces = []piece{{text: text}}
	case '[':
		pieces, err = readParts(content)
	case 0, 'n':
		switch {
		case has(o, callKeys...):
			kept = json.RawMessage("null")
		case content == nil:
			err = errors.New(`no "content"`)
		default:
			err = errors.New("content is null, not a text")
		}
	default:
		err = errors.New("content is not a text")
	}
	if err != nil {
		return "", nil, err
	}
	said, spoken := compose(pieces)
	lines := callLines(o)
	switch {
	case spoken:
		kept = content
	case len(lines) > 0 && kindOf(content) == '"':
		kept = content
	case len(lines) > 0 && kept == nil:
		kept = quote(said) // parts of text alone, which are not kept anywhere
	}
	if len(lines) > 0 {
		said, _ = compose(append(pieces, lines...))
	}
	return said, kept, nil
}

// replyOf reads an object of a list of replies that has its text under a key.
func replyOf(o Object, key string) (Response, error) {
	text, kept, err := readContent(o, key)
	r := Response{Text: text}
	if kept == nil {
		return r, err
	}
	extra := Object{{"content", kept}}
	for _, f := range o {
		if slices.Contains(callKeys, f.Key) {
			extra = append(extra, f)
		}
	}
	b, err := extra.MarshalJSON()
	r.Extra = string(b)
	return r, err
}
