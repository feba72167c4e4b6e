package eval_test

import (
	"context"
	"strings"
	"testing"

	"cai/dataset"
	"cai/eval"
)

func pair(prompt, first, second string, p float64) *dataset.Pair {
	return &dataset.Pair{
		Prompt: dataset.Prompt(prompt),
		First:  dataset.Response{Text: first}, Second: dataset.Response{Text: second},
		P: p,
	}
}

func compare(t testing.TB, name string, first, second string) eval.Comparison {
	t.Helper()
	b, err := eval.Baseline(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Compare(context.Background(), pair("p", first, second, nan))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLengthBaselinesCountCodePoints(t *testing.T) {
	// Four code points of twelve bytes against five of five.
	long, short := compare(t, "longer", "日本語だ", "hello"), compare(t, "shorter", "日本語だ", "hello")
	if long.First != 4 || long.Second != 5 || long.Margin != -1 {
		t.Errorf("longer: %+v", long)
	}
	if short.Margin != 1 || !short.Scored || !short.Ordinal {
		t.Errorf("shorter: %+v", short)
	}
	if tie := compare(t, "longer", "abc", "xyz"); tie.Margin != 0 {
		t.Errorf("equal lengths: %+v", tie)
	}
}

func TestMarkdownMarks(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       float64
	}{
		{"plain", "Nothing to see here, 2 * 3 = 6 and a_b.", 0},
		{"heading", "# Title\n\nText", 1},
		{"headings", "## A\n### B\n", 2},
		{"seven hashes", "####### no", 0},
		{"hashtag", "#tag and more", 0},
		{"bullets", "- a\n* b\n+ c\n", 3},
		{"numbers", "1. a\n2) b\n10. c", 3},
		{"not a list", "-5 degrees\n3.14 is pi\n1995 was a year", 0},
		{"rule", "a\n\n---\n\n- - -\n* * *\n", 0},
		{"indented list", "- a\n    - b", 2},
		{"bold", "a **b** and __c__", 2},
		{"bold over words", "**one two**", 1},
		{"bold not closed", "**a and no end", 0},
		{"powers", "2 ** 3 ** 4", 0},
		{"dunder in a word", "snake__case__name", 0},
		{"italic is no mark", "*a* and _b_", 0},
		{"bold italic", "***a***", 1},
		{"escaped", `\**a** is \*\*plain\*\*`, 0},
		{"code", "use `go test` or ``a`b``", 2},
		{"code hides bold", "`**a**`", 1},
		{"code not closed", "a ` b", 0},
		{"fence", "```go\n# not a heading\n- not an item\n```\n", 1},
		{"fence in tildes", "~~~\n```\n~~~\n# T", 2},
		{"fence not closed", "```\n**a**\n", 1},
		{"fence on one line is a span", "```code```", 1},
		{"longer fence", "````\n```\n- x\n````", 1},
		{"list item with bold", "- **Name**: `x`", 3},
		{"quotation", "> - a\n> # b", 2},
		{"windows line ends", "# a\r\n- b\r\n", 2},
		{"item without text", "-\n1.\n#", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := compare(t, "markdown", c.text, "").First; got != c.want {
				t.Errorf("%v marks in %q, want %v", got, c.text, c.want)
			}
		})
	}
}

func TestMoreMarkdownWins(t *testing.T) {
	if c := compare(t, "markdown", "# a\n- b", "**c**"); c.Margin <= 0 {
		t.Errorf("two marks against one: %+v", c)
	}
	if c := compare(t, "markdown", "`a`", "**c**"); c.Margin != 0 {
		t.Errorf("one mark against one: %+v", c)
	}
}

func TestUnknownBaseline(t *testing.T) {
	_, err := eval.Baseline("wider")
	if err == nil || !strings.Contains(err.Error(), `"wider"`) || !strings.Contains(err.Error(), "longer, shorter, markdown") {
		t.Errorf("error %v names neither the culprit nor the known", err)
	}
}

// A reply written to be slow must not hold up an evaluation: work that grows with
// the square of a million would not end within go test's own limit.
func TestMarkdownMarksTakesLinearTime(t *testing.T) {
	for _, unit := range []string{"**a ", "`", "`` ` ", "** ", "__a", "\\`", "> ", "# "} {
		compare(t, "markdown", strings.Repeat(unit, 1_000_000), "")
	}
}

func FuzzMarkdownMarks(f *testing.F) {
	for _, s := range []string{"# a\n- **b** `c`", "```\nx\n```", "\\", "**", "`\\`", "1) __x__ \\_", "> > 1. `` ` ``"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := compare(t, "markdown", s, "").First
		if n < 0 || n > float64(len(s)) {
			t.Errorf("%v marks in %d bytes", n, len(s))
		}
		// A paragraph of plain text adds nothing, unless an open fence takes it.
		if more := compare(t, "markdown", "plain\n\n"+s, "").First; more != n {
			t.Errorf("%v marks, %v behind a plain paragraph", n, more)
		}
	})
}
