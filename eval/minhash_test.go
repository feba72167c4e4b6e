package eval

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
)

// brute is the Jaccard index of two texts' runs of words, by the book.
func brute(a, b string) float64 {
	set := func(text string) map[string]bool {
		w, out := strings.Fields(text), map[string]bool{}
		for i := range max(0, len(w)-ShingleWords+1) {
			out[strings.Join(w[i:i+ShingleWords], " ")] = true
		}
		return out
	}
	x, y := set(a), set(b)
	both := 0
	for s := range x {
		if y[s] {
			both++
		}
	}
	if len(x)+len(y) == 0 {
		return math.NaN()
	}
	return float64(both) / float64(len(x)+len(y)-both)
}

func sketchOf(text string) *sketch {
	var k sketcher
	s, _ := k.sketch(text)
	if s.shingles != nil {
		s.sign()
	}
	return &s
}

// prose draws n words of a vocabulary of 2,000.
func prose(r *rand.Rand, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint("w", r.IntN(2000))
	}
	return words
}

// edited replaces each word with the given probability.
func edited(r *rand.Rand, words []string, rate float64) []string {
	out := slices.Clone(words)
	for i := range out {
		if r.Float64() < rate {
			out[i] = fmt.Sprint("e", r.IntN(1e6))
		}
	}
	return out
}

// The Jaccard index of sketches is that of the texts, and the minima estimate it
// within five standard errors.
func TestMinHashEstimatesJaccard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		a := prose(r, rapid.IntRange(ShingleWords, 400).Draw(t, "words"))
		b := edited(r, a, rapid.Float64Range(0, 0.3).Draw(t, "rate"))
		b = append(b, prose(r, rapid.IntRange(0, 100).Draw(t, "more"))...)
		x, y := strings.Join(a, " "), strings.Join(b, " ")
		s, o := sketchOf(x), sketchOf(y)
		want := brute(x, y)
		if got := jaccard(s.shingles, o.shingles, 0); math.Abs(got-want) > 1e-12 {
			t.Fatalf("Jaccard %v, want %v", got, want)
		}
		se := math.Sqrt(want * (1 - want) / permutations)
		if got := float64(s.minima.agree(&o.minima, 0)) / permutations; math.Abs(got-want) > 5*se+1e-9 {
			t.Fatalf("estimate %v of %v, standard error %v", got, want, se)
		}
	})
}

// The estimate is not biased: over many pairs its error is nought on average.
func TestMinHashIsUnbiased(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	sum, variance := 0.0, 0.0
	const n = 400
	for range n {
		a := prose(r, 100)
		b := edited(r, a, 0.05)
		want := brute(strings.Join(a, " "), strings.Join(b, " "))
		sum += float64(sketchOf(strings.Join(a, " ")).minima.agree(&sketchOf(strings.Join(b, " ")).minima, 0))/permutations - want
		variance += want * (1 - want) / permutations
	}
	if z := sum / math.Sqrt(variance); math.Abs(z) > 4 {
		t.Errorf("mean error %v, %.1f standard errors", sum/n, z)
	}
}

func somePairs(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func textPair(file string, line int, prompt, first, second string) *dataset.Pair {
	return &dataset.Pair{
		Prompt: dataset.Prompt(prompt), First: dataset.Response{Text: first}, Second: dataset.Response{Text: second}, P: 1,
		Source: dataset.Source{File: file, Line: line},
	}
}

// Copies with a share of their words replaced are found where, and only where,
// their Jaccard index reaches the threshold, but for one in some thousand.
func TestPlantedNearDuplicatesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, rate := range []float64{0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3} {
		const n = 160
		var d Duplicates
		var test, train []*dataset.Pair
		var texts, copies []string
		for i := range n {
			words := prose(r, 20+r.IntN(200))
			texts, copies = append(texts, strings.Join(words, " ")), append(copies, strings.Join(edited(r, words, rate), " "))
			test = append(test, textPair("test", i+1, fmt.Sprint("prompt ", i), texts[i], fmt.Sprint("short ", i)))
		}
		for _, k := range r.Perm(n) {
			train = append(train, textPair("train", k+1, fmt.Sprint("other ", k), copies[k], strings.Join(prose(r, 80), " ")))
		}
		for _, p := range test {
			d.Add(p)
		}
		if err := FindDuplicates(context.Background(), somePairs(train), []*Duplicates{&d}, nil); err != nil {
			t.Fatal(err)
		}
		near, missed := 0, 0
		for i, p := range test {
			_, got := d.Of(p)
			switch want := brute(texts[i], copies[i]) >= NearDuplicate; {
			case want && !got:
				missed++
				near++
			case want:
				near++
			case got:
				t.Errorf("rate %v: text %d is found at %v", rate, i, brute(texts[i], copies[i]))
			}
		}
		t.Logf("%.0f %% of the words replaced: %d of %d are near-duplicates, %d missed", 100*rate, near, n, missed)
		if missed > 1 {
			t.Errorf("rate %v: %d of %d missed", rate, missed, near)
		}
		if got := d.Replies(); got.N != 2*n || got.Exact+got.Near != near-missed {
			t.Errorf("rate %v: %+v of %d", rate, got, near)
		}
		if got := d.Prompts(); got != (Shared{N: n}) {
			t.Errorf("rate %v: prompts %+v", rate, got)
		}
	}
}

