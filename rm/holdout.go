package rm

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"cai/dataset"
)

// ErrOtherData tells that pairs are not those that a model was trained on.
var ErrOtherData = errors.New("these are not the pairs that the model was trained on")

// ScoreHoldout splits the pairs as the training of m did and scores the part
// that it kept aside, of the given share of the prompts: what [Training.Holdout]
// was. Pairs, Train, Validation, Skipped, DataHash and Holdout of the result are
// set; the features of other pairs are not computed. Where the pairs or their
// labels differ from those of the training the error is ErrOtherData, and the
// result says what was found.
func (m *Model) ScoreHoldout(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], share float64) (*Training, error) {
	if !(share >= 0 && share < 0.9) {
		return nil, fmt.Errorf("holdout %v: need a share from 0 to less than 0.9", share)
	}
	rows, skipped, err := collect(ctx, pairs, spec{}, Options{Holdout: share, Seed: m.Metadata.Seed, key: m.Metadata.Key()})
	if err != nil {
		return nil, fmt.Errorf("holdout: %w", err)
	}
	t := &Training{Pairs: len(rows), Skipped: skipped, DataHash: dataHash(rows)}
	if t.DataHash != m.Metadata.DataHash {
		return t, ErrOtherData
	}
	t.Train, t.Validation = split(rows, share)
	for _, r := range rows[t.Train+t.Validation:] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := r.thePair()
		_, a, b, err := m.Margin(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("holdout: %w", err)
		}
		t.Holdout = append(t.Holdout, Scored{Pair: p, First: a, Second: b})
	}
	return t, nil
}

// TensorInfo is a tensor of a model file.
type TensorInfo struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
}

// Tensors lists the tensors of the model's file by name.
func (m *Model) Tensors() []TensorInfo {
	ts := m.tensors()
	var out []TensorInfo
	for _, name := range sortedNames(ts) {
		out = append(out, TensorInfo{name, ts[name].dtype(), ts[name].shape()})
	}
	return out
}
