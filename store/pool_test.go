package store_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cai/dataset"
	"cai/store"
)

// Two judges that know different pairs: with both in the filter each pair comes
// once, with what either has said of it, in the same order whichever of them is
// named first; and so it is for a file, too.
func TestJudgedByAPoolOfJudges(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	second := testJudge
	second.Digest = "another"
	if err := s.PutJudge(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	const n = 450 // more than two pages
	pairs := testPairs(n)
	mustImport(t, s, "f", pairs)
	slot := dataset.Slot{Principle: job.Principles[0], Order: dataset.OrderAB}
	want := map[dataset.Hash][]dataset.Hash{}
	for i, h := range keys(pairs) {
		for k, judge := range []dataset.Hash{job.Judge, second.Hash()} {
			if i%(k+2) != 0 { // the first has every second pair, the other every third
				continue
			}
			j := judgment(job, h, slot, 1)
			j.Judge = judge
			mustAdd(t, s, j)
			want[h] = append(want[h], judge)
		}
	}
	read := func(f store.Filter) (order []dataset.Hash, by map[dataset.Hash][]dataset.Hash) {
		by = map[dataset.Hash][]dataset.Hash{}
		for j, err := range s.Judged(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			order = append(order, j.Key.Hash)
			for _, g := range j.Judgments {
				by[j.Key.Hash] = append(by[j.Key.Hash], g.Judge)
			}
		}
		return order, by
	}
	for _, source := range []string{"", "f"} {
		order, by := read(store.Filter{Judge: job.Judge, Pool: []dataset.Hash{second.Hash()}, Source: source})
		if d := cmp.Diff(want, by); d != "" {
			t.Errorf("source %q: %s", source, d)
		}
		turned, _ := read(store.Filter{Judge: second.Hash(), Pool: []dataset.Hash{job.Judge, job.Judge}, Source: source})
		if !slices.Equal(order, turned) || len(order) != len(want) {
			t.Errorf("source %q: %d pairs, the other way round %d, want %d", source, len(order), len(turned), len(want))
		}
		if alone, _ := read(store.Filter{Judge: second.Hash(), Source: source}); len(alone) != n/3 {
			t.Errorf("source %q: the second judge alone has %d pairs, want %d", source, len(alone), n/3)
		}
	}
}

// A sample is a part of the pairs, the same for a file and for the whole store,
// and of about the size that was asked for.
func TestJudgedInASample(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	const n = 1000
	pairs := testPairs(n)
	mustImport(t, s, "f", pairs)
	shell(t, s, `INSERT INTO judgments (pair, principle, judge, slot_order, sample, mode,
		lp_first, lp_second, coverage, censored, prompt_tokens, milliseconds, created)
		SELECT p.id, r.id, j.id, 'ab', 0, j.mode, -1, -1, 1, 0, 1, 1, 1 FROM pairs p, judges j, principles r`)
	read := func(f store.Filter) map[dataset.Hash]bool {
		out := map[dataset.Hash]bool{}
		for j, err := range s.Judged(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			out[j.Key.Hash] = true
		}
		return out
	}
	some := read(store.Filter{Judge: job.Judge, OneIn: 5})
	if len(some) < n/5-16 || len(some) > n/5+16 {
		t.Errorf("%d pairs, want one in five of %d", len(some), n)
	}
	if d := cmp.Diff(some, read(store.Filter{Judge: job.Judge, OneIn: 5, Source: "f"})); d != "" {
		t.Error(d)
	}
	if all := read(store.Filter{Judge: job.Judge, OneIn: 1}); len(all) != n {
		t.Errorf("one in one: %d of %d pairs", len(all), n)
	}
	for atMost, want := range map[int64]int64{10: 10, n + 1: n} {
		if got, err := s.CountJudged(t.Context(), job.Judge, atMost); got != want || err != nil {
			t.Errorf("at most %d: %d pairs, %v, want %d", atMost, got, err, want)
		}
	}
}
