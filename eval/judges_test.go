package eval_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// Fagerland, Lydersen and Laake (2013), the example with 1 and 7 discordant
// pairs: exact 0.070, mid-p 0.039.
func TestMcNemarOfThePaper(t *testing.T) {
	exact, mid := eval.McNemar(1, 7)
	if math.Abs(exact-0.0703) > 5e-5 || math.Abs(mid-0.0391) > 5e-5 {
		t.Errorf("exact %v, mid-p %v", exact, mid)
	}
}

func TestMcNemar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, c := rapid.IntRange(0, 2000).Draw(t, "b"), rapid.IntRange(0, 2000).Draw(t, "c")
		exact, mid := eval.McNemar(b, c)
		exact2, mid2 := eval.McNemar(c, b)
		if exact != exact2 || mid != mid2 || !(mid >= 0 && mid <= exact && exact <= 1) {
			t.Fatalf("%d against %d: %v and %v, turned %v and %v", b, c, exact, mid, exact2, mid2)
		}
		if further, _ := eval.McNemar(max(b, c)+1, min(b, c)); further > exact*(1+1e-9) {
			t.Fatalf("one more on the greater side: %v after %v", further, exact)
		}
	})
}

func TestComparePaired(t *testing.T) {
	first := []float64{1, 1, 0, 0.5, 1, nan}
	second := []float64{0, 1, 0, 1, 0, 1}
	p := eval.ComparePaired(first, second, prompts(6), eval.Options{})
	if p.N != 5 || p.FirstAlone != 2 || p.SecondAlone != 1 || !near(float64(p.Delta), 0.3) || p.P != 1 || !p.DeltaCI.Contains(0.3) {
		t.Errorf("%+v", p)
	}
	turned := eval.ComparePaired(second, first, prompts(6), eval.Options{})
	if turned.Delta != -p.Delta || turned.P != p.P || !near(turned.DeltaCI[0], -p.DeltaCI[1]) {
		t.Errorf("turned %+v", turned)
	}
}

// Rates made by a judge of known errors come back.
func TestRoganGladen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// With these counts the truth is a share of 20ths.
		truth := rapid.IntRange(0, 20).Draw(t, "truth")
		se, sp := rapid.IntRange(11, 20).Draw(t, "sensitivity"), rapid.IntRange(11, 20).Draw(t, "specificity")
		positive := eval.Counted{K: truth*se + (20-truth)*(20-sp), N: 400}
		p := eval.RoganGladen(positive, eval.Counted{K: se, N: 20}, eval.Counted{K: sp, N: 20})
		if math.Abs(float64(p.Estimate)-float64(truth)/20) > 1e-9 {
			t.Fatalf("%+v, made of %v", p, float64(truth)/20)
		}
		if !(p.CI[0] >= 0 && p.CI[0] <= p.CI[1] && p.CI[1] <= 1) {
			t.Fatalf("interval %v", p.CI)
		}
	})
	// No better than chance: nothing can be said.
	if p := eval.RoganGladen(eval.Counted{K: 30, N: 100}, eval.Counted{K: 4, N: 10}, eval.Counted{K: 6, N: 10}); p.Estimate.Defined() || p.CI != unit {
		t.Errorf("%+v", p)
	}
}

// The interval counts what the calibration set does not know.
func TestLangReiczigelCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	draw := func(n int, p float64) (c eval.Counted) {
		c.N = n
		for range n {
			if r.Float64() < p {
				c.K++
			}
		}
		return c
	}
	const theta, se, sp, draws = 0.3, 0.85, 0.8, 2000
	covered, known := 0, 0
	for range draws {
		positive := draw(300, theta*se+(1-theta)*(1-sp))
		if eval.RoganGladen(positive, draw(60, se), draw(60, sp)).CI.Contains(theta) {
			covered++
		}
		// As if the calibration set were endless.
		lo := eval.RoganGladen(positive, eval.Counted{K: 850000, N: 1000000}, eval.Counted{K: 800000, N: 1000000}).CI
		if lo.Contains(theta) {
			known++
		}
	}
	for name, n := range map[string]int{"estimated": covered, "known": known} {
		if share := float64(n) / draws; share < 0.93 || share > 0.99 {
			t.Errorf("%s errors of the judge: %.3f of the intervals hold the truth", name, share)
		}
	}
}

// Shrout and Fleiss (1979), table 2: six targets, four judges.
func TestIntraclassOfThePaper(t *testing.T) {
	c := eval.Intraclass([][]float64{{9, 2, 5, 8}, {6, 1, 3, 2}, {8, 4, 6, 8}, {7, 1, 2, 6}, {10, 5, 6, 9}, {6, 2, 4, 7}})
	for name, x := range map[string][2]float64{
		"ICC(1,1)": {float64(c.One), 0.17}, "ICC(2,1)": {float64(c.Agreement), 0.29}, "ICC(3,1)": {float64(c.Consistency), 0.71},
		"ICC(1,4)": {float64(c.OneMean), 0.44}, "ICC(2,4)": {float64(c.AgreementMean), 0.62}, "ICC(3,4)": {float64(c.ConsistencyMean), 0.91},
	} {
		if math.Abs(x[0]-x[1]) > 0.005 {
			t.Errorf("%s %v, the paper has %v", name, x[0], x[1])
		}
	}
	if c := eval.Intraclass([][]float64{{1, 2}, {3}}); c.One.Defined() {
		t.Errorf("a table with a hole: %+v", c)
	}
}

