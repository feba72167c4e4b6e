package eval_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"cai/dataset"
	"cai/eval"
)

// trials simulates a judge: people prefer the first reply with probability σ(t)
// for a hidden t, and the judge says sharpness·t plus length for each SD that the
// first reply is longer.
func trials(n int, sharpness, length float64, seed uint64) []eval.Trial {
	r := rand.New(rand.NewPCG(seed, 7))
	out := make([]eval.Trial, n)
	for i := range out {
		t, longer := 2*r.NormFloat64(), r.NormFloat64()
		var votes []float64
		sum := 0.0
		for range 3 {
			v := 0.0
			if r.Float64() < eval.Sigmoid(t) {
				v = 1
			}
			votes = append(votes, v)
			sum += v
		}
		out[i] = eval.Trial{
			Pair: &dataset.Pair{
				Prompt: dataset.Prompt(fmt.Sprint("question ", i)),
				First:  dataset.Response{Text: strings.Repeat("a", 300+int(60*longer))},
				Second: dataset.Response{Text: strings.Repeat("b", 300)},
				P:      sum / 3, Votes: votes,
			},
			Z: sharpness*t + length*longer, Bias: 0.4, SameSlot: 0.25, Coverage: 0.9, Seconds: 2,
		}
	}
	return out
}

func TestACardFindsWhatIsWrongWithAJudge(t *testing.T) {
	o := eval.Options{Seed: 1}
	good := eval.Calibrate("good", trials(150, 1, 0, 1), o)
	if math.Abs(float64(good.Temperature)-1) > 0.25 || good.Calibration.ECEDebiased > 0.06 {
		t.Errorf("a calibrated judge has temperature %s, ECE %s", good.Temperature, good.Calibration.ECEDebiased)
	}
	if ci := good.LengthDetail.Beyond.CI; !ci.Contains(0) {
		t.Errorf("a judge that does not look at length has a length bias of %v", ci)
	}
	if h := good.Ceiling; h.N != 150 || good.HumanCeiling < 0.55 || good.HumanCeiling > 0.9 || h.DeltaCI[0] < -0.05 {
		t.Errorf("ceiling %+v", h)
	}
	if good.AlphaPeople < 0.2 || good.Kappa < 0.4 || math.Abs(float64(good.PositionBias)-0.4) > 1e-9 || good.Seconds != 2 {
		t.Errorf("alpha %s, kappa %s, position bias %s, seconds %s", good.AlphaPeople, good.Kappa, good.PositionBias, good.Seconds)
	}

	sure := eval.Calibrate("sure", trials(150, 4, 0, 1), o)
	if math.Abs(float64(sure.Temperature)/float64(good.Temperature)-4) > 0.01 {
		t.Errorf("four times as sure, temperature %s against %s", sure.Temperature, good.Temperature)
	}
	if sure.Accuracy != good.Accuracy || sure.Kappa != good.Kappa {
		t.Error("being surer changes the verdicts")
	}
	if sure.Calibration.ECE < 0.1 || sure.Maps[sure.Chosen].LogLoss > sure.Calibration.LogLoss-0.2 || sure.Maps[sure.Chosen].ECE > sure.Calibration.ECE/2 {
		t.Errorf("ECE %s, log loss %s; mapped %+v", sure.Calibration.ECE, sure.Calibration.LogLoss, sure.Maps[sure.Chosen])
	}

	long := eval.Calibrate("long", trials(150, 1, 1.5, 1), o)
	if b := long.LengthDetail.Beyond; b.CI[0] < 0.3 || long.LengthBias != b.Estimate {
		t.Errorf("a judge that likes length has a length bias of %+v", b)
	}

	blind := trials(40, 0, 0, 2)
	for i := range blind {
		blind[i].Z = math.NaN()
	}
	c := eval.Calibrate("silent", blind, o)
	if c.N != 0 || c.Abstained != 40 || c.Accuracy.Defined() || c.Kappa.Defined() {
		t.Errorf("a judge that abstains: %+v", c.Figures)
	}
}

// A pair turned round, with its votes and the judge's log-odds, is the same pair:
// no figure that has no side changes.
func TestACardKnowsNoOrderOfReplies(t *testing.T) {
	for seed := range uint64(4) {
		ts := trials(5+16*int(seed), 1, 0.3, seed)
		turned := make([]eval.Trial, len(ts))
		for i, x := range ts {
			p := *x.Pair
			p.First, p.Second, p.P = p.Second, p.First, 1-p.P
			p.Votes = nil
			for _, v := range x.Pair.Votes {
				p.Votes = append(p.Votes, 1-v)
			}
			x.Pair, x.Z = &p, -x.Z
			turned[i] = x
		}
		o := eval.Options{Seed: 3}
		a, b := eval.Calibrate("a", ts, o), eval.Calibrate("a", turned, o)
		near := func(name string, x, y eval.Figure) {
			if x.Defined() != y.Defined() || x.Defined() && math.Abs(float64(x-y)) > 1e-9 {
				t.Errorf("%s: %v and %v", name, x, y)
			}
		}
		near("accuracy", a.Accuracy, b.Accuracy)
		near("kappa", a.Kappa, b.Kappa)
		near("weighted kappa", a.WeightedKappa, b.WeightedKappa)
		near("alpha", a.Alpha, b.Alpha)
		near("ceiling", a.HumanCeiling, b.HumanCeiling)
		near("log loss", a.Calibration.LogLoss, b.Calibration.LogLoss)
		near("ece", a.Calibration.ECE, b.Calibration.ECE)
		near("temperature", a.Temperature, b.Temperature)
		near("isotonic", a.Maps[eval.MapIsotonic].LogLoss, b.Maps[eval.MapIsotonic].LogLoss)
		near("length bias", a.LengthBias, b.LengthBias)
		p := eval.CompareTrials(ts, turned, o)
		if p.FirstAlone != 0 || p.SecondAlone != 0 || p.P != 1 {
			t.Errorf("a judge and itself differ: %+v", p)
		}
	}
}

func TestTrialsOfTwoJudgesAreMatchedByPair(t *testing.T) {
	a := trials(50, 1, 0, 1)
	b := append([]eval.Trial(nil), a[10:]...)
	for i := range b[:5] {
		b[i].Z = -b[i].Z
	}
	agree, _ := eval.AgreeTrials(a, b, eval.Options{})
	if want := eval.Figure(35.0 / 40); agree != want {
		t.Errorf("agreement %v, want %v", agree, want)
	}
	if p := eval.CompareTrials(a, b, eval.Options{}); p.N != 40 || p.FirstAlone+p.SecondAlone != 5 {
		t.Errorf("%+v", p)
	}
}
