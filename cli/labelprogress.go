package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/label"
	"cai/llm"
)

// eventsEvery is how often progress goes to --events.
const eventsEvery = 5 * time.Second

func eventsFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "events", Usage: "write progress and what happens to hosts as JSON Lines to `FILE`, - is stderr"}
}

// labelWatch tells the user, and --events, how a job goes.
type labelWatch struct {
	app    *app
	c      *urfave.Context
	p      *progress
	total  int64
	reused int64

	mu     sync.Mutex
	count  label.Count
	start  time.Time
	events *json.Encoder
	file   io.Closer

	stop, stopped chan struct{}
}

// labelEvent is a line of --events. Event is start, progress, away, back, left,
// groups or end.
type labelEvent struct {
	Event        string    `json:"event"`
	Time         time.Time `json:"time"`
	Done         int64     `json:"done"`  // judgments and failures of this run
	Total        int64     `json:"total"` // that were pending at its start
	Reused       int64     `json:"reused"`
	Judgments    int64     `json:"judgments"`
	Failed       int64     `json:"failed"`
	Abstained    int64     `json:"abstained"`
	Saved        int64     `json:"saved"`
	Calls        int64     `json:"calls"`
	PromptTokens int64     `json:"prompt_tokens"`
	Rate         float64   `json:"rate"`         // judgments a second, over the whole run
	SecondsLeft  *float64  `json:"seconds_left"` // null where nobody knows
	Cached       *float64  `json:"cached"`       // share of prompts found in the server's cache, null where it does not tell
	PositionBias float64   `json:"position_bias"`

	Host          string `json:"host,omitempty"`
	HostJudgments int64  `json:"host_judgments,omitempty"`
	Groups        int    `json:"groups,omitempty"`
	Error         string `json:"error,omitempty"`
	Kind          string `json:"kind,omitempty"`
}

// watch begins to tell. The caller must close it.
func (l *labelRun) watch() (*labelWatch, error) {
	w := &labelWatch{
		app: l.app, c: l.c, total: l.pending(), reused: l.plan.Done, start: time.Now(),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	switch name := l.c.String("events"); name {
	case "":
	case "-":
		w.events = json.NewEncoder(l.app.Err)
	default:
		// Rounds of one run, and runs that go on, add to what is there.
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("write events: %w", err)
		}
		w.events, w.file = json.NewEncoder(f), f
	}
	w.p = l.app.progress(l.c, "label", "judgments", w.total)
	w.emit(labelEvent{Event: "start"})
	go w.tick()
	return w, nil
}

// tick shows how things stand also while nothing comes.
func (w *labelWatch) tick() {
	defer close(w.stopped)
	line, event := time.NewTicker(time.Second), time.NewTicker(eventsEvery)
	defer line.Stop()
	defer event.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-line.C:
			w.mu.Lock()
			n := w.count
			w.mu.Unlock()
			w.p.set(done(n), w.note(n))
		case <-event.C:
			w.emit(labelEvent{Event: "progress"})
		}
	}
}

func (w *labelWatch) close() {
	close(w.stop)
	<-w.stopped
	w.p.done()
	w.emit(labelEvent{Event: "end"})
	if w.file != nil {
		if err := w.file.Close(); err != nil {
			w.app.warn("write events: %v", err)
		}
	}
}

func done(n label.Count) int64 { return n.Judgments + n.Failed + n.Saved }

func (w *labelWatch) counted(n label.Count) {
	w.mu.Lock()
	w.count = n
	w.mu.Unlock()
	if w.p.due() {
		w.p.set(done(n), w.note(n))
	}
}

// note is what stands behind the rate and the time left.
func (w *labelWatch) note(n label.Count) string {
	var parts []string
	add := func(n int64, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(n.Failed, "failed")
	add(n.Abstained, "abstained")
	add(n.Saved, "saved")
	w.mu.Lock()
	reused := w.reused
	w.mu.Unlock()
	add(reused, "reused")
	if n.Cacheable > 0 {
		parts = append(parts, fmt.Sprintf("cache %.0f %%", 100*float64(n.Cached)/float64(n.Cacheable)))
	}
	if n.Judgments > 0 {
		parts = append(parts, fmt.Sprintf("position bias %+.2f", n.Bias))
	}
	return strings.Join(parts, ", ")
}

// host tells what happens to a host.
func (w *labelWatch) host(e label.Event) {
	w.app.onHost(w.c, e)
	ev := labelEvent{Event: string(e.Kind), Host: e.Host, HostJudgments: e.Judgments, Groups: e.Groups}
	if e.Err != nil {
		ev.Error, ev.Kind = e.Err.Error(), string(llm.KindOf(e.Err))
	}
	w.emit(ev)
}

// emit writes an event with how far the job has come.
func (w *labelWatch) emit(e labelEvent) {
	if w.events == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.count
	e.Time, e.Done, e.Total, e.Reused = time.Now().UTC(), done(n), w.total, w.reused
	e.Judgments, e.Failed, e.Abstained, e.Saved = n.Judgments, n.Failed, n.Abstained, n.Saved
	e.Calls, e.PromptTokens, e.PositionBias = n.Calls, n.PromptTokens, n.Bias
	if n.Cacheable > 0 {
		e.Cached = new(float64(n.Cached) / float64(n.Cacheable))
	}
	if secs := time.Since(w.start).Seconds(); secs > 0 && n.Judgments > 0 {
		e.Rate = float64(n.Judgments) / secs
		if left := float64(w.total-e.Done) / (float64(e.Done) / secs); !math.IsInf(left, 0) {
			e.SecondsLeft = new(max(0, left))
		}
	}
	if err := w.events.Encode(e); err != nil {
		w.app.warn("write events: %v", err)
		w.events = nil
	}
}
