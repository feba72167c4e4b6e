package judge

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cai/dataset"
	"cai/llm"
	"cai/prompt"
)

// Reason bounds what a judge writes before it answers, in ModeReason. Zeros take
// the defaults.
type Reason struct {
	Tokens int // of the rationale, at most
	// Think is how many tokens a model that can think may spend on thoughts, on
	// top of those of the rationale; one that spends them all without coming to
	// an answer fails with [llm.KindThinking].
	Think int
	// Temperature is that of the samples after the first, which is greedy.
	Temperature float64
}

// The defaults of [Reason].
const (
	DefaultReasonTokens      = 160
	DefaultThinkTokens       = 2048
	DefaultReasonTemperature = 0.7
)

func (r Reason) orDefault() Reason {
	if r.Tokens <= 0 {
		r.Tokens = DefaultReasonTokens
	}
	if r.Think <= 0 {
		r.Think = DefaultThinkTokens
	}
	if r.Temperature <= 0 {
		r.Temperature = DefaultReasonTemperature
	}
	return r
}

// identify puts the bounds among the options that tell judges apart.
func (r Reason) identify(opts map[string]string) {
	opts["reason_tokens"] = strconv.Itoa(r.Tokens)
	opts["think_tokens"] = strconv.Itoa(r.Think)
	opts["reason_temperature"] = strconv.FormatFloat(r.Temperature, 'g', -1, 64)
}

// Room is how many tokens a judgment may add to the prompt that the pair makes.
func (j *Judge) Room() int {
	const answer, wording = 16, 64
	if j.ID.Mode != ModeReason {
		return answer
	}
	return j.reason.Tokens + j.reason.Think + wording + answer
}

// compareReasoned asks for a rationale and then, with it in view, for the answer
// token: the two steps of RLAIF (Lee et al. 2023, arXiv 2309.00267, section 3.1).
// What is kept is the distribution after the rationale, which is sharper than
// the judge is right: calibrate it, or clamp it as Constitutional AI does.
func (j *Judge) compareReasoned(ctx context.Context, q Question) (Answer, error) {
	question := strings.TrimSpace(q.Principle.Compare)
	messages := j.Shape.render(q, reasonAbout(question, j.reason.Tokens))
	req := llm.Request{
		Messages: messages, MaxTokens: j.reason.Tokens, Seed: j.Seed + q.Sample,
		Think: true, ThinkTokens: j.reason.Think,
	}
	if q.Sample > 0 {
		req.Temperature = j.reason.Temperature
	}
	r, err := j.Model.Chat(ctx, req)
	if err != nil {
		return Answer{Calls: 1}, err
	}
	text := strings.TrimSpace(r.Text)
	if text == "" {
		return Answer{Calls: 1}, &llm.Error{Kind: llm.KindEmpty, Op: "reason"}
	}
	a, err := j.choose(ctx, append(messages,
		llm.Message{Role: "assistant", Content: prompt.Neutralise(text)},
		llm.Message{Role: "user", Content: afterReason(j.Shape.ask(question))},
	), j.Seed+q.Sample*max(1, j.votes))
	a.Calls++
	if err != nil {
		return a, err
	}
	a.Rationale = text
	if r.Thinking != "" {
		a.Rationale = strings.TrimSpace(r.Thinking) + "\n\n" + text // what is kept of thoughts is kept here
	}
	a.PromptTokens = (a.PromptTokens*(a.Calls-1) + r.PromptTokens) / a.Calls // of one call
	a.PromptTime = (a.PromptTime*time.Duration(a.Calls-1) + r.PromptTime) / time.Duration(a.Calls)
	a.Duration += r.Duration
	return a, nil
}

// tokensPerSentence is about what a sentence of a rationale takes.
const tokensPerSentence = 40

func reasonAbout(question string, tokens int) string {
	return fmt.Sprintf("%s Do not answer yet. First say in at most %d sentences what speaks for reply (A) and what for reply (B) in this respect.",
		question, max(1, tokens/tokensPerSentence))
}

// afterReason puts the question again; in shapes that say how to answer before
// the texts it says that now.
func afterReason(ask string) string {
	if strings.Contains(ask, "A or B") {
		return "With that in mind: " + ask
	}
	return "With that in mind: " + ask + " " + letter
}

// reasonHash identifies the wording of ModeReason in a shape.
func (s Shape) reasonHash() dataset.Hash {
	parts := rendered(func(q Question) []llm.Message {
		return append(s.render(q, reasonAbout(q.Principle.Compare, DefaultReasonTokens)),
			llm.Message{Role: "user", Content: afterReason(s.ask(q.Principle.Compare))})
	})
	return dataset.HashOf("reasoning template", parts...)
}
