package llm_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cai/llm"
	"cai/llm/fakeollama"
)

var embedder = llm.Config{Model: "embedder"}

func someTexts(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("text %d about gardens", i)
	}
	return out
}

func TestEmbed(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, fake, _ := start(t, fakeollama.Options{}, embedder, v1)
		texts := append(someTexts(70), "", " \n", "text 3 about gardens")
		got, err := c.Embed(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			one, err := c.Embed(t.Context(), []string{text})
			if err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal(got[i], one[0]) || len(one[0]) != 32 {
				t.Errorf("text %d has another embedding alone", i)
			}
		}
		if !cmp.Equal(got[3], got[72]) || cmp.Equal(got[3], got[4]) || !cmp.Equal(got[70], got[71]) {
			t.Error("texts and embeddings are mixed up")
		}
		if none, err := c.Embed(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("no texts: %v, %v", none, err)
		}
		if n := fake.Calls(); n != 3+len(texts) {
			t.Errorf("%d calls, want 3 for 73 texts and one for each", n)
		}
	})
}

// Requests are bounded by the number of texts and by their bytes, and every text
// is in exactly one.
func TestEmbedBatches(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, embedder, false)
	texts := someTexts(40)
	texts[5] = strings.Repeat("x", 200_000) // longer than a request, and goes alone
	texts[20] = strings.Repeat("y", 60_000)
	texts[21] = strings.Repeat("z", 60_000)
	var got []int
	err := c.EmbedEach(t.Context(), texts, func(from int, vectors [][]float32) error {
		for i := range vectors {
			got = append(got, from+i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, r := range fake.Requests() {
		size := 0
		for _, text := range r.Texts {
			size += len(text)
		}
		if len(r.Texts) > 32 || size > 64<<10 && len(r.Texts) > 1 {
			t.Errorf("a request of %d texts, %d bytes", len(r.Texts), size)
		}
		sent = append(sent, r.Texts...)
	}
	if !slices.Equal(sent, texts) || len(got) != 40 || !slices.IsSorted(got) {
		t.Errorf("%d texts sent, %v taken", len(sent), got)
	}
	stop := errors.New("enough")
	fake.Reset()
	if err := c.EmbedEach(t.Context(), texts, func(int, [][]float32) error { return stop }); !errors.Is(err, stop) || fake.Calls() != 1 {
		t.Errorf("%v after %d calls", err, fake.Calls())
	}
}

func TestEmbedOptions(t *testing.T) {
	c, fake, _ := start(t, fakeollama.Options{}, llm.Config{Model: "embedder", Options: map[string]string{"num_thread": "1", "keep_alive": "0"}}, false)
	if _, err := c.Embed(t.Context(), someTexts(1)); err != nil {
		t.Fatal(err)
	}
	r := fake.Requests()[0]
	if diff := cmp.Diff(map[string]any{"num_thread": 1.0, "num_ctx": 4096.0}, r.Options); diff != "" || r.Truncate != nil {
		t.Errorf("truncate %v, options %s", r.Truncate, diff)
	}
}

// Faults that stay: what kind of error each ends in, and after how many calls.
func TestEmbedFaultsAreTyped(t *testing.T) {
	for _, tc := range []struct {
		fault fakeollama.Fault
		kind  llm.Kind
		calls int
		fatal bool
	}{
		{fakeollama.FaultBroken, llm.KindServer, 1, false},
		{fakeollama.FaultRunner, llm.KindServer, 4, false},
		{fakeollama.FaultDrop, llm.KindServer, 4, false},
		{fakeollama.FaultReset, llm.KindServer, 4, false},
		{fakeollama.FaultCut, llm.KindServer, 4, false},
		{fakeollama.FaultGarbage, llm.KindOffFormat, 1, true},
		{fakeollama.FaultMalformed, llm.KindOffFormat, 4, false}, // of a server that said who it is
		{fakeollama.FaultEmpty, llm.KindOffFormat, 1, false},
		{fakeollama.FaultFewer, llm.KindOffFormat, 1, false},
		{fakeollama.FaultNaN, llm.KindOffFormat, 1, false},
	} {
		t.Run(string(tc.fault), func(t *testing.T) {
			timeless(t, func(t *testing.T, v1 bool) {
				c, fake := startTimeless(t, fakeollama.Options{Fault: fakeollama.Always(tc.fault)}, embedder, v1)
				_, err := c.Embed(t.Context(), someTexts(3))
				if llm.KindOf(err) != tc.kind || llm.Fatal(err) != tc.fatal || !strings.Contains(fmt.Sprint(err), "embedder") {
					t.Errorf("got %q, fatal %v: %v", llm.KindOf(err), llm.Fatal(err), err)
				}
				if fake.Calls() != tc.calls {
					t.Errorf("%d calls, want %d", fake.Calls(), tc.calls)
				}
			})
		})
	}
}

func TestEmbedTransientFaultsAreRetried(t *testing.T) {
	for _, f := range []fakeollama.Fault{
		fakeollama.FaultBusy, fakeollama.FaultDrop, fakeollama.FaultReset, fakeollama.FaultCut,
		fakeollama.FaultRunner, fakeollama.FaultStall, fakeollama.FaultSilent,
	} {
		t.Run(string(f), func(t *testing.T) {
			timeless(t, func(t *testing.T, v1 bool) {
				c, fake := startTimeless(t, fakeollama.Options{Fault: fakeollama.During(f, 1, 2)},
					llm.Config{Model: "embedder", First: 300 * time.Millisecond, Stall: 300 * time.Millisecond}, v1)
				got, err := c.Embed(t.Context(), someTexts(3))
				if err != nil || len(got) != 3 || fake.Calls() != 3 {
					t.Errorf("%d embeddings, %d calls: %v", len(got), fake.Calls(), err)
				}
			})
		})
	}
}

// A server whose vectors change their length, or whose weights do, is not
// believed.
func TestEmbedChange(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, _, _ := start(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultDimension, 2, 0)}, embedder, v1)
		if _, err := c.Embed(t.Context(), someTexts(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Embed(t.Context(), someTexts(1)); llm.KindOf(err) != llm.KindOffFormat || !strings.Contains(err.Error(), "33 numbers after others of 32") {
			t.Errorf("another length: %v", err)
		}
	})
	c, _, _ := start(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultRestart, 2, 2)}, embedder, false)
	id, err := c.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Expect(id.Digest)
	if _, err := c.Embed(t.Context(), someTexts(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Embed(t.Context(), someTexts(1)); llm.KindOf(err) != llm.KindModelChanged || !llm.Fatal(err) {
		t.Errorf("other weights: %v", err)
	}
}

func TestEmbedNeedsAnEmbeddingModel(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, fake, _ := start(t, fakeollama.Options{}, llm.Config{Model: "judge:1b"}, v1)
		_, err := c.Embed(t.Context(), someTexts(1))
		if llm.KindOf(err) != llm.KindRequest || !llm.Fatal(err) || !strings.Contains(err.Error(), "judge:1b") || !strings.Contains(llm.HintOf(err), "all-minilm") {
			t.Errorf("%v, hint %q", err, llm.HintOf(err))
		}
		if fake.Calls() > 0 {
			t.Errorf("%d calls", fake.Calls())
		}
		m, _, _ := start(t, fakeollama.Options{}, llm.Config{Model: "nope:1b"}, v1)
		if _, err := m.Embed(t.Context(), someTexts(1)); llm.KindOf(err) != llm.KindModelMissing {
			t.Errorf("missing model: %v", err)
		}
	})
}

