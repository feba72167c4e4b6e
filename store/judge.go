package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cai/dataset"
)

// PutJudge stores who judges, which judgments refer to. Its options must not
// hold secrets.
func (s *Store) PutJudge(ctx context.Context, j dataset.Judge) error {
	hash := j.Hash()
	opts := j.Options
	if opts == nil {
		opts = map[string]string{}
	}
	options, err := json.Marshal(opts)
	if err != nil {
		return fmt.Errorf("store the judge: %w", err)
	}
	var row judgeRow
	err = s.write(ctx, "store the judge", func(t *tx) error {
		id, isNew, err := t.put("judges", hash[:],
			`INSERT INTO judges (hash, backend, model, digest, template, mode, options, created)
			 VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			hash[:], j.Backend, clean(j.Model), j.Digest, j.Template, j.Mode, clean(string(options)), time.Now().UnixMilli())
		row = judgeRow{id, j.Mode}
		if err != nil || isNew {
			return err
		}
		// The same weights under another name: people look for the last one.
		_, err = t.exec("UPDATE judges SET model = ? WHERE id = ? AND model <> ?", clean(j.Model), id, clean(j.Model))
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.judges[hash] = row
	s.mu.Unlock()
	return nil
}

// JudgeInfo is a judge that the store knows, and how much it has done.
type JudgeInfo struct {
	dataset.Judge
	Hash      dataset.Hash `json:"hash"`
	Judgments int64        `json:"judgments"`
	Pairs     int64        `json:"pairs"`
	Failures  int64        `json:"failures"`
}

// Judges lists the judges in the order in which they came.
func (s *Store) Judges(ctx context.Context) ([]JudgeInfo, error) {
	// Counted along the index, judge by judge: grouped by judge, the pairs would
	// all be held in memory.
	rows, err := s.read.QueryContext(ctx, `
		SELECT j.hash, j.backend, j.model, j.digest, j.template, j.mode, j.options,
		       (SELECT count(*) FROM judgments g WHERE g.judge = j.id),
		       (SELECT count(*) FROM (SELECT DISTINCT g.pair FROM judgments g WHERE g.judge = j.id)),
		       (SELECT count(*) FROM failures f WHERE f.judge = j.id)
		FROM judges j ORDER BY j.id`)
	if err != nil {
		return nil, s.failed("list the judges", err)
	}
	defer rows.Close()
	var out []JudgeInfo
	for rows.Next() {
		var j JudgeInfo
		var options string
		if err := rows.Scan(hashInto(&j.Hash), &j.Backend, &j.Model, &j.Digest, &j.Template, &j.Mode, &options,
			&j.Judgments, &j.Pairs, &j.Failures); err != nil {
			return nil, s.failed("list the judges", err)
		}
		if err := json.Unmarshal([]byte(options), &j.Options); err != nil {
			return nil, s.failed("list the judges", fmt.Errorf("judge %s: options: %w", j.Hash, err))
		}
		out = append(out, j)
	}
	return out, s.failed("list the judges", rows.Err())
}

// judge gives a judge's row, and false where the store has none.
func (s *Store) judge(ctx context.Context, h dataset.Hash) (judgeRow, bool, error) {
	s.mu.Lock()
	row, ok := s.judges[h]
	s.mu.Unlock()
	if ok {
		return row, true, nil
	}
	err := s.read.QueryRowContext(ctx, "SELECT id, mode FROM judges WHERE hash = ?", h[:]).Scan(&row.id, &row.mode)
	if errors.Is(err, sql.ErrNoRows) {
		return row, false, nil
	}
	if err != nil {
		return row, false, s.failed("find the judge", err)
	}
	s.mu.Lock()
	s.judges[h] = row // rows of judges are never removed
	s.mu.Unlock()
	return row, true, nil
}

// principle gives a principle's row, and false where the store has none.
func (s *Store) principle(ctx context.Context, h dataset.Hash) (id int64, ok bool, err error) {
	s.mu.Lock()
	id, ok = s.principles[h]
	s.mu.Unlock()
	if ok {
		return id, true, nil
	}
	err = s.read.QueryRowContext(ctx, "SELECT id FROM principles WHERE hash = ?", h[:]).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, s.failed("find the principle", err)
	}
	s.mu.Lock()
	s.principles[h] = id
	s.mu.Unlock()
	return id, true, nil
}

// by gives the rows of a judge and a principle that must both be known.
func (s *Store) by(ctx context.Context, judge, principle dataset.Hash) (judgeRow, int64, error) {
	j, ok, err := s.judge(ctx, judge)
	if err != nil {
		return j, 0, err
	}
	if !ok {
		return j, 0, fmt.Errorf("judge %s is not in %s", judge, s.path)
	}
	p, ok, err := s.principle(ctx, principle)
	if err != nil {
		return j, 0, err
	}
	if !ok {
		return j, 0, fmt.Errorf("principle %s is not in %s", principle, s.path)
	}
	return j, p, nil
}
