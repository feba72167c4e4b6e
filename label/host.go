package label

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"cai/llm"
)

// Host is one server that judges.
type Host struct {
	Name  string
	Judge Comparer
	// Check tells whether the server is up, has the right weights and answers. If
	// it is nil, a host is asked a question of the job to find out.
	Check func(context.Context) error
	// Away, if not nil, is why the host is not to be used until Check passes.
	Away error
	// Tune says how many groups the host works on at once; nil makes one by
	// Runner.Workers. One that is kept knows the host in the next run.
	Tune *Tuner
	// Forget, if set, is called when the host was away and is back.
	Forget func()
}

// Event is something that happened to a host.
type Event struct {
	Kind   EventKind
	Host   string
	Groups int   // in flight from now on, for HostGroups
	Err    error // why, for HostAway and HostLeft
	// Judgments that the host has made in this run.
	Judgments int64
}

// EventKind says what happened to a host.
type EventKind string

// The kinds of events.
const (
	HostAway   EventKind = "away"   // no group is sent to it; it is looked for
	HostBack   EventKind = "back"   // it takes groups again
	HostLeft   EventKind = "left"   // it is not used any more
	HostGroups EventKind = "groups" // the number of groups in flight has changed
)

// firstPatience is how long a job waits for a server that has not answered a
// single question: whoever began it is still there to mend things.
const firstPatience = 10 * time.Second

// maxTries bounds the attempts at one question on hosts that are well
// otherwise.
const maxTries = 3

// inARow is how many calls in a row fail until a host without a check is taken
// for ill.
const inARow = 10

// host is a Host at work.
type host struct {
	Host
	s *state

	look sync.Mutex // held by the one who checks

	mu        sync.Mutex
	up, left  bool
	well      time.Time // when a check passed last
	failed    int       // calls since the last answer
	judgments int64
	changed   chan struct{} // closed and replaced when any of this, or the tuner's number, changes
}

// errAside says that a group goes back to the queue.
var errAside = errors.New("the group goes to another host")

// errLost says that another process has taken a group over.
var errLost = errors.New("the group is another process's")

// usable tells whether a lane may put a question now; rank is the lane's number
// on its host.
func (h *host) usable(rank int) bool {
	groups := h.Tune.groups()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up && rank < groups
}

