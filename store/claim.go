package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"cai/dataset"
)

const (
	// beatEvery is how often a process gives a sign of life.
	beatEvery = 10 * time.Second
	// beatsLost is after how many signs of life of this process without one of
	// another's that one counts as dead, where nobody can look. They are counted,
	// not timed, so that neither a machine that slept nor a store that was locked
	// makes the living look dead.
	beatsLost = 6
	// lease is for how long after a sign of life a process may rely on its
	// claims: less than any other waits before it takes them over.
	lease = 3 * beatEvery
	// mostClaims bounds the pairs that are claimed together.
	mostClaims = 64
	// A batch of claims should last between these, so that a slow job holds few
	// pairs and a fast one writes seldom.
	batchShort, batchLong = 500 * time.Millisecond, 2 * time.Second
	// A process that waits for others looks again after these.
	waitShort, waitLong = 100 * time.Millisecond, 5 * time.Second
)

// Claims are the pairs that this process works on for one job.
type Claims struct {
	s     *Store
	job   dataset.Job
	judge int64

	life   chan struct{} // full while a sign of life is given
	id     int64         // of the claimant
	others map[int64]silence

	mu      sync.Mutex
	beaten  time.Time              // when the last sign of life was begun
	held    map[dataset.Hash]*held // pairs that were given and are not done with
	over    []int64                // pairs that are done with and still claimed
	given   bitset                 // pairs that do not come again
	losses  int                    // how often others had taken this process for dead
	freed   int                    // pairs that were lost and may come again
	changed chan struct{}          // closed and replaced when a pair is done with

	stop context.CancelFunc
	done chan struct{}
}

// held is a pair that was given. One that is lost comes again only when whoever
// was given it has learned that, lest two ask it.
type held struct {
	id   int64
	lost bool
}

// silence is what is known of another claimant.
type silence struct {
	beat  int64 // its last sign of life
	beats int   // those of this process since
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
	c := &Claims{
		s: s, job: job, judge: judge.id,
		life: make(chan struct{}, 1), held: map[dataset.Hash]*held{}, changed: make(chan struct{}), done: make(chan struct{}),
	}
	if _, err := c.beat("join the job", 0, nil); err != nil {
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
				_, _ = c.beat("stay in the job", 1, nil)
			}
		}
	}()
	return c, nil
}

