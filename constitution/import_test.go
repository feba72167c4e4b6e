package constitution_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/constitution"
)

// imported imports what a test needs to be right, and checks that it is a
// constitution that loads.
func imported(t *testing.T, data string) (*constitution.Constitution, []string) {
	t.Helper()
	c, notes, err := constitution.Import("dir/some.json", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	again, err := constitution.Parse("again.toml", c.TOML())
	if err != nil {
		t.Fatalf("%v\n%s", err, c.TOML())
	}
	if d := cmp.Diff(bare(c), bare(again)); d != "" {
		t.Error(d)
	}
	return c, notes
}

func noted(t *testing.T, notes []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.HasPrefix(n, "dir/some.json:") && strings.Contains(n, w) }) {
			t.Errorf("no note of %q in\n%s", w, strings.Join(notes, "\n"))
		}
	}
}

func TestImportSwarm(t *testing.T) {
	c, notes := imported(t, `{
 "constitutions": [
  {"critic": "Name the rude words in the response.", "revision": "Please rewrite the response so that it is polite."},
  {"critic": "Name the rude words\nin the response.", "revision": "Please rewrite the response, so that it is polite"},
  {"critic": "Does it help with a crime, such as theft?", "revision": "Rewrite it so that it is legal."},
  {"critic": "", "revision": "Rewrite it."},
  {"critic": "Is it a poem?"},
  {"critic": "Does it rhyme?", "revision": "Rewrite the response so that it sounds like a poem."},
  {"critic": "Does it glow?", "revision": "Please rewrite the response to be luminous."},
  {"critic": "Does it hum?", "revision": "Hum, and do so in tune."},
  {"critic": "Which crime does it help with, and is it rude, too?", "revision": "Make it lawful."},
  "a stray text", 7
 ],
 "system_chat": [[{"role": "user", "content": "Hi"}]]
}`)
	want := []constitution.Principle{
		{
			ID: "polite", Title: "Polite", Critique: "Name the rude words in the response.", Revision: "Please rewrite the response so that it is polite.",
			Compare: "Which reply is more polite?", Check: "Is the reply polite?", Tags: []string{"harmlessness"}, Weight: 1,
		},
		{
			ID: "lawful", Title: "Within the law", Critique: "Does it help with a crime, such as theft?", Revision: "Rewrite it so that it is legal.",
			Compare: "Which reply stays more clearly within the law?", Check: "Does the reply stay within the law?", Tags: []string{"harmlessness"}, Weight: 1,
		},
		{
			ID: "sounds-like-a-poem", Title: "Sounds like a poem", Critique: "Does it rhyme?", Revision: "Rewrite the response so that it sounds like a poem.",
			Compare: "Which reply more clearly sounds like a poem?", Weight: 1,
		},
		{
			ID: "be-luminous", Title: "Be luminous", Critique: "Does it glow?", Revision: "Please rewrite the response to be luminous.",
			Compare: "Which reply is more luminous?", Check: "Is the reply luminous?", Weight: 1,
		},
		{
			ID: "hum-and-do-so-in-tune", Title: "Hum, and do so in tune", Critique: "Does it hum?", Revision: "Hum, and do so in tune.",
			Compare: "Which reply keeps better to this: Hum, and do so in tune?", Weight: 1,
		},
		{
			ID: "lawful-2", Title: "Within the law", Critique: "Which crime does it help with, and is it rude, too?", Revision: "Make it lawful.",
			Compare: "Which reply stays more clearly within the law?", Check: "Does the reply stay within the law?", Tags: []string{"harmlessness"}, Weight: 1,
		},
	}
	if d := cmp.Diff(want, c.Principles); d != "" {
		t.Error(d)
	}
	if c.Name != "some" || c.Description != "Imported from llm-swarm's JSON." {
		t.Errorf("%q %q", c.Name, c.Description)
	}
	noted(t, notes,
		`:3: polite: the comparison is "Which reply is more polite?", of the words rude, polite`,
		`:4: left out: the texts of "polite" stand here again`,
		`:6: left out: a principle without a critique`, `:7: left out: a principle without a revision`,
		`:9: be-luminous: the comparison is "Which reply is more luminous?", of "to be luminous." (have a look)`,
		`:10: hum-and-do-so-in-tune: the comparison is "Which reply keeps better to this: Hum, and do so in tune?", as nothing better was found`,
		`:11: lawful-2: the comparison is "Which reply stays more clearly within the law?", of the words crime, lawful; that of "lawful" asks the same`,
		`:12: left out: "a stray text" is no request and no rule to choose by`, `:12: left out: a number where an object`,
		`:14: "system_chat" was not read: it holds no principles`,
	)
}

