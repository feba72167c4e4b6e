package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cai/dataset"
	"cai/rm"
)

func completed(t *testing.T, words ...string) []string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := Run(t.Context(), append([]string{completeWord}, words...), Env{In: strings.NewReader(""), Out: &out, Err: &errs}); code != ExitOK || errs.Len() > 0 {
		t.Fatalf("%q: exit %d, stderr %q", words, code, errs.String())
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		names = append(names, name)
	}
	return names
}

func TestCompletion(t *testing.T) {
	u := (&app{}).urfave()
	var commands []string
	for _, c := range u.Commands {
		commands = append(commands, c.Name)
	}
	for _, c := range []struct {
		words []string
		want  []string // nil where a file is to be completed
	}{
		{[]string{}, commands},
		{[]string{""}, commands},
		{[]string{"--db", "x.db", ""}, commands}, // the value of an option is no command
		{[]string{"mod"}, []string{"model"}},
		{[]string{"model", ""}, []string{"show", "verify"}},
		{[]string{"label", "--dry"}, []string{"--dry-run"}},
		{[]string{"label", "--quie"}, []string{"--quiet"}}, // global options stand anywhere
		{[]string{"train", "--head", "m"}, []string{rm.HeadMLP}},
		{[]string{"train", "--head", "=", "m"}, []string{rm.HeadMLP}}, // as bash splits it
		{[]string{"train", "--head=m"}, []string{"--head=mlp"}},
		{[]string{"convert", "--from", ""}, dataset.Formats()},
		{[]string{"label", "--", "--dry"}, nil},
		{[]string{"label", "pairs"}, nil},
		{[]string{"score", "--rm", ""}, nil},
	} {
		if got := completed(t, c.words...); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
}

// The values that are completed must be ones that the command takes: a command that
// refuses one names the option.
func TestCompletedValuesAreTaken(t *testing.T) {
	for _, c := range []struct {
		line   []string
		option string
	}{
		{[]string{"train", "--data", "none.jsonl"}, "head"},
		{[]string{"train", "--data", "none.jsonl"}, "features"},
		{[]string{"labels", "--db", "none.db"}, "aggregate"},
		{[]string{"eval", "none.jsonl"}, "baseline"},
		{[]string{"audit", "--rm", "none.safetensors"}, "probe"},
	} {
		values := completed(t, c.line[0], "--"+c.option, "")
		if len(values) < 2 {
			t.Errorf("%s --%s: completed %q", c.line[0], c.option, values)
		}
		for _, v := range values {
			var errs bytes.Buffer
			t.Chdir(t.TempDir())
			code := Run(t.Context(), append(slices.Clone(c.line), "--"+c.option, v), Env{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs})
			if code != ExitError { // none of the files is there, which is the next thing to be found
				t.Errorf("%s --%s %s: exit %d: %s", c.line[0], c.option, v, code, errs.String())
			}
		}
	}
}

func TestMan(t *testing.T) {
	dir := t.TempDir()
	var errs bytes.Buffer
	if code := Run(t.Context(), []string{"man", "--dir", dir}, Env{Out: &bytes.Buffer{}, Err: &errs}); code != ExitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	for _, path := range paths([]string{"cai"}, (&app{}).urfave().Commands) {
		name := strings.Join(path, "-") + ".1"
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(page)) {
			if known := []string{".TH ", ".SH ", ".B ", ".BR ", ".TP\n", ".nf\n", ".fi\n"}; (line[0] == '.' || line[0] == '\'') &&
				!slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(line, k) }) {
				t.Errorf("%s: text is read as a command: %q", name, line)
			}
		}
	}
	// A page of a command tells each of its options.
	var page bytes.Buffer
	if code := Run(t.Context(), []string{"man", "rubric", "draft"}, Env{Out: &page, Err: &errs}); code != ExitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	for _, c := range (&app{}).urfave().Commands {
		for _, s := range c.Subcommands {
			if c.Name == "rubric" && s.Name == "draft" {
				for _, f := range s.Flags {
					if !strings.Contains(page.String(), roffText(longName(f))) {
						t.Errorf("the page does not tell %s", longName(f))
					}
				}
			}
		}
	}
	if code := Run(t.Context(), []string{"man", "nothing"}, Env{Out: &page, Err: &errs}); code != ExitUsage {
		t.Errorf("exit %d", code)
	}
}

func TestRoffText(t *testing.T) {
	if got, want := roffText(".a\n'b\n c\\d-e"), "\\&.a\n\\&'b\n c\\ed\\-e"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
