package rubric_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"cai/rubric"
)

const sample = `# a comment
name = "mails"

[[criteria]]
id = "clear"
title = "Clear"
text = "Is the reply easy to follow?"

[[criteria]]
id = "full"
text = "How full is the answer?"
levels = [
  "id = nothing of it",
  "half of it",
  "all of it",
]
weight = 2
applies_when = "Does the user ask something?"
reference = true

[[criteria]]
id = "rude"
text = """
Is the reply
[[criteria]]
insulting?"""
weight = -1.5
veto = true
threshold = 0.8
`

func mustParse(tb testing.TB, text string) *rubric.Rubric {
	tb.Helper()
	r, err := rubric.Parse("r.toml", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestParse(t *testing.T) {
	got := mustParse(t, strings.ReplaceAll("\ufeff"+sample, "\n", "\r\n"))
	want := &rubric.Rubric{Name: "mails", File: "r.toml", Criteria: []rubric.Criterion{
		{ID: "clear", Title: "Clear", Text: "Is the reply easy to follow?", Weight: 1, Threshold: 0.5, Line: 4},
		{
			ID: "full", Text: "How full is the answer?", Levels: []string{"id = nothing of it", "half of it", "all of it"},
			Weight: 2, Threshold: 0.5, AppliesWhen: "Does the user ask something?", Reference: true, Line: 9,
		},
		{ID: "rude", Text: "Is the reply\n[[criteria]]\ninsulting?", Weight: -1.5, Veto: true, Threshold: 0.8, Line: 21},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Each problem is named with the line that it stands in.
func TestParseNamesLines(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                    {"r.toml:1: there is no [[criteria]]"},
		"\nx = " + strings.Repeat("[", 1<<19): {"r.toml:2: tables or arrays are nested too deeply"},
		"name = 3\n":                          {"r.toml:1: name must be a text"},
		"name = \"x\"\nnmae = 1\n" + sample[strings.Index(sample, "[["):]:                                      {`r.toml:2: unknown key "nmae": did you mean "name"?`},
		strings.Replace(sample, "weight = 2", "wieght = 2", 1):                                                 {`r.toml:17: unknown key "wieght": did you mean "weight"?`},
		strings.Replace(sample, `id = "full"`, `id = "fu ll"`, 1):                                              {`r.toml:10: criterion "fu ll": the id must`},
		strings.Replace(sample, `id = "clear"`, `id = " "`, 1):                                                 {"r.toml:5: criterion 1: id is missing or blank"},
		strings.Replace(sample, "text = \"How full is the answer?\"\n", "", 1):                                 {`r.toml:9: criterion "full": text is missing or blank`},
		strings.Replace(sample, "  \"half of it\",\n  \"all of it\",\n", "", 1):                                {`r.toml:12: criterion "full": a scale has 2 to 10 levels, not 1`},
		strings.Replace(sample, `"half of it"`, `" "`, 1):                                                      {`r.toml:12: criterion "full": level 2 is missing or blank`},
		strings.Replace(sample, "-1.5", "nan", 1):                                                              {`r.toml:27: criterion "rude": the weight NaN`},
		strings.Replace(sample, "0.8", "1.8", 1):                                                               {`r.toml:29: criterion "rude": the threshold 1.8`},
		strings.Replace(sample, "veto = true\n", "", 1):                                                        {`r.toml:28: criterion "rude": a threshold without veto`},
		strings.Replace(sample, "follow?", "follow?\\u0007", 1):                                                {`r.toml:7: criterion "clear": text holds the control character U+0007`},
		strings.Replace(sample, "weight = 2\n", "weight = \"much\"\n", 1):                                      {"r.toml:17: criterion 2: weight must be a number"},
		strings.NewReplacer("follow?", "follow", "-1.5", "inf").Replace(sample):                                {`r.toml:27: criterion "rude": the weight +Inf`},
		strings.Replace(sample, "\"mails\"", "\"\xff\"", 1):                                                    {"r.toml:2: the file is not UTF-8"},
		strings.NewReplacer(`"clear"`, `"-"`, "0.8", "-1").Replace(sample):                                     {"r.toml:5: ", "r.toml:29: "},
		strings.Replace(sample, "levels = [", "levels = [\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",", 1): {"r.toml:12: criterion \"full\": a scale has 2 to 10 levels, not 11"},
	} {
		_, err := rubric.Parse("r.toml", []byte(text))
		if err == nil {
			t.Errorf("no error, want %q", want)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(want) {
			t.Errorf("%q, want %q", lines, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(lines[i], want[i]) {
				t.Errorf("%q, want %q", lines[i], want[i])
			}
		}
	}
}

// A key in another case is another key, wherever it stands, and an error with its
// line: it neither fills the place of the right one nor counts as one of its
// tables. (Two [[criteria]] and a [[criteriA]] made an index out of range.)
func TestParseKeysInAnotherCase(t *testing.T) {
	top := []string{"name", "description", "criteria"}
	lines := strings.SplitAfter(sample, "\n")
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom(append([]string{"id", "title", "text", "levels", "weight", "veto", "threshold", "applies_when", "reference"}, top...)).Draw(t, "key")
		other := []byte(key)
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(key)-1), 2, len(key), rapid.ID[int]).Draw(t, "letters") {
			other[i] = strings.ToUpper(key)[i]
		}
		where, text := []int{4, 5, 6, 9, 10, 11, 17, 20, 21, len(lines) - 1}, string(other)+" = 1\n"
		switch {
		case key == "criteria" && rapid.Bool().Draw(t, "table"):
			header := rapid.SampledFrom([]string{"[[%s]]\n", "[%s]\n", "[[ \"%s\" ]]\n", "[['%s']]\n"}).Draw(t, "header")
			where, text = []int{3, 8, len(lines) - 1}, strings.Replace(header, "%s", string(other), 1)
		case slices.Contains(top, key):
			where = []int{0, 1, 2, 3}
		}
		i := rapid.SampledFrom(where).Draw(t, "line")
		in := strings.Join(slices.Insert(slices.Clone(lines), i, text), "")
		_, err := rubric.Parse("r.toml", []byte(in))
		want := fmt.Sprintf("unknown key %q: did you mean %q", other, key)
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("r.toml:%d: ", i+1)) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%v, want line %d: %s\n%s", err, i+1, want, in)
		}
	})
}

