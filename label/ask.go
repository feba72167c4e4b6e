package label

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cai/dataset"
	"cai/judge"
	"cai/llm"
)

// lane is where a group is asked: one of the groups in flight on a host. It
// travels in the context, so that what asks a pair's questions need not know of
// hosts.
type lane struct {
	*host
	rank  int
	group *group
	order dataset.Order // of the last question put here
}

type laneKey struct{}

// pair asks the open questions of one pair. It gives errAside where the rest of
// them is to be asked elsewhere, errLost where another process does so.
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
	l := ctx.Value(laneKey{}).(*lane)
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
	for {
		if !l.usable(l.rank) {
			return nil, errAside
		}
		if ok, err := s.hold(l.group); err != nil {
			return nil, err
		} else if !ok {
			return nil, errLost
		}
		began := time.Now()
		a, err := l.Judge.Compare(ctx, q)
		if err != nil {
			again, err := s.failed(ctx, l, w, slot, a, err)
			if again && err == nil {
				continue
			}
			return nil, err
		}
		j := &dataset.Judgment{
			Pair: w.Pair, Principle: slot.Principle, Judge: s.Job.Judge,
			Order: slot.Order, Sample: slot.Sample,
			LPFirst: a.LPFirst, LPSecond: a.LPSecond, LPTie: noTie,
			Coverage: a.Coverage, Censored: a.Censored,
			PromptTokens: a.PromptTokens, Duration: a.Duration, Created: time.Now(),
			Rationale: a.Rationale,
		}
		if err := s.Store.AddJudgment(context.WithoutCancel(ctx), j); err != nil {
			return nil, err
		}
		l.group.settled[slot] = true
		first := l.order != slot.Order
		l.order = slot.Order
		s.add(func(c *Count) {
			c.Judgments++
			c.Calls += int64(a.Calls)
			c.PromptTokens += int64(a.PromptTokens * a.Calls)
			c.Bias += (j.LogOdds() - c.Bias) / float64(c.Judgments)
			s.cache(c, a, first)
			abstains := !dataset.Counts(a.Coverage, s.MinCoverage)
			if abstains {
				c.Abstained++
			}
			if s.OnAnswer != nil {
				s.OnAnswer(a, abstains)
			}
		})
		l.answered(first, l.group.size, began, time.Now())
		return j, nil
	}
}

// failed decides what becomes of a question whose call failed: it is asked again
// here or, by errAside, elsewhere or later, or a failure is kept, or an error
// ends the job.
func (s *state) failed(ctx context.Context, l *lane, w *dataset.Work, slot dataset.Slot, a judge.Answer, err error) (again bool, _ error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if errors.Is(err, ErrStopped) { // by a comparer that takes several calls: it has put no new one
		s.stopped.Store(true)
		s.add(func(c *Count) { c.Calls += int64(a.Calls) })
		return false, nil
	}
	at := time.Now()
	s.add(func(c *Count) { c.Calls += int64(max(1, a.Calls)) })
	kind := llm.KindOf(err)
	switch {
	case unmendable(err):
		return false, l.quit(err)
	case kind == "":
		return false, fmt.Errorf("pair %s: %w", w.Pair, err)
	case kind == llm.KindNoLogprobs && s.judged() == 0:
		return false, err // the server gives none at all: not a matter of this pair
	case kind.Transient(), kind == llm.KindOffFormat, kind == llm.KindWrongModel:
		switch ill := l.examine(ctx, at, err); {
		case errors.Is(ill, errAside):
			return false, ill // the host's matter, not the question's
		case ill != nil:
			return false, ill
		}
		l.group.tries[slot]++
		if l.group.tries[slot] < maxTries {
			return true, nil
		}
	}
	if err := s.Store.AddFailure(context.WithoutCancel(ctx), &dataset.Failure{
		Pair: w.Pair, Principle: slot.Principle, Judge: s.Job.Judge,
		Order: slot.Order, Sample: slot.Sample,
		Kind: string(kind), Message: err.Error(), Created: time.Now(),
	}); err != nil {
		return false, err
	}
	l.group.settled[slot] = true
	s.add(func(c *Count) {
		c.Failed++
		if s.OnFailure != nil {
			s.OnFailure(err)
		}
	})
	return false, nil
}

// cache counts what the server's prefix cache held; s.mu must be held.
func (s *state) cache(c *Count, a judge.Answer, first bool) {
	if a.PromptTime <= 0 || a.PromptTokens <= 0 {
		return
	}
	perToken := a.PromptTime.Seconds() / float64(a.PromptTokens)
	if first {
		s.cold.add(perToken)
		return
	}
	c.Cacheable++
	if s.cold.n > 0 && perToken < s.cold.x/2 {
		c.Cached++
	}
}
