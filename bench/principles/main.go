// Principles compares a reward model with a head for each principle, trained on
// the judgments that a database holds of them, with a single head, both aimed at
// the labels of people that the judged files came with:
//
//	go run ./bench/principles -db FILE [-constitution FILE] [-folds 10] [-repeats 5]
//
// Folds are by prompt. Each figure is an accuracy in per cent over all pairs, the
// mean of the repeats, with an interval of 95 % by bootstrap over prompts; the
// difference is paired. It also shows what the judge's own labels reach, and the
// gated sum with each principle left out, which asks nobody anything.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/label"
	"cai/rm"
	"cai/store"
)

func main() {
	db := flag.String("db", "cai.db", "a database with judgments of pairs that people labelled")
	con := flag.String("constitution", "principles.toml", "the principles' names")
	folds := flag.Int("folds", 10, "folds by prompt")
	repeats := flag.Int("repeats", 5, "divisions into folds")
	flag.Parse()
	if err := run(context.Background(), *db, *con, *folds, *repeats); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// data are the pairs, with people's labels, and what the principles say of them.
type data struct {
	pairs    []*dataset.Pair
	ids      []string
	votes    map[dataset.Hash][]float64
	judge    []float64 // P(a is better) by the judge's own label, NaN without one
	clusters []dataset.Hash
}

func read(ctx context.Context, db, con string) (*data, error) {
	c, err := constitution.Load(con)
	if err != nil {
		return nil, err
	}
	st, err := store.OpenExisting(ctx, db)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	judges, err := st.Judges(ctx)
	if err != nil {
		return nil, err
	}
	var judge dataset.Hash
	for _, j := range judges {
		if j.Mode != store.EmbedMode {
			judge = j.Hash
		}
	}
	d := &data{votes: map[dataset.Hash][]float64{}}
	at := map[dataset.Hash]int{}
	set := label.Settings{Rule: label.LogOdds, MinCoverage: 0.1, Weights: map[dataset.Hash]float64{}}
	for i := range c.Principles {
		set.Weights[c.Principles[i].Hash()] = 1
	}
	asked := map[dataset.Hash]bool{}
	var all []*store.Judged
	for j, err := range st.Judged(ctx, store.Filter{Judge: judge}) {
		if err != nil {
			return nil, err
		}
		if math.IsNaN(j.P) || j.P == 0.5 {
			continue
		}
		for _, g := range j.Judgments {
			asked[g.Principle] = true
		}
		all = append(all, j)
	}
	for i := range c.Principles {
		if h := c.Principles[i].Hash(); asked[h] {
			at[h] = len(d.ids)
			d.ids = append(d.ids, c.Principles[i].ID)
		}
	}
	for _, j := range all {
		l, ok := label.Aggregate(j.Judgments, set)
		row := make([]float64, len(d.ids))
		for k := range row {
			row[k] = math.NaN()
		}
		for _, p := range l.Parts {
			row[at[p.Principle]] = p.P
		}
		if !ok || len(l.Parts) < len(d.ids) {
			continue // only pairs that all of them were asked about
		}
		d.pairs = append(d.pairs, &dataset.Pair{Prompt: j.Prompt, First: j.A, Second: j.B, P: j.P})
		d.votes[j.Key.Hash] = row
		d.judge = append(d.judge, l.P)
		d.clusters = append(d.clusters, j.Key.Prompt)
	}
	return d, nil
}

func (d *data) of(p *dataset.Pair) []float64 { return d.votes[p.Key().Hash] } // pairs are oriented as in the store

func run(ctx context.Context, db, con string, folds, repeats int) error {
	d, err := read(ctx, db, con)
	if err != nil {
		return err
	}
	n := len(d.pairs)
	fmt.Printf("%d pairs, %d principles: %v\n", n, len(d.ids), d.ids)
	single, gated, alone := make([]float64, n), make([]float64, n), make([]float64, n)
	without := make([][]float64, len(d.ids))
	for k := range without {
		without[k] = make([]float64, n)
	}
	for r := range repeats {
		for f := range folds {
			var train, test []int
			for i, c := range d.clusters {
				h := dataset.HashOf("fold", string(c[:]), fmt.Sprint(r))
				if (int(h[0])<<8+int(h[1]))%folds == f {
					test = append(test, i)
				} else {
					train = append(train, i)
				}
			}
			fit := func(o rm.Options, out []float64) error {
				m, _, err := rm.Train(ctx, func(yield func(*dataset.Pair, error) bool) {
					for _, i := range train {
						if !yield(d.pairs[i], nil) {
							return
						}
					}
				}, o)
				if err != nil {
					return err
				}
				for _, i := range test {
					z, _, _, err := m.Margin(ctx, d.pairs[i])
					if err != nil {
						return err
					}
					out[i] += eval.Correct(z, d.pairs[i].P) / float64(repeats)
				}
				return nil
			}
			if err := fit(rm.Options{}, single); err != nil {
				return err
			}
			if err := fit(rm.Options{Head: rm.HeadPrinciples, Principles: d.ids, Votes: d.of}, alone); err != nil {
				return err
			}
			if err := fit(rm.Options{Head: rm.HeadPrinciples, Principles: d.ids, Votes: d.of, Rest: true}, gated); err != nil {
				return err
			}
			for k := range d.ids {
				ids := append(append([]string(nil), d.ids[:k]...), d.ids[k+1:]...)
				votes := func(p *dataset.Pair) []float64 {
					v := d.of(p)
					return append(append([]float64(nil), v[:k]...), v[k+1:]...)
				}
				if err := fit(rm.Options{Head: rm.HeadPrinciples, Principles: ids, Votes: votes, Rest: true}, without[k]); err != nil {
					return err
				}
			}
		}
	}
	judge, longer, diff := make([]float64, n), make([]float64, n), make([]float64, n)
	for i, p := range d.pairs {
		judge[i] = eval.Correct(d.judge[i]-0.5, p.P)
		longer[i] = eval.Correct(float64(len(p.First.Text)-len(p.Second.Text)), p.P)
		diff[i] = gated[i] - single[i]
	}
	d.show("longer wins", longer, eval.Interval{0, 1})
	d.show("the judge's own labels", judge, eval.Interval{0, 1})
	d.show("single head on people's labels", single, eval.Interval{0, 1})
	d.show("gated sum of principles alone", alone, eval.Interval{0, 1})
	d.show("gated sum with the labels' head", gated, eval.Interval{0, 1})
	d.show("gated less single, paired", diff, eval.Interval{-1, 1})
	for k, id := range d.ids {
		d.show("gated without "+id, without[k], eval.Interval{0, 1})
	}
	return nil
}

func (d *data) show(name string, v []float64, bounds eval.Interval) {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	ci := eval.BootstrapCI(v, d.clusters, bounds, eval.Options{Seed: 1, Bootstrap: 2000})
	fmt.Printf("  %-32s %6.1f [%.1f, %.1f]\n", name, 100*sum/float64(len(v)), 100*ci[0], 100*ci[1])
}