// Criteria are the same however their tables are written.
func TestParseWritings(t *testing.T) {
	want := mustParse(t, "[[criteria]]\nid = \"a\"\ntext = \"A?\"\n[[criteria]]\nid = \"b\"\ntext = \"B?\"\nveto = true\n")
	for text, lines := range map[string][2]int{
		"[['criteria']]\nid = 'a'\ntext = 'A?'\n\n[[ \"criteri\\u0061\" ]] # b\n'id' = 'b'\ntext = 'B?'\nveto = true":                 {1, 5},
		"criteria = [\n{id = 'a', text = 'A?'}, # ]\n{ id = 'b', \"text\" = 'B?', veto = true },\n]\n":                                {2, 3},
		"\n[[criteria]]\ntext = '''A?'''\nid = \"a\"\n[[criteria]]\nid = \"\"\"\\\n  b\"\"\"\ntext = \"B?\"\nveto = true\nweight = 1": {2, 5},
	} {
		got := mustParse(t, text)
		if d := cmp.Diff(want.Criteria, got.Criteria, cmpopts.IgnoreFields(rubric.Criterion{}, "Line")); d != "" {
			t.Errorf("%s: %s", text, d)
		}
		if got.Criteria[0].Line != lines[0] || got.Criteria[1].Line != lines[1] {
			t.Errorf("%s: lines %d and %d, want %v", text, got.Criteria[0].Line, got.Criteria[1].Line, lines)
		}
	}
}

const prometheus = `{
  "criteria": "Is the response written with empathy?",
  "score1_description": "No empathy.",
  "score2_description": "A little.",
  "score3_description": "Some.",
  "score4_description": "Much.",
  "score5_description": "All that one could wish for."
}`

