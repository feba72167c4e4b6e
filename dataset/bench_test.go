package dataset_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cai/dataset"
)

// TestMemoryDoesNotGrow reads a million records and watches the heap.
func TestMemoryDoesNotGrow(t *testing.T) {
	const n = 96_000
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
		var first, most uint64
		got := 0
		for _, err := range dataset.Pairs("-", o) {
			if err != nil {
				t.Fatal(err)
			}
			if got++; got%(n/8) == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				if first == 0 {
					first = m.HeapAlloc
				}
				most = max(most, m.HeapAlloc)
			}
		}
		if got != n {
			t.Errorf("%s: %d pairs, want %d", name, got, n)
		}
		if most > 32<<20 {
			t.Errorf("%s: the heap holds %d MiB", name, most>>20)
		}
		if most-first > 24*n*7/8 { // less than a pointer and a string for each pair
			t.Errorf("%s: the heap grew from %d to %d bytes over %d pairs", name, first, most, n*7/8)
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

// BenchmarkWide reads a record of many columns and writes it; the time of a column
// should not depend on their number.
func BenchmarkWide(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, ext := range []string{"jsonl", "csv", "parquet"} {
			b.Run(fmt.Sprintf("%s/%d", ext, n), func(b *testing.B) {
				dir := b.TempDir()
				from, to := filepath.Join(dir, "from.jsonl"), filepath.Join(dir, "to."+ext)
				raw, err := wideRecord(n, [3]int{n / 3, n / 2, n - 1}, 0).MarshalJSON()
				if err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(from, append(raw, '\n'), 0o600); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					convertFile(b, from, "trl", to)
					convertFile(b, to, "trl", filepath.Join(dir, "back.jsonl"))
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/column")
			})
		}
	}
}
