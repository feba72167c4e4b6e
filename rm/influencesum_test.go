package rm

import (
	"context"
	"math"
	"slices"
	"testing"

	"cai/dataset"
)

// The influence on a gain is what is left of the gain when the model is trained
// again without the pairs, and sums of scores are sums of influences.
func TestInfluenceOnAGainIsThatOfTrainingAgain(t *testing.T) {
	ctx := context.Background()
	pairs := smallPairs(11, 400)
	for name, o := range map[string]Options{
		"linear":   {},
		"ensemble": {Ensemble: 3},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dim, o.L2 = 1<<12, []float64{20}
			m, _, err := Train(ctx, sequence(pairs), o)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.Background(ctx, sequence(pairs), o)
			if err != nil {
				t.Fatal(err)
			}
			var items []Item
			var weight []float64
			for _, p := range smallPairs(12, 40) {
				items = append(items, Item{p.Prompt, "kind clear fair " + p.First.Text}, Item{p.Prompt, p.First.Text})
				weight = append(weight, 1.0/40, -1.0/40)
			}
			gain := func(m *Model) float64 {
				s, err := m.ScoreAll(ctx, items)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for i := range s {
					sum += weight[i] * s[i].Mean * m.Metadata.Temperature // which influence holds fixed
				}
				return sum
			}
			removal, err := b.Influence(ctx, items, weight)
			if err != nil {
				t.Fatal(err)
			}
			order := make([]int, b.Pairs)
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(i, j int) int {
				switch {
				case removal[i] < removal[j]:
					return -1
				case removal[i] > removal[j]:
					return 1
				}
				return i - j
			})
			gone := map[*dataset.Pair]bool{}
			told := 0.0
			for _, i := range order[:20] {
				gone[b.At(i)] = true
				told += removal[i] * m.Metadata.Temperature
			}
			left := slices.DeleteFunc(slices.Clone(pairs), func(p *dataset.Pair) bool { return gone[p] })
			again, _, err := Train(ctx, sequence(left), o)
			if err != nil {
				t.Fatal(err)
			}
			before, after := gain(m), gain(again)
			if before <= 0 || told >= 0 || math.Abs((after-before)-told) > 0.4*math.Abs(told) {
				t.Errorf("gain %.4f, without the 20 pairs %.4f: fell by %.4f, told %.4f", before, after, before-after, -told)
			}
			// One item alone is as Nearest says of a reply, but for the mean reply.
			one, err := b.Influence(ctx, items[:2], []float64{1, -1})
			if err != nil {
				t.Fatal(err)
			}
			_, most, err := b.Nearest(ctx, items[0].Prompt, []string{items[0].Reply, items[1].Reply}, b.Pairs, true)
			if err != nil {
				t.Fatal(err)
			}
			by := map[*dataset.Pair]float64{}
			for _, n := range most {
				by[n.Pair] = n.Removal
			}
			var x, y []float64
			for i := range one {
				x, y = append(x, one[i]), append(y, by[b.At(i)])
			}
			if c := correlation(x, y); c < 0.99 {
				t.Errorf("a pair's influence correlates with Nearest's by %v", c)
			}
		})
	}
}
