// Rm measures the reward models of [cai/rm] on public preference data:
//
//	go run ./bench/rm -data DIR [-only prompt,author,sets] [-features hash,style] …
//
// It trains on RMB and hh-rlhf's harmless pairs alone. "prompt" is five folds
// by prompt; "author" is ten draws of 4 of RMB's authors unseen, tested on the
// pairs whose authors are both unseen, with their prompts seen in training and
// without; "sets" trains on everything once and looks at other sets, on which
// nothing was ever chosen. Accuracies are in per cent with a standard error
// clustered by prompt; beside them stand the null baselines.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

var trainSets = []string{"rmb_train", "hh_harmless_train"}

func main() {
	data := flag.String("data", "../shared/data", "the folder of the data sets")
	only := flag.String("only", "prompt,author,sets", "what to measure")
	features := flag.String("features", "hash,style", "groups of features")
	l2 := flag.Float64("l2", 0, "one ridge instead of the default path")
	seed := flag.Int64("seed", 0, "seed of the draws of authors")
	draws := flag.Int("draws", 10, "draws of authors")
	debias := flag.String("debias", "", "what the model is kept from preferring")
	correlation := flag.Float64("length-correlation", 0, "the correlation with length that debiasing aims at")
	head := flag.String("head", "", "form of the model")
	ensemble := flag.Int("ensemble", 0, "heads fitted to resamples")
	db := flag.String("embed", "", "a database with embeddings: only pairs that it holds are used")
	model := flag.String("embed-model", "all-minilm", "whose embeddings")
	use := flag.Bool("embed-features", true, "with -embed: use them as features; false compares on the same pairs without")
	flag.Parse()
	o := rm.Options{Features: strings.Split(*features, ","), LengthCorrelation: *correlation, Head: *head, Ensemble: *ensemble}
	if *debias != "" {
		o.Debias = strings.Split(*debias, ",")
	}
	if *l2 > 0 {
		o.L2 = []float64{*l2}
	}
	var e *embedded
	if *db != "" {
		var err error
		if e, err = openEmbedded(context.Background(), *db, *model); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		if *use {
			o.Sources = []rm.Source{e}
		}
	}
	if err := run(context.Background(), *data, *only, o, e, *seed, *draws); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, only string, o rm.Options, e *embedded, seed int64, draws int) error {
	var files []string
	for _, s := range trainSets {
		f := filepath.Join(dir, s+".jsonl.gz")
		if _, err := os.Stat(f); err != nil {
			fmt.Printf("skipped: %s is not there\n", f)
			return nil
		}
		files = append(files, f)
	}
	start := time.Now()
	t, err := rm.NewTable(ctx, known(ctx, all(files), e), o)
	if err != nil {
		return err
	}
	b := bench{ctx: ctx, table: t, options: o, key: make([]string, t.Len()), source: make([]string, t.Len())}
	for i := range b.key {
		h := t.Pair(i).Prompt.Hash()
		b.key[i] = h.String()
		b.source[i] = column(t.Pair(i), "source")
	}
	fmt.Printf("%d pairs, features in %.1f s\n", t.Len(), time.Since(start).Seconds())
	for what := range strings.SplitSeq(only, ",") {
		start := time.Now()
		switch what {
		case "prompt":
			err = b.byPrompt()
		case "author":
			for _, seen := range []bool{true, false} {
				if err = b.byAuthor(seed, draws, seen); err != nil {
					break
				}
			}
		case "sets":
			err = b.sets(dir)
		default:
			err = fmt.Errorf("nothing is called %q", what)
		}
		if err != nil {
			return err
		}
		fmt.Printf("  (%s in %.1f s)\n", what, time.Since(start).Seconds())
	}
	return nil
}

