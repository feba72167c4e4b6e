package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/llm/fakeollama"
)

// readingLines are command lines of every command that reads records, and of every
// option that names a file of them: FILE is the file, GOOD another that is sound,
// SCRATCH a folder for what is made.
var readingLines = []string{
	"import FILE", "import GOOD FILE",
	"label FILE", "label GOOD FILE", "label --dry-run FILE", "label --pairs 2 FILE",
	"debate --rounds 1 FILE",
	"calibrate --gold FILE", "calibrate --gold GOOD --apply FILE",
	"critique FILE", "revise --rounds 1 FILE", "sample --n 1 FILE",
	"grade --rubric SCRATCH/rubric.toml FILE", "rubric draft --pairs FILE",
	"eval --baseline longer FILE", "eval --baseline author FILE", "eval --baseline bag-of-words FILE",
	"eval --judge FILE", "eval --rm SCRATCH/model FILE", "eval --baseline longer --train FILE GOOD", "eval --matrix FILE GOOD",
	"train --data FILE --out SCRATCH/new", "train --data FILE --features embed:embedder --out SCRATCH/new",
	"train --data FILE --holdout-authors 2 --out SCRATCH/new",
	"score --rm SCRATCH/model FILE", "score --json --rm SCRATCH/model FILE", "score --rm SCRATCH/model --monitor --reference FILE GOOD",
	"explain --rm SCRATCH/model FILE", "explain --rm SCRATCH/model --data FILE GOOD", "explain --rm SCRATCH/model --global --data FILE",
	"audit --rm SCRATCH/model --sample 10 FILE", "audit --rm SCRATCH/model --sample 10 --data FILE",
	"model verify --data FILE SCRATCH/model",
	"convert FILE SCRATCH/new.jsonl", "convert FILE SCRATCH/new.json", "convert --to csv FILE -", "convert --to pairs FILE SCRATCH/new.parquet",
	"convert --split a=0.5,b=0.5 FILE SCRATCH/new.csv", "convert --check FILE", "convert --check --against FILE GOOD",
}

