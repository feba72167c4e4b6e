package fakeollama_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"go.uber.org/goleak"

	"cai/llm/fakeollama"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, o fakeollama.Options) (*fakeollama.Server, string) {
	t.Helper()
	fake := fakeollama.New(o)
	ts := httptest.NewServer(fake)
	t.Cleanup(func() {
		ts.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return fake, ts.URL
}

func post(t *testing.T, url, body string) (status int, contentType string, lines []string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for l := range bytes.Lines(b) {
		lines = append(lines, strings.TrimSpace(string(l)))
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), lines
}

// What both servers must do. CAI_TEST_OLLAMA names a real one, with the models
// smollm2:135m and all-minilm, to check that the fake tells the truth.
func TestLikeOllama(t *testing.T) {
	long := strings.Repeat("word ", 3000)
	cases := []struct {
		name, path, body string
		status           int
		want             string // exact error, or with a star before it a part of the answer
	}{
		{"missing model", "/api/chat", `{"model":"nope:1b","messages":[{"role":"user","content":"x"}]}`, 404, "model 'nope:1b' not found"},
		{"no model", "/api/chat", `{"messages":[{"role":"user","content":"x"}]}`, 400, "model is required"},
		{"no body", "/api/chat", ``, 400, "missing request body"},
		{"too long", "/api/chat", `{"model":"CHAT","truncate":false,"shift":false,"messages":[{"role":"user","content":"` + long + `"}],"options":{"num_ctx":512,"num_predict":1,"num_thread":1}}`, 400, "the input length exceeds the context length"},
		{"cut", "/api/chat", `{"model":"CHAT","messages":[{"role":"user","content":"` + long + `"}],"options":{"num_ctx":512,"num_predict":1,"num_thread":1}}`, 200, `*"prompt_eval_count":512`},
		{"option type", "/api/chat", `{"model":"CHAT","messages":[{"role":"user","content":"x"}],"options":{"num_ctx":"abc"}}`, 500, `option "num_ctx" must be of type integer`},
		{"top_logprobs", "/api/chat", `{"model":"CHAT","logprobs":true,"top_logprobs":21,"messages":[{"role":"user","content":"x"}]}`, 400, "top_logprobs must be between 0 and 20"},
		{"keep_alive text", "/api/chat", `{"model":"CHAT","keep_alive":"-1","messages":[{"role":"user","content":"x"}]}`, 400, `time: missing unit in duration "-1"`},
		{"think", "/api/chat", `{"model":"CHAT","think":true,"messages":[{"role":"user","content":"x"}]}`, 400, `"CHAT" does not support thinking`},
		{"embedding model", "/api/chat", `{"model":"EMBED","messages":[{"role":"user","content":"x"}]}`, 400, `"EMBED" does not support chat`},
		{"load", "/api/chat", `{"model":"CHAT","options":{"num_ctx":512,"num_thread":1}}`, 200, `*"done_reason":"load"`},
		{"length", "/api/chat", `{"model":"CHAT","messages":[{"role":"user","content":"Tell me a story."}],"options":{"num_ctx":512,"num_predict":3,"num_thread":1}}`, 200, `*"done_reason":"length"`},
		{"not streamed", "/api/chat", `{"model":"CHAT","stream":false,"logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"Tell me a story."}],"options":{"num_ctx":512,"num_predict":3,"num_thread":1}}`, 200, `*"eval_count":3`},
		{"show", "/api/show", `{"model":"CHAT"}`, 200, `*"llama.context_length":8192`},
		{"show missing", "/api/show", `{"model":"nope:1b"}`, 404, "model 'nope:1b' not found"},
		{"embed", "/api/embed", `{"model":"EMBED","input":["a b","c"],"options":{"num_thread":1}}`, 200, `*"embeddings":[[`},
		{"embed empty texts", "/api/embed", `{"model":"EMBED","input":["",""],"options":{"num_thread":1}}`, 200, `*"embeddings":[[`},
		{"embed one empty text", "/api/embed", `{"model":"EMBED","input":"","options":{"num_thread":1}}`, 200, `*"embeddings":[]`},
		{"embeddings by OpenAI's protocol", "/v1/embeddings", `{"model":"EMBED","input":["a b","c"]}`, 200, `*"embedding":[`},
		{"embed bad", "/api/embed", `{"model":"EMBED","input":[1]}`, 400, "invalid input type"},
		{"embed missing", "/api/embed", `{"model":"nope:1b","input":"x"}`, 404, `*not found`},
		{"unload", "/api/chat", `{"model":"CHAT","keep_alive":0,"messages":[]}`, 200, `*"done_reason":"unload"`},
	}
	check := func(t *testing.T, url, chat, embed string) {
		names := strings.NewReplacer("CHAT", chat, "EMBED", embed)
		for _, c := range cases {
			status, kind, lines := post(t, url+c.path, names.Replace(c.body))
			last := ""
			if len(lines) > 0 {
				last = lines[len(lines)-1]
			}
			var e struct{ Error string }
			_ = json.Unmarshal([]byte(last), &e)
			want, got := names.Replace(c.want), e.Error
			ok := got == want
			if part, star := strings.CutPrefix(want, "*"); star {
				got, ok = last, strings.Contains(last, part)
			}
			if status != c.status || !ok {
				t.Errorf("%s: %d %s, want %d %s", c.name, status, got, c.status, want)
			}
			if c.name == "length" && (kind != "application/x-ndjson" || len(lines) != 4) {
				t.Errorf("%s: %s in %d lines", c.name, kind, len(lines))
			}
			if c.name == "not streamed" && (!strings.HasPrefix(kind, "application/json") || len(lines) != 1 || strings.Count(last, `"top_logprobs"`) != 3) {
				t.Errorf("%s: %s in %d lines: %s", c.name, kind, len(lines), last)
			}
		}
	}
	t.Run("fake", func(t *testing.T) {
		_, url := serve(t, fakeollama.Options{})
		check(t, url, "judge:1b", "embedder")
	})
	t.Run("real", func(t *testing.T) {
		url := os.Getenv("CAI_TEST_OLLAMA")
		if url == "" {
			t.Skip("CAI_TEST_OLLAMA names no server")
		}
		defer http.DefaultClient.CloseIdleConnections()
		check(t, url, "smollm2:135m", "all-minilm")
	})
}

// A streamed answer is one line a token and a last line with the counts; the
// pieces and the tokens are the text.
func TestStream(t *testing.T) {
	_, url := serve(t, fakeollama.Options{})
	_, _, lines := post(t, url+"/api/chat", `{"model":"judge:1b","logprobs":true,"top_logprobs":4,"messages":[{"role":"user","content":"Hello there"}]}`)
	var text, tokens string
	for i, l := range lines {
		var r api.ChatResponse
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatal(err)
		}
		if r.Done != (i == len(lines)-1) {
			t.Fatalf("line %d: %s", i, l)
		}
		if r.Done {
			if r.DoneReason != "stop" || r.EvalCount != len(lines)-1 || r.PromptEvalCount == 0 {
				t.Errorf("last line: %s", l)
			}
			continue
		}
		text += r.Message.Content
		for _, p := range r.Logprobs {
			tokens += p.Token
			if len(p.TopLogprobs) != 4 || p.Logprob > 0 || p.TopLogprobs[0].Logprob < p.TopLogprobs[3].Logprob {
				t.Errorf("token %+v", p)
			}
		}
	}
	if text == "" || text != tokens {
		t.Errorf("text %q, tokens %q", text, tokens)
	}
}

func TestStopEndsBefore(t *testing.T) {
	_, url := serve(t, fakeollama.Options{Answer: func(fakeollama.Request) fakeollama.Answer {
		return fakeollama.Answer{Text: "one two three four"}
	}})
	_, _, lines := post(t, url+"/api/chat", `{"model":"judge:1b","stream":false,"messages":[{"role":"user","content":"x"}],"options":{"stop":["hree"]}}`)
	if !strings.Contains(lines[0], `"content":"one two t"`) || !strings.Contains(lines[0], `"done_reason":"stop"`) {
		t.Errorf("got %s", lines[0])
	}
}

// The judge of the default answers prefers the better reply in both orders,
// with a position bias on top, and says the same every time.
func TestDefaultJudge(t *testing.T) {
	const bad, good = "You are an idiot.", "I am sorry, perhaps I can help."
	z := func(bias float64, a, b string) float64 {
		r := fakeollama.Request{Messages: []fakeollama.Message{{Role: "user", Content: "User: hi\n\n(A) " + a + "\n\n(B) " + b + "\n\nWhich reply is kind? Answer A or B."}}}
		p := fakeollama.Default(r, bias).First
		return p["A"] - p["B"]
	}
	if z(0, bad, good) >= 0 || z(0, good, bad) <= 0 || z(0, good, bad)+z(0, bad, good) > 1e-12 {
		t.Errorf("without bias: %v and %v", z(0, bad, good), z(0, good, bad))
	}
	if z(9, bad, good) <= 0 || z(9, good, bad) <= 0 {
		t.Error("a bias of 9 does not outweigh the replies")
	}
	check := func(reply, marks string) float64 {
		r := fakeollama.Request{Messages: []fakeollama.Message{{Role: "user", Content: "User: hi\n\nAssistant's reply:\n" + reply + "\n\nIs the reply kind?\n" + marks + "\nAnswer A or B."}}}
		p := fakeollama.Default(r, 0).First
		return p["A"] - p["B"]
	}
	const yes, no = "(A) Yes.\n(B) No.", "(A) No.\n(B) Yes."
	if check(good, yes) <= 0 || check(good, no) >= 0 || check(bad, yes) >= 0 || check(bad, no) <= 0 {
		t.Errorf("checks: %v %v %v %v", check(good, yes), check(good, no), check(bad, yes), check(bad, no))
	}
	ask := func(p string) string {
		return fakeollama.Default(fakeollama.Request{Messages: []fakeollama.Message{{Role: "user", Content: p}}}, 0).Text
	}
	const at = "User: hi\n\nAssistant's reply:\n"
	if c := ask(at + bad + "\n\nSay what is unkind.\nWrite only the critique, in a few sentences."); !strings.Contains(c, `"idiot"`) {
		t.Errorf("critique %q", c)
	}
	rewrite := func(reply string) string {
		return ask(at + reply + "\n\nCritique of the reply:\nIt is rude.\n\nMend it.\nWrite only the new reply, as the assistant would give it.")
	}
	if r := rewrite("Fine. " + bad + " Bye."); !strings.HasPrefix(r, "Fine. Bye. ") || fakeollama.Quality(r) <= fakeollama.Quality(bad) {
		t.Errorf("revision %q", r)
	}
	if r := rewrite(good); r != good {
		t.Errorf("a good reply becomes %q", r)
	}
}

func TestQueueAndCounters(t *testing.T) {
	fake, url := serve(t, fakeollama.Options{Parallel: 1, Queue: 1, Latency: 200 * time.Millisecond})
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for range 5 {
		wg.Go(func() {
			status, _, _ := post(t, url+"/api/chat", `{"model":"judge:1b","messages":[{"role":"user","content":"x"}],"options":{"num_predict":1}}`)
			mu.Lock()
			defer mu.Unlock()
			count[status]++
		})
	}
	wg.Wait()
	if count[200] != 2 || count[503] != 3 || fake.Calls() != 5 || fake.MaxInFlight() != 1 {
		t.Errorf("statuses %v, %d calls, at most %d at once", count, fake.Calls(), fake.MaxInFlight())
	}
	fake.Reset()
	if fake.Calls() != 0 || len(fake.Requests()) != 0 {
		t.Error("Reset left something")
	}
}

// A prompt that begins as the last one did is read faster.
func TestPrefixCache(t *testing.T) {
	_, url := serve(t, fakeollama.Options{PromptTime: time.Millisecond})
	took := func(text string) time.Duration {
		start := time.Now()
		post(t, url+"/api/chat", `{"model":"judge:1b","messages":[{"role":"user","content":"`+text+`"}],"options":{"num_predict":1}}`)
		return time.Since(start)
	}
	long := strings.Repeat("word ", 200)
	cold, warm, other := took(long+"one"), took(long+"two"), took("no "+long)
	if cold < 200*time.Millisecond || warm > cold/2 || other < 200*time.Millisecond {
		t.Errorf("cold %v, same beginning %v, other beginning %v", cold, warm, other)
	}
}

func TestFaultNames(t *testing.T) {
	for _, f := range fakeollama.Faults() {
		if got, err := fakeollama.ParseFault(string(f)); got != f || err != nil {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
	if _, err := fakeollama.ParseFault("bussy"); err == nil {
		t.Error("an unknown fault is taken")
	}
	n := 0
	for i := range int64(10) {
		if fakeollama.During(fakeollama.FaultBusy, 3, 5)(fakeollama.Request{Number: i + 1}) != fakeollama.FaultNone {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d calls fail, want 3", n)
	}
}