func TestDuplicates(t *testing.T) {
	long := "Tell me, please, how to bake a loaf of bread without any yeast at home in one evening when all of the shops in our town are closed."
	var d Duplicates
	test := []*dataset.Pair{
		textPair("test", 1, "Say hello!", "Hello.", "No."),
		textPair("test", 2, long, "Mix flour and soda.", "Go away"),
		textPair("test", 3, "", "!?", "…"),
		textPair("test", 4, "Unrelated prompt of the test set", "A reply that nobody else gave, at all", "Go away"),
	}
	for _, p := range test {
		d.Add(p)
	}
	train := []*dataset.Pair{
		textPair("train", 1, "say HELLO", "Something else is said", ""),
		textPair("train", 2, strings.Replace(long, "bread", "cake", 1), "mix flour, and soda", "hello to you"),
		textPair("train", 3, strings.Replace(long, "closed", "shut", 1), "!?", "other"),
		textPair("train", 4, "say hello", "Hello", ""),
	}
	read := 0
	if err := FindDuplicates(context.Background(), somePairs(train), []*Duplicates{&d}, func(n int) { read = n }); err != nil || read != 4 {
		t.Fatal(read, err)
	}
	if got, want := d.Prompts(), (Shared{3, 1, 1}); got != want {
		t.Errorf("prompts %+v, want %+v", got, want)
	}
	if got, want := d.Replies(), (Shared{7, 3, 0}); got != want {
		t.Errorf("replies %+v, want %+v", got, want)
	}
	for i, want := range [][2]bool{{true, true}, {true, true}, {false, true}, {false, false}} {
		if prompt, reply := d.Of(test[i]); prompt != want[0] || reply != want[1] {
			t.Errorf("pair %d: %v %v, want %v", i, prompt, reply, want)
		}
	}
	got := d.Examples(1)
	if len(got) != 2 || got[0].Kind != "prompt" || got[0].Exact || got[0].Train.Line != 3 || got[0].Test.Line != 2 {
		t.Fatalf("%+v", got) // "closed" ends the text, so one shingle differs; "bread" stands in five
	}
	if want := brute(norm(long), norm(strings.Replace(long, "closed", "shut", 1))); math.Abs(got[0].Jaccard-want) > 1e-12 {
		t.Errorf("Jaccard %v, want %v", got[0].Jaccard, want)
	}
	if got[1].Kind != "reply" || !got[1].Exact || got[1].Train != (Place{File: "train", Line: 4}) {
		t.Errorf("%+v", got[1])
	}
}

func norm(s string) string {
	return strings.ToLower(strings.NewReplacer(",", "", ".", "").Replace(s))
}

// A failing reader ends the search with its error, and what was found before it
// stands.
func TestFindDuplicatesEndsWithTheReader(t *testing.T) {
	var d Duplicates
	p := textPair("test", 1, "one", "two", "three")
	d.Add(p)
	bad := fmt.Errorf("bad record")
	train := func(yield func(*dataset.Pair, error) bool) {
		_ = yield(textPair("train", 1, "one", "x", "y"), nil) && yield(nil, bad)
	}
	if err := FindDuplicates(context.Background(), train, []*Duplicates{&d}, nil); err != bad {
		t.Error(err)
	}
	if prompt, _ := d.Of(p); !prompt {
		t.Error("the pair before the error was not looked for")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := FindDuplicates(ctx, somePairs([]*dataset.Pair{p}), []*Duplicates{&d}, nil); err != context.Canceled {
		t.Error(err)
	}
}

// Texts that share most of a template are searched for as many without looking at
// each of them each time.
func TestSearchIsNotQuadratic(t *testing.T) {
	const n = 4 * bands * bandLooked // of which a search may look at a quarter
	r := rand.New(rand.NewPCG(9, 9))
	template := prose(r, 16)
	text := func(i int) string {
		return strings.Join(template, " ") + fmt.Sprintf(" a%d b%d c%d d%d e%d f%d", i, i, i, i, i, i)
	}
	var x textIndex
	var k sketcher
	for i := range n {
		s, _ := k.sketch(text(i))
		x.add(s)
	}
	x.freeze()
	var seen visited
	looked, found := 0, 0
	for i := range n {
		s, _ := k.sketch(text(n + i))
		s.sign()
		looked += x.search(&s, &seen, func(int32, float64, bool) { found++ })
	}
	t.Logf("%d texts looked at for each of %d, Jaccard %.2f", looked/n, n, brute(text(1), text(2)))
	if looked > n*bands*bandLooked {
		t.Errorf("%d looked at for %d texts", looked, n)
	}
	if found > 0 {
		t.Errorf("%d found", found)
	}
	// A true copy is still found among them.
	s, _ := k.sketch(text(n/2) + " more")
	s.sign()
	x.search(&s, &seen, func(i int32, j float64, exact bool) {
		if int(i) == n/2 && !exact {
			found++
		}
	})
	if found != 1 {
		t.Errorf("the near-duplicate was found %d times", found)
	}
}
