package audit

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"

	"cai/dataset"
	"cai/eval"
	"cai/probe"
)

// Cause is a feature of the texts and how far the scores follow it.
type Cause struct {
	Feature string `json:"feature"`
	About   string `json:"about"`
	// Nuisance tells that a reply is no better for more of it.
	Nuisance bool `json:"nuisance"`
	// Observed is a share of the variance of the score over the replies: the
	// feature's R², averaged over all orders in which the features can be taken up
	// (Lindeman, Merenda and Gold 1980; the Shapley value of R²), so that the shares
	// add up to R². ByEdits is the same of what the worthless edits changed in the
	// scores: the one is what goes together, the other what was brought about.
	Observed eval.Figure `json:"observed"`
	ByEdits  eval.Figure `json:"by_edits"`
	// Share is the mean of the two.
	Share eval.Figure    `json:"share"`
	CI    [2]eval.Figure `json:"ci"`
	// Slope is in standard deviations of the score for one of the feature, with the
	// others held fixed; Correlation is Spearman's ρ of feature and score.
	Slope       eval.Figure `json:"slope"`
	Correlation eval.Figure `json:"correlation"`
	// Frozen is by how much the standard deviation of the score falls, as a share
	// of it, when what the feature gives by Slope is held at its mean.
	Frozen eval.Figure `json:"frozen"`
}

// Explained is what the causes are shares of.
type Explained struct {
	// WithinPrompts tells that scores and features are compared between replies to
	// one prompt: less their means over its replies. It is so where at least half
	// of the replies have another to the same prompt beside them; the rest are then
	// left out.
	WithinPrompts bool        `json:"within_prompts"`
	N             int         `json:"n"`
	R2            eval.Figure `json:"r2"`       // all features together
	R2Edits       eval.Figure `json:"r2_edits"` // the same of Cause.ByEdits
	EditsN        int         `json:"edits_n"`
	// LengthCorrelation is Spearman's ρ of score and log length, compared as the
	// features are.
	LengthCorrelation eval.Figure    `json:"length_correlation"`
	LengthCI          [2]eval.Figure `json:"length_correlation_ci"`
}

// causeResamples is how many resamples give the intervals of shares.
const causeResamples = 200

// observation is a row of the regression.
type observation struct {
	y     float64
	x     []float64
	reply string // empty of an edit
}

// Causes explains the scores of the reference by the concepts, the largest share
// first.
func Causes(ctx context.Context, r *Reference, o ProbeOptions) ([]Cause, *Explained, error) {
	observed, within, err := r.observations(ctx)
	if err != nil {
		return nil, nil, err
	}
	edited, err := r.editObservations(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	all := make([]int, len(r.Cases))
	for i := range all {
		all[i] = i
	}
	k := len(concepts)
	rows, changes := gather(observed, all), gather(edited, all)
	whole, brought := decompose(rows), decompose(changes)
	cis := eval.BootstrapEach(r.prompts, func(items []int) []float64 {
		f, g := decompose(gather(observed, items)), decompose(gather(edited, items))
		out := make([]float64, k+1)
		for j := range k {
			out[j] = (f.share[j] + g.share[j]) / 2
		}
		out[k] = f.spearmanLength
		return out
	}, eval.Interval{math.Inf(-1), math.Inf(1)}, causeResamples, o.Seed)
	e := &Explained{
		WithinPrompts: within, N: len(rows), EditsN: len(changes), R2: eval.Figure(whole.r2), R2Edits: eval.Figure(brought.r2),
		LengthCorrelation: eval.Figure(whole.spearmanLength), LengthCI: figures(cis[k]),
	}
	out := make([]Cause, k)
	column, y := make([]float64, len(rows)), make([]float64, len(rows))
	for i := range rows {
		y[i] = rows[i].y
	}
	for j := range concepts {
		for i := range rows {
			column[i] = rows[i].x[j]
		}
		out[j] = Cause{
			Feature: concepts[j].name, About: concepts[j].about, Nuisance: concepts[j].nuisance,
			Observed: eval.Figure(whole.share[j]), ByEdits: eval.Figure(brought.share[j]),
			Share: eval.Figure((whole.share[j] + brought.share[j]) / 2), CI: figures(cis[j]),
			Slope: eval.Figure(whole.slope[j]), Correlation: eval.Figure(eval.Spearman(column, y)), Frozen: eval.Figure(whole.frozen[j]),
		}
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return cmp.Compare(float64(b.Share), float64(a.Share)) })
	return out, e, nil
}

// gather puts the rows of cases together, which may come more than once.
func gather(by [][]*observation, cases []int) (out []*observation) {
	for _, i := range cases {
		out = append(out, by[i]...)
	}
	return out
}

