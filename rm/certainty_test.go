package rm

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// drawMargins gives n margins and labels that these margins tell as often as
// their log-odds say.
func drawMargins(r *rand.Rand, n int) (z, p []float64) {
	for range n {
		v := 1.5 * r.NormFloat64()
		z = append(z, v)
		if r.Float64() < sigmoid(v) {
			p = append(p, 1)
		} else {
			p = append(p, 0)
		}
	}
	return z, p
}

func TestConformalSetsCover(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, level := range conformalLevels {
		mean, single := 0.0, 0.0
		const times = 400
		for range times {
			point, ok := newCertainty(drawMargins(r, 99)).At(level)
			if !ok {
				t.Fatalf("no level %v", level)
			}
			c := point.Cover(drawMargins(r, 300))
			mean += c.Covered / times
			single += c.Single / times
		}
		if math.Abs(mean-level) > 0.01 {
			t.Errorf("level %v covers %.3f", level, mean)
		}
		if single < 0.1 || single > 0.99 {
			t.Errorf("level %v: %.2f of the sets are of one", level, single)
		}
	}
}

func TestCertaintyOfAnyMargins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := rapid.SliceOfN(rapid.Float64Range(-3, 3), 0, 80).Draw(t, "z")
		p := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 0.3, 0.5, 1}), len(z), len(z)).Draw(t, "p")
		c := newCertainty(z, p)
		clear := 0
		for _, v := range p {
			if v != 0.5 {
				clear++
			}
		}
		if c == nil {
			if clear >= minCertainty {
				t.Fatalf("nothing is said of %d pairs", clear)
			}
			return
		}
		for _, point := range c.Conformal {
			// On the pairs they come from, the sets cover at least their level.
			if got := point.Cover(z, p); got.N != clear || got.Covered < point.Level-1e-9 {
				t.Fatalf("level %v covers %+v", point.Level, got)
			}
		}
		for _, d := range c.DontKnow {
			wrong, n := 0.0, 0.0
			for i, v := range z {
				if p[i] == 0.5 || math.Abs(v) < d.Margin {
					continue
				}
				n++
				if p[i] < 0.5 {
					v = -v
				}
				wrong += 1 - right(v)
			}
			if math.Abs(n-d.Share*float64(clear)) > 1e-6 || wrong > d.Error*n+1e-9 {
				t.Fatalf("%+v: %v of %v wrong, of %d", d, wrong, n, clear)
			}
		}
		pairs := 0
		for i, b := range c.Bins {
			pairs += b.Pairs
			if i > 0 && b.Margin < c.Bins[i-1].Margin {
				t.Fatalf("bins %+v are not in order", c.Bins)
			}
		}
		if pairs != clear {
			t.Fatalf("bins of %d pairs, there are %d", pairs, clear)
		}
	})
}
