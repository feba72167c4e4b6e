package eval

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"cai/dataset"
	"cai/words"
)

// How near-duplicates are found: see [Duplicates].
const (
	// ShingleWords is how many words in a row are one of the shingles that a text is
	// compared by (Broder, 1997).
	ShingleWords = 5
	// NearDuplicate is the Jaccard index of their shingles from which on two texts
	// are near-duplicates.
	NearDuplicate = 0.7

	permutations = 128
	// Bands of bandRows minima each: texts of Jaccard index J share one with
	// probability 1 − (1 − Jʳ)ᵇ, which is 0.9998 at 0.7, 0.87 at 0.5, 0.05 at 0.2.
	bands    = 32
	bandRows = permutations / bands
	// nearMinima is how many equal minima a candidate needs to be verified: half of
	// them, five standard errors, √(J(1−J)/128), below the threshold.
	nearMinima = permutations / 2
	// bandLooked bounds the texts that are looked at of those which share a band: a
	// phrase that thousands of texts share must not make the search quadratic. Two
	// near-duplicates share other bands as well.
	bandLooked = 32
)

// signature is a text's minima under permutations of its shingles: the share of
// equal ones estimates the Jaccard index (Broder, 1997).
type signature [permutations]uint32

// factors and shifts define the permutations, up to collisions: the upper half
// of a·x + b, with an odd a (Dietzfelbinger et al., 1997).
var factors, shifts = func() (a, b [permutations]uint64) {
	for i := range a {
		a[i] = words.Mix(uint64(2*i+1)*0x9e3779b97f4a7c15) | 1
		b[i] = words.Mix(uint64(2*i+2) * 0x9e3779b97f4a7c15)
	}
	return a, b
}()

// sketch is what a text is found again by.
type sketch struct {
	sequence uint64   // its words in their order: equal for texts that differ in case, punctuation, spacing and Unicode form alone
	shingles []uint64 // hashes, sorted, each once; nil of a text below ShingleWords words
	minima   signature
}

// sketcher makes sketches. It holds scratch space and serves one goroutine.
type sketcher struct{ words []uint64 }

// sketch makes that of the texts in a row; ok is false where there is nothing in
// them. The shingles are nobody else's.
func (k *sketcher) sketch(texts ...string) (s sketch, ok bool) {
	k.words = k.words[:0]
	for _, t := range texts {
		k.words = words.Hashes(dataset.NormalText(t), k.words)
	}
	if len(k.words) == 0 {
		t := strings.TrimSpace(strings.Join(texts, "\n"))
		h := dataset.HashOf("text", t)
		s.sequence = binary.LittleEndian.Uint64(h[:])
		return s, t != ""
	}
	for _, w := range k.words {
		s.sequence = words.Follow(s.sequence, w)
	}
	if len(k.words) < ShingleWords {
		return s, true
	}
	s.shingles = make([]uint64, 0, len(k.words)-ShingleWords+1)
	for i := range len(k.words) - ShingleWords + 1 {
		h := uint64(0)
		for _, w := range k.words[i : i+ShingleWords] {
			h = words.Follow(h, w)
		}
		s.shingles = append(s.shingles, h)
	}
	slices.Sort(s.shingles)
	s.shingles = slices.Compact(s.shingles)
	return s, true
}

// sign computes the minima, of a text that has shingles.
func (s *sketch) sign() {
	for i := range s.minima {
		s.minima[i] = math.MaxUint32
	}
	for _, x := range s.shingles {
		for i := range s.minima {
			s.minima[i] = min(s.minima[i], uint32((factors[i]*x+shifts[i])>>32))
		}
	}
}

// agree counts the minima that are equal: their share estimates the Jaccard index.
// It stops where there cannot be least of them.
func (m *signature) agree(o *signature, least int) int {
	n := 0
	for i := range m {
		if m[i] == o[i] {
			n++
		} else if i-n > permutations-least {
			break
		}
	}
	return n
}

