// Command alarms optimises a policy against a reward model in steps and tells at
// which of them the alarm of cai score --monitor rings, beside where the gold is
// highest, and how often it rings while nothing has changed.
//
//	go run ./bench/alarms [-proxy MODEL] [-gold MODEL] alpaca_responses.jsonl.gz
//
// The policy is the mixture of the models in AlpacaEval's file: at step n its replies
// are the best of n by the proxy. Without -proxy that is a model trained here on the
// file's own preferences, in which the longer reply wins, of one half of the prompts;
// all else is done with the other half. The gold is the file's preference over a
// baseline, or the score of another model.
//
// A run splits the prompts in two: replies to the first part, drawn from the policy as
// it is, are the reference; windows are of the second part, -each replies to a prompt.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"cai/audit"
	"cai/dataset"
	"cai/monitor"
	"cai/rm"
)

var steps = []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40}

type settings struct {
	runs, nulls, each, hacked int
	seed                      int64
	monitor                   monitor.Options
}

func main() {
	var s settings
	proxy := flag.String("proxy", "", "the reward model that is optimised against (`FILE`); default one trained here")
	gold := flag.String("gold", "", "a reward model whose scores are the gold (`FILE`); default the file's preferences")
	flag.IntVar(&s.runs, "runs", 100, "optimisation runs")
	flag.IntVar(&s.nulls, "nulls", 10, "windows of each run before it begins")
	flag.IntVar(&s.each, "each", 4, "replies to a prompt in a window")
	flag.IntVar(&s.monitor.Window, "window", monitor.DefaultWindow, "replies of a window")
	flag.Float64Var(&s.monitor.FalseAlarm, "false-alarm", monitor.DefaultFalseAlarm, "the rate of false alarms")
	flag.IntVar(&s.hacked, "pairs", 30, "training pairs of a prompt")
	flag.Int64Var(&s.seed, "seed", 1, "seed of all draws")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: alarms [options] alpaca_responses.jsonl.gz")
		os.Exit(2)
	}
	if err := run(context.Background(), s, flag.Arg(0), *proxy, *gold); err != nil {
		fmt.Fprintln(os.Stderr, "alarms:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, data, proxyFile, goldFile string) error {
	if _, err := os.Stat(data); err != nil {
		fmt.Printf("skipped: %v\n", err)
		return nil
	}
	sets, err := audit.GoldSets(dataset.Records(data, dataset.ReadOptions{}), "")
	if err != nil {
		return err
	}
	// The same prompts are kept from the training of the proxy for every set.
	train, rest := halves(&sets[0], s.seed)
	var proxy *rm.Model
	if proxyFile != "" {
		if proxy, err = rm.Load(proxyFile); err != nil {
			return err
		}
	} else if proxy, err = hackedModel(ctx, sets, train, s); err != nil {
		return err
	}
	if goldFile != "" {
		m, err := rm.Load(goldFile)
		if err != nil {
			return err
		}
		if rest, err = rest.Regrade(ctx, "the score of "+goldFile, m); err != nil {
			return err
		}
	}
	fmt.Printf("gold: %s; %d prompts, %d replies\n", rest.Name, len(rest.Prompts), rest.Replies())
	p, err := newPolicy(ctx, proxy, &rest)
	if err != nil {
		return err
	}
	return p.report(proxy, s)
}

// halves splits a set by the hashes of its prompts.
func halves(set *audit.GoldSet, seed int64) (train map[dataset.Hash]bool, rest audit.GoldSet) {
	order := slices.Clone(set.Prompts)
	slices.SortFunc(order, func(a, b audit.GoldPrompt) int {
		x, y := a.Prompt.Hash(), b.Prompt.Hash()
		return bytes.Compare(x[:], y[:])
	})
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	train = map[dataset.Hash]bool{}
	for _, p := range order[:len(order)/2] {
		train[p.Prompt.Hash()] = true
	}
	return train, audit.GoldSet{Name: set.Name, Prompts: order[len(order)/2:]}
}

// hackedModel trains on the preferences of the set with the strongest baseline, of
// which the longer reply has most.
func hackedModel(ctx context.Context, sets []audit.GoldSet, train map[dataset.Hash]bool, s settings) (*rm.Model, error) {
	set := &sets[0]
	for i := range sets {
		if strings.Contains(sets[i].Name, "weighted") {
			set = &sets[i]
		}
	}
	r := rand.New(rand.NewPCG(uint64(s.seed), 1))
	longer, n := 0, 0
	pairs := func(yield func(*dataset.Pair, error) bool) {
		for _, p := range set.Prompts {
			if !train[p.Prompt.Hash()] {
				continue
			}
			for range s.hacked {
				a, b := p.Replies[r.IntN(len(p.Replies))], p.Replies[r.IntN(len(p.Replies))]
				if a.Gold == b.Gold || a.Text == b.Text {
					continue
				}
				if a.Gold < b.Gold {
					a, b = b, a
				}
				n++
				if len(a.Text) > len(b.Text) {
					longer++
				}
				if !yield(&dataset.Pair{Prompt: p.Prompt, First: a.Response, Second: b.Response, P: 1}, nil) {
					return
				}
			}
		}
	}
	m, _, err := rm.Train(ctx, pairs, rm.Options{Holdout: 0.3, Seed: s.seed, L2: []float64{1}})
	if err == nil {
		fmt.Printf("proxy: trained on %d pairs of %s, %d prompts; the longer reply is chosen in %.3f\n", n, set.Name, len(train), float64(longer)/float64(n))
	}
	return m, err
}

// policy is replies that were scored, by prompt.
type policy struct {
	names  []string
	prompt []dataset.Hash
	rows   [][][]float32
	gold   [][]float64
}

func newPolicy(ctx context.Context, m *rm.Model, set *audit.GoldSet) (*policy, error) {
	p := &policy{names: m.Observed()}
	for _, gp := range set.Prompts {
		if len(gp.Replies) < steps[len(steps)-1] {
			continue
		}
		items, gold := make([]rm.Item, len(gp.Replies)), make([]float64, len(gp.Replies))
		for i, r := range gp.Replies {
			items[i], gold[i] = rm.Item{Prompt: gp.Prompt, Reply: r.Text}, r.Gold
		}
		_, rows, err := m.ObserveAll(ctx, items)
		if err != nil {
			return nil, err
		}
		p.prompt, p.rows, p.gold = append(p.prompt, gp.Prompt.Hash()), append(p.rows, rows), append(p.gold, gold)
	}
	if len(p.prompt) < 60 {
		return nil, fmt.Errorf("%d prompts have at least %d replies: too few", len(p.prompt), steps[len(steps)-1])
	}
	return p, nil
}

// best draws the best of n replies to a prompt, different ones.
func (p *policy) best(r *rand.Rand, prompt, n int) []float32 {
	rows := p.rows[prompt]
	at := make([]int, len(rows))
	for i := range at {
		at[i] = i
	}
	var top []float32
	for k := range n {
		j := k + r.IntN(len(at)-k)
		at[k], at[j] = at[j], at[k]
		if row := rows[at[k]]; top == nil || row[0] > top[0] {
			top = row
		}
	}
	return top
}

// window feeds the monitor a window of best-of-n replies to different prompts.
func (p *policy) window(m *monitor.Monitor, r *rand.Rand, prompts []int, n, each int) monitor.Window {
	for {
		for _, at := range r.Perm(len(prompts)) {
			for range each {
				if b := m.Add(uint64(prompts[at])+1, p.best(r, prompts[at], n)); b != nil {
					return m.Test(b)
				}
			}
		}
	}
}

// curves are the means of proxy and gold at each step, by the unbiased estimator, in
// standard deviations within prompts from a random reply.
func (p *policy) curves() (proxy, gold []float64, err error) {
	proxy, gold = make([]float64, len(steps)), make([]float64, len(steps))
	var sdProxy, sdGold float64
	for g := range p.rows {
		scores := make([]float64, len(p.rows[g]))
		for i, r := range p.rows[g] {
			scores[i] = float64(r[0])
		}
		rank, err := audit.Rank(scores)
		if err != nil {
			return nil, nil, err
		}
		for k, n := range steps {
			proxy[k] += rank.BestOf(n, scores) - rank.BestOf(1, scores)
			gold[k] += rank.BestOf(n, p.gold[g]) - rank.BestOf(1, p.gold[g])
		}
		sdProxy += variance(scores)
		sdGold += variance(p.gold[g])
	}
	n := float64(len(p.rows))
	for k := range steps {
		proxy[k] /= n * math.Sqrt(sdProxy/n)
		gold[k] /= n * math.Sqrt(sdGold/n)
	}
	return proxy, gold, nil
}

func variance(v []float64) (s float64) {
	m := 0.0
	for _, x := range v {
		m += x / float64(len(v))
	}
	for _, x := range v {
		s += (x - m) * (x - m) / float64(len(v)-1)
	}
	return s
}

// found is what the runs came to.
type found struct {
	nulls, nullRings   int
	perRun             []float64 // share of a run's null windows that ring
	rings, first       []int     // by step: windows with an alarm, and runs whose first it is
	never              int
	by                 map[string]int // statistics that rang at the first alarm
	moved              map[string]int // what had moved most then
	foreign, foreignOf int            // windows of the policy as it is that ring beside the training's profile
}

func (p *policy) report(proxy *rm.Model, s settings) error {
	gp, gg, err := p.curves()
	if err != nil {
		return err
	}
	f := found{rings: make([]int, len(steps)), first: make([]int, len(steps)), by: map[string]int{}, moved: map[string]int{}}
	for k := range s.runs {
		if err := p.one(&f, proxy.Metadata.Profile, s, k); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "\r%d of %d runs", k+1, s.runs)
	}
	fmt.Fprintln(os.Stderr)
	peak := 0
	for k := range gg {
		if gg[k] > gg[peak] {
			peak = k
		}
	}
	fmt.Println("\n| best of | KL | proxy, SDs | gold, SDs | windows with an alarm | runs with an alarm so far |\n|---|---|---|---|---|---|")
	total, before, median := 0, 0, 0
	for k, n := range steps {
		total += f.first[k]
		if k <= peak {
			before = total
		}
		if median == 0 && 2*total >= s.runs {
			median = n
		}
		mark := ""
		if k == peak {
			mark = " (highest)"
		}
		fmt.Printf("| %d | %.2f | %+.2f | %+.3f%s | %.1f %% | %.1f %% |\n", n, audit.KL(float64(n)), gp[k], gg[k], mark,
			100*float64(f.rings[k])/float64(s.runs), 100*float64(total)/float64(s.runs))
	}
	rate := float64(f.nullRings) / float64(f.nulls)
	se := math.Sqrt(max(variance(f.perRun)/float64(len(f.perRun)), s.monitor.FalseAlarm*(1-s.monitor.FalseAlarm)/float64(f.nulls)))
	fmt.Printf("\nfalse alarms: %d of %d windows of the policy as it is, %.2f ± %.2f %%, asked for %g %%\n", f.nullRings, f.nulls, 100*rate, 100*se, 100*s.monitor.FalseAlarm)
	fmt.Printf("the gold is highest at best of %d; in %d of %d runs the alarm has rung by then; in half of them by best of %d; it never rings in %d\n", steps[peak], before, s.runs, median, f.never)
	fmt.Printf("rang at the first alarm: %v; had moved most: %v\n", f.by, f.moved)
	if f.foreignOf > 0 {
		fmt.Printf("beside the profile of the proxy's training, %d of %d windows of the policy as it is ring\n", f.foreign, f.foreignOf)
	}
	return nil
}

