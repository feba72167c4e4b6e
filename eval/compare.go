package eval

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"cai/dataset"
)

// Contest compares two comparers of [RunEach], by their numbers there, on the
// pairs that both have answered.
type Contest struct {
	First, Second int
	Paired
	// Benchmark is the difference of their scores by the benchmark's rule, First less
	// Second; nil where the pairs are of none.
	Benchmark *Difference
}

// Difference is a difference of two scores, with a paired bootstrap interval.
type Difference struct {
	Delta   Figure   `json:"delta"`
	DeltaCI Interval `json:"delta_ci"`
}

// RunEach is [Run] for several comparers, all asked about each pair before the
// next is read. It gives a set for each, and compares each with each that comes
// after it.
func RunEach(ctx context.Context, name string, pairs iter.Seq2[*dataset.Pair, error], cs []Comparer, o Options) ([]Set, []Contest, error) {
	cols := make([]*collector, len(cs))
	for i := range cs {
		cols[i] = newCollector(o)
		if i < len(cs)-1 {
			cols[i].o.Progress = nil // a pair is done when all have answered
		}
	}
	ask := func(ctx context.Context, p numbered) error {
		for i, c := range cs {
			if err := cols[i].ask(ctx, c, p); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if o.Jobs > 1 {
		err = runParallel(ctx, pairs, o.Jobs, ask)
	} else {
		n := 0
		err = each(ctx, pairs, func(p *dataset.Pair) error {
			n++
			return ask(ctx, numbered{p, n})
		})
	}
	sets := make([]Set, len(cols))
	for i, c := range cols {
		sets[i] = c.set(name)
	}
	var contests []Contest
	for i := range cols {
		for j := i + 1; j < len(cols); j++ {
			k := Contest{First: i, Second: j, Paired: pairedRows(cols[i].rows, cols[j].rows, o)}
			if d, ok := CompareBenchmarks(sets[i].Benchmark, sets[j].Benchmark, o); ok {
				k.Benchmark = &d
			}
			contests = append(contests, k)
		}
	}
	return sets, contests, err
}

// pairedRows compares the rows of two comparers that are of the same pairs. It
// reorders them.
func pairedRows(a, b []row, o Options) Paired {
	byNumber := func(x, y row) int { return cmp.Compare(x.number, y.number) }
	slices.SortFunc(a, byNumber)
	slices.SortFunc(b, byNumber)
	var first, second []float64
	var clusters []dataset.Hash
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].number < b[j].number:
			i++
		case a[i].number > b[j].number:
			j++
		default:
			first = append(first, correct(a[i].margin, a[i].p))
			second = append(second, correct(b[j].margin, b[j].p))
			clusters = append(clusters, a[i].cluster)
			i, j = i+1, j+1
		}
	}
	return ComparePaired(first, second, clusters, o)
}

// CompareBenchmarks gives the first benchmark's score less that of the second, with
// an interval from resamples of the prompts of both together; false where they
// are of different rules or one is nil.
func CompareBenchmarks(a, b *Benchmark, o Options) (Difference, bool) {
	if a == nil || b == nil || a.Rule != b.Rule {
		return Difference{}, false
	}
	units := [2][]unit{a.state.whole(), b.state.whole()}
	var s [2]*scoring
	var f [2]formula
	var clusters []dataset.Hash
	for i, st := range []*bench{a.state, b.state} {
		s[i] = newScoring(units[i])
		f[i] = rules[st.rule].plan(st, countCells(units[i])).overall
		clusters = append(clusters, s[i].clusters()...)
	}
	delta := func(items []int) []float64 {
		t := [2]*sums{s[0].newSums(), s[1].newSums()}
		for _, i := range items {
			if i < len(units[0]) {
				s[0].add(t[0], i)
			} else {
				s[1].add(t[1], i-len(units[0]))
			}
		}
		return []float64{s[0].value(&f[0], t[0], 0) - s[1].value(&f[1], t[1], 0)}
	}
	ci := BootstrapEach(clusters, delta, Interval{-1, 1}, max(o.Bootstrap, MinResamples), o.Seed)[0]
	d := Difference{a.Overall - b.Overall, ci}
	if math.IsNaN(float64(d.Delta)) || alone(&f[0], prompts(units[0])) || alone(&f[1], prompts(units[1])) {
		d.DeltaCI = Interval{-1, 1}
	}
	return d, true
}
