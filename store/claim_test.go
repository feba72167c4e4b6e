package store_test

import (
	"fmt"
	"iter"
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
		claims := mustClaim(t, s, job)
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
				claims := mustClaim(t, s, job)
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

// The other process answers the last question of a pair and leaves after this one
// has found the question open and before it claims the pair, here together with
// an addition that fails, so that the claim is made twice.
func TestWhatWasAnsweredBeforeTheClaimIsNotGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cai.db")
		a, b := mustOpen(t, path), mustOpen(t, path)
		job := testJob(t, a, 1)
		mustImport(t, a, "pairs", testPairs(2))
		first := mustClaim(t, a, job)
		next, end := iter.Pull2(first.Pending(t.Context()))
		defer end()
		w, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		mustAdd(t, a, judgment(job, w.Pair, w.Slots[0], 1))

		second := mustClaim(t, b, job)
		defer second.Close()
		var others []dataset.Work
		done := make(chan struct{})
		go func() {
			defer close(done)
			for w, err := range second.Pending(t.Context()) {
				if err != nil {
					t.Error(err)
					return
				}
				others = append(others, w)
				for _, slot := range w.Slots {
					mustAdd(t, b, judgment(job, w.Pair, slot, 1))
				}
				second.Leave(w.Pair)
			}
		}()
		synctest.Wait() // it is through with the other pair, and waits
		resume := store.Pause(b)
		time.Sleep(10 * time.Second) // it has found the question open, and is about to claim
		broken := make(chan error, 1)
		go func() { broken <- store.BreakOne(b) }()
		mustAdd(t, a, judgment(job, w.Pair, w.Slots[1], 1))
		first.Leave(w.Pair)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		resume()
		<-done
		if err := <-broken; err == nil {
			t.Error("the addition did not fail")
		}
		if len(others) != 1 || others[0].Pair == w.Pair {
			t.Errorf("of two pairs the second process was given %d: %v", len(others), others)
		}
	})
}

// A process elsewhere that was held up for so long that its pairs were taken over
// asks no more of them, those that it had claimed and not yet begun included. What
// is open when the other one leaves comes to it again.
func TestWhatWasTakenOverIsNotAskedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cai.db")
		a, b := mustOpen(t, path), mustOpen(t, path)
		job := testJob(t, a, 1)
		mustImport(t, a, "pairs", testPairs(3))
		slow := mustClaim(t, a, job)
		defer slow.Close()
		shell(t, a, "UPDATE claimants SET machine = 'another'")
		asking, more := make(chan dataset.Work), make(chan struct{})
		ended := make(chan int)
		go func() {
			n := 0
			for w, err := range slow.Pending(t.Context()) {
				if err != nil {
					t.Error(err)
					break
				}
				if n++; n <= 2 {
					asking <- w
					<-more
					if n == 2 {
						continue // it is asked and left by the test
					}
				}
				if ok, err := slow.Hold(w.Pair); ok || err != nil {
					for _, slot := range w.Slots {
						mustAdd(t, a, judgment(job, w.Pair, slot, 1))
					}
					slow.Leave(w.Pair)
				}
			}
			ended <- n
		}()
		one := <-asking
		mustAdd(t, a, judgment(job, one.Pair, one.Slots[0], 1))
		more <- struct{}{}
		two := <-asking // and the third is claimed with it

		resume := store.Pause(a)
		other := mustClaim(t, b, job)
		next, end := iter.Pull2(other.Pending(t.Context()))
		over, err, _ := next()
		if err != nil || over.Pair != two.Pair {
			t.Fatalf("%v: %v was taken over, want %v", err, over.Pair, two.Pair)
		}
		mustAdd(t, b, judgment(job, over.Pair, over.Slots[0], 1))
		resume()
		if ok, err := slow.Hold(two.Pair); ok || err != nil {
			t.Errorf("the first still has the pair: %v", err)
		}
		more <- struct{}{}
		time.Sleep(time.Minute)
		if n := len(pending(t, b, job)); n != 2 {
			t.Errorf("%d pairs are open, want the two that were taken over", n)
		}
		end()
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if n := <-ended; n != 4 {
			t.Errorf("%d pairs were given, want 2, and 2 again", n)
		}
		if n := len(pending(t, a, job)); n != 0 {
			t.Errorf("%d pairs are open in the end", n)
		}
	})
}

func mustClaim(t *testing.T, s *store.Store, job dataset.Job) *store.Claims {
	t.Helper()
	c, err := s.Claim(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return c
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
