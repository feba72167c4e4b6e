package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Error is a failure of the store as a whole, in words that a person can act
// on. Its cause can be reached with errors.Is and errors.As.
type Error struct {
	Path   string // of the database file
	Reason string
	Hint   string // what would mend it, or empty
	Err    error  // the cause, or nil
}

func (e *Error) Error() string {
	s := e.Path + ": " + e.Reason
	// The causes that Reason already says in better words stay silent.
	var sq *sqlite.Error
	if e.Err != nil && !errors.As(e.Err, &sq) && !errors.Is(e.Err, fs.ErrNotExist) {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// HintOf gives the hint of the store's error in err's chain, or an empty text.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// ErrClosed is returned by every method of a closed store.
var ErrClosed = errors.New("the store is closed")

// errReadOnly says why a store that was opened for reading takes no additions.
var errReadOnly = errors.New("opened for reading only, since the file or its folder is read-only")

// sqliteCode gives the primary result code of the SQLite error in err's chain,
// 0 if there is none.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// explain turns an error of SQLite or the file system into an [Error] that says
// what is the matter. doing is what was being done, for the causes that have no
// words of their own.
func explain(path, doing string, err error) error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e), errors.Is(err, ErrClosed):
		return err
	}
	out := &Error{Path: path, Err: err}
	switch code := sqliteCode(err); {
	case code == sqlite3.SQLITE_FULL, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		out.Reason = "the disk is full; what was stored before is safe"
		out.Hint = "make room on the disk and run the same command again: it goes on where it was"
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		out.Reason = "the database is locked by another process"
		out.Hint = "wait for the other program that has it open, or close it; an open transaction in a sqlite3 shell locks it too"
	case code == sqlite3.SQLITE_READONLY, errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		out.Reason = "cannot write here: the file or its folder is read-only"
		out.Hint = "give a database in a folder that can be written, with --db FILE"
	case code == sqlite3.SQLITE_NOTADB:
		out.Reason = "not a cai database"
		out.Hint = "name another file with --db FILE; nothing in this one was changed"
	case code == sqlite3.SQLITE_CORRUPT:
		out.Reason = "the database is damaged"
		out.Hint = "restore a copy, or save what can be read: sqlite3 OLD .recover | sqlite3 NEW"
	case code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM:
		out.Reason = "cannot open the database: its folder must exist and be writable"
	case code == sqlite3.SQLITE_IOERR:
		out.Reason = fmt.Sprintf("the disk failed (%v); what was stored before is safe", err)
	default:
		return fmt.Errorf("%s: %s: %w", path, doing, err)
	}
	return out
}

// refusal is an error found before anything was written, so the other additions
// of the same group can go on.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func refuse(format string, args ...any) error {
	return refusal{fmt.Errorf(format, args...)}
}
