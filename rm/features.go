package rm

import (
	"math/bits"

	"cai/dataset"
)

// featureVersion numbers the definition of the features. A model file of
// another one cannot be scored with this code.
const featureVersion = 1

// Bounds of Options.Dim. An entry of a hashed row is packed into 32 bits, 24 of
// them the bucket.
const (
	minDim = 1 << 8
	maxDim = 1 << 24
)

// spec says which features a model has. It is stored in the model file.
type spec struct {
	hash, style bool
	chars       bool
	dim         int // buckets of the hashed features, a power of two
	orders      int // longest word n-gram
	// sources are the groups of features from outside, in their order.
	sources []sourceSpec
}

// dense is the number of features that are there for every reply: those of
// style, then those of the sources.
func (s *spec) dense() int {
	n := s.ownDense()
	for _, src := range s.sources {
		n += src.Reply
	}
	return n
}

// ownDense is the number of those that need no source.
func (s *spec) ownDense() int {
	if s.style {
		return len(styleNames)
	}
	return 0
}

// asked is the number of features that the sources give of a prompt.
func (s *spec) asked() int {
	n := 0
	for _, src := range s.sources {
		n += src.Prompt
	}
	return n
}

// gated tells whether the prompt's words change the weights of style features,
// which they do where both groups are there.
func (s spec) gated() bool { return s.hash && s.style }

// entry is one hashed feature of a reply: the bucket in the upper 24 bits and
// the signed count in the lower 8.
type entry uint32

func pack(bucket uint32, count int) entry {
	return entry(bucket<<8 | uint32(uint8(int8(max(-127, min(127, count))))))
}

func (e entry) bucket() uint32 { return uint32(e) >> 8 }
func (e entry) count() int     { return int(int8(uint8(e))) }

// promptInfo is what the features need of a conversation: the words of its last
// turn.
type promptInfo struct {
	words        int
	types, pairs wordSet
	list         []uint64 // the different words, in their order
}

// extractor turns replies into features. It holds scratch space and serves one
// goroutine.
type extractor struct {
	spec
	shift           int
	prompt          promptInfo
	words           []uint64
	seen, seenPairs wordSet
	lines           wordSet
	runes           []rune
	tally           tally
	// key is that of the prompt keyed, the last one that a pair was of.
	keyed dataset.Conversation
	key   dataset.Hash
}

func newExtractor(s spec) *extractor {
	e := &extractor{spec: s}
	if s.hash || s.chars {
		e.shift = 64 - bits.Len(uint(s.dim-1))
	}
	return e
}

// setPrompt makes the conversation that the next replies answer known.
func (e *extractor) setPrompt(c dataset.Conversation) {
	p := &e.prompt
	p.types.reset()
	p.pairs.reset()
	p.list = p.list[:0]
	if !e.style {
		return // n-grams of replies do not hang on the prompt
	}
	last := ""
	if len(c) > 0 {
		last = c[len(c)-1].Content
	}
	e.words = tokenize(last, e.words[:0])
	p.words = len(e.words)
	prev := uint64(0)
	for i, w := range e.words {
		if p.types.add(w) {
			p.list = append(p.list, w)
		}
		if i > 0 {
			p.pairs.add(follow(prev, w))
		}
		prev = w
	}
}

// reply computes the features of one reply to the prompt that was set: its
// hashed entries appended to rows, each bucket once and in the order in which
// the buckets first occurred, and its style into the first places of dense,
// one for each of styleNames.
func (e *extractor) reply(text string, rows []entry, dense []float32) []entry {
	e.words = tokenize(text, e.words[:0])
	if e.style {
		e.measure(text, dense)
	}
	if !e.hash {
		return rows
	}
	e.tally.expect(e.orders * len(e.words))
	for i, w := range e.words {
		// Read backwards, so that each order extends the one before it.
		h := w
		e.count(h)
		for k := 1; k < e.orders && k <= i; k++ {
			h = follow(e.words[i-k], h)
			e.count(h)
		}
	}
	return e.drain(rows)
}

// promptWords appends the hashed words of the prompt's last turn to rows, as
// reply does those of a reply. They gate the style features.
func (e *extractor) promptWords(rows []entry) []entry {
	if !e.gated() {
		return rows
	}
	for _, w := range e.prompt.list {
		e.count(mix(w + 1))
	}
	return e.drain(rows)
}

// drain appends what was counted to rows and forgets it.
func (e *extractor) drain(rows []entry) []entry { return e.tally.drain(rows) }

// count adds one occurrence of the feature with hash h: to the bucket of its
// upper bits, with the sign of its lowest, so that features that share a bucket
// cancel as often as they add (Weinberger et al. 2009).
func (e *extractor) count(h uint64) {
	h = mix(h ^ 0x5851f42d4c957f2d)
	e.tally.add(uint32(h>>e.shift), 1-2*int32(h&1))
}
