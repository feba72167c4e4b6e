package eval

import (
	"cmp"
	"math"
	"slices"

	"cai/dataset"
	"cai/words"
)

// Band is the accuracy over the pairs whose value of something, such as how much
// longer the chosen reply is, lies between Low and High, both included.
type Band struct {
	Low      Figure   `json:"lo"`
	High     Figure   `json:"hi"`
	N        int      `json:"n"`
	Prompts  int      `json:"prompts"`
	Accuracy Figure   `json:"accuracy"`
	CI       Interval `json:"ci"`
}

// LengthBands and OverlapBands are how many bands pairs are cut into.
const (
	LengthBands  = 5
	OverlapBands = 4
)

// cutBands cuts rows into at most k bands of like size by the quantiles of a value.
// Rows of one value are in one band, the lower, so that there may be fewer.
func cutBands(rows []row, value func(*row) float64, k int, o Options) []Band {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(value(&rows[a]), value(&rows[b])), cmp.Compare(a, b))
	})
	var out []Band
	at := func(i int) float64 { return value(&rows[order[i]]) }
	for band, from := 0, 0; band < k && from < len(order); band++ {
		to := (band + 1) * len(order) / k
		if to <= from {
			continue
		}
		for to < len(order) && at(to) == at(to-1) {
			to++
		}
		part := make([]row, 0, to-from)
		for _, i := range order[from:to] {
			part = append(part, rows[i])
		}
		slices.SortFunc(part, compareRows)
		t := tabulate(part)
		acc := t.means()[colAccuracy]
		out = append(out, Band{
			Low: Figure(at(from)), High: Figure(at(to - 1)), N: len(part), Prompts: len(t.sums),
			Accuracy: Figure(acc), CI: interval(t.resample(o)[colAccuracy], acc, Interval{0, 1}),
		})
		from = to
	}
	return out
}

// bins adds the figures by bands and the reliability table to a set.
func (s *Set) bins(rows []row, ordinal bool, o Options) {
	s.ByLength = cutBands(rows, func(r *row) float64 { return r.ratio }, LengthBands, o)
	s.ByOverlap = cutBands(rows, func(r *row) float64 { return r.overlap }, OverlapBands, o)
	if ordinal || len(rows) == 0 {
		return
	}
	conf, corr := make([]float64, len(rows)), make([]float64, len(rows))
	for i, r := range rows {
		conf[i], corr[i] = confidence(r.margin, r.p)
	}
	s.Reliability = Reliability(conf, corr, ECEBins)
	// Wilson's intervals take pairs for independent ones. Rows are put to the bins
	// again, and their outcomes resampled by prompt.
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(conf[a], conf[b]), cmp.Compare(corr[a], corr[b]), cmp.Compare(a, b))
	})
	from := 0
	for i := range s.Reliability {
		b := &s.Reliability[i]
		var values []float64
		var clusters []dataset.Hash
		for _, k := range order[from : from+b.N] {
			values, clusters = append(values, corr[k]), append(clusters, rows[k].cluster)
		}
		ci := BootstrapCI(values, clusters, Interval{0, 1}, o)
		b.CI = Interval{math.Min(ci[0], float64(b.Outcome)), math.Max(ci[1], float64(b.Outcome))}
		from += b.N
	}
}

// lengthRatio is the length of one reply over that of another, in code points; an
// empty one counts as one.
func lengthRatio(chosen, rejected int) float64 {
	return float64(max(1, chosen)) / float64(max(1, rejected))
}

// Overlap is Jaccard's index of the sets of words of two texts, what they share of
// all the words that either has; words are those of [cai/words], without case. Two
// texts without words overlap fully.
func Overlap(a, b string) float64 {
	sets := [2][]uint64{words.Hashes(a, nil), words.Hashes(b, nil)}
	for i := range sets {
		slices.Sort(sets[i])
		sets[i] = slices.Compact(sets[i])
	}
	shared := 0
	for i, j := 0, 0; i < len(sets[0]) && j < len(sets[1]); {
		switch x, y := sets[0][i], sets[1][j]; {
		case x < y:
			i++
		case x > y:
			j++
		default:
			shared, i, j = shared+1, i+1, j+1
		}
	}
	all := len(sets[0]) + len(sets[1]) - shared
	if all == 0 {
		return 1
	}
	return float64(shared) / float64(all)
}
