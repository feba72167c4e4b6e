package store_test

import (
	"math/rand/v2"
	"testing"

	"cai/dataset"
	"cai/store"
)

// A marked file is known again by its mark until other pairs are imported under
// its name.
func TestAMarkHoldsUntilOtherPairsCome(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	pairs := testPairs(5)
	imp := mustImport(t, s, "f", pairs)
	job.Files = []int64{imp.File}
	if _, ok, err := s.Imported(t.Context(), "f", "m"); ok || err != nil {
		t.Fatalf("known before it was marked: %v, %v", ok, err)
	}
	if _, _, known, err := s.Longest(t.Context(), job); known || err != nil {
		t.Fatalf("the longest is known before: %v, %v", known, err)
	}
	if err := s.Mark(t.Context(), imp, "m"); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.Imported(t.Context(), "f", "m")
	if err != nil || !ok || got != (store.Import{File: imp.File, Records: imp.Records, Pairs: 5, Unchanged: true}) {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	plan, err := s.Plan(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if longest, n, known, err := s.Longest(t.Context(), job); err != nil || !known || longest != plan.Longest || longest != imp.Longest || n != 5 {
		t.Errorf("longest %d of %d, %v, %v, want %d of 5", longest, n, known, err, plan.Longest)
	}
	for _, other := range [][2]string{{"f", "n"}, {"g", "m"}} {
		if _, ok, err := s.Imported(t.Context(), other[0], other[1]); ok || err != nil {
			t.Errorf("%v is known: %v, %v", other, ok, err)
		}
	}
	if again := mustImport(t, s, "f", pairs); !again.Unchanged {
		t.Errorf("%+v", again)
	}
	if _, ok, _ := s.Imported(t.Context(), "f", "m"); !ok {
		t.Error("the same pairs again take the mark away")
	}
	mustImport(t, s, "f", testPairs(6))
	if _, ok, err := s.Imported(t.Context(), "f", "m"); ok || err != nil {
		t.Errorf("the mark outlives other pairs: %v, %v", ok, err)
	}
	if _, _, known, _ := s.Longest(t.Context(), job); known {
		t.Error("the longest pair of other pairs is believed")
	}
}

func TestHasJudged(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(1))
	for _, want := range []bool{false, true} {
		if got, err := s.HasJudged(t.Context(), job.Judge); got != want || err != nil {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		w := pending(t, s, job)[0]
		mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))
	}
	if got, err := s.HasJudged(t.Context(), dataset.HashOf("judge", "nobody")); got || err != nil {
		t.Errorf("a stranger: %v, %v", got, err)
	}
}

// What is pending is the same for a store that has looked before and for one
// that looks for the first time, wherever and in whatever order pairs were
// judged in between.
func TestPendingForgetsNothingBetweenLooks(t *testing.T) {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newStore(t)
		job := testJob(t, s, 1)
		pairs := testPairs(store.PagePairs*2 + 50)
		first := mustImport(t, s, "f", pairs)
		second := mustImport(t, s, "g", testPairs(1+rnd.IntN(40)))
		job.Files = []int64{first.File, second.File}
		if seed%2 == 1 {
			job.Files = []int64{second.File, first.File}
		}
		hashes := keys(pairs)
		cuts := []int{0, rnd.IntN(len(hashes)), rnd.IntN(len(hashes)), len(hashes) - 3}
		left := map[dataset.Hash]bool{}
		for _, h := range hashes {
			left[h] = true
		}
		for i := range cuts[1:] {
			from, to := min(cuts[i], cuts[i+1]), max(cuts[i], cuts[i+1])
			shell(t, s, `INSERT OR IGNORE INTO judgments (pair, principle, judge, slot_order, sample, mode,
				lp_first, lp_second, coverage, censored, prompt_tokens, milliseconds, created)
				SELECT p.id, r.id, j.id, o.o, 0, j.mode, -1, -1, 1, 0, 1, 1, 1
				FROM pairs p, judges j, principles r, (SELECT 'ab' AS o UNION ALL SELECT 'ba') o
				WHERE p.id > ? AND p.id <= ?`, from, to)
			for _, h := range hashes[from:to] {
				delete(left, h)
			}
			got := map[dataset.Hash]bool{}
			for _, w := range pending(t, s, job) {
				got[w.Pair] = true
			}
			if len(got) != len(left) {
				t.Fatalf("after %d to %d: %d pairs pending, want %d", from, to, len(got), len(left))
			}
			for h := range left {
				if !got[h] {
					t.Fatalf("pair %s is pending and does not come", h)
				}
			}
		}
	}
}
