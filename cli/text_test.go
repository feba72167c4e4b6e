package cli

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPrintableTakesControlCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":             "plain\ttext\n",
		"\x1b[31mred\x1b[0m":        "[31mred[0m",
		"a\rb\x07c\x00":             "abc",
		"\u009b2J":                  "2J",
		"admin\u202etxt.exe":        "admintxt.exe",
		"grüße, 你好, naïve \u200dok": "grüße, 你好, naïve \u200dok",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWordDiffTellsBothTexts(t *testing.T) {
	word := rapid.SampledFrom([]string{"the", "cat", "sat", " ", "\n", "on", "  ", "mat"})
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return strings.Join(rapid.SliceOfN(word, 0, 12).Draw(t, name), "") }
		a, b := text("a"), text("b")
		var was, is strings.Builder
		for _, d := range diffWords(a, b) {
			if d.Type <= 0 {
				was.WriteString(d.Text)
			}
			if d.Type >= 0 {
				is.WriteString(d.Text)
			}
		}
		if was.String() != a || is.String() != b {
			t.Fatalf("diff of %q and %q tells %q and %q", a, b, was.String(), is.String())
		}
	})
}

func TestWordDiff(t *testing.T) {
	var b strings.Builder
	wordDiff(&b, "Never call the police.", "Always call the police.", false)
	if want := "[-Never-]{+Always+} call the police."; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	// A rewritten stretch is one change, not one a word.
	b.Reset()
	wordDiff(&b, "I will do it now, dear.", "I can not say that, dear.", false)
	if want := "I [-will do it now,-]{+can not say that,+} dear."; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3 * time.Second: "3s", 90 * time.Second: "1m30s", 3*time.Hour + 4*time.Minute: "3h04m", 50 * time.Hour: "2d2h",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
}
