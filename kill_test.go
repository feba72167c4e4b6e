package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cai/llm/fakeollama"
)

// Killed at random instants of one job, again and again, cai label loses no
// judgment, doubles none, and repeats at most the calls that were in flight.
// CAI_KILLS sets how often it is killed.
func TestKilledLabelLosesNothing(t *testing.T) {
	const jobs = 2
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("CAI_KILLS")); err == nil {
		kills = n
	}
	pairs := 6 * kills
	srv := fakeollama.New(fakeollama.Options{Latency: 4 * time.Millisecond, Bias: 1})
	web := httptest.NewServer(srv)
	defer web.Close()
	dir, self := pairsFor(t, pairs)
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
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	for range kills {
		cmd, _ := label()
		had := srv.Calls()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Some are killed before their first call, some in the midst of one or
		// of a commit, none later than a share of the job allows.
		most := had + rng.IntN(20)
		for end := time.Now().Add(time.Duration(rng.IntN(400)) * time.Millisecond); srv.Calls() <= most && time.Now().Before(end); {
			time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
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

// Two processes on one store share the work: no question is put twice, and both
// end when all is judged.
func TestTwoLabelsAskNothingTwice(t *testing.T) {
	const pairs = 60
	srv := fakeollama.New(fakeollama.Options{Latency: 3 * time.Millisecond, Bias: 1})
	web := httptest.NewServer(srv)
	defer web.Close()
	dir, self := pairsFor(t, pairs)
	type result struct{ Pairs, Judgments, Reused, Failed, Pending int }
	var got [2]result
	var said [2]strings.Builder
	var errs [2]error
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			cmd := exec.Command(self, "label", "--model", fakeollama.DefaultModels()[0].Name, "--host", web.URL, "--json", "--principle", "overall", "--principle", "tag:privacy", "pairs.jsonl")
			cmd.Args[0] = "cai"
			cmd.Dir = dir
			cmd.Stderr = &said[i]
			out, err := cmd.Output()
			if errs[i] = err; err == nil {
				errs[i] = json.Unmarshal(out, &got[i])
			}
		})
	}
	wg.Wait()
	for i := range got {
		if errs[i] != nil || strings.Contains(said[i].String(), "lock") {
			t.Fatalf("process %d: %v: %s", i, errs[i], &said[i])
		}
		if got[i].Failed != 0 || got[i].Pending != 0 {
			t.Errorf("process %d left something: %+v", i, got[i])
		}
	}
	asked := map[string]int{}
	for _, r := range srv.Requests() {
		asked[r.Prompt()]++
	}
	for q, n := range asked {
		if n > 1 {
			t.Errorf("asked %d times: %s", n, q)
		}
	}
	if sum := got[0].Judgments + got[1].Judgments; sum != len(asked) || sum%(2*pairs) != 0 {
		t.Errorf("%d and %d judgments of %d questions", got[0].Judgments, got[1].Judgments, len(asked))
	}
	t.Logf("%d and %d judgments", got[0].Judgments, got[1].Judgments)
}

// pairsFor writes a file of so many different pairs, pairs.jsonl, into a folder
// of its own and gives that folder and the program to run there.
func pairsFor(t *testing.T, pairs int) (dir, self string) {
	t.Helper()
	dir = t.TempDir()
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
	return dir, self
}
