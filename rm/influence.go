package rm

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"cai/dataset"
)

// Background is training pairs that scores are explained by. It is safe for
// concurrent use.
type Background struct {
	// Pairs is the number of pairs; Same tells whether the data are those that the
	// model was trained on. The pairs are then those that it was fitted to, without
	// the holdout.
	Pairs int
	Same  bool
	// Unknown names the members of which it is not known how they hang on the
	// pairs: networks, whose loss is not convex.
	Unknown []string

	model *Model
	rows  []row
	x     *matrix
	mean  []float64 // of the features of the replies
	norms []float64 // of the rows of x
	fits  []fitted
}

// fitted is the problem that a linear member solves, at its solution.
type fitted struct {
	member       int
	t            *bt
	slope, curve []float64 // of each row's loss by its margin, weighted
	diag         []float64
}

// Neighbour is a training pair and what it has to do with a score.
type Neighbour struct {
	Pair *dataset.Pair
	// Cosine is that of the angle between the difference of the features of the
	// pair's better reply and its worse one and that of the explained pair; of a
	// single reply, what sets it apart from the mean training reply.
	Cosine float64
	// Removal is by how much the score or margin would change if the pair had not
	// been trained on, to the first order.
	Removal float64
}

// Background reads training pairs, which are meant to be those that the model was
// trained on. Of the options it uses Principles, Votes, Weight and Progress: what
// the training was given.
//
// The influence of a pair is that of Koh and Liang (2017): taking pair i out of a
// convex loss with the Hessian H moves the weights by H⁻¹gᵢ, with gᵢ the gradient
// of its part, and so a margin x*ᵀw by x*ᵀH⁻¹gᵢ. The features, the ridge, the
// temperature and the shares of the members are held fixed. To the first order,
// the effect of a pair that pulls hard on the weights is understated, by its
// leverage cᵢ·xᵢᵀH⁻¹xᵢ, which is at most that of the ridge, a quarter of ‖xᵢ‖²/λ;
// the order of the pairs is hardly touched. Labels are taken as
// cross-entropy or Davidson ties see them, whatever margin or noise of labels the
// training allowed for.
func (m *Model) Background(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], o Options) (*Background, error) {
	fail := func(err error) (*Background, error) { return nil, fmt.Errorf("training pairs: %w", err) }
	if len(m.space.sources) > 0 && m.sources == nil {
		return fail(ErrUnbound)
	}
	rows, _, err := collect(ctx, pairs, m.space.spec, Options{
		Sources: m.sources, Principles: o.Principles, Votes: o.Votes, Weight: o.Weight, Progress: o.Progress,
		Seed: m.Metadata.Seed, key: m.Metadata.Key(), keep: true,
	})
	if err != nil {
		return fail(err)
	}
	if len(rows) == 0 {
		return fail(ErrNoPairs)
	}
	b := &Background{model: m, Same: dataHash(rows) == m.Metadata.DataHash}
	if n := m.Metadata.Pairs; b.Same && n < len(rows) {
		// The holdout is the prompts with the lowest places.
		slices.SortStableFunc(rows, func(x, y row) int { return cmp.Compare(y.u, x.u) })
		rows = rows[:n]
	}
	b.rows, b.Pairs = rows, len(rows)
	s := m.space
	switch {
	case s.expect == nil:
	case b.Same:
		s.fitExpectation(rows) // as in training: by prompts other than their own
	default:
		for i := range rows {
			rows[i].expected = s.expect.at(rows[i].words)
		}
	}
	b.mean = make([]float64, s.cols())
	b.x = s.design(rows, b.mean, true)
	for j := range b.mean {
		b.mean[j] /= float64(2 * len(rows))
	}
	b.norms = make([]float64, len(rows))
	for i := range b.norms {
		b.norms[i] = math.Sqrt(b.x.x[i].square(b.x.scale))
	}
	return b, b.fit(ctx, o)
}

