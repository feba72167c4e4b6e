package llm

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// server is one address of a model and what is known of it.
type server struct {
	url      *url.URL
	answered atomic.Bool // anything
	chatted  atomic.Bool // a question
	pace     pace
	guard    guard
}

// busyPatience is how long a busy server is asked again by a client of one
// address, whose caller can turn to another one meanwhile.
const busyPatience = 30 * time.Second

// Hosts gives a client for each address, in their order. They share the
// connections, the options and the context length of c. Such a client gives up
// soon where c would wait or turn to another address: it is for callers who
// spread their calls themselves, and know what to do with a server that is
// away.
func (c *Client) Hosts() []*Client {
	out := make([]*Client, len(c.servers))
	for i, s := range c.servers {
		out[i] = &Client{shared: c.shared, servers: []*server{s}, alone: true}
	}
	return out
}

// Expect has every answer checked that is to be believed: the server must have
// the weights with this digest, which is asked on each new connection, for a
// server that was started anew has lost the old ones, and once a minute. An
// answer of other weights is an error of KindModelChanged. An empty digest ends
// the checks.
func (c *Client) Expect(digest string) {
	for _, s := range c.servers {
		s.guard.mu.Lock()
		s.guard.digest = digest
		s.guard.mu.Unlock()
	}
}

// guardEvery is how often the digest is asked on connections that last.
const guardEvery = time.Minute

// guard keeps answers of other weights out.
type guard struct {
	mu      sync.Mutex
	digest  string // what is expected; empty is anything
	checked time.Time
}

// believe tells whether an answer that has just come may be taken for one of
// the expected weights.
func (c *Client) believe(ctx context.Context, s *server) error {
	g := &s.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.digest == "" || !g.checked.IsZero() && time.Since(g.checked) < guardEvery && g.checked.After(c.http.dialed(s.url)) {
		return nil
	}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errSilent)
	defer cancel()
	id, err := c.backend.identify(ctx, s.url)
	if err != nil {
		return err
	}
	if id.Digest != g.digest {
		return changed(g.digest, id.Digest)
	}
	g.checked = start
	return nil
}

func changed(from, to string) error {
	now := "none"
	if to != "" {
		now = short(to)
	}
	return &Error{
		Kind: KindModelChanged, fatal: true,
		Err:  fmt.Errorf("the server has other weights under this name than when the job began: digest %s, now %s", short(from), now),
		Hint: "start the same command again: the new weights are another judge, and what the old ones said is kept",
	}
}

func short(digest string) string { return digest[:min(12, len(digest))] }

// Check tells whether the server is up, has the weights that are expected, and
// answers a word. It makes one attempt.
func (c *Client) Check(ctx context.Context) error {
	s := c.servers[c.current.Load()]
	err := c.check(ctx, s)
	if err == nil {
		return nil
	}
	return c.classify(ctx, "look for the server", s, err)
}

func (c *Client) check(ctx context.Context, s *server) error {
	s.guard.mu.Lock()
	want := s.guard.digest
	s.guard.mu.Unlock()
	look, cancel := context.WithTimeoutCause(ctx, askTimeout, errSilent)
	defer cancel()
	id, err := c.backend.identify(look, s.url)
	switch {
	case err != nil:
		return err
	case want != "" && id.Digest != want:
		return changed(want, id.Digest)
	}
	var f facts
	if k := c.facts.Load(); k != nil {
		f = *k
	}
	r := Request{Messages: []Message{{Role: "user", Content: "Say hello."}}, MaxTokens: 1}
	w, done := c.watch(ctx, c.first, c.stall)
	defer done()
	reply, err := c.backend.chat(w, s.url, r, f)
	if err != nil {
		return err
	}
	if err := c.verify(reply, r, f); KindOf(err) != KindEmpty && KindOf(err) != KindThinking {
		return err
	}
	return nil
}

// Forget tells that the server was away: the next answer may take as long as
// the first did.
func (c *Client) Forget() {
	for _, s := range c.servers {
		s.pace.forget()
	}
}

// mixed are errors of a server that is what it should be and may answer well
// again: one that chatted before, or has at least said what its protocol says and
// does not answer with a web page now.
func (c *Client) mixed(s *server, e *Error) {
	f := c.facts.Load()
	if e.Kind == KindOffFormat && e.fatal && (s.chatted.Load() || !e.page && f != nil && f.recognised) {
		e.fatal, e.retry, e.Hint = false, true, ""
		if e.Err == nil {
			e.Err = errors.New("the server's answer cannot be read")
		}
	}
}
