package rm

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrNotLinear tells that a model has members that are no sums of weights times
// features, of which what was asked cannot be told exactly.
var ErrNotLinear = errors.New("the model is not linear in its features")

// styleGroups are the style features by what they measure; those of no list are
// the style's rest.
var styleGroups = []struct {
	name     string
	features []string
}{
	{"length", []string{"log_code_points", "log_words", "log_sentences", "log_paragraphs", "log_length_to_prompt"}},
	{"markup", []string{"log_list_items", "log_numbered_items", "log_headings", "log_code_blocks", "log_bold", "log_table_rows", "log_links"}},
	{"refusal", []string{"log_refusals", "opens_refusing"}},
	{"tone", []string{"log_hedges", "log_apologies", "log_warnings", "log_self_as_ai", "log_connectives", "opens_agreeing", "log_offers", "first_person", "second_person", "ends_asking"}},
	{"repetition", []string{"type_token", "repeated_bigrams", "repeated_lines"}},
	{"echo of the prompt", []string{"prompt_words_in_reply", "reply_words_in_prompt", "copies_prompt"}},
}

// styleGroup gives the name of the group of a style feature.
func styleGroup(feature string) string {
	for _, g := range styleGroups {
		if slices.Contains(g.features, feature) {
			return FeatureStyle + ": " + g.name
		}
	}
	return FeatureStyle + ": rest"
}

// Linear tells whether all members are sums of weights times features.
func (m *Model) Linear() bool {
	return !slices.ContainsFunc(m.members, func(k member) bool { _, ok := k.head.(*linear); return !ok })
}

// ScoreGroups divides the scores of replies among the model's groups of features:
// n-grams of words and of characters, the style features by what they measure
// (those that the prompt's words gate with them), and each source. parts has for
// each item what each group gives, which sum up to the score but for a number that
// is the same for all replies to a prompt. A score without the part of a group, or
// with its mean instead, is what the model says when the group is frozen. A model
// that is not linear gives [ErrNotLinear].
func (m *Model) ScoreGroups(ctx context.Context, items []Item) (names []string, parts [][]float64, err error) {
	fail := func(err error) ([]string, [][]float64, error) {
		return nil, nil, fmt.Errorf("score groups: %w", err)
	}
	if !m.Linear() {
		return fail(ErrNotLinear)
	}
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return fail(err)
	}
	at := map[string]int{}
	place := func(name string) int {
		i, ok := at[name]
		if !ok {
			i = len(names)
			at[name], names = i, append(names, name)
		}
		return i
	}
	sp := m.space
	hash, chars := -1, -1
	if sp.words != nil {
		hash = place(FeatureHash)
	}
	if sp.chars != nil {
		chars = place(FeatureChars)
	}
	dense := make([]int, sp.dense())
	for j := range dense {
		group, name := sp.denseName(j)
		if group == FeatureStyle {
			group = styleGroup(name)
		}
		dense[j] = place(group)
	}
	parts = make([][]float64, len(items))
	for i := range items {
		if i%batch == 0 && ctx.Err() != nil {
			return fail(ctx.Err())
		}
		s := m.acquire(items[i].Prompt, prompt[i])
		s.read(items[i].Reply, reply[i])
		seen := [2]*observed{s.observe(), {}}
		a := newAttribution(sp, seen)
		for k := range s.states {
			if err := s.attribute(k, s.shares[k]*m.members[k].scale/m.Metadata.Temperature, seen, true, a); err != nil {
				return fail(err)
			}
		}
		m.scratch.Put(s)
		out := make([]float64, len(names))
		for j, g := range dense {
			out[g] += a.dense[j] + a.byPrompt[j]
		}
		for g, j := range gatedAt {
			if j < len(dense) && sp.gate != nil {
				out[dense[j]] += a.gated[g]
			}
		}
		for k, v := range a.words[0] {
			out[hash] += v + a.wordsByPrompt[0][k]
		}
		for _, v := range a.chars[0] {
			out[chars] += v
		}
		parts[i] = out
	}
	return names, parts, nil
}
