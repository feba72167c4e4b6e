package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cai/dataset"
	"cai/rm"
	"cai/web"
)

// train makes a model that likes some words, and the more the greater its seed.
func train(t *testing.T, file string, good string) {
	t.Helper()
	pairs := iter.Seq2[*dataset.Pair, error](func(yield func(*dataset.Pair, error) bool) {
		for i := range 60 {
			if !yield(&dataset.Pair{
				Prompt: dataset.Prompt(fmt.Sprintf("question %d about ducks", i)),
				First:  dataset.Response{Text: fmt.Sprintf("%s answer number %d", good, i)},
				Second: dataset.Response{Text: fmt.Sprintf("rude reply number %d", i)}, P: 1,
			}, nil) {
				return
			}
		}
	})
	m, _, err := rm.Train(t.Context(), pairs, rm.Options{Holdout: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save(file); err != nil {
		t.Fatal(err)
	}
}

func load(file string) (*rm.Model, func() error, error) {
	m, err := rm.Load(file)
	return m, func() error { return nil }, err
}

func serve(t *testing.T, o web.Options) (*httptest.Server, *web.Server, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rm.safetensors")
	train(t, file, "kind")
	m, err := web.Open("rm", file, load)
	if err != nil {
		t.Fatal(err)
	}
	s, err := web.New([]*web.Model{m}, o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h, s, file
}

// run serves a model on a listener. It gives the address, what stops the server,
// and what it ends with.
func run(t *testing.T, m *web.Model) (addr string, cancel context.CancelFunc, ended <-chan error) {
	t.Helper()
	s, err := web.New([]*web.Model{m}, web.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- s.Run(ctx, l) }()
	return l.Addr().String(), cancel, end
}

func call(t *testing.T, method, url, body string, header ...string) (int, map[string]any, []any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	var list []any
	if json.Unmarshal(data, &object) != nil {
		if err := json.Unmarshal(data, &list); err != nil && resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, url, resp.StatusCode, data)
		}
	}
	return resp.StatusCode, object, list
}

// number follows keys and indices.
func number(t *testing.T, v any, path ...any) float64 {
	t.Helper()
	for _, p := range path {
		switch k := p.(type) {
		case string:
			v = v.(map[string]any)[k]
		case int:
			v = v.([]any)[k]
		}
	}
	x, ok := v.(float64)
	if !ok {
		t.Fatalf("%v is %v, not a number", path, v)
	}
	return x
}

const (
	chatml = `<|im_start|>user\nquestion about ducks<|im_end|>\n<|im_start|>assistant\n`
	prompt = `question about ducks`
	reply  = `kind answer`
)

// One reply has one score, in whichever protocol it is asked about.
func TestAllProtocolsGiveTheSameScore(t *testing.T) {
	h, _, file := serve(t, web.Options{})
	m, err := rm.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Score(t.Context(), dataset.Prompt(prompt), reply)
	if err != nil {
		t.Fatal(err)
	}
	sigma := 1 / (1 + math.Exp(-want.Mean))
	for _, c := range []struct {
		name, path, body string
		want             float64
		at               []any
	}{
		{"own", "/v1/score", `{"items":[{"prompt":"` + prompt + `","response":"` + reply + `"}]}`, want.Mean, []any{"scores", 0, "score"}},
		{"own, uncertainty", "/v1/score", `{"items":[{"prompt":"` + prompt + `","response":"` + reply + `"}]}`, want.Std, []any{"scores", 0, "std"}},
		{"own, one", "/v1/score", `{"prompt":"` + prompt + `","response":"` + reply + `"}`, want.Mean, []any{"scores", 0, "score"}},
		{"own, messages", "/v1/score", `{"messages":[{"role":"user","content":"` + prompt + `"},{"role":"assistant","content":"` + reply + `"}]}`, want.Mean, []any{"scores", 0, "score"}},
		{"openrlhf", "/get_reward", `{"query":["` + chatml + reply + `<|im_end|>"],"prompts":["` + chatml + `"],"labels":[null]}`, want.Mean, []any{"rewards", 0}},
		{"openrlhf, another prefix", "/get_reward", `{"query":["` + chatml + reply + `<|endoftext|>"],"prompts":["<s>` + chatml + `"]}`, want.Mean, []any{"scores", 0}},
		{"vllm classify", "/classify", `{"input":"` + chatml + reply + `"}`, sigma, []any{"data", 0, "probs", 0}},
		{"vllm classify, raw", "/classify", `{"model":"x","input":["` + chatml + reply + `<|im_end|>\n"],"use_activation":false}`, want.Mean, []any{"data", 0, "probs", 0}},
		{"vllm classify, messages", "/classify", `{"messages":[{"role":"user","content":"` + prompt + `"},{"role":"assistant","content":"` + reply + `"}],"use_activation":false}`, want.Mean, []any{"data", 0, "probs", 0}},
		{"sglang classify", "/classify", `{"text":"` + chatml + reply + `"}`, want.Mean, []any{"embedding", 0}},
		{"embeddings", "/v1/embeddings", `{"input":["` + chatml + reply + `"]}`, want.Mean, []any{"data", 0, "embedding", 0}},
		{"pooling", "/pooling", `{"input":"` + chatml + reply + `"}`, want.Mean, []any{"data", 0, "data", 0}},
		{"vllm score", "/score", `{"text_1":"` + prompt + `","text_2":["` + reply + `"],"use_activation":false}`, want.Mean, []any{"data", 0, "score"}},
		{"vllm score, v1", "/v1/score", `{"queries":["` + prompt + `"],"items":["` + reply + `"]}`, sigma, []any{"data", 0, "score"}},
		{"rerank", "/v1/rerank", `{"query":"` + prompt + `","documents":["rude reply",{"text":"` + reply + `"}],"top_n":1}`, sigma, []any{"results", 0, "relevance_score"}},
		{"rerank, place", "/rerank", `{"query":"` + prompt + `","documents":["rude reply","` + reply + `"]}`, 1, []any{"results", 0, "index"}},
		{"tei rerank", "/rerank", `{"query":"` + prompt + `","texts":["rude reply","` + reply + `"],"raw_scores":true}`, want.Mean, []any{0, "score"}},
		{"tei predict, a pair", "/predict", `{"inputs":["` + prompt + `","` + reply + `"],"raw_scores":true}`, want.Mean, []any{0, "score"}},
		{"tei predict, a batch", "/predict", `{"inputs":[["x"],["` + prompt + `","` + reply + `"]]}`, sigma, []any{1, 0, "score"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, object, list := call(t, "POST", h.URL+c.path, c.body)
			if code != http.StatusOK {
				t.Fatalf("code %d: %v", code, object)
			}
			var v any = object
			if object == nil {
				v = list
			}
			if got := number(t, v, c.at...); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	// A trainer that shards by place may send nothing.
	if code, object, _ := call(t, "POST", h.URL+"/get_reward", `{"query":[]}`); code != 200 || len(object["rewards"].([]any)) != 0 {
		t.Errorf("no query: %d %v", code, object)
	}
}

func TestChatTemplatesAreRead(t *testing.T) {
	h, _, _ := serve(t, web.Options{})
	score := func(text string) float64 {
		body, _ := json.Marshal(map[string]any{"input": text, "use_activation": false})
		_, object, _ := call(t, "POST", h.URL+"/classify", string(body))
		return number(t, object, "data", 0, "probs", 0)
	}
	_, object, _ := call(t, "POST", h.URL+"/v1/score", `{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"`+prompt+`"}],"response":"`+reply+`"}`)
	want := number(t, object, "scores", 0, "score")
	for name, text := range map[string]string{
		"chatml":  "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n" + prompt + "<|im_end|>\n<|im_start|>assistant\n" + reply + "<|im_end|>\n",
		"llama3":  "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n" + prompt + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" + reply + "<|eot_id|>",
		"llama2":  "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n" + prompt + " [/INST] " + reply + "</s>",
		"gemma":   "<bos><start_of_turn>system\nBe brief.<end_of_turn>\n<start_of_turn>user\n" + prompt + "<end_of_turn>\n<start_of_turn>model\n" + reply + "<end_of_turn><eos>",
		"phi":     "<|system|>\nBe brief.<|end|>\n<|user|>\n" + prompt + "<|end|>\n<|assistant|>\n" + reply + "<|end|>",
		"harmony": "<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>" + prompt + "<|end|><|start|>assistant<|channel|>final<|message|>" + reply + "<|return|>",
	} {
		if got := score(text); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// The document says what there is, and what it shows is answered.
func TestTheDocumentsExamplesAreAnswered(t *testing.T) {
	h, _, _ := serve(t, web.Options{})
	_, doc, _ := call(t, "GET", h.URL+"/openapi.json", "")
	paths := doc["paths"].(map[string]any)
	if len(paths) < 15 {
		t.Fatalf("%d paths", len(paths))
	}
	for path, v := range paths {
		for method, op := range v.(map[string]any) {
			body := ""
			if rb, ok := op.(map[string]any)["requestBody"].(map[string]any); ok {
				example := rb["content"].(map[string]any)["application/json"].(map[string]any)["example"]
				data, _ := json.Marshal(example)
				body = string(data)
			}
			if code, object, _ := call(t, strings.ToUpper(method), h.URL+path, body); code != http.StatusOK {
				t.Errorf("%s %s: %d %v", method, path, code, object)
			}
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	h, _, _ := serve(t, web.Options{Token: "secret", MaxBody: 2000, Hosts: []string{"judge.example"}})
	good := `{"prompt":"p","response":"r"}`
	auth := []string{"Authorization", "Bearer secret"}
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		want                     int
	}{
		{"no token", "POST", "/v1/score", good, nil, 401},
		{"a wrong token", "POST", "/v1/score", good, []string{"Authorization", "Bearer secre"}, 401},
		{"a token", "POST", "/v1/score", good, auth, 200},
		{"a token in the path", "POST", "/t/secret/v1/score", good, nil, 200},
		{"a wrong one in the path", "POST", "/t/other/v1/score", good, nil, 401},
		{"health without a token", "GET", "/health", "", nil, 200},
		{"metrics without one", "GET", "/metrics", "", nil, 401},
		{"a name that is not ours", "POST", "/v1/score", good, append([]string{"Host", "evil.example"}, auth...), 403},
		{"a name that is", "POST", "/v1/score", good, append([]string{"Host", "judge.example"}, auth...), 200},
		{"another page", "POST", "/v1/score", good, append([]string{"Sec-Fetch-Site", "cross-site"}, auth...), 403},
		{"no JSON", "POST", "/v1/score", "hello", auth, 400},
		{"no response", "POST", "/v1/score", `{"prompt":"p"}`, auth, 400},
		{"a wrong type", "POST", "/v1/score", `{"items":{"prompt":"p"}}`, auth, 400},
		{"too long", "POST", "/v1/score", `{"prompt":"` + strings.Repeat("a", 3000) + `","response":"r"}`, auth, 413},
		{"token ids", "POST", "/classify", `{"input":[1,2,3]}`, auth, 400},
		{"lists of two lengths", "POST", "/score", `{"text_1":["a","b"],"text_2":["c"]}`, auth, 400},
		{"prompts that are fewer", "POST", "/get_reward", `{"query":["a","b"],"prompts":["c"]}`, auth, 400},
		{"TEI's own code", "POST", "/predict", `{"inputs":[["a","b","c"]]}`, auth, 422},
		{"nothing there", "POST", "/nothing", good, auth, 404},
		{"a wrong method", "GET", "/v1/score", "", auth, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, object, _ := call(t, c.method, h.URL+c.path, c.body, c.header...); code != c.want {
				t.Errorf("code %d, want %d: %v", code, c.want, object)
			}
		})
	}
}

// A changed file is taken; one that is no model leaves the one before.
func TestModelsAreReloaded(t *testing.T) {
	h, s, file := serve(t, web.Options{})
	score := func() float64 {
		_, object, _ := call(t, "POST", h.URL+"/v1/score", `{"prompt":"question","response":"warm answer"}`)
		return number(t, object, "scores", 0, "score")
	}
	before := score()
	later := time.Now().Add(time.Hour)
	if err := os.WriteFile(file, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if got := score(); got != before {
		t.Errorf("score %v after a file that is no model, before %v", got, before)
	}
	train(t, file, "warm")
	s.Reload()
	if got := score(); got <= before {
		t.Errorf("score %v after a model that likes the word, before %v", got, before)
	}
}

// What a model uses is freed when the server ends, and so is what those used that
// it took the place of.
func TestReloadedModelsAreFreed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rm.safetensors")
	train(t, file, "kind")
	var freed atomic.Int64
	m, err := web.Open("rm", file, func(file string) (*rm.Model, func() error, error) {
		m, err := rm.Load(file)
		return m, func() error { freed.Add(1); return nil }, err
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := web.New([]*web.Model{m}, web.Options{})
	if err != nil {
		t.Fatal(err)
	}
	train(t, file, "warm")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if n := freed.Load(); n != 0 {
		t.Errorf("%d models were freed while requests might use them", n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx, l); err != nil {
		t.Fatal(err)
	}
	if n := freed.Load(); n != 2 {
		t.Errorf("%d models were freed, want 2", n)
	}
}

// source is a feature that a server would give; it counts how often it is asked.
type source struct {
	asked atomic.Int64
	fail  atomic.Bool
}

func (s *source) Name() string              { return "embed:fake" }
func (s *source) ID() string                { return "fake" }
func (s *source) Dims() (prompt, reply int) { return 0, 2 }
func (s *source) Columns() []string         { return []string{"0", "1"} }
func (s *source) Vectors(_ context.Context, items []rm.Item) ([]rm.Vector, error) {
	if s.fail.Load() {
		return nil, fmt.Errorf("no server answers at 127.0.0.1:9")
	}
	s.asked.Add(1)
	time.Sleep(2 * time.Millisecond)
	out := make([]rm.Vector, len(items))
	for i, it := range items {
		out[i] = rm.Vector{Reply: []float32{float32(strings.Count(it.Reply, "k")), 1}, Known: true}
	}
	return out, nil
}

// Requests that come together are asked of the feature server together, each gets
// its own score, and an absent feature server is an error of its own.
func TestRequestsShareTheFeatureServer(t *testing.T) {
	src := &source{}
	file := filepath.Join(t.TempDir(), "rm.safetensors")
	pairs := iter.Seq2[*dataset.Pair, error](func(yield func(*dataset.Pair, error) bool) {
		for i := range 40 {
			if !yield(&dataset.Pair{Prompt: dataset.Prompt(fmt.Sprint("q", i)), First: dataset.Response{Text: "kk"}, Second: dataset.Response{Text: "none"}, P: 1}, nil) {
				return
			}
		}
	})
	m, _, err := rm.Train(t.Context(), pairs, rm.Options{Sources: []rm.Source{src}, Holdout: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save(file); err != nil {
		t.Fatal(err)
	}
	model, err := web.Open("rm", file, func(file string) (*rm.Model, func() error, error) {
		m, err := rm.Load(file)
		if err == nil {
			err = m.Bind(src)
		}
		return m, func() error { return nil }, err
	})
	if err != nil {
		t.Fatal(err)
	}
	addr, cancel, ended := run(t, model)
	url := "http://" + addr
	src.asked.Store(0)
	const n = 60
	scores := make([]float64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, object, _ := call(t, "POST", url+"/v1/score", fmt.Sprintf(`{"prompt":"q","response":%q}`, strings.Repeat("k", i%3)))
			scores[i] = number(t, object, "scores", 0, "score")
		})
	}
	wg.Wait()
	for i := range scores {
		if scores[i] != scores[i%3] {
			t.Errorf("reply %d has the score %v, an equal one %v", i, scores[i], scores[i%3])
		}
	}
	if scores[2] <= scores[0] {
		t.Errorf("scores %v", scores[:3])
	}
	if got := src.asked.Load(); got > n/2 {
		t.Errorf("%d requests asked the feature server %d times", n, got)
	}
	src.fail.Store(true)
	if code, object, _ := call(t, "POST", url+"/v1/score", `{"prompt":"q","response":"k"}`); code != 503 || !strings.Contains(fmt.Sprint(object), "no server answers") {
		t.Errorf("an absent feature server: %d %v", code, object)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server that is told to stop answers what it has accepted.
func TestStoppingAnswersWhatWasAccepted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rm.safetensors")
	train(t, file, "kind")
	m, err := web.Open("rm", file, load)
	if err != nil {
		t.Fatal(err)
	}
	addr, cancel, ended := run(t, m)
	// A request whose body is still on its way when the server is stopped.
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"prompt":"q","response":"r"}`
	fmt.Fprintf(conn, "POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body[:10])
	for range 100 { // until it is being worked on
		if _, object, _ := call(t, "GET", "http://"+addr+"/health", ""); object["status"] == "ok" {
			break
		}
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	time.Sleep(50 * time.Millisecond)
	fmt.Fprint(conn, body[10:])
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), `"scores"`) {
		t.Errorf("%v: %q", err, answer)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Neither the token nor a text stands in a log or in the metrics.
func TestLogsHoldNoTexts(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	h, _, _ := serve(t, web.Options{Token: "tok3n", Log: slog.New(slog.NewJSONHandler(locked{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	call(t, "POST", h.URL+"/t/tok3n/v1/score", `{"prompt":"hidden","response":"hidden"}`)
	call(t, "POST", h.URL+"/t/wr0ng/v1/score", `{"prompt":"hidden"}`)
	call(t, "POST", h.URL+"/t/tok3n/v1/score", `{"prompt":"hidden"}`)
	req, _ := http.NewRequest("GET", h.URL+"/t/tok3n/metrics", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	mu.Lock()
	defer mu.Unlock()
	for _, secret := range []string{"tok3n", "wr0ng", "hidden"} {
		if strings.Contains(log.String(), secret) || strings.Contains(string(text), secret) {
			t.Errorf("%q is in the log or the metrics:\n%s", secret, &log)
		}
	}
	for _, want := range []string{`cai_requests_total{route="/v1/score",code="200"} 1`, `cai_items_scored_total 1`, `cai_model_info{model="rm",sha256="`, `cai_request_duration_seconds_bucket`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}
	if !strings.Contains(log.String(), `"route":"/v1/score"`) {
		t.Errorf("log:\n%s", &log)
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
