package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"cai/dataset"
)

// pagePairs is how many rows of a file are looked at in one read. Between pages
// nothing is held, so the log can be written back while a job runs for days.
const pagePairs = 2000

// jobQuery is a job in the store's own keys.
type jobQuery struct {
	job        dataset.Job
	judge      judgeRow
	principles map[int64]int // id to place in the job
	wanted     int64         // questions of one pair
	imports    []int64       // in the job's order of files
	counts     string        // SQL: how many of pair s.pair's questions a table holds, %s the table
	closed     string        // SQL: how many of them are not to be asked, failures included
	since      int64         // failures from then on, in milliseconds, close a question
}

// jobQuery looks up a job. A judge or principles that the store does not know
// have done nothing yet; strict makes them an error.
func (s *Store) jobQuery(ctx context.Context, job dataset.Job, strict bool) (*jobQuery, error) {
	q := &jobQuery{job: job, principles: map[int64]int{}}
	if job.Samples < 1 {
		return nil, fmt.Errorf("a job needs at least 1 sample, not %d", job.Samples)
	}
	if len(job.Orders) == 0 || len(job.Principles) == 0 {
		return nil, errors.New("a job needs an order and a principle")
	}
	orders := make([]string, 0, 2)
	for _, o := range job.Orders {
		if err := checkSlot(o, 0); err != nil {
			return nil, err
		}
		if quoted := "'" + string(o) + "'"; !slices.Contains(orders, quoted) {
			orders = append(orders, quoted)
		}
	}
	var err error
	var ok bool
	if q.judge, ok, err = s.judge(ctx, job.Judge); err != nil {
		return nil, err
	} else if !ok && strict {
		return nil, fmt.Errorf("judge %s is not in %s", job.Judge, s.path)
	}
	unique := map[dataset.Hash]bool{}
	ids := make([]string, 0, len(job.Principles))
	for i, h := range job.Principles {
		if unique[h] {
			continue
		}
		unique[h] = true
		id, ok, err := s.principle(ctx, h)
		switch {
		case err != nil:
			return nil, err
		case ok:
			q.principles[id] = i
			ids = append(ids, strconv.FormatInt(id, 10))
		case strict:
			return nil, fmt.Errorf("principle %s is not in %s", h, s.path)
		}
	}
	q.wanted = int64(len(unique)) * int64(len(orders)) * int64(job.Samples)
	// The plus signs keep SQLite to one range of the index for each pair; it
	// would otherwise seek once for each principle and order.
	q.counts = fmt.Sprintf("(SELECT count(*) FROM %%s g WHERE g.judge = %d AND g.pair = s.pair"+
		" AND +g.principle IN (%s) AND +g.slot_order IN (%s) AND g.sample < %d)",
		q.judge.id, strings.Join(ids, ","), strings.Join(orders, ","), job.Samples)
	switch {
	case !job.RetryFailed:
	case job.Since.IsZero():
		q.since = math.MaxInt64
	default:
		q.since = job.Since.UnixMilli()
	}
	q.closed = fmt.Sprintf(q.counts, "sound_judgments") + " + " +
		fmt.Sprintf(q.counts[:len(q.counts)-1], "failures") + fmt.Sprintf(" AND g.created >= %d)", q.since)
	q.imports, err = s.currentImports(ctx, job.Files)
	return q, err
}

// currentImports gives the imports whose rows are the files', all files of the
// store where none is named.
func (s *Store) currentImports(ctx context.Context, files []int64) ([]int64, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, import FROM files WHERE import IS NOT NULL ORDER BY id")
	if err != nil {
		return nil, s.failed("find the files", err)
	}
	defer rows.Close()
	byFile := map[int64]int64{}
	var all []int64
	for rows.Next() {
		var file, imp int64
		if err := rows.Scan(&file, &imp); err != nil {
			return nil, s.failed("find the files", err)
		}
		byFile[file] = imp
		all = append(all, imp)
	}
	if err := rows.Err(); err != nil {
		return nil, s.failed("find the files", err)
	}
	if len(files) == 0 {
		return all, nil
	}
	var out []int64
	for _, f := range files {
		imp, ok := byFile[f]
		if !ok {
			return nil, fmt.Errorf("file %d is not in %s, or was not read to its end", f, s.path)
		}
		if !slices.Contains(out, imp) {
			out = append(out, imp)
		}
	}
	return out, nil
}

