package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

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
	return c.listColumns(v)
}

func fitsResponses(o Object) bool { return kinds(o, '[', "responses") && hasPrompt(o) }

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
	if err := c.readRanks(v); err != nil || c.ranks != nil {
		return err
	}
	for _, key := range labelColumns {
		if kind := parseLabel(v.obj.Get(key)).kind; kind != 0 && kind != kindText {
			v.g.note(ToldWarning, "", key+" is not used: beside a list of responses, ranks says which of them are better")
		}
	}
	return nil
}

// readRanks reads the column ranks of a list: a number for each reply, the
// smallest for the best, the same for replies that are equally good.
func (c *content) readRanks(v *view) error {
	items, err := elements(v.obj.Get("ranks"))
	if err != nil || len(items) == 0 || !finite(number(items[0])) {
		return nil // none, or a column of another meaning
	}
	v.get("ranks")
	ranks := make([]float64, len(items))
	for i, item := range items {
		if ranks[i] = number(item); !finite(ranks[i]) {
			return errors.New("ranks: a list of numbers is expected")
		}
	}
	if len(ranks) != len(c.list) {
		return fmt.Errorf("ranks: %d numbers for %d replies", len(ranks), len(c.list))
	}
	c.ranks = ranks
	return nil
}

// ranked gives the label of replies i and j of a ranking, and the pair's columns
// with list_weight: what it counts, so that all the pairs of a reply with those
// ranked below it count as one choice among them. That is how a ranking is broken
// into pairs for the model of Plackett and Luce (Khetan and Oh 2016); pairs of
// equal rank count as if each had been chosen.
func (c *content) ranked(extra Object, i, j int) (float64, Object) {
	p, best := 0.5, min(c.ranks[i], c.ranks[j])
	switch {
	case c.ranks[i] < c.ranks[j]:
		p = 1
	case c.ranks[i] > c.ranks[j]:
		p = 0
	}
	if len(c.sorted) != len(c.ranks) {
		c.sorted = slices.Sorted(slices.Values(c.ranks))
	}
	above, _ := slices.BinarySearch(c.sorted, best)
	below := len(c.sorted) - above - 1 // but the better of the two itself
	weight := strconv.FormatFloat(1/float64(below), 'g', 6, 64)
	return p, append(extra[:len(extra):len(extra)], Field{"list_weight", json.RawMessage(weight)})
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
		raw := o.Get(key)
		if kindOf(raw) != '"' && kindOf(raw) != '[' {
			continue
		}
		r, err := replyOf(o, key)
		r.Author = v.author(authorColumns...)
		return r, err
	}
	if has(o, callKeys...) {
		r, err := replyOf(o, "content")
		r.Author = v.author(authorColumns...)
		return r, err
	}
	return Response{}, errors.New(`no "text"`)
}

// maxPairs is the most pairs that are made of one list of replies.
const maxPairs = 1_000_000

// pairs makes pairs of a list: chosen with rejected replies, or all with all. The
// reason is that of a list that makes none; the error is that of o.Choose.
func (c *content) pairs(o ReadOptions) (_ iter.Seq[*Pair], reason string, err error) {
	n := len(c.list) * (len(c.list) - 1) / 2
	if c.chosen > 0 {
		n = c.chosen * (len(c.list) - c.chosen)
	}
	some := o.Pairs > 0 && o.Pairs < n
	var numbers []int // of the pairs that are taken, in their order; nil is all
	switch {
	case n == 0:
		return nil, "one reply in the list makes no pair", nil
	case n > maxPairs && (!some || o.Pairs > maxPairs):
		return nil, fmt.Sprintf("a list of %d replies makes %d pairs; --pairs N takes at most N of them", len(c.list), n), nil
	case some && o.Choose != nil && c.chosen == 0:
		picked, err := o.Choose(c.prompt, c.list)
		if err != nil {
			return nil, "", err
		}
		numbers = make([]int, 0, len(picked))
		for _, p := range picked {
			if 0 <= p[0] && p[0] < p[1] && p[1] < len(c.list) {
				numbers = append(numbers, p[0]*(2*len(c.list)-p[0]-1)/2+p[1]-p[0]-1)
			}
		}
		slices.Sort(numbers)
		numbers = slices.Compact(numbers)
	case some:
		numbers = c.draw(o, n)
	}
	return func(yield func(*Pair) bool) {
		i, start := 0, 0 // start is the number of the first pair of reply i
		for k := range n {
			if numbers != nil {
				if k == len(numbers) {
					return
				}
				k = numbers[k]
			}
			first, row := i+1, len(c.list)-1-i
			for c.chosen == 0 && k-start >= row {
				i, start = i+1, start+row
				first, row = i+1, row-1
			}
			if c.chosen > 0 {
				first, row = c.chosen, len(c.list)-c.chosen
				i, start = k/row, k/row*row
			}
			if !yield(c.pairOf(k, i, first+k-start, n)) {
				return
			}
		}
	}, "", nil
}

// draw takes o.Pairs of n pairs. It draws by the record's own line, so that a record
// gives the same pairs whatever stands before it is read or left out.
func (c *content) draw(o ReadOptions, n int) []int {
	r := rand.New(rand.NewPCG(uint64(o.Seed), uint64(c.source.Line)))
	numbers := make([]int, 0, min(n, maxPairs))
	if n <= maxPairs {
		for k := range n {
			numbers = append(numbers, k)
		}
		r.Shuffle(n, func(a, b int) { numbers[a], numbers[b] = numbers[b], numbers[a] })
		numbers = numbers[:o.Pairs]
	} else {
		drawn := make(map[int]bool, o.Pairs)
		for len(numbers) < o.Pairs {
			if k := r.IntN(n); !drawn[k] {
				drawn[k] = true
				numbers = append(numbers, k)
			}
		}
	}
	slices.Sort(numbers)
	return numbers
}

// pairOf makes pair k of the n of a list, of replies i and j.
func (c *content) pairOf(k, i, j, n int) *Pair {
	src, p := c.source, math.NaN()
	src.Sub = k
	if c.chosen > 0 {
		p = 1
	}
	if c.chosen == 3 && len(c.list) == 6 {
		src.Extra = benchColumns(src.Extra, i, j-3)
	}
	if c.ranks != nil {
		p, src.Extra = c.ranked(src.Extra, i, j)
	}
	if c.prob != nil && n == 1 {
		p = *c.prob
	}
	return &Pair{Prompt: c.prompt, First: c.list[i], Second: c.list[j], P: p, Source: src}
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
