package rm

import (
	"math"
	"slices"
)

// Settings of the features. They were chosen on splits by prompt of human and
// model-made preference data; all of them are flat around their values. Those
// that scoring needs are part of the file format.
const (
	// orders is the longest word n-gram.
	orders = 2
	// minReplies is the number of training replies that must have a bucket for
	// it to get a weight; minPrompts that of training pairs whose prompt must
	// have a word for it to gate.
	minReplies, minPrompts = 3, 20
	// minCommon is the number of training replies that must have a bucket for
	// its weight to hang on the expectation.
	minCommon = 30
	// styleWeight and gateWeight set the sizes of the style features (each has
	// this standard deviation) and of the gate (the norm of its words) beside
	// the hashed features, which have norm 1 together. The ridge is one and the
	// same for all, so this is how hard it holds each group.
	styleWeight, gateWeight = 0.3, 0.5
	// sourceNorm is the root of the sum of the variances of what a source says of
	// a reply.
	sourceNorm = 0.4
	// styleClip bounds a standardised style feature, so that one odd reply
	// cannot carry a score anywhere.
	styleClip = 4
)

// gated are the style features whose weights hang on the prompt: whether a
// reply had better be long, in parts, a refusal or close to the question.
// A weight for each of them and each word of the prompt is added, the words
// scaled by idf and to norm gateWeight.
var gated = []string{"log_words", "log_paragraphs", "opens_refusing", "prompt_words_in_reply"}

// gatedAt are their places among the style features.
var gatedAt = func() []int {
	var at []int
	for _, g := range gated {
		at = append(at, slices.Index(styleNames, g))
	}
	return at
}()

// vocab is the buckets that are known, with their inverse document frequencies.
type vocab struct {
	index []uint32  // the buckets, the commonest in training first
	idf   []float32 // one for each
	rare  float32   // the idf of any other bucket
	at    []int32   // by bucket: the place in index, -1 where unknown
}

// fitVocab makes the vocabulary of the buckets with a frequency of at least
// least among n documents. An idf is floor + ln((1 + n)/(1 + frequency)), as if
// there were one more document with everything in it.
func fitVocab(df []int32, n int, least int32, floor float64) *vocab {
	v := &vocab{}
	for b, c := range df {
		if c >= least {
			v.index = append(v.index, uint32(b))
		}
	}
	// What is used together then lies together in memory, which makes passes
	// over the data and scoring faster.
	slices.SortFunc(v.index, func(a, b uint32) int {
		if c := int(df[b]) - int(df[a]); c != 0 {
			return c
		}
		return int(a) - int(b)
	})
	idf := func(c int32) float32 {
		return float32(floor + math.Log(float64(1+n)/(1+float64(c))))
	}
	v.idf = make([]float32, len(v.index))
	for i, b := range v.index {
		v.idf[i] = idf(df[b])
	}
	v.rare = idf(0)
	v.lookup(len(df))
	return v
}

// lookup makes the way from the buckets, which are below dim, to their places.
// It gives the place of a bucket that stands there for the second time, or -1.
func (v *vocab) lookup(dim int) (again int) {
	again = -1
	v.at = make([]int32, dim)
	for i := range v.at {
		v.at[i] = -1
	}
	for i, b := range v.index {
		if v.at[b] >= 0 {
			again = i
		}
		v.at[b] = int32(i)
	}
	return again
}

// space turns features into numbers: what the training pairs say of how common
// and how large each one is. Its columns are the dense features; the known
// buckets of the hashed ones, the common ones each followed by that times the
// expectation; those of character n-grams; for each known word of prompts the gated style features; and the
// dense features times the expectation.
type space struct {
	spec
	mean, scale []float32 // of the dense features; the scale is 1 over the standard deviation
	words       *vocab    // n-grams of replies; nil without hashed features
	chars       *vocab    // character n-grams of replies; nil without them
	gate        *vocab    // words of prompts; nil where nothing is gated
	expect      *expectation
	// Of what the sources say of prompts, as mean and scale are of replies.
	askedMean, askedScale []float32
	common                int // how many of words have a stride; the first ones, being the commonest
}

// charCol is the column of the character n-gram with the given place.
func (s *space) charCol(i int) int { return s.dense() + s.wordCols() + i }

// gates is the first of the gate's columns.
func (s *space) gates() int {
	n := s.dense() + s.wordCols()
	if s.chars != nil {
		n += len(s.chars.index)
	}
	return n
}

// stride is the number of columns of a common hashed feature where there is an
// expectation: its own, and that times each of the components.
const stride = 1 + numExpected

// wordCols is the number of columns of the hashed features.
func (s *space) wordCols() int {
	if s.words == nil {
		return 0
	}
	return len(s.words.index) + s.common*numExpected
}

// wordCol is the first column of the hashed feature with the given place.
func (s *space) wordCol(i int) int {
	if i < s.common {
		return s.dense() + i*stride
	}
	return s.dense() + s.common*numExpected + i
}

// cols is the number of columns.
func (s *space) cols() int {
	if s.gate == nil {
		return s.gates()
	}
	return s.expects() + s.dense()*numExpected
}

// expects is the first of the columns that hang on the expectation.
func (s *space) expects() int { return s.gates() + len(s.gate.index)*len(gated) }