// jobPair is what a page tells of a pair: for a plan its size, its judgments and
// failures, for a job how many of its questions are not to be asked.
type jobPair struct {
	pair         int64
	bytes        int
	done, failed int64
	closed       int64
}

// pairs gives the job's different pairs in source order: all of them for a plan,
// else those that may have open questions.
func (s *Store) pairs(ctx context.Context, q *jobQuery, plan bool) iter.Seq2[jobPair, error] {
	return func(yield func(jobPair, error) bool) {
		var seen bitset
		left := q.job.Limit
		page := make([]jobPair, 0, pagePairs)
		// Pairs that are done need not be shown, except where they count
		// towards a limit.
		skip := !plan && q.job.Limit == 0
		done := s.frontier(q)
		for i, imp := range q.imports {
			from := int64(0)
			if skip {
				from = done.start(i)
			}
			for {
				var err error
				var last int64
				page, last, err = s.page(ctx, q, page[:0], imp, from, plan)
				if err != nil {
					yield(jobPair{}, err)
					return
				}
				if last < 0 {
					break
				}
				if skip && len(page) == 0 {
					done.reach(i, from, last+1)
				}
				from = last + 1
				for _, p := range page {
					if !seen.add(p.pair) {
						continue
					}
					if (plan || p.closed < q.wanted) && !yield(p, nil) {
						return
					}
					if q.job.Limit > 0 {
						if left--; left == 0 {
							return
						}
					}
				}
			}
		}
	}
}

// page reads up to pagePairs rows of an import from place from on; last is the
// place of the last row looked at, -1 where there is none.
func (s *Store) page(ctx context.Context, q *jobQuery, to []jobPair, imp, from int64, plan bool) (_ []jobPair, last int64, err error) {
	const rowsOf = "SELECT seq, pair FROM source_rows WHERE import = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3"
	var max sql.NullInt64
	if err := s.read.QueryRowContext(ctx, "SELECT max(seq) FROM ("+rowsOf+")", imp, from, pagePairs).Scan(&max); err != nil {
		return nil, 0, s.failed("find what is pending", err)
	}
	if !max.Valid {
		return nil, -1, nil
	}
	const among = " WHERE s.import = ?1 AND s.seq BETWEEN ?2 AND ?3"
	judgments := fmt.Sprintf(q.counts, "sound_judgments")
	query := "SELECT s.pair, p.bytes, " + judgments + ", " + fmt.Sprintf(q.counts, "failures") + ", 0" +
		" FROM source_rows s JOIN pairs p ON p.id = s.pair" + among
	switch {
	case plan:
	case q.job.Limit > 0:
		query = "SELECT s.pair, 0, 0, 0, " + q.closed + " FROM source_rows s" + among
	default:
		// The first condition alone settles nearly all of the pairs that are done.
		query = fmt.Sprintf("SELECT s.pair, 0, 0, 0, 0 FROM source_rows s%s AND %s < %d AND %s < %[3]d", among, judgments, q.wanted, q.closed)
	}
	rows, err := s.read.QueryContext(ctx, query+" ORDER BY s.seq", imp, from, max.Int64)
	if err != nil {
		return nil, 0, s.failed("find what is pending", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p jobPair
		if err := rows.Scan(&p.pair, &p.bytes, &p.done, &p.failed, &p.closed); err != nil {
			return nil, 0, s.failed("find what is pending", err)
		}
		to = append(to, p)
	}
	return to, max.Int64, s.failed("find what is pending", rows.Err())
}

// Plan counts what a job wants and what is there of it. A judge or a principle
// that the store does not know has done nothing.
func (s *Store) Plan(ctx context.Context, job dataset.Job) (dataset.Plan, error) {
	var plan dataset.Plan
	q, err := s.jobQuery(ctx, job, false)
	if err != nil {
		return plan, err
	}
	for p, err := range s.pairs(ctx, q, true) {
		if err != nil {
			return plan, err
		}
		plan.Pairs++
		plan.Done += p.done
		plan.Failed += p.failed
		plan.Longest = max(plan.Longest, p.bytes)
	}
	plan.Wanted = plan.Pairs * q.wanted
	return plan, nil
}

// Pending gives the pairs of a job that have open questions, in the order of
// its files, each pair once, however often the files have it. A pair's open
// questions are read just before it is given, so what was answered meanwhile,
// by this process or another, does not come. Nothing is held between two pairs.
func (s *Store) Pending(ctx context.Context, job dataset.Job) iter.Seq2[dataset.Work, error] {
	return func(yield func(dataset.Work, error) bool) {
		q, err := s.jobQuery(ctx, job, true)
		if err != nil {
			yield(dataset.Work{}, err)
			return
		}
		for id, err := range s.open(ctx, q) {
			var w dataset.Work
			if err == nil {
				w, err = s.work(ctx, q, id)
			}
			if err != nil {
				yield(dataset.Work{}, err)
				return
			}
			if len(w.Slots) > 0 && !yield(w, nil) {
				return
			}
		}
	}
}

// open gives the pairs of a job that may have open questions.
func (s *Store) open(ctx context.Context, q *jobQuery) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		stopped, err := s.stops(ctx, q)
		if err != nil {
			yield(0, err)
			return
		}
		for p, err := range s.pairs(ctx, q, false) {
			if err == nil && stopped.has(p.pair) {
				continue
			}
			if !yield(p.pair, err) {
				return
			}
		}
	}
}

