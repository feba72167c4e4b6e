package dataset

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Asked is a prompt to which replies are wanted, with the record that it stands in.
type Asked struct {
	Prompt Conversation
	// Object is the record without the replies that it has, its prompt, id and
	// other columns in their order; nil for a text file, which is one prompt.
	Object Object
	Source Source
}

// Prompts reads what is asked in a file: records with prompt or messages, with or
// without replies, or a text that is one prompt. A last turn of the assistant is a
// reply and no part of the prompt. The format may only be one of those of the file
// as such (csv, jsonl, text).
func Prompts(name string, o ReadOptions) iter.Seq2[*Asked, error] {
	return func(yield func(*Asked, error) bool) {
		if o.Format != "" && !slices.Contains(containers, o.Format) {
			yield(nil, fmt.Errorf("format %q: prompts are read from any record; only csv, jsonl or text can be named", o.Format))
			return
		}
		r := reader{name: name, o: o, keep: true, format: &promptFormat}
		r.run(true, func(c *content, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			if c.reply != nil { // a text
				return yield(&Asked{Prompt: Prompt(c.reply.Response.Text), Source: c.source}, nil)
			}
			return yield(&Asked{c.prompt, withoutReplies(c), c.source}, nil)
		})
	}
}

// promptFormat is any record, of which the prompt alone is wanted.
var promptFormat = format{name: "prompts"}

func init() { promptFormat.read = readPrompt }

// readPrompt reads the prompt of a record of any format, and takes the columns of its
// replies.
func readPrompt(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	c.written = prompt != nil
	if n := len(prompt); n > 0 && prompt[n-1].Role == "assistant" {
		prompt, c.written = prompt[:n-1], false
	}
	if f := detect(v.obj); f != nil {
		var held content
		// What is wrong with replies that are thrown away is no matter.
		if err := f.read(v, &held); err != nil && prompt == nil {
			return err
		}
		if prompt == nil {
			switch {
			case held.pair != nil:
				prompt = held.pair.Prompt
			case held.reply != nil:
				prompt = held.reply.Prompt
			default:
				prompt = held.prompt
			}
		}
	}
	if len(prompt) == 0 {
		return errors.New("no prompt: a record has prompt or messages")
	}
	if prompt[len(prompt)-1].Role == "assistant" {
		return errors.New("the prompt ends with a turn of the assistant, which leaves nothing to answer")
	}
	c.prompt = prompt
	return nil
}

// withoutReplies gives a record's columns but those that hold its replies. The
// prompt stays as it was written, unless that was with a reply at its end.
func withoutReplies(c *content) Object {
	var out Object
	rest := c.source.Extra // in the order of the record's columns
	for _, f := range c.object {
		if len(rest) > 0 && rest[0].Key == f.Key {
			rest = rest[1:]
		} else if f.Key != "id" && !(c.written && slices.Contains(c.asked, f.Key)) {
			continue
		}
		out = append(out, f)
	}
	if !c.written {
		out = slices.DeleteFunc(out, func(f Field) bool { return f.Key == "prompt" })
		raw, err := c.prompt.MarshalJSON()
		if err != nil {
			panic(err) // texts
		}
		at := 0
		if len(out) > 0 && out[0].Key == "id" {
			at = 1
		}
		out = slices.Insert(out, at, Field{"prompt", raw})
	}
	return out
}
