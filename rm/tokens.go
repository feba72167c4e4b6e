package rm

import "cai/words"

// Hashes of the feature space. They are part of the file format: a change of
// any of them is a change of featureVersion.
const (
	hashInit  = 0xcbf29ce484222325
	hashPrime = 0x100000001b3
)

func mix(x uint64) uint64 { return words.Mix(x) }

// follow extends the hash of a sequence of tokens by one more. The order of the
// tokens counts.
func follow(h, token uint64) uint64 { return words.Follow(h, token) }

// hashWord hashes one token as [tokenize] does, without the lowering of case.
func hashWord(s string) uint64 { return words.Hash(s) }

// tokenize appends the hashes of the tokens of s to dst: its words, as
// [cai/words] defines them.
func tokenize(s string, dst []uint64) []uint64 { return words.Hashes(s, dst) }

// startsWord tells whether s goes on with a letter.
func startsWord(s string) bool { return words.StartsWord(s) }

// unspaced tells whether r belongs to a script written without spaces between
// its words.
func unspaced(r rune) bool { return words.Unspaced(r) }

// hashBytes hashes a text as it is, eight bytes at a time.
func hashBytes(s string) uint64 {
	h := uint64(len(s))
	for ; len(s) >= 8; s = s[8:] {
		h = follow(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
	}
	last := uint64(0)
	for i := range len(s) {
		last = last<<8 | uint64(s[i])
	}
	return follow(h, last)
}
