package label

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Comparison is what is known of two of a prompt's replies.
type Comparison struct {
	I, J int     // the replies' places
	P    float64 // that I is better, 0 to 1; ½ for a tie
}

// Ranking is a Bradley–Terry model of a prompt's replies: reply i has a score
// s_i, is better than j with probability σ(s_i − s_j), and what comparisons say
// of the scores is taken for a normal distribution (Laplace's approximation).
// Scores have a normal prior around 0, whose width is chosen by what makes the
// comparisons most likely: wide where they agree with each other, so that a few
// of them order distant replies, narrow where they do not.
type Ranking struct {
	Scores []float64
	cov    sym
}

// widths are the standard deviations of the scores that a fit chooses from.
var widths = []float64{0.5, 1, 2, 4, 8}

// Rank fits the scores of k replies.
func Rank(k int, cs []Comparison) *Ranking {
	var best fit
	scores := make([]float64, k)
	for i, width := range widths {
		f := fitScores(scores, cs, width)
		scores = f.scores // the next width starts where this one ended
		if i == 0 || f.evidence > best.evidence {
			best = f
		}
	}
	return best.ranking()
}

// fit is the most likely scores under a prior of one width.
type fit struct {
	scores    []float64
	precision sym     // of the scores there, as cholesky leaves it
	evidence  float64 // the logarithm, up to a constant
}

func (f fit) ranking() *Ranking {
	k := len(f.scores)
	r := &Ranking{Scores: f.scores, cov: newSym(k)}
	for i := range k {
		col := r.cov.a[i*k : (i+1)*k]
		col[i] = 1
		f.precision.solve(col)
	}
	return r
}

// fitScores finds them by Newton's method.
func fitScores(from []float64, cs []Comparison, width float64) fit {
	k := len(from)
	s := slices.Clone(from)
	prior := 1 / (width * width)
	posterior := func(s []float64) float64 {
		sum := -prior / 2 * dot(s, s)
		for _, c := range cs {
			d := s[c.I] - s[c.J]
			sum += c.P*d - softplus(d) // p log σ(d) + (1 − p) log σ(−d)
		}
		return sum
	}
	now := posterior(s)
	h := newSym(k)
	for range 100 {
		grad := make([]float64, k)
		clear(h.a)
		for i := range k {
			grad[i] = -prior * s[i]
			h.set(i, i, prior)
		}
		for _, c := range cs {
			p := sigmoid(s[c.I] - s[c.J])
			grad[c.I] += c.P - p
			grad[c.J] -= c.P - p
			h.curve(c.I, c.J, p*(1-p))
		}
		if math.Sqrt(dot(grad, grad)) < 1e-9*float64(1+len(cs)) {
			break
		}
		h.cholesky() // prior > 0 makes it positive definite
		h.solve(grad)
		step, moved := 1.0, false
		for range 40 {
			next := slices.Clone(s)
			for i := range next {
				next[i] += step * grad[i]
			}
			if v := posterior(next); v >= now {
				moved = v > now+1e-12
				s, now = next, v
				break
			}
			step /= 2
		}
		if !moved {
			break
		}
	}
	clear(h.a)
	for i := range k {
		h.set(i, i, prior)
	}
	for _, c := range cs {
		p := sigmoid(s[c.I] - s[c.J])
		h.curve(c.I, c.J, p*(1-p))
	}
	h.cholesky()
	return fit{s, h, now - float64(k)*math.Log(width) - h.logDet()/2}
}

// curve adds w (e_i − e_j)(e_i − e_j)ᵀ.
func (m sym) curve(i, j int, w float64) {
	m.a[i*m.n+i] += w
	m.a[j*m.n+j] += w
	m.a[i*m.n+j] -= w
	m.a[j*m.n+i] -= w
}

func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// Difference gives mean and variance of s_i − s_j.
func (r *Ranking) Difference(i, j int) (mean, variance float64) {
	return r.Scores[i] - r.Scores[j], r.cov.at(i, i) + r.cov.at(j, j) - 2*r.cov.at(i, j)
}

