package llm

import (
	"strings"
	"testing"
)

func TestAlign(t *testing.T) {
	tokens := func(s string) []Token {
		var out []Token
		for _, p := range strings.Split(s, "|") {
			out = append(out, Token{Alternative: Alternative{Text: p}})
		}
		return out
	}
	for _, c := range []struct{ tokens, answer, want string }{
		{"<think>|A| or| B|?|</think>|\n\n|B", "B", "B"},
		{"A", "A", "A"},
		{"\n|A|.|<|im_end|>", "A.", "A"},
		{"thought|</think>|\nYes|, it is", "Yes, it is", "\nYes"},
		{"quite| another", "B", ""},
		{"A", "", ""},
	} {
		got := ""
		if a := align(tokens(c.tokens), c.answer); len(a) > 0 {
			got = a[0].Text
		}
		if got != c.want {
			t.Errorf("%s answers %q from %q, want %q", c.tokens, c.answer, got, c.want)
		}
	}
}

// Words that were heard are not heard again when an answer is begun anew.
func TestRepeatOnce(t *testing.T) {
	for _, c := range []struct {
		first, second []string
		want          string
	}{
		{nil, []string{"a", "b"}, "ab"},
		{[]string{"one ", "two"}, []string{"one", " two three", " four"}, "one two three four"},
		{[]string{"one ", "two"}, []string{"one ", "2 ", "3"}, "one two\none 2 3"},
		{[]string{"one ", "two"}, []string{"one "}, "one two"},
	} {
		var got strings.Builder
		hear := repeatOnce(func(s string) { got.WriteString(s) })
		for _, attempt := range [][]string{c.first, c.second} {
			hear("")
			for _, s := range attempt {
				hear(s)
			}
		}
		if got.String() != c.want {
			t.Errorf("%q then %q is heard as %q, want %q", c.first, c.second, got.String(), c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"num_ctx", "num_ctx", 0}} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q and %q are %d and %d apart, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
