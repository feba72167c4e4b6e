package rm

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"cai/dataset"
)

// Phrasebook is the n-grams of texts that the word weights of a linear model like
// best, from which it composes what would raise a reply's score most. A model
// holds only hashes of n-grams, so they can come from texts alone. It is safe for
// concurrent use once nothing more is read into it.
type Phrasebook struct {
	m      *Model
	e      *extractor
	size   int
	weight []float32 // by place, of the average prompt, times idf
	known  [2]map[string]chunk
	floor  [2]float64
	single []chunk // the best words
	double []chunk // the best pairs of words
	after  map[uint64][]chunk
}

// chunk is one or two words.
type chunk struct {
	name   string
	tokens []uint64
	value  float64
}

// NewPhrasebook makes an empty book of up to size words and as many pairs of words.
// A model that is not linear, or has no words, gives [ErrNotLinear].
func (m *Model) NewPhrasebook(size int) (*Phrasebook, error) {
	sp := m.space
	if !m.Linear() || sp.words == nil {
		return nil, fmt.Errorf("phrases: %w", ErrNotLinear)
	}
	b := &Phrasebook{m: m, e: newExtractor(sp.spec), size: size, weight: make([]float32, len(sp.words.index))}
	shares := make([]float64, len(m.members))
	m.blend.shares(len(m.members), [numExpected]float64{}, shares)
	for k, mem := range m.members {
		unit := shares[k] * mem.scale / m.Metadata.Temperature
		w := mem.head.(*linear).weight
		for i, idf := range sp.words.idf {
			b.weight[i] += float32(unit * float64(w[sp.wordCol(i)]) * float64(idf))
		}
	}
	for k := range b.known {
		b.known[k] = map[string]chunk{}
	}
	return b, nil
}

// bucket gives that of an n-gram's hash, and the sign with which it counts.
func (e *extractor) bucket(h uint64) (uint32, int) {
	h = mix(h ^ 0x5851f42d4c957f2d)
	return uint32(h >> e.shift), 1 - 2*int(h&1)
}

// value gives what one occurrence is worth before the norm.
func (b *Phrasebook) value(h uint64) float64 {
	bucket, sign := b.e.bucket(h)
	i := b.m.space.words.at[bucket]
	if i < 0 {
		return 0
	}
	return float64(sign) * float64(b.weight[i])
}

// Read takes up the n-grams of a text.
func (b *Phrasebook) Read(text string) {
	b.e.words = tokenize(text, b.e.words[:0])
	words := b.e.words
	var names []string
	name := func(i, n int) string {
		if names == nil {
			_, names = tokenSpans(text)
		}
		if n == 1 {
			return names[i]
		}
		return names[i] + " " + names[i+1]
	}
	for i, w := range words {
		if v := b.value(w); v > b.floor[0] {
			b.put(0, chunk{name(i, 1), []uint64{w}, v})
		}
		if i+1 == len(words) || b.e.orders < 2 {
			continue
		}
		if v := b.value(follow(w, words[i+1])); v > 0 {
			if v += max(0, b.value(w)) + b.value(words[i+1]); v > b.floor[1] {
				b.put(1, chunk{name(i, 2), []uint64{w, words[i+1]}, v})
			}
		}
	}
}

func (b *Phrasebook) put(k int, c chunk) {
	if _, ok := b.known[k][c.name]; ok {
		return
	}
	if b.known[k][c.name] = c; len(b.known[k]) >= 4*b.size {
		kept := b.best(k)
		clear(b.known[k])
		for _, c := range kept {
			b.known[k][c.name] = c
		}
		b.floor[k] = kept[len(kept)-1].value
	}
}

// best gives the size best chunks of k+1 words.
func (b *Phrasebook) best(k int) []chunk {
	out := make([]chunk, 0, len(b.known[k]))
	for _, c := range b.known[k] {
		out = append(out, c)
	}
	slices.SortFunc(out, func(x, y chunk) int { return cmp.Or(cmp.Compare(y.value, x.value), cmp.Compare(x.name, y.name)) })
	return out[:min(len(out), b.size)]
}

// Close ends the reading; what it gives is how many words and pairs are kept.
func (b *Phrasebook) Close() int {
	b.single, b.double = b.best(0), b.best(1)
	b.after = map[uint64][]chunk{}
	for _, c := range b.double {
		first := c.tokens[0]
		if len(b.after[first]) < chainNext {
			_, names := tokenSpans(c.name)
			b.after[first] = append(b.after[first], chunk{names[1], c.tokens[1:], c.value})
		}
	}
	return len(b.single) + len(b.double)
}

// Bounds of the search for phrases: how many are kept of each length, and how many
// words, pairs, and words behind the last one are tried to go on with.
const (
	chainWidth = 4
	chainTries = 50
	chainNext  = 20
)

// Addition is words to add to the end of a reply.
type Addition struct {
	Text  string
	Words int
	// Gain is what its n-grams add to the score, exactly: with the reply's own
	// counts, the logarithm that they are taken by, and the norm that longer texts
	// are divided by. What the words change in the style is not in it.
	Gain float64
}