// A text that is too long counts as far as the model reads: Ollama cuts it, and
// for a server that refuses it is halved, while the texts beside it stay whole.
func TestEmbedTooLong(t *testing.T) {
	long := strings.Repeat("word ", 3000)
	protocols(t, func(t *testing.T, v1 bool) {
		c, _, _ := start(t, fakeollama.Options{}, embedder, v1)
		got, err := c.Embed(t.Context(), []string{"a", long, "b"})
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.Embed(t.Context(), []string{"a", "word", "b"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			var dot float64
			for k := range want[i] {
				dot += float64(got[i][k]) * float64(want[i][k])
			}
			if math.Abs(dot-1) > 1e-5 {
				t.Errorf("text %d has cosine %v with what is read of it", i, dot)
			}
		}
	})
}

// Several hosts share the texts, and those of one that is away go to the others.
func TestEmbedOnSeveralHosts(t *testing.T) {
	var fakes []*fakeollama.Server
	hosts := []string{"http://127.0.0.1:1"}
	meet := make(chan struct{})
	for k := range 2 {
		f := fakeollama.New(fakeollama.Options{Fault: func(r fakeollama.Request) fakeollama.Fault {
			switch { // each waits with its first two answers until the other is asked, too
			case r.Number > 2:
			case k == 0:
				meet <- struct{}{}
			default:
				<-meet
			}
			return fakeollama.FaultNone
		}})
		ts := httptest.NewServer(f)
		t.Cleanup(ts.Close)
		fakes, hosts = append(fakes, f), append(hosts, ts.URL)
	}
	c, err := llm.Open(llm.Config{Model: "embedder", Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	texts := someTexts(320)
	got, err := c.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	one, err := c.Embed(t.Context(), texts[200:201])
	if err != nil || !cmp.Equal(one[0], got[200]) {
		t.Errorf("embeddings are out of order: %v", err)
	}
	if a, b := fakes[0].Calls(), fakes[1].Calls(); a < 2 || b < 2 || a+b != 11 {
		t.Errorf("%d and %d calls", a, b)
	}
}

// What has come before an interruption has been taken.
func TestEmbedStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _, _ := start(t, fakeollama.Options{Fault: func(r fakeollama.Request) fakeollama.Fault {
		if r.Number == 3 {
			cancel()
			return fakeollama.FaultSilent
		}
		return fakeollama.FaultNone
	}}, embedder, false)
	n := 0
	err := c.EmbedEach(ctx, someTexts(200), func(_ int, v [][]float32) error { n += len(v); return nil })
	if !errors.Is(err, context.Canceled) || n != 64 {
		t.Errorf("%d taken: %v", n, err)
	}
}

// Answers that are JSON but not what the protocol says.
func TestEmbedOddAnswers(t *testing.T) {
	var mu sync.Mutex
	answer := ""
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/models") {
			fmt.Fprint(w, `{"data":[]}`)
			return
		}
		fmt.Fprint(w, answer)
	})
	for _, tc := range []struct{ answer, want string }{
		{`{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`, "out of place"},
		{`{"data":[{"index":2,"embedding":[1]},{"index":0,"embedding":[1]}]}`, "out of place"},
		{`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]}`, "without numbers"},
		{`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[0]}]}`, "zeros"},
		{`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1e39]}]}`, "not what the protocol says"},
		{`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AACAPw=="}]}`, "not what the protocol says"},
		{`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,null]}]}`, "not finite"},
		{`{"error":{"message":"input (600 tokens) is too large to process"}}`, "too large"},
		{`{"error":"This server does not support embeddings. Start it with --embeddings"}`, "does not support"},
	} {
		mu.Lock()
		answer = tc.answer
		mu.Unlock()
		c, err := llm.Open(llm.Config{Model: "openai:m@" + url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Embed(t.Context(), []string{"a", "b"})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.answer, err)
		}
		c.Close()
	}
}