// Gain is what comparing i and j is expected to tell about the scores, in bits:
// the mutual information of the outcome and the scores. It is large where the
// order is open because little is known, and small both where it is known and
// where two replies are known to be equally good. The integral is that of
// Houlsby et al. (2011, arXiv 1112.5745, eq. 3 and 4), for Φ(√(π/8)·x) in place
// of σ(x).
func (r *Ranking) Gain(i, j int) float64 { return gain(r.Difference(i, j)) }

func gain(mean, variance float64) float64 {
	const probit = math.Pi / 8
	m2, v := mean*mean*probit, variance*probit
	p := math.Erfc(-math.Sqrt(m2/(v+1))/math.Sqrt2) / 2
	c2 := math.Pi * math.Ln2 / 2
	own := math.Sqrt(c2/(v+c2)) * math.Exp(-m2/(2*(v+c2)))
	return math.Max(0, entropy(p)-own)
}

// entropy of a coin, in bits.
func entropy(p float64) float64 {
	if p <= 0 || p >= 1 {
		return 0
	}
	return -p*math.Log2(p) - (1-p)*math.Log2(1-p)
}

// maxCandidates bounds the pairs that one pick looks at: with more replies than
// some 450, a part of the pairs is drawn.
const maxCandidates = 100_000

// Pick chooses up to n pairs, i < j, that are worth comparing next, best first,
// without those that taken has. They are chosen for a batch: each is taken into
// account, at its expected worth, when the next is chosen.
func (r *Ranking) Pick(n int, taken map[[2]int]bool) [][2]int {
	k := len(r.Scores)
	var open [][2]int
	all := k * (k - 1) / 2
	draw := rand.New(rand.NewPCG(uint64(k), uint64(len(taken))))
	for i := range k {
		for j := i + 1; j < k; j++ {
			p := [2]int{i, j}
			if !taken[p] && (all <= maxCandidates || draw.IntN(all) < maxCandidates) {
				open = append(open, p)
			}
		}
	}
	if len(open) <= n {
		return open
	}
	cov := r.cov.clone()
	used := make([]bool, len(open))
	out := make([][2]int, 0, n)
	after := Ranking{Scores: r.Scores, cov: cov}
	col := make([]float64, k)
	for range n {
		at, most := -1, -1.0
		for c, p := range open {
			if used[c] {
				continue
			}
			if g := after.Gain(p[0], p[1]); g > most {
				at, most = c, g
			}
		}
		used[at] = true
		p := open[at]
		out = append(out, p)
		// The expected curvature of the outcome takes that much variance away.
		mean, v := after.Difference(p[0], p[1])
		e := sigmoid(mean / math.Sqrt(1+math.Pi*v/8))
		w := e * (1 - e)
		for i := range k {
			col[i] = cov.at(i, p[0]) - cov.at(i, p[1])
		}
		cov.less(w/(1+w*v), col)
	}
	return out
}

// FirstPairs gives the pairs, i < j, to begin with when nothing is known of k
// replies: each with another, in an order drawn with seed, at most n pairs.
func FirstPairs(k, n int, seed uint64) [][2]int {
	order := rand.New(rand.NewPCG(seed, uint64(k))).Perm(k)
	var out [][2]int
	for i := 0; i+1 < k && len(out) < n; i += 2 {
		a, b := order[i], order[i+1]
		out = append(out, [2]int{min(a, b), max(a, b)})
	}
	return out
}

// maxRounds bounds the rounds in which a prompt's pairs are chosen.
const maxRounds = 10

// NextPairs gives the pairs of k replies to compare next, when n are to be
// compared in all and cs are known: at first each reply with another, then, in
// batches of half as many pairs as there are replies or more, those that tell
// most. taken are the pairs that were chosen before, whether anything is known
// of them or not.
func NextPairs(k, n int, cs []Comparison, taken map[[2]int]bool, seed uint64) [][2]int {
	left := min(n, k*(k-1)/2) - len(taken)
	if left <= 0 {
		return nil
	}
	if len(taken) == 0 {
		return FirstPairs(k, left, seed)
	}
	batch := max(1, k/2, (n+maxRounds-1)/maxRounds)
	return Rank(k, cs).Pick(min(left, batch), taken)
}