// chain is a reply with words added to it, by its hashed features: the sum of
// weight times value, and that of the squares of the values.
type chain struct {
	changed  []slot // buckets whose counts are others than the reply's
	sum, sq  float64
	text     string
	tail     []uint64 // the last words
	words    int
	increase float64
}

// Additions composes the steepest additions to a reply, one for each number of
// words up to words, by the model's weights: a beam over chains of the book's words
// and pairs of words, of which each keeps the best. The shorter the text, the more
// each word counts.
func (b *Phrasebook) Additions(c dataset.Conversation, reply string, words int) []Addition {
	s := b.m.acquire(c, nil)
	defer b.m.scratch.Put(s)
	sp := b.m.space
	units := make([]float64, len(b.m.members))
	for k, mem := range b.m.members {
		units[k] = s.shares[k] * mem.scale / b.m.Metadata.Temperature
	}
	weight := func(place int32) float64 {
		at, sum := sp.wordCol(int(place)), 0.0
		for k, mem := range b.m.members {
			l := mem.head.(*linear)
			w := float64(l.weight[at])
			if int(place) < sp.common {
				for e, g := range s.expected {
					w += g * float64(l.weight[at+1+e])
				}
			}
			sum += units[k] * w
		}
		return sum
	}
	count := map[uint32]int{}
	tokens := tokenize(reply, nil)
	for i, w := range tokens {
		h := w
		for k := 0; ; {
			bucket, sign := b.e.bucket(h)
			count[bucket] += sign
			if k++; k >= b.e.orders || k > i {
				break
			}
			h = follow(tokens[i-k], h)
		}
	}
	tf := func(n int) float64 { return pack(0, n).tf() }
	move := func(x *chain, bucket uint32, from, to int) {
		idf, d := float64(sp.words.rare), tf(to)-tf(from)
		if i := sp.words.at[bucket]; i >= 0 {
			idf = float64(sp.words.idf[i])
			x.sum += weight(i) * idf * d
		}
		x.sq += idf * idf * (tf(to)*tf(to) - tf(from)*tf(from))
	}
	start := chain{tail: tokens[max(0, len(tokens)-b.e.orders+1):]}
	for _, bucket := range sortedKeys(count) { // in one order, so that sums round alike
		move(&start, bucket, 0, count[bucket])
	}
	level := func(x *chain) float64 {
		if x.sq <= 0 {
			return 0
		}
		return x.sum / math.Sqrt(x.sq)
	}
	before := level(&start)
	extend := func(x *chain, c chunk) chain {
		y := chain{
			changed: slices.Clone(x.changed), sum: x.sum, sq: x.sq, words: x.words + len(c.tokens),
			text: x.text + " " + c.name, tail: slices.Clone(x.tail),
		}
		for _, w := range c.tokens {
			h := w
			for k := 0; ; {
				bucket, sign := b.e.bucket(h)
				i := slices.IndexFunc(y.changed, func(s slot) bool { return s.bucket == bucket })
				if i < 0 {
					i = len(y.changed)
					y.changed = append(y.changed, slot{bucket, int32(count[bucket])})
				}
				n := int(y.changed[i].n)
				move(&y, bucket, n, n+sign)
				y.changed[i].n = int32(n + sign)
				if k++; k >= b.e.orders || k > len(y.tail) {
					break
				}
				h = follow(y.tail[len(y.tail)-k], h)
			}
			if y.tail = append(y.tail, w); len(y.tail) >= b.e.orders {
				y.tail = y.tail[len(y.tail)-b.e.orders+1:]
			}
		}
		y.increase = level(&y) - before
		return y
	}
	at := make([][]chain, words+3)
	at[0] = []chain{start}
	var out []Addition
	for n := range words + 1 {
		of := at[n]
		slices.SortFunc(of, func(x, y chain) int {
			return cmp.Or(cmp.Compare(y.increase, x.increase), cmp.Compare(x.text, y.text))
		})
		of = slices.CompactFunc(of, func(x, y chain) bool { return x.text == y.text })
		of = of[:min(len(of), chainWidth)]
		if n > 0 && len(of) > 0 && of[0].increase > 0 {
			out = append(out, Addition{of[0].text[1:], n, of[0].increase})
		}
		for i := range of {
			x := &of[i]
			tries := [][]chunk{b.single[:min(len(b.single), chainTries)], b.double[:min(len(b.double), chainTries)]}
			if k := len(x.tail); k > 0 {
				tries = append(tries, b.after[x.tail[k-1]])
			}
			for _, cs := range tries {
				for _, c := range cs {
					if m := n + len(c.tokens); m <= words {
						at[m] = append(at[m], extend(x, c))
					}
				}
			}
		}
		at[n] = nil
	}
	return out
}

func sortedKeys(m map[uint32]int) []uint32 {
	out := make([]uint32, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
