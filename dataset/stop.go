package dataset

import (
	"slices"
	"strconv"
	"time"
)

// Stop says that a pair's label was certain enough before every question of a
// job was asked.
type Stop struct {
	Pair, Judge Hash
	Rule        Hash // of the principles and weights of the label, see [RuleHash]
	// Flip is the probability, as it was estimated then, that the label of all
	// the principles would be the other one; 0 to 0.5.
	Flip    float64
	Created time.Time
}

// RuleHash identifies the principles of a label with their weights, in any
// order. Principles without weight do not count.
func RuleHash(weights map[Hash]float64) Hash {
	parts := make([]string, 0, len(weights))
	for h, w := range weights {
		if w > 0 {
			parts = append(parts, h.String()+" "+strconv.FormatFloat(w, 'g', -1, 64))
		}
	}
	slices.Sort(parts)
	return HashOf("rule", parts...)
}
