package store

import (
	"fmt"

	"cai/dataset"
)

// hashScanner reads a content hash from a column.
type hashScanner struct{ to *dataset.Hash }

func hashInto(h *dataset.Hash) hashScanner { return hashScanner{h} }

// Scan implements sql.Scanner.
func (h hashScanner) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(h.to) {
		return fmt.Errorf("not a content hash: %T of %d bytes", v, len(b))
	}
	copy(h.to[:], b)
	return nil
}

// bitset is a set of row ids, which are small and dense: ten million take
// little more than a megabyte.
type bitset []uint64

// add puts id into the set and reports whether it was not there yet.
func (b *bitset) add(id int64) bool {
	word, bit := int(id>>6), uint64(1)<<(id&63)
	if word >= len(*b) {
		*b = append(*b, make([]uint64, word+1-len(*b)+len(*b)/2)...)
	}
	if (*b)[word]&bit != 0 {
		return false
	}
	(*b)[word] |= bit
	return true
}

// has tells whether id is in the set.
func (b bitset) has(id int64) bool {
	word := int(id >> 6)
	return word < len(b) && b[word]&(1<<(id&63)) != 0
}

// remove takes id out of the set.
func (b bitset) remove(id int64) {
	if b.has(id) {
		b[id>>6] &^= 1 << (id & 63)
	}
}
