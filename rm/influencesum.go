package rm

import (
	"context"
	"fmt"
	"math"

	"cai/dataset"
)

// At gives training pair i, from 0 up to Pairs.
func (b *Background) At(i int) *dataset.Pair { return b.rows[i].pair }

// Linear tells whether any member is one whose training pairs' influence is known.
func (b *Background) Linear() bool { return len(b.fits) > 0 }

// sumTolerance ends the solution for a sum of scores, whose parts by single pairs
// differ by far more.
const sumTolerance = 5e-2

// Influence gives for each training pair, in the order of [Background.At], by how
// much the sum Σᵢ weight[i]·score(items[i]) would change if the pair had not been
// trained on, to the first order: of a mean gain of edits, of a slope of the score,
// or of any other sum of scores whose weights add up to 0. A score's zero, the mean
// over the training replies, is held fixed. A member's part costs one system of
// linear equations however many items there are: with v the sum of their features,
// pair i moves v·w by vᵀH⁻¹gᵢ (Koh and Liang 2017; see [Model.Background] for what
// is held fixed).
func (b *Background) Influence(ctx context.Context, items []Item, weight []float64) ([]float64, error) {
	fail := func(err error) ([]float64, error) { return nil, fmt.Errorf("influence: %w", err) }
	if len(items) != len(weight) {
		return fail(fmt.Errorf("%d weights of %d replies", len(weight), len(items)))
	}
	rows, shares, err := b.singles(ctx, items)
	if err != nil {
		return fail(err)
	}
	out, z := make([]float64, len(b.rows)), make([]float64, len(b.rows))
	x := make([]float64, b.model.space.cols())
	for k := range b.fits {
		f := &b.fits[k]
		clear(x)
		for i := range rows {
			rows[i].addTo(x, weight[i]*shares[i][f.member])
		}
		b.x.rescale(x, 0, len(x))
		u, err := f.inverse(ctx, x, sumTolerance)
		if err != nil {
			return fail(err)
		}
		f.t.x.times(u, z)
		unit := b.model.members[f.member].scale / b.model.Metadata.Temperature
		for i := range out {
			out[i] += unit * f.slope[i] * z[i]
		}
	}
	return out, nil
}

// singles gives the features of single replies, each as the difference from a reply
// of which nothing is known, and the members' shares for their prompts.
func (b *Background) singles(ctx context.Context, items []Item) ([]sparseRow, [][]float64, error) {
	m := b.model
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return nil, nil, err
	}
	e := newExtractor(m.space.spec)
	d := m.space.newDiffer(nil)
	out, shares := make([]sparseRow, len(items)), make([][]float64, len(items))
	for i, it := range items {
		if i%batch == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		p := &dataset.Pair{Prompt: it.Prompt, First: dataset.Response{Text: it.Reply}}
		r := row{features: noFeatures, pair: p, n: 1}
		e.features(&r, nil)
		n := len(r.dense) / 2
		copy(r.dense[n-len(reply[i]):n], reply[i])
		for j := range n {
			r.dense[n+j] = float32(math.NaN())
		}
		r.b, r.charsB, r.asked = nil, nil, prompt[i]
		if m.space.expect != nil {
			r.expected = m.space.expect.at(r.words)
		}
		out[i] = d.row(&r)
		shares[i] = make([]float64, len(m.members))
		m.blend.shares(len(m.members), r.expected, shares[i])
	}
	return out, shares, nil
}
