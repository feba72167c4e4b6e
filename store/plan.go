package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cai/dataset"
)

// Outlook counts what a job wants, what is there of it and how much text its
// open questions have. A judge or a principle that the store does not know has
// done nothing. progress, if set, is called with the number of pairs looked at.
func (s *Store) Outlook(ctx context.Context, job dataset.Job, progress func(pairs int64)) (dataset.Outlook, error) {
	var out dataset.Outlook
	q, err := s.jobQuery(ctx, job, false)
	if err != nil {
		return out, err
	}
	l := &outlook{s: s, q: q, out: &out, done: make([]int64, len(job.Principles)), failed: make([]int64, len(job.Principles))}
	for p, err := range s.pairs(ctx, q, true) {
		if err != nil {
			return out, err
		}
		out.Pairs++
		out.Done += p.done
		out.Failed += p.failed
		out.Longest = max(out.Longest, p.bytes)
		l.page = append(l.page, p)
		if len(l.page) == pagePairs {
			if err := l.flush(ctx); err != nil {
				return out, err
			}
			if progress != nil {
				progress(out.Pairs)
			}
		}
	}
	if err := l.flush(ctx); err != nil {
		return out, err
	}
	out.Wanted = out.Pairs * q.wanted
	each := out.Wanted / l.unique()
	seen := map[dataset.Hash]bool{}
	for i, h := range job.Principles {
		if seen[h] {
			continue
		}
		seen[h] = true
		p := dataset.PrinciplePlan{Principle: h, Wanted: each, Done: l.done[i], Failed: l.failed[i]}
		p.Open = p.Wanted - p.Done
		if !job.RetryFailed {
			p.Open -= p.Failed
		}
		out.ByPrinciple = append(out.ByPrinciple, p)
	}
	return out, nil
}

// outlook adds up an Outlook by pages of pairs.
type outlook struct {
	s            *Store
	q            *jobQuery
	out          *dataset.Outlook
	page         []jobPair
	done, failed []int64 // by principle, in the job's order
}

// unique is the number of different principles.
func (l *outlook) unique() int64 {
	seen := map[dataset.Hash]bool{}
	for _, h := range l.q.job.Principles {
		seen[h] = true
	}
	return int64(len(seen))
}

// orders gives the job's different orders, in its order.
func (l *outlook) orders() []dataset.Order {
	var out []dataset.Order
	for _, o := range l.q.job.Orders {
		if len(out) == 0 || out[0] != o {
			out = append(out, o)
		}
	}
	return out[:min(len(out), 2)]
}

func (l *outlook) flush(ctx context.Context) error {
	if len(l.page) == 0 {
		return nil
	}
	var all, open []string
	for _, p := range l.page {
		id := strconv.FormatInt(p.pair, 10)
		all = append(all, id)
		closed := p.done
		if !l.q.job.RetryFailed {
			closed += p.failed
		}
		if closed < l.q.wanted {
			open = append(open, id)
		}
	}
	l.page = l.page[:0]
	if len(l.q.principles) > 0 { // else the store knows none of them
		if err := l.principles(ctx, "sound_judgments", all, l.done); err != nil {
			return err
		}
		if err := l.principles(ctx, "failures", all, l.failed); err != nil {
			return err
		}
	}
	if len(open) == 0 {
		return nil
	}
	return l.texts(ctx, open)
}

// among says which rows of a table are the job's for some pairs.
func (l *outlook) among(table string, pairs []string) string {
	var principles, orders []string
	for id := range l.q.principles {
		principles = append(principles, strconv.FormatInt(id, 10))
	}
	for _, o := range l.orders() {
		orders = append(orders, "'"+string(o)+"'")
	}
	return fmt.Sprintf(" FROM %s g WHERE g.judge = %d AND g.pair IN (%s) AND +g.principle IN (%s) AND +g.slot_order IN (%s) AND g.sample < %d",
		table, l.q.judge.id, strings.Join(pairs, ","), strings.Join(principles, ","), strings.Join(orders, ","), l.q.job.Samples)
}

