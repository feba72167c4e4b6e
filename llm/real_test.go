package llm_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"cai/llm"
)

// realModel opens a small model on a real server, which CAI_TEST_OLLAMA names.
// One thread, because more spin on barriers when cores are few.
func realModel(t *testing.T, c llm.Config) *llm.Client {
	t.Helper()
	host := os.Getenv("CAI_TEST_OLLAMA")
	if host == "" {
		t.Skip("CAI_TEST_OLLAMA names no server")
	}
	if c.Model == "" {
		c.Model = "smollm2:135m"
	}
	c.Hosts = []string{host}
	if c.Options == nil {
		c.Options = map[string]string{"num_thread": "1", "num_ctx": "512"}
	}
	client, err := llm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestRealServer(t *testing.T) {
	c := realModel(t, llm.Config{})
	id, err := c.Identify(t.Context())
	if err != nil || len(id.Digest) != 64 || id.Version == "" {
		t.Fatalf("identity %+v, %v", id, err)
	}
	if n, err := c.ContextLength(t.Context()); n != 8192 || err != nil {
		t.Errorf("context length %d, %v", n, err)
	}
	ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
	if err != nil || ch.Coverage <= 0 || ch.PromptTokens < 20 {
		t.Errorf("choice %+v, %v", ch, err)
	}
	if ch, err = llm.Choose(t.Context(), c, ask(comparison), 4, "A", "B"); err != nil || ch.Calls != 4 {
		t.Errorf("votes %+v, %v", ch, err)
	}
	var heard strings.Builder
	req := ask("Say hello.")
	req.MaxTokens, req.TopLogprobs = 8, 3
	req.OnText = func(s string) { heard.WriteString(s) }
	r, err := c.Chat(t.Context(), req)
	if err != nil || heard.String() != r.Text || r.OutputTokens == 0 || len(r.Tokens) == 0 || len(r.Tokens[0].Top) != 3 {
		t.Errorf("chat %+v, heard %q, %v", r, heard.String(), err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRealServerErrors(t *testing.T) {
	c := realModel(t, llm.Config{})
	_, err := c.Chat(t.Context(), ask(strings.Repeat("word ", 3000)))
	if llm.KindOf(err) != llm.KindContext || !strings.Contains(llm.HintOf(err), "num_ctx=1024") {
		t.Errorf("too long a prompt: %v, hint %q", err, llm.HintOf(err))
	}
	small := realModel(t, llm.Config{Options: map[string]string{"num_thread": "1", "num_ctx": "64"}})
	req := ask("Tell me a very long story about ships and the sea.")
	req.MaxTokens = 2000
	_, err = small.Chat(t.Context(), req)
	if llm.KindOf(err) != llm.KindContext || !strings.Contains(err.Error(), "too little") {
		t.Errorf("too long an answer: %v", err)
	}
	// The answer is stopped before its first letter.
	req = ask("Say hi.")
	for r := rune('!'); r < 127; r++ {
		req.Stop = append(req.Stop, string(r))
	}
	req.Stop = append(req.Stop, " ", "\n")
	if _, err = c.Chat(t.Context(), req); llm.KindOf(err) != llm.KindEmpty {
		t.Errorf("empty reply: %v", err)
	}
	m := realModel(t, llm.Config{Model: "nope:1b"})
	for _, f := range []func() error{
		func() error { _, err := m.Identify(t.Context()); return err },
		func() error { _, err := m.Chat(t.Context(), ask("hi")); return err },
	} {
		if err := f(); llm.KindOf(err) != llm.KindModelMissing {
			t.Errorf("missing model: %v", err)
		} else {
			t.Logf("%v (%s)", err, llm.HintOf(err))
		}
	}
}

func TestRealServerSpeaksOpenAI(t *testing.T) {
	host := os.Getenv("CAI_TEST_OLLAMA")
	c := realModel(t, llm.Config{Model: "openai:smollm2:135m@" + host})
	if _, err := c.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
	if err != nil || ch.PromptTokens < 20 {
		t.Errorf("choice %+v, %v", ch, err)
	}
	m := realModel(t, llm.Config{Model: "openai:nope:1b@" + host})
	if _, err := m.Chat(t.Context(), ask("hi")); llm.KindOf(err) != llm.KindModelMissing {
		t.Errorf("missing model: %v", err)
	}
}

func TestRealServerThatIsSlow(t *testing.T) {
	c := realModel(t, llm.Config{First: time.Millisecond, Patience: 10 * time.Millisecond})
	if _, err := c.Chat(t.Context(), ask("hi")); llm.KindOf(err) != llm.KindTimeout {
		t.Errorf("a first byte within a millisecond: %v", err)
	}
}
