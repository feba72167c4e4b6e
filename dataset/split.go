package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Share is one part of a split: its name and how much of the records it gets.
type Share struct {
	Name string
	Of   float64 // of all, above 0 to 1
}

// ParseShares reads "train=0.9,test=0.1". The shares have to make up the whole.
func ParseShares(text string) ([]Share, error) {
	var out []Share
	sum := 0.0
	for part := range strings.SplitSeq(text, ",") {
		name, share, ok := strings.Cut(strings.TrimSpace(part), "=")
		x, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		name = strings.TrimSpace(name)
		switch {
		case !ok:
			return nil, fmt.Errorf("%q is no name and share, as train=0.9 is", part)
		case err != nil || !(x > 0 && x <= 1):
			return nil, fmt.Errorf("%s: %q is no share above 0 to 1", name, share)
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "":
			return nil, fmt.Errorf("%q is no name of letters, digits, - and _, which becomes part of a file's name", name)
		case slices.ContainsFunc(out, func(s Share) bool { return strings.EqualFold(s.Name, name) }):
			return nil, fmt.Errorf("%s is named twice", name)
		}
		out = append(out, Share{name, x})
		sum += x
	}
	if math.Abs(sum-1) > 1e-6 {
		return nil, fmt.Errorf("the shares make up %g, not 1", sum)
	}
	return out, nil
}

// SplitName puts a part's name before the endings of a file's name: out.jsonl.gz
// becomes out.train.jsonl.gz.
func SplitName(file, part string) string {
	dir, base := filepath.Split(file)
	end := ""
	for _, zip := range []string{".gz", ".zst"} {
		if strings.HasSuffix(strings.ToLower(base), zip) {
			end = base[len(base)-len(zip):]
			base = base[:len(base)-len(zip)]
		}
	}
	if ext := filepath.Ext(base); ext != base { // not of a hidden file without an ending
		end, base = ext+end, strings.TrimSuffix(base, ext)
	}
	return dir + base + "." + part + end
}

// Splitter deals records out to parts. All records are counted first, then
// [Splitter.Deal] fixes which part each key belongs to: no key is in two parts, and
// the same keys, seed and shares give the same parts in whatever order they come.
//
// Within a stratum the keys stand in the order of a hash of key and seed, each as
// long as it has records, and the parts are cut from that row, closed to a ring, at
// an offset that the seed draws for the stratum (systematic sampling; Madow and
// Madow 1944). So a part's records differ from its share of the stratum's by less
// than the records of its two cut keys, and a stratum too small for a share gives
// its records to each part as often as the shares say.
type Splitter struct {
	shares []Share
	seed   int64
	strata []string
	ids    map[string]int32
	keys   map[Hash]*splitEntry
	dealt  bool
}

type splitEntry struct {
	records int64
	stratum int32 // the first by name of those that the key's records are in
	part    int32
}

// NewSplitter makes a splitter.
func NewSplitter(shares []Share, seed int64) *Splitter {
	return &Splitter{shares: shares, seed: seed, ids: map[string]int32{}, keys: map[Hash]*splitEntry{}}
}

// Count notes one record of a key.
func (s *Splitter) Count(key Hash, stratum string) {
	id, ok := s.ids[stratum]
	if !ok {
		id = int32(len(s.strata))
		s.ids[stratum], s.strata = id, append(s.strata, stratum)
	}
	e := s.keys[key]
	if e == nil {
		e = &splitEntry{stratum: id}
		s.keys[key] = e
	}
	if e.records++; stratum < s.strata[e.stratum] {
		e.stratum = id
	}
}

func (s *Splitter) hash(kind, what string) Hash {
	return HashOf(kind, strconv.FormatInt(s.seed, 10), what)
}

// Deal fixes the parts, when all records have been counted.
func (s *Splitter) Deal() {
	type place struct {
		order Hash
		*splitEntry
	}
	rows := make([][]place, len(s.strata))
	for key, e := range s.keys {
		rows[e.stratum] = append(rows[e.stratum], place{s.hash("split", string(key[:])), e})
	}
	for id, row := range rows {
		slices.SortFunc(row, func(a, b place) int { return slices.Compare(a.order[:], b.order[:]) })
		total := int64(0)
		for _, p := range row {
			total += p.records
		}
		h := s.hash("stratum", s.strata[id])
		offset := float64(binary.LittleEndian.Uint64(h[:])>>11) / (1 << 53)
		before := int64(0)
		for _, p := range row {
			_, at := math.Modf((float64(before)+float64(p.records)/2)/float64(total) + offset)
			before += p.records
			p.part = int32(len(s.shares) - 1)
			for i, share := range s.shares[:len(s.shares)-1] {
				if at -= share.Of; at < 0 {
					p.part = int32(i)
					break
				}
			}
		}
	}
	s.dealt = true
}

// Part gives the number of the share that a key belongs to. A key that was not
// counted is an error: what is read has changed.
func (s *Splitter) Part(key Hash) (int, error) {
	e := s.keys[key]
	if e == nil || !s.dealt {
		return 0, errors.New("a record that was not there at the first reading: the input changed while it was split")
	}
	return int(e.part), nil
}

// Strata are the names of the strata, sorted.
func (s *Splitter) Strata() []string { return slices.Sorted(slices.Values(s.strata)) }

// Stratum names the stratum that a counted key was dealt in.
func (s *Splitter) Stratum(key Hash) string { return s.strata[s.keys[key].stratum] }
