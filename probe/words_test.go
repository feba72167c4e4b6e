package probe

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSentences(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                  nil,
		"One. Two!  Three":                  {"One. ", "Two!  ", "Three"},
		"It is 3.14 here. “So?” Yes.":       {"It is 3.14 here. ", "“So?” ", "Yes."},
		"A line\nanother\n\n- item. more":   {"A line\n", "another\n\n", "- item. ", "more"},
		"日本。はい！そう":                          {"日本。", "はい！", "そう"},
		"Dr. No met J. Bond. Ha":            {"Dr. No met J. Bond. ", "Ha"},
		"1. Serial\n2. Radio. No":           {"1. Serial\n", "2. Radio. ", "No"},
		"He came 3. Then 4.":                {"He came 3. ", "Then 4."},
		" \n lead":                          {" \n ", "lead"},
		"**Bold.** Next (really.) And so …": {"**Bold.** ", "Next (really.) ", "And so …"},
	} {
		if got := sentences(in); !slices.Equal(got, want) {
			t.Errorf("sentences(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCuttingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		all := sentences(s)
		if got := strings.Join(all, ""); got != s {
			t.Fatalf("%q joins to %q", s, got)
		}
		for _, x := range all {
			if before, body, after := split(x); before+body+after != x {
				t.Fatalf("%q is split in %q, %q, %q", x, before, body, after)
			}
		}
		last := 0
		for _, w := range words(s) {
			if w.from < last || w.to <= w.from || w.to > len(s) {
				t.Fatalf("words of %q: %v", s, words(s))
			}
			last = w.to
		}
	})
}
