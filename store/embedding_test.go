package store_test

import (
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/dataset"
	"cai/store"
)

var testEmbedder = dataset.Judge{Backend: "ollama", Model: "mini", Digest: "sha256:01", Mode: store.EmbedMode}

func mustPutJudge(tb testing.TB, s *store.Store, j dataset.Judge) dataset.Hash {
	tb.Helper()
	if err := s.PutJudge(tb.Context(), j); err != nil {
		tb.Fatal(err)
	}
	return j.Hash()
}

func textHashes(n int) []dataset.Hash {
	out := make([]dataset.Hash, n)
	for i := range out {
		out[i] = store.TextHash(fmt.Sprint("text ", i))
	}
	return out
}

// What comes out is what was put in, whatever the order, the repetitions and the
// numbers, and the first vector of a text stays.
func TestEmbeddingsComeBack(t *testing.T) {
	s := newStore(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		j := testEmbedder
		j.Digest = fmt.Sprint("sha256:", round)
		if err := s.PutJudge(t.Context(), j); err != nil {
			rt.Fatal(err)
		}
		model := j.Hash()
		dim := rapid.IntRange(1, 9).Draw(rt, "dim")
		number := rapid.Float32().Filter(func(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) })
		vector := rapid.SliceOfN(number, dim, dim)
		want := map[dataset.Hash][]float32{}
		for range rapid.IntRange(1, 3).Draw(rt, "puts") {
			texts := rapid.SliceOfN(rapid.SampledFrom(textHashes(600)), 0, 520).Draw(rt, "texts")
			var vectors [][]float32
			base := vector.Draw(rt, "vector")
			for i := range texts {
				v := append([]float32(nil), base...)
				v[0] = float32(i)
				vectors = append(vectors, v)
			}
			if err := s.PutEmbeddings(t.Context(), model, texts, vectors); err != nil {
				rt.Fatal(err)
			}
			for i, h := range texts {
				if want[h] == nil {
					want[h] = vectors[i]
				}
			}
		}
		ask := rapid.SliceOfN(rapid.SampledFrom(textHashes(700)), 0, 600).Draw(rt, "ask")
		got, err := s.Embeddings(t.Context(), model, ask)
		if err != nil || len(got) != len(ask) {
			rt.Fatal(err)
		}
		for i, h := range ask {
			if !cmp.Equal(got[i], want[h]) {
				rt.Fatalf("text %s: %v, want %v", h, got[i], want[h])
			}
		}
		d, err := s.EmbeddingDim(t.Context(), model)
		if err != nil || len(want) > 0 && d != dim || len(want) == 0 && d != 0 {
			rt.Fatalf("dimension %d, want %d: %v", d, dim, err)
		}
	})
}

func TestEmbeddingsAreApartByModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	a := mustPutJudge(t, s, testEmbedder)
	other := testEmbedder
	other.Digest = "sha256:02"
	b := mustPutJudge(t, s, other)
	texts := textHashes(2)
	if err := s.PutEmbeddings(t.Context(), a, texts, [][]float32{{1, 2}, {3, 4}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutEmbeddings(t.Context(), b, texts[:1], [][]float32{{5, 6, 7}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	for model, want := range map[dataset.Hash][][]float32{
		a: {{1, 2}, {3, 4}}, b: {{5, 6, 7}, nil}, dataset.HashOf("none"): {nil, nil},
	} {
		if got, err := s.Embeddings(t.Context(), model, texts); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v, want %v: %v", got, want, err)
		}
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Embeddings != 3 {
		t.Errorf("status counts %d: %v", st.Embeddings, err)
	}
	j, ok, err := s.Embedder(t.Context(), "mini")
	if err != nil || !ok || j.Digest != "sha256:02" {
		t.Errorf("the last embedder: %+v, %v, %v", j, ok, err)
	}
	if _, ok, err := s.Embedder(t.Context(), "small:1b"); ok || err != nil {
		t.Errorf("an embedder that is none: %v, %v", ok, err)
	}
}

// Nothing is stored of what is refused, and what was there stays.
func TestEmbeddingsRefused(t *testing.T) {
	s := newStore(t)
	model := mustPutJudge(t, s, testEmbedder)
	texts := textHashes(3)
	if err := s.PutEmbeddings(t.Context(), model, texts[:1], [][]float32{{1, 2}}); err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for name, put := range map[string]func() error{
		"another length": func() error {
			return s.PutEmbeddings(t.Context(), model, texts[1:], [][]float32{{1, 2, 3}, {1, 2, 3}})
		},
		"two lengths":     func() error { return s.PutEmbeddings(t.Context(), model, texts[1:], [][]float32{{1, 2}, {1}}) },
		"no numbers":      func() error { return s.PutEmbeddings(t.Context(), model, texts[1:2], [][]float32{{}}) },
		"not a number":    func() error { return s.PutEmbeddings(t.Context(), model, texts[1:2], [][]float32{{nan, 1}}) },
		"too few vectors": func() error { return s.PutEmbeddings(t.Context(), model, texts[1:], [][]float32{{1, 2}}) },
		"an unknown model": func() error {
			return s.PutEmbeddings(t.Context(), dataset.HashOf("x"), texts[1:2], [][]float32{{1, 2}})
		},
	} {
		if err := put(); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
	got, err := s.Embeddings(t.Context(), model, texts)
	if err != nil || !cmp.Equal(got, [][]float32{{1, 2}, nil, nil}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestEmbeddingsFromManyGoroutines(t *testing.T) {
	s := newStore(t)
	model := mustPutJudge(t, s, testEmbedder)
	texts := textHashes(300)
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			vectors := make([][]float32, len(texts))
			for i := range vectors {
				vectors[i] = []float32{float32(i), 1}
			}
			if err := s.PutEmbeddings(t.Context(), model, texts[k*20:], vectors[k*20:]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Embeddings(t.Context(), model, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if !cmp.Equal(v, []float32{float32(i), 1}) {
			t.Fatalf("text %d: %v", i, v)
		}
	}
}

// BenchmarkEmbeddings stores vectors of 384 numbers and looks them up, 1,000 at
// a time.
func BenchmarkEmbeddings(b *testing.B) {
	s := newStore(b)
	model := mustPutJudge(b, s, testEmbedder)
	const batch = 1000
	vectors := make([][]float32, batch)
	for i := range vectors {
		vectors[i] = make([]float32, 384)
		vectors[i][0] = float32(i)
	}
	texts := func(k int) []dataset.Hash {
		out := make([]dataset.Hash, batch)
		for i := range out {
			out[i] = store.TextHash(fmt.Sprint(k*batch + i))
		}
		return out
	}
	puts := 0
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if err := s.PutEmbeddings(b.Context(), model, texts(puts), vectors); err != nil {
				b.Fatal(err)
			}
			puts++
		}
		b.ReportMetric(batch*float64(b.N)/b.Elapsed().Seconds(), "texts/s")
	})
	b.Run("get", func(b *testing.B) {
		for k := 0; b.Loop(); k++ {
			if got, err := s.Embeddings(b.Context(), model, texts(k%puts)); err != nil || got[batch-1] == nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(batch*float64(b.N)/b.Elapsed().Seconds(), "texts/s")
	})
}
