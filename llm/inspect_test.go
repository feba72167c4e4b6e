package llm_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"cai/llm"
	"cai/llm/fakeollama"
)

func TestWhatAServerTellsAboutAModel(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{Models: []fakeollama.Model{
		{Name: "chat", Context: 8192, Family: "qwen2", Capabilities: []string{"completion", "thinking"}},
		{Name: "base", Template: fakeollama.BareTemplate},
		{Name: "stubborn", Family: "gptoss", Capabilities: []string{"completion", "thinking"}},
	}})
	web := httptest.NewServer(fake)
	defer web.Close()
	open := func(model string) *llm.Client {
		t.Helper()
		c, err := llm.Open(llm.Config{Model: model, Hosts: []string{web.URL}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	chat := open("chat")
	i, err := chat.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.Context != 8192 || i.Loaded != 0 || i.Bare() || i.MustThink || strings.Join(i.Capabilities, " ") != "completion thinking" || i.String() != "qwen2 1B Q4_K_M" {
		t.Errorf("%+v, %s", i, i)
	}
	text, err := chat.Rendered(t.Context(), llm.Message{Role: "user", Content: "hello"})
	if err != nil || text != "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n" {
		t.Errorf("rendered %q, %v", text, err)
	}
	if i, err = chat.Inspect(t.Context()); err != nil || i.Loaded != llm.DefaultNumCtx {
		t.Errorf("loaded with %d, %v, want %d", i.Loaded, err, llm.DefaultNumCtx)
	}
	base := open("base")
	if i, err = base.Inspect(t.Context()); err != nil || !i.Bare() {
		t.Errorf("%+v, %v: the template is bare", i, err)
	}
	if text, err = base.Rendered(t.Context(), llm.Message{Role: "user", Content: "hello"}); err != nil || text != "hello" {
		t.Errorf("rendered %q, %v", text, err)
	}
	if i, err = open("stubborn").Inspect(t.Context()); err != nil || !i.MustThink {
		t.Errorf("%+v, %v: it always thinks", i, err)
	}
	if _, err = open("nowhere").Inspect(t.Context()); llm.KindOf(err) != llm.KindModelMissing {
		t.Errorf("a missing model: %v", err)
	}
	if fake.Calls() != 0 {
		t.Errorf("%d answers were asked for", fake.Calls())
	}
	other, err := llm.Open(llm.Config{Model: "openai:chat@" + web.URL})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := other.Rendered(t.Context(), llm.Message{Role: "user", Content: "hello"}); err != nil || text != "" {
		t.Errorf("rendered %q, %v by a server that shows nothing", text, err)
	}
	if i, err := other.Inspect(t.Context()); err != nil || i.Context != 8192 {
		t.Errorf("%+v, %v, want the context", i, err)
	}
}

func TestAnswersBySchemaAndWithThinking(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{})
	web := httptest.NewServer(fake)
	defer web.Close()
	c, err := llm.Open(llm.Config{Model: "thinker:1b", Hosts: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	req := llm.Request{
		Messages: []llm.Message{{Role: "user", Content: "hello"}}, MaxTokens: 200,
		Format: json.RawMessage(`{"type":"object","properties":{"mark":{"type":"string","enum":["A","B"]}},"required":["mark"]}`),
	}
	for _, think := range []bool{false, true} {
		req.Think = think
		r, err := c.Chat(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if r.Text != `{"mark":"A"}` || (r.Thinking != "") != think {
			t.Errorf("thinking %t: text %q, thoughts %q", think, r.Text, r.Thinking)
		}
	}
	last := fake.Requests()[1]
	if last.Format != string(req.Format) || last.Think == nil || !*last.Think {
		t.Errorf("sent %+v", last)
	}
}
