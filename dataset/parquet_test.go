package dataset_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cai/dataset"

	"github.com/parquet-go/parquet-go"
)

// The shapes that other writers of Parquet have for messages.
type (
	turn struct {
		Content string `parquet:"content,dict"` // before role
		Role    string `parquet:"role,dict,zstd"`
	}
	listed struct {
		Prompt   []turn   `parquet:"prompt,list"`
		Chosen   []turn   `parquet:"chosen,list"`
		Rejected []turn   `parquet:"rejected,list"`
		Tags     []string `parquet:"tags"` // repeated, without the annotation of a list
	}
	// What datasets makes of Sequence({"role", "content"}).
	sequence struct {
		Role    []string `parquet:"role,list"`
		Content []string `parquet:"content,list"`
	}
	sequences struct {
		Prompt   sequence `parquet:"prompt"`
		Chosen   sequence `parquet:"chosen"`
		Rejected sequence `parquet:"rejected"`
	}
	flat struct {
		Prompt   string  `parquet:"prompt"`
		Chosen   string  `parquet:"chosen,delta"`
		Rejected *string `parquet:"rejected,optional"`
		Score    float64 `parquet:"score"`
	}
)

func parquetFile[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParquetOfOthers(t *testing.T) {
	y := "y"
	say := func(role, content string) []turn { return []turn{{content, role}} }
	seq := func(role, content string) sequence { return sequence{[]string{role}, []string{content}} }
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"structs of another order, dictionaries, zstd, no annotation": {
			parquetFile(t, []listed{{append(say("system", "é"), say("user", "p")...), say("assistant", "x"), say("assistant", ""), []string{"a", "b"}}}),
			`{"prompt":[{"role":"system","content":"é"},{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"x"}],"rejected":[{"role":"assistant","content":""}],"margin":1.0,"label_prob":1.0,"tags":["a","b"]}`,
		},
		"structs of lists": {
			parquetFile(t, []sequences{{seq("user", "p"), seq("assistant", "x"), seq("assistant", "y")}}, parquet.DataPageVersion(2)),
			`{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"x"}],"rejected":[{"role":"assistant","content":"y"}],"margin":1.0,"label_prob":1.0}`,
		},
		"texts": {
			parquetFile(t, []flat{{"p", "x", &y, 2}}, parquet.Compression(&parquet.Brotli)),
			`{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"x"}],"rejected":[{"role":"assistant","content":"y"}],"margin":1.0,"label_prob":1.0,"score":2.0}`,
		},
	} {
		out, losses := convert(t, "", "trl-conversational", string(test.data))
		if strings.TrimSpace(out) != test.want || len(losses) > 0 {
			t.Errorf("%s:\n got %s\nwant %s, lost %+v", name, strings.TrimSpace(out), test.want, losses)
		}
	}
}

// What the library cannot decompress is refused by name.
func TestParquetWithLZ4(t *testing.T) {
	y := "y"
	name := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(name, parquetFile(t, []flat{{"p", "x", &y, 2}}, parquet.Compression(&parquet.Lz4Raw)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range dataset.Pairs(name, dataset.ReadOptions{}) {
		if err == nil || !strings.Contains(err.Error(), `x.parquet: column "prompt" is compressed with LZ4_RAW`) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzParquet(f *testing.F) {
	// Small, so that a change hits what matters. The first bytes are put before it.
	y := "y"
	for _, data := range [][]byte{
		parquetFile(f, []flat{{"p", "x", &y, 1}}, parquet.Compression(&parquet.Uncompressed)),
		parquetFile(f, []sequences{{sequence{[]string{"user"}, []string{"p"}}, sequence{[]string{"assistant"}, []string{"x"}}, sequence{[]string{"assistant"}, []string{"y"}}}}, parquet.Compression(&parquet.Uncompressed)),
		[]byte("PAR1PAR1"),
	} {
		f.Add(data[4:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			t.Skip()
		}
		n := 0
		for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: bytes.NewReader(append([]byte("PAR1"), data...))}) {
			if err == nil && p.Source.Line < 1 {
				t.Fatal("a pair without its row")
			}
			if n++; n > 100 {
				return // a footer may promise any number of rows
			}
		}
	})
}

// A footer that is longer than its file takes no memory.
func TestParquetWithoutEnd(t *testing.T) {
	for _, data := range []string{"PAR1", "PAR1\xff\xff\xff\x7fPAR1", "PAR1abcd\x00\x00\x00\xf0PAR1"} {
		n := 0
		for _, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(data)}) {
			if n++; err == nil || !strings.Contains(err.Error(), "its end is missing or damaged") {
				t.Errorf("%q: %v", data, err)
			}
		}
		if n != 1 {
			t.Errorf("%q: %d errors", data, n)
		}
	}
}

// TestParquetTypes: numbers, days and times mean what their types say.
func TestParquetTypes(t *testing.T) {
	type row struct {
		Prompt   string    `parquet:"prompt"`
		Response string    `parquet:"response"`
		Cents    int64     `parquet:"cents,decimal(2:18)"`
		Small    int32     `parquet:"small,decimal(3:9)"`
		Big      uint64    `parquet:"big"`
		Day      int32     `parquet:"day,date"`
		At       time.Time `parquet:"at,timestamp(microsecond)"`
	}
	data := parquetFile(t, []row{{"p", "r", -75, 1500, 1<<64 - 1, 20788, time.Date(2026, 12, 1, 13, 5, 6, 7000, time.UTC)}})
	for r, err := range dataset.Records("-", dataset.ReadOptions{Stdin: bytes.NewReader(data)}) {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := r.Object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"prompt":"p","response":"r","cents":-0.75,"small":1.500,"big":18446744073709551615,"day":"2026-12-01","at":"2026-12-01T13:05:06.000007Z"}`
		if string(raw) != want {
			t.Errorf("read %s, want %s", raw, want)
		}
	}
}
