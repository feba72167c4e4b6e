package store

import (
	"context"
	"fmt"
	"math"

	"cai/dataset"
)

// AddJudgment stores a judgment and returns when it would survive a power cut.
// A failure of the same question is forgotten. Where the question was answered
// before, the first answer stays and that is no error, unless it is doubtful: the
// new one then takes its place. The pair, the principle and the judge must be
// known.
func (s *Store) AddJudgment(ctx context.Context, j *dataset.Judgment) error {
	if err := checkSlot(j.Order, j.Sample); err != nil {
		return fmt.Errorf("store a judgment of pair %s: %w", j.Pair, err)
	}
	if !finite(j.LPFirst) || !finite(j.LPSecond) || !finite(j.Coverage) || math.IsInf(j.LPTie, 0) {
		return fmt.Errorf("store a judgment of pair %s: log-probabilities %g and %g, coverage %g: not finite",
			j.Pair, j.LPFirst, j.LPSecond, j.Coverage)
	}
	judge, principle, err := s.by(ctx, j.Judge, j.Principle)
	if err != nil {
		return fmt.Errorf("store a judgment: %w", err)
	}
	var rationale any
	if j.Rationale != "" {
		rationale = j.Rationale
	}
	args := []any{
		principle, judge.id, string(j.Order), j.Sample, judge.mode,
		j.LPFirst, j.LPSecond, orNull(j.LPTie), j.Coverage, j.Censored,
		j.PromptTokens, j.Duration.Milliseconds(), rationale, millis(j.Created), j.Pair[:],
	}
	slot := []any{judge.id, principle, string(j.Order), j.Sample, j.Pair[:]}
	return s.write(ctx, "store a judgment", func(t *tx) error {
		replaces, err := t.forget(slot)
		if err != nil {
			return err
		}
		query := insertJudgment + "DO NOTHING"
		if replaces {
			query = insertJudgment + replaceJudgment
		}
		res, err := t.exec(query, args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = knownPair(t, j.Pair)
		}
		return err
	})
}

const (
	insertJudgment = `INSERT INTO judgments (pair, principle, judge, slot_order, sample, mode,
		lp_first, lp_second, lp_tie, coverage, censored, prompt_tokens, milliseconds, rationale, created)
		SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM pairs WHERE hash = ?
		ON CONFLICT (judge, pair, principle, slot_order, sample, mode) `
	replaceJudgment = `DO UPDATE SET lp_first = excluded.lp_first, lp_second = excluded.lp_second, lp_tie = excluded.lp_tie,
		coverage = excluded.coverage, censored = excluded.censored, prompt_tokens = excluded.prompt_tokens,
		milliseconds = excluded.milliseconds, rationale = excluded.rationale, created = excluded.created`
)

// forget removes the failure of a question, and tells whether there was one.
func (t *tx) forget(slot []any) (bool, error) {
	if some, err := t.someFailures(); err != nil || !some {
		return false, err
	}
	res, err := t.exec(`DELETE FROM failures WHERE judge = ? AND principle = ? AND slot_order = ? AND sample = ?
		AND pair = (SELECT id FROM pairs WHERE hash = ?)`, slot...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// AddFailure stores that a question got no judgment. A later failure of the
// same question takes its place; where there is a judgment that is not doubtful
// nothing is stored.
func (s *Store) AddFailure(ctx context.Context, f *dataset.Failure) error {
	if err := checkSlot(f.Order, f.Sample); err != nil {
		return fmt.Errorf("store a failure of pair %s: %w", f.Pair, err)
	}
	judge, principle, err := s.by(ctx, f.Judge, f.Principle)
	if err != nil {
		return fmt.Errorf("store a failure: %w", err)
	}
	return s.write(ctx, "store a failure", func(t *tx) error {
		t.failures = yes
		res, err := t.exec(`INSERT INTO failures (pair, principle, judge, slot_order, sample, kind, message, created)
			SELECT p.id, ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM pairs p WHERE p.hash = ?8 AND NOT EXISTS (
			  SELECT 1 FROM sound_judgments j WHERE j.judge = ?2 AND j.pair = p.id AND j.principle = ?1
			  AND j.slot_order = ?3 AND j.sample = ?4)
			ON CONFLICT (judge, pair, principle, slot_order, sample) DO UPDATE
			SET kind = excluded.kind, message = excluded.message, created = excluded.created`,
			principle, judge.id, string(f.Order), f.Sample, f.Kind, clean(f.Message), millis(f.Created), f.Pair[:])
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = knownPair(t, f.Pair)
		}
		return err
	})
}

// Failures lists the last failures of a judge, newest first; limit 0 is all.
func (s *Store) Failures(ctx context.Context, judge dataset.Hash, limit int) ([]dataset.Failure, error) {
	if limit <= 0 {
		limit = -1
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT p.hash, r.hash, f.slot_order, f.sample, f.kind, f.message, f.created
		FROM failures f
		JOIN judges j ON j.id = f.judge
		JOIN pairs p ON p.id = f.pair
		JOIN principles r ON r.id = f.principle
		WHERE j.hash = ? ORDER BY f.created DESC, f.id DESC LIMIT ?`, judge[:], limit)
	if err != nil {
		return nil, s.failed("list the failures", err)
	}
	defer rows.Close()
	var out []dataset.Failure
	for rows.Next() {
		f := dataset.Failure{Judge: judge}
		var created int64
		if err := rows.Scan(hashInto(&f.Pair), hashInto(&f.Principle), &f.Order, &f.Sample, &f.Kind, &f.Message, &created); err != nil {
			return nil, s.failed("list the failures", err)
		}
		f.Created = fromMillis(created)
		out = append(out, f)
	}
	return out, s.failed("list the failures", rows.Err())
}

func knownPair(t *tx, h dataset.Hash) error {
	var id int64
	found, err := t.one("SELECT id FROM pairs WHERE hash = ?", []any{h[:]}, &id)
	if err == nil && !found {
		err = refuse("pair %s is not in the store", h)
	}
	return err
}

func checkSlot(o dataset.Order, sample int) error {
	if o != dataset.OrderAB && o != dataset.OrderBA {
		return fmt.Errorf("order %q is neither ab nor ba", o)
	}
	if sample < 0 {
		return fmt.Errorf("sample %d is negative", sample)
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// orNull gives x, and nil for NaN, which SQLite has no word for but NULL.
func orNull(x float64) any {
	if math.IsNaN(x) {
		return nil
	}
	return x
}
