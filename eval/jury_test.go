package eval_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// court draws the margins of judges about n pairs: judge k's log-odds are
// scale·(true log-odds + noise), where those that it has are calibrated by
// slopes[k], so that P(right | z) = σ(slope·|z|). What is missing has the given
// share.
func court(r *rand.Rand, n int, slopes []float64, missing float64) (margins [][]float64, labels []float64, prompts []dataset.Hash) {
	margins = make([][]float64, len(slopes))
	for i := range n {
		truth := float64(2*r.IntN(2) - 1)
		labels = append(labels, (truth+1)/2)
		prompts = append(prompts, dataset.Prompt(fmt.Sprint(i/2)).Hash())
		hard := 0.2 + 2*r.Float64() // what is clear to one is clear to all
		for k, slope := range slopes {
			z := hard * (0.1 + r.ExpFloat64())
			if r.Float64() > eval.Sigmoid(slope*z) {
				z = -z
			}
			if z *= truth; r.Float64() < missing {
				z = math.NaN()
			}
			margins[k] = append(margins[k], z)
		}
	}
	return margins, labels, prompts
}

var juries = map[string]func([][]float64) *eval.Jury{"votes": eval.JuryOfVotes, "margins": eval.JuryOfMargins}

// Judges of known reliability come back, with margins that are missing.
func TestJuriesRecoverTheirJudges(t *testing.T) {
	slopes := []float64{2, 1, 0.5, 0.1}
	margins, labels, _ := court(rand.New(rand.NewPCG(5, 0)), 20000, slopes, 0.2)
	for name, fit := range juries {
		j := fit(margins)
		if !j.Identified {
			t.Errorf("%s: four judges are not identified", name)
		}
		for k := range slopes {
			if a := eval.Accuracy(margins[k], labels); math.Abs(j.Accuracy[k]-a) > 0.02 {
				t.Errorf("%s: judge %d is right on %.3f, estimated %.3f", name, k, a, j.Accuracy[k])
			}
			if name == "margins" && math.Abs(j.Weights[k]-slopes[k]) > 0.1*(0.3+slopes[k]) {
				t.Errorf("judge %d: weight %.3f, made with %v", k, j.Weights[k], slopes[k])
			}
		}
	}
	j := eval.JuryOfGold(margins, labels)
	for k := range slopes {
		if math.Abs(j.Weights[k]-slopes[k]) > 0.05*(0.5+slopes[k]) {
			t.Errorf("gold: judge %d: weight %.3f, made with %v", k, j.Weights[k], slopes[k])
		}
	}
}

// What a jury is for: it is right more often than each of its judges, and its
// log-odds are calibrated, without a label.
func TestAJuryBeatsItsJudges(t *testing.T) {
	margins, labels, prompts := court(rand.New(rand.NewPCG(6, 0)), 8000, []float64{1.2, 0.8, 0.3, 0.3}, 0)
	best := 0.0
	mean := make([]float64, len(labels))
	for k := range margins {
		best = math.Max(best, eval.Accuracy(margins[k], labels))
		for i := range mean {
			mean[i] += margins[k][i] / 4
		}
	}
	figures := func(j *eval.Jury) (accuracy, slope float64) {
		z := make([]float64, len(labels))
		for i := range z {
			z[i] = j.Margin(margins, i)
		}
		return eval.Accuracy(z, labels), eval.FitTemperature(z, labels).Slope
	}
	blind, slope := figures(eval.JuryOfMargins(margins))
	votes, _ := figures(eval.JuryOfVotes(margins))
	gold := eval.CrossFitJury(margins, labels, prompts)
	if equal := eval.Accuracy(mean, labels); blind <= best || blind <= equal || blind <= votes {
		t.Errorf("accuracy by margins %.3f; best judge %.3f, equal %.3f, votes %.3f", blind, best, equal, votes)
	}
	if math.Abs(slope-1) > 0.1 {
		t.Errorf("the posterior wants a slope of %.3f", slope)
	}
	if a := eval.Accuracy(gold, labels); a < blind-0.005 {
		t.Errorf("with gold %.3f, without %.3f", a, blind)
	}
}

func drawnCourt(t *rapid.T) ([][]float64, []float64, []dataset.Hash) {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	slopes := rapid.SliceOfN(rapid.Float64Range(0, 2), 1, 5).Draw(t, "slopes")
	margins, labels, prompts := court(r, rapid.IntRange(1, 60).Draw(t, "n"), slopes, rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "missing"))
	for k := range margins {
		for i := range margins[k] {
			if r.IntN(8) == 0 {
				margins[k][i] = 0
			}
		}
	}
	return margins, labels, prompts
}

