package dataset_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
	"pgregory.net/rapid"

	"cai/dataset"
)

// recased are the ways in which people's copies of a text differ from it: case,
// Unicode form, full width, white space and characters that print nothing.
var recased = map[string]func(*rapid.T, string) string{
	"upper":      func(_ *rapid.T, s string) string { return strings.ToUpper(s) },
	"lower":      func(_ *rapid.T, s string) string { return strings.ToLower(s) },
	"title":      func(_ *rapid.T, s string) string { return strings.ToTitle(s) },
	"full upper": func(_ *rapid.T, s string) string { return cases.Upper(language.Und).String(norm.NFKD.String(s)) },
	"full lower": func(_ *rapid.T, s string) string { return cases.Lower(language.Und).String(s) },
	"Turkish":    func(_ *rapid.T, s string) string { return cases.Upper(language.Turkish).String(norm.NFKD.String(s)) },
	"Lithuanian": func(_ *rapid.T, s string) string { return cases.Lower(language.Lithuanian).String(s) },
	"NFC":        func(_ *rapid.T, s string) string { return norm.NFC.String(s) },
	"NFD":        func(_ *rapid.T, s string) string { return norm.NFD.String(s) },
	"NFKC":       func(_ *rapid.T, s string) string { return norm.NFKC.String(s) },
	"NFKD":       func(_ *rapid.T, s string) string { return norm.NFKD.String(s) },
	"wide":       func(_ *rapid.T, s string) string { return width.Widen.String(s) },
	"narrow":     func(_ *rapid.T, s string) string { return width.Narrow.String(s) },
	"some upper": func(t *rapid.T, s string) string {
		return strings.Map(func(r rune) rune {
			if rapid.Bool().Draw(t, "upper") {
				return unicode.ToUpper(r)
			}
			return r
		}, s)
	},
	"blanks": func(t *rapid.T, s string) string {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", " ", "\n\n", "\u3000"}).Draw(t, "before"))
		for _, r := range s {
			if !unicode.IsSpace(r) {
				b.WriteRune(r)
				continue
			}
			b.WriteString(rapid.SampledFrom([]string{" ", "  ", "\t", "\r\n", "\u00a0", "\u2009 ", "\u2028"}).Draw(t, "blank"))
		}
		b.WriteString(rapid.SampledFrom([]string{"", "\t ", "\r\n", "\u00a0"}).Draw(t, "after"))
		return b.String()
	},
	"nothing printed": func(t *rapid.T, s string) string {
		var b strings.Builder
		for _, r := range s {
			b.WriteString(rapid.SampledFrom([]string{"", "", "", "\u200b", "\ufeff", "\u00ad", "\u2060", "\u200d", "\ufe0f"}).Draw(t, "nothing"))
			b.WriteRune(r)
		}
		return b.String()
	},
}

// copyOf changes a text as copies of it are changed, by up to three of the ways.
func copyOf(t *rapid.T, text string) string {
	names := slices.Sorted(maps.Keys(recased))
	for _, how := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, "changes") {
		text = recased[how](t, text)
	}
	return text
}

// anyText draws from scripts with case, marks, compatibility forms and white space,
// and now and then from all of Unicode.
var anyText = rapid.Custom(func(t *rapid.T) string {
	alphabet := []rune("abIiJjKſßẞıİéÉüΣςσᾴΐἌǅǆŉﬁﬀⅣ①½ＡｂｶﾞがガがёЁйФԱևſtĳÅÅΩ각각กำเខ្មआेพ़़̧̣̖́̂̈̇ \t\n　.,?!'’\"-日本語😀👩‍👩‍👧")
	letter := rapid.OneOf(rapid.SampledFrom(alphabet), rapid.SampledFrom(alphabet), rapid.SampledFrom(alphabet), rapid.Rune())
	return rapid.StringOfN(letter, 0, 24, -1).Draw(t, "text")
})

