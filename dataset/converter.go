package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Loss is something that a target format has no place for.
type Loss struct {
	What    string
	Records int    // how many records had it
	First   string // file:line of the first
	Left    bool   // the record itself was left out, not a part of it
}

// lost is a loss with the line of the first record.
type lost struct {
	Loss
	line int
}

// Converter writes records of any kind in one format and keeps account of what
// the format cannot hold: nothing is left out silently.
type Converter struct {
	f *outFormat
	// messages tells that prompts are always lists of messages, since a column of
	// Parquet has one type.
	messages bool
	rows     RowWriter
	read     ReadOptions
	row      Object
	join     joiner
	losses   map[string]*lost
	readAs   map[string]int // see wouldRead, by column
	reason   string         // why the last record that was left out was
	// Written is how many records, or pairs, were written.
	Written int
}

// NewConverter makes a converter to one of [WriteFormats], into the container
// that name asks for. The format "" keeps the records as they are. Of the read
// options, Pairs and Seed count, for lists of replies that become pairs.
func NewConverter(format, name string, w io.Writer, o ReadOptions) (*Converter, error) {
	c := &Converter{read: o, losses: map[string]*lost{}, readAs: map[string]int{}}
	if format != "" {
		if c.f = outFormatNamed(format); c.f == nil {
			return nil, unknownOut(format)
		}
		if err := c.f.checkContainer(name); err != nil {
			return nil, err
		}
	}
	if format == "csv" && !tabs(rowExt(name)) {
		name = ".csv"
	}
	c.messages = format == "pairs" && rowExt(name) == ".parquet"
	c.rows = NewRowWriter(name, w)
	if rows, ok := c.rows.(*csvRows); ok && format == "csv" {
		rows.none = csvColumns
	}
	return c, nil
}

// Losses lists what was lost, records that were left out first.
func (c *Converter) Losses() []Loss { return AllLosses(c) }

// AllLosses is [Converter.Losses] of the parts of one file together.
func AllLosses(parts ...*Converter) []Loss {
	at := map[string]int{}
	var all []lost
	for _, c := range parts {
		for key, l := range c.losses {
			i, ok := at[key]
			if !ok {
				at[key] = len(all)
				all = append(all, *l)
				continue
			}
			if all[i].Records += l.Records; l.line < all[i].line {
				all[i].First, all[i].line = l.First, l.line
			}
		}
	}
	var out []Loss
	for _, l := range all {
		out = append(out, l.Loss)
	}
	slices.SortFunc(out, func(a, b Loss) int {
		switch {
		case a.Left != b.Left && a.Left:
			return -1
		case a.Left != b.Left:
			return 1
		case a.Records != b.Records:
			return b.Records - a.Records
		}
		return strings.Compare(a.What, b.What)
	})
	return out
}

// Left is how many records were left out.
func (c *Converter) Left() (n int) {
	for _, l := range c.losses {
		if l.Left {
			n += l.Records
		}
	}
	return n
}

func (c *Converter) lose(s Source, left bool, what string) {
	key := fmt.Sprint(left, what)
	l := c.losses[key]
	if l == nil {
		l = &lost{Loss{What: what, First: s.File, Left: left}, s.Line}
		if s.Line > 0 {
			l.First = fmt.Sprintf("%s:%d", s.File, s.Line)
		}
		c.losses[key] = l
	}
	if l.Records++; left {
		c.reason = what
	}
}

// Write writes a record. What the format cannot hold is noted, not an error; an
// error is one of writing.
func (c *Converter) Write(r *Record) error {
	if c.f == nil {
		c.Written++
		return c.rows.WriteRow(r.Object)
	}
	for _, d := range r.dropped {
		c.lose(r.Source, false, d)
	}
	if r.Reply != nil {
		return c.reply(r.Reply)
	}
	if err := c.joined(c.join.flush()); err != nil {
		return err
	}
	if r.Pair != nil {
		return c.pair(r.Pair)
	}
	return c.list(r)
}

