// Command active measures how soon the pairs that cai label --pairs N chooses
// order a prompt's replies, beside pairs drawn at random: Kendall's τ-b of the
// fitted Bradley–Terry scores with the oracle's, against comparisons.
//
//	go run ./bench/active [-prompts N] [-min K] [FILE]
//
// The oracle is the preferences of FILE, AlpacaEval's responses, by default
// ../shared/data/alpaca_responses.jsonl.gz: within one group of a baseline and an
// annotator, a reply's score is its preference over the baseline, 1 to 2. A
// comparison of two replies is decided by their scores, a tie is ½. The noisy
// oracle draws the winner with probability σ(3 d/s), for a difference of d and a
// standard deviation of s of the prompt's scores; a tie is a coin.
//
// The fitted scores hardly ever tie, so where the oracle's do τ-b can only reach
// what a perfect order without ties has; that is printed with each group.
package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"

	"cai/label"
)

type record struct {
	Prompt    string `json:"prompt"`
	Responses []struct {
		Preference float64 `json:"preference"`
		Baseline   string  `json:"baseline"`
		Annotator  string  `json:"annotator"`
	} `json:"responses"`
}

type group struct{ baseline, annotator string }

func main() {
	prompts := flag.Int("prompts", 100, "prompts of each group, 0 for all")
	least := flag.Int("min", 8, "the fewest replies of a prompt")
	flag.Parse()
	file := "../shared/data/alpaca_responses.jsonl.gz"
	if flag.NArg() > 0 {
		file = flag.Arg(0)
	}
	if err := run(file, *prompts, *least); err != nil {
		fmt.Fprintln(os.Stderr, "active:", err)
		os.Exit(1)
	}
}

func run(file string, prompts, least int) error {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		fmt.Println("skipped:", file, "is not there")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	scores := map[group][][]float64{}
	in := bufio.NewScanner(zip)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var r record
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		of := map[group][]float64{}
		for _, x := range r.Responses {
			if x.Preference != 0 {
				g := group{x.Baseline, x.Annotator}
				of[g] = append(of[g], x.Preference)
			}
		}
		for g, s := range of {
			if len(s) >= least && (prompts == 0 || len(scores[g]) < prompts) {
				scores[g] = append(scores[g], s)
			}
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	groups := make([]group, 0, len(scores))
	for g := range scores {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.baseline, b.baseline), cmp.Compare(a.annotator, b.annotator))
	})
	for _, g := range groups {
		for _, noisy := range []bool{false, true} {
			table(g, scores[g], noisy)
		}
	}
	return nil
}

// factors are the numbers of comparisons, in replies.
var factors = []float64{1, 1.5, 2, 3, 4, 6}

func table(g group, prompts [][]float64, noisy bool) {
	var replies, pairs, perfect float64
	used := prompts[:0:0]
	for _, s := range prompts {
		if slices.Min(s) < slices.Max(s) { // else there is nothing to order
			used = append(used, s)
			replies += float64(len(s))
			pairs += float64(len(s) * (len(s) - 1) / 2)
			perfect += tauB(untied(s), s)
		}
	}
	if len(used) == 0 {
		return
	}
	n := float64(len(used))
	oracle := "exact oracle"
	if noisy {
		oracle = "noisy oracle"
	}
	fmt.Printf("\nbaseline %s, annotator %s, %s: %d prompts of %.1f replies, %.0f pairs (%d prompts whose replies all tie left out); a perfect order without ties has τ-b %.3f\n",
		g.baseline, g.annotator, oracle, len(used), replies/n, pairs/n, len(prompts)-len(used), perfect/n)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "comparisons\tactive τ-b\trandom τ-b\tdifference\t± 95 %\tbest of active\tof random\t")
	for _, x := range factors {
		row(w, used, noisy, fmt.Sprintf("%gK", x), func(k int) int { return int(x * float64(k)) })
	}
	row(w, used, noisy, "all", func(k int) int { return k * (k - 1) / 2 })
	w.Flush()
}

