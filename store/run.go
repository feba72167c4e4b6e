package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Run is one execution of a command that wrote to the store.
type Run struct {
	ID       int64           `json:"id"`
	Command  string          `json:"command"`
	Settings json.RawMessage `json:"settings"`
	Started  time.Time       `json:"started"`
	// Finished is nil while the run goes on, and for ever where it was killed.
	Finished *time.Time      `json:"finished,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
}

// StartRun notes that a command began, with its settings as JSON, which must
// not hold secrets. It gives the id for [Store.FinishRun].
func (s *Store) StartRun(ctx context.Context, command string, settings any) (int64, error) {
	b, err := json.Marshal(settings)
	if err != nil {
		return 0, fmt.Errorf("note the run: settings: %w", err)
	}
	var id int64
	err = s.write(ctx, "note the run", func(t *tx) error {
		res, err := t.exec("INSERT INTO runs (command, settings, started) VALUES (?, ?, ?)",
			command, clean(string(b)), time.Now().UnixMilli())
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// FinishRun notes that a run ended, with its result as JSON.
func (s *Store) FinishRun(ctx context.Context, id int64, result any) error {
	b, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("note the run: result: %w", err)
	}
	return s.write(ctx, "note the run", func(t *tx) error {
		res, err := t.exec("UPDATE runs SET finished = ?, result = ? WHERE id = ?",
			time.Now().UnixMilli(), clean(string(b)), id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return refuse("run %d is not in the store", id)
		}
		return nil
	})
}

// Runs lists the last runs, newest first; limit 0 is all.
func (s *Store) Runs(ctx context.Context, limit int) ([]Run, error) {
	if limit <= 0 {
		limit = -1
	}
	rows, err := s.read.QueryContext(ctx,
		"SELECT id, command, settings, started, finished, result FROM runs ORDER BY id DESC LIMIT ?", limit)
	if err != nil {
		return nil, s.failed("list the runs", err)
	}
	defer rows.Close()
	var out []Run
	for rows.Next() {
		var r Run
		var settings string
		var started int64
		var finished *int64
		var result *string
		if err := rows.Scan(&r.ID, &r.Command, &settings, &started, &finished, &result); err != nil {
			return nil, s.failed("list the runs", err)
		}
		r.Settings, r.Started = json.RawMessage(settings), fromMillis(started)
		if finished != nil {
			t := fromMillis(*finished)
			r.Finished = &t
		}
		if result != nil {
			r.Result = json.RawMessage(*result)
		}
		out = append(out, r)
	}
	return out, s.failed("list the runs", rows.Err())
}
