package eval

import (
	"math"
	"slices"

	"cai/dataset"
)

// maxClusters is how many prompts [Shares] keeps apart. Beyond it, prompts fall
// into that many clusters by their hash, which whole prompts share: the
// intervals stay valid and the memory bounded.
const maxClusters = 4096

// Shares adds up several shares over pairs as they come, and gives each with an
// interval clustered by prompt. Its memory depends on the number of shares and
// not on that of the pairs.
type Shares struct {
	n      int // of shares
	rows   map[dataset.Hash][]ofCluster
	folded bool
}

type ofCluster struct{ sum, n float64 }

// NewShares makes n empty shares.
func NewShares(n int) *Shares {
	return &Shares{n: n, rows: map[dataset.Hash][]ofCluster{}}
}

// Add counts a value of share i, 1 where it holds, 0 where it does not and ½ for
// a tie, for a pair of the given prompt.
func (s *Shares) Add(prompt dataset.Hash, i int, value float64) {
	row := s.row(s.key(prompt))
	row[i].sum += value
	row[i].n++
	if !s.folded && len(s.rows) > maxClusters {
		s.fold()
	}
}

func (s *Shares) row(key dataset.Hash) []ofCluster {
	row := s.rows[key]
	if row == nil {
		row = make([]ofCluster, s.n)
		s.rows[key] = row
	}
	return row
}

// key names the cluster of a prompt. Its hash is uniform, so the first 12 bits
// make 4096 clusters of like size.
func (s *Shares) key(prompt dataset.Hash) dataset.Hash {
	if !s.folded {
		return prompt
	}
	return dataset.Hash{prompt[0], prompt[1] & 0xf0}
}

func (s *Shares) fold() {
	old := s.rows
	s.rows, s.folded = map[dataset.Hash][]ofCluster{}, true
	for prompt, from := range old {
		to := s.row(s.key(prompt))
		for i := range from {
			to[i].sum += from[i].sum
			to[i].n += from[i].n
		}
	}
}

// Share gives share i over all its pairs, NaN over none, its 95 % interval and
// the number of pairs.
func (s *Shares) Share(i int, o Options) (share Figure, ci Interval, n int) {
	var keys []dataset.Hash
	for key, row := range s.rows {
		if row[i].n > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	if len(keys) == 0 {
		return Figure(math.NaN()), Interval{0, 1}, 0
	}
	var t table
	total := 0.0
	for _, key := range keys {
		row := s.rows[key][i]
		t.next()
		last := &t.sums[len(t.sums)-1]
		last[0], last[columns] = row.sum, row.n
		total += row.n
	}
	point := t.means()[0]
	return Figure(point), interval(t.resample(o)[0], point, Interval{0, 1}), int(total)
}

// Mean gives share i alone.
func (s *Shares) Mean(i int) Figure {
	var sum, n float64
	for _, row := range s.rows {
		sum += row[i].sum
		n += row[i].n
	}
	return Figure(sum / n)
}

// Correct scores a margin against a label as [Accuracy] does: 1 where they name
// the same reply, ½ for a margin of 0. It is NaN where there is no chosen reply
// (a label of ½ or NaN) or no margin.
func Correct(margin, label float64) float64 {
	if skipLabel(label) != "" {
		return math.NaN()
	}
	return correct(margin, label)
}
