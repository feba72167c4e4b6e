package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// twoColumns are the names that files have for two replies in no order of
// merit; third is what the next reply would be called, if there were one.
var twoColumns = makeTwoColumns()

type twoNames struct {
	names [2]string
	third string
}

func makeTwoColumns() (out []twoNames) {
	for _, stem := range replyStems {
		for _, end := range [][3]string{{"a", "b", "c"}, {"A", "B", "C"}, {"0", "1", "2"}, {"1", "2", "3"}} {
			for _, between := range []string{"_", ""} {
				out = append(out, twoNames{[2]string{stem + between + end[0], stem + between + end[1]}, stem + between + end[2]})
			}
		}
	}
	return out
}

func twoOf(o Object) (string, string, bool) {
	for i := range twoColumns {
		if t := &twoColumns[i]; has(o, t.names[0]) && has(o, t.names[1]) {
			return t.names[0], t.names[1], true
		}
	}
	return "", "", false
}

func fitsTwo(o Object) bool {
	first, second, ok := twoOf(o)
	return ok && (hasPrompt(o) || first == "human_ref_A" && has(o, "history") || isMessages(o.Get(first)) && isMessages(o.Get(second)))
}

// fitsVersus makes the test for a prompt column, a label column and two replies.
func fitsVersus(prompt, label, first, second string) func(Object) bool {
	return func(o Object) bool {
		return !has(o, "prompt") && o.Get(label) != nil && has(o, prompt) && has(o, first) && has(o, second)
	}
}

func fitsPandaLM(o Object) bool {
	items := labelItems(o.Get(annotators))
	if o.Get("annotator1") != nil {
		items = append(items, o.Get("annotator1"))
	}
	return fitsTwo(o) && slices.ContainsFunc(items, func(raw json.RawMessage) bool { return finite(number(raw)) })
}

// readTwo reads two replies that may be labelled in any of the ways of
// [view.pairLabel].
func readTwo(v *view, c *content) error {
	first, second := v.g.two[0], v.g.two[1]
	if first == "" || !has(v.obj, first) || !has(v.obj, second) {
		return noTwo(v.obj)
	}
	if third := v.g.third; has(v.obj, third) {
		return fmt.Errorf("%s stands beside %s and %s: more than two replies are a list in responses", third, first, second)
	}
	if kinds(v.obj, '[', first, second) && !isMessages(v.obj.Get(first)) && !isMessages(v.obj.Get(second)) {
		return readTurns(v, c)
	}
	prompt, err := v.promptOf(false)
	if err != nil {
		return err
	}
	aBefore, a, err := v.reply(first)
	if err != nil {
		return err
	}
	bBefore, b, err := v.reply(second)
	if err != nil {
		return err
	}
	if prompt == nil && (aBefore != nil || bBefore != nil) {
		if !sameTurns(aBefore, bBefore) {
			return fmt.Errorf("%s and %s part before their last turn, so they are not replies to one conversation", first, second)
		}
		prompt = aBefore
	}
	return v.twoReplies(c, prompt, a, b)
}

// twoReplies makes a pair of two replies in no order of merit.
func (v *view) twoReplies(c *content, prompt Conversation, a, b Response) error {
	prompt, err := v.whole(prompt)
	if err != nil {
		return err
	}
	if prompt == nil {
		return errNoPrompt
	}
	if a.Author == "" && b.Author == "" {
		a.Author, b.Author = v.author(v.g.authors(0)...), v.author(v.g.authors(1)...)
	}
	p, votes, err := v.pairLabel()
	if err != nil {
		return err
	}
	c.pair = &Pair{Prompt: prompt, First: a, Second: b, P: p, Votes: votes}
	return nil
}

// authors are the columns that name who wrote the first reply, or the second.
func (g *reading) authors(i int) []string {
	switch {
	case g.fromZero() && i == 0:
		return []string{"model_a", "model_0", "generator_0"}
	case g.fromZero():
		return []string{"model_b", "model_1", "generator_1"}
	case i == 0:
		return []string{"model_a", "generator_1", "model_1"}
	}
	return []string{"model_b", "generator_2", "model_2"}
}

// noTwo says what a record lacks of two replies.
func noTwo(o Object) error {
	for _, t := range twoColumns {
		for i, key := range t.names {
			if o.Get(key) == nil {
				continue
			}
			if !has(o, key) {
				return fmt.Errorf("%s: null, not a text", key)
			}
			if o.Get(t.names[1-i]) == nil {
				return fmt.Errorf("no %q", t.names[1-i])
			}
		}
	}
	return errors.New(`no "response_a" and "response_b"`)
}

