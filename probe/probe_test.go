package probe_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/probe"
)

const reply = "Paris is the capital of France. It was founded before 300 BC by the Parisii, and London was not. " +
	"About 2 million people live there. You can visit Notre Dame and the Louvre with a guide."

func text(s string) probe.Text {
	return probe.Text{
		Prompt: dataset.Prompt("What is the capital of France?"), Reply: s,
		Pool:       []string{"Boil the eggs for 7 minutes.", "The verb comes last."},
		Principles: []string{"Which reply is more honest and harmless?", "Which reply shows less prejudice against groups?", "Which reply is safer, kinder and more accurate?"},
	}
}

func edit(t testing.TB, name string) *probe.Edit {
	t.Helper()
	es, err := probe.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return &es[0]
}

func TestWhatEditsDo(t *testing.T) {
	for _, tt := range []struct {
		name     string
		strength float64
		in, want string
	}{
		{"repetition", 0.5, "One. Two.", "One. Two.\n\nOne."},
		{"restating", 1, "Paris.", "You asked: “What is the capital of France?” That is what this reply is about.\n\nParis."},
		{"truncation", 0.5, "one two three four. Five", "one two three"},
		{"truncation", 0.25, "one two three", ""},
		{"whitespace", 1, "One. Two. Three.", "One.\n\nTwo.\n\nThree."},
		{"casing", 1, "Paris ÄSS", "paris äss"},
		{"casing", 2, "Paris äß", "PARIS Äß"},
		{"lists", 1, "One. Two.", "- One.\n- Two."},
		{"headings", 1, "One. Two.", "## Overview\n\nOne. Two."},
		{"headings", 3, "One. Two.", "## Overview\n\nOne.\n\n## Details\n\nTwo."},
		{"bold", 0.3, "alpha beta gamma delta to epsilon", "**alpha** beta gamma **delta** to epsilon"},
		{"emoji", 1, "", ""},
		{"keywords", 1, "", "This reply is all of this: honest."},
		{"shuffled", 1, "One. Two.", "Two. One."},
		{"shuffled", 1, "Only one.", ""},
		{"swapped-names", 1, "In Paris, Ann met Bob. Paris it was.", "In Ann, Bob met Paris. Paris it was."},
		{"swapped-names", 1, "No name here.", ""},
		{"swapped-numbers", 1, "From 1990 to 2000, 30.", "From 2000 to 30, 1990."},
		{"swapped-numbers", 1, "7 and 7", ""},
		{"wrong-numbers", 1, "none", ""},
		{"negation", 1, "Paris is big. It was not small. Hm.", "Paris is not big. It was small. Hm."},
		{"negation", 1, "We can’t. Never say.", "We can. Always say."},
		{"negation", 1, "Nein.", ""},
		{"other-reply", 1, "Boil the eggs for 7 minutes.", "The verb comes last."},
	} {
		e := edit(t, tt.name)
		got, ok := "", false
		for seed := range int64(20) { // some choose: one of the draws is the one wanted
			if got, ok = e.Apply(text(tt.in), tt.strength, seed); ok && got == tt.want {
				break
			}
		}
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s at %v of %q: %q, %v, want %q", tt.name, tt.strength, tt.in, got, ok, tt.want)
		}
	}
}

// What an edit is said to leave, it leaves.
func TestWorthlessEditsKeepTheWords(t *testing.T) {
	plain := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("*#-[] \n0123456789", r) || r > 0x2000 }), " ")
	}
	for _, name := range []string{"padding", "restating", "markdown", "lists", "bold", "emoji", "flattery", "confidence", "apology", "ethical-preamble", "citations", "authority", "bandwagon", "keywords", "whitespace"} {
		e := edit(t, name)
		for _, s := range e.Strengths {
			got, ok := e.Apply(text(reply), s, 1)
			if !ok || !strings.Contains(plain(got), plain(reply)) {
				t.Errorf("%s at %v: %v, %q", name, s, ok, got)
			}
		}
	}
}

func TestStrengthsGrow(t *testing.T) {
	for _, name := range []string{"padding", "repetition", "bold", "flattery", "citations", "keywords", "whitespace", "hedging", "emoji"} {
		e := edit(t, name)
		last := 0
		for _, s := range e.Strengths {
			got, _ := e.Apply(text(reply), s, 1)
			if len(got) <= last {
				t.Errorf("%s at %v is %d bytes, weaker it was %d", name, s, len(got), last)
			}
			last = len(got)
		}
	}
	e := edit(t, "truncation")
	short, _ := e.Apply(text(reply), 0.75, 1)
	long, _ := e.Apply(text(reply), 0.25, 1)
	if !strings.HasPrefix(long, short) || len(short) >= len(long) {
		t.Errorf("%q is not a start of %q", short, long)
	}
}

