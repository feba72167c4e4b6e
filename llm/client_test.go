package llm_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"cai/llm"
	"cai/llm/fakeollama"
)

func TestChatReadsTheAnswerTokens(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, fake, _ := start(t, fakeollama.Options{}, llm.Config{}, v1)
		ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
		if err != nil {
			t.Fatal(err)
		}
		if ch.Coverage < 0.95 || ch.Coverage > 1 || ch.Censored {
			t.Errorf("coverage %v, censored %v", ch.Coverage, ch.Censored)
		}
		if z := ch.LogProb[0] - ch.LogProb[1]; z > -1 {
			t.Errorf("log-odds of the rude reply are %v, want them well below 0", z)
		}
		// 0.96 is what the fake puts on the two letters and their spellings.
		if sum := math.Exp(ch.LogProb[0]) + math.Exp(ch.LogProb[1]); math.Abs(sum-0.96) > 1e-9 {
			t.Errorf("the spellings of both letters sum to %v, want 0.96", sum)
		}
		if ch.Calls != 1 || fake.Calls() != 1 || ch.PromptTokens == 0 || ch.Duration <= 0 {
			t.Errorf("calls %d (server: %d), prompt tokens %d, duration %v", ch.Calls, fake.Calls(), ch.PromptTokens, ch.Duration)
		}
		r := fake.Requests()[0]
		if r.MaxTokens != 1 || r.TopLogprobs != 20 || r.Temperature != 0 {
			t.Errorf("the call was %+v", r)
		}
	})
}

// What makes Ollama cut texts, forget models or think must be set in every
// request.
func TestOllamaRequestLeavesNothingToDefaults(t *testing.T) {
	for _, model := range []string{"judge:1b", "thinker:1b"} {
		c, fake, _ := start(t, fakeollama.Options{}, llm.Config{Model: model, Options: map[string]string{"num_thread": "1", "stop": `["END"]`, "seed": "40"}}, false)
		c.SetNumCtx(2048)
		req := ask("Tell me something.")
		req.Stop = []string{"\n\n"}
		req.Seed = 2
		if _, err := c.Chat(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		r := fake.Requests()[0]
		if r.NumCtx != 2048 || r.MaxTokens != 64 || r.KeepAlive != "-1" || r.Options["num_thread"] != 1.0 {
			t.Errorf("num_ctx %d, num_predict %d, keep_alive %q, options %v", r.NumCtx, r.MaxTokens, r.KeepAlive, r.Options)
		}
		if r.Truncate == nil || *r.Truncate || r.Shift == nil || *r.Shift {
			t.Errorf("truncate %v, shift %v: want both false", r.Truncate, r.Shift)
		}
		if want := model == "thinker:1b"; (r.Think != nil) != want || (want && *r.Think) {
			t.Errorf("%s: think is %v; false belongs in requests to models that can think and nowhere else", model, r.Think)
		}
		if strings.Join(r.Stop, "|") != "\n\n|END" || r.Seed != 42 {
			t.Errorf("stop %q, seed %d", r.Stop, r.Seed)
		}
		if _, ok := r.Options["keep_alive"]; ok {
			t.Error("keep_alive stands among the options")
		}
	}
}

func TestNumCtxOptionWins(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, llm.Config{Options: map[string]string{"num_ctx": "1024"}}, false)
	c.SetNumCtx(8192)
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Fatal(err)
	}
	if got := fake.Requests()[0].NumCtx; got != 1024 || c.NumCtx() != 1024 {
		t.Errorf("asked for %d, NumCtx %d, want 1024", got, c.NumCtx())
	}
}

func TestOneLoadAJobAndRelease(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, llm.Config{}, false)
	if err := c.Release(t.Context()); err != nil || fake.Loads() != 0 {
		t.Fatalf("a release before any call: %v, %d loads", err, fake.Loads())
	}
	c.SetNumCtx(2048)
	for range 3 {
		if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
			t.Fatal(err)
		}
	}
	if until, ok := fake.KeepAlive("judge:1b"); !ok || !until.IsZero() {
		t.Errorf("during the job the model stays until %v (%v), want for good", until, ok)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	until, ok := fake.KeepAlive("judge:1b")
	if left := time.Until(until); !ok || left < 4*time.Minute || left > 5*time.Minute {
		t.Errorf("after the job the model stays %v (%v), want five minutes", left, ok)
	}
	if fake.Loads() != 1 || fake.Calls() != 3 {
		t.Errorf("%d loads, %d calls; the release must not load the model again", fake.Loads(), fake.Calls())
	}
}

