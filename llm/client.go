package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultNumCtx is the context length, in tokens, that a client asks for when
// nobody set one.
const DefaultNumCtx = 4096

// Waiting times of a [Config] that names none.
const (
	// DefaultFirst is long because loading a large model and reading a long
	// prompt without a GPU takes many minutes, in which nothing is sent.
	DefaultFirst = 15 * time.Minute
	// DefaultStall is how long a server may pause within an answer.
	DefaultStall = 2 * time.Minute
	// DefaultPatience is how long a busy server is asked again.
	DefaultPatience = 5 * time.Minute
	// askTimeout bounds the small requests about models and versions.
	askTimeout = 30 * time.Second
)

// Config says which model to ask and how.
type Config struct {
	// Model is an Ollama model's name, or openai:NAME@URL for a server that
	// speaks OpenAI's protocol.
	Model string
	// Hosts are Ollama servers' addresses; empty is OLLAMA_HOST as Ollama reads
	// it. The first that answers is used.
	Hosts []string
	// Options are Ollama options by name, as [ParseOptions] gives them.
	Options map[string]string
	// OnRetry, if set, is told about each retry before it waits. It may be
	// called from several goroutines at once.
	OnRetry func(err error, wait time.Duration)
	// OnNotice, if set, is told once of each thing that is asked otherwise because
	// the server does not take it, by one goroutine at a time.
	OnNotice func(text string)
	// First is how long to wait for the first byte of an answer, Stall how long
	// between any two, Patience how long the pauses before retries may take
	// together; 0 are the defaults. Once a server's ways are known, ten times
	// what 99 of 100 answers to prompts of similar length took takes the place of
	// First and Stall where that is less, and Least is the shortest that it gets.
	First, Stall, Patience, Least time.Duration
}

// Client asks one model. Its methods may be called from several goroutines at
// once.
type Client struct {
	*shared
	servers []*server
	current atomic.Int32 // index of the server in use
	alone   bool         // of one address, for a caller who knows of others
}

// shared is what the clients of one model have in common.
type shared struct {
	backend  backend
	model    string // as shown
	options  map[string]any
	onRetry  func(error, time.Duration)
	onNotice func(string)
	http     *watchedTransport

	first, stall, patience, least time.Duration

	numCtx atomic.Int64
	dim    atomic.Int64 // of embeddings, once one has come

	facts  atomic.Pointer[facts] // of the model, once they are known
	asking chan struct{}         // holds one who asks for them
}

// facts are what a server says about a model.
type facts struct {
	context    int // tokens, 0 unknown
	thinks     bool
	mustHave   bool // thinking cannot be switched off
	recognised bool // the server said what its protocol says
	chatOnly   bool // the server says what the model can do, and embeddings are not among it
}

// backend speaks one protocol. Its errors are [Error] or whatever the network
// gave; [Client.classify] makes the latter into the former.
type backend interface {
	name() string
	chat(ctx context.Context, host *url.URL, r Request, f facts) (*Reply, error)
	identify(ctx context.Context, host *url.URL) (Identity, error)
	facts(ctx context.Context, host *url.URL) (facts, error)
	release(ctx context.Context, host *url.URL) error
}

