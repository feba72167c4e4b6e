package web

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"cai/monitor"
	"cai/rm"
)

// Reference gives the replies that a model's windows are held against.
type Reference func(ctx context.Context, m *rm.Model) (*rm.Profile, error)

// watcher watches the replies that a model scores. Full windows are tested beside
// the requests, in their order.
type watcher struct {
	monitor *monitor.Monitor
	found   func(monitor.Window)
	last    atomic.Pointer[seen]

	mu      sync.Mutex
	waiting []*monitor.Batch
	testing bool
	missed  int // windows that were not tested because too many waited
}

// seen is what a watcher has found.
type seen struct {
	window, alarm   *monitor.Window // the last one, and the last one with an alarm
	alarms          []alarm         // of the last window
	windows, missed int             // tested, and left out
	rang            int             // windows with an alarm
	by              map[string]int  // rings by statistic
}

// alarm is an alarm as clients get it.
type alarm struct {
	monitor.Statistic
	Window int    `json:"window"`
	Text   string `json:"text"`
}

// maxWaiting bounds the windows that wait to be tested.
const maxWaiting = 256

func newWatcher(p *rm.Profile, o monitor.Options, found func(monitor.Window)) (*watcher, error) {
	m, err := monitor.New(p, o)
	if err != nil {
		return nil, err
	}
	w := &watcher{monitor: m, found: found}
	w.last.Store(&seen{alarms: []alarm{}, by: map[string]int{}})
	return w, nil
}

// observe takes scored replies; what follows from them is found soon after.
func (w *watcher) observe(items []rm.Item, values [][]float32) {
	var key uint64
	for i := range items {
		if i == 0 || len(items[i].Prompt) == 0 || len(items[i-1].Prompt) == 0 || &items[i].Prompt[0] != &items[i-1].Prompt[0] {
			key = monitor.PromptKey(items[i].Prompt)
		}
		if b := w.monitor.Add(key, values[i]); b != nil {
			w.queue(b)
		}
	}
}

func (w *watcher) queue(b *monitor.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == maxWaiting {
		w.missed++
		return
	}
	w.waiting = append(w.waiting, b)
	if !w.testing {
		w.testing = true
		go w.drain()
	}
}

// drain tests what waits.
func (w *watcher) drain() {
	for {
		w.mu.Lock()
		if len(w.waiting) == 0 {
			w.testing = false
			w.mu.Unlock()
			return
		}
		b, missed := w.waiting[0], w.missed
		w.waiting = w.waiting[1:]
		w.mu.Unlock()
		w.take(w.monitor.Test(b), missed)
	}
}

func (w *watcher) take(out monitor.Window, missed int) {
	old := w.last.Load()
	next := &seen{window: &out, alarm: old.alarm, alarms: []alarm{}, windows: old.windows + 1, missed: missed, rang: old.rang, by: map[string]int{}}
	for name, n := range old.by {
		next.by[name] = n
	}
	if out.Alarm {
		next.rang++
		next.alarm = &out
	}
	for _, s := range out.Alarms() {
		next.alarms = append(next.alarms, alarm{s, out.Number, out.Text()})
		next.by[s.Name]++
	}
	w.last.Store(next)
	w.found(out)
}

// alarms gives those that ring for a model; nil where it is not watched.
func (m *Model) alarms() []alarm {
	if w := m.current.Load().watch; w != nil {
		return w.last.Load().alarms
	}
	return nil
}

// watchModel makes the watcher of a model that was loaded. A model without a
// profile is served unwatched; a reference that cannot be had is an error.
func (s *Server) watchModel(name string, l *loaded) error {
	if s.o.NoMonitor {
		l.unwatched = "monitoring is turned off"
		return nil
	}
	profile := l.Metadata.Profile
	if s.o.Reference != nil {
		var err error
		if profile, err = s.o.Reference(context.Background(), l.Model); err != nil {
			return err
		}
	}
	w, err := newWatcher(profile, s.o.Monitor, func(w monitor.Window) {
		if w.Alarm {
			s.o.Log.Warn("alarm", "model", name, "window", w.Number, "text", w.Text())
		}
	})
	switch {
	case err != nil && s.o.Reference != nil:
		return err
	case err != nil:
		l.unwatched = err.Error()
	default:
		l.watch = w
	}
	return nil
}

// monitored is what /v1/monitor says of a model.
type monitored struct {
	Model      string          `json:"model"`
	Monitored  bool            `json:"monitored"`
	Reason     string          `json:"reason,omitempty"` // why it is not
	Reference  map[string]any  `json:"reference,omitempty"`
	Window     int             `json:"window,omitempty"` // replies of one
	FalseAlarm float64         `json:"false_alarm,omitempty"`
	Windows    int             `json:"windows"`
	Missed     int             `json:"missed"` // windows that were not tested: more came than could be
	Rang       int             `json:"rang"`
	Rings      map[string]int  `json:"rings,omitempty"` // by statistic
	Alarms     []alarm         `json:"alarms"`
	Last       *monitor.Window `json:"last"`
	LastAlarm  *monitor.Window `json:"last_alarm"`
}

func (m *Model) monitored() monitored {
	l := m.current.Load()
	if l.watch == nil {
		return monitored{Model: m.Name, Reason: l.unwatched, Alarms: []alarm{}}
	}
	ref, o, s := l.watch.monitor.Reference(), l.watch.monitor.Options(), l.watch.last.Load()
	return monitored{
		Model: m.Name, Monitored: true,
		Reference: map[string]any{"source": ref.Source, "replies": ref.Replies, "prompts": ref.Prompts},
		Window:    o.Window, FalseAlarm: o.FalseAlarm, Windows: s.windows, Missed: s.missed, Rang: s.rang, Rings: s.by,
		Alarms: s.alarms, Last: s.window, LastAlarm: s.alarm,
	}
}

func monitors(q *request) (any, error) {
	out := []monitored{}
	for _, m := range q.s.models {
		out = append(out, m.monitored())
	}
	return map[string]any{"models": out}, nil
}

// writeAlarms writes the metrics of a model's monitor. No label holds what a
// client sent.
func (m *Model) writeAlarms(w io.Writer) {
	l := m.current.Load().watch
	if l == nil {
		return
	}
	s := l.last.Load()
	fmt.Fprintf(w, "cai_alarm_windows_total{model=%q} %d\n", m.Name, s.windows)
	fmt.Fprintf(w, "cai_alarm_windows_missed_total{model=%q} %d\n", m.Name, s.missed)
	for _, name := range monitor.Names() {
		fmt.Fprintf(w, "cai_alarm_rings_total{model=%q,statistic=%q} %d\n", m.Name, name, s.by[name])
	}
	if s.window == nil {
		return
	}
	for _, st := range s.window.Statistics {
		on := 0
		if st.Alarm {
			on = 1
		}
		fmt.Fprintf(w, "cai_alarm{model=%q,statistic=%q} %d\n", m.Name, st.Name, on)
		fmt.Fprintf(w, "cai_alarm_value{model=%q,statistic=%q} %g\n", m.Name, st.Name, st.Value)
		fmt.Fprintf(w, "cai_alarm_threshold{model=%q,statistic=%q} %g\n", m.Name, st.Name, st.Threshold)
	}
}
