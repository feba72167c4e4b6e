// Metrics prints random data and what package eval computes of it, as JSON, for
// an independent check:
//
//	go run ./bench/metrics [-cases N] [-seed N] | python3 bench/metrics/check.py
//
// check.py computes the same by scikit-learn, krippendorff, scipy and pingouin,
// or from a formula where none of them has it, and compares.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"

	"cai/dataset"
	"cai/eval"
)

func main() {
	cases := flag.Int("cases", 50, "how many sets of data")
	seed := flag.Uint64("seed", 1, "of the data")
	flag.Parse()
	enc := json.NewEncoder(os.Stdout)
	for i := range *cases {
		if err := enc.Encode(one(rand.New(rand.NewPCG(*seed, uint64(i))))); err != nil {
			fmt.Fprintln(os.Stderr, "metrics:", err)
			os.Exit(1)
		}
	}
}

type values = map[string]any

// one draws pairs with a judge, a gold label, lengths and annotators, and
// measures them.
func one(r *rand.Rand) values {
	n := 60 + r.IntN(400)
	prompts := 10 + r.IntN(n)
	slope, length := 0.3+2*r.Float64(), r.NormFloat64()
	var z, hard, soft, p, size, prompt []float64
	var clusters []dataset.Hash
	for range n {
		m := 2 * r.NormFloat64()
		if r.IntN(3) == 0 {
			m = math.Round(m*2) / 2 // ties, zeros too
		}
		l := math.Round(300 * r.NormFloat64())
		z, p, size = append(z, m), append(p, eval.Sigmoid(m)), append(size, l)
		label := 0.0
		if r.Float64() < eval.Sigmoid(slope*m-length*l/300) {
			label = 1
		}
		hard = append(hard, label)
		soft = append(soft, []float64{0, 1.0 / 3, 2.0 / 3, 1}[r.IntN(4)])
		k := r.IntN(prompts)
		prompt = append(prompt, float64(k))
		clusters = append(clusters, dataset.Prompt(fmt.Sprint(k)).Hash())
	}
	classes := 2 + r.IntN(4)
	a, b := make([]int, n), make([]int, n)
	for i := range a {
		a[i], b[i] = r.IntN(classes), r.IntN(classes)
		if r.Float64() < 0.5 {
			b[i] = a[i]
		}
	}
	annotators := 2 + r.IntN(4)
	units, votes := make([][]int, n), make([][]int, n) // −1 is missing
	as := make([][]eval.Vote, n)
	judge, judged := make([]eval.Vote, n), make([]int, n)
	for i := range units {
		truth := 1 + r.IntN(3)
		draw := func(missing float64) int {
			switch {
			case r.Float64() < missing:
				return 0
			case r.Float64() < 0.6:
				return truth
			}
			return 1 + r.IntN(3)
		}
		for range annotators {
			v := draw(0.2)
			votes[i] = append(votes[i], v)
			as[i] = append(as[i], eval.Vote(v))
			if v > 0 {
				units[i] = append(units[i], v)
			}
		}
		judged[i] = draw(0.1)
		judge[i] = eval.Vote(judged[i])
	}
	ratings := make([][]float64, 5+r.IntN(40))
	raters := 2 + r.IntN(4)
	for i := range ratings {
		level := 2 * r.NormFloat64()
		for j := range raters {
			ratings[i] = append(ratings[i], level+0.5*float64(j)+r.NormFloat64())
		}
	}
	positive := counted(r, 50+r.IntN(500), 0.5)
	sensitive, specific := counted(r, 30+r.IntN(100), 0.8), counted(r, 30+r.IntN(100), 0.8)
	discordant := [2]int{r.IntN(60), r.IntN(60)}
	exact, mid := eval.McNemar(discordant[0], discordant[1])

	confidence, correct := make([]float64, n), make([]float64, n)
	for i := range z {
		confidence[i] = math.Max(p[i], 1-p[i])
		if correct[i] = 0.5; z[i] != 0 && (z[i] > 0) == (hard[i] > 0.5) {
			correct[i] = 1
		} else if z[i] != 0 {
			correct[i] = 0
		}
	}
	temperature := eval.FitTemperature(z, hard)
	isotonic := eval.FitIsotonic(z, hard)
	probabilities := make([]float64, n)
	for i := range z {
		probabilities[i] = isotonic.Probability(z[i])
	}
	crossed := eval.CrossFit(z, hard, clusters, func(z, p []float64) eval.Calibration { return eval.FitTemperature(z, p) })
	// Fits that say which they are tell the part of each pair.
	ones, part := make([]float64, n), 0.0
	for i := range ones {
		ones[i] = 1
	}
	fold := eval.CrossFit(ones, hard, clusters, func(_, _ []float64) eval.Calibration {
		part++
		return eval.Temperature{Slope: part}
	})
	var games eval.Games
	played, names := [][3]int{}, []string{"ann", "bob", "cid", "dee", "eve"}
	for i := range hard {
		g := [3]int{r.IntN(5), r.IntN(5), r.IntN(3)}
		if g[0] == g[1] {
			g[1] = (g[0] + 1) % 5
		}
		played = append(played, g)
		games.Add(names[g[0]], names[g[1]], []string{"", "s", "t"}[g[2]], hard[i])
	}
	strengths := make([][]float64, len(names))
	fitted := games.Fit()
	for k, name := range names {
		for _, subset := range []string{"", "s", "t"} {
			x, _ := fitted.Of(name, subset)
			strengths[k] = append(strengths[k], x)
		}
	}
	judges, right := bench(r, n, hard)
	jurors, blind, gold := eval.JuryOfVotes(judges), eval.JuryOfMargins(judges), eval.JuryOfGold(judges, hard)
	verdicts := make([]float64, n)
	for i := range verdicts {
		verdicts[i] = jurors.Margin(judges, i)
	}
	kappa, _ := eval.VoteKappa(judges[0], judges[1])
	fit := eval.Logistic(hard, clusters, 0.01, hundreds(size), z)
	bias := eval.MeasureLengthBias(hard, soft, size, clusters)
	ceiling := eval.HumanCeiling(as, judge, clusters, eval.Options{})
	return values{
		"z": z, "hard": hard, "soft": soft, "p": p, "length": size, "prompt": prompt,
		"confidence": confidence, "correct": correct,
		"a": a, "b": b, "classes": classes, "votes": votes, "judge": judged, "ratings": ratings,
		"positive": positive, "sensitive": sensitive, "specific": specific, "discordant": discordant, "fold": fold,
		"games": played, "judges": missing(judges),
		"out": values{
			"kappa":  eval.Kappa(a, b),
			"linear": eval.WeightedKappa(a, b, classes, 1), "quadratic": eval.WeightedKappa(a, b, classes, 2),
			"alpha":    eval.Alpha(units),
			"log_loss": eval.LogLoss(z, hard), "log_loss_soft": eval.LogLoss(z, soft),
			"brier": eval.Brier(z, hard), "spearman": eval.Spearman(z, size),
			"ece":          eval.ECE(confidence, correct, eval.ECEBins),
			"ece_debiased": eval.DebiasedECE(confidence, correct, eval.ECEBins),
			"squared":      eval.DebiasedSquaredError(confidence, correct, eval.ECEBins),
			"murphy":       eval.Murphy(p, hard, eval.ECEBins),
			"curve":        eval.Reliability(p, hard, 10),
			"slope":        temperature.Slope, "slope_soft": eval.FitTemperature(z, soft).Slope,
			"isotonic": probabilities, "crossed": crossed,
			"prevalence": eval.RoganGladen(positive, sensitive, specific),
			"mcnemar":    []float64{exact, mid},
			"icc":        eval.Intraclass(ratings),
			"logistic":   fit, "length_bias": bias, "ceiling": ceiling,
			"strengths": strengths,
			"jury": values{
				"votes": jurors.Accuracy, "verdicts": verdicts, "density": jurors.Trace[len(jurors.Trace)-1],
				"margins": blind.Weights, "believed": blind.Accuracy, "density_margins": blind.Trace[len(blind.Trace)-1],
				"gold": gold.Weights, "crossed": eval.CrossFitJury(judges, hard, clusters),
				"kappa": kappa, "errors": eval.ErrorCorrelation(judges[0], judges[1], right[0], right[1]), "right": right,
			},
			"wilson": eval.Wilson(float64(positive.K), positive.N),
		},
	}
}

