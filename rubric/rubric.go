// Package rubric grades one reply by the criteria of a rubric.
//
// A [Rubric] is a list of criteria in a TOML file that people edit. A
// [Criterion] is a yes-or-no question about a reply, or a question with a scale
// of described levels; it has a weight, negative for a pitfall, may be a veto,
// may apply to some replies only and may be judged beside a reference answer.
//
// Each criterion is asked with one answer token, and what is kept is the
// distribution over the levels' tokens. The score is its expected value, from 0
// at the lowest level to 1 at the highest: nothing is read from prose. The
// criterion stands last in the prompt; what is before it, the conversation and
// the reply, is the same for all criteria, so that a server with a prefix cache
// reads it once.
//
// Models favour some places of a list of levels over others whatever they are
// asked about. Every second sample therefore lists the levels from the highest
// down, and the mean over an even number of samples is free of most of that
// bias, as both orders of a pair are.
package rubric

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"cai/dataset"
)

// Rubric is a named list of criteria.
type Rubric struct {
	Name        string
	Description string
	Criteria    []Criterion
	File        string // where it was read, as messages name it
}

// Criterion is one thing that a reply is graded by.
type Criterion struct {
	ID    string
	Title string
	// Text is the question about the reply. Without Levels it is answered by yes
	// or no.
	Text string
	// Levels describe a scale, the lowest first; none is a yes-or-no item.
	Levels []string
	// Weight is what the criterion counts, over 0 for what makes a reply good,
	// under 0 for a pitfall. 1 where the file gives none.
	Weight float64
	// Veto makes the reply's score 0 where the criterion's is under Threshold, or
	// over it for a pitfall.
	Veto      bool
	Threshold float64 // of Veto, from 0 to 1; ½ where the file gives none
	// AppliesWhen is a yes-or-no question about the conversation and the reply
	// that is asked first: where no is the likelier answer, the criterion is left
	// out. Empty: it always applies.
	AppliesWhen string
	// Reference puts the record's reference answer into the prompt, where there
	// is one.
	Reference bool
	Line      int // in the file, from 1; 0 where unknown
}

// YesNo tells whether the criterion is answered by yes or no.
func (c *Criterion) YesNo() bool { return len(c.Levels) == 0 }

// Pitfall tells whether the criterion counts against a reply.
func (c *Criterion) Pitfall() bool { return c.Weight < 0 }

// Hash identifies the criterion by what a model sees of it: its question and
// its levels. The id, the title, the weight, the veto and when it applies do
// not count.
func (c *Criterion) Hash() dataset.Hash {
	q := c.question("")
	return q.Hash()
}

// question is what is asked about a reply that has a reference answer, or none.
func (c *Criterion) question(reference string) Question {
	q := Question{Name: c.ID, Text: c.Text, Levels: c.Levels}
	if c.Reference {
		q.Reference = reference
	}
	return q
}

// gate is the question whether the criterion applies. Criteria of one question
// share its answer.
func (c *Criterion) gate() Question {
	return Question{Name: c.ID + " applies", Text: c.AppliesWhen}
}

// Hash identifies the whole by what scores depend on: the criteria in their
// order, each with its id, its texts, its weight and its veto. The name, the
// description, titles and comments do not count.
func (r *Rubric) Hash() dataset.Hash {
	var parts []string
	for i := range r.Criteria {
		c := &r.Criteria[i]
		h := c.Hash()
		numbers := binary.LittleEndian.AppendUint64(nil, math.Float64bits(c.Weight))
		if c.Veto {
			numbers = binary.LittleEndian.AppendUint64(numbers, math.Float64bits(c.Threshold))
		}
		parts = append(parts, c.ID, string(h[:]), squeeze(c.AppliesWhen), string(numbers),
			strconv.FormatBool(c.Veto), strconv.FormatBool(c.Reference))
	}
	return dataset.HashOf("rubric", parts...)
}

// squeeze takes away blanks around a text and empty lines in it: what is asked
// about a reply is one paragraph.
func squeeze(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