// fit sets up the members' problems.
func (b *Background) fit(ctx context.Context, o Options) error {
	m := b.model
	f := &fitter{ctx: ctx, o: Options{Seed: m.Metadata.Seed, Weight: o.Weight, Debias: m.Metadata.Debias}, rows: b.rows, space: m.space, x: b.x, t: &Training{L2: m.Metadata.L2}}
	if err := f.weigh(); err != nil {
		return err
	}
	if m.Metadata.Tie > 0 {
		b.x.like = &likelihood{tie: m.Metadata.Tie}
	}
	if f.bias = newBias(b.rows, f.o); f.bias != nil {
		f.bias.p = b.x.p
		if err := balance(ctx, b.x, f.bias.u); err != nil {
			return err
		}
	}
	groups := m.space.groupColumns()
	for k, mem := range m.members {
		l, ok := mem.head.(*linear)
		if !ok {
			b.Unknown = append(b.Unknown, mem.name)
			continue
		}
		x := *b.x
		var closed []bool
		switch m.blend.Kind {
		case blendMean:
			x, closed = *f.resample(b.x, k), f.closed(k)
		case blendSum:
			if i := slices.IndexFunc(groups, func(c columns) bool { return c.name == mem.name }); i >= 0 {
				closed = groups[i].others(x.cols)
			}
		case blendGate:
			v := slices.Index(o.Principles, mem.name)
			if v < 0 || o.Votes == nil {
				b.Unknown = append(b.Unknown, mem.name)
				continue
			}
			f.vote(&x, v)
		}
		w := make([]float64, x.cols)
		for j, v := range l.weight {
			w[j] = float64(v)
		}
		b.fits = append(b.fits, f.at(&x, k, w, closed))
	}
	return nil
}

// at gives the problem of member k, solved by the weights w.
func (f *fitter) at(x *matrix, k int, w []float64, closed []bool) fitted {
	p := f.problem(x)
	p.closed = closed
	out := fitted{member: k, t: p, slope: make([]float64, x.rows()), curve: make([]float64, x.rows()), diag: make([]float64, x.cols)}
	z := make([]float64, x.rows())
	x.times(w, z)
	if len(p.low) > 0 {
		p.kappa = p.strength(w, z)
	}
	for i, v := range z {
		out.slope[i] = x.slope(i, v)
	}
	x.weigh(out.slope)
	x.curvature(z, out.curve)
	x.weigh(out.curve)
	p.diagonal(out.curve, out.diag)
	return out
}

// strength gives the κ under which the weights w, with the margins z, are where
// the gradient comes closest to 0.
func (t *bt) strength(w, z []float64) float64 {
	g, q := make([]float64, len(w)), make([]float64, len(w))
	t.kappa = 0
	t.gradient(w, z, make([]float64, len(z)), g)
	t.kappa = 1
	t.lowTimes(w, q)
	if n := dot(q, q); n > 0 {
		return max(0, -dot(g, q)/n)
	}
	return 0
}

// What ends the solution of H·u = x: the norm of the residual, relative to that
// of x, or the number of rounds.
const (
	inverseTolerance = 1e-2
	inverseRounds    = 300
)

// inverse gives H⁻¹x by conjugate gradients, preconditioned by the diagonal, down
// to the given norm of the residual.
func (f *fitted) inverse(ctx context.Context, x []float64, tol float64) ([]float64, error) {
	n := len(x)
	u, pre, hd := make([]float64, n), make([]float64, n), make([]float64, n)
	res := slices.Clone(x)
	f.t.shut(res)
	for j := range res {
		pre[j] = res[j] / f.diag[j]
	}
	dir := slices.Clone(pre)
	t := *f.t
	t.sums = t.x.newSums() // its own, for concurrent calls
	rho, stop := dot(res, pre), tol*tol*dot(res, res)
	for k := 0; k < inverseRounds && dot(res, res) > stop; k++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.hessian(f.curve, dir, hd)
		alpha := rho / dot(dir, hd)
		for j := range u {
			u[j] += alpha * dir[j]
			res[j] -= alpha * hd[j]
			pre[j] = res[j] / f.diag[j]
		}
		next := dot(res, pre)
		for j := range dir {
			dir[j] = pre[j] + next/rho*dir[j]
		}
		rho = next
	}
	return u, nil
}

