package audit_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cai/audit"
	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

// taste gives pairs whose better reply holds the word good, as often as share
// says.
func taste(name, good, bad string, n int, share float64) []*dataset.Pair {
	r := rand.New(rand.NewPCG(uint64(n), uint64(len(name))))
	var pairs []*dataset.Pair
	for i := range n {
		text := func(word string) string {
			out := []string{word}
			for range 5 {
				out = append(out, fmt.Sprint("w", r.IntN(30)))
			}
			r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
			return strings.Join(out, " ")
		}
		a, b := text(good), text(bad)
		if r.Float64() >= share {
			a, b = b, a
		}
		pairs = append(pairs, &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprintf("%s %d", name, i/2)),
			First:  dataset.Response{Text: a, Author: "ann"}, Second: dataset.Response{Text: b, Author: "bob"}, P: 1,
		})
	}
	return pairs
}

func inOrder(pairs []*dataset.Pair) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

var transferOptions = audit.TransferOptions{Train: rm.Options{Features: []string{rm.FeatureHash}, L2: []float64{1}, Dim: 1 << 12}}

// Two domains like the same word and a third the opposite: models carry over from
// one of the first to the other, and are wrong about the third.
func TestTransferMatrix(t *testing.T) {
	domains := []audit.Domain{
		{Name: "one", Pairs: inOrder(taste("one", "kind", "rude", 300, 0.95))},
		{Name: "two", Pairs: inOrder(taste("two", "kind", "rude", 200, 0.95))},
		{Name: "odd", Pairs: inOrder(taste("odd", "rude", "kind", 250, 0.95))},
	}
	o := transferOptions
	fits := 0
	o.Progress = func(done, total int) {
		if done != fits || total != 18 {
			t.Errorf("fit %d of %d, want %d of 18", done, total, fits)
		}
		fits++
	}
	got, err := audit.MeasureTransfer(context.Background(), domains, o)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]bool{{true, true, false}, {true, true, false}, {false, false, true}}
	sizes := []int{300, 200, 250}
	for i, row := range got.Cells {
		for j, c := range row {
			if (c.Accuracy > 0.85) != want[i][j] || (c.Accuracy < 0.15) == want[i][j] || c.N != sizes[j] {
				t.Errorf("trained on %s, tested on %s: %+v", domains[i].Name, domains[j].Name, c)
			}
			if c.Trained < sizes[i]*7/10 || c.Trained > sizes[i]*9/10 {
				t.Errorf("%s: trained on %d of %d pairs", domains[i].Name, c.Trained, sizes[i])
			}
			if !c.CI.Contains(float64(c.Accuracy)) || c.CI[1]-c.CI[0] > 0.2 {
				t.Errorf("interval %v of %v", c.CI, c.Accuracy)
			}
		}
	}
	if fits != 18 || got.LeftOut[2].Accuracy > 0.15 || got.LeftOut[2].Trained != 500 || got.LeftOut[0].N != 300 {
		t.Errorf("%d fits, left out %+v", fits, got.LeftOut)
	}
	for i, d := range got.Domains {
		if d.N != sizes[i] || d.Prompts != sizes[i]/2 || len(d.Baselines) != len(eval.Baselines()) {
			t.Errorf("%+v", d)
		}
	}
	again, err := audit.MeasureTransfer(context.Background(), domains, transferOptions)
	if err != nil || cmp.Diff(got, again) != "" {
		t.Errorf("a second time: %v %s", err, cmp.Diff(got, again))
	}
}

// Labels that only a prompt's own pairs could tell are not told: nowhere is a
// model tested on a prompt that it was trained on, also where domains share them.
func TestTransferNeverTestsOnPromptsTrainedOn(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var one, two []*dataset.Pair
	for i := range 300 {
		// The words of the replies are the prompt's own, and so is which is better.
		p := &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprint("prompt ", i)),
			First:  dataset.Response{Text: fmt.Sprintf("x%d y%d", i, i)}, Second: dataset.Response{Text: fmt.Sprintf("z%d v%d", i, i)},
			P: float64(r.IntN(2)),
		}
		one = append(one, p, p)
		q := *p
		q.First.Text += " indeed"
		q.Second.Text += " indeed"
		two = append(two, &q)
	}
	got, err := audit.MeasureTransfer(context.Background(), []audit.Domain{{"one", inOrder(one)}, {"two", inOrder(two)}}, transferOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range got.Cells {
		for j, c := range row {
			if c.Accuracy < 0.4 || c.Accuracy > 0.6 {
				t.Errorf("cell %d %d: %+v", i, j, c)
			}
		}
	}
	// Nothing is left to train on where every prompt is shared.
	if c := got.LeftOut[0]; c.Trained != 0 || c.N != 0 {
		t.Errorf("left out: %+v", c)
	}
}

func TestTransferErrors(t *testing.T) {
	one := audit.Domain{Name: "one", Pairs: inOrder(taste("one", "kind", "rude", 60, 1))}
	if _, err := audit.MeasureTransfer(context.Background(), []audit.Domain{one}, transferOptions); !errors.Is(err, audit.ErrFewDomains) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := transferOptions
	o.Progress = func(done, _ int) {
		if done == 3 {
			cancel()
		}
	}
	if _, err := audit.MeasureTransfer(ctx, []audit.Domain{one, one}, o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Copies of a prompt that differ by case and white space are never trained on where
// one of them is tested: what is a coin for each prompt is found by chance alone.
func TestTransferLeavesCopiesOut(t *testing.T) {
	coins := func(name string) (pairs []*dataset.Pair) {
		r := rand.New(rand.NewPCG(7, uint64(len(name))))
		for i := range 120 {
			text := func() string { return fmt.Sprintf("x%d w%d v%d", i, r.IntN(30), r.IntN(30)) }
			a, b, p := text(), text(), float64(r.IntN(2))
			for _, change := range []func(string) string{strings.ToUpper, strings.ToLower, func(s string) string { return " " + strings.ReplaceAll(s, " ", "\n") }} {
				pairs = append(pairs, &dataset.Pair{
					Prompt: dataset.Prompt(change(fmt.Sprint("straße ", i))), First: dataset.Response{Text: a}, Second: dataset.Response{Text: b}, P: p,
				})
			}
		}
		return pairs
	}
	got, err := audit.MeasureTransfer(t.Context(), []audit.Domain{
		{Name: "one", Pairs: inOrder(coins("one"))}, {Name: "other", Pairs: inOrder(coins("other")[:30])},
	}, transferOptions)
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Cells[0][0]; c.N != 360 || c.Accuracy > 0.65 || got.Domains[0].Prompts != 120 {
		t.Errorf("%+v of %+v: labels that are coins", c, got.Domains[0])
	}
	if c := got.LeftOut[1]; c.Trained != 330 {
		t.Errorf("trained on %d pairs, of which those of 330 have prompts that the other domain has not", c.Trained)
	}
}
