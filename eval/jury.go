package eval

import (
	"maps"
	"math"
	"slices"
)

// Jury is how far each of several judges of the same pairs is to be trusted.
// Margins are given by judge: margins[k][i] is the log-odds, or any number with
// the sign of the choice, by which judge k prefers the first reply of pair i;
// NaN is a pair that it was not asked about or abstained on, 0 a tie.
type Jury struct {
	// Accuracy is the estimated share of pairs on which each judge is right, ties
	// half; NaN of a judge without a margin.
	Accuracy []float64
	// Weights are what each judge adds to the log-odds of the jury, ≥ 0: for a
	// vote under [JuryOfVotes], for each unit of margin otherwise.
	Weights []float64
	// Identified tells whether the weights are known from the data: see
	// [JuryOfVotes]. Where it is false they are worth nothing.
	Identified bool
	// Trace is the logarithm of the posterior density, up to a constant, after
	// each round of the fit; it never falls.
	Trace []float64

	votes bool
}

// The fits end where no weight moves further than this, or after so many rounds.
const (
	juryTolerance = 1e-13
	juryRounds    = 5000
)

// juryRidge is the precision of the normal prior of a weight, per root mean
// square of the judge's margins: one such margin is worth log-odds of 1 or so,
// not of 10. A judge's weight hangs on it only where there are few pairs.
const juryRidge = 1.0

// floor is how far a density may fall by rounding alone: near its top it is flat,
// where its slope still tells the way.
func floor(density float64) float64 { return density - 1e-13*(1+math.Abs(density)) }

// informative is how much better than chance a judge must be estimated to be for
// others to be measured against it.
const informative = 1e-3

// JuryOfVotes estimates how reliable judges are from their votes alone, without
// knowing which reply is better: the model of Dawid and Skene (1979), with one
// accuracy a judge, since the two replies of a pair have no order. With truth
// t = ±1, each with probability ½, and votes v = ±1,
//
//	P(v = t) = a ≥ ½,  log-odds of the first reply Σ v·ln(a/(1−a))
//
// A margin's sign is its vote; a tie counts as half a vote for each reply, and
// what is missing is left out. a is the mode under a prior of one vote right and
// one wrong, found by expectation and maximisation, begun at the majority. That
// a judge is no worse than chance is assumed: the votes are as likely if every
// judge is wrong as often as it is right. One that is worse is put at ½.
//
// It takes judges to err independently of each other, given the truth. Where two
// err together they are taken to be more accurate than they are, and the others
// less: see [ErrorCorrelation]. And what two judges' votes tell is how often they
// agree, one number for two accuracies: Identified is true only where there are
// three judges or more of which each two share pairs, and three are found to be
// better than chance.
func JuryOfVotes(margins [][]float64) *Jury {
	j := &Jury{Accuracy: make([]float64, len(margins)), Weights: make([]float64, len(margins)), votes: true}
	ballots := count(margins)
	q := make([]float64, len(ballots))
	for i, b := range ballots { // at the majority
		sum, votes := 0.0, 0
		for _, r := range b.right {
			if !math.IsNaN(r) {
				sum += r
				votes++
			}
		}
		if q[i] = 0.5; votes > 0 {
			q[i] = sum / float64(votes)
		}
	}
	for range juryRounds {
		moved := 0.0
		for k := range margins {
			hits, votes := 1.0, 2.0
			for i, b := range ballots {
				if r := b.right[k]; !math.IsNaN(r) {
					hits += b.n * (q[i]*r + (1-q[i])*(1-r))
					votes += b.n
				}
			}
			a := math.Max(0.5, hits/votes)
			moved = math.Max(moved, math.Abs(a-j.Accuracy[k]))
			j.Accuracy[k], j.Weights[k] = a, math.Log(a)-math.Log1p(-a)
		}
		density := 0.0
		for _, a := range j.Accuracy {
			density += math.Log(a) + math.Log1p(-a)
		}
		for i, b := range ballots {
			s := 0.0 // log-odds; and the likelihood if the first reply is better
			first := -math.Ln2
			for k, r := range b.right {
				if !math.IsNaN(r) {
					s += (2*r - 1) * j.Weights[k]
					first += math.Log1p(-j.Accuracy[k]) + r*j.Weights[k]
				}
			}
			q[i] = Sigmoid(s)
			density += b.n * (first + softplus(-s))
		}
		j.Trace = append(j.Trace, density)
		if moved < juryTolerance {
			break
		}
	}
	j.judgeBy(margins)
	return j
}

// judgeBy says whether the weights are known, and takes accuracies away that
// nothing was seen of.
func (j *Jury) judgeBy(margins [][]float64) {
	able := 0
	for k := range margins {
		if !slices.ContainsFunc(margins[k], func(m float64) bool { return !math.IsNaN(m) }) {
			j.Accuracy[k], j.Weights[k] = math.NaN(), 0
		}
		if j.Accuracy[k] > 0.5+informative && j.Weights[k] > 0 {
			able++
		}
	}
	j.Identified = able >= 3 && triangle(margins)
}

