package store

import (
	"context"
	"os"
	"time"

	"cai/dataset"
)

// FileInfo is a file that was imported.
type FileInfo struct {
	ID       int64     `json:"id"`
	Name     string    `json:"name"`
	Rows     int64     `json:"rows"`
	Pairs    int64     `json:"pairs"` // different ones
	Imported time.Time `json:"imported"`
}

// Files lists the files that were read to their end, in the order in which
// they first came.
func (s *Store) Files(ctx context.Context) ([]FileInfo, error) {
	rows, err := s.read.QueryContext(ctx,
		"SELECT id, name, rows, pairs, imported FROM files WHERE import IS NOT NULL ORDER BY id")
	if err != nil {
		return nil, s.failed("list the files", err)
	}
	defer rows.Close()
	var out []FileInfo
	for rows.Next() {
		var f FileInfo
		var imported int64
		if err := rows.Scan(&f.ID, &f.Name, &f.Rows, &f.Pairs, &imported); err != nil {
			return nil, s.failed("list the files", err)
		}
		f.Imported = fromMillis(imported)
		out = append(out, f)
	}
	return out, s.failed("list the files", rows.Err())
}

// FailureCount is how often calls of one judge failed in one way, and are still
// without a judgment.
type FailureCount struct {
	Judge   dataset.Hash `json:"judge"`
	Model   string       `json:"model"`
	Kind    string       `json:"kind"`
	Count   int64        `json:"count"`
	Example string       `json:"example"` // the last message
}

// Status is what is in the store.
type Status struct {
	Path       string         `json:"path"`
	Bytes      int64          `json:"bytes"` // of the file and its log
	Schema     int            `json:"schema"`
	ReadOnly   bool           `json:"read_only,omitempty"`
	Prompts    int64          `json:"prompts"`
	Responses  int64          `json:"responses"`
	Pairs      int64          `json:"pairs"`
	Judgments  int64          `json:"judgments"`
	Critiques  int64          `json:"critiques"`
	Revisions  int64          `json:"revisions"`
	Grades     int64          `json:"grades"`
	Answers    int64          `json:"answers"`
	Embeddings int64          `json:"embeddings"`
	Failed     int64          `json:"failed"`
	Doubtful   Doubtful       `json:"doubtful"`
	Files      []FileInfo     `json:"files"`
	Judges     []JudgeInfo    `json:"judges"`
	Failures   []FailureCount `json:"failures"`
	Runs       []Run          `json:"runs"` // the last ten, newest first
}

// Status counts what is in the store.
func (s *Store) Status(ctx context.Context) (Status, error) {
	st := Status{Path: s.path, ReadOnly: s.readOnly}
	for _, suffix := range []string{"", "-wal"} {
		if fi, err := os.Stat(s.path + suffix); err == nil {
			st.Bytes += fi.Size()
		}
	}
	err := s.read.QueryRowContext(ctx, `
		SELECT (SELECT user_version FROM pragma_user_version),
		       (SELECT count(*) FROM prompts), (SELECT count(*) FROM responses), (SELECT count(*) FROM pairs),
		       (SELECT count(*) FROM judgments), (SELECT count(*) FROM critiques), (SELECT count(*) FROM revisions),
		       (SELECT count(*) FROM answers), (SELECT count(*) FROM failures), (SELECT count(*) FROM embeddings),
		       (SELECT count(*) FROM grades)`).
		Scan(&st.Schema, &st.Prompts, &st.Responses, &st.Pairs, &st.Judgments, &st.Critiques, &st.Revisions, &st.Answers, &st.Failed, &st.Embeddings, &st.Grades)
	if err != nil {
		return st, s.failed("count what is in the store", err)
	}
	if err := st.Doubtful.scan(s.read.QueryRowContext(ctx, countDoubtful)); err != nil {
		return st, s.failed("count what is doubtful", err)
	}
	if st.Files, err = s.Files(ctx); err != nil {
		return st, err
	}
	if st.Judges, err = s.Judges(ctx); err != nil {
		return st, err
	}
	if st.Runs, err = s.Runs(ctx, 10); err != nil {
		return st, err
	}
	st.Failures, err = s.failureCounts(ctx)
	return st, err
}

func (s *Store) failureCounts(ctx context.Context) ([]FailureCount, error) {
	// With max(), SQLite takes the bare column message from the row that has it.
	rows, err := s.read.QueryContext(ctx, `
		SELECT j.hash, j.model, f.kind, count(*), f.message, max(f.created)
		FROM failures f JOIN judges j ON j.id = f.judge
		GROUP BY f.judge, f.kind ORDER BY f.judge, count(*) DESC, f.kind`)
	if err != nil {
		return nil, s.failed("count the failures", err)
	}
	defer rows.Close()
	var out []FailureCount
	for rows.Next() {
		var f FailureCount
		var last int64
		if err := rows.Scan(hashInto(&f.Judge), &f.Model, &f.Kind, &f.Count, &f.Example, &last); err != nil {
			return nil, s.failed("count the failures", err)
		}
		out = append(out, f)
	}
	return out, s.failed("count the failures", rows.Err())
}