// one is one run.
func (p *policy) one(f *found, profile *rm.Profile, s settings, k int) error {
	r := rand.New(rand.NewPCG(uint64(s.seed), uint64(k)+2))
	order := r.Perm(len(p.prompt))
	half := len(order) / 2
	var hs []dataset.Hash
	var rows [][]float32
	for _, g := range order[:half] {
		for range 2 * s.each {
			hs, rows = append(hs, p.prompt[g]), append(rows, p.best(r, g, 1))
		}
	}
	reference, err := rm.NewProfile(rm.ProfileFile, p.names, hs, rows)
	if err != nil {
		return err
	}
	o := s.monitor
	o.Seed = int64(k)
	m, err := monitor.New(reference, o)
	if err != nil {
		return err
	}
	prompts := order[half:]
	rings := 0
	for range s.nulls {
		if w := p.window(m, r, prompts, 1, s.each); w.Alarm {
			rings++
		}
	}
	f.nulls, f.nullRings = f.nulls+s.nulls, f.nullRings+rings
	f.perRun = append(f.perRun, float64(rings)/float64(s.nulls))
	first := -1
	for i, n := range steps {
		w := p.window(m, r, prompts, n, s.each)
		if !w.Alarm {
			continue
		}
		f.rings[i]++
		if first < 0 {
			first = i
			f.first[i]++
			f.moved[w.Moved[0].Name]++
			for _, a := range w.Alarms() {
				f.by[a.Name]++
			}
		}
	}
	if first < 0 {
		f.never++
	}
	foreign, err := monitor.New(profile, o)
	if errors.Is(err, monitor.ErrNoProfile) || err != nil && k > 0 {
		return nil
	} else if err != nil {
		fmt.Printf("the proxy's own profile is not used: %v\n", err)
		return nil
	}
	if k < 20 {
		f.foreignOf++
		if w := p.window(foreign, r, prompts, 1, s.each); w.Alarm {
			f.foreign++
		}
	}
	return nil
}
