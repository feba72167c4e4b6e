package llm_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"cai/llm"
)

func reply(first string, top ...llm.Alternative) *llm.Reply {
	t := llm.Token{Top: top}
	t.Text = first
	for _, a := range top {
		if a.Text == first {
			t.Logprob = a.Logprob
		}
	}
	return &llm.Reply{Tokens: []llm.Token{t}}
}

func TestDistributionMergesSpellings(t *testing.T) {
	d, err := reply(
		"A", llm.Alternative{Text: "A", Logprob: math.Log(0.4)}, llm.Alternative{Text: " B", Logprob: math.Log(0.2)},
		llm.Alternative{Text: "(a", Logprob: math.Log(0.1)}, llm.Alternative{Text: "▁B", Logprob: math.Log(0.1)},
		llm.Alternative{Text: "An", Logprob: math.Log(0.05)},
	).Distribution("A", "B")
	if err != nil || d.Censored || math.Abs(d.Coverage-0.8) > 1e-9 {
		t.Fatalf("%+v, %v", d, err)
	}
	if math.Abs(math.Exp(d.LogProb[0])-0.5) > 1e-9 || math.Abs(math.Exp(d.LogProb[1])-0.3) > 1e-9 {
		t.Errorf("A %v, B %v", math.Exp(d.LogProb[0]), math.Exp(d.LogProb[1]))
	}
}

func TestDistributionWithoutLogprobs(t *testing.T) {
	for _, r := range []*llm.Reply{{Text: "A"}, {Tokens: []llm.Token{{}}}} {
		if _, err := r.Distribution("A", "B"); llm.KindOf(err) != llm.KindNoLogprobs {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Options are exchangeable, the order of the list does not matter, and what
// comes out is a part of a distribution.
func TestDistributionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", " A", "B", "b", "(B)", "The", "I", "C", "\n", "", "AB", "Ġa"}), 1, 10, rapid.ID).Draw(t, "tokens")
		left, top := 1.0, []llm.Alternative(nil)
		for _, s := range texts {
			p := left * rapid.Float64Range(0.01, 0.9).Draw(t, "share")
			left -= p
			top = append(top, llm.Alternative{Text: s, Logprob: math.Log(p)})
		}
		d, err := reply(texts[0], top...).Distribution("A", "B")
		if err != nil {
			t.Fatal(err)
		}
		if d.Coverage < 0 || d.Coverage > 1 {
			t.Fatalf("coverage %v", d.Coverage)
		}
		for i, lp := range d.LogProb {
			if math.IsNaN(lp) || math.IsInf(lp, 0) || lp > 1e-9 {
				t.Fatalf("option %d has log-probability %v", i, lp)
			}
		}
		if sum := math.Exp(d.LogProb[0]) + math.Exp(d.LogProb[1]); !d.Censored && math.Abs(sum-d.Coverage) > 1e-9 {
			t.Fatalf("options sum to %v, coverage is %v", sum, d.Coverage)
		}
		swapped, _ := reply(texts[0], top...).Distribution("B", "A")
		if swapped.LogProb[0] != d.LogProb[1] || swapped.LogProb[1] != d.LogProb[0] {
			t.Fatalf("swapped options: %v and %v", d, swapped)
		}
		e, _ := reply(texts[0], rapid.Permutation(top).Draw(t, "order")...).Distribution("A", "B")
		if math.Abs(e.LogProb[0]-d.LogProb[0]) > 1e-9 || math.Abs(e.LogProb[1]-d.LogProb[1]) > 1e-9 {
			t.Fatalf("another order of the list: %v and %v", d, e)
		}
	})
}

// No token and no numbers make it panic or leave the range of probabilities.
func FuzzDistribution(f *testing.F) {
	f.Add("A", "B", " (b)", -0.1, -2.0)
	f.Add("", "▁A", "\xff\xfe", 0.0, -1e300)
	f.Fuzz(func(t *testing.T, first, x, y string, p, q float64) {
		if !(p <= 0 && q <= 0) || math.IsInf(p, 0) || math.IsInf(q, 0) {
			return // no server's JSON holds them, and what is above 0 is mended before
		}
		d, err := reply(first, llm.Alternative{Text: x, Logprob: p}, llm.Alternative{Text: y, Logprob: q}).Distribution("A", "B")
		if llm.KindOf(err) == llm.KindOffFormat {
			return // of no distribution
		}
		if err != nil {
			t.Fatal(err)
		}
		if !(d.Coverage >= 0 && d.Coverage <= 1) || math.IsNaN(d.LogProb[0]) || math.IsNaN(d.LogProb[1]) {
			t.Errorf("%+v", d)
		}
	})
}
