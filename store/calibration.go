package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"cai/dataset"
)

// Calibration is how the log-odds of a judge, or of a jury, are turned into
// better ones.
type Calibration struct {
	// Subject is the hash of what was fitted: judges with their weights,
	// principles with theirs, the rule.
	Subject dataset.Hash
	Judge   dataset.Hash // zero of a jury
	Method  string
	Params  json.RawMessage
	Figures json.RawMessage // out of fold
	Gold    []string        // the files
	N       int             // pairs that it was fitted to
	Created time.Time
}

// PutCalibration keeps a calibration; it takes the place of older ones of the
// same subject, which stay to be looked up.
func (s *Store) PutCalibration(ctx context.Context, c *Calibration) error {
	gold, err := json.Marshal(c.Gold)
	if err != nil {
		return err
	}
	return s.write(ctx, "keep the calibration", func(t *tx) error {
		var judge any
		if !c.Judge.IsZero() {
			var id int64
			if _, err := t.one("SELECT id FROM judges WHERE hash = ?", []any{c.Judge[:]}, &id); err != nil {
				return err
			}
			judge = id
		}
		_, err := t.exec(`INSERT INTO calibrations (subject, judge, method, params, figures, gold, n, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, c.Subject[:], judge, c.Method, string(c.Params), string(c.Figures), string(gold), c.N,
			time.Now().UnixMilli())
		return err
	})
}

// Calibration gives the newest calibration of a subject; false if there is none.
func (s *Store) Calibration(ctx context.Context, subject dataset.Hash) (*Calibration, bool, error) {
	c := &Calibration{Subject: subject}
	var params, figures, gold string
	var created int64
	var judge []byte
	err := s.read.QueryRowContext(ctx, `
		SELECT c.method, c.params, c.figures, c.gold, c.n, c.created, j.hash
		FROM calibrations c LEFT JOIN judges j ON j.id = c.judge
		WHERE c.subject = ? ORDER BY c.id DESC LIMIT 1`, subject[:]).
		Scan(&c.Method, &params, &figures, &gold, &c.N, &created, &judge)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.failed("read the calibration", err)
	}
	copy(c.Judge[:], judge)
	c.Params, c.Figures, c.Created = json.RawMessage(params), json.RawMessage(figures), fromMillis(created)
	if err := json.Unmarshal([]byte(gold), &c.Gold); err != nil {
		return nil, false, s.failed("read the calibration", err)
	}
	return c, true, nil
}
