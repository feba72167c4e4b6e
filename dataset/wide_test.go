package dataset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// wideRecord has a pair somewhere among n other columns of several types.
func wideRecord(n int, at [3]int, row int) dataset.Object {
	o := make(dataset.Object, 0, n+3)
	for i := range n {
		for k, key := range []string{"prompt", "chosen", "rejected"} {
			if at[k] == i {
				o = append(o, dataset.Field{Key: key, Value: json.RawMessage(fmt.Sprintf(`"%s %d"`, key[:1], row))})
			}
		}
		value := fmt.Sprintf(`"%d"`, i)
		if i%2 == 0 {
			value = fmt.Sprint(i + row)
		}
		o = append(o, dataset.Field{Key: fmt.Sprintf("column %d", i), Value: json.RawMessage(value)})
	}
	return o
}

// convertFile reads a file and writes it as another.
func convertFile(t interface{ Fatal(...any) }, from, format, to string) {
	var b bytes.Buffer
	c, err := dataset.NewConverter(format, to, &b, dataset.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range dataset.Records(from, dataset.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWideRecords: columns in any place and number mean the same, and the columns of
// the pair are not also columns beside it.
func TestWideRecords(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{5, 70, 260, 2500}).Draw(t, "columns")
		var at [3]int
		for k := range at {
			at[k] = rapid.IntRange(0, n-1).Draw(t, "place")
		}
		var lines strings.Builder
		enc := dataset.NewEncoder(&lines)
		for row := range 2 {
			if err := enc.Encode(wideRecord(n, at, row)); err != nil {
				t.Fatal(err)
			}
		}
		from := filepath.Join(dir, "from.jsonl")
		if err := os.WriteFile(from, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		ext := rapid.SampledFrom([]string{"jsonl", "json", "csv", "tsv", "parquet"}).Draw(t, "container")
		format := rapid.SampledFrom([]string{"", "trl", "pairs"}).Draw(t, "format")
		to := filepath.Join(dir, "to."+ext)
		convertFile(t, from, format, to)
		row := 0
		for p, err := range dataset.Pairs(to, dataset.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			prompt, _ := p.Prompt.Text()
			if got, want := prompt+p.First.Text+p.Second.Text, fmt.Sprintf("p %dc %dr %d", row, row, row); got != want {
				t.Fatalf("read %q, written %q", got, want)
			}
			var extra dataset.Object
			for _, f := range p.Source.Extra {
				if strings.HasPrefix(f.Key, "column ") {
					extra = append(extra, dataset.Field{Key: f.Key, Value: json.RawMessage(strings.Trim(string(f.Value), `"`))})
				} else if f.Key == "prompt" || f.Key == "chosen" || f.Key == "response_a" {
					t.Fatalf("the column %s is beside the pair, too", f.Key)
				}
			}
			if len(extra) != n {
				t.Fatalf("%d of %d columns", len(extra), n)
			}
			for i := range n {
				want := i
				if i%2 == 0 {
					want += row
				}
				if got := extra.Get(fmt.Sprintf("column %d", i)); string(got) != fmt.Sprint(want) {
					t.Fatalf("column %d is %s, not %d", i, got, want)
				}
			}
			row++
		}
		if row != 2 {
			t.Fatalf("%d pairs", row)
		}
	})
}

// TestParquetKeepsJSON: what Parquet has no one type for comes back as it was.
func TestParquetKeepsJSON(t *testing.T) {
	dir := t.TempDir()
	value := rapid.SampledFrom([]string{
		`"text"`, `""`, `1`, `-7`, `9007199254740993`, `12345678901234567890`, `0.5`, `1.0`, `1e400`, `true`, `false`, `{}`, `{"k":"v"}`,
		`[]`, `["a",1]`, `[[1],[]]`, `[{"x":[{}]}]`, `"{\"a\":1}"`, `"[1]"`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
	})
	rapid.Check(t, func(t *rapid.T) {
		var lines strings.Builder
		enc := dataset.NewEncoder(&lines)
		var want []string
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			o := dataset.Object{{Key: "prompt", Value: json.RawMessage(`"p"`)}, {Key: "response", Value: json.RawMessage(`"r"`)}}
			for _, key := range []string{"a", "b", "extra"} {
				o = append(o, dataset.Field{Key: key, Value: json.RawMessage(value.Draw(t, key))})
			}
			if err := enc.Encode(o); err != nil {
				t.Fatal(err)
			}
			raw, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, string(raw))
		}
		from, to := filepath.Join(dir, "from.jsonl"), filepath.Join(dir, "to.parquet")
		if err := os.WriteFile(from, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		convertFile(t, from, "", to)
		var got []string
		for r, err := range dataset.Records(to, dataset.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			raw, err := r.Object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(raw))
		}
		// A column of whole numbers and others is one of floats.
		for _, rows := range [][]string{want, got} {
			for i := range rows {
				rows[i] = strings.ReplaceAll(strings.ReplaceAll(rows[i]+"}", "1.0", "1"), "-7.0", "-7")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("records (-written +read):\n%s", diff)
		}
	})
}

