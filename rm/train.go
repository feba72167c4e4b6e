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
// options alone. If ctx ends when there is a model that can be used, fitted to
// the training part, that comes back and Training.Interrupted is set.
func Train(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], o Options) (*Model, *Training, error) {
	o, sp, err := o.resolve()
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	start := time.Now()
	ctx, o.stop = context.WithCancel(ctx)
	defer o.stop()
	var sample *keeper
	if o.Holdout == 0 {
		sample = &keeper{seed: o.Seed}
		pairs = sample.watch(pairs)
	}
	rows, skipped, err := collect(ctx, pairs, sp, o)
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	sh := shelfOf(rows)
	defer func() { _ = sh.close() }() // nobody needs what it holds any more
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
	if e := sh.failure(); e != nil {
		err = e
	}
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	if len(o.Sources) > 0 {
		if err := m.Bind(o.Sources...); err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
	}
	if t.Interrupted {
		ctx = context.WithoutCancel(ctx)
	}
	for i := range holdout {
		if err := ctx.Err(); err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
		p := holdout[i].thePair()
		if err := sh.failure(); err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
		_, a, b, err := m.Margin(ctx, p)
		if err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
		t.Holdout = append(t.Holdout, Scored{Pair: p, First: a, Second: b})
		if o.Progress != nil && (i+1)%batch == 0 {
			o.Progress("holdout", i+1, len(holdout))
		}
	}
	if m.Metadata.Profile, err = m.profileOf(ctx, t.Holdout, sample); err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	return m, t, nil
}

// fitRows fits a model to rows, the first t.Train of which are for training and
// the others for validation. It frees the rows' features.
func fitRows(ctx context.Context, rows []row, sp spec, o Options, t *Training) (*Model, error) {
	if o.Head == HeadAuto {
		return fitBest(ctx, rows, sp, o, t)
	}
	start := time.Now()
	f := &fitter{ctx: ctx, o: o, t: t, rows: rows, space: fitSpace(rows, sp)}
	f.total = make([]float64, f.space.cols())
	f.bias = newBias(rows, o)
	if err := shelfOf(rows).failure(); err != nil {
		return nil, err
	}
	f.x = f.space.design(rows, f.total, o.keep || o.Head == HeadMLP || o.Head == HeadStack)
	if err := shelfOf(rows).failure(); err != nil {
		return nil, err
	}
	t.Features = f.space.cols()
	t.FeatureSeconds += time.Since(start).Seconds()

	start = time.Now()
	if err := f.weigh(); err != nil {
		return nil, err
	}
	if f.bias != nil {
		f.bias.p = f.x.p
		if err := balance(f.ctx, f.x, f.bias.u); err != nil {
			return nil, err
		}
	}
	members, b, err := f.fit()
	if err != nil && ctx.Err() != nil && f.soFar != nil {
		members, b, err = []member{*f.soFar}, blend{Kind: blendOne}, nil
		t.Interrupted = true
		if _, ok := members[0].head.(*linear); ok {
			o.Head = HeadLinear
		}
	}
	if err != nil {
		return nil, err
	}
	if f.x.like != nil {
		t.Tie = f.x.like.tie
		for k, e := range f.x.like.noise {
			t.Noise[f.annotators[k]] = e
		}
	}
	m := &Model{
		Metadata: Metadata{
			FormatVersion: formatVersion, FeatureVersion: featureVersion,
			Features: sp.groups(), Dim: sp.dim, NGrams: sp.orders,
			L2: t.L2, Temperature: t.Temperature, Head: o.Head,
			Seed: o.Seed, PromptKey: KeyFolded, Pairs: len(rows), DataHash: t.DataHash,
			Certainty: t.Certainty, Debias: o.Debias, Tie: t.Tie, Holdout: o.Holdout,
		},
		space: f.space, members: members, blend: b,
	}
	t.TrainSeconds += time.Since(start).Seconds()
	return m, nil
}

// margins computes what Margin does for rows that the model's space made x of,
// at temperature 1.
func (m *Model) margins(rows []row, x *matrix) []float64 {
	n := len(m.members)
	z := make([][]float64, n)
	for k, mem := range m.members {
		z[k] = make([]float64, x.rows())
		mem.head.margins(m.space, rows, x, z[k])
	}
	out, shares := make([]float64, x.rows()), make([]float64, n)
	for i := range out {
		m.blend.shares(n, x.x[i].expected, shares)
		for k, c := range shares {
			out[i] += c * m.members[k].scale * z[k][i]
		}
	}
	return out
}