// readingPairs are pairs that are also replies and prompts, with the authors of both.
func readingPairs(n int) string {
	var b strings.Builder
	enc := dataset.NewEncoder(&b)
	for i, p := range probePairs(n) {
		if err := enc.Encode(map[string]any{
			"id": fmt.Sprint(i), "prompt": p.Prompt, "response_a": p.First.Text, "response_b": p.Second.Text, "label_prob": p.P,
			"model_a": fmt.Sprintf("m%d", i%5), "model_b": fmt.Sprintf("m%d", (i%5+1+i/5%4)%5),
		}); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// bench is a folder with what the commands need, and a server.
type readingBench struct {
	dir  string
	host string
}

func newReadingBench(t *testing.T) *readingBench {
	t.Helper()
	web := httptest.NewServer(fakeollama.New(fakeollama.Options{Models: []fakeollama.Model{
		{Name: "judge", Context: 8192}, {Name: "embedder", Capabilities: []string{"embedding"}, Family: "bert", Context: 512},
	}}))
	t.Cleanup(web.Close)
	b := &readingBench{t.TempDir(), web.URL}
	b.write(t, "good.jsonl", readingPairs(60))
	b.write(t, "rubric.toml", "name = \"r\"\n[[criteria]]\nid = \"clear\"\ntext = \"Is it clear?\"\n")
	if code, _, errs := b.run(t, "train --data GOOD --out SCRATCH/model", "", ""); code != ExitOK {
		t.Fatal(errs)
	}
	return b
}

func (b *readingBench) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command line of [readingLines] in the bench.
func (b *readingBench) run(t *testing.T, line, file, stdin string, more ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	words := strings.Fields(line)
	for i := range words {
		words[i] = strings.NewReplacer("FILE", file, "GOOD", filepath.Join(b.dir, "good.jsonl"), "SCRATCH", b.dir).Replace(words[i])
	}
	words = append(words, "--db", filepath.Join(b.dir, "cai.db"), "--host", b.host, "--model", "judge")
	code = Run(context.WithoutCancel(t.Context()), append(words, more...), Env{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr, Principles: []byte(oneOverall)})
	return code, stdout.String(), stderr.String()
}

// entries are the names in the folder.
func (b *readingBench) entries(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// TestEveryReadingCommandIsTested: a command that takes --skip-bad stands in the list.
func TestEveryReadingCommandIsTested(t *testing.T) {
	var look func(path string, cs []*urfave.Command)
	look = func(path string, cs []*urfave.Command) {
		for _, c := range cs {
			name := strings.TrimSpace(path + " " + c.Name)
			if _, ok := arity(c.Flags)["skip-bad"]; ok && !slices.ContainsFunc(readingLines, func(l string) bool { return strings.HasPrefix(l, name+" ") }) {
				t.Errorf("cai %s is not in the list", name)
			}
			look(name, c.Subcommands)
		}
	}
	look("", (&app{}).urfave().Commands)
}

// TestAnInputWithoutARecord: in every command it is an error that names the file, and
// nothing is made, no output and no database.
func TestAnInputWithoutARecord(t *testing.T) {
	b := newReadingBench(t)
	bad := strings.Repeat(`{"prompt":`+"\n", 3)
	b.write(t, "empty.jsonl", "")
	b.write(t, "blank.jsonl", " \n\t\r\n\n")
	b.write(t, "marked.csv", "\ufeff")
	b.write(t, "header.csv", "prompt,response_a,response_b\r\n")
	b.write(t, "list.json", "[ ]\n")
	b.write(t, "object.json", `{"data":[]}`)
	b.write(t, "bad.jsonl", bad)
	rows := dataset.NewRowWriter("x.parquet", func() *os.File {
		f, err := os.Create(filepath.Join(b.dir, "none.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}())
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	files := []string{"empty.jsonl", "blank.jsonl", "marked.csv", "header.csv", "list.json", "object.json", "none.parquet", "bad.jsonl", "-", os.DevNull}
	before := b.entries(t)
	for i, line := range readingLines {
		// Each line meets every kind of file in turn with the others; all meet two.
		for _, name := range []string{files[i%len(files)], files[(i+3)%len(files)], "bad.jsonl"} {
			file, more := name, []string(nil)
			if name != "-" && name != os.DevNull {
				file = filepath.Join(b.dir, name)
			}
			if name == "bad.jsonl" {
				more = []string{"--skip-bad"}
			}
			if name == "-" && (strings.Contains(line, "--train FILE") || strings.Contains(line, "GOOD FILE") && strings.HasPrefix(line, "eval")) {
				continue
			}
			code, out, errs := b.run(t, line, file, " \n", more...)
			named := strings.Contains(errs, nameOf(file)+": ") || strings.Contains(errs, file+":1: ") // a text without a word
			if code != ExitError || out != "" || !named {
				t.Errorf("cai %s of %s exits with %d, %q, %s", line, name, code, out, errs)
			}
			if name == "bad.jsonl" && (!strings.Contains(errs, "none of its 3 records can be read") || strings.Count(errs, "left out: ") != 3) {
				t.Errorf("cai %s of %s: %s", line, name, errs)
			}
			if now := b.entries(t); !slices.Equal(before, now) {
				t.Fatalf("cai %s of %s made %v", line, name, now)
			}
		}
	}
}

// TestSkippedRecordsAreCounted: every command leaves out what cannot be read when
// asked to, says each once, and exits with 3; else it stops at the first.
func TestSkippedRecordsAreCounted(t *testing.T) {
	b := newReadingBench(t)
	damaged := func(text string) string {
		good := strings.SplitAfter(text, "\n")
		lines := slices.Concat(good[:1], []string{"{\n"}, good[1:8], []string{`{"prompt":7,"response":7,"response_a":7}` + "\n"}, good[8:])
		return strings.Join(lines, "")
	}
	pairs := b.write(t, "some.jsonl", damaged(readingPairs(60)))
	few := b.write(t, "few.jsonl", damaged(readingPairs(10)))
	replies := b.write(t, "replies.jsonl", damaged(strings.ReplaceAll(readingPairs(10), "response_a", "response")))
	for _, line := range readingLines {
		file := pairs
		switch command, _, _ := strings.Cut(line, " "); command {
		case "critique", "revise":
			file = replies
		case "debate", "grade", "calibrate", "label", "sample":
			file = few
		}
		os.Remove(filepath.Join(b.dir, "cai.db"))
		code, _, errs := b.run(t, line, file, "")
		if code != ExitError || !strings.Contains(errs, file+":2: ") {
			t.Errorf("cai %s exits with %d: %s", line, code, errs)
		}
		if line == "model verify --data FILE SCRATCH/model" {
			continue // of other data than the model's
		}
		os.Remove(filepath.Join(b.dir, "cai.db"))
		code, _, errs = b.run(t, line, file, "", "--skip-bad", "--limit=0")
		if strings.Contains(errs, "flag provided but not defined: -limit") {
			code, _, errs = b.run(t, line, file, "", "--skip-bad")
		}
		if n := strings.Count(errs, "left out: "+file); code != ExitSomeFailed || n != 2 {
			t.Errorf("cai %s --skip-bad exits with %d, %d records left out: %s", line, code, n, errs)
		}
	}
}

// TestLimit: of what a command works on, the first N are used and reported, whatever
// the database knows of the others, and N below 0 is refused.
func TestLimit(t *testing.T) {
	b := newReadingBench(t)
	file := b.write(t, "many.jsonl", readingPairs(9))
	undecided := strings.ReplaceAll(readingPairs(2), `"label_prob":0`, `"label_prob":null`)
	undecided = strings.ReplaceAll(undecided, `"label_prob":1`, `"label_prob":0.5`)
	open := b.write(t, "open.jsonl", undecided+readingPairs(9))
	figure := func(path ...string) func(string) any {
		return func(out string) (v any) {
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				return err
			}
			for _, key := range path {
				switch x := v.(type) {
				case map[string]any:
					v = x[key]
				case []any:
					v = x[0].(map[string]any)[key]
				}
			}
			return v
		}
	}
	lines := func(out string) any { return float64(strings.Count(out, "\n")) }
	for _, k := range []struct {
		line  string
		count map[string]func(string) any
	}{
		{"label FILE", map[string]func(string) any{"pairs": figure("pairs"), "labels": figure("labels"), "against_source": figure("against_source", "n")}},
		{"label FILE GOOD", map[string]func(string) any{"pairs": figure("pairs"), "labels": figure("labels"), "against_source": figure("against_source", "n")}},
		{"debate --rounds 1 FILE", map[string]func(string) any{"pairs": figure("pairs"), "labels": figure("labels"), "against_source": figure("against_source", "n")}},
		{"calibrate --gold FILE", map[string]func(string) any{"n": figure("n")}},
		{"eval --baseline longer FILE", map[string]func(string) any{"n": figure("sets", "n")}},
		{"eval --judge FILE", map[string]func(string) any{"n": figure("sets", "n")}},
		{"eval --rm SCRATCH/model FILE", map[string]func(string) any{"n": figure("sets", "n")}},
		{"sample --n 1 FILE", map[string]func(string) any{"lines": lines}},
		{"grade --rubric SCRATCH/rubric.toml FILE", map[string]func(string) any{"lines": lines}},
		{"explain --rm SCRATCH/model FILE", map[string]func(string) any{"lines": lines}},
	} {
		for _, limit := range []string{"0", "3", "7"} {
			in := file
			if limit == "3" && strings.HasPrefix(k.line, "eval") {
				in = open // pairs that nobody has decided are not among them
			}
			code, out, errs := b.run(t, k.line, in, "", "--json", "--limit", limit)
			if code != ExitOK {
				t.Errorf("cai %s --limit %s exits with %d: %s", k.line, limit, code, errs)
				continue
			}
			for what, count := range k.count {
				if got := count(out); limit != "0" && fmt.Sprint(got) != limit {
					t.Errorf("cai %s --limit %s: %s is %v in %s", k.line, limit, what, got, out)
				}
			}
		}
		if code, out, errs := b.run(t, k.line, file, "", "--limit=-1"); code != ExitUsage || out != "" || !strings.Contains(errs, "--limit") {
			t.Errorf("cai %s --limit=-1 exits with %d: %s", k.line, code, errs)
		}
	}
}
