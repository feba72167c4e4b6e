package llm

import (
	"math"
	"strings"
)

// mend puts right log-probabilities that are none. Ollama gives the probability
// itself in place of a log-probability that it takes for unset, and that is
// then above 0.
func mend(t *Token) {
	t.Logprob = mended(t.Logprob)
	for i := range t.Top {
		t.Top[i].Logprob = mended(t.Top[i].Logprob)
	}
}

func mended(lp float64) float64 {
	if lp > 0 {
		return min(0, math.Log(lp))
	}
	return lp
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
