package label

import "math"

// Seen is what is known of one pair under one principle.
type Seen struct {
	// Z is its preference so far, NaN where it is not known.
	Z float64
	// Noise is by how much Z is expected to move, as a variance, until all its
	// samples are there; 0 where they are.
	Noise float64
	// Weight is the principle's weight in the label; 0 for a principle that
	// does not count, or that failed or abstained on this pair.
	Weight float64
}

// Outlook is what a model expects of the label of a pair: the weighted sum of
// z over all principles is Mean plus SD times a Student's t with Nu degrees of
// freedom.
type Outlook struct {
	Mean, SD, Nu float64
	cov          sym     // of z given what was seen, up to inflate
	inflate      float64 // what turns cov into a variance
	weights      []float64
}

// Flip is the probability that the label of the full principle set is not the
// one of Mean's sign: ½ where nothing is known, 0 where everything is.
func (o *Outlook) Flip() float64 {
	switch {
	case o.SD == 0 && o.Mean == 0:
		return 0.5
	case o.SD == 0:
		return 0
	}
	return studentCDF(-math.Abs(o.Mean)/o.SD, o.Nu)
}

// Outlook gives what the model expects of a pair.
func (m *Model) Outlook(seen []Seen) Outlook {
	k := len(seen)
	o := Outlook{Nu: m.nu, inflate: 1, cov: m.scale.clone(), weights: make([]float64, k)}
	var idx []int
	for i, s := range seen {
		o.weights[i] = s.Weight
		if !math.IsNaN(s.Z) {
			idx = append(idx, i)
		}
	}
	mean := make([]float64, k)
	if p := len(idx); p > 0 {
		chol := m.scale.part(idx)
		z := make([]float64, p)
		for i, s := range idx {
			z[i] = seen[s].Z
			chol.set(i, i, chol.at(i, i)+seen[s].Noise)
		}
		chol.cholesky() // Σ is positive definite by construction
		// With L the factor of what was seen, cov = Σ − BᵀB and mean = Bᵀ L⁻¹z
		// for B = L⁻¹Σ_seen.
		u := append([]float64(nil), z...)
		chol.forward(u)
		cols := make([][]float64, p) // rows of B
		for i := range cols {
			cols[i] = make([]float64, k)
		}
		b := make([]float64, p)
		for c := range k {
			for i, s := range idx {
				b[i] = m.scale.at(s, c)
			}
			chol.forward(b)
			for i := range b {
				cols[i][c] = b[i]
			}
			mean[c] = dot(b, u)
		}
		for _, row := range cols {
			o.cov.less(1, row)
		}
		for i, s := range idx {
			if seen[s].Noise == 0 { // exactly what rounding leaves nearly so
				mean[s] = z[i]
				for c := range k {
					o.cov.set(s, c, 0)
					o.cov.set(c, s, 0)
				}
			}
		}
		if !math.IsInf(m.nu, 1) {
			o.inflate = (m.nu + dot(u, u)) / (m.nu + float64(p))
			o.Nu = m.nu + float64(p)
		}
		// Σ itself is known from n pairs only: the variance of a prediction from
		// p figures grows by about p/n, and by 1/n for its own.
		o.inflate *= 1 + float64(p+1)/math.Max(1, m.n)
	}
	o.Mean = dot(o.weights, mean)
	o.SD = math.Sqrt(math.Max(0, o.inflate*o.variance()))
	return o
}

// variance gives wᵀ cov w.
func (o *Outlook) variance() float64 {
	var v float64
	for i, w := range o.weights {
		if w != 0 {
			v += w * dot(o.cov.a[i*o.cov.n:(i+1)*o.cov.n], o.weights)
		}
	}
	return v
}

// Cost is what questions about a pair cost, in units of one question whose
// prefix the server still holds.
type Cost struct {
	// Reread is the cost of the other order's replies, which the server has to
	// read again when the order changes.
	Reread float64
}