func TestKeepAliveOfTheUserStays(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, llm.Config{Options: map[string]string{"keep_alive": "10m"}}, false)
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	until, _ := fake.KeepAlive("judge:1b")
	if left := time.Until(until); left < 9*time.Minute {
		t.Errorf("the model stays %v, want ten minutes", left)
	}
}

func TestIdentify(t *testing.T) {
	c, _, url := start(t, fakeollama.Options{Models: []fakeollama.Model{{Name: "m:latest", Digest: "abc", Context: 777}}}, llm.Config{Model: "m"}, false)
	id, err := c.Identify(t.Context())
	if err != nil || id != (llm.Identity{Backend: "ollama", Model: "m", Digest: "abc", Version: "0.17.4"}) {
		t.Errorf("got %+v, %v", id, err)
	}
	if n, err := c.ContextLength(t.Context()); n != 777 || err != nil {
		t.Errorf("context length %d, %v", n, err)
	}
	o, _, _ := start(t, fakeollama.Options{}, llm.Config{Model: "judge:7b"}, true)
	id, err = o.Identify(t.Context())
	if err != nil || id.Backend != "openai" || !strings.HasPrefix(id.Model, "openai:judge:7b@http://127.0.0.1:") {
		t.Errorf("got %+v, %v", id, err)
	}
	if n, err := o.ContextLength(t.Context()); n != 32768 || err != nil {
		t.Errorf("context length %d, %v", n, err)
	}
	missing, err := llm.Open(llm.Config{Model: "nope:1b", Hosts: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	defer missing.Close()
	_, err = missing.Identify(t.Context())
	if llm.KindOf(err) != llm.KindModelMissing || !strings.Contains(llm.HintOf(err), "ollama pull nope:1b") || !strings.Contains(llm.HintOf(err), "m:latest") {
		t.Errorf("got %v, hint %q", err, llm.HintOf(err))
	}
}

func TestStreamsPieces(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, _, _ := start(t, fakeollama.Options{}, llm.Config{}, v1)
		var pieces []string
		req := ask("Tell me about gardens.")
		req.OnText = func(s string) { pieces = append(pieces, s) }
		r, err := c.Chat(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces) < 3 || strings.Join(pieces, "") != r.Text || r.Truncated || r.OutputTokens != len(pieces) {
			t.Errorf("pieces %q of %q, truncated %v, %d tokens", pieces, r.Text, r.Truncated, r.OutputTokens)
		}
		req.MaxTokens = 3
		if r, err = c.Chat(t.Context(), req); err != nil || !r.Truncated || r.OutputTokens != 3 {
			t.Errorf("bounded to 3 tokens: %+v, %v", r, err)
		}
	})
}

func TestVoteSamplesPlainly(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{Answer: func(fakeollama.Request) fakeollama.Answer {
		return fakeollama.Answer{First: map[string]float64{"A": 0.7, "B": 0.3}}
	}}, llm.Config{Options: map[string]string{"temperature": "0.1"}}, false)
	ch, err := llm.Choose(t.Context(), c, ask(comparison), 200, "A", "B")
	if err != nil {
		t.Fatal(err)
	}
	if p := math.Exp(ch.LogProb[0]); p < 0.6 || p > 0.8 {
		t.Errorf("200 votes give A %v, want 0.7 or so", p)
	}
	r := fake.Requests()[7]
	if r.Temperature != 1 || r.Seed != 7 || r.Options["repeat_penalty"] != 1.0 || r.Options["top_k"] != 0.0 || r.Options["top_p"] != 1.0 {
		t.Errorf("a vote was asked with %v", r.Options)
	}
}

