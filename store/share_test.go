package store_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/store"
)

// call is a question that was put.
type call struct {
	by       *worker
	answered bool
	// lost tells that who put it was killed, or taken for dead, before the answer
	// was kept: such a call may be repeated.
	lost bool
}

// sharing is a job and the processes that share it, here each with a store of
// its own or some with one together.
type sharing struct {
	path    string
	job     dataset.Job
	wanted  int           // questions
	failing int           // one question in so many fails; 0 is none
	dead    int           // the number of a process that is gone
	over    chan struct{} // closed when the workers are to vanish

	mu     sync.Mutex
	calls  map[question][]*call
	faults []string

	workers []*worker
	stores  []*store.Store
}

// worker is a process that works on the job with some lanes.
type worker struct {
	*sharing
	s      *store.Store
	c      *store.Claims
	ctx    context.Context
	stop   context.CancelFunc
	lanes  []chan struct{} // one step of each
	resume func()          // nil unless its writer is paused
	killed chan struct{}
	done   chan struct{}
	far    bool // on another machine
}

func (x *sharing) fault(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.faults = append(x.faults, fmt.Sprintf(format, args...))
}

func (x *sharing) open(ctx context.Context) (*store.Store, error) {
	s, err := store.Open(ctx, x.path)
	if err == nil {
		x.stores = append(x.stores, s)
	}
	return s, err
}

// join has one more process share the job.
func (x *sharing) join(ctx context.Context, s *store.Store, lanes int, far bool) (*worker, error) {
	c, err := s.Claim(ctx, x.job)
	if err != nil {
		return nil, err
	}
	w := &worker{sharing: x, s: s, c: c, far: far, killed: make(chan struct{}), done: make(chan struct{})}
	w.ctx, w.stop = context.WithCancel(ctx)
	x.workers = append(x.workers, w)
	if far {
		if err := store.Exec(s, "UPDATE claimants SET machine = 'another' WHERE id = ?", store.ClaimantID(c)); err != nil {
			return nil, err
		}
	}
	for range lanes {
		w.lanes = append(w.lanes, make(chan struct{}))
	}
	go w.run()
	return w, nil
}

