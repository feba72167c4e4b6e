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