// Each round is at least as likely as the one before, and judges are never worse
// than chance.
func TestJuriesClimb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		margins, labels, _ := drawnCourt(t)
		for name, j := range map[string]*eval.Jury{
			"votes": eval.JuryOfVotes(margins), "margins": eval.JuryOfMargins(margins), "gold": eval.JuryOfGold(margins, labels),
		} {
			for i := 1; i < len(j.Trace); i++ {
				if j.Trace[i] < j.Trace[i-1]-1e-10*(1+math.Abs(j.Trace[i])) {
					t.Fatalf("%s: %v after %v", name, j.Trace[i], j.Trace[i-1])
				}
			}
			for k, w := range j.Weights {
				if !(w >= 0) || math.IsInf(w, 1) || name == "votes" && j.Accuracy[k] < 0.5 {
					t.Fatalf("%s: %+v", name, j)
				}
			}
		}
	})
}

func nearly(a, b float64) bool {
	return math.Abs(a-b) < 1e-6*(1+math.Abs(a)) || math.IsNaN(a) && math.IsNaN(b)
}

// The order of the judges has no say, and which reply is called the first has
// none. Judges that say the same are worth the same.
func TestJuriesHaveNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		margins, labels, _ := drawnCourt(t)
		if rapid.Bool().Draw(t, "twice") {
			margins = append(margins, slices.Clone(margins[0]))
		}
		order := make([]int, len(margins))
		for k := range order {
			order[k] = k
		}
		order = rapid.Permutation(order).Draw(t, "order")
		turn := make([]bool, len(labels))
		for i := range turn {
			turn[i] = rapid.Bool().Draw(t, "turn")
		}
		other := make([][]float64, len(margins))
		turned := slices.Clone(labels)
		for k, from := range order {
			other[k] = slices.Clone(margins[from])
			for i := range turn {
				if turn[i] {
					other[k][i] = -other[k][i]
				}
			}
		}
		for i := range turn {
			if turn[i] {
				turned[i] = 1 - turned[i]
			}
		}
		for name, fit := range map[string]func([][]float64, []float64) *eval.Jury{
			"votes":   func(m [][]float64, _ []float64) *eval.Jury { return eval.JuryOfVotes(m) },
			"margins": func(m [][]float64, _ []float64) *eval.Jury { return eval.JuryOfMargins(m) },
			"gold":    eval.JuryOfGold,
		} {
			a, b := fit(margins, labels), fit(other, turned)
			for k, from := range order {
				if !nearly(a.Accuracy[from], b.Accuracy[k]) || !nearly(a.Weights[from], b.Weights[k]) {
					t.Fatalf("%s: judge %d: %+v, in another order %+v", name, from, a, b)
				}
			}
			for i := range labels {
				x, y := a.Margin(margins, i), b.Margin(other, i)
				if turn[i] {
					y = -y
				}
				if !nearly(x, y) {
					t.Fatalf("%s: pair %d: %v, turned %v", name, i, x, y)
				}
			}
			if n := len(margins) - 1; n > 0 && slices.EqualFunc(margins[0], margins[n], nearly) && !nearly(a.Weights[0], a.Weights[n]) {
				t.Fatalf("%s: the same judge twice: %v", name, a.Weights)
			}
		}
	})
}

// Two judges' votes do not tell how good each is, nor do those of three of which
// one is at chance, or two never saw the same pair.
func TestWhatIsNotIdentified(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 0))
	two, _, _ := court(r, 500, []float64{1, 1}, 0)
	three, _, _ := court(r, 500, []float64{1, 1, 1}, 0)
	apart := [][]float64{slices.Clone(three[0]), slices.Clone(three[1]), three[2]}
	for i := range apart[0] {
		apart[i%2][i] = math.NaN()
	}
	silent := [][]float64{three[0], three[1], make([]float64, 500)}
	for name, fit := range juries {
		if !fit(three).Identified {
			t.Errorf("%s: three good judges are not identified", name)
		}
		for what, m := range map[string][][]float64{"two judges": two, "judges that share no pair": apart, "one without a preference": silent, "none": nil} {
			if fit(m).Identified {
				t.Errorf("%s: %s are identified", name, what)
			}
		}
	}
	if j := eval.JuryOfGold(two, make([]float64, 0)); j.Identified || j.Weights[0] != 0 {
		t.Errorf("no gold: %+v", j)
	}
}

