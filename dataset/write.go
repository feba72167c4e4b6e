package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// ErrCannotHold is wrapped by a writer's error when its format has no way to
// write the record; the record is left out and the next may be written.
var ErrCannotHold = errors.New("the format cannot hold the record")

// Preference is a pair as it goes out.
type Preference struct {
	Pair *Pair   // First is the chosen reply
	P    float64 // probability that the chosen reply is better; NaN if unknown
	// Margin is by how much the chosen reply is better, where that is measured on
	// a scale of its own; nil is 2P − 1.
	Margin *float64
	ID     string // of the pair in the store; may be empty
	Extra  Object // further columns, written after the format's own
}

// PreferenceWriter writes preferences in one format. Close ends the format and
// does not close what is written to.
//
// Write's error is [ErrCannotHold] where the record was left out and the next may
// be written; Losses lists those records and what else had no place.
type PreferenceWriter interface {
	Write(*Preference) error
	Losses() []Loss
	Close() error
}

// WriteFormats lists the formats that [NewPreferenceWriter] knows.
func WriteFormats() []string {
	names := make([]string, 0, len(outFormats))
	for i := range outFormats {
		names = append(names, outFormats[i].name)
	}
	return names
}

// NewPreferenceWriter makes a writer of the format:
//
//   - trl: {"prompt","chosen","rejected"} as texts, with margin (2p − 1),
//     label_prob and cai_id. A conversation of more than one user message
//     becomes an HH transcript that ends with "\n\nAssistant: ".
//   - trl-conversational: the same columns as lists of messages.
//   - hh: {"chosen","rejected"}, transcripts of the whole dialogue. A text with
//     a line "Human:" or "Assistant:" of its own is [ErrCannotHold].
//   - sft: {"prompt","completion"}, the chosen reply only.
//   - csv: prompt, chosen, rejected, label_prob, margin, cai_id, then the first
//     record's further columns, then extra: JSON of what had no column. A prompt
//     that is more than one user message is the JSON of its messages.
//   - those of benchmarks and trainers, see [Formats].
//
// The readers here give back the same pair from each of them, except that sft
// has one reply.
func NewPreferenceWriter(format string, w io.Writer) (PreferenceWriter, error) {
	return NewPreferenceFile(format, "", w)
}

// NewPreferenceFile is [NewPreferenceWriter] into the container that a file's name
// asks for, see [NewRowWriter].
func NewPreferenceFile(format, name string, w io.Writer) (PreferenceWriter, error) {
	if outFormatNamed(format) == nil {
		return nil, unknownOut(format)
	}
	c, err := NewConverter(format, name, w, ReadOptions{})
	if err != nil {
		return nil, err
	}
	return &preferences{c}, nil
}

func unknownOut(format string) error {
	return fmt.Errorf("unknown format %q: one of %s", format, strings.Join(WriteFormats(), ", "))
}

// preferences writes pairs by a converter, of which the chosen reply is known even
// where its probability is not.
type preferences struct{ *Converter }

func (w *preferences) Write(p *Preference) error {
	q := *p
	src := q.Pair.Source
	if src.File == "" {
		src.File = "pair " + p.ID // of no file
	}
	q.Extra = without(q.Extra, "label_prob")
	label := q.P
	if math.IsNaN(label) {
		if label = 1; w.f.slots {
			q.P = 1
		}
	}
	if err := w.f.admits(&Pair{P: label}); err != nil {
		return errors.Join(w.refused(src, err), err)
	}
	switch w.f.name {
	case "trl", "trl-conversational", "hh", "sft", "csv":
	default:
		if !w.f.slots {
			q.chosenFirst()
		} else if q.Pair.Key().Swapped {
			// Not the chosen reply first in every record: the stored order says nothing
			// of merit.
			pair := *q.Pair
			pair.First, pair.Second, pair.P = pair.Second, pair.First, 1-pair.P
			q.Pair, q.P = &pair, 1-q.P
		}
	}
	left := w.Left()
	if err := w.preference(&q, src); err != nil {
		return err
	}
	if w.Left() > left {
		return fmt.Errorf("%w: %s", ErrCannotHold, w.reason)
	}
	return nil
}

// ownColumns are those whose meaning the formats fix, so that a column of the
// source may not stand in for them.
var ownColumns = []string{
	"prompt", "chosen", "rejected", "completion", "messages",
	"response", "response_a", "response_b", "responses",
	"label_prob", "margin", "cai_id",
}

