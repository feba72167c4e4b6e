package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The formats of benchmarks and trainers that are read beside the general ones.

func never(Object) bool { return false }

// readChosen reads chosen and rejected in whichever form they have.
func readChosen(v *view, c *content) error {
	switch {
	case fitsConversational(v.obj):
		return readConversational(v, c)
	case fitsHH(v.obj):
		return readHH(v, c)
	}
	return readTRL(v, c)
}

func fitsRewardBench(o Object) bool {
	return fitsTRL(o) && has(o, "prompt") && has(o, "chosen_model") && has(o, "rejected_model") && has(o, "subset")
}

func fitsRewardBench2(o Object) bool {
	return fitsLists(o) && has(o, "num_correct", "num_incorrect", "total_completions")
}

// firstObject gives the first element of a list of objects, nil if it is none.
func firstObject(raw json.RawMessage) Object {
	if firstKind(raw) != '{' {
		return nil
	}
	items, err := elements(raw)
	if err != nil {
		return nil
	}
	var s scanner
	o, err := s.record(nil, items[0])
	if err != nil {
		return nil
	}
	return o
}

func number(raw json.RawMessage) float64 {
	x, ok := Number(raw)
	if !ok {
		return math.NaN()
	}
	return x
}

// Number gives the finite number that a value is, or that its text says, as a cell of
// CSV does.
func Number(raw json.RawMessage) (float64, bool) {
	text := string(raw)
	if kindOf(raw) == '"' {
		text, _ = unquote(raw)
		text = strings.TrimSpace(text)
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil && finite(x)
}

// List gives the values of a list, or of one whose JSON a text is, as in a cell of CSV.
func List(raw json.RawMessage) ([]json.RawMessage, error) {
	if text, err := unquote(raw); err == nil {
		if list := jsonIn(text); list != nil {
			raw = list
		}
	}
	return elements(raw)
}

// fitsNeMo is NeMo-RL's shape of several replies with their ranks, 0 for the
// best.
func fitsNeMo(o Object) bool {
	return firstObject(o.Get("completions")).Get("completion") != nil && o.Get("context") != nil
}

func readNeMo(v *view, c *content) error {
	raw := v.get("context")
	prompt, err := parsePrompt(raw, false)
	if err != nil {
		return fmt.Errorf("context: %w", err)
	}
	v.note(raw)
	if prompt, err = v.whole(prompt); err != nil {
		return err
	}
	if prompt == nil {
		prompt = Conversation{}
	}
	items, err := elements(v.get("completions"))
	if err != nil {
		return fmt.Errorf("completions: %w", err)
	}
	for i, item := range items {
		var s scanner
		o, err := s.record(nil, item)
		if err != nil {
			return fmt.Errorf("completions: reply %d: %w", i+1, err)
		}
		completion := o.Get("completion")
		if completion == nil {
			return fmt.Errorf(`completions: reply %d: no "completion"`, i+1)
		}
		before, reply, err := parseReply(completion)
		if err == nil && len(before) > 0 {
			err = errors.New("more than one turn, where the reply alone is expected")
		}
		if err != nil {
			return fmt.Errorf("completions: reply %d: %w", i+1, err)
		}
		rank := number(o.Get("rank"))
		if !finite(rank) {
			return fmt.Errorf("completions: reply %d: no rank, which is 0 for the best reply", i+1)
		}
		v.note(completion)
		c.list, c.ranks = append(c.list, reply), append(c.ranks, rank)
	}
	if len(c.list) == 0 {
		return errors.New("completions: no reply in the list")
	}
	c.prompt = prompt
	return c.listColumns(v)
}

// listColumns reads what the writers here put beside lists that have no place
// for it: authors, and the certainty of a list that is one pair.
func (c *content) listColumns(v *view) error {
	if len(c.list) == 2 {
		p, err := probability(v.obj, "label_prob")
		if err != nil {
			return err
		}
		if !math.IsNaN(p) {
			c.prob = &p
		}
	}
	var authors []string
	if kinds(v.obj, '[', "authors") && json.Unmarshal(v.obj.Get("authors"), &authors) == nil && len(authors) == len(c.list) {
		v.get("authors")
		for i, a := range authors {
			c.list[i].Author = a
		}
	}
	return nil
}

// fitsHHH is the shape of the "helpful, honest and harmless" comparisons: replies
// with 1 for the better and 0 for the others.
func fitsHHH(o Object) bool {
	return has(o, "input") && (kinds(o, '{', "targets") || kinds(o, '{', "target_scores"))
}

func readHHH(v *view, c *content) error {
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	if prompt == nil {
		return errNoPrompt
	}
	key := "targets"
	if !kinds(v.obj, '{', key) {
		key = "target_scores"
	}
	var s scanner
	o, err := s.record(nil, v.get(key))
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	var replies []string
	var labels []float64
	if key == "targets" {
		items, err := elements(orNull(o.Get("labels")))
		if err = errors.Join(err, json.Unmarshal(orNull(o.Get("choices")), &replies)); err != nil {
			return errors.New("targets: lists of texts in choices and of numbers in labels are expected")
		}
		for _, item := range items {
			labels = append(labels, number(item))
		}
	} else {
		for _, f := range o {
			replies, labels = append(replies, f.Key), append(labels, number(f.Value))
		}
	}
	if len(replies) != len(labels) || len(replies) < 2 {
		return fmt.Errorf("%s: %d labels for %d replies", key, len(labels), len(replies))
	}
	for i, text := range replies {
		if !finite(labels[i]) {
			return fmt.Errorf("%s: the label of reply %d is no number", key, i+1)
		}
		c.list, c.ranks = append(c.list, Response{Text: text}), append(c.ranks, -labels[i])
	}
	c.prompt = prompt
	return c.listColumns(v)
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// fitsUltraFeedback takes UltraFeedback's own shape, several completions with
// annotations, and the binarized one of chosen and rejected dialogues.
func fitsUltraFeedback(o Object) bool {
	return has(o, "instruction") && firstObject(o.Get("completions")).Get("response") != nil ||
		fitsConversational(o) && has(o, "score_chosen") && has(o, "score_rejected")
}

func readUltraFeedback(v *view, c *content) error {
	if firstKind(v.obj.Get("completions")) != '{' {
		return readChosen(v, c)
	}
	prompt, err := v.prompt(false)
	if err != nil {
		return err
	}
	if prompt == nil {
		return errNoPrompt
	}
	items, err := elements(v.get("completions"))
	if err != nil {
		return fmt.Errorf("completions: %w", err)
	}
	var scores [][3]float64
	for i, item := range items {
		r, err := parseResponse(item)
		if err != nil {
			return fmt.Errorf("completions: reply %d: %w", i+1, err)
		}
		var s scanner
		o, _ := s.record(nil, item)
		c.list, scores = append(c.list, r), append(scores, feedbackScores(o))
	}
	if len(c.list) == 0 {
		return errors.New("completions: no reply in the list")
	}
	// Only scores of one kind can be compared: the first kind that all replies have.
	for kind := range len(scores[0]) {
		if !slices.ContainsFunc(scores, func(s [3]float64) bool { return !finite(s[kind]) }) {
			for _, s := range scores {
				c.ranks = append(c.ranks, -s[kind])
			}
			break
		}
	}
	c.prompt = prompt
	c.dropped = append(c.dropped, "annotations and critiques of completions")
	return nil
}

// feedbackScores are a completion's fine-grained score, the mean of its four
// ratings, and the overall score, which for some hundred completions of the
// published set is ten times too high; NaN for what it has not.
func feedbackScores(o Object) [3]float64 {
	out := [3]float64{number(o.Get("fine-grained_score")), math.NaN(), number(o.Get("overall_score"))}
	var s scanner
	notes, err := s.record(nil, orNull(o.Get("annotations")))
	if err != nil {
		return out
	}
	sum, n := 0.0, 0
	for _, f := range notes {
		var inner scanner
		note, err := inner.record(nil, f.Value)
		if err != nil {
			continue
		}
		if x := number(note.Get("Rating")); finite(x) {
			sum, n = sum+x, n+1
		}
	}
	if n > 0 {
		out[1] = sum / float64(n)
	}
	return out
}

// fitsPrometheus takes two replies with a verdict "… [RESULT] A", and the
// columns of Prometheus's preference collection.
func fitsPrometheus(o Object) bool {
	if has(o, "orig_instruction") && has(o, "orig_response_A") && has(o, "orig_response_B") {
		return true
	}
	_, ok := prometheusLabel(o)
	return ok && has(o, "instruction") && has(o, "response_A") && has(o, "response_B")
}

const resultMark = "[RESULT]"

// prometheusLabel reads the verdict at the end of an output.
func prometheusLabel(o Object) (float64, bool) {
	for _, key := range []string{"orig_preference", "output"} {
		text, ok := getText(o, key)
		if !ok {
			continue
		}
		if i := strings.LastIndex(text, resultMark); i >= 0 {
			text = text[i+len(resultMark):]
		} else if key == "output" {
			continue
		}
		switch strings.TrimSpace(text) {
		case "A":
			return 1, true
		case "B":
			return 0, true
		}
	}
	return 0, false
}

func readPrometheus(v *view, c *content) error {
	prefix := ""
	if has(v.obj, "orig_instruction") {
		prefix = "orig_"
	}
	key := prefix + "instruction"
	raw := v.take(key)
	if kindOf(raw) != '"' && kindOf(raw) != '[' {
		return fmt.Errorf("%w: no %q", errNoPrompt, key)
	}
	prompt, err := parsePrompt(raw, false)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	v.main = key
	_, a, err := v.reply(prefix + "response_A")
	if err != nil {
		return err
	}
	_, b, err := v.reply(prefix + "response_B")
	if err != nil {
		return err
	}
	if prompt, err = v.whole(prompt); err != nil {
		return err
	}
	p, votes, err := v.pairLabel()
	if err != nil {
		return err
	}
	a.Author, b.Author = v.author("model_a"), v.author("model_b")
	c.pair = &Pair{Prompt: prompt, First: a, Second: b, P: p, Votes: votes}
	return nil
}

// fitsOutputs is LLaMA-Factory's older shape of a preference.
func fitsOutputs(o Object) bool { return firstKind(o.Get("output")) == '"' && hasPrompt(o) }

func readOutputs(v *view, c *content) error {
	prompt, err := v.promptOf(false)
	if err != nil {
		return err
	}
	if prompt == nil {
		return errNoPrompt
	}
	texts, err := v.turnsOf("output")
	if err != nil || len(texts) != 2 {
		return errors.New("output: a list of two texts is expected, the better reply and the worse one; other lists of replies stand in responses, with ranks")
	}
	v.g.note(ToldReading, "", "output: the first reply is the better one")
	return v.chosenPair(c, prompt, Response{Text: texts[0]}, Response{Text: texts[1]})
}

// fitsSummaries is the shape of OpenAI's comparisons of summaries.
func fitsSummaries(o Object) bool {
	return kinds(o, '{', "info") && firstKind(o.Get("summaries")) == '{' && o.Get("choice") != nil
}

func readSummaries(v *view, c *content) error {
	info, err := appendObject(nil, v.get("info"))
	if err != nil {
		return fmt.Errorf("info: %w", err)
	}
	text := authorOf(info, "post", "article")
	if text == "" {
		return fmt.Errorf("%w: info has neither post nor article", errNoPrompt)
	}
	items, err := elements(v.get("summaries"))
	if err != nil || len(items) != 2 {
		return errors.New("summaries: a list of two is expected")
	}
	var both [2]Response
	for i, item := range items {
		if both[i], err = parseResponse(item); err != nil {
			return fmt.Errorf("summaries: %d: %w", i+1, err)
		}
	}
	v.main = "info"
	return v.twoReplies(c, Prompt(text), both[0], both[1])
}

// fitsKTO is one reply that was wanted or not.
func fitsKTO(o Object) bool {
	if _, ok := wanted(o); !ok {
		return false
	}
	return has(o, "prompt") && has(o, "completion") || has(o, ktoTag) && hasPrompt(o)
}

// ktoTag is LLaMA-Factory's name for KTO's label.
const ktoTag = "kto_tag"

// wanted reads the label of a reply that stands alone.
func wanted(o Object) (good, ok bool) {
	for _, key := range []string{"label", ktoTag} {
		if v := parseLabel(o.Get(key)); v.kind == kindBool {
			return v.x == 1, true
		}
	}
	return false, false
}

// joiner makes pairs of neighbouring replies to one prompt that are labelled
// true and false, each of the one with each of the other.
type joiner struct{ group []*Reply }

// add takes the next reply and gives what the replies before it make, if that is
// complete.
func (j *joiner) add(r *Reply) *joined {
	var done *joined
	if len(j.group) > 0 && !sameTurns(j.group[0].Prompt, r.Prompt) {
		done = j.flush()
	}
	j.group = append(j.group, r)
	return done
}

// joined is what the replies to one prompt make.
type joined struct {
	sides  [2][]*Reply // those that were wanted, and the others
	lone   []*Reply    // replies that make no pair
	reason string      // why they make none
}

func (j *joiner) flush() *joined {
	if len(j.group) == 0 {
		return nil
	}
	out := &joined{}
	for _, r := range j.group {
		side := 1
		if good, _ := wanted(r.Source.Extra); good {
			side = 0
		}
		out.sides[side] = append(out.sides[side], r)
	}
	group := j.group
	j.group = nil
	switch n := len(out.sides[0]) * len(out.sides[1]); {
	case n == 0:
		return &joined{lone: group, reason: loneReason}
	case n > maxPairs:
		return &joined{lone: group, reason: fmt.Sprintf("%d neighbouring replies to one prompt make %d pairs, more than %d", len(group), n, maxPairs)}
	}
	return out
}

// pairs gives each of the wanted replies with each of the others.
func (j *joined) pairs(yield func(*Pair) bool) {
	n := 0
	for _, g := range j.sides[0] {
		for _, b := range j.sides[1] {
			src := g.Source
			src.Sub = n
			src.Extra = without(src.Extra, "label", ktoTag)
			p := 1.0
			if x, err := probability(g.Source.Extra, "label_prob"); err == nil && !math.IsNaN(x) && len(j.sides[0])+len(j.sides[1]) == 2 {
				p = x
			}
			if n++; !yield(&Pair{Prompt: g.Prompt, First: g.Response, Second: b.Response, P: p, Source: src}) {
				return
			}
		}
	}
}

const loneReason = "no neighbour of the other label to the same prompt, so the reply makes no pair"

// without gives the columns without one of them.
func without(o Object, keys ...string) Object {
	out := make(Object, 0, len(o))
next:
	for _, f := range o {
		for _, k := range keys {
			if f.Key == k {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}
