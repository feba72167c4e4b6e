package eval

import (
	"fmt"
	"math"
	"slices"

	"cai/dataset"
)

// formula is a score: the mean of a cell, the mean over all units of several cells,
// or Σ w·f / norm of other formulas.
type formula struct {
	cells   []string
	of      []formula // nil where there are cells
	weights []float64
	norm    float64
}

// cell is the mean of one cell.
func cell(name string) formula { return formula{cells: []string{name}} }

// pooled is the mean over all units of the cells.
func pooled(names []string) formula { return formula{cells: names} }

// weighted is Σ w·f / Σ w.
func weighted(fs []formula, weights []float64) formula {
	f := formula{of: fs, weights: weights}
	for _, w := range weights {
		f.norm += w
	}
	return f
}

// meanOf is the mean of formulas.
func meanOf(fs []formula) formula {
	ones := make([]float64, len(fs))
	for i := range ones {
		ones[i] = 1
	}
	return weighted(fs, ones)
}

// all gives the cells that the formula is of.
func (f *formula) all() []string {
	names := slices.Clone(f.cells)
	for i := range f.of {
		names = append(names, f.of[i].all()...)
	}
	return names
}

// plan is what is computed of cells.
type plan struct {
	overall   formula
	sections  []part
	levels    []part
	matrix    [][]formula
	agreement *part
	missing   []string
	notes     []note
}

type part struct {
	name   string
	score  formula
	count  []string // the cells whose units are its N; nil for those of score
	weight float64
	low    float64 // the least that the score may be
	parts  []part
	matrix [][]formula
}

// note is a sentence with the figures of formulas in it, of the comparer.
type note struct {
	text string
	with []formula
}

// scoring computes formulas of the sums of cells.
type scoring struct {
	index map[string]int
	units []unit
	of    []int // the cell of each unit
}

func newScoring(units []unit) *scoring {
	s := &scoring{index: map[string]int{}, units: units, of: make([]int, len(units))}
	for i := range units {
		k, ok := s.index[units[i].cell]
		if !ok {
			k = len(s.index)
			s.index[units[i].cell] = k
		}
		s.of[i] = k
	}
	return s
}

// sums are, for each cell, its units' credits and how many they are.
type sums struct {
	credit []credits
	n      []float64
}

func (s *scoring) newSums() *sums {
	return &sums{make([]credits, len(s.index)), make([]float64, len(s.index))}
}

func (s *scoring) add(t *sums, i int) {
	k := s.of[i]
	t.n[k]++
	for c, v := range s.units[i].credit {
		t.credit[k][c] += v
	}
}

// value is what a formula gives to one of the scorers, NaN where one of its cells
// is empty, unless it is pooled with others.
func (s *scoring) value(f *formula, t *sums, scorer int) float64 {
	sum, n := 0.0, f.norm
	for _, name := range f.cells {
		if k, ok := s.index[name]; ok {
			sum += t.credit[k][scorer]
			n += t.n[k]
		}
	}
	for i := range f.of {
		sum += f.weights[i] * s.value(&f.of[i], t, scorer)
	}
	return sum / n
}

func (s *scoring) clusters() []dataset.Hash {
	out := make([]dataset.Hash, len(s.units))
	for i := range out {
		out[i] = s.units[i].cluster
	}
	return out
}

// whole gives all the units, of which copies may be sorted and scored again.
func (b *bench) whole() []unit {
	units := slices.Clone(b.units)
	if f := rules[b.rule].finish; f != nil {
		units = append(units, f(b)...)
	}
	slices.SortFunc(units, compareUnits)
	return units
}

func countCells(units []unit) cells {
	c := cells{}
	for i := range units {
		c[units[i].cell]++
	}
	return c
}

