package llm_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cai/llm"
	"cai/llm/fakeollama"
)

// Faults that stay: what kind of error each ends in, and after how many calls.
func TestFaultsAreTyped(t *testing.T) {
	for _, tc := range []struct {
		fault fakeollama.Fault
		kind  llm.Kind
		calls int
		fatal bool
		logs  bool
	}{
		{fakeollama.FaultEmpty, llm.KindEmpty, 1, false, false},
		{fakeollama.FaultThinking, llm.KindThinking, 1, false, false},
		{fakeollama.FaultNoLogprobs, llm.KindNoLogprobs, 1, false, true},
		{fakeollama.FaultBroken, llm.KindServer, 1, false, false},
		{fakeollama.FaultRunner, llm.KindServer, 4, false, false},
		{fakeollama.FaultDrop, llm.KindServer, 4, false, false},
		{fakeollama.FaultCut, llm.KindServer, 4, false, false},
		{fakeollama.FaultMidError, llm.KindServer, 4, false, false},
		{fakeollama.FaultGarbage, llm.KindOffFormat, 1, true, false},
	} {
		t.Run(string(tc.fault), func(t *testing.T) {
			timeless(t, func(t *testing.T, v1 bool) {
				c, fake := startTimeless(t, fakeollama.Options{Fault: fakeollama.Always(tc.fault)}, llm.Config{}, v1)
				req := ask("Tell me about gardens.")
				if tc.logs {
					req.TopLogprobs = 5
				}
				_, err := c.Chat(t.Context(), req)
				if llm.KindOf(err) != tc.kind || llm.Fatal(err) != tc.fatal {
					t.Errorf("got %q, fatal %v: %v", llm.KindOf(err), llm.Fatal(err), err)
				}
				if fake.Calls() != tc.calls {
					t.Errorf("%d calls, want %d", fake.Calls(), tc.calls)
				}
			})
		})
	}
}

func TestMemoryIsFatalWithHint(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{Fault: fakeollama.Always(fakeollama.FaultMemory)}, llm.Config{}, false)
	_, err := c.Chat(t.Context(), ask("hi"))
	if llm.KindOf(err) != llm.KindServer || !llm.Fatal(err) || !strings.Contains(llm.HintOf(err), "num_ctx") || fake.Calls() != 1 {
		t.Errorf("%v, hint %q, %d calls", err, llm.HintOf(err), fake.Calls())
	}
}

// Faults that pass: the call succeeds in the end and the listener is told.
func TestTransientFaultsAreRetried(t *testing.T) {
	for _, f := range []fakeollama.Fault{
		fakeollama.FaultBusy, fakeollama.FaultDrop, fakeollama.FaultCut,
		fakeollama.FaultRunner, fakeollama.FaultMidError, fakeollama.FaultStall, fakeollama.FaultSilent,
	} {
		t.Run(string(f), func(t *testing.T) {
			timeless(t, func(t *testing.T, v1 bool) {
				var mu sync.Mutex
				var told []string
				c, fake := startTimeless(t, fakeollama.Options{Fault: fakeollama.During(f, 1, 2)}, llm.Config{
					First: 300 * time.Millisecond, Stall: 300 * time.Millisecond,
					OnRetry: func(err error, wait time.Duration) {
						mu.Lock()
						defer mu.Unlock()
						told = append(told, fmt.Sprint(llm.KindOf(err), wait > 0))
					},
				}, v1)
				var heard strings.Builder
				req := ask("Tell me about gardens.")
				req.OnText = func(s string) { heard.WriteString(s) }
				r, err := c.Chat(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if fake.Calls() != 3 || len(told) != 2 || !strings.HasSuffix(told[0], "true") {
					t.Errorf("%d calls, told %v", fake.Calls(), told)
				}
				if heard.String() != r.Text {
					t.Errorf("the listener heard %q of %q", heard.String(), r.Text)
				}
				if r.Duration != 0 { // the answer itself takes no time in a bubble
					t.Errorf("the duration %v holds the retries", r.Duration)
				}
			})
		})
	}
}

func TestBusyServerIsAskedUntilPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fake := startTimeless(t, fakeollama.Options{Fault: fakeollama.Always(fakeollama.FaultBusy)}, llm.Config{Patience: time.Second}, false)
		began := time.Now()
		_, err := c.Chat(t.Context(), ask("hi"))
		if llm.KindOf(err) != llm.KindBusy || llm.Fatal(err) || fake.Calls() < 2 || time.Since(began) > time.Second {
			t.Errorf("%v after %d calls, %v", err, fake.Calls(), time.Since(began))
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		c, _ := startTimeless(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultBusy, 1, 1)}, llm.Config{
			OnRetry: func(_ error, w time.Duration) { waits = append(waits, w) },
		}, true)
		began := time.Now()
		if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
			t.Fatal(err)
		}
		if len(waits) != 1 || waits[0] < time.Second || time.Since(began) != waits[0] {
			t.Errorf("told of waits of %v, waited %v, the server asked for a second", waits, time.Since(began))
		}
	})
}

