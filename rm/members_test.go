package rm_test

import (
	"math"
	"testing"

	"cai/rm"
)

// What the members say is what the score is made of: their mean and deviation.
func TestMembersMakeTheScore(t *testing.T) {
	pairs := makePairs(8, 200)
	m, _ := mustTrain(t, pairs, rm.Options{Ensemble: 4})
	one, _ := mustTrain(t, pairs, rm.Options{})
	var items []rm.Item
	for _, p := range pairs[:20] {
		items = append(items, rm.Item{Prompt: p.Prompt, Reply: p.First.Text}, rm.Item{Prompt: p.Prompt, Reply: p.Second.Text})
	}
	scores, members, err := m.ScoreMembers(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	all, err := m.ScoreAll(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range members {
		mean, dev := 0.0, 0.0
		for _, v := range row {
			mean += v / float64(len(row))
		}
		for _, v := range row {
			dev += (v - mean) * (v - mean) / float64(len(row)-1)
		}
		if len(row) != 4 || scores[i] != all[i] || math.Abs(mean-scores[i].Mean) > 1e-9 || math.Abs(math.Sqrt(dev)-scores[i].Std) > 1e-9 {
			t.Fatalf("members %v, score %+v, without members %+v", row, scores[i], all[i])
		}
	}
	s, none, err := one.ScoreMembers(t.Context(), items)
	if err != nil || none != nil || len(s) != len(items) || one.Ensemble() || !m.Ensemble() {
		t.Errorf("a single model: %d scores, members %v, %v", len(s), none, err)
	}
}
