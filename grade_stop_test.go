package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cai/llm/fakeollama"
)

// Ctrl-C in the middle of a grading keeps every answer that has come: the second
// run asks the rest, the one that was given up among it, and prints what a run
// without a stop prints.
func TestGradeStopsAndGoesOn(t *testing.T) {
	const wanted = 12 * 2 * 2 // replies, criteria, samples
	reached := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	fake := fakeollama.New(fakeollama.Options{})
	fake.SetFault(func(r fakeollama.Request) fakeollama.Fault {
		if r.Number == 11 {
			once.Do(func() { close(reached) })
			<-release
		}
		return fakeollama.FaultNone
	})
	web := httptest.NewServer(fake)
	defer web.Close()
	dir := t.TempDir()
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, `{"prompt":"Question %d?","response":"A careful answer %d."}`+"\n", i, i)
	}
	files := map[string]string{
		"replies.jsonl": b.String(),
		"r.toml":        "[[criteria]]\nid = \"a\"\ntext = \"Is the reply kind?\"\n[[criteria]]\nid = \"b\"\ntext = \"How full is it?\"\nlevels = [\"none\", \"all\"]\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	grade := func(db string) *exec.Cmd {
		cmd := exec.Command(self, "grade", "--db", db, "--model", "judge:1b", "--host", web.URL, "--json", "--rubric", "r.toml", "replies.jsonl")
		cmd.Args[0] = "cai"
		cmd.Dir = dir
		return cmd
	}
	cmd := grade("a.db")
	var talk strings.Builder
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-reached
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	close(release)
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(talk.String(), "start the same command again") {
		t.Errorf("exit code %d: %s", code, talk.String())
	}
	before := fake.Calls()
	out, err := grade("a.db").Output()
	if err != nil {
		t.Fatal(err)
	}
	if before != 11 || fake.Calls()-before != wanted-10 {
		t.Errorf("%d calls before the stop, %d after it; want 11 and %d", before, fake.Calls()-before, wanted-10)
	}
	fresh, err := grade("b.db").Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != string(fresh) || strings.Count(string(out), "\n") != 12 {
		t.Errorf("stopped and gone on:\n%s\nin one go:\n%s", out, fresh)
	}
}
