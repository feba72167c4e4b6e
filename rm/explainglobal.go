package rm

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"cai/dataset"
)

// HeadView is what a head looks at most.
type HeadView struct {
	Name string `json:"name"`
	// Share is what the head's values are multiplied by in a score; of a gate, for
	// the average prompt.
	Share float64 `json:"share"`
	// Positive are the features that raise a score most, Negative those that lower
	// it most, by Effect; n-grams come after the others.
	Positive []FeatureView `json:"positive"`
	Negative []FeatureView `json:"negative"`
	// Note tells why there are none.
	Note string `json:"note,omitempty"`
}

// FeatureView is a feature of a head.
type FeatureView struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	// Weight is in units of the score, for the feature as the head sees it; of a
	// network, the slope of what the feature gave to the margins of the pairs.
	// Spread is the root of the mean square of the feature's difference between
	// two replies, and Effect their product.
	Weight float64 `json:"weight"`
	Spread float64 `json:"spread"`
	Effect float64 `json:"effect"`
	// Names are the n-grams of the data that stand for the bucket, the commonest
	// first, and Example is a sentence of the data with one of them.
	Names   []string        `json:"names,omitempty"`
	Example string          `json:"example,omitempty"`
	Source  *dataset.Source `json:"-"`
}

// Overview gives the top features of each head, n up and n down of n-grams of
// words, of characters, and of the others. N-grams are
// named by their buckets, since a model does not hold their words, and the spread
// of features is estimated from their frequencies, as if the two replies of a
// pair were any two replies.
func (m *Model) Overview(n int) []HeadView {
	var mean [numExpected]float64
	return m.overview(n, mean, m.space.guessSpread(), nil)
}

// Overview is that of the model with the spread of the features over the pairs,
// and with n-grams and examples of their texts.
func (b *Background) Overview(ctx context.Context, n int) ([]HeadView, error) {
	m := b.model
	spread, ones := make([]float64, b.x.cols), make([]float64, len(b.rows))
	var mean [numExpected]float64
	for i := range b.rows {
		ones[i] = 1 / float64(len(b.rows))
		for c, v := range b.rows[i].expected {
			mean[c] += v * ones[i]
		}
	}
	b.x.transposeTimes(ones, spread, true, b.x.newSums())
	for j, v := range spread {
		spread[j] = math.Sqrt(v)
	}
	views := m.overview(n, mean, spread, b)
	return views, b.nameBuckets(ctx, views)
}

// Kind is a kind of prompt on which the weights hang: a component of what replies
// are expected to look like. High and Low are prompts of the data at its ends.
type Kind struct {
	Name string   `json:"name"`
	High []string `json:"high"`
	Low  []string `json:"low"`
}

// Kinds gives n prompts at each end of each kind of prompt.
func (b *Background) Kinds(n int) []Kind {
	var out []Kind
	if b.model.space.expect == nil {
		return out
	}
	order := make([]int, len(b.rows))
	for c := range numExpected {
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int {
			return cmp.Compare(b.rows[j].expected[c], b.rows[i].expected[c])
		})
		ends := func(rows iter.Seq2[int, int]) (texts []string) {
			var last dataset.Hash
			for _, i := range rows {
				r := &b.rows[i]
				k := len(r.pair.Prompt)
				if len(texts) == n {
					break
				}
				if k > 0 && (len(texts) == 0 || r.prompt != last) {
					last = r.prompt
					texts = append(texts, r.pair.Prompt[k-1].Content)
				}
			}
			return texts
		}
		out = append(out, Kind{fmt.Sprintf("kind of prompt %d", c+1), ends(slices.All(order)), ends(slices.Backward(order))})
	}
	return out
}

// headFeature is a column or an input of a head, with its weight and spread.
type headFeature struct {
	column         int
	weight, spread float64
}

func (m *Model) overview(n int, expected [numExpected]float64, spread []float64, b *Background) []HeadView {
	shares := make([]float64, len(m.members))
	m.blend.shares(len(m.members), expected, shares)
	var out []HeadView
	var mean []float64 // of an ensemble of linear heads, its weights
	for k, mem := range m.members {
		unit := shares[k] * mem.scale / m.Metadata.Temperature
		v := HeadView{Name: mem.name, Share: shares[k]}
		switch h := mem.head.(type) {
		case *linear:
			if m.blend.Kind == blendMean {
				if mean == nil {
					mean = make([]float64, len(h.weight))
				}
				for j, w := range h.weight {
					mean[j] += unit * float64(w)
				}
				continue
			}
			fs := make([]headFeature, len(h.weight))
			for j, w := range h.weight {
				fs[j] = headFeature{j, unit * float64(w), spread[j]}
			}
			v.take(m.space, fs, n)
		case *network:
			if b == nil {
				v.Note = "what a network looks at can only be told from texts"
				break
			}
			v.take(m.space, b.slopes(h, unit), n)
		}
		out = append(out, v)
	}
	if mean != nil {
		v := HeadView{Name: "mean of the ensemble", Share: 1}
		fs := make([]headFeature, len(mean))
		for j, w := range mean {
			fs[j] = headFeature{j, w, spread[j]}
		}
		v.take(m.space, fs, n)
		out = append(out, v)
	}
	return out
}

