package store_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/dataset"
	"cai/store"
)

func keys(pairs []*dataset.Pair) []dataset.Hash {
	var out []dataset.Hash
	for _, p := range pairs {
		out = append(out, p.Key().Hash)
	}
	return out
}

func workPairs(work []dataset.Work) []dataset.Hash {
	var out []dataset.Hash
	for _, w := range work {
		out = append(out, w.Pair)
	}
	return out
}

func TestPendingGivesEachPairOnceInSourceOrder(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	p := testPairs(5)
	one := mustImport(t, s, "one", []*dataset.Pair{p[3], p[1], p[3], p[0]})
	two := mustImport(t, s, "two", []*dataset.Pair{p[4], p[1], p[2]})

	for _, c := range []struct {
		name  string
		files []int64
		limit int
		want  []*dataset.Pair
	}{
		{"all files", nil, 0, []*dataset.Pair{p[3], p[1], p[0], p[4], p[2]}},
		{"one", []int64{one.File}, 0, []*dataset.Pair{p[3], p[1], p[0]}},
		{"the other way round", []int64{two.File, one.File}, 0, []*dataset.Pair{p[4], p[1], p[2], p[3], p[0]}},
		{"a file named twice", []int64{two.File, two.File}, 0, []*dataset.Pair{p[4], p[1], p[2]}},
		{"limit", nil, 4, []*dataset.Pair{p[3], p[1], p[0], p[4]}},
	} {
		job := job
		job.Files, job.Limit = c.files, c.limit
		if diff := cmp.Diff(keys(c.want), workPairs(pending(t, s, job))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		plan, err := s.Plan(t.Context(), job)
		if err != nil || plan.Pairs != int64(len(c.want)) {
			t.Errorf("%s: plan of %d pairs (%v), want %d", c.name, plan.Pairs, err, len(c.want))
		}
	}

	// The limit is of pairs wanted, not of pairs that are still open: a second
	// run of a limited job has nothing to do.
	job.Limit = 2
	for _, w := range pending(t, s, job) {
		for _, slot := range w.Slots {
			mustAdd(t, s, judgment(job, w.Pair, slot, 0.5))
		}
	}
	if left := pending(t, s, job); len(left) != 0 {
		t.Errorf("%d pairs pending after the limit was reached", len(left))
	}
	job.Files = []int64{one.File, 99}
	for _, err := range s.Pending(t.Context(), job) {
		if err == nil {
			t.Error("a file that is not there gave no error")
		}
		break
	}
}

func TestPendingAsksOrderByOrder(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	job.Samples = 2
	slices.Reverse(job.Principles)
	mustImport(t, s, "f", testPairs(1))
	var want []dataset.Slot
	for _, o := range job.Orders {
		for _, p := range job.Principles {
			want = append(want, dataset.Slot{Principle: p, Order: o, Sample: 0}, dataset.Slot{Principle: p, Order: o, Sample: 1})
		}
	}
	work := pending(t, s, job)
	if diff := cmp.Diff(want, work[0].Slots); diff != "" {
		t.Fatal(diff)
	}
	p := testPair(0)
	a, b := p.First.Text, p.Second.Text
	if p.Key().Swapped {
		a, b = b, a
	}
	if work[0].A != a || work[0].B != b {
		t.Errorf("replies %q and %q, want %q and %q", work[0].A, work[0].B, a, b)
	}
}

func TestWhatIsAnsweredMeanwhileDoesNotCome(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	pairs := testPairs(20)
	mustImport(t, s, "f", pairs)
	var got []dataset.Hash
	for w, err := range s.Pending(t.Context(), job) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, w.Pair)
		if len(got) > 1 {
			continue
		}
		// Another process answers pair 1 and half of pair 2.
		for i, slots := range [][]dataset.Slot{1: w.Slots, 2: w.Slots[:1]} {
			for _, slot := range slots {
				mustAdd(t, s, judgment(job, pairs[i].Key().Hash, slot, 1))
			}
		}
	}
	want := slices.Delete(keys(pairs), 1, 2)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFailuresComeBackOnlyOnRequest(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(2))
	w := pending(t, s, job)[0]
	fail := func(slot dataset.Slot, kind string) {
		t.Helper()
		err := s.AddFailure(t.Context(), &dataset.Failure{
			Pair: w.Pair, Principle: slot.Principle, Judge: job.Judge, Order: slot.Order, Sample: slot.Sample,
			Kind: kind, Message: "POST http://me:secret@host/api: no answer",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	fail(w.Slots[0], "timeout")
	fail(w.Slots[0], "empty_reply") // the later one stands

	plan, err := s.Plan(t.Context(), job)
	if err != nil || plan.Failed != 1 || plan.Done != 0 || plan.Wanted != 4 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if got := pending(t, s, job); len(got) != 2 || len(got[0].Slots) != 1 || got[0].Slots[0] != w.Slots[1] {
		t.Errorf("pending after a failure: %+v", got)
	}
	job.RetryFailed = true
	if got := pending(t, s, job); len(got) != 2 || len(got[0].Slots) != 2 {
		t.Errorf("pending with retries: %+v", got)
	}
	list, err := s.Failures(t.Context(), job.Judge, 0)
	if err != nil || len(list) != 1 || list[0].Kind != "empty_reply" {
		t.Fatalf("failures %+v, %v", list, err)
	}
	if list[0].Message != "POST http://host/api: no answer" {
		t.Errorf("message %q still says who", list[0].Message)
	}
	st, err := s.Status(t.Context())
	if err != nil || len(st.Failures) != 1 || st.Failures[0].Count != 1 || st.Failures[0].Kind != "empty_reply" {
		t.Errorf("status %+v, %v", st.Failures, err)
	}

	// An answer mends the failure, and a late failure does not undo an answer.
	mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))
	fail(w.Slots[0], "timeout")
	if list, err := s.Failures(t.Context(), job.Judge, 0); err != nil || len(list) != 0 {
		t.Errorf("failures after the answer: %+v, %v", list, err)
	}
	plan, err = s.Plan(t.Context(), job)
	if err != nil || plan.Failed != 0 || plan.Done != 1 {
		t.Errorf("plan %+v, %v", plan, err)
	}
}

