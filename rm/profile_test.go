package rm_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"cai/dataset"
	"cai/rm"
)

// The profile is of the holdout's replies, each once, and says so; it is the same
// in whatever order the pairs come, and loads as it was saved.
func TestProfileOfTheHoldout(t *testing.T) {
	pairs := makePairs(4, 900)
	m, tr, err := rm.Train(t.Context(), seq(pairs), rm.Options{Holdout: 0.2, Dim: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	p := m.Metadata.Profile
	if p == nil || p.Source != rm.ProfileHoldout {
		t.Fatalf("profile %+v", p)
	}
	replies := map[string]float64{}
	for _, s := range tr.Holdout {
		replies[s.Pair.First.Text], replies[s.Pair.Second.Text] = s.First.Mean, s.Second.Mean
	}
	if p.Replies != len(replies) {
		t.Errorf("%d replies, the holdout has %d", p.Replies, len(replies))
	}
	mean := 0.0
	for _, s := range replies {
		mean += s / float64(len(replies))
	}
	score := p.Columns[0]
	if math.Abs(score.Mean-mean) > 1e-6 {
		t.Errorf("mean score %v, want %v", score.Mean, mean)
	}
	if names := m.Observed(); len(names) != len(p.Columns) || !slices.Contains(names, "length") || !slices.Contains(names, "new_words") {
		t.Errorf("observed %v, %d columns", names, len(p.Columns))
	}
	slices.Reverse(pairs)
	for i := range pairs {
		pairs[i] = mirror(pairs[i])
	}
	again, _, err := rm.Train(t.Context(), seq(pairs), rm.Options{Holdout: 0.2, Dim: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Metadata.Profile.Codes, p.Codes) {
		t.Error("the profile hangs on the order of the pairs")
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := rm.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	q := loaded.Metadata.Profile
	if q == nil || !slices.Equal(q.Codes, p.Codes) || q.Columns[0].Mean != score.Mean {
		t.Errorf("loaded %+v", q)
	}
	if st, err := os.Stat(path); err != nil || len(p.Codes)*4/3+4096 > int(st.Size()) {
		t.Errorf("a file of %v bytes, %v", st, err)
	}
}

// Without a holdout it is of the training's own replies; with many prompts it
// stays small.
func TestProfileOfTheTraining(t *testing.T) {
	statistics(t)
	pairs := makePairs(5, 3000)
	m, _, err := rm.Train(t.Context(), seq(pairs), rm.Options{L2: []float64{1}, Features: []string{rm.FeatureHash}, Dim: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	p := m.Metadata.Profile
	if p == nil || p.Source != rm.ProfileTraining {
		t.Fatalf("profile %+v", p)
	}
	if p.Replies != 896 || p.Prompts != 448 {
		t.Errorf("%d replies to %d prompts", p.Replies, p.Prompts)
	}
	slices.Reverse(pairs)
	again, _, err := rm.Train(t.Context(), seq(pairs), rm.Options{L2: []float64{1}, Features: []string{rm.FeatureHash}, Dim: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Metadata.Profile.Codes, p.Codes) {
		t.Error("the profile hangs on the order of the pairs")
	}
}

// Observing changes no score, and an observation holds it.
func TestObserveAllGivesTheScores(t *testing.T) {
	for _, features := range [][]string{{rm.FeatureHash, rm.FeatureStyle}, {rm.FeatureStyle}, {rm.FeatureHash}, {rm.FeatureChars}} {
		m, _, err := rm.Train(t.Context(), seq(makePairs(6, 200)), rm.Options{L2: []float64{1}, Features: features, Dim: 1 << 12})
		if err != nil {
			t.Fatal(err)
		}
		prompt := dataset.Prompt("Tell me a story.")
		items := []rm.Item{{prompt, "I'm sorry, I can't help with that."}, {prompt, ""}, {nil, "- one\n- two\n\n**bold** zebra zebra"}}
		want, err := m.ScoreAll(context.Background(), items)
		if err != nil {
			t.Fatal(err)
		}
		got, seen, err := m.ObserveAll(context.Background(), items)
		if err != nil {
			t.Fatal(err)
		}
		names := m.Observed()
		for i := range items {
			if got[i] != want[i] || seen[i][0] != float32(want[i].Mean) || seen[i][1] != float32(want[i].Std) || len(seen[i]) != len(names) {
				t.Errorf("%v, reply %d: %v and %v, want %v", features, i, got[i], seen[i], want[i])
			}
		}
		if j := slices.Index(names, "refusal"); j >= 0 && !(seen[0][j] > seen[2][j]) {
			t.Errorf("%v: a refusal has %v, other text %v", features, seen[0][j], seen[2][j])
		}
		if j := slices.Index(names, "new_words"); j >= 0 && !(seen[2][j] > 0.1) {
			t.Errorf("%v: unknown words have %v", features, seen[2][j])
		}
		if j := slices.Index(names, "length"); !(seen[2][j] > seen[1][j]) {
			t.Errorf("%v: lengths %v and %v", features, seen[2][j], seen[1][j])
		}
	}
}

// Codes are the values as exactly as 256 steps allow, within the reach of 8
// standard deviations; what is no number counts as the mean.
func TestProfileColumnCodes(t *testing.T) {
	var hs []dataset.Hash
	var rows [][]float32
	for i := range 50 {
		hs, rows = append(hs, dataset.Hash{byte(i)}), append(rows, []float32{float32(i), 1, 3})
	}
	p, err := rm.NewProfile(rm.ProfileFile, []string{rm.ObservedScore, rm.ObservedStd, "constant"}, hs, rows)
	if err != nil {
		t.Fatal(err)
	}
	c := &p.Columns[0]
	for _, x := range []float32{0, 10.3, 49, 60} {
		if got := c.Value(c.Code(x)); math.Abs(got-float64(x)) > c.Step/2+1e-6 {
			t.Errorf("%v is coded as %v with a step of %v", x, got, c.Step)
		}
	}
	if got := c.Value(c.Code(float32(math.NaN()))); math.Abs(got-c.Mean) > c.Step {
		t.Errorf("NaN is coded as %v", got)
	}
	if c.Code(1e30) != 255 || c.Code(-1e30) != 0 {
		t.Error("values out of reach are not held at the ends")
	}
	if k := &p.Columns[2]; k.SD != 0 || k.Code(3) == k.Code(4) {
		t.Errorf("what never varied cannot be told from what does: %+v", k)
	}
	if _, err := rm.NewProfile(rm.ProfileFile, []string{"score"}, hs[:1], [][]float32{{float32(math.NaN())}}); err == nil {
		t.Error("a profile of NaN")
	}
}