// band is the hash of some of the minima.
func (m *signature) band(k int) uint64 {
	h := uint64(k)
	for _, v := range m[k*bandRows : (k+1)*bandRows] {
		h = words.Follow(h, uint64(v))
	}
	return h
}

// jaccard is |a ∩ b| / |a ∪ b| of sorted shingles; 0 where it cannot reach least.
func jaccard(a, b []uint64, least float64) float64 {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 || float64(len(a)) < least*float64(len(b)) {
		return 0
	}
	both, total := 0, len(a)+len(b)
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			both++
			a, b = a[1:], b[1:]
		}
	}
	return float64(both) / float64(total-both)
}

// textIndex finds texts again. Texts are added first, then it is frozen, then it
// is searched, by any number of goroutines.
type textIndex struct {
	texts []sketch
	at    map[uint64]int32 // by sequence
	// In each band, a hash table of chains: the first text of a slot and, for each
	// text, the one after it in its slot; -1 ends.
	mask  uint64
	first [bands][]int32
	next  [bands][]int32
}

// add gives the number of the text, and whether it is a new one.
func (x *textIndex) add(s sketch) (int32, bool) {
	if x.at == nil {
		x.at = map[uint64]int32{}
	}
	if i, ok := x.at[s.sequence]; ok {
		return i, false
	}
	s.sign()
	i := int32(len(x.texts))
	x.texts = append(x.texts, s)
	x.at[s.sequence] = i
	return i, true
}

// freeze makes the tables.
func (x *textIndex) freeze() {
	size := 16
	for size < 2*len(x.texts) {
		size *= 2
	}
	x.mask = uint64(size - 1)
	for k := range bands {
		x.first[k], x.next[k] = make([]int32, size), make([]int32, len(x.texts))
		for i := range x.first[k] {
			x.first[k][i] = -1
		}
		// From the last, so that chains begin with the first.
		for i := len(x.texts) - 1; i >= 0; i-- {
			if x.texts[i].shingles == nil {
				continue
			}
			slot := &x.first[k][x.texts[i].minima.band(k)&x.mask]
			x.next[k][i], *slot = *slot, int32(i)
		}
	}
}

// search calls found with the texts that are s, which is signed, or near it. seen
// is scratch space of the caller's. It gives how many texts it has looked at.
func (x *textIndex) search(s *sketch, seen *visited, found func(text int32, jaccard float64, exact bool)) (all int) {
	same, ok := x.at[s.sequence]
	if ok {
		found(same, 1, true)
	}
	if s.shingles == nil || len(x.texts) == 0 {
		return 0
	}
	seen.start(len(x.texts))
	for k := range bands {
		own := s.minima[k*bandRows : (k+1)*bandRows]
		looked := 0
		for i := x.first[k][s.minima.band(k)&x.mask]; i >= 0 && looked < bandLooked; i = x.next[k][i] {
			t := &x.texts[i]
			if !slices.Equal(own, t.minima[k*bandRows:(k+1)*bandRows]) {
				continue // another band in the same slot
			}
			looked++
			all++
			if !seen.add(i) || ok && i == same || s.minima.agree(&t.minima, nearMinima) < nearMinima {
				continue
			}
			if j := jaccard(s.shingles, t.shingles, NearDuplicate); j >= NearDuplicate {
				found(i, j, false)
			}
		}
	}
	return all
}

// visited is a set of numbers that is emptied at once.
type visited struct {
	stamps []uint32
	now    uint32
}

func (v *visited) start(n int) {
	if len(v.stamps) < n {
		v.stamps, v.now = make([]uint32, n), 0
	}
	if v.now++; v.now == 0 {
		clear(v.stamps)
		v.now = 1
	}
}

// add tells whether i is new.
func (v *visited) add(i int32) bool {
	if v.stamps[i] == v.now {
		return false
	}
	v.stamps[i] = v.now
	return true
}
