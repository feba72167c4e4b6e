package eval_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

type game struct {
	first, second, subset string
	p                     float64
}

var anyGame = rapid.Custom(func(t *rapid.T) game {
	author := rapid.SampledFrom([]string{"ann", "bob", "cid", "dee"})
	return game{
		author.Draw(t, "first"), author.Draw(t, "second"), rapid.SampledFrom([]string{"", "s", "t"}).Draw(t, "subset"),
		rapid.OneOf(rapid.SampledFrom([]float64{0, 1}), rapid.Float64Range(0, 1)).Draw(t, "P"),
	}
})

func fit(games []game) *eval.Strengths {
	var g eval.Games
	for _, x := range games {
		g.Add(x.first, x.second, x.subset, x.p)
	}
	return g.Fit()
}

// At the minimum, each coefficient is the sum of what its games had beyond what
// was expected of them: the ridge is 1. An author's strength in all subsets and
// its parts by subset add up, and the parts' sum is that of all. Labels are kept to
// nine digits.
func TestStrengthsAreTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		games := rapid.SliceOfN(anyGame, 1, 60).Draw(t, "games")
		one := rapid.Bool().Draw(t, "one subset")
		for i := range games {
			if one {
				games[i].subset = ""
			}
		}
		s := fit(games)
		subsets := map[string]bool{}
		beyond := map[[2]string]float64{}
		for _, g := range games {
			if g.first == g.second {
				continue
			}
			subsets[g.subset] = true
			z, ok := s.Margin(g.first, g.second, g.subset)
			if !ok {
				t.Fatalf("%v is not known", g)
			}
			gain := g.p - eval.Sigmoid(z)
			for _, sub := range []string{"*", g.subset} {
				beyond[[2]string{g.first, sub}] += gain
				beyond[[2]string{g.second, sub}] -= gain
			}
		}
		for key, gain := range beyond {
			author, sub := key[0], key[1]
			all, _ := s.Of(author, "no such subset")
			switch {
			case sub == "*" && math.Abs(all-gain) > 1e-7:
				t.Fatalf("%s: strength %v, beyond expectation %v", author, all, gain)
			case sub != "*" && sub != "" && len(subsets) > 1:
				in, _ := s.Of(author, sub)
				if math.Abs(in-all-gain) > 1e-7 {
					t.Fatalf("%s in %s: %v beside %v, beyond expectation %v", author, sub, in, all, gain)
				}
			}
		}
	})
}

func TestStrengthsForgetOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		games := rapid.SliceOfN(anyGame, 1, 40).Draw(t, "games")
		turned := rapid.Permutation(games).Draw(t, "permuted")
		for i, g := range turned {
			if rapid.Bool().Draw(t, "swap") {
				turned[i] = game{g.second, g.first, g.subset, 1 - g.p}
			}
		}
		a, b := fit(games), fit(turned)
		for _, author := range []string{"ann", "bob", "cid", "dee", "eve"} {
			x, ok := a.Of(author, "s")
			y, ok2 := b.Of(author, "s")
			if ok != ok2 || math.Abs(x-y) > 1e-7 {
				t.Fatalf("%s: %v and %v", author, x, y)
			}
		}
	})
}

// league draws pairs of authors whose strengths differ, with labels that come
// from them.
func league(n int, strength map[string]float64, seed uint64) []*dataset.Pair {
	r := rand.New(rand.NewPCG(seed, 0))
	var names []string
	for _, name := range []string{"ann", "bob", "cid", "dee"} {
		if _, ok := strength[name]; ok {
			names = append(names, name)
		}
	}
	var pairs []*dataset.Pair
	for i := range n {
		k := r.Perm(len(names))
		p := pair(fmt.Sprint("prompt ", i/2), "same length", "same length", 0)
		p.First.Author, p.Second.Author = names[k[0]], names[k[1]]
		if r.Float64() < eval.Sigmoid(strength[names[k[0]]]-strength[names[k[1]]]) {
			p.P = 1
		}
		pairs = append(pairs, p)
	}
	return pairs
}

func TestAuthorsAreRecovered(t *testing.T) {
	pairs := league(4000, map[string]float64{"ann": 2, "bob": 0, "cid": -2}, 1)
	var g eval.Games
	for _, p := range pairs {
		g.Add(p.First.Author, p.Second.Author, "", p.P)
	}
	s := g.Fit()
	for _, c := range []struct {
		a, b string
		want float64
	}{{"ann", "bob", 2}, {"bob", "cid", 2}, {"ann", "cid", 4}} {
		if z, ok := s.Margin(c.a, c.b, ""); !ok || math.Abs(z-c.want) > 0.35 {
			t.Errorf("%s over %s: %v, drawn with %v", c.a, c.b, z, c.want)
		}
	}
	set := evaluateConstant(pairs, eval.Options{})
	// σ(2), σ(2) and σ(4) of the three meetings.
	if want := (2*eval.Sigmoid(2) + eval.Sigmoid(4)) / 3; set.Author == nil || math.Abs(float64(set.Author.Accuracy)-want) > 0.02 {
		t.Errorf("author baseline %+v, best possible %.3f", set.Author, want)
	}
	if set.BestBaseline != eval.AuthorBaseline || set.DeltaCI[1] >= 0 {
		t.Errorf("a comparer of ties stands beside %q: %v %v", set.BestBaseline, set.Delta, set.DeltaCI)
	}
}

