package cli

import (
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"cai/store"
)

// documents are all pages for people, by their path from the repository's root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "bench/*.md"} {
		files, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			docs[strings.TrimPrefix(f, "../")] = string(text)
		}
	}
	if len(docs) < 8 {
		t.Fatalf("only %d pages were found", len(docs))
	}
	return docs
}

var (
	codeSpan   = regexp.MustCompile("`[^`\n]+`")
	codeIndent = regexp.MustCompile(`(?m)^    .*$`)
	codeFence  = regexp.MustCompile("(?s)```.*?```")
	// A command begins a line or a span, or follows a prompt, a pipe, an assignment.
	aCommand = regexp.MustCompile("(?:^|[`\n$;|(=] ?|[A-Z_]+=\\S+ )(?:bin/)?cai ([a-z][^`;|#\n]*)")
	anOption = regexp.MustCompile(`(?:^|[\s\x60'"(])(--?[a-z][a-z0-9-]*)`)
)

// commandLines are the lines of code in which the program is called, without its
// name.
func commandLines(text string) []string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	var lines []string
	for _, re := range []*regexp.Regexp{codeSpan, codeIndent, codeFence} {
		for _, code := range re.FindAllString(text, -1) {
			for line := range strings.Lines(code) {
				for _, m := range aCommand.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
					lines = append(lines, strings.TrimSpace(m[1]))
				}
			}
		}
	}
	return lines
}

// What a page tells people to type must exist.
func TestDocsNameCommandsAndOptionsThatExist(t *testing.T) {
	u := (&app{}).urfave()
	global := arity(u.Flags)
	found := 0
	for page, text := range documents(t) {
		for _, line := range commandLines(text) {
			found++
			words := strings.Fields(line)
			path, _ := commandPath(words, u, global)
			if len(path) == 0 {
				t.Errorf("%s: there is no command %q: cai %s", page, words[0], line)
				continue
			}
			var names []string
			for _, c := range path {
				names = append(names, c.Name)
			}
			known := optionsOf(u, names)
			for _, m := range anOption.FindAllStringSubmatch(line, -1) {
				if !known[strings.TrimLeft(m[1], "-")] {
					t.Errorf("%s: cai %s has no option %s: cai %s", page, strings.Join(names, " "), m[1], line)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d command lines were found in the pages", found)
	}
}

// optionsOf are the names that the command of this path takes, global ones too.
func optionsOf(u *urfave.App, path []string) map[string]bool {
	known := map[string]bool{"help": true, "h": true, "version": true}
	add := func(flags []urfave.Flag) {
		for name := range arity(flags) {
			known[name] = true
		}
	}
	add(u.Flags)
	cs := u.Commands
	for _, name := range path {
		i := slices.IndexFunc(cs, func(c *urfave.Command) bool { return c.Name == name })
		add(cs[i].Flags)
		cs = cs[i].Subcommands
	}
	return known
}

func TestReadmeNamesEveryCommand(t *testing.T) {
	readme := documents(t)["README.md"]
	for _, c := range (&app{}).urfave().Commands {
		if !strings.Contains(readme, "cai "+c.Name) {
			t.Errorf("README.md does not name cai %s", c.Name)
		}
	}
}

var aLink = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func TestDocsLinkToWhatIsThere(t *testing.T) {
	for page, text := range documents(t) {
		for _, m := range aLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
			}
		}
	}
}

// The tables and views of docs/store.md are those of a new database.
func TestDocsOfTheStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cai.db")
	st, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT m.name, group_concat(i.name, ', ') FROM sqlite_schema m, pragma_table_info(m.name) i
		WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%' GROUP BY m.name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	want := map[string]string{}
	for rows.Next() {
		var name, columns string
		if err := rows.Scan(&name, &columns); err != nil {
			t.Fatal(err)
		}
		want[name] = columns
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	aRow := regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\| ([^|]+) \\|")
	for _, m := range aRow.FindAllStringSubmatch(documents(t)["docs/store.md"], -1) {
		names, columns := strings.Split(m[1], ", "), strings.Split(m[2], "; ")
		if len(names) != len(columns) {
			t.Fatalf("%d tables and %d lists of columns: %s", len(names), len(columns), m[0])
		}
		for i := range names {
			got[strings.Trim(names[i], "`")] = columns[i]
		}
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("docs/store.md says of %s\n  %s\nit has\n  %s", name, got[name], want[name])
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("docs/store.md tells of %s, which is not there", name)
		}
	}
}

// The messages of docs/troubleshooting.md are ones that the program can say.
func TestTroubleshootingQuotesRealMessages(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := source.String()
	aMessage := regexp.MustCompile("(?m)^\\| `([^`]+)`[^|]* \\|")
	messages := aMessage.FindAllStringSubmatch(documents(t)["docs/troubleshooting.md"], -1)
	if len(messages) < 20 {
		t.Errorf("only %d messages were found", len(messages))
	}
	for _, m := range messages {
		if !strings.HasPrefix(m[1], "FILE:LINE") && !strings.Contains(text, m[1]) {
			t.Errorf("nothing says %q", m[1])
		}
	}
}
