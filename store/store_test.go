package store_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cai/constitution"
	"cai/dataset"
	"cai/store"
)

func mustOpen(tb testing.TB, path string) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func newStore(tb testing.TB) *store.Store {
	tb.Helper()
	return mustOpen(tb, filepath.Join(tb.TempDir(), "cai.db"))
}

// testConstitution has n principles with weights 1, 1.5, 2 …
func testConstitution(n int) *constitution.Constitution {
	c := &constitution.Constitution{Name: fmt.Sprintf("test of %d", n)}
	for i := range n {
		c.Principles = append(c.Principles, constitution.Principle{
			ID: fmt.Sprintf("p%d", i), Title: fmt.Sprintf("Rule %d", i),
			Critique: fmt.Sprintf("What breaks rule %d?", i), Revision: fmt.Sprintf("Mend rule %d.", i),
			Compare: fmt.Sprintf("Which reply keeps rule %d?", i), Weight: 1 + float64(i)/2,
		})
	}
	return c
}

func hashes(c *constitution.Constitution) []dataset.Hash {
	var out []dataset.Hash
	for i := range c.Principles {
		out = append(out, dataset.Hash(c.Principles[i].Hash()))
	}
	return out
}

var testJudge = dataset.Judge{
	Backend: "ollama", Model: "small:1b", Digest: "sha256:00", Template: "t1", Mode: "token",
	Options: map[string]string{"seed": "7"},
}

func testPair(i int) *dataset.Pair {
	return &dataset.Pair{
		Prompt: dataset.Prompt(fmt.Sprintf("question %d", i)),
		First:  dataset.Response{Text: fmt.Sprintf("good answer %d", i)},
		Second: dataset.Response{Text: fmt.Sprintf("bad answer %d", i)},
		P:      math.NaN(),
		Source: dataset.Source{File: "test.jsonl", Line: i + 1},
	}
}

func testPairs(n int) []*dataset.Pair {
	out := make([]*dataset.Pair, n)
	for i := range out {
		out[i] = testPair(i)
	}
	return out
}

func seq(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func mustImport(tb testing.TB, s *store.Store, name string, pairs []*dataset.Pair) store.Import {
	tb.Helper()
	imp, err := s.ImportPairs(tb.Context(), name, seq(pairs), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return imp
}

// testJob stores a constitution of n principles and the judge, and gives the
// job that asks everything once in both orders.
func testJob(tb testing.TB, s *store.Store, principles int) dataset.Job {
	tb.Helper()
	c := testConstitution(principles)
	if err := s.PutConstitution(tb.Context(), c); err != nil {
		tb.Fatal(err)
	}
	if err := s.PutJudge(tb.Context(), testJudge); err != nil {
		tb.Fatal(err)
	}
	return dataset.Job{
		Judge: testJudge.Hash(), Principles: hashes(c),
		Orders: []dataset.Order{dataset.OrderAB, dataset.OrderBA}, Samples: 1,
	}
}

func judgment(job dataset.Job, pair dataset.Hash, slot dataset.Slot, s float64) *dataset.Judgment {
	return &dataset.Judgment{
		Pair: pair, Principle: slot.Principle, Judge: job.Judge, Order: slot.Order, Sample: slot.Sample,
		LPFirst: -math.Log1p(math.Exp(-s)), LPSecond: -math.Log1p(math.Exp(s)), LPTie: math.NaN(),
		Coverage: 0.9, PromptTokens: 100, Duration: 250 * time.Millisecond,
		Created: time.UnixMilli(1_700_000_000_123).UTC(),
	}
}

func mustAdd(tb testing.TB, s *store.Store, j *dataset.Judgment) {
	tb.Helper()
	if err := s.AddJudgment(tb.Context(), j); err != nil {
		tb.Fatal(err)
	}
}

func pending(tb testing.TB, s *store.Store, job dataset.Job) []dataset.Work {
	tb.Helper()
	var out []dataset.Work
	for w, err := range s.Pending(tb.Context(), job) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, w)
	}
	return out
}

func judged(tb testing.TB, s *store.Store, f store.Filter) []*store.Judged {
	tb.Helper()
	var out []*store.Judged
	for j, err := range s.Judged(tb.Context(), f) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, j)
	}
	return out
}