// fitter fits the heads of a model.
type fitter struct {
	ctx   context.Context
	o     Options
	t     *Training
	rows  []row // those for training first, then those for validation
	space *space
	x     *matrix
	total []float64 // sum of the features of all replies
	bias  *bias     // nil where the model may prefer what it likes
	// soFar is what there is if the fit is stopped now: a head fitted to the
	// training rows, whose temperature is set.
	soFar *member
	// annotators are those whose noise is told apart, sorted.
	annotators []string
}

// fit fits the members that the options ask for. It sets L2, temperature and
// certainty of the training.
func (f *fitter) fit() ([]member, blend, error) {
	if f.o.Ensemble > 1 {
		return f.ensemble()
	}
	switch f.o.Head {
	case HeadMLP:
		return f.mlp()
	case HeadPrinciples:
		return f.principles()
	case HeadStack:
		return f.stack()
	}
	l, err := f.single()
	if err != nil {
		return nil, blend{}, err
	}
	return []member{f.member(HeadLinear, l)}, blend{Kind: blendOne}, nil
}

// member makes a member of a linear head.
func (f *fitter) member(name string, l *linear) member {
	return member{name: name, head: l, offset: l.mean(f.total, 2*len(f.rows)), scale: 1}
}

// single fits one linear head: it chooses L2 and temperature on the validation
// rows and refits on all. Without validation rows the middle of the path is
// taken.
func (f *fitter) single() (*linear, error) {
	w, err := f.settle()
	if err != nil {
		return nil, err
	}
	f.progress("refit", 0, 1)
	p := f.problem(f.x)
	diag, err := p.solve(f.ctx, w, tolerance)
	if err != nil {
		return nil, err
	}
	f.progress("refit", 1, 1)
	return newLinear(w, diag, f.t.L2), nil
}

// problem is that of x, which is a span of f.x from its first row on, at what
// was chosen.
func (f *fitter) problem(x *matrix) *bt {
	p := &bt{x: x, lambda: f.t.L2, sums: x.newSums()}
	if f.bias != nil {
		u := make([][]float64, len(f.bias.u))
		for i, c := range f.bias.u {
			u[i] = c[:x.rows()]
		}
		p.kappa, p.low = f.t.DebiasStrength, lowRank(x, u)
	}
	return p
}

// settle chooses L2, temperature and the strength of debiasing, and gives the
// weights that they come to on the training rows.
func (f *fitter) settle() ([]float64, error) {
	path := f.o.L2
	f.t.L2, f.t.Temperature = path[len(path)/2], 1
	if f.o.FitNoise {
		if err := f.fitNoise(); err != nil {
			return nil, err
		}
	}
	w := make([]float64, f.x.cols)
	if f.t.Validation == 0 {
		return w, nil
	}
	w, err := f.choose(path)
	if err == nil && f.bias != nil {
		err = f.debias(w)
	}
	return w, err
}

// labels gives the labels of the rows from i on as they came.
func (f *fitter) labels(i int) []float64 {
	if f.bias != nil {
		return f.bias.p[i:]
	}
	return f.x.p[i:]
}

// choose walks the path from strong to weak ridges, each fit starting from the
// one before it, until the validation loss has risen twice; it gives the
// weights of the best.
func (f *fitter) choose(path []float64) ([]float64, error) {
	train := f.x.span(0, f.t.Train)
	val := f.x.span(f.t.Train, f.x.rows())
	labels := f.labels(f.t.Train)
	p := &bt{x: train, sums: train.newSums(), bare: true}
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
		if f.o.Ties {
			if nu := fitTie(z, labels); nu > 0 {
				f.x.like.tie = nu
			}
		}
		temp, loss := f.temperature(z, labels)
		f.t.Path = append(f.t.Path, PathPoint{L2: l2, LogLoss: loss, Accuracy: accuracy(z, labels)})
		if loss < low {
			low, risen = loss, 0
			f.t.L2 = l2
			best = append(best[:0], w...)
			f.certain(z, labels, temp)
			if f.bias == nil {
				m := f.member(HeadLinear, newLinear(w, nil, l2))
				f.soFar = &m
			}
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

// certain sets the temperature, and notes what the margins z at it and the
// labels say of the model's certainty.
func (f *fitter) certain(z, labels []float64, temp float64) {
	scaled := make([]float64, len(z))
	for i, v := range z {
		scaled[i] = v / temp
	}
	f.t.Temperature, f.t.Certainty = temp, newCertainty(scaled, labels)
}

// measure does the same for margins whose best temperature is yet to be found,
// and gives the loss there.
func (f *fitter) measure(z, labels []float64) float64 {
	temp, loss := f.temperature(z, labels)
	f.certain(z, labels, temp)
	return loss
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
