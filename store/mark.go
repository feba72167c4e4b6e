package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"cai/dataset"
)

// Imported gives the last import of a file, and true where it was marked with
// the same mark: the file is then what it was, and need not be read.
func (s *Store) Imported(ctx context.Context, name, mark string) (Import, bool, error) {
	imp := Import{Unchanged: true}
	err := s.read.QueryRowContext(ctx,
		"SELECT id, records, pairs, identical FROM files WHERE name = ? AND mark = ? AND import IS NOT NULL AND longest IS NOT NULL", name, mark).
		Scan(&imp.File, &imp.Records, &imp.Pairs, &imp.Identical)
	if errors.Is(err, sql.ErrNoRows) {
		return Import{}, false, nil
	}
	return imp, err == nil, s.failed("find the file", err)
}

// Mark keeps what a file was when it was imported. Whoever imports other pairs
// under its name removes the mark.
func (s *Store) Mark(ctx context.Context, imp Import, mark string) error {
	return s.write(ctx, "mark the file", func(t *tx) error {
		_, err := t.exec("UPDATE files SET mark = ?, records = ?, identical = ?, longest = ? WHERE id = ? AND pairs = ?",
			mark, imp.Records, imp.Identical, imp.Longest, imp.File, imp.Pairs)
		return err
	})
}

// Longest gives the bytes of the longest pair in a job's files, where marks tell
// it for all of them, and the number of their pairs, at most. A job with a limit
// may have no pair of that size.
func (s *Store) Longest(ctx context.Context, job dataset.Job) (bytes int, pairs int64, known bool, err error) {
	if len(job.Files) == 0 {
		return 0, 0, false, nil
	}
	ids := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(job.Files)), ","), "[]")
	var least sql.NullBool
	var longest, sum sql.NullInt64
	err = s.read.QueryRowContext(ctx, "SELECT min(longest IS NOT NULL AND mark IS NOT NULL), max(longest), sum(pairs) FROM files WHERE id IN ("+ids+")").
		Scan(&least, &longest, &sum)
	return int(longest.Int64), sum.Int64, least.Bool && longest.Valid, s.failed("find the longest pair", err)
}

// CountJudged counts the pairs that a judge has judged, up to a number.
func (s *Store) CountJudged(ctx context.Context, judge dataset.Hash, atMost int64) (n int64, err error) {
	j, ok, err := s.judge(ctx, judge)
	if err != nil || !ok {
		return 0, err
	}
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT DISTINCT pair FROM sound_judgments WHERE judge = ? LIMIT ?)", j.id, atMost).Scan(&n)
	return n, s.failed("count the judged pairs", err)
}

// HasJudged tells whether the store holds a judgment of a judge.
func (s *Store) HasJudged(ctx context.Context, judge dataset.Hash) (bool, error) {
	j, ok, err := s.judge(ctx, judge)
	if err != nil || !ok {
		return false, err
	}
	err = s.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM judgments WHERE judge = ?)", j.id).Scan(&ok)
	return ok, s.failed("find the judge", err)
}
