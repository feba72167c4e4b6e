package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cai/dataset"
	"cai/store"
)

// BenchmarkAddJudgment measures judgments that are durable one by one: the
// first figure of a run is bounded by the disk's flush.
func BenchmarkAddJudgment(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := newStore(b)
			job := testJob(b, s, 4)
			pairs := testPairs(b.N/8 + 1)
			mustImport(b, s, "f", pairs)
			hashes := keys(pairs)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for {
						n := int(next.Add(1)) - 1
						if n >= b.N {
							return
						}
						slot := dataset.Slot{Principle: job.Principles[n/2%4], Order: job.Orders[n%2]}
						if err := s.AddJudgment(b.Context(), judgment(job, hashes[n/8], slot, 1)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "judgments/s")
		})
	}
}

// BenchmarkImportPairs measures pairs of about 500 bytes.
func BenchmarkImportPairs(b *testing.B) {
	s := newStore(b)
	pad := string(make([]byte, 150))
	pairs := testPairs(b.N)
	for _, p := range pairs {
		p.First.Text += pad
		p.Second.Text += pad
	}
	b.ResetTimer()
	mustImport(b, s, "f", pairs)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
	start := time.Now()
	if imp := mustImport(b, s, "f", pairs); !imp.Unchanged {
		b.Errorf("again: %+v", imp)
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "unchanged/s")
}

// bigStore makes a store with n judgments, 8 to a pair: all but the last
// hundredth of the pairs are done when early is false, all but the first
// hundredth and the last pairs when it is true.
func bigStore(tb testing.TB, path string, n int, early bool) (*store.Store, dataset.Job) {
	tb.Helper()
	s := mustOpen(tb, path)
	job := testJob(tb, s, 4)
	pairs := n / 8
	if _, err := s.ImportPairs(tb.Context(), "big", func(yield func(*dataset.Pair, error) bool) {
		for i := range pairs {
			if !yield(testPair(i), nil) {
				return
			}
		}
	}, nil); err != nil {
		tb.Fatal(err)
	}
	from, to := 0, pairs-pairs/100
	if early {
		from, to = pairs/100, pairs
	}
	// In one statement, since a commit for each would take the disk an hour.
	shell(tb, s, fmt.Sprintf(`INSERT INTO judgments (pair, principle, judge, slot_order, sample, mode,
		lp_first, lp_second, coverage, censored, prompt_tokens, milliseconds, created)
		SELECT p.id, r.id, j.id, o.o, 0, 'token', -0.1 * (p.id %% 30), -0.7, 0.9, 0, 300, 250, 0
		FROM pairs p, judges j, principles r, (SELECT 'ab' AS o UNION ALL SELECT 'ba') o
		WHERE p.id > %d AND p.id <= %d`, from, to))
	return s, job
}

// TestPendingInALargeStore has 20,000 judgments by default;
// STORE_TEST_JUDGMENTS sets another number, and the times are logged.
func TestPendingInALargeStore(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a large file")
	}
	n := 20_000
	if v := os.Getenv("STORE_TEST_JUDGMENTS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, early := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "cai.db")
		start := time.Now()
		s, job := bigStore(t, path, n, early)
		t.Logf("early=%v: made in %v", early, time.Since(start))

		start = time.Now()
		var first time.Duration
		got := 0
		for w, err := range s.Pending(t.Context(), job) {
			if err != nil {
				t.Fatal(err)
			}
			if got == 0 {
				first = time.Since(start)
			}
			got += len(w.Slots)
		}
		t.Logf("early=%v: first work after %v, all %d questions after %v", early, first, got, time.Since(start))
		if want := n / 8 / 100 * 8; got != want {
			t.Errorf("early=%v: %d questions pending, want %d", early, got, want)
		}

		start = time.Now()
		plan, err := s.Plan(t.Context(), job)
		if err != nil || plan.Wanted != int64(n/8*8) || plan.Done != plan.Wanted-int64(got) {
			t.Errorf("plan %+v, %v", plan, err)
		}
		t.Logf("early=%v: plan after %v", early, time.Since(start))

		start = time.Now()
		if _, err := s.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("early=%v: status after %v", early, time.Since(start))

		if n <= 2_000_000 {
			start = time.Now()
			seen := 0
			for _, err := range s.Judged(t.Context(), store.Filter{Judge: job.Judge}) {
				if err != nil {
					t.Fatal(err)
				}
				seen++
			}
			t.Logf("early=%v: %d pairs with their judgments after %v", early, seen, time.Since(start))
			start = time.Now()
			rows := shell(t, s, "SELECT count(*), avg(p_a) FROM labels")
			t.Logf("early=%v: labels view %v after %v", early, rows[0], time.Since(start))
		}
		if st, err := os.Stat(path); err == nil {
			t.Logf("early=%v: %d MB", early, st.Size()>>20)
		}
	}
}