func TestParsePrometheus(t *testing.T) {
	r := mustParse(t, prometheus)
	want := []rubric.Criterion{{
		ID: "written-empathy", Text: "Is the response written with empathy?",
		Levels: []string{"No empathy.", "A little.", "Some.", "Much.", "All that one could wish for."},
		Weight: 1, Threshold: 0.5, Reference: true, Line: 2,
	}}
	if d := cmp.Diff(want, r.Criteria); d != "" {
		t.Error(d)
	}
	r = mustParse(t, "["+prometheus+",\n"+prometheus+"]")
	if len(r.Criteria) != 2 || r.Criteria[1].ID != "written-empathy-2" || r.Criteria[1].Line != 10 {
		t.Errorf("%+v", r.Criteria)
	}
	for text, want := range map[string]string{
		`{"criteria":"Is it?"}`: "r.toml:1: rubric 1: no scale",
		`{"a":1}`:               `r.toml:1: rubric 1: no "criteria"`,
		`{"criteria":"Is it?","score1_description":"a","score2_description":"b","score4_description":"d"}`: "r.toml:1: rubric 1: score4_description follows a gap",
		`{"criteria":"Is it?","score1_description":"a","score2_description":3}`:                            "r.toml:1: rubric 1: score2_description is not a text",
		"{\"criteria\":\n1,": "r.toml:2: not a rubric in JSON",
		`{} {}`:              "r.toml:1: not a rubric in JSON: something follows",
	} {
		if _, err := rubric.Parse("r.toml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// genRubric draws what a file may hold.
func genRubric() *rapid.Generator[*rubric.Rubric] {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("aB \"\\\nß?#'=[]—\t")), 1, 20, -1).Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
	trim := func(s string) string { return strings.TrimSpace(s) }
	return rapid.Custom(func(t *rapid.T) *rubric.Rubric {
		r := &rubric.Rubric{Name: trim(text.Draw(t, "name"))}
		for i := range rapid.IntRange(1, 5).Draw(t, "criteria") {
			c := rubric.Criterion{
				ID: string(rune('a'+i)) + rapid.StringMatching(`[a-z0-9_.-]{0,8}`).Draw(t, "id"), Text: trim(text.Draw(t, "text")),
				Weight: rapid.Float64Range(-1000, 1000).Draw(t, "weight"), Threshold: 0.5,
				Reference: rapid.Bool().Draw(t, "reference"), Veto: rapid.Bool().Draw(t, "veto"),
			}
			if c.Veto {
				c.Threshold = rapid.Float64Range(0, 1).Draw(t, "threshold")
			}
			if rapid.Bool().Draw(t, "gated") {
				c.AppliesWhen = trim(text.Draw(t, "when"))
			}
			if n := rapid.SampledFrom([]int{0, 2, 5, 10}).Draw(t, "levels"); n > 0 {
				for range n {
					c.Levels = append(c.Levels, trim(text.Draw(t, "level")))
				}
			}
			r.Criteria = append(r.Criteria, c)
		}
		return r
	})
}

// What TOML writes, Parse reads.
func TestTOMLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genRubric().Draw(t, "rubric")
		got, err := rubric.Parse("x", want.TOML())
		if err != nil {
			t.Fatalf("%v\n%s", err, want.TOML())
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(rubric.Rubric{}, "File"), cmpopts.IgnoreFields(rubric.Criterion{}, "Line")); d != "" {
			t.Fatal(d)
		}
		if got.Hash() != want.Hash() {
			t.Fatal("another hash")
		}
	})
}

// The hash follows what scores depend on, and nothing else.
func TestHash(t *testing.T) {
	r := mustParse(t, sample)
	same := mustParse(t, strings.NewReplacer(`"mails"`, `"other"`, `title = "Clear"`, "", "# a comment", "").Replace(sample))
	if r.Hash() != same.Hash() || r.Criteria[0].Hash() != same.Criteria[0].Hash() {
		t.Error("a title or a comment changed the hash")
	}
	for _, change := range [][2]string{{"-1.5", "-1.4"}, {"0.8", "0.7"}, {"half of it", "most of it"}, {"easy to follow", "short"}, {"ask something", "ask"}, {"reference = true", ""}, {`"rude"`, `"harsh"`}} {
		if mustParse(t, strings.Replace(sample, change[0], change[1], 1)).Hash() == r.Hash() {
			t.Errorf("%v changed nothing", change)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add(prometheus)
	f.Add("[[criteria]]\nid = '''")
	f.Add("[[criteria]]\n[[criteria]]\n[[criteriA]]")
	f.Add("NAME = 'x'\n[Criteria]\n[[criteria]]\nid = 'a'\nID = 'b'\ntext = 'A?'")
	f.Add("criteria = [{id = 'a', text = 'A?'}, {Id = 'a'}]")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := rubric.Parse("f", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("no line: %v", err)
			}
			return
		}
		r.Lint()
		again, err := rubric.Parse("f", r.TOML())
		if err != nil || again.Hash() != r.Hash() {
			t.Errorf("written and read again: %v\n%s", err, r.TOML())
		}
	})
}

func TestExampleLintsClean(t *testing.T) {
	data, err := os.ReadFile("../examples/rubric.toml")
	if err != nil {
		t.Fatal(err)
	}
	if found := mustParse(t, string(data)).Lint(); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}
