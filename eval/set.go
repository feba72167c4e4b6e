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
	// Baselines are the accuracies of the null baselines on the same pairs. Where
	// replies have authors, [AuthorBaseline] is among them, over the pairs of
	// Author.
	Baselines   map[string]Figure   `json:"baselines"`
	BaselinesCI map[string]Interval `json:"baselines_ci"`
	// Author tells of the author baseline; nil where no pair names both authors.
	Author *AuthorFigures `json:"author,omitempty"`
	// Words tells of the bag-of-words baseline, which is then among Baselines as
	// [WordsKey]; nil where it was not asked for, or could not be fitted.
	Words *WordFigures `json:"bag_of_words,omitempty"`
	// BestBaseline is the one that the comparer is least above, and Delta the
	// accuracy less its accuracy. DeltaCI is paired: both are taken over the
	// same resamples, with the baseline held fixed. Above 0, the comparer does
	// what the baseline can't explain. The author baseline and the bag of words are
	// compared on their own pairs, and count here where they are at least half of all.
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
	// Benchmark is the score by the benchmark's own rule; nil for plain pairs.
	Benchmark *Benchmark `json:"benchmark,omitempty"`
	// ByLength is the accuracy by how long the chosen reply is, in code points, over
	// the rejected one: bands of like size, from the shortest. ByOverlap is that by
	// [Overlap] of the two replies. Both need [Options].Bins, as does Reliability,
	// the curve of max(p, 1 − p) against correctness in the bins of ECE, with
	// intervals by prompt.
	ByLength    []Band `json:"by_length,omitempty"`
	ByOverlap   []Band `json:"by_overlap,omitempty"`
	Reliability []Bin  `json:"reliability,omitempty"`
	// SampledFrom is the number of pairs there were, where only some prompts were
	// kept ([Options].Sample); else 0.
	SampledFrom int `json:"sampled_from,omitempty"`
	// Skipped counts the pairs left out, by reason.
	Skipped map[string]int `json:"skipped"`
}

// summarise computes everything; it reorders rows.
func summarise(rows []row, ordinal bool, o Options) Set {
	slices.SortFunc(rows, compareRows)
	bagRows(rows, o)
	s := Set{Subsets: map[string]Figures{}}
	s.LogLoss, s.Brier, s.ECE = Figure(math.NaN()), Figure(math.NaN()), Figure(math.NaN())
	n := len(rows)
	diff, length := make([]float64, n), make([]float64, n)
	for i, r := range rows {
		diff[i], length[i] = r.diff, r.length
	}
	s.LengthSpearman = Figure(Spearman(diff, length))
	fig, point, samples := figures(rows, o)
	s.Figures = fig
	if !ordinal && n > 0 {
		logLossCI := interval(samples[colLogLoss], point[colLogLoss], Interval{0, MaxLogOdds})
		brierCI := interval(samples[colBrier], point[colBrier], Interval{0, 1})
		s.LogLoss, s.LogLossCI = Figure(point[colLogLoss]), &logLossCI
		s.Brier, s.BrierCI = Figure(point[colBrier]), &brierCI
		s.ECE = Figure(calibrationError(rows))
	}

	if o.Bins {
		s.bins(rows, ordinal, o)
	}

	// The sort is stable, so within a subset the order stays the rows' own.
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.subset, b.subset) })
	for i := 0; i < n; {
		j := i + 1
		for j < n && rows[j].subset == rows[i].subset {
			j++
		}
		if rows[i].subset != "" {
			s.Subsets[rows[i].subset], _, _ = figures(rows[i:j], o)
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
		cmp.Compare(a.chosenBy, b.chosenBy),
		cmp.Compare(a.rejectedBy, b.rejectedBy),
		cmp.Compare(a.words, b.words),
		slices.Compare(a.bag, b.bag),
	)
}

// The columns of a set's table; each baseline has one from colNull on.
const (
	colAccuracy = iota
	colLogLoss
	colBrier
	colNull
)

// tabulate sums up rows, which are sorted by cluster.
func tabulate(rows []row) *table {
	t := &table{}
	for i := range rows {
		r := &rows[i]
		if i == 0 || r.cluster != rows[i-1].cluster {
			t.next()
		}
		t.add(
			correct(r.margin, r.p), logLoss(r.margin, r.p), brier(r.margin, r.p),
			correct(float64(r.null[0]), r.p),
			correct(float64(r.null[1]), r.p),
			correct(float64(r.null[2]), r.p),
		)
	}
	return t
}

// figures computes the accuracies of rows, and gives what the losses need:
// means and resamples of the table's columns.
func figures(rows []row, o Options) (f Figures, point [columns]float64, samples [columns][]float64) {
	t := tabulate(rows)
	point, samples = t.means(), t.resample(o)
	f = Figures{
		N: len(rows), Prompts: len(t.sums),
		Accuracy:    Figure(point[colAccuracy]),
		Baselines:   make(map[string]Figure, len(baselines)),
		BaselinesCI: make(map[string]Interval, len(baselines)),
	}
	for i := range rows {
		if rows[i].margin == 0 {
			f.Ties++
		}
	}
	best := 0
	for i := range baselines {
		if point[colNull+i] > point[colNull+best] {
			best = i
		}
	}
	if f.N > 0 {
		f.BestBaseline = baselines[best].name
	}
	// The difference comes first, since interval sorts the samples.
	f.Delta = Figure(point[colAccuracy] - point[colNull+best])
	delta := slices.Clone(samples[colAccuracy])
	for i := range delta {
		delta[i] -= samples[colNull+best][i]
	}
	f.DeltaCI = interval(delta, float64(f.Delta), Interval{-1, 1})
	f.CI = interval(samples[colAccuracy], point[colAccuracy], Interval{0, 1})
	for i, b := range baselines {
		f.Baselines[b.name] = Figure(point[colNull+i])
		f.BaselinesCI[b.name] = interval(samples[colNull+i], point[colNull+i], Interval{0, 1})
	}
	if f.Author = authorFigures(rows, o); f.Author != nil {
		f.Baselines[AuthorBaseline], f.BaselinesCI[AuthorBaseline] = f.Author.Accuracy, f.Author.CI
		if 2*f.Author.N >= f.N && f.Author.Delta < f.Delta {
			f.BestBaseline, f.Delta, f.DeltaCI = AuthorBaseline, f.Author.Delta, f.Author.DeltaCI
		}
	}
	if f.Words = wordFigures(rows, o); f.Words != nil {
		f.Baselines[WordsKey], f.BaselinesCI[WordsKey] = f.Words.Accuracy, f.Words.CI
		if 2*f.Words.N >= f.N && f.Words.Delta < f.Delta {
			f.BestBaseline, f.Delta, f.DeltaCI = WordsBaseline, f.Words.Delta, f.Words.DeltaCI
		}
	}
	return f, point, samples
}

// calibrationError is the ECE of rows.
func calibrationError(rows []row) float64 {
	conf, corr := make([]float64, len(rows)), make([]float64, len(rows))
	for i, r := range rows {
		conf[i], corr[i] = confidence(r.margin, r.p)
	}
	return ECE(conf, corr, ECEBins)
}
