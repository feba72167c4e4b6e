package label_test

import (
	"errors"
	"fmt"
	"testing"

	"cai/judge"
	"cai/label"
)

// A comparer of several calls that ends between two of them, because the run is
// stopped, leaves its question open, and what is in flight beside it is kept.
func TestAComparerThatStopsLeavesItsQuestionOpen(t *testing.T) {
	m := newMemory(20)
	stop, beside := make(chan struct{}), make(chan struct{})
	j := &byWord{fail: func(n int, _ judge.Question) error {
		switch n {
		case 1:
			close(stop)
			close(beside)
			return fmt.Errorf("turn 2: %w", label.ErrStopped)
		case 2:
			<-beside
		}
		return nil
	}}
	r := runner(m, j)
	r.Workers = 2
	count, err := r.Run(t.Context(), stop)
	if !errors.Is(err, label.ErrStopped) {
		t.Fatalf("%+v, %v", count, err)
	}
	if int(count.Judgments) != j.calls-1 || len(m.judgments) != j.calls-1 || count.Failed != 0 || len(m.failures) != 0 || int(count.Calls) != j.calls-1 {
		t.Errorf("%d questions, of which one was broken off: %+v, %d kept, %d failures", j.calls, count, len(m.judgments), len(m.failures))
	}
	count, err = runner(m, &byWord{}).Run(t.Context(), nil)
	if err != nil || len(m.judgments) != 80 || m.doubled != 0 {
		t.Errorf("the next run: %+v, %v, %d judgments", count, err, len(m.judgments))
	}
}
