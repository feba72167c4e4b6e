package audit

import (
	"context"
	"fmt"
	"math"
	"unicode/utf8"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

// Residual is a score less λ times what two nuisances, length and markup, give by
// regression.
type Residual struct {
	// Slope are the regression's weights of log code points and of log marks.
	Slope [2]float64 `json:"slope"`
	// Lambda is the least multiple of the grid at which Spearman's ρ of margin and
	// difference of length is at most Target on the reference pairs; the last one
	// where none is.
	Lambda float64     `json:"lambda"`
	Target float64     `json:"target"`
	Before eval.Figure `json:"before"` // ρ at λ = 0
	Rho    eval.Figure `json:"rho"`    // ρ at Lambda
	N      int         `json:"n"`      // reference pairs
}

const (
	// residualPairs bounds the reference pairs.
	residualPairs = 4000
	lambdaStep    = 0.05
	lambdaSteps   = 60
)

// residual scores by it.
type residual struct {
	Scorer
	Residual
}

func nuisance(s string) [2]float64 {
	return [2]float64{math.Log1p(float64(utf8.RuneCountInString(s))), math.Log1p(float64(marks(s)))}
}

func (r residual) ScoreAll(ctx context.Context, items []rm.Item) ([]rm.Score, error) {
	out, err := r.Scorer.ScoreAll(ctx, items)
	for i := range out {
		x := nuisance(items[i].Reply)
		out[i].Mean -= r.Lambda * (r.Slope[0]*x[0] + r.Slope[1]*x[1])
	}
	return out, err
}

func (r residual) about() string {
	reached := ""
	if r.Rho > eval.Figure(r.Target) {
		reached = ", which none of the grid reaches"
	}
	return fmt.Sprintf("the score less λ times what length and markup give by regression of differences; λ %.2f, the least with ρ ≤ %g on %d training pairs%s: %s there, %s before",
		r.Lambda, r.Target, r.N, reached, r.Rho, r.Before)
}

// residualise regresses the differences of the scores of pairs on those of the
// nuisances, without an intercept, since pairs have no order, and takes the least
// share of that from the score that brings ρ of margin and length down to the
// target (the rule of ArmoRM, Wang et al. 2024, which takes the verbosity reward
// off by the least λ of a grid).
func residualise(ctx context.Context, s Scorer, pairs []*dataset.Pair, target float64, seed int64) (residual, error) {
	pairs = drawn(pairs, residualPairs, seed+1)
	margins, err := marginsOf(ctx, s, pairs)
	if err != nil {
		return residual{}, err
	}
	var a, b, c, p, q float64
	diff, lengths := make([][2]float64, len(pairs)), make([]float64, len(pairs))
	for i, pair := range pairs {
		x, y := nuisance(pair.First.Text), nuisance(pair.Second.Text)
		u, v := x[0]-y[0], x[1]-y[1]
		diff[i] = [2]float64{u, v}
		lengths[i] = float64(utf8.RuneCountInString(pair.First.Text) - utf8.RuneCountInString(pair.Second.Text))
		a, b, c = a+u*u, b+u*v, c+v*v
		p, q = p+u*margins[i], q+v*margins[i]
	}
	r := residual{Scorer: s, Residual: Residual{Target: target, N: len(pairs)}}
	const tiny = 1e-9
	a, c = a+tiny, c+tiny
	if det := a*c - b*b; det > 0 {
		r.Slope = [2]float64{(p*c - q*b) / det, (q*a - p*b) / det}
	}
	left := make([]float64, len(pairs))
	for k := range lambdaSteps + 1 {
		r.Lambda = float64(k) * lambdaStep
		for i, d := range diff {
			left[i] = margins[i] - r.Lambda*(r.Slope[0]*d[0]+r.Slope[1]*d[1])
		}
		r.Rho = eval.Figure(eval.Spearman(left, lengths))
		if k == 0 {
			r.Before = r.Rho
		}
		if !(float64(r.Rho) > target) {
			break
		}
	}
	return r, nil
}