// readTurns reads Arena's older shape: prompt and replies are lists of as many texts
// as the two conversations have turns.
func readTurns(v *view, c *content) error {
	prompts, err := v.turnsOf("prompt")
	if err != nil {
		return err
	}
	var replies [2][]string
	for i, key := range v.g.two {
		if replies[i], err = v.turnsOf(key); err != nil {
			return err
		}
		if len(replies[i]) != len(prompts) {
			return fmt.Errorf("%s: %d turns, and %d in the prompt", key, len(replies[i]), len(prompts))
		}
	}
	n := len(prompts) - 1
	if n < 0 {
		return errors.New("prompt: no turns")
	}
	var prompt Conversation
	for i := range n {
		if replies[0][i] != replies[1][i] {
			return fmt.Errorf("%s and %s part before their last turn, so they are not replies to one conversation", v.g.two[0], v.g.two[1])
		}
		prompt = append(prompt, Message{Role: "user", Content: prompts[i]}, Message{Role: "assistant", Content: replies[0][i]})
	}
	prompt = append(prompt, Message{Role: "user", Content: prompts[n]})
	return v.twoReplies(c, prompt, Response{Text: replies[0][n]}, Response{Text: replies[1][n]})
}

// turnsOf reads a column that is a list of texts.
func (v *view) turnsOf(key string) ([]string, error) {
	items, err := elements(v.get(key))
	if err != nil {
		return nil, fmt.Errorf("%s: a list of texts is expected, one for each turn", key)
	}
	out := make([]string, len(items))
	for i, item := range items {
		if out[i], err = unquote(item); err != nil {
			return nil, fmt.Errorf("%s: turn %d is %s, not a text", key, i+1, item)
		}
	}
	return out, nil
}

// probability reads a column that holds a probability, NaN if it is not there.
func probability(o Object, key string) (float64, error) {
	raw := o.Get(key)
	if empty(raw) {
		return math.NaN(), nil
	}
	p := number(raw)
	if !(p >= 0 && p <= 1) {
		text := string(raw)
		if s, err := unquote(raw); err == nil {
			text = s
		}
		return 0, fmt.Errorf("%s: %s is no probability from 0 to 1", key, text)
	}
	return p, nil
}

// labelError is a value of a label column that does not fit what the column means in
// the file.
type labelError struct{ column, reason string }

func (e *labelError) Error() string { return e.column + ": " + e.reason }

// saying is what one column says: the probability of the first reply.
type saying struct {
	column string
	p      float64
	single bool // one choice, not a mean or a probability
}

// read gives what a value of a label column means.
func (c *labelColumn) read(g *reading, o Object, raw json.RawMessage) (p, strength float64, err error) {
	v := parseLabel(raw)
	if v.kind == kindText || v.kind == kindPlace {
		if g.userScale(c) == nil {
			v = g.labelValue(o, raw)
		}
	}
	none := math.NaN()
	if v.kind == 0 {
		return none, none, nil
	}
	shown := string(raw)
	if len(shown) > 60 {
		shown = strings.ToValidUTF8(shown[:57], "") + "…"
	}
	if c.unused != "" || c.scale == nil {
		_, _, flag := scaleFlag.of(v)
		if c.unused == noFlag && flag || c.unused != saysNothing && c.unused != noFlag && v.kind != kindText {
			return 0, 0, &labelError{c.name, fmt.Sprintf("%s says which reply is better, and no value of the column before it did", shown)}
		}
		return none, none, nil
	}
	p, strength, ok := c.scale.of(v)
	if ok && !c.settled && c.see(v) {
		d := c.decide(g, true)
		if ok = d.scale != nil; ok {
			c.scale, c.settled = d.scale, d.settled
		}
	}
	switch {
	case g.format.order == orderChosen && g.userScale(c) == nil && c.kind != labelFlag && !(ok && p == 0.5):
		if !c.noted && v.kind != kindText {
			c.noted = true
			what := "names of a reply"
			if v.kind == kindNumber || v.kind == kindBool {
				what = "numbers, or true and false,"
			}
			g.note(ToldReading, "", c.name+" is not used: "+what+" beside chosen and rejected say nothing of which is better")
		}
		return none, none, nil // only a tie is news there
	case ok:
		return p, strength, nil
	}
	said := c.scale.said
	switch {
	case said == "" && c.kind == labelFlag:
		said = "true and false"
	case said == "":
		said = "names such as a, b and tie"
	}
	return 0, 0, &labelError{c.name, fmt.Sprintf("%s is outside its scale in this file: %s", shown, said)}
}

// pairLabel gives the probability that the first of two replies is better, from
// label_prob, several people's votes, or one choice; NaN where there is none.
// Several people's votes are given, too. What the columns mean is the reading's.
func (v *view) pairLabel() (float64, []float64, error) {
	all, votes, err := v.sayings()
	if err != nil {
		return 0, nil, err
	}
	best := math.NaN()
	rank := 0
	for i, a := range all {
		if math.IsNaN(a.p) {
			continue
		}
		for _, b := range all[:i] {
			opposite := a.p < 0.5 && b.p > 0.5 || a.p > 0.5 && b.p < 0.5
			if opposite || a.single && b.single && (a.p == 0.5) != (b.p == 0.5) {
				return 0, nil, fmt.Errorf("%s and %s contradict each other about which reply is better", b.column, a.column)
			}
		}
		r := labelRank(a.column) - len(labelColumns)
		switch {
		case a.column == "label_prob":
			r = -3 * len(labelColumns)
		case !a.single:
			r = -2 * len(labelColumns)
		}
		if math.IsNaN(best) || r < rank {
			best, rank = a.p, r
		}
	}
	return best, votes, nil
}

