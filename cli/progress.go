package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// progress shows how far a job has come: one line that is written over on a
// terminal, a plain line now and then in a log.
type progress struct {
	app   *app
	what  string // what the job does
	unit  string // what it counts
	every time.Duration
	now   func() time.Time
	tty   bool
	off   bool

	mu     sync.Mutex
	start  time.Time
	last   time.Time
	shown  bool
	total  int64 // 0 where nobody knows
	recent []mark
}

// mark is a point of the recent past, for the rate.
type mark struct {
	at   time.Time
	done int64
}

// window is how far back the rate looks, so that the time left follows a
// server that gets faster or slower.
const window = 2 * time.Minute

// How often a progress shows: a log should stay short, and begin soon enough for
// its reader to see life.
const (
	lineEvery  = 30 * time.Second
	screenEach = 200 * time.Millisecond
	quietFor   = 2 * time.Second // from the start
)

func (a *app) progress(c *urfave.Context, what, unit string, total int64) *progress {
	p := &progress{app: a, what: what, unit: unit, total: total, off: c.Bool("quiet"), now: time.Now}
	p.tty = isTerminal(a.Err)
	p.begin()
	return p
}

// begin starts the clock.
func (p *progress) begin() {
	p.start = p.now()
	p.every = lineEvery
	if p.tty {
		p.every = screenEach
	}
	p.last = p.start.Add(quietFor - p.every)
	p.recent = []mark{{p.start, 0}}
}

// set shows that done of the total are done; note is added at the end.
func (p *progress) set(done int64, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.off || now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	p.recent = append(p.recent, mark{now, done})
	for len(p.recent) > 2 && now.Sub(p.recent[1].at) > window {
		p.recent = p.recent[1:]
	}
	line := fmt.Sprintf("%s: %s", p.what, p.text(now, done))
	if note != "" {
		line += ", " + note
	}
	p.print(line)
}

// due tells whether a call of set would show anything.
// outOf says how much there is to do.
func (p *progress) outOf(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

func (p *progress) due() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.off && p.now().Sub(p.last) >= p.every
}

func (p *progress) text(now time.Time, done int64) string {
	from := p.recent[0]
	rate := float64(done-from.done) / now.Sub(from.at).Seconds()
	if p.total <= 0 {
		return fmt.Sprintf("%d %s, %s/s", done, p.unit, rateText(rate))
	}
	s := fmt.Sprintf("%d/%d %s, %s/s", done, p.total, p.unit, rateText(rate))
	if rate > 0 && done < p.total {
		left := time.Duration(float64(p.total-done) / rate * float64(time.Second))
		s += ", " + duration(left) + " left"
	}
	return s
}

func (p *progress) print(line string) {
	p.shown = true
	if !p.tty {
		fmt.Fprintln(p.app.Err, "cai: "+line)
		return
	}
	if f, ok := p.app.Err.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 4 && len(line) > w-1 {
			line = line[:w-1]
		}
	}
	fmt.Fprintf(p.app.Err, "\r\x1b[K%s", line)
}

// done clears the line.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown && p.tty {
		fmt.Fprint(p.app.Err, "\r\x1b[K")
		p.shown = false
	}
	p.off = true
}

func rateText(r float64) string {
	switch {
	case r >= 100:
		return fmt.Sprintf("%.0f", r)
	case r >= 1:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.2f", r)
}

// duration is a time span as a person says it.
func duration(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%.0fs", d.Seconds())
}
