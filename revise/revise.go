// Package revise rewrites a reply under principles, round by round, and keeps a
// revision only if the judge prefers it to what it had.
//
// Each round draws a principle that was not drawn before (or takes the next of
// those named), asks the critic whether the reply violates it, and where it
// does has a critique and a revision written. The judge then compares the
// revision with the reply in both orders, under all the principles in use, so
// that a reply which is mended in one respect and ruined in another is not
// taken. When no principle is left that the reply violates, there is nothing to
// mend and the work ends early. The procedure is the supervised stage of
// Constitutional AI (Bai et al. 2022, arXiv 2212.08073, section 3.1) with the
// judge's acceptance added.
package revise

import (
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"cai/constitution"
	"cai/critique"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
)

// Options are the settings of a revision.
type Options struct {
	Rounds int // revisions tried; at least 1
	// InOrder takes the principles one after the other, as the user named them,
	// where otherwise each round draws a fresh one.
	InOrder bool
	// Threshold is the probability of a violation from which a reply is
	// revised, 0 to 1. At 0 every round revises, as in the paper.
	Threshold float64
	MaxTokens int // of a revision; 0 is DefaultMaxTokens
	Seed      uint64
}

// DefaultMaxTokens bounds a revision.
const DefaultMaxTokens = 1024

// Why a step ended as it did.
const (
	ReasonAccepted  = "accepted"
	ReasonRejected  = "the judge did not prefer it"
	ReasonUndecided = "the judge did not say which is better"
	ReasonUnchanged = "the revision is the reply itself"
	ReasonTruncated = "the token limit cut the revision off"
)

// Step is one round.
type Step struct {
	dataset.Revision
	PrincipleID string
	Violation   float64 // the critic's probability for the reply before; NaN where it was undecided
	Reason      string  // one of the Reason… constants
}

// Result is what became of one reply.
type Result struct {
	Initial, Final string
	Steps          []Step
	// Clean tells that the work ended because no principle was violated; Undecided
	// counts checks that did not tell.
	Clean     bool
	Undecided int
}

// Reviser revises replies.
type Reviser struct {
	Critic     *critique.Critic
	Judge      *judge.Judge
	Principles []constitution.Principle // drawn from, and judged by
	Options    Options
	// OnVerdict, if set, is told of each check, and OnPreference of each comparison
	// of a revision with the reply.
	OnVerdict    func(critique.Verdict)
	OnPreference func(judge.Preference)
}

// Revise runs the rounds. onStep, if not nil, is called after each step, and an
// error from it ends the work. With an error, the result holds the steps that
// were done.
func (r *Reviser) Revise(ctx context.Context, conv dataset.Conversation, reply dataset.Response, onStep func(Step) error) (*Result, error) {
	res := &Result{Initial: reply.Text, Final: reply.Text}
	cur := reply
	queue := r.draw(conv, reply.Text)
	for round := 1; round <= r.Options.Rounds; round++ {
		p, violation, err := r.next(ctx, conv, cur.Text, &queue, res)
		if err != nil {
			return res, err
		}
		if p == nil {
			res.Clean = res.Undecided == 0
			return res, nil
		}
		s, err := r.step(ctx, conv, cur, p, round)
		if err != nil {
			return res, err
		}
		s.Violation = violation
		res.Steps = append(res.Steps, s)
		if s.Accepted {
			cur = s.After
			res.Final = cur.Text
		}
		if onStep != nil {
			if err := onStep(s); err != nil {
				return res, err
			}
		}
	}
	return res, nil
}

