package monitor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cai/dataset"
	"cai/rm"
)

// Defaults of [Options].
const (
	DefaultWindow     = 256
	DefaultFalseAlarm = 0.01
)

// Bounds of what can be tested: prompts of a window and of a reference, replies of
// a window, and rates.
const (
	minPrompts   = 16
	minReference = 30
	minWindow    = 16
	maxWindow    = 1 << 20
	minRate      = 0.001
	maxRate      = 0.2
)

// waits is for how many windows' replies a window waits for enough prompts.
const waits = 16

// ErrNoProfile tells that a model has no reference to be held against.
var ErrNoProfile = errors.New("the model has no profile of reference replies")

// Options of a monitor. Zeros take the defaults.
type Options struct {
	Window int // replies of a window
	// FalseAlarm is the share of windows in which any statistic rings where the
	// replies are like those of the reference.
	FalseAlarm float64
	Seed       int64 // of the draws that thresholds come from
}

// Resolved fills in the defaults, or says what cannot be.
func (o Options) Resolved() (Options, error) {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.FalseAlarm == 0 {
		o.FalseAlarm = DefaultFalseAlarm
	}
	if o.Window < minWindow || o.Window > maxWindow {
		return o, fmt.Errorf("a window of %d replies: need %d to %d", o.Window, minWindow, maxWindow)
	}
	if !(o.FalseAlarm >= minRate && o.FalseAlarm <= maxRate) {
		return o, fmt.Errorf("a false-alarm rate of %v: need %v to %v", o.FalseAlarm, minRate, maxRate)
	}
	return o, nil
}

// Monitor holds windows of scored replies against a reference. Replies may be
// added and windows tested by several goroutines; windows have to be tested in
// their order.
type Monitor struct {
	o    Options
	ref  *reference
	base *baseline

	mu   sync.Mutex
	open *Batch
	next int

	testing sync.Mutex
	known   map[shape]*thresholds
	sum     float64 // of the drift
}

// New makes a monitor with a profile for reference.
func New(p *rm.Profile, o Options) (*Monitor, error) {
	o, err := o.Resolved()
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	if p == nil {
		return nil, ErrNoProfile
	}
	if p.Prompts < minReference {
		return nil, fmt.Errorf("monitor: the reference has replies to %d prompts, at least %d are needed", p.Prompts, minReference)
	}
	m := &Monitor{o: o, ref: newReference(p), known: map[shape]*thresholds{}}
	m.base = m.ref.whole()
	m.begin(1)
	return m, nil
}

// Reference is the profile that windows are held against.
func (m *Monitor) Reference() *rm.Profile { return m.ref.Profile }

// Options are those of the monitor, with the defaults filled in.
func (m *Monitor) Options() Options { return m.o }

// PromptKey tells prompts from others as [dataset.Conversation.Key] does; 0 where
// the prompt is unknown, which is then another one for each reply.
func PromptKey(c dataset.Conversation) uint64 {
	if len(c) == 0 {
		return 0
	}
	key := c.Key()
	return binary.LittleEndian.Uint64(key[:]) | 1
}

// Batch is the replies of a window that is to be tested.
type Batch struct {
	number, first, replies int
	codes                  []byte
	group                  []int32 // of each reply
	groups                 map[uint64]int32
	prompts                int32
}

func (m *Monitor) begin(first int) {
	m.next++
	n := min(m.o.Window, 4096)
	m.open = &Batch{
		number: m.next, first: first, groups: make(map[uint64]int32, n),
		codes: make([]byte, 0, n*m.ref.width), group: make([]int32, 0, n),
	}
}

// Add takes a scored reply: the key of its prompt, and its observation. It gives
// the window that is then full, or nil.
func (m *Monitor) Add(prompt uint64, values []float32) *Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.open
	g, ok := b.groups[prompt]
	if !ok || prompt == 0 {
		g = b.prompts
		b.prompts++
		if prompt != 0 {
			b.groups[prompt] = g
		}
	}
	b.group = append(b.group, g)
	for j := range m.ref.Columns {
		b.codes = append(b.codes, m.ref.Columns[j].Code(values[j]))
	}
	b.replies++
	if b.replies < m.o.Window || b.prompts < minPrompts && b.replies < waits*m.o.Window {
		return nil
	}
	m.begin(b.first + b.replies)
	return b
}

// Rest gives what is left at the end, where it is at least a quarter of a window
// and of enough prompts to be tested; else nil, and the number of replies left.
func (m *Monitor) Rest() (*Batch, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.open
	if b.replies == 0 || b.prompts < minPrompts || b.replies < m.o.Window/4 && b.number > 1 {
		return nil, b.replies
	}
	m.begin(b.first + b.replies)
	return b, 0
}

