package eval

import (
	"cmp"
	"context"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"

	"cai/dataset"
	"cai/words"
)

// WordsBaseline names the null baseline that knows which words stand in each
// reply, and neither their order nor the prompt; WordsKey is its key among
// [Figures].Baselines.
const (
	WordsBaseline = "bag-of-words"
	WordsKey      = "bag_of_words"
)

const (
	// bagDim is the number of buckets that words are hashed into, which at some
	// hundred thousand different words few share.
	bagDim = 1 << 18
	// bagGap ends the fit: what the loss may still be above its minimum, in nats a
	// pair. bagPasses bounds it in any case.
	bagGap    = 1e-3
	bagPasses = 100
	// bagPrompts is how many prompts a set needs for a cross-fitted baseline beside
	// its figures: with fewer nothing can be learned of words.
	bagPrompts = 50
)

// bag is the words that one of two replies has and the other has not, sorted: the
// bucket of a word, and in the lowest bit 1 where it is the first that has it.
type bag []uint32

// value is what the entry says of the first reply: 1 or -1.
func value(e uint32) float64 { return float64(int32(e&1)*2 - 1) }

// bagger makes bags. It holds scratch space and serves one goroutine.
type bagger struct {
	words []uint64
	a, b  []uint32
}

// buckets gives those of the words of a text, sorted, each once.
func (g *bagger) buckets(text string, dst []uint32) []uint32 {
	g.words = words.Hashes(text, g.words[:0])
	dst = dst[:0]
	for _, w := range g.words {
		dst = append(dst, uint32(words.Mix(w^0x2545f4914f6cdd1d)%bagDim))
	}
	slices.Sort(dst)
	return slices.Compact(dst)
}

