package eval_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

var lexicon = strings.Fields("ant bee cat dog elk fox gnu hen ibis jay")

// wordy draws pairs of replies of a few words.
var wordy = rapid.Custom(func(t *rapid.T) *dataset.Pair {
	text := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(lexicon), 0, 8), func(w []string) string { return strings.Join(w, " ") })
	p := pair(fmt.Sprint("prompt ", rapid.IntRange(0, 9).Draw(t, "prompt")), text.Draw(t, "first"), text.Draw(t, "second"), 0)
	p.P = rapid.OneOf(rapid.SampledFrom([]float64{0, 1}), rapid.Float64Range(0, 1)).Draw(t, "P")
	return p
})

func bagFit(pairs []*dataset.Pair) *eval.Words {
	var b eval.Bags
	for _, p := range pairs {
		b.Add(p)
	}
	return b.Fit()
}

// unlike gives the words that only the first or only the second text has.
func unlike(a, b string) map[string]float64 {
	x := map[string]float64{}
	for _, w := range lexicon {
		d := 0.0
		if strings.Contains(a, w) {
			d++
		}
		if strings.Contains(b, w) {
			d--
		}
		if d != 0 {
			x[w] = d
		}
	}
	return x
}

// No step along any word, nor a shorter or longer vector, lessens the loss by more
// than the gap that the fit may leave.
func TestBagOfWordsIsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.SliceOfN(wordy, 1, 40).Draw(t, "pairs")
		s := bagFit(pairs)
		if s == nil {
			return // every label is a tie
		}
		w := map[string]float64{}
		for _, word := range lexicon {
			w[word] = s.Score(word)
		}
		lambda, n := 0.0, 0.0
		for _, p := range pairs {
			if p.P != 0.5 {
				lambda += float64(len(unlike(p.First.Text, p.Second.Text)))
				n++
			}
		}
		lambda /= n
		loss := func(w map[string]float64) float64 {
			sum := 0.0
			for _, v := range w {
				sum += lambda / 2 * v * v
			}
			for _, p := range pairs {
				if p.P == 0.5 {
					continue
				}
				z := 0.0
				for word, d := range unlike(p.First.Text, p.Second.Text) {
					z += w[word] * d
				}
				sum -= p.P*math.Log(eval.Sigmoid(z)) + (1-p.P)*math.Log(eval.Sigmoid(-z))
			}
			return sum
		}
		at := loss(w)
		for _, word := range lexicon {
			for _, step := range []float64{-0.3, -0.05, 0.05, 0.3} {
				w[word] += step
				if l := loss(w); l < at-2e-3*n {
					t.Fatalf("%v less along %q by %v", at-l, word, step)
				}
				w[word] -= step
			}
		}
		for _, c := range []float64{0.8, 1.25} {
			scaled := map[string]float64{}
			for word, v := range w {
				scaled[word] = c * v
			}
			if l := loss(scaled); l < at-2e-3*n {
				t.Fatalf("%v less at %v times the weights", at-l, c)
			}
		}
		for _, p := range pairs {
			z := s.Score(p.First.Text) - s.Score(p.Second.Text)
			if m := s.Margin(p.First.Text, p.Second.Text); math.Abs(m-z) > 1e-9 {
				t.Fatalf("margin %v, difference of scores %v", m, z)
			}
		}
	})
}

func TestBagOfWordsForgetsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.SliceOfN(wordy, 1, 30).Draw(t, "pairs")
		var turned []*dataset.Pair
		for _, p := range rapid.Permutation(pairs).Draw(t, "permuted") {
			q := *p
			if rapid.Bool().Draw(t, "swap") && q.P != 0.5 {
				q.First, q.Second, q.P = p.Second, p.First, 1-p.P
				if 1-q.P != p.P {
					q = *p // the label cannot be turned without rounding
				}
			}
			words := strings.Fields(q.First.Text)
			rand.New(rand.NewPCG(1, 1)).Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
			q.First.Text = strings.Join(words, ", ")
			turned = append(turned, &q)
		}
		a, b := bagFit(pairs), bagFit(turned)
		if (a == nil) != (b == nil) {
			t.Fatal("one of them fits nothing")
		}
		if a == nil {
			return
		}
		for _, word := range lexicon {
			if a.Score(word) != b.Score(word) {
				t.Fatalf("%s: %v and %v", word, a.Score(word), b.Score(word))
			}
		}
	})
}

