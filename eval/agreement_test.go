package eval_test

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

func prompts(n int) []dataset.Hash {
	out := make([]dataset.Hash, n)
	for i := range out {
		out[i] = dataset.Prompt(string(rune('a' + i))).Hash()
	}
	return out
}

func equal(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) || near(a, b) }

func TestWeightedKappa(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes := rapid.IntRange(2, 5).Draw(t, "classes")
		n := rapid.IntRange(1, 30).Draw(t, "n")
		rater := rapid.SliceOfN(rapid.IntRange(0, classes-1), n, n)
		a, b := rater.Draw(t, "a"), rater.Draw(t, "b")
		for _, power := range []float64{1, 2} {
			k := eval.WeightedKappa(a, b, classes, power)
			turned := func(v []int) []int {
				out := make([]int, n)
				for i := range v {
					out[i] = classes - 1 - v[i]
				}
				return out
			}
			if !equal(k, eval.WeightedKappa(b, a, classes, power)) || !equal(k, eval.WeightedKappa(turned(a), turned(b), classes, power)) {
				t.Fatalf("κ hangs on the order of raters or on the scale's direction")
			}
			if k > 1+1e-12 {
				t.Fatalf("κ %v", k)
			}
			if self := eval.WeightedKappa(a, a, classes, power); self != 1 && !math.IsNaN(self) {
				t.Fatalf("κ with itself %v", self)
			}
			if classes == 2 && !equal(k, eval.Kappa(a, b)) {
				t.Fatalf("two classes: weighted %v, Cohen's %v", k, eval.Kappa(a, b))
			}
		}
	})
	if k := eval.WeightedKappa([]int{0, 3}, []int{0, 1}, 3, 1); !math.IsNaN(k) {
		t.Errorf("a class outside the scale: %v", k)
	}
}

// Krippendorff (2011), the example of section C: four observers, 12 units,
// nominal α = 0.743.
func TestAlphaOfThePaper(t *testing.T) {
	observers := [][]int{
		{1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0},
		{1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3},
		{0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0},
		{1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0},
	}
	units := make([][]int, 12)
	for _, o := range observers {
		for u, c := range o {
			if c > 0 {
				units[u] = append(units[u], c)
			}
		}
	}
	if a := eval.Alpha(units); math.Abs(a-0.743) > 5e-4 {
		t.Errorf("α %v, the paper has 0.743", a)
	}
}

func TestAlpha(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 2), 0, 4), 0, 20).Draw(t, "units")
		a := eval.Alpha(units)
		if a > 1 {
			t.Fatalf("α %v", a)
		}
		permuted := rapid.Permutation(units).Draw(t, "permuted")
		renamed := make([][]string, len(permuted))
		for i, u := range permuted {
			for _, c := range u {
				renamed[i] = append(renamed[i], []string{"x", "y", "z"}[(c+1)%3])
			}
		}
		if b := eval.Alpha(renamed); !(a == b || math.IsNaN(a) && math.IsNaN(b)) {
			t.Fatalf("other names, other order: %v and %v", a, b)
		}
		// Who stands alone says nothing.
		if b := eval.Alpha(append(units, []int{1})); !(a == b || math.IsNaN(a) && math.IsNaN(b)) {
			t.Fatalf("with a single vote: %v and %v", a, b)
		}
		for _, u := range units {
			for i := range u {
				u[i] = u[0]
			}
		}
		if a := eval.Alpha(units); a != 1 && !math.IsNaN(a) {
			t.Fatalf("all agree: %v", a)
		}
	})
}

// A judge that is one of the annotators has just that annotator's figures where
// it is compared with the others.
func TestHumanCeiling(t *testing.T) {
	a, b, tie := eval.VoteFirst, eval.VoteSecond, eval.VoteTie
	votes := [][]eval.Vote{
		{a, a, a}, // each agrees with the others
		{a, a, b}, // third 0; the others have a draw of a and b: ½ each
		{a, b, tie},
		{b, b, eval.NoVote},
		{a, eval.NoVote, eval.NoVote}, // nobody to agree with
	}
	judge := []eval.Vote{a, a, b, a, a}
	c := eval.HumanCeiling(votes, judge, prompts(5), eval.Options{})
	// Item means 1, ⅓, 0, 1 of humans; the judge's 1, (½+½+1)/3, (½+0+½)/3, 0.
	for name, x := range map[string][2]float64{
		"human": {float64(c.Human), (1 + 1.0/3 + 0 + 1) / 4},
		"judge": {float64(c.Judge), (1 + 2.0/3 + 1.0/3 + 0) / 4},
		"delta": {float64(c.Delta), (0 + 1.0/3 + 1.0/3 - 1) / 4},
		"all":   {float64(c.JudgeAll), (1 + 1 + 1.0/3 + 0) / 4},
		"first": {float64(c.Annotators[0]), (1 + 0.5 + 0 + 1) / 4},
		"third": {float64(c.Annotators[2]), (1 + 0 + 0) / 3.0},
	} {
		if !near(x[0], x[1]) {
			t.Errorf("%s: %v, by hand %v", name, x[0], x[1])
		}
	}
	if c.N != 4 || c.JudgeN != 4 || c.Votes[2] != 3 {
		t.Errorf("%+v", c)
	}
	if c := eval.HumanCeiling(votes, nil, prompts(5), eval.Options{}); c.JudgeN != 0 || c.Judge.Defined() || !near(float64(c.Human), 7.0/12) {
		t.Errorf("without a judge: %+v", c)
	}
}

// Naming the replies the other way round changes nothing.
func TestHumanCeilingHasNoSide(t *testing.T) {
	turn := map[eval.Vote]eval.Vote{eval.VoteFirst: eval.VoteSecond, eval.VoteSecond: eval.VoteFirst, eval.VoteTie: eval.VoteTie, eval.NoVote: eval.NoVote}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		vote := rapid.SampledFrom([]eval.Vote{eval.NoVote, eval.VoteFirst, eval.VoteSecond, eval.VoteTie})
		votes := rapid.SliceOfN(rapid.SliceOfN(vote, 3, 3), n, n).Draw(t, "votes")
		judge := rapid.SliceOfN(vote, n, n).Draw(t, "judge")
		ceiling := func() string {
			out, err := json.Marshal(eval.HumanCeiling(votes, judge, prompts(n), eval.Options{}))
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		before := ceiling()
		for i := range votes {
			judge[i] = turn[judge[i]]
			for k := range votes[i] {
				votes[i][k] = turn[votes[i][k]]
			}
		}
		fail(t, "turning votes", before, ceiling())
	})
}

func TestVoteOf(t *testing.T) {
	for p, want := range map[float64]eval.Vote{1: eval.VoteFirst, 0.4: eval.VoteSecond, 0.5: eval.VoteTie} {
		if got := eval.VoteOf(p); got != want {
			t.Errorf("%v: %v", p, got)
		}
	}
	if eval.VoteOf(nan) != eval.NoVote {
		t.Error("NaN is a vote")
	}
}