func TestTooLong(t *testing.T) {
	long := strings.Repeat("word ", 3000)
	protocols(t, func(t *testing.T, v1 bool) {
		c, fake, _ := start(t, fakeollama.Options{Models: []fakeollama.Model{{Name: "judge:1b", Context: 2048}}}, llm.Config{}, v1)
		c.SetNumCtx(512)
		_, err := c.Chat(t.Context(), ask(long))
		if llm.KindOf(err) != llm.KindContext || llm.Fatal(err) || llm.KindOf(err).Transient() || fake.Calls() != 1 {
			t.Errorf("%v after %d calls", err, fake.Calls())
		}
		if !v1 && llm.HintOf(err) != "allow for more with --option num_ctx=1024" {
			t.Errorf("hint %q", llm.HintOf(err))
		}
		c.SetNumCtx(4096)
		_, err = c.Chat(t.Context(), ask(long))
		if !v1 && !strings.Contains(llm.HintOf(err), "at most 2048 tokens") {
			t.Errorf("%v, hint %q", err, llm.HintOf(err))
		}
	})
}

// A server that does not know truncate cuts the prompt and says nothing.
func TestSilentTruncationIsFound(t *testing.T) {
	c, _, _ := start(t, fakeollama.Options{Fault: fakeollama.Always(fakeollama.FaultOld)}, llm.Config{}, false)
	c.SetNumCtx(512)
	_, err := c.Chat(t.Context(), ask(strings.Repeat("word ", 3000)))
	if llm.KindOf(err) != llm.KindContext {
		t.Errorf("got %v", err)
	}
}

func TestAnswerThatRunsOutOfContext(t *testing.T) {
	c, _, _ := start(t, fakeollama.Options{Answer: func(fakeollama.Request) fakeollama.Answer {
		return fakeollama.Answer{Text: strings.Repeat("more ", 500)}
	}}, llm.Config{Options: map[string]string{"num_ctx": "128"}}, false)
	req := ask("Tell me everything.")
	req.MaxTokens = 400
	_, err := c.Chat(t.Context(), req)
	if llm.KindOf(err) != llm.KindContext || !strings.Contains(err.Error(), "too little") {
		t.Errorf("got %v", err)
	}
}

