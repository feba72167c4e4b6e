package label

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
)

// Store is where a job finds what is pending and leaves what it learns.
type Store interface {
	// Pending gives the pairs of a job that have open questions. A question
	// that is answered or fails while the sequence is read does not come again.
	Pending(context.Context, dataset.Job) iter.Seq2[dataset.Work, error]
	// AddJudgment returns when the judgment would survive a power cut.
	AddJudgment(context.Context, *dataset.Judgment) error
	AddFailure(context.Context, *dataset.Failure) error
}

// Comparer answers one question; a [judge.Judge] is one.
type Comparer interface {
	Compare(context.Context, judge.Question) (judge.Answer, error)
}

// Count is how far a run has come. Its figures are of this run alone.
type Count struct {
	Judgments    int64
	Failed       int64
	Abstained    int64 // judgments whose coverage is below Runner.MinCoverage
	Calls        int64 // to the model, the failed ones included
	PromptTokens int64
	Saved        int64 // questions that Runner.Adaptive left out
}

// Runner works off a job.
type Runner struct {
	Store      Store
	Judge      Comparer
	Job        dataset.Job
	Principles []constitution.Principle // those of the job
	// Workers is how many pairs are worked on at once, at least 1. The
	// questions of one pair are asked one after the other, so that a server
	// with a prefix cache reads the pair once in each order.
	Workers int
	// MinCoverage is the coverage below which labels will abstain; here it only
	// counts.
	MinCoverage float64
	// Adaptive, if set, leaves out questions that are unlikely to matter.
	Adaptive *Adaptive
	// OnCount, if set, is called after each answer, by one worker at a time.
	OnCount func(Count)
}

// maxFailures is how many calls in a row may fail for reasons that lie with the
// server before the job stops: a server that has gone wrong overnight should
// not leave a failure beside every question that is still open.
const maxFailures = 10

// Run asks what is pending until nothing is, and says what it did. When stop
// closes, no new question is put, calls in flight are finished and kept, and
// Run returns [ErrStopped]; when ctx ends, calls in flight are given up too. An
// error that concerns one question is stored as a failure and the job goes on;
// one that concerns the server or the store ends it, and so does a server that
// gives no log-probabilities from the first answer on.
func (r *Runner) Run(ctx context.Context, stop <-chan struct{}) (Count, error) {
	s := &state{Runner: r, principles: map[dataset.Hash]*constitution.Principle{}}
	for i := range r.Principles {
		p := &r.Principles[i]
		s.principles[p.Hash()] = p
	}
	if r.Adaptive != nil {
		if err := r.Adaptive.prepare(ctx, r.Job); err != nil {
			return s.count, err
		}
	}
	work := make(chan dataset.Work)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(work)
		for w, err := range r.Store.Pending(gctx, r.Job) {
			if err != nil {
				return err
			}
			select {
			case work <- w:
			case <-stop:
				s.stopped.Store(true)
				return nil
			case <-gctx.Done():
				return gctx.Err()
			}
		}
		return nil
	})
	for range max(1, r.Workers) {
		g.Go(func() error {
			for w := range work {
				if err := s.pair(gctx, w, stop); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if (err == nil && s.stopped.Load()) || (err != nil && ctx.Err() != nil) {
		err = ErrStopped
	}
	return s.count, err
}

// ErrStopped says that a run was stopped from outside; what it has done is in
// the store.
var ErrStopped = errors.New("stopped")

type state struct {
	*Runner
	principles map[dataset.Hash]*constitution.Principle
	inARow     atomic.Int64 // server failures since the last answer
	stopped    atomic.Bool

	mu    sync.Mutex
	count Count
}

// pair asks the open questions of one pair.
func (s *state) pair(ctx context.Context, w dataset.Work, stop <-chan struct{}) error {
	if s.Adaptive != nil {
		return s.adaptivePair(ctx, w, stop)
	}
	for _, slot := range w.Slots {
		select {
		case <-stop:
			s.stopped.Store(true)
			return nil
		default:
		}
		if _, err := s.ask(ctx, &w, slot); err != nil {
			return err
		}
	}
	return nil
}

// ask puts one question and keeps its answer. The judgment is nil where a
// failure was kept in its place.
func (s *state) ask(ctx context.Context, w *dataset.Work, slot dataset.Slot) (*dataset.Judgment, error) {
	q := judge.Question{
		Prompt: w.Prompt, First: w.A, Second: w.B,
		Principle: s.principles[slot.Principle], Sample: slot.Sample,
	}
	if q.Principle == nil {
		return nil, fmt.Errorf("pair %s: principle %s is not one of the job's", w.Pair, slot.Principle)
	}
	if slot.Order == dataset.OrderBA {
		q.First, q.Second = q.Second, q.First
	}
	a, err := s.Judge.Compare(ctx, q)
	if err != nil {
		return nil, s.failed(ctx, w, slot, a, err)
	}
	s.inARow.Store(0)
	j := &dataset.Judgment{
		Pair: w.Pair, Principle: slot.Principle, Judge: s.Job.Judge,
		Order: slot.Order, Sample: slot.Sample,
		LPFirst: a.LPFirst, LPSecond: a.LPSecond, LPTie: noTie,
		Coverage: a.Coverage, Censored: a.Censored,
		PromptTokens: a.PromptTokens, Duration: a.Duration, Created: time.Now(),
	}
	if err := s.Store.AddJudgment(context.WithoutCancel(ctx), j); err != nil {
		return nil, err
	}
	s.add(func(c *Count) {
		c.Judgments++
		c.Calls += int64(a.Calls)
		c.PromptTokens += int64(a.PromptTokens * a.Calls)
		if a.Coverage < s.MinCoverage {
			c.Abstained++
		}
	})
	return j, nil
}

// failed keeps a failure of one question, or gives back an error that ends the
// job.
func (s *state) failed(ctx context.Context, w *dataset.Work, slot dataset.Slot, a judge.Answer, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.add(func(c *Count) { c.Calls += int64(max(1, a.Calls)) })
	if llm.Fatal(err) {
		return err
	}
	kind := llm.KindOf(err)
	if kind == llm.KindNoLogprobs && s.judged() == 0 {
		return err // the server gives none at all: not a matter of this pair
	}
	if kind == "" {
		return fmt.Errorf("pair %s: %w", w.Pair, err)
	}
	if kind.Transient() {
		if n := s.inARow.Add(1); n >= maxFailures {
			return fmt.Errorf("%d calls in a row failed, the job stops here and loses nothing: %w", n, err)
		}
	}
	if err := s.Store.AddFailure(context.WithoutCancel(ctx), &dataset.Failure{
		Pair: w.Pair, Principle: slot.Principle, Judge: s.Job.Judge,
		Order: slot.Order, Sample: slot.Sample,
		Kind: string(kind), Message: err.Error(), Created: time.Now(),
	}); err != nil {
		return err
	}
	s.add(func(c *Count) { c.Failed++ })
	return nil
}

func (s *state) judged() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count.Judgments
}

func (s *state) add(f func(*Count)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.count)
	if s.OnCount != nil {
		s.OnCount(s.count)
	}
}
