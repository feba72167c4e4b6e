package rm

import (
	"context"
	"math"
	"strings"
	"testing"
)

// What an addition gains by its n-grams is what the model scores, for one that has
// nothing else; and of one word no other of the book gains more.
func TestAdditionsGainWhatTheySay(t *testing.T) {
	ctx := context.Background()
	pairs := smallPairs(31, 300)
	for name, o := range map[string]Options{
		"hash":      {Features: []string{FeatureHash}},
		"collision": {Features: []string{FeatureHash}, Dim: 1 << 8},
		"ensemble":  {Features: []string{FeatureHash}, Ensemble: 3},
	} {
		t.Run(name, func(t *testing.T) {
			if o.Dim == 0 {
				o.Dim = 1 << 12
			}
			o.L2 = []float64{3}
			m, _, err := Train(ctx, sequence(pairs), o)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.NewPhrasebook(100)
			if err != nil {
				t.Fatal(err)
			}
			words := map[string]bool{}
			for _, p := range pairs {
				b.Read(p.First.Text)
				b.Read(p.Second.Text)
				for _, w := range strings.Fields(strings.Trim(p.First.Text, ".")) {
					words[w] = true
				}
			}
			if b.Close() == 0 {
				t.Fatal("an empty book")
			}
			score := func(text string) float64 {
				s, err := m.Score(ctx, nil, text)
				if err != nil {
					t.Fatal(err)
				}
				return s.Mean
			}
			for _, reply := range []string{"", "river stone", "kind kind kind rude", pairs[0].First.Text} {
				as := b.Additions(nil, reply, 6)
				if len(as) == 0 {
					t.Fatalf("%q: none", reply)
				}
				before := score(reply)
				for _, a := range as {
					if got := score(reply+" "+a.Text) - before; math.Abs(got-a.Gain) > 1e-5 || len(strings.Fields(a.Text)) != a.Words {
						t.Errorf("%q and %q: gains %v, told %v", reply, a.Text, got, a.Gain)
					}
				}
				best := math.Inf(-1)
				for w := range words {
					best = max(best, score(reply+" "+w)-before)
				}
				if as[0].Words == 1 && as[0].Gain < best-1e-5 {
					t.Errorf("%q: %q gains %v, another word %v", reply, as[0].Text, as[0].Gain, best)
				}
			}
		})
	}
}
