package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
)

// view is a record being read; it notes which columns were taken.
type view struct {
	obj   Object
	cells bool   // the record is a row of CSV
	used  uint64 // bit i is column i; columns from the 64th on always stay extra
	// dropped names what reading has lost of the columns that it took.
	dropped []string
}

// get gives a column and takes it.
func (v *view) get(key string) json.RawMessage {
	for i := range v.obj {
		if v.obj[i].Key == key {
			if i < 64 {
				v.used |= 1 << i
			}
			return v.obj[i].Value
		}
	}
	return nil
}

// extra gives the columns of obj that were not taken, copied if own is set.
// obj is v.obj or a copy of it.
func (v *view) extra(obj Object, own bool) Object {
	n := 0
	for i := range obj {
		if i >= 64 || v.used&(1<<i) == 0 {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	out := make(Object, 0, n)
	for i, f := range obj {
		if i >= 64 || v.used&(1<<i) == 0 {
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

// promptColumns are the names of the column with the prompt, the likeliest
// first.
var promptColumns = []string{"prompt", "messages", "conversation", "instruction", "question", "input", "context"}

// prompt reads the prompt, nil if the record has none. An instruction may come
// with an input that belongs to it.
func (v *view) prompt(asTranscript bool) (Conversation, error) {
	for _, key := range promptColumns {
		raw := v.obj.Get(key)
		if k := kindOf(raw); k == 0 || k == 'n' {
			continue
		}
		v.get(key)
		c, err := parsePrompt(raw, asTranscript, v.cells)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		v.note(raw)
		if text, ok := c.Text(); ok && key == "instruction" && kinds(v.obj, '"', "input") {
			if input, err := unquote(v.get("input")); err == nil && input != "" {
				c = Prompt(text + "\n\n" + input)
			}
		}
		return c, nil
	}
	return nil, nil
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
func (v *view) author(keys ...string) string {
	for _, k := range keys {
		if raw := v.obj.Get(k); kindOf(raw) == '"' {
			if s, err := unquote(raw); err == nil {
				return s
			}
		}
	}
	return ""
}

// chosenPair makes a pair of which First is the chosen reply.
func (v *view) chosenPair(c *content, prompt Conversation, chosen, rejected Response) error {
	p, err := chosenLabel(v.obj)
	if err != nil {
		return err
	}
	chosen.Author = v.author("chosen_model", "mc", "model_chosen")
	rejected.Author = v.author("rejected_model", "mr", "model_rejected")
	c.pair = &Pair{Prompt: prompt, First: chosen, Second: rejected, P: p}
	return nil
}