func TestTheFirstAnswerStays(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(1))
	w := pending(t, s, job)[0]
	mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))
	mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], -3))
	got := judged(t, s, store.Filter{Judge: job.Judge})
	if len(got) != 1 || len(got[0].Judgments) != 1 || math.Abs(got[0].Judgments[0].LogOdds()-1) > 1e-12 {
		t.Errorf("judgments %+v", got)
	}
}

func TestWhatIsUnknownOrMeaninglessIsRefused(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(1))
	w := pending(t, s, job)[0]
	for name, change := range map[string]func(*dataset.Judgment){
		"pair":      func(j *dataset.Judgment) { j.Pair = dataset.Hash{1} },
		"principle": func(j *dataset.Judgment) { j.Principle = dataset.Hash{1} },
		"judge":     func(j *dataset.Judgment) { j.Judge = dataset.Hash{1} },
		"order":     func(j *dataset.Judgment) { j.Order = "" },
		"sample":    func(j *dataset.Judgment) { j.Sample = -1 },
		"NaN":       func(j *dataset.Judgment) { j.LPFirst = math.NaN() },
		"infinite":  func(j *dataset.Judgment) { j.LPSecond = math.Inf(-1) },
	} {
		j := judgment(job, w.Pair, w.Slots[0], 1)
		change(j)
		if err := s.AddJudgment(t.Context(), j); err == nil {
			t.Errorf("a judgment with an impossible %s was stored", name)
		}
	}
	if got := pending(t, s, job); len(got) != 1 || len(got[0].Slots) != 2 {
		t.Errorf("pending after refusals: %+v", got)
	}
	for name, change := range map[string]func(*dataset.Job){
		"judge":      func(j *dataset.Job) { j.Judge = dataset.Hash{1} },
		"principle":  func(j *dataset.Job) { j.Principles = []dataset.Hash{{1}} },
		"samples":    func(j *dataset.Job) { j.Samples = 0 },
		"orders":     func(j *dataset.Job) { j.Orders = nil },
		"order":      func(j *dataset.Job) { j.Orders = []dataset.Order{"') --"} },
		"principles": func(j *dataset.Job) { j.Principles = nil },
	} {
		job := job
		change(&job)
		n := 0
		for _, err := range s.Pending(t.Context(), job) {
			if err == nil {
				t.Errorf("a job with an impossible %s gave work", name)
			}
			n++
		}
		if n != 1 {
			t.Errorf("a job with an impossible %s gave %d errors, want 1", name, n)
		}
	}
}

// question is one of those of a job.
type question struct {
	pair dataset.Hash
	slot dataset.Slot
}

// judgments gives the questions about a pair under some principles.
func judgments(all map[question]bool, pair dataset.Hash, principles []dataset.Hash) (of []question) {
	for q := range all {
		if q.pair == pair && slices.Contains(principles, q.slot.Principle) {
			of = append(of, q)
		}
	}
	return of
}

