package llm

import (
	"math"
	"strings"
)

// Distribution is how the first token of an answer fell on the options that
// the question named.
type Distribution struct {
	// LogProb is the natural-log probability of each option, summed over its
	// spellings among the listed tokens ("A", " A", "(a"). It is not
	// normalised over the options. An option that is not listed takes the
	// smallest listed value, which bounds it from above (the token that was
	// drawn does not count as listed: it may be a less likely one).
	LogProb []float64
	// Coverage is the probability that fell on any option, 0 to 1.
	Coverage float64
	// Censored tells that an option was not listed.
	Censored bool
}

// Distribution reads the first token's probabilities of the options. It
// returns an [Error] of KindNoLogprobs if the reply has none.
func (r *Reply) Distribution(options ...string) (Distribution, error) {
	d := Distribution{LogProb: make([]float64, len(options))}
	if len(r.Tokens) == 0 || len(r.Tokens[0].Top) == 0 {
		return d, &Error{Kind: KindNoLogprobs, Op: "read the answer"}
	}
	first := r.Tokens[0]
	for i := range d.LogProb {
		d.LogProb[i] = math.Inf(-1)
	}
	least, listed := first.Top[0].Logprob, false
	add := func(a Alternative) {
		for i, o := range options {
			if spells(a.Text, o) {
				d.LogProb[i] = logAdd(d.LogProb[i], a.Logprob)
				d.Coverage += math.Exp(a.Logprob)
			}
		}
	}
	for _, a := range first.Top {
		listed = listed || a.Text == first.Text
		least = min(least, a.Logprob)
		add(a)
	}
	if !listed {
		add(first.Alternative)
	}
	for i := range d.LogProb {
		if math.IsInf(d.LogProb[i], -1) {
			d.LogProb[i], d.Censored = least, true
		}
	}
	d.Coverage = min(d.Coverage, 1)
	return d, nil
}

// spells tells whether a token is a spelling of an option: blanks, the marks
// that tokenizers put for them, brackets, quotes and stops around it do not
// count, nor does the case of letters.
func spells(token, option string) bool {
	t := strings.Trim(token, " \t\r\n▁Ġ()[]{}.,:;*\"'`_")
	return len(t) == len(option) && strings.EqualFold(t, option)
}

// logAdd is log(exp(a) + exp(b)).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