// take takes the top features of fs: n of those that are no n-grams, n of words and
// n of characters, since one n-gram gives little beside a measure of the whole
// reply.
func (v *HeadView) take(s *space, fs []headFeature, n int) {
	slices.SortStableFunc(fs, func(x, y headFeature) int { return cmp.Compare(y.weight*y.spread, x.weight*x.spread) })
	v.Positive, v.Negative = []FeatureView{}, []FeatureView{}
	first, last := s.dense(), s.dense()+s.wordCols()
	for _, in := range []func(j int) bool{
		func(j int) bool { return j < first || j >= s.gates() },
		func(j int) bool { return j >= first && j < last },
		func(j int) bool { return j >= last && j < s.gates() },
	} {
		add := func(out *[]FeatureView, fs iter.Seq2[int, headFeature], sign float64) {
			left := n
			for _, f := range fs {
				if left == 0 || f.weight*f.spread*sign <= 0 {
					break
				}
				if in(f.column) {
					group, name := s.columnName(f.column)
					*out = append(*out, FeatureView{Group: group, Name: name, Weight: f.weight, Spread: f.spread, Effect: f.weight * f.spread})
					left--
				}
			}
		}
		add(&v.Positive, slices.All(fs), 1)
		add(&v.Negative, slices.Backward(fs), -1)
	}
}

// columnName gives the group and the name of a column.
func (s *space) columnName(j int) (group, name string) {
	k := s.dense()
	bucket := func(v *vocab, i int) string { return fmt.Sprintf("bucket %d", v.index[i]) }
	switch {
	case j < k:
		return s.denseName(j)
	case j < k+s.common*stride:
		i, c := (j-k)/stride, (j-k)%stride
		name = bucket(s.words, i)
		if c > 0 {
			name += fmt.Sprintf(" × kind of prompt %d", c)
		}
		return FeatureHash, name
	case j < k+s.wordCols():
		return FeatureHash, bucket(s.words, j-k-s.common*numExpected)
	case j < s.gates():
		return FeatureChars, bucket(s.chars, j-k-s.wordCols())
	case j < s.expects():
		i, g := (j-s.gates())/len(gated), (j-s.gates())%len(gated)
		return GroupGate, bucket(s.gate, i) + " of the prompt × " + gated[g]
	}
	i, c := (j-s.expects())/numExpected, (j-s.expects())%numExpected
	group, name = s.denseName(i)
	return group, fmt.Sprintf("%s × kind of prompt %d", name, c+1)
}

// guessSpread estimates the spread of each column from the idf.
func (s *space) guessSpread() []float64 {
	out := make([]float64, s.cols())
	vary := func(j int) float64 {
		if s.scale[j] == 0 {
			return 0
		}
		return s.size(j)
	}
	for j := range s.dense() {
		out[j] = vary(j) * math.Sqrt2
	}
	// A bucket's share of texts and its value in one, the norm being what the
	// texts have on average.
	each := func(v *vocab, floor float64, f func(i int, share, value float64)) {
		sum := 0.0
		for _, idf := range v.idf {
			sum += math.Exp(floor-float64(idf)) * float64(idf) * float64(idf)
		}
		for i, idf := range v.idf {
			f(i, min(1, math.Exp(floor-float64(idf))), float64(idf)/math.Sqrt(max(sum, 1e-12)))
		}
	}
	reply := func(q, v float64) float64 { return v * math.Sqrt(2*q*(1-q)) }
	if s.words != nil {
		each(s.words, 1, func(i int, q, v float64) {
			at := s.wordCol(i)
			out[at] = reply(q, v)
			for c := 1; c < stride && i < s.common; c++ {
				out[at+c] = reply(q, v)
			}
		})
	}
	if s.chars != nil {
		each(s.chars, 1, func(i int, q, v float64) { out[s.charCol(i)] = reply(q, v) })
	}
	if s.gate != nil {
		each(s.gate, 0, func(i int, q, v float64) {
			for g, j := range gatedAt {
				out[s.gates()+i*len(gated)+g] = gateWeight * v * math.Sqrt(q) * vary(j) * math.Sqrt2
			}
		})
		for j := range s.dense() {
			for c := range numExpected {
				out[s.expects()+j*numExpected+c] = out[j]
			}
		}
	}
	return out
}

