package rm

import "fmt"

// stackRidge is the ridge on the coefficients of a stack, whose members have
// margins of spread 1.
const stackRidge = 3

// stack fits several heads and sums them up: a linear head on all features, one
// on each group of them, and a network. The coefficients are those of a
// Bradley–Terry fit to margins of heads that did not see the pairs' prompts
// (stacked generalisation, Wolpert 1992); what would be below 0 is left out.
func (f *fitter) stack() ([]member, blend, error) {
	fail := func(err error) ([]member, blend, error) { return nil, blend{}, err }
	start, err := f.settle()
	if err != nil {
		return fail(err)
	}
	groups := f.space.groupColumns()
	names := []string{"all"}
	if len(groups) > 1 {
		for _, g := range groups {
			names = append(names, g.name)
		}
	}
	var members []member
	var z [][]float64
	step := 0
	for i, name := range names {
		var closed []bool
		from := start
		if i > 0 {
			closed, from = groups[i-1].others(f.x.cols), make([]float64, f.x.cols)
		}
		solve := func(x *matrix, tol float64) ([]float64, []float64, error) {
			f.progress("stack", step, (len(names)+1)*(numFolds+1))
			step++
			w := append([]float64(nil), from...)
			p := &bt{x: x, lambda: f.t.L2, closed: closed, sums: x.newSums()}
			diag, err := p.solve(f.ctx, w, tol)
			return w, diag, err
		}
		zi, err := f.outOfFold(func(_ int, use []bool, out []float64) error {
			w, _, err := solve(f.x.only(use), pathTolerance)
			if err == nil {
				f.x.times(w, out)
			}
			return err
		})
		if err != nil {
			return fail(err)
		}
		w, diag, err := solve(f.x, tolerance)
		if err != nil {
			return fail(err)
		}
		m := f.member(name, newLinear(w, diag, f.t.L2))
		m.scale = 1 / spread(zi)
		members, z = append(members, m), append(z, zi)
	}
	zi, net, err := f.stackedNetwork()
	if err != nil {
		return fail(err)
	}
	net.scale = 1 / spread(zi)
	members, z = append(members, net), append(z, zi)
	for k, m := range members {
		for i := range z[k] {
			z[k][i] *= m.scale
		}
	}
	coef, err := f.coefficients(z)
	if err != nil {
		return fail(err)
	}
	b := blend{Kind: blendSum}
	var kept []member
	sum := make([]float64, len(f.rows))
	for k, c := range coef {
		if c == 0 {
			continue
		}
		kept, b.Coef = append(kept, members[k]), append(b.Coef, c)
		for i := range sum {
			sum[i] += c * z[k][i]
		}
	}
	if len(kept) == 0 {
		return fail(fmt.Errorf("stack: no head tells better from worse on prompts that it has not seen"))
	}
	f.measure(sum, f.labels(0))
	return kept, b, nil
}

// stackedNetwork fits a network to all rows and gives its margins by networks
// that did not see the rows' prompts.
func (f *fitter) stackedNetwork() ([]float64, member, error) {
	epochs := netBlind
	if f.t.Validation > 0 {
		var err error
		if _, epochs, err = f.trainNetwork(0, f.t.Train, netEpochs, f.rows[f.t.Train:], f.labels(f.t.Train)); err != nil {
			return nil, member{}, err
		}
	}
	z, err := f.outOfFold(func(_ int, use []bool, out []float64) error {
		net := f.newNetwork(0)
		part := *f
		part.x = f.x.only(use)
		if _, err := part.fitNetwork(net, 0, len(f.rows), epochs, nil); err != nil {
			return err
		}
		net.margins(f.space, f.rows, f.x, out)
		return nil
	})
	if err != nil {
		return nil, member{}, err
	}
	net := f.newNetwork(0)
	if _, err := f.fitNetwork(net, 0, len(f.rows), epochs, nil); err != nil {
		return nil, member{}, err
	}
	return z, member{name: HeadMLP, head: net, scale: 1, offset: net.mean(f.space, f.rows)}, nil
}

// coefficients fits those of the margins z, by head and row: of the heads whose
// coefficient would be below 0 the least one is closed, until there is none.
func (f *fitter) coefficients(z [][]float64) ([]float64, error) {
	m := dense(z, f.x.p)
	p := &bt{x: m, lambda: stackRidge, sums: m.newSums(), closed: make([]bool, len(z))}
	for {
		w := make([]float64, len(z))
		if _, err := p.solve(f.ctx, w, 1e-6); err != nil {
			return nil, err
		}
		least := -1
		for k, c := range w {
			if c < 0 && (least < 0 || c < w[least]) {
				least = k
			}
		}
		if least < 0 {
			return w, nil
		}
		p.closed[least] = true
	}
}

// columns is a group of features and its columns, from one up to another.
type columns struct {
	name  string
	spans [][2]int
}

// others marks the columns that are not the group's.
func (c columns) others(n int) []bool {
	out := make([]bool, n)
	for j := range out {
		out[j] = true
	}
	for _, s := range c.spans {
		for j := s[0]; j < s[1]; j++ {
			out[j] = false
		}
	}
	return out
}

// groupColumns gives the columns of each group of features.
func (s *space) groupColumns() []columns {
	var out []columns
	add := func(name string, spans ...[2]int) { out = append(out, columns{name, spans}) }
	k := s.dense()
	expects := func(lo, hi int) [2]int {
		if s.gate == nil {
			return [2]int{}
		}
		return [2]int{s.expects() + lo*numExpected, s.expects() + hi*numExpected}
	}
	if s.hash {
		add(FeatureHash, [2]int{k, k + s.wordCols()})
	}
	at := 0
	if s.style {
		at = len(styleNames)
		spans := [][2]int{{0, at}, expects(0, at)}
		if s.gate != nil {
			spans = append(spans, [2]int{s.gates(), s.expects()})
		}
		add(FeatureStyle, spans...)
	}
	if s.chars != nil {
		add(FeatureChars, [2]int{k + s.wordCols(), s.gates()})
	}
	for _, src := range s.sources {
		add(src.Name, [2]int{at, at + src.Reply}, expects(at, at+src.Reply))
		at += src.Reply
	}
	return out
}
