package cli

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReorder(t *testing.T) {
	u := (&app{}).urfave()
	for _, tt := range []struct{ in, want string }{
		{"label a.jsonl --db x.db --limit 3", "--db x.db label --limit 3 -- a.jsonl"},
		{"--limit 3 label --json a.jsonl", "--json label --limit 3 -- a.jsonl"},
		{"label --principle honest a --principle=kind b", "label --principle honest --principle=kind -- a b"},
		{"critique - --model m", "--model m critique -- -"},
		{"critique -- --model", "critique -- --model"},
		{"constitution show --json f.toml", "--json constitution show -- f.toml"},
		{"constitution --json diff a b", "--json constitution diff -- a b"},
		{"eval --judge f --model m", "--model m eval --judge -- f"},
		{"labels --judge abc --json", "--json labels --judge abc"},
		{"--db label status", "--db label status"},
		{"status --nonsense", "status --nonsense"},
		{"nonsense --json", "--json -- nonsense"},
		{"label label", "label -- label"},
		{"", ""},
	} {
		got := strings.Join(reorder(strings.Fields(tt.in), u), " ")
		if got != tt.want {
			t.Errorf("reorder(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// Whatever stands on the line, nothing of it is lost or made up but the --.
func TestReorderKeepsEveryArgument(t *testing.T) {
	u := (&app{}).urfave()
	words := []string{"label", "status", "constitution", "show", "--db", "--json", "--limit", "-", "a", "--x=1", "--out", "--"}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.SampledFrom(words), 0, 8).Draw(t, "line")
		out := reorder(in, u)
		count := func(args []string) []string {
			c := slices.DeleteFunc(slices.Clone(args), func(s string) bool { return s == "--" })
			slices.Sort(c)
			return c
		}
		if !slices.Equal(count(in), count(out)) {
			t.Fatalf("reorder(%q) = %q", in, out)
		}
	})
}
