package store_test

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/dataset"
	"cai/store"
)

func sourceLines(tb testing.TB, s *store.Store, name string) []string {
	tb.Helper()
	var out []string
	rows := shell(tb, s, "SELECT pair, file, line, sub, id, p_a, extra FROM sources WHERE file = ?", name)
	for _, r := range rows {
		out = append(out, fmt.Sprint(r...))
	}
	return out
}

func TestImportingTwiceChangesNothing(t *testing.T) {
	s := newStore(t)
	pairs := testPairs(1203) // more than two batches
	pairs[7].P = 1
	pairs[8] = pairs[7]
	first := mustImport(t, s, "f", pairs)
	if first.New != 1202 || first.Pairs != 1202 || first.Records != 1202 || first.Unchanged {
		t.Errorf("first import: %+v", first)
	}
	before := dump(t, s)
	var calls []int64
	again, err := s.ImportPairs(t.Context(), "f", seq(pairs), func(n int64) { calls = append(calls, n) })
	if err != nil {
		t.Fatal(err)
	}
	if want := (store.Import{File: first.File, Records: 1202, Pairs: 1202, Longest: 44, Unchanged: true}); again != want {
		t.Errorf("second import: %+v, want %+v", again, want)
	}
	if diff := cmp.Diff(before, dump(t, s)); diff != "" {
		t.Errorf("a second import changed the store: %s", diff)
	}
	if n := len(calls); n < 2 || calls[n-1] != 1203 {
		t.Errorf("progress said %v", calls)
	}
}