// ballot is how the judges vote on n pairs: [voteShare] of each, the pair turned
// so that the first of them who decides is for the first reply.
type ballot struct {
	right []float64
	n     float64
}

// count gathers pairs with the same votes, in an order of their own.
func count(margins [][]float64) []ballot {
	numbers := map[string]float64{}
	key := make([]byte, len(margins))
	for i := range width(margins) {
		sign := 0.0
		for k := range margins {
			m := margins[k][i]
			if sign == 0 && !math.IsNaN(m) {
				sign = m
			}
			switch r := voteShare(m); {
			case math.IsNaN(r):
				key[k] = '-'
			case r == 0.5:
				key[k] = '='
			case (r == 1) == (sign > 0):
				key[k] = '1'
			default:
				key[k] = '2'
			}
		}
		numbers[string(key)]++
	}
	ballots := make([]ballot, 0, len(numbers))
	for _, votes := range slices.Sorted(maps.Keys(numbers)) {
		b := ballot{make([]float64, len(votes)), numbers[votes]}
		for k := range len(votes) {
			b.right[k] = map[byte]float64{'-': math.NaN(), '=': 0.5, '1': 1, '2': 0}[votes[k]]
		}
		ballots = append(ballots, b)
	}
	return ballots
}

// triangle tells whether there are three judges of which each two share pairs.
func triangle(margins [][]float64) bool {
	share := make([][]bool, len(margins))
	for k := range margins {
		share[k] = make([]bool, len(margins))
		for l := range k {
			for i := range margins[k] {
				if !math.IsNaN(margins[k][i] + margins[l][i]) {
					share[k][l] = true
					break
				}
			}
		}
	}
	for k := range share {
		for l := range k {
			for m := range l {
				if share[k][l] && share[k][m] && share[l][m] {
					return true
				}
			}
		}
	}
	return false
}

// JuryOfMargins estimates the same from the size of the margins as well:
//
//	P(v = t | |z|) = σ(w|z|),  log-odds of the first reply Σ w·z
//
// so that a weight is the inverse of the temperature that the judge's log-odds
// want, found without knowing which reply is better. It says nothing of how large
// margins are, only of how often one of a given size is right: that pairs that
// are clear to one judge are clear to the others is no error. Weights have a
// normal prior, and are fitted by expectation and maximisation, hastened by steps of
// Newton's method where those lead up, and begun at the mean
// of the margins, each in the unit of its judge's root mean square. What is said
// of [JuryOfVotes] holds here too. Accuracy is what the jury's own posterior
// gives each judge.
func JuryOfMargins(margins [][]float64) *Jury {
	u := inUnits(margins)
	j := &Jury{Weights: make([]float64, len(margins))}
	f := &latent{u: u, sums: make([]float64, width(margins)), q: make([]float64, width(margins))}
	for k := range u.z {
		for i, z := range u.z[k] {
			f.sums[i] += z
		}
	}
	at := math.Inf(-1)
	for range juryRounds {
		next, density := f.climb(j.Weights, at)
		moved := 0.0
		for k, w := range next {
			moved = math.Max(moved, math.Abs(w-j.Weights[k]))
		}
		j.Weights, at = next, density
		j.Trace = append(j.Trace, density)
		if moved < juryTolerance {
			break
		}
	}
	j.finish(margins, u, f.q)
	return j
}

// latent is the likelihood of weights, by units, with the truth summed over.
type latent struct {
	u       *units
	sums, q []float64 // the posterior of the weights that were last accepted: log-odds, probability
}

// climb gives weights of a density at least as high as that of the present ones,
// at: by Newton's method where it leads up, else by a round of expectation and
// maximisation, which always does.
func (f *latent) climb(weights []float64, at float64) ([]float64, float64) {
	if !math.IsInf(at, -1) {
		step := f.newton(weights)
		for t := 1.0; step != nil && t > 0.1; t /= 2 {
			next := make([]float64, len(weights))
			for k, w := range weights {
				next[k] = math.Max(0, w+t*step[k])
			}
			if sums, density := f.density(next); density >= floor(at) {
				f.accept(sums)
				return next, density
			}
		}
	} else {
		f.accept(f.sums)
	}
	next := make([]float64, len(weights))
	for k, w := range weights {
		next[k] = ridgeSlope(f.u.z[k], f.q, nil, w)
	}
	sums, density := f.density(next)
	if density < floor(at) {
		return weights, at
	}
	f.accept(sums)
	return next, density
}

func (f *latent) accept(sums []float64) {
	f.sums = sums
	for i, s := range sums {
		f.q[i] = Sigmoid(s)
	}
}

// density gives the log-odds of each pair and the logarithm of the posterior
// density, up to a constant: Σ ln ½Σ_t Π σ(t·w·z) = Σ (−Σ softplus(−w·z) +
// softplus(−Σ w·z)) + constant.
func (f *latent) density(weights []float64) (sums []float64, density float64) {
	sums = make([]float64, len(f.sums))
	for k, w := range weights {
		density -= juryRidge / 2 * w * w
		for i, z := range f.u.z[k] {
			if z != 0 {
				sums[i] += w * z
				density -= softplus(-w * z)
			}
		}
	}
	for _, s := range sums {
		density += softplus(-s)
	}
	return sums, density
}

