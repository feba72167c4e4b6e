package constitution_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/constitution"
)

// principle is a sound one with the given lines put into it.
func principle(id, extra string) string {
	return `[[principle]]
id = "` + id + `"
title = "Truth of ` + id + `"
critique = "Quote what is false in ` + id + `. If there is none, write: None."
revision = "Rewrite the reply so that it is true."
compare = "Which reply is more truthful?"
` + extra + "\n"
}

func TestParse(t *testing.T) {
	got := parse(t, `# a comment
name = "n"
description = '''
  d
'''

[[principle]] # first
title = " Truth "
id = 'truth'
critique = """
Quote each false passage.
[[principle]]
id = "fake" # """
revision = """\
    Rewrite \
    the reply."""
compare = "Which reply is more truthful?"
tags = [ "honesty", # both
  "x.y_z-1",
]
weight = 2

  [[ "principle" ]]
  id = "b"
  title = "B"
  critique = '''
Say "what" [[principle]] \n'''
  revision = "r"
  compare = "c?"
  check = "Is it?"
`)
	want := &constitution.Constitution{
		Name: "n", Description: "d", File: "test.toml",
		Principles: []constitution.Principle{
			{
				ID: "truth", Title: "Truth", Critique: "Quote each false passage.\n[[principle]]\nid = \"fake\" #",
				Revision: "Rewrite the reply.", Compare: "Which reply is more truthful?",
				Tags: []string{"honesty", "x.y_z-1"}, Weight: 2, Line: 7,
			},
			{ID: "b", Title: "B", Critique: `Say "what" [[principle]] \n`, Revision: "r", Compare: "c?", Check: "Is it?", Weight: 1, Line: 23},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Inline tables are TOML, too.
func TestParseInline(t *testing.T) {
	got := parse(t, `name = "n"
principle = [
  # one
  {id = "a", title = "A", critique = "c {", revision = "r", compare = "q"},
  {id = "b", title = "B", critique = "c ]", revision = "r", compare = "q"},
]
`)
	if len(got.Principles) != 2 || got.Principles[0].Line != 4 || got.Principles[1].Line != 5 {
		t.Errorf("%+v", got.Principles)
	}
}

func TestParseWindows(t *testing.T) {
	unix := "name = \"n\"\n" + principle("a", "check = \"\"\"one\ntwo\"\"\"") + principle("b", "")
	a := parse(t, unix)
	b := parse(t, "\ufeff"+strings.ReplaceAll(unix, "\n", "\r\n"))
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	if a.Hash() != b.Hash() {
		t.Error("line ends change the hash")
	}
}

// What is wrong is named by file and line, and all of it.
func TestParseErrors(t *testing.T) {
	long := strings.Repeat("long ", 4000)
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"syntax":       {"name = \"n\"\n\n[[principle]\n", []string{"3: not valid TOML: "}},
		"open string":  {"\nname = \"n\n", []string{"2: not valid TOML: "}},
		"open text":    {"name = \"n\"\n[[principle]]\ncritique = \"\"\"\nx\n\ny\n", []string{"3: not valid TOML: the string that begins here never ends"}},
		"same key":     {"name = \"n\"\nname = \"m\"\n", []string{"2: not valid TOML: "}},
		"empty":        {"", []string{"1: there is no [[principle]] in the file"}},
		"no principle": {"\n# x\nname = \"n\"", []string{"1: there is no [[principle]] in the file"}},
		"empty array":  {"\nprinciple = []", []string{"2: there is no [[principle]] in the file"}},
		"one table":    {"\n[principle]\nid = \"x\"", []string{"2: principle must be [[principle]] tables, not a table"}},
		"a string":     {"principle = \"x\"", []string{"1: principle must be [[principle]] tables, not a string"}},
		"mixed array":  {"\nprinciple = [1, 2]", []string{"2: principle must be [[principle]] tables, not an array"}},
		"unknown keys": {
			"nam = \"n\"\n[zzz]\na = 1\n" + principle("a", "wieght = 2\n[principle.more]\nx = 1\n[principle.more2]"),
			[]string{
				`1: unknown key "nam": did you mean "name"?`, `2: unknown key "zzz"`,
				`10: principle "a": unknown key "wieght": did you mean "weight"?`,
				`11: principle "a": unknown key "more"`, `13: principle "a": unknown key "more2"`,
			},
		},
		"misspelt": {
			strings.Replace(principle("a", ""), "compare", "compar", 1),
			[]string{`6: principle "a": unknown key "compar": did you mean "compare"?`},
		},
		"missing": {
			"\n[[principle]]\n\n[[principle]]\nid = \"b\"\ncompare = \" \"\ntitle=\"?\"\ncritique = \"\"\"\n\n\"\"\"",
			[]string{
				"2: principle 1: missing id, title, critique, revision, compare",
				`4: principle "b": missing revision`, `6: principle "b": compare is blank`,
				`7: principle "b": title has no word in it`, `8: principle "b": critique is blank`,
			},
		},
		"types": {
			"name = 3\ndescription = []\n[[principle]]\nid = 1979-05-27\ntitle = 1.5\ncritique = true\nrevision = {a = 1}\ncompare = [\"x\"]\ntags = \"x\"\nweight = \"heavy\"\ncheck = 1",
			[]string{
				"1: name must be a string, not an integer", "2: description must be a string, not an array",
				"4: principle 1: id must be a string, not a date", "5: principle 1: title must be a string, not a number",
				"6: principle 1: critique must be a string, not a boolean", "7: principle 1: revision must be a string, not a table",
				"8: principle 1: compare must be a string, not an array", "9: principle 1: tags must be an array of strings, not a string",
				"10: principle 1: the weight must be a number, not a string", "11: principle 1: check must be a string, not an integer",
			},
		},
		"tags": {
			principle("a", `tags = ["ok", "", "no way", "ok", 3, "-x"]`),
			[]string{
				`7: principle "a": a tag is blank`, `7: principle "a": the tag "no way" must be letters a to z, digits, '-', '_' and '.', without ' '`,
				`7: principle "a": the tag "ok" stands twice`, `7: principle "a": a tag must be a string, not an integer`,
				`7: principle "a": the tag "-x" must begin with a letter or a digit`,
			},
		},
		"ids": {
			principle("tag:a", "") + principle(".x", "") + principle(strings.Repeat("y", 65), "") + principle("ä", ""),
			[]string{
				`2: principle "tag:a": the id must be letters a to z, digits, '-', '_' and '.', without ':'`,
				`9: principle ".x": the id must begin with a letter or a digit`,
				`16: principle "` + strings.Repeat("y", 59) + `…": the id is 65 bytes long; 64 is the most`,
				`23: principle "ä": the id must begin with a letter or a digit`,
			},
		},
		"twice": {
			principle("a", "") + principle("a", "") + strings.Replace(principle("b", ""), "false in b", "false in a", 1),
			[]string{`9: the id "a" stands twice; first in line 1`, `15: principle "b" has the texts of principle "a" in line 1`},
		},
		"controls": {
			principle("a", `check = "x\u0007y"`) + strings.Replace(principle("b", ""), "Truth of b", `one\ntwo`, 1) + strings.Replace(principle("c", ""), "false in c", `\u202Eeslaf`, 1),
			[]string{
				`7: principle "a": check holds the control character U+0007`, `10: principle "b": the title must be one line`,
				`18: principle "c": critique holds the control character U+202E`,
			},
		},
		"long": {principle("a", `check = "`+long+`"`), []string{`7: principle "a": check is 19999 bytes long; 16384 is the most`}},
		"latin-1": {
			"name = \"n\"\n# M\xfcller\n", []string{"2: the file is not UTF-8"},
		},
		"utf-16":         {"\xff\xfen\x00", []string{"1: the file is UTF-16; save it as UTF-8"}},
		"NUL":            {"name = \"a\x00\"", []string{"1: not valid TOML: "}},
		"deep":           {"\nx = " + strings.Repeat("[", 1<<20), []string{"2: tables or arrays are nested too deeply"}},
		"deep key":       {"\nx" + strings.Repeat(".x", 1<<20) + " = 1", []string{"2: tables or arrays are nested too deeply"}},
		"deep inline":    {"x = " + strings.Repeat("{a=", 1<<20), []string{"1: tables or arrays are nested too deeply"}},
		"deep header":    {"[" + strings.Repeat("a.", 1<<20) + "a]", []string{"1: tables or arrays are nested too deeply"}},
		"huge":           {strings.Repeat("#", 4<<20+1), []string{"1: the file is larger than 4 MiB"}},
		"too many":       {strings.Repeat("[[principle]]\n", 1001), []string{"1: there are 1001 principles; 1000 is the most"}},
		"dotted in root": {"principle.id = \"x\"", []string{"1: principle must be [[principle]] tables, not a table"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := constitution.Parse("p.toml", []byte(tc.in))
			if err == nil || c != nil {
				t.Fatalf("no error, %v", c)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(tc.want) {
				t.Fatalf("got %d problems\n%s\nwant %d\n%s", len(got), err, len(tc.want), strings.Join(tc.want, "\n"))
			}
			for _, w := range tc.want {
				if !slices.ContainsFunc(got, func(g string) bool {
					return g == "p.toml:"+w || strings.HasSuffix(w, "TOML: ") && strings.HasPrefix(g, "p.toml:"+w)
				}) {
					t.Errorf("missing %q in\n%s", w, err)
				}
			}
			var e *constitution.Error
			if !errors.As(err, &e) || e.File != "p.toml" || e.Line < 1 {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestParseWeights(t *testing.T) {
	for in, want := range map[string]string{
		"0": "over 0", "0.0": "over 0", "-0.0": "over 0", "-1": "over 0", "nan": "finite", "-nan": "finite", "inf": "finite", "-inf": "finite",
		"1e-9": "is not between", "1e9": "is not between", "1_000_000": "is not between", "true": "must be a number",
		"9223372036854775807": "is not between",
		"0.001":               "", "1000": "", "+2": "", "0x10": "", "1": "", "0.5": "",
	} {
		_, err := constitution.Parse("p.toml", []byte(principle("a", "weight = "+in)))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p.toml:7: ")) {
			t.Errorf("weight = %s: %v, want %q", in, err, want)
		}
	}
}

// A key in another case is another key, wherever it stands, and an error with its
// line: it neither fills the place of the right one nor counts as one of its
// tables.
func TestParseKeysInAnotherCase(t *testing.T) {
	top := []string{"name", "description", "principle"}
	lines := strings.SplitAfter("name = \"n\"\n"+principle("a", "weight = 2\ntags = [\"x\"]")+principle("b", `check = "is it?"`), "\n")
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom(append([]string{"id", "title", "critique", "revision", "compare", "check", "tags", "weight"}, top...)).Draw(t, "key")
		other := []byte(key)
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(key)-1), 1, len(key), rapid.ID[int]).Draw(t, "letters") {
			other[i] = strings.ToUpper(key)[i]
		}
		where, text := []int{2, 3, 4, 8, 11, len(lines) - 1}, string(other)+" = \"x\"\n"
		switch {
		case key == "principle" && rapid.Bool().Draw(t, "table"):
			header := rapid.SampledFrom([]string{"[[%s]]\n", "[%s]\n", "[[ \"%s\" ]]\n", "[['%s']]\n"}).Draw(t, "header")
			where, text = []int{1, 9, len(lines) - 1}, strings.Replace(header, "%s", string(other), 1)
		case slices.Contains(top, key):
			where = []int{0, 1}
		}
		i := rapid.SampledFrom(where).Draw(t, "line")
		in := strings.Join(slices.Insert(slices.Clone(lines), i, text), "")
		_, err := constitution.Parse("p.toml", []byte(in))
		want := fmt.Sprintf("unknown key %q: did you mean %q", other, key)
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("p.toml:%d: ", i+1)) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%v, want line %d: %s\n%s", err, i+1, want, in)
		}
	})
}

// The problems come in the order of their lines.
func TestParseErrorsAreSorted(t *testing.T) {
	_, err := constitution.Parse("p.toml", []byte("zz = 1\n"+principle("a", "weight = 0\nzzz = 1")+principle("a", "tags = 1")))
	var last int
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatal(err)
	}
	for _, e := range joined.Unwrap() {
		var pe *constitution.Error
		if !errors.As(e, &pe) || pe.Line < last {
			t.Errorf("%v after line %d", e, last)
		}
		last = pe.Line
	}
	if len(joined.Unwrap()) != 5 {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := constitution.Load(filepath.Join(dir, "none.toml")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none.toml") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := constitution.Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("folder: %v", err)
	}
	path := filepath.Join(dir, "p.toml")
	if err := os.WriteFile(path, []byte(principle("a", "")), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := constitution.Load(path)
	if err != nil || c.File != path || len(c.Principles) != 1 || c.Principles[0].Line != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("\n", 5<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := constitution.Load(path); err == nil || !strings.Contains(err.Error(), "p.toml:1: the file is larger than 4 MiB") {
		t.Errorf("large: %v", err)
	}
}

// Whatever Parse can give is written so that Parse gives it again.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := constitutions().Draw(t, "constitution")
		out := want.TOML()
		got := parse(t, string(out))
		if d := cmp.Diff(bare(want), bare(got)); d != "" {
			t.Fatalf("%s\n%s", d, out)
		}
		if string(got.TOML()) != string(out) {
			t.Fatalf("written again it differs\n%s\n%s", out, got.TOML())
		}
		if want.Hash() != got.Hash() {
			t.Fatal("another hash")
		}
		for _, line := range strings.Split(string(out), "\n") {
			if strings.HasSuffix(line, " \\") && len([]rune(line)) > 200 {
				t.Fatalf("a line of %d characters was wrapped so: %q", len([]rune(line)), line)
			}
		}
	})
}

