package rm_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"cai/dataset"
	"cai/rm"
)

func TestNoiseOfAnnotatorsIsFound(t *testing.T) {
	statistics(t)
	pairs := makePairs(20, 1500)
	r := rand.New(rand.NewPCG(3, 3))
	flip := map[string]float64{"careful": 0.03, "careless": 0.35}
	by := func(p *dataset.Pair) string {
		if p.Source.Line%2 == 0 {
			return "careful"
		}
		return "careless"
	}
	for _, p := range pairs {
		if r.Float64() < flip[by(p)] {
			p.P = 1 - p.P
		}
	}
	_, tr := mustTrain(t, pairs, rm.Options{FitNoise: true, Annotator: by})
	for name, want := range flip {
		if got := tr.Noise[name]; math.Abs(got-want) > 0.06 {
			t.Errorf("noise of the %s annotator: %v, made with %v", name, got, want)
		}
	}
	_, tr = mustTrain(t, pairs, rm.Options{Noise: 0.2})
	if tr.Noise[""] != 0.2 {
		t.Errorf("noise %v, given was 0.2", tr.Noise)
	}
}

func TestTiesAreMoreLikelyBetweenLikeReplies(t *testing.T) {
	pairs := makePairs(21, 600)
	r := rand.New(rand.NewPCG(4, 4))
	for i, p := range pairs {
		if i%4 == 0 {
			p.First.Text, p.Second.Text, p.P = makeReply(r, 2, 2), makeReply(r, 2, 2), 0.5
		}
	}
	m, tr := mustTrain(t, pairs, rm.Options{Ties: true})
	if !(tr.Tie > 0) || m.Metadata.Tie != tr.Tie {
		t.Fatalf("tie %v, in the model %v", tr.Tie, m.Metadata.Tie)
	}
	var like, unlike float64
	for i, p := range pairs {
		z, _, _ := margin(t, m, p)
		if i%4 == 0 {
			like += m.Metadata.TieProbability(z) / 150
		} else {
			unlike += m.Metadata.TieProbability(z) / 450
		}
	}
	if !(like > 2*unlike) {
		t.Errorf("probability of a tie: %v where it is one, %v elsewhere", like, unlike)
	}
	if _, tr := mustTrain(t, makePairs(22, 50), rm.Options{Ties: true}); tr.Tie != 0 {
		t.Errorf("tie %v without any", tr.Tie)
	}
}

func TestPairsWithoutWeightTeachNothing(t *testing.T) {
	pairs := makePairs(33, 400)
	wrong := map[int]bool{}
	for i, p := range pairs {
		if i%3 == 0 {
			p.P = 1 - p.P
			wrong[p.Source.Line] = true
		}
	}
	weight := func(p *dataset.Pair) float64 {
		if wrong[p.Source.Line] {
			return 0
		}
		return 2
	}
	m, _ := mustTrain(t, pairs, rm.Options{Weight: weight, L2: []float64{1}})
	right := 0
	for _, p := range makePairs(24, 200) {
		if z, _, _ := margin(t, m, p); (z > 0) == (p.P == 1) {
			right++
		}
	}
	if right < 190 {
		t.Errorf("%d right of 200 although the wrong labels have no weight", right)
	}
	for _, w := range []float64{-1, math.NaN(), 0} {
		if _, _, err := rm.Train(t.Context(), seq(pairs), rm.Options{Weight: func(*dataset.Pair) float64 { return w }}); err == nil {
			t.Errorf("weight %v: no error", w)
		}
	}
}

func TestMarginWidensScores(t *testing.T) {
	pairs := makePairs(25, 400)
	spread := func(o rm.Options) (s float64) {
		o.L2 = []float64{1}
		m, tr := mustTrain(t, pairs, o)
		for _, p := range pairs {
			z, _, _ := margin(t, m, p)
			s += math.Abs(z) * tr.Temperature
		}
		return s
	}
	if plain, wide := spread(rm.Options{}), spread(rm.Options{Margin: 2}); !(wide > 1.1*plain) {
		t.Errorf("sum of margins before the temperature %v with a margin, %v without", wide, plain)
	}
}
