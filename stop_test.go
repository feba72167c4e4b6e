package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cai/llm/fakeollama"
)

// interrupted starts cai label and sends it signals while its 20th call is held
// up at the server: one, or two with let false, for then the call never ends.
func interrupted(t *testing.T, signals int) (code int, stdout, stderr string, fake *fakeollama.Server, again func() []byte) {
	t.Helper()
	reached, release := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	free := func() { freed.Do(func() { close(release) }) }
	var held atomic.Bool
	held.Store(true)
	fake = fakeollama.New(fakeollama.Options{})
	fake.SetFault(func(r fakeollama.Request) fakeollama.Fault {
		if r.Number == 20 && held.Load() {
			once.Do(func() { close(reached) })
			<-release
		}
		return fakeollama.FaultNone
	})
	web := httptest.NewServer(fake)
	t.Cleanup(func() { free(); web.Close() })
	dir := t.TempDir()
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, `{"prompt":"Question %d?","chosen":"A careful answer %d, please.","rejected":"Stupid question %d."}`+"\n", i, i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "pairs.jsonl"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	label := func() *exec.Cmd {
		cmd := exec.Command(self, "label", "--model", "judge:1b", "--host", web.URL, "--jobs", "1", "--json", "--principle", "overall", "pairs.jsonl")
		cmd.Args[0] = "cai"
		cmd.Dir = dir
		return cmd
	}
	cmd := label()
	var out, talk strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-reached
	for range signals {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // so that the second is not merged with the first
	}
	if signals == 1 {
		free()
	}
	_ = cmd.Wait() // the exit code says it
	held.Store(false)
	free()
	return cmd.ProcessState.ExitCode(), out.String(), talk.String(), fake, func() []byte {
		t.Helper()
		out, err := label().Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

type labelled struct{ Pairs, Judgments, Reused, Failed, Pending int }

func parse(t *testing.T, out []byte) (l labelled) {
	t.Helper()
	if err := json.Unmarshal(out, &l); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return l
}

// One Ctrl-C: the call in flight is finished and kept, and the summary stands.
func TestCtrlCFinishesWhatIsInFlight(t *testing.T) {
	code, out, talk, fake, again := interrupted(t, 1)
	if code != 130 {
		t.Fatalf("exit code %d: %s", code, talk)
	}
	first := parse(t, []byte(out))
	if first.Judgments != 20 || fake.Calls() != 20 || first.Pending != 60 || first.Failed != 0 {
		t.Errorf("%+v of %d calls", first, fake.Calls())
	}
	if second := parse(t, again()); second.Reused != 20 || second.Judgments != 60 || second.Pending != 0 || fake.Calls() != 80 {
		t.Errorf("second run %+v, %d calls", second, fake.Calls())
	}
}

// Two: it is given up, nothing is marked as failed, and it is asked again.
func TestCtrlCTwiceStopsAtOnce(t *testing.T) {
	code, _, talk, fake, again := interrupted(t, 2)
	if code != 130 {
		t.Fatalf("exit code %d: %s", code, talk)
	}
	if second := parse(t, again()); second.Reused != 19 || second.Judgments != 61 || second.Failed != 0 || second.Pending != 0 || fake.Calls() != 81 {
		t.Errorf("second run %+v, %d calls", second, fake.Calls())
	}
}
