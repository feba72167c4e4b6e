// Package fakeollama is a server that speaks Ollama's protocol, and OpenAI's
// beside it, without a model behind it: for tests and for measuring everything
// around the model.
//
// It streams, counts tokens, gives log-probabilities, refuses what Ollama
// 0.17.4 refuses with the same statuses and words, keeps models loaded as long
// as keep_alive says, and can be told to fail in the ways that servers do. Its
// answers are deterministic; [Default] says what they are, and Options.Answer
// replaces them.
//
//	srv := fakeollama.New(fakeollama.Options{})
//	ts := httptest.NewServer(srv)
//	defer ts.Close()
//	client, err := llm.Open(llm.Config{Model: "judge:1b", Hosts: []string{ts.URL}})
package fakeollama

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama/ollama/types/model"
)

// Model is a model that the server has.
type Model struct {
	Name         string
	Digest       string   // 64 hex digits; made from the name if empty
	Context      int      // tokens it was made for; 8192 if 0
	Capabilities []string // completion if empty
	Family       string   // llama if empty; gptoss cannot stop thinking
	Template     string   // as /api/show gives it; ChatML if empty, [BareTemplate] for a model without one
	Dim          int      // of embeddings; 32 if 0
}

// DefaultModels are what a server has that was told nothing else: a judge, the
// same under another name, one that thinks and one for embeddings.
func DefaultModels() []Model {
	return []Model{
		{Name: "judge:1b"},
		{Name: "judge:7b", Context: 32768},
		{Name: "thinker:1b", Capabilities: []string{"completion", "thinking"}},
		{Name: "embedder:latest", Capabilities: []string{"embedding"}, Family: "bert", Context: 512},
	}
}

// Options say how the server behaves. The zero value is a fast, faultless
// server with [DefaultModels].
type Options struct {
	Models  []Model
	Version string // 0.17.4 if empty
	// Answer answers a call; nil is [Default] with the position bias Bias.
	Answer func(Request) Answer
	// Bias is by how much, in log-odds, the default answers favour (A).
	Bias float64
	// Quality is what the default answers think of a reply; nil is [Quality].
	Quality func(reply string) float64
	// Whims are opinions of their own that some models have, by name: what one
	// thinks of a reply is Quality and a number up to so much, up or down, that it
	// always has of this reply.
	Whims map[string]float64
	// Coverage is how much of the probability the default answers put on (A) and
	// (B); 0.96 if 0.
	Coverage float64
	// Fault chooses how a call fails; nil or FaultNone lets it pass.
	Fault func(Request) Fault
	// Latency passes before the first byte of an answer.
	Latency time.Duration
	// PromptTime passes for each token of a prompt that the cache does not hold.
	// As in Ollama, each of Parallel slots (one if 0) keeps the last prompt that
	// it read, and a call takes the free slot whose prompt has most in common
	// with its own.
	PromptTime time.Duration
	// OneCore has calls compute one after the other, however many there are: what
	// passes for prompts and tokens passes for one call at a time. As calls of one
	// token are then over before the next begins, every slot is always free, and
	// two groups of calls overwrite each other in the slot that both have their
	// preamble in.
	OneCore bool
	// Slow is what FaultSlow adds before the first token; 3 s if 0.
	Slow time.Duration
	// TokenTime passes for each token of an answer.
	TokenTime time.Duration
	// Parallel is how many calls are served at once, 0 any number. Queue is how
	// many may wait beside them until the server answers 503; 512 if 0.
	Parallel, Queue int
	// NoFormat has the server ignore the JSON schema of a call.
	NoFormat bool
	// APIKey, if set, is asked for under /v1.
	APIKey string
	// MostLogprobs is the most top_logprobs that /v1 accepts, 20 if 0.
	MostLogprobs int
	// CompletionTokens has /v1 refuse max_tokens, as newer models of OpenAI do.
	CompletionTokens bool
	// Refuse, if set, sees the parameters of each call to /v1 and gives the status
	// and the body of a refusal, or 0.
	Refuse func(sent map[string]any) (status int, body any)
}

