package dataset

import "time"

// Call is what one stored judgment took, for guessing what others will take.
type Call struct {
	Pair, Principle Hash
	Order           Order
	Seq             int64 // place in the order in which judgments were stored
	Prompt, Replies int   // bytes of the conversation and of both replies
	Tokens          int   // of the prompt, those in the server's cache included
	Duration        time.Duration
	Ended           time.Time
}

// Outlook is what a job would ask.
type Outlook struct {
	Plan
	// ByPrinciple counts the questions of each of the job's principles, in its
	// order; one that is named twice is counted once.
	ByPrinciple []PrinciplePlan
	// Texts counts bytes of conversations and replies in the open questions,
	// once for each question.
	Texts int64
	// Cached counts those of Texts that stand at the beginning of the question
	// before, when the questions of a pair are asked one order after the other:
	// a server with a prefix cache does not read them again.
	Cached int64
}

// Open counts the questions that a job will ask.
func (o *Outlook) Open() (n int64) {
	for _, p := range o.ByPrinciple {
		n += p.Open
	}
	return n
}

// PrinciplePlan is the part of a plan that one principle has.
type PrinciplePlan struct {
	Principle            Hash
	Wanted, Done, Failed int64 // as in Plan
	Open                 int64 // questions that will be asked
}
