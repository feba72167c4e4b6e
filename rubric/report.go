package rubric

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"cai/dataset"
	"cai/eval"
)

const (
	// deadSD is the standard deviation, on the scale from 0 to 1, under which a
	// criterion tells replies apart by nothing.
	deadSD = 0.01
	// redundantRho is the rank correlation over which two criteria say the same.
	redundantRho = 0.95
)

// Report is how consistent a rubric and its judge are, over the replies of which
// every question was answered.
type Report struct {
	Replies int `json:"replies"`
	Prompts int `json:"prompts"`
	Samples int `json:"samples"`
	// ICC is the agreement of the samples about the replies' totals, ICC(A,1) of
	// a single sample and ICC(A,k) of the mean of all.
	ICC     eval.Figure   `json:"icc"`
	ICCCI   eval.Interval `json:"icc_ci"`
	ICCMean eval.Figure   `json:"icc_mean"`
	// ListBias is by how much the total is higher in samples that list the levels
	// from the highest down.
	ListBias eval.Figure `json:"list_bias"`
	// Halo is the mean rank correlation between two criteria, pitfalls turned
	// round: 1 if each of them only says what the others say. A good rubric has
	// some, as good replies are good in more than one way.
	Halo   eval.Figure   `json:"halo"`
	HaloCI eval.Interval `json:"halo_ci"`
	// FirstShare is the share of the largest eigenvalue of the matrix of rank
	// correlations: 1 for one quality under many names, 1/criteria for as many
	// independent ones.
	FirstShare eval.Figure `json:"first_share"`
	// Correlations are Spearman's ρ between the criteria, in their order, by mean
	// over samples, over the replies to which both apply; as they are, pitfalls
	// not turned.
	Correlations [][]eval.Figure `json:"correlations"`
	Criteria     []CriterionInfo `json:"criteria"`
	Dead         []string        `json:"dead"`      // criteria that give every reply the same
	Redundant    []Redundancy    `json:"redundant"` // pairs of criteria that say the same
}

// Redundancy is two criteria whose |ρ| is over 0.95.
type Redundancy struct {
	A   string      `json:"a"`
	B   string      `json:"b"`
	Rho eval.Figure `json:"rho"`
}

// CriterionInfo is what a criterion was like over the replies.
type CriterionInfo struct {
	ID      string      `json:"id"`
	Applied int         `json:"applied"` // replies
	Mean    eval.Figure `json:"mean"`
	SD      eval.Figure `json:"sd"`
	// ICC is as that of the total.
	ICC      eval.Figure   `json:"icc"`
	ICCCI    eval.Interval `json:"icc_ci"`
	ListBias eval.Figure   `json:"list_bias"`
	// Discrimination is the corrected item-total correlation: Spearman's ρ of the
	// criterion, a pitfall turned round, with the total of all others. Near 0 or
	// under it the criterion goes its own way.
	Discrimination   eval.Figure   `json:"discrimination"`
	DiscriminationCI eval.Interval `json:"discrimination_ci"`
	// Levels is the mean distribution over the levels: how much each is used.
	Levels   []eval.Figure `json:"levels"`
	Coverage eval.Figure   `json:"coverage"` // mean
}

// table has scores: by reply, criterion and sample; NaN where there is none.
type table struct {
	rubric  *Rubric
	results []*Result // those of which every question was answered
	cells   [][][]float64
	means   [][]float64 // by criterion and reply, the mean over samples
	totals  [][]float64 // by reply and sample
	prompts []dataset.Hash
	samples int
}

// Consistency measures the results of one rubric, graded criterion by criterion
// with the same number of samples. Intervals are clustered by prompt.
func Consistency(r *Rubric, results []*Result, minCoverage float64, o eval.Options) Report {
	t := tabulate(r, results, minCoverage)
	n := len(r.Criteria)
	rep := Report{Replies: len(t.cells), Samples: t.samples, Dead: []string{}, Redundant: []Redundancy{}}
	prompts := map[dataset.Hash]bool{}
	for _, h := range t.prompts {
		prompts[h] = true
	}
	rep.Prompts = len(prompts)
	all := t.icc(t.totals, nil)
	rep.ICC, rep.ICCMean = all.Agreement, all.AgreementMean
	rep.ListBias = listBias(t.totals)
	for i := range r.Criteria {
		rep.Criteria = append(rep.Criteria, t.criterion(i, minCoverage))
		if c := &rep.Criteria[i]; c.Applied > 0 && !(float64(c.SD) >= deadSD) {
			rep.Dead = append(rep.Dead, c.ID)
		}
	}
	m := t.correlations(t.everyone())
	rep.Correlations = make([][]eval.Figure, n)
	for i := range n {
		for j := range n {
			rep.Correlations[i] = append(rep.Correlations[i], eval.Figure(m[i][j]))
			if j < i && math.Abs(m[i][j]) > redundantRho {
				rep.Redundant = append(rep.Redundant, Redundancy{r.Criteria[j].ID, r.Criteria[i].ID, eval.Figure(m[i][j])})
			}
		}
	}
	rep.Halo = eval.Figure(t.halo(m))
	rep.FirstShare = eval.Figure(firstShare(m))
	t.intervals(&rep, o)
	return rep
}

