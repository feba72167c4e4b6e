// Package llm talks to language models: Ollama by default, or any server that
// speaks OpenAI's chat protocol.
//
// It gives what judging needs and most clients hide: the log-probabilities of
// the answer's tokens, an explicit context length with silent truncation
// switched off, and errors by kind, so that a caller can tell what to retry,
// what to record and what to tell the user.
package llm

import (
	"encoding/json"
	"time"
)

// Message is one turn. Role is system, user or assistant. An assistant message
// at the end is a reply begun for the model to go on with.
type Message struct {
	Role    string
	Content string
}

// Request is one chat call.
type Request struct {
	Messages []Message
	// MaxTokens bounds the answer (Ollama's num_predict); it must be over 0.
	MaxTokens int
	// TopLogprobs asks for the log-probabilities of this many alternatives for
	// each token, 0 to 20; 0 asks for none.
	TopLogprobs int
	// Temperature 0 is greedy.
	Temperature float64
	// Plain samples from the model's own distribution: top-k, top-p, min-p and
	// the repeat penalty, which the server applies by default, are off unless
	// the user set them.
	Plain bool
	Seed  int
	// Format, if set, is a JSON schema that the answer has to keep to. Servers
	// may ignore it or keep to it in part: check the answer.
	Format json.RawMessage
	// Think lets a model that can think do so before it answers. Its thoughts may
	// take ThinkTokens more than MaxTokens; thoughts that use up both are an
	// [Error] of KindThinking.
	Think       bool
	ThinkTokens int
	// Stop ends the answer before any of these.
	Stop []string
	// OnText, if set, gets the answer piece by piece as it is written.
	OnText func(string)
}

// Alternative is a token that could have stood in a place.
type Alternative struct {
	Text    string
	Logprob float64 // natural log, before temperature
}

// Token is one token of an answer and what could have stood in its place.
type Token struct {
	Alternative
	Top []Alternative // most likely first; may leave out the token itself
}

// Reply is a model's answer.
type Reply struct {
	Text     string
	Thinking string
	Tokens   []Token // only if log-probabilities were asked for
	// Truncated tells that MaxTokens ended the answer.
	Truncated    bool
	PromptTokens int // the whole prompt, cached or not
	OutputTokens int
	// PromptTime is what the server says it took to read the prompt, or what its
	// cache did not hold of it; 0 where it does not say.
	PromptTime time.Duration
	Duration   time.Duration // from sending to the last byte, retries left out
}

// Identity says which model answers.
type Identity struct {
	Backend string // ollama or openai
	Model   string // as the user named it, without passwords
	Digest  string // of the weights; empty where the server does not tell
	Version string // of the server; empty where it does not tell
}