func TestThinkingIsNoAnswer(t *testing.T) {
	// A model that cannot stop thinking gets room for its thoughts, and the
	// distribution is that of the answer and not of the first thought.
	gpt := []fakeollama.Model{{Name: "judge:1b", Family: "gptoss", Capabilities: []string{"completion", "thinking"}}}
	c, fake, _ := start(t, fakeollama.Options{Models: gpt}, llm.Config{}, false)
	ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
	if err != nil {
		t.Fatal(err)
	}
	if z := ch.LogProb[0] - ch.LogProb[1]; ch.Coverage < 0.95 || z > -1 {
		t.Errorf("coverage %v, log-odds %v", ch.Coverage, z)
	}
	if r := fake.Requests()[0]; r.MaxTokens < 1000 || r.Think == nil || !*r.Think {
		t.Errorf("the call had %d tokens, think %v", r.MaxTokens, r.Think)
	}
}

func TestReasoningTokensAreSkippedOverV1(t *testing.T) {
	c, _, _ := start(t, fakeollama.Options{}, llm.Config{Model: "thinker:1b"}, true)
	req := ask(comparison)
	req.TopLogprobs = 20
	r, err := c.Chat(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if r.Thinking == "" || len(r.Tokens) != 1 || r.Tokens[0].Text != "B" {
		t.Errorf("thinking %q, tokens %v", r.Thinking, r.Tokens)
	}
}

func TestOpenRejects(t *testing.T) {
	for name, c := range map[string]llm.Config{
		"no model":       {},
		"unknown option": {Model: "m", Options: map[string]string{"num_ctxx": "1"}},
		"bad option":     {Model: "m", Options: map[string]string{"num_ctx": "many"}},
		"bad scheme":     {Model: "m", Hosts: []string{"ftp://example.org"}},
		"bad port":       {Model: "m", Hosts: []string{"localhost:99999"}},
		"no url":         {Model: "openai:m"},
		"bad url":        {Model: "openai:m@http://user:hunter2@[oops"},
	} {
		_, err := llm.Open(c)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
}

func TestRejectsRequestsThatMakeNoSense(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, llm.Config{}, false)
	for _, r := range []llm.Request{
		{MaxTokens: 1},
		{Messages: []llm.Message{{Role: "user", Content: "x"}}},
		{Messages: []llm.Message{{Role: "robot", Content: "x"}}, MaxTokens: 1},
		{Messages: []llm.Message{{Role: "user", Content: "x"}}, MaxTokens: 1, TopLogprobs: 21},
	} {
		if _, err := c.Chat(t.Context(), r); llm.KindOf(err) != llm.KindRequest {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if fake.Calls() != 0 {
		t.Errorf("%d calls were made", fake.Calls())
	}
}

func TestCancelIsHonouredAtOnce(t *testing.T) {
	for _, f := range []fakeollama.Fault{fakeollama.FaultSilent, fakeollama.FaultStall, fakeollama.FaultBusy} {
		timeless(t, func(t *testing.T, v1 bool) {
			c, _ := startTimeless(t, fakeollama.Options{Fault: fakeollama.Always(f)}, llm.Config{}, v1)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			began := time.Now()
			_, err := c.Chat(ctx, ask("hi"))
			if !errors.Is(err, context.Canceled) || llm.KindOf(err) != "" {
				t.Errorf("%s: %v", f, err)
			}
			if d := time.Since(began); d != 100*time.Millisecond {
				t.Errorf("%s: it took %v", f, d)
			}
		})
	}
}

// What a model may think has a bound of its own beside that of the answer.
func TestThoughtsHaveTheirOwnBudget(t *testing.T) {
	for model, want := range map[string]int{"thinker:1b": 530, "judge:1b": 30} {
		c, fake, _ := start(t, fakeollama.Options{}, llm.Config{Model: model}, false)
		if _, err := c.Chat(t.Context(), llm.Request{
			Messages: []llm.Message{{Role: "user", Content: "Say something."}}, MaxTokens: 30, Think: true, ThinkTokens: 500,
		}); err != nil {
			t.Fatal(err)
		}
		if r := fake.Requests()[0]; r.MaxTokens != want {
			t.Errorf("%s: the call had %d tokens, want %d", model, r.MaxTokens, want)
		}
	}
}