func TestServerAbsent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	for _, model := range []string{"m", "openai:m@http://" + addr} {
		c, err := llm.Open(llm.Config{Model: model, Hosts: []string{addr}, OnRetry: func(err error, wait time.Duration) {
			t.Errorf("asked again in %v after %v", wait, err)
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Chat(t.Context(), ask("hi"))
		if llm.KindOf(err) != llm.KindServerAbsent || !llm.Fatal(err) {
			t.Error(err)
		}
		if model == "m" && !strings.Contains(llm.HintOf(err), "ollama serve") {
			t.Errorf("hint %q", llm.HintOf(err))
		}
		if n := strings.Count(err.Error(), addr); n != 1 {
			t.Errorf("the address stands %d times in %q", n, err)
		}
		c.Close()
	}
}

func TestServerThatComesBack(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	srv := &http.Server{Handler: fake}
	go srv.Serve(ln)
	again := &http.Server{Handler: fake}
	defer again.Close()
	var once sync.Once
	c, err := llm.Open(llm.Config{Model: "judge:1b", Hosts: []string{addr}, OnRetry: func(error, time.Duration) {
		once.Do(func() {
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			go again.Serve(ln)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Fatal(err)
	}
	srv.Close()
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Errorf("a server that started again: %v", err)
	}
}

func TestFirstHostThatAnswers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	ln.Close()
	fake := fakeollama.New(fakeollama.Options{})
	live := serve(t, fake.ServeHTTP)
	c, err := llm.Open(llm.Config{Model: "judge:1b", Hosts: []string{dead, live}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Fatal(err)
	}
	if c.Host() != live {
		t.Errorf("host in use is %s, want %s", c.Host(), live)
	}
}

func TestMissingModel(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, _, _ := start(t, fakeollama.Options{}, llm.Config{Model: "nope:1b"}, v1)
		_, err := c.Chat(t.Context(), ask("hi"))
		if llm.KindOf(err) != llm.KindModelMissing || !llm.Fatal(err) || llm.HintOf(err) == "" {
			t.Errorf("%v, hint %q", err, llm.HintOf(err))
		}
	})
	c, _, _ := start(t, fakeollama.Options{}, llm.Config{Model: "embedder"}, false)
	if _, err := c.Chat(t.Context(), ask("hi")); llm.KindOf(err) != llm.KindRequest || !llm.Fatal(err) {
		t.Errorf("a model that cannot chat: %v", err)
	}
}

// Neither a key nor a password may be seen in an error, a name or an identity.
func TestSecretsStaySecret(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-wrong-secret")
	url := serve(t, fakeollama.New(fakeollama.Options{APIKey: "right"}).ServeHTTP)
	with := strings.Replace(url, "http://", "http://anna:hunter2@", 1)
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error":"you sent `+r.Header.Get("Authorization")+`"}`, http.StatusBadRequest)
	})
	for _, cfg := range []llm.Config{
		{Model: "openai:judge:1b@" + with + "?key=hunter2"},
		{Model: "openai:judge:1b@" + echo},
		{Model: "openai:judge:1b@http://anna:hunter2@127.0.0.1:1"},
		{Model: "nope", Hosts: []string{with}},
		{Model: "nope", Hosts: []string{"http://anna:hunter2@127.0.0.1:1/"}},
		{Model: "nope", Hosts: []string{"https://anna:hunter2@" + strings.TrimPrefix(url, "http://")}},
	} {
		c, err := llm.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Chat(t.Context(), ask("hi"))
		if err == nil {
			t.Fatalf("%+v: no error", cfg)
		}
		id, ierr := c.Identify(t.Context())
		e, _ := errors.AsType[*llm.Error](err)
		seen := fmt.Sprintf("%v %+v %s %s %+v %v %q", err, e, c.Model(), c.Host(), id, ierr, llm.HintOf(err))
		for _, secret := range []string{"secret", "hunter2", "anna"} {
			if strings.Contains(seen, secret) {
				t.Errorf("%q is seen in %s", secret, seen)
			}
		}
		c.Close()
	}
}

func TestKeyIsSentAndAccepted(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "right")
	c, _, _ := start(t, fakeollama.Options{APIKey: "right"}, llm.Config{}, true)
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Error(err)
	}
}

func TestPasswordInHostReachesTheServer(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "anna" || p != "p/w@1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.StripPrefix("/ollama", fake).ServeHTTP(w, r)
	})
	c, err := llm.Open(llm.Config{Model: "judge:1b", Hosts: []string{strings.Replace(url, "http://", "http://anna:p%2Fw%401@", 1) + "/ollama/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Chat(t.Context(), ask("hi")); err != nil {
		t.Error(err)
	}
}

// Servers differ in what they take; one refusal is enough to learn it.
func TestOpenAIQuirksAreLearnt(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{CompletionTokens: true, MostLogprobs: 5}, llm.Config{}, true)
	for range 2 {
		ch, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
		if err != nil {
			t.Fatal(err)
		}
		if ch.LogProb[0]-ch.LogProb[1] > -1 {
			t.Errorf("got %+v", ch)
		}
	}
	if r := fake.Requests(); len(r) != 2 || r[0].TopLogprobs != 5 || r[0].MaxTokens != 1 {
		t.Errorf("requests that were answered: %+v", r)
	}
}

func TestOllamaHostIsReadLikeOllama(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "http://127.0.0.1:11434",
		"example.org":              "http://example.org:11434",
		":1234":                    "http://127.0.0.1:1234",
		"example.org:":             "http://example.org:11434",
		"0.0.0.0":                  "http://0.0.0.0:11434",
		"10.0.0.7:8080":            "http://10.0.0.7:8080",
		"http://example.org":       "http://example.org:80",
		"https://example.org":      "https://example.org:443",
		"https://example.org:1/ab": "https://example.org:1/ab",
		"[::1]":                    "http://[::1]:11434",
		"::1":                      "http://[::1]:11434",
		"[::1]:99":                 "http://[::1]:99",
		" \"example.org:1\" ":      "http://example.org:1",
		"ollama.com":               "https://ollama.com:443",
		"http://u:p@example.org/x": "http://example.org:80/x",
	} {
		t.Setenv("OLLAMA_HOST", in)
		c, err := llm.Open(llm.Config{Model: "m"})
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if c.Host() != want {
			t.Errorf("%q is %s, want %s", in, c.Host(), want)
		}
	}
}
