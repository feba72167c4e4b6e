package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cai/dataset"
	"cai/store"
)

// answer answers the first n open questions of each pair.
func answer(tb testing.TB, s *store.Store, job dataset.Job, work []dataset.Work, n int) {
	tb.Helper()
	for _, w := range work {
		for _, slot := range w.Slots[:min(n, len(w.Slots))] {
			if err := s.AddJudgment(tb.Context(), judgment(job, w.Pair, slot, 1)); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

func TestAStoppedPairIsLeftOutAtThatRiskAndNoOther(t *testing.T) {
	s := newStore(t)
	pairs := testPairs(4)
	imp := mustImport(t, s, "test.jsonl", pairs)
	job := testJob(t, s, 3)
	job.Files = []int64{imp.File}
	answer(t, s, job, pending(t, s, job), 2)

	rule := dataset.RuleHash(map[dataset.Hash]float64{job.Principles[0]: 1})
	stop := func(pair int, flip float64, at dataset.Hash) {
		t.Helper()
		if err := s.AddStop(t.Context(), &dataset.Stop{Pair: pairs[pair].Key().Hash, Judge: job.Judge, Rule: at, Flip: flip, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	stop(0, 0.3, rule)
	stop(0, 0.01, rule) // the later one counts
	stop(2, 0.04, rule)
	stop(3, 0.01, dataset.RuleHash(nil))

	js, got, err := s.PairSoFar(t.Context(), job.Judge, pairs[0].Key().Hash, rule)
	if err != nil || len(js) != 2 || got == nil || got.Flip != 0.01 {
		t.Errorf("pair 0: %d judgments, stop %+v, %v", len(js), got, err)
	}
	for _, c := range []struct {
		risk  float64
		left  []int // pairs that are pending
		saved int64
	}{{0.001, []int{0, 1, 2, 3}, 0}, {0.02, []int{1, 2, 3}, 4}, {0.05, []int{1, 3}, 8}} {
		var got []dataset.Hash
		job := job
		job.Rule, job.Risk = rule, c.risk
		for w, err := range s.Pending(t.Context(), job) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, w.Pair)
		}
		var want []dataset.Hash
		for _, i := range c.left {
			want = append(want, pairs[i].Key().Hash)
		}
		if !slices.Equal(got, want) {
			t.Errorf("risk %g: pending %v, want %v", c.risk, got, want)
		}
		saved, err := s.Saved(t.Context(), job)
		if err != nil || saved.Questions != c.saved || saved.Pairs != c.saved/4 {
			t.Errorf("risk %g: saved %+v, %v", c.risk, saved, err)
		}
	}

	// What is asked all the same is not saved any more.
	answer(t, s, job, pending(t, s, job), 6)
	job.Rule, job.Risk = rule, 0.05
	if saved, err := s.Saved(t.Context(), job); err != nil || saved.Questions != 0 || saved.Pairs != 0 {
		t.Errorf("all asked: saved %+v, %v", saved, err)
	}
}

func TestAStopOfAnUnknownPairOrJudgeIsRefused(t *testing.T) {
	s := newStore(t)
	pairs := testPairs(1)
	mustImport(t, s, "test.jsonl", pairs)
	job := testJob(t, s, 1)
	err := s.AddStop(t.Context(), &dataset.Stop{Pair: dataset.HashOf("pair", "none"), Judge: job.Judge, Created: time.Now()})
	if err == nil || !strings.Contains(err.Error(), "pair") {
		t.Errorf("unknown pair: %v", err)
	}
	err = s.AddStop(t.Context(), &dataset.Stop{Pair: pairs[0].Key().Hash, Judge: dataset.HashOf("judge", "none"), Created: time.Now()})
	if err == nil || !strings.Contains(err.Error(), "judge") {
		t.Errorf("unknown judge: %v", err)
	}
}

func TestTheLatestJudgmentsAreThoseOfTheLastPairs(t *testing.T) {
	s := newStore(t)
	pairs := testPairs(450) // more than a page
	mustImport(t, s, "test.jsonl", pairs)
	job := testJob(t, s, 2)
	work := pending(t, s, job)
	answer(t, s, job, work[:440], 3)
	var got []dataset.Hash
	for js, err := range s.LatestJudgments(t.Context(), job.Judge, 300) {
		if err != nil {
			t.Fatal(err)
		}
		if len(js) != 3 {
			t.Fatalf("%d judgments of a pair", len(js))
		}
		for _, j := range js {
			if j.Pair != js[0].Pair {
				t.Fatal("judgments of two pairs")
			}
		}
		got = append(got, js[0].Pair)
	}
	if !slices.Equal(got, workPairs(work[140:440])) {
		t.Fatalf("%d pairs, not the last ones in their order", len(got))
	}
	js, stop, err := s.PairSoFar(t.Context(), job.Judge, work[7].Pair, dataset.RuleHash(nil))
	if err != nil || stop != nil || len(js) != 3 || js[0].Pair != work[7].Pair || js[0].LogOdds() < 0.9 {
		t.Fatalf("%+v, %v", js, err)
	}
}

func TestTheJudgedPairsOfAPrompt(t *testing.T) {
	s := newStore(t)
	var pairs []*dataset.Pair
	texts := []string{"one", "two", "three", "four"}
	for i := range texts {
		for j := range i {
			p := testPair(0)
			p.First.Text, p.Second.Text, p.Source.Sub = texts[i], texts[j], len(pairs)
			pairs = append(pairs, p)
		}
	}
	mustImport(t, s, "test.jsonl", append(pairs, testPair(1)))
	job := testJob(t, s, 1)
	work := pending(t, s, job)
	answer(t, s, job, work[:2], 2)
	if err := s.AddFailure(t.Context(), &dataset.Failure{
		Pair: work[4].Pair, Principle: job.Principles[0], Judge: job.Judge, Order: dataset.OrderAB,
		Kind: "context", Message: "too long", Created: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	prompt := pairs[0].Prompt.Hash()
	got, err := s.PromptPairs(t.Context(), job.Judge, prompt)
	if err != nil {
		t.Fatal(err)
	}
	said := map[dataset.Hash]int{}
	for _, j := range got {
		said[j.Key.Hash] = len(j.Judgments)
	}
	if len(got) != 3 || said[work[0].Pair] != 2 || said[work[1].Pair] != 2 || said[work[4].Pair] != 0 {
		t.Fatalf("%d pairs: %v", len(got), said)
	}
	for _, j := range got {
		if !slices.ContainsFunc(pairs, func(p *dataset.Pair) bool { k := p.Key(); return k.A == j.Key.A && k.B == j.Key.B }) {
			t.Fatalf("replies %s and %s", j.Key.A, j.Key.B)
		}
	}
	for _, none := range []struct{ judge, prompt dataset.Hash }{
		{dataset.HashOf("judge", "none"), prompt}, {job.Judge, dataset.HashOf("prompt", "none")}, {job.Judge, testPair(1).Prompt.Hash()},
	} {
		if got, err := s.PromptPairs(t.Context(), none.judge, none.prompt); err != nil || len(got) != 0 {
			t.Errorf("%d pairs, %v", len(got), err)
		}
	}
}
