package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"cai/dataset"
)

// Answer gives what was stored under key, the hash of a question with
// everything that changes its answer.
func (s *Store) Answer(ctx context.Context, key dataset.Hash) ([]byte, bool, error) {
	var v []byte
	err := s.read.QueryRowContext(ctx, "SELECT value FROM answers WHERE key = ?", key[:]).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return v, err == nil, s.failed("read an answer", err)
}

// PutAnswer stores an answer and returns when it is durable. The first answer
// to a question stays.
func (s *Store) PutAnswer(ctx context.Context, key dataset.Hash, value []byte) error {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	return s.write(ctx, "store an answer", func(t *tx) error {
		_, err := t.exec("INSERT INTO answers (key, value, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			key[:], value, time.Now().UnixMilli())
		return err
	})
}
