package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cai/llm/fakeollama"
)

// Killed again and again in mid-job, cai label loses no judgment, doubles none,
// and repeats at most the calls that were in flight.
func TestKilledLabelLosesNothing(t *testing.T) {
	const pairs, kills, jobs = 30, 5, 2
	srv := fakeollama.New(fakeollama.Options{Latency: 4 * time.Millisecond, Bias: 1})
	web := httptest.NewServer(srv)
	defer web.Close()
	dir := t.TempDir()
	var b strings.Builder
	for i := range pairs {
		fmt.Fprintf(&b, `{"prompt":"Question %d?","chosen":"A careful answer %d, please.","rejected":"Stupid question %d."}`+"\n", i, i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "pairs.jsonl"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	label := func() (*exec.Cmd, *strings.Builder) {
		args := []string{"label", "--model", fakeollama.DefaultModels()[0].Name, "--host", web.URL, "--jobs", fmt.Sprint(jobs), "--json", "pairs.jsonl"}
		for _, id := range []string{"overall", "tag:privacy"} {
			args = append(args, "--principle", id)
		}
		cmd := exec.Command(self, args...)
		cmd.Args[0] = "cai" // by this name the test binary is the program
		cmd.Dir = dir
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		return cmd, &out
	}
	for k := range kills {
		cmd, _ := label()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for want := (k + 1) * 15; srv.Calls() < want; {
			time.Sleep(time.Millisecond)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
	}
	before := srv.Calls()
	cmd, out := label()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct{ Pairs, Judgments, Reused, Failed, Calls int }
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	for _, r := range srv.Requests() {
		asked[r.Prompt()]++
	}
	wanted := len(asked)
	repeated := srv.Calls() - wanted
	t.Logf("%d questions, %d kills, %d calls: %d repeated", wanted, kills, srv.Calls(), repeated)
	if wanted%(2*pairs) != 0 || got.Pairs != pairs || got.Judgments+got.Reused != wanted || got.Failed != 0 {
		t.Errorf("%+v of %d questions", got, wanted)
	}
	if got.Judgments != srv.Calls()-before {
		t.Errorf("the last run made %d judgments of %d calls", got.Judgments, srv.Calls()-before)
	}
	if repeated > kills*jobs {
		t.Errorf("%d calls were repeated, more than the %d that can have been in flight", repeated, kills*jobs)
	}
}
