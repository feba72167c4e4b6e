package rm

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// likelihood is how labels come from margins, where that is not by Bradley–Terry
// alone. With σ the logistic function, z the margin and p the label's probability
// that a is better, the loss of a row is
//
//	margin:  −p·ln σ(z − m) − (1 − p)·ln σ(−z − m),  m = margin·|2p − 1|
//	         (Touvron et al. 2023): a clear label wants a wide margin
//	noise:   the cross-entropy of p and ε + (1 − 2ε)·σ(z): a share ε of the
//	         labels is turned around (Natarajan et al. 2013; the cDPO and rDPO of
//	         language models)
//	ties:    −ln of e^{z/2}/s, e^{−z/2}/s or ν/s with s = e^{z/2} + e^{−z/2} + ν
//	         for a better, b better, neither (Davidson 1970). A label of ½ is a
//	         tie; of others the first two are weighted by p and 1 − p.
//
// Only one of margin and noise may be there with one of the others left at 0;
// ties go with neither.
type likelihood struct {
	margin float64
	tie    float64   // ν; 0 is no ties
	noise  []float64 // ε by annotator; nil where there is none
}

// at gives the loss of a row with margin z, label p and the annotator by, its
// derivative by z, and a curvature: the second derivative, or with noise that of
// Fisher scoring, which is never below 0 as the second derivative can be.
func (l *likelihood) at(z, p float64, by int32) (loss, slope, curve float64) {
	switch {
	case l.noise != nil:
		e := l.noise[by]
		s, other := sigmoid(z), sigmoid(-z) // 1 − s would lose its digits
		q, not := e+(1-2*e)*s, e+(1-2*e)*other
		dq := (1 - 2*e) * s * other
		if e == 0 { // exactly, where q is 0 or 1 in floating point
			return crossEntropy(z, p), s - p, s * other
		}
		return -p*math.Log(q) - (1-p)*math.Log(not), dq * ((1-p)/not - p/q), dq * dq / (q * not)
	case l.tie > 0:
		// Divided by e^{|z|/2}, so that nothing overflows.
		u := math.Exp(-math.Abs(z))
		t := l.tie * math.Sqrt(u)
		s := 1 + u + t
		lnS := math.Abs(z)/2 + math.Log(s)
		d := math.Copysign((1-u)/s/2, z)
		curve = (1+u)/s/4 - d*d
		if p == 0.5 {
			return lnS - math.Log(l.tie), d, curve
		}
		return lnS - (p-0.5)*z, d - (p - 0.5), curve
	default:
		m := l.margin * math.Abs(2*p-1)
		a, b := sigmoid(z-m), sigmoid(-z-m)
		return p*crossEntropy(z-m, 1) + (1-p)*crossEntropy(-z-m, 1),
			-p*(1-a) + (1-p)*(1-b), p*a*(1-a) + (1-p)*b*(1-b)
	}
}

// tieProbability gives the probability of a tie at margin z.
func tieProbability(nu, z float64) float64 {
	u := math.Exp(-math.Abs(z))
	t := nu * math.Sqrt(u)
	return t / (1 + u + t)
}

// fitTie gives the ν that suits margins z and labels p best, by a golden-section
// search for ln ν; 0 where there are no ties.
func fitTie(z, p []float64) float64 {
	ties := 0
	for _, v := range p {
		if v == 0.5 {
			ties++
		}
	}
	if ties == 0 {
		return 0
	}
	if ties == len(p) {
		return 1e3
	}
	return math.Exp(golden(-10, 7, func(lnNu float64) float64 {
		l := likelihood{tie: math.Exp(lnNu)}
		sum := 0.0
		for i := range z {
			v, _, _ := l.at(z[i], p[i], 0)
			sum += v
		}
		return sum
	}))
}

// golden gives about where f, with one valley between a and b, is least.
func golden(a, b float64, f func(float64) float64) float64 {
	const phi = 0.6180339887498949
	c, d := b-phi*(b-a), a+phi*(b-a)
	fc, fd := f(c), f(d)
	for b-a > 1e-6 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - phi*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + phi*(b-a)
			fd = f(d)
		}
	}
	return (a + b) / 2
}

