package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"cai/dataset"
)

// lockWait is how long a write waits for another process before it gives up.
// Another cai holds the lock for milliseconds; only a forgotten transaction in
// a shell takes longer.
var lockWait = 10 * time.Second

// Store is an open database. Its methods may be called by many goroutines.
type Store struct {
	path     string
	readOnly bool
	read     *sql.DB
	w        *writer // nil where readOnly
	doubtful Doubtful

	mu         sync.Mutex
	principles map[dataset.Hash]int64
	judges     map[dataset.Hash]judgeRow
	frontiers  map[string]*frontier // by job
}

type judgeRow struct {
	id   int64
	mode string
}

// Open opens the database at path, creates it for its owner alone (mode 0600)
// if there is none, and brings an older one up to date. What an older one holds is
// held against the rules.
func Open(ctx context.Context, path string, rules ...Rules) (*Store, error) {
	fresh, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if fresh {
		// SQLite would create the file readable for all; its log takes the mode
		// of the file.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, openError(path, err)
		}
		if err := f.Close(); err != nil {
			return nil, openError(path, err)
		}
	}
	return openWritable(ctx, path, rules)
}

// OpenExisting opens the database at path and never creates one. Where the file
// or its folder cannot be written it opens for reading only.
func OpenExisting(ctx context.Context, path string, rules ...Rules) (*Store, error) {
	fresh, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if fresh {
		if _, err := os.Stat(path); err == nil {
			return nil, &Error{Path: path, Reason: "the file is empty, not a cai database", Hint: "cai label makes one"}
		}
		return nil, &Error{
			Path: path, Reason: "no such database", Err: fs.ErrNotExist,
			Hint: "cai label makes one; --db FILE names another",
		}
	}
	s, err := openWritable(ctx, path, rules)
	var e *Error
	if err == nil || !errors.As(err, &e) || !readOnlyCause(e.Err) {
		return s, err
	}
	return openReadOnly(ctx, path)
}

// readOnlyCause tells whether err can come from a file or folder that cannot be
// written.
func readOnlyCause(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return true
	}
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

func openError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{
			Path: path, Reason: fmt.Sprintf("the folder %s does not exist", filepath.Dir(path)), Err: err,
			Hint: "make the folder, or name another database with --db FILE",
		}
	}
	return explain(path, "open", err)
}

// inspect looks at the file before SQLite touches it. It reports whether there
// is nothing in it yet.
func inspect(path string) (fresh bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, openError(path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, openError(path, err)
	}
	if !st.Mode().IsRegular() {
		return false, &Error{Path: path, Reason: "not a cai database but a " + kindOfFile(st.Mode()), Hint: "name a file with --db FILE"}
	}
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if n == 0 {
		return true, nil
	}
	if !bytes.Equal(head[:n], []byte("SQLite format 3\x00")) {
		return false, &Error{
			Path: path, Reason: "not a cai database: it is no SQLite file",
			Hint: "name another file with --db FILE; nothing in this one was changed",
		}
	}
	return false, nil
}

func kindOfFile(m fs.FileMode) string {
	if m.IsDir() {
		return "folder"
	}
	return "device, socket or pipe"
}

// dsn makes the data source name. busy_timeout stands first, so that the
// pragmas after it wait for a lock too.
func dsn(path string, set url.Values, pragmas ...string) string {
	var b strings.Builder
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	if abs = filepath.ToSlash(abs); !strings.HasPrefix(abs, "/") {
		abs = "/" + abs // a drive letter
	}
	b.WriteString((&url.URL{Scheme: "file", Path: abs}).String())
	fmt.Fprintf(&b, "?_pragma=busy_timeout(%d)", lockWait.Milliseconds())
	for _, p := range pragmas {
		b.WriteString("&_pragma=" + p)
	}
	if len(set) > 0 {
		b.WriteString("&" + set.Encode())
	}
	return b.String()
}