// known leaves out the pairs that are not embedded.
func known(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], e *embedded) iter.Seq2[*dataset.Pair, error] {
	if e == nil {
		return pairs
	}
	return func(yield func(*dataset.Pair, error) bool) {
		for p, err := range pairs {
			if err == nil && !e.has(ctx, p) {
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// all reads files one after the other.
func all(files []string) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, f := range files {
			for p, err := range dataset.Pairs(f, dataset.ReadOptions{}) {
				if !yield(p, err) {
					return
				}
			}
		}
	}
}

// column gives a column of the pair's record that is a string.
func column(p *dataset.Pair, name string) (s string) {
	if raw := p.Source.Extra.Get(name); raw != nil {
		_ = json.Unmarshal(raw, &s) // a column of another kind is none
	}
	return s
}

type bench struct {
	ctx         context.Context
	table       *rm.Table
	options     rm.Options
	key, source []string // prompt and set of each pair
}

// numFolds is the number of folds by prompt.
const numFolds = 5

// fold deals prompts: the hash is uniform.
func (b *bench) fold(i int) int {
	n := 0
	for _, c := range []byte(b.key[i][len(b.key[i])-8:]) {
		n = (n*31 + int(c)) % 1000003
	}
	return n % numFolds
}

// tested is one pair with what a model that did not see it says.
type tested struct {
	pair   *dataset.Pair
	prompt string
	margin float64
}

func (b *bench) byPrompt() error {
	out := map[string][]tested{}
	for f := range numFolds {
		var train, test []int
		for i := range b.key {
			if b.fold(i) == f {
				test = append(test, i)
			} else {
				train = append(train, i)
			}
		}
		got, err := b.trainAndTest(train, test)
		if err != nil {
			return err
		}
		for i, g := range got {
			s := b.source[test[i]]
			out[s] = append(out[s], g)
		}
	}
	fmt.Println("by prompt, five folds:")
	for _, s := range []string{"rmb", "hh"} {
		show(s, out[s])
	}
	return nil
}

func (b *bench) trainAndTest(train, test []int) ([]tested, error) {
	m, _, err := b.table.Train(b.ctx, train, b.options)
	if err != nil {
		return nil, err
	}
	z := b.table.Margins(m, test)
	out := make([]tested, len(test))
	for i, j := range test {
		out[i] = tested{b.table.Pair(j), b.key[j], z[i]}
	}
	return out, nil
}

// authors gives who wrote the pair's replies, chosen first.
func authors(p *dataset.Pair) [2]string { return [2]string{column(p, "mc"), column(p, "mr")} }

// byAuthor keeps 4 authors from training at a time. Without seen, prompts of
// the test are kept from it as well, two halves of the prompts in turn.
func (b *bench) byAuthor(seed int64, draws int, seen bool) error {
	var names []string
	for i := range b.key {
		for _, a := range authors(b.table.Pair(i)) {
			if a != "" && !slices.Contains(names, a) {
				names = append(names, a)
			}
		}
	}
	slices.Sort(names)
	var pooled []tested
	var each []string
	for d := range draws {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(d)))
		unseen := map[string]bool{}
		for _, k := range r.Perm(len(names))[:4] {
			unseen[names[k]] = true
		}
		var draw []tested
		parts := 1
		if !seen {
			parts = 2
		}
		for part := range parts {
			var train, test []int
			for i := range b.key {
				a := authors(b.table.Pair(i))
				away := !seen && b.key[i][len(b.key[i])-1]&1 == byte(part)
				switch {
				case unseen[a[0]] && unseen[a[1]]:
					if seen || away {
						test = append(test, i)
					}
				case !unseen[a[0]] && !unseen[a[1]] && !away:
					train = append(train, i)
				}
			}
			got, err := b.trainAndTest(train, test)
			if err != nil {
				return err
			}
			draw = append(draw, got...)
		}
		pooled = append(pooled, draw...)
		acc, _ := accuracy(draw, func(t tested) float64 { return t.margin })
		each = append(each, fmt.Sprintf("%.1f", acc))
	}
	fmt.Printf("by author, %d draws of 4 of %d unseen, prompts seen in training: %v\n", draws, len(names), seen)
	show("rmb", pooled)
	fmt.Printf("  single draws: %s\n", strings.Join(each, " "))
	return nil
}

