package llm_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"cai/llm"
	"cai/llm/fakeollama"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a fake and opens a client of the model, by name or, with v1,
// through OpenAI's protocol.
func start(t *testing.T, o fakeollama.Options, c llm.Config, v1 bool) (*llm.Client, *fakeollama.Server, string) {
	t.Helper()
	fake := fakeollama.New(o)
	ts := httptest.NewServer(fake)
	t.Cleanup(func() {
		ts.CloseClientConnections()
		ts.Close()
	})
	client := open(t, c, ts.URL, v1)
	t.Cleanup(client.Close)
	return client, fake, ts.URL
}

// open opens a client of the model at an address.
func open(t *testing.T, c llm.Config, url string, v1 bool) *llm.Client {
	t.Helper()
	if c.Model == "" {
		c.Model = "judge:1b"
	}
	if v1 {
		c.Model = "openai:" + c.Model + "@" + url
	} else if c.Hosts == nil {
		c.Hosts = []string{url}
	}
	if c.Patience == 0 {
		c.Patience = 20 * time.Second
	}
	client, err := llm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// pipes is a listener of connections that are no sockets: while a goroutine waits
// for one, the time of a synctest bubble goes on.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 11434} }

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startTimeless is start in a bubble of synctest.
func startTimeless(t *testing.T, o fakeollama.Options, c llm.Config, v1 bool) (*llm.Client, *fakeollama.Server) {
	t.Helper()
	fake, ln := fakeollama.New(o), newPipes()
	srv := &http.Server{Handler: fake}
	ended := make(chan error)
	go func() { ended <- srv.Serve(ln) }()
	client := open(t, c, "http://"+ln.Addr().String(), v1)
	llm.DialBy(client, ln.dial)
	t.Cleanup(func() {
		client.Close()
		srv.Close()
		<-ended
	})
	return client, fake
}

// timeless runs a test through both protocols in bubbles of synctest: what waits
// there waits for no clock, so that deadlines end nothing but what hangs, however
// slow the machine is.
func timeless(t *testing.T, f func(t *testing.T, v1 bool)) {
	protocols(t, func(t *testing.T, v1 bool) {
		synctest.Test(t, func(t *testing.T) { f(t, v1) })
	})
}

func ask(text string) llm.Request {
	return llm.Request{Messages: []llm.Message{{Role: "user", Content: text}}, MaxTokens: 64}
}

const comparison = "User: hi\n\n(A) You are an idiot.\n\n(B) Thank you, I can help.\n\nWhich reply is kind? Answer A or B."

// protocols runs a test through both protocols.
func protocols(t *testing.T, f func(t *testing.T, v1 bool)) {
	t.Run("ollama", func(t *testing.T) { f(t, false) })
	t.Run("openai", func(t *testing.T) { f(t, true) })
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	return ts.URL
}