// A judge that stands in the jury twice is believed too much where nothing is
// known of the truth, its errors are seen to be correlated where there are four
// judges, and the gold weighs both together as it weighs the one.
func TestTheSameJudgeTwice(t *testing.T) {
	margins, labels, prompts := court(rand.New(rand.NewPCG(8, 0)), 2000, []float64{0.6, 1, 0.8}, 0)
	twice := append(slices.Clone(margins), margins[0])
	one, two := eval.JuryOfGold(margins, labels), eval.JuryOfGold(twice, labels)
	if math.Abs(two.Weights[0]+two.Weights[3]-one.Weights[0]) > 0.01 || !near(two.Weights[0], two.Weights[3]) {
		t.Errorf("weight %v, twice %v and %v", one.Weights[0], two.Weights[0], two.Weights[3])
	}
	crossed := eval.CrossFitJury(twice, labels, prompts)
	for i, z := range eval.CrossFitJury(margins, labels, prompts) {
		if math.Abs(z-crossed[i]) > 0.02*(1+math.Abs(z)) {
			t.Fatalf("pair %d: %v, with a judge twice %v", i, z, crossed[i])
		}
	}
	alone, with := eval.JuryOfVotes(margins), eval.JuryOfVotes(twice)
	if with.Accuracy[0] < alone.Accuracy[0]+0.05 {
		t.Errorf("accuracy %v, twice %v", alone.Accuracy[0], with.Accuracy[0])
	}
	// Against the truth the correlation of errors is 1 with itself and 0 with others.
	a, b := eval.Accuracy(margins[0], labels), eval.Accuracy(margins[1], labels)
	if rho := eval.ErrorCorrelation(twice[0], twice[3], a, a); !near(rho, 1) {
		t.Errorf("with itself %v", rho)
	}
	if rho := eval.ErrorCorrelation(twice[0], twice[1], a, b); math.Abs(rho) > 0.08 {
		t.Errorf("with another %v", rho)
	}
}

// On three judges without ties, the estimate is the one that three equations in
// three unknowns have: (2a−1)(2b−1) is how far two agree beyond chance.
func TestThreeJudgesByHand(t *testing.T) {
	margins, _, _ := court(rand.New(rand.NewPCG(9, 0)), 30000, []float64{2, 1.5, 1}, 0)
	agree := func(a, b int) (sum float64) {
		for i := range margins[a] {
			if sum--; (margins[a][i] > 0) == (margins[b][i] > 0) {
				sum += 2
			}
		}
		return sum / float64(len(margins[a]))
	}
	j := eval.JuryOfVotes(margins)
	for k := range 3 {
		l, m := (k+1)%3, (k+2)%3
		want := 0.5 + math.Sqrt(agree(k, l)*agree(k, m)/agree(l, m))/2
		if math.Abs(j.Accuracy[k]-want) > 1e-3 {
			t.Errorf("judge %d: %v, by hand %v", k, j.Accuracy[k], want)
		}
	}
}

func TestVoteKappa(t *testing.T) {
	k, n := eval.VoteKappa([]float64{1, -2, 0, 3, nan, 1}, []float64{2, -1, 0, -1, 1, nan})
	if n != 4 || !near(k, (0.75-0.3125)/(1-0.3125)) {
		t.Errorf("κ %v over %d", k, n)
	}
}

// The interval of a mean is that of BootstrapCI, in the same draws.
func TestBootstrapEach(t *testing.T) {
	margins, labels, prompts := court(rand.New(rand.NewPCG(10, 0)), 300, []float64{1}, 0)
	mean := func(items []int) []float64 {
		var z, p []float64
		for _, i := range items {
			z, p = append(z, margins[0][i]), append(p, labels[i])
		}
		return []float64{eval.Accuracy(z, p), math.NaN()}
	}
	got := eval.BootstrapEach(prompts, mean, eval.Interval{0, 1}, 2000, 3)
	right := make([]float64, len(labels))
	for i := range right {
		right[i] = eval.Correct(margins[0][i], labels[i])
	}
	want := eval.BootstrapCI(right, prompts, eval.Interval{0, 1}, eval.Options{Seed: 3})
	for i := range want {
		if math.Abs(got[0][i]-want[i]) > 0.01 {
			t.Errorf("%v, of the mean %v", got[0], want)
		}
	}
	if got[1] != (eval.Interval{0, 1}) {
		t.Errorf("a figure that is not there: %v", got[1])
	}
}

func BenchmarkJury(b *testing.B) {
	margins, labels, _ := court(rand.New(rand.NewPCG(5, 0)), 1000, []float64{1.5, 1, 0.5}, 0)
	for name, fit := range juries {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				fit(margins)
			}
		})
	}
	b.Run("gold", func(b *testing.B) {
		for b.Loop() {
			eval.JuryOfGold(margins, labels)
		}
	})
}