// bench draws judges of unlike quality, with ties and pairs that they were not
// asked about, and says how often each is right, ties half.
func bench(r *rand.Rand, n int, hard []float64) (judges [][]float64, right []float64) {
	for range 3 + r.IntN(3) {
		slope := 0.3 + 1.5*r.Float64()
		z := make([]float64, n)
		for i := range z {
			z[i] = 1.5 * r.ExpFloat64()
			if r.Float64() > eval.Sigmoid(slope*z[i]) {
				z[i] = -z[i]
			}
			if hard[i] == 0 {
				z[i] = -z[i]
			}
			switch r.IntN(12) {
			case 0:
				z[i] = 0
			case 1:
				z[i] = math.NaN()
			}
		}
		judges = append(judges, z)
		var known, labels []float64
		for i := range z {
			if !math.IsNaN(z[i]) {
				known, labels = append(known, z[i]), append(labels, hard[i])
			}
		}
		right = append(right, eval.Accuracy(known, labels))
	}
	return judges, right
}

// missing writes NaN as null.
func missing(judges [][]float64) (out [][]eval.Figure) {
	for _, z := range judges {
		row := make([]eval.Figure, len(z))
		for i := range z {
			row[i] = eval.Figure(z[i])
		}
		out = append(out, row)
	}
	return out
}

func counted(r *rand.Rand, n int, p float64) (c eval.Counted) {
	c.N = n
	for range n {
		if r.Float64() < p {
			c.K++
		}
	}
	return c
}

// hundreds scales lengths, for a regression of numbers of like size.
func hundreds(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / 100
	}
	return out
}
