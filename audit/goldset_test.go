package audit_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"cai/audit"
	"cai/dataset"
)

func goldSets(t *testing.T, column, text string) ([]audit.GoldSet, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gold.jsonl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return audit.GoldSets(dataset.Records(name, dataset.ReadOptions{}), column)
}

func golds(s audit.GoldSet) (out [][]float64) {
	for _, p := range s.Prompts {
		var row []float64
		for _, r := range p.Replies {
			row = append(row, r.Gold)
		}
		out = append(out, row)
	}
	return out
}

// Preferences against two baselines are two sets, the larger first.
func TestGoldsOfDifferentBaselinesStayApart(t *testing.T) {
	sets, err := goldSets(t, "", `{"prompt":"p","responses":[{"text":"a","model":"m1","preference":1.5,"baseline":"x","annotator":"j"},{"text":"b","preference":2,"baseline":"y","annotator":"j"},{"text":"c","preference":1,"baseline":"y","annotator":"j"},{"text":"d","baseline":"y"}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(sets) != 2 || sets[0].Name != "preference, baseline y, annotator j" || sets[0].Replies() != 2 || sets[1].Replies() != 1 {
		t.Fatalf("%+v", sets)
	}
	if sets[0].Missing != 1 || sets[1].Prompts[0].Replies[0].Author != "m1" {
		t.Errorf("%+v", sets)
	}
}

func TestFormsOfGold(t *testing.T) {
	for name, tt := range map[string]struct{ column, text string }{
		"list":    {"", `{"prompt":"p","responses":["a","b"],"gold":[1,2]}`},
		"scores":  {"", `{"prompt":"p","responses":["a","b"],"scores":[1,2]}`},
		"ranks":   {"", `{"prompt":"p","responses":["a","b"],"ranks":[-1,-2]}`},
		"each":    {"", `{"prompt":"p","responses":[{"text":"a","gold":1},{"text":"b","gold":2}]}`},
		"column":  {"quality", `{"prompt":"p","responses":[{"text":"a","gold":7,"quality":1},{"text":"b","quality":2}]}`},
		"single":  {"", `{"prompt":"p","response":"a","score":1}` + "\n" + `{"prompt":"p","response":"b","score":2}`},
		"listcol": {"mine", `{"prompt":"p","responses":["a","b"],"gold":[5,5],"mine":[1,2]}`},
	} {
		sets, err := goldSets(t, tt.column, tt.text+"\n")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if g := golds(sets[0]); len(g) != 1 || len(g[0]) != 2 || g[0][0] != 1 || g[0][1] != 2 {
			t.Errorf("%s: %v", name, g)
		}
	}
	sets, err := goldSets(t, "", `{"prompt":"p","chosen":["a"],"rejected":["b","c"]}`+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if g := golds(sets[0]); len(g[0]) != 3 || g[0][0] != 1 || g[0][1] != 0 {
		t.Errorf("lists of chosen and rejected: %v", g)
	}
}

func TestBadGoldIsNamed(t *testing.T) {
	_, err := goldSets(t, "", `{"prompt":"p","responses":["a","b"],"gold":[1]}`+"\n")
	var bad *dataset.RecordError
	if !errors.As(err, &bad) || bad.Line != 1 {
		t.Errorf("a list too short: %v", err)
	}
	if _, err := goldSets(t, "", `{"prompt":"p","responses":["a","b"]}`+"\n"); !errors.Is(err, audit.ErrNoGold) {
		t.Errorf("no gold: %v", err)
	}
}

// Another scorer gives the golds of replies that nobody has graded.
func TestAnotherScorerIsTheGold(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.jsonl")
	if err := os.WriteFile(name, []byte(`{"prompt":"p","responses":["1.5","-2"]}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := audit.Ungraded(dataset.Records(name, dataset.ReadOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	if g := golds(set); !math.IsNaN(g[0][0]) {
		t.Errorf("ungraded: %v", g)
	}
	graded, err := set.Regrade(t.Context(), "large", printed{1})
	if err != nil {
		t.Fatal(err)
	}
	if g := golds(graded); g[0][0] != 1.5 || g[0][1] != -2 {
		t.Errorf("regraded: %v", g)
	}
	if g := golds(set); !math.IsNaN(g[0][0]) {
		t.Errorf("the set itself was changed: %v", g)
	}
}
