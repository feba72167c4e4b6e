// Package critique says what is wrong with one reply under one principle: a
// text, and the probability that the reply violates the principle.
//
// The probability is read from the model's answer tokens and not from the
// critique's prose. The question ("Is the reply honest?") is put twice, with
// yes and no as (A) and (B) and the other way round, and the two log-odds are
// averaged, because small models favour a letter over an answer. All three
// calls share the conversation and the reply as their prefix.
package critique

import (
	"context"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
)

// DefaultMaxTokens bounds a critique's text.
const DefaultMaxTokens = 384

// Critic criticises replies with one model.
type Critic struct {
	Model     llm.Chatter
	ID        dataset.Judge // who criticises, as the store knows it
	MaxTokens int           // of a critique's text
	Votes     int           // answers sampled for a read-out where there are no log-probabilities; 0 reads those
	Seed      int
}

// New makes a critic of a model. maxTokens bounds a critique's text (0 is
// [DefaultMaxTokens]), votes is how many answers are sampled for a read-out
// where the server gives no log-probabilities (0 reads those), and options are
// those that change answers.
func New(m llm.Chatter, id llm.Identity, maxTokens, votes, seed int, options map[string]string) *Critic {
	if maxTokens == 0 {
		maxTokens = DefaultMaxTokens
	}
	opts := maps.Clone(options)
	if opts == nil {
		opts = map[string]string{}
	}
	opts["seed"] = strconv.Itoa(seed)
	opts["max_tokens"] = strconv.Itoa(maxTokens)
	if votes > 0 {
		opts["votes"] = strconv.Itoa(votes)
	}
	return &Critic{
		Model: m, MaxTokens: maxTokens, Votes: votes, Seed: seed,
		ID: dataset.Judge{
			Backend: id.Backend, Model: id.Model, Digest: id.Digest,
			Template: TemplateHash().String(), Mode: "critique", Options: opts,
		},
	}
}

// Verdict is a read-out: does the reply violate the principle.
type Verdict struct {
	Probability  float64 // that it does; NaN where the model is undecided
	Coverage     float64 // the smaller of the two read-outs' coverages
	First        string  // the beginning of that read-out's answer
	PromptTokens int
	Duration     time.Duration
}

// Undecided tells that too little of the probability fell on either answer: the
// reply neither violates the principle nor keeps to it.
func (v Verdict) Undecided() bool { return !dataset.Counts(v.Coverage, judge.LeastCoverage) }

// Check reads out the probability that the reply violates the principle, with
// no critique written.
func (c *Critic) Check(ctx context.Context, conv dataset.Conversation, reply string, p *constitution.Principle) (Verdict, error) {
	v := Verdict{Coverage: math.Inf(1)}
	var z float64
	for _, yesFirst := range []bool{true, false} {
		d, err := llm.Choose(ctx, c.Model, llm.Request{
			Messages: []llm.Message{{Role: "user", Content: renderCheck(conv, reply, p, yesFirst)}},
			Seed:     c.Seed,
		}, c.Votes, "A", "B")
		if err != nil {
			return v, err
		}
		bad := d.LogProb[1] - d.LogProb[0]
		if !yesFirst {
			bad = -bad
		}
		z += bad / 2
		if d.Coverage < v.Coverage {
			v.Coverage, v.First = d.Coverage, d.First
		}
		v.PromptTokens += d.PromptTokens
		v.Duration += d.Duration
	}
	v.Probability = 1 / (1 + math.Exp(-z))
	if v.Undecided() {
		v.Probability = math.NaN()
	}
	return v, nil
}

// Write writes the critique's text, piece by piece to onText if it is set.
func (c *Critic) Write(ctx context.Context, conv dataset.Conversation, reply string, p *constitution.Principle, onText func(string)) (*llm.Reply, error) {
	return c.Model.Chat(ctx, llm.Request{
		Messages:  []llm.Message{{Role: "user", Content: renderCritique(conv, reply, p)}},
		MaxTokens: c.MaxTokens,
		Seed:      c.Seed,
		OnText:    onText,
	})
}

// Critique checks a reply and writes what is wrong with it, whatever the verdict. stream, if not
// nil, gets the verdict with an empty text first and then the critique piece by
// piece as it is written.
func (c *Critic) Critique(ctx context.Context, conv dataset.Conversation, reply dataset.Response, p *constitution.Principle, stream func(Verdict, string)) (*dataset.Critique, Verdict, error) {
	v, err := c.Check(ctx, conv, reply.Text, p)
	if err != nil {
		return nil, v, err
	}
	var onText func(string)
	if stream != nil {
		stream(v, "")
		onText = func(s string) { stream(v, s) }
	}
	r, err := c.Write(ctx, conv, reply.Text, p, onText)
	if err != nil {
		return nil, v, err
	}
	return &dataset.Critique{
		Prompt: conv, Response: reply,
		Principle: p.Hash(), Judge: c.ID.Hash(),
		Probability: v.Probability, Coverage: v.Coverage,
		Text: strings.TrimSpace(r.Text), Truncated: r.Truncated,
		PromptTokens: v.PromptTokens + r.PromptTokens, Tokens: r.OutputTokens,
		Duration: v.Duration + r.Duration, Created: time.Now(),
	}, v, nil
}

// prefix is what all calls on one reply share.
func prefix(conv dataset.Conversation, reply string) string {
	var b strings.Builder
	if len(conv) > 0 {
		b.WriteString(prompt.Transcript(conv))
		b.WriteString("\n\n")
	}
	b.WriteString("Assistant's reply:\n")
	b.WriteString(prompt.Quote(reply))
	b.WriteString("\n\n")
	return b.String()
}

func renderCheck(conv dataset.Conversation, reply string, p *constitution.Principle, yesFirst bool) string {
	marks := "(A) Yes.\n(B) No."
	if !yesFirst {
		marks = "(A) No.\n(B) Yes."
	}
	return prefix(conv, reply) + strings.TrimSpace(p.Question()) + "\n" + marks + "\nAnswer A or B."
}

func renderCritique(conv dataset.Conversation, reply string, p *constitution.Principle) string {
	return prefix(conv, reply) + strings.TrimSpace(p.Critique) + "\nWrite only the critique, in a few sentences."
}

// TemplateHash identifies the wording around the texts.
func TemplateHash() dataset.Hash {
	probe := dataset.Conversation{{Role: "system", Content: "s<|x|>"}, {Role: "user", Content: "u\n(A)"}}
	p := &constitution.Principle{Critique: "c", Check: "k"}
	return dataset.HashOf("template",
		renderCheck(probe, "r", p, true), renderCheck(probe, "r", p, false), renderCritique(probe, "r", p))
}
