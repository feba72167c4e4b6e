package rm

// wordSet is a set of hashes that is emptied in constant time, for use over and
// over: open addressing, each slot stamped with the generation that filled it.
type wordSet struct {
	slots []uint64
	gens  []uint32
	gen   uint32
	n     int
}

// reset empties the set.
func (s *wordSet) reset() {
	s.n = 0
	s.gen++
	if s.slots == nil || s.gen == 0 {
		s.grow(max(len(s.slots), 1024))
	}
}

// grow makes an empty table of n slots, a power of two.
func (s *wordSet) grow(n int) {
	s.slots, s.gens, s.gen = make([]uint64, n), make([]uint32, n), 1
}

// find gives the slot that holds h, or the free one where it belongs.
func (s *wordSet) find(h uint64) (int, bool) {
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if s.gens[i] != s.gen {
			return int(i), false
		}
		if s.slots[i] == h {
			return int(i), true
		}
	}
}

// add puts h in and tells whether it is new.
func (s *wordSet) add(h uint64) bool {
	i, ok := s.find(h)
	if ok {
		return false
	}
	s.slots[i], s.gens[i] = h, s.gen
	s.n++
	if 2*s.n > len(s.slots) {
		old, gens, gen := s.slots, s.gens, s.gen
		s.grow(2 * len(old))
		for i, g := range gens {
			if g == gen {
				j, _ := s.find(old[i])
				s.slots[j], s.gens[j] = old[i], s.gen
			}
		}
	}
	return true
}

// has tells whether h is in the set.
func (s *wordSet) has(h uint64) bool {
	_, ok := s.find(h)
	return ok
}