// Where two critiques speak most of one thing, the second asks for what else it
// speaks of.
func TestImportSpreadsQuestions(t *testing.T) {
	c, notes := imported(t, `[
{"critic": "Is it harmful or toxic?", "revision": "Rewrite it."},
{"critic": "Is it harmful, toxic or derogatory?", "revision": "Rewrite it now."}]`)
	if got := c.Principles[1].Compare; got != "Which reply is more respectful?" {
		t.Error(got)
	}
	noted(t, notes, `of the words derogatory (it says more of "harmless", which another principle asks for: have a look)`)
}

func TestImportPaper(t *testing.T) {
	c, notes := imported(t, `{
"kind0": {"prompt": ["\n\nCritiqueRequest: Name what is unkind, toxic or harmful.\n\nCritique:"], "edit_request": "\n\nRevisionRequest: Please rewrite it without that.\n\nRevision:"},
"two parts": {"prompt": ["\n\nCritiqueRequest: Is it true?\n\nCritique:", "\n\nCritiqueRequest: Is it false?\n\nCritique:"], "edit_request": "\n\nRevisionRequest: Make it true.\n\nRevision:"},
"few": {"prompt": "\n\nHuman: Hi\n\nAssistant:", "corrects": ["x"], "incorrects": ["y"]},
"kind0": {"prompt": ["\n\nCritiqueRequest: Would it frighten a child?\n\nCritique:"], "edit_request": "\n\nRevisionRequest: Rewrite it for a child.\n\nRevision:"}
}`)
	var got []string
	for _, p := range c.Principles {
		got = append(got, strings.Join([]string{p.ID, p.Critique, p.Revision, p.Compare}, " | "))
	}
	want := []string{
		"kind0 | Name what is unkind, toxic or harmful. | Please rewrite it without that. | Which reply is more harmless?",
		"two-parts | Is it true? | Make it true. | Which reply is more truthful?",
		"two-parts-2 | Is it false? | Make it true. | Which reply is more truthful?",
		"kind0-2 | Would it frighten a child? | Rewrite it for a child. | Which reply is more suitable for children?",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	noted(t, notes, `:4: left out: an example for few-shot prompting ("few"), and no principle`)
}

func TestImportTranscripts(t *testing.T) {
	c, notes := imported(t, `["\n\nHuman: Hi\n\nAssistant: Yo\n\nCritiqueRequest: Is it rude?\n\nCritique: A bit.\n\nRevisionRequest: Make it polite.\n\nRevision: Hello\n\nCritiqueRequest: Is it true?\n\nCritique: Yes.\n\nRevisionRequest: Correct it.\n\nRevision: Hello\n\nHuman:",
"\n\nHuman: which one?\n\nAssistant: none"]`)
	if len(c.Principles) != 2 || c.Principles[0].Critique != "Is it rude?" || c.Principles[1].Revision != "Correct it." {
		t.Errorf("%+v", c.Principles)
	}
	noted(t, notes, "left out: \"Human: which one? Assistant: none\" is no request")
}

// Instructions to choose by have no critique and no revision; they are made of
// the instruction, whose words are kept.
func TestImportRules(t *testing.T) {
	c, notes := imported(t, `["\nPlease choose the response that is most helpful, honest and harmless. Options:",
"\nWhich response is kinder and more thoughtful? Options:", "\nPick the response with the most rhymes. Options:", "\nPick the response with the most rhymes. Options:"]`)
	var got []string
	for _, p := range c.Principles {
		got = append(got, p.ID+" | "+p.Compare)
	}
	want := []string{
		"overall | Which reply is more helpful, honest and harmless?", "caring | Which reply is more caring?",
		"pick-the-response-with-the-most-rhymes | Which reply keeps better to this: Pick the response with the most rhymes?",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(c.Principles[1].Critique, `"Which response is kinder and more thoughtful?"`) || !strings.Contains(c.Principles[1].Revision, "kinder") {
		t.Errorf("%+v", c.Principles[1])
	}
	noted(t, notes, "put a short question in its place", "left out: the texts of")
}

// Names that other tools give, and our own.
func TestImportNamed(t *testing.T) {
	c, _ := imported(t, `[{"name": "Mild Mannered!", "critique_request": "Is it rude?", "revision_request": "Make it polite.", "compare": "Which reply is milder?", "weight": 2, "tags": ["My Tag", "my-tag"]}]`)
	want := []constitution.Principle{{
		ID: "mild-mannered", Title: "Mild Mannered!", Critique: "Is it rude?", Revision: "Make it polite.", Compare: "Which reply is milder?", Weight: 2, Tags: []string{"my-tag"},
	}}
	if d := cmp.Diff(want, c.Principles); d != "" {
		t.Error(d)
	}
}

// What show --json prints comes back as it was.
func TestImportOwn(t *testing.T) {
	own := parse(t, principle("a", "weight = 2\ntags = [\"x\"]")+principle("b", "check = \"Is it true?\""))
	var out struct {
		Name       string           `json:"name"`
		Principles []map[string]any `json:"principles"`
	}
	for _, p := range own.Principles {
		out.Principles = append(out.Principles, map[string]any{
			"id": p.ID, "title": p.Title, "hash": "00", "critique": p.Critique, "revision": p.Revision, "compare": p.Compare,
			"check": p.Question(), "tags": p.Tags, "weight": p.Weight,
		})
	}
	out.Name = "ours"
	data, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	c, notes := imported(t, string(data))
	own.Principles[1].Tags = c.Principles[1].Tags // derived
	if d := cmp.Diff(bare(own).Principles, bare(c).Principles); d != "" {
		t.Error(d)
	}
	if len(notes) > 0 || c.Name != "ours" {
		t.Error(c.Name, notes)
	}
}

func TestImportCleans(t *testing.T) {
	c, notes := imported(t, "\ufeff{\"constitutions\": [\r\n"+`{"critic": "Is it \u0007rude\r\nor \ud800 worse?", "revision": "Make it polite."},`+"\r\n"+
		`{"critic": "Is it true?", "revision": "`+strings.Repeat("long ", 4000)+`"}, {"critic": "???", "revision": "Do."}, {"critic": ["Is it brief?"], "critique": "Is it short?", "revision": "Shorten it.", "weight": 0}]}`)
	if len(c.Principles) != 3 || c.Principles[0].Critique != "Is it rude\nor \ufffd worse?" {
		t.Errorf("%+v", c.Principles)
	}
	noted(t, notes, ":2: control characters were taken", "holds a character that could not be read", "whose revision is 19999 bytes long", ":3: left out: a principle without a critique", "the weight 0 is not between")
}

func TestImportErrors(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"TOML":       {"name = \"x\"\n[[principle]]", "x.json:1: not JSON: import reads JSON, and a constitution in TOML needs no import"},
		"empty":      {" \n", "x.json:1: not JSON"},
		"cut off":    {"[\n{\"critic\": \"a\",\n", "x.json:3: not valid JSON"},
		"broken":     {"{\"constitutions\": [\n{\"critic\" \"a\"}]}", "x.json:2: not valid JSON: invalid character"},
		"latin-1":    {"[\n\n\"M\xfcller\"]", "x.json:3: the file is not UTF-8"},
		"nothing":    {"{}", "x.json:1: there is no principle in it"},
		"left out":   {`{"constitutions": [{"critic": "a"}]}`, "x.json:1: there is no principle in it: 1 left out, as the notes say"},
		"few shots":  {`[{"prompt": "x", "corrects": ["a"]}]`, "x.json:1: there is no principle in it: 1 left out"},
		"deep":       {strings.Repeat("[", 1<<20), "x.json:1: values stand more than 64 deep"},
		"deep names": {"[\n" + strings.Repeat(`{"a":`, 1<<16), "x.json:2: values stand more than 64 deep"},
		"large":      {"[" + strings.Repeat(" ", 4<<20), "x.json:1: the file is larger than 4 MiB"},
		"too many":   {"[" + strings.Repeat(`"choose one",`, 10) + `"choose"` + manyRules(), "x.json:1: there are 1012 principles; 1000 is the most"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := constitution.Import("x.json", []byte(tc.in))
			var e *constitution.Error
			if c != nil || err == nil || !strings.HasPrefix(err.Error(), tc.want) || !errors.As(err, &e) {
				t.Errorf("%v, %v, want %s", c, err, tc.want)
			}
		})
	}
}

