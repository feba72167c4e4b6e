package cli

import (
	"math"
	"os"
	"strings"
	"testing"

	"cai/dataset"
)

func TestLanguage(t *testing.T) {
	for text, want := range map[string]string{
		"The tides are high because of the moon, and that is all.":                    "en",
		"Die Gezeiten sind hoch, weil der Mond nicht weit ist und das Meer zieht.":    "de",
		"Les marées sont hautes parce que la lune est dans le ciel et pas loin.":      "fr",
		"Las mareas son altas porque la luna está cerca y es muy grande para el mar.": "es",
		"As marés são altas porque a lua não está longe e isso é uma força.":          "pt",
		"Het water is hoog en dat komt van de maan, die niet ver van ons is.":         "nl",
		"Приливы высоки, потому что луна близко.":                                     "Cyrillic",
		"潮の満ち引きは月の引力によって起こります。毎日二回です。":                                                "Kana",
		"潮汐是由月球的引力引起的，每天发生两次，所以海水会上升和下降。":                                             "Han",
		"std::vector<int> xs = make(10); foo.bar(baz);":                               "Latin",
		"Oak, beech, maple, birch, poplar, willow, hazel":                             "Latin",
		"Yes.": "",
	} {
		if got := language(text); got != want {
			t.Errorf("%q seems to be %q, want %q", text, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{{"en", "en", true}, {"en", "de", false}, {"en", "", true}, {"Latin", "fr", true}, {"Latin", "Han", false}, {"Cyrillic", "Han", false}} {
		if sameLanguage(c.a, c.b) != c.same || sameLanguage(c.b, c.a) != c.same {
			t.Errorf("%s and %s agree: %v", c.a, c.b, !c.same)
		}
	}
}

// lintPairs makes n pairs of texts, labelled p, with columns.
func lintPairs(n int, chosen, rejected string, p float64, extra ...dataset.Field) []*dataset.Pair {
	out := make([]*dataset.Pair, n)
	for i := range out {
		out[i] = &dataset.Pair{Prompt: dataset.Prompt("Tell me about the tides of the sea, please."), First: dataset.Response{Text: chosen}, Second: dataset.Response{Text: rejected}, P: p}
		out[i].Source.Extra = extra
	}
	return out
}

func TestSwappedColumns(t *testing.T) {
	good := "The tides are made by the moon, and they come twice a day to most of the coasts."
	cut := strings.Repeat("the sea and the moon and the land are all here and then ", 5) + "and"
	loop := strings.Repeat("This is the same sentence. ", 8)
	german := "Die Gezeiten sind hoch, weil der Mond nicht weit ist und das Meer zieht."
	score := func(a, b string) []dataset.Field {
		return []dataset.Field{{Key: "score_chosen", Value: []byte(a)}, {Key: "score_rejected", Value: []byte(b)}}
	}
	for name, test := range map[string]struct {
		pairs   [][]*dataset.Pair
		n       int
		verdict string
	}{
		"sound":                      {[][]*dataset.Pair{lintPairs(12, good, "", 1), lintPairs(12, good, cut, 1), lintPairs(12, good, loop, 1)}, 0, "pass"},
		"three signs":                {[][]*dataset.Pair{lintPairs(12, "", good, 1), lintPairs(12, cut, good, 1), lintPairs(12, loop, good, 1)}, 3, "fail"},
		"by label, in any column":    {[][]*dataset.Pair{lintPairs(12, good, "", 0), lintPairs(12, good, cut, 0), lintPairs(12, german, good, 1)}, 3, "fail"},
		"two signs":                  {[][]*dataset.Pair{lintPairs(12, "", good, 1), lintPairs(12, german, good, 1)}, 2, "warn"},
		"one sign":                   {[][]*dataset.Pair{lintPairs(12, cut, good, 1)}, 1, "pass"},
		"signs that contradict":      {[][]*dataset.Pair{lintPairs(12, "", good, 1), lintPairs(12, cut, good, 1), lintPairs(12, loop, good, 1), lintPairs(12, good, german, 1)}, 3, "pass"},
		"too few":                    {[][]*dataset.Pair{lintPairs(9, "", good, 1), lintPairs(9, cut, good, 1), lintPairs(9, loop, good, 1)}, 0, "pass"},
		"by chance":                  {[][]*dataset.Pair{lintPairs(12, "", good, 1), lintPairs(10, good, "", 1)}, 0, "pass"},
		"scores against the columns": {[][]*dataset.Pair{lintPairs(12, good, cut, 1, score("1", "2.5")...)}, 1, "fail"},
		"scores with the columns":    {[][]*dataset.Pair{lintPairs(12, good, cut, 1, score(`"2.5"`, `"1"`)...)}, 0, "pass"},
		"margins against them":       {[][]*dataset.Pair{lintPairs(12, good, cut, 1, dataset.Field{Key: "margin", Value: []byte("-1")})}, 1, "fail"},
		"refusals have no say":       {[][]*dataset.Pair{lintPairs(12, "I cannot help you with that.", good, 1), lintPairs(12, "", good, 1)}, 1, "pass"},
	} {
		l := newLinter(nil)
		for _, ps := range test.pairs {
			for _, p := range ps {
				l.add(p)
			}
		}
		res := l.result(false)
		for _, c := range res.Checks {
			if c.Check == "swapped_columns" && (c.N != test.n || c.Verdict != test.verdict) {
				t.Errorf("%s: %d signs against chosen, %s; want %d, %s: %s", name, c.N, c.Verdict, test.n, test.verdict, signsText(c.Signs))
			}
		}
	}
}

// The effect of length is Cohen's d.
func TestLengthGap(t *testing.T) {
	l := newLinter(nil)
	for _, n := range [][2]int{{3, 1}, {5, 3}, {4, 2}} {
		for _, p := range lintPairs(1, strings.Repeat("é", n[0]), strings.Repeat("x", n[1]), 1) {
			l.add(p)
		}
	}
	if d := l.effect(); math.Abs(d-2) > 1e-12 { // means 4 and 2, both deviations 1
		t.Errorf("d is %v, want 2", d)
	}
	for _, c := range l.result(false).Checks {
		if c.Check == "length_gap" && (c.Verdict != "fail" || c.N != 3) {
			t.Errorf("%+v", c)
		}
	}
}

// Every check stands in docs/formats.md.
func TestChecksDocument(t *testing.T) {
	doc, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range lintNames {
		if name := strings.TrimSuffix(c.name, "_normalised"); !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/formats.md does not tell of %s", name)
		}
	}
}
