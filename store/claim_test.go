package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cai/dataset"
	"cai/store"
)

// Several processes that share a job are given each pair once between them, with
// no question that another has answered, and all of them see it through.
func TestClaimsShareAJob(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	first := mustOpen(t, path)
	job := testJob(t, first, 2)
	const pairs = 150
	mustImport(t, first, "pairs", testPairs(pairs))
	var mu sync.Mutex
	asked := map[dataset.Hash]map[dataset.Slot]int{}
	var wg sync.WaitGroup
	for range 3 {
		s := mustOpen(t, path)
		claims, err := s.Claim(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer claims.Close()
			for w, err := range claims.Pending(t.Context()) {
				if err != nil {
					t.Error(err)
					return
				}
				for _, slot := range w.Slots {
					mu.Lock()
					if asked[w.Pair] == nil {
						asked[w.Pair] = map[dataset.Slot]int{}
					}
					asked[w.Pair][slot]++
					mu.Unlock()
					if err := s.AddJudgment(t.Context(), judgment(job, w.Pair, slot, 1)); err != nil {
						t.Error(err)
						return
					}
				}
				claims.Leave(w.Pair)
			}
			// Whoever comes to its end knows that nothing is open.
			if left := pending(t, s, job); len(left) != 0 {
				t.Errorf("%d pairs are open", len(left))
			}
		})
	}
	wg.Wait()
	if len(asked) != pairs {
		t.Errorf("%d of %d pairs were given", len(asked), pairs)
	}
	for pair, slots := range asked {
		for slot, n := range slots {
			if n != 1 {
				t.Errorf("pair %s: %+v was asked %d times", pair, slot, n)
			}
		}
	}
	for _, table := range []string{"claims", "claimants"} {
		if rows := shell(t, first, "SELECT * FROM "+table); len(rows) != 0 {
			t.Errorf("%d rows are left in %s", len(rows), table)
		}
	}
}

// What a dead process had claimed is taken over: at once where its process is
// gone, after a minute without a sign of life where nobody can look. One that is
// only stopped, or slow, keeps what it has.
func TestClaimsOfTheDeadAreTakenOver(t *testing.T) {
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	unread := exec.Command(os.Args[0], "-test.run=^$")
	if err := unread.Start(); err != nil {
		t.Fatal(err)
	}
	defer unread.Wait()
	store.AgeProcesses(t)
	for name, c := range map[string]struct {
		machine string
		process int
		age     time.Duration // of its last sign of life
		least   time.Duration // until its claims are taken over
		never   bool
	}{
		"gone":                       {store.Place(), gone.Process.Pid, 0, 0, false},
		"gone and never asked about": {store.Place(), unread.Process.Pid, 0, 0, false},
		"silent elsewhere":           {"another", 1, time.Hour, 50 * time.Second, false},
		"gone, and its number used":  {store.Place(), os.Getppid(), 2000 * time.Hour, 50 * time.Second, false},
		"gone, and its number ours":  {store.Place(), os.Getpid(), 2000 * time.Hour, 50 * time.Second, false},
		"stopped":                    {store.Place(), os.Getppid(), 0, 0, true},
	} {
		if strings.Contains(name, "never asked") {
			if runtime.GOOS != "linux" {
				continue
			}
			for zombie := false; !zombie; {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.process))
				if err != nil {
					t.Fatal(err)
				}
				zombie = strings.Contains(string(stat), ") Z")
				time.Sleep(time.Millisecond)
			}
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				job := testJob(t, s, 1)
				mustImport(t, s, "pairs", testPairs(5))
				shell(t, s, fmt.Sprintf("INSERT INTO claimants (id, machine, process, beat) VALUES (7, '%s', %d, %d)", c.machine, c.process, time.Now().Add(-c.age).UnixMilli()))
				shell(t, s, "INSERT INTO claims (judge, pair, claimant) SELECT (SELECT min(id) FROM judges), id, 7 FROM pairs")
				claims, err := s.Claim(t.Context(), job)
				if err != nil {
					t.Fatal(err)
				}
				defer claims.Close()
				began, took := time.Now(), make(chan time.Duration, 1)
				go func() {
					if n := given(t, claims); n != 5 {
						t.Errorf("%d of 5 pairs were given", n)
					}
					took <- time.Since(began)
				}()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				switch {
				case c.never && len(took) > 0:
					t.Errorf("taken over after %v", <-took)
				case c.never: // until it goes on, and leaves
					shell(t, s, "DELETE FROM claims WHERE claimant = 7")
					<-took
				default:
					if d := <-took; d < c.least || d > c.least+20*time.Second {
						t.Errorf("taken over after %v, want %v", d, c.least)
					}
				}
			})
		})
	}
}

func given(t *testing.T, c *store.Claims) (n int) {
	for w, err := range c.Pending(t.Context()) {
		if err != nil {
			t.Error(err)
			return n
		}
		c.Leave(w.Pair)
		n++
	}
	return n
}
