package label

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// mostGroups bounds the groups that a tuner has in flight on one host.
const mostGroups = 128

// Tuner finds how many groups one host should work on at once, from how long
// its calls take, which are the job's own. With n groups in flight and a mean
// time of L for a call a host does n/L calls a second (Little's law), so a larger
// n is the better one as long as it stretches calls by less than its own factor.
// Calls are compared with such as cost the same otherwise: first ones of a
// shared prompt with first ones, prompts of one size with their like. A trial
// that is evidently worse ends after a few calls: two groups at once make some
// servers three times slower, because each overwrites the other's cached prompt.
// Where the first call of a prompt takes no longer than the next one there is no
// such cache to lose, and with short calls little to lose at all: there the
// number grows eightfold at a time, each step as soon as its calls are back.
type Tuner struct {
	mu      sync.Mutex
	level   int // groups in flight: best, or a trial
	best    int
	fixed   bool
	calls   int       // at this level; -1 until there was one, which may have loaded the model
	cold    float64   // seconds that this one took
	class   class     // of this one
	eased   bool      // the server was at ease when best was found: it did all of them at once
	free    bool      // the first call of a prompt costs what others cost
	changed time.Time // when the level was set; calls that began before do not count
	base    times     // at best
	trial   times
	seen    float64 // seconds that calls of the trial took
	usual   float64 // seconds that they would have taken at best
	k       int     // how many they were
	steady  bool    // they began when as many others were under way
	thrift  float64 // if over 0, the factor of a trial that has to be as good only
	factors []float64
	rest    int           // calls until the next trial
	until   time.Time     // and the time until then
	waste   time.Duration // what trials that were worse took since the last good one
	rounds  int           // of trials in a row that brought nothing
}

// times are mean durations of calls of each class, in seconds.
type times map[class]*mean

// class is calls that cost the same, other things being equal.
type class struct {
	first bool // of the calls that share a prompt
	size  int  // number of bits of the prompt's length in bytes
}

type mean struct {
	n int
	x float64
}

func (m *mean) add(x float64) {
	m.n = min(m.n+1, 256) // so that it follows a server that changes
	m.x += (x - m.x) / float64(m.n)
}

func (t times) add(c class, x float64) {
	m := t[c]
	if m == nil {
		m = &mean{}
		t[c] = m
	}
	m.add(x)
}

// The rules of a trial.
const (
	tuneAfter  = 3                      // calls before the first trial, after one that may have loaded the model
	tuneSteep  = 8                      // steps where there is nothing to lose
	tuneQuick  = 100 * time.Millisecond // for calls up to this
	tuneEasy   = 0.75                   // share of the factor that a gain reaches where the server is at ease
	tuneSlack  = 1.5                    // groups for each that the server works on, where it is not
	tuneEqual  = 0.97                   // gain that so few must keep
	tuneLeast  = 4                      // calls before any verdict
	tuneMuch   = 0.5                    // gain below which a trial ends at once
	tuneWorse  = 0.75                   // gain below which a trial ends early
	tuneShort  = time.Second            // what a trial takes before it ends early; until then it costs nothing much
	tuneBetter = 1.05                   // gain that a larger number must bring
	tuneCalls  = 100                    // calls for each group between rounds of trials, doubled each time
	tuneShare  = 50                     // and what bad trials took, so many times
)

// NewTuner makes a tuner that begins with one group, or keeps to a fixed number
// where that is over 0.
func NewTuner(fixed int) *Tuner {
	t := &Tuner{level: max(1, fixed), fixed: fixed > 0}
	t.best = t.level
	t.restart()
	return t
}

// restart begins anew, for a host that was away.
func (t *Tuner) restart() {
	if !t.fixed {
		t.level, t.best = 1, 1
	}
	t.base, t.trial, t.calls, t.waste, t.rounds = times{}, times{}, -1, 0, 0 // the first call may load the model
	t.factors, t.rest, t.until, t.free, t.eased, t.thrift = []float64{2}, tuneAfter, time.Time{}, false, true, 0
	t.changed = time.Now()
}

// groups gives how many groups may be in flight.
func (t *Tuner) groups() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.level
}

// most is the largest number of groups that can come of it.
func (t *Tuner) most() int {
	if t.fixed {
		return t.level
	}
	return mostGroups
}

// away says that the host was away.
func (t *Tuner) away() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restart()
}

// saw takes in a call and tells whether the number of groups has changed.
func (t *Tuner) saw(first bool, size int, began, ended time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fixed || began.Before(t.changed) {
		return false
	}
	t.calls++
	c, took := class{first, bits.Len(uint(size))}, ended.Sub(began).Seconds()
	if t.calls == 0 {
		t.cold, t.class = took, c
		return false
	}
	if t.level == t.best {
		t.base.add(c, took)
		if t.calls == 1 && t.cold > 0 {
			t.compare(c, took)
		}
		if t.calls < t.rest || ended.Before(t.until) {
			return false
		}
		return t.try(ended)
	}
	t.trial.add(c, took)
	if m := t.base[c]; m != nil {
		t.seen += took
		t.usual += m.x
		t.k++
	}
	return t.judge(ended)
}

