package dataset

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// view is a record being read; it notes which columns were taken.
type view struct {
	obj  Object
	g    *reading
	used uint64 // bit i is column i
	late []int  // the places of those that were taken from the 64th on
	// main is the main column of the prompt, prompts are, for [Prompts], all that make
	// it.
	main    string
	prompts []string
	labels  []string // the columns that said which reply is better
	// strength is by how much the first reply is better, where a label has grades; NaN
	// where it has none.
	strength float64
	// dropped names what reading has lost of the columns that it took.
	dropped []string
}

// get gives a column and takes it.
func (v *view) get(key string) json.RawMessage {
	for i := range v.obj {
		if v.obj[i].Key == key {
			if i < 64 {
				v.used |= 1 << i
			} else if !slices.Contains(v.late, i) {
				v.late = append(v.late, i)
			}
			return v.obj[i].Value
		}
	}
	return nil
}

// take is get for a column of the prompt.
func (v *view) take(key string) json.RawMessage {
	if v.g.format == &promptFormat {
		v.prompts = append(v.prompts, key)
	}
	return v.get(key)
}

// taken tells whether column i was taken.
func (v *view) taken(i int) bool {
	return i < 64 && v.used&(1<<i) != 0 || i >= 64 && slices.Contains(v.late, i)
}

// extra gives the columns of obj that were not taken, copied if own is set.
// obj is v.obj or a copy of it.
func (v *view) extra(obj Object, own bool) Object {
	n := len(obj) - bits.OnesCount64(v.used) - len(v.late)
	if n == 0 {
		return nil
	}
	out := make(Object, 0, n)
	for i, f := range obj {
		if !v.taken(i) {
			out = append(out, f)
		}
	}
	if own {
		return out.clone()
	}
	return out
}

// has tells whether any of the columns is there and not null.
func has(o Object, keys ...string) bool {
	for _, k := range keys {
		if c := kindOf(o.Get(k)); c != 0 && c != 'n' {
			return true
		}
	}
	return false
}

func kinds(o Object, kind byte, keys ...string) bool {
	for _, k := range keys {
		if kindOf(o.Get(k)) != kind {
			return false
		}
	}
	return true
}

// firstKind gives the kind of a list's first element, 0 if it has none.
func firstKind(raw json.RawMessage) byte {
	s := scanner{data: raw}
	if len(raw) == 0 || raw[0] != '[' {
		return 0
	}
	s.pos = 1
	s.space()
	return kindOf(raw[s.pos:])
}

// prompt reads the prompt with all that belongs to it, nil if the record has none.
func (v *view) prompt(asTranscript bool) (Conversation, error) {
	c, err := v.promptOf(asTranscript)
	if err != nil {
		return nil, err
	}
	return v.whole(c)
}

// promptOf reads the prompt from its main column, nil if the record has none. An
// instruction may come with an input that belongs to it, a question with a context.
func (v *view) promptOf(asTranscript bool) (Conversation, error) {
	for _, key := range promptColumns {
		raw := v.obj.Get(key)
		if k := kindOf(raw); k == 0 || k == 'n' {
			continue
		}
		v.take(key)
		return v.promptIn(key, asTranscript)
	}
	if v.g.two[0] == "human_ref_A" { // SHP's post
		if text, ok := getText(v.obj, "history"); ok {
			v.take("history")
			return Prompt(text), nil
		}
	}
	return nil, nil
}

func (v *view) promptIn(key string, asTranscript bool) (Conversation, error) {
	raw := v.obj.Get(key)
	if key == "question" && kindOf(raw) == '{' { // WebGPT's
		if o, err := appendObject(nil, raw); err == nil && kindOf(o.Get("full_text")) == '"' {
			raw = o.Get("full_text")
		}
	}
	c, err := parsePrompt(raw, asTranscript)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	v.note(raw)
	v.main = key
	text, ok := c.Text()
	if !ok {
		return c, nil
	}
	switch key {
	case "instruction":
		if kinds(v.obj, '"', "input") {
			if input, err := unquote(v.take("input")); err == nil && input != "" {
				c = Prompt(text + "\n\n" + input)
			}
		}
	case "question", "query":
		if context, ok := getText(v.obj, "context"); ok && strings.TrimSpace(context) != "" {
			v.take("context")
			v.g.note(ToldReading, "", "the prompt is context, a blank line, and "+key)
			c = Prompt(context + "\n\n" + text)
		}
	}
	return c, nil
}

// whole puts before the prompt what other columns have of the conversation: a system
// message and earlier turns. What does not fit stays where it is, see [view.unread].
func (v *view) whole(c Conversation) (Conversation, error) {
	if len(c) == 0 || !v.g.plan.parts {
		return c, nil
	}
	var parts []string
	if raw := v.obj.Get("history"); len(c) == 1 && c[0].Role == "user" && v.main != "" && kindOf(raw) == '[' && !blank(raw) {
		before, err := parseHistory(raw)
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		v.take("history")
		v.note(raw)
		c, parts = append(before, c...), append(parts, "history")
	}
	for _, key := range systemColumns {
		text, ok := getText(v.obj, key)
		if !ok || strings.TrimSpace(text) == "" {
			continue
		}
		if c[0].Role == "system" {
			if c[0].Content == text {
				v.take(key)
			}
			continue
		}
		v.take(key)
		c, parts = append(Conversation{{Role: "system", Content: text}}, c...), append([]string{key}, parts...)
	}
	if len(parts) > 0 {
		main := v.main
		if main == "" {
			main = "the turns before the replies"
		}
		v.g.note(ToldReading, "", "the prompt is "+strings.Join(parts, ", ")+" and "+main)
	}
	return c, nil
}