func (c *Converter) reply(r *Reply) error {
	good, labelled := wanted(r.Source.Extra)
	if labelled && c.f.name != "kto" && c.f.name != "sft" {
		return c.joined(c.join.add(r))
	}
	if err := c.joined(c.join.flush()); err != nil {
		return err
	}
	switch {
	case c.f.name == "sft" && labelled && !good:
		c.lose(r.Source, true, "a reply that is labelled false")
		return nil
	case c.f.name == "kto" && !labelled:
		c.lose(r.Source, true, "a reply without a label true or false")
		return nil
	case c.f.name != "sft" && c.f.name != "kto":
		c.lose(r.Source, true, "one reply is no pair")
		return nil
	}
	prompt, err := textPrompt(c.keys(r.Source, r.Prompt, r.Response))
	if r.Prompt == nil {
		err = fmt.Errorf("%w: no prompt", ErrCannotHold)
	}
	if err != nil {
		return c.refused(r.Source, err)
	}
	c.row = c.row[:0]
	set(&c.row, "prompt", prompt)
	set(&c.row, "completion", r.Response.Text)
	if c.f.name == "kto" {
		set(&c.row, "label", good)
	}
	extra := withID(r.Source, r.Source.Extra)
	if labelled {
		extra = without(extra, "label", ktoTag)
	}
	return c.finish(c.row, extra, r.Source)
}

func (c *Converter) joined(done *joined) error {
	if done == nil {
		return nil
	}
	for _, r := range done.lone {
		c.lose(r.Source, true, done.reason)
	}
	for p := range done.pairs {
		if err := c.pair(p); err != nil {
			return err
		}
	}
	return nil
}

// refused notes a record that the format cannot hold; other errors are given back.
func (c *Converter) refused(s Source, err error) error {
	if !errors.Is(err, ErrCannotHold) {
		return err
	}
	c.lose(s, true, strings.TrimPrefix(err.Error(), ErrCannotHold.Error()+": "))
	return nil
}

func (c *Converter) list(r *Record) error {
	if c.f.list != nil && (r.Chosen > 0 || r.Ranks != nil) {
		r := *r
		r.Source.Extra = withID(r.Source, r.Source.Extra)
		r.Prompt = c.keys(r.Source, r.Prompt, r.Responses...)
		if c.f.name == "rewardbench2" && r.Ranks != nil {
			r = c.bestFirst(r)
		}
		c.row = c.row[:0]
		if err := c.f.list(&c.row, &r); err != nil {
			return c.refused(r.Source, err)
		}
		return c.finish(c.row, r.Source.Extra, r.Source)
	}
	cont := content{source: r.Source, prompt: r.Prompt, list: r.Responses, chosen: r.Chosen, ranks: r.Ranks, prob: r.prob}
	pairs, reason, err := cont.pairs(c.read)
	if err != nil {
		return err
	}
	if reason != "" {
		c.lose(r.Source, true, reason)
		return nil
	}
	for p := range pairs {
		if err := c.pair(p); err != nil {
			return err
		}
	}
	return nil
}

// bestFirst turns a ranking into chosen and rejected replies.
func (c *Converter) bestFirst(r Record) Record {
	best := slices.Min(r.Ranks)
	var chosen, rest []Response
	for i, x := range r.Ranks {
		if x == best {
			chosen = append(chosen, r.Responses[i])
		} else {
			rest = append(rest, r.Responses[i])
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(r.Ranks)))) > 2 {
		c.lose(r.Source, false, "the order among the rejected replies")
	}
	if r.prob != nil && r.Ranks[0] != best {
		p := 1 - *r.prob
		r.prob = &p
	}
	r.Responses, r.Chosen, r.Ranks = append(chosen, rest...), len(chosen), nil
	return r
}

// withID puts a record's own id back among its columns, unless another column
// still has it.
func withID(s Source, extra Object) Object {
	if s.ID == "" {
		return extra
	}
	for _, k := range idColumns {
		if raw := extra.Get(k); string(raw) == s.ID || string(raw) == string(quote(s.ID)) {
			return extra
		}
	}
	return append(Object{{"id", quote(s.ID)}}, extra...)
}

var (
	firstAuthors  = []string{"model_a", "generator_1", "model_1", "chosen_model", "mc", "model_chosen"}
	secondAuthors = []string{"model_b", "generator_2", "model_2", "rejected_model", "mr", "model_rejected"}
)

