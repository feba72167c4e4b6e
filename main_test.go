package main

import (
	"database/sql"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cai/judge"
	"cai/llm/fakeollama"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cai": func() { os.Exit(run()) },
	})
}

// TestScripts runs every command as a user does, against a fake Ollama where a
// model is needed. The scripts have commands of their own: "exits CODE cmd…",
// "fake …", for which see [fake], and "older …", for which see [older].
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "cli/testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("OLLAMA_HOST", "http://127.0.0.1:1") // none, until fake start
			e.Setenv("GORACE", os.Getenv("GORACE"))
			earlier, err := filepath.Abs("cli/testdata/earlier")
			if err != nil {
				return err
			}
			e.Setenv("EARLIER", earlier)
			e.Values[serverKey{}] = &server{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fake":  fake,
			"older": older,
		},
	})
}

// exits runs a command and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		if e, ok := err.(interface{ ExitCode() int }); ok {
			got = e.ExitCode()
		} else {
			ts.Fatalf("%v", err)
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// older makes what an older version wrote:
//
//	older FILE.db [CHANGES.sql]      the database of cli/testdata/443d29a, with changes
//	older model.safetensors FILE…    files of that folder as they are
func older(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: older FILE.db [CHANGES.sql] | older FILE…")
	}
	folder := filepath.Join("cli", "testdata", "443d29a")
	if filepath.Ext(args[0]) != ".db" {
		for _, name := range args {
			b, err := os.ReadFile(filepath.Join(folder, name))
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o600))
		}
		return
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	names, err := filepath.Glob(filepath.Join("store", "migrations", "000[1-8]_*.sql"))
	ts.Check(err)
	names = append(names, filepath.Join(folder, "data.sql"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		ts.Check(err)
		_, err = db.Exec(string(b))
		ts.Check(err)
	}
	for _, name := range args[1:] {
		_, err = db.Exec(ts.ReadFile(name))
		ts.Check(err)
	}
	_, err = db.Exec("PRAGMA application_id = 0x63616931; PRAGMA user_version = 8")
	ts.Check(err)
}

type serverKey struct{}

type server struct {
	fake *fakeollama.Server
	mark int
}

// fake runs a fake Ollama for one script, which finds it by OLLAMA_HOST.
//
//	fake start [-fault NAME [-from N] [-to N]] [-context N] [-coverage X] [-bare] [-no-format] [-wise] [-moody]
//	fake calls N    N answers have been asked for since the start
//	fake mark       remembers how many
//	fake since N    N answers have been asked for since the mark
//	fake pull NAME  the model has other weights from now on
func fake(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fake start|calls|mark|since|pull")
	}
	s := ts.Value(serverKey{}).(*server)
	expect := func(got int) {
		if len(args) != 2 {
			ts.Fatalf("usage: fake %s N", args[0])
		}
		want, err := strconv.Atoi(args[1])
		ts.Check(err)
		if got != want {
			ts.Fatalf("%d answers were asked for, want %d", got, want)
		}
	}
	switch args[0] {
	case "start":
		s.start(ts, args[1:])
	case "calls":
		expect(s.fake.Calls())
	case "mark":
		s.mark = s.fake.Calls()
	case "since":
		expect(s.fake.Calls() - s.mark)
	case "pull":
		if len(args) != 2 {
			ts.Fatalf("usage: fake pull NAME")
		}
		s.fake.Restart(args[1])
	default:
		ts.Fatalf("fake %s is not known", args[0])
	}
}

func (s *server) start(ts *testscript.TestScript, args []string) {
	flags := flag.NewFlagSet("fake start", flag.ContinueOnError)
	fault := flags.String("fault", "", "how calls fail")
	from := flags.Int("from", 1, "the first call that does")
	to := flags.Int("to", 0, "the last, 0 for every one")
	context := flags.Int("context", 8192, "the context that the models were made for")
	coverage := flags.Float64("coverage", 0, "how much of the probability falls on the answers; 0 for the usual")
	bare := flags.Bool("bare", false, "the models have no chat template")
	noFormat := flags.Bool("no-format", false, "schemas are ignored")
	wise := flags.Bool("wise", false, "the models know the good replies of the built-in pairs")
	moody := flags.Bool("moody", false, "other and critic have opinions of their own, critic more so")
	ts.Check(flags.Parse(args))
	kind, err := fakeollama.ParseFault(*fault)
	ts.Check(err)
	o := fakeollama.Options{Bias: 1, Fault: fakeollama.During(kind, *from, *to), Coverage: *coverage, NoFormat: *noFormat}
	for _, name := range []string{"judge", "other", "critic", "reviser"} {
		m := fakeollama.Model{Name: name, Context: *context}
		if *bare {
			m.Template = fakeollama.BareTemplate
		}
		o.Models = append(o.Models, m)
	}
	o.Models = append(o.Models, fakeollama.Model{Name: "embedder", Capabilities: []string{"embedding"}, Family: "bert", Context: 512})
	if *moody {
		o.Whims = map[string]float64{"other": 0.6, "critic": 1.2}
	}
	if *wise {
		o.Quality = wisdom()
	}
	s.fake = fakeollama.New(o)
	web := httptest.NewServer(s.fake)
	ts.Defer(web.Close)
	ts.Setenv("OLLAMA_HOST", web.URL)
}

// wisdom is the quality of replies as a good judge of the built-in pairs sees
// it.
func wisdom() func(string) float64 {
	known := map[string]float64{}
	for _, p := range judge.Probes() {
		known[p.Good], known[p.Bad] = 1, -1
	}
	return func(reply string) float64 {
		if q, ok := known[reply]; ok {
			return q
		}
		return fakeollama.Quality(reply)
	}
}
