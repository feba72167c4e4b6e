package cli

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cai/dataset"
	"cai/rm"
)

// realEmbeddings embeds the example pairs twice with all-minilm on the server of
// CAI_TEST_OLLAMA: the second time without a call.
func realEmbeddings(tb testing.TB, pairs int) (texts int, first, second time.Duration) {
	host := os.Getenv("CAI_TEST_OLLAMA")
	if host == "" {
		tb.Skip("CAI_TEST_OLLAMA names no server; make test starts one")
	}
	to, err := url.Parse(host)
	if err != nil {
		tb.Fatal(err)
	}
	var calls atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(to)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/embed") {
			calls.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	defer ts.Close()
	var items []rm.Item
	distinct := map[string]bool{"": true}
	for p, err := range dataset.Pairs("../examples/pairs.jsonl", dataset.ReadOptions{}) {
		if err != nil {
			tb.Fatal(err)
		}
		if pairs--; pairs < 0 {
			break
		}
		items = append(items, rm.Item{Prompt: p.Prompt, Reply: p.First.Text}, rm.Item{Prompt: p.Prompt, Reply: p.Second.Text})
		for _, text := range []string{lastUserTurn(p.Prompt), p.First.Text, p.Second.Text} {
			distinct[text] = true
		}
	}
	args := []string{"--host", ts.URL, "--option", "num_thread=1", "--db", filepath.Join(tb.TempDir(), "cai.db")}
	run := func() (v []rm.Vector, took time.Duration, n int64) {
		n = calls.Load()
		began := time.Now()
		if _, err := runSources(tb, args, []string{"embed:all-minilm"}, sourceOptions{Keep: true}, vectorsOf(tb, &v, items)); err != nil {
			tb.Fatal(err)
		}
		return v, time.Since(began), calls.Load() - n
	}
	once, first, n := run()
	again, second, none := run()
	if n == 0 || none != 0 {
		tb.Errorf("%d calls, then %d", n, none)
	}
	if !cmp.Equal(once, again) || len(once[0].Prompt) != 384 || len(once[0].Reply) != 384 {
		tb.Error("the second run gives something else")
	}
	return len(distinct), first, second
}

func TestRealEmbeddings(t *testing.T) { realEmbeddings(t, 4) }

// BenchmarkRealEmbeddings takes all of the example pairs.
func BenchmarkRealEmbeddings(b *testing.B) {
	for range b.N {
		texts, first, second := realEmbeddings(b, 1000)
		b.ReportMetric(float64(texts)/first.Seconds(), "texts/s")
		b.ReportMetric(float64(texts)/second.Seconds(), "known/s")
		b.ReportMetric(float64(texts), "texts")
	}
}