// What is done and what is pending are together what is wanted, and nothing is
// both, whatever was answered, failed and wanted.
func TestPendingAndDoneAreWhatIsWanted(t *testing.T) {
	s := newStore(t)
	full := testJob(t, s, 4)
	full.Samples = 3
	pairs := testPairs(12)
	files := []int64{
		mustImport(t, s, "one", pairs[:8]).File,
		mustImport(t, s, "two", pairs[4:]).File,
	}
	done, failed := map[question]bool{}, map[question]bool{}
	var all []question
	for _, w := range pending(t, s, full) {
		for _, slot := range w.Slots {
			all = append(all, question{w.Pair, slot})
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(0, 6).Draw(r, "events") {
			q := rapid.SampledFrom(all).Draw(r, "question")
			if rapid.Bool().Draw(r, "answered") {
				mustAdd(t, s, judgment(full, q.pair, q.slot, 1))
				done[q] = true
				delete(failed, q)
			} else if err := s.AddFailure(t.Context(), &dataset.Failure{
				Pair: q.pair, Principle: q.slot.Principle, Judge: full.Judge,
				Order: q.slot.Order, Sample: q.slot.Sample, Kind: "timeout",
			}); err != nil {
				r.Fatal(err)
			} else if !done[q] {
				failed[q] = true
			}
		}
		job := full
		job.Principles = rapid.Permutation(full.Principles).Draw(r, "principles")[:rapid.IntRange(1, 4).Draw(r, "n")]
		job.Orders = rapid.Permutation(full.Orders).Draw(r, "orders")[:rapid.IntRange(1, 2).Draw(r, "m")]
		job.Samples = rapid.IntRange(1, 3).Draw(r, "samples")
		job.Files = rapid.Permutation(files).Draw(r, "files")[:rapid.IntRange(0, 2).Draw(r, "k")]
		job.Limit = rapid.IntRange(0, 13).Draw(r, "limit")
		job.RetryFailed = rapid.Bool().Draw(r, "retry")

		sources := map[int64][]*dataset.Pair{files[0]: pairs[:8], files[1]: pairs[4:]}
		order := job.Files
		if len(order) == 0 {
			order = files
		}
		var wanted []question
		var wantDone, wantFailed, wantPairs int64
		seen := map[dataset.Hash]bool{}
		for _, f := range order {
			for _, p := range sources[f] {
				h := p.Key().Hash
				if seen[h] || job.Limit > 0 && len(seen) == job.Limit {
					continue
				}
				seen[h] = true
				wantPairs++
				for _, o := range job.Orders {
					for _, k := range job.Principles {
						for n := range job.Samples {
							q := question{h, dataset.Slot{Principle: k, Order: o, Sample: n}}
							switch {
							case done[q]:
								wantDone++
							case failed[q]:
								wantFailed++
							}
							if !done[q] && (job.RetryFailed || !failed[q]) {
								wanted = append(wanted, q)
							}
						}
					}
				}
			}
		}
		var got []question
		for _, w := range pending(t, s, job) {
			for _, slot := range w.Slots {
				got = append(got, question{w.Pair, slot})
			}
		}
		if diff := cmp.Diff(wanted, got, cmp.AllowUnexported(question{})); diff != "" {
			r.Fatal(diff)
		}
		// What the judge made of the job's pairs is read in the same order and number.
		var wantJudged, gotJudged []dataset.Hash
		for _, f := range order {
			for _, p := range sources[f] {
				h := p.Key().Hash
				if seen[h] && len(judgments(done, h, job.Principles)) > 0 && !slices.Contains(wantJudged, h) {
					wantJudged = append(wantJudged, h)
				}
			}
		}
		for _, j := range judged(t, s, store.Filter{Judge: job.Judge, Principles: job.Principles, Files: order, Limit: job.Limit}) {
			gotJudged = append(gotJudged, j.Key.Hash)
		}
		if diff := cmp.Diff(wantJudged, gotJudged); diff != "" {
			r.Fatal(diff)
		}
		plan, err := s.Plan(t.Context(), job)
		if err != nil {
			r.Fatal(err)
		}
		plan.Longest = 0
		want := dataset.Plan{
			Pairs: wantPairs, Done: wantDone, Failed: wantFailed,
			Wanted: wantPairs * int64(len(job.Principles)*len(job.Orders)*job.Samples),
		}
		if plan != want {
			r.Fatalf("plan %+v, want %+v", plan, want)
		}
	})
}