// Consistency does not see a rater's severity, agreement does; nothing sees the
// unit.
func TestIntraclass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k := rapid.IntRange(2, 12).Draw(t, "n"), rapid.IntRange(2, 5).Draw(t, "k")
		// Eighths, so that adding ten loses no digit.
		eighth := rapid.Map(rapid.IntRange(-40, 40), func(i int) float64 { return float64(i) / 8 })
		x := rapid.SliceOfN(rapid.SliceOfN(eighth, k, k), n, n).Draw(t, "x")
		c := eval.Intraclass(x)
		scaled, severe := make([][]float64, n), make([][]float64, n)
		for i := range x {
			for j, v := range x[i] {
				scaled[i] = append(scaled[i], 3-2*v)
				severe[i] = append(severe[i], v+float64(10*j))
			}
		}
		s, v := eval.Intraclass(scaled), eval.Intraclass(severe)
		close := func(a, b eval.Figure) bool {
			return math.Abs(float64(a-b)) < 1e-6*(1+math.Abs(float64(a))) || !a.Defined() || math.Abs(float64(a)) > 1e6
		}
		if !close(c.One, s.One) || !close(c.Agreement, s.Agreement) || !close(c.Consistency, s.Consistency) || !close(c.Consistency, v.Consistency) {
			t.Fatalf("%+v, scaled %+v, severe %+v", c, s, v)
		}
	})
}

// lengthy draws a judge that follows the gold and the length, and a gold that
// follows the length too.
func lengthy(n int, follow, bias, own float64, seed uint64) (choices, gold, lengths []float64, clusters []dataset.Hash) {
	r := rand.New(rand.NewPCG(seed, 0))
	hard := func(z float64) float64 {
		if r.Float64() < eval.Sigmoid(z) {
			return 1
		}
		return 0
	}
	for i := range n {
		x := r.NormFloat64()
		g := hard(own * x)
		choices = append(choices, hard(bias*x+follow*(2*g-1)))
		gold, lengths = append(gold, g), append(lengths, 250*x)
		clusters = append(clusters, dataset.Prompt(fmt.Sprint(i/2)).Hash())
	}
	return choices, gold, lengths, clusters
}

func TestLengthBiasBeyondTheGold(t *testing.T) {
	// The gold likes length, and the judge only follows the gold.
	b := eval.MeasureLengthBias(lengthy(6000, 1.5, 0, 1, 1))
	if b.Judge.CI[0] <= 0 || b.Gold.CI[0] <= 0 || !b.Beyond.CI.Contains(0) || math.Abs(float64(b.Gold.Estimate)-1) > 0.15 {
		t.Errorf("an unbiased judge: %+v", b)
	}
	b = eval.MeasureLengthBias(lengthy(6000, 1.5, 0.8, 1, 2))
	if !b.Beyond.CI.Contains(0.8) || b.Beyond.CI[0] <= 0 || math.Abs(float64(b.SD)-250) > 10 || !near(float64(b.Longer), eval.Sigmoid(float64(b.Beyond.Estimate))) {
		t.Errorf("a judge with a bias of 0.8: %+v", b)
	}
	// One that always takes the longer reply has an effect, and not an endless one.
	b = eval.MeasureLengthBias([]float64{1, 0, 1, 0}, []float64{1, 1, 0, 0}, []float64{5, -5, 5, -5}, prompts(4))
	if !b.Beyond.Estimate.Defined() || b.Beyond.Estimate < 3 || b.N != 4 {
		t.Errorf("a judge of nothing but length: %+v", b)
	}
}

// The order of the replies has no say, nor has the unit of length.
func TestLengthBiasHasNoSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y, g, x, c := lengthy(rapid.IntRange(4, 60).Draw(t, "n"), 1, 0.5, 0.5, rapid.Uint64().Draw(t, "seed"))
		before := eval.MeasureLengthBias(y, g, x, c)
		for i := range y {
			x[i] *= 7
			if rapid.Bool().Draw(t, "swap") {
				y[i], g[i], x[i] = 1-y[i], 1-g[i], -x[i]
			}
		}
		after := eval.MeasureLengthBias(y, g, x, c)
		for _, d := range [][2]eval.Figure{
			{before.Judge.Estimate, after.Judge.Estimate},
			{before.Beyond.Estimate, after.Beyond.Estimate},
			{eval.Figure(before.Beyond.CI[0]), eval.Figure(after.Beyond.CI[0])},
			{7 * before.SD, after.SD},
		} {
			if math.Abs(float64(d[0]-d[1])) > 1e-6*(1+math.Abs(float64(d[0]))) {
				t.Fatalf("%+v, then %+v", before, after)
			}
		}
	})
}

// Of a mean, the general bootstrap gives about what the quick one does.
func TestBootstrapOf(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	v := make([]float64, 200)
	clusters := make([]dataset.Hash, len(v))
	for i := range v {
		v[i] = r.Float64()
		clusters[i] = dataset.Prompt(fmt.Sprint(i / 3)).Hash()
	}
	mean := func(items []int) float64 {
		sum := 0.0
		for _, i := range items {
			sum += v[i]
		}
		return sum / float64(len(items))
	}
	a, b := eval.BootstrapOf(clusters, mean, unit, eval.Options{}), eval.BootstrapCI(v, clusters, unit, eval.Options{})
	if math.Abs(a[0]-b[0]) > 0.005 || math.Abs(a[1]-b[1]) > 0.005 {
		t.Errorf("%v and %v", a, b)
	}
	if again := eval.BootstrapOf(clusters, mean, unit, eval.Options{}); again != a {
		t.Errorf("%v, then %v", a, again)
	}
	if one := eval.BootstrapOf(clusters[:2], mean, unit, eval.Options{}); one != unit {
		t.Errorf("a single prompt: %v", one)
	}
	if none := eval.BootstrapOf(clusters, func([]int) float64 { return nan }, unit, eval.Options{}); none != unit {
		t.Errorf("a statistic that is never there: %v", none)
	}
}
