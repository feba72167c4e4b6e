package rm

import (
	"context"
	"fmt"
	"iter"

	"cai/dataset"
)

// Table holds the features of labelled pairs, extracted once, to train on parts
// of them again and again: cross-validation, learning curves, ablations.
type Table struct {
	rows    []row
	spec    spec
	seed    int64
	skipped map[string]int
}

// NewTable extracts the features of pairs. Of the options it uses Features, Sources,
// Dim, Seed, Principles, Votes and Progress.
func NewTable(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], o Options) (*Table, error) {
	o, sp, err := o.resolve()
	if err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	o.keep = true
	rows, skipped, err := collect(ctx, pairs, sp, o)
	if err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	return &Table{rows: rows, spec: sp, seed: o.Seed, skipped: skipped}, nil
}

// Len is the number of different usable pairs.
func (t *Table) Len() int { return len(t.rows) }

// Pair gives pair i, in the order of the pairs' hashes.
func (t *Table) Pair(i int) *dataset.Pair { return t.rows[i].pair }

// Train fits a model to the pairs with the given numbers, as [Train] does. Its
// options' Features, Sources, Dim, Seed and Holdout are not looked at: the first
// four are the table's, and there is no holdout.
func (t *Table) Train(ctx context.Context, use []int, o Options) (*Model, *Training, error) {
	o.Features, o.Sources, o.Dim, o.Seed, o.Holdout = t.spec.own(), nil, t.spec.dim, t.seed, 0
	o, _, err := o.resolve()
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	if len(use) == 0 {
		return nil, nil, fmt.Errorf("train: %w", ErrNoPairs)
	}
	rows := make([]row, len(use))
	for i, j := range use {
		rows[i] = t.rows[j]
	}
	tr := &Training{Pairs: len(rows), DataHash: dataHash(rows)}
	tr.Train, tr.Validation = split(rows, 0)
	m, err := fitRows(ctx, rows, t.spec, o, tr)
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	return m, tr, nil
}

// Margins gives what [Model.Margin] does for the pairs with the given numbers,
// without extracting their features again; the last digits may differ.
func (t *Table) Margins(m *Model, of []int) []float64 {
	out := make([]float64, len(of))
	rows := make([]row, len(of))
	for i, j := range of {
		rows[i] = t.rows[j]
	}
	z := m.margins(rows, m.space.known(rows))
	for i := range rows {
		out[i] = z[i] / m.Metadata.Temperature
		if rows[i].swap {
			out[i] = -out[i]
		}
	}
	return out
}
