package rm

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"cai/dataset"
)

// Train fits a model to the labelled pairs. It reads them once, as they come;
// an error from the sequence, or ctx ending, ends it with that error. The
// result hangs on the pairs, in whatever order and orientation, and on the
// options alone.
func Train(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], o Options) (*Model, *Training, error) {
	o, sp, err := o.resolve()
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	start := time.Now()
	rows, skipped, err := collect(ctx, pairs, sp, o)
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("train: %w", ErrNoPairs)
	}
	t := &Training{Pairs: len(rows), Skipped: skipped, DataHash: dataHash(rows)}
	t.Train, t.Validation = split(rows, o.Holdout)
	fitted := t.Train + t.Validation
	holdout := rows[fitted:]
	rows = rows[:fitted]

	t.FeatureSeconds = time.Since(start).Seconds()
	m, err := fitRows(ctx, rows, sp, o, t)
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}

	for i := range holdout {
		if err := ctx.Err(); err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
		p := holdout[i].pair
		_, a, b := m.Margin(p)
		t.Holdout = append(t.Holdout, Scored{Pair: p, First: a, Second: b})
		if o.Progress != nil && (i+1)%batch == 0 {
			o.Progress("holdout", i+1, len(holdout))
		}
	}
	return m, t, nil
}

// fitRows fits a model to rows, the first t.Train of which are for training and
// the others for validation. It frees the rows' features.
func fitRows(ctx context.Context, rows []row, sp spec, o Options, t *Training) (*Model, error) {
	start := time.Now()
	space := fitSpace(rows, sp)
	total := make([]float64, space.cols())
	bias := newBias(rows, o)
	x := space.design(rows, total)
	t.Features = space.cols()
	t.FeatureSeconds += time.Since(start).Seconds()

	start = time.Now()
	f := &fitter{ctx: ctx, o: o, t: t, x: x, bias: bias}
	w, diag, err := f.fit()
	if err != nil {
		return nil, err
	}
	m := newModel(space, w, diag, total, 2*len(rows), t.L2, t.Temperature)
	m.Metadata.Seed, m.Metadata.Pairs, m.Metadata.DataHash = o.Seed, len(rows), t.DataHash
	m.Metadata.Certainty, m.Metadata.Debias = t.Certainty, o.Debias
	m.Metadata.Created = time.Now().UTC().Truncate(time.Second)
	t.TrainSeconds = time.Since(start).Seconds()
	return m, nil
}

// newModel makes the model of the weights w; total is the sum of the features
// over so many replies.
func newModel(s *space, w, diag, total []float64, replies int, l2, temperature float64) *Model {
	m := &Model{
		Metadata: Metadata{
			FormatVersion: formatVersion, FeatureVersion: featureVersion,
			Features: s.groups(), Dim: s.dim, NGrams: s.orders,
			L2: l2, Temperature: temperature,
		},
		space: s, prior: 1 / l2,
		weight: make([]float32, len(w)), variance: make([]float32, len(w)),
	}
	for j, v := range w {
		m.weight[j] = float32(v)
		m.variance[j] = float32(1 / diag[j])
		m.offset += float64(m.weight[j]) * total[j]
	}
	m.offset /= float64(replies)
	return m
}

// fitter chooses the ridge and fits the weights.
type fitter struct {
	ctx  context.Context
	o    Options
	t    *Training
	x    *matrix
	bias *bias // nil where the model may prefer what it likes
}

// fit chooses L2 and temperature on the validation rows, which follow the
// training rows in x, and refits on both. It gives the weights and the diagonal
// of the Hessian. Without validation rows the middle of the path is taken.
func (f *fitter) fit() (w, diag []float64, err error) {
	w = make([]float64, f.x.cols)
	if f.bias != nil {
		f.bias.p = f.x.p
		if err := balance(f.ctx, f.x, f.bias.u); err != nil {
			return nil, nil, err
		}
	}
	path := f.o.L2
	f.t.L2, f.t.Temperature = path[len(path)/2], 1
	if f.t.Validation > 0 {
		if w, err = f.choose(path); err != nil {
			return nil, nil, err
		}
		if f.bias != nil {
			if err := f.debias(w); err != nil {
				return nil, nil, err
			}
		}
	}
	f.progress("refit", 0, 1)
	p := &bt{x: f.x, lambda: f.t.L2, sums: f.x.newSums()}
	if f.bias != nil {
		p.kappa, p.low = f.t.DebiasStrength, lowRank(f.x, f.bias.u)
	}
	if diag, err = p.solve(f.ctx, w, tolerance); err != nil {
		return nil, nil, err
	}
	f.progress("refit", 1, 1)
	return w, diag, nil
}

// choose walks the path from strong to weak ridges, each fit starting from the
// one before it, until the validation loss has risen twice; it gives the
// weights of the best.
func (f *fitter) choose(path []float64) ([]float64, error) {
	train := f.x.span(0, f.t.Train)
	val := f.x.span(f.t.Train, f.x.rows())
	// The temperature is that of the labels as they came.
	labels := val.p
	if f.bias != nil {
		labels = f.bias.p[f.t.Train:]
	}
	p := &bt{x: train, sums: train.newSums()}
	w := make([]float64, f.x.cols)
	var best []float64
	low, risen := math.Inf(1), 0
	z := make([]float64, val.rows())
	for i, l2 := range path {
		f.progress("path", i, len(path))
		p.lambda = l2
		if _, err := p.solve(f.ctx, w, pathTolerance); err != nil {
			return nil, err
		}
		val.times(w, z)
		temp, loss := temperature(z, labels)
		f.t.Path = append(f.t.Path, PathPoint{L2: l2, LogLoss: loss, Accuracy: accuracy(z, labels)})
		if loss < low {
			low, risen = loss, 0
			f.t.L2, f.t.Temperature = l2, temp
			best = append(best[:0], w...)
			f.certain(z, labels)
		} else if risen++; risen == 2 {
			break
		}
	}
	f.progress("path", len(path), len(path))
	return best, nil
}

func (f *fitter) progress(stage string, done, total int) {
	if f.o.Progress != nil {
		f.o.Progress(stage, done, total)
	}
}

// certain notes what the margins z, at the temperature chosen for them, and the
// labels say of the model's certainty.
func (f *fitter) certain(z, labels []float64) {
	scaled := make([]float64, len(z))
	for i, v := range z {
		scaled[i] = v / f.t.Temperature
	}
	f.t.Certainty = newCertainty(scaled, labels)
}

// accuracy is the share of rows that z orders as p does, equal scores half and
// ties of the label left out; one half where that leaves none.
func accuracy(z, p []float64) float64 {
	right, n := 0.0, 0
	for i := range z {
		if p[i] == 0.5 {
			continue
		}
		n++
		switch {
		case z[i] == 0:
			right += 0.5
		case (z[i] > 0) == (p[i] > 0.5):
			right++
		}
	}
	if n == 0 {
		return 0.5
	}
	return right / float64(n)
}