// parseHistory reads the turns before a prompt: messages, or pairs of what the user
// and the assistant said.
func parseHistory(raw json.RawMessage) (Conversation, error) {
	if isMessages(raw) {
		return parseMessages(raw)
	}
	rounds, err := elements(raw)
	if err != nil {
		return nil, err
	}
	var c Conversation
	for i, round := range rounds {
		said, err := elements(round)
		if err != nil || len(said) != 2 {
			return nil, fmt.Errorf("turn %d is not a list of what the user and the assistant said", i+1)
		}
		for j, role := range []string{"user", "assistant"} {
			text, err := unquote(said[j])
			if err != nil {
				return nil, fmt.Errorf("turn %d: the %s's is not a text", i+1, role)
			}
			c = append(c, Message{Role: role, Content: text})
		}
	}
	return c, nil
}

// unread names the columns that may belong to the prompt, or hold calls, and were not
// taken.
func (v *view) unread(c *content) {
	for _, i := range v.g.plan.calls {
		if f := v.obj[i]; (i >= 64 || v.used&(1<<i) == 0) && !blank(f.Value) {
			v.g.note(ToldWarning, "", f.Key+" is not read: tool calls are part of a reply where they stand in its message")
		}
	}
	for _, i := range v.g.plan.prompts {
		f := v.obj[i]
		if v.taken(i) || blank(f.Value) || v.repeated(f, c) {
			continue
		}
		if f.Key == "instruction" && has(v.obj, "orig_instruction") { // Prometheus's task, of which the other is the prompt
			continue
		}
		v.g.note(ToldUnread, f.Key, f.Key+" may belong to the prompt, and is not read into it")
		v.dropped = append(v.dropped, f.Key+" as part of the prompt, to which it may belong")
	}
}

// blank tells whether a column has no text and no element.
func blank(raw json.RawMessage) bool {
	switch kindOf(raw) {
	case '"':
		text, err := unquote(raw)
		return err != nil || strings.TrimSpace(text) == "" || text == "[]" || text == "{}"
	case '[':
		items, err := elements(raw)
		return err == nil && len(items) == 0
	case '{':
		return len(raw) < 4
	}
	return true
}

// repeated tells whether messages beside the prompt are the dialogue that it stands
// in, as in UltraFeedback's binarized set.
func (v *view) repeated(f Field, c *content) bool {
	if !isMessages(f.Value) {
		return false
	}
	if v.g.checked++; v.g.checked > 8 {
		return true // it was so in the records before
	}
	all, err := parseMessages(f.Value)
	prompt := c.prompt
	switch {
	case c.pair != nil:
		prompt = c.pair.Prompt
	case c.reply != nil:
		prompt = c.reply.Prompt
	}
	if len(prompt) > 0 && prompt[0].Role == "system" && len(all) > 0 && all[0].Role != "system" {
		prompt = prompt[1:]
	}
	if n := len(prompt); err == nil && n > 0 && n <= len(all) && sameTurns(prompt, all[:n]) {
		return true
	}
	v.g.checked = 0
	return false
}

// reply reads the column as a reply.
func (v *view) reply(key string) (Conversation, Response, error) {
	raw := v.get(key)
	if raw == nil {
		return nil, Response{}, fmt.Errorf("no %q", key)
	}
	before, r, err := parseReply(raw)
	if err != nil {
		return nil, Response{}, fmt.Errorf("%s: %w", key, err)
	}
	if v.g != nil && r.Extra == "" && before == nil && (strings.HasPrefix(r.Text, "[") || strings.HasPrefix(r.Text, "{")) && messagesIn(r.Text) != nil {
		v.g.note(ToldWarning, key, key+": a text that is the JSON of messages is read as it stands, since not all replies of the first records are such texts")
	}
	v.note(raw)
	return before, r, nil
}

// note remembers what reading messages has lost of them.
func (v *view) note(raw json.RawMessage) {
	for _, what := range messageLosses(raw) {
		if !slices.Contains(v.dropped, what) {
			v.dropped = append(v.dropped, what)
		}
	}
}

// author gives the first of the columns that is a text. The column stays among
// the extra ones.
func (v *view) author(keys ...string) string { return authorOf(v.obj, keys...) }

func authorOf(o Object, keys ...string) string {
	for _, k := range keys {
		if s, ok := getText(o, k); ok {
			return s
		}
	}
	return ""
}

// chosenPair makes a pair of which First is the chosen reply.
func (v *view) chosenPair(c *content, prompt Conversation, chosen, rejected Response) error {
	prompt, err := v.whole(prompt)
	if err != nil {
		return err
	}
	p, err := v.chosenLabel()
	if err != nil {
		return err
	}
	chosen.Author = v.author("chosen_model", "mc", "model_chosen")
	rejected.Author = v.author("rejected_model", "mr", "model_rejected")
	c.pair = &Pair{Prompt: prompt, First: chosen, Second: rejected, P: p}
	return nil
}