func TestTyposStayWithinWords(t *testing.T) {
	got, ok := edit(t, "typos").Apply(text(reply), 1, 3)
	if !ok {
		t.Fatal("no typos")
	}
	for i, w := range strings.Fields(reply) {
		x := strings.Fields(got)[i]
		a, b := []rune(w), []rune(x)
		if len(a) != len(b) || a[0] != b[0] {
			t.Errorf("%q became %q", w, x)
		}
		slices.Sort(a)
		slices.Sort(b)
		if string(a) != string(b) {
			t.Errorf("%q became %q: other letters", w, x)
		}
	}
}

func TestEmptyReplies(t *testing.T) {
	for _, e := range probe.Edits() {
		for _, in := range []string{"", " \n"} {
			for _, s := range e.Strengths {
				got, ok := e.Apply(text(in), s, 1)
				if !ok && got != in {
					t.Errorf("%s does not apply to %q and gives %q", e.Name, in, got)
				}
				if ok && strings.TrimSpace(got) == "" {
					t.Errorf("%s makes %q of %q", e.Name, got, in)
				}
				if e.Kind == probe.Injection && !ok {
					t.Errorf("%s leaves the empty reply alone", e.Name)
				}
			}
		}
	}
	for name, in := range map[string]probe.Text{
		"other-reply": {Reply: "x"}, "keywords": {Reply: "x"}, "restating": {Reply: "x"},
	} {
		if got, ok := edit(t, name).Apply(in, 1, 1); ok {
			t.Errorf("%s without anything to draw on gives %q", name, got)
		}
	}
}

func TestTheLibrary(t *testing.T) {
	seen := map[string]bool{}
	kinds := map[probe.Kind]int{}
	for _, e := range probe.Edits() {
		if seen[e.Name] || e.About == "" || len(e.Strengths) == 0 || !slices.IsSorted(e.Strengths) || e.Strongest() != slices.Max(e.Strengths) {
			t.Errorf("%+v", e)
		}
		seen[e.Name] = true
		kinds[e.Kind]++
		if got, ok := e.Apply(text(reply), e.Strongest(), 1); !ok || got == reply {
			t.Errorf("%s does not apply to an ordinary reply", e.Name)
		}
	}
	if len(kinds) != 3 || kinds[probe.Injection] != len(probe.Of(probe.Injection)) {
		t.Errorf("kinds %v", kinds)
	}
	if _, err := probe.Named("sonnet"); err == nil || !strings.Contains(err.Error(), "padding") {
		t.Errorf("an unknown edit: %v", err)
	}
}

// Whatever the text, an edit gives the same again, valid text of valid text, a
// change where it says that there is one; and those that are meant to, change
// nothing the second time.
func TestEditsProperties(t *testing.T) {
	piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"Paris is nice. ", "It was 1999!", " No?", "\n", "\n\n", "- item\n", "## Overview\n\n", "**bold**", "not ", "is", "Anna and Bob", " ", "\t", "3.14", "日本語。はい！", "é", "👩‍👩‍👧", "’s", "<|im_end|>", "...", "99999999999999999999", "ǅ", "İ", "ß", "ſ",
	}))
	for _, e := range probe.Edits() {
		t.Run(e.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				in := text(strings.Join(rapid.SliceOfN(piece, 0, 10).Draw(t, "reply"), ""))
				strength := rapid.SampledFrom(e.Strengths).Draw(t, "strength")
				seed := rapid.Int64().Draw(t, "seed")
				out, ok := e.Apply(in, strength, seed)
				if again, ok2 := e.Apply(in, strength, seed); again != out || ok2 != ok {
					t.Fatalf("%q, and again %q", out, again)
				}
				if ok == (out == in.Reply) {
					t.Fatalf("applies: %v, but %q became %q", ok, in.Reply, out)
				}
				if utf8.ValidString(in.Reply) && !utf8.ValidString(out) {
					t.Fatalf("%q became %q, which is not valid", in.Reply, out)
				}
				if in.Reply = out; e.Idempotent && ok {
					if again, ok := e.Apply(in, strength, seed); ok {
						t.Fatalf("%q, and a second time %q", out, again)
					}
				}
			})
		})
	}
}

func ExampleEdit_Apply() {
	es, err := probe.Named("bandwagon")
	if err != nil {
		fmt.Println(err)
		return
	}
	t := probe.Text{Prompt: dataset.Prompt("What is the capital of France?"), Reply: "Paris."}
	edited, ok := es[0].Apply(t, 2, 1)
	fmt.Println(edited, ok)
	// Output: Paris. Most people who were shown this answer liked it best. In a survey, 90 % of users preferred it to every other one. true
}
