package rm

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

// The parts of the groups add up to the score, but for a number of each prompt.
func TestGroupsAddUpToTheScore(t *testing.T) {
	ctx := context.Background()
	pairs := smallPairs(21, 150)
	for name, o := range map[string]Options{
		"linear":   {},
		"chars":    {Features: []string{FeatureHash, FeatureStyle, FeatureChars}},
		"ensemble": {Ensemble: 3},
		"debias":   {Debias: []string{DebiasLength}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dim, o.L2 = 1<<12, []float64{6}
			m, _, err := Train(ctx, sequence(pairs), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range smallPairs(22, 20) {
				items := []Item{{p.Prompt, p.First.Text}, {p.Prompt, "**" + p.Second.Text + "** I am sorry."}}
				names, parts, err := m.ScoreGroups(ctx, items)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(names, "style: length") || !slices.Contains(names, "style: markup") {
					t.Fatalf("groups %v", names)
				}
				s, err := m.ScoreAll(ctx, items)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for k := range names {
					sum += parts[0][k] - parts[1][k]
				}
				if want := s[0].Mean - s[1].Mean; math.Abs(sum-want) > 1e-6*(1+math.Abs(want)) {
					t.Errorf("parts come to %v, the margin is %v", sum, want)
				}
			}
		})
	}
	for _, g := range styleGroups {
		for _, f := range g.features {
			if !slices.Contains(styleNames, f) {
				t.Errorf("%s: no style feature %q", g.name, f)
			}
		}
	}
	m, _, err := Train(ctx, sequence(pairs), Options{Dim: 1 << 12, Head: HeadMLP})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.ScoreGroups(ctx, nil); !errors.Is(err, ErrNotLinear) {
		t.Errorf("a network: %v", err)
	}
	if _, err := m.NewPhrasebook(10); !errors.Is(err, ErrNotLinear) {
		t.Errorf("a network: %v", err)
	}
}
