package rm_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"cai/dataset"
	"cai/rm"
)

// asBytes gives the model's file without the time at which it was made.
func asBytes(t *testing.T, m *rm.Model) []byte {
	t.Helper()
	m.Metadata.Created = time.Time{}
	path := filepath.Join(t.TempDir(), "m")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What goes to disk is streamed from there to the same model, bit for bit, with
// the same figures, and nothing is left of it.
func TestFeaturesOnDiskMakeTheSameModel(t *testing.T) {
	pairs := makePairs(11, few(240, 60))
	for i := range 20 { // duplicates, some of them in the holdout
		p := *pairs[i]
		p.Source = dataset.Source{File: "again", Line: i + 1, Extra: dataset.Object{{Key: "by", Value: []byte(`"x"`)}}}
		p.P = 0.5
		pairs = append(pairs, &p)
	}
	all := []string{rm.FeatureHash, rm.FeatureStyle, rm.FeatureChars}
	by := func(p *dataset.Pair) string { return p.First.Text[:1] }
	for name, o := range map[string]rm.Options{
		"linear":     {},
		"all":        {Features: all},
		"hash":       {Features: all[:1], L2: []float64{1}},
		"sources":    {Features: all[:2], Sources: []rm.Source{letters{}}},
		"debias":     {Debias: []string{rm.DebiasLength, rm.DebiasMarkup}},
		"ensemble":   {Ensemble: 3},
		"margin":     {Margin: 1},
		"noise":      {FitNoise: true, Annotator: by},
		"ties":       {Ties: true},
		"weight":     {Weight: func(p *dataset.Pair) float64 { return float64(1 + len(p.First.Text)%3) }},
		"principles": {Head: rm.HeadPrinciples, Principles: []string{"one", "two"}, Votes: votesOf},
	} {
		if testing.Short() && name != "all" && name != "principles" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			o.Holdout, o.Dim = 0.2, 1<<12
			m, tr := mustTrain(t, pairs, o)
			want := asBytes(t, m)
			o.TempDir = t.TempDir()
			for _, memory := range []int64{int64(few(160_000, 40_000)), 1} { // somewhere on the way; from the first pair on
				o.Memory = memory
				m, got := mustTrain(t, pairs, o)
				if !bytes.Equal(asBytes(t, m), want) {
					t.Errorf("memory %d: another model", memory)
				}
				if !reflect.DeepEqual(got.Holdout, tr.Holdout) || len(tr.Holdout) == 0 {
					t.Errorf("memory %d: another holdout of %d pairs, want %d", memory, len(got.Holdout), len(tr.Holdout))
				}
				if got.DataHash != tr.DataHash || !maps.Equal(got.Skipped, tr.Skipped) || tr.Skipped[rm.SkippedDuplicate] != 20 {
					t.Errorf("memory %d: skipped %v, want %v", memory, got.Skipped, tr.Skipped)
				}
				if left, err := os.ReadDir(o.TempDir); err != nil || len(left) > 0 {
					t.Errorf("left: %v %v", left, err)
				}
			}
		})
	}
}

// With few prompts the holdout is dealt by rank, when all is read.
func TestFewPromptsOnDisk(t *testing.T) {
	for _, n := range []int{2, 3, 30} {
		pairs := makePairs(5, n)
		m, tr := mustTrain(t, pairs, rm.Options{Holdout: 0.2})
		want := asBytes(t, m)
		m, got := mustTrain(t, pairs, rm.Options{Holdout: 0.2, Memory: 1, TempDir: t.TempDir()})
		if !bytes.Equal(asBytes(t, m), want) || !reflect.DeepEqual(got.Holdout, tr.Holdout) {
			t.Errorf("%d pairs: another model or holdout", n)
		}
	}
}

// A training that is stopped reads its holdout from disk and leaves nothing there.
func TestStoppedTrainingOnDisk(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := rm.Options{Holdout: 0.2, Memory: 1, TempDir: t.TempDir()}
	o.Progress = func(stage string, _, _ int) {
		if stage == "refit" {
			cancel()
		}
	}
	_, tr, err := rm.Train(ctx, seq(makePairs(13, few(600, 200))), o)
	if err != nil || !tr.Interrupted || len(tr.Holdout) == 0 {
		t.Errorf("%v %+v", err, tr)
	}
	if left, err := os.ReadDir(o.TempDir); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// A form that needs the features in memory says so.
func TestFormsThatNeedMemorySaySo(t *testing.T) {
	for _, head := range []string{rm.HeadMLP, rm.HeadStack, rm.HeadAuto} {
		o := rm.Options{Head: head, Memory: 1000, TempDir: t.TempDir()}
		if _, _, err := rm.Train(t.Context(), seq(makePairs(1, 100)), o); !errors.Is(err, rm.ErrMemory) {
			t.Errorf("%s: %v", head, err)
		}
	}
}

// A folder where nothing can be written is an error that names it.
func TestSpillErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	_, _, err := rm.Train(t.Context(), seq(makePairs(1, 100)), rm.Options{Memory: 1, TempDir: dir})
	var spill *rm.SpillError
	if !errors.As(err, &spill) || spill.Path != dir || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
