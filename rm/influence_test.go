package rm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"cai/dataset"
)

// smallPairs makes pairs whose better replies have more of some words, the labels
// with noise.
func smallPairs(seed uint64, n int) []*dataset.Pair {
	r := rand.New(rand.NewPCG(seed, 7))
	words := strings.Fields("kind clear fair rude vague cold river stone bird wind hill light tree rain snow leaf")
	reply := func() (string, float64) {
		var w []string
		good := 0.0
		for range 4 + r.IntN(8) {
			k := r.IntN(len(words))
			switch {
			case k < 3:
				good++
			case k < 6:
				good--
			}
			w = append(w, words[k])
		}
		return strings.Join(w, " ") + ".", good
	}
	var out []*dataset.Pair
	for i := range n {
		a, ga := reply()
		b, gb := reply()
		p := 0.0
		if ga-gb+r.NormFloat64() > 0 {
			p = 1
		}
		out = append(out, &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprintf("Question %d about %s?", i, words[r.IntN(len(words))])),
			First:  dataset.Response{Text: a}, Second: dataset.Response{Text: b}, P: p, Source: dataset.Source{Line: i + 1},
		})
	}
	return out
}

func sequence(pairs []*dataset.Pair) func(func(*dataset.Pair, error) bool) {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// correlation is Pearson's.
func correlation(a, b []float64) float64 {
	n := float64(len(a))
	var sa, sb, saa, sbb, sab float64
	for i := range a {
		sa, sb = sa+a[i], sb+b[i]
		saa, sbb, sab = saa+a[i]*a[i], sbb+b[i]*b[i], sab+a[i]*b[i]
	}
	return (sab - sa*sb/n) / math.Sqrt((saa-sa*sa/n)*(sbb-sb*sb/n))
}

// TestInfluenceIsThatOfLeavingOut solves the members' problems again without each
// pair.
func TestInfluenceIsThatOfLeavingOut(t *testing.T) {
	ctx := context.Background()
	pairs := smallPairs(1, 150)
	left := 40
	if testing.Short() {
		pairs, left = pairs[:60], 5
	}
	vote := func(p *dataset.Pair) []float64 {
		if p.Source.Line%3 == 0 {
			return []float64{math.NaN(), 1 - p.P}
		}
		return []float64{p.P, 1 - p.P}
	}
	for name, o := range map[string]Options{
		"linear":     {},
		"hash":       {Features: []string{FeatureHash}},
		"chars":      {Features: []string{FeatureChars, FeatureStyle}},
		"holdout":    {Holdout: 0.2},
		"ensemble":   {Ensemble: 3},
		"debias":     {Debias: []string{DebiasLength}},
		"principles": {Head: HeadPrinciples, Principles: []string{"good", "bad"}, Votes: vote},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dim, o.L2 = 1<<12, []float64{6}
			m, _, err := Train(ctx, sequence(pairs), o)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.Background(ctx, sequence(pairs), o)
			if err != nil {
				t.Fatal(err)
			}
			if !b.Same || b.Pairs != m.Metadata.Pairs || len(b.fits) != len(m.members) || b.Unknown != nil {
				t.Fatalf("background %+v of %d pairs, %d of them fitted to", b.Same, b.Pairs, m.Metadata.Pairs)
			}
			q := smallPairs(2, 1)[0]
			for _, replies := range [][]string{{q.First.Text, q.Second.Text}, {q.First.Text}} {
				_, most, err := b.Nearest(ctx, q.Prompt, replies, b.Pairs, true)
				if err != nil {
					t.Fatal(err)
				}
				told := map[*dataset.Pair]float64{}
				for _, n := range most {
					told[n.Pair] = n.Removal
				}
				x, shares, err := b.direction(ctx, q.Prompt, replies)
				if err != nil {
					t.Fatal(err)
				}
				// The solutions with all pairs, and without each of some.
				solve := func(f *fitted, without int) float64 {
					w := make([]float64, b.x.cols)
					for j, v := range m.members[f.member].head.(*linear).weight {
						w[j] = float64(v)
					}
					p, y := *f.t, *f.t.x
					y.weight = make([]float64, y.rows())
					for i := range y.weight {
						y.weight[i] = 1
					}
					y.weigh(y.weight)
					if f.t.x.weight != nil {
						copy(y.weight, f.t.x.weight)
					}
					if without >= 0 {
						y.weight[without] = 0
					}
					p.x = &y
					if _, err := p.solve(ctx, w, 1e-7); err != nil {
						t.Fatal(err)
					}
					return shares[f.member] * m.members[f.member].scale / m.Metadata.Temperature * dot(x, w)
				}
				all := make([]float64, len(b.fits))
				for k := range b.fits {
					all[k] = solve(&b.fits[k], -1)
				}
				var want, got []float64
				for i := range left {
					d := 0.0
					for k := range b.fits {
						d += solve(&b.fits[k], i) - all[k]
					}
					want, got = append(want, d), append(got, told[b.rows[i].pair])
				}
				var scale, err2 float64
				for i := range want {
					scale += want[i] * want[i]
					err2 += (want[i] - got[i]) * (want[i] - got[i])
				}
				if c, e := correlation(want, got), math.Sqrt(err2/scale); c < 0.99 || e > 0.15 {
					t.Errorf("of %d replies: correlation %v, relative error %v", len(replies), c, e)
				}
			}
		})
	}
}

func TestNearestPairIsItself(t *testing.T) {
	ctx := context.Background()
	pairs := smallPairs(3, 120)
	m, _, err := Train(ctx, sequence(pairs), Options{Dim: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Background(ctx, sequence(pairs), Options{})
	if err != nil {
		t.Fatal(err)
	}
	// What is expected of the prompts in training comes from other prompts, so the
	// cosine is not quite 1.
	for _, p := range pairs[:10] {
		near, _, err := b.Nearest(ctx, p.Prompt, []string{p.First.Text, p.Second.Text}, 1, false)
		if err != nil {
			t.Fatal(err)
		}
		if near[0].Pair != p || (near[0].Cosine > 0) != (p.P == 1) || math.Abs(near[0].Cosine) < 0.9 {
			t.Errorf("line %d: nearest is line %d, cosine %v", p.Source.Line, near[0].Pair.Source.Line, near[0].Cosine)
		}
	}
	other, err := m.Background(ctx, sequence(pairs[:100]), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if other.Same || other.Pairs != 100 {
		t.Errorf("other data are taken for those of the training: %+v", other.Pairs)
	}
	if _, err := m.Background(ctx, sequence(nil), Options{}); err == nil {
		t.Error("no pairs are no error")
	}
}

func TestNetworksHaveNoInfluence(t *testing.T) {
	ctx := context.Background()
	pairs := smallPairs(4, 100)
	for head, want := range map[string]int{HeadMLP: 1, HeadStack: 1} {
		m, _, err := Train(ctx, sequence(pairs), Options{Dim: 1 << 12, Head: head})
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Background(ctx, sequence(pairs), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range b.Unknown {
			if name != HeadMLP {
				t.Errorf("%s: the influence on %s is unknown", head, name)
			}
		}
		near, most, err := b.Nearest(ctx, nil, []string{"kind river", "rude river"}, 3, true)
		if err != nil || len(near) == 0 || len(b.Unknown) > want || head == HeadMLP && most != nil {
			t.Errorf("%s: %v, %d near, influential %v, unknown %v", head, err, len(near), most, b.Unknown)
		}
	}
}
