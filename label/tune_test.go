package label

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"
)

// A simulated host: how long a call takes, given how many groups are in flight
// and whether the call is the first of its prompt.
type simulated func(groups int, first bool) time.Duration

// run has groups of calls work on a host as lanes do, in simulated time, and
// gives how long the job took. Fixed 0 leaves the number of groups to the tuner.
func (s simulated) run(t *Tuner, groups, calls int, noise float64) time.Duration {
	rng := rand.New(rand.NewPCG(1, 2))
	start := t.changed
	now := start
	var flying events
	var aside []int
	inFlight := 0
	begin := func(left int) {
		took := time.Duration(float64(s(inFlight, left%(calls/2) == 0)) * (1 + noise*rng.NormFloat64()))
		heap.Push(&flying, call{began: now, ended: now.Add(max(took, 1)), left: left})
	}
	for {
		for inFlight < t.groups() && (groups > 0 || len(aside) > 0) {
			inFlight++
			if n := len(aside); n > 0 {
				left := aside[n-1]
				aside = aside[:n-1]
				begin(left)
				continue
			}
			groups--
			begin(calls)
		}
		if len(flying) == 0 {
			return now.Sub(start)
		}
		c := heap.Pop(&flying).(call)
		now = c.ended
		t.saw(c.left%(calls/2) == 0, 1000, c.began, c.ended)
		c.left--
		switch {
		case c.left == 0:
			inFlight--
		case inFlight > t.groups():
			inFlight--
			aside = append(aside, c.left)
		default:
			begin(c.left)
		}
	}
}

type call struct {
	began, ended time.Time
	left         int
}

type events []call

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].ended.Before(e[j].ended) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(call)) }
func (e *events) Pop() any {
	old := *e
	c := old[len(old)-1]
	*e = old[:len(old)-1]
	return c
}

// Whatever the host is like, a job of a few hundred groups takes at most a
// twentieth longer than with the best number of groups that could be set.
func TestTheTunerIsCloseToTheBestSetting(t *testing.T) {
	ms := func(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }
	for name, host := range map[string]simulated{
		// One slot whose cache a second group destroys, as Ollama's on a CPU.
		"one cache": func(n int, first bool) time.Duration {
			if first || n > 1 {
				return ms(5500) * time.Duration(n)
			}
			return ms(1100)
		},
		"32 slots of 50 ms": func(n int, _ bool) time.Duration {
			return ms(50 * max(1, float64(n)/32))
		},
		"no gain, no loss": func(n int, first bool) time.Duration { return ms(20 * float64(n)) },
		"three slots, then it thrashes": func(n int, first bool) time.Duration {
			if n > 3 {
				return ms(100 * float64(n))
			}
			return ms(100)
		},
		"batching that pays less and less": func(n int, _ bool) time.Duration { return ms(100 + 10*float64(n)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, noise := range []float64{0, 0.2} {
				const groups, calls = 300, 32
				best, at := time.Duration(0), 0
				for _, n := range []int{1, 2, 3, 4, 8, 16, 32, 64, 128} {
					if d := host.run(NewTuner(n), groups, calls, noise); best == 0 || d < best {
						best, at = d, n
					}
				}
				tuned := NewTuner(0)
				took := host.run(tuned, groups, calls, noise)
				behind := float64(took)/float64(best) - 1
				t.Logf("noise %.1f: best with %d groups, %.1f s; found %d, %.1f s: %.1f %% behind", noise, at, best.Seconds(), tuned.groups(), took.Seconds(), 100*behind)
				if behind > 0.05 {
					t.Errorf("noise %.1f: %.1f %% behind the best setting, %d groups", noise, 100*behind, at)
				}
			}
		})
	}
}

// A host that was away may have become another one.
func TestTheTunerBeginsAnewAfterAnOutage(t *testing.T) {
	fast := simulated(func(n int, _ bool) time.Duration { return 50 * time.Millisecond })
	tuned := NewTuner(0)
	fast.run(tuned, 200, 8, 0)
	if tuned.groups() < 32 {
		t.Fatalf("%d groups on a host without bounds", tuned.groups())
	}
	tuned.away()
	if tuned.groups() != 1 {
		t.Errorf("%d groups after the host was away", tuned.groups())
	}
	fixed := NewTuner(7)
	fast.run(fixed, 20, 8, 0)
	fixed.away()
	if fixed.groups() != 7 {
		t.Errorf("%d groups where 7 were asked for", fixed.groups())
	}
}

// A number that was taken by a lucky trial, or that a host does not bear any
// more, is given up.
func TestTheTunerComesDown(t *testing.T) {
	host := simulated(func(n int, first bool) time.Duration {
		if first || n > 1 {
			return 55 * time.Millisecond * time.Duration(n)
		}
		return 11 * time.Millisecond
	})
	tuned := NewTuner(0)
	tuned.level, tuned.best = 4, 4
	host.run(tuned, 3000, 32, 0.1)
	if tuned.groups() != 1 {
		t.Errorf("%d groups at once on a host with one cached prompt", tuned.groups())
	}
}

// Where a server has no cache to lose the number grows in a few calls: until all
// slots are busy, a job loses less than it would by waiting for four calls.
func TestTheTunerGrowsFast(t *testing.T) {
	const call = 50 * time.Millisecond
	for _, slots := range []int{32, 64} {
		host := simulated(func(n int, _ bool) time.Duration {
			return time.Duration(float64(call) * max(1, float64(n)/float64(slots)))
		})
		const groups, calls = 600, 8
		best := host.run(NewTuner(slots), groups, calls, 0)
		tuned := NewTuner(0)
		took := host.run(tuned, groups, calls, 0)
		t.Logf("%d slots: best %s, found %d, %s", slots, best, tuned.groups(), took)
		if took > best+4*call {
			t.Errorf("%d slots: %s against %s with as many groups", slots, took, best)
		}
		if n := tuned.groups(); n < slots || n > 2*slots {
			t.Errorf("%d groups in flight for %d slots: too few keep it waiting, too many keep the job from its end", n, slots)
		}
	}
}

// Where a second group destroys the cache, that is noticed within a few calls.
func TestTheTunerLeavesAServerWithOneCacheAlone(t *testing.T) {
	for _, scale := range []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second} { // however quick it is
		many := 0
		host := simulated(func(n int, first bool) time.Duration {
			if n > 1 {
				many++
			}
			if first || n > 1 {
				return 5 * scale * time.Duration(n)
			}
			return scale
		})
		tuned := NewTuner(0)
		host.run(tuned, 20, 16, 0.1)
		if many > 12 || tuned.groups() != 1 {
			t.Errorf("calls of %s: %d calls beside others, then %d groups", scale, many, tuned.groups())
		}
	}
}