// Message is a turn of a call.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Request is a call for an answer, or for embeddings, as the server understood
// it.
type Request struct {
	Number       int64  // of the call, from 1
	Path         string // /api/chat, /v1/chat/completions, /api/embed or /v1/embeddings
	Model        string // as the caller named it
	Messages     []Message
	Stream       bool
	MaxTokens    int // num_predict; below 0 is without bound
	Temperature  float64
	Seed         int
	Stop         []string
	NumCtx       int // the context length that the call asked for, or Ollama's default
	Logprobs     bool
	TopLogprobs  int
	Think        *bool  // as asked for; nil if not
	KeepAlive    string // as sent, "" if not
	Truncate     *bool
	Shift        *bool
	Options      map[string]any // as sent to /api/chat
	Format       string         // the JSON schema, as sent to /api/chat; "" if none
	PromptTokens int            // tokens of the prompt
	Texts        []string       // of a call for embeddings
}

// Prompt is the last message of the user.
func (r Request) Prompt() string {
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			return m.Content
		}
	}
	return ""
}

// Answer is what the model says.
type Answer struct {
	// Text is the answer. If it is empty and First is not, the answer is one
	// token of First: the likeliest, or one drawn by the seed where the call
	// has a temperature.
	Text     string
	Thinking string
	// First is the distribution of the first token, by the token's text. What it
	// leaves of 1 goes to other tokens. Empty makes the text's first token
	// likely.
	First map[string]float64
}

// Server is the server. It is an [http.Handler].
type Server struct {
	o   Options
	mux *http.ServeMux

	calls, loads, inFlight, maxInFlight, waiting atomic.Int64

	mu       sync.Mutex
	fault    func(Request) Fault
	answer   func(Request) Answer
	requests []Request
	loaded   map[string]*loaded
	slots    chan struct{}
	cache    []cached
	started  int            // how often the server was started again
	seen     map[string]int // connections by address, and the start that they came after

	core sync.Mutex // held by the call that computes, where there is one core
}

// cached is a slot of the prefix cache.
type cached struct {
	model, prompt string
	busy          bool
}

// loaded is a model in memory.
type loaded struct {
	numCtx  int
	expires time.Time
}

// New makes a server.
func New(o Options) *Server {
	if o.Models == nil {
		o.Models = DefaultModels()
	}
	o.Models = slices.Clone(o.Models)
	for i := range o.Models {
		m := &o.Models[i]
		if m.Digest == "" {
			m.Digest = digest(m.Name)
		}
		if m.Context == 0 {
			m.Context = 8192
		}
		if m.Dim == 0 {
			m.Dim = 32
		}
		if m.Capabilities == nil {
			m.Capabilities = []string{"completion"}
		}
		if m.Family == "" {
			m.Family = "llama"
		}
	}
	if o.Version == "" {
		o.Version = "0.17.4"
	}
	if o.Queue == 0 {
		o.Queue = 512
	}
	if o.Quality == nil {
		o.Quality = Quality
	}
	if o.Coverage == 0 {
		o.Coverage = covered
	}
	if o.MostLogprobs == 0 {
		o.MostLogprobs = 20
	}
	if o.Slow == 0 {
		o.Slow = 3 * time.Second
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), loaded: map[string]*loaded{}, seen: map[string]int{},
		cache: make([]cached, max(1, o.Parallel)),
	}
	s.SetFault(o.Fault)
	s.SetAnswer(o.Answer)
	if o.Parallel > 0 {
		s.slots = make(chan struct{}, o.Parallel)
	}
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Ollama is running") })
	s.mux.HandleFunc("HEAD /{$}", func(http.ResponseWriter, *http.Request) {})
	s.mux.HandleFunc("GET /api/version", s.version)
	s.mux.HandleFunc("GET /api/tags", s.tags)
	s.mux.HandleFunc("GET /api/ps", s.ps)
	s.mux.HandleFunc("POST /api/show", s.show)
	s.mux.HandleFunc("POST /api/chat", s.chat)
	s.mux.HandleFunc("POST /api/embed", s.embed)
	s.mux.HandleFunc("GET /v1/models", s.v1Models)
	s.mux.HandleFunc("POST /v1/embeddings", s.v1Embed)
	s.mux.HandleFunc("POST /v1/chat/completions", s.v1Chat)
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	at, known := s.seen[r.RemoteAddr]
	fresh := !known || at == s.started
	s.seen[r.RemoteAddr] = s.started
	s.mu.Unlock()
	if !fresh {
		panic(http.ErrAbortHandler) // of a server that is no more
	}
	s.mux.ServeHTTP(w, r)
}