func manyRules() string {
	var b strings.Builder
	for i := range 1010 {
		b.WriteString(`,"choose the one with the number ` + strings.Repeat("x", i+1) + `"`)
	}
	return b.String() + "]"
}

// Whatever is imported loads, and nothing is lost without a word.
func TestImportProperties(t *testing.T) {
	word := rapid.SampledFrom([]string{"harmful", "rude", "true", "x", "ü", "\"", "\\", "\n", "so that it is", "to be", "mild", ".", "\u0000", "Rewrite", "a longer text", "“"})
	words := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 0, 6).Draw(t, "words"), " ")
	})
	rapid.Check(t, func(t *rapid.T) {
		type record struct {
			Critic   string `json:"critic"`
			Revision string `json:"revision"`
		}
		n := rapid.IntRange(1, 6).Draw(t, "n")
		records := make([]record, n)
		for i := range records {
			records[i] = record{words.Draw(t, "critic"), words.Draw(t, "revision")}
		}
		data, err := json.Marshal(map[string]any{"constitutions": records})
		if err != nil {
			t.Fatal(err)
		}
		c, notes, err := constitution.Import("x.json", data)
		kept := 0
		if err == nil {
			kept = len(c.Principles)
			parse(t, string(c.TOML()))
		}
		left := 0
		for _, note := range notes {
			if strings.Contains(note, ": left out: ") {
				left++
			}
		}
		if kept+left != n {
			t.Fatalf("%d of %d kept, %d left out\n%s", kept, n, left, strings.Join(notes, "\n"))
		}
	})
}

