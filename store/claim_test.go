package store_test

import (
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

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
			open := func() iter.Seq2[dataset.Work, error] { return s.Pending(t.Context(), job) }
			for w, err := range claims.Only(t.Context(), open) {
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
// gone, after a minute without a sign of life where nobody can look.
func TestClaimsOfTheDeadAreTakenOver(t *testing.T) {
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	here, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	for name, c := range map[string]struct {
		machine string
		process int
		age     string // SQL, milliseconds
	}{
		"gone":             {here, gone.Process.Pid, "0"},
		"silent elsewhere": {"another", 1, "120000"},
		"silent here":      {here, os.Getppid(), "120000"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cai.db")
			s := mustOpen(t, path)
			job := testJob(t, s, 1)
			mustImport(t, s, "pairs", testPairs(5))
			sqliteExec(t, path, "INSERT INTO claimants (id, machine, process, beat) VALUES (7, '"+c.machine+"', "+strconv.Itoa(c.process)+", unixepoch() * 1000 - "+c.age+");"+
				"INSERT INTO claims (judge, pair, claimant) SELECT (SELECT min(id) FROM judges), id, 7 FROM pairs")
			claims, err := s.Claim(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			defer claims.Close()
			if n := given(t, s, claims, job); n != 5 {
				t.Errorf("%d of 5 pairs were given", n)
			}
		})
	}
}

func given(t *testing.T, s *store.Store, c *store.Claims, job dataset.Job) (n int) {
	for _, err := range c.Only(t.Context(), func() iter.Seq2[dataset.Work, error] { return s.Pending(t.Context(), job) }) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