// ready waits until a lane may work. It is false when the lane's work is over.
func (h *host) ready(ctx context.Context, rank int, stop <-chan struct{}) bool {
	for {
		h.mu.Lock()
		changed, left := h.changed, h.left
		h.mu.Unlock()
		if left {
			return false
		}
		select {
		case <-h.s.queue.done:
			return false
		case <-stop:
			return false
		case <-ctx.Done():
			return false
		default:
		}
		if h.usable(rank) {
			return true
		}
		select {
		case <-changed:
		case <-h.s.queue.done:
			return false
		case <-stop:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// wake tells the lanes to look again.
func (h *host) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *host) watch() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// lane works off groups, one at a time.
func (h *host) lane(ctx context.Context, rank int, stop <-chan struct{}) error {
	for h.ready(ctx, rank, stop) {
		g := h.s.queue.next(ctx, stop, h.watch())
		if g == nil {
			select {
			case <-stop:
				h.s.stopped.Store(true)
			default:
			}
			continue // ready knows why
		}
		l := &lane{host: h, rank: rank, group: g}
		err := h.s.pair(context.WithValue(ctx, laneKey{}, l), g.work, stop)
		switch {
		case err == nil:
			h.s.leave(g)
			h.s.queue.finish()
		case errors.Is(err, errLost):
			h.s.queue.finish()
		case errors.Is(err, errAside):
			h.s.queue.putBack(g)
		default:
			h.s.queue.finish()
			return err
		}
	}
	return ctx.Err()
}

// answered notes a call that went well.
func (h *host) answered(first bool, size int, began, ended time.Time) {
	h.mu.Lock()
	h.failed = 0
	h.judgments++
	n := h.judgments
	h.mu.Unlock()
	h.s.good()
	if h.Tune.saw(first, size, began, ended) {
		h.wake()
		h.s.tell(Event{Kind: HostGroups, Host: h.Name, Groups: h.Tune.groups(), Judgments: n})
	}
}

// examine finds out whether a call that failed at some time is a matter of the
// host. If so it gives errAside, or an error that ends the job.
func (h *host) examine(ctx context.Context, at time.Time, cause error) error {
	if llm.KindOf(cause) == llm.KindServerAbsent {
		return h.lose(ctx, cause)
	}
	if h.Check == nil {
		h.mu.Lock()
		h.failed++
		ill := h.failed >= inARow
		h.mu.Unlock()
		if ill {
			return h.lose(ctx, cause)
		}
		return nil
	}
	h.look.Lock()
	defer h.look.Unlock()
	h.mu.Lock()
	up, well := h.up, h.well
	h.mu.Unlock()
	if !up {
		return errAside
	}
	if well.After(at) {
		return nil
	}
	now := time.Now()
	if err := h.Check(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return h.lose(ctx, err)
	}
	h.mu.Lock()
	h.well = now
	h.mu.Unlock()
	return nil
}

// lose takes a host out until it is back, or for good where waiting does not
// mend what is wrong.
func (h *host) lose(ctx context.Context, cause error) error {
	if unmendable(cause) {
		return h.quit(cause)
	}
	h.mu.Lock()
	was := h.up
	h.up = false
	n := h.judgments
	h.mu.Unlock()
	if !was {
		return errAside
	}
	h.wake()
	if err := h.s.lost(cause); err != nil {
		return err
	}
	h.s.tell(Event{Kind: HostAway, Host: h.Name, Err: cause, Judgments: n})
	h.s.background.Go(func() error { return h.revive(ctx, cause) })
	return errAside
}

// unmendable tells that waiting does not help.
func unmendable(err error) bool {
	return llm.Fatal(err) && llm.KindOf(err) != llm.KindServerAbsent
}

// quit takes a host out for good. It gives the cause where no other is left.
func (h *host) quit(cause error) error {
	h.mu.Lock()
	was := h.left
	h.up, h.left = false, true
	n := h.judgments
	h.mu.Unlock()
	if was {
		return errAside
	}
	h.wake()
	if h.s.remaining() == 0 {
		return cause
	}
	h.s.tell(Event{Kind: HostLeft, Host: h.Name, Err: cause, Judgments: n})
	return errAside
}

// revive looks for a host that was lost until it is back, with growing pauses.
// It gives an error when there is no patience left for any host.
func (h *host) revive(ctx context.Context, cause error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 250*time.Millisecond, 15*time.Second
	for {
		wait := pause.NextBackOff()
		if left, all := h.s.patience(); all {
			if left <= 0 {
				return fmt.Errorf("no server has answered for %s; what was judged is kept, and the same command goes on from there: %w", h.s.waited(), cause)
			}
			wait = min(wait, left)
		}
		select {
		case <-time.After(wait):
		case <-h.s.queue.done:
			return nil
		case <-h.s.halt:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if h.Check != nil {
			if err := h.Check(ctx); err != nil {
				if unmendable(err) {
					if err := h.quit(err); !errors.Is(err, errAside) {
						return err
					}
					return nil
				}
				cause = err
				continue
			}
		}
		h.mu.Lock()
		h.up, h.well = true, time.Now()
		h.failed = max(0, h.failed-1) // without a check the next question is the trial
		n := h.judgments
		h.mu.Unlock()
		if h.Forget != nil {
			h.Forget()
		}
		h.Tune.away()
		if h.Check != nil {
			h.s.good()
		}
		h.s.tell(Event{Kind: HostBack, Host: h.Name, Judgments: n})
		h.wake()
		return nil
	}
}
