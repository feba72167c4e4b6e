package store_test

import (
	"iter"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"cai/dataset"
	"cai/store"
)

func shared(t *testing.T, s *store.Store, c *store.Claims, job dataset.Job) iter.Seq2[dataset.Work, error] {
	return c.Pending(t.Context())
}

// The other process answers the last question of a pair and leaves after this
// one has found the question open and before it claims the pair.
func TestWhatWasAnsweredBeforeTheClaimIsNotGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cai.db")
		a, b := mustOpen(t, path), mustOpen(t, path)
		job := testJob(t, a, 1)
		mustImport(t, a, "pairs", testPairs(2))
		first, err := a.Claim(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		next, end := iter.Pull2(shared(t, a, first, job))
		defer end()
		w, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		mustAdd(t, a, judgment(job, w.Pair, w.Slots[0], 1))

		second, err := b.Claim(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		var given []dataset.Work
		done := make(chan struct{})
		go func() {
			defer close(done)
			for w, err := range shared(t, b, second, job) {
				if err != nil {
					t.Error(err)
					return
				}
				given = append(given, w)
				for _, slot := range w.Slots {
					mustAdd(t, b, judgment(job, w.Pair, slot, 1))
				}
				second.Leave(w.Pair)
			}
		}()
		synctest.Wait() // it waits for the first pair
		resume := store.Pause(b)
		time.Sleep(10 * time.Second)
		mustAdd(t, a, judgment(job, w.Pair, w.Slots[1], 1))
		first.Leave(w.Pair)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		resume()
		<-done
		if len(given) != 1 {
			t.Errorf("given %d pairs: %v", len(given), given)
		}
	})
}