func TestAFileThatChangedTakesTheOldOnesPlace(t *testing.T) {
	for _, c := range []struct {
		name string
		now  func([]*dataset.Pair) []*dataset.Pair
		new  int64
	}{
		{"longer", func(p []*dataset.Pair) []*dataset.Pair { return append(p, testPair(5000), testPair(5001)) }, 2},
		{"shorter", func(p []*dataset.Pair) []*dataset.Pair { return p[:600] }, 0},
		{"empty", func(p []*dataset.Pair) []*dataset.Pair { return nil }, 0},
		{"another order", func(p []*dataset.Pair) []*dataset.Pair { p[0], p[1100] = p[1100], p[0]; return p }, 0},
		{"a label", func(p []*dataset.Pair) []*dataset.Pair { p[700].P = 0; return p }, 0},
		{"a column", func(p []*dataset.Pair) []*dataset.Pair {
			p[700].Source.Extra = dataset.Object{{Key: "k", Value: []byte("1")}}
			return p
		}, 0},
		{"an author", func(p []*dataset.Pair) []*dataset.Pair { p[700].First.Author = "somebody"; return p }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			old := mustImport(t, s, "f", testPairs(1101))
			pairs := c.now(testPairs(1101))
			imp := mustImport(t, s, "f", pairs)
			if imp.Unchanged || imp.New != c.new || imp.Pairs != int64(len(pairs)) || imp.File != old.File {
				t.Errorf("import: %+v", imp)
			}
			fresh := newStore(t)
			mustImport(t, fresh, "f", pairs)
			if diff := cmp.Diff(sourceLines(t, fresh, "f"), sourceLines(t, s, "f")); diff != "" {
				t.Error(diff)
			}
			files, err := s.Files(t.Context())
			if err != nil || len(files) != 1 || files[0].Rows != int64(len(pairs)) {
				t.Errorf("files %+v, %v", files, err)
			}
			if n := shell(t, s, "SELECT count(*) FROM source_rows"); n[0][0] != int64(len(pairs)) {
				t.Errorf("%v rows are left, want %d", n[0][0], len(pairs))
			}
			if again := mustImport(t, s, "f", pairs); !again.Unchanged {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func TestAnImportThatBreaksOffChangesNoFile(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(10))
	before := sourceLines(t, s, "f")
	broken := errors.New("f:601: not valid JSON")
	bad := func(name string) error {
		_, err := s.ImportPairs(t.Context(), name, func(yield func(*dataset.Pair, error) bool) {
			for i := range 1200 {
				if !yield(testPair(i+3), nil) {
					t.Error("the import went on after an error")
				}
			}
			yield(nil, broken)
		}, nil)
		return err
	}
	for _, name := range []string{"f", "new"} {
		if err := bad(name); err != broken {
			t.Fatalf("%s: error %v", name, err)
		}
	}
	if diff := cmp.Diff(before, sourceLines(t, s, "f")); diff != "" {
		t.Error(diff)
	}
	if got := pending(t, s, job); len(got) != 10 {
		t.Errorf("%d pairs pending, want those 10 of the whole file", len(got))
	}
	if files, err := s.Files(t.Context()); err != nil || len(files) != 1 {
		t.Errorf("files %+v, %v", files, err)
	}
	// Done again, it is as if nothing had happened.
	if imp := mustImport(t, s, "new", testPairs(1203)); imp.Pairs != 1203 {
		t.Errorf("import: %+v", imp)
	}
	if got := pending(t, s, job); len(got) != 1203 {
		t.Errorf("%d pairs pending, want 1203", len(got))
	}
}

func TestIdenticalRepliesAreCountedNotStored(t *testing.T) {
	s := newStore(t)
	p := testPairs(3)
	p[1].Second.Text = p[1].First.Text
	imp := mustImport(t, s, "f", p)
	if imp.Identical != 1 || imp.Pairs != 2 || imp.Records != 3 {
		t.Errorf("import: %+v", imp)
	}
	if again := mustImport(t, s, "f", p); !again.Unchanged || again.Identical != 1 {
		t.Errorf("again: %+v", again)
	}
}

func TestTextThatIsNoTextNamesFileAndLine(t *testing.T) {
	s := newStore(t)
	p := testPairs(2)
	p[1].First.Text = "half a rune \xe6\x97"
	_, err := s.ImportPairs(t.Context(), "f", seq(p), nil)
	if err == nil || err.Error() != "test.jsonl:2: not valid UTF-8 text" {
		t.Errorf("error %v", err)
	}
	p[1] = testPair(1)
	p[1].P = 1.5
	if _, err := s.ImportPairs(t.Context(), "f", seq(p), nil); err == nil {
		t.Error("a probability of 1.5 was stored")
	}
}

// drawPairs gives pairs that often share prompts, replies and whole texts.
func drawPairs(r *rapid.T, name string) []*dataset.Pair {
	text := rapid.SampledFrom([]string{"", "a", "b", "c\x00", "日本", "\n"})
	n := rapid.IntRange(0, 12).Draw(r, name)
	out := make([]*dataset.Pair, n)
	for i := range out {
		p := &dataset.Pair{
			Prompt: dataset.Prompt(text.Draw(r, "prompt")),
			First:  dataset.Response{Text: text.Draw(r, "first")},
			Second: dataset.Response{Text: text.Draw(r, "second")},
			P:      rapid.SampledFrom([]float64{math.NaN(), 0, 0.25, 0.5, 1}).Draw(r, "p"),
			Source: dataset.Source{File: name, Line: i/2 + 1, Sub: i % 2, ID: rapid.SampledFrom([]string{"", "x"}).Draw(r, "id")},
		}
		if rapid.Bool().Draw(r, "messages") {
			p.Prompt = append(dataset.Conversation{{Role: "system", Content: text.Draw(r, "system")}}, p.Prompt...)
		}
		if rapid.Bool().Draw(r, "extra") {
			p.Source.Extra = dataset.Object{{Key: "k", Value: []byte(`{"b": 1,"a":[]}`)}}
		}
		out[i] = p
	}
	return out
}

// Whatever was imported before under the same name, broken off or not, the
// file's rows are those of its last whole import, and once more changes nothing.
func TestTheLastWholeImportStands(t *testing.T) {
	s, n := newStore(t), 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		name := fmt.Sprintf("file %d", n)
		for range rapid.IntRange(0, 3).Draw(r, "earlier") {
			pairs := drawPairs(r, name)
			var end error
			if rapid.Bool().Draw(r, "broken") {
				end = errors.New("broken off")
			}
			_, err := s.ImportPairs(t.Context(), name, ending(pairs, end), nil)
			if err != end {
				r.Fatal(err)
			}
		}
		pairs := drawPairs(r, name)
		imp := mustImport(t, s, name, pairs)
		var want []string
		different := map[dataset.Hash]bool{}
		var identical int64
		for _, p := range pairs {
			k := p.Key()
			if k.A == k.B {
				identical++
				continue
			}
			different[k.Hash] = true
			var pA, id, extra any
			if p.Labelled() {
				pA = p.P
				if k.Swapped {
					pA = 1 - p.P
				}
			}
			if p.Source.ID != "" {
				id = p.Source.ID
			}
			if p.Source.Extra != nil {
				b, err := p.Source.Extra.MarshalJSON()
				if err != nil {
					r.Fatal(err)
				}
				extra = string(b)
			}
			want = append(want, fmt.Sprint(k.Hash.String(), name, int64(p.Source.Line), int64(p.Source.Sub), id, pA, extra))
		}
		if diff := cmp.Diff(want, sourceLines(t, s, name)); diff != "" {
			r.Fatal(diff)
		}
		if imp.Pairs != int64(len(different)) || imp.Identical != identical {
			r.Fatalf("import %+v, want %d pairs and %d identical", imp, len(different), identical)
		}
		before := dump(t, s)
		if again := mustImport(t, s, name, pairs); !again.Unchanged || again.New != 0 || again.Pairs != imp.Pairs {
			r.Fatalf("again: %+v", again)
		}
		if diff := cmp.Diff(before, dump(t, s)); diff != "" {
			r.Fatal(diff)
		}
	})
}

func ending(pairs []*dataset.Pair, end error) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

// A store of a version that did not read tool calls gives what it has by its hashes; the
// same file's pairs are new beside it, which is counted once.
func TestPairsStoredWithoutTheirCalls(t *testing.T) {
	for _, said := range []string{`null`, `"Let me see."`} {
		call := func(city string) string {
			return `{"role":"assistant","content":` + said + `,"tool_calls":[{"function":{"name":"w","arguments":"{\"city\":\"` + city + `\"}"}}]}`
		}
		in := `{"prompt":[{"role":"user","content":"p"},` + call("Ulm") + `,{"role":"tool","content":"7"}],"chosen":[` + call("Oslo") + `],"rejected":[{"role":"assistant","content":"No."}]}` + "\n" +
			`{"prompt":"q","chosen":"x","rejected":"y"}`
		var pairs, old []*dataset.Pair
		for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
			if err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, p)
			before := *p
			if _, ok := p.KeyWithoutCalls(); ok {
				before.Prompt, _ = p.Prompt.WithoutCalls()
				before.First = dataset.Response{}
				if said != "null" {
					before.First.Text = "Let me see."
				}
				if key, _ := p.KeyWithoutCalls(); key != before.Key() || key == p.Key() {
					t.Fatalf("%+v was the pair %+v", p, before)
				}
			}
			old = append(old, &before)
		}
		s := newStore(t)
		job := testJob(t, s, 1)
		mustImport(t, s, "f", old)
		for i, w := range pending(t, s, job) {
			if w.Pair != old[i].Key().Hash || w.Prompt.Hash() != old[i].Key().Prompt {
				t.Errorf("%s: pair %d came back as %+v", said, i, w)
			}
			mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))
		}
		if imp := mustImport(t, s, "f", pairs); imp.New != 1 || imp.Recalled != 1 || imp.Pairs != 2 {
			t.Errorf("%s: import of the file again: %+v", said, imp)
		}
		if imp := mustImport(t, s, "f", pairs); !imp.Unchanged || imp.Recalled != 0 {
			t.Errorf("%s: and again: %+v", said, imp)
		}
		job.Files = nil
		for _, w := range pending(t, s, job) {
			if key := pairs[0].Key(); w.Pair == key.Hash && (w.Prompt.Hash() != key.Prompt || !strings.Contains(w.Prompt[1].Content, "Ulm") || w.A+w.B != pairs[0].First.Text+"No." && w.B+w.A != pairs[0].First.Text+"No.") {
				t.Errorf("%s: the new pair came back as %+v", said, w)
			}
		}
		for _, j := range judged(t, s, store.Filter{Judge: job.Judge}) {
			if j.Key.Prompt != j.Prompt.Hash() {
				t.Errorf("%s: a prompt of another hash: %+v", said, j.Prompt)
			}
		}
	}
}
