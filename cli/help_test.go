package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// every command's path, the program's own first
func paths(prefix []string, cs []*urfave.Command) [][]string {
	out := [][]string{prefix}
	for _, c := range cs {
		out = append(out, paths(append(append([]string{}, prefix...), c.Name), c.Subcommands)...)
	}
	return out
}

func TestHelp(t *testing.T) {
	version = "v0-test"
	for _, name := range []string{"CAI_DB", "CAI_CONSTITUTION", "CAI_MODEL", "OLLAMA_HOST"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	for _, path := range paths(nil, (&app{}).urfave().Commands) {
		name := strings.Join(append([]string{"cai"}, path...), "-")
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Run(t.Context(), append(path, "--help"), Env{In: strings.NewReader(""), Out: &out, Err: &errs})
			if code != ExitOK || errs.Len() > 0 {
				t.Fatalf("exit %d, stderr %q", code, errs.String())
			}
			if !strings.Contains(out.String(), "xit codes:") && len(path) > 0 && !strings.Contains(out.String(), "COMMANDS:") {
				t.Error("the help does not tell the exit codes")
			}
			golden := filepath.Join("testdata", "help", name+".txt")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out.String()); d != "" {
				t.Errorf("go test ./cli -run TestHelp -update accepts this:\n%s", d)
			}
		})
	}
}

// Two options of one name would make the meaning of a line depend on its order.
func TestNoCommandOptionHidesAGlobalOne(t *testing.T) {
	u := (&app{}).urfave()
	global := arity(u.Flags)
	var walk func([]*urfave.Command)
	walk = func(cs []*urfave.Command) {
		for _, c := range cs {
			for name := range arity(c.Flags) {
				if _, ok := global[name]; ok {
					t.Errorf("%s --%s hides the global option", c.Name, name)
				}
			}
			walk(c.Subcommands)
		}
	}
	walk(u.Commands)
}