func openWritable(ctx context.Context, path string, rules []Rules) (*Store, error) {
	// A plain attempt gives a clearer cause than SQLite does, which falls back
	// to reading by itself and fails at the first write.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := f.Close(); err != nil {
		return nil, openError(path, err)
	}
	s := newStore(path)
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_txlock": {"immediate"}},
		"synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)"))
	if err != nil {
		return nil, explain(path, "open", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(explain(path, "open", err), db.Close())
	}
	if s.doubtful, err = prepare(ctx, path, conn, rules); err != nil {
		return nil, errors.Join(explain(path, "open", err), conn.Close(), db.Close())
	}
	s.openReaders(dsn(path, nil, "query_only(1)", "temp_store(MEMORY)"))
	s.w = startWriter(path, db, conn)
	return s, nil
}

// prepare makes sure that the file is cai's, and only then changes it: to a
// write-ahead log and to the newest schema. A change to the log does not wait for
// another process that is doing the same, so it is tried again.
func prepare(ctx context.Context, path string, conn *sql.Conn, rules []Rules) (found Doubtful, err error) {
	v, err := readVersion(ctx, conn)
	if err == nil {
		err = v.check(path)
	}
	if err != nil {
		return found, err
	}
	var all Rules
	for _, r := range rules {
		all = r
	}
	for deadline := time.Now().Add(lockWait); ; {
		_, err := conn.ExecContext(ctx, "PRAGMA journal_mode = WAL")
		if err == nil {
			return migrate(ctx, path, conn, all)
		}
		if sqliteCode(err) != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// openReadOnly opens a database that cannot be written.
func openReadOnly(ctx context.Context, path string) (*Store, error) {
	try := func(set url.Values) (*Store, error) {
		s := newStore(path)
		s.readOnly = true
		s.openReaders(dsn(path, set, "query_only(1)", "temp_store(MEMORY)"))
		conn, err := s.read.Conn(ctx)
		if err == nil {
			err = checkVersion(ctx, path, conn)
			conn.Close()
		}
		if err != nil {
			s.read.Close()
			return nil, err
		}
		return s, nil
	}
	s, err := try(url.Values{"mode": {"ro"}})
	if err == nil || sqliteCode(err) != sqlite3.SQLITE_CANTOPEN && sqliteCode(err) != sqlite3.SQLITE_READONLY {
		return s, explain(path, "open", err)
	}
	// A log cannot be read where its index cannot be created. Without a log the
	// file itself is everything there is.
	if st, serr := os.Stat(path + "-wal"); serr == nil && st.Size() > 0 {
		return nil, &Error{
			Path: path, Reason: "the folder is read-only and holds additions that are not yet written back (" + filepath.Base(path) + "-wal)",
			Hint: "copy the file and its -wal to a folder that can be written", Err: err,
		}
	}
	s, err = try(url.Values{"immutable": {"1"}, "mode": {"ro"}})
	return s, explain(path, "open", err)
}

func newStore(path string) *Store {
	return &Store{path: path, principles: map[dataset.Hash]int64{}, judges: map[dataset.Hash]judgeRow{}}
}

func (s *Store) openReaders(name string) {
	db, err := sql.Open("sqlite", name)
	if err != nil {
		panic(err) // sql.Open only fails for a driver that is not linked in
	}
	db.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	s.read = db
}

// Path gives the database's file as it was named.
func (s *Store) Path() string { return s.path }

// ReadOnly tells whether the store was opened for reading only.
func (s *Store) ReadOnly() bool { return s.readOnly }

// Close finishes what was begun, writes the log back into the file and closes
// it.
func (s *Store) Close() error {
	err := s.read.Close()
	if s.w != nil {
		err = errors.Join(err, s.w.close()) // last, for only it may write the log back
	}
	return explain(s.path, "close", err)
}

// failed explains an error of a read.
func (s *Store) failed(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err.Error() == "sql: database is closed" {
		return ErrClosed
	}
	return explain(s.path, doing, err)
}

// fromMillis is the inverse of millis.
func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// millis gives a time as it is stored; the zero time is now.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return time.Now().UnixMilli()
	}
	return t.UnixMilli()
}
