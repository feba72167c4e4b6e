package handover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cai/dataset"
	"cai/handover"
	"cai/rm"
)

var words = strings.Fields("oak tree water boil because sorry law the a of naïve straße 日本 что code list safe never always maybe you I")

// pairs makes n pairs whose better reply has more of some words.
func pairs(n int) []*dataset.Pair {
	r := rand.New(rand.NewPCG(3, 9))
	text := func(k int) string {
		var b strings.Builder
		for i := range k {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteString([]string{" ", ", ", ". ", "!\n\n- ", "? "}[min(4, r.IntN(4+i%3))])
		}
		return b.String()
	}
	var out []*dataset.Pair
	for i := range n {
		p := &dataset.Pair{Prompt: dataset.Prompt(text(5)), First: dataset.Response{Text: text(20) + fmt.Sprint(i)}, Second: dataset.Response{Text: text(9)}, P: 1}
		if strings.Count(p.Second.Text, "oak") > strings.Count(p.First.Text, "oak") {
			p.P = 0
		}
		out = append(out, p)
	}
	return out
}

// embed is a source that knows every text.
type embed struct{}

func (embed) Name() string      { return "embed:small" }
func (embed) ID() string        { return "1" }
func (embed) Dims() (int, int)  { return 3, 3 }
func (embed) Columns() []string { return nil }
func (embed) Vectors(_ context.Context, items []rm.Item) ([]rm.Vector, error) {
	out := make([]rm.Vector, len(items))
	for i, it := range items {
		n := float32(len(it.Reply))
		out[i] = rm.Vector{Known: true, Prompt: []float32{0.5, n / 1e3, 1}, Reply: []float32{n / 100, 1 / (1 + n), float32(strings.Count(it.Reply, "oak"))}}
	}
	return out, nil
}

func train(t *testing.T, o rm.Options) string {
	t.Helper()
	ps := pairs(120)
	m, _, err := rm.Train(t.Context(), func(yield func(*dataset.Pair, error) bool) {
		for _, p := range ps {
			if !yield(p, nil) {
				return
			}
		}
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(file); err != nil {
		t.Fatal(err)
	}
	return file
}

func principles(p *dataset.Pair) []float64 {
	return []float64{p.P, float64(len(p.First.Text) % 2)}
}

// The reader in Python, with the standard library alone, gives the scores and
// uncertainties that this program gives, to 1e-6, for every kind of head and
// group of features.
func TestThePythonReaderAgrees(t *testing.T) {
	for name, o := range map[string]rm.Options{
		"linear":     {Dim: 1 << 12},
		"hash":       {Dim: 1 << 12, Features: []string{"hash"}},
		"style":      {Features: []string{"style"}},
		"chars":      {Dim: 1 << 14, Features: []string{"hash", "style", "chars"}},
		"ensemble":   {Dim: 1 << 12, Ensemble: 3},
		"mlp":        {Dim: 1 << 12, Head: rm.HeadMLP},
		"stack":      {Dim: 1 << 12, Head: rm.HeadStack, Features: []string{"hash", "style", "chars"}},
		"principles": {Dim: 1 << 12, Head: rm.HeadPrinciples, Principles: []string{"p", "q"}, Votes: principles, Rest: true},
		"embed":      {Sources: []rm.Source{embed{}}, Features: []string{"style"}},
		"embed-mlp":  {Dim: 1 << 12, Sources: []rm.Source{embed{}}, Features: []string{"hash", "style"}, Head: rm.HeadMLP},
	} {
		if testing.Short() && name != "linear" && name != "embed-mlp" {
			continue // of the rest it is Python that takes the time
		}
		t.Run(name, func(t *testing.T) {
			file := train(t, o)
			dir := filepath.Join(t.TempDir(), "out")
			if err := handover.Write(t.Context(), file, dir, handover.Options{Format: handover.Python, License: "mit"}); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "python3", "-I", filepath.Join(dir, "cai_rm.py"), "--check", dir).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.HasPrefix(string(out), "18 texts, ") {
				t.Errorf("the check says %q", out)
			}
			t.Logf("%s", out)
		})
	}
}

// A wrong score in the conformance file is found.
func TestTheCheckFindsAWrongScore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := handover.Write(t.Context(), train(t, rm.Options{Dim: 1 << 10}), dir, handover.Options{Format: handover.Python}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "conformance.jsonl")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), `"score":`, `"score":1`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "python3", "-I", filepath.Join(dir, "cai_rm.py"), "--check").CombinedOutput(); err == nil {
		t.Errorf("the check passes: %s", out)
	}
}

// The dense form gives the model's scores from the features; models without one
// are refused, and nothing is left of their folder.
func TestONNX(t *testing.T) {
	for name, o := range map[string]rm.Options{
		"style": {Features: []string{"style"}},
		"embed": {Sources: []rm.Source{embed{}}, Features: []string{"style"}, Ensemble: 3},
	} {
		dir := filepath.Join(t.TempDir(), name)
		file := train(t, o)
		if err := handover.Write(t.Context(), file, dir, handover.Options{Format: handover.ONNX}); err != nil {
			t.Fatal(err)
		}
		m, err := rm.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := m.Affine()
		if err != nil {
			t.Fatal(err)
		}
		lines, err := os.ReadFile(filepath.Join(dir, "conformance.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(lines)) {
			var c struct {
				Features []float64 `json:"features"`
				Score    float64   `json:"score"`
			}
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatal(err)
			}
			got := a.Bias
			for j, x := range c.Features {
				z := (x - float64(a.Mean[j])) * float64(a.Scale[j])
				got += float64(a.Weight[j]) * max(-a.Clip, min(a.Clip, z))
			}
			if math.Abs(got-c.Score) > 1e-5 {
				t.Errorf("%s: the graph gives %v, the model %v", name, got, c.Score)
			}
		}
	}
	for name, o := range map[string]rm.Options{
		"n-grams": {Dim: 1 << 10},
		"network": {Features: []string{"style"}, Head: rm.HeadMLP},
	} {
		parent := t.TempDir()
		err := handover.Write(t.Context(), train(t, o), filepath.Join(parent, "x"), handover.Options{Format: handover.ONNX})
		if !errors.Is(err, handover.ErrForm) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

func TestAFolderThatIsThereStays(t *testing.T) {
	dir := t.TempDir()
	err := handover.Write(t.Context(), train(t, rm.Options{Features: []string{"style"}}), dir, handover.Options{Format: handover.Python})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("the error is %v", err)
	}
	if fs, _ := os.ReadDir(dir); len(fs) > 0 || !slices.Contains(handover.Formats(), handover.Python) {
		t.Errorf("%v was written", fs)
	}
}
