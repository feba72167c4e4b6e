package llm

import (
	"context"
	"math"
	"strings"
	"time"
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

// Choose puts a question that one of the options, each a single token, answers.
//
// With votes 0 it makes one call for one token and reads the token's
// log-probabilities. For servers that give none, votes samples that many
// answers at temperature 1 and states the posterior mean of each option's share
// under Jeffreys' prior, (n + ½)/(N + k/2) for k options; coverage is then the
// share of answers that named an option.
func Choose(ctx context.Context, m Chatter, req Request, votes int, options ...string) (Choice, error) {
	if votes > 0 {
		return vote(ctx, m, req, votes, options)
	}
	req.MaxTokens = 1
	req.TopLogprobs = TopLogprobs
	r, err := m.Chat(ctx, req)
	if err != nil {
		return Choice{}, err
	}
	d, err := r.Distribution(options...)
	return Choice{Distribution: d, Calls: 1, PromptTokens: r.PromptTokens, PromptTime: r.PromptTime, Duration: r.Duration}, err
}

func vote(ctx context.Context, m Chatter, req Request, votes int, options []string) (Choice, error) {
	c := Choice{Distribution: Distribution{LogProb: make([]float64, len(options))}}
	n := make([]float64, len(options))
	var total float64
	req.Temperature = 1
	req.Plain = true // a repeat penalty would weigh on the letters that the question names
	req.MaxTokens = 4
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
		first, _, _ := strings.Cut(strings.TrimSpace(r.Text), " ")
		for i, o := range options {
			if spells(first, o) {
				n[i]++
				total++
			}
		}
	}
	for i := range n {
		c.LogProb[i] = math.Log((n[i] + 0.5) / (total + float64(len(options))/2))
	}
	c.Coverage = total / float64(votes)
	return c, nil
}