// evaluateConstant evaluates a comparer that calls every pair a tie.
func evaluateConstant(pairs []*dataset.Pair, o eval.Options) eval.Set {
	var results []eval.Result
	for _, p := range pairs {
		results = append(results, eval.Result{Pair: p})
	}
	return eval.Evaluate("", results, o)
}

// Where labels have nothing to do with authors, knowing them is worth nothing:
// strengths fitted to a pair's own label would be above chance.
func TestAuthorBaselineIsCrossFitted(t *testing.T) {
	sum := 0.0
	const leagues = 12
	for seed := range uint64(leagues) {
		// Twenty pairs and four authors: fitted to themselves they reach 0.65.
		pairs := league(20, map[string]float64{"ann": 0, "bob": 0, "cid": 0, "dee": 0}, seed)
		sum += float64(evaluateConstant(pairs, eval.Options{}).Author.Accuracy)
	}
	if mean := sum / leagues; mean > 0.55 {
		t.Errorf("authors tell %.3f of random labels", mean)
	}
}

// No label of a prompt says anything of that prompt's own pairs.
func TestAuthorsDoNotSeeTheirPrompt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := league(40, map[string]float64{"ann": 1, "bob": 0, "cid": -1}, rapid.Uint64().Draw(t, "seed"))
		before, _, err := eval.Authors(sequence(pairs), nil)
		if err != nil {
			t.Fatal(err)
		}
		of := pairs[rapid.IntRange(0, len(pairs)-1).Draw(t, "pair")].Prompt.Hash()
		turned := make([]*dataset.Pair, len(pairs))
		for i, p := range pairs {
			q := *p
			if q.Prompt.Hash() == of {
				q.P = 1 - q.P
			}
			turned[i] = &q
		}
		after, _, err := eval.Authors(sequence(turned), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pairs {
			if p.Prompt.Hash() != of {
				continue
			}
			x, err1 := before.Compare(context.Background(), p)
			y, err2 := after.Compare(context.Background(), p)
			if x != y || (err1 == nil) != (err2 == nil) {
				t.Fatalf("%v and %v", x, y)
			}
		}
	})
}

// The comparer and the baseline beside another comparer are one.
func TestAuthorComparerIsTheBaseline(t *testing.T) {
	pairs := league(200, map[string]float64{"ann": 1, "bob": 0, "cid": -1}, 3)
	pairs = append(pairs, pair("nobody wrote it", "a", "b", 1))
	c, named, err := eval.Authors(sequence(pairs), nil)
	if err != nil || named != 200 {
		t.Fatal(named, err)
	}
	set, err := eval.Run(context.Background(), "", sequence(pairs), c, eval.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if set.N != 200 || set.Skipped[eval.SkipAbstained] != 1 || set.Author == nil ||
		set.Author.Accuracy != set.Accuracy || set.Author.Delta != 0 || !set.LogLoss.Defined() {
		t.Errorf("%+v, author %+v", set, set.Author)
	}
	bad := errors.New("cut off")
	if _, _, err := eval.Authors(func(yield func(*dataset.Pair, error) bool) { yield(nil, bad) }, nil); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
}

// Strengths from elsewhere are used as they are, and authors they do not know
// are left out.
func TestGivenStrengths(t *testing.T) {
	var g eval.Games
	for range 50 {
		g.Add("ann", "bob", "", 1)
	}
	pairs := []*dataset.Pair{
		pair("1", "x", "y", 0), pair("2", "x", "y", 1), pair("3", "x", "y", 1), pair("4", "x", "y", 1),
	}
	for i, names := range [][2]string{{"ann", "bob"}, {"ann", "bob"}, {"ann", "eve"}, {"ann", ""}} {
		pairs[i].First.Author, pairs[i].Second.Author = names[0], names[1]
	}
	set := evaluateConstant(pairs, eval.Options{Authors: g.Fit()})
	if a := set.Author; a == nil || a.N != 2 || a.Authors != 2 || a.Accuracy != 0.5 {
		t.Errorf("author %+v", set.Author)
	}
	if set := evaluateConstant(pairs[2:], eval.Options{Authors: g.Fit()}); set.Author != nil {
		t.Errorf("of unknown authors: %+v", set.Author)
	}
}

// Who is good in one subset may be bad in another.
func TestStrengthsBySubset(t *testing.T) {
	pairs := append(league(300, map[string]float64{"ann": 2, "bob": -2}, 1), league(300, map[string]float64{"ann": -2, "bob": 2}, 2)...)
	for i, p := range pairs {
		p.Prompt = dataset.Prompt(fmt.Sprint("prompt ", i))
		if i >= 300 {
			p.First.Text = strings.Repeat("x", 99)
		}
	}
	bySubset := eval.Options{Subset: func(p *dataset.Pair) string {
		return map[bool]string{true: "harm", false: "help"}[len(p.First.Text) == 99]
	}}
	with, without := evaluateConstant(pairs, bySubset), evaluateConstant(pairs, eval.Options{})
	if with.Author.Accuracy < 0.95 || without.Author.Accuracy > 0.6 {
		t.Errorf("by subset %v, without %v", with.Author.Accuracy, without.Author.Accuracy)
	}
}

func TestNoAuthorsNoBaseline(t *testing.T) {
	p := []*dataset.Pair{pair("1", "x", "yy", 1), pair("2", "x", "yy", 1)}
	set := evaluateConstant(p, eval.Options{})
	if _, ok := set.Baselines[eval.AuthorBaseline]; ok || set.Author != nil {
		t.Errorf("baselines %v, author %v", set.Baselines, set.Author)
	}
}
