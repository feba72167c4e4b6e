package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"cai/dataset"
)

// AddStop keeps that a pair needs no more questions. A later one of the same
// judge and rule takes its place.
func (s *Store) AddStop(ctx context.Context, d *dataset.Stop) error {
	judge, ok, err := s.judge(ctx, d.Judge)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("keep that pair %s is certain: judge %s is not in %s", d.Pair, d.Judge, s.path)
	}
	return s.write(ctx, "keep that a pair is certain", func(t *tx) error {
		res, err := t.exec(`INSERT INTO stops (pair, judge, rule, flip, created)
			SELECT id, ?, ?, ?, ? FROM pairs WHERE hash = ?
			ON CONFLICT (judge, rule, pair) DO UPDATE SET flip = excluded.flip, created = excluded.created`,
			judge.id, d.Rule[:], d.Flip, millis(d.Created), d.Pair[:])
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return knownPair(t, d.Pair)
	})
}

// stops gives the pairs that a job's rule has stopped.
func (s *Store) stops(ctx context.Context, q *jobQuery) (bitset, error) {
	if q.job.Rule == (dataset.Hash{}) {
		return nil, nil
	}
	rows, err := s.read.QueryContext(ctx, "SELECT pair FROM stops WHERE judge = ? AND rule = ? AND flip <= ?", q.judge.id, q.job.Rule[:], q.job.Risk)
	if err != nil {
		return nil, s.failed("find the pairs that are certain", err)
	}
	defer rows.Close()
	var out bitset
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, s.failed("find the pairs that are certain", err)
		}
		out.add(id)
	}
	return out, s.failed("find the pairs that are certain", rows.Err())
}

// Saved is what a rule left out of a job.
type Saved struct {
	Pairs     int64 // that have questions which are not asked
	Questions int64 // those questions: not answered, nor failed unless the job retries
}

// Saved counts the questions of a job that its rule has left out.
func (s *Store) Saved(ctx context.Context, job dataset.Job) (Saved, error) {
	var out Saved
	q, err := s.jobQuery(ctx, job, false)
	if err != nil {
		return out, err
	}
	stops, err := s.stops(ctx, q)
	if err != nil || len(stops) == 0 {
		return out, err
	}
	for p, err := range s.pairs(ctx, q, true) {
		if err != nil {
			return out, err
		}
		left := q.wanted - p.done
		if !job.RetryFailed {
			left -= p.failed
		}
		if left > 0 && stops.has(p.pair) {
			out.Pairs++
			out.Questions += left
		}
	}
	return out, nil
}

// PairSoFar gives what a judge has said of one pair, and the stop of a rule
// there, nil where it has none.
func (s *Store) PairSoFar(ctx context.Context, judge, pair, rule dataset.Hash) ([]dataset.Judgment, *dataset.Stop, error) {
	j, ok, err := s.judge(ctx, judge)
	if err != nil || !ok {
		return nil, nil, err
	}
	var id int64
	var flip sql.NullFloat64
	var created sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT p.id, t.flip, t.created FROM pairs p
		LEFT JOIN stops t ON t.judge = ? AND t.rule = ? AND t.pair = p.id WHERE p.hash = ?`, j.id, rule[:], pair[:]).Scan(&id, &flip, &created)
	if err != nil {
		return nil, nil, s.failed("read the judgments of a pair", err)
	}
	var stop *dataset.Stop
	if flip.Valid {
		stop = &dataset.Stop{Pair: pair, Judge: judge, Rule: rule, Flip: flip.Float64, Created: fromMillis(created.Int64)}
	}
	byID := map[int64]*Judged{id: {Key: dataset.PairKey{Hash: pair}}}
	if err := s.judgedJudgments(ctx, map[int64]dataset.Hash{j.id: judge}, "("+strconv.FormatInt(id, 10)+")", "", byID); err != nil {
		return nil, nil, s.failed("read the judgments of a pair", err)
	}
	return sound(byID[id].Judgments), stop, nil
}

// LatestJudgments gives what a judge has said of the pairs that came into the
// store last, at most so many of them, each pair's judgments together, in the
// order in which the pairs came.
func (s *Store) LatestJudgments(ctx context.Context, judge dataset.Hash, pairs int) iter.Seq2[[]dataset.Judgment, error] {
	return func(yield func([]dataset.Judgment, error) bool) {
		if err := s.latest(ctx, judge, pairs, func(js []dataset.Judgment) bool { return yield(js, nil) }); err != nil {
			yield(nil, s.failed("read the last judgments", err))
		}
	}
}

func (s *Store) latest(ctx context.Context, hash dataset.Hash, pairs int, yield func([]dataset.Judgment) bool) error {
	judge, ok, err := s.judge(ctx, hash)
	if err != nil || !ok {
		return err
	}
	last, err := s.latestPairs(ctx, judge.id, pairs)
	if err != nil {
		return err
	}
	for len(last) > 0 {
		page := last[:min(judgedPage, len(last))]
		last = last[len(page):]
		byID := make(map[int64]*Judged, len(page))
		ids := make([]int64, len(page))
		for i, p := range page {
			ids[i], byID[p.id] = p.id, &Judged{Key: dataset.PairKey{Hash: p.hash}}
		}
		if err := s.judgedJudgments(ctx, map[int64]dataset.Hash{judge.id: hash}, inList(ids), "", byID); err != nil {
			return err
		}
		for _, id := range ids {
			if !yield(sound(byID[id].Judgments)) {
				return nil
			}
		}
	}
	return nil
}

// sound leaves out what is doubtful, which is asked again or not known.
func sound(js []dataset.Judgment) []dataset.Judgment {
	return slices.DeleteFunc(js, func(j dataset.Judgment) bool { return j.Doubt != "" })
}

type pairID struct {
	id   int64
	hash dataset.Hash
}

// latestPairs gives the last pairs that a judge has judged, in the order in
// which they came.
func (s *Store) latestPairs(ctx context.Context, judge int64, n int) ([]pairID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT p.id, p.hash
		FROM (SELECT DISTINCT pair FROM sound_judgments WHERE judge = ? ORDER BY pair DESC LIMIT ?) g
		JOIN pairs p ON p.id = g.pair ORDER BY p.id`, judge, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []pairID
	for rows.Next() {
		var p pairID
		if err := rows.Scan(&p.id, hashInto(&p.hash)); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// inList writes ids for IN.
func inList(ids []int64) string {
	b := []byte{'('}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, ')'))
}
