package eval

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"cai/dataset"
)

// Rule names a benchmark's own way to score.
type Rule string

// The rules. Sources are the benchmarks' own programs, of which the doc comments
// here name the files.
const (
	RulePairs        Rule = "pairs" // none but the accuracy over pairs
	RuleRewardBench  Rule = "rewardbench"
	RuleRewardBench2 Rule = "rewardbench2"
	RuleRMBench      Rule = "rmbench"
	RuleJudgeBench   Rule = "judgebench"
	RuleLLMBar       Rule = "llmbar"
	RuleHHH          Rule = "hhh"
)

// Rules lists the rules.
func Rules() []Rule {
	return []Rule{RulePairs, RuleRewardBench, RuleRewardBench2, RuleRMBench, RuleJudgeBench, RuleLLMBar, RuleHHH}
}

// RuleOf recognises the benchmark that a pair is of, by its columns and, where it
// is known, the format of its file (one of [dataset.Formats], else ""):
//
//   - rewardbench2: lists of replies, with the number of correct ones;
//   - rmbench: a level easy, normal or hard, and a domain of RM-Bench in domain or
//     subset;
//   - rewardbench: one of its 23 subsets;
//   - judgebench: a label "A>B" or "B>A", and source or response_model;
//   - llmbar: one of its five subsets, in the column subset or, in files as they
//     were published, which have no such column, as a folder's name;
//   - hhh: the format, and harmless, helpful, honest or other in the column subset
//     or category or in the file's path.
//
// Anything else is [RulePairs].
func RuleOf(format string, p *dataset.Pair) Rule {
	subset := column(p, "subset")
	label := column(p, "label")
	switch {
	case format == "rewardbench2" || has(p, "num_correct") && (has(p, "num_incorrect") || has(p, "total_completions")):
		return RuleRewardBench2
	case slices.Contains(levels, column(p, "level")) && domainOf(p) != "":
		return RuleRMBench
	case rewardBenchSection(subset) != "":
		return RuleRewardBench
	case (label == "A>B" || label == "B>A") && (has(p, "source") || has(p, "response_model")):
		return RuleJudgeBench
	case llmBarSubset(p) != "" && (format == "llmbar" || subset != ""):
		return RuleLLMBar
	case format == "hhh" && hhhCategory(p) != "":
		return RuleHHH
	}
	return RulePairs
}

// Benchmark is the score that a benchmark itself defines, beside the figures that
// are the same for all data. It is computed from means over cells (subsets, parts
// of a matrix, prompts of one kind), each of a credit from 0 to 1; the rule weighs
// cells and leaves out those that the data do not have. Intervals are bootstrapped
// by prompt, those of Overall too. A score with a cell of a single prompt, of whose
// spread nothing is known, has the whole range for its interval, and so has one that
// most resamples leave without prompts in a cell.
type Benchmark struct {
	Rule Rule `json:"rule"`
	// Means says what Overall is the mean of.
	Means string `json:"means"`
	// N is the number of pairs or, of RewardBench 2, of prompts.
	N       int      `json:"n"`
	Overall Figure   `json:"overall"`
	CI      Interval `json:"ci"`
	// Baselines are the null baselines by the same rule, and BestBaseline, Delta and
	// DeltaCI as in [Figures].
	Baselines    map[string]Figure `json:"baselines"`
	BestBaseline string            `json:"best_baseline,omitempty"`
	Delta        Figure            `json:"delta"`
	DeltaCI      Interval          `json:"delta_ci"`
	Sections     Sections          `json:"sections"`
	// Levels are RM-Bench's easy, normal and hard, each the mean of the domains.
	Levels Sections `json:"levels,omitempty"`
	// Matrix is RM-Bench's: row i is the style of the chosen reply, column j of the
	// rejected one, both concise, detailed, detailed with Markdown; the mean of the
	// domains. Nil where the data do not tell the styles.
	Matrix [][]Figure `json:"matrix,omitempty"`
	// Agreement is how often a judge names the same reply in both orders.
	Agreement *Section `json:"agreement,omitempty"`
	// Missing names the parts of the benchmark that the data do not have.
	Missing []string `json:"missing"`
	// Incomplete counts the records of several replies of which not all pairs were
	// compared, and which are left out: the comparer abstained, the reading was cut
	// short, or the record counts other replies than it has.
	Incomplete int `json:"incomplete,omitempty"`
	// Unknown counts the pairs of subsets that the benchmark does not have, which
	// are left out.
	Unknown int      `json:"unknown,omitempty"`
	Notes   []string `json:"notes,omitempty"`

	state *bench
}

// Section is a part of a benchmark's score.
type Section struct {
	Name      string            `json:"-"`
	N         int               `json:"n"`
	Score     Figure            `json:"score"`
	CI        Interval          `json:"ci"`
	Baselines map[string]Figure `json:"baselines,omitempty"`
	// Weight is what the part counts in the one it belongs to, where parts do not
	// count alike.
	Weight float64    `json:"weight,omitempty"`
	Parts  Sections   `json:"parts,omitempty"`
	Matrix [][]Figure `json:"matrix,omitempty"`
}

// Sections are sections in the benchmark's order; a JSON object by name.
type Sections []Section

// MarshalJSON writes an object whose keys keep their order.
func (s Sections) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i := range s {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(s[i].Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(s[i])
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// Named gives the section of that name, nil if there is none.
func (s Sections) Named(name string) *Section {
	for i := range s {
		if s[i].Name == name {
			return &s[i]
		}
	}
	return nil
}

// Title is the benchmark's name as people write it.
func (b *Benchmark) Title() string { return rules[b.Rule].title }

// column gives a column's text, "" where it has none.
func column(p *dataset.Pair, key string) string {
	var s string
	if raw := p.Source.Extra.Get(key); raw == nil || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func has(p *dataset.Pair, key string) bool {
	raw := p.Source.Extra.Get(key)
	return raw != nil && string(raw) != "null"
}

// wholeNumber gives a column's number; 0 if it has none.
func wholeNumber(p *dataset.Pair, key string) int {
	x, ok := dataset.Number(p.Source.Extra.Get(key))
	if !ok || x != float64(int32(x)) || x < 0 {
		return 0
	}
	return int(x)
}

// inPath gives the one of names that a file's path has as a folder, or as its own
// name without endings; "" if none.
func inPath(p *dataset.Pair, names []string) string {
	for part := range strings.SplitSeq(filepath.ToSlash(p.Source.File), "/") {
		part, _, _ = strings.Cut(part, ".")
		for _, n := range names {
			if strings.EqualFold(part, n) {
				return n
			}
		}
	}
	return ""
}

// among gives the one of names that s is, in any case of letters; "" if none.
func among(s string, names []string) string {
	for _, n := range names {
		if strings.EqualFold(s, n) {
			return n
		}
	}
	return ""
}