func TestEverythingComesBackAsItWent(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	p := &dataset.Pair{
		Prompt: dataset.Conversation{
			{Role: "system", Content: "Be <brief> & \"exact\"."},
			{Role: "user", Content: "nul \x00, tab \t, line\u2028, 日本語, \U0001F600"},
		},
		First:  dataset.Response{Text: "one\x00two\r\n", Author: "model-x"},
		Second: dataset.Response{Text: " leading and trailing ", Author: ""},
		P:      0.75,
		Source: dataset.Source{File: "in.jsonl", Line: 9, Sub: 2, ID: "id-9", Extra: dataset.Object{
			{Key: "z", Value: []byte(`[1, 2]`)}, {Key: "a", Value: []byte(`"<b>"`)},
		}},
	}
	imp := mustImport(t, s, "in.jsonl", []*dataset.Pair{p})
	want := store.Import{File: imp.File, Records: 1, Pairs: 1, New: 1, Longest: 90}
	if imp != want {
		t.Errorf("import: %+v, want %+v", imp, want)
	}
	var js []dataset.Judgment
	for _, w := range pending(t, s, job) {
		if diff := cmp.Diff(p.Prompt, w.Prompt); diff != "" {
			t.Error(diff)
		}
		for i, slot := range w.Slots {
			j := judgment(job, w.Pair, slot, float64(i)-1.5)
			j.Censored = i == 0
			if i == 1 {
				j.LPTie, j.Rationale = -3.5, "because"
			}
			mustAdd(t, s, j)
			js = append(js, *j)
		}
	}
	if len(js) != 4 {
		t.Fatalf("%d judgments asked for, want 4", len(js))
	}
	key := p.Key()
	a, b, pa := p.First, p.Second, 0.75
	if key.Swapped {
		a, b, pa = b, a, 0.25
	}
	swapped := key.Swapped
	key.Swapped = false
	got := judged(t, s, store.Filter{Judge: job.Judge})
	if len(got) != 1 {
		t.Fatalf("%d pairs judged, want 1", len(got))
	}
	// Pending asks order by order, the store gives principle by principle.
	wantJudged := &store.Judged{
		Key: key, Prompt: p.Prompt, A: a, B: b, P: pa, Sources: []dataset.Source{p.Source}, Swapped: []bool{swapped},
		Judgments: []dataset.Judgment{js[0], js[2], js[1], js[3]},
	}
	if diff := cmp.Diff(wantJudged, got[0], nanEqual); diff != "" {
		t.Error(diff)
	}
}

var nanEqual = cmp.FilterValues(func(a, b float64) bool { return math.IsNaN(a) && math.IsNaN(b) },
	cmp.Comparer(func(float64, float64) bool { return true }))

func TestNewFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name 100%?#.db")
	s := mustOpen(t, path)
	testJob(t, s, 1)
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		st, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", p, st.Mode())
		}
	}
}

func TestWhatWasStoredIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(3))
	w := pending(t, s, job)[0]
	mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log was not written back: %v", err)
	}
	if err := s.AddJudgment(context.Background(), judgment(job, w.Pair, w.Slots[1], 1)); err != store.ErrClosed {
		t.Errorf("a closed store gave %v", err)
	}
	s = mustOpen(t, path)
	plan, err := s.Plan(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	longest := len("question 0") + len("good answer 0") + len("bad answer 0")
	if want := (dataset.Plan{Pairs: 3, Wanted: 6, Done: 1, Longest: longest}); plan != want {
		t.Errorf("plan %+v, want %+v", plan, want)
	}
}

const fixedDuration = 1500 * time.Millisecond

var fixedTime = time.UnixMilli(1_700_000_000_123).UTC()

func TestRunsAnswersAndStatus(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(2))
	w := pending(t, s, job)[0]
	mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))

	key := dataset.HashOf("answer", "x")
	if _, _, ok, err := s.Answer(t.Context(), key); ok || err != nil {
		t.Errorf("an answer that was never given: %v, %v", ok, err)
	}
	for _, v := range []string{"one\x00", "two"} {
		if err := s.PutAnswer(t.Context(), key, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if v, _, ok, err := s.Answer(t.Context(), key); !ok || err != nil || string(v) != "one\x00" {
		t.Errorf("answer %q, %v, %v", v, ok, err)
	}

	id, err := s.StartRun(t.Context(), "label", map[string]any{"host": "http://me:secret@host:11434", "jobs": 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.FinishRun(t.Context(), id, map[string]int{"calls": 4}); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishRun(t.Context(), id+1, nil); err == nil {
		t.Error("a run that never began was finished")
	}
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Prompts != 2 || st.Responses != 4 || st.Pairs != 2 || st.Judgments != 1 || st.Answers != 1 ||
		len(st.Files) != 1 || len(st.Judges) != 1 || st.Bytes == 0 || st.Schema == 0 {
		t.Errorf("status %+v", st)
	}
	if len(st.Runs) != 1 || st.Runs[0].Finished == nil || string(st.Runs[0].Result) != `{"calls":4}` ||
		string(st.Runs[0].Settings) != `{"host":"http://host:11434","jobs":2}` {
		t.Errorf("runs %+v", st.Runs)
	}
}
