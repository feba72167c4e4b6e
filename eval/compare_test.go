package eval_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"cai/dataset"
	"cai/eval"
)

// Three comparers on ten pairs: the first is right on the first eight, the second
// on the last five, the third gives no answer to the last two.
func TestRunEach(t *testing.T) {
	var pairs []*dataset.Pair
	for i := range 10 {
		p := pair(fmt.Sprint(i), "yes", "no", float64(i%2))
		pairs = append(pairs, p)
	}
	number := func(p *dataset.Pair) (n int) {
		text, _ := p.Prompt.Text()
		_, _ = fmt.Sscan(text, &n)
		return n
	}
	right := func(p *dataset.Pair, is bool) (eval.Comparison, error) {
		m := 2*p.P - 1
		if !is {
			m = -m
		}
		return eval.Comparison{Margin: m}, nil
	}
	cs := []eval.Comparer{
		comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) { return right(p, number(p) < 8) }),
		comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) { return right(p, number(p) >= 5) }),
		comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
			if number(p) >= 8 {
				return eval.Comparison{}, eval.ErrAbstain
			}
			return right(p, true)
		}),
	}
	for _, jobs := range []int{1, 3} {
		done := 0
		sets, contests, err := eval.RunEach(context.Background(), "ten", sequence(pairs), cs, eval.Options{Jobs: jobs, Progress: func(n int) { done = n }})
		if err != nil || len(sets) != 3 || len(contests) != 3 || done != 10 {
			t.Fatalf("%v: %d sets, %d contests, %d done", err, len(sets), len(contests), done)
		}
		if sets[0].Accuracy != 0.8 || sets[1].Accuracy != 0.5 || sets[2].N != 8 {
			t.Errorf("%v %v %v", sets[0].Accuracy, sets[1].Accuracy, sets[2].N)
		}
		// Five pairs for the first, two for the second: 2·P(X ≤ 2) of 7 tosses.
		c := contests[0]
		if c.First != 0 || c.Second != 1 || c.N != 10 || c.FirstAlone != 5 || c.SecondAlone != 2 || math.Abs(float64(c.P)-2*29.0/128) > 1e-12 || math.Abs(float64(c.Delta)-0.3) > 1e-12 {
			t.Errorf("%+v", c)
		}
		if c := contests[1]; c.N != 8 || c.Delta != 0 || c.P != 1 {
			t.Errorf("on the pairs that both answered: %+v", c)
		}
		if c := contests[2]; c.N != 8 || c.FirstAlone != 0 || c.SecondAlone != 5 {
			t.Errorf("%+v", c)
		}
	}
}

// The difference of benchmark scores is that of the scores, and its interval that
// of the difference and not of either.
func TestContestsOfBenchmarks(t *testing.T) {
	var records []string
	for i := range 40 {
		records = append(records, chosen(fmt.Sprint(i), "hep-go", float64(i%2), 0.5))
	}
	// The second is the first, and right on one more pair in ten.
	more := comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
		if text, _ := p.Prompt.Text(); strings.HasSuffix(text, "4") {
			return eval.Comparison{Margin: 1, First: 1, Scored: true}, nil
		}
		return numbers{}.Compare(context.Background(), p)
	})
	_, contests, err := eval.RunEach(context.Background(), "set", lines("", records...), []eval.Comparer{more, numbers{}}, eval.Options{
		Rule: func(p *dataset.Pair) eval.Rule { return eval.RuleOf("", p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	d := contests[0].Benchmark
	if d == nil || !figureIs(d.Delta, 0.1) || d.DeltaCI[0] < 0 || d.DeltaCI[1] > 0.25 {
		t.Errorf("%+v", d)
	}
}
