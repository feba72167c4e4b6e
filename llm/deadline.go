package llm

import (
	"math/bits"
	"slices"
	"sync"
	"time"
)

// DefaultLeast is the shortest that a deadline gets, however fast a server is.
const DefaultLeast = 30 * time.Second

const (
	// paceKept is how many waits are remembered for prompts of one size.
	paceKept = 128
	// paceEnough is how many it takes for a deadline to be drawn from them.
	paceEnough = 20
	// paceFactor is by how much a call may take longer than 99 of 100 did.
	paceFactor = 10
)

// pace learns how long one server takes to its first byte, by the size of the
// prompt, so that a call that hangs is told from one that is long.
type pace struct {
	mu    sync.Mutex
	waits [64][]time.Duration // the last of each size, by its number of bits
	next  [64]int
	p99   [64]time.Duration // as of the last time they were sorted
	since [64]int           // waits seen since then
}

// saw notes that a prompt of some bytes waited for so long.
func (p *pace) saw(size int, wait time.Duration) {
	b := bits.Len(uint(size)) % 64
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waits[b]) < paceKept {
		p.waits[b] = append(p.waits[b], wait)
	} else {
		p.waits[b][p.next[b]] = wait
		p.next[b] = (p.next[b] + 1) % paceKept
	}
	for k := max(0, b-1); k <= min(63, b+1); k++ {
		p.since[k]++
	}
}

// deadline is how long a prompt of some bytes may wait: ten times as long as 99
// of 100 prompts of a similar size (half to four times as many bytes) did, at
// least least and at most most, and most as long as too little is known.
func (p *pace) deadline(size int, least, most time.Duration) time.Duration {
	b := bits.Len(uint(size)) % 64
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.p99[b] == 0 || p.since[b] >= paceEnough {
		var near []time.Duration
		for k := max(0, b-1); k <= min(63, b+1); k++ {
			near = append(near, p.waits[k]...)
		}
		p.since[b] = 0
		if len(near) < paceEnough {
			p.p99[b] = 0
			return most
		}
		slices.Sort(near)
		p.p99[b] = max(1, near[(len(near)*99)/100])
	}
	return min(most, max(least, paceFactor*p.p99[b]))
}

// forget is for a server that was away: its next call may have to load the
// model.
func (p *pace) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.waits[:])
	clear(p.next[:])
	clear(p.p99[:])
	clear(p.since[:])
}
