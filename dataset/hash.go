package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Hash is the content hash of a record: the first 16 bytes of a SHA-256 over
// the record's kind and its parts, each preceded by its length, so that no two
// records of different parts collide by concatenation. Records with the same
// Hash are the same record, whatever file they came from.
type Hash [16]byte

// HashOf hashes parts as a record of the given kind.
func HashOf(kind string, parts ...string) Hash {
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
	var out Hash
	copy(out[:], h.Sum(nil))
	return out
}

// ParseHash reads the 32 hexadecimal digits that [Hash.String] writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is not a content hash of 32 hexadecimal digits", s)
	}
	copy(h[:], b)
	return h, nil
}

// String gives the hash as 32 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero tells whether h was never set.
func (h Hash) IsZero() bool { return h == Hash{} }

// Less orders hashes by their bytes. A stored pair's reply a is the one with
// the smaller hash.
func (h Hash) Less(o Hash) bool { return string(h[:]) < string(o[:]) }

// MarshalText writes the hexadecimal form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the hexadecimal form.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err != nil {
		return err
	}
	*h = v
	return nil
}
