package dataset_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cai/dataset"
)

// TestMemoryDoesNotGrow reads many records and watches the heap: what the later
// ones leave there is less than a few bytes each.
func TestMemoryDoesNotGrow(t *testing.T) {
	n := 160_000
	if testing.Short() {
		n = 40_000
	}
	line := `{"prompt":"p","chosen":"x","rejected":"y","subset":"s"}` + "\n"
	for name, in := range map[string]io.Reader{
		"lines": &lines{line: line, n: n},
		"array": io.MultiReader(strings.NewReader("["), &lines{line: line[:len(line)-1] + ",\n", n: n - 1}, strings.NewReader(line+"]")),
		"csv":   io.MultiReader(strings.NewReader("prompt,chosen,rejected\n"), &lines{line: "p,x,y\n", n: n}),
	} {
		o := dataset.ReadOptions{Stdin: in}
		if name == "csv" {
			o.Format = "csv"
		}
		var m runtime.MemStats
		var early, most uint64
		got := 0
		for _, err := range dataset.Pairs("-", o) {
			if err != nil {
				t.Fatal(err)
			}
			if got++; got%(n/8) == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				if most = max(most, m.HeapAlloc); early == 0 {
					early = m.HeapAlloc
				}
			}
		}
		if got != n {
			t.Errorf("%s: %d pairs, want %d", name, got, n)
		}
		if most > 32<<20 || most-early > uint64(8*n) {
			t.Errorf("%s: the heap holds %d kB after an eighth of the records and up to %d kB later", name, early>>10, most>>10)
		}
	}
}

func benchmark(b *testing.B, bytesEach int, in io.Reader, o dataset.ReadOptions) {
	b.SetBytes(int64(bytesEach))
	b.ReportAllocs()
	o.Stdin = in
	n := 0
	for _, err := range dataset.Pairs("-", o) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	if n != b.N {
		b.Fatalf("%d pairs of %d", n, b.N)
	}
}

func BenchmarkPairsJSONL(b *testing.B) {
	benchmark(b, len(benchLine), &lines{line: benchLine, n: b.N}, dataset.ReadOptions{})
}

func BenchmarkPairsArray(b *testing.B) {
	in := io.MultiReader(strings.NewReader("["), &lines{line: benchLine[:len(benchLine)-1] + ",\n", n: b.N - 1}, strings.NewReader(benchLine+"]"))
	benchmark(b, len(benchLine), in, dataset.ReadOptions{})
}

func BenchmarkPairsCSV(b *testing.B) {
	cell := strings.Repeat("The moon pulls at the sea, \"\"so to say\"\".\n", 12)
	row := `"` + cell + `","` + cell + `","` + cell + `"` + "\n"
	benchmark(b, len(row), io.MultiReader(strings.NewReader("prompt,chosen,rejected\n"), &lines{line: row, n: b.N}), dataset.ReadOptions{Format: "csv"})
}

func BenchmarkPairsHH(b *testing.B) {
	turns := `\n\nHuman: ` + strings.Repeat("And then? ", 20) + `\n\nAssistant: ` + strings.Repeat("Then this. ", 40)
	line := `{"chosen":"` + turns + turns + `Good.","rejected":"` + turns + turns + `Bad."}` + "\n"
	benchmark(b, len(line), &lines{line: line, n: b.N}, dataset.ReadOptions{})
}

func BenchmarkKey(b *testing.B) {
	p := dataset.Pair{Prompt: dataset.Prompt(benchLine[:200]), First: dataset.Response{Text: benchLine[200:800]}, Second: dataset.Response{Text: benchLine[800:]}}
	b.SetBytes(int64(len(benchLine)))
	for b.Loop() {
		p.Key()
	}
}

// TestRealData reads the JSON Lines of the folder that CAI_DATA names, where
// there is one: each record of a real preference set is a pair with a prompt.
func TestRealData(t *testing.T) {
	dir := os.Getenv("CAI_DATA")
	if dir == "" {
		t.Skip("CAI_DATA names no folder of preference sets")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no *.jsonl in %s: %v", dir, err)
	}
	for _, path := range files {
		n := 0
		for p, err := range dataset.Pairs(path, dataset.ReadOptions{Pairs: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; len(p.Prompt) == 0 {
				t.Errorf("%s:%d has no prompt", path, p.Source.Line)
			}
		}
		t.Logf("%s: %d pairs", path, n)
	}
}

func BenchmarkPairsGzip(b *testing.B) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := io.Copy(z, &lines{line: benchLine, n: b.N}); err != nil {
		b.Fatal(err)
	}
	z.Close()
	b.ResetTimer()
	benchmark(b, len(benchLine), &buf, dataset.ReadOptions{})
}
