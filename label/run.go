package label

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"cai/constitution"
	"cai/dataset"
	"cai/judge"
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

// Claimer shares a job between processes.
type Claimer interface {
	// Pending gives the pairs of the job that have open questions and that no
	// other process works on. It ends when all of them are left and the others are
	// through with theirs. A pair that was lost comes again if it is still open.
	Pending(context.Context) iter.Seq2[dataset.Work, error]
	// Hold tells whether a pair is still this process's. Where it is not, it is
	// lost: others ask what is open.
	Hold(pair dataset.Hash) (bool, error)
	// Leave says that a pair is done with.
	Leave(pair dataset.Hash)
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
	// Cached is how many questions found their pair in the server's cache, of
	// Cacheable that were put right after another one of the same pair and order
	// to a server that says how long it read. A prompt counts as found if it was
	// read in less than half the time of one that cannot have been.
	Cached, Cacheable int64
	// Bias is the mean log-odds by which the first slot was favoured: the mean
	// position bias, once both orders of the pairs are asked.
	Bias float64
}

// Runner works off a job.
type Runner struct {
	Store Store
	Judge Comparer
	// Hosts are the servers to spread the work over; none is Judge alone.
	Hosts      []Host
	Job        dataset.Job
	Principles []constitution.Principle // those of the job
	// Workers is how many pairs are worked on at once on each host. 0 finds it
	// by trying, with the questions of the job. The questions of one pair are
	// asked one after the other, so that a server with a prefix cache reads the
	// pair once in each order.
	Workers int
	// Patience is how long the run waits, with no question marked as failed,
	// when no host answers any more. Before the first answer it is 10 s at most.
	Patience time.Duration
	// MinCoverage is the coverage below which labels will abstain; here it only
	// counts.
	MinCoverage float64
	// Claims, if set, keeps other processes from asking the same.
	Claims Claimer
	// Adaptive, if set, leaves out questions that are unlikely to matter.
	Adaptive *Adaptive
	// OnCount, if set, is called after each answer, by one worker at a time.
	OnCount func(Count)
	// OnAnswer and OnFailure, if set, are told of each judgment, and whether labels
	// will abstain on it, and of each failure that is kept, by one worker at a time.
	OnAnswer  func(a judge.Answer, abstains bool)
	OnFailure func(err error)
	// OnEvent, if set, is told what happens to hosts, by one worker at a time.
	OnEvent func(Event)
}

// Run asks what is pending until nothing is, and says what it did. When stop
// closes, no new question is put, calls in flight are finished and kept, and
// Run returns [ErrStopped]; when ctx ends, calls in flight are given up too.
//
// A call that failed in a way that may pass is followed by a look at the host.
// If that is well, the question is asked again, and after three failures a
// failure is stored in its place and the job goes on. If not, the host gets no
// more questions until it is back, and its groups go to others or wait; the job
// ends with an error when no host was there for as long as Patience. It ends at
// once where waiting does not help: the model is gone or has other weights, the
// store fails, or the server gives no log-probabilities from the first answer
// on.
func (r *Runner) Run(ctx context.Context, stop <-chan struct{}) (Count, error) {
	s := &state{Runner: r, principles: map[dataset.Hash]*constitution.Principle{}, queue: newQueue(), halt: stop, last: time.Now()}
	for i := range r.Principles {
		p := &r.Principles[i]
		s.principles[p.Hash()] = p
	}
	if r.Adaptive != nil {
		if err := r.Adaptive.prepare(ctx, r.Job); err != nil {
			return s.count, err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	s.background = g
	hosts := r.Hosts
	if len(hosts) == 0 {
		hosts = []Host{{Judge: r.Judge}}
	}
	for _, h := range hosts {
		if h.Tune == nil {
			h.Tune = NewTuner(r.Workers)
		}
		s.hosts = append(s.hosts, &host{Host: h, s: s, up: h.Away == nil, changed: make(chan struct{})})
	}
	g.Go(func() error { return s.feed(gctx, stop) })
	for _, h := range s.hosts {
		lanes := h.Tune.most()
		if h.Away != nil {
			s.tell(Event{Kind: HostAway, Host: h.Name, Err: h.Away})
			g.Go(func() error { return h.revive(gctx, h.Away) })
		}
		for rank := range lanes {
			g.Go(func() error { return h.lane(gctx, rank, stop) })
		}
	}
	err := g.Wait()
	if err == nil {
		select {
		case <-s.queue.done:
		default:
			s.stopped.Store(true)
		}
	}
	if (err == nil && s.stopped.Load()) || (err != nil && ctx.Err() != nil) {
		err = ErrStopped
	}
	return s.count, err
}

// feed brings what is pending to the queue.
func (s *state) feed(ctx context.Context, stop <-chan struct{}) error {
	defer close(s.queue.fresh)
	pending := s.Store.Pending(ctx, s.Job)
	if s.Claims != nil {
		// The sequence may be waiting for another process when the user stops.
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		go func() {
			select {
			case <-stop:
				end()
			case <-ctx.Done():
			}
		}()
		pending = s.Claims.Pending(ctx)
	}
	for w, err := range pending {
		select {
		case <-stop:
			s.stopped.Store(true)
			return nil
		default:
		}
		if err != nil {
			return err
		}
		select {
		case s.queue.fresh <- newGroup(w):
		case <-stop:
			s.stopped.Store(true)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ErrStopped says that a run was stopped from outside; what it has done is in
// the store.
var ErrStopped = errors.New("stopped")

type state struct {
	*Runner
	principles map[dataset.Hash]*constitution.Principle
	queue      *queue
	hosts      []*host
	background *errgroup.Group
	halt       <-chan struct{}
	stopped    atomic.Bool

	mu    sync.Mutex
	count Count
	cold  mean      // seconds that a token of a new prompt takes to read
	last  time.Time // when a host was known to be well

	telling sync.Mutex
}

// hold tells whether a group may still be asked by this process.
func (s *state) hold(g *group) (bool, error) {
	if s.Claims == nil {
		return true, nil
	}
	return s.Claims.Hold(g.work.Pair)
}

// leave says that a group is done with.
func (s *state) leave(g *group) {
	if s.Claims != nil {
		s.Claims.Leave(g.work.Pair)
	}
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

func (s *state) tell(e Event) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.OnEvent != nil {
		s.OnEvent(e)
	}
}

// good notes that a host is well.
func (s *state) good() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
}

// standing counts the hosts that take questions, and those that may again.
func (s *state) standing() (up, remaining int) {
	for _, h := range s.hosts {
		h.mu.Lock()
		if h.up {
			up++
		}
		if !h.left {
			remaining++
		}
		h.mu.Unlock()
	}
	return up, remaining
}

func (s *state) remaining() int {
	_, n := s.standing()
	return n
}

// waited is how long the run waits when no host is there.
func (s *state) waited() time.Duration {
	if s.judged() == 0 {
		return min(firstPatience, s.Patience)
	}
	return s.Patience
}

// patience gives how much longer the run waits for a host; all tells that none
// is there.
func (s *state) patience() (left time.Duration, all bool) {
	up, _ := s.standing()
	if up > 0 {
		return 0, false
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	return s.waited() - time.Since(last), true
}

// lost is called when a host is lost. It gives the cause where none is left and
// the run does not wait.
func (s *state) lost(cause error) error {
	up, _ := s.standing()
	if up > 0 {
		return nil
	}
	s.mu.Lock()
	s.last = time.Now() // a call may have taken long
	s.mu.Unlock()
	if s.waited() <= 0 {
		return cause
	}
	return nil
}
