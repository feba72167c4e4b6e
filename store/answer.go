package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"cai/dataset"
)

// Answer gives what was stored under key, the hash of a question with
// everything that changes its answer, and tells whether it is doubtful.
func (s *Store) Answer(ctx context.Context, key dataset.Hash) (value []byte, doubtful, ok bool, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT value, "+doubted("answers", "id")+" FROM answers WHERE key = ?", key[:]).Scan(&value, &doubtful)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, false, nil
	}
	return value, doubtful, err == nil, s.failed("read an answer", err)
}

// PutAnswer stores an answer and returns when it is durable. The first answer
// to a question stays, unless it is doubtful.
func (s *Store) PutAnswer(ctx context.Context, key dataset.Hash, value []byte) error {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	return s.write(ctx, "store an answer", func(t *tx) error {
		if err := t.makeRoom("answers", "key = ?", key[:]); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO answers (key, value, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			key[:], value, time.Now().UnixMilli())
		return err
	})
}
