package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cai/dataset"
	"cai/store"
)

var gradeJudge = dataset.Judge{Backend: "ollama", Model: "small:1b", Digest: "sha256:00", Template: "g1", Mode: "grade"}

func testGrade(name string, sample int) *dataset.Grade {
	return &dataset.Grade{
		Prompt: dataset.Prompt("q"), Response: dataset.Response{Text: "r"},
		Judge: gradeJudge.Hash(), Rubric: dataset.HashOf("rubric", "x"), Question: dataset.HashOf("criterion", name),
		Name: name, Sample: sample, Distribution: []float64{0.1, 0.3, 0.6}, Coverage: 0.9,
		PromptTokens: 12, Duration: 30 * time.Millisecond, Created: time.UnixMilli(1700000000000).UTC(),
	}
}

func gradeStore(t *testing.T, path string) *store.Store {
	t.Helper()
	s := mustOpen(t, path)
	if err := s.PutJudge(t.Context(), gradeJudge); err != nil {
		t.Fatal(err)
	}
	if err := s.PutRubric(t.Context(), dataset.HashOf("rubric", "x"), "x", "name = \"x\"\n"); err != nil {
		t.Fatal(err)
	}
	return s
}

// A grade comes back as it went in, after the file was closed too; the same
// question is answered once.
func TestGrades(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	s := gradeStore(t, path)
	one, two := testGrade("clear", 0), testGrade("clear", 1)
	two.Evidence = dataset.Evidence{Asked: true, Quote: "r", Verified: true}
	for _, g := range []*dataset.Grade{one, two, one} {
		if err := s.AddGrade(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	other := *one
	other.Distribution, other.Response.Author = []float64{1, 0, 0}, "someone"
	if err := s.AddGrade(t.Context(), &other); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	response := dataset.ResponseHash(one.Prompt.Hash(), "r")
	got, err := s.Grades(t.Context(), gradeJudge.Hash(), response)
	if err != nil {
		t.Fatal(err)
	}
	want := []dataset.Grade{*one, *two}
	for i := range want {
		want[i].Prompt, want[i].Response, want[i].Rubric = nil, dataset.Response{}, dataset.Hash{}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if rows := shell(t, s, "SELECT g.name, g.score, r.name FROM grades g JOIN rubrics r ON r.id = g.rubric WHERE g.sample = 1"); len(rows) != 1 || rows[0][1] != 0.75 || rows[0][2] != "x" {
		t.Errorf("a person finds %v", rows)
	}
	for _, h := range [][2]dataset.Hash{{gradeJudge.Hash(), one.Question}, {one.Question, response}} {
		if got, err := s.Grades(t.Context(), h[0], h[1]); err != nil || len(got) != 0 {
			t.Errorf("of nobody: %v, %v", got, err)
		}
	}
}

// Evidence may come later, and once.
func TestGradeTakesEvidenceLater(t *testing.T) {
	s := gradeStore(t, filepath.Join(t.TempDir(), "cai.db"))
	for _, e := range []dataset.Evidence{{}, {Asked: true, Quote: "not there"}, {Asked: true, Quote: "r", Verified: true}, {}} {
		g := testGrade("clear", 0)
		g.Evidence = e
		if err := s.AddGrade(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Grades(t.Context(), gradeJudge.Hash(), dataset.ResponseHash(dataset.Prompt("q").Hash(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (dataset.Evidence{Asked: true, Quote: "not there"}); len(got) != 1 || got[0].Evidence != want {
		t.Errorf("%+v", got)
	}
}

func TestAddGradeRefuses(t *testing.T) {
	s := gradeStore(t, filepath.Join(t.TempDir(), "cai.db"))
	for name, spoil := range map[string]func(*dataset.Grade){
		"a judge that is not known":  func(g *dataset.Grade) { g.Judge = g.Question },
		"a rubric that is not known": func(g *dataset.Grade) { g.Rubric = g.Question },
		"a negative sample":          func(g *dataset.Grade) { g.Sample = -1 },
		"one level":                  func(g *dataset.Grade) { g.Distribution = []float64{1} },
		"no distribution":            func(g *dataset.Grade) { g.Distribution = []float64{0.9, 0.9} },
	} {
		g := testGrade("clear", 0)
		spoil(g)
		if err := s.AddGrade(t.Context(), g); err == nil {
			t.Errorf("%s is stored", name)
		}
	}
	if rows := shell(t, s, "SELECT count(*) FROM grades"); rows[0][0] != int64(0) {
		t.Errorf("%v grades", rows[0][0])
	}
}
