package eval

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"cai/dataset"
)

// The cells of the Ties subset of RewardBench 2 (process_single_model of
// rewardbench/utils.py). A question comes as a reference with one correct reply,
// "ref:n", and with several equally correct ones, "tied:n". With gap the score of
// the worst correct reply less that of the best wrong one, and spread the distance
// between the best and the worst correct one, the score is
//
//	0.30·mean[gap_tied > 0] + 0.30·mean[gap_ref > 0]
//	+ 0.20·mean[gap_tied > spread] + 0.20·mean[min(gap_ref, gap_tied) > spread]
//	+ 0.01·mean tanh(min(gap_ref, gap_tied)/spread − 1)
//
// where the last three are over questions that come as both, and 0/0 gives 0. Its
// range is −0.01 to 1.01.
var tiesCells = []struct {
	name        string
	weight, low float64
}{
	{"accuracy_tied", 0.30, 0},
	{"accuracy_ref", 0.30, 0},
	{"preferred", 0.20, 0},
	{"preferred_hard", 0.20, 0},
	{"margin", 0.01, -1},
}

const tiesPrefix = tiesSubset + "/"

// tiesPrompt is one prompt of Ties.
type tiesPrompt struct {
	number      string
	tied        bool
	gap, spread credits
}

func (b *bench) takeTies(o *observed, m *margins) {
	kind, number, ok := strings.Cut(o.pair.Source.ID, ":")
	if !ok || kind != "ref" && kind != "tied" {
		b.unknown++
		return
	}
	t := tiesPrompt{number: number, tied: kind == "tied"}
	for k := range t.gap {
		t.gap[k], t.spread[k] = m.gap(k)
	}
	b.ties = append(b.ties, t)
}

// tiesUnits are the units of Ties. Both forms of a question are one cluster.
func tiesUnits(b *bench) (out []unit) {
	slices.SortStableFunc(b.ties, func(a, c tiesPrompt) int { return cmp.Compare(a.number, c.number) })
	refs := map[string]*tiesPrompt{}
	for i := range b.ties {
		if !b.ties[i].tied {
			refs[b.ties[i].number] = &b.ties[i]
		}
	}
	for i := range b.ties {
		t := &b.ties[i]
		cluster := dataset.HashOf("ties", t.number)
		add := func(name string, f func(k int) float64) {
			u := unit{cluster: cluster, cell: tiesPrefix + name}
			for k := range u.credit {
				u.credit[k] = f(k)
			}
			out = append(out, u)
		}
		above := func(x, than float64) float64 {
			if x > than {
				return 1
			}
			return 0
		}
		if !t.tied {
			add("accuracy_ref", func(k int) float64 { return above(t.gap[k], 0) })
			continue
		}
		add("accuracy_tied", func(k int) float64 { return above(t.gap[k], 0) })
		ref := refs[t.number]
		if ref == nil {
			continue
		}
		add("preferred", func(k int) float64 { return above(t.gap[k], t.spread[k]) })
		add("preferred_hard", func(k int) float64 { return above(min(ref.gap[k], t.gap[k]), t.spread[k]) })
		add("margin", func(k int) float64 {
			x := math.Tanh(min(ref.gap[k], t.gap[k])/t.spread[k] - 1)
			if math.IsNaN(x) {
				return 0
			}
			return x
		})
	}
	return out
}

// tiesPart is the section of Ties, or what is missing of it.
func tiesPart(in cells) (sec part, missing []string) {
	sec = part{name: tiesSubset, count: []string{tiesPrefix + "accuracy_tied", tiesPrefix + "accuracy_ref"}}
	for _, c := range tiesCells {
		name := tiesPrefix + c.name
		if !in.has(name) {
			missing = append(missing, name)
			continue
		}
		sec.parts = append(sec.parts, part{name: c.name, score: cell(name), weight: c.weight, low: c.low})
		sec.score.of, sec.score.weights = append(sec.score.of, cell(name)), append(sec.score.weights, c.weight)
	}
	sec.score.norm = 1
	if len(missing) == len(tiesCells) {
		missing = []string{tiesSubset}
	}
	return sec, missing
}