// observations measures the replies of the reference, one prompt's replies once
// each.
func (r *Reference) observations(ctx context.Context) (by [][]*observation, within bool, err error) {
	by = make([][]*observation, len(r.Cases))
	err = r.each(ctx, len(r.Cases), func(i int) error {
		p := promptWords(r.Cases[i].Prompt)
		for j, reply := range r.Cases[i].Replies {
			by[i] = append(by[i], &observation{r.Scores[i][j], measure(p, reply), reply})
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	prompts := map[dataset.Hash][]*observation{}
	seen := map[dataset.Hash]bool{}
	n, beside := 0, 0
	for i := range by {
		var own []*observation
		for j, reply := range r.Cases[i].Replies {
			if h := dataset.ResponseHash(r.prompts[i], reply); !seen[h] {
				seen[h] = true
				own = append(own, by[i][j])
			}
		}
		by[i] = own
		n += len(own)
		prompts[r.prompts[i]] = append(prompts[r.prompts[i]], own...)
	}
	for _, of := range prompts {
		if len(of) > 1 {
			beside += len(of)
		}
	}
	if 2*beside < n {
		return by, false, nil
	}
	for i := range by {
		if len(prompts[r.prompts[i]]) < 2 {
			by[i] = nil
		}
	}
	for _, of := range prompts {
		centre(of)
	}
	return by, true, nil
}

// centre takes the means from the rows.
func centre(rows []*observation) {
	mean, y := make([]float64, len(concepts)), 0.0
	for _, o := range rows {
		y += o.y / float64(len(rows))
		for k, v := range o.x {
			mean[k] += v / float64(len(rows))
		}
	}
	for _, o := range rows {
		o.y -= y
		for k := range o.x {
			o.x[k] -= mean[k]
		}
	}
}

// decomposition is a regression of scores on concepts.
type decomposition struct {
	r2                   float64
	share, slope, frozen []float64
	spearmanLength       float64
}

// ridge on the correlations keeps features that follow from others from dividing
// by nothing.
const ridge = 1e-6

// decompose regresses y on x.
func decompose(rows []*observation) decomposition {
	k := len(concepts)
	d := decomposition{share: make([]float64, k), slope: make([]float64, k), frozen: make([]float64, k), r2: math.NaN(), spearmanLength: math.NaN()}
	n := len(rows)
	if n < 3 {
		for j := range d.share {
			d.share[j], d.slope[j], d.frozen[j] = math.NaN(), math.NaN(), math.NaN()
		}
		return d
	}
	// The correlations of features, and last of the score, with each other.
	mean := make([]float64, k+1)
	for _, o := range rows {
		for j, v := range o.x {
			mean[j] += v / float64(n)
		}
		mean[k] += o.y / float64(n)
	}
	c := make([][]float64, k+1)
	for j := range c {
		c[j] = make([]float64, k+1)
	}
	v := make([]float64, k+1)
	for _, o := range rows {
		for j, x := range o.x {
			v[j] = x - mean[j]
		}
		v[k] = o.y - mean[k]
		for a := range v {
			for b := range a + 1 {
				c[a][b] += v[a] * v[b]
			}
		}
	}
	sd := make([]float64, k+1)
	for j := range sd {
		sd[j] = math.Sqrt(c[j][j])
	}
	var in []int // features that vary
	for j := range k {
		if sd[j] > 1e-9*math.Sqrt(float64(n)) {
			in = append(in, j)
		}
	}
	if sd[k] == 0 {
		return d
	}
	m := len(in)
	corr := make([][]float64, m)
	with := make([]float64, m)
	for a, i := range in {
		corr[a] = make([]float64, m)
		for b, j := range in {
			corr[a][b] = c[max(i, j)][min(i, j)] / (sd[i] * sd[j])
		}
		with[a] = c[k][i] / (sd[k] * sd[i])
	}
	r2 := subsets(corr, with)
	d.r2 = r2[len(r2)-1]
	// Weights |S|!(m−1−|S|)!/m! of the Shapley value.
	w := make([]float64, m)
	for s := range w {
		lg := func(x int) float64 { g, _ := math.Lgamma(float64(x) + 1); return g }
		w[s] = math.Exp(lg(s) + lg(m-1-s) - lg(m))
	}
	// A feature's share is Σ w(|S|−1)·R²(S) over the subsets with it, less Σ w(|S|)·R²(S)
	// over those without, which is the sum over all less that over those with it. What
	// is summed over those with the last feature is folded onto those without it.
	g, without := make([]float64, len(r2)), 0.0
	for s, r := range r2 {
		if size := bits.OnesCount(uint(s)); size < m {
			without += w[size] * r
			g[s] = w[size] * r
		}
		if size := bits.OnesCount(uint(s)); size > 0 {
			g[s] += w[size-1] * r
		}
	}
	for a := m - 1; a >= 0; a-- {
		half, sum := 1<<a, 0.0
		for s := half; s < 2*half; s++ {
			sum += g[s]
			g[s-half] += g[s]
		}
		d.share[in[a]] = sum - without
	}
	beta := solve(corr, with)
	for a, j := range in {
		d.slope[j] = beta[a]
		// Var(y − βx) over Var(y), all standardised: 1 − 2βρ + β².
		d.frozen[j] = 1 - math.Sqrt(max(0, 1-2*beta[a]*with[a]+beta[a]*beta[a]))
	}
	lengths, ys := make([]float64, n), make([]float64, n)
	for i, o := range rows {
		lengths[i], ys[i] = o.x[0], o.y
	}
	d.spearmanLength = eval.Spearman(lengths, ys)
	return d
}

// subsets gives R² of each subset of the features, by bit mask, from their
// correlations and those with the score. It goes down a tree of subsets with a
// Cholesky factor that grows by a row: R² gains the square of the row's entry for
// the score.
func subsets(corr [][]float64, with []float64) []float64 {
	m := len(with)
	out := make([]float64, 1<<m)
	type row struct {
		l []float64
		z float64
		j int
	}
	rows := make([]row, 0, m)
	buf := make([][]float64, m)
	for i := range buf {
		buf[i] = make([]float64, m)
	}
	var down func(from, mask int, r2 float64)
	down = func(from, mask int, r2 float64) {
		out[mask] = r2
		for j := from; j < m; j++ {
			depth := len(rows)
			l := buf[depth][:depth+1]
			left, z := corr[j][j]+ridge, with[j]
			for i := range depth {
				s := corr[j][rows[i].j]
				for t := range i {
					s -= rows[i].l[t] * l[t]
				}
				l[i] = s / rows[i].l[i]
				left -= l[i] * l[i]
				z -= l[i] * rows[i].z
			}
			l[depth] = math.Sqrt(max(left, ridge/2))
			z /= l[depth]
			rows = append(rows, row{l, z, j})
			down(j+1, mask|1<<j, r2+z*z)
			rows = rows[:depth]
		}
	}
	down(0, 0, 0)
	return out
}

// solve gives the weights of all features together.
func solve(corr [][]float64, with []float64) []float64 {
	m := len(with)
	l := make([][]float64, m)
	z := make([]float64, m)
	for j := range m {
		l[j] = make([]float64, j+1)
		for i := range j + 1 {
			s := corr[j][i]
			if i == j {
				s += ridge
			}
			for t := range i {
				s -= l[j][t] * l[i][t]
			}
			if i == j {
				l[j][j] = math.Sqrt(max(s, ridge/2))
			} else {
				l[j][i] = s / l[i][i]
			}
		}
		z[j] = with[j]
		for t := range j {
			z[j] -= l[j][t] * z[t]
		}
		z[j] /= l[j][j]
	}
	for j := m - 1; j >= 0; j-- {
		for t := j + 1; t < m; t++ {
			z[j] -= l[t][j] * z[t]
		}
		z[j] /= l[j][j]
	}
	return z
}

// editedCases bounds the cases whose edits are measured for the causes.
const editedCases = 100

// editObservations gives what each worthless edit, at each strength, changes in
// the score and in the concepts of the first replies.
func (r *Reference) editObservations(ctx context.Context, o ProbeOptions) ([][]*observation, error) {
	by := make([][]*observation, len(r.Cases))
	edits := probe.Of(probe.Worthless)
	err := r.each(ctx, min(len(r.Cases), editedCases), func(i int) error {
		c := &r.Cases[i]
		var texts []string
		t := probe.Text{Prompt: c.Prompt, Reply: c.Replies[len(c.Replies)-1], Principles: o.Principles}
		for k := range edits {
			for _, s := range edits[k].Strengths {
				if edited, ok := edits[k].Apply(t, s, o.Seed); ok {
					texts = append(texts, edited)
				}
			}
		}
		scores, err := r.score(ctx, c.Prompt, texts)
		if err != nil {
			return err
		}
		words := promptWords(c.Prompt)
		own := measure(words, t.Reply)
		for k, text := range texts {
			x := measure(words, text)
			for j := range x {
				x[j] -= own[j]
			}
			by[i] = append(by[i], &observation{y: scores[k] - r.Scores[i][len(c.Replies)-1], x: x})
		}
		return nil
	})
	return by, err
}
