package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"

	"cai/dataset"
)

const (
	// beatEvery is how often a process gives a sign of life.
	beatEvery = 10 * time.Second
	// beatLost is after how long without one it counts as dead, for others that
	// cannot look: on its own machine a process that is gone is seen at once.
	beatLost = time.Minute
	// mostClaims bounds the pairs that are claimed together.
	mostClaims = 64
	// A batch of claims should last between these, so that a slow job holds few
	// pairs and a fast one writes seldom.
	batchShort, batchLong = 500 * time.Millisecond, 2 * time.Second
)

// Claims are the pairs that this process works on for one job.
type Claims struct {
	s     *Store
	job   dataset.Job
	judge int64
	id    int64 // of the claimant

	mu     sync.Mutex
	over   []int64                // pairs that are done with and still claimed
	ids    map[dataset.Hash]int64 // pairs that are claimed
	latest int64                  // the newest claimant that was seen

	stop context.CancelFunc
	done chan struct{}
}

// Claim begins to share a job with other processes. The caller must close what
// it gives.
func (s *Store) Claim(ctx context.Context, job dataset.Job) (*Claims, error) {
	judge, ok, err := s.judge(ctx, job.Judge)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("judge %s is not in %s", job.Judge, s.path)
	}
	c := &Claims{s: s, job: job, judge: judge.id, ids: map[dataset.Hash]int64{}, done: make(chan struct{})}
	machine, err := os.Hostname()
	if err != nil {
		machine = "" // its processes are then known by their beat alone
	}
	err = s.write(ctx, "join the job", func(t *tx) error {
		res, err := t.exec("INSERT INTO claimants (machine, process, beat) VALUES (?, ?, ?)", clean(machine), os.Getpid(), time.Now().UnixMilli())
		if err != nil {
			return err
		}
		c.id, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return nil, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go func() {
		defer close(c.done)
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-tick.C:
				// An error of the store meets the next judgment, too.
				_ = s.write(beating, "stay in the job", func(t *tx) error { return c.beat(t) })
			}
		}
	}()
	return c, nil
}

// beat gives a sign of life, also where others had taken the process for dead.
func (c *Claims) beat(t *tx) error {
	machine, err := os.Hostname()
	if err != nil {
		machine = ""
	}
	_, err = t.exec(`INSERT INTO claimants (id, machine, process, beat) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET beat = excluded.beat`, c.id, clean(machine), os.Getpid(), time.Now().UnixMilli())
	return err
}

// Close gives the claims back.
func (c *Claims) Close() error {
	c.stop()
	<-c.done
	return c.s.write(context.Background(), "leave the job", func(t *tx) error {
		if _, err := t.exec("DELETE FROM claims WHERE claimant = ?", c.id); err != nil {
			return err
		}
		_, err := t.exec("DELETE FROM claimants WHERE id = ?", c.id)
		return err
	})
}

// Leave says that a pair is done with. Its claim goes with the next batch.
func (c *Claims) Leave(pair dataset.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, ok := c.ids[pair]; ok {
		delete(c.ids, pair)
		c.over = append(c.over, id)
	}
}

// Only gives, of the pairs that pending gives, those that no other process works
// on, and claims them. When those are through it waits for the others: until
// they are done by whoever has them, or can be taken over because that process
// is gone. Each pair comes once.
func (c *Claims) Only(ctx context.Context, pending func() iter.Seq2[dataset.Work, error]) iter.Seq2[dataset.Work, error] {
	return func(yield func(dataset.Work, error) bool) {
		var given bitset
		size, wait := 1, 100*time.Millisecond
		for {
			waiting := false
			batch := make([]dataset.Work, 0, mostClaims)
			began := time.Now()
			// hand claims a batch and yields it.
			hand := func() bool {
				mine, others, err := c.claim(ctx, batch, &given)
				if err != nil {
					yield(dataset.Work{}, err)
					return false
				}
				waiting = waiting || others
				for _, w := range mine {
					if !yield(w, nil) {
						return false
					}
				}
				switch took := time.Since(began); {
				case took < batchShort:
					size = min(mostClaims, 2*size)
				case took > batchLong:
					size = max(1, size/2)
				}
				batch, began = batch[:0], time.Now()
				return true
			}
			for w, err := range pending() {
				if err != nil {
					yield(dataset.Work{}, err)
					return
				}
				if batch = append(batch, w); len(batch) >= size && !hand() {
					return
				}
			}
			if len(batch) > 0 && !hand() {
				return
			}
			if !waiting {
				return
			}
			select {
			case <-time.After(wait):
				wait = min(2*wait, 5*time.Second)
			case <-ctx.Done():
				yield(dataset.Work{}, ctx.Err())
				return
			}
		}
	}
}

