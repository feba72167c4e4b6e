package store

import (
	"fmt"
	"sync"
)

// frontier is how far into each of its imports a job is known to be done.
// Judgments are never removed, so what is done stays done, and a job that looks
// again for what is pending begins there.
type frontier struct {
	mu   sync.Mutex
	seqs []int64 // by import: the first row that may have open questions
}

// frontier gives the frontier of a job in this store.
func (s *Store) frontier(q *jobQuery) *frontier {
	key := fmt.Sprint(q.closed, q.wanted, q.imports)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.frontiers[key]
	if f == nil {
		f = &frontier{seqs: make([]int64, len(q.imports))}
		if s.frontiers == nil {
			s.frontiers = map[string]*frontier{}
		}
		s.frontiers[key] = f
	}
	return f
}

// start gives the first row of import i that may have open questions.
func (f *frontier) start(i int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seqs[i]
}

// reach says that the rows of import i from one up to another are done.
func (f *frontier) reach(i int, from, to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from <= f.seqs[i] {
		f.seqs[i] = max(f.seqs[i], to)
	}
}
