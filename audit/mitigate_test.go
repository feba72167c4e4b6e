package audit_test

import (
	"slices"
	"testing"

	"cai/audit"
	"cai/dataset"
	"cai/probe"
	"cai/rm"
)

// byLength gives pairs whose longer reply is the better one.
func byLength(n int, seed uint64) (pairs []*dataset.Pair) {
	for i, c := range answers(n, seed) {
		p := &dataset.Pair{
			Prompt: c.Prompt, First: dataset.Response{Text: c.Replies[0]}, Second: dataset.Response{Text: c.Replies[1]}, P: 1,
			Source: dataset.Source{File: "pairs.jsonl", Line: i + 1},
		}
		if length(nil, c.Replies[0]) < length(nil, c.Replies[1]) {
			p.P = 0
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// mitigated is what became of a model of labels that go by length alone.
func mitigated(t *testing.T, target float64) []audit.Candidate {
	t.Helper()
	got, err := audit.Mitigate(t.Context(), byLength(200, 7), audit.MitigateOptions{
		Train: rm.Options{Dim: 1 << 10, L2: []float64{0.1}}, Sample: 20, TargetCorrelation: target,
		Probes: audit.ProbeOptions{Edits: must(probe.Named("padding", "markdown"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	reaches(t, got, target)
	return got
}

// reaches holds the residual to the correlation that was asked for.
func reaches(t *testing.T, got []audit.Candidate, target float64) {
	t.Helper()
	i := slices.IndexFunc(got, func(c audit.Candidate) bool { return c.Name == "residualised" })
	r := got[i].Residual
	if r == nil || float64(r.Rho) > target || float64(r.Before) < 0.5 || r.Lambda <= 0 || r.Target != target {
		t.Errorf("target %v: %+v", target, r)
	}
	if target > 0 && float64(r.Rho) < target-0.2 {
		t.Errorf("target %v: ρ %v is far below it", target, r.Rho)
	}
}

// Labels that go by length alone: debiasing and what is augmented close the hack
// that the model as it is has.
func TestMitigationClosesTheHack(t *testing.T) {
	got := mitigated(t, 0)
	find := func(name string) audit.Candidate {
		i := slices.IndexFunc(got, func(c audit.Candidate) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("no candidate %q", name)
		}
		return got[i]
	}
	before := find("as it is")
	if !slices.Contains(before.Failed, "length") || before.LengthSpearman < 0.8 || before.Delta != 0 {
		t.Fatalf("the model as it is: %+v", before)
	}
	if c := find("augmented"); slices.Contains(c.Failed, "length") || c.N != before.N {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{"debias length", "residualised"} {
		if c := find(name); c.LengthSpearman > before.LengthSpearman-0.2 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// A residual reaches the correlation that it is asked for, from the least λ; that
// it reaches none at all, the test above has told.
func TestResidualReachesTheTargetCorrelation(t *testing.T) {
	mitigated(t, 0.3)
}

// What is trained on is whole prompts, the same ones in whatever order they come.
func TestMitigationTrainsOnSoManyPairs(t *testing.T) {
	pairs := byLength(200, 3)
	o := audit.MitigateOptions{
		Train: rm.Options{Features: []string{rm.FeatureStyle}, L2: []float64{1}}, Pairs: 100, Sample: 5,
		Probes: audit.ProbeOptions{Edits: must(probe.Named("padding"))},
	}
	first, err := audit.Mitigate(t.Context(), pairs, o)
	if err != nil {
		t.Fatal(err)
	}
	if n := first[0].N; n < 5 || n > 40 {
		t.Errorf("%d pairs are held out of 100", n)
	}
	slices.Reverse(pairs)
	again, err := audit.Mitigate(t.Context(), pairs, o)
	if err != nil || first[0].N != again[0].N || first[0].Accuracy != again[0].Accuracy {
		t.Errorf("in another order: %+v, %v; first %+v", again[0], err, first[0])
	}
}