// Next chooses the principles to ask next, of those that open names, in both
// orders: the ones that tell most about the label, as many as cost least.
//
// The next principle is the one that takes most variance from the weighted sum,
// Cov(S, z_k)² / Var(z_k): for a normal S that is also the one after which the
// expected probability of a flip is smallest, and it does not depend on the
// answer. How many are asked before the rule looks again is decided by what
// they cost: a batch of b costs Reread + 2b, and b is the size for which batches
// of b until the rule stops cost least, each weighted by the probability that
// it is needed.
func (o *Outlook) Next(open []int, risk float64, c Cost) []int {
	order, variance := o.ranked(open)
	total := o.variance()
	if total <= 0 || len(order) <= 1 {
		return order
	}
	// on[n] is the probability that the rule does not stop after n principles:
	// the mean is then normal around today's with the variance that was gained,
	// and it stops where that is further from 0 than q times what is left.
	q := normalQuantile(1 - risk)
	on := make([]float64, len(order))
	on[0] = 1
	for n := 1; n < len(order); n++ {
		left := math.Max(0, variance[n-1]) * o.inflate
		gained := math.Max(0, total-variance[n-1]) * o.inflate
		edge := q * math.Sqrt(left)
		switch {
		case gained > 0:
			sd := math.Sqrt(gained)
			on[n] = normalCDF((edge-o.Mean)/sd) - normalCDF((-edge-o.Mean)/sd)
		case math.Abs(o.Mean) <= edge:
			on[n] = 1
		}
	}
	best, least := len(order), math.Inf(1)
	for b := 1; b <= len(order); b++ {
		var cost float64
		for n := 0; n < len(order); n += b {
			cost += on[n] * (c.Reread + 2*float64(min(b, len(order)-n)))
		}
		if cost < least-1e-9 {
			best, least = b, cost
		}
	}
	return order[:best]
}

// ranked orders principles by what they tell about the label, each given those
// before it, with the variance (wᵀ cov w) that is left after each.
func (o *Outlook) ranked(open []int) (order []int, left []float64) {
	cov := o.cov.clone()
	k := cov.n
	rest := append([]int(nil), open...)
	w := o.weights
	toSum := make([]float64, k) // Cov(S, z_i)
	for i := range k {
		toSum[i] = dot(cov.a[i*k:(i+1)*k], w)
	}
	variance := dot(toSum, w)
	for len(rest) > 0 {
		at, most := 0, -1.0
		for i, p := range rest {
			v := cov.at(p, p)
			gain := 0.0
			if v > 1e-12 {
				gain = toSum[p] * toSum[p] / v
			}
			if gain > most*(1+1e-12) { // the first of equals
				at, most = i, gain
			}
		}
		p := rest[at]
		rest = append(rest[:at], rest[at+1:]...)
		if v := cov.at(p, p); v > 1e-12 {
			variance -= toSum[p] * toSum[p] / v
			col := append([]float64(nil), cov.a[p*k:(p+1)*k]...)
			s := toSum[p]
			cov.less(1/v, col)
			for i := range k {
				toSum[i] -= s * col[i] / v
			}
		}
		order = append(order, p)
		left = append(left, variance)
	}
	return order, left
}

// normalQuantile is the inverse of Φ.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Replay is what the rule would have done on pairs of which everything is
// known.
type Replay struct {
	Pairs   int // all of them
	Stopped int // before the last principle
	Flipped int // of those, stopped at another label than the full one
	// Asked and Wanted count principles, each with both orders.
	Asked, Wanted int
	// Expected is the sum of the flip probabilities at which the rule stopped.
	Expected float64
	// Cost and FullCost are the cost of the questions with the rule and without,
	// in the unit of [Cost].
	Cost, FullCost float64
}

// Replay runs the rule over one pair, given as its z by principle, all known,
// and adds what it did to r. It gives what the rule had asked, NaN for the rest.
func (m *Model) Replay(r *Replay, z, weights []float64, risk float64, c Cost) []float64 {
	k := len(z)
	asked := make([]float64, k)
	seen := make([]Seen, k)
	open := make([]int, 0, k)
	var full float64
	for i, x := range z {
		seen[i] = Seen{Z: math.NaN(), Weight: weights[i]}
		asked[i] = math.NaN()
		full += weights[i] * x
		if weights[i] > 0 {
			open = append(open, i)
		}
	}
	r.Pairs++
	r.Wanted += len(open)
	r.FullCost += 2*c.Reread + 2*float64(len(open))
	r.Cost += c.Reread
	for len(open) > 0 {
		o := m.Outlook(seen)
		if flip := o.Flip(); flip <= risk {
			r.Stopped++
			r.Expected += flip
			if (o.Mean > 0) != (full > 0) {
				r.Flipped++
			}
			break
		}
		batch := o.Next(open, risk, c)
		r.Asked += len(batch)
		r.Cost += c.Reread + 2*float64(len(batch))
		for _, p := range batch {
			seen[p].Z, asked[p] = z[p], z[p]
		}
		open = without(open, seen)
	}
	return asked
}

// without keeps those of open that are not known yet.
func without(open []int, seen []Seen) []int {
	keep := open[:0]
	for _, p := range open {
		if math.IsNaN(seen[p].Z) {
			keep = append(keep, p)
		}
	}
	return keep
}
