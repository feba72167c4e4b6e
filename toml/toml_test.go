package toml_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/toml"
)

// document is a TOML file that is written line by line, with where its keys and
// the tables of the array a stand.
type document struct {
	t      *rapid.T
	text   strings.Builder
	line   int // the next one
	keys   map[string]int
	tables []table
}

type table struct {
	line int
	keys map[string]int
}

// put writes whole lines and gives the first one's number.
func (d *document) put(s string) int {
	at := d.line
	d.text.WriteString(s + "\n")
	d.line += 1 + strings.Count(s, "\n")
	return at
}

func (d *document) one(of ...string) string { return rapid.SampledFrom(of).Draw(d.t, "writing") }

func (d *document) key(name string) string {
	return fmt.Sprintf(d.one("%s", "%q", "'%s'", " %s "), name)
}

// noise may write a line that says nothing.
func (d *document) noise() {
	if s := d.one("none", "", "# [[a]]", "  # k0 = 1"); s != "none" {
		d.put(s)
	}
}

// pair writes a key with a value that may look like something else.
func (d *document) pair(name string) int {
	d.noise()
	return d.put(d.key(name) + d.one("=", " = ") + d.one("1", "'x'", `"[[a]] # \\\" "`, "\"\"\"\n[[a]]\nk = 1\n\\\"\"\"\"\"", "'''\n[[a]]\n'''''",
		"[ # ]\n 1, 2,\n]", "{x = [{y = '}'}]}", "1979-05-27T07:32:00Z", "-inf # [[a]]"))
}

func (d *document) inline(n int) {
	d.put("a = [")
	for range n {
		d.tables = append(d.tables, table{line: d.line, keys: map[string]int{"x": d.line}})
		d.put("  {" + d.key("x") + "= " + d.one("1", "'}'", `"]"`, "[{z = 1}]") + "}, # {")
	}
	d.put("]")
}

func (d *document) headers(n int) {
	for i := range n {
		d.noise()
		tb := table{line: d.put(fmt.Sprintf(d.one("[[%s]]", " [[ %s ]] # [[a]]", "[[%s]]\t"), d.key("a"))), keys: map[string]int{}}
		for j := range rapid.IntRange(0, 3).Draw(d.t, "keys") {
			name := fmt.Sprintf("k%d", j)
			tb.keys[name] = d.pair(name)
		}
		if other := d.one("none", fmt.Sprintf("[b%d]", i), "[[A]]", "[a.sub]", "[[a.subs]]"); other != "none" {
			d.put(other)
			d.put("k0 = 1")
		}
		d.tables = append(d.tables, tb)
	}
}

// Every table and every key is found in its line, however it is written and
// whatever the strings and comments around it hold.
func TestDecodePlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &document{t: t, line: 1, keys: map[string]int{}}
		for i := range rapid.IntRange(0, 3).Draw(t, "top keys") {
			name := fmt.Sprintf("k%d", i)
			d.keys[name] = d.pair(name)
		}
		write, n := d.headers, rapid.IntRange(0, 4).Draw(t, "tables")
		if rapid.Bool().Draw(t, "inline") {
			write = d.inline
		}
		write(n)
		text := d.text.String()
		m, places, err := toml.Decode(text, "a")
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got, ok := toml.Tables(m["a"]); !ok || len(got) != n || len(places.Tables) != n {
			t.Fatalf("%d tables, %d places, want %d\n%s", len(got), len(places.Tables), n, text)
		}
		for name, want := range d.keys {
			if places.Keys[name] != want {
				t.Fatalf("%s in line %d, want %d\n%s", name, places.Keys[name], want, text)
			}
		}
		for i, want := range d.tables {
			if got := places.Table(i).Line; got != want.line {
				t.Fatalf("table %d in line %d, want %d\n%s", i, got, want.line, text)
			}
			for name, line := range want.keys {
				if got := places.Table(i).LineOf(name); got != line {
					t.Fatalf("%s of table %d in line %d, want %d\n%s", name, i, got, line, text)
				}
			}
		}
	})
}

// Keys that differ by case are different keys.
func TestDecodeKeepsCase(t *testing.T) {
	m, places, err := toml.Decode("[[a]]\nx = 1\nX = 2\n[[A]]\n[[a]]\n", "a")
	if err != nil {
		t.Fatal(err)
	}
	if tables, ok := toml.Tables(m["a"]); !ok || len(tables) != 2 || tables[0]["x"] != int64(1) || tables[0]["X"] != int64(2) || len(places.Tables) != 2 {
		t.Errorf("%v, %+v", m, places)
	}
	if p := places.Table(0); p.LineOf("x") != 2 || p.LineOf("X") != 3 || places.Keys["A"] != 4 || places.Table(1).Line != 5 {
		t.Errorf("%+v", places)
	}
}

// No other package decodes TOML: what fills structs matches keys in any case.
func TestOnlyDecoder(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || path == filepath.Join("..", "toml", "toml.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, "toml") && i.Path.Value != `"cai/toml"` {
				t.Errorf("%s imports %s; package cai/toml reads TOML", path, i.Path.Value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzDecode: no file panics, and every place is a line of the file.
func FuzzDecode(f *testing.F) {
	f.Add("[[a]]\n[[a]]\n[[A]]\nx.y = {z = [1, '''\n''']}")
	f.Add("a = [\n{b = 1, \"c\" = 2},\n{}]")
	f.Add("a = = c{id=c{id=")
	f.Add("x = \"\"\"\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		m, places, err := toml.Decode(text, "a")
		lines := 1 + strings.Count(text, "\n")
		if err != nil {
			if err.Line < 1 || err.Line > lines || err.Message == "" || m != nil {
				t.Fatalf("%v of %d lines", err, lines)
			}
			return
		}
		tables, _ := toml.Tables(m["a"])
		for i, table := range tables {
			for key := range table {
				if l := places.Table(i).LineOf(key); l < 1 || l > lines {
					t.Fatalf("%q of table %d in line %d of %d", key, i, l, lines)
				}
			}
		}
	})
}
