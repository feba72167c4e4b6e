package label_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/label"
	"cai/llm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store that forgets nothing until the process ends.
type memory struct {
	mu        sync.Mutex
	pairs     []dataset.Work // without slots
	judgments map[string]*dataset.Judgment
	doubled   int
	failures  map[string]*dataset.Failure
}

func newMemory(pairs int) *memory {
	m := &memory{judgments: map[string]*dataset.Judgment{}, failures: map[string]*dataset.Failure{}}
	for i := range pairs {
		m.pairs = append(m.pairs, dataset.Work{
			Pair: dataset.HashOf("pair", fmt.Sprint(i)), Prompt: dataset.Prompt(fmt.Sprint("question ", i)),
			A: fmt.Sprint("good ", i), B: fmt.Sprint("bad ", i),
		})
	}
	return m
}

func key(pair, principle dataset.Hash, o dataset.Order, sample int) string {
	return fmt.Sprint(pair, principle, o, sample)
}

func (m *memory) Pending(_ context.Context, job dataset.Job) iter.Seq2[dataset.Work, error] {
	return func(yield func(dataset.Work, error) bool) {
		for _, w := range m.pairs {
			m.mu.Lock()
			for _, o := range job.Orders {
				for _, p := range job.Principles {
					for s := range job.Samples {
						k := key(w.Pair, p, o, s)
						if m.judgments[k] == nil && (m.failures[k] == nil || job.RetryFailed) {
							w.Slots = append(w.Slots, dataset.Slot{Principle: p, Order: o, Sample: s})
						}
					}
				}
			}
			m.mu.Unlock()
			if len(w.Slots) > 0 && !yield(w, nil) {
				return
			}
		}
	}
}

func (m *memory) AddJudgment(_ context.Context, j *dataset.Judgment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key(j.Pair, j.Principle, j.Order, j.Sample)
	if m.judgments[k] != nil {
		m.doubled++
	}
	m.judgments[k] = j
	delete(m.failures, k)
	return nil
}

func (m *memory) AddFailure(_ context.Context, f *dataset.Failure) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures[key(f.Pair, f.Principle, f.Order, f.Sample)] = f
	return nil
}

// byWord judges a reply that begins with good as the better one.
type byWord struct {
	mu    sync.Mutex
	calls int
	asked []judge.Question
	fail  func(call int, q judge.Question) error
}

func (b *byWord) Compare(ctx context.Context, q judge.Question) (judge.Answer, error) {
	b.mu.Lock()
	b.calls++
	n := b.calls
	b.asked = append(b.asked, q)
	b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(n, q); err != nil {
			return judge.Answer{}, err
		}
	}
	a := judge.Answer{LPFirst: -0.1, LPSecond: -2.4, Coverage: 0.99, PromptTokens: 10, Calls: 1}
	if strings.HasPrefix(q.Second, "good") {
		a.LPFirst, a.LPSecond = a.LPSecond, a.LPFirst
	}
	return a, ctx.Err()
}

func runner(m *memory, j label.Comparer) *label.Runner {
	ps := []constitution.Principle{
		{ID: "honest", Critique: "c", Revision: "r", Compare: "Which reply is more honest?", Weight: 1},
		{ID: "kind", Critique: "c", Revision: "r", Compare: "Which reply is kinder?", Weight: 1},
	}
	r := &label.Runner{Store: m, Judge: j, Principles: ps, Workers: 3}
	r.Job = dataset.Job{Orders: []dataset.Order{dataset.OrderAB, dataset.OrderBA}, Samples: 1}
	for i := range ps {
		r.Job.Principles = append(r.Job.Principles, ps[i].Hash())
	}
	return r
}

func TestEveryQuestionIsAskedOnceAndNoneTwice(t *testing.T) {
	m, j := newMemory(20), &byWord{}
	count, err := runner(m, j).Run(t.Context(), nil)
	if err != nil || count.Judgments != 80 || count.Calls != 80 || j.calls != 80 || m.doubled != 0 || count.PromptTokens != 800 {
		t.Fatalf("first run: %+v, %v, %d calls, %d doubled", count, err, j.calls, m.doubled)
	}
	count, err = runner(m, j).Run(t.Context(), nil)
	if err != nil || count != (label.Count{}) || j.calls != 80 {
		t.Fatalf("second run: %+v, %v, %d calls", count, err, j.calls)
	}
}

func TestTheSlotsAreSwappedInTheSecondOrder(t *testing.T) {
	m, j := newMemory(1), &byWord{}
	if _, err := runner(m, j).Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, jd := range m.judgments {
		if first := jd.LogOdds() > 0; first != (jd.Order == dataset.OrderAB) {
			t.Errorf("order %s: the good reply lost: %+v", jd.Order, jd)
		}
	}
	// One order before the other, so that the questions share their prefix.
	for i, q := range j.asked {
		if want := "good 0"; (q.First == want) != (i < 2) {
			t.Errorf("call %d has %q first", i, q.First)
		}
	}
}