// weigh sets the rows' weights and how their labels come from margins.
func (f *fitter) weigh() error {
	o := &f.o
	if o.Weight != nil {
		f.x.weight = make([]float64, len(f.rows))
		sum := 0.0
		for i := range f.rows {
			w := f.rows[i].weight
			if !(w >= 0) || math.IsInf(w, 0) {
				return fmt.Errorf("weight %v of pair %s: need a number from 0 on", w, f.rows[i].key)
			}
			f.x.weight[i] = w
			sum += w
		}
		if sum == 0 {
			return errors.New("the weights of all pairs are 0")
		}
		for i := range f.x.weight {
			f.x.weight[i] *= float64(len(f.rows)) / sum
		}
	}
	switch {
	case o.Margin > 0:
		f.x.like = &likelihood{margin: o.Margin}
	case o.Ties:
		f.x.like = &likelihood{tie: fitTie(make([]float64, len(f.rows)), f.x.p)}
		if f.x.like.tie == 0 {
			f.x.like, o.Ties = nil, false // there are none
		}
	case o.Noise > 0 || o.FitNoise:
		f.annotate()
		f.t.Noise = map[string]float64{}
		f.x.like = &likelihood{noise: make([]float64, len(f.annotators))}
		for k := range f.annotators {
			f.x.like.noise[k] = o.Noise
			if o.Noise == 0 {
				f.x.like.noise[k] = float64(noiseWrong) / noisePrior
			}
		}
	}
	return nil
}

// annotate numbers the annotators.
func (f *fitter) annotate() {
	at := map[string]int32{}
	for i := range f.rows {
		at[f.rows[i].by] = 0
	}
	f.annotators = slices.Sorted(maps.Keys(at))
	for k, name := range f.annotators {
		at[name] = int32(k)
	}
	f.x.by = make([]int32, len(f.rows))
	for i := range f.rows {
		f.x.by[i] = at[f.rows[i].by]
	}
}

// temperature gives what the function of that name does for the margins z of the
// last rows, at the noise of their labels.
func (f *fitter) temperature(z, labels []float64) (t, loss float64) {
	like := f.x.like
	if like == nil || like.noise == nil {
		return temperature(z, labels)
	}
	first := len(f.rows) - len(z)
	return temperatureOf(z, func(i int, z float64) float64 {
		l, _, _ := like.at(z, labels[i], f.x.annotator(first+i))
		return l
	})
}

// What the rates of annotators' noise are fitted with: a prior like so many pairs
// seen, of which so many were labelled the wrong way round, and the rounds.
const (
	noisePrior, noiseWrong = 20, 2
	noiseRounds            = 8
	noiseMost              = 0.45
)

// fitNoise estimates how often each annotator's labels are the wrong way round,
// by expectation maximisation: what a model says of prompts it did not see is
// taken for the prior of the true label (Dawid and Skene 1979 with one number an
// annotator, and the model in place of their class shares).
func (f *fitter) fitNoise() error {
	rates := f.x.like.noise
	w := make([]float64, f.x.cols)
	for round := range noiseRounds {
		f.progress("noise", round, noiseRounds)
		z, err := f.outOfFold(func(_ int, use []bool, out []float64) error {
			p := f.problem(f.x.only(use))
			p.bare = true
			if _, err := p.solve(f.ctx, w, pathTolerance); err != nil {
				return err
			}
			f.x.times(w, out)
			return nil
		})
		if err != nil {
			return err
		}
		temp, _ := f.temperature(z, f.x.p)
		wrong, n := make([]float64, len(rates)), make([]float64, len(rates))
		for i, v := range z {
			k := f.x.annotator(i)
			s, e, p := sigmoid(v/temp), rates[k], f.x.p[i]
			// The chance that a label "a" is wrong, and that "b" is.
			a := (1 - s) * e / ((1-s)*e + s*(1-e))
			b := s * e / (s*e + (1-s)*(1-e))
			wrong[k] += p*a + (1-p)*b
			n[k]++
		}
		for k := range rates {
			rates[k] = min(noiseMost, (wrong[k]+noiseWrong)/(n[k]+noisePrior))
		}
	}
	return nil
}