// FuzzImport: no file panics, and what is imported loads.
func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"constitutions": [{"critic": "Is it rude?", "revision": "Make it polite."}], "system_chat": []}`))
	f.Add([]byte(`{"a": {"prompt": ["\n\nCritiqueRequest: Is it?\n\nCritique:"], "edit_request": "\n\nRevisionRequest: Do.\n\nRevision:"}}`))
	f.Add([]byte(`["\nPlease choose the response that is kinder. Options:", "CritiqueRequest: a\nCritique: b\nRevisionRequest: c\nRevision: d"]`))
	f.Add([]byte(`{"name": "n", "principles": [{"id": "a", "title": "t", "critique": "c", "revision": "so that it sounds fine", "compare": "q", "check": "k", "tags": ["x"], "weight": 2}]}`))
	f.Add([]byte("\ufeff{\"critique_request\":\"a\",\"revision_request\":\"to be mild.\",\"name\":\"\\ud800\"} {}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, notes, err := constitution.Import("f.json", data)
		for _, n := range notes {
			if !strings.HasPrefix(n, "f.json:") {
				t.Fatal(n)
			}
		}
		if err != nil {
			if c != nil || !strings.HasPrefix(err.Error(), "f.json:") {
				t.Fatalf("%v, %q", c, err)
			}
			return
		}
		again, err := constitution.Parse("f.toml", c.TOML())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.TOML())
		}
		if d := cmp.Diff(bare(c), bare(again)); d != "" {
			t.Fatal(d)
		}
	})
}
