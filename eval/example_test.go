package eval_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cai/dataset"
	"cai/eval"
)

// polite is a comparer of three lines: the reply with more thanks wins, with
// log-odds of 1 for each.
type polite struct{}

func (polite) Compare(_ context.Context, p *dataset.Pair) (eval.Comparison, error) {
	a, b := strings.Count(p.First.Text, "thank"), strings.Count(p.Second.Text, "thank")
	return eval.Comparison{Margin: float64(a - b)}, nil
}

func ExampleRun() {
	pairs := func(yield func(*dataset.Pair, error) bool) {
		for i := range 30 {
			p := &dataset.Pair{
				Prompt: dataset.Prompt(fmt.Sprintf("May I borrow book %d?", i)),
				First:  dataset.Response{Text: "Yes, and thank you for asking."},
				Second: dataset.Response{Text: "Take it."},
				P:      1,
			}
			if i%3 == 0 {
				p.First.Text, p.Second.Text = "No.", "No, it is lent out, thank you."
				p.P = 0
			}
			if i%5 == 0 {
				p.P = 1 - p.P // the short one was chosen
			}
			if !yield(p, nil) {
				return
			}
		}
	}
	set, err := eval.Run(context.Background(), "books", pairs, polite{}, eval.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.N, "pairs, accuracy", set.Accuracy, set.CI)
	names := eval.Baselines()
	slices.Sort(names)
	for _, name := range names {
		fmt.Println(name, set.Baselines[name])
	}
	fmt.Println("better than", set.BestBaseline, "by", set.Delta, set.DeltaCI)
	// Output:
	// 30 pairs, accuracy 0.800 [0.633, 0.933]
	// longer 0.800
	// markdown 0.500
	// shorter 0.200
	// better than longer by 0.000 [0.000, 0.000]
}