// sayings is what the label columns of a record say.
type sayings struct {
	all    []saying
	votes  []float64
	voted  string // the last column with votes
	flags  map[byte]bool
	flag   []string
	scores [2]float64
}

// sayings collects what the label columns of a record say.
func (v *view) sayings() (all []saying, votes []float64, err error) {
	s := sayings{scores: [2]float64{math.NaN(), math.NaN()}}
	for _, l := range v.g.plan.labels {
		if err := s.add(v, l); err != nil {
			return nil, nil, err
		}
	}
	if p, ok := prometheusLabel(v.obj); ok && (v.g.two[0] == "response_A" || v.g.format.name == "prometheus") && !v.g.unlabelled {
		s.all = append(s.all, saying{"the verdict " + resultMark, p, true})
	}
	if s.votes != nil {
		s.all = append(s.all, saying{s.voted, meanVote(s.votes), false})
	}
	if s.flags != nil {
		p, err := flagged(s.flags, s.flag)
		if err != nil {
			return nil, nil, err
		}
		s.all = append(s.all, saying{strings.Join(s.flag, ", "), p, true})
	}
	if a, b := s.scores[0], s.scores[1]; finite(a) && finite(b) {
		p := 0.5
		switch {
		case a > b:
			p = 1
		case a < b:
			p = 0
		}
		s.all = append(s.all, saying{"score_0, score_1", p, true})
	}
	return s.all, s.votes, nil
}

// add takes one label column.
func (s *sayings) add(v *view, l labelAt) error {
	raw, name := v.obj[l.at].Value, v.obj[l.at].Key
	c := v.g.labels[l.name]
	vote := l.kind == labelVote || kindOf(raw) == '['
	switch {
	case empty(raw) && !vote:
		return nil
	case l.kind == labelProb:
		p, err := probability(v.obj, name)
		v.labels = append(v.labels, name)
		s.all = append(s.all, saying{name, p, false})
		return err
	case l.kind == labelScore:
		v.labels = append(v.labels, name)
		s.scores[l.side-'1'] = number(raw)
		return nil
	case c == nil || c.unused == saysNothing:
		return nil
	case vote:
		v.labels = append(v.labels, name)
		s.voted = name
		return s.vote(v, c, raw)
	}
	p, strength, err := c.read(v.g, v.obj, raw)
	if err != nil || c.unused != "" || math.IsNaN(p) {
		return err
	}
	v.labels = append(v.labels, name)
	switch l.kind {
	case labelFlag:
		if s.flags == nil {
			s.flags = map[byte]bool{}
		}
		s.flags[l.side], s.flag = p == 1, append(s.flag, name)
		return nil
	case labelWorse:
		p = 1 - p
	}
	if !math.IsNaN(strength) {
		v.strength = strength
	}
	s.all = append(s.all, saying{name, p, true})
	return nil
}

// vote adds the votes of a column; null is a person who gave none.
func (s *sayings) vote(v *view, c *labelColumn, raw json.RawMessage) error {
	for _, item := range labelItems(raw) {
		p, _, err := c.read(v.g, v.obj, item)
		if err != nil {
			if label, ok := err.(*labelError); ok && kindOf(raw) == '[' {
				label.reason = fmt.Sprintf("vote %d is %s", len(s.votes)+1, strings.Replace(label.reason, " is outside", ", outside", 1))
			}
			return err
		}
		s.votes = append(s.votes, p)
	}
	return nil
}

// flagged gives what flags of both sides, of one, or of a tie say together.
func flagged(flags map[byte]bool, names []string) (float64, error) {
	n := 0
	for _, on := range flags {
		if on {
			n++
		}
	}
	_, first := flags['1']
	_, second := flags['2']
	_, tie := flags['=']
	switch {
	case n > 1:
		return 0, fmt.Errorf("%s: more than one of them is true", strings.Join(names, ", "))
	case flags['='], n == 0 && first && second && !tie:
		return 0.5, nil
	case flags['1'], n == 0 && second && !first && !tie:
		return 1, nil
	case flags['2'], n == 0 && first && !second && !tie:
		return 0, nil
	}
	return math.NaN(), nil
}

// meanVote is NaN where nobody voted.
func meanVote(votes []float64) float64 {
	sum, n := 0.0, 0
	for _, v := range votes {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	return sum / float64(n)
}

// chosenLabel gives the probability that chosen is the better reply: label_prob
// where there is one, half for a tie, else 1. A margin alone says nothing, since
// every source has its own scale for it.
func (v *view) chosenLabel() (float64, error) {
	if len(v.g.plan.labels) == 0 {
		return 1, nil
	}
	p, _, err := v.pairLabel()
	if math.IsNaN(p) {
		p = 1
	}
	return p, err
}

func getText(o Object, key string) (string, bool) {
	raw := o.Get(key)
	if kindOf(raw) != '"' {
		return "", false
	}
	s, err := unquote(raw)
	return s, err == nil
}
