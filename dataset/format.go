package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// containers are the names that --format takes for how a file holds its
// records, whose shape is then still detected.
var containers = []string{"csv", "jsonl", "text"}

// Formats lists the names that [ReadOptions].Format takes:
//
//   - trl: prompt (text or messages), chosen, rejected; without a prompt, what
//     chosen and rejected begin with in common is the prompt.
//   - trl-conversational: chosen and rejected are messages, with the prompt
//     beside them or repeated in both.
//   - hh: chosen and rejected are transcripts "\n\nHuman: …\n\nAssistant: …";
//     with a prompt column, that is the transcript.
//   - pairs: response_a and response_b, or _1 and _2, labelled or not.
//   - responses: a list of replies to one prompt.
//   - rmbench: lists of chosen and rejected replies, each paired with each.
//   - llmbar: input, output_1, output_2, label 1 or 2.
//   - alpaca: instruction, output_1, output_2, preference 1 to 2.
//   - pandalm: two responses and three annotators' votes 0 (tie), 1, 2.
//   - judgebench: question, response_A, response_B, label "A>B" or "B>A".
//   - sft, replies: one reply, in completion or response.
//   - csv, jsonl, text: how the file holds records that are detected.
func Formats() []string {
	names := make([]string, 0, len(formats)+len(containers))
	for i := range formats {
		names = append(names, formats[i].name)
	}
	return append(names, containers...)
}

// format is one shape of record.
type format struct {
	name string
	// fits tells whether a record has the columns of the format; it is what
	// detection asks, in the order of formats.
	fits func(Object) bool
	read func(*view, *content) error
}

var formats []format

func init() {
	formats = []format{
		{"rmbench", fitsLists, readLists},
		{"trl-conversational", fitsConversational, readConversational},
		{"hh", fitsHH, readHH},
		{"trl", fitsTRL, readTRL},
		{"llmbar", fitsVersus("input", "label", "output_1", "output_2"), readTwo},
		{"alpaca", fitsVersus("instruction", "preference", "output_1", "output_2"), readTwo},
		{"pandalm", fitsPandaLM, readTwo},
		{"judgebench", fitsVersus("question", "label", "response_A", "response_B"), readTwo},
		{"pairs", fitsTwo, readTwo},
		{"responses", fitsResponses, readResponses},
		{"sft", fitsSFT, readReply},
		{"replies", fitsReply, readReply},
	}
}

func formatNamed(name string) *format {
	for i := range formats {
		if formats[i].name == name {
			return &formats[i]
		}
	}
	return nil
}

// detect gives the first format that a record fits, nil if none.
func detect(o Object) *format {
	for i := range formats {
		if formats[i].fits(o) {
			return &formats[i]
		}
	}
	return nil
}

// ambiguous tells whether later records may still tell otherwise: a damaged
// transcript at the head of an HH file looks like TRL's implicit form.
func (f *format) ambiguous(o Object) bool { return f.name == "trl" && !has(o, promptColumns...) }