func (w *worker) run() {
	defer close(w.done)
	groups := make(chan dataset.Work)
	var lanes sync.WaitGroup
	for _, step := range w.lanes {
		lanes.Go(func() {
			for work := range groups {
				if !w.ask(work, step) {
					return
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { lanes.Wait(); close(ended) }()
feed:
	for work, err := range w.c.Pending(w.ctx) {
		if err != nil {
			if w.ctx.Err() == nil && !w.gone() {
				w.fault("pending: %v", err)
			}
			break
		}
		select {
		case groups <- work:
		case <-ended:
			break feed
		case <-w.ctx.Done():
			break feed
		}
	}
	close(groups)
	lanes.Wait()
	if w.gone() {
		store.Abandon(w.c)
	} else if err := w.c.Close(); err != nil {
		w.fault("close: %v", err)
	}
}

// gone tells whether the process is not there any more.
func (w *worker) gone() bool {
	select {
	case <-w.killed:
	case <-w.over:
	default:
		return false
	}
	return true
}

// at waits until the lane may make its next step.
func (w *worker) at(step chan struct{}) bool {
	select {
	case <-step:
		return !w.gone()
	case <-w.killed:
	case <-w.over:
	}
	return false
}

// ask asks what is open of a pair. It reports false when the lane is to end.
func (w *worker) ask(work dataset.Work, step chan struct{}) bool {
	for _, slot := range work.Slots {
		if !w.at(step) || w.ctx.Err() != nil {
			return false
		}
		if ok, err := w.c.Hold(work.Pair); err != nil || !ok {
			if err != nil {
				w.fault("hold: %v", err)
			}
			return err == nil
		}
		q := question{work.Pair, slot}
		c := w.put(q)
		if !w.at(step) {
			return false
		}
		var err error
		if w.fails(q) {
			err = w.s.AddFailure(context.Background(), &dataset.Failure{
				Pair: q.pair, Principle: slot.Principle, Judge: w.job.Judge, Order: slot.Order, Sample: slot.Sample,
				Kind: "server", Message: "no", Created: time.Now(),
			})
		} else {
			err = w.s.AddJudgment(context.Background(), judgment(w.job, q.pair, slot, 1))
		}
		if err != nil {
			w.fault("answer: %v", err)
			return false
		}
		w.mu.Lock()
		c.answered = true
		w.mu.Unlock()
	}
	if !w.at(step) {
		return false
	}
	w.c.Leave(work.Pair)
	return true
}

// put notes that a question is put; all that put it before must have been lost.
func (w *worker) put(q question) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls[q] {
		if !c.lost {
			w.faults = append(w.faults, fmt.Sprintf("%v is asked twice; the first was answered: %v", q, c.answered))
		}
	}
	c := &call{by: w}
	w.calls[q] = append(w.calls[q], c)
	return c
}

// lose notes that what the process is asking may be asked again.
func (w *worker) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cs := range w.calls {
		for _, c := range cs {
			c.lost = c.lost || c.by == w && !c.answered
		}
	}
}

// answered counts the questions that are done with.
func (x *sharing) answered() (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, cs := range x.calls {
		if slices.ContainsFunc(cs, func(c *call) bool { return c.answered }) {
			n++
		}
	}
	return n
}

func (x *sharing) fails(q question) bool {
	return x.failing > 0 && (int(q.pair[0])+int(q.slot.Principle[0])+len(x.job.Principles))%x.failing == 0
}

// alive gives the workers that have not ended.
func (x *sharing) alive() (out []*worker) {
	for _, w := range x.workers {
		select {
		case <-w.done:
		default:
			out = append(out, w)
		}
	}
	return out
}

// step lets one lane go on, if it waits for that.
func (w *worker) step(lane int) {
	select {
	case w.lanes[lane%len(w.lanes)] <- struct{}{}:
	default:
	}
	synctest.Wait()
}

// pause stops what its store writes.
func (w *worker) pause() {
	for _, o := range w.workers {
		if o.s == w.s && o.resume != nil {
			return
		}
	}
	w.resume = store.Pause(w.s)
	synctest.Wait()
}

func (w *worker) unpause() {
	for _, o := range w.workers {
		if o.s == w.s && o.resume != nil {
			o.resume()
			o.resume = nil
		}
	}
	synctest.Wait()
}

// kill ends a process as it stands.
func (w *worker) kill() error {
	w.unpause()
	id := store.ClaimantID(w.c)
	close(w.killed)
	w.stop()
	<-w.done
	w.lose()
	return store.Exec(w.s, "UPDATE claimants SET machine = ?, process = ? WHERE id = ?", store.Place(), w.dead, id)
}

// sleep lets time pass. Who cannot write meanwhile may be taken for dead by
// those who cannot look.
func (x *sharing) sleep(d time.Duration) {
	for _, w := range x.workers {
		for _, o := range x.workers {
			if o.resume != nil && o.s == w.s && w.far {
				w.lose()
			}
		}
	}
	time.Sleep(d)
	synctest.Wait()
}

// finish lets all go on until nothing is open, with one more process where none
// is left.
func (x *sharing) finish(ctx context.Context) error {
	for range 2000 {
		left := x.alive()
		if len(left) == 0 {
			done := x.answered()
			if done == x.wanted {
				return nil
			}
			if slices.ContainsFunc(x.workers, func(w *worker) bool { return w.ctx.Err() == nil }) {
				return fmt.Errorf("all have ended: %d of %d questions are answered", done, x.wanted)
			}
			if _, err := x.join(ctx, x.stores[0], 1, false); err != nil {
				return err
			}
			continue
		}
		for _, w := range left {
			w.unpause()
			for lane := range w.lanes {
				w.step(lane)
			}
		}
		if len(x.alive()) == len(left) {
			time.Sleep(time.Second)
			synctest.Wait()
		}
	}
	return fmt.Errorf("%d processes do not come to an end", len(x.alive()))
}

// end removes what is left, also where something failed.
func (x *sharing) end() (err error) {
	for _, w := range x.workers {
		w.unpause()
	}
	close(x.over)
	for _, w := range x.workers {
		w.stop()
		<-w.done
	}
	for _, s := range x.stores {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// schedule is a job and what happens to those who share it.
type schedule struct {
	Pairs, Principles int
	Failing           int
	Retry             bool // something failed before
	Events            []event
}

type event struct {
	Kind     string
	Worker   int // which of those that are there
	Lane     int
	Steps    int
	Time     time.Duration // that passes
	Own, Far bool          // one that joins has a store of its own, is on another machine
}

func drawSchedule(r *rapid.T) schedule {
	kinds := []string{"step", "step", "step", "step", "step", "sleep", "pause", "freeze", "freeze", "resume", "resume", "stop", "kill", "join", "join"}
	one := rapid.Custom(func(r *rapid.T) event {
		return event{
			Kind: rapid.SampledFrom(kinds).Draw(r, "kind"), Worker: rapid.IntRange(0, 2).Draw(r, "worker"),
			Lane: rapid.IntRange(0, 1).Draw(r, "lane"), Steps: rapid.IntRange(1, 6).Draw(r, "steps"),
			Time: rapid.SampledFrom([]time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second}).Draw(r, "time"),
			Own:  rapid.IntRange(0, 3).Draw(r, "own") > 0, Far: rapid.IntRange(0, 3).Draw(r, "far") > 0,
		}
	})
	return schedule{
		Pairs: rapid.IntRange(1, mostShared).Draw(r, "pairs"), Principles: rapid.IntRange(1, 2).Draw(r, "principles"),
		Failing: rapid.SampledFrom([]int{0, 2, 3}).Draw(r, "failing"), Retry: rapid.Bool().Draw(r, "retry"),
		Events: rapid.SliceOfN(one, 0, 40).Draw(r, "events"),
	}
}

// Whatever the order in which processes that share a job read, claim, ask,
// commit, leave, stop, are held up and die: no question is put that is answered,
// or that another one is asking, and all are answered in the end.
func TestSharedJobsAskEverythingOnce(t *testing.T) {
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	store.AgeProcesses(t)
	path := filepath.Join(t.TempDir(), "cai.db")
	job, template := sharedJob(t, filepath.Join(t.TempDir(), "cai.db"))
	rapid.Check(t, func(r *rapid.T) {
		plan := drawSchedule(r)
		if err := os.WriteFile(path, template, 0o600); err != nil {
			r.Fatal(err)
		}
		x := &sharing{path: path, job: job, dead: gone.Process.Pid, failing: plan.Failing, calls: map[question][]*call{}}
		synctest.Test(t, func(t *testing.T) {
			x.over = make(chan struct{})
			if err := x.play(t, plan); err != nil {
				x.fault("%v", err)
			}
			if err := x.end(); err != nil {
				x.fault("close: %v", err)
			}
		})
		for _, f := range x.faults {
			r.Error(f)
		}
	})
}

// sharedJob makes a database with a job of two principles and files of 1, 2 …
// pairs.
func sharedJob(t *testing.T, path string) (dataset.Job, []byte) {
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	job := testJob(t, s, 2)
	for n := 1; n <= mostShared; n++ {
		file := testPairs(n)
		job.Files = append(job.Files, mustImport(t, s, fmt.Sprint(n), append(file, file[0])).File) // one stands there twice
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return job, b
}

const mostShared = 4 // pairs of a shared job

func (x *sharing) play(t *testing.T, plan schedule) error {
	s, err := x.open(t.Context())
	if err != nil {
		return err
	}
	x.job.Files, x.job.Principles = x.job.Files[plan.Pairs-1:plan.Pairs], x.job.Principles[:plan.Principles]
	x.wanted = 2 * plan.Pairs * plan.Principles
	if plan.Retry {
		for _, w := range pending(t, s, x.job) {
			if err := s.AddFailure(t.Context(), &dataset.Failure{
				Pair: w.Pair, Principle: w.Slots[0].Principle, Judge: x.job.Judge, Order: w.Slots[0].Order,
				Kind: "server", Message: "before", Created: time.Now().Add(-time.Second),
			}); err != nil {
				return err
			}
		}
		x.job.RetryFailed, x.job.Since = true, time.Now()
	}
	if _, err := x.join(t.Context(), s, 2, true); err != nil {
		return err
	}
	for _, e := range plan.Events {
		synctest.Wait()
		if err := x.event(t.Context(), e); err != nil {
			return err
		}
	}
	if err := x.finish(t.Context()); err != nil {
		return err
	}
	if left := pending(t, s, x.job); len(left) > 0 {
		return fmt.Errorf("%d pairs are open", len(left))
	}
	if slices.ContainsFunc(x.workers, (*worker).gone) {
		return nil // what it had stays until another one needs it
	}
	if rows := shell(t, s, "SELECT pair FROM claims UNION ALL SELECT id FROM claimants"); len(rows) > 0 {
		return fmt.Errorf("%d claims or claimants are left", len(rows))
	}
	return nil
}

// event has something happen, if it can.
func (x *sharing) event(ctx context.Context, e event) error {
	left := x.alive()
	if e.Kind == "join" && len(left) > 0 && len(left) < 3 {
		for _, w := range left {
			w.unpause() // its store may be the new one's
		}
		s := x.stores[0]
		if e.Own {
			var err error
			if s, err = x.open(ctx); err != nil {
				return err
			}
		}
		_, err := x.join(ctx, s, 1+e.Lane, e.Far)
		return err
	}
	if len(left) == 0 {
		return nil
	}
	w := left[e.Worker%len(left)]
	switch e.Kind {
	case "step":
		for range e.Steps {
			w.step(e.Lane)
		}
	case "sleep":
		x.sleep(e.Time)
	case "pause":
		w.pause()
	case "freeze":
		w.pause()
		x.sleep(100 * time.Second)
	case "resume":
		w.unpause()
	case "stop":
		w.stop()
	case "kill":
		return w.kill()
	}
	return nil
}
