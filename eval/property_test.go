package eval_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// anyResult draws labels and margins of every kind: hard, soft, tied, missing;
// certain, tied, missing. Few prompts and values, so that clusters and ties
// are common.
var anyResult = rapid.Custom(func(t *rapid.T) eval.Result {
	text := rapid.Custom(func(t *rapid.T) string {
		mark := rapid.SampledFrom([]string{"", "", "# é\n", "**b** ", "`c`"}).Draw(t, "mark")
		return mark + strings.Repeat("é", rapid.IntRange(0, 9).Draw(t, "length"))
	})
	p := pair(
		fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "prompt")),
		text.Draw(t, "first"), text.Draw(t, "second"),
		rapid.OneOf(
			rapid.SampledFrom([]float64{0, 1, 0, 1, 0.5, nan, 0.3, 0.7}),
			rapid.Float64Range(0, 1),
		).Draw(t, "P"),
	)
	author := rapid.SampledFrom([]string{"", "x", "x", "y", "y", "z"})
	p.First.Author, p.Second.Author = author.Draw(t, "author of first"), author.Draw(t, "author of second")
	number := rapid.OneOf(
		rapid.SampledFrom([]float64{0, 1, -1, inf, -inf, nan, 1e300}),
		rapid.Float64Range(-8, 8),
	)
	c := eval.Comparison{Margin: number.Draw(t, "margin")}
	if rapid.Bool().Draw(t, "scored") {
		c.First, c.Second, c.Scored = number.Draw(t, "score first"), number.Draw(t, "score second"), true
	}
	c.Ordinal = rapid.IntRange(0, 99).Draw(t, "ordinal") == 0
	return eval.Result{Pair: p, Comparison: c}
})

var anyResults = rapid.SliceOfN(anyResult, 0, 40)

// bySubset does not depend on the order of the replies.
func bySubset(p *dataset.Pair) string {
	return []string{"none", "one", ""}[(len(p.First.Text)+len(p.Second.Text))%3]
}

func anyOptions(t *rapid.T) eval.Options {
	return eval.Options{Seed: rapid.Int64().Draw(t, "seed"), Subset: bySubset}
}

func fail(t *rapid.T, what, want, got string) {
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s changes a figure (- before, + after):\n%s", what, d)
	}
}

// evaluate also checks what holds of every set.
func evaluate(t *rapid.T, results []eval.Result, o eval.Options) string {
	set := eval.Evaluate("any", results, o)
	all := []eval.Figures{set.Figures}
	skipped, inSubsets := 0, 0
	for _, n := range set.Skipped {
		skipped += n
	}
	for _, f := range set.Subsets {
		all = append(all, f)
		inSubsets += f.N
	}
	if set.N+skipped != len(results) || inSubsets > set.N {
		t.Fatalf("%d evaluated, %d skipped, %d in subsets, of %d", set.N, skipped, inSubsets, len(results))
	}
	for _, f := range all {
		within := func(name string, x eval.Figure, ci, bounds eval.Interval) {
			if f.N > 0 && !ci.Contains(float64(x)) || ci[0] < bounds[0] || ci[1] > bounds[1] {
				t.Fatalf("%s %v in %v", name, float64(x), ci)
			}
		}
		within("accuracy", f.Accuracy, f.CI, unit)
		within("delta", f.Delta, f.DeltaCI, eval.Interval{-1, 1})
		for name, x := range f.Baselines {
			within(name, x, f.BaselinesCI[name], unit)
			if name != eval.AuthorBaseline && f.Delta > f.Accuracy-x {
				t.Fatalf("the best baseline %s is %v below, %s %v", f.BestBaseline, f.Delta, name, f.Accuracy-x)
			}
		}
		a := f.Author
		if _, listed := f.Baselines[eval.AuthorBaseline]; listed != (a != nil) {
			t.Fatalf("author baseline listed: %v, its figures %v", listed, a)
		}
		if a != nil {
			within("author", a.Accuracy, a.CI, unit)
			within("beyond the author", a.Delta, a.DeltaCI, eval.Interval{-1, 1})
			if a.N < 1 || a.N > f.N || a.Authors > 3 || a.N == f.N && f.Delta > a.Delta {
				t.Fatalf("author %+v in %+v", a, f)
			}
		}
		if f.N > 0 && !near(float64(f.Baselines["longer"]+f.Baselines["shorter"]), 1) {
			t.Fatalf("longer and shorter: %v", f.Baselines)
		}
		if f.N > 0 && f.BestBaseline != eval.AuthorBaseline && !near(float64(f.Accuracy-f.Baselines[f.BestBaseline]), float64(f.Delta)) {
			t.Fatalf("delta %v", f.Delta)
		}
	}
	if set.ECE.Defined() && !unit.Contains(float64(set.ECE)) {
		t.Fatalf("ece %v", float64(set.ECE))
	}
	if r := float64(set.LengthSpearman); set.LengthSpearman.Defined() && (r < -1 || r > 1) {
		t.Fatalf("length_spearman %v", r)
	}
	if set.LogLossCI != nil && !set.LogLossCI.Contains(float64(set.LogLoss)) {
		t.Fatalf("log loss %v in %v", set.LogLoss, set.LogLossCI)
	}
	return marshal(t, set)
}

func TestOrderOfRepliesChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, results := anyOptions(t), anyResults.Draw(t, "results")
		swapped := make([]eval.Result, len(results))
		for i, r := range results {
			swapped[i] = r
			if rapid.Bool().Draw(t, "swap") {
				p := *r.Pair
				p.First, p.Second, p.P = p.Second, p.First, 1-p.P
				swapped[i] = eval.Result{Pair: &p, Comparison: eval.Comparison{
					Margin: -r.Margin,
					First:  r.Second, Second: r.First, Scored: r.Scored, Ordinal: r.Ordinal,
				}}
			}
		}
		fail(t, "swapping replies", evaluate(t, results, o), evaluate(t, swapped, o))
	})
}

func TestOrderOfRowsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, results := anyOptions(t), anyResults.Draw(t, "results")
		permuted := rapid.Permutation(results).Draw(t, "permuted")
		fail(t, "permuting rows", evaluate(t, results, o), evaluate(t, permuted, o))
	})
}

// A subset's figures are those of its pairs evaluated by themselves.
func TestSubsetsAreSetsOfTheirOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, results := anyOptions(t), anyResults.Draw(t, "results")
		parts := map[string][]eval.Result{}
		for _, r := range results {
			parts[bySubset(r.Pair)] = append(parts[bySubset(r.Pair)], r)
		}
		delete(parts, "")
		set := eval.Evaluate("", results, o)
		for name, part := range parts {
			alone := eval.Evaluate("", part, o)
			got, ok := set.Subsets[name]
			if ok != (alone.N > 0) {
				t.Fatalf("subset %s of %d pairs: there %v", name, alone.N, ok)
			}
			if ok {
				fail(t, "being a subset", marshal(t, eval.Set{Figures: alone.Figures}), marshal(t, eval.Set{Figures: got}))
			}
			delete(set.Subsets, name)
		}
		if len(set.Subsets) > 0 {
			t.Fatalf("subsets of no pairs: %v", set.Subsets)
		}
	})
}

// Run and Evaluate are one, whatever the number of jobs.
func TestRunIsEvaluate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, results := anyOptions(t), anyResults.Draw(t, "results")
		o.Jobs = rapid.IntRange(0, 4).Draw(t, "jobs")
		answers := map[*dataset.Pair]eval.Comparison{}
		pairs := []*dataset.Pair{}
		for _, r := range results {
			// A pair of its own for each row: the answers are found by it.
			p := *r.Pair
			answers[&p] = r.Comparison
			pairs = append(pairs, &p)
		}
		set, err := eval.Run(context.Background(), "any", sequence(pairs),
			comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) { return answers[p], nil }), o)
		if err != nil {
			t.Fatal(err)
		}
		fail(t, "running", evaluate(t, results, o), marshal(t, set))
	})
}

// The figures are those of the exported functions on the rows that count.
func TestSetAgreesWithTheMetrics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var margins, labels, diffs, lengths []float64
		var clusters []dataset.Hash
		results := anyResults.Draw(t, "results")
		for i := range results {
			r := &results[i]
			r.Ordinal = false
			diff := r.Margin
			if r.Scored {
				diff = r.First - r.Second
			}
			if r.Pair.P == 0.5 || r.Pair.P != r.Pair.P || r.Margin != r.Margin || diff != diff {
				continue
			}
			turn := 1.0
			if r.Pair.P < 0.5 {
				turn = -1
			}
			margins, labels = append(margins, r.Margin), append(labels, r.Pair.P)
			diffs = append(diffs, turn*diff)
			lengths = append(lengths, turn*float64(len([]rune(r.Pair.First.Text))-len([]rune(r.Pair.Second.Text))))
			clusters = append(clusters, r.Pair.Prompt.Hash())
		}
		o := anyOptions(t)
		set := eval.Evaluate("", results, o)
		for name, x := range map[string][2]float64{
			"accuracy":        {float64(set.Accuracy), eval.Accuracy(margins, labels)},
			"log_loss":        {float64(set.LogLoss), eval.LogLoss(margins, labels)},
			"brier":           {float64(set.Brier), eval.Brier(margins, labels)},
			"length_spearman": {float64(set.LengthSpearman), eval.Spearman(diffs, lengths)},
		} {
			if !near(x[0], x[1]) {
				t.Fatalf("%s: %v in the set, %v by itself", name, x[0], x[1])
			}
		}
		correct := make([]float64, len(margins))
		for i := range margins {
			correct[i] = eval.Accuracy(margins[i:i+1], labels[i:i+1])
		}
		if ci := eval.BootstrapCI(correct, clusters, unit, o); ci != set.CI {
			t.Fatalf("interval %v in the set, %v by itself", set.CI, ci)
		}
	})
}