// view is a record being read; it notes which columns were taken.
type view struct {
	obj   Object
	cells bool   // the record is a row of CSV
	used  uint64 // bit i is column i; columns from the 64th on always stay extra
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
func (v *view) reply(key string) (Conversation, string, error) {
	raw := v.get(key)
	if raw == nil {
		return nil, "", fmt.Errorf("no %q", key)
	}
	before, text, err := parseReply(raw)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", key, err)
	}
	return before, text, nil
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
func (v *view) chosenPair(c *content, prompt Conversation, chosen, rejected string) error {
	p, err := chosenLabel(v.obj)
	if err != nil {
		return err
	}
	c.pair = &Pair{
		Prompt: prompt,
		First:  Response{chosen, v.author("chosen_model", "mc", "model_chosen")},
		Second: Response{rejected, v.author("rejected_model", "mr", "model_rejected")},
		P:      p,
	}
	return nil
}

func fitsTRL(o Object) bool { return kinds(o, '"', "chosen", "rejected") }

func readTRL(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	_, chosen, err := v.reply("chosen")
	if err != nil {
		return err
	}
	_, rejected, err := v.reply("rejected")
	if err != nil {
		return err
	}
	if prompt == nil {
		if isTranscript(chosen) && isTranscript(rejected) {
			if prompt, chosen, rejected, err = splitTranscripts(chosen, rejected); err != nil {
				return err
			}
		} else {
			n := commonWords(chosen, rejected)
			if n == 0 {
				return fmt.Errorf("%w, and chosen and rejected do not begin alike", errNoPrompt)
			}
			prompt, chosen, rejected = Prompt(chosen[:n]), chosen[n:], rejected[n:]
		}
	}
	return v.chosenPair(c, prompt, chosen, rejected)
}

// commonWords gives the length of what two texts begin with in common, cut at
// the end of a word. The space after it belongs to the replies, as in TRL,
// which however cuts inside words: "bl" is not part of the prompt where one
// reply goes on with "blue" and the other with "black".
func commonWords(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	inWord := func(s string) bool {
		before, _ := utf8.DecodeLastRuneInString(s[:n])
		after, _ := utf8.DecodeRuneInString(s[n:])
		return n > 0 && n < len(s) && !unicode.IsSpace(before) && !unicode.IsSpace(after)
	}
	for inWord(a) || inWord(b) {
		_, size := utf8.DecodeLastRuneInString(a[:n])
		n -= size
	}
	return len(strings.TrimRightFunc(a[:n], unicode.IsSpace))
}

func fitsHH(o Object) bool {
	if has(o, promptColumns...) || !fitsTRL(o) {
		return false
	}
	c, errC := unquote(o.Get("chosen"))
	r, errR := unquote(o.Get("rejected"))
	return errC == nil && errR == nil && isTranscript(c) && isTranscript(r)
}

func readHH(v *view, c *content) error {
	prompt, err := v.prompt(true)
	if err != nil {
		return err
	}
	_, chosen, err := v.reply("chosen")
	if err != nil {
		return err
	}
	_, rejected, err := v.reply("rejected")
	if err != nil {
		return err
	}
	if prompt == nil {
		if prompt, chosen, rejected, err = splitTranscripts(chosen, rejected); err != nil {
			return err
		}
	}
	return v.chosenPair(c, prompt, chosen, rejected)
}

func fitsConversational(o Object) bool {
	return firstKind(o.Get("chosen")) == '{' && firstKind(o.Get("rejected")) == '{'
}

func readConversational(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	cBefore, chosen, err := v.reply("chosen")
	if err != nil {
		return err
	}
	rBefore, rejected, err := v.reply("rejected")
	if err != nil {
		return err
	}
	if !sameTurns(cBefore, rBefore) {
		return errors.New("chosen and rejected part before their last turn, so they are not replies to one conversation")
	}
	if len(cBefore) > 0 {
		if prompt != nil && !repeats(prompt, cBefore) {
			return errors.New("chosen begins with a conversation that is not the prompt")
		}
		prompt = cBefore
	}
	if prompt == nil && has(v.obj, "prompt") {
		prompt = Conversation{} // an empty list of messages
	}
	if prompt == nil {
		return fmt.Errorf("%w: neither a prompt column nor turns before the replies", errNoPrompt)
	}
	return v.chosenPair(c, prompt, chosen, rejected)
}

// repeats tells whether the turns before a reply are the prompt again, perhaps
// with a system message that a prompt given as text leaves out.
func repeats(prompt, before Conversation) bool {
	if sameTurns(prompt, before) {
		return true
	}
	text, ok := prompt.Text()
	return ok && (before[0].Content == text || before[len(before)-1].Content == text)
}

// fitsLists is RM-Bench's shape, and RewardBench 2's.
func fitsLists(o Object) bool {
	return firstKind(o.Get("chosen")) == '"' && firstKind(o.Get("rejected")) == '"'
}

func readLists(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	if prompt == nil {
		return errNoPrompt
	}
	for _, key := range []string{"chosen", "rejected"} {
		items, err := elements(v.get(key))
		if err != nil || len(items) == 0 {
			return fmt.Errorf("%s: a list of replies is expected", key)
		}
		for i, item := range items {
			text, err := unquote(item)
			if err != nil {
				return fmt.Errorf("%s: reply %d is not a text", key, i+1)
			}
			c.list = append(c.list, Response{Text: text})
		}
		if key == "chosen" {
			c.chosen = len(c.list)
		}
	}
	c.prompt = prompt
	return nil
}

func fitsResponses(o Object) bool { return kinds(o, '[', "responses") && has(o, promptColumns...) }

func readResponses(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	if prompt == nil {
		return errNoPrompt
	}
	items, err := elements(v.get("responses"))
	if err != nil {
		return fmt.Errorf("responses: %w", err)
	}
	if len(items) == 0 {
		return errors.New("responses: no reply in the list")
	}
	for i, item := range items {
		r, err := parseResponse(item)
		if err != nil {
			return fmt.Errorf("responses: reply %d: %w", i+1, err)
		}
		c.list = append(c.list, r)
	}
	c.prompt = prompt
	return nil
}

// parseResponse reads one reply of a list: a text, or an object with the text
// and perhaps its author.
func parseResponse(raw json.RawMessage) (Response, error) {
	if kindOf(raw) == '"' {
		text, err := unquote(raw)
		return Response{Text: text}, err
	}
	var s scanner
	o, err := s.record(nil, raw)
	if err != nil {
		return Response{}, errors.New("neither a text nor an object")
	}
	v := view{obj: o}
	for _, key := range []string{"text", "response", "content", "output", "completion"} {
		if text, err := unquote(o.Get(key)); err == nil {
			return Response{text, v.author(authorColumns...)}, nil
		}
	}
	return Response{}, errors.New(`no "text"`)
}

var (
	authorColumns = []string{"model", "generator", "author", "response_model"}
	replyColumns  = []string{"response", "completion", "output", "answer", "reply"}
)

func fitsSFT(o Object) bool { return has(o, "prompt") && has(o, "completion") }

func fitsReply(o Object) bool {
	return has(o, replyColumns...) || firstKind(o.Get("messages")) == '{'
}

func readReply(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	r := &Reply{Prompt: prompt}
	r.Response.Author = v.author(authorColumns...)
	i := slices.IndexFunc(replyColumns, func(k string) bool { return has(v.obj, k) })
	switch {
	case i >= 0:
		var before Conversation
		if before, r.Response.Text, err = v.reply(replyColumns[i]); err != nil {
			return err
		}
		if len(before) > 0 {
			if prompt != nil && !repeats(prompt, before) {
				return fmt.Errorf("%s begins with a conversation that is not the prompt", replyColumns[i])
			}
			r.Prompt = before
		}
	case kinds(v.obj, '[', "messages"):
		if r.Prompt, r.Response.Text, err = splitReply(prompt); err != nil {
			return fmt.Errorf("messages: %w", err)
		}
	default:
		return errors.New(`no "response"`)
	}
	c.reply = r
	return nil
}

// pairs makes pairs of a list: chosen with rejected replies, or all with all.
func (c *content) pairs(o ReadOptions) ([]*Pair, string) {
	type two struct{ i, j int }
	var all []two
	p := math.NaN()
	if c.chosen > 0 {
		p = 1
		for i := range c.chosen {
			for j := c.chosen; j < len(c.list); j++ {
				all = append(all, two{i, j})
			}
		}
	} else {
		for i := range c.list {
			for j := i + 1; j < len(c.list); j++ {
				all = append(all, two{i, j})
			}
		}
	}
	if len(all) == 0 {
		return nil, "one reply in the list makes no pair"
	}
	subs := make([]int, len(all))
	for k := range subs {
		subs[k] = k
	}
	if o.Pairs > 0 && o.Pairs < len(all) {
		// Drawn from the record's own line, so that a record gives the same
		// pairs whatever stands before it is read or left out.
		r := rand.New(rand.NewPCG(uint64(o.Seed), uint64(c.source.Line)))
		r.Shuffle(len(subs), func(a, b int) { subs[a], subs[b] = subs[b], subs[a] })
		subs = subs[:o.Pairs]
		slices.Sort(subs)
	}
	out := make([]*Pair, 0, len(subs))
	for _, k := range subs {
		t := all[k]
		src := c.source
		src.Sub = k
		if c.chosen == 3 && len(c.list) == 6 {
			src.Extra = benchColumns(src.Extra, t.i, t.j-3)
		}
		out = append(out, &Pair{c.prompt, c.list[t.i], c.list[t.j], p, src})
	}
	return out, ""
}

// benchColumns adds what tells RM-Bench's nine pairs of a record apart: subset,
// the record's domain, and level. The replies come as concise, detailed, and
// detailed with Markdown, and a pair is hard where the rejected one is the more
// adorned.
func benchColumns(extra Object, chosen, rejected int) Object {
	extra = extra[:len(extra):len(extra)]
	if domain := extra.Get("domain"); domain != nil && extra.Get("subset") == nil {
		extra = append(extra, Field{"subset", domain})
	}
	if extra.Get("level") != nil {
		return extra
	}
	level := "normal"
	if chosen < rejected {
		level = "hard"
	} else if chosen > rejected {
		level = "easy"
	}
	return append(extra, Field{"level", quote(level)})
}
