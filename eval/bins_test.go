package eval_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/eval"
)

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"The cat sat.", "the CAT sat", 1},
		{"the cat sat", "the dog sat", 0.5},
		{"a a a b", "b", 0.5},
		{"one two", "three", 0},
		{"", "", 1},
		{"", "word", 0},
	} {
		if got := eval.Overlap(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// The chosen reply of pair i is i+1 words long, the other ten; the comparer is
// right where it is the longer one.
func TestBands(t *testing.T) {
	var results []eval.Result
	for i := range 20 {
		p := pair(fmt.Sprint(i), strings.Repeat("a ", i+1), strings.Repeat("b ", 10), 1)
		results = append(results, eval.Result{Pair: p, Comparison: eval.Comparison{Margin: float64(i) - 9.5}})
	}
	s := eval.Evaluate("bands", results, eval.Options{Bins: true})
	want := []float64{0, 0, 0.5, 1, 1}
	if len(s.ByLength) != len(want) {
		t.Fatalf("%+v", s.ByLength)
	}
	for i, b := range s.ByLength {
		if b.N != 4 || float64(b.Accuracy) != want[i] || !figureIs(b.Low, float64(4*i+1)/10) || !figureIs(b.High, float64(4*i+4)/10) {
			t.Errorf("band %d: %+v", i, b)
		}
	}
	// No pair shares a word: all have one overlap and make one band.
	if len(s.ByOverlap) != 1 || s.ByOverlap[0].N != 20 || s.ByOverlap[0].Accuracy != s.Accuracy {
		t.Errorf("%+v", s.ByOverlap)
	}
	if without := eval.Evaluate("none", results, eval.Options{}); without.ByLength != nil || without.Reliability != nil {
		t.Error("bands that nobody asked for")
	}
}

// Bands and bins hold all pairs once, their accuracies make up that of the set, and
// the error of the reliability table is the ECE.
func TestBinsMakeUpTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var results []eval.Result
		for i := range rapid.IntRange(1, 40).Draw(t, "pairs") {
			text := func(name string) string {
				return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 6).Draw(t, name), " ")
			}
			p := pair(fmt.Sprint(i/2), text("first"), text("second"), float64(rapid.IntRange(0, 1).Draw(t, "label")))
			m := float64(rapid.IntRange(-3, 3).Draw(t, "margin")) / 2
			results = append(results, eval.Result{Pair: p, Comparison: eval.Comparison{Margin: m}})
		}
		s := eval.Evaluate("s", results, eval.Options{Bins: true})
		for name, bs := range map[string][]eval.Band{"length": s.ByLength, "overlap": s.ByOverlap} {
			n, right := 0, 0.0
			for i, b := range bs {
				n, right = n+b.N, right+float64(b.N)*float64(b.Accuracy)
				if b.Low > b.High || i > 0 && b.Low <= bs[i-1].High || !b.CI.Contains(float64(b.Accuracy)) {
					t.Fatalf("by %s: %+v", name, bs)
				}
			}
			if n != s.N || math.Abs(right-float64(n)*float64(s.Accuracy)) > 1e-9 {
				t.Fatalf("by %s: %d pairs of %d, %v right of %v", name, n, s.N, right, s.Accuracy)
			}
		}
		n, ece := 0, 0.0
		for _, b := range s.Reliability {
			n += b.N
			ece += float64(b.N) * math.Abs(float64(b.Forecast-b.Outcome)) / float64(s.N)
			if !b.CI.Contains(float64(b.Outcome)) {
				t.Fatalf("%+v", b)
			}
		}
		if n != s.N || math.Abs(ece-float64(s.ECE)) > 1e-9 {
			t.Fatalf("%d of %d, %v of %v", n, s.N, ece, s.ECE)
		}
	})
}
