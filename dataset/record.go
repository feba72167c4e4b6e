// Package dataset holds the records that travel through cai and the file
// formats they travel in.
//
// A [Conversation] is what was said before the reply, a [Pair] is two replies
// to it, a [Judgment] is what one judge made of one pair under one principle in
// one order. Records are plain data; their identity is a content [Hash], so a
// file imported twice changes nothing and two stores can be merged. Text is
// kept byte for byte as it came, never normalised.
package dataset

import (
	"errors"
	"math"
	"time"
	"unicode/utf8"
)

// Message is one turn of a conversation. Role is system, user, assistant or
// tool.
type Message struct {
	Role string
	// Content is what was said: the text, and then each tool call as a line
	// <tool_call>{"name":…,"arguments":…}</tool_call>.
	Content string
	// Extra is the message's further keys, such as name or tool_calls, as the text
	// of a JSON object, byte for byte as they came; empty where there are none. A
	// message that calls tools begins it with its "content" as it came. It is no part
	// of any [Hash]: what is judged is what was said.
	Extra string
}

// Conversation is the turns before the reply that is judged; the last one is
// the user's.
type Conversation []Message

// Prompt makes a conversation of one user message.
func Prompt(text string) Conversation {
	return Conversation{{Role: "user", Content: text}}
}

// Hash identifies the conversation by its roles and contents.
func (c Conversation) Hash() Hash {
	parts := make([]string, 0, 2*len(c))
	for _, m := range c {
		parts = append(parts, m.Role, m.Content)
	}
	return HashOf("prompt", parts...)
}

// Text gives the content when the conversation is a single user message.
func (c Conversation) Text() (string, bool) {
	if len(c) == 1 && c[0].Role == "user" {
		return c[0].Content, true
	}
	return "", false
}

// MarshalJSON writes a single user message as a string and anything else as a
// list of messages, the two forms that every reader of prompts here accepts.
func (c Conversation) MarshalJSON() ([]byte, error) {
	if s, ok := c.Text(); ok && c[0].Extra == "" {
		return marshal(s)
	}
	return appendMessages(nil, c), nil
}

// UnmarshalJSON reads both forms. Text that is not valid Unicode is an error,
// as it is wherever records are read here.
func (c *Conversation) UnmarshalJSON(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New(badUTF8(b))
	}
	switch kindOf(b) {
	case '"':
		s, err := unquote(b)
		if err != nil {
			return err
		}
		*c = Prompt(s)
		return nil
	case '[':
		m, err := parseMessages(b)
		if err != nil {
			return err
		}
		*c = m
		return nil
	case 'n':
		*c = nil
		return nil
	}
	return errors.New("a prompt is a text or a list of messages")
}

// Response is one reply to a conversation.
type Response struct {
	Text   string
	Author string // the model or person that wrote it; empty where unknown
	Extra  string // as [Message].Extra, where the reply came as a message
}

// message gives the reply as the assistant's turn.
func (r Response) message() Message { return Message{"assistant", r.Text, r.Extra} }

// ResponseHash identifies a reply by its conversation and its text.
func ResponseHash(prompt Hash, text string) Hash {
	return HashOf("response", string(prompt[:]), text)
}

// Pair is two replies to one conversation, in the order its source gave them.
type Pair struct {
	Prompt        Conversation
	First, Second Response
	// P is the probability that First is the better reply: 1 where First was
	// chosen, 0.5 for a tie, NaN where nobody has said.
	P float64
	// Votes are those of several people that P is the mean of, in the order of
	// the file's annotators: 1 for First, 0 for Second, 0.5 for a tie, NaN for
	// none. It is nil where the source gives one label.
	Votes  []float64
	Source Source
}

// Labelled tells whether somebody has said which reply is better.
func (p *Pair) Labelled() bool { return !math.IsNaN(p.P) }

// PairKey is a pair's identity in the store, where it has no order: reply a is
// the one with the smaller hash.
type PairKey struct {
	Hash, Prompt, A, B Hash
	// Swapped tells that the source's Second is a.
	Swapped bool
}

// Key gives the pair's identity.
func (p *Pair) Key() PairKey {
	prompt := p.Prompt.Hash()
	k := PairKey{
		Prompt: prompt,
		A:      ResponseHash(prompt, p.First.Text),
		B:      ResponseHash(prompt, p.Second.Text),
	}
	if k.B.Less(k.A) {
		k.A, k.B, k.Swapped = k.B, k.A, true
	}
	k.Hash = HashOf("pair", string(k.A[:]), string(k.B[:]))
	return k
}

