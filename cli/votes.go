package cli

import (
	"context"
	"math"

	"cai/dataset"
)

// votes are what each principle says of the judged pairs, for the heads of a
// reward model.
type votes struct {
	ids    []string // of the principles that have been asked
	byPair map[dataset.Hash][]float64
}

// votes reads the votes of the labels of r: those of every principle in the
// constitution that counts for a label.
func (r *reading) votes(ctx context.Context) (*votes, error) {
	at := map[dataset.Hash]int{}
	v := &votes{byPair: map[dataset.Hash][]float64{}}
	for i := range r.con.Principles {
		p := &r.con.Principles[i]
		if _, ok := r.ids[p.Hash()]; ok {
			at[p.Hash()] = len(v.ids)
			v.ids = append(v.ids, p.ID)
		}
	}
	asked := make([]bool, len(v.ids))
	for l, err := range r.labels(ctx) {
		if err != nil {
			return nil, err
		}
		row := make([]float64, len(v.ids))
		for k := range row {
			row[k] = math.NaN()
		}
		for _, p := range l.Parts {
			if k, ok := at[p.Principle]; ok {
				row[k], asked[k] = p.P, true
			}
		}
		pair := dataset.Pair{Prompt: l.Prompt, First: l.A, Second: l.B}
		v.byPair[pair.Key().Hash] = row
	}
	v.keep(asked)
	return v, nil
}

// keep leaves out the principles that nobody was asked about.
func (v *votes) keep(asked []bool) {
	filter := func(n int, move func(to, from int)) int {
		to := 0
		for from := range n {
			if asked[from] {
				move(to, from)
				to++
			}
		}
		return to
	}
	for h, row := range v.byPair {
		v.byPair[h] = row[:filter(len(row), func(to, from int) { row[to] = row[from] })]
	}
	v.ids = v.ids[:filter(len(v.ids), func(to, from int) { v.ids[to] = v.ids[from] })]
}

// of gives the votes of a pair: by principle the probability that its first reply
// is the better one, NaN where nobody was asked; nil where nothing is known.
func (v *votes) of(p *dataset.Pair) []float64 {
	k := p.Key()
	row := v.byPair[k.Hash]
	if !k.Swapped || row == nil {
		return row
	}
	out := make([]float64, len(row))
	for i, x := range row {
		out[i] = 1 - x
	}
	return out
}
