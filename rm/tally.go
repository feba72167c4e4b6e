package rm

import "math/bits"

// tally sums the signed counts of one reply's buckets. Its tables are as large
// as the reply, not as the feature space, so that they stay in the fastest
// cache: open addressing by the bucket's lower bits, which a hash made.
type tally struct {
	slots []slot // a power of two of them are in use, the others are free
	mask  uint32 // one less than those in use
	found []slot // the buckets in the order in which they first occurred
}

// slot is a bucket and its count; in tally.slots, the place in found plus one,
// zero being a free slot.
type slot struct {
	bucket uint32
	n      int32
}

// maxCount bounds the size of a count.
const maxCount = 1 << 14

// expect makes room for n buckets in an empty tally, which saves growing.
func (t *tally) expect(n int) {
	size := 1 << bits.Len(uint(max(64, 2*n-1)))
	if size > len(t.slots) {
		t.slots = make([]slot, size)
	}
	t.mask = uint32(size - 1)
}

// add adds sign, which is 1 or −1, to the count of a bucket.
func (t *tally) add(bucket uint32, sign int32) {
	if 2*len(t.found) >= int(t.mask) {
		t.grow()
	}
	for i := bucket & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		switch {
		case s.n == 0:
			t.found = append(t.found, slot{bucket, sign})
			*s = slot{bucket, int32(len(t.found))}
			return
		case s.bucket == bucket:
			if f := &t.found[s.n-1]; f.n*sign < maxCount {
				f.n += sign
			}
			return
		}
	}
}

// grow makes room for twice as many buckets.
func (t *tally) grow() {
	clear(t.slots[:min(len(t.slots), int(t.mask)+1)])
	t.expect(2 * len(t.found))
	for k, f := range t.found {
		i := f.bucket & t.mask
		for t.slots[i].n != 0 {
			i = (i + 1) & t.mask
		}
		t.slots[i] = slot{f.bucket, int32(k + 1)}
	}
}

// drain appends the counts that are not zero to rows and empties the tally.
func (t *tally) drain(rows []entry) []entry {
	if len(t.found) == 0 {
		return rows
	}
	for _, f := range t.found {
		if f.n != 0 {
			rows = append(rows, pack(f.bucket, int(f.n)))
		}
	}
	clear(t.slots[:t.mask+1])
	t.mask, t.found = 0, t.found[:0]
	return rows
}
