package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cai/llm/fakeollama"
)

// A job that begins before it is counted asks, says and ends as one that was
// counted first, whatever is done of it.
func TestAJobThatIsNotCountedFirst(t *testing.T) {
	fake := fakeollama.New(fakeollama.Options{Bias: 1})
	web := httptest.NewServer(fake)
	defer web.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "pairs.jsonl")
	var text strings.Builder
	for i := range 7 {
		fmt.Fprintf(&text, `{"prompt":"What about %d?","chosen":"Please ask again, perhaps.","rejected":"Stupid %d."}`+"\n", i, i)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, then, then); err != nil {
		t.Fatal(err)
	}
	principles, err := os.ReadFile("../principles.toml")
	if err != nil {
		t.Fatal(err)
	}
	old := countedAtOnce
	defer func() { countedAtOnce = old }()
	label := func(db string, args ...string) (out labelJSON) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		line := append([]string{
			"label", "--json", "--quiet", "--db", filepath.Join(dir, db), "--model", "judge:1b", "--host", web.URL,
			"--principle", "truth", "--principle", "safety", file,
		}, args...)
		if code := Run(t.Context(), line, Env{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Principles: principles}); code != ExitOK {
			t.Fatalf("exit %d: %s", code, stderr.String())
		}
		if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		out.Seconds = 0
		return out
	}
	said := map[int64][]labelJSON{}
	for _, at := range []int64{-1, 1 << 40} {
		countedAtOnce = at
		db := fmt.Sprintf("%d.db", at)
		label(db, "--limit", "3")
		for range 2 {
			before := fake.Calls()
			out := label(db)
			if int64(fake.Calls()-before) != out.Calls || out.Calls != out.Judgments {
				t.Errorf("%d calls came, %d were said", fake.Calls()-before, out.Calls)
			}
			said[at] = append(said[at], out)
		}
	}
	for i, want := range []struct{ judgments, reused int64 }{{16, 12}, {0, 28}} {
		for at, outs := range said {
			o := outs[i]
			if o.Pairs != 7 || o.Judgments != want.judgments || o.Reused != want.reused || o.Pending != 0 || o.Failed != 0 {
				t.Errorf("counted at once up to %d pairs, run %d: %+v", at, i, o)
			}
		}
	}
}
