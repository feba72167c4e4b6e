package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"
	"pgregory.net/rapid"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
	"cai/llm/fakeollama"
	"cai/rm"
	"cai/store"
)

// runSources opens sources as a command would, with the command line's global
// options, and gives what the run said on stderr.
func runSources(t testing.TB, args, names []string, o sourceOptions, f func([]rm.Source) error) (string, error) {
	t.Helper()
	var said bytes.Buffer
	a := &app{Env: Env{Out: &said, Err: &said, Stop: make(chan struct{})}}
	u := &urfave.App{
		Writer: &said, ErrWriter: &said, Flags: a.globalFlags(), ExitErrHandler: func(*urfave.Context, error) {},
		Action: func(c *urfave.Context) error {
			sources, done, err := a.sources(c, names, o)
			if err != nil {
				return err
			}
			return errors.Join(f(sources), done())
		},
	}
	err := u.RunContext(t.Context(), append([]string{"cai"}, args...))
	return said.String(), errors.Join(err, a.close())
}

func serveFake(t *testing.T, o fakeollama.Options) (*fakeollama.Server, string) {
	t.Helper()
	fake := fakeollama.New(o)
	ts := httptest.NewServer(fake)
	t.Cleanup(func() {
		ts.CloseClientConnections()
		ts.Close()
	})
	return fake, ts.URL
}

// textsAsked are the texts of all calls.
func textsAsked(fake *fakeollama.Server) (texts []string) {
	for _, r := range fake.Requests() {
		texts = append(texts, r.Texts...)
	}
	return texts
}

func someItems(n int) []rm.Item {
	items := make([]rm.Item, n)
	for i := range items {
		items[i] = rm.Item{Prompt: dataset.Prompt(fmt.Sprint("question ", i/2)), Reply: fmt.Sprint("answer ", i)}
	}
	return items
}

// hintOf is what the program would add to an error.
func hintOf(err error) string {
	var e *exitError
	if errors.As(err, &e) && e.hint != "" {
		return e.hint
	}
	return llm.HintOf(err)
}

// vectorsOf asks the only source.
func vectorsOf(t testing.TB, into *[]rm.Vector, items []rm.Item) func([]rm.Source) error {
	return func(s []rm.Source) error {
		v, err := s[0].Vectors(t.Context(), items)
		*into = v
		return err
	}
}

