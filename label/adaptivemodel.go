package label

import (
	"math"
)

// Model is what a judge's preferences z under K principles look like together,
// over pairs: a multivariate Student's t around 0 with scale matrix Σ and ν
// degrees of freedom. The centre is 0 because a pair has no order of its own:
// which reply is a is decided by a hash. Σ holds what is common to all
// principles of a pair and what is each principle's own; small ν says that some
// pairs are easy under every principle and others are hard under all, so that
// what is still unknown of a pair scales with what was seen of it.
type Model struct {
	scale sym
	nu    float64
	// n is how many pairs Σ is as well known from as from that many of which all
	// is known: the mean number that show two principles together.
	n float64
}

// nus are the degrees of freedom that a fit chooses from.
var nus = []float64{2.5, 4, 7, 15, math.Inf(1)}

// FitModel fits a model of k principles to pairs, each given as its z by
// principle, NaN where that is not known. What is missing may depend on what
// was seen, as it does where a rule stopped asking (EM for t with missing
// data, Liu and Rubin 1995), but not on what was not. With n pairs, Σ is shrunk
// as if k further pairs had shown one correlation for all principles. It
// reports false where nothing is known.
func FitModel(k int, rows [][]float64) (*Model, bool) {
	var n float64
	for _, z := range rows {
		known := 0.0
		for _, x := range z {
			if !math.IsNaN(x) {
				known++
			}
		}
		n += known * known / float64(k*k)
	}
	if n == 0 {
		return nil, false
	}
	groups := patterns(rows)
	best, bestLik := (*Model)(nil), math.Inf(-1)
	scale := start(k, rows)
	for i := len(nus) - 1; i >= 0; i-- {
		m := &Model{scale: scale.clone(), nu: nus[i], n: n}
		lik := m.em(groups)
		if lik > bestLik {
			best, bestLik = m, lik
		}
		scale = m.scale
	}
	return best, true
}

// pattern is the pairs in which the same principles are known.
type pattern struct {
	seen, unseen []int
	z            [][]float64 // of the seen ones
}

func patterns(rows [][]float64) []*pattern {
	byKey := map[string]*pattern{}
	var out []*pattern
	for _, row := range rows {
		key := make([]byte, len(row))
		var z []float64
		for k, x := range row {
			if !math.IsNaN(x) {
				key[k] = 1
				z = append(z, x)
			}
		}
		if len(z) == 0 {
			continue
		}
		p := byKey[string(key)]
		if p == nil {
			p = &pattern{}
			for k, b := range key {
				if b == 1 {
					p.seen = append(p.seen, k)
				} else {
					p.unseen = append(p.unseen, k)
				}
			}
			byKey[string(key)] = p
			out = append(out, p)
		}
		p.z = append(p.z, z)
	}
	return out
}

// start is a first Σ: each principle's mean square, half of it common to all.
func start(k int, rows [][]float64) sym {
	sq, n := make([]float64, k), make([]float64, k)
	var all, count float64
	for _, z := range rows {
		for i, x := range z {
			if !math.IsNaN(x) {
				sq[i] += x * x
				n[i]++
				all += x * x
				count++
			}
		}
	}
	all = math.Max(all/count, 1e-12)
	m := newSym(k)
	sd := make([]float64, k)
	for i := range sd {
		sd[i] = math.Sqrt((sq[i] + 2*all) / (n[i] + 2))
	}
	for i := range k {
		for j := range k {
			m.set(i, j, sd[i]*sd[j]/2)
		}
		m.set(i, i, sd[i]*sd[i])
	}
	return m
}

const (
	emSteps = 60
	emClose = 1e-3 // relative change of Σ at which a fit is done
)

// em improves Σ until it stays, and gives the log-likelihood of what is known.
func (m *Model) em(groups []*pattern) float64 {
	k := m.scale.n
	lik := math.Inf(-1)
	for range emSteps {
		sum := newSym(k)
		var weight float64
		lik = 0
		for _, g := range groups {
			l, w := m.expect(g, sum)
			lik += l
			weight += w
		}
		next := m.shrunk(sum, weight)
		var change, size float64
		for i, x := range next.a {
			change += math.Abs(x - m.scale.a[i])
			size += math.Abs(x)
		}
		m.scale = next
		if change <= emClose*size {
			break
		}
	}
	return lik
}

// expect adds to sum what the pairs of a pattern are expected to give Σ,
// weighted by how typical each is, and gives their log-likelihood and the sum
// of their weights.
func (m *Model) expect(g *pattern, sum sym) (lik, weight float64) {
	p := len(g.seen)
	chol := m.scale.part(g.seen)
	if !chol.cholesky() {
		return math.Inf(-1), 0
	}
	// What the seen principles say of the unseen ones.
	slope := make([][]float64, len(g.unseen))
	for i, u := range g.unseen {
		slope[i] = make([]float64, p)
		for j, s := range g.seen {
			slope[i][j] = m.scale.at(u, s)
		}
		chol.solve(slope[i])
	}
	norm := -chol.logDet()/2 + tNorm(m.nu, p)
	full, work := make([]float64, m.scale.n), make([]float64, p)
	for _, z := range g.z {
		copy(work, z)
		chol.forward(work)
		d := dot(work, work)
		w := 1.0
		if !math.IsInf(m.nu, 1) {
			w = (m.nu + float64(p)) / (m.nu + d)
			lik += norm - (m.nu+float64(p))/2*math.Log1p(d/m.nu)
		} else {
			lik += norm - d/2
		}
		weight += w
		for j, s := range g.seen {
			full[s] = z[j]
		}
		for i, u := range g.unseen {
			full[u] = dot(slope[i], z)
		}
		sum.less(-w, full)
	}
	n := float64(len(g.z))
	for i, u := range g.unseen {
		for _, v := range g.unseen {
			c := m.scale.at(u, v)
			for l, s := range g.seen {
				c -= slope[i][l] * m.scale.at(v, s)
			}
			sum.a[u*sum.n+v] += n * c
		}
	}
	return lik, weight
}

// tNorm is the logarithm of the constant of a p-variate t density.
func tNorm(nu float64, p int) float64 {
	if math.IsInf(nu, 1) {
		return -float64(p) / 2 * math.Log(2*math.Pi)
	}
	a, _ := math.Lgamma((nu + float64(p)) / 2)
	b, _ := math.Lgamma(nu / 2)
	return a - b - float64(p)/2*math.Log(nu*math.Pi)
}

// shrunk makes Σ of the sums of em: with the weight of k pairs it is pulled
// towards the matrix that has its own variances and one correlation for all
// principles, the mean of those that were seen.
func (m *Model) shrunk(sum sym, weight float64) sym {
	k := sum.n
	for i := range sum.a {
		sum.a[i] /= weight
	}
	var rho float64
	for i := range k {
		for j := range i {
			rho += sum.at(i, j) / math.Sqrt(sum.at(i, i)*sum.at(j, j))
		}
	}
	if k > 1 {
		rho /= float64(k*(k-1)) / 2
	}
	rho = min(max(rho, 0), 0.95)
	pull := float64(k) / (float64(k) + m.n)
	for i := range k {
		for j := range k {
			if i != j {
				target := rho * math.Sqrt(sum.at(i, i)*sum.at(j, j))
				sum.set(i, j, (1-pull)*sum.at(i, j)+pull*target)
			}
		}
	}
	// A principle that was never seen, or two that always agree, must not make
	// Σ singular.
	for i := range k {
		sum.set(i, i, sum.at(i, i)*(1+1e-9)+1e-12)
	}
	return sum
}
