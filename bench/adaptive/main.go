// Command adaptive measures what cai label --adaptive saves and what that does
// to the labels: the share of questions that are not asked, and how often the
// label is another one than that of all the principles, over thresholds.
//
//	go run ./bench/adaptive                      simulated judges
//	go run ./bench/adaptive -db FILE [-min-coverage X]
//	                                             every judge of a store, on its fully judged pairs
//
// The rule is run over pairs of which everything is known. It learns from the
// first pairs, all of whose principles are asked, and from what it asked of the
// others, as a labelling run does. "expected" is the mean probability at which
// the rule stopped, "flipped" how many of the stopped pairs really have another
// label: it should be at most the threshold.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"text/tabwriter"

	"cai/dataset"
	"cai/label"
	"cai/store"
)

var thresholds = []float64{0.2, 0.1, 0.05, 0.02, 0.01}

func main() {
	db := flag.String("db", "", "a store with judgments, instead of simulated ones (`FILE`)")
	coverage := flag.Float64("min-coverage", 0.1, "judgments below `X` abstain")
	pairs := flag.Int("pairs", 1000, "simulated pairs of each judge")
	runs := flag.Int("runs", 5, "simulated jobs of each judge")
	reread := flag.Float64("reread", 4, "cost of the replies read again in the other order, in questions")
	flag.Parse()
	var err error
	if *db != "" {
		err = stored(*db, *coverage, *reread)
	} else {
		simulated(*pairs, *runs, *reread)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "adaptive:", err)
		os.Exit(1)
	}
}

// kind is a simulated judge: z_k = scale·(√ρ·pair + √(1−ρ)·own_k)·gain_k, where
// scale is 1 or, for heavy tails, that of a t with nu degrees of freedom.
type kind struct {
	name       string
	principles int
	rho        float64
	nu         float64
	clusters   int // of principles that share half of what is their own
}

var kinds = []kind{
	{"16 principles, correlation .7, easy and hard pairs", 16, 0.7, 4, 1},
	{"16 principles, correlation .5, normal", 16, 0.5, math.Inf(1), 1},
	{"16 principles, correlation .3, four themes", 16, 0.3, 6, 4},
	{"8 principles, correlation .5, easy and hard pairs", 8, 0.5, 4, 1},
	{"16 principles, no correlation", 16, 0, math.Inf(1), 1},
}

func (k kind) draw(r *rand.Rand, n int) [][]float64 {
	gain := make([]float64, k.principles)
	for i := range gain {
		gain[i] = math.Exp(0.4 * r.NormFloat64())
	}
	rows := make([][]float64, n)
	for i := range rows {
		scale := 1.0
		if !math.IsInf(k.nu, 1) {
			var chi float64
			for range int(k.nu) {
				x := r.NormFloat64()
				chi += x * x
			}
			scale = math.Sqrt(k.nu / chi)
		}
		pair := r.NormFloat64()
		theme := make([]float64, k.clusters)
		for c := range theme {
			theme[c] = r.NormFloat64()
		}
		rows[i] = make([]float64, k.principles)
		for p := range rows[i] {
			own := r.NormFloat64()
			if k.clusters > 1 {
				own = (own + theme[p%k.clusters]) / math.Sqrt2
			}
			rows[i][p] = scale * gain[p] * (math.Sqrt(k.rho)*pair + math.Sqrt(1-k.rho)*own)
		}
	}
	return rows
}

func simulated(pairs, runs int, reread float64) {
	for _, k := range kinds {
		fmt.Printf("\n%s: %d jobs of %d pairs\n", k.name, runs, pairs)
		table(runs, func(run int) [][]float64 {
			return k.draw(rand.New(rand.NewPCG(7, uint64(run))), pairs)
		}, nil, reread)
	}
}

