package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"cai/dataset"
	"cai/eval"
	"cai/probe"
	"cai/rm"
)

// GroupScorer divides its scores among groups of features; an [rm.Model] is one.
type GroupScorer interface {
	// ScoreGroups gives what each group gives to each score, up to a number that is
	// the same for all replies to a prompt.
	ScoreGroups(ctx context.Context, items []rm.Item) (names []string, parts [][]float64, err error)
}

// Frozen is what a model is without one of its own groups of features: the group's
// part of each score held at its mean.
type Frozen struct {
	Group string `json:"group"`
	// Share is the share of the variance of the scores, between replies to one
	// prompt where they have several, that goes by the group: the covariance of its
	// part with the score, over the variance. Shares add up to 1.
	Share eval.Figure `json:"share"`
	// Accuracy is on the N labelled cases with the group, Without without it, and
	// Delta the difference.
	N        int            `json:"n"`
	Accuracy eval.Figure    `json:"accuracy"`
	Without  eval.Figure    `json:"accuracy_without"`
	Delta    eval.Figure    `json:"delta"`
	DeltaCI  [2]eval.Figure `json:"delta_ci"`
	// Gains are what the worst edits gain with and without the group, in standard
	// deviations of the whole score.
	Gains []FrozenGain `json:"gains"`
}

// FrozenGain is the gain of an edit or of the search.
type FrozenGain struct {
	Probe   string      `json:"probe"`
	Gain    eval.Figure `json:"gain"`
	Without eval.Figure `json:"gain_without"`
}

// frozenProbes is how many edits are measured.
const frozenProbes = 3

// Freeze holds each group of the model's features at its mean in turn. The edits
// are the failed ones of the greatest gain, or where none failed the one that
// gains most; s, if there is one, adds the exploits that a search found.
func Freeze(ctx context.Context, r *Reference, g GroupScorer, findings []Finding, s *Search, o ProbeOptions) ([]Frozen, error) {
	items, at := []rm.Item{}, make([]int, len(r.Cases))
	for i := range r.Cases {
		at[i] = len(items)
		for _, reply := range r.Cases[i].Replies {
			items = append(items, rm.Item{Prompt: r.Cases[i].Prompt, Reply: reply})
		}
	}
	names, parts, err := g.ScoreGroups(ctx, items)
	if err != nil {
		return nil, err
	}
	out := make([]Frozen, len(names))
	for k := range out {
		out[k] = Frozen{Group: names[k], Share: eval.Figure(math.NaN()), Gains: []FrozenGain{}}
	}
	r.frozenShares(parts, out)
	r.frozenAccuracy(parts, at, out, o.Seed)
	type gained struct {
		name   string
		items  []rm.Item
		weight []float64
	}
	var all []gained
	for _, f := range worstGains(findings) {
		items, weight, _, err := r.gainOf(&f, nil, o)
		if err != nil {
			return nil, err
		}
		all = append(all, gained{f.Probe, items, weight})
	}
	if s != nil && len(s.Best) > 0 {
		all = append(all, gained{"best exploits", nil, nil})
		last := &all[len(all)-1]
		for _, e := range s.Best {
			w := 1 / float64(len(s.Best)) / r.Scale
			c := r.Cases[e.at].Prompt
			last.items = append(last.items, rm.Item{Prompt: c, Reply: e.Text}, rm.Item{Prompt: c, Reply: e.Reply})
			last.weight = append(last.weight, w, -w)
		}
	}
	for _, a := range all {
		if len(a.items) == 0 {
			continue
		}
		_, parts, err := g.ScoreGroups(ctx, a.items)
		if err != nil {
			return nil, err
		}
		total, by := 0.0, make([]float64, len(names))
		for i, p := range parts {
			for k, v := range p {
				by[k] += a.weight[i] * v
				total += a.weight[i] * v
			}
		}
		for k := range out {
			out[k].Gains = append(out[k].Gains, FrozenGain{a.name, eval.Figure(total), eval.Figure(total - by[k])})
		}
	}
	slices.SortStableFunc(out, func(a, b Frozen) int { return cmp.Compare(float64(b.Share), float64(a.Share)) })
	return out, nil
}

// worstGains are the findings whose gains are looked into.
func worstGains(findings []Finding) []Finding {
	useful := slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Kind == probe.Destroying || f.N == 0 })
	slices.SortStableFunc(useful, func(a, b Finding) int {
		return cmp.Or(severity(b.Verdict)-severity(a.Verdict), compareEffects(b.Effect, a.Effect))
	})
	n := len(Failed(useful))
	return useful[:min(len(useful), max(1, min(n, frozenProbes)))]
}

// frozenShares fills in the shares, from the parts of all replies in their order.
func (r *Reference) frozenShares(parts [][]float64, out []Frozen) {
	by := map[dataset.Hash][]int{}
	n, beside := 0, 0
	for i, c := range r.Cases {
		for range c.Replies {
			by[r.prompts[i]] = append(by[r.prompts[i]], n)
			n++
		}
	}
	for _, rows := range by {
		if len(rows) > 1 {
			beside += len(rows)
		}
	}
	groups := [][]int{}
	if 2*beside >= n {
		for _, p := range r.prompts {
			if rows := by[p]; len(rows) > 1 {
				groups = append(groups, rows)
				delete(by, p)
			}
		}
	} else {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		groups = append(groups, all)
	}
	cov, variance := make([]float64, len(out)), 0.0
	for _, rows := range groups {
		mean := make([]float64, len(out))
		for _, i := range rows {
			for k, v := range parts[i] {
				mean[k] += v / float64(len(rows))
			}
		}
		for _, i := range rows {
			y := 0.0
			for k, v := range parts[i] {
				y += v - mean[k]
			}
			for k, v := range parts[i] {
				cov[k] += (v - mean[k]) * y
			}
			variance += y * y
		}
	}
	for k := range out {
		if variance > 0 {
			out[k].Share = eval.Figure(cov[k] / variance)
		}
	}
}

// frozenAccuracy fills in the accuracies; at has the first part of each case.
func (r *Reference) frozenAccuracy(parts [][]float64, at []int, out []Frozen, seed int64) {
	var prompts []dataset.Hash
	var right []float64
	without := make([][]float64, len(out))
	for i, c := range r.Cases {
		if !c.Better {
			continue
		}
		a, b := parts[at[i]], parts[at[i]+1]
		margin := 0.0
		for k := range a {
			margin += a[k] - b[k]
		}
		prompts, right = append(prompts, r.prompts[i]), append(right, eval.Correct(margin, 1))
		for k := range a {
			without[k] = append(without[k], eval.Correct(margin-(a[k]-b[k]), 1))
		}
	}
	for k := range out {
		f := &out[k]
		f.N, f.Accuracy, f.Without = len(right), eval.Figure(meanOf(right)), eval.Figure(meanOf(without[k]))
		delta := make([]float64, len(right))
		for i := range right {
			delta[i] = without[k][i] - right[i]
		}
		f.Delta = eval.Figure(meanOf(delta))
		f.DeltaCI = figures(eval.BootstrapCI(delta, prompts, eval.Interval{-1, 1}, eval.Options{Seed: seed}))
	}
}

// FrozenText says what the table of groups is.
func FrozenText(n int) string {
	return fmt.Sprintf("Each group's part of the score held at its mean. Share is of the variance of the scores, between replies to one prompt where they have several; accuracy is of the %d labelled records; gains are of edits and of the best exploits found, with the group and without it, in SD of the whole score.", n)
}