// Each text is asked about once, and by a later run not at all; what comes out is
// the same.
func TestEmbeddingsAreKeptInTheDatabase(t *testing.T) {
	for _, v1 := range []bool{false, true} {
		fake, url := serveFake(t, fakeollama.Options{})
		name := "embed:embedder"
		if v1 {
			name = "embed:openai:embedder@" + url
		}
		args := []string{"--host", url, "--db", filepath.Join(t.TempDir(), "cai.db")}
		items := append(someItems(100), someItems(10)...)
		items = append(items, rm.Item{}, rm.Item{Reply: ""})
		var first, second []rm.Vector
		var ids []string
		run := func(into *[]rm.Vector) {
			_, err := runSources(t, args, []string{"hash", name, "style", name}, sourceOptions{Keep: true}, func(s []rm.Source) error {
				if len(s) != 1 {
					t.Fatalf("%d sources, want 1", len(s))
				}
				if p, r := s[0].Dims(); p != 32 || r != 32 || s[0].Columns() != nil || !strings.HasPrefix(s[0].Name(), name) {
					t.Errorf("%s has %d and %d numbers", s[0].Name(), p, r)
				}
				ids = append(ids, s[0].ID())
				return vectorsOf(t, into, items)(s)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		run(&first)
		asked := textsAsked(fake)
		if n := len(asked); n != 151 || len(slices.Compact(slices.Sorted(slices.Values(asked)))) != n {
			t.Errorf("%d texts were asked about, want 50 prompts, 100 replies and the empty text", n)
		}
		calls := fake.Calls()
		run(&second)
		if fake.Calls() != calls {
			t.Errorf("the second run made %d calls", fake.Calls()-calls)
		}
		if !cmp.Equal(first, second) || ids[0] != ids[1] {
			t.Error("the second run gives something else")
		}
		for i, v := range first {
			if !v.Known || i < 100 && cmp.Equal(v.Reply, first[(i+1)%100].Reply) {
				t.Errorf("item %d: %+v", i, v)
			}
		}
		if !cmp.Equal(first[0].Prompt, first[1].Prompt) || cmp.Equal(first[0].Prompt, first[2].Prompt) {
			t.Error("prompts are mixed up")
		}
	}
}

// The prompt's vector is that of the last user turn.
func TestEmbeddingOfAConversation(t *testing.T) {
	_, url := serveFake(t, fakeollama.Options{})
	talk := dataset.Conversation{{Role: "user", Content: "first"}, {Role: "assistant", Content: "second"}, {Role: "user", Content: "third"}}
	items := []rm.Item{
		{Prompt: talk, Reply: "x"},
		{Prompt: dataset.Prompt("third"), Reply: "x"},
		{Prompt: append(slices.Clone(talk), dataset.Message{Role: "assistant", Content: "fourth"}), Reply: "x"},
		{Prompt: dataset.Conversation{{Role: "system", Content: "third"}}, Reply: "x"},
		{Prompt: dataset.Prompt("first"), Reply: "x"},
	}
	var v []rm.Vector
	if _, err := runSources(t, []string{"--host", url, "--db", filepath.Join(t.TempDir(), "none.db")}, []string{"embed:embedder"}, sourceOptions{}, vectorsOf(t, &v, items)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if !cmp.Equal(v[0], v[i+1]) {
			t.Errorf("item %d has another vector", i+1)
		}
	}
	if cmp.Equal(v[0], v[4]) {
		t.Error("an earlier turn counts")
	}
}

// Scoring makes no database and remembers for its own run.
func TestEmbeddingsWithoutADatabase(t *testing.T) {
	fake, url := serveFake(t, fakeollama.Options{})
	db := filepath.Join(t.TempDir(), "cai.db")
	_, err := runSources(t, []string{"--host", url, "--db", db}, []string{"embed:embedder"}, sourceOptions{}, func(s []rm.Source) error {
		for range 3 {
			if _, err := s[0].Vectors(t.Context(), someItems(10)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(textsAsked(fake)); n != 16 {
		t.Errorf("%d texts were asked about, want 16", n)
	}
	if _, err := os.Stat(db); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
}

// Callers at the same time do not ask about the same text.
func TestEmbeddingsAreAskedForOnce(t *testing.T) {
	fake, url := serveFake(t, fakeollama.Options{Latency: 10 * time.Millisecond})
	_, err := runSources(t, []string{"--host", url, "--db", filepath.Join(t.TempDir(), "cai.db")}, []string{"embed:embedder"}, sourceOptions{Keep: true}, func(s []rm.Source) error {
		var wg sync.WaitGroup
		got := make([][]rm.Vector, 8)
		for k := range got {
			wg.Go(func() {
				var err error
				if got[k], err = s[0].Vectors(t.Context(), someItems(60 + 10*k)[10*(k/2):]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for k := range got {
			want, err := s[0].Vectors(t.Context(), someItems(60 + 10*k)[10*(k/2):])
			if err != nil || !cmp.Equal(got[k], want) {
				t.Errorf("caller %d got something else: %v", k, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := textsAsked(fake)
	if n := len(asked); n != 130+65+1 || len(slices.Compact(slices.Sorted(slices.Values(asked)))) != n {
		t.Errorf("%d texts were asked about", n)
	}
}

// What has come before an interruption or an error is kept, and the next run asks
// about the rest.
func TestEmbeddingsResume(t *testing.T) {
	for name, fault := range map[string]fakeollama.Fault{
		"ctrl-c": fakeollama.FaultSilent, "broken": fakeollama.FaultBroken, "fewer": fakeollama.FaultFewer,
		"nan": fakeollama.FaultNaN, "dimension": fakeollama.FaultDimension,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			fake, url := serveFake(t, fakeollama.Options{Fault: func(r fakeollama.Request) fakeollama.Fault {
				if r.Number != 4 {
					return fakeollama.FaultNone
				}
				if name == "ctrl-c" {
					cancel()
				}
				return fault
			}})
			args := []string{"--host", url, "--db", filepath.Join(t.TempDir(), "cai.db")}
			_, err := runSources(t, args, []string{"embed:embedder"}, sourceOptions{Keep: true}, func(s []rm.Source) error {
				_, err := s[0].Vectors(ctx, someItems(100))
				return err
			})
			if err == nil || (name == "ctrl-c") != errors.Is(err, context.Canceled) {
				t.Fatalf("error %v", err)
			}
			if n := len(textsAsked(fake)); n != 1+3*32 {
				t.Fatalf("%d texts were asked about before", n)
			}
			fake.Reset()
			var v []rm.Vector
			fake.SetFault(nil)
			said, err := runSources(t, args, []string{"embed:embedder"}, sourceOptions{Keep: true}, vectorsOf(t, &v, someItems(100)))
			if err != nil || len(v) != 100 {
				t.Fatal(err)
			}
			if n := len(textsAsked(fake)); n != 150-64 || !strings.Contains(said, "86 texts embedded, 64 were known") {
				t.Errorf("%d texts were asked about, want 86; said %q", n, said)
			}
		})
	}
}

// Faults that pass do not show.
func TestEmbeddingsThroughFaults(t *testing.T) {
	faults := []fakeollama.Fault{fakeollama.FaultRunner, fakeollama.FaultReset, fakeollama.FaultDrop, fakeollama.FaultCut}
	fake, url := serveFake(t, fakeollama.Options{})
	args := []string{"--host", url, "--db", filepath.Join(t.TempDir(), "cai.db")}
	var plain, faulty []rm.Vector
	if _, err := runSources(t, args[:2], []string{"embed:embedder"}, sourceOptions{}, vectorsOf(t, &plain, someItems(200))); err != nil {
		t.Fatal(err)
	}
	fake.SetFault(func(r fakeollama.Request) fakeollama.Fault {
		if r.Number%2 == 0 {
			return faults[r.Number/2%4]
		}
		return fakeollama.FaultNone
	})
	if _, err := runSources(t, args, []string{"embed:embedder"}, sourceOptions{Keep: true}, vectorsOf(t, &faulty, someItems(200))); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(plain, faulty) {
		t.Error("faults change the vectors")
	}
}

// A server that starts again with other weights ends the run; the next one has
// another ID and takes nothing of the old weights.
func TestEmbeddingsOfOtherWeights(t *testing.T) {
	fake, url := serveFake(t, fakeollama.Options{Fault: fakeollama.During(fakeollama.FaultRestart, 3, 3)})
	args := []string{"--host", url, "--db", filepath.Join(t.TempDir(), "cai.db")}
	var ids []string
	run := func() error {
		_, err := runSources(t, args, []string{"embed:embedder"}, sourceOptions{Keep: true}, func(s []rm.Source) error {
			ids = append(ids, s[0].ID())
			_, err := s[0].Vectors(t.Context(), someItems(100))
			return err
		})
		return err
	}
	if err := run(); llm.KindOf(err) != llm.KindModelChanged {
		t.Fatalf("error %v", err)
	}
	fake.Reset()
	fake.SetFault(nil)
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if ids[0] == ids[1] || len(textsAsked(fake)) != 151 {
		t.Errorf("ids %v, %d texts were asked about", ids, len(textsAsked(fake)))
	}
}

// Where no server answers, what the database has is enough, as long as it has
// everything.
func TestEmbeddingsWithoutAServer(t *testing.T) {
	_, url := serveFake(t, fakeollama.Options{})
	db := filepath.Join(t.TempDir(), "cai.db")
	var online, offline []rm.Vector
	if _, err := runSources(t, []string{"--host", url, "--db", db}, []string{"embed:embedder"}, sourceOptions{Keep: true}, vectorsOf(t, &online, someItems(20))); err != nil {
		t.Fatal(err)
	}
	away := []string{"--host", "http://127.0.0.1:1", "--db", db}
	said, err := runSources(t, away, []string{"embed:embedder"}, sourceOptions{}, vectorsOf(t, &offline, someItems(20)))
	if err != nil || !cmp.Equal(online, offline) || !strings.Contains(said, "cai.db holds") {
		t.Errorf("%v, said %q", err, said)
	}
	for name, args := range map[string][]string{
		"more texts":    away,
		"other options": append([]string{"--option", "num_ctx=64"}, away...),
		"no database":   {"--host", "http://127.0.0.1:1", "--db", filepath.Join(t.TempDir(), "none.db")},
	} {
		if _, err := runSources(t, args, []string{"embed:embedder"}, sourceOptions{}, vectorsOf(t, &offline, someItems(22))); llm.KindOf(err) != llm.KindServerAbsent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	_, url := serveFake(t, fakeollama.Options{})
	db := filepath.Join(t.TempDir(), "cai.db")
	for _, tc := range []struct{ name, want, hint string }{
		{"embed:judge:1b", "judge:1b", "all-minilm"},
		{"embed:nope", "nope", "ollama pull"},
		{"embed:", "no model is named", ""},
		{"judge:small", "no database", "cai label"},
	} {
		_, err := runSources(t, []string{"--host", url, "--db", db}, []string{tc.name}, sourceOptions{}, func([]rm.Source) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "feature "+tc.name) {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if h := hintOf(err); !strings.Contains(h, tc.hint) {
			t.Errorf("%s: hint %q", tc.name, h)
		}
	}
}

// What is remembered is what was put in, and stays within the bound; what was
// used last is still there.
func TestMemoryIsBounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const dim = 8
		each := entryBytes + 4*dim
		m := &memory{bound: each * rapid.IntRange(2, 40).Draw(rt, "entries")}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n := rapid.IntRange(0, 50).Draw(rt, "text")
			h := store.TextHash(fmt.Sprint(n))
			want := slices.Repeat([]float32{float32(n)}, dim)
			got, err := m.get(t.Context(), []dataset.Hash{h})
			if err != nil {
				rt.Fatal(err)
			}
			if got[0] == nil {
				if err := m.put(t.Context(), []dataset.Hash{h}, [][]float32{want}); err != nil {
					rt.Fatal(err)
				}
				got, _ = m.get(t.Context(), []dataset.Hash{h})
			}
			if !cmp.Equal(got[0], want) {
				rt.Fatalf("text %d has %v", n, got[0])
			}
			if size := each * (len(m.young) + len(m.old)); size > m.bound {
				rt.Fatalf("%d bytes of %d", size, m.bound)
			}
		}
	})
}

const judgedPrinciples = `
[[principle]]
id = "kind"
title = "Kind"
critique = "What is unkind?"
revision = "Make it kind."
compare = "Which reply is kinder?"

[[principle]]
id = "brief"
title = "Brief"
critique = "What is too much?"
revision = "Make it brief."
compare = "Which reply is briefer?"

[[principle]]
id = "unasked"
title = "Unasked"
critique = "What is unasked?"
revision = "Ask."
compare = "Which reply is asked for?"
`

// A judge's features, against the judgments that were stored.
func TestJudgeFeatures(t *testing.T) {
	dir := t.TempDir()
	db, file := filepath.Join(dir, "cai.db"), filepath.Join(dir, "principles.toml")
	if err := os.WriteFile(file, []byte(judgedPrinciples), 0o600); err != nil {
		t.Fatal(err)
	}
	con, err := constitution.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(st.PutConstitution(t.Context(), con))
	judge := dataset.Judge{Backend: "ollama", Model: "small:1b", Digest: "aa", Template: "t", Mode: "token"}
	ok(st.PutJudge(t.Context(), judge))
	pair := func(prompt, a, b string) *dataset.Pair {
		return &dataset.Pair{
			Prompt: dataset.Prompt(prompt), First: dataset.Response{Text: a}, Second: dataset.Response{Text: b}, P: math.NaN(),
			Source: dataset.Source{File: "f", Line: 1},
		}
	}
	alone := pair("alone", "one", "two")
	chain := []*dataset.Pair{pair("chain", "x", "y"), pair("chain", "y", "z")}
	low := pair("low", "one", "two")
	one := pair("one order", "one", "two")
	pairs := append([]*dataset.Pair{alone, low, one, pair("not judged", "one", "two")}, chain...)
	_, err = st.ImportPairs(t.Context(), "f", func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}, nil)
	ok(err)
	// said stores that, by a principle, the pair's First wins by z with a position
	// bias for the first slot.
	said := func(p *dataset.Pair, principle int, z, bias, coverage float64, orders ...dataset.Order) {
		k := p.Key()
		if k.Swapped {
			z = -z
		}
		for _, o := range orders {
			s := bias + z
			if o == dataset.OrderBA {
				s = bias - z
			}
			ok(st.AddJudgment(t.Context(), &dataset.Judgment{
				Pair: k.Hash, Principle: con.Principles[principle].Hash(), Judge: judge.Hash(), Order: o,
				LPFirst: s, LPSecond: 0, LPTie: math.NaN(), Coverage: coverage,
			}))
		}
	}
	both := []dataset.Order{dataset.OrderAB, dataset.OrderBA}
	said(alone, 0, 1.5, 3, 1, both...)
	said(alone, 1, -0.5, 3, 1, both...)
	said(chain[0], 0, 2, -1, 1, both...)
	said(chain[1], 0, 4, -1, 1, both...)
	said(chain[1], 1, 1, 0, 1, both...)
	said(low, 0, 1, 0, 0.01, both...)
	said(one, 0, 1, 0, 1, dataset.OrderAB)
	ok(st.Close())

	args := []string{"--db", db, "--constitution", file}
	var items []rm.Item
	for _, p := range []*dataset.Pair{alone, low, one, pairs[3]} {
		items = append(items, rm.Item{Prompt: p.Prompt, Reply: p.First.Text}, rm.Item{Prompt: p.Prompt, Reply: p.Second.Text})
	}
	for _, text := range []string{"x", "y", "z", "never seen"} {
		items = append(items, rm.Item{Prompt: chain[0].Prompt, Reply: text})
	}
	items = append(items, rm.Item{Reply: "one"}) // its prompt is not known
	var v []rm.Vector
	var whole rm.Source
	_, err = runSources(t, args, []string{"style", "judge:small:1b"}, sourceOptions{}, func(s []rm.Source) error {
		whole = s[0]
		if p, r := whole.Dims(); p != 0 || r != 3 || !slices.Equal(whole.Columns(), []string{"brief", "kind", "unasked"}) || whole.Name() != "judge:small:1b" {
			t.Errorf("%s: %d and %d numbers, %v", whole.Name(), p, r, whole.Columns())
		}
		return vectorsOf(t, &v, items)(s)
	})
	ok(err)
	unknown := rm.Vector{}
	known := func(x ...float32) rm.Vector { return rm.Vector{Reply: x, Known: true} }
	want := []rm.Vector{
		known(-0.25, 0.75, 0), known(0.25, -0.75, 0), // z of kind 1.5, of brief −0.5
		unknown, unknown, // too little coverage
		unknown, unknown, // one order
		unknown, unknown,
		known(0, 1, 0), known(0.5, 0.5, 0), known(-0.5, -2, 0), // y: (−1 + 2)/2
		unknown, unknown,
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}

	// A model that was trained with some of the principles gets those.
	_, err = runSources(t, args, []string{"judge:" + judge.Hash().String()[:12]}, sourceOptions{
		Columns: map[string][]string{"judge:" + judge.Hash().String()[:12]: {"kind", "brief"}},
	}, func(s []rm.Source) error {
		if !slices.Equal(s[0].Columns(), []string{"brief", "kind"}) || s[0].ID() == whole.ID() {
			t.Errorf("columns %v", s[0].Columns())
		}
		return vectorsOf(t, &v, items[:1])(s)
	})
	if err != nil || !cmp.Equal(v, []rm.Vector{known(-0.25, 0.75)}) {
		t.Errorf("%v, %v", v, err)
	}

	// Another text under the same id is another feature.
	ok(os.WriteFile(file, []byte(strings.Replace(judgedPrinciples, "kinder?", "the kinder one?", 1)), 0o600))
	_, err = runSources(t, args, []string{"judge:small:1b"}, sourceOptions{}, func(s []rm.Source) error {
		if s[0].ID() == whole.ID() {
			t.Error("the ID does not hang on the principles' texts")
		}
		return vectorsOf(t, &v, items[:1])(s)
	})
	if err != nil || !cmp.Equal(v, []rm.Vector{known(-0.25, 0, 0)}) {
		t.Errorf("%v, %v", v, err)
	}
	for name, o := range map[string]sourceOptions{
		"judge:other":    {},
		"judge:small:1b": {Columns: map[string][]string{"judge:small:1b": {"kind", "gone"}}},
	} {
		if _, err := runSources(t, args, []string{name}, o, func([]rm.Source) error { return nil }); err == nil || hintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