// preference makes of a pair what goes out, without the columns that its label
// and its authors were read from: in another order they would be wrong.
func (p *Pair) preference() *Preference {
	out := &Preference{Pair: p, P: p.P}
	for _, f := range withID(p.Source, p.Source.Extra) {
		text, _ := unquote(f.Value)
		drop := false
		switch {
		case f.Key == "cai_id" && text != "":
			out.ID, drop = text, true
		case !p.Labelled():
		case f.Key == "label_prob", slices.Contains(p.Source.Label, f.Key):
			drop = true
		case f.Key == "margin" && finite(number(f.Value)):
			m := number(f.Value)
			if drop = true; m != 2*p.P-1 {
				out.Margin = &m
			}
		}
		if slices.Contains(firstAuthors, f.Key) && (text == p.First.Author || text == "") ||
			slices.Contains(secondAuthors, f.Key) && (text == p.Second.Author || text == "") ||
			f.Key == "response_model" && text == p.First.Author && text == p.Second.Author {
			drop = kindOf(f.Value) == '"' || kindOf(f.Value) == 'n'
		}
		if !drop {
			out.Extra = append(out.Extra, f)
		}
	}
	return out
}

// keys notes the further keys of messages that the format has no place for, and
// gives the prompt as it can be held.
func (c *Converter) keys(s Source, prompt Conversation, replies ...Response) Conversation {
	var lost []string
	calls := false
	add := func(text, extra string) {
		calls = calls || speaks(text, extra)
		lost = append(lost, unsaid(text, extra)...)
	}
	if !c.f.prompts && slices.ContainsFunc(prompt, func(m Message) bool { return m.Extra != "" }) {
		prompt = slices.Clone(prompt)
		for i := range prompt {
			add(prompt[i].Content, prompt[i].Extra)
			prompt[i].Extra = ""
		}
	}
	if !c.f.replies {
		for _, r := range replies {
			add(r.Text, r.Extra)
		}
	}
	slices.Sort(lost)
	for _, k := range slices.Compact(lost) {
		c.lose(s, false, fmt.Sprintf("the key %q of messages", k))
	}
	if calls {
		c.lose(s, false, "the form of tool calls, written as text")
	}
	return prompt
}

func (c *Converter) pair(p *Pair) error {
	src := p.Source
	if p.First.Author == "" && p.Second.Author == "" {
		if m, ok := getText(p.Source.Extra, "response_model"); ok {
			q := *p
			q.First.Author, q.Second.Author, p = m, m, &q
		}
	}
	pref := p.preference()
	if err := c.f.admits(p); err != nil {
		return c.refused(src, err)
	}
	if !c.f.slots {
		pref.chosenFirst()
	}
	return c.preference(pref, src)
}

// admits tells whether the format has a way to say the pair's label.
func (f *outFormat) admits(p *Pair) error {
	switch {
	case !p.Labelled() && !f.unlabelled:
		return fmt.Errorf("%w: nobody has said which reply is better", ErrCannotHold)
	case p.P == 0.5 && !f.ties && f.name != "hh" && f.name != "sft" || p.P == 0.5 && f.name == "hh":
		return fmt.Errorf("%w: a tie", ErrCannotHold)
	case p.P == 0.5 && f.name == "sft":
		return fmt.Errorf("%w: a tie has no chosen reply", ErrCannotHold)
	}
	return nil
}

// chosenFirst turns the pair round where the second reply is the better one.
func (p *Preference) chosenFirst() {
	if !(p.P < 0.5) {
		return
	}
	q := *p.Pair
	q.First, q.Second, q.P, q.Votes = q.Second, q.First, 1-q.P, nil
	p.Pair, p.P = &q, 1-p.P
	if p.Margin != nil {
		m := -*p.Margin
		p.Margin = &m
	}
}

