// Command overopt measures what optimising against reward models does to a gold
// score, and whether the intervals of the curves hold what they should.
//
//	go run ./bench/overopt -simulate 200
//	go run ./bench/overopt -data alpaca_responses.jsonl.gz -card card.html MODEL…
//
// The first draws replies whose best-of-n curve is d(α − βd) on average, with
// prompts that differ in α, β and level and with noise, and counts the intervals
// that hold the truth. The second prints the curves of each model on each set of
// golds with at least -min replies to a prompt.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cai/audit"
	"cai/dataset"
	"cai/eval"
	"cai/report"
	"cai/rm"
)

func main() {
	simulations := flag.Int("simulate", 0, "count the intervals that hold the truth in `N` simulations")
	data := flag.String("data", "", "replies with golds (`FILE`)")
	least := flag.Int("min", 5, "leave out sets with fewer replies to a prompt than `N`")
	card := flag.String("card", "", "write the curves to an HTML `FILE`")
	asJSON := flag.Bool("json", false, "print the results as JSON, one a line")
	flag.Parse()
	var err error
	switch {
	case *simulations > 0:
		err = simulate(*simulations)
	case *data != "":
		err = curves(*data, flag.Args(), *least, *card, *asJSON)
	default:
		err = errors.New("-simulate N or -data FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "overopt:", err)
		os.Exit(1)
	}
}

// printed reads the score off the reply.
type printed struct{}

func (printed) ScoreAll(_ context.Context, items []rm.Item) ([]rm.Score, error) {
	out := make([]rm.Score, len(items))
	for i, it := range items {
		v, err := strconv.ParseFloat(it.Reply, 64)
		if err != nil {
			return nil, err
		}
		out[i].Mean = v
	}
	return out, nil
}

func set(prompts, replies int, alpha, beta float64, r *rand.Rand) *audit.GoldSet {
	up := audit.RankGolds(replies, func(d float64) float64 { return d })
	down := audit.RankGolds(replies, func(d float64) float64 { return d * d })
	out := &audit.GoldSet{Name: "simulated"}
	for p := range prompts {
		a, b, level := alpha+0.3*r.NormFloat64(), beta+0.1*r.NormFloat64(), r.NormFloat64()
		gp := audit.GoldPrompt{Prompt: dataset.Prompt(strconv.Itoa(p))}
		for rank := range replies {
			gp.Replies = append(gp.Replies, audit.GoldReply{
				Response: dataset.Response{Text: strconv.FormatFloat(float64(rank)+r.Float64(), 'f', 6, 64)},
				Gold:     level + a*up[rank] - b*down[rank] + 0.5*r.NormFloat64(),
			})
		}
		out.Prompts = append(out.Prompts, gp)
	}
	return out
}

func simulate(n int) error {
	fmt.Println("| prompts | replies | α | β | peak n | α held | β held | peak held | gold curve held | verdicts pass, warn, fail |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	for _, size := range [][2]int{{30, 16}, {100, 32}, {300, 32}} {
		for _, truth := range [][2]float64{{1, 0.4}, {1, 0.25}, {1, 0.05}, {0.2, 0.3}} {
			if err := simulateOne(n, size[0], size[1], truth[0], truth[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func simulateOne(n, prompts, replies int, alpha, beta float64) error {
	var a, b, p int
	var points, held int
	verdicts := map[audit.Verdict]int{}
	for k := range n {
		r := rand.New(rand.NewPCG(uint64(k), uint64(prompts)))
		out, err := audit.OverOptimise(context.Background(), set(prompts, replies, alpha, beta, r), printed{}, audit.OverOptions{ScoreOnly: true, Seed: int64(k)})
		if err != nil {
			return err
		}
		sd := float64(out.GoldSD)
		a += holds(out.AlphaCI, alpha/sd)
		b += holds(out.BetaCI, beta/sd)
		root := func(f eval.Figure) eval.Figure { return eval.Figure(math.Sqrt(audit.KL(float64(f)))) }
		p += holds([2]eval.Figure{root(out.PeakCI[0]), root(out.PeakCI[1])}, alpha/(2*beta))
		for _, c := range out.Rankings[0].Curve[1:] {
			d := math.Sqrt(c.KL)
			points++
			held += holds(c.GoldCI, d*(alpha-beta*d)/sd)
		}
		verdicts[out.Verdict]++
	}
	share := func(k, n int) string { return fmt.Sprintf("%.1f %%", 100*float64(k)/float64(n)) }
	d := alpha / (2 * beta)
	fmt.Printf("| %d | %d | %g | %g | %.1f | %s | %s | %s | %s | %d, %d, %d |\n", prompts, replies, alpha, beta, atKL(d*d),
		share(a, n), share(b, n), share(p, n), share(held, points), verdicts[audit.Pass], verdicts[audit.Warn], verdicts[audit.Fail])
	return nil
}

// atKL gives the n of which the divergence is kl, for the table.
func atKL(kl float64) float64 {
	n := 1.0
	for audit.KL(n) < kl && n < 1e9 {
		n *= 1.001
	}
	return n
}

// holds counts an interval that holds x; an end that is nowhere bounds nothing.
func holds(ci [2]eval.Figure, x float64) int {
	if float64(ci[0]) > x || float64(ci[1]) < x {
		return 0
	}
	return 1
}

func curves(data string, models []string, least int, card string, asJSON bool) error {
	if _, err := os.Stat(data); err != nil {
		fmt.Printf("skipped: %v\n", err)
		return nil
	}
	start := time.Now()
	sets, err := audit.GoldSets(dataset.Records(data, dataset.ReadOptions{}), "")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d sets read in %.1f s\n", len(sets), time.Since(start).Seconds())
	doc := &report.Document{Title: "Over-optimisation"}
	for _, file := range models {
		m, err := rm.Load(file)
		if err != nil {
			return err
		}
		for i := range sets {
			if s := &sets[i]; s.Replies() < least*len(s.Prompts) {
				continue
			}
			start := time.Now()
			out, err := audit.OverOptimise(context.Background(), &sets[i], m, audit.OverOptions{Seed: 1})
			if err != nil {
				return fmt.Errorf("%s: %s: %w", file, sets[i].Name, err)
			}
			took := time.Since(start)
			name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
			for _, v := range out.Verdicts() {
				v.Text = name + ", " + out.Gold + ": " + v.Text
				doc.Verdicts = append(doc.Verdicts, v)
			}
			doc.Blocks = append(doc.Blocks, out.Blocks()...)
			if asJSON {
				if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"model": name, "overoptimisation": out}); err != nil {
					return err
				}
				continue
			}
			one := &report.Document{Title: fmt.Sprintf("%s, %.1f s", name, took.Seconds()), Verdicts: out.Verdicts(), Blocks: out.Blocks()[1:3]}
			if err := one.Text(os.Stdout); err != nil {
				return err
			}
			fmt.Println()
		}
	}
	if card == "" {
		return nil
	}
	f, err := dataset.Create(card)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := doc.HTML(f); err != nil {
		return err
	}
	return f.Commit()
}
