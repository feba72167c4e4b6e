package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"cai/llm/fakeollama"
)

const oneOverall = "name = \"x\"\n[[principle]]\nid = \"overall\"\ntitle = \"A\"\ncritique = \"Say what is wrong.\"\nrevision = \"Mend it.\"\ncompare = \"Which reply is better?\"\n"

// A debate that is stopped ends with the turn in flight, and goes on from there:
// no turn is asked for twice.
func TestADebateThatIsStoppedGoesOn(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pairs.jsonl", []byte(`{"prompt":"Name a river.","response_a":"The Nile, please.","response_b":"A stupid table."}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const all = 2 * (2*3 + 1)
	for last := int64(1); last < all; last += 3 {
		stop := make(chan struct{})
		var calls atomic.Int64
		fake := fakeollama.New(fakeollama.Options{Models: oneJudge})
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fake.ServeHTTP(w, r)
			if int64(fake.Calls()) == last && r.URL.Path == "/api/chat" && calls.Add(1) == 1 {
				close(stop)
			}
		}))
		db := string('a'+rune(last)) + ".db"
		run := func(stop <-chan struct{}) (code int, stdout, stderr string) {
			var out, errs bytes.Buffer
			code = Run(t.Context(), []string{
				"debate", "--db", db, "--rounds", "3", "--jobs", "1", "--json", "--transcripts", "said.jsonl",
				"--host", web.URL, "--model", "judge", "pairs.jsonl",
			}, Env{In: strings.NewReader(""), Out: &out, Err: &errs, Stop: stop, Principles: []byte(oneOverall)})
			return code, out.String(), errs.String()
		}
		code, _, said := run(stop)
		first := int64(fake.Calls())
		if code != ExitInterrupted || !strings.Contains(said, "stopped") {
			t.Errorf("stopped at call %d: exit %d, %s", last, code, said)
		}
		// A last argument is followed by the verdict, which is one token.
		if first > last+1 {
			t.Errorf("stopped at call %d: %d calls", last, first)
		}
		code, out, said := run(make(chan struct{}))
		if code != ExitOK {
			t.Fatalf("started again after call %d: exit %d, %s", last, code, said)
		}
		if got := int64(fake.Calls()); got != all {
			t.Errorf("stopped at call %d: %d calls in all, want %d", last, got, all)
		}
		var sum struct{ Calls, Debates int64 }
		if err := json.Unmarshal([]byte(out), &sum); err != nil {
			t.Fatal(err)
		}
		if sum.Calls != all-first || sum.Debates != 2 {
			t.Errorf("stopped at call %d: %d calls are counted and %d debates, want %d and 2", last, sum.Calls, sum.Debates, all-first)
		}
		web.Close()
	}
}

// Over several hosts, those who argue are asked on the host of their judge.
func TestDebatesStayOnTheirHost(t *testing.T) {
	t.Chdir(t.TempDir())
	var pairs strings.Builder
	const n = 8
	for i := range n {
		fmt.Fprintf(&pairs, "{\"prompt\":\"Name river %d.\",\"response_a\":\"The Nile, please.\",\"response_b\":\"A stupid table.\"}\n", i)
	}
	if err := os.WriteFile("pairs.jsonl", []byte(pairs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	models := []fakeollama.Model{{Name: "judge"}, {Name: "orator"}}
	args := []string{"debate", "--rounds", "1", "--jobs", "2", "--model", "judge", "--debater", "orator", "--quiet", "pairs.jsonl"}
	var fakes []*fakeollama.Server
	for range 2 {
		fake := fakeollama.New(fakeollama.Options{Models: models})
		web := httptest.NewServer(fake)
		defer web.Close()
		fakes = append(fakes, fake)
		args = append(args, "--host", web.URL)
	}
	var out, errs bytes.Buffer
	if code := Run(t.Context(), args, Env{In: strings.NewReader(""), Out: &out, Err: &errs, Principles: []byte(oneOverall)}); code != ExitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	verdicts := 0
	for i, fake := range fakes {
		count := map[string]int{}
		for _, r := range fake.Requests() {
			count[r.Model]++
		}
		if count["orator"] != 2*count["judge"] {
			t.Errorf("host %d: %v", i, count)
		}
		verdicts += count["judge"]
	}
	if verdicts != 2*n {
		t.Errorf("%d verdicts, want %d", verdicts, 2*n)
	}
}

func TestWrappedTextKeepsItsWords(t *testing.T) {
	got := wrapped("one two  three\nfour wonderfulwonderful five", "  ", 12)
	const want = "  one two\n  three four\n  wonderfulwonderful\n  five\n"
	if got != want {
		t.Errorf("wrapped\n%s\nwant\n%s", got, want)
	}
}