func row(w *tabwriter.Writer, prompts [][]float64, noisy bool, name string, count func(k int) int) {
	var active, random, topA, topR float64
	var diffs []float64
	for i, s := range prompts {
		o := newOracle(s, noisy, uint64(i))
		n := min(count(len(s)), len(s)*(len(s)-1)/2)
		a, b := chosen(o, n, uint64(i)), drawn(o, n, uint64(i))
		ta, tb := tauB(a.Scores, s), tauB(b.Scores, s)
		active += ta
		random += tb
		topA += best(a.Scores, s)
		topR += best(b.Scores, s)
		diffs = append(diffs, ta-tb)
	}
	n := float64(len(prompts))
	mean, sq := (active-random)/n, 0.0
	for _, d := range diffs {
		sq += (d - mean) * (d - mean)
	}
	fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%+.3f\t%.3f\t%.3f\t%.3f\t\n", name, active/n, random/n, mean,
		1.96*math.Sqrt(sq/(n-1)/n), topA/n, topR/n)
}

// oracle answers a pair the same way however often it is asked.
type oracle struct {
	scores []float64
	noisy  bool
	sd     float64
	seed   uint64
}

func newOracle(s []float64, noisy bool, seed uint64) oracle {
	var mean, sq float64
	for _, x := range s {
		mean += x / float64(len(s))
	}
	for _, x := range s {
		sq += (x - mean) * (x - mean) / float64(len(s))
	}
	return oracle{s, noisy, math.Sqrt(sq), seed}
}

func (o oracle) compare(p [2]int) label.Comparison {
	d := o.scores[p[0]] - o.scores[p[1]]
	c := label.Comparison{I: p[0], J: p[1], P: 0.5}
	switch {
	case o.noisy:
		r := rand.New(rand.NewPCG(o.seed, uint64(p[0])<<32|uint64(p[1])))
		c.P = 0
		if r.Float64() < 1/(1+math.Exp(-3*d/o.sd)) {
			c.P = 1
		}
	case d > 0:
		c.P = 1
	case d < 0:
		c.P = 0
	}
	return c
}

// chosen ranks by the pairs that cai label would choose.
func chosen(o oracle, n int, seed uint64) *label.Ranking {
	k := len(o.scores)
	taken := map[[2]int]bool{}
	var cs []label.Comparison
	for {
		next := label.NextPairs(k, n, cs, taken, seed)
		if len(next) == 0 {
			return label.Rank(k, cs)
		}
		for _, p := range next {
			taken[p] = true
			cs = append(cs, o.compare(p))
		}
	}
}

// drawn ranks by pairs drawn at random.
func drawn(o oracle, n int, seed uint64) *label.Ranking {
	k := len(o.scores)
	var all [][2]int
	for i := range k {
		for j := i + 1; j < k; j++ {
			all = append(all, [2]int{i, j})
		}
	}
	rand.New(rand.NewPCG(seed, 77)).Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	var cs []label.Comparison
	for _, p := range all[:n] {
		cs = append(cs, o.compare(p))
	}
	return label.Rank(k, cs)
}

// tauB is Kendall's τ-b. Scores that differ by rounding alone tie.
func tauB(a, b []float64) float64 {
	var con, dis, tieA, tieB float64
	for i := range a {
		for j := range i {
			x, y := a[i]-a[j], b[i]-b[j]
			zx, zy := math.Abs(x) < 1e-9, math.Abs(y) < 1e-9
			switch {
			case zx && zy:
			case zx:
				tieA++
			case zy:
				tieB++
			case x*y > 0:
				con++
			default:
				dis++
			}
		}
	}
	d := math.Sqrt((con + dis + tieA) * (con + dis + tieB))
	if d == 0 {
		return 0
	}
	return (con - dis) / d
}

// best is the oracle's score of the reply that a ranks first, from 0, its worst
// reply, to 1, its best.
func best(a, s []float64) float64 {
	at := 0
	for i := range a {
		if a[i] > a[at] {
			at = i
		}
	}
	lo, hi := slices.Min(s), slices.Max(s)
	return (s[at] - lo) / (hi - lo)
}

// untied gives the order of s with ties broken by place.
func untied(s []float64) []float64 {
	order := make([]int, len(s))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s[a], s[b]) })
	out := make([]float64, len(s))
	for rank, i := range order {
		out[i] = float64(rank)
	}
	return out
}