// Window is a window that was tested.
type Window struct {
	Number  int `json:"window"`
	First   int `json:"first"` // number of its first reply, from 1 on
	Replies int `json:"replies"`
	Prompts int `json:"prompts"`
	// Alarm tells that a statistic is above its threshold. Untested says why
	// nothing could be told.
	Alarm      bool        `json:"alarm"`
	Untested   string      `json:"untested,omitempty"`
	FalseAlarm float64     `json:"false_alarm"` // the rate that the thresholds are for
	Statistics []Statistic `json:"statistics"`
	// Moved are the columns of the profile, those whose means have moved most
	// surely first.
	Moved []Shift `json:"moved"`
}

// Statistic is one of the statistics of a window, beside its threshold.
type Statistic struct {
	Name      string  `json:"statistic"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	Alarm     bool    `json:"alarm"`
}

// Shift is how far the mean of a column is from that of the reference, over
// prompts; values beyond eight standard deviations count as that far.
type Shift struct {
	Name      string  `json:"name"`
	Mean      float64 `json:"mean"`
	Reference float64 `json:"reference"`
	SDs       float64 `json:"sds"` // the difference in standard deviations of single replies; 0 where the reference has none
	T         float64 `json:"t"`
}

// Test tests a window.
func (m *Monitor) Test(b *Batch) Window {
	m.testing.Lock()
	defer m.testing.Unlock()
	w := Window{Number: b.number, First: b.first, Replies: b.replies, Prompts: int(b.prompts), FalseAlarm: m.o.FalseAlarm, Statistics: []Statistic{}, Moved: []Shift{}}
	if b.prompts < minPrompts {
		w.Untested = fmt.Sprintf("replies to %d prompts, at least %d are needed", b.prompts, minPrompts)
		return w
	}
	sh := shapeOf(b.replies, int(b.prompts))
	th := m.known[sh]
	if th == nil {
		th = m.ref.calibrate(sh, m.o.FalseAlarm, m.o.Seed)
		m.known[sh] = th
	}
	s := m.sample(b)
	t := make([]float64, len(s.mean))
	m.base.compare(s, t)
	var values [numStats]float64
	statistics(t, th.scale, m.ref.width, m.base.together(t, make([]float64, m.ref.width)), &values)
	var rings bool
	values[statDrft], m.sum, rings = drift(m.sum, values[0], th.allowance, th.limit[statDrft])
	for k, name := range Names() {
		st := Statistic{Name: name, Value: values[k], Threshold: th.limit[k], Alarm: values[k] > th.limit[k]}
		if k == statDrft {
			st.Alarm = rings
		}
		w.Alarm = w.Alarm || st.Alarm
		w.Statistics = append(w.Statistics, st)
	}
	for j := range m.ref.Columns {
		c := &m.ref.Columns[j]
		d := Shift{Name: c.Name, Mean: c.Low + c.Step*s.mean[j], Reference: c.Low + c.Step*m.base.mean[j], T: t[j] / th.scale[j]}
		if c.SD > 0 {
			d.SDs = (d.Mean - d.Reference) / c.SD
		}
		w.Moved = append(w.Moved, d)
	}
	slices.SortStableFunc(w.Moved, func(a, b Shift) int {
		switch x, y := max(a.T, -a.T), max(b.T, -b.T); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return w
}

// sample computes the means of a window.
func (m *Monitor) sample(b *Batch) *sample {
	rows := make([][]int32, b.prompts)
	for i, g := range b.group {
		rows[g] = append(rows[g], int32(i))
	}
	a := newAdder(m.ref.width, 0, m.base.cuts, false)
	for _, r := range rows {
		a.add(b.codes, r)
	}
	s := newSample(m.ref.width)
	a.fill(&s)
	return &s
}

// Alarms are the statistics that ring.
func (w *Window) Alarms() []Statistic {
	var out []Statistic
	for _, s := range w.Statistics {
		if s.Alarm {
			out = append(out, s)
		}
	}
	return out
}

// movedTold is how many features a text names.
const movedTold = 3

// Text says what rings in a window and what has moved most.
func (w *Window) Text() string {
	var parts []string
	for _, s := range w.Alarms() {
		parts = append(parts, fmt.Sprintf("%s %.2f > %.2f", s.Name, s.Value, s.Threshold))
	}
	return strings.Join(parts, ", ") + "; " + w.movedText()
}

func (w *Window) movedText() string {
	var parts []string
	for _, s := range w.Moved[:min(movedTold, len(w.Moved))] {
		if s.SDs == 0 {
			parts = append(parts, fmt.Sprintf("%s %.3g, where the reference has %.3g", s.Name, s.Mean, s.Reference))
		} else {
			parts = append(parts, fmt.Sprintf("%s %+.2f SD", s.Name, s.SDs))
		}
	}
	return "moved most: " + strings.Join(parts, ", ")
}