// sets are those kept from training, by name, and the subsets shown apart.
var sets = []struct {
	file    string
	subsets []string
}{
	{"rmbench_chat", []string{"easy", "normal", "hard"}},
	{"llmbar_dev", []string{"Natural", "GPTInst", "GPTOut"}},
	{"pandalm_dev", nil},
}

func (b *bench) sets(dir string) error {
	every := make([]int, len(b.key))
	for i := range every {
		every[i] = i
	}
	m, _, err := b.table.Train(b.ctx, every, b.options)
	if err != nil {
		return err
	}
	if err := m.Bind(b.options.Sources...); err != nil {
		return err
	}
	fmt.Println("other sets, trained on everything:")
	for _, s := range sets {
		f := filepath.Join(dir, s.file+".jsonl.gz")
		if _, err := os.Stat(f); err != nil {
			fmt.Printf("  skipped: %s is not there\n", f)
			continue
		}
		var got []tested
		for p, err := range dataset.Pairs(f, dataset.ReadOptions{}) {
			if err != nil {
				return err
			}
			z, _, _, err := m.Margin(b.ctx, p)
			if err != nil {
				return err
			}
			got = append(got, tested{p, p.Prompt.Hash().String(), z})
		}
		show(s.file, got)
		var traps []tested
		for _, sub := range s.subsets {
			var part []tested
			for _, t := range got {
				if column(t.pair, "level") == sub || column(t.pair, "subset") == sub {
					part = append(part, t)
				}
			}
			show("  "+sub, part)
			if strings.HasPrefix(sub, "GPT") {
				traps = append(traps, part...)
			}
		}
		if len(traps) > 0 {
			show("  traps", traps)
		}
	}
	return nil
}

// accuracy gives the share of pairs told as labelled, in per cent, equal scores
// half and ties of the label left out, and its standard error by prompt.
func accuracy(ts []tested, of func(tested) float64) (acc, se float64) {
	sum, n := map[string]float64{}, map[string]float64{}
	right, all := 0.0, 0.0
	for _, t := range ts {
		if t.pair.P == 0.5 {
			continue
		}
		c := eval.Correct(of(t), t.pair.P)
		sum[t.prompt] += c
		n[t.prompt]++
		right += c
		all++
	}
	if all == 0 {
		return math.NaN(), math.NaN()
	}
	acc = right / all
	// Sorted, so that the sum rounds the same every time.
	keys := make([]string, 0, len(n))
	for k := range n {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		d := sum[k] - acc*n[k]
		se += d * d
	}
	return 100 * acc, 100 * math.Sqrt(se) / all
}

func length(p *dataset.Pair) float64 {
	return float64(utf8.RuneCountInString(p.First.Text) - utf8.RuneCountInString(p.Second.Text))
}

// show prints the figures of some pairs: accuracy, that of the longer reply,
// Spearman's ρ of margin and length, and the accuracies where the longer and
// where the shorter one is chosen.
func show(name string, ts []tested) {
	acc, se := accuracy(ts, func(t tested) float64 { return t.margin })
	longer, _ := accuracy(ts, func(t tested) float64 { return length(t.pair) })
	var z, l []float64
	var where [2][]tested
	for _, t := range ts {
		d := length(t.pair)
		z, l = append(z, t.margin), append(l, d)
		switch {
		case d*(t.pair.P-0.5) > 0:
			where[0] = append(where[0], t)
		case d*(t.pair.P-0.5) < 0:
			where[1] = append(where[1], t)
		}
	}
	a0, _ := accuracy(where[0], func(t tested) float64 { return t.margin })
	a1, _ := accuracy(where[1], func(t tested) float64 { return t.margin })
	fmt.Printf("  %-14s n %5d  %5.2f ± %.2f  longer %5.2f  ρ %+.3f  longer chosen %5.1f  shorter chosen %5.1f\n",
		name, len(ts), acc, se, longer, eval.Spearman(z, l), a0, a1)
}