// principles counts a table's rows by principle.
func (l *outlook) principles(ctx context.Context, table string, pairs []string, to []int64) error {
	rows, err := l.s.read.QueryContext(ctx, "SELECT g.principle, count(*)"+l.among(table, pairs)+" GROUP BY g.principle")
	if err != nil {
		return l.s.failed("plan the job", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, n int64
		if err := rows.Scan(&id, &n); err != nil {
			return l.s.failed("plan the job", err)
		}
		to[l.q.principles[id]] += n
	}
	return l.s.failed("plan the job", rows.Err())
}

// texts adds up the texts of pairs with open questions.
func (l *outlook) texts(ctx context.Context, pairs []string) error {
	closed := map[int64]*[2]int64{} // by pair and order
	orders := l.orders()
	tables := []string{"sound_judgments"}
	if !l.q.job.RetryFailed {
		tables = append(tables, "failures")
	}
	for _, table := range tables {
		if len(l.q.principles) == 0 {
			break
		}
		rows, err := l.s.read.QueryContext(ctx, "SELECT g.pair, g.slot_order, count(*)"+l.among(table, pairs)+" GROUP BY g.pair, g.slot_order")
		if err != nil {
			return l.s.failed("plan the job", err)
		}
		for rows.Next() {
			var pair, n int64
			var order dataset.Order
			if err := rows.Scan(&pair, &order, &n); err != nil {
				rows.Close()
				return l.s.failed("plan the job", err)
			}
			if closed[pair] == nil {
				closed[pair] = new([2]int64)
			}
			if order == orders[0] {
				closed[pair][0] += n
			} else {
				closed[pair][1] += n
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return l.s.failed("plan the job", err)
		}
	}
	rows, err := l.s.read.QueryContext(ctx, `SELECT p.id, p.bytes, octet_length(q.text)
		FROM pairs p JOIN prompts q ON q.id = p.prompt WHERE p.id IN (`+strings.Join(pairs, ",")+")")
	if err != nil {
		return l.s.failed("plan the job", err)
	}
	defer rows.Close()
	each := l.q.wanted / int64(len(orders))
	for rows.Next() {
		var pair, bytes, prompt int64
		if err := rows.Scan(&pair, &bytes, &prompt); err != nil {
			return l.s.failed("plan the job", err)
		}
		prompt = min(prompt, bytes)
		var done [2]int64
		if c := closed[pair]; c != nil {
			done = *c
		}
		begun := false
		for i := range orders {
			n := each - done[i]
			if n <= 0 {
				continue
			}
			l.out.Texts += n * bytes
			l.out.Cached += (n - 1) * bytes
			if begun {
				l.out.Cached += prompt
			}
			begun = true
		}
	}
	return l.s.failed("plan the job", rows.Err())
}

// Calls gives what some of a judge's judgments took, up to limit of them: those
// of the pairs that came last into the store.
func (s *Store) Calls(ctx context.Context, judge dataset.Hash, limit int) ([]dataset.Call, error) {
	row, ok, err := s.judge(ctx, judge)
	if err != nil || !ok {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT p.hash, r.hash, g.slot_order, g.id, octet_length(q.text), p.bytes, g.prompt_tokens, g.milliseconds, g.created
		FROM (SELECT id FROM judgments WHERE judge = ? ORDER BY pair DESC LIMIT ?) last
		JOIN judgments g ON g.id = last.id
		JOIN principles r ON r.id = g.principle
		JOIN pairs p ON p.id = g.pair
		JOIN prompts q ON q.id = p.prompt`, row.id, limit)
	if err != nil {
		return nil, s.failed("see what calls took", err)
	}
	defer rows.Close()
	var out []dataset.Call
	for rows.Next() {
		var c dataset.Call
		var bytes int
		var ms, created int64
		if err := rows.Scan(hashInto(&c.Pair), hashInto(&c.Principle), &c.Order, &c.Seq, &c.Prompt, &bytes, &c.Tokens, &ms, &created); err != nil {
			return nil, s.failed("see what calls took", err)
		}
		c.Prompt = min(c.Prompt, bytes)
		c.Replies = bytes - c.Prompt
		c.Duration, c.Ended = time.Duration(ms)*time.Millisecond, fromMillis(created)
		out = append(out, c)
	}
	return out, s.failed("see what calls took", rows.Err())
}