// work gives a pair with its open questions.
func (s *Store) work(ctx context.Context, q *jobQuery, pair int64) (dataset.Work, error) {
	var w dataset.Work
	rows, err := s.read.QueryContext(ctx, `SELECT principle, slot_order, sample FROM sound_judgments WHERE judge = ?1 AND pair = ?2
		UNION ALL SELECT principle, slot_order, sample FROM failures WHERE judge = ?1 AND pair = ?2 AND created >= ?3`, q.judge.id, pair, q.since)
	if err != nil {
		return w, s.failed("find what is pending", err)
	}
	defer rows.Close()
	closed := map[dataset.Slot]bool{}
	for rows.Next() {
		var principle int64
		var slot dataset.Slot
		if err := rows.Scan(&principle, &slot.Order, &slot.Sample); err != nil {
			return w, s.failed("find what is pending", err)
		}
		if i, ok := q.principles[principle]; ok {
			slot.Principle = q.job.Principles[i]
			closed[slot] = true
		}
	}
	if err := rows.Err(); err != nil {
		return w, s.failed("find what is pending", err)
	}
	rows.Close()
	for _, o := range q.job.Orders {
		for _, p := range q.job.Principles {
			for n := range q.job.Samples {
				slot := dataset.Slot{Principle: p, Order: o, Sample: n}
				if !closed[slot] {
					closed[slot] = true // a principle named twice is asked once
					w.Slots = append(w.Slots, slot)
				}
			}
		}
	}
	if len(w.Slots) == 0 {
		return w, nil
	}
	var form, text string
	var prompt dataset.Hash
	err = s.read.QueryRowContext(ctx, `SELECT p.hash, q.hash, q.form, q.text, a.text, b.text
		FROM pairs p JOIN prompts q ON q.id = p.prompt
		JOIN responses a ON a.id = p.a JOIN responses b ON b.id = p.b WHERE p.id = ?`, pair).
		Scan(hashInto(&w.Pair), hashInto(&prompt), &form, &text, &w.A, &w.B)
	if err != nil {
		return w, s.failed("read a pair", err)
	}
	w.Prompt, err = readPrompt(prompt, form, text)
	return w, err
}