func stored(path string, coverage, reread float64) error {
	ctx := context.Background()
	st, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	defer st.Close()
	judges, err := st.Judges(ctx)
	if err != nil {
		return err
	}
	for _, j := range judges {
		rows, skipped, err := full(ctx, st, j.Hash, coverage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Printf("\n%s: %d pairs × %d principles (%d pairs left out: not fully judged, or too little coverage)\n",
			j.Model, len(rows), len(rows[0]), skipped)
		table(20, func(run int) [][]float64 {
			out := append([][]float64(nil), rows...)
			rand.New(rand.NewPCG(7, uint64(run))).Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
			return out
		}, nil, reread)
	}
	return nil
}

// full gives z by principle of the pairs that a judge has judged under all of
// the principles under which it has judged half of its pairs or more.
func full(ctx context.Context, st *store.Store, judge dataset.Hash, coverage float64) (rows [][]float64, skipped int, err error) {
	set := label.Settings{MinCoverage: coverage, Weights: map[dataset.Hash]float64{}}
	var pairs [][]dataset.Judgment
	for j, err := range st.Judged(ctx, store.Filter{Judge: judge}) {
		if err != nil {
			return nil, 0, err
		}
		seen := map[dataset.Hash]bool{}
		for i := range j.Judgments {
			seen[j.Judgments[i].Principle] = true
		}
		for p := range seen {
			set.Weights[p]++
		}
		pairs = append(pairs, j.Judgments)
	}
	for p, n := range set.Weights {
		set.Weights[p] = 1
		if 2*n < float64(len(pairs)) {
			delete(set.Weights, p)
		}
	}
	for _, js := range pairs {
		l, ok := label.Aggregate(js, set)
		if !ok || len(l.Parts) < len(set.Weights) {
			skipped++
			continue
		}
		var z []float64
		for _, p := range l.Parts { // by principle hash: the same in every pair
			z = append(z, p.Z)
		}
		rows = append(rows, z)
	}
	return rows, skipped, nil
}

// table prints one line for each threshold, over runs of the rule on the pairs
// that draw gives.
func table(runs int, draw func(run int) [][]float64, weights []float64, reread float64) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "threshold\tcalls saved\tafter the pilot\ttime saved\tstopped\tagreement\texpected\tflipped\tof stopped\t")
	for _, risk := range thresholds {
		var r label.Replay
		pilot := 0 // principles that are asked in it
		for run := range runs {
			rows := draw(run)
			pilot += min(label.Pilot, len(rows)) * len(rows[0])
			job(&r, rows, weights, risk, label.Cost{Reread: reread})
		}
		stopped := float64(max(1, r.Stopped))
		fmt.Fprintf(w, "%g\t%.1f %%\t%.1f %%\t%.1f %%\t%.1f %%\t%.2f %%\t%.4f\t%.4f\t%d\t\n", risk,
			100*(1-float64(r.Asked)/float64(r.Wanted)),
			100*float64(r.Wanted-r.Asked)/float64(max(1, r.Wanted-pilot)), 100*(1-r.Cost/r.FullCost),
			100*float64(r.Stopped)/float64(r.Pairs), 100*(1-float64(r.Flipped)/float64(r.Pairs)),
			r.Expected/stopped, float64(r.Flipped)/stopped, r.Stopped)
	}
	w.Flush()
}

// job runs the rule over pairs in their order.
func job(r *label.Replay, rows [][]float64, weights []float64, risk float64, c label.Cost) {
	k := len(rows[0])
	if weights == nil {
		weights = make([]float64, k)
		for i := range weights {
			weights[i] = 1
		}
	}
	var known [][]float64
	var m *label.Model
	fitted := 0
	for i, z := range rows {
		if i < label.Pilot {
			known = append(known, z)
			r.Pairs++
			r.Asked += k
			r.Wanted += k
			cost := 2*c.Reread + 2*float64(k)
			r.Cost += cost
			r.FullCost += cost
			continue
		}
		if m == nil || len(known) >= fitted+fitted/2 {
			m, _ = label.FitModel(k, known)
			fitted = len(known)
		}
		known = append(known, m.Replay(r, z, weights, risk, c))
	}
}