// Nearest gives the top training pairs by the size of the cosine, and the top by
// that of the influence; both lists bear both numbers. The replies are one, or
// the two of a pair. Without influence, or a linear member, the second list is
// empty; a system of linear equations is then saved for each member.
func (b *Background) Nearest(ctx context.Context, c dataset.Conversation, replies []string, top int, influence bool) (nearest, influential []Neighbour, err error) {
	fail := func(err error) ([]Neighbour, []Neighbour, error) {
		return nil, nil, fmt.Errorf("nearest pairs: %w", err)
	}
	x, shares, err := b.direction(ctx, c, replies)
	if err != nil {
		return fail(err)
	}
	n := len(b.rows)
	all := make([]Neighbour, n)
	z, order := make([]float64, n), make([]int, n)
	b.x.times(x, z)
	size := math.Sqrt(dot(x, x))
	for i := range all {
		order[i] = i
		all[i].Pair = b.rows[i].pair
		if d := size * b.norms[i]; d > 0 {
			all[i].Cosine = max(-1, min(1, z[i]/d))
		}
		if b.rows[i].p() < 0.5 {
			all[i].Cosine *= -1
		}
	}
	fits := b.fits
	if !influence {
		fits = nil
	}
	for k := range fits {
		f := &fits[k]
		u, err := f.inverse(ctx, x, inverseTolerance)
		if err != nil {
			return fail(err)
		}
		f.t.x.times(u, z)
		unit := shares[f.member] * b.model.members[f.member].scale / b.model.Metadata.Temperature
		for i := range all {
			all[i].Removal += unit * f.slope[i] * z[i]
		}
	}
	most := func(of func(*Neighbour) float64) []Neighbour {
		slices.SortFunc(order, func(i, j int) int {
			if c := cmp.Compare(math.Abs(of(&all[j])), math.Abs(of(&all[i]))); c != 0 {
				return c
			}
			return i - j
		})
		var out []Neighbour
		for _, i := range order[:min(top, n)] {
			if of(&all[i]) != 0 {
				out = append(out, all[i])
			}
		}
		return out
	}
	nearest = most(func(v *Neighbour) float64 { return v.Cosine })
	return nearest, most(func(v *Neighbour) float64 { return v.Removal }), nil
}

// direction gives what the heads' weights are multiplied by in a margin, or in
// the difference of a reply's score from the mean, and the members' shares.
func (b *Background) direction(ctx context.Context, c dataset.Conversation, replies []string) (x, shares []float64, err error) {
	m := b.model
	p := &dataset.Pair{Prompt: c, First: dataset.Response{Text: replies[0]}, Second: dataset.Response{Text: replies[len(replies)-1]}, P: 0.5}
	rows := make([]row, 1)
	e := newExtractor(m.space.spec)
	e.identify(p, &Options{}, &rows[0])
	e.features(&rows[0], nil)
	if err := attach(ctx, m.sources, m.space.spec, []*dataset.Pair{p}, rows); err != nil {
		return nil, nil, err
	}
	r := &rows[0]
	if m.space.expect != nil {
		r.expected = m.space.expect.at(r.words)
	}
	x, shares = make([]float64, m.space.cols()), make([]float64, len(m.members))
	m.blend.shares(len(m.members), r.expected, shares)
	sum := make([]float64, len(x)) // of the features of both replies
	sr := m.space.newDiffer(sum).row(r)
	if len(replies) == 1 {
		b.x.rescale(sum, 0, len(sum))
		for j := range x {
			x[j] = sum[j]/2 - b.mean[j]
		}
		return x, shares, nil
	}
	sign := 1.0
	if r.swap {
		sign = -1
	}
	sr.addTo(x, sign)
	b.x.rescale(x, 0, len(x))
	return x, shares, nil
}
