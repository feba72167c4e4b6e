package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/dataset"
)

// An outlook is what Plan says and what Pending then gives, question by
// question.
func TestOutlookIsWhatWillBeAsked(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStore(t)
		job := testJob(t, s, rapid.IntRange(1, 3).Draw(r, "principles"))
		pairs := testPairs(rapid.IntRange(1, 6).Draw(r, "pairs"))
		mustImport(t, s, "f", append(pairs, pairs[0]))
		job.Samples = rapid.IntRange(1, 2).Draw(r, "samples")
		job.Limit = rapid.IntRange(0, 4).Draw(r, "limit")
		job.RetryFailed = rapid.Bool().Draw(r, "retry")
		if rapid.Bool().Draw(r, "one order") {
			job.Orders = job.Orders[1:]
		}
		byHash := map[dataset.Hash]*dataset.Pair{}
		for _, p := range pairs {
			h := p.Key().Hash
			byHash[h] = p
			for _, k := range job.Principles {
				for _, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
					for n := range 2 {
						slot := dataset.Slot{Principle: k, Order: o, Sample: n}
						switch rapid.IntRange(0, 3).Draw(r, "state") {
						case 0:
							mustAdd(t, s, judgment(job, h, slot, 1))
						case 1:
							if err := s.AddFailure(t.Context(), &dataset.Failure{
								Pair: h, Principle: k, Judge: job.Judge, Order: o, Sample: n, Kind: "empty",
							}); err != nil {
								r.Fatal(err)
							}
						}
					}
				}
			}
		}
		plan, err := s.Plan(t.Context(), job)
		if err != nil {
			r.Fatal(err)
		}
		got, err := s.Outlook(t.Context(), job, nil)
		if err != nil {
			r.Fatal(err)
		}
		if d := cmp.Diff(plan, got.Plan); d != "" {
			r.Fatal(d)
		}
		want := dataset.Outlook{Plan: plan}
		open := map[dataset.Hash]int64{}
		for _, w := range pending(t, s, job) {
			p := byHash[w.Pair]
			prompt, _ := p.Prompt.Text()
			texts := int64(len(prompt) + len(w.A) + len(w.B))
			var last dataset.Slot
			for i, slot := range w.Slots {
				open[slot.Principle]++
				want.Texts += texts
				switch {
				case i > 0 && slot.Order == last.Order:
					want.Cached += texts
				case i > 0:
					want.Cached += int64(len(prompt))
				}
				last = slot
			}
		}
		var wanted, done, failed int64
		for i, k := range got.ByPrinciple {
			if k.Principle != job.Principles[i] || k.Open != open[k.Principle] {
				r.Fatalf("principle %d: %+v, want %d open", i, k, open[k.Principle])
			}
			wanted, done, failed = wanted+k.Wanted, done+k.Done, failed+k.Failed
		}
		if wanted != plan.Wanted || done != plan.Done || failed != plan.Failed {
			r.Fatalf("by principle %+v, together %+v", got.ByPrinciple, plan)
		}
		if got.Texts != want.Texts || got.Cached != want.Cached {
			r.Fatalf("texts %d, cached %d, want %d and %d", got.Texts, got.Cached, want.Texts, want.Cached)
		}
	})
}

// A job of principles and a judge that the store has never seen is all open.
func TestOutlookOfAJobThatIsNew(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	mustImport(t, s, "f", testPairs(3))
	job.Judge = dataset.HashOf("judge", "new")
	job.Principles = []dataset.Hash{dataset.HashOf("principle", "new"), dataset.HashOf("principle", "newer")}
	got, err := s.Outlook(t.Context(), job, nil)
	if err != nil || got.Open() != 12 || got.Wanted != 12 || got.Texts == 0 || len(got.ByPrinciple) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCallsTellWhatJudgmentsTook(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	pairs := testPairs(5)
	mustImport(t, s, "f", pairs)
	for i, h := range keys(pairs) {
		j := judgment(job, h, dataset.Slot{Principle: job.Principles[0], Order: dataset.OrderAB}, 1)
		j.PromptTokens, j.Duration = 100+i, time.Duration(i)*time.Second
		mustAdd(t, s, j)
	}
	calls, err := s.Calls(t.Context(), job.Judge, 3)
	if err != nil || len(calls) != 3 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	got := map[string]bool{}
	for _, c := range calls {
		got[fmt.Sprint(c.Tokens, " ", c.Duration)] = true
		if c.Prompt <= 0 || c.Replies <= 0 || c.Principle != job.Principles[0] || c.Order != dataset.OrderAB {
			t.Errorf("%+v", c)
		}
	}
	if !got["104 4s"] || !got["103 3s"] || !got["102 2s"] {
		t.Errorf("not the last ones: %v", got)
	}
	if calls, err := s.Calls(t.Context(), dataset.HashOf("judge", "new"), 3); err != nil || len(calls) != 0 {
		t.Errorf("a judge that is new: %d calls, %v", len(calls), err)
	}
}