// compare holds the first call of all, of a prompt that no cache has, against the
// next one, of the same prompt. If it took no longer it has loaded no model, and
// the server has saved nothing.
func (t *Tuner) compare(next class, took float64) {
	if t.class.first && !next.first && t.cold < 1.5*took {
		t.free = true
		t.base.add(t.class, t.cold)
		if t.quick() {
			t.factors, t.rest = []float64{tuneSteep, 2}, 1
		}
	}
	t.cold = 0
}

// quick tells that a trial of many groups costs next to nothing.
func (t *Tuner) quick() bool {
	for _, m := range t.base {
		if m.x > tuneQuick.Seconds() {
			return false
		}
	}
	return t.free
}

// try begins the next trial, if there is one.
func (t *Tuner) try(now time.Time) bool {
	if n := int(math.Ceil(float64(t.best) * t.thrift)); n > 0 && n < t.best {
		t.set(n, now)
		return true
	}
	t.thrift = 0
	for len(t.factors) > 0 {
		f := t.factors[0]
		t.factors = t.factors[1:]
		if n := max(1, min(mostGroups, int(float64(t.best)*f))); n != t.best {
			t.set(n, now)
			return true
		}
	}
	// All is tried. Larger numbers are tried again later, for servers change and
	// a trial may have been unlucky. So is one, for a trial may have been lucky,
	// and what two groups destroy is not mended by half as many.
	t.factors = []float64{2, 1.5, 0}
	t.calls, t.rest = 0, tuneCalls*t.best<<min(t.rounds, 10)
	t.until = now.Add(tuneShare * t.waste << min(t.rounds, 4))
	t.waste = 0
	t.rounds++
	return false
}

func (t *Tuner) set(n int, now time.Time) {
	t.level, t.changed = n, now
	t.calls = 0
	t.measure(false)
}

// measure begins to measure a trial.
func (t *Tuner) measure(steady bool) {
	t.steady, t.k, t.seen, t.usual, t.trial = steady, 0, 0, 0, times{}
}

// judge ends a trial as soon as its outcome is clear.
func (t *Tuner) judge(now time.Time) bool {
	factor := float64(t.level) / float64(t.best)
	gain := factor * t.usual / max(t.seen, 1e-9)
	if t.k < tuneLeast {
		// A trial whose calls are like none before says nothing.
		if t.calls < 8*t.level+16 {
			return false
		}
		t.k, gain = max(2*t.level, 16), 1
	}
	switch {
	case t.thrift > 0:
		switch {
		case t.k < max(t.level, tuneLeast):
			return false
		case !t.steady:
			t.measure(true)
			return false
		case gain > tuneEqual:
			t.best, t.base = t.level, t.trial
			t.rest, t.factors, t.thrift = 0, nil, 0
			t.try(now)
		default:
			t.thrift = 0
			t.reject(gain, now)
		}
		return true
	case factor < 1: // fewer groups are tried because more may have been a mistake
		switch {
		case t.k < tuneLeast, gain < 1.5 && t.k < 16 && gain > tuneWorse:
			return false
		case gain > tuneBetter:
			t.accept(factor, gain, now)
		default:
			t.reject(gain, now)
		}
		return true
	}
	switch {
	case gain < tuneMuch:
	case gain < tuneWorse && (t.k >= max(t.level, 16) || now.Sub(t.changed) > tuneShort):
	case t.k < t.level:
		return false
	case gain > tuneEasy*factor:
		t.accept(factor, gain, now)
		return true
	case !t.steady:
		// Calls that came first waited for fewer others: they say too much good.
		t.measure(true)
		return false
	case t.k < max(t.level, 12):
		return false
	case gain > tuneBetter:
		t.accept(factor, gain, now)
		return true
	}
	t.reject(gain, now)
	return true
}

// reject goes back to the best number and tries the next one.
func (t *Tuner) reject(gain float64, now time.Time) {
	if gain < 0.9 {
		t.waste += now.Sub(t.changed)
	}
	t.set(t.best, now)
	t.rest = 0
	t.try(now)
}

// accept makes the trial's number the best one, and goes on from there: in
// larger steps where the server has shown no strain, and back where it has.
func (t *Tuner) accept(factor, gain float64, now time.Time) {
	t.best, t.base = t.level, t.trial
	t.factors = []float64{2, 1.5}
	eased := t.eased
	t.eased = gain > 0.9*factor
	switch {
	case t.eased && factor >= 2 && t.quick():
		t.factors = []float64{tuneSteep, 2, 1.5}
	case t.eased && factor >= 2:
		t.factors = []float64{4, 2, 1.5}
	case eased && gain < 0.6*factor:
		// The server works on so many at once and no more; the others wait there,
		// and those that wait keep a job from its end.
		t.thrift = tuneSlack * gain / factor
	}
	t.rest, t.waste, t.rounds = 0, 0, 0
	t.try(now)
}
