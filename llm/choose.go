package llm

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// TopLogprobs is the most alternatives that servers list for a token.
const TopLogprobs = 20

// Chatter is what [Choose] asks; [Client] is one.
type Chatter interface {
	Chat(ctx context.Context, r Request) (*Reply, error)
}

// Choice is a model's distribution over the options of a question and what it
// cost.
type Choice struct {
	Distribution
	Calls        int
	PromptTokens int // of one call
	// PromptTime is what the server says it took to read the prompt of the last
	// call; 0 where it does not say.
	PromptTime time.Duration
	Duration   time.Duration
}

const (
	// fewTokens bound an answer that is read for the option behind marks, which
	// may be those of a thought, and voteTokens one that is a vote.
	fewTokens  = 8
	voteTokens = 4
)

// Choose puts a question that one of the options, each a single token, answers.
//
// With votes 0 it makes one call for one token and reads the token's
// log-probabilities. Where that is only a blank, a bracket or another mark, and
// the options have less than [LeastCoverage], it asks again for the few tokens
// behind it. For servers that give none, votes
// samples that many answers at temperature 1 and states the posterior mean of
// each option's share under Jeffreys' prior, (n + ½)/(N + k/2) for k options;
// coverage is then the share of answers that named an option.
func Choose(ctx context.Context, m Chatter, req Request, votes int, options ...string) (Choice, error) {
	if votes > 0 {
		return vote(ctx, m, req, votes, options)
	}
	req.MaxTokens = 1
	req.TopLogprobs = TopLogprobs
	var c Choice
	read := func() (*Reply, error) {
		r, err := m.Chat(ctx, req)
		if err != nil {
			return nil, err
		}
		c.Calls++
		c.Duration += r.Duration
		c.PromptTokens, c.PromptTime = r.PromptTokens, r.PromptTime
		c.Distribution, err = r.Distribution(options...)
		if text := strings.TrimSpace(r.Text); wordless(c.First) && text != "" {
			c.First = text
		}
		return r, err
	}
	r, err := read()
	if err == nil && c.Coverage < LeastCoverage && r.Truncated && wordless(r.Text) {
		req.MaxTokens = fewTokens
		_, err = read()
	}
	return c, err
}

func vote(ctx context.Context, m Chatter, req Request, votes int, options []string) (Choice, error) {
	c := Choice{Distribution: Distribution{LogProb: make([]float64, len(options))}}
	n := make([]float64, len(options))
	var named float64
	other := map[string]int{}
	req.Temperature = 1
	req.Plain = true // a repeat penalty would weigh on the letters that the question names
	req.MaxTokens = voteTokens
	seed := req.Seed
	for v := range votes {
		req.Seed = seed + v
		r, err := m.Chat(ctx, req)
		if err != nil && KindOf(err) != KindEmpty {
			return c, err
		}
		c.Calls++
		if err != nil {
			continue // an empty answer names no option: it lowers the coverage
		}
		c.Duration += r.Duration
		c.PromptTokens, c.PromptTime = r.PromptTokens, r.PromptTime
		i := namedIn(r.Text, options)
		if i < 0 {
			begin := strings.TrimSpace(r.Text)
			if other[begin]++; other[begin] > other[c.First] || c.First == "" {
				c.First = begin
			}
			continue
		}
		n[i]++
		named++
	}
	for i := range n {
		c.LogProb[i] = math.Log((n[i] + 0.5) / (named + float64(len(options))/2))
	}
	c.Coverage = named / float64(votes)
	return c, nil
}

var (
	// lead is what models write before the option that they were asked for alone.
	lead = regexp.MustCompile(`(?i)^(?:(?:the|my)\s+)?(?:(?:final|best|better|correct)\s+)?(?:answer|reply|response|option|choice|level|score|grade|boxed)\b(?:\s+is\b)?[^\pL\pN]*`)
	// word is the first run of letters and digits, and what stands behind it. Han
	// and other scripts without blanks may follow it at once.
	word = regexp.MustCompile(`(?s)^[^\pL\pN]*((?:[\p{Latin}\p{Greek}\p{Cyrillic}\pM\pN])+|\pL)(.*)`)
	// more makes a number of a digit (4.5, 1-2, 10 %), or repeats the question (A
	// or B).
	more = regexp.MustCompile(`(?i)^(?:[.,–-]\pN|\s*%|[^\pL\pN]+or\b)`)
	// article is what follows an A that is no option but begins a sentence ("A reply
	// that …"), and denied an option that is turned down.
	article = regexp.MustCompile(`^ +\p{Ll}+`)
	verb    = regexp.MustCompile(`^ +(?:is|was|because|since|as|for|seems|looks|has|gives|provides|answers|explains|offers|stays|does|would|wins)\b`)
	denied  = regexp.MustCompile(`(?i)^[^\pL\pN]+(?:is |was |would be )?(?:not|never|worse|wrong|incorrect|bad)\b`)
	// also names a second option.
	also = regexp.MustCompile(`(?i)^[\s)*"']*(?:and\b|[&+/])[^\pL\pN]*([\pL\pN]+)`)
)

// namedIn gives the option that an answer names: its first word, whatever marks
// stand around it, or the one behind "Answer:" and the like. It is −1 where that
// is none of them or not alone.
func namedIn(answer string, options []string) int {
	among := func(s string) int {
		return slices.IndexFunc(options, func(o string) bool { return strings.EqualFold(o, s) })
	}
	answer = lead.ReplaceAllString(strings.TrimLeftFunc(answer, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), "")
	m := word.FindStringSubmatch(answer)
	if m == nil || more.MatchString(m[2]) {
		return -1
	}
	if len(m[1]) == 1 && !isNumber(m[1]) && denied.MatchString(m[2]) || m[1] == "A" && article.MatchString(m[2]) && !verb.MatchString(m[2]) {
		return -1
	}
	i := among(m[1])
	if a := also.FindStringSubmatch(m[2]); a != nil && among(a[1]) >= 0 && among(a[1]) != i && !isNumber(m[1]) {
		return -1
	}
	return i
}

// isNumber tells that an option is one of several levels, where 4/5 is the
// fourth of five.
func isNumber(s string) bool { return s[0] >= '0' && s[0] <= '9' }
