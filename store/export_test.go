package store

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"cai/dataset"
)

// LimitPages lets the database grow by n pages more, as a disk that fills up.
func LimitPages(tb testing.TB, s *Store, n int64) {
	tb.Helper()
	err := s.write(context.Background(), "limit the pages", func(t *tx) error {
		var count, limit int64
		if _, err := t.one("PRAGMA page_count", nil, &count); err != nil {
			return err
		}
		st, err := t.conn.PrepareContext(context.Background(), "PRAGMA max_page_count = "+strconv.FormatInt(count+n, 10))
		if err != nil {
			return err
		}
		defer st.Close()
		return st.QueryRow().Scan(&limit)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// SetLockWait shortens how long stores opened in a test wait for a lock.
func SetLockWait(tb testing.TB, d time.Duration) {
	old := lockWait
	lockWait = d
	tb.Cleanup(func() { lockWait = old })
}

// BreakOne makes an addition that fails after it has written something.
func BreakOne(s *Store) error {
	return s.write(context.Background(), "break", func(t *tx) error {
		key := dataset.HashOf("broken")
		if _, err := t.exec("INSERT INTO answers (key, value, created) VALUES (?, '', 0)", key[:]); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO answers (key, value, created) VALUES (?, '', 0)", key[:])
		return err
	})
}

// PagePairs is how many rows of a file are looked at in one read.
const PagePairs = pagePairs

// Pause holds the store's writer up before its next transaction, until the
// function that it gives is called.
func Pause(s *Store) (resume func()) {
	p := pause{Context: context.Background(), reached: make(chan struct{}), free: make(chan struct{})}
	if err := s.w.hand(&op{ctx: p, doing: "pause", done: make(chan struct{})}); err != nil {
		panic(err)
	}
	<-p.reached
	return sync.OnceFunc(func() { close(p.free) })
}

// pause is the context of an addition at which the writer stops: it looks
// whether the context has ended before it begins.
type pause struct {
	context.Context
	reached, free chan struct{}
}

func (p pause) Err() error {
	close(p.reached)
	<-p.free
	return context.Canceled
}

// Place names where the number of a process means the same.
func Place() string { return place() }

// ClaimantID is what the store knows a process by that shares a job.
func ClaimantID(c *Claims) int64 {
	c.life <- struct{}{}
	defer func() { <-c.life }()
	return c.id
}

// Abandon ends what works for the claims and gives nothing back, as a process
// that is killed.
func Abandon(c *Claims) {
	c.stop()
	<-c.done
}

// Exec changes a database as the program does.
func Exec(s *Store, query string, args ...any) error {
	return s.write(context.Background(), "change", func(t *tx) error {
		_, err := t.exec(query, args...)
		return err
	})
}

// AgeProcesses makes running processes old, for tests in which more time passes
// than they have been there.
func AgeProcesses(tb testing.TB) {
	lookAt = func(process int) (running bool, age time.Duration) {
		running, _ = look(process)
		return running, 1000 * time.Hour
	}
	tb.Cleanup(func() { lookAt = look })
}
