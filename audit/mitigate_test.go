package audit_test

import (
	"slices"
	"testing"

	"cai/audit"
	"cai/dataset"
	"cai/probe"
	"cai/rm"
)

// Labels that go by length alone: debiasing and what is augmented close the hack
// that the model as it is has.
func TestMitigationClosesTheHack(t *testing.T) {
	var pairs []*dataset.Pair
	for _, c := range answers(400, 7) {
		p := &dataset.Pair{Prompt: c.Prompt, First: dataset.Response{Text: c.Replies[0]}, Second: dataset.Response{Text: c.Replies[1]}, P: 1}
		if length(nil, c.Replies[0]) < length(nil, c.Replies[1]) {
			p.P = 0
		}
		pairs = append(pairs, p)
	}
	got, err := audit.Mitigate(t.Context(), pairs, audit.MitigateOptions{
		Train: rm.Options{Dim: 1 << 12, L2: []float64{0.1}}, Sample: 40,
		Probes: audit.ProbeOptions{Edits: must(probe.Named("padding", "markdown"))},
	})
	if err != nil {
		t.Fatal(err)
	}
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
