package cli

import (
	"context"
	"fmt"
	"time"

	"cai/dataset"
	"cai/label"
)

// countedAtOnce is how many pairs are counted in no time worth speaking of.
var countedAtOnce int64 = 20_000

// size learns what the first call needs to know of the job: the size of its
// longest pair. Where that is known without looking at every pair, so that a
// large job that is nearly done begins at once, the rest is counted beside the
// run; else everything is counted now.
func (l *labelRun) size() error {
	l.counted = true
	if l.active == nil && !l.c.Bool("adaptive") && l.job.Limit == 0 {
		longest, pairs, known, err := l.store.Longest(l.c.Context, l.job)
		if err != nil {
			return err
		}
		if known && pairs > countedAtOnce {
			l.plan, l.counted = dataset.Plan{Longest: longest}, false
			return nil
		}
	}
	var err error
	l.plan, err = l.store.Plan(l.c.Context, l.job)
	return err
}

// idle tells whether there is nothing to ask.
func (l *labelRun) idle() (bool, error) {
	if l.counted {
		return l.pending() == 0, nil
	}
	ctx, cancel := l.app.untilStop(l.c.Context)
	defer cancel()
	p := l.app.progress(l.c, "label", "pairs", 0)
	defer p.done()
	defer every(time.Second, func(since time.Duration) { p.wait(since, "looking for open questions") })()
	for _, err := range l.store.Pending(ctx, l.job) {
		if ctx.Err() != nil {
			return false, label.ErrStopped
		}
		return false, err
	}
	return true, nil
}

// countBeside counts what is pending while the run is under way and tells the
// watch. The function that it returns ends it.
func (l *labelRun) countBeside(w *labelWatch) func() {
	if l.counted {
		return func() {}
	}
	ctx, cancel := context.WithCancel(l.c.Context)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Without the total the progress still shows the rate, so an error, which
		// the run will meet as well, is no matter here.
		plan, err := l.store.Plan(ctx, l.job)
		if err != nil {
			return
		}
		open := plan.Wanted - plan.Done
		if !l.job.RetryFailed {
			open -= plan.Failed
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.total = open + done(w.count)
		w.reused = plan.Done - w.count.Judgments
		w.p.of(w.total)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// reused is how many of the job's judgments were there before this run.
func (l *labelRun) reused(after dataset.Plan, n label.Count) int64 {
	if l.counted {
		return l.plan.Done
	}
	return after.Done - n.Judgments
}

// every calls f again and again until the function that it returns is called.
func every(d time.Duration, f func(since time.Duration)) func() {
	start := time.Now()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f(time.Since(start))
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// of tells how many things there are.
func (p *progress) of(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

// wait shows that something takes its time before anything can be counted.
func (p *progress) wait(since time.Duration, what string) {
	if p.off {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.last) >= p.every {
		p.last = now
		p.print(fmt.Sprintf("%s: %s, %s", p.what, what, duration(since)))
	}
}