// newton gives Newton's step over the weights that are not held at 0; nil where it
// does not lead up.
func (f *latent) newton(weights []float64) []float64 {
	grad := make([]float64, len(weights))
	var free []int
	for k, w := range weights {
		grad[k] = -juryRidge * w
		for i, z := range f.u.z[k] {
			if z != 0 {
				grad[k] += z * (f.q[i] - Sigmoid(w*z))
			}
		}
		if w > 0 || grad[k] > 0 {
			free = append(free, k)
		}
	}
	curve, down := make([][]float64, len(free)), make([]float64, len(free))
	for a, k := range free {
		curve[a] = make([]float64, len(free))
		down[a] = grad[k]
		for b, l := range free[:a+1] {
			for i, z := range f.u.z[k] {
				curve[a][b] -= z * f.u.z[l][i] * f.q[i] * (1 - f.q[i])
			}
			curve[b][a] = curve[a][b]
		}
		curve[a][a] += juryRidge
		for _, z := range f.u.z[k] {
			if z != 0 {
				p := Sigmoid(weights[k] * z)
				curve[a][a] += z * z * p * (1 - p)
			}
		}
	}
	step, up := make([]float64, len(weights)), 0.0
	for a, x := range solveFor(curve, down) {
		step[free[a]] = x
		up += x * down[a]
	}
	if !(up >= 0) || math.IsInf(up, 1) {
		return nil
	}
	return step
}

// finish gives weights their unit and judges their accuracy by the posterior q.
func (j *Jury) finish(margins [][]float64, u *units, q []float64) {
	j.Accuracy = make([]float64, len(margins))
	for k := range margins {
		sum, n := 0.0, 0.0
		for i, m := range margins[k] {
			if r := voteShare(m); !math.IsNaN(r) {
				sum += q[i]*r + (1-q[i])*(1-r)
				n++
			}
		}
		j.Accuracy[k] = sum / n
		if j.Weights[k] > 0 {
			j.Weights[k] /= u.size[k]
		}
	}
	j.judgeBy(margins)
}

// Margin gives the jury's log-odds that the first reply of pair i is better; NaN
// where no judge has a margin.
func (j *Jury) Margin(margins [][]float64, i int) float64 {
	sum, known := 0.0, false
	for k := range margins {
		m := margins[k][i]
		if math.IsNaN(m) {
			continue
		}
		known = true
		if j.votes {
			m = 2*voteShare(m) - 1
		}
		sum += j.Weights[k] * clamp(m)
	}
	if !known {
		return math.NaN()
	}
	return sum
}

// voteShare is how much of a vote falls on the first reply, NaN for none.
func voteShare(m float64) float64 {
	switch {
	case m > 0:
		return 1
	case m < 0:
		return 0
	case m == 0:
		return 0.5
	}
	return math.NaN()
}

// width is the number of pairs.
func width(margins [][]float64) int {
	if len(margins) == 0 {
		return 0
	}
	return len(margins[0])
}

// units are margins in the unit of each judge's root mean square, 0 where there
// is none: in a sum it says as little as a tie.
type units struct {
	z    [][]float64
	size []float64
}

func inUnits(margins [][]float64) *units {
	u := &units{size: make([]float64, len(margins))}
	for k := range margins {
		z := make([]float64, len(margins[k]))
		square, n := 0.0, 0.0
		for i, m := range margins[k] {
			if math.IsNaN(m) {
				continue
			}
			z[i] = clamp(m)
			square += z[i] * z[i]
			n++
		}
		if square > 0 {
			u.size[k] = math.Sqrt(square / n)
			for i := range z {
				z[i] /= u.size[k]
			}
		}
		u.z = append(u.z, z)
	}
	return u
}

// ridgeSlope minimises over β ≥ 0, from a start, by Newton's method,
//
//	Σ −q ln σ(o + βz) − (1−q) ln σ(−o − βz) + juryRidge/2·β²
//
// with offsets o, nil for 0. Margins of 0 say nothing of β.
func ridgeSlope(z, q, offset []float64, beta float64) float64 {
	at := func(beta float64) (loss, d, dd float64) {
		loss, d, dd = juryRidge/2*beta*beta, juryRidge*beta, juryRidge
		for i, x := range z {
			if x == 0 {
				continue
			}
			m := beta * x
			if offset != nil {
				m += offset[i]
			}
			p := Sigmoid(m)
			loss += softplus(-m) + (1-q[i])*m
			d += x * (p - q[i])
			dd += x * x * p * (1 - p)
		}
		return loss, d, dd
	}
	loss, d, dd := at(beta)
	for range 50 {
		step := d / dd
		next := math.Max(0, beta-step)
		for t := 0.5; ; t /= 2 {
			l, d2, dd2 := at(next)
			if l <= loss || t < 1e-6 {
				if l > loss {
					return beta
				}
				loss, d, dd = l, d2, dd2
				break
			}
			next = math.Max(0, beta-t*step)
		}
		moved := math.Abs(next - beta)
		beta = next
		if moved <= 1e-14*(1+beta) {
			break
		}
	}
	return beta
}
