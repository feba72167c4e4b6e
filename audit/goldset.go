package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"cai/dataset"
)

// GoldReply is a reply and how good it is by something better than the reward
// model: people, a benchmark, a larger scorer. Golds of one set are in one unit,
// the higher the better; NaN where nobody has said.
type GoldReply struct {
	dataset.Response
	Gold float64
}

// GoldPrompt is a prompt with replies that were drawn from one policy.
type GoldPrompt struct {
	Prompt  dataset.Conversation
	Replies []GoldReply
}

// GoldSet is prompts whose golds are of one kind.
type GoldSet struct {
	// Name says what the golds are: the column, and the baseline and annotator
	// where the data have several.
	Name    string
	Prompts []GoldPrompt
	Missing int // replies without a gold, left out
}

// Replies counts the set's replies.
func (g *GoldSet) Replies() (n int) {
	for i := range g.Prompts {
		n += len(g.Prompts[i].Replies)
	}
	return n
}

// The columns that hold golds, the likeliest first: a list beside responses, and a
// number in each of them or beside a single response. Those of reversed have the
// best first.
var (
	listColumns  = []string{"gold", "golds", "ranks", "scores", "ratings", "rewards"}
	replyColumns = []string{"gold", "preference", "score", "rating", "reward", "rank"}
	reversed     = map[string]bool{"rank": true, "ranks": true}
	// contexts are what golds are relative to; those of different ones are not
	// comparable.
	contexts = []string{"baseline", "annotator"}
)

// ErrNoGold tells that no reply has a gold number.
var ErrNoGold = errors.New("no reply has a gold number")

// GoldSets reads replies with golds: records with responses, of which each has a
// number (gold, preference, score, rating, reward; rank with the best lowest) or
// which have a list of numbers beside them (gold, ranks, scores, ratings, rewards);
// records of a prompt and one response with such a number; or lists of chosen and
// rejected replies, whose golds are 1 and 0. column names another column.
//
// Where replies name a baseline or an annotator there is one set for each
// combination, the largest first: a preference against one baseline cannot be
// compared with one against another. Records of the same prompt are put together.
// An empty result is [ErrNoGold].
func GoldSets(records iter.Seq2[*dataset.Record, error], column string) ([]GoldSet, error) {
	g := gathered{column: column, at: map[string]*gathering{}}
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		if err := g.add(rec); err != nil {
			return nil, &dataset.RecordError{File: rec.Source.File, Line: rec.Source.Line, Reason: err.Error()}
		}
	}
	sets := make([]GoldSet, 0, len(g.order))
	for _, s := range g.order {
		if s.set.Replies() > 0 {
			sets = append(sets, s.set)
		}
	}
	if len(sets) == 0 {
		return nil, ErrNoGold
	}
	slices.SortStableFunc(sets, func(a, b GoldSet) int { return cmp.Compare(b.Replies(), a.Replies()) })
	sets[0].Missing += g.missing
	return sets, nil
}

// Ungraded reads the same records for their replies alone, whose golds are NaN
// until [GoldSet.Regrade].
func Ungraded(records iter.Seq2[*dataset.Record, error]) (GoldSet, error) {
	s := gathering{set: GoldSet{Name: "ungraded"}, at: map[dataset.Hash]int{}}
	for rec, err := range records {
		switch {
		case err != nil:
			return GoldSet{}, err
		case rec.Pair != nil:
			s.put(rec.Pair.Prompt, rec.Pair.First, math.NaN())
			s.put(rec.Pair.Prompt, rec.Pair.Second, math.NaN())
		case rec.Reply != nil:
			s.put(rec.Reply.Prompt, rec.Reply.Response, math.NaN())
		default:
			for _, r := range rec.Responses {
				s.put(rec.Prompt, r, math.NaN())
			}
		}
	}
	return s.set, nil
}

// Regrade gives the set with the scores of s for golds: those of a larger reward
// model, say, that a smaller one is optimised in place of.
func (g *GoldSet) Regrade(ctx context.Context, name string, s Scorer) (GoldSet, error) {
	out := GoldSet{Name: name, Prompts: slices.Clone(g.Prompts)}
	scores, _, err := scoreReplies(ctx, s, out.Prompts)
	if err != nil {
		return GoldSet{}, fmt.Errorf("gold scores: %w", err)
	}
	for i := range out.Prompts {
		p := &out.Prompts[i]
		p.Replies = slices.Clone(p.Replies)
		for k := range p.Replies {
			p.Replies[k].Gold = scores[i][k].Mean
		}
	}
	return out, nil
}