// claim gives those of a batch that are this process's now, with their open
// questions, and tells whether others have some of the rest.
func (c *Claims) claim(ctx context.Context, batch []dataset.Work, given *bitset) (mine []dataset.Work, others bool, err error) {
	c.mu.Lock()
	over := c.over
	c.over = nil
	c.mu.Unlock()
	ids := make([]int64, len(batch))
	got := make([]bool, len(batch))
	company := false
	err = c.s.write(ctx, "claim pairs", func(t *tx) error {
		clear(got)
		for _, id := range over {
			if _, err := t.exec("DELETE FROM claims WHERE judge = ? AND pair = ? AND claimant = ?", c.judge, id, c.id); err != nil {
				return err
			}
		}
		var err error
		if company, err = c.bury(t); err != nil {
			return err
		}
		others = false
		for i := range batch {
			if found, err := t.one("SELECT id FROM pairs WHERE hash = ?", []any{batch[i].Pair[:]}, &ids[i]); err != nil || !found {
				return errors.Join(err, knownPair(t, batch[i].Pair))
			}
			if given.has(ids[i]) {
				continue
			}
			res, err := t.exec("INSERT INTO claims (judge, pair, claimant) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", c.judge, ids[i], c.id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			got[i] = n > 0
			others = others || n == 0
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	var q *jobQuery
	if company {
		if q, err = c.s.jobQuery(ctx, c.job, true); err != nil {
			return nil, false, err
		}
	}
	for i, w := range batch {
		if !got[i] {
			continue
		}
		given.add(ids[i])
		c.mu.Lock()
		c.ids[w.Pair] = ids[i]
		c.mu.Unlock()
		if company {
			// Another process may have asked since the pair was read.
			if err := c.recheck(ctx, q, ids[i], &w); err != nil {
				return nil, false, err
			}
			if len(w.Slots) == 0 {
				c.Leave(w.Pair)
				continue
			}
		}
		mine = append(mine, w)
	}
	return mine, others, nil
}

// recheck takes out of a pair's questions those that are not open any more.
func (c *Claims) recheck(ctx context.Context, q *jobQuery, pair int64, w *dataset.Work) error {
	now, err := c.s.work(ctx, q, pair)
	if err != nil {
		return err
	}
	open := map[dataset.Slot]bool{}
	for _, s := range now.Slots {
		open[s] = true
	}
	slots := w.Slots
	w.Slots = nil
	for _, s := range slots {
		if open[s] {
			w.Slots = append(w.Slots, s)
		}
	}
	return nil
}

// bury takes the claims of dead processes away. It tells whether another process
// is there, or was since the last time.
func (c *Claims) bury(t *tx) (company bool, err error) {
	st, err := t.prepare("SELECT id, machine, process, beat FROM claimants WHERE id <> ?")
	if err != nil {
		return false, err
	}
	rows, err := st.Query(c.id)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	machine, herr := os.Hostname()
	var dead []int64
	for rows.Next() {
		var id, beat int64
		var process int
		var where string
		if err := rows.Scan(&id, &where, &process, &beat); err != nil {
			return false, err
		}
		silent := time.Since(time.UnixMilli(beat)) > beatLost
		if silent || herr == nil && where == clean(machine) && where != "" && process != os.Getpid() && !alive(process) {
			dead = append(dead, id)
		} else {
			company = true
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	rows.Close()
	for _, id := range dead {
		if _, err := t.exec("DELETE FROM claims WHERE claimant = ?", id); err != nil {
			return false, err
		}
		if _, err := t.exec("DELETE FROM claimants WHERE id = ?", id); err != nil {
			return false, err
		}
	}
	var latest int64
	if _, err := t.one("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'claimants'", nil, &latest); err != nil {
		return false, err
	}
	if latest != c.latest {
		// The first time nothing is known of who came and went before.
		c.latest, company = latest, true
	}
	return company || len(dead) > 0, nil
}