// Open makes a client; it does not touch the network.
func Open(c Config) (*Client, error) {
	name := strings.TrimSpace(c.Model)
	if name == "" {
		return nil, errors.New("no model is named")
	}
	options, err := typed(c.Options)
	if err != nil {
		return nil, err
	}
	cl := &Client{shared: &shared{
		model: name, options: options, onRetry: c.OnRetry, onNotice: c.OnNotice,
		first: c.First, stall: c.Stall, patience: c.Patience, least: c.Least,
		http: newTransport(), asking: make(chan struct{}, 1),
	}}
	setDefault(&cl.first, DefaultFirst)
	setDefault(&cl.stall, DefaultStall)
	setDefault(&cl.patience, DefaultPatience)
	setDefault(&cl.least, DefaultLeast)
	n, ok := options["num_ctx"].(int)
	if !ok {
		n = DefaultNumCtx
	}
	cl.numCtx.Store(int64(n))
	var urls []*url.URL
	if rest, ok := strings.CutPrefix(name, "openai:"); ok {
		b, err := newOpenAI(cl, rest)
		if err != nil {
			return nil, err
		}
		cl.backend, urls = b, []*url.URL{b.base}
		cl.model = "openai:" + b.model + "@" + Redact(b.base)
	} else {
		if urls, err = hosts(c.Hosts); err != nil {
			return nil, err
		}
		cl.backend = newOllama(cl, name)
	}
	for _, u := range urls {
		cl.servers = append(cl.servers, &server{url: u})
	}
	return cl, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Model gives the model's name as the user wrote it, without passwords.
func (c *Client) Model() string { return c.model }

// Host gives the address in use, without passwords.
func (c *Client) Host() string { return Redact(c.servers[c.current.Load()].url) }

// NumCtx gives the context length that calls ask for.
func (c *Client) NumCtx() int { return int(c.numCtx.Load()) }

// SetNumCtx sets the context length that calls ask for, unless an option named
// one. Ollama loads the model again whenever it changes: set it once a job.
func (c *Client) SetNumCtx(n int) {
	if _, fixed := c.options["num_ctx"]; !fixed && n > 0 {
		c.numCtx.Store(int64(n))
	}
}

// Close drops idle connections. The client can still be used.
func (c *Client) Close() { c.http.base.CloseIdleConnections() }

// Identify asks the server which weights it has under the model's name. Without
// such a model the error is of KindModelMissing, without a server of
// KindServerAbsent.
func (c *Client) Identify(ctx context.Context) (Identity, error) {
	return call(ctx, c, "look for the model", func(ctx context.Context, s *server) (Identity, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errSilent)
		defer cancel()
		id, err := c.backend.identify(ctx, s.url)
		id.Backend, id.Model = c.backend.name(), c.model
		return id, err
	})
}

// ContextLength gives the longest context, in tokens, that the model was made
// for; 0 if the server does not tell.
func (c *Client) ContextLength(ctx context.Context) (int, error) {
	f, err := c.known(ctx)
	return f.context, err
}

// known asks for the model's facts, once.
func (c *Client) known(ctx context.Context) (facts, error) {
	if f := c.facts.Load(); f != nil {
		return *f, nil
	}
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return facts{}, fmt.Errorf("look at the model %s: %w", c.model, ctx.Err())
	}
	if f := c.facts.Load(); f != nil {
		return *f, nil
	}
	f, err := call(ctx, c, "look at the model", func(ctx context.Context, s *server) (facts, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errSilent)
		defer cancel()
		return c.backend.facts(ctx, s.url)
	})
	if err == nil {
		c.facts.Store(&f)
	}
	return f, err
}

// Chat asks the model and gives its answer. The prompt is never cut to fit: one
// that is too long is an error of KindContext, and so is an answer that ran
// out of context before MaxTokens. What is transient is retried with growing
// pauses; ctx ends the call and the pauses at once. An error is an [Error], or
// ctx's own.
func (c *Client) Chat(ctx context.Context, r Request) (*Reply, error) {
	if err := check(r); err != nil {
		return nil, &Error{Kind: KindRequest, Op: "chat", Model: c.model, Err: err, fatal: true}
	}
	f, err := c.known(ctx)
	if err != nil {
		return nil, err
	}
	said := func(string) {}
	if r.OnText != nil {
		r.OnText, said = withoutThoughts(repeatOnce(r.OnText))
	}
	size, late := 0, 0
	for _, m := range r.Messages {
		size += len(m.Content)
	}
	return call(ctx, c, "chat", func(ctx context.Context, s *server) (*Reply, error) {
		if r.OnText != nil {
			r.OnText("") // a new attempt
		}
		// A server that has become slower for good is given twice as long each
		// time.
		first := min(c.first, s.pace.deadline(size, c.least, c.first)<<late)
		w, done := c.watch(ctx, first, min(c.stall, first))
		defer done()
		start := time.Now()
		reply, err := c.backend.chat(w, s.url, r, f)
		if err != nil {
			if errors.Is(context.Cause(w), errSilent) {
				late++
			}
			return nil, err
		}
		reply.Duration = time.Since(start)
		s.pace.saw(size, firstByte(w, reply.Duration))
		s.chatted.Store(true)
		if err := c.verify(reply, r, f); err != nil {
			return reply, err
		}
		said(reply.Text)
		return reply, c.believe(ctx, s)
	})
}

func check(r Request) error {
	switch {
	case len(r.Messages) == 0:
		return errors.New("the request has no messages")
	case r.MaxTokens <= 0:
		return errors.New("the request does not bound the answer")
	case r.TopLogprobs < 0 || r.TopLogprobs > TopLogprobs:
		return fmt.Errorf("%d alternatives a token are asked for, at most %d can be", r.TopLogprobs, TopLogprobs)
	}
	for _, m := range r.Messages {
		if m.Role != "system" && m.Role != "user" && m.Role != "assistant" {
			return fmt.Errorf("role %q is not system, user or assistant", m.Role)
		}
	}
	return nil
}