// preference writes a pair whose sides are as the format wants them.
func (c *Converter) preference(p *Preference, src Source) error {
	if p.Pair.Votes != nil && !c.f.votes {
		c.lose(src, false, "votes of several people, of which label_prob is the mean")
	}
	if finite(p.P) && p.P != 0 && p.P != 1 && !c.f.soft {
		c.lose(src, false, "the certainty of the label (label_prob)")
	}
	if p.Margin != nil && !c.f.margin {
		c.lose(src, false, "the margin")
	}
	if c.f.name == "sft" {
		c.lose(src, false, "the rejected reply")
	}
	if prompt := c.keys(src, p.Pair.Prompt, p.Pair.First, p.Pair.Second); !c.f.prompts {
		q := *p.Pair
		q.Prompt, p.Pair = prompt, &q
	}
	extra := p.Extra
	if p.ID != "" && c.f.name != "csv" {
		extra = append(Object{{"cai_id", quote(p.ID)}}, extra...)
		p.ID = ""
	}
	if c.f.name == "kto" {
		rows, err := ktoRows(p)
		if err == nil && readAsMessages(rows[0], p.Pair) && readAsMessages(rows[1], p.Pair) {
			err = fmt.Errorf("%w: as texts the replies would be read as messages", ErrCannotHold)
		}
		if err != nil {
			return c.refused(src, err)
		}
		c.Written--
		for _, row := range rows {
			if err := c.finish(row, extra, src); err != nil {
				return err
			}
		}
		return nil
	}
	c.row = c.row[:0]
	err := error(nil)
	switch c.f.name {
	case "trl", "sft":
		_, err = textPrompt(p.Pair.Prompt)
	}
	if err == nil {
		err = c.f.put(&c.row, p)
	}
	if err == nil && !c.f.replies && readAsMessages(c.row, p.Pair) {
		err = fmt.Errorf("%w: as texts the replies would be read as messages", ErrCannotHold)
	}
	if err != nil {
		return c.refused(src, err)
	}
	if c.messages {
		i := slices.IndexFunc(c.row, func(f Field) bool { return f.Key == "prompt" })
		c.row[i].Value = appendMessages(nil, p.Pair.Prompt)
	}
	switch c.f.name {
	case "trl", "csv", "trl-conversational", "openrlhf", "hh", "ultrafeedback":
		putAuthors(&c.row, p, "chosen_model", "rejected_model")
	}
	return c.finish(c.row, extra, src)
}

// The parts of a record that a column of the source, by its name, would be read as in
// what is written.
const (
	readNot = iota + 1
	readAsPrompt
	readAsLabel
)

// wouldRead tells whether a column of the source would be read as part of the prompt
// or as the label of what is written, which it is not.
func (c *Converter) wouldRead(row Object, f Field) bool {
	as := c.readAs[f.Key]
	if as == 0 {
		as = c.f.readsAs(row, f.Key)
		if len(c.readAs) < maxKeys {
			c.readAs[f.Key] = as
		}
	}
	switch as {
	case readAsPrompt:
		return !blank(f.Value)
	case readAsLabel:
		return slices.ContainsFunc(labelItems(f.Value), func(item json.RawMessage) bool {
			v := parseLabel(item)
			return v.kind != 0 && v.kind != kindText
		})
	}
	return false
}

func (f *outFormat) readsAs(row Object, key string) int {
	main := slices.IndexFunc(promptColumns, func(key string) bool { return row.Get(key) != nil })
	at := slices.Index(promptColumns, key)
	switch {
	case at >= 0 && (main < 0 || at < main),
		key == "input" && row.Get("instruction") != nil,
		key == "context" && (row.Get("question") != nil || row.Get("query") != nil),
		key != "context" && promptPart(key):
		return readAsPrompt
	case f.slots:
		if kind, _ := labelKind(key, false); kind != 0 {
			return readAsLabel
		}
	}
	return readNot
}

// readAsMessages tells whether the replies of a row, which are texts, would be taken
// for messages.
func readAsMessages(row Object, p *Pair) bool {
	if !startsAsJSON(p.First.Text) && !startsAsJSON(p.Second.Text) {
		return false
	}
	g := reading{open: map[string]bool{}}
	g.lookAtTexts(row)
	for _, maybe := range g.open {
		if maybe {
			return true
		}
	}
	return false
}

func startsAsJSON(text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && (text[0] == '[' || text[0] == '{' || strings.HasPrefix(text, "array("))
}

// finish writes the format's columns and then the source's others.
func (c *Converter) finish(row, extra Object, src Source) error {
	var seen map[string]bool
	for _, f := range extra {
		switch {
		case twice(row, f.Key, &seen):
			if string(row.Get(f.Key)) != string(f.Value) {
				c.lose(src, false, fmt.Sprintf("the column %q, since the format has one of its own", f.Key))
			}
		case slices.Contains(ownColumns, f.Key) && f.Key != "cai_id", slices.Contains(c.f.own, f.Key), c.wouldRead(row, f):
			c.lose(src, false, fmt.Sprintf("the column %q, which would be read as something else", f.Key))
		default:
			row = append(row, f)
		}
	}
	c.Written++
	return c.rows.WriteRow(row)
}

// Flush writes what is held back.
func (c *Converter) Flush() error {
	if c.f == nil {
		return nil
	}
	return c.joined(c.join.flush())
}

// Close writes what is held back and ends the container.
func (c *Converter) Close() error {
	if err := c.Flush(); err != nil {
		return err
	}
	return c.rows.Close()
}
