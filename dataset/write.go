package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
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
type PreferenceWriter interface {
	Write(*Preference) error
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
//     record's further columns, then extra: JSON of what had no column.
//
// The readers here give back the same pair from each of them, except that sft
// has one reply.
func NewPreferenceWriter(format string, w io.Writer) (PreferenceWriter, error) {
	enc := NewEncoder(w)
	switch format {
	case "trl":
		return &jsonWriter{enc: enc, put: putTRL}, nil
	case "trl-conversational":
		return &jsonWriter{enc: enc, put: putConversational}, nil
	case "hh":
		return &jsonWriter{enc: enc, put: putHH}, nil
	case "sft":
		return &jsonWriter{enc: enc, put: putSFT}, nil
	case "csv":
		return &csvWriter{w: csv.NewWriter(w)}, nil
	}
	if outFormatNamed(format) != nil {
		return NewPreferenceFile(format, "", w)
	}
	return nil, fmt.Errorf("unknown format %q: one of %s", format, strings.Join(WriteFormats(), ", "))
}

// NewPreferenceFile is [NewPreferenceWriter] into the container that a file's name
// asks for, see [NewRowWriter].
func NewPreferenceFile(format, name string, w io.Writer) (PreferenceWriter, error) {
	if ext := rowExt(name); ext != ".json" && ext != ".parquet" && (ext != ".csv" || format == "csv") && slices.Contains([]string{"trl", "trl-conversational", "hh", "sft", "csv"}, format) {
		return NewPreferenceWriter(format, w)
	}
	c, err := NewConverter(format, name, w, ReadOptions{})
	if err != nil {
		return nil, err
	}
	return &preferences{c}, nil
}

// preferences writes pairs by a converter, which has the formats of benchmarks and
// trainers.
type preferences struct{ *Converter }

func (w *preferences) Write(p *Preference) error {
	q := *p
	q.Extra = without(q.Extra, "label_prob")
	if err := w.f.admits(&Pair{P: q.P}); err != nil {
		return err
	}
	if !w.f.slots {
		q.chosenFirst()
	} else if q.Pair.Key().Swapped {
		// Not the chosen reply first in every record: the stored order says nothing
		// of merit.
		pair := *q.Pair
		pair.First, pair.Second, pair.P = pair.Second, pair.First, 1-pair.P
		q.Pair, q.P = &pair, 1-q.P
	}
	left := w.Left()
	if err := w.preference(&q, q.Pair.Source); err != nil {
		return err
	}
	if w.Left() > left {
		return fmt.Errorf("%w: %s", ErrCannotHold, w.Losses()[0].What)
	}
	return nil
}

// jsonWriter writes JSON Lines of columns that put fills.
type jsonWriter struct {
	enc *Encoder
	row Object
	put func(*Object, *Preference) error
}

func (w *jsonWriter) Write(p *Preference) error {
	w.row = w.row[:0]
	if err := w.put(&w.row, p); err != nil {
		return err
	}
	for _, f := range p.Extra {
		if !slices.Contains(ownColumns, f.Key) {
			w.row = append(w.row, f)
		}
	}
	return w.enc.Encode(w.row)
}

func (w *jsonWriter) Close() error { return nil }

// ownColumns are those whose meaning the formats fix, so that a column of the
// source may not stand in for them.
var ownColumns = []string{
	"prompt", "chosen", "rejected", "completion", "messages",
	"response", "response_a", "response_b", "responses",
	"label_prob", "margin", "cai_id", extraColumn,
}

// set is Object.Set for values that always marshal, to a key not yet there.
func set(o *Object, key string, value any) {
	raw, err := marshal(value)
	if err != nil {
		panic(err) // texts, messages and finite numbers
	}
	*o = append(*o, Field{key, raw})
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
	prompt := []Message(p.Pair.Prompt)
	if prompt == nil {
		prompt = []Message{}
	}
	set(o, "prompt", prompt)
	set(o, "chosen", []Message{{"assistant", p.Pair.First.Text}})
	set(o, "rejected", []Message{{"assistant", p.Pair.Second.Text}})
	putLabel(o, p)
	return nil
}

func putHH(o *Object, p *Preference) error {
	for _, r := range []struct{ key, text string }{{"chosen", p.Pair.First.Text}, {"rejected", p.Pair.Second.Text}} {
		dialogue := append(p.Pair.Prompt[:len(p.Pair.Prompt):len(p.Pair.Prompt)], Message{"assistant", r.text})
		text, err := transcript(dialogue)
		if err != nil {
			return err
		}
		set(o, r.key, text)
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

// csvWriter writes a header from its first record.
type csvWriter struct {
	w       *csv.Writer
	columns []string // of the extra columns, in their order; nil before the first record
	begun   bool
}

var csvColumns = []string{"prompt", "chosen", "rejected", "label_prob", "margin", "cai_id"}

func (w *csvWriter) header(extra Object) error {
	w.begun = true
	for _, f := range extra {
		if !slices.Contains(ownColumns, f.Key) {
			w.columns = append(w.columns, f.Key)
		}
	}
	return w.w.Write(slices.Concat(csvColumns, w.columns, []string{extraColumn}))
}

func (w *csvWriter) Write(p *Preference) error {
	if !w.begun {
		if err := w.header(p.Extra); err != nil {
			return err
		}
	}
	prompt, single := p.Pair.Prompt.Text()
	if !single {
		raw, err := marshal([]Message(p.Pair.Prompt))
		if err != nil {
			return err
		}
		if prompt = string(raw); len(p.Pair.Prompt) == 0 {
			prompt = ""
		}
	}
	row := []string{prompt, p.Pair.First.Text, p.Pair.Second.Text, "", "", p.ID}
	if finite(p.P) {
		row[3] = strconv.FormatFloat(p.P, 'g', -1, 64)
		row[4] = strconv.FormatFloat(p.margin(), 'g', -1, 64)
	}
	for _, c := range w.columns {
		cell := string(p.Extra.Get(c))
		if s, err := unquote(p.Extra.Get(c)); err == nil {
			cell = s
		}
		row = append(row, cell)
	}
	cell, err := extraCell(p.Extra, w.columns, ownColumns...)
	if err != nil {
		return err
	}
	return w.w.Write(append(row, cell))
}

func (w *csvWriter) Close() error {
	if !w.begun {
		if err := w.header(nil); err != nil {
			return err
		}
	}
	w.w.Flush()
	return w.w.Error()
}