// set is Object.Set for values that always marshal, to a key not yet there.
func set(o *Object, key string, value any) {
	if x, ok := value.(float64); ok {
		*o = append(*o, Field{key, jsonFloat(x)})
		return
	}
	raw, err := marshal(value)
	if err != nil {
		panic(err) // texts, messages and finite numbers
	}
	*o = append(*o, Field{key, raw})
}

// jsonFloat writes a whole number with its point: readers take a column's type from
// the first records, and 1 would make it one of integers.
func jsonFloat(x float64) json.RawMessage {
	raw := jsonNumber(x)
	if !bytes.ContainsAny(raw, ".en") {
		raw = append(raw, ".0"...)
	}
	return raw
}

// setMessages sets a column of messages, whose further keys come out byte for byte.
func setMessages(o *Object, key string, c Conversation) {
	*o = append(*o, Field{key, appendMessages(nil, c)})
}

func putLabel(o *Object, p *Preference) {
	if finite(p.P) {
		set(o, "margin", p.margin())
		set(o, "label_prob", p.P)
	}
	if p.ID != "" {
		set(o, "cai_id", p.ID)
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func (p *Preference) margin() float64 {
	if p.Margin != nil && finite(*p.Margin) {
		return *p.Margin
	}
	return 2*p.P - 1
}

// flatPrompt writes a conversation as one text.
func flatPrompt(c Conversation) (string, error) {
	if s, ok := c.Text(); ok {
		return s, nil
	}
	if len(c) == 0 {
		return "", nil
	}
	s, err := transcript(c)
	return s + assistantMarker + " ", err
}

func putTRL(o *Object, p *Preference) error {
	prompt, err := flatPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "prompt", prompt)
	set(o, "chosen", p.Pair.First.Text)
	set(o, "rejected", p.Pair.Second.Text)
	putLabel(o, p)
	return nil
}

func putConversational(o *Object, p *Preference) error {
	setMessages(o, "prompt", p.Pair.Prompt)
	setMessages(o, "chosen", Conversation{p.Pair.First.message()})
	setMessages(o, "rejected", Conversation{p.Pair.Second.message()})
	putLabel(o, p)
	return nil
}

// sides are the columns of the better and the worse reply.
var sides = [2]string{"chosen", "rejected"}

// dialogue is a conversation that ends with a reply.
func dialogue(c Conversation, r Response) Conversation {
	return append(c[:len(c):len(c)], r.message())
}

func putHH(o *Object, p *Preference) error {
	for i, r := range []Response{p.Pair.First, p.Pair.Second} {
		text, err := transcript(dialogue(p.Pair.Prompt, r))
		if err != nil {
			return err
		}
		set(o, sides[i], text)
	}
	return nil
}

func putSFT(o *Object, p *Preference) error {
	prompt, err := flatPrompt(p.Pair.Prompt)
	if err != nil {
		return err
	}
	set(o, "prompt", prompt)
	set(o, "completion", p.Pair.First.Text)
	if p.ID != "" {
		set(o, "cai_id", p.ID)
	}
	return nil
}

// putCSV keeps the order of columns and their number, whatever the first record
// has: the header is made of that one.
func putCSV(o *Object, p *Preference) error {
	prompt, single := p.Pair.Prompt.Text()
	if len(p.Pair.Prompt) > 0 && (!single || p.Pair.Prompt[0].Extra != "" || !readsAs(p.Pair.Prompt, prompt)) {
		prompt = string(appendMessages(nil, p.Pair.Prompt))
	}
	if !readsAs(p.Pair.Prompt, prompt) {
		return fmt.Errorf("%w: %s", ErrCannotHold, otherTurns)
	}
	set(o, "prompt", prompt)
	set(o, "chosen", p.Pair.First.Text)
	set(o, "rejected", p.Pair.Second.Text)
	set(o, "label_prob", nil)
	set(o, "margin", nil)
	set(o, "cai_id", nil)
	if finite(p.P) {
		(*o)[3].Value, (*o)[4].Value = jsonFloat(p.P), jsonFloat(p.margin())
	}
	if p.ID != "" {
		(*o)[5].Value = quote(p.ID)
	}
	return nil
}

var csvColumns = []string{"prompt", "chosen", "rejected", "label_prob", "margin", "cai_id"}
