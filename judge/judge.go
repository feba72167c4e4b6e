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
	"strings"
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
	// ModeReason has the model write a rationale first and reads the answer
	// token's log-probabilities after it.
	ModeReason = "cot"
)

// Modes lists the modes of a [Judge].
func Modes() []string { return []string{ModeToken, ModeVote, ModeReason} }

// DefaultVotes is how many answers ModeVote samples for one judgment.
const DefaultVotes = 8

// Settings are how a judge asks.
type Settings struct {
	Shape Shape // the zero value is the default shape
	Mode  string
	// Votes is the number of answers of a judgment in ModeVote, 0 for
	// DefaultVotes. In ModeReason a number over 0 samples as many answers after
	// the rationale, for servers without log-probabilities.
	Votes int
	Seed  int
	// Reason bounds the rationales of ModeReason.
	Reason Reason
	// Options are those that change answers ([llm.AnswerOptions]).
	Options map[string]string
}

// Judge asks one model in one mode.
type Judge struct {
	Model llm.Chatter
	ID    dataset.Judge // who judges, as the store knows it
	Shape Shape
	Seed  int

	votes  int    // answers sampled for a judgment, 0 reads the probabilities
	reason Reason // zero but in ModeReason
}

// New makes a judge of a model. The shape's wording and the options are part of
// the judge's identity; so are the number of votes and the bounds of rationales,
// with the seed that they are drawn with.
func New(m llm.Chatter, id llm.Identity, s Settings) (*Judge, error) {
	if s.Shape.Name == "" {
		s.Shape = DefaultShape()
	}
	opts := maps.Clone(s.Options)
	if opts == nil {
		opts = map[string]string{}
	}
	template := s.Shape.TemplateHash()
	j := &Judge{Model: m, Shape: s.Shape, Seed: s.Seed}
	switch s.Mode {
	case ModeToken:
	case ModeVote:
		j.votes = s.Votes
		if j.votes <= 0 {
			j.votes = DefaultVotes
		}
	case ModeReason:
		j.votes, j.reason = max(0, s.Votes), s.Reason.orDefault()
		j.reason.identify(opts)
		template = s.Shape.reasonHash()
	default:
		return nil, fmt.Errorf("judging mode %q is not known: use %s", s.Mode, strings.Join(Modes(), ", "))
	}
	if j.votes > 0 {
		opts["votes"] = strconv.Itoa(j.votes)
	}
	if s.Mode != ModeToken {
		opts["seed"] = strconv.Itoa(s.Seed)
	}
	j.ID = dataset.Judge{
		Backend: id.Backend, Model: id.Model, Digest: id.Digest,
		Template: template.String(), Mode: s.Mode, Options: opts,
	}
	return j, nil
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
	// First is the token that the answer began with, or the commonest beginning of
	// votes that named no slot.
	First string
	// Rationale is what the model wrote before it answered, if anything.
	Rationale string
}

// LogOdds gives the log-odds that the first slot wins.
func (a Answer) LogOdds() float64 { return a.LPFirst - a.LPSecond }

// Compare asks one question. Errors are [llm.Error].
func (j *Judge) Compare(ctx context.Context, q Question) (Answer, error) {
	if j.ID.Mode == ModeReason {
		return j.compareReasoned(ctx, q)
	}
	return j.choose(ctx, j.Shape.Render(q), j.Seed+q.Sample*max(1, j.votes))
}

// choose reads the answer to a prompt.
func (j *Judge) choose(ctx context.Context, messages []llm.Message, seed int) (Answer, error) {
	c, err := llm.Choose(ctx, j.Model, llm.Request{Messages: messages, Seed: seed}, j.votes, "A", "B")
	if err != nil {
		return Answer{Calls: c.Calls}, err
	}
	return Answer{
		LPFirst: c.LogProb[0], LPSecond: c.LogProb[1],
		Coverage: c.Coverage, Censored: c.Censored, First: c.First,
		PromptTokens: c.PromptTokens, PromptTime: c.PromptTime, Duration: c.Duration, Calls: c.Calls,
	}, nil
}

// Preference is both orders of one pair under one principle put together.
type Preference struct {
	Z    float64 // log-odds that the first reply is the better one, free of position bias
	Bias float64 // log-odds by which the first slot is favoured
	// Coverage is the smaller of the two orders' coverages, and First the beginning
	// of that order's answer.
	Coverage float64
	First    string
}

// P gives the probability that the first reply is the better one.
func (p Preference) P() float64 { return 1 / (1 + math.Exp(-p.Z)) }

// Counts tells that enough of the probability fell on the answers.
func (p Preference) Counts() bool { return dataset.Counts(p.Coverage, LeastCoverage) }

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

// Pool puts the preferences of several principles together: the means of Z and
// Bias, weighted by the principles' weights, and the smallest coverage, of those
// that count. Where none does, ok is false and the coverage that of all.
func Pool(prefs []Preference, principles []constitution.Principle) (pooled Preference, ok bool) {
	var w float64
	for i, p := range prefs {
		switch {
		case !p.Counts():
			if i == 0 || w == 0 && p.Coverage < pooled.Coverage {
				pooled.Coverage, pooled.First = p.Coverage, p.First
			}
			continue
		case w == 0 || p.Coverage < pooled.Coverage:
			pooled.Coverage, pooled.First = p.Coverage, p.First
		}
		pooled.Z += principles[i].Weight * p.Z
		pooled.Bias += principles[i].Weight * p.Bias
		w += principles[i].Weight
	}
	if w == 0 {
		return pooled, false
	}
	pooled.Z /= w
	pooled.Bias /= w
	return pooled, true
}
