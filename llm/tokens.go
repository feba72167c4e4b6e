package llm

import (
	"math"
	"slices"
	"strings"
	"unicode"
)

// NoLogprob stands where a server listed a token without a number: null, a text,
// NaN. Another number above 0 is none of a log-probability: what has it lists no
// distribution, but probabilities themselves, say.
const NoLogprob = 1.0

const (
	// rounding is how far sums of probabilities may be off, since servers round
	// log-probabilities to as few as two decimals.
	rounding = 0.01
	// leastLogprob is what no model gives: servers write numbers below it, or
	// -Infinity, for tokens that they left out of the distribution.
	leastLogprob = -700
	// hidden is the probability that rounding may hide where the listed tokens
	// sum to 1.
	hidden = 1e-6
)

// known tells whether a log-probability is one.
func (a Alternative) known() bool { return a.Logprob <= 0 }

// listing is what a server says of one place of an answer.
type listing struct {
	tokens []Alternative // each text and number once, those without a number too
	sum    float64       // of the probabilities
	least  float64       // the smallest probability of those listed as the likeliest; 1 if there is none
	some   bool          // there is a number
}

// list reads a token's alternatives and the token itself. The token does not
// count as one of the likeliest: where it is not among them it may be any.
func (t *Token) list() listing {
	l := listing{least: 1}
	known := map[string]bool{}
	seen := map[Alternative]bool{}
	for i, a := range append(slices.Clone(t.Top), t.Alternative) {
		own := i == len(t.Top)
		if a.Logprob > 0 && a.Logprob != NoLogprob {
			l.sum, l.some = l.sum+math.Exp(a.Logprob), true
		}
		if seen[a] || !a.known() || own && (known[a.Text] || a == Alternative{}) {
			continue
		}
		seen[a], known[a.Text], l.some = true, true, true
		l.tokens = append(l.tokens, a)
		l.sum += math.Exp(a.Logprob)
		if !own {
			l.least = min(l.least, math.Exp(a.Logprob))
		}
	}
	for _, a := range t.Top {
		if !a.known() && !known[a.Text] {
			l.tokens = append(l.tokens, a)
		}
	}
	return l
}

// rest bounds the probability of what is not listed with a number.
func (l *listing) rest() float64 { return max(hidden, 1-l.sum) }

// isDistribution tells whether the log-probabilities can be those of one
// distribution.
func (l *listing) isDistribution() bool { return l.sum <= 1+rounding }

// wordless tells that a token holds no letter and no digit: blanks, brackets and
// other marks that may stand before an answer.
func wordless(token string) bool {
	return strings.IndexFunc(strings.TrimLeft(token, "ĠĊ▁"), func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) < 0
}

// align drops the tokens before the answer. Where a model thinks first, servers
// list the tokens of its thoughts and of the marks around them too; the answer
// is the last place where its text stands. It gives none if that is not found,
// because a distribution of another token must not pass for the answer's.
func align(tokens []Token, answer string) []Token {
	answer = strings.TrimSpace(answer)
	if answer == "" {
		return nil
	}
	var all strings.Builder
	ends := make([]int, len(tokens))
	for i, t := range tokens {
		all.WriteString(t.Text)
		ends[i] = all.Len()
	}
	at := strings.LastIndex(all.String(), answer)
	if at < 0 {
		return nil
	}
	for i, end := range ends {
		if end > at {
			return tokens[i:]
		}
	}
	return nil
}