// draw gives the order in which principles are tried. The order of a drawn
// reply depends on the seed and the texts alone, so that a resumed job draws
// what the interrupted one did.
func (r *Reviser) draw(conv dataset.Conversation, reply string) []int {
	order := make([]int, len(r.Principles))
	for i := range order {
		order[i] = i
	}
	if r.Options.InOrder {
		return order
	}
	h := fnv.New64a()
	key := dataset.ResponseHash(conv.Hash(), reply)
	h.Write(key[:])
	rng := rand.New(rand.NewPCG(r.Options.Seed, h.Sum64()))
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// next takes principles from the queue until the reply violates one; nil when
// the queue is empty. One about which the critic is undecided is no reason to
// revise, unless every round does.
func (r *Reviser) next(ctx context.Context, conv dataset.Conversation, reply string, queue *[]int, res *Result) (*constitution.Principle, float64, error) {
	for len(*queue) > 0 {
		p := &r.Principles[(*queue)[0]]
		v, err := r.Critic.Check(ctx, conv, reply, p)
		if err != nil {
			return nil, 0, err
		}
		*queue = (*queue)[1:]
		if r.OnVerdict != nil {
			r.OnVerdict(v)
		}
		if v.Undecided() {
			res.Undecided++
		}
		if v.Probability >= r.Options.Threshold || r.Options.Threshold == 0 {
			return p, v.Probability, nil
		}
	}
	return nil, 0, nil
}

func (r *Reviser) step(ctx context.Context, conv dataset.Conversation, cur dataset.Response, p *constitution.Principle, round int) (Step, error) {
	s := Step{PrincipleID: p.ID, Revision: dataset.Revision{
		Prompt: conv, Before: cur, Round: round,
		Principle: dataset.Hash(p.Hash()), Judge: r.Judge.ID.Hash(),
	}}
	crit, err := r.Critic.Write(ctx, conv, cur.Text, p, nil)
	if err != nil {
		return s, err
	}
	s.Critique = strings.TrimSpace(crit.Text)
	maxTokens := r.Options.MaxTokens
	if maxTokens == 0 {
		maxTokens = DefaultMaxTokens
	}
	rev, err := r.Critic.Model.Chat(ctx, llm.Request{
		Messages:  []llm.Message{{Role: "user", Content: render(conv, cur.Text, s.Critique, p)}},
		MaxTokens: maxTokens,
		Seed:      r.Critic.Seed,
	})
	if err != nil {
		return s, err
	}
	s.After = dataset.Response{Text: clean(rev.Text), Author: r.Critic.ID.Model}
	s.Created = time.Now()
	switch {
	case rev.Truncated:
		s.Reason = ReasonTruncated
		return s, nil
	case s.After.Text == strings.TrimSpace(cur.Text):
		s.Reason = ReasonUnchanged
		return s, nil
	}
	prefs, err := r.Judge.Prefer(ctx, conv, s.After.Text, cur.Text, r.Principles)
	if err != nil {
		return s, err
	}
	pref, ok := judge.Pool(prefs, r.Principles)
	if r.OnPreference != nil {
		r.OnPreference(pref)
	}
	switch s.P = pref.P(); {
	case !ok:
		s.P, s.Reason = math.NaN(), ReasonUndecided
	case s.P > 0.5:
		s.Accepted, s.Reason = true, ReasonAccepted
	default:
		s.Reason = ReasonRejected
	}
	return s, nil
}

func render(conv dataset.Conversation, reply, crit string, p *constitution.Principle) string {
	var b strings.Builder
	if len(conv) > 0 {
		b.WriteString(prompt.Transcript(conv))
		b.WriteString("\n\n")
	}
	b.WriteString("Assistant's reply:\n")
	b.WriteString(prompt.Quote(reply))
	b.WriteString("\n\nCritique of the reply:\n")
	b.WriteString(prompt.Quote(crit))
	b.WriteString("\n\n")
	b.WriteString(strings.TrimSpace(p.Revision))
	b.WriteString("\nWrite only the new reply, as the assistant would give it.")
	return b.String()
}

// clean takes away the label that models like to put before a rewritten reply.
func clean(s string) string {
	s = strings.TrimSpace(s)
	for _, label := range []string{"Assistant's reply:", "Assistant:", "Revised reply:", "New reply:", "Revision:", "Reply:"} {
		if rest, ok := strings.CutPrefix(s, label); ok {
			return strings.TrimSpace(rest)
		}
	}
	return s
}
