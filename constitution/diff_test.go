package constitution_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/constitution"
)

func TestDiff(t *testing.T) {
	a := parse(t, principle("stays", "")+principle("changes", `tags = ["x", "y"]`)+principle("light", "")+principle("goes", "")+strings.Replace(principle("old-name", ""), "Truth of old-name", "A name", 1))
	b := parse(t, "# comment\nname = \"new\"\n"+principle("new", "weight = 2")+
		strings.Replace(principle("changes", `tags = ["y", "x"]`), "more truthful", "truer", 1)+
		principle("light", "weight = 0.5")+
		strings.NewReplacer(`"old-name"`, `"new-name"`, "Truth of old-name", "A name").Replace(principle("old-name", "weight = 3"))+principle("stays", ""))
	want := []constitution.Change{
		{Kind: "changed", ID: "(constitution)", Fields: []constitution.Field{{Field: "name", New: "new"}}},
		{Kind: "added", ID: "new", Again: true, Fields: []constitution.Field{
			{Field: "title", New: "Truth of new"},
			{Field: "critique", New: "Quote what is false in new. If there is none, write: None."},
			{Field: "revision", New: "Rewrite the reply so that it is true."},
			{Field: "compare", New: "Which reply is more truthful?"},
			{Field: "weight", New: "2.0"},
		}},
		{Kind: "changed", ID: "changes", Again: true, Fields: []constitution.Field{{Field: "compare", Old: "Which reply is more truthful?", New: "Which reply is truer?"}}},
		{Kind: "changed", ID: "light", Fields: []constitution.Field{{Field: "weight", Old: "1.0", New: "0.5"}}},
		{Kind: "renamed", ID: "new-name", Fields: []constitution.Field{{Field: "id", Old: "old-name", New: "new-name"}, {Field: "weight", Old: "1.0", New: "3.0"}}},
		{Kind: "removed", ID: "goes", Fields: []constitution.Field{
			{Field: "title", Old: "Truth of goes"},
			{Field: "critique", Old: "Quote what is false in goes. If there is none, write: None."},
			{Field: "revision", Old: "Rewrite the reply so that it is true."},
			{Field: "compare", Old: "Which reply is more truthful?"},
			{Field: "weight", Old: "1.0"},
		}},
	}
	if d := cmp.Diff(want, constitution.Diff(a, b)); d != "" {
		t.Error(d)
	}
	line, err := json.Marshal(want[3])
	if err != nil || string(line) != `{"kind":"changed","id":"light","fields":[{"field":"weight","old":"1.0","new":"0.5"}],"asked_again":false}` {
		t.Errorf("%s, %v", line, err)
	}
}

// Reordering is no difference, and what changes the whole's hash is one.
func TestDiffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := constitutions().Draw(t, "constitution")
		b := bare(a)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rng.Shuffle(len(b.Principles), func(i, j int) { b.Principles[i], b.Principles[j] = b.Principles[j], b.Principles[i] })
		if d := constitution.Diff(a, &b); len(d) > 0 {
			t.Fatalf("reordered: %+v", d)
		}
		i := rapid.IntRange(0, len(b.Principles)-1).Draw(t, "i")
		old := b.Principles[i].ID
		b.Principles[i].ID += "-renamed"
		if d := constitution.Diff(a, &b); len(d) != 1 || d[0].Kind != "renamed" || d[0].Fields[0].Old != old || d[0].Again {
			t.Fatalf("renamed: %+v", d)
		}
		other := constitutions().Draw(t, "other")
		if d := constitution.Diff(a, other); len(d) == 0 && a.Hash() != other.Hash() {
			t.Fatal("another hash, and no difference")
		}
	})
}
