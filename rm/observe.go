package rm

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// The first two values of an observation.
const (
	ObservedScore = "score" // Score.Mean
	ObservedStd   = "std"   // Score.Std, the model's own doubt or the members' disagreement
)

// aspect is one of the other values: a sum of style features, which scoring
// has computed already.
type aspect struct {
	name  string
	parts []string
}

// observedStyle are those of a model with style features.
var observedStyle = []aspect{
	{"length", []string{"log_code_points"}},
	{"sentence_length", []string{"sentence_length"}},
	{"paragraphs", []string{"log_paragraphs"}},
	{"lists", []string{"log_list_items", "log_numbered_items"}},
	{"markup", []string{"log_headings", "log_bold", "log_code_blocks", "log_table_rows"}},
	{"emphasis", []string{"log_exclamations", "emoji"}},
	{"links", []string{"log_links"}},
	{"digits", []string{"digits"}},
	{"variety", []string{"type_token"}},
	{"repetition", []string{"repeated_bigrams", "repeated_lines"}},
	{"hedging", []string{"log_hedges"}},
	{"refusal", []string{"log_refusals", "opens_refusing"}},
	{"apology", []string{"log_apologies"}},
	{"warning", []string{"log_warnings"}},
	{"connectives", []string{"log_connectives"}},
	{"eagerness", []string{"opens_agreeing", "log_offers"}},
	{"echo", []string{"prompt_words_in_reply", "copies_prompt"}},
	{"cut_off", []string{"ends_open"}},
}

// observedAt has, for each of observedStyle, the places of its parts.
var observedAt = func() [][]int {
	out := make([][]int, len(observedStyle))
	for i, o := range observedStyle {
		for _, p := range o.parts {
			at := slices.Index(styleNames, p)
			if at < 0 {
				panic("no style feature " + p)
			}
			out[i] = append(out[i], at)
		}
	}
	return out
}()

// observedPlain are those of a model without: ln(1 + code points), ln(1 + words).
var observedPlain = []string{"length", "words"}

// observedNew is the share of the hashed features, by the squares of their
// values, that training has never seen; only models with hashed features have it.
const observedNew = "new_words"

// Observed names the values of an observation: the score, its standard deviation,
// and what can be said of a reply at no cost beside its score: length, lists,
// refusal and the like where the model has style features.
func (m *Model) Observed() []string {
	out := []string{ObservedScore, ObservedStd}
	if m.space.style {
		for _, o := range observedStyle {
			out = append(out, o.name)
		}
	} else {
		out = append(out, observedPlain...)
	}
	if m.space.hash || m.space.spec.chars {
		out = append(out, observedNew)
	}
	return out
}

// aspects fills out, of the length of [Model.Observed], for the reply that was
// scored last.
func (s *scorer) aspects(reply string, sc Score, out []float32) {
	out[0], out[1] = float32(sc.Mean), float32(sc.Std)
	out = out[2:]
	if s.space.style {
		for i, parts := range observedAt {
			out[i] = 0
			for _, j := range parts {
				out[i] += s.dense[j]
			}
		}
		out = out[len(observedAt):]
	} else {
		out[0], out[1] = float32(math.Log1p(float64(utf8.RuneCountInString(reply)))), log1p(len(s.words))
		out = out[len(observedPlain):]
	}
	if len(out) > 0 {
		out[0] = float32(s.strange)
	}
}

// ObserveAll is [Model.ScoreAll] with an observation of each reply: the values
// that [Model.Observed] names, in its order.
func (m *Model) ObserveAll(ctx context.Context, items []Item) ([]Score, [][]float32, error) {
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return nil, nil, fmt.Errorf("score: %w", err)
	}
	width := len(m.Observed())
	scores, seen, values := make([]Score, len(items)), make([][]float32, len(items)), make([]float32, width*len(items))
	for i := 0; i < len(items); {
		s := m.acquire(items[i].Prompt, prompt[i])
		j := i
		for ; j < len(items) && samePrompt(items[i].Prompt, items[j].Prompt); j++ {
			scores[j] = s.score(items[j].Reply, reply[j])
			seen[j], values = values[:width:width], values[width:]
			s.aspects(items[j].Reply, scores[j], seen[j])
		}
		m.scratch.Put(s)
		i = j
	}
	return scores, seen, nil
}
