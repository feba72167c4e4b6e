package rm

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// span is a stretch of a text, in bytes.
type span struct{ start, end int }

// gram is an n-gram of a text: its words or characters, its bucket, and the words
// of the text that each of its occurrences covers, from one up to another.
type gram struct {
	name   string
	bucket uint32
	at     []span
}

// reading is a reply as its explanation needs it: where the tokens of tokenize
// stand, and what is shown as a word: each token, and of what stands between
// white space without a token (a dash, a fence) the whole of it.
type reading struct {
	text      string
	tokens    []span
	names     []string // of the tokens, as they are hashed
	hashes    []uint64
	words     []span
	word      []int // of each token, its number in words
	sentences []span
	sentence  []int // of each word
}

func newReading(text string) *reading {
	r := &reading{text: text, hashes: tokenize(text, nil)}
	r.tokens, r.names = tokenSpans(text)
	r.findWords()
	r.sentences = sentenceSpans(text)
	k := 0
	for _, w := range r.words {
		for k+1 < len(r.sentences) && w.start >= r.sentences[k].end {
			k++
		}
		r.sentence = append(r.sentence, k)
	}
	return r
}

// tokenSpans gives where the tokens of tokenize stand, and what they are: in
// lower case, with the straight apostrophe.
func tokenSpans(s string) (spans []span, names []string) {
	start := -1 // of the token that has begun
	var name strings.Builder
	end := func(i int) {
		if start >= 0 {
			spans, names = append(spans, span{start, i}), append(names, name.String())
		}
		name.Reset()
		start = -1
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case (r == '\'' || r == '’') && start >= 0 && startsWord(s[i+n:]):
			name.WriteByte('\'')
		case unspaced(r):
			end(i)
			start = i
			name.WriteRune(r)
			end(i + n)
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			if start < 0 {
				start = i
			}
			name.WriteRune(unicode.ToLower(r))
		default:
			end(i)
		}
		i += n
	}
	end(len(s))
	return spans, names
}

// findWords sets the words.
func (r *reading) findWords() {
	t := 0
	for _, c := range chunkSpans(r.text) {
		first := t
		for ; t < len(r.tokens) && r.tokens[t].end <= c.end; t++ {
			r.word = append(r.word, len(r.words))
			r.words = append(r.words, r.tokens[t])
		}
		if t == first {
			r.words = append(r.words, c)
		}
	}
}

// chunkSpans gives what stands between white space.
func chunkSpans(s string) []span {
	var out []span
	start := -1
	for i, r := range s {
		switch blank := unicode.IsSpace(r); {
		case blank && start >= 0:
			out = append(out, span{start, i})
			start = -1
		case !blank && start < 0:
			start = i
		}
	}
	if start >= 0 {
		out = append(out, span{start, len(s)})
	}
	return out
}

// sentenceSpans cuts a text into sentences, each with the white space behind it.
// A sentence ends with its line, or with punctuation that ends one and white
// space behind that; the dot of a numbered item ends none.
func sentenceSpans(s string) []span {
	var out []span
	start, ended, wide, full := 0, false, false, false // full: there is more than white space and a number
	digits := true
	cut := func(i int) {
		if i > start && full {
			out = append(out, span{start, i})
			start, full, digits = i, false, true
		}
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r):
			line := false
			j := i
			for j < len(s) {
				b, k := utf8.DecodeRuneInString(s[j:])
				if !unicode.IsSpace(b) {
					break
				}
				line = line || b == '\n'
				j += k
			}
			if ended || line {
				cut(j)
			}
			ended, wide = false, false
			i = j
			continue
		case strings.ContainsRune(".?!…", r):
			ended = !digits || !full || r != '.'
		case strings.ContainsRune("。！？।؟", r):
			ended, wide = true, true
		case ended && strings.ContainsRune(")]\"'*_”’»）」", r): // closes what the sentence was in
		default:
			if wide {
				cut(i)
			}
			ended, wide = false, false
			digits = digits && unicode.IsDigit(r)
		}
		full = full || !unicode.IsSpace(r)
		i += n
	}
	cut(len(s))
	if n := len(out); n > 0 {
		out[n-1].end = len(s) // white space at the end
	} else if s != "" {
		out = append(out, span{0, len(s)})
	}
	return out
}

// bucketOf gives the bucket of the n-gram that add counts once.
func (e *extractor) bucketOf(add func()) (uint32, bool) {
	add()
	var one [1]entry
	es := e.drain(one[:0])
	if len(es) != 1 {
		return 0, false
	}
	return es[0].bucket(), true
}

// wordGrams gives the word n-grams of a text, each once, in the order of their
// first occurrences.
func (e *extractor) wordGrams(r *reading) []gram {
	c := newGrams()
	for i, w := range r.hashes {
		h := w
		for k := 0; ; {
			c.add(h, span{r.word[i-k], r.word[i] + 1}, func() string { return strings.Join(r.names[i-k:i+1], " ") })
			if k++; k >= e.orders || k > i {
				break
			}
			h = follow(r.hashes[i-k], h)
		}
	}
	return c.resolve(e)
}

// charGramsAt gives the character n-grams of a text in the same way. An
// occurrence covers the words that it touches, or those of its chunk where it
// touches none.
func (e *extractor) charGramsAt(r *reading) []gram {
	c := newGrams()
	for _, chunk := range chunkSpans(r.text) {
		inside := r.touched(chunk)
		var runes []rune
		var at []int // of each rune, its first byte
		flush := func(end int) {
			w := append(append([]rune{' '}, runes...), ' ')
			pos := append(append([]int{at[0]}, at...), end, end)
			for i := range w {
				h := uint64(hashInit) ^ 0x9ddfea08eb382d69
				for n := 1; n <= maxChars && i+n <= len(w); n++ {
					h = (h ^ uint64(w[i+n-1])) * hashPrime
					if n < minChars {
						continue
					}
					t := r.touched(span{pos[i], max(pos[i]+1, pos[i+n])})
					if t.start >= t.end {
						t = inside
					}
					c.add(mix(h), t, func() string { return string(w[i : i+n]) })
				}
			}
			runes, at = runes[:0], at[:0]
		}
		for i, x := range r.text[chunk.start:chunk.end] {
			if len(runes) >= 1<<12 {
				flush(chunk.start + i)
			}
			runes, at = append(runes, unicode.ToLower(x)), append(at, chunk.start+i)
		}
		flush(chunk.end)
	}
	return c.resolve(e)
}

// touched gives the words that overlap a stretch of the text.
func (r *reading) touched(s span) span {
	lo := sort.Search(len(r.words), func(i int) bool { return r.words[i].end > s.start })
	hi := sort.Search(len(r.words), func(i int) bool { return r.words[i].start >= s.end })
	return span{lo, max(lo, hi)}
}

// grams collects n-grams by their hashes.
type grams struct {
	at   map[uint64]int
	all  []gram
	hash []uint64
}

func newGrams() *grams { return &grams{at: map[uint64]int{}} }

func (c *grams) add(h uint64, at span, name func() string) {
	i, ok := c.at[h]
	if !ok {
		i = len(c.all)
		c.at[h] = i
		c.all, c.hash = append(c.all, gram{name: name()}), append(c.hash, h)
	}
	c.all[i].at = append(c.all[i].at, at)
}

// resolve finds the buckets.
func (c *grams) resolve(e *extractor) []gram {
	for i, h := range c.hash {
		c.all[i].bucket, _ = e.bucketOf(func() { e.count(h) })
	}
	return c.all
}