// verify takes the thoughts off an answer and turns those that are of no use into
// typed errors.
func (c *Client) verify(reply *Reply, r Request, f facts) error {
	text := reply.Text
	if err := reply.settle(f.mustHave); err != nil {
		switch {
		case r.TopLogprobs > 0 || r.MaxTokens <= voteTokens:
			begin := []rune(strings.TrimSpace(cmp.Or(text, reply.Thinking)))
			err.Err = fmt.Errorf("the model begins its answer with a thought (%s), where the answer's first token was asked for", clip(string(begin[:min(len(begin), 40)])))
		case r.ThinkTokens > 0:
			err.Hint = fmt.Sprintf("allow its thoughts more than %d tokens with --think-tokens", r.ThinkTokens)
		}
		return err
	}
	switch {
	case strings.TrimSpace(reply.Text) == "" && len(reply.Tokens) == 0:
		return &Error{
			Kind: KindEmpty,
			Hint: "if every reply is empty, the model may lack a chat template (`ollama show --template " + c.model + "`) or be a base model",
		}
	case r.TopLogprobs > 0 && unreadable(reply.Tokens):
		err := noLogprobs()
		err.Err = fmt.Errorf("the server gave no log-probabilities that can be read: its tokens have numbers (%s) in place of texts", clip(reply.Tokens[0].Text))
		err.Hint = "start vLLM without --return-tokens-as-token-ids, or sample answers with --mode vote"
		return err
	case r.TopLogprobs > 0 && !slices.ContainsFunc(reply.Tokens, func(t Token) bool { l := t.list(); return l.some }):
		return noLogprobs()
	}
	return nil
}

func noLogprobs() *Error {
	return &Error{
		Kind: KindNoLogprobs,
		Hint: "Ollama gives log-probabilities from version 0.12.11 on; for servers that have none, sample answers with --mode vote",
	}
}

// repeatOnce keeps a listener from hearing the same words twice when an answer
// is begun anew after a broken connection: what was said before is passed over,
// and if the new answer departs from it, it is told whole on a new line. An
// empty piece stands for a new attempt.
func repeatOnce(hear func(string)) func(string) {
	var said, now strings.Builder
	apart := false
	return func(s string) {
		if s == "" {
			if now.Len() > 0 {
				said.Reset()
				said.WriteString(now.String())
			}
			now.Reset()
			apart = false
			return
		}
		before := now.Len()
		now.WriteString(s)
		switch {
		case apart || before >= said.Len():
			hear(s)
		case strings.HasPrefix(said.String(), now.String()):
		case strings.HasPrefix(now.String(), said.String()):
			hear(now.String()[said.Len():])
		default:
			apart = true
			hear("\n" + now.String())
		}
	}
}

// Release lets the servers unload the model after their ordinary five minutes,
// where calls had told them to keep the model for good. It does nothing if no
// call was made, and it works after the job's context has been cancelled if it
// is given another.
func (c *Client) Release(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errSilent)
	defer cancel()
	var errs []error
	for _, s := range c.servers {
		if err := c.backend.release(ctx, s.url); err != nil {
			errs = append(errs, c.classify(ctx, "release the model", s, err))
		}
	}
	return errors.Join(errs...)
}

// choices gives the options of a request by Ollama's names: those of the
// request, with the user's on top. The user's seed is a base that the request's
// is added to, and the user's num_predict can only lower the request's bound.
func (c *Client) choices(r Request) map[string]any {
	o := map[string]any{"temperature": r.Temperature}
	if r.Plain {
		o["top_k"], o["top_p"], o["min_p"], o["repeat_penalty"] = 0, 1.0, 0.0, 1.0
	}
	maps.Copy(o, c.options)
	if r.Temperature > 0 {
		o["temperature"] = r.Temperature
	}
	seed, _ := c.options["seed"].(int)
	o["seed"] = seed + r.Seed
	o["num_predict"] = r.MaxTokens
	if n, ok := c.options["num_predict"].(int); ok && n > 0 {
		o["num_predict"] = min(n, r.MaxTokens)
	}
	stop, _ := c.options["stop"].([]string)
	if stop = slices.Concat(r.Stop, stop); len(stop) > 0 {
		o["stop"] = stop
	}
	return o
}