// fitSpace learns the space from rows.
func fitSpace(rows []row, sp spec) *space {
	s := &space{spec: sp}
	k := sp.dense()
	s.mean, s.scale = fitDense(rows, k, func(r *row) [2][]float32 { return [2][]float32{r.dense[:k], r.dense[k:]} })
	s.askedMean, s.askedScale = fitDense(rows, sp.asked(), func(r *row) [2][]float32 { return [2][]float32{r.asked} })
	if sp.chars {
		df := make([]int32, sp.dim)
		anyOrder(rows, true, func(r *row) {
			frequency(df, r.charsA)
			frequency(df, r.charsB)
		})
		s.chars = fitVocab(df, 2*len(rows), minReplies, 1)
	}
	if sp.hash {
		df := make([]int32, sp.dim)
		anyOrder(rows, true, func(r *row) {
			frequency(df, r.a)
			frequency(df, r.b)
		})
		s.words = fitVocab(df, 2*len(rows), minReplies, 1)
		if sp.gated() {
			for s.common < len(s.words.index) && df[s.words.index[s.common]] >= minCommon {
				s.common++
			}
			clear(df)
			anyOrder(rows, false, func(r *row) { frequency(df, r.words) })
			s.gate = fitVocab(df, len(rows), minPrompts, 0)
			s.expect = s.fitExpectation(rows)
		}
	}
	return s
}

// frequency counts the buckets of one document.
func frequency(df []int32, es []entry) {
	for _, e := range es {
		df[e.bucket()]++
	}
}

// fitDense learns mean and standard deviation of the dense features where they
// are known. One that never varies gets the scale 0, which leaves it out.
func fitDense(rows []row, k int, of func(*row) [2][]float32) (mean, scale []float32) {
	mean, scale = make([]float32, k), make([]float32, k)
	if k == 0 {
		return mean, scale
	}
	n, sum, sq := make([]float64, k), make([]float64, k), make([]float64, k)
	each := func(f func(j int, v float64)) {
		eachRow(rows, false, func(_ int, r *row) {
			for _, vs := range of(r) {
				for j, v := range vs {
					if v == v {
						f(j, float64(v))
					}
				}
			}
		})
	}
	each(func(j int, v float64) { n[j], sum[j] = n[j]+1, sum[j]+v })
	for j := range sum {
		if n[j] > 0 {
			sum[j] /= n[j]
		}
	}
	each(func(j int, v float64) { sq[j] += (v - sum[j]) * (v - sum[j]) })
	for j, mu := range sum {
		mean[j] = float32(mu)
		if sd := math.Sqrt(sq[j] / n[j]); sd > 1e-6 {
			scale[j] = float32(1 / sd)
		}
	}
	return mean, scale
}

// standardAsked gives number j of what the sources say of a prompt, standardised.
func (s *space) standardAsked(j int, v float32) float64 {
	if v != v {
		return 0
	}
	z := (float64(v) - float64(s.askedMean[j])) * float64(s.askedScale[j])
	return max(-styleClip, min(styleClip, z))
}

// standard gives dense feature j standardised; one that is not known is 0, the
// mean.
func (s *space) standard(j int, v float32) float64 {
	if v != v {
		return 0
	}
	z := (float64(v) - float64(s.mean[j])) * float64(s.scale[j])
	return max(-styleClip, min(styleClip, z)) * s.size(j)
}

// size is the standard deviation that dense feature j is brought to.
func (s *space) size(j int) float64 {
	if s.style && j < len(styleNames) {
		return styleWeight
	}
	j -= s.ownDense()
	for _, src := range s.sources {
		if j < src.Reply {
			return sourceNorm / math.Sqrt(float64(src.Reply))
		}
		j -= src.Reply
	}
	return 0
}

// sublinear is the value of a signed count before idf: ±(1 + ln |count|).
var sublinear = func() (t [256]float64) {
	for c := 1; c <= 127; c++ {
		t[c] = 1 + math.Log(float64(c))
		t[256-c] = -t[c]
	}
	return t
}()

func (e entry) tf() float64 { return sublinear[uint8(e)] }

// hits appends the known features of a text with their values, which have norm 1
// together with those that are not known; the squares of these are added to
// strange. Without a vocabulary there are none.
func (v *vocab) hits(es []entry, out []hit, strange *float64) []hit {
	if v == nil {
		return out
	}
	first, sum, odd := len(out), 0.0, 0.0
	for _, e := range es {
		x := e.tf()
		if i := v.at[e.bucket()]; i >= 0 {
			x *= float64(v.idf[i])
			out = append(out, hit{i, float32(x)})
		} else {
			x *= float64(v.rare)
			odd += x * x
		}
		sum += x * x
	}
	if sum > 0 {
		*strange += odd / sum
		norm := float32(1 / math.Sqrt(sum))
		for i := range out[first:] {
			out[first+i].value *= norm
		}
	}
	return out
}

// gateNorm gives what scales the idf of a prompt's known words to the norm
// gateWeight; 0 where there are none.
func (v *vocab) gateNorm(es []entry) float64 {
	sum := 0.0
	for _, e := range es {
		if i := v.at[e.bucket()]; i >= 0 {
			sum += float64(v.idf[i]) * float64(v.idf[i])
		}
	}
	if sum == 0 {
		return 0
	}
	return gateWeight / math.Sqrt(sum)
}