func tabulate(r *Rubric, results []*Result, minCoverage float64) *table {
	t := &table{rubric: r, means: make([][]float64, len(r.Criteria))}
	for _, res := range results {
		if len(res.Items) != len(r.Criteria) || slices.ContainsFunc(res.Items, func(it Item) bool { return it.Err != nil }) {
			continue
		}
		row := make([][]float64, len(res.Items))
		for i := range res.Items {
			for s := range res.Items[i].Samples {
				g := &res.Items[i].Samples[s]
				x := g.Score()
				if !dataset.Counts(g.Coverage, minCoverage) {
					x = math.NaN()
				}
				row[i] = append(row[i], x)
			}
			t.samples = max(t.samples, len(row[i]))
			t.means[i] = append(t.means[i], meanOf(row[i]))
		}
		t.results = append(t.results, res)
		t.cells = append(t.cells, row)
		t.prompts = append(t.prompts, res.Reply.Prompt.Key())
	}
	for _, row := range t.cells {
		var total []float64
		for s := range t.samples {
			sum, weights := 0.0, 0.0
			for i := range row {
				w := r.Criteria[i].Weight
				if s >= len(row[i]) || math.IsNaN(row[i][s]) {
					continue
				}
				sum += w*row[i][s] + max(0, -w)
				weights += math.Abs(w)
			}
			total = append(total, sum/weights)
		}
		t.totals = append(t.totals, total)
	}
	return t
}

// meanOf is over what is not NaN; NaN where nothing is.
func meanOf(xs []float64) float64 {
	sum, n := 0.0, 0
	for _, x := range xs {
		if !math.IsNaN(x) {
			sum += x
			n++
		}
	}
	return sum / float64(n)
}

