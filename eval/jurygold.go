package eval

import (
	"math"
	"slices"

	"cai/dataset"
)

// JuryOfGold weighs judges by how well their margins tell labels[i], the
// probability that the first reply of pair i is better: logistic regression of
// the labels on the margins without intercept, since pairs have no order, with
// weights ≥ 0 and the normal prior of [JuryOfMargins]. Pairs are those of
// [Accuracy]; a margin that is missing adds nothing. Accuracy is that of each
// judge over these pairs. Identified is true where there is such a pair and some
// judge tells something.
//
// Two judges that say the same share a weight, and one that adds nothing to the
// others has none, however good it is alone.
func JuryOfGold(margins [][]float64, labels []float64) *Jury {
	var y []float64
	rows := make([][]float64, len(margins))
	for i, p := range labels {
		if skipLabel(p) != "" {
			continue
		}
		y = append(y, p)
		for k := range margins {
			rows[k] = append(rows[k], margins[k][i])
		}
	}
	u := inUnits(rows)
	j := &Jury{Weights: make([]float64, len(margins)), Accuracy: make([]float64, len(margins))}
	for k := range rows {
		sum, n := 0.0, 0.0
		for i, m := range rows[k] {
			if r := correct(m, y[i]); !math.IsNaN(r) {
				sum += r
				n++
			}
		}
		j.Accuracy[k] = sum / n
	}
	j.climb(u, y)
	for k := range j.Weights {
		if j.Weights[k] > 0 {
			j.Weights[k] /= u.size[k]
			j.Identified = true
		}
	}
	return j
}

// climb fits the weights per unit: by Newton's method where it leads up, else one
// judge after the other. The density is concave and each weight bounded on its
// own, so that both end at its top.
func (j *Jury) climb(u *units, y []float64) {
	at := math.Inf(-1)
	for range juryRounds {
		next, density, ok := j.step(u, y, at)
		if !ok {
			next = slices.Clone(j.Weights)
			for k, z := range u.z {
				offset := u.sum(next)
				for i := range offset {
					offset[i] -= next[k] * z[i]
				}
				next[k] = ridgeSlope(z, y, offset, next[k])
			}
			if density = goldDensity(u, y, next); density < floor(at) {
				return
			}
		}
		moved := 0.0
		for k, w := range next {
			moved = math.Max(moved, math.Abs(w-j.Weights[k]))
		}
		j.Weights, at = next, density
		j.Trace = append(j.Trace, density)
		if moved < juryTolerance {
			return
		}
	}
}

// step is Newton's, over the weights that are not held at 0; ok tells whether it
// leads up.
func (j *Jury) step(u *units, y []float64, at float64) (next []float64, density float64, ok bool) {
	sums := u.sum(j.Weights)
	p := make([]float64, len(y))
	for i, s := range sums {
		p[i] = Sigmoid(s)
	}
	var free []int
	var down []float64
	for k, w := range j.Weights {
		g := -juryRidge * w
		for i, z := range u.z[k] {
			g += z * (y[i] - p[i])
		}
		if w > 0 || g > 0 {
			free, down = append(free, k), append(down, g)
		}
	}
	curve := make([][]float64, len(free))
	for a, k := range free {
		curve[a] = make([]float64, len(free))
		curve[a][a] = juryRidge
		for b, l := range free[:a+1] {
			for i, z := range u.z[k] {
				curve[a][b] += z * u.z[l][i] * p[i] * (1 - p[i])
			}
			curve[b][a] = curve[a][b]
		}
	}
	step := solveFor(curve, down)
	for t := 1.0; t > 0.1; t /= 2 {
		next = slices.Clone(j.Weights)
		for a, k := range free {
			next[k] = math.Max(0, next[k]+t*step[a])
		}
		if density = goldDensity(u, y, next); density >= floor(at) {
			return next, density, true
		}
	}
	return nil, 0, false
}

// goldDensity is the logarithm of the posterior density of weights, up to a
// constant.
func goldDensity(u *units, y, weights []float64) (density float64) {
	for _, w := range weights {
		density -= juryRidge / 2 * w * w
	}
	for i, s := range u.sum(weights) {
		density -= softplus(-s) + (1-y[i])*s
	}
	return density
}

// sum gives each pair's log-odds.
func (u *units) sum(weights []float64) (sums []float64) {
	for k, w := range weights {
		if sums == nil {
			sums = make([]float64, len(u.z[k]))
		}
		for i, z := range u.z[k] {
			sums[i] += w * z
		}
	}
	return sums
}

// CrossFitJury gives each pair the log-odds of a jury that was weighed by
// [JuryOfGold] on other prompts alone, which are dealt into five parts as by
// [CrossFit]: figures over them are out of fold.
func CrossFitJury(margins [][]float64, labels []float64, prompts []dataset.Hash) []float64 {
	out := make([]float64, len(labels))
	for fold := range numFolds {
		hidden := make([]float64, len(labels))
		for i, p := range labels {
			if hidden[i] = p; foldOf(prompts[i]) == fold {
				hidden[i] = math.NaN()
			}
		}
		j := JuryOfGold(margins, hidden)
		for i := range out {
			if foldOf(prompts[i]) == fold {
				out[i] = j.Margin(margins, i)
			}
		}
	}
	return out
}

// VoteKappa is Cohen's κ between two judges' choices, a tie being a class of its
// own, over the n pairs on which both have a margin.
func VoteKappa(first, second []float64) (kappa float64, n int) {
	var a, b []float64
	for i := range first {
		if !math.IsNaN(first[i] + second[i]) {
			a, b = append(a, voteShare(first[i])), append(b, voteShare(second[i]))
		}
	}
	return Kappa(a, b), len(a)
}

// ErrorCorrelation is by how much two judges agree beyond what their accuracies
// a and b give, if they err independently: with votes v, w = ±1, ties 0, and
// d = 2a − 1, e = 2b − 1,
//
//	ρ = (mean of v·w − d·e) / √((1 − d²)(1 − e²))
//
// the correlation of their errors given which reply is better. Above 0 the second
// judge adds less than its accuracy promises. Accuracies that were estimated from
// these votes alone leave nothing over where there are three judges: ρ is then 0
// whatever the truth. NaN over no shared pairs, and for a judge without fault.
func ErrorCorrelation(first, second []float64, a, b float64) float64 {
	sum, n := 0.0, 0.0
	for i := range first {
		if v := (2*voteShare(first[i]) - 1) * (2*voteShare(second[i]) - 1); !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	d, e := 2*a-1, 2*b-1
	scale := math.Sqrt((1 - d*d) * (1 - e*e))
	if scale == 0 {
		return math.NaN()
	}
	return (sum/n - d*e) / scale
}
