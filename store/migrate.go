package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// applicationID marks the file as a cai database ("cai1"); file(1) and SQLite's
// own tools show it.
const applicationID = 0x63616931

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations gives the schema changes in order; number n brings a database from
// version n to n+1. What was released is never edited, only added to.
var migrations = sync.OnceValue(func() []string {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		panic(err)
	}
	var out []string
	for _, n := range names {
		b, err := migrationFiles.ReadFile(n)
		if err != nil {
			panic(err)
		}
		out = append(out, string(b))
	}
	return out
})

// version is what a database says of itself.
type version struct {
	application, user, tables int
}

// readVersion reads all in one statement, since another process may be making
// the schema at this moment.
func readVersion(ctx context.Context, conn *sql.Conn) (v version, err error) {
	err = conn.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version), count(*) FROM sqlite_schema`).
		Scan(&v.application, &v.user, &v.tables)
	return v, err
}

// check gives an error where the file is another program's or a later cai's.
func (v version) check(path string) error {
	switch {
	case v.application == 0 && v.user == 0 && v.tables == 0:
		return nil // empty
	case v.application != applicationID:
		return &Error{
			Path: path, Reason: "not a cai database: it is an SQLite database of another program",
			Hint: "name another file with --db FILE; nothing in this one was changed",
		}
	case v.user > len(migrations()):
		return &Error{
			Path:   path,
			Reason: fmt.Sprintf("made by a newer cai (its schema is version %d, this program knows up to %d); nothing was changed", v.user, len(migrations())),
			Hint:   "update cai, or name another database with --db FILE",
		}
	}
	return nil
}

// checkVersion is for a database that cannot be brought up to date.
func checkVersion(ctx context.Context, path string, conn *sql.Conn) error {
	v, err := readVersion(ctx, conn)
	if err != nil {
		return err
	}
	if err := v.check(path); err != nil {
		return err
	}
	if v.user < len(migrations()) {
		return &Error{
			Path:   path,
			Reason: fmt.Sprintf("made by an older cai (schema version %d of %d) and read-only, so it cannot be brought up to date", v.user, len(migrations())),
			Hint:   "copy it to a folder that can be written",
		}
	}
	return nil
}

// withDoubts is the version of the schema whose migration looks at texts, too.
const withDoubts = 9

// migrate brings the database up to date, in one transaction: a crash leaves
// the old schema or the new one. It counts the rows that it found doubtful.
func migrate(ctx context.Context, path string, conn *sql.Conn, rules Rules) (found Doubtful, err error) {
	v, err := readVersion(ctx, conn)
	if err != nil {
		return found, explain(path, "open", err)
	}
	if err := v.check(path); err != nil || v.user == len(migrations()) {
		return found, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return found, explain(path, "bring the database up to date", err)
	}
	defer func() {
		if err != nil {
			_, rerr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = explain(path, "bring the database up to date", errors.Join(err, rerr))
		}
	}()
	// Another process may have been faster.
	if v, err = readVersion(ctx, conn); err != nil {
		return found, err
	}
	if err := v.check(path); err != nil {
		return found, err
	}
	for i, m := range migrations() {
		if i < v.user {
			continue
		}
		if _, err := conn.ExecContext(ctx, m); err != nil {
			return found, err
		}
		if i+1 == withDoubts {
			if err := doubtTexts(ctx, conn, rules); err != nil {
				return found, err
			}
			if err := found.scan(conn.QueryRowContext(ctx, countDoubtful)); err != nil {
				return found, err
			}
		}
	}
	set := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations()))
	if _, err := conn.ExecContext(ctx, set); err != nil {
		return found, err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return found, err
}