// icc is over the rows of the items, nil for all, that have every sample.
func (t *table) icc(rows [][]float64, items []int) eval.ICC {
	full := make([][]float64, 0, len(rows))
	add := func(row []float64) {
		if len(row) == t.samples && !slices.ContainsFunc(row, math.IsNaN) {
			full = append(full, row)
		}
	}
	if items == nil {
		for _, row := range rows {
			add(row)
		}
	}
	for _, i := range items {
		add(rows[i])
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, row := range full {
		lo, hi = min(lo, slices.Min(row)), max(hi, slices.Max(row))
	}
	if !(hi-lo > 1e-9) {
		full = nil // all the same but for rounding: nothing to correlate
	}
	return eval.Intraclass(full)
}

// listBias is the mean of the odd samples less that of the even ones.
func listBias(rows [][]float64) eval.Figure {
	var sums, counts [2]float64
	for _, row := range rows {
		for s, x := range row {
			if !math.IsNaN(x) {
				sums[s%2] += x
				counts[s%2]++
			}
		}
	}
	return eval.Figure(sums[1]/counts[1] - sums[0]/counts[0])
}

func (t *table) criterion(i int, minCoverage float64) CriterionInfo {
	c := CriterionInfo{ID: t.rubric.Criteria[i].ID, SD: eval.Figure(math.NaN())}
	rows := t.rows(i)
	mean := meanOf(t.means[i])
	c.Mean = eval.Figure(mean)
	squares := 0.0
	for _, x := range t.means[i] {
		if !math.IsNaN(x) {
			c.Applied++
			squares += (x - mean) * (x - mean)
		}
	}
	if c.Applied > 1 {
		c.SD = eval.Figure(math.Sqrt(squares / float64(c.Applied-1)))
	}
	c.ICC = t.icc(rows, nil).Agreement
	c.ListBias = listBias(rows)
	c.Discrimination = eval.Figure(spearman(t.turned(i), t.rest(i), t.everyone()))
	n, coverage := 0.0, 0.0
	for _, res := range t.results {
		p, cov := res.Items[i].Distribution(minCoverage)
		if p == nil {
			continue
		}
		if c.Levels == nil {
			c.Levels = make([]eval.Figure, len(p))
		}
		n++
		coverage += (cov - coverage) / n
		for k, x := range p {
			c.Levels[k] += (eval.Figure(x) - c.Levels[k]) / eval.Figure(n)
		}
	}
	c.Coverage = eval.Figure(coverage)
	return c
}

// Resamples for the intervals: as many as for other figures where there are few
// replies, fewer where there are many, since each is a sort of every criterion.
const (
	mostResamples  = eval.MinResamples
	leastResamples = 200
	resampledRows  = 400_000 // together
)

// intervals are drawn together, so that the replies of a resample are ranked for
// all figures at once.
func (t *table) intervals(rep *Report, o eval.Options) {
	n := len(t.means)
	own, rest, rows := make([][]float64, n), make([][]float64, n), make([][][]float64, n)
	for i := range n {
		own[i], rest[i], rows[i] = t.turned(i), t.rest(i), t.rows(i)
	}
	draws := min(mostResamples, max(leastResamples, resampledRows/max(1, len(t.cells))))
	ci := eval.BootstrapEach(t.prompts, func(items []int) []float64 {
		out := []float64{float64(t.icc(t.totals, items).Agreement), t.halo(t.correlations(items))}
		for i := range n {
			out = append(out, float64(t.icc(rows[i], items).Agreement), spearman(own[i], rest[i], items))
		}
		return out
	}, eval.Interval{-1, 1}, draws, o.Seed)
	rep.ICCCI, rep.HaloCI = ci[0], ci[1]
	for i := range n {
		rep.Criteria[i].ICCCI, rep.Criteria[i].DiscriminationCI = ci[2+2*i], ci[3+2*i]
	}
}

// everyone is the numbers of all replies.
func (t *table) everyone() []int {
	all := make([]int, len(t.cells))
	for i := range all {
		all[i] = i
	}
	return all
}

// rows gives a criterion's scores by reply and sample.
func (t *table) rows(i int) [][]float64 {
	out := make([][]float64, len(t.cells))
	for j, row := range t.cells {
		out[j] = row[i]
	}
	return out
}

// turned gives a criterion's means so that more is better.
func (t *table) turned(i int) []float64 {
	out := slices.Clone(t.means[i])
	if t.rubric.Criteria[i].Pitfall() {
		for j := range out {
			out[j] = 1 - out[j]
		}
	}
	return out
}

// rest gives for each reply the total of all criteria but one.
func (t *table) rest(but int) []float64 {
	out := make([]float64, len(t.cells))
	for j := range out {
		sum, weights := 0.0, 0.0
		for i := range t.means {
			x, w := t.means[i][j], t.rubric.Criteria[i].Weight
			if i == but || math.IsNaN(x) {
				continue
			}
			sum += w*x + max(0, -w)
			weights += math.Abs(w)
		}
		out[j] = sum / weights
	}
	return out
}

// spearman is over the items that have both values.
func spearman(x, y []float64, items []int) float64 {
	var a, b []float64
	for _, i := range items {
		if !math.IsNaN(x[i]) && !math.IsNaN(y[i]) {
			a, b = append(a, x[i]), append(b, y[i])
		}
	}
	return eval.Spearman(a, b)
}

func (t *table) correlations(items []int) [][]float64 {
	n := len(t.means)
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n)
		for j := range i {
			m[i][j] = spearman(t.means[i], t.means[j], items)
			m[j][i] = m[i][j]
		}
		m[i][i] = spearman(t.means[i], t.means[i], items)
	}
	return m
}

// halo is the mean of what stands beside the diagonal, pitfalls turned round.
func (t *table) halo(m [][]float64) float64 {
	var all []float64
	for i := range m {
		for j := range i {
			x := m[i][j]
			if t.rubric.Criteria[i].Pitfall() != t.rubric.Criteria[j].Pitfall() {
				x = -x
			}
			all = append(all, x)
		}
	}
	return meanOf(all)
}

// firstShare is the largest eigenvalue over the number of criteria that vary;
// NaN for fewer than two of them.
func firstShare(m [][]float64) float64 {
	var live []int
	for i := range m {
		if !math.IsNaN(m[i][i]) {
			live = append(live, i)
		}
	}
	if len(live) < 2 {
		return math.NaN()
	}
	sym := mat.NewSymDense(len(live), nil)
	for a, i := range live {
		for b, j := range live {
			x := m[i][j]
			if math.IsNaN(x) { // never asked about the same replies
				x = 0
			}
			sym.SetSym(a, b, x)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(sym, false) {
		return math.NaN()
	}
	return slices.Max(e.Values(nil)) / float64(len(live))
}
