package eval

import (
	"cmp"
	"math"
	"slices"
)

// Figures are what is said of a whole set and of each of its subsets. N, Prompts
// and Ties count pairs, prompts and pairs that the comparer called a tie.
type Figures struct {
	N        int      `json:"n"`
	Prompts  int      `json:"prompts"`
	Ties     int      `json:"ties"`
	Accuracy Figure   `json:"accuracy"`
	CI       Interval `json:"ci"`
	// Baselines are the accuracies of the null baselines on the same pairs.
	Baselines   map[string]Figure   `json:"baselines"`
	BaselinesCI map[string]Interval `json:"baselines_ci"`
	// BestBaseline is the most accurate of them on these pairs, and Delta the
	// accuracy less its accuracy. DeltaCI is paired: both are taken over the
	// same resamples, with the baseline held fixed. Above 0, the comparer does
	// what the baseline can't explain.
	BestBaseline string   `json:"best_baseline,omitempty"`
	Delta        Figure   `json:"delta"`
	DeltaCI      Interval `json:"delta_ci"`
}

// Set is the evaluation of one comparer on one set of pairs. The package
// comment defines its figures.
type Set struct {
	Name string `json:"name"`
	Figures
	LogLoss        Figure             `json:"log_loss"`
	LogLossCI      *Interval          `json:"log_loss_ci,omitempty"` // nil without LogLoss
	Brier          Figure             `json:"brier"`
	BrierCI        *Interval          `json:"brier_ci,omitempty"` // nil without Brier
	ECE            Figure             `json:"ece"`
	LengthSpearman Figure             `json:"length_spearman"`
	Subsets        map[string]Figures `json:"subsets"`
	// Skipped counts the pairs left out, by reason.
	Skipped map[string]int `json:"skipped"`
}

// summarise computes everything; it reorders rows.
func summarise(rows []row, ordinal bool, o Options) Set {
	slices.SortFunc(rows, compareRows)
	s := Set{Subsets: map[string]Figures{}}
	s.LogLoss, s.Brier, s.ECE = Figure(math.NaN()), Figure(math.NaN()), Figure(math.NaN())
	n := len(rows)
	diff, length := make([]float64, n), make([]float64, n)
	for i, r := range rows {
		diff[i], length[i] = r.diff, r.length
	}
	s.LengthSpearman = Figure(Spearman(diff, length))
	s.Figures = figures(rows, o)
	if !ordinal && n > 0 {
		s.calibration(rows, o)
	}

	// The sort is stable, so within a subset the order stays the rows' own.
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.subset, b.subset) })
	for i := 0; i < n; {
		j := i + 1
		for j < n && rows[j].subset == rows[i].subset {
			j++
		}
		if rows[i].subset != "" {
			s.Subsets[rows[i].subset] = figures(rows[i:j], o)
		}
		i = j
	}
	return s
}

// compareRows is a total order over all that is kept of a pair: rows that it
// calls equal are the same. Clusters are contiguous in it.
func compareRows(a, b row) int {
	return cmp.Or(
		slices.Compare(a.cluster[:], b.cluster[:]),
		cmp.Compare(a.margin, b.margin),
		cmp.Compare(a.diff, b.diff),
		cmp.Compare(a.p, b.p),
		cmp.Compare(a.length, b.length),
		slices.Compare(a.null[:], b.null[:]),
		cmp.Compare(a.subset, b.subset),
	)
}

// tabulate puts f of every row into a table by cluster.
func tabulate(rows []row, width int, f func(r *row, out []float64)) *table {
	t := newTable(width)
	values := make([]float64, width)
	for i := range rows {
		if i == 0 || rows[i].cluster != rows[i-1].cluster {
			t.next()
		}
		f(&rows[i], values)
		t.add(values...)
	}
	return t
}

// figures computes the accuracies of rows, which are sorted by cluster.
func figures(rows []row, o Options) Figures {
	k := len(baselines)
	f := Figures{
		N:           len(rows),
		Baselines:   make(map[string]Figure, k),
		BaselinesCI: make(map[string]Interval, k),
	}
	// Columns: accuracy, each baseline's, then the difference to each.
	t := tabulate(rows, 1+2*k, func(r *row, out []float64) {
		out[0] = correct(r.margin, r.p)
		for i := range k {
			out[1+i] = correct(float64(r.null[i]), r.p)
			out[1+k+i] = out[0] - out[1+i]
		}
		if r.margin == 0 {
			f.Ties++
		}
	})
	f.Prompts = t.clusters()
	bounds := make([]Interval, t.width)
	for i := range bounds {
		bounds[i] = Interval{0, 1}
		if i > k {
			bounds[i] = Interval{-1, 1}
		}
	}
	point, ci := t.means(), t.intervals(o, bounds)
	f.Accuracy, f.CI = Figure(point[0]), ci[0]
	best := 0
	for i, b := range baselines {
		f.Baselines[b.name], f.BaselinesCI[b.name] = Figure(point[1+i]), ci[1+i]
		if point[1+i] > point[1+best] {
			best = i
		}
	}
	f.Delta, f.DeltaCI = Figure(point[1+k+best]), ci[1+k+best]
	if f.N > 0 {
		f.BestBaseline = baselines[best].name
	}
	return f
}

// calibration computes the figures that need the margins to be log-odds.
func (s *Set) calibration(rows []row, o Options) {
	conf, corr := make([]float64, len(rows)), make([]float64, len(rows))
	for i, r := range rows {
		conf[i], corr[i] = Sigmoid(math.Abs(clamp(r.margin))), 0.5
		switch {
		case r.margin > 0:
			corr[i] = r.p
		case r.margin < 0:
			corr[i] = 1 - r.p
		}
	}
	s.ECE = Figure(ECE(conf, corr, ECEBins))
	t := tabulate(rows, 2, func(r *row, out []float64) {
		out[0], out[1] = logLoss(r.margin, r.p), brier(r.margin, r.p)
	})
	point, ci := t.means(), t.intervals(o, []Interval{{0, MaxLogOdds}, {0, 1}})
	s.LogLoss, s.LogLossCI = Figure(point[0]), &ci[0]
	s.Brier, s.BrierCI = Figure(point[1]), &ci[1]
}