// slopes gives, for what a network sees, what it gave to the margins of the pairs
// by integrated gradients, regressed on the difference of the feature.
func (b *Background) slopes(n *network, unit float64) []headFeature {
	s := b.model.space
	k, inputs := s.dense(), s.numInputs()
	num, den := make([]float64, inputs+s.netWords()), make([]float64, inputs+s.netWords())
	put := func(j int, d, g float64) {
		num[j] += d * d * g
		den[j] += d * d
	}
	r := netReader{space: s}
	for i := range b.rows {
		x, y := r.row(&b.rows[i])
		slope, _ := n.path(x, y)
		for j := range inputs {
			if d := float64(x.in[j]) - float64(y.in[j]); d != 0 {
				put(j, d, n.along(slope, n.in, j))
			}
		}
		diff := map[int32]float64{}
		for _, h := range x.hits {
			diff[h.place] += float64(h.value)
		}
		for _, h := range y.hits {
			diff[h.place] -= float64(h.value)
		}
		for p, d := range diff {
			put(inputs+int(p), d, n.along(slope, n.word, int(p)))
		}
	}
	var out []headFeature
	add := func(column, j int) {
		if den[j] > 0 {
			out = append(out, headFeature{column, unit * num[j] / den[j], math.Sqrt(den[j] / float64(len(b.rows)))})
		}
	}
	for j := range k {
		add(j, j)
	}
	for i := range s.netWords() {
		add(s.wordCol(i), inputs+i)
	}
	return out
}

// Bounds of the search for names: the n-grams shown for a bucket, and the texts
// that they are counted in.
const (
	bucketNames = 3
	bucketTexts = 100
)

// named is a bucket that is looked for.
type named struct {
	count map[string]int
	views []*FeatureView
	texts int
}

// nameBuckets finds n-grams and examples for the buckets of views.
func (b *Background) nameBuckets(ctx context.Context, views []HeadView) error {
	wanted := map[string]map[uint32]*named{FeatureHash: {}, FeatureChars: {}, GroupGate: {}}
	for i := range views {
		for _, list := range [][]FeatureView{views[i].Positive, views[i].Negative} {
			for j := range list {
				var bucket uint32
				if w := wanted[list[j].Group]; w != nil {
					if _, err := fmt.Sscanf(list[j].Name, "bucket %d", &bucket); err != nil {
						continue
					}
					if w[bucket] == nil {
						w[bucket] = &named{count: map[string]int{}}
					}
					w[bucket].views = append(w[bucket].views, &list[j])
				}
			}
		}
	}
	e := newExtractor(b.model.space.spec)
	look := func(want map[uint32]*named, es []entry, text string, src *dataset.Source, grams func(*reading) []gram) {
		found := slices.ContainsFunc(es, func(x entry) bool { w := want[x.bucket()]; return w != nil && w.texts < bucketTexts })
		if !found {
			return
		}
		r := newReading(text)
		for _, g := range grams(r) {
			w := want[g.bucket]
			if w == nil || w.texts >= bucketTexts {
				continue
			}
			w.texts++
			w.count[g.name] += len(g.at)
			for _, v := range w.views {
				if v.Example == "" {
					s := r.sentences[r.sentence[g.at[0].start]]
					v.Example, v.Source = strings.TrimSpace(text[s.start:s.end]), src
				}
			}
		}
	}
	for i := range b.rows {
		if i%batch == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r := &b.rows[i]
		first, second := r.pair.First.Text, r.pair.Second.Text
		if r.swap {
			first, second = second, first
		}
		src := &r.pair.Source
		look(wanted[FeatureHash], r.a, first, src, e.wordGrams)
		look(wanted[FeatureHash], r.b, second, src, e.wordGrams)
		look(wanted[FeatureChars], r.charsA, first, src, e.charGramsAt)
		look(wanted[FeatureChars], r.charsB, second, src, e.charGramsAt)
		if n := len(r.pair.Prompt); n > 0 {
			look(wanted[GroupGate], r.words, r.pair.Prompt[n-1].Content, src, e.promptGrams)
		}
	}
	for _, want := range wanted {
		for bucket, w := range want {
			if len(w.count) == 0 {
				continue
			}
			var names []string
			for name := range w.count {
				names = append(names, name)
			}
			slices.SortFunc(names, func(x, y string) int {
				return cmp.Or(cmp.Compare(w.count[y], w.count[x]), cmp.Compare(x, y))
			})
			names = names[:min(len(names), bucketNames)]
			for _, v := range w.views {
				v.Names = names
				v.Name = strings.Replace(v.Name, fmt.Sprintf("bucket %d", bucket), names[0], 1)
			}
		}
	}
	return nil
}

// promptGrams gives the words of a prompt, by the buckets of the gate.
func (e *extractor) promptGrams(r *reading) []gram {
	c := newGrams()
	for i, w := range r.hashes {
		c.add(mix(w+1), span{r.word[i], r.word[i] + 1}, func() string { return r.names[i] })
	}
	return c.resolve(e)
}
