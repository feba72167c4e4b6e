package label

import (
	"context"
	"slices"
	"sync"

	"cai/dataset"
)

// group is the questions of one pair, which share most of their prompt: they
// are asked one after the other, on one host, so that a server with a prefix
// cache reads the pair once in each order.
type group struct {
	work    dataset.Work
	size    int                   // bytes of the pair
	settled map[dataset.Slot]bool // questions whose judgment or failure is kept
	tries   map[dataset.Slot]int  // calls that failed though the host was well
}

func newGroup(w dataset.Work) *group {
	g := &group{work: w, size: len(w.A) + len(w.B), settled: map[dataset.Slot]bool{}, tries: map[dataset.Slot]int{}}
	for _, m := range w.Prompt {
		g.size += len(m.Content)
	}
	return g
}

// queue hands groups to hosts. A group that its host could not finish goes to
// whoever is free next, before new ones.
type queue struct {
	fresh chan *group   // from the store, closed at the end
	done  chan struct{} // closed when nothing is left and nothing can come back

	mu    sync.Mutex
	back  []*group
	out   int // groups at hosts
	ended bool
	moved chan struct{} // closed and replaced whenever something changes
}

func newQueue() *queue {
	return &queue{fresh: make(chan *group), done: make(chan struct{}), moved: make(chan struct{})}
}

// next gives a group, and nil when there is none left, or when stop, leave or
// ctx say so first.
func (q *queue) next(ctx context.Context, stop, leave <-chan struct{}) *group {
	for {
		q.mu.Lock()
		if n := len(q.back); n > 0 {
			g := q.back[n-1]
			q.back = q.back[:n-1]
			q.out++
			q.mu.Unlock()
			return g
		}
		fresh, moved := q.fresh, q.moved
		if q.ended {
			fresh = nil
		}
		q.mu.Unlock()
		select {
		case g, ok := <-fresh:
			q.mu.Lock()
			if ok {
				q.out++
				q.mu.Unlock()
				return g
			}
			q.ended = true
			q.change()
			q.mu.Unlock()
		case <-moved:
		case <-q.done:
			return nil
		case <-stop:
			return nil
		case <-leave:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// finish says that a group is done with.
func (q *queue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out--
	q.change()
}

// putBack gives what is open of a group to others.
func (q *queue) putBack(g *group) {
	g.work.Slots = slices.DeleteFunc(slices.Clone(g.work.Slots), func(s dataset.Slot) bool { return g.settled[s] })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out--
	q.back = append(q.back, g)
	q.change()
}

// change wakes those who wait; q.mu must be held.
func (q *queue) change() {
	if q.ended && q.out == 0 && len(q.back) == 0 {
		select {
		case <-q.done:
		default:
			close(q.done)
		}
	}
	close(q.moved)
	q.moved = make(chan struct{})
}
