package rm

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"cai/dataset"
)

// Part is a named part of a score, in the unit of scores.
type Part struct {
	Name         string  `json:"name"`
	Contribution float64 `json:"contribution"`
}

// MemberPart is what a member of the model gives: its value, of mean 0 over the
// training replies, times its share, which hangs on the prompt where a gate mixes
// the members.
type MemberPart struct {
	Name         string  `json:"name"`
	Share        float64 `json:"share"`
	Contribution float64 `json:"contribution"`
}

// Feature is what one feature gives. N-grams bear the name of the words that they
// stand for in the reply; different ones that share a bucket share what it gives
// by how often they occur.
type Feature struct {
	Group        string  `json:"group"`
	Name         string  `json:"name"`
	Contribution float64 `json:"contribution"`
	// ByPrompt is that part of the contribution which is there because of the kind
	// of prompt.
	ByPrompt float64 `json:"by_prompt,omitempty"`
	// Values are the feature's in each reply: occurrences of an n-gram, a measure
	// of style as styleNames says; none where they are not known.
	Values []float64 `json:"values,omitempty"`
}

// Word is a word of a reply and what its n-grams give, each n-gram's contribution
// shared equally among its words. Start and End are in bytes.
type Word struct {
	Reply        int     `json:"-"`
	Sentence     int     `json:"-"` // its number in the reply
	Start        int     `json:"start"`
	End          int     `json:"end"`
	Text         string  `json:"text"`
	Contribution float64 `json:"contribution"`
}

// Sentence is a sentence of a reply, with the sum of its words.
type Sentence struct {
	Reply        int     `json:"-"`
	Start        int     `json:"start"`
	End          int     `json:"end"`
	Text         string  `json:"text"`
	Contribution float64 `json:"contribution"`
}

// GroupGate is the group of the features that hang on the prompt alone or are
// gated by its words; GroupOffset is minus the mean over the training replies,
// which a pair has not.
const (
	GroupGate   = "prompt gate"
	GroupOffset = "offset"
)

// Explanation divides a score, or the difference of two, into parts. Each of
// Groups, Members and Features sums up to Total, as do the Words together with
// Rest and the Sentences together with Rest; so far as floating point goes.
type Explanation struct {
	// Scores are those of the reply, or of the pair's two; Total is the score, or
	// the first less the second.
	Scores   []Score
	Total    float64
	Groups   []Part
	Members  []MemberPart
	Features []Feature // largest first
	Words    []Word    // in the order of the text
	// Sentences are all of them, without those that are white space.
	Sentences []Sentence
	// Kinds are what is expected of replies to the prompt, in standard deviations,
	// by which ByPrompt comes about; empty for a model without it.
	Kinds []float64
	// Rest is what no word gives: style, the prompt, the sources, the offset.
	Rest float64
}

// Explain divides the score of a reply. It is that by which the reply differs from
// one that is average in everything and has no known n-gram.
func (m *Model) Explain(ctx context.Context, it Item) (*Explanation, error) {
	return m.explain(ctx, it.Prompt, []string{it.Reply})
}

// ExplainPair divides the margin of a pair: contributions above 0 speak for its
// first reply.
func (m *Model) ExplainPair(ctx context.Context, p *dataset.Pair) (*Explanation, error) {
	return m.explain(ctx, p.Prompt, []string{p.First.Text, p.Second.Text})
}

func (m *Model) explain(ctx context.Context, c dataset.Conversation, replies []string) (*Explanation, error) {
	var items []Item
	for _, r := range replies {
		items = append(items, Item{c, r})
	}
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	s := m.acquire(c, prompt[0])
	defer m.scratch.Put(s)
	x := &Explanation{}
	if m.space.expect != nil {
		x.Kinds = slices.Clone(s.expected[:])
	}
	seen := [2]*observed{{}, {}}
	texts := make([]*reading, len(replies))
	t := m.Metadata.Temperature
	for k, k0 := range m.members {
		x.Members = append(x.Members, MemberPart{Name: k0.name, Share: s.shares[k]})
	}
	for i, r := range replies {
		x.Scores = append(x.Scores, s.score(r, reply[i]))
		seen[i] = s.observe()
		texts[i] = newReading(r)
		for k, v := range s.value {
			x.Members[k].Contribution += float64(1-2*i) * s.shares[k] * v / t
		}
	}
	x.Total = x.Scores[0].Mean
	single := len(replies) == 1
	if !single {
		x.Total -= x.Scores[1].Mean
	}
	a := newAttribution(m.space, seen)
	for k := range s.states {
		unit := s.shares[k] * m.members[k].scale / t
		if err := s.attribute(k, unit, seen, single, a); err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		a.constant -= unit * m.members[k].offset
	}
	e := explainer{Explanation: x, scorer: s, a: a, seen: seen, texts: texts}
	e.features()
	e.text()
	return x, nil
}

// explainer writes an explanation.
type explainer struct {
	*Explanation
	*scorer
	a     *attribution
	seen  [2]*observed
	texts []*reading
}