// Each principle's line is its header's, whatever the strings around it hold.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := constitutions().Draw(t, "constitution")
		for i := range c.Principles {
			// A marker on the header's line tells where it must be found.
			c.Principles[i].Title = clip("x")
		}
		out := string(c.TOML())
		got := parse(t, out)
		lines := strings.Split(out, "\n")
		for _, p := range got.Principles {
			if lines[p.Line-1] != "[[principle]]" || lines[p.Line] != `id = "`+p.ID+`"` {
				t.Fatalf("principle %q: line %d is %q", p.ID, p.Line, lines[p.Line-1])
			}
		}
	})
}

func TestTOMLIsReadable(t *testing.T) {
	c := &constitution.Constitution{Name: "n", Principles: []constitution.Principle{{
		ID: "a", Title: `The "best"`, Critique: "First line.\n" + strings.Repeat("word ", 30) + "end \"", Revision: `Say """no""" \ more`, Compare: "Which?",
		Tags: []string{"x", "y"}, Weight: 1,
	}}}
	want := `name = "n"

[[principle]]
id = "a"
title = "The \"best\""
critique = """\
First line.
` + strings.Repeat("word ", 19) + `\
` + strings.Repeat("word ", 11) + `end \""""
revision = "Say \"\"\"no\"\"\" \\ more"
compare = "Which?"
tags = ["x", "y"]
weight = 1.0
`
	if d := cmp.Diff(want, string(c.TOML())); d != "" {
		t.Error(d)
	}
}

