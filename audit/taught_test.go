package audit_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"cai/audit"
	"cai/dataset"
	"cai/probe"
	"cai/rm"
)

func trained(t *testing.T, pairs []*dataset.Pair, o rm.Options) *rm.Model {
	t.Helper()
	m, _, err := rm.Train(t.Context(), func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Labels that go by length: the lessons say so, and a model trained again without
// the pairs that are named gains less by about as much as was told.
func TestLessonsNameThePairsThatTaughtTheHack(t *testing.T) {
	pairs := byLength(200, 5)
	o := rm.Options{Dim: 1 << 12, L2: []float64{10}, Features: []string{rm.FeatureStyle}}
	m := trained(t, pairs, o)
	b, err := m.Background(t.Context(), func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	cases := answers(20, 6)
	probes := audit.ProbeOptions{Edits: must(probe.Named("padding"))}
	fs, ref := findings(t, m, cases, probes)
	causes := lengthAudited().causes // those of labels by length: only their features are asked for
	lessons, err := audit.Lessons(t.Context(), ref, b, b.Pairs, causes, fs, 3, probes)
	if err != nil {
		t.Fatal(err)
	}
	var cause, edit *audit.Lesson
	for i := range lessons {
		switch l := &lessons[i]; {
		case l.Cause == "length":
			cause = l
		case l.Probe == "length":
			edit = l
		}
	}
	if cause == nil || edit == nil {
		t.Fatalf("lessons %+v", lessons)
	}
	for _, l := range []*audit.Lesson{cause, edit} {
		if l.Gain <= 0 || !l.More || l.Feature != "length" || l.Agree < 0.99 || l.SharePositive < 0.3 || len(l.Pairs) != 3 {
			t.Errorf("%+v", *l)
		}
		for _, p := range l.Pairs {
			if p.Influence <= 0 || p.More <= 0 || p.Chosen == "" || p.Source[:12] != "pairs.jsonl:" {
				t.Errorf("%+v", p)
			}
		}
	}
	if math.Abs(float64(edit.Gain-named(t, fs, "length").Effect)) > 1e-9 {
		t.Errorf("the edit gains %v, the probe found %v", edit.Gain, named(t, fs, "length").Effect)
	}
	// The pairs of the list, asked for in full.
	all, err := audit.Lessons(t.Context(), ref, b, b.Pairs, nil, fs, edit.Removed, probes)
	if err != nil {
		t.Fatal(err)
	}
	gone := map[*dataset.Pair]bool{}
	for _, p := range all[0].Pairs {
		gone[p.Pair] = true
	}
	left := slices.DeleteFunc(slices.Clone(pairs), func(p *dataset.Pair) bool { return gone[p] })
	again := trained(t, left, o)
	scale := again.Metadata.Temperature / m.Metadata.Temperature // influence holds it fixed
	got := named(t, must(audit.Probes(t.Context(), rescored(t, again, cases), probes)), "length")
	after := float64(got.Effect) * rescored(t, again, cases).Scale * scale / ref.Scale
	told, fell := float64(edit.Gain-edit.GainWithout), float64(edit.Gain)-after
	if len(gone) != edit.Removed || told <= 0 || math.Abs(fell-told) > 0.5*told {
		t.Errorf("without %d pairs the gain fell by %v, told %v", len(gone), fell, told)
	}
}

func rescored(t *testing.T, s audit.Scorer, cases []audit.Case) *audit.Reference {
	t.Helper()
	r, err := audit.NewReference(t.Context(), s, cases)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// twoGroups scores by length and by facts.
type twoGroups struct{}

func (twoGroups) ScoreAll(_ context.Context, items []rm.Item) ([]rm.Score, error) {
	_, parts, err := twoGroups{}.ScoreGroups(context.Background(), items)
	out := make([]rm.Score, len(items))
	for i, p := range parts {
		out[i].Mean = p[0] + p[1]
	}
	return out, err
}

func (twoGroups) ScoreGroups(_ context.Context, items []rm.Item) ([]string, [][]float64, error) {
	out := make([][]float64, len(items))
	for i, it := range items {
		out[i] = []float64{fair(nil, it.Reply), 3 * length(nil, it.Reply)}
	}
	return []string{"facts", "length"}, out, nil
}

// A frozen group takes with it what it gave: all of the gain of padding goes with
// length, and accuracy with the facts.
func TestFrozenGroupsTakeTheirPartWithThem(t *testing.T) {
	probes := audit.ProbeOptions{Edits: must(probe.Named("padding"))}
	fs, ref := findings(t, twoGroups{}, answers(60, 8), probes)
	s, err := audit.Climb(t.Context(), ref, audit.ClimbOptions{Budget: 2000, Probes: probes})
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.Freeze(t.Context(), ref, twoGroups{}, fs, s, probes)
	if err != nil {
		t.Fatal(err)
	}
	share := 0.0
	for _, g := range got {
		share += float64(g.Share)
		if len(g.Gains) != 2 || g.Gains[0].Probe != "length" || math.Abs(float64(g.Gains[0].Gain-fs[0].Effect)) > 1e-9 {
			t.Fatalf("%+v", g)
		}
		switch g.Group {
		case "length":
			if math.Abs(float64(g.Gains[0].Without)) > 1e-9 || g.Without < g.Accuracy {
				t.Errorf("%+v", g)
			}
		case "facts":
			if g.Gains[0].Without != g.Gains[0].Gain || g.Without >= g.Accuracy {
				t.Errorf("%+v", g)
			}
		}
	}
	if math.Abs(share-1) > 1e-9 {
		t.Errorf("shares come to %v", share)
	}
}

// A linear model's own words are tried, and a gold scorer says what they are worth.
func TestTheSearchComposesWordsAndAsksTheGold(t *testing.T) {
	pairs := byLength(150, 4)
	m := trained(t, pairs, rm.Options{Dim: 1 << 12, L2: []float64{1}, Features: []string{rm.FeatureHash}})
	ref := rescored(t, m, answers(10, 3))
	book, err := m.NewPhrasebook(200)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		book.Read(p.First.Text)
	}
	book.Close()
	const budget = 2000
	s, err := audit.Climb(t.Context(), ref, audit.ClimbOptions{Budget: budget, Composer: book, Gold: likes(fair)})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := audit.Climb(t.Context(), ref, audit.ClimbOptions{Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	if s.Scored > budget || s.Gain < plain.Gain || len(s.Steepest) == 0 || s.GoldGain == nil || s.Best[0].Gold == nil {
		t.Fatalf("%+v; with common words %v", s, plain.Gain)
	}
	for _, a := range s.Steepest {
		// Without style features the n-grams are all there is.
		if a.Gain <= 0 || a.Words < 1 || math.Abs(a.Gain-a.ByNGrams) > 1e-4 {
			t.Errorf("%+v", a)
		}
	}
}
