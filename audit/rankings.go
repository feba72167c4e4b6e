package audit

import (
	"context"
	"fmt"
	"math"
	"unicode/utf8"

	"cai/dataset"
	"cai/rm"
)

// MemberScorer is a Scorer that may be an ensemble; a [rm.Model] is one.
type MemberScorer interface {
	Scorer
	// ScoreMembers gives beside the scores what each member says of each item, nil
	// where there are none.
	ScoreMembers(ctx context.Context, items []rm.Item) ([]rm.Score, [][]float64, error)
}

// scoreReplies scores all replies, by prompt, and gives what the members of an
// ensemble say, nil for other scorers.
func scoreReplies(ctx context.Context, s Scorer, prompts []GoldPrompt) ([][]rm.Score, [][][]float64, error) {
	scores, members := make([][]rm.Score, len(prompts)), make([][][]float64, len(prompts))
	ensemble := true
	for i, p := range prompts {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		items := make([]rm.Item, len(p.Replies))
		for k, r := range p.Replies {
			items[k] = rm.Item{Prompt: p.Prompt, Reply: r.Text}
		}
		var err error
		if m, ok := s.(MemberScorer); ok {
			scores[i], members[i], err = m.ScoreMembers(ctx, items)
		} else {
			scores[i], err = s.ScoreAll(ctx, items)
		}
		if err != nil {
			return nil, nil, err
		}
		ensemble = ensemble && members[i] != nil
	}
	if !ensemble {
		members = nil
	}
	return scores, members, nil
}

// The names of rankings.
const (
	RankMean     = "mean"
	RankWorst    = "worst"
	RankMinusStd = "mean_minus_std"
	RankMinusVar = "mean_minus_var"
	RankLength   = "length_controlled"
	RankLonger   = "longer"
	RankGold     = "gold"
)

// ranking is numbers by which replies are ranked, by prompt.
type ranking struct {
	name, about string
	reference   bool
	value       [][]float64
}

// rankings gives all that the scorer's answers allow: its score; where there is an
// uncertainty, the score less λ deviations and less λ variances; the lowest of an
// ensemble; the score with length taken out; and for reference the length alone
// and the gold itself.
//
// Members are standardised over the set's replies before they are compared, since
// nothing else makes their scales the same. For a model that is no ensemble the
// uncertainty is the one that it states, in deviations of its score.
func rankings(prompts []GoldPrompt, scores [][]rm.Score, members [][][]float64, o OverOptions) []ranking {
	mean := mapReplies(prompts, func(i, k int) float64 { return scores[i][k].Mean })
	length := mapReplies(prompts, func(i, k int) float64 { return float64(utf8.RuneCountInString(prompts[i].Replies[k].Text)) })
	out := []ranking{{name: RankMean, about: "the score", value: mean}}
	var z, spread [][]float64
	what := "the model's own uncertainty"
	switch {
	case members != nil:
		all := standardMembers(members)
		what = "the disagreement of the standardised members"
		z, spread = mapReplies(prompts, func(i, k int) float64 { m, _ := moments(all[i][k]); return m }), mapReplies(prompts, func(i, k int) float64 { _, s := moments(all[i][k]); return s })
		out = append(out, ranking{
			name: RankWorst, about: fmt.Sprintf("the lowest of %d standardised members", len(all[0][0])),
			value: mapReplies(prompts, func(i, k int) float64 { return least(all[i][k]) }),
		})
	default:
		m, sd := moments(flat(mean))
		z = mapReplies(prompts, func(i, k int) float64 { return (scores[i][k].Mean - m) / sd })
		spread = mapReplies(prompts, func(i, k int) float64 { return scores[i][k].Std / sd })
	}
	if _, sd := moments(flat(spread)); sd > 0 {
		out = append(out,
			ranking{
				name: RankMinusStd, about: fmt.Sprintf("the score less %g times the standard deviation, %s", o.LambdaStd, what),
				value: mapReplies(prompts, func(i, k int) float64 { return z[i][k] - o.LambdaStd*spread[i][k] }),
			},
			ranking{
				name: RankMinusVar, about: fmt.Sprintf("the score less %g times the variance, %s (Coste et al. 2024)", o.LambdaVar, what),
				value: mapReplies(prompts, func(i, k int) float64 { return z[i][k] - o.LambdaVar*spread[i][k]*spread[i][k] }),
			})
	}
	out = append(out,
		ranking{name: RankLength, about: "the score less what length says of it within a prompt (linear in length and its logarithm)", value: withoutLength(mean, length)},
		ranking{name: RankLonger, about: "the length in code points alone", reference: true, value: length},
		ranking{name: RankGold, about: "the gold itself: no ranking can do better", reference: true, value: mapReplies(prompts, func(i, k int) float64 { return prompts[i].Replies[k].Gold })},
	)
	return out
}