func TestAFailureIsKeptAndTheJobGoesOn(t *testing.T) {
	m, j := newMemory(5), &byWord{}
	j.fail = func(_ int, q judge.Question) error {
		if q.First == "good 3" {
			return &llm.Error{Kind: llm.KindContext, Op: "chat"}
		}
		return nil
	}
	count, err := runner(m, j).Run(t.Context(), nil)
	if err != nil || count.Judgments != 18 || count.Failed != 2 || len(m.failures) != 2 {
		t.Fatalf("%+v, %v, %d failures", count, err, len(m.failures))
	}
	for _, f := range m.failures {
		if f.Kind != string(llm.KindContext) || f.Order != dataset.OrderAB {
			t.Errorf("failure %+v", f)
		}
	}
	calls := j.calls
	if count, err = runner(m, j).Run(t.Context(), nil); err != nil || j.calls != calls {
		t.Fatalf("failures were asked again without being told to: %+v, %v", count, err)
	}
	j.fail = nil
	r := runner(m, j)
	r.Job.RetryFailed = true
	if count, err = r.Run(t.Context(), nil); err != nil || count.Judgments != 2 || len(m.failures) != 0 {
		t.Fatalf("retry: %+v, %v, %d failures", count, err, len(m.failures))
	}
}

func TestAServerThatIsGoneEndsTheJobWithoutFailures(t *testing.T) {
	m, j := newMemory(50), &byWord{}
	j.fail = func(n int, _ judge.Question) error {
		if n > 20 {
			return &llm.Error{Kind: llm.KindServerAbsent, Op: "chat"}
		}
		return nil
	}
	r := runner(m, j)
	r.Workers = 1 // or the end of the job gives up the calls beside the one that fails
	count, err := r.Run(t.Context(), nil)
	if llm.KindOf(err) != llm.KindServerAbsent || len(m.failures) != 0 || count.Judgments != 20 {
		t.Fatalf("%+v, %v, %d failures", count, err, len(m.failures))
	}
}

func TestAServerThatHasGoneWrongEndsTheJobSoon(t *testing.T) {
	m, j := newMemory(500), &byWord{}
	j.fail = func(int, judge.Question) error { return &llm.Error{Kind: llm.KindServer, Op: "chat"} }
	_, err := runner(m, j).Run(t.Context(), nil)
	if err == nil || j.calls > 20 {
		t.Fatalf("%v after %d calls", err, j.calls)
	}
}

func TestNoLogprobsFromTheFirstAnswerEndsTheJob(t *testing.T) {
	m, j := newMemory(5), &byWord{}
	j.fail = func(int, judge.Question) error { return &llm.Error{Kind: llm.KindNoLogprobs, Op: "chat"} }
	r := runner(m, j)
	r.Workers = 1
	_, err := r.Run(t.Context(), nil)
	if llm.KindOf(err) != llm.KindNoLogprobs || j.calls != 1 || len(m.failures) != 0 {
		t.Fatalf("%v after %d calls, %d failures", err, j.calls, len(m.failures))
	}
}

func TestStopKeepsWhatIsInFlight(t *testing.T) {
	m, j := newMemory(100), &byWord{}
	stop := make(chan struct{})
	var once sync.Once
	j.fail = func(n int, _ judge.Question) error {
		if n == 30 {
			once.Do(func() { close(stop) })
		}
		return nil
	}
	count, err := runner(m, j).Run(t.Context(), stop)
	if !errors.Is(err, label.ErrStopped) || int(count.Judgments) != j.calls || len(m.judgments) != j.calls || j.calls > 40 {
		t.Fatalf("%v: %d calls, %d judgments", err, j.calls, len(m.judgments))
	}
	before := j.calls
	if count, err = runner(m, j).Run(t.Context(), nil); err != nil || j.calls-before != 400-before || m.doubled != 0 {
		t.Fatalf("resumed: %+v, %v, %d calls", count, err, j.calls)
	}
}

func TestCancelGivesUpWhatIsInFlight(t *testing.T) {
	m, j := newMemory(100), &byWord{}
	ctx, cancel := context.WithCancel(t.Context())
	j.fail = func(n int, _ judge.Question) error {
		if n == 30 {
			cancel()
		}
		return ctx.Err()
	}
	_, err := runner(m, j).Run(ctx, nil)
	if !errors.Is(err, label.ErrStopped) || len(m.failures) != 0 || len(m.judgments) > 30 {
		t.Fatalf("%v: %d judgments, %d failures", err, len(m.judgments), len(m.failures))
	}
}
