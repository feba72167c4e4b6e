package constitution

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Question is the yes-or-no question over one reply, to which yes is good: the
// principle's Check, or one made from its title where there is none.
func (p *Principle) Question() string {
	if check := strings.TrimSpace(p.Check); check != "" {
		return check
	}
	return "Does the reply keep to this principle: " + strings.TrimRight(strings.TrimSpace(p.Title), ".?!:; ") + "?"
}

// Hash identifies the principle by the texts that a model sees: the critique,
// the revision, the comparison and the question. Blanks around them do not
// count, nor do the id, the tags, the weight and the line; the title counts
// only where the question is made from it.
func (p *Principle) Hash() [16]byte {
	return hashOf("principle",
		strings.TrimSpace(p.Critique), strings.TrimSpace(p.Revision), strings.TrimSpace(p.Compare), p.Question())
}

// Hash identifies the whole by what labels depend on: the set of its
// principles, each with its id, its hash and its weight. The order, the name,
// the description, titles, tags and comments do not count.
func (c *Constitution) Hash() [16]byte {
	parts := make([]string, len(c.Principles))
	for i := range c.Principles {
		p := &c.Principles[i]
		text := p.Hash()
		weight := binary.LittleEndian.AppendUint64(nil, math.Float64bits(p.Weight))
		h := hashOf("weighted principle", p.ID, string(text[:]), string(weight))
		parts[i] = string(h[:])
	}
	slices.Sort(parts)
	return hashOf("constitution", parts...)
}

// hashOf is the first 16 bytes of a SHA-256 over the kind and the parts, each
// preceded by its length, as all content hashes of the program are.
func hashOf(kind string, parts ...string) [16]byte {
	h := sha256.New()
	var n [8]byte
	write := func(s string) {
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	write(kind)
	for _, p := range parts {
		write(p)
	}
	var out [16]byte
	copy(out[:], h.Sum(nil))
	return out
}
