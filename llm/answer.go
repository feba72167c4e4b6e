package llm

import (
	"fmt"
	"math"
	"strings"
)

// Distribution is how the first token of an answer fell on the options that
// the question named.
type Distribution struct {
	// LogProb is the natural-log probability of each option, summed over its
	// spellings among the listed tokens ("A", " A", "(a"). It is not
	// normalised over the options. An option that is not listed takes a bound from
	// above: the smallest listed probability or what the listed ones leave of 1,
	// whichever is less, and the latter where it is listed without a number. The
	// token that was drawn does not count among the listed ones: it may be a less
	// likely one.
	LogProb []float64
	// Coverage is the probability that fell on any listed option, 0 to 1. It is 0
	// where that does not tell which option is the likeliest, because none is
	// listed or one that is not may be as likely as the likeliest that is.
	Coverage float64
	// Censored tells that an option was not listed.
	Censored bool
	// First is the text of the token that was drawn.
	First string
}

// LeastCoverage is the coverage below which an answer says too little of the
// options to count, unless its reader says otherwise.
const LeastCoverage = 0.1

// Doubt says why the log-probabilities of an answer's options cannot count; ""
// is that they can.
type Doubt string

// The doubts.
const (
	// DoubtOffFormat is of numbers that are no log-probabilities of one
	// distribution: a read-out with them is a failure.
	DoubtOffFormat Doubt = "off_format"
	// DoubtUndecided is of a read-out that abstains: no option was listed, or one
	// that was not may be as likely as the likeliest that was.
	DoubtUndecided Doubt = "undecided"
)

// DoubtOf is what a read-out's numbers can and cannot say, whether it was made
// now or is stored: lp are the log-probabilities of the options, coverage and
// censored as [Distribution] has them. A read-out without a doubt may still have
// too little coverage for its reader.
func DoubtOf(lp []float64, coverage float64, censored bool) Doubt {
	sum, most, next := 0.0, math.Inf(-1), math.Inf(-1)
	for _, x := range lp {
		if math.IsNaN(x) || math.IsInf(x, 0) || x > rounding {
			return DoubtOffFormat
		}
		sum += math.Exp(x)
		most, next = max(most, x), max(next, min(most, x))
	}
	switch {
	case !(coverage >= 0 && coverage <= 1+rounding), !censored && sum > 1+rounding:
		return DoubtOffFormat
	case coverage == 0, censored && len(lp) == 2 && most == next: // one that is listed, and a bound as large
		return DoubtUndecided
	}
	return ""
}

// Distribution reads the first token's probabilities of the options. Where that
// token is only a blank, a bracket or another mark, and the options have less
// than [LeastCoverage] in its place, those of the token that follows count as
// well. It returns an [Error] of KindNoLogprobs if the reply has none,
// and of KindOffFormat if they are those of no distribution.
func (r *Reply) Distribution(options ...string) (Distribution, error) {
	n := len(options)
	s := shares{listed: make([]float64, n), bound: make([]float64, n)}
	weight := 1.0
	for i := range r.Tokens {
		t := &r.Tokens[i]
		l := t.list()
		if !l.some {
			break
		}
		if !l.isDistribution() {
			return Distribution{LogProb: make([]float64, n), First: r.Tokens[0].Text}, &Error{
				Kind: KindOffFormat, Op: "read the answer",
				Err:  fmt.Errorf("the probabilities of the answer's token sum to %.2f, not to 1 at most", l.sum),
				Hint: "the server's log-probabilities cannot be used: sample answers, with --mode vote or --votes",
			}
		}
		s.add(&l, weight, options)
		if !t.known() || !wordless(t.Text) || s.covered() >= LeastCoverage {
			break
		}
		weight *= math.Exp(t.Logprob)
	}
	if s.rest == 0 {
		return Distribution{LogProb: make([]float64, n)}, &Error{Kind: KindNoLogprobs, Op: "read the answer"}
	}
	d := s.distribution()
	d.First = r.Tokens[0].Text
	return d, nil
}

// shares are what the options have of the probability, as far as it is listed.
type shares struct {
	listed, bound []float64 // by option: what is listed of it, and what else it may have at most
	rest          float64   // what is not listed of anything
}

func (s *shares) covered() float64 {
	sum := 0.0
	for _, p := range s.listed {
		sum += p
	}
	return sum
}

// add takes in a place of the answer that has this weight.
func (s *shares) add(l *listing, weight float64, options []string) {
	s.rest += weight * l.rest()
	for k, o := range options {
		p, unknown := 0.0, false
		for _, a := range l.tokens {
			if !spells(a.Text, o) {
				continue
			}
			if a.known() {
				p += math.Exp(a.Logprob)
			} else {
				unknown = true
			}
		}
		s.listed[k] += weight * p
		switch {
		case unknown:
			s.bound[k] += weight * l.rest()
		case p == 0:
			s.bound[k] += weight * min(l.least, l.rest())
		}
	}
}

// distribution gives an option that is not listed the most that it can have; all
// of them share what is left.
func (s *shares) distribution() Distribution {
	d := Distribution{LogProb: make([]float64, len(s.listed)), Coverage: min(s.covered(), 1)}
	best, unlisted := 0, 0.0
	for i, p := range s.listed {
		if p > s.listed[best] {
			best = i
		}
		if p == 0 {
			unlisted++
		}
	}
	for i, p := range s.listed {
		if p == 0 {
			d.Censored = true
			p = min(s.bound[i], s.rest/unlisted)
		}
		if s.bound[i] > 0 && s.listed[i]+s.bound[i] >= s.listed[best] && (i != best || s.listed[best] == 0) {
			d.Censored, d.Coverage = true, 0
			p = max(p, s.listed[best])
		}
		d.LogProb[i] = min(0, math.Log(p))
	}
	return d
}

// spells tells whether a token is a spelling of an option: blanks, the marks
// that tokenizers put for them, brackets, quotes and stops around it do not
// count, nor does the case of letters.
func spells(token, option string) bool {
	t := strings.Trim(token, " \t\r\n▁ĠĊ()[]{}（）［］.,:;*\"'`_")
	return len(t) == len(option) && strings.EqualFold(t, option)
}