// ConnState, as the hook of an [http.Server], lets [Server.Restart] break
// connections that have not carried a call yet, too.
func (s *Server) ConnState(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.seen[c.RemoteAddr().String()] = s.started
	case http.StateClosed, http.StateHijacked:
		delete(s.seen, c.RemoteAddr().String())
	}
}

// Restart has the server start again: connections break with their next call,
// models have to be loaded anew, and the one named has other weights. "" changes
// none.
func (s *Server) Restart(name string) {
	m := s.find(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	clear(s.loaded)
	clear(s.cache)
	if m != nil {
		m.Digest = digest(m.Digest)
	}
}

// SetFault replaces the choice of faults; nil stops them.
func (s *Server) SetFault(f func(Request) Fault) {
	if f == nil {
		f = func(Request) Fault { return FaultNone }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetAnswer replaces the answers; nil brings the default ones back.
func (s *Server) SetAnswer(f func(Request) Answer) {
	if f == nil {
		f = func(r Request) Answer { return s.o.answer(r) }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Calls is how many answers were asked for, failures and calls for embeddings
// included.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// Loads is how often a model was loaded, or loaded again because a call came
// with another context length.
func (s *Server) Loads() int { return int(s.loads.Load()) }

// MaxInFlight is the most calls that were being answered at one time.
func (s *Server) MaxInFlight() int { return int(s.maxInFlight.Load()) }

// Requests are the calls so far, in the order in which they came, of which
// the last 100,000 are kept.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Reset sets the counters to 0 and forgets the requests.
func (s *Server) Reset() {
	s.calls.Store(0)
	s.loads.Store(0)
	s.maxInFlight.Store(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// KeepAlive tells when the server will unload a model; ok is false if it is not
// loaded, and the time is zero if it stays for good.
func (s *Server) KeepAlive(name string) (expires time.Time, ok bool) {
	m := s.find(name)
	if m == nil {
		return time.Time{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.running(m.Name)
	if l == nil {
		return time.Time{}, false
	}
	return l.expires, true
}

// running gives a loaded model that has not expired; s.mu must be held.
func (s *Server) running(name string) *loaded {
	l := s.loaded[name]
	if l != nil && !l.expires.IsZero() && time.Now().After(l.expires) {
		delete(s.loaded, name)
		return nil
	}
	return l
}

// find gives a model by any of the spellings that Ollama takes, nil if there
// is none.
func (s *Server) find(name string) *Model {
	n := model.ParseName(name)
	if !n.IsValid() {
		return nil
	}
	for i := range s.o.Models {
		if model.ParseName(s.o.Models[i].Name).EqualFold(n) {
			return &s.o.Models[i]
		}
	}
	return nil
}

func (m *Model) can(capability string) bool { return slices.Contains(m.Capabilities, capability) }

// begin records a call and gives what it needs; s.mu is taken.
func (s *Server) begin(r *Request) (Fault, func(Request) Answer) {
	r.Number = s.calls.Add(1)
	s.mu.Lock()
	s.requests = append(s.requests, *r)
	if len(s.requests) > 200_000 {
		s.requests = slices.Clone(s.requests[100_000:])
	}
	fault, answer := s.fault, s.answer
	s.mu.Unlock()
	return fault(*r), answer
}

// enter takes a slot; it gives false if the queue is full or the caller left.
func (s *Server) enter(r *http.Request) bool {
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
		default:
			if s.waiting.Add(1) > int64(s.o.Queue) {
				s.waiting.Add(-1)
				return false
			}
			defer s.waiting.Add(-1)
			select {
			case s.slots <- struct{}{}:
			case <-r.Context().Done():
				return false
			}
		}
	}
	n := s.inFlight.Add(1)
	for {
		m := s.maxInFlight.Load()
		if n <= m || s.maxInFlight.CompareAndSwap(m, n) {
			return true
		}
	}
}

func (s *Server) leave() {
	s.inFlight.Add(-1)
	if s.slots != nil {
		<-s.slots
	}
}

func digest(name string) string {
	var b strings.Builder
	for i := range 4 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", i, name)
		b.WriteString(hex.EncodeToString(h.Sum(nil)))
	}
	return b.String()
}
