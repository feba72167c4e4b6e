package llm_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
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
	if c.Model == "" {
		c.Model = "judge:1b"
	}
	if v1 {
		c.Model = "openai:" + c.Model + "@" + ts.URL
	} else if c.Hosts == nil {
		c.Hosts = []string{ts.URL}
	}
	if c.Patience == 0 {
		c.Patience = 20 * time.Second
	}
	client, err := llm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, fake, ts.URL
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