// Copies that differ by case, white space or Unicode form alone have one key.
func TestCopiesHaveOneKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(anyText, 1, 3).Draw(t, "turns")
		var c, d dataset.Conversation
		for i, text := range texts {
			role := []string{"user", "assistant"}[i%2]
			c = append(c, dataset.Message{Role: role, Content: text})
			d = append(d, dataset.Message{Role: role, Content: copyOf(t, text)})
		}
		if c.Key() != d.Key() {
			for i := range c {
				if x, y := dataset.NormalText(c[i].Content), dataset.NormalText(d[i].Content); x != y {
					t.Errorf("%+q and %+q are %+q and %+q", c[i].Content, d[i].Content, x, y)
				}
			}
		}
	})
}

func TestNormalExamples(t *testing.T) {
	for _, same := range [][]string{
		{"Why is the sky blue?", "why is  THE sky\tblue? ", "Ｗｈｙ　ｉｓ　ｔｈｅ　ｓｋｙ　ｂｌｕｅ？", "Why\u200b is the sky\u00a0blue?"},
		{"Straße", "STRASSE", "strasse", "STRAẞE"},
		{"İstanbul ılık", "istanbul ilik", "ISTANBUL ILIK", "i̇stanbul ılık"},
		{"ᾼδω τῷ", "ΑΙΔΩ ΤΩ͂Ι", "ᾳδω τῶι"},
		{"ﬁne Ⅳ", "FINE IV", "fine iv"},
		{"Việt Nam", "VIỆT NAM", "Vie\u0323\u0302t Nam", "vie\u0302\u0323t nam"},
		{"ガギグ", "ｶﾞｷﾞｸﾞ", "カ\u3099キ\u3099ク\u3099"},
		{"Σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
	} {
		for _, s := range same[1:] {
			if x, y := dataset.NormalText(same[0]), dataset.NormalText(s); x != y {
				t.Errorf("%q is %+q, %q is %+q", same[0], x, s, y)
			}
		}
	}
}

// A normal text is its own, whatever stands beside it.
func TestNormalText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := dataset.NormalText(anyText.Draw(t, "text"))
		if again := dataset.NormalText(s); again != s {
			t.Errorf("%+q becomes %+q", s, again)
		}
		if blank := strings.TrimSpace(s); blank != s || strings.Contains(s, "  ") {
			t.Errorf("%+q has white space at an end, or twice", s)
		}
		x, y := anyText.Draw(t, "x"), anyText.Draw(t, "y")
		want := strings.TrimSpace(dataset.NormalText(x) + " " + dataset.NormalText(y))
		if got := dataset.NormalText(x + "\n" + y); got != want {
			t.Errorf("%+q and %+q are %+q, one by one %+q", x, y, got, want)
		}
	})
}

// No character is told from its other case, title case included.
func TestEveryCharacter(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		for _, o := range []rune{unicode.ToUpper(r), unicode.ToLower(r), unicode.ToTitle(r), unicode.SimpleFold(r)} {
			if o == r {
				continue
			}
			own, got := dataset.NormalText("x"+string(r)), dataset.NormalText("x"+string(o))
			if got != own {
				t.Errorf("%U is %+q, %U is %+q", r, own, o, got)
			}
		}
	}
}

// What people mean to be different stays so.
func TestOtherPromptsHaveOtherKeys(t *testing.T) {
	seen := map[dataset.Hash]string{}
	for _, text := range []string{"", "a", "b", "a b", "ab", "a.", "resume", "résumé", "1", "2", "は", "ば", "i", "j", "?", "!", "😀", "😁", "für", "fur"} {
		k := dataset.Prompt(text).Key()
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have one key", text, other)
		}
		seen[k] = text
	}
	user, system := dataset.Message{Role: "user", Content: "Hi"}, dataset.Message{Role: "system", Content: "Hi"}
	if (dataset.Conversation{user}).Key() == (dataset.Conversation{system}).Key() {
		t.Error("a user's and a system's message have one key")
	}
	if (dataset.Conversation{user}).Key() != (dataset.Conversation{{Role: "system"}, user}).Key() {
		t.Error("a system message without content makes another key")
	}
}