// difference gives the words that only one of the texts has.
func (g *bagger) difference(text, other string) bag {
	g.a, g.b = g.buckets(text, g.a), g.buckets(other, g.b)
	a, b := g.a, g.b
	out := make(bag, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out = append(out, a[0]<<1|1)
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out = append(out, b[0]<<1)
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return slices.Clip(out)
}

// Words is a fitted bag of words: see [Bags.Fit].
type Words struct {
	w []float64 // by bucket
	n int       // pairs fitted to
}

// Len is the number of pairs that it was fitted to.
func (s *Words) Len() int { return s.n }

func (s *Words) margin(x bag) float64 {
	z := 0.0
	for _, e := range x {
		z += s.w[e>>1] * value(e)
	}
	return z
}

// Margin gives the log-odds that the first text is the better reply.
func (s *Words) Margin(first, second string) float64 {
	var g bagger
	return s.margin(g.difference(first, second))
}

// Score gives the score of one reply: margins are differences of scores.
func (s *Words) Score(text string) float64 {
	var g bagger
	return s.margin(g.difference(text, ""))
}

// bagged is a pair to fit to: its prompt, the words of its chosen reply and the
// other, and the probability that it is the better one, above 1/2.
type bagged struct {
	prompt dataset.Hash
	x      bag
	p      float64
}

// Bags gathers the words of labelled pairs, four bytes for each word that only
// one of the replies has. The zero value is ready for use.
type Bags struct {
	// Most bounds the pairs that are kept: where there are more, those of a share of
	// the prompts, drawn by hash. 0 is no bound.
	Most   int
	pairs  []bagged
	halved int
	bagger bagger
}

// Add keeps a pair with a clear label.
func (b *Bags) Add(p *dataset.Pair) {
	if skipLabel(p.P) != "" {
		return
	}
	prompt := p.Prompt.Key()
	if !drawn(prompt, b.halved) {
		return
	}
	y := bagged{prompt: prompt, p: p.P}
	if p.P > 0.5 {
		y.x = b.bagger.difference(p.First.Text, p.Second.Text)
	} else {
		y.p, y.x = 1-p.P, b.bagger.difference(p.Second.Text, p.First.Text)
	}
	b.pairs = append(b.pairs, y)
	for b.Most > 0 && len(b.pairs) > b.Most && b.halved < 32 {
		b.halved++
		b.pairs = slices.DeleteFunc(b.pairs, func(y bagged) bool { return !drawn(y.prompt, b.halved) })
	}
}

// Len is the number of pairs that are kept.
func (b *Bags) Len() int { return len(b.pairs) }

// Fit gives the weights w that minimise
//
//	Σ −p ln σ(w·x) − (1−p) ln(1 − σ(w·x)) + λ/2·‖w‖²
//
// over the pairs, where x is, for each word, whether it stands in the chosen reply
// less whether it stands in the other, and λ is the mean of ‖x‖², so that before
// a label is seen margins have a variance of 1: logistic regression on the words
// of a reply. The same pairs in any order, and with their replies in either, give
// the same weights. Nil of no pairs.
func (b *Bags) Fit() *Words {
	b.sort()
	return fitBags(b.pairs, func(*bagged) bool { return true })
}

func (b *Bags) sort() {
	slices.SortFunc(b.pairs, func(x, y bagged) int {
		return cmp.Or(slices.Compare(x.prompt[:], y.prompt[:]), cmp.Compare(x.p, y.p), slices.Compare(x.x, y.x))
	})
}

// crossFit fits, for each part of the prompts, to the pairs of all others.
func (b *Bags) crossFit() (fits [numFolds]*Words) {
	b.sort()
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for k := range fits {
		wg.Go(func() {
			free <- struct{}{}
			fits[k] = fitBags(b.pairs, func(y *bagged) bool { return foldOf(y.prompt) != k })
			<-free
		})
	}
	wg.Wait()
	return fits
}

// fitBags fits to the pairs that use names, by coordinate ascent on the dual
// (Yu, Huang and Lin, 2011), whose variables are αᵢ = pᵢ − σ(zᵢ) at the maximum,
// with w = Σ αᵢxᵢ/λ. The gap between primal and dual bounds what is left to gain.
func fitBags(pairs []bagged, use func(*bagged) bool) *Words {
	var rows []*bagged
	total := 0.0
	for i := range pairs {
		y := &pairs[i]
		if !use(y) {
			continue
		}
		rows = append(rows, y)
		total += float64(len(y.x)) // ‖x‖²
	}
	if len(rows) == 0 {
		return nil
	}
	s := &Words{w: make([]float64, bagDim), n: len(rows)}
	if total == 0 {
		return s
	}
	lambda := total / float64(len(rows))
	alpha := make([]float64, len(rows))
	for range bagPasses {
		for i, y := range rows {
			z := s.margin(y.x)
			if d := bagStep(alpha[i], z, y.p, float64(len(y.x))/lambda); d != 0 {
				alpha[i] += d
				for _, e := range y.x {
					s.w[e>>1] += d / lambda * value(e)
				}
			}
		}
		gap := lambda * dot(s.w, s.w)
		for i, y := range rows {
			z := s.margin(y.x)
			gap += y.p*softplus(-z) + (1-y.p)*softplus(z) - entropy(y.p-alpha[i])
		}
		if gap <= bagGap*float64(len(rows)) {
			break
		}
	}
	return s
}

// bagStep gives by how much to move α, the others held: to where
// α = p − σ(z + q·(step)), with q = ‖x‖²/λ. The equation in z' = z + q·step is
// increasing, and solved by Newton's method within its bounds.
func bagStep(alpha, z, p, q float64) float64 {
	if q == 0 {
		return p - Sigmoid(z) - alpha
	}
	c := z + q*(p-alpha) // z' + q·σ(z') = c
	lo, hi := c-q, c
	v := min(max(z, lo), hi)
	for range 30 {
		y := Sigmoid(v)
		f := v + q*y - c
		if math.Abs(f) <= 1e-12*(1+q) {
			break
		}
		if f > 0 {
			hi = v
		} else {
			lo = v
		}
		next := v - f/(1+q*y*(1-y))
		if !(next > lo && next < hi) {
			next = (lo + hi) / 2
		}
		v = next
	}
	return (v - z) / q
}

// entropy is −s ln s − (1−s) ln(1−s), in nats.
func entropy(s float64) float64 {
	if s <= 0 || s >= 1 {
		return 0
	}
	return -s*math.Log(s) - (1-s)*math.Log1p(-s)
}

// BagOfWords is the baseline as a comparer, cross-fitted by prompt: it reads the
// pairs once and fits five times, so that a pair is compared by weights that come
// from other prompts' pairs. N is how many pairs have a clear label.
func BagOfWords(pairs iter.Seq2[*dataset.Pair, error]) (c Comparer, n int, err error) {
	var b Bags
	for p, err := range pairs {
		if err != nil {
			return nil, b.Len(), err
		}
		b.Add(p)
	}
	return &bagOfWords{b.crossFit()}, b.Len(), nil
}

// WordFigures are those of the bag-of-words baseline, as [AuthorFigures] are those
// of the authors.
type WordFigures struct {
	N       int `json:"n"`
	Trained int `json:"trained,omitempty"` // pairs that it was fitted to, 0 where it is cross-fitted
	Beside
}

// bagRows gives rows the margins of the baseline, where there is to be one. The
// rows are in their order.
func bagRows(rows []row, o Options) {
	if o.Words != nil || o.WordPairs <= 0 || len(rows) > o.WordPairs {
		return
	}
	var b Bags
	prompts := 0
	for i := range rows {
		b.pairs = append(b.pairs, bagged{rows[i].cluster, rows[i].bag, rows[i].p})
		if i == 0 || rows[i].cluster != rows[i-1].cluster {
			prompts++
		}
	}
	if prompts < bagPrompts {
		for i := range rows {
			rows[i].bag = nil
		}
		return
	}
	fits := b.crossFit()
	for i := range rows {
		r := &rows[i]
		if s := fits[foldOf(r.cluster)]; s != nil {
			r.words, r.worded = s.margin(r.bag), true
		}
		r.bag = nil
	}
}

// wordFigures compares by the words of the replies, nil where nothing was fitted.
// The rows are sorted by cluster.
func wordFigures(rows []row, o Options) *WordFigures {
	f := &WordFigures{}
	if o.Words != nil {
		f.Trained = o.Words.Len()
	}
	f.N, f.Beside = besides(rows, o, func(r *row) (float64, bool) { return r.words, r.worded })
	if f.N == 0 {
		return nil
	}
	return f
}

type bagOfWords struct{ fits [numFolds]*Words }

// Compare scores by the words of the replies.
func (c *bagOfWords) Compare(ctx context.Context, p *dataset.Pair) (Comparison, error) {
	s := c.fits[foldOf(p.Prompt.Key())]
	if s == nil {
		return Comparison{}, ErrAbstain
	}
	return s.Compare(ctx, p)
}

// Compare scores the replies by the weights of their words.
func (s *Words) Compare(_ context.Context, p *dataset.Pair) (Comparison, error) {
	a, b := s.Score(p.First.Text), s.Score(p.Second.Text)
	return Comparison{Margin: a - b, First: a, Second: b, Scored: true}, nil
}
