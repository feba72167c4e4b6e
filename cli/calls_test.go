package cli

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cai/llm/fakeollama"
)

// A judge reads the calls of both replies and of the turns before, as text in which no
// control token is left.
func TestJudgesReadToolCalls(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	fake := fakeollama.New(fakeollama.Options{Answer: func(r fakeollama.Request) fakeollama.Answer {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range r.Messages {
			asked = append(asked, m.Content)
		}
		return fakeollama.Default(r, 0)
	}})
	web := httptest.NewServer(fake)
	defer web.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "calls.jsonl")
	call := func(city string) string {
		return `{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"weather","arguments":"{\"city\":\"` + city + `\"}"}}]}`
	}
	text := `{"prompt":[{"role":"user","content":"Warmer than Ulm?"},` + call("Ulm") + `,{"role":"tool","content":"7"}],"chosen":[` + call("Oslo") + `],"rejected":[` + call("Rome") + `]}` + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	principles, err := os.ReadFile("../principles.toml")
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	line := []string{"label", "--json", "--quiet", "--db", filepath.Join(dir, "a.db"), "--model", "judge:1b", "--host", web.URL, "--principle", "truth", file}
	if code := Run(t.Context(), line, Env{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Principles: principles}); code != ExitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	found := false
	for _, prompt := range asked {
		all := true
		for _, city := range []string{"Ulm", "Oslo", "Rome"} {
			all = all && strings.Contains(prompt, `{"name":"weather","arguments":{"city":"`+city+`"}}`)
		}
		found = found || all
		if strings.Contains(prompt, "<tool_call>") {
			t.Errorf("a control token is left: %s", prompt)
		}
	}
	if !found {
		t.Errorf("the calls are in none of %q", asked)
	}
}
