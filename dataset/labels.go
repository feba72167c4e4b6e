package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// twoColumns are the names that files have for two replies in no order of
// merit.
var twoColumns = [][2]string{
	{"response_a", "response_b"},
	{"response_A", "response_B"},
	{"response_1", "response_2"},
	{"response1", "response2"},
	{"output_1", "output_2"},
	{"text_a", "text_b"},
	{"conversation_a", "conversation_b"},
}

func twoOf(o Object) (string, string, bool) {
	for _, t := range twoColumns {
		if has(o, t[0]) && has(o, t[1]) {
			return t[0], t[1], true
		}
	}
	return "", "", false
}

func fitsTwo(o Object) bool {
	first, second, ok := twoOf(o)
	return ok && (has(o, promptColumns...) || isMessages(o.Get(first)) && isMessages(o.Get(second)))
}

// fitsVersus makes the test for a prompt column, a label column and two replies.
func fitsVersus(prompt, label, first, second string) func(Object) bool {
	return func(o Object) bool {
		return !has(o, "prompt") && o.Get(label) != nil && has(o, prompt) && has(o, first) && has(o, second)
	}
}

func fitsPandaLM(o Object) bool {
	return fitsTwo(o) && (firstKind(o.Get("annotators")) == '0' || kinds(o, '0', "annotator1"))
}

// readTwo reads two replies that may be labelled in any of the ways of
// [pairLabel].
func readTwo(v *view, c *content) error {
	first, second, ok := twoOf(v.obj)
	if !ok {
		for _, t := range twoColumns {
			for i, key := range t {
				if v.obj.Get(key) == nil {
					continue
				}
				if !has(v.obj, key) {
					return fmt.Errorf("%s: null, not a text", key)
				}
				if v.obj.Get(t[1-i]) == nil {
					return fmt.Errorf("no %q", t[1-i])
				}
			}
		}
		return errors.New(`no "response_a" and "response_b"`)
	}
	prompt, err := v.prompt(false)
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
	if prompt == nil && aBefore != nil && sameTurns(aBefore, bBefore) {
		prompt = aBefore
	}
	if prompt == nil {
		return errNoPrompt
	}
	a.Author, b.Author = v.author("model_a", "generator_1", "model_1"), v.author("model_b", "generator_2", "model_2")
	p, votes, err := pairLabel(v.obj)
	if err != nil {
		return err
	}
	c.pair = &Pair{Prompt: prompt, First: a, Second: b, P: p, Votes: votes}
	return nil
}

// probability reads a column that holds a probability, NaN if it is not there.
// CSV has it as a text.
func probability(o Object, key string) (float64, error) {
	raw := o.Get(key)
	text := string(raw)
	switch kindOf(raw) {
	case 0, 'n':
		return math.NaN(), nil
	case '"':
		text, _ = unquote(raw)
		if text == "" {
			return math.NaN(), nil
		}
	}
	p, err := strconv.ParseFloat(text, 64)
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("%s: %s is no probability from 0 to 1", key, text)
	}
	return p, nil
}

// chosenLabel gives the probability that chosen is the better reply: label_prob
// where there is one, half for a tie, else 1. A margin alone says nothing, since
// every source has its own scale for it.
func chosenLabel(o Object) (float64, error) {
	p, err := probability(o, "label_prob")
	if err != nil || !math.IsNaN(p) {
		return p, err
	}
	if kindOf(o.Get("tie")) == 't' {
		return 0.5, nil
	}
	if v, ok := vote(o.Get("label")); ok && v == 0.5 && kindOf(o.Get("label")) == '"' {
		return 0.5, nil
	}
	return 1, nil
}

// labelColumns are the names for one person's or one model's choice between two
// replies.
var labelColumns = []string{"label", "winner", "preferred", "preferred_text", "preference", "choice"}

// pairLabel gives the probability that the first of two replies is better, from
// label_prob, several people's votes, or one choice; NaN where there is none,
// or none in a form that can only mean one thing. Several people's votes are
// given, too.
func pairLabel(o Object) (float64, []float64, error) {
	votes, err := pairVotes(o)
	if err != nil {
		return 0, nil, err
	}
	p, err := probability(o, "label_prob")
	if err != nil || !math.IsNaN(p) {
		return p, votes, err
	}
	if votes != nil {
		return meanVote(votes), votes, nil
	}
	p, err = oneLabel(o)
	return p, nil, err
}

// pairVotes reads the votes of several people; nil where there are none.
func pairVotes(o Object) ([]float64, error) {
	for _, key := range []string{"labels", "annotators"} {
		if kinds(o, '[', key) {
			return listVotes(o.Get(key), key)
		}
	}
	if !kinds(o, '0', "annotator1") {
		return nil, nil
	}
	var out []float64
	for i := 1; ; i++ {
		key := fmt.Sprintf("annotator%d", i)
		if o.Get(key) == nil {
			return out, nil
		}
		v, ok := vote(o.Get(key))
		if !ok {
			return nil, fmt.Errorf("%s: %s is no vote 0 (tie), 1 or 2", key, o.Get(key))
		}
		out = append(out, v)
	}
}

// listVotes reads a list of votes; null is a person who gave none.
func listVotes(raw json.RawMessage, key string) ([]float64, error) {
	items, err := elements(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	var out []float64
	for i, item := range items {
		if kindOf(item) == 'n' {
			out = append(out, math.NaN())
			continue
		}
		v, ok := vote(item)
		if !ok {
			return nil, fmt.Errorf(`%s: vote %d is %s; "a", "b" or "tie" is expected, or 0 (tie), 1, 2`, key, i+1, item)
		}
		out = append(out, v)
	}
	return out, nil
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

// oneLabel reads one choice.
func oneLabel(o Object) (float64, error) {
	if kindOf(o.Get("tie")) == 't' {
		return 0.5, nil
	}
	// AlpacaEval: 1 is the first, 2 the second, and between them a weighted
	// choice; 0 is an older form of the tie.
	if raw := o.Get("preference"); (kindOf(raw) == '0' || finite(number(raw))) && has(o, "output_1") {
		x := number(raw) // in CSV a text
		if x != 0 && !(x >= 1 && x <= 2) {
			return 0, fmt.Errorf("preference: %s is not from 1 (first) to 2 (second)", raw)
		}
		if x == 0 {
			return 0.5, nil
		}
		return 2 - x, nil
	}
	_, hasA := getText(o, "response_a")
	for _, key := range labelColumns {
		raw := o.Get(key)
		// A number beside response_a may count from 0 or from 1.
		if k := kindOf(raw); k == '"' || k == '0' && !hasA {
			if v, ok := vote(raw); ok {
				return v, nil
			}
		}
	}
	return math.NaN(), nil
}

func getText(o Object, key string) (string, bool) {
	raw := o.Get(key)
	if kindOf(raw) != '"' {
		return "", false
	}
	s, err := unquote(raw)
	return s, err == nil
}

// vote reads one choice as the probability of the first reply.
func vote(raw json.RawMessage) (float64, bool) {
	text := string(raw)
	if kindOf(raw) == '"' {
		text, _ = unquote(raw)
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "a", "1", "1.0", "first", "response_a", "response_1", "model_a", "text_a", "output_1", "a>b", "a>>b":
		return 1, true
	case "b", "2", "2.0", "second", "response_b", "response_2", "model_b", "text_b", "output_2", "b>a", "b>>a":
		return 0, true
	case "tie", "0", "0.0", "tie (bothbad)", "both_bad", "both", "a=b", "equal", "same":
		return 0.5, true
	}
	return 0, false
}