// gathered is the sets while they are read.
type gathered struct {
	column  string
	order   []*gathering
	at      map[string]*gathering
	missing int
}

// gathering is one of them.
type gathering struct {
	set GoldSet
	at  map[dataset.Hash]int // prompt's place
}

func (s *gathering) put(p dataset.Conversation, r dataset.Response, gold float64) {
	h := p.Hash()
	i, ok := s.at[h]
	if !ok {
		i = len(s.set.Prompts)
		s.at[h] = i
		s.set.Prompts = append(s.set.Prompts, GoldPrompt{Prompt: p})
	}
	s.set.Prompts[i].Replies = append(s.set.Prompts[i].Replies, GoldReply{r, gold})
}

func (g *gathered) put(name string, p dataset.Conversation, r dataset.Response, gold float64) {
	s := g.at[name]
	if s == nil {
		s = &gathering{set: GoldSet{Name: name}, at: map[dataset.Hash]int{}}
		g.at[name] = s
		g.order = append(g.order, s)
	}
	s.put(p, r, gold)
}

func (g *gathered) add(rec *dataset.Record) error {
	switch {
	case rec.Pair != nil:
		return errors.New("a pair; golds are numbers of replies: responses, each with one")
	case rec.Reply != nil:
		name, gold, ok := g.number(rec.Object, replyColumns)
		if !ok {
			g.missing++
			return nil
		}
		g.put(name+relativeTo(rec.Object), rec.Reply.Prompt, rec.Reply.Response, gold)
		return nil
	case rec.Chosen > 0:
		for i, r := range rec.Responses {
			gold := 0.0
			if i < rec.Chosen {
				gold = 1
			}
			g.put("chosen", rec.Prompt, r, gold)
		}
		return nil
	}
	name, list, err := g.list(rec)
	if err != nil {
		return err
	}
	each, err := dataset.List(rec.Object.Get("responses"))
	if err != nil || len(each) != len(rec.Responses) {
		return errors.New("responses: a list of replies is expected")
	}
	for i, r := range rec.Responses {
		var o dataset.Object
		if len(each[i]) > 0 && each[i][0] == '{' {
			if err := o.UnmarshalJSON(each[i]); err != nil {
				return fmt.Errorf("responses: reply %d: %w", i+1, err)
			}
		}
		column, gold, ok := g.number(o, replyColumns)
		if list != nil {
			column, gold, ok = name, list[i], true
		}
		if !ok {
			g.missing++
			continue
		}
		g.put(column+relativeTo(o), rec.Prompt, r, gold)
	}
	return nil
}

// number gives the gold in a column of an object.
func (g *gathered) number(o dataset.Object, columns []string) (name string, gold float64, ok bool) {
	if g.column != "" {
		columns = []string{g.column}
	}
	for _, c := range columns {
		if v, ok := dataset.Number(o.Get(c)); ok {
			if reversed[c] {
				v = -v
			}
			return c, v, true
		}
	}
	return "", 0, false
}

// list gives the golds that stand in a list beside the responses, nil for none.
func (g *gathered) list(rec *dataset.Record) (name string, gold []float64, err error) {
	columns := listColumns
	if g.column != "" {
		columns = []string{g.column}
	}
	for _, c := range columns {
		items, err := dataset.List(rec.Object.Get(c))
		if err != nil {
			continue
		}
		gold = gold[:0]
		for _, item := range items {
			if x, ok := dataset.Number(item); ok {
				gold = append(gold, x)
			}
		}
		if len(gold) != len(items) {
			if g.column == "" {
				continue // a column of another meaning
			}
			return "", nil, fmt.Errorf("%s: a list of numbers is expected", c)
		}
		if len(gold) != len(rec.Responses) {
			return "", nil, fmt.Errorf("%s: %d numbers for %d replies", c, len(gold), len(rec.Responses))
		}
		if reversed[c] {
			for i := range gold {
				gold[i] = -gold[i]
			}
		}
		return c, gold, nil
	}
	return "", nil, nil
}

// relativeTo names what a gold is relative to.
func relativeTo(o dataset.Object) string {
	var parts []string
	for _, c := range contexts {
		var s string
		if raw := o.Get(c); raw != nil && json.Unmarshal(raw, &s) == nil && s != "" {
			parts = append(parts, c+" "+s)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}