// speech gives pairs whose better reply holds "yeah" in three of four cases;
// where blind, the word says nothing.
func speech(n int, blind bool) []*dataset.Pair {
	r := rand.New(rand.NewPCG(5, 6))
	var pairs []*dataset.Pair
	for i := range n {
		text := func(extra string) string {
			words := []string{extra}
			for range 6 {
				words = append(words, lexicon[r.IntN(len(lexicon))])
			}
			r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
			return strings.Join(words, " ")
		}
		p := pair(fmt.Sprint("prompt ", i/2), text("yeah"), text("nope"), 1)
		if r.IntN(4) == 0 || blind && r.IntN(3) == 0 {
			p.P = 0
		}
		if r.IntN(2) == 0 {
			p.First, p.Second, p.P = p.Second, p.First, 1-p.P
		}
		pairs = append(pairs, p)
	}
	return pairs
}

func TestBagOfWordsBaseline(t *testing.T) {
	longer, err := eval.Baseline("longer")
	if err != nil {
		t.Fatal(err)
	}
	run := func(pairs []*dataset.Pair, c eval.Comparer, o eval.Options) eval.Set {
		t.Helper()
		s, err := eval.Run(context.Background(), "set", sequence(pairs), c, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pairs := speech(600, false)
	with := run(pairs, longer, eval.Options{WordPairs: 600})
	if with.Words == nil || with.Words.N != 600 || with.Words.Accuracy < 0.69 || with.Words.Accuracy > 0.78 {
		t.Fatalf("a word tells three of four: %+v", with.Words)
	}
	if with.Baselines[eval.WordsKey] != with.Words.Accuracy || with.BestBaseline != eval.WordsBaseline || with.DeltaCI[1] >= 0 {
		t.Errorf("baselines %v, best %s %v", with.Baselines, with.BestBaseline, with.DeltaCI)
	}
	c, n, err := eval.BagOfWords(sequence(pairs))
	if err != nil || n != 600 {
		t.Fatal(n, err)
	}
	if own := run(pairs, c, eval.Options{WordPairs: 600}); own.Accuracy != with.Words.Accuracy || own.Words.Delta != 0 {
		t.Errorf("as a comparer %v, beside one %v; less itself %v", own.Accuracy, with.Words.Accuracy, own.Words.Delta)
	}
	if many := run(pairs, longer, eval.Options{WordPairs: 599}); many.Words != nil {
		t.Error("fitted to more pairs than asked for")
	}
	if blind := run(speech(600, true), longer, eval.Options{WordPairs: 600}); blind.Words.Accuracy < 0.44 || blind.Words.Accuracy > 0.56 {
		t.Errorf("of a word that says nothing: %v", blind.Words.Accuracy)
	}
	other := run(speech(600, true), longer, eval.Options{Words: bagFit(pairs)})
	if other.Words == nil || other.Words.Trained != 600 {
		t.Errorf("fitted to other pairs: %+v", other.Words)
	}
}

// A pair's own label has no say in what the baseline makes of it: when all labels of
// a prompt are turned, its margins stay.
func TestBagOfWordsIsCrossFitted(t *testing.T) {
	pairs := speech(200, false)
	c, _, err := eval.BagOfWords(sequence(pairs))
	if err != nil {
		t.Fatal(err)
	}
	var turned []*dataset.Pair
	for i, p := range pairs {
		q := *p
		if i < 2 { // the first prompt
			q.P = 1 - q.P
		}
		turned = append(turned, &q)
	}
	d, _, err := eval.BagOfWords(sequence(turned))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pairs {
		x, err := c.Compare(context.Background(), p)
		y, err2 := d.Compare(context.Background(), turned[i])
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if i < 2 && x.Margin != y.Margin {
			t.Errorf("pair %d: %v, with its label turned %v", i, x.Margin, y.Margin)
		}
	}
}

func TestBagsAreBounded(t *testing.T) {
	b := eval.Bags{Most: 100}
	for _, p := range speech(1000, false) {
		b.Add(p)
		if b.Len() > 100 {
			t.Fatalf("%d pairs are kept", b.Len())
		}
	}
	if b.Len() < 20 {
		t.Errorf("%d of 1000 pairs are kept", b.Len())
	}
	if s := b.Fit(); s.Len() != b.Len() {
		t.Errorf("fitted to %d of %d", s.Len(), b.Len())
	}
}
