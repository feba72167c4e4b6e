// Package judge turns one comparison of two replies into a probability
// distribution.
//
// The prompt is the conversation, both replies marked (A) and (B), then the
// principle as one short question; a [Shape] may put it otherwise. The question comes last for two reasons: a
// small model follows what it read last, and everything before it is common to
// all principles, so a server with a prefix cache reads it once. The answer is
// one token, and what is kept is the distribution over that token, not the
// letter that happened to be drawn.
//
// A judge has a position bias, and in small models it is most of what one
// order shows. With s₁ the log-odds that the first slot wins with reply a
// first and s₂ with b first, the preference for a is z = (s₁ − s₂)/2 and the
// bias β = (s₁ + s₂)/2: ask both orders.
package judge

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
)

// The modes of judging.
const (
	// ModeToken reads the answer token's log-probabilities.
	ModeToken = "token"
	// ModeVote samples answers and counts them, for servers that give no
	// log-probabilities.
	ModeVote = "vote"
)

// DefaultVotes is how many answers ModeVote samples for one judgment.
const DefaultVotes = 8

// Judge asks one model in one mode.
type Judge struct {
	Model llm.Chatter
	ID    dataset.Judge // who judges, as the store knows it
	Shape Shape
	Seed  int

	votes int // answers a judgment in ModeVote, else 0
}

// New makes a judge of a model. The shape's wording is part of the judge's
// identity. So are options, those that change answers ([llm.AnswerOptions]),
// the number of votes and the seed they are drawn with.
func New(m llm.Chatter, id llm.Identity, shape Shape, mode string, votes, seed int, options map[string]string) (*Judge, error) {
	opts := maps.Clone(options)
	if opts == nil {
		opts = map[string]string{}
	}
	switch mode {
	case ModeToken:
		votes = 0
	case ModeVote:
		if votes <= 0 {
			votes = DefaultVotes
		}
		opts["votes"] = strconv.Itoa(votes)
		opts["seed"] = strconv.Itoa(seed)
	default:
		return nil, fmt.Errorf("judging mode %q is not known: use %s or %s", mode, ModeToken, ModeVote)
	}
	return &Judge{
		Model: m, Shape: shape, Seed: seed, votes: votes,
		ID: dataset.Judge{
			Backend: id.Backend, Model: id.Model, Digest: id.Digest,
			Template: shape.TemplateHash().String(), Mode: mode, Options: opts,
		},
	}, nil
}

// Question is one comparison under one principle.
type Question struct {
	Prompt        dataset.Conversation
	First, Second string // the replies in the slots (A) and (B)
	Principle     *constitution.Principle
	Sample        int // from 0; moves the seed
}

// Answer is a judge's distribution over the two slots. Its fields are those of
// [dataset.Judgment].
type Answer struct {
	LPFirst, LPSecond float64
	Coverage          float64
	Censored          bool
	PromptTokens      int
	PromptTime        time.Duration // as [llm.Choice] has it
	Duration          time.Duration
	Calls             int
}

// LogOdds gives the log-odds that the first slot wins.
func (a Answer) LogOdds() float64 { return a.LPFirst - a.LPSecond }

// Compare asks one question. Errors are [llm.Error].
func (j *Judge) Compare(ctx context.Context, q Question) (Answer, error) {
	c, err := llm.Choose(ctx, j.Model, llm.Request{
		Messages: j.Shape.Render(q),
		Seed:     j.Seed + q.Sample*max(1, j.votes),
	}, j.votes, "A", "B")
	if err != nil {
		return Answer{Calls: c.Calls}, err
	}
	return Answer{
		LPFirst: c.LogProb[0], LPSecond: c.LogProb[1],
		Coverage: c.Coverage, Censored: c.Censored,
		PromptTokens: c.PromptTokens, PromptTime: c.PromptTime, Duration: c.Duration, Calls: c.Calls,
	}, nil
}

// Preference is both orders of one pair under one principle put together.
type Preference struct {
	Z    float64 // log-odds that the first reply is the better one, free of position bias
	Bias float64 // log-odds by which the first slot is favoured
	// Coverage is the smaller of the two orders' coverages.
	Coverage float64
}

// P gives the probability that the first reply is the better one.
func (p Preference) P() float64 { return 1 / (1 + math.Exp(-p.Z)) }

// Prefer asks both orders of one pair under each of the principles, all of one
// order before the other, so that the questions share their prefix.
func (j *Judge) Prefer(ctx context.Context, c dataset.Conversation, first, second string, principles []constitution.Principle) ([]Preference, error) {
	out := make([]Preference, len(principles))
	ab := make([]Answer, len(principles))
	q := Question{Prompt: c, First: first, Second: second}
	var err error
	for i := range principles {
		q.Principle = &principles[i]
		if ab[i], err = j.Compare(ctx, q); err != nil {
			return nil, err
		}
	}
	q.First, q.Second = second, first
	for i := range principles {
		q.Principle = &principles[i]
		ba, err := j.Compare(ctx, q)
		if err != nil {
			return nil, err
		}
		out[i] = Preferred(ab[i], ba)
	}
	return out, nil
}

// Together gives the probability that the first reply is the better one by all
// principles: their mean in log-odds, weighted by the principles' weights.
func Together(prefs []Preference, principles []constitution.Principle) float64 {
	var z, w float64
	for i, p := range prefs {
		z += principles[i].Weight * p.Z
		w += principles[i].Weight
	}
	return 1 / (1 + math.Exp(-z/w))
}