// features fills Features and Groups, and the words' contributions.
func (e *explainer) features() {
	for i, r := range e.texts {
		for n, w := range r.words {
			e.Words = append(e.Words, Word{Reply: i, Sentence: r.sentence[n], Start: w.start, End: w.end, Text: r.text[w.start:w.end]})
		}
	}
	e.denseFeatures()
	at := map[[2]string]int{}
	first := 0
	for i, r := range e.texts {
		words := e.Words[first : first+len(r.words)]
		first += len(r.words)
		if e.space.words != nil {
			e.grams(FeatureHash, i, e.wordGrams(r), e.space.words, e.seen[i].hits, e.a.words[i], e.a.wordsByPrompt[i], words, at)
		}
		if e.space.chars != nil {
			e.grams(FeatureChars, i, e.charGramsAt(r), e.space.chars, e.seen[i].charHits, e.a.chars[i], nil, words, at)
		}
	}
	if len(e.texts) == 1 {
		e.Features = append(e.Features, Feature{Group: GroupOffset, Name: "mean training reply", Contribution: e.a.constant})
	}
	known := map[string]int{}
	for _, g := range e.space.groups() {
		known[g] = len(e.Groups)
		e.Groups = append(e.Groups, Part{Name: g})
	}
	for _, f := range e.Features {
		if _, ok := known[f.Group]; !ok {
			known[f.Group] = len(e.Groups)
			e.Groups = append(e.Groups, Part{Name: f.Group})
		}
		e.Groups[known[f.Group]].Contribution += f.Contribution
	}
	slices.SortStableFunc(e.Features, func(x, y Feature) int {
		return cmp.Compare(math.Abs(y.Contribution), math.Abs(x.Contribution))
	})
}

// denseFeatures fills in what is no n-gram.
func (e *explainer) denseFeatures() {
	sp := e.space
	add := func(f Feature) {
		if f.Contribution != 0 || f.ByPrompt != 0 {
			e.Features = append(e.Features, f)
		}
	}
	for j := range sp.dense() {
		group, name := sp.denseName(j)
		f := Feature{Group: group, Name: name, Contribution: e.a.dense[j] + e.a.byPrompt[j], ByPrompt: e.a.byPrompt[j]}
		for i := range e.texts {
			if v := e.seen[i].raw[j]; v == v {
				f.Values = append(f.Values, float64(v))
			}
		}
		if len(f.Values) < len(e.texts) {
			f.Values = nil
		}
		add(f)
	}
	for g, v := range e.a.gated {
		add(Feature{Group: GroupGate, Name: gated[g] + " by the prompt's words", Contribution: v, ByPrompt: v})
	}
	for k, v := range e.a.expected {
		add(Feature{Group: GroupGate, Name: fmt.Sprintf("kind of prompt %d", k+1), Contribution: v, ByPrompt: v})
	}
	for j, v := range e.a.asked {
		add(Feature{Group: GroupGate, Name: sp.askedName(j), Contribution: v, ByPrompt: v})
	}
}

// denseName gives the group and the name of dense feature j.
func (s *space) denseName(j int) (group, name string) {
	at := s.firstSource()
	if j < at {
		return FeatureStyle, styleNames[j]
	}
	for _, src := range s.sources {
		if i := j - at; i < src.Reply {
			if i < len(src.Columns) {
				return src.Name, src.Name + "[" + src.Columns[i] + "]"
			}
			return src.Name, fmt.Sprintf("%s[%d]", src.Name, i)
		}
		at += src.Reply
	}
	return "", ""
}

// askedName gives the name of number j of what the sources say of the prompt.
func (s *space) askedName(j int) string {
	for _, src := range s.sources {
		if j < src.Prompt {
			return fmt.Sprintf("%s[%d] of the prompt", src.Name, j)
		}
		j -= src.Prompt
	}
	return ""
}

// grams resolves what the buckets of reply i gave into the n-grams of its text
// and shares it among the words. at are the places of n-grams in Features.
func (e *explainer) grams(group string, i int, gs []gram, v *vocab, hits []hit, value, byPrompt []float64, words []Word, at map[[2]string]int) {
	of := map[uint32][]int{}
	for n, g := range gs {
		of[g.bucket] = append(of[g.bucket], n)
	}
	put := func(name string, count int, c, p float64) {
		k, ok := at[[2]string{group, name}]
		if !ok {
			k = len(e.Features)
			at[[2]string{group, name}] = k
			e.Features = append(e.Features, Feature{Group: group, Name: name, Values: make([]float64, len(e.texts))})
		}
		f := &e.Features[k]
		f.Contribution += c + p
		f.ByPrompt += p
		f.Values[i] += float64(count)
	}
	for n, h := range hits {
		p := 0.0
		if byPrompt != nil {
			p = byPrompt[n]
		}
		if value[n] == 0 && p == 0 {
			continue // nothing of the model is about it
		}
		total := 0
		for _, k := range of[v.index[h.place]] {
			total += len(gs[k].at)
		}
		for _, k := range of[v.index[h.place]] {
			g := &gs[k]
			share := float64(len(g.at)) / float64(total)
			put(g.name, len(g.at), share*value[n], share*p)
			for _, s := range g.at {
				c := (value[n] + p) / float64(total*(s.end-s.start))
				for w := s.start; w < s.end; w++ {
					words[w].Contribution += c
				}
			}
		}
	}
}

// text fills Sentences and Rest.
func (e *explainer) text() {
	first, next := make([]int, len(e.texts)), 0
	for i, r := range e.texts {
		first[i] = next
		next += len(r.sentences)
		for _, s := range r.sentences {
			e.Sentences = append(e.Sentences, Sentence{Reply: i, Start: s.start, End: s.end, Text: r.text[s.start:s.end]})
		}
	}
	for _, w := range e.Words {
		e.Sentences[first[w.Reply]+w.Sentence].Contribution += w.Contribution
	}
	for _, f := range e.Features {
		if f.Group != FeatureHash && f.Group != FeatureChars {
			e.Rest += f.Contribution
		}
	}
}