func mapReplies(prompts []GoldPrompt, f func(i, k int) float64) [][]float64 {
	out := make([][]float64, len(prompts))
	for i := range prompts {
		out[i] = make([]float64, len(prompts[i].Replies))
		for k := range out[i] {
			out[i][k] = f(i, k)
		}
	}
	return out
}

func flat(rows [][]float64) (out []float64) {
	for _, r := range rows {
		out = append(out, r...)
	}
	return out
}

func least(xs []float64) float64 {
	m := math.Inf(1)
	for _, x := range xs {
		m = min(m, x)
	}
	return m
}

// standardMembers brings each member to mean 0 and deviation 1 over all replies; a
// member that says the same of all is 0.
func standardMembers(members [][][]float64) [][][]float64 {
	n := len(members[0][0])
	mean, sd := make([]float64, n), make([]float64, n)
	for m := range n {
		var all []float64
		for _, p := range members {
			for _, r := range p {
				all = append(all, r[m])
			}
		}
		mean[m], sd[m] = moments(all)
	}
	out := make([][][]float64, len(members))
	for i, p := range members {
		out[i] = make([][]float64, len(p))
		for k, r := range p {
			out[i][k] = make([]float64, n)
			for m, v := range r {
				if sd[m] > 0 {
					out[i][k][m] = (v - mean[m]) / sd[m]
				}
			}
		}
	}
	return out
}

// withoutLength gives the scores less their regression on the length and its
// logarithm, fitted to deviations from the means of the prompts, so that long
// answers to prompts that call for them do not count.
func withoutLength(score, length [][]float64) [][]float64 {
	feature := func(l float64) [2]float64 { return [2]float64{math.Log1p(l), l / 1000} }
	var a [2][2]float64 // XᵀX
	var b [2]float64    // Xᵀy
	for i := range score {
		var mx [2]float64
		my, n := meanOf(score[i]), float64(len(score[i]))
		for _, l := range length[i] {
			x := feature(l)
			mx[0] += x[0] / n
			mx[1] += x[1] / n
		}
		for k, l := range length[i] {
			x := feature(l)
			x[0] -= mx[0]
			x[1] -= mx[1]
			for r := range 2 {
				b[r] += x[r] * (score[i][k] - my)
				for c := range 2 {
					a[r][c] += x[r] * x[c]
				}
			}
		}
	}
	var w [2]float64
	det := a[0][0]*a[1][1] - a[0][1]*a[1][0]
	switch {
	case det > 1e-9*a[0][0]*a[1][1]:
		w[0] = (b[0]*a[1][1] - b[1]*a[0][1]) / det
		w[1] = (b[1]*a[0][0] - b[0]*a[1][0]) / det
	case a[0][0] > 0:
		w[0] = b[0] / a[0][0]
	}
	out := make([][]float64, len(score))
	for i := range score {
		out[i] = make([]float64, len(score[i]))
		for k, s := range score[i] {
			x := feature(length[i][k])
			out[i][k] = s - w[0]*x[0] - w[1]*x[1]
		}
	}
	return out
}

// clusters gives the prompts' keys.
func clusters(prompts []GoldPrompt) []dataset.Hash {
	out := make([]dataset.Hash, len(prompts))
	for i := range prompts {
		out[i] = prompts[i].Prompt.Key()
	}
	return out
}