// FuzzParse: no file panics, and what parses comes back from TOML.
func FuzzParse(f *testing.F) {
	builtin, err := os.ReadFile("../principles.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(builtin)
	f.Add([]byte(principle("a", `weight = 2`) + principle("b", `tags = ["x"]`)))
	f.Add([]byte("principle = [{id=\"a\",title=\"t\",critique=\"\"\"c\n\"\"\",revision='r',compare='''c''', # x\n},]"))
	f.Add([]byte("\ufeff[[principle]]\r\nid=\"\\u0061\"\r\n[principle.x]\r\n'a b'.\"c\" = {x=[{}]}"))
	f.Add([]byte("[[principle]]\n[[principle]]\n[[principlE]]"))
	f.Add([]byte("NAME = 'x'\n[Principle]\n[[principle]]\nid = 'a'\nID = 'b'"))
	f.Add([]byte("\"principle\" = 1979-05-27T07:32:00Z\n[ principle . a ]\n[[a.b]]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := constitution.Parse("f.toml", data)
		if err != nil {
			if c != nil || !strings.HasPrefix(err.Error(), "f.toml:") {
				t.Fatalf("%v, %q", c, err)
			}
			return
		}
		for i, p := range c.Principles {
			if p.Line < 1 || i > 0 && p.Line < c.Principles[i-1].Line {
				t.Fatalf("principle %d stands in line %d", i, p.Line)
			}
		}
		again, err := constitution.Parse("f.toml", c.TOML())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.TOML())
		}
		if d := cmp.Diff(bare(c), bare(again)); d != "" {
			t.Fatal(d)
		}
		c.Lint()
	})
}
