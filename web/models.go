package web

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"cai/rm"
)

// Loader opens a model file; the function that it gives frees what the model
// uses.
type Loader func(file string) (*rm.Model, func() error, error)

// Model is a reward model that is served under a name.
type Model struct {
	Name, File string

	load    Loader
	prepare func(*loaded) error // what a server does with a model before it is served
	current atomic.Pointer[loaded]
	retired []*loaded   // those before, which requests may still use
	batches chan *batch // to the goroutine that asks sources, for models that have some
}

// loaded is a model as a file held it.
type loaded struct {
	*rm.Model
	close    func() error
	modified time.Time
	size     int64
	sum      string
	since    time.Time

	watch     *watcher // nil where replies are not watched
	unwatched string   // why
}

// score scores replies, and has them watched.
func (l *loaded) score(ctx context.Context, items []rm.Item) ([]rm.Score, error) {
	if l.watch == nil {
		return l.ScoreAll(ctx, items)
	}
	scores, values, err := l.ObserveAll(ctx, items)
	if err == nil {
		l.watch.observe(items, values)
	}
	return scores, err
}

// Open loads a model to be served.
func Open(name, file string, load Loader) (*Model, error) {
	m := &Model{Name: name, File: file, load: load, batches: make(chan *batch)}
	l, err := m.read()
	if err != nil {
		return nil, err
	}
	m.current.Store(l)
	return m, nil
}

func (m *Model) read() (*loaded, error) {
	st, err := os.Stat(m.File)
	if err != nil {
		return nil, err
	}
	sum, err := fileSum(m.File)
	if err != nil {
		return nil, err
	}
	model, done, err := m.load(m.File)
	if err != nil {
		return nil, err
	}
	return &loaded{Model: model, close: done, modified: st.ModTime(), size: st.Size(), sum: sum, since: time.Now()}, nil
}

// reload takes the file again where it has changed. What cannot be loaded leaves
// the model that is served; requests that use the old one end with it.
func (m *Model) reload() (changed bool, err error) {
	old := m.current.Load()
	st, err := os.Stat(m.File)
	if err != nil {
		return false, err
	}
	if st.ModTime().Equal(old.modified) && st.Size() == old.size {
		return false, nil
	}
	l, err := m.read()
	if err != nil {
		return false, err
	}
	if m.prepare != nil {
		if err := m.prepare(l); err != nil {
			return false, errors.Join(err, l.close())
		}
	}
	m.current.Store(l)
	m.retired = append(m.retired, old)
	return true, nil
}

// close frees what the model, and those that it took the place of, use.
func (m *Model) close() error {
	err := m.current.Load().close()
	for _, l := range m.retired {
		err = errors.Join(err, l.close())
	}
	return err
}

// batch is the replies of one request, waiting for others to be asked with them.
type batch struct {
	ctx    context.Context
	items  []rm.Item
	scores []rm.Score
	err    error
	done   chan struct{}
}

// The bounds of what is asked at once where a model's features come from a
// server.
const (
	batchWait  = 5 * time.Millisecond
	batchItems = 256
)

// score scores replies. Where features come from another server, requests that
// come within [batchWait] are asked together.
func (m *Model) score(ctx context.Context, items []rm.Item) ([]rm.Score, error) {
	l := m.current.Load()
	if len(l.Sources()) == 0 {
		return l.score(ctx, items)
	}
	b := &batch{ctx: ctx, items: items, done: make(chan struct{})}
	select {
	case m.batches <- b:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-b.done:
		return b.scores, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// gather scores batches until stop closes.
func (m *Model) gather(stop <-chan struct{}) {
	for {
		var waiting []*batch
		select {
		case b := <-m.batches:
			waiting = append(waiting, b)
		case <-stop:
			return
		}
		n := len(waiting[0].items)
		timer := time.NewTimer(batchWait)
	collect:
		for n < batchItems {
			select {
			case b := <-m.batches:
				waiting = append(waiting, b)
				n += len(b.items)
			case <-timer.C:
				break collect
			}
		}
		timer.Stop()
		m.answer(waiting)
	}
}

func (m *Model) answer(waiting []*batch) {
	var items []rm.Item
	kept := waiting[:0]
	for _, b := range waiting {
		if b.ctx.Err() == nil { // who asked is still there
			items = append(items, b.items...)
			kept = append(kept, b)
		}
	}
	if len(kept) == 0 {
		return
	}
	scores, err := m.current.Load().score(context.WithoutCancel(kept[0].ctx), items)
	for _, b := range kept {
		if err != nil {
			b.err = &sourceError{err}
		} else {
			b.scores, scores = scores[:len(b.items)], scores[len(b.items):]
		}
		close(b.done)
	}
}

// sourceError tells that the server of a model's features failed.
type sourceError struct{ err error }

func (e *sourceError) Error() string {
	return "the features of the model cannot be had: " + e.err.Error()
}
func (e *sourceError) Unwrap() error { return e.err }

// find gives the model that a request names; the only one needs no name, and so
// does the first.
func (s *Server) find(name string) (*Model, error) {
	if name == "" {
		return s.models[0], nil
	}
	for _, m := range s.models {
		if m.Name == name {
			return m, nil
		}
	}
	if len(s.models) == 1 {
		return s.models[0], nil // clients name the model that they think they talk to
	}
	return nil, &apiError{code: 404, text: fmt.Sprintf("no model %q is served here", name)}
}

var errNoModel = errors.New("web: no model to serve")
