package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	sqlite3 "modernc.org/sqlite/lib"
)

// maxGroup bounds how many additions share one commit, so that one of them
// never waits long for the others.
const maxGroup = 512

// writer is the goroutine that writes. It commits together what has arrived
// while it was busy with the commit before.
type writer struct {
	path string
	db   *sql.DB
	conn *sql.Conn
	tx   tx

	ops  chan *op
	done chan struct{} // closed when run has returned

	mu     sync.RWMutex // held for reading while an op is handed over
	closed bool
}

// op is one addition: all of it is stored or nothing.
type op struct {
	ctx   context.Context
	doing string
	do    func(*tx) error // may run twice: what it gives back it must set anew
	err   error
	done  chan struct{}
}

func startWriter(path string, db *sql.DB, conn *sql.Conn) *writer {
	w := &writer{
		path: path, db: db, conn: conn,
		tx:  tx{conn: conn, stmts: map[string]*sql.Stmt{}},
		ops: make(chan *op, maxGroup), done: make(chan struct{}),
	}
	go w.run()
	return w
}

// write runs do in a transaction and returns when it is durable. When ctx ends
// first, the addition is either whole or absent.
func (s *Store) write(ctx context.Context, doing string, do func(*tx) error) error {
	if s.readOnly {
		return &Error{Path: s.path, Reason: "cannot " + doing, Err: errReadOnly, Hint: "give a database in a folder that can be written, with --db FILE"}
	}
	o := &op{ctx: ctx, doing: doing, do: do, done: make(chan struct{})}
	if err := s.w.hand(o); err != nil {
		return err
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) hand(o *op) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.ops <- o:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	w.mu.Unlock()
	if already {
		return nil
	}
	close(w.ops)
	<-w.done
	for _, st := range w.tx.stmts {
		st.Close()
	}
	return errors.Join(w.conn.Close(), w.db.Close())
}

func (w *writer) run() {
	defer close(w.done)
	group := make([]*op, 0, maxGroup)
	for o := range w.ops {
		group = append(group[:0], o)
	more:
		for len(group) < maxGroup {
			select {
			case o, ok := <-w.ops:
				if !ok {
					break more
				}
				group = append(group, o)
			default:
				break more
			}
		}
		w.commit(group)
		for _, o := range group {
			close(o.done)
		}
		clear(group)
	}
}

// commit stores a group. Where one addition fails half-way, each is tried alone,
// so that it takes no other with it.
func (w *writer) commit(group []*op) {
	live := make([]*op, 0, len(group))
	for _, o := range group {
		if o.err = o.ctx.Err(); o.err == nil {
			live = append(live, o)
		}
	}
	if len(live) == 0 {
		return
	}
	err := w.attempt(live)
	if err != nil && len(live) > 1 && !wholeStore(err) {
		for _, o := range live {
			if err := w.attempt([]*op{o}); err != nil {
				o.err = explain(w.path, o.doing, err)
			}
		}
		return
	}
	if err != nil {
		for _, o := range live {
			o.err = explain(w.path, o.doing, err)
		}
	}
}

// attempt runs ops in one transaction: all of them are stored, but for those
// that refused, or none is and it gives an error.
func (w *writer) attempt(ops []*op) error {
	w.tx.failures = unknown
	if _, err := w.tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range ops {
		o.err = o.do(&w.tx)
		var r refusal
		if o.err != nil && !errors.As(o.err, &r) {
			return errors.Join(o.err, w.rollback())
		}
	}
	if _, err := w.tx.exec("COMMIT"); err != nil {
		return errors.Join(err, w.rollback())
	}
	return nil
}

// rollback ends the transaction, unless SQLite did so by itself, as it does
// where the disk is full.
func (w *writer) rollback() error {
	_, err := w.tx.exec("ROLLBACK")
	if sqliteCode(err) == sqlite3.SQLITE_ERROR { // no transaction is active
		return nil
	}
	return err
}

// wholeStore tells whether err would meet every other addition too.
func wholeStore(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT:
		return true
	}
	return false
}

// tx is the writer's transaction. Statements are prepared once and kept.
type tx struct {
	conn     *sql.Conn
	stmts    map[string]*sql.Stmt
	failures whether // the table of that name holds a row
}

// whether is what a transaction knows of something that no other can change
// before it ends.
type whether int

const (
	unknown whether = iota
	yes
	no
)

// someFailures tells whether any question's failure is kept, which spares most
// jobs a search beside each judgment.
func (t *tx) someFailures() (bool, error) {
	if t.failures == unknown {
		var one int
		found, err := t.one("SELECT 1 FROM failures LIMIT 1", nil, &one)
		if err != nil {
			return false, err
		}
		t.failures = no
		if found {
			t.failures = yes
		}
	}
	return t.failures == yes, nil
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if st, ok := t.stmts[query]; ok {
		return st, nil
	}
	st, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	t.stmts[query] = st
	return st, nil
}

// exec runs a statement. No context reaches it: a transaction that is shared is
// not given up for one caller.
func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	st, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return st.Exec(args...)
}

// one reads the first row of a query; found is false where there is none.
func (t *tx) one(query string, args []any, to ...any) (found bool, err error) {
	st, err := t.prepare(query)
	if err != nil {
		return false, err
	}
	err = st.QueryRow(args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// put inserts a row that is known by its hash and gives its id, or the id of
// the row that is there already. The insert must say ON CONFLICT DO NOTHING.
func (t *tx) put(table string, hash []byte, insert string, args ...any) (id int64, isNew bool, err error) {
	res, err := t.exec(insert, args...)
	if err != nil {
		return 0, false, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, false, err
	}
	if n > 0 {
		id, err = res.LastInsertId()
		return id, true, err
	}
	found, err := t.one("SELECT id FROM "+table+" WHERE hash = ?", []any{hash}, &id)
	if err == nil && !found {
		err = fmt.Errorf("a row of %s was refused", table)
	}
	return id, false, err
}