func TestRealEmbeddings(t *testing.T) {
	c := realModel(t, llm.Config{Model: "all-minilm", Options: map[string]string{"num_thread": "1"}})
	got, err := c.Embed(t.Context(), []string{"The cat sleeps.", "A kitten is asleep.", "Interest rates rose.", "", strings.Repeat("word ", 2000)})
	if err != nil || len(got) != 5 || len(got[0]) != 384 {
		t.Fatalf("%d embeddings: %v", len(got), err)
	}
	cosine := func(a, b []float32) (s float64) {
		for i := range a {
			s += float64(a[i]) * float64(b[i])
		}
		return s
	}
	if near, far := cosine(got[0], got[1]), cosine(got[0], got[2]); near < far+0.2 {
		t.Errorf("cosines %.2f and %.2f", near, far)
	}
	chat := realModel(t, llm.Config{Model: "smollm2:135m"})
	if _, err := chat.Embed(t.Context(), []string{"x"}); !llm.Fatal(err) {
		t.Errorf("a chat model: %v", err)
	}
	v1 := realModel(t, llm.Config{Model: "openai:all-minilm@" + c.Host()})
	same, err := v1.Embed(t.Context(), []string{"The cat sleeps."})
	if err != nil || cosine(same[0], got[0]) < 0.999 {
		t.Errorf("by OpenAI's protocol: %v", err)
	}
}

// A connection that is reset, which only a socket can be.
func TestEmbedAfterAReset(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, fake, _ := start(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultReset, 1, 1)}, embedder, v1)
		if got, err := c.Embed(t.Context(), someTexts(3)); err != nil || len(got) != 3 || fake.Calls() != 2 {
			t.Errorf("%d embeddings, %d calls: %v", len(got), fake.Calls(), err)
		}
	})
}