// TestListsOfManyReplies: a list that makes more pairs than anybody can want is
// refused, and some of its pairs can be had.
func TestListsOfManyReplies(t *testing.T) {
	const n = 20_000
	replies := strings.TrimSuffix(strings.Repeat(`"r",`, n), ",")
	for name, in := range map[string]string{
		"all":    `{"prompt":"p","responses":[` + replies + `]}`,
		"chosen": `{"prompt":"p","chosen":[` + replies + `],"rejected":[` + replies + `]}`,
	} {
		if got := pairs(in, dataset.ReadOptions{}); len(got) != 1 || !strings.Contains(got[0], "--pairs N takes at most N of them") {
			t.Errorf("%s: %.300q", name, got)
		}
		seen := map[string]bool{}
		for _, p := range pairs(in, dataset.ReadOptions{Pairs: 40}) {
			seen[p] = true
		}
		if len(seen) != 40 {
			t.Errorf("%s: %d different pairs of 40", name, len(seen))
		}
	}
	var kto strings.Builder
	for i := range 2 * 1100 {
		fmt.Fprintf(&kto, `{"prompt":"p","completion":"%d","label":%t}`+"\n", i, i%2 == 0)
	}
	if got := pairs(kto.String(), dataset.ReadOptions{}); len(got) != 2200 || !strings.Contains(got[0], "2200 neighbouring replies to one prompt make 1210000 pairs") {
		t.Errorf("kto: %d, %.300q", len(got), got[0])
	}
}

// TestPairsOfAListAreNumbered: each way of taking some pairs of a list takes those
// that have the same numbers among all.
func TestPairsOfAListAreNumbered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "replies")
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%q", fmt.Sprint(i)))
		}
		chosen := rapid.IntRange(0, n-1).Draw(t, "chosen")
		in := `{"prompt":"p","responses":[` + strings.Join(all, ",") + `]}`
		if chosen > 0 {
			in = `{"prompt":"p","chosen":[` + strings.Join(all[:chosen], ",") + `],"rejected":[` + strings.Join(all[chosen:], ",") + `]}`
		}
		every := pairs(in, dataset.ReadOptions{})
		o := dataset.ReadOptions{Pairs: rapid.IntRange(1, len(every)).Draw(t, "pairs"), Seed: rapid.Int64().Draw(t, "seed")}
		if rapid.Bool().Draw(t, "choose") {
			o.Choose = func(_ dataset.Conversation, replies []dataset.Response) (out [][2]int, err error) {
				for len(out) < o.Pairs {
					i := rapid.IntRange(0, len(replies)-2).Draw(t, "i")
					out = append(out, [2]int{i, rapid.IntRange(i+1, len(replies)-1).Draw(t, "j")})
				}
				return out, nil
			}
		}
		some := pairs(in, o)
		if len(some) > o.Pairs || len(some) == 0 || o.Choose == nil && len(some) != o.Pairs {
			t.Fatalf("%d pairs of %d wanted", len(some), o.Pairs)
		}
		rest := every
		for _, p := range some {
			for len(rest) > 0 && rest[0] != p {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				t.Fatalf("%s is none of the pairs, or not in their order", p)
			}
		}
	})
}