// Source says where a record came from.
type Source struct {
	File  string // as the user named it; "-" is stdin
	Line  int    // from 1; the record's number where the format has no lines; 0 where the whole file is the record
	Sub   int    // the pair's number within its record, from 0
	ID    string // the record's own id, if it has one
	Extra Object // columns that cai doesn't use, in their order
	// Label names the columns, among those of Extra, that said which reply is better.
	Label []string
}

// Order is the order in which a judge saw a pair.
type Order string

// The two orders of the stored pair.
const (
	OrderAB Order = "ab"
	OrderBA Order = "ba"
)

// Judge identifies who judged: the weights, the prompt and the settings that
// change an answer.
type Judge struct {
	Backend  string            `json:"backend"`  // ollama, openai or rm
	Model    string            `json:"model"`    // the name people use
	Digest   string            `json:"digest"`   // of the weights, where the backend tells it
	Template string            `json:"template"` // hash of the prompt template
	Mode     string            `json:"mode"`     // token, vote, cot or debate
	Options  map[string]string `json:"options"`  // only those that change answers: not num_ctx, not num_thread
}

// Hash identifies the judge. A model known by its digest keeps its judgments
// under any name.
func (j Judge) Hash() Hash {
	name := j.Digest
	if name == "" {
		name = j.Model
	}
	opts := []byte("{}") // no options are the same however they are written
	if len(j.Options) > 0 {
		var err error
		if opts, err = marshal(j.Options); err != nil {
			panic(err) // a map of strings: sorted keys, no failure
		}
	}
	return HashOf("judge", j.Backend, name, j.Template, j.Mode, string(opts))
}

// Judgment is what one judge made of one pair under one principle in one
// order: a distribution over the answers, never a verdict.
type Judgment struct {
	Pair, Principle, Judge Hash
	Order                  Order
	Sample                 int // from 0
	// LPFirst and LPSecond are natural-log probabilities that the reply in the
	// first or second slot was named, summed over token variants, not
	// normalised over the two.
	LPFirst, LPSecond float64
	LPTie             float64 // NaN where the judge could not answer "tie"
	// Coverage is the probability mass that fell on any of the answers, 0 to 1; 0
	// also where the listed tokens do not tell which of them is the likelier.
	Coverage float64
	// Censored tells that an answer was missing from the listed tokens, so its
	// log-probability is only an upper bound.
	Censored     bool
	PromptTokens int
	Duration     time.Duration
	Rationale    string
	Created      time.Time
	// Doubt is why the answer, which an older version stored, does not count;
	// empty where it does. The judgment is then read as one without coverage.
	Doubt string
}

// LogOdds gives the log-odds that the first slot wins.
func (j *Judgment) LogOdds() float64 { return j.LPFirst - j.LPSecond }

// Counts tells whether an answer of this coverage counts for who asks for at least
// least. One of coverage 0 says nothing: it never does.
func Counts(coverage, least float64) bool { return coverage > 0 && coverage >= least }

// Failure is a call that gave no judgment, kept so that it is counted, listed
// and retried only on request.
type Failure struct {
	Pair, Principle, Judge Hash
	Order                  Order
	Sample                 int
	Kind                   string // an llm error kind, or off_format
	Message                string
	Created                time.Time
}

// Critique is what one judge found wrong in one reply under one principle.
type Critique struct {
	Prompt               Conversation
	Response             Response
	Principle, Judge     Hash
	Probability          float64 // that the reply violates the principle; NaN where the judge is undecided
	Coverage             float64 // as Judgment.Coverage, the smaller of the read-outs
	Text                 string
	Truncated            bool // the token limit ended the text
	PromptTokens, Tokens int
	Duration             time.Duration
	Created              time.Time
}

// Revision is one step of a revision: a reply, what was found wrong with it,
// and the reply written in its place.
type Revision struct {
	Prompt           Conversation
	Before, After    Response
	Round            int // from 1
	Principle, Judge Hash
	Critique         string
	// P is the judge's probability that After is the better reply; Accepted
	// whether it replaced Before.
	P        float64
	Accepted bool
	Created  time.Time
}
