package dataset

import "time"

// Job is what a labelling run wants judgments for: every question of every
// pair, one question for each principle, order and sample.
type Job struct {
	Judge      Hash
	Principles []Hash  // in the order in which they are asked
	Orders     []Order // both, or one
	Samples    int     // of each question; at least 1
	// Files are the store's ids of the imported files whose pairs are wanted,
	// in their order; none means every pair of the store.
	Files []int64
	// Limit bounds the number of pairs, the first of the files; 0 is all.
	Limit int
	// RetryFailed asks again what failed before; with Since, what had failed by
	// then, so that a question which fails once more is not asked a third time.
	RetryFailed bool
	Since       time.Time
	// Rule, if set, leaves out pairs that it has stopped at a flip probability of
	// at most Risk.
	Rule Hash
	Risk float64
}

// Slot is one question about one pair.
type Slot struct {
	Principle Hash
	Order     Order
	Sample    int
}

// Work is one pair with the questions that are still to be asked, ordered by
// order, then principle as the job names them, then sample.
type Work struct {
	Pair   Hash
	Prompt Conversation
	A, B   string // the replies; a is the one with the smaller hash
	Slots  []Slot
}

// Plan counts what a job wants and what is there of it.
type Plan struct {
	Pairs  int64 // different pairs
	Wanted int64 // questions: pairs × principles × orders × samples
	Done   int64 // of those, judgments in the store
	Failed int64 // of those, failures in the store with no judgment
	// Longest is the largest number of bytes that a prompt and both its replies
	// have together, over the job's pairs.
	Longest int
}