// score computes the benchmark. Where nothing was counted its figures are NaN and
// the numbers of what was left out say why.
func (b *bench) score(o Options) *Benchmark {
	units := b.whole()
	r, s, in := rules[b.rule], newScoring(units), countCells(units)
	p := r.plan(b, in)
	out := &Benchmark{
		Rule: b.rule, Means: r.means, Unknown: b.unknown, Incomplete: len(b.pending),
		Baselines: map[string]Figure{}, Missing: append([]string{}, p.missing...), state: b,
	}

	// All figures of the comparer with an interval, and where each goes.
	var fs []*formula
	var to []func(Figure, Interval)
	var low []float64
	want := func(f *formula, least float64, set func(Figure, Interval)) {
		fs, to, low = append(fs, f), append(to, set), append(low, least)
	}
	want(&p.overall, 0, func(f Figure, ci Interval) { out.Overall, out.CI = f, ci })
	all := s.newSums()
	for i := range units {
		s.add(all, i)
	}
	var fill func([]part) Sections
	fill = func(parts []part) Sections {
		if len(parts) == 0 {
			return nil
		}
		list := make(Sections, len(parts))
		for i := range parts {
			p, sec := &parts[i], &list[i]
			sec.Name, sec.Weight, sec.N = p.name, p.weight, in.sum(p)
			sec.Baselines = map[string]Figure{}
			for k, null := range baselines {
				sec.Baselines[null.name] = Figure(s.value(&p.score, all, 1+k))
			}
			want(&p.score, p.low, func(f Figure, ci Interval) { sec.Score, sec.CI = f, ci })
			sec.Parts = fill(p.parts)
			sec.Matrix = s.figures(p.matrix, all)
		}
		return list
	}
	out.Sections = fill(p.sections)
	out.Levels = fill(p.levels)
	out.Matrix = s.figures(p.matrix, all)
	if p.agreement != nil {
		list := fill([]part{*p.agreement})
		list[0].Baselines = nil
		out.Agreement = &list[0]
	}
	out.N = in.sum(&part{score: p.overall})
	if r.prompts {
		out.N = in.count(sectionCells(p.sections))
	}
	for _, n := range p.notes {
		args := make([]any, len(n.with))
		for i := range n.with {
			args[i] = Figure(s.value(&n.with[i], all, 0))
		}
		out.Notes = append(out.Notes, fmt.Sprintf(n.text, args...))
	}

	best := 0
	for k, null := range baselines {
		x := s.value(&p.overall, all, 1+k)
		out.Baselines[null.name] = Figure(x)
		if x > float64(out.Baselines[baselines[best].name]) {
			best = k
		}
	}
	out.BestBaseline = baselines[best].name
	clusters, of := s.clusters(), prompts(units)
	cis := BootstrapEach(clusters, func(items []int) []float64 {
		t := s.newSums()
		for _, i := range items {
			s.add(t, i)
		}
		values := make([]float64, len(fs)+1)
		for k, f := range fs {
			values[k] = s.value(f, t, 0)
		}
		values[len(fs)] = values[0] - s.value(&p.overall, t, 1+best)
		return values
	}, Interval{math.NaN(), math.NaN()}, max(o.Bootstrap, MinResamples), o.Seed)
	for k, f := range fs {
		x, ci := s.value(f, all, 0), cis[k]
		if math.IsNaN(ci[0]) || alone(f, of) {
			ci = Interval{low[k], 1}
			if x < low[k] || x > 1 { // a score of Ties may be a little beyond
				ci = Interval{min(low[k], x), max(1, x)}
			}
		}
		to[k](Figure(x), ci)
	}
	out.Delta, out.DeltaCI = out.Overall-out.Baselines[out.BestBaseline], cis[len(fs)]
	if math.IsNaN(out.DeltaCI[0]) || alone(&p.overall, of) {
		out.DeltaCI = Interval{-1, 1}
	}
	return out
}

// prompts counts those of each cell of sorted units.
func prompts(units []unit) map[string]int {
	of, last := map[string]int{}, map[string]*dataset.Hash{}
	for i := range units {
		u := &units[i]
		if seen := last[u.cell]; seen == nil || *seen != u.cluster {
			of[u.cell]++
			last[u.cell] = &u.cluster
		}
	}
	return of
}

// alone tells that a cell of the formula has a single prompt, of whose spread
// nothing is known; where units are pooled, that all of them have one together.
func alone(f *formula, prompts map[string]int) bool {
	n := 0
	for _, name := range f.cells {
		n += prompts[name]
	}
	if len(f.cells) > 0 && n < 2 {
		return true
	}
	for i := range f.of {
		if alone(&f.of[i], prompts) {
			return true
		}
	}
	return false
}

// figures gives the comparer's values of a matrix of formulas, nil for none.
func (s *scoring) figures(m [][]formula, t *sums) [][]Figure {
	if len(m) == 0 {
		return nil
	}
	out := make([][]Figure, len(m))
	for i := range m {
		out[i] = make([]Figure, len(m[i]))
		for j := range m[i] {
			out[i][j] = Figure(s.value(&m[i][j], t, 0))
		}
	}
	return out
}

// sum gives how many units a part is of.
func (c cells) sum(p *part) int {
	if p.count != nil {
		return c.count(p.count)
	}
	return c.count(p.score.all())
}

// count gives how many units are in the cells, each counted once.
func (c cells) count(names []string) int {
	n := 0
	for i, name := range names {
		if !slices.Contains(names[:i], name) {
			n += c[name]
		}
	}
	return n
}

func sectionCells(parts []part) (names []string) {
	for _, p := range parts {
		if p.count != nil {
			names = append(names, p.count...)
			continue
		}
		names = append(names, p.score.all()...)
	}
	return names
}

// MergeBenchmarks scores the data of several files of one benchmark together, such
// as the folders of LLMBar; nil unless there are two of the same rule at least,
// and all are.
func MergeBenchmarks(bs []*Benchmark, o Options) *Benchmark {
	var parts []*bench
	for _, b := range bs {
		if b == nil || b.state == nil || b.Rule != bs[0].Rule {
			return nil
		}
		parts = append(parts, b.state)
	}
	if len(parts) < 2 {
		return nil
	}
	return merged(parts).score(o)
}