// beat gives a sign of life, gives back what is done with, takes the claims of
// the dead away, and does what else is to be done in the same transaction. ticks
// is 1 where beatEvery has passed. Where others had taken this process for dead,
// what it held is lost; losses counts these.
func (c *Claims) beat(doing string, ticks int, do func(*tx, int64) error) (losses int, err error) {
	c.life <- struct{}{}
	defer func() { <-c.life }()
	c.mu.Lock()
	over := c.over
	c.over = nil
	c.mu.Unlock()
	var id int64
	var others map[int64]silence
	began := time.Now()
	// Whoever claims must know what came of it: no context ends this.
	err = c.s.write(context.Background(), doing, func(t *tx) error {
		var err error
		if id, err = c.stay(t); err != nil {
			return err
		}
		for _, pair := range over {
			if _, err := t.exec("DELETE FROM claims WHERE judge = ? AND pair = ? AND claimant = ?", c.judge, pair, id); err != nil {
				return err
			}
		}
		if others, err = c.bury(t, id, ticks); err != nil || do == nil {
			return err
		}
		return do(t, id)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.over = append(c.over, over...)
		return 0, err
	}
	if id != c.id {
		c.lose()
	}
	c.id, c.others, c.beaten = id, others, began
	return c.losses, nil
}

// stay writes this process's sign of life and gives the claimant's id: another
// one where its row, and with it all of its claims, was taken away.
func (c *Claims) stay(t *tx) (id int64, err error) {
	now := time.Now().UnixMilli()
	res, err := t.exec("UPDATE claimants SET beat = ? WHERE id = ?", now, c.id)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return c.id, err
	}
	res, err = t.exec("INSERT INTO claimants (machine, process, beat) VALUES (?, ?, ?)", place(), os.Getpid(), now)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// lose notes that no claim is left; c.mu must be held.
func (c *Claims) lose() {
	for _, h := range c.held {
		h.lost = true
	}
	c.over = nil
	c.losses++
}

// end notes that whoever was given a pair is done with it; c.mu must be held.
func (c *Claims) end(pair dataset.Hash, h *held) {
	delete(c.held, pair)
	if h.lost {
		c.given.remove(h.id)
		c.freed++
	} else {
		c.over = append(c.over, h.id)
	}
	close(c.changed)
	c.changed = make(chan struct{})
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
	if h := c.held[pair]; h != nil {
		c.end(pair, h)
	}
}

// Hold tells whether a pair that was given is still this process's: the others
// take over what one has that gives no sign of life. A question must be put only
// while it is. A pair that is not need not be left, and may come again.
func (c *Claims) Hold(pair dataset.Hash) (bool, error) {
	if ok, sure := c.holds(pair); sure {
		return ok, nil
	}
	if _, err := c.beat("stay in the job", 0, nil); err != nil {
		return false, err
	}
	ok, _ := c.holds(pair)
	return ok, nil
}

// holds is Hold as far as is known; a pair that is held is sure only for a while
// after a sign of life.
func (c *Claims) holds(pair dataset.Hash) (ok, sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held[pair]
	if h == nil {
		return false, true
	}
	if h.lost {
		c.end(pair, h)
		return false, true
	}
	now := time.Now()
	// The monotonic clock stands still while a machine sleeps, the other one can
	// be set back.
	return true, max(now.Sub(c.beaten), now.Round(0).Sub(c.beaten.Round(0))) < lease
}

// Pending gives the pairs of the job that have open questions and that no other
// process works on, and claims them; what is open of a pair is read once it is
// claimed, for until then others may answer. When those are through it waits for
// the others': until they are done by whoever has them, or can be taken over
// because that process is gone. Each pair comes once, unless it was lost
// ([Claims.Hold]). The caller must say [Claims.Leave] of each: the sequence ends
// when all are left and nothing is open.
func (c *Claims) Pending(ctx context.Context) iter.Seq2[dataset.Work, error] {
	return func(yield func(dataset.Work, error) bool) {
		w := walk{Claims: c, ctx: ctx, yield: yield, size: 1, pause: waitShort}
		for {
			err := w.round()
			again := false
			if err == nil {
				again, err = w.wait()
			}
			if err != nil && !errors.Is(err, errEnough) {
				yield(dataset.Work{}, err)
			}
			if err != nil || !again {
				return
			}
		}
	}
}

// walk is one sequence of pending pairs. It goes through the job in rounds.
type walk struct {
	*Claims
	ctx   context.Context
	yield func(dataset.Work, error) bool
	size  int           // of the next batch
	pause time.Duration // before the next round, where others have what is open

	// Of the last round:
	q         *jobQuery
	began     int  // losses and freed pairs when it began
	gave      bool // a pair
	elsewhere bool // others had open pairs
}

// errEnough says that the one who reads a sequence wants no more of it.
var errEnough = errors.New("enough")

// round gives what is open and can be claimed.
func (w *walk) round() (err error) {
	if w.q, err = w.s.jobQuery(w.ctx, w.job, true); err != nil {
		return err
	}
	w.mu.Lock()
	w.began = w.losses + w.freed
	w.mu.Unlock()
	w.gave, w.elsewhere = false, false
	batch := make([]int64, 0, mostClaims)
	for id, err := range w.s.open(w.ctx, w.q) {
		if err != nil {
			return err
		}
		if w.came(id) {
			continue
		}
		if batch = append(batch, id); len(batch) < w.size {
			continue
		}
		if err := w.hand(batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return w.hand(batch)
}

// came tells whether a pair was given and is not lost.
func (w *walk) came(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.given.has(id)
}

// hand claims a batch and gives what is open of it.
func (w *walk) hand(batch []int64) error {
	if len(batch) == 0 {
		return nil
	}
	began := time.Now()
	mine, losses, err := w.claim(batch)
	if err != nil {
		return err
	}
	w.elsewhere = w.elsewhere || len(mine) < len(batch)
	for _, id := range mine {
		work, err := w.s.work(w.ctx, w.q, id)
		if err != nil {
			return err
		}
		if !w.take(id, work, losses) {
			continue
		}
		w.gave = true
		if !w.yield(work, nil) {
			return errEnough
		}
	}
	switch took := time.Since(began); {
	case took < batchShort:
		w.size = min(mostClaims, 2*w.size)
	case took > batchLong:
		w.size = max(1, w.size/2)
	}
	return nil
}

// claim gives those of a batch that are this process's now, and how many losses
// there were until then.
func (c *Claims) claim(batch []int64) (mine []int64, losses int, err error) {
	losses, err = c.beat("claim pairs", 0, func(t *tx, id int64) error {
		mine = nil
		for _, pair := range batch {
			res, err := t.exec("INSERT INTO claims (judge, pair, claimant) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", c.judge, pair, id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if n > 0 {
				mine = append(mine, pair)
			}
		}
		return nil
	})
	return mine, losses, err
}

// take tells whether a claimed pair is to be given: it has open questions, and
// was not lost again.
func (c *Claims) take(id int64, w dataset.Work, losses int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.losses != losses:
		return false
	case len(w.Slots) == 0:
		c.over = append(c.over, id)
		return false
	}
	c.given.add(id)
	c.held[w.Pair] = &held{id: id}
	return true
}

// wait waits until another round makes sense. It reports false where nothing is
// open any more.
func (w *walk) wait() (again bool, err error) {
	if w.elsewhere {
		if w.gave {
			w.pause = waitShort
		}
		select {
		case <-time.After(w.pause):
			w.pause = min(2*w.pause, waitLong)
			return true, nil
		case <-w.ctx.Done():
			return false, w.ctx.Err()
		}
	}
	for {
		w.mu.Lock()
		held, now, changed := len(w.held), w.losses+w.freed, w.changed
		w.mu.Unlock()
		if now != w.began {
			return true, nil
		}
		if held == 0 {
			break
		}
		select {
		case <-changed:
		case <-w.ctx.Done():
			return false, w.ctx.Err()
		}
	}
	// Another process may have given the files other pairs.
	imports, err := w.s.currentImports(w.ctx, w.job.Files)
	return !slices.Equal(imports, w.q.imports), err
}

// claimant is a row of another process.
type claimant struct {
	id      int64
	machine string
	process int
	beat    int64
}

// place names where the number of a process means the same; it is empty where
// that is not known.
var place = sync.OnceValue(func() string {
	machine, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(clean(machine) + " " + space())
})

// lookAt is look, but for tests whose clock runs ahead of that of processes.
var lookAt = look

// dead tells whether a claimant is gone. Where nobody can look, and where its
// process is a later one with the same number, it is when it was silent for long.
// A process that is there keeps its claims, however slow it is.
func (o *claimant) dead(silent bool) bool {
	if here := place(); here == "" || o.machine != here {
		return silent
	}
	running, age := lookAt(o.process)
	return !running || silent && age < time.Since(time.UnixMilli(o.beat))
}

// bury takes the claims of dead processes away. It gives the others; ticks more
// signs of life of this process have passed.
func (c *Claims) bury(t *tx, id int64, ticks int) (map[int64]silence, error) {
	all, err := claimants(t, id)
	if err != nil {
		return nil, err
	}
	others := map[int64]silence{}
	for _, o := range all {
		s := c.others[o.id]
		if s.beat != o.beat {
			s = silence{beat: o.beat}
		} else {
			s.beats += ticks
		}
		if !o.dead(s.beats >= beatsLost) {
			others[o.id] = s
			continue
		}
		for _, stmt := range []string{"DELETE FROM claims WHERE claimant = ?", "DELETE FROM claimants WHERE id = ?"} {
			if _, err := t.exec(stmt, o.id); err != nil {
				return nil, err
			}
		}
	}
	return others, nil
}

// claimants reads the rows of all others.
func claimants(t *tx, id int64) ([]claimant, error) {
	st, err := t.prepare("SELECT id, machine, process, beat FROM claimants WHERE id <> ?")
	if err != nil {
		return nil, err
	}
	rows, err := st.Query(id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []claimant
	for rows.Next() {
		var o claimant
		if err := rows.Scan(&o.id, &o.machine, &o.process, &o.beat); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, rows.Err()
}
