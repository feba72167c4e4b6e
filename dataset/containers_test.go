package dataset_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// separated writes rows as separated values, by its own reading of RFC 4180.
func separated(rows [][]string, comma, end string, quoteAll bool) string {
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteString(comma)
			}
			if quoteAll || strings.ContainsAny(cell, ",;|\t\"\r\n\x00\ufeff") {
				cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
			b.WriteString(cell)
		}
		b.WriteString(end)
	}
	return b.String()
}

// encodings are how a text may stand in a file.
var encodings = map[string]func(string) []byte{
	"UTF-8":              func(s string) []byte { return []byte(s) },
	"UTF-8, marked":      func(s string) []byte { return []byte("\ufeff" + s) },
	"UTF-16LE":           func(s string) []byte { return wide16(s, false) },
	"UTF-16BE":           func(s string) []byte { return wide16(s, true) },
	"UTF-16LE, marked":   func(s string) []byte { return wide16("\ufeff"+s, false) },
	"UTF-16BE, marked":   func(s string) []byte { return wide16("\ufeff"+s, true) },
	"UTF-32LE":           func(s string) []byte { return wide32(s, false) },
	"UTF-32BE":           func(s string) []byte { return wide32(s, true) },
	"UTF-32LE, marked":   func(s string) []byte { return wide32("\ufeff"+s, false) },
	"UTF-32BE, marked":   func(s string) []byte { return wide32("\ufeff"+s, true) },
	"UTF-8, as two gzip": func(s string) []byte { return append(packed(s[:len(s)/2]), packed(s[len(s)/2:])...) },
	"UTF-8, as two zstd": func(s string) []byte { return append(zstandard(s[:len(s)/2]), zstandard(s[len(s)/2:])...) },
}

func wide16(s string, big bool) (out []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		if hi, lo := byte(u>>8), byte(u); big {
			out = append(out, hi, lo)
		} else {
			out = append(out, lo, hi)
		}
	}
	return out
}

func wide32(s string, big bool) (out []byte) {
	for _, r := range s {
		b := []byte{byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24)}
		if big {
			slices.Reverse(b)
		}
		out = append(out, b...)
	}
	return out
}

func packed(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.Bytes()
}

func zstandard(s string) []byte {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		panic(err)
	}
	z.Write([]byte(s))
	z.Close()
	return b.Bytes()
}

// TestContainersMeanTheSame: the same records are read from every container, with
// every delimiter, line end, encoding and compression that people's programs write,
// by the file's name and by what it holds.
func TestContainersMeanTheSame(t *testing.T) {
	dir := t.TempDir()
	header := []string{"prompt", "chosen", "rejected", "a;b, c"}
	rapid.Check(t, func(t *rapid.T) {
		rows := [][]string{header}
		var want []string
		for range rapid.IntRange(1, 3).Draw(t, "rows") {
			row := make([]string, len(header))
			for i := range row {
				row[i] = text().Draw(t, "cell")
			}
			row[0] = "p" + row[0] // no transcript
			rows = append(rows, row)
			want = append(want, strings.Join(row, "\x1e"))
		}
		encoding := rapid.SampledFrom(sorted(encodings)).Draw(t, "encoding")
		if strings.Contains(fmt.Sprint(rows), "\x00") && strings.HasPrefix(encoding, "UTF-") && !strings.HasPrefix(encoding, "UTF-8") && !strings.Contains(encoding, "marked") {
			t.Skip("without a mark the zeros tell the encoding")
		}
		kind := rapid.SampledFrom([]string{".csv", ".tsv", ".tab", ".jsonl", ".json", "joined.json", "object.json", "lines.json", "cr.jsonl"}).Draw(t, "kind")
		var data, end string
		switch kind {
		case ".csv", ".tsv", ".tab":
			end = rapid.SampledFrom([]string{"\n", "\r\n", "\r", "\r\r\n"}).Draw(t, "end")
			comma := "\t"
			if kind == ".csv" {
				comma = rapid.SampledFrom([]string{",", ";", "\t", "|"}).Draw(t, "comma")
			}
			data = separated(rows, comma, end, rapid.Bool().Draw(t, "quote all"))
			if kind == ".csv" && rapid.Bool().Draw(t, "sep") {
				data = "sep=" + comma + end + data
			}
			if rapid.Bool().Draw(t, "no end") {
				data = strings.TrimSuffix(data, end)
			}
		default:
			data = asJSON(rows, kind)
		}
		name := "-"
		if rapid.Bool().Draw(t, "named") {
			name = dir + "/x" + kind
		}
		var got []string
		o := dataset.ReadOptions{Stdin: bytes.NewReader(encodings[encoding](data))}
		if name != "-" {
			if err := os.WriteFile(name, encodings[encoding](data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for p, err := range dataset.Pairs(name, o) {
			if err != nil {
				t.Fatalf("%v in %q", err, data)
			}
			prompt, _ := p.Prompt.Text()
			var other string
			if err := json.Unmarshal(p.Source.Extra.Get(header[3]), &other); err != nil {
				t.Fatalf("%v in %q", err, data)
			}
			got = append(got, strings.Join([]string{prompt, p.First.Text, p.Second.Text, other}, "\x1e"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("records (-written +read):\n%s\n%q", diff, data)
		}
	})
}

// asJSON writes rows under a header in one of the ways that JSON holds them.
func asJSON(rows [][]string, kind string) string {
	var records []string
	for _, row := range rows[1:] {
		o := dataset.Object{}
		for i, name := range rows[0] {
			if err := o.Set(name, row[i]); err != nil {
				panic(err)
			}
		}
		raw, err := o.MarshalJSON()
		if err != nil {
			panic(err)
		}
		records = append(records, string(raw))
	}
	list := func(rs []string) string { return "[\n" + strings.Join(rs, ",\n") + "\n]" }
	switch kind {
	case ".json":
		return list(records)
	case "joined.json":
		return "\ufeff" + list(records[:1]) + "\n\ufeff" + list(records[1:])
	case "object.json":
		return `{"version":1.5,"about":{"by":["me"]},"data":` + list(records) + `,"n":2}`
	case "lines.json":
		return strings.ReplaceAll(strings.Join(records, "\n"), `{"prompt"`, "{\n\"prompt\"")
	case "cr.jsonl":
		return strings.Join(records, "\r") + "\r"
	}
	return strings.Join(records, "\n\ufeff\n")
}

func cut(b []byte) string { return string(b[:len(b)-5]) }

func sorted[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestFilesThatAreNoRecords: what cannot be read is refused with its cause, and no
// pair is made of it.
func TestFilesThatAreNoRecords(t *testing.T) {
	const head = "prompt,chosen,rejected\n"
	long := strings.Repeat("p,x,y\n", 3)
	for name, tt := range map[string]struct {
		file, data, want string
		before           int // pairs before the error
	}{
		"zip":              {"a.csv", "PK\x03\x04\x14\x00\x06\x00", "a zip archive, as an Excel workbook is one", 0},
		"zip as jsonl":     {"a.jsonl", "PK\x03\x04\x14\x00\x06\x00", "a zip archive", 0},
		"old workbook":     {"a.csv", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel", 0},
		"arrow":            {"a.arrow", "ARROW1\x00\x00", "an Arrow file", 0},
		"arrow stream":     {"a.parquet.json", "\xff\xff\xff\xff\x10\x00\x00\x00", "an Arrow file", 0},
		"pickle":           {"a.json", "\x80\x04\x95\x10\x00\x00\x00", "a Python pickle", 0},
		"bzip2":            {"a.jsonl.bz2", "BZh91AY&SY\x00", "bzip2 data", 0},
		"xz":               {"a.jsonl", "\xfd7zXZ\x00", "xz data", 0},
		"gzip in gzip":     {"a.jsonl.gz", string(packed(string(packed("{}")))), "gzip data inside other compressed data", 0},
		"database":         {"cai.db", "SQLite format 3\x00", "a SQLite database", 0},
		"LFS":              {"a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS", 0},
		"page":             {"a.jsonl", "\n<!DOCTYPE html>\n<html>", "a page of HTML", 0},
		"page as csv":      {"a.csv", "<html><head>", "a page of HTML", 0},
		"XML":              {"a.json", "<?xml version='1.0'?><Error>", "a page of HTML or XML", 0},
		"tar":              {"a.json", strings.Repeat("\x00", 257) + "ustar", "a tar archive", 0},
		"JSON as Parquet":  {"a.parquet", onePair, `not a Parquet file, although its name says so: it begins with "{\"pr"`, 0},
		"cut gzip":         {"a.jsonl.gz", cut(packed(strings.Repeat(onePair, 9000))), "the compressed data ends too early", -1},
		"cut zstd":         {"a.jsonl.zst", cut(zstandard(strings.Repeat(onePair, 9000))), "the compressed data ends too early", -1},
		"half a character": {"a.jsonl", string(wide16(onePair, false)) + "{", "not valid UTF-16", -1},
		"half a pair": {
			"a.jsonl", string(append(wide16("\ufeff"+`{"prompt":"`, false), 0x3d, 0xd8, 'x', 0)), "not valid UTF-16: half of a surrogate pair", -1,
		},
		"Latin-1":               {"a.csv", head + "p,x,y\n" + "p,caf\xe9,y\n", `a.csv:3: not valid UTF-8: byte 6 of the record is 0xe9; text in Windows-1252 or Latin-1? iconv -f WINDOWS-1252 -t UTF-8 FILE`, 1},
		"Windows-1252 header":   {"a.csv", "prompt,chosen,rejected,\x93\n", `line 1: the header: not valid UTF-8: byte 24 of the record is 0x93; text in Windows-1252`, 0},
		"Latin-1 as JSON":       {"a.jsonl", onePair + "{\"prompt\":\"\xfc\"}", "a.jsonl:2: not valid UTF-8: byte 12 of the record is 0xfc; text in Windows-1252", 1},
		"Latin-1 in mid-row":    {"a.csv", head + "p,\"x\nz\xe9\",y\n", `a.csv:2: line 3: not valid UTF-8: byte 2 of the record is 0xe9`, 0},
		"UTF-16 joined":         {"a.csv", head + long + string(wide16("\ufeff"+head, false)), `a.csv:5: not valid UTF-8: byte 1 of the record is 0xff, the mark of UTF-16`, 3},
		"unmarked joined":       {"a.csv", head + long + string(wide16(head, false)), "a.csv:5: a NUL byte, as in UTF-16 text that was joined on", 3},
		"header again":          {"a.csv", head + long + head + long, "a.csv:5: the header again", 3},
		"marked header again":   {"a.csv", head + long + "\ufeff" + head + long, "a.csv:5: the header again", 3},
		"marked other header":   {"a.csv", head + long + "\ufeffprompt,rejected,chosen\n" + long, "line 5: a byte order mark and another header", 3},
		"marked row":            {"a.csv", head + long + "\ufeffp,x,y\n", "a.csv:5: a byte order mark before the row", 3},
		"unclosed quote":        {"a.csv", head + "p,x,y\np,\"x\nz\",\"y\n\n" + long, "a.csv:3: the quoted field that begins on line 4 has no end", 1},
		"text after a quote":    {"a.csv", head + "p,\"x\" z,y\n", "a.csv:2: text after the end of the quoted field that begins on line 2", 0},
		"a quote in a field":    {"a.csv", head + "p,x \"z\",y\n", "a.csv:2: a quote inside a field that does not begin with one", 0},
		"a cell less":           {"a.csv", head + "p,x\n", "a.csv:2: 2 fields where the header has 3", 0},
		"a delimiter more":      {"a.csv", head + "p,x,y,\n", "a.csv:2: 4 fields where the header has 3", 0},
		"a carriage return":     {"a.csv", head + "p,x\rz,y\n", "a.csv:2: a line end of another kind", 0},
		"a line feed":           {"a.csv", "prompt,chosen,rejected\rp,x\nz,y\r", "a.csv:2: a line end of another kind", 0},
		"no name":               {"a.csv", "prompt,chosen,,rejected,\np,x,,y,\np,x,,y,1\n", "a.csv:3: column 5 has a value and no name", 1},
		"twice":                 {"a.tsv", "prompt\tchosen\tchosen\n", `columns 2 and 3 of the header are both named "chosen"`, 0},
		"another delimiter":     {"a.csv", "prompt:chosen:rejected\np:x:y\n", `the header "prompt:chosen:rejected" is one column`, 0},
		"no tab":                {"a.tsv", head + long, `the header has no tab, although the file's name says that tabs separate its cells; it has ","`, 0},
		"either delimiter":      {"a.csv", "frage;good,bad\na;b,c\n", `the header has each of ",;"`, 0},
		"extra and a column":    {"a.csv", "prompt,chosen,rejected,extra\np,x,y,\"{\"\"chosen\"\":1}\"\n", `a.csv:2: the column "extra" has a key "chosen"`, 0},
		"two lists":             {"a.json", `{"train":[` + onePair + `],"test":[` + onePair + `]}`, `the object holds the lists "train" and "test"`, 1},
		"a list and a record":   {"a.json", `{"train":[` + onePair + `]}` + onePair, "a.json:2: another object, after one that holds the records in a list", 1},
		"a list without an end": {"a.json", `{"train":[` + onePair, "a.json:2: not valid JSON: the array has no end", 1},
		"an object without end": {"a.json", `{"train":[` + onePair + `],"n":1`, "a.json:2: not valid JSON: the object around the records has no end", 1},
		"a comma at the end":    {"a.json", `[` + onePair + `,]`, "a.json:2: not valid JSON: a comma without a record after it", 1},
		"no comma":              {"a.json", `[` + onePair + onePair + `]`, `a.json:2: not valid JSON: a comma or "]" is expected`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.file, tt.data)
			got := pairsOf(path, dataset.ReadOptions{})
			n := 0
			for n < len(got) && strings.HasPrefix(got[n], "user=") {
				n++
			}
			if n == len(got) || !strings.Contains(got[n], tt.want) || tt.before >= 0 && n != tt.before {
				t.Errorf("%d pairs, then %.300q, want %q after %d", n, got[n:], tt.want, tt.before)
			}
		})
	}
}

// TestATextMayBeginAsItLikes: a reply is no archive because of its first letters.
func TestATextMayBeginAsItLikes(t *testing.T) {
	for _, begin := range []string{"PAREnts", "ORCs", "GIF89", "BZh9", "%PDF-", "FEA1", "ARROW1", "Obj", "<html>", "prompts, chosen"} {
		path := write(t, "a.md", begin+" and so on\n")
		for r, err := range dataset.Replies(path, dataset.ReadOptions{}) {
			if err != nil || !strings.HasPrefix(r.Response.Text, begin) {
				t.Errorf("%q: %v", begin, err)
			}
		}
	}
}

// TestNoColumnIsMadeUp: what a file leaves without a name is not lost where it says
// something, and is no column where it does not.
func TestNoColumnIsMadeUp(t *testing.T) {
	for in, want := range map[string]string{
		",prompt,chosen,rejected\n0,p,x,y\n":           `user="p" | "x" | "y" | 1 @2.0 {"":"0"}`,
		"prompt,chosen,rejected,\np,x,y,\n":            `user="p" | "x" | "y" | 1 @2.0`,
		"prompt,chosen,rejected,extra\np,x,y,{\n":      `user="p" | "x" | "y" | 1 @2.0 {"extra":"{"}`,
		"prompt\tchosen\trejected\np\tx \"z\"\ty\n":    `user="p" | "x \"z\"" | "y" | 1 @2.0`,
		"prompt\tchosen\trejected\np\t\"x\t\"\"z\"\ty": `user="p" | "x\t\"z" | "y" | 1 @2.0`,
		"sep=;\nprompt;chosen;rejected\np;x,z;y\n":     `user="p" | "x,z" | "y" | 1 @3.0`,
		"question;good,bad;chosen;rejected\np;1;x;y\n": `user="p" | "x" | "y" | 1 @2.0 {"good,bad":"1"}`,
	} {
		if got := pairs(in, dataset.ReadOptions{Format: "csv"}); len(got) != 1 || got[0] != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestTheDelimiterIsFoundByTheRows: where no column is known, the rows decide.
func TestTheDelimiterIsFoundByTheRows(t *testing.T) {
	in := "frage;gut, besser;schlecht\nq;x, z, w;y\nr;x;y, u\n"
	o := dataset.ReadOptions{Format: "csv", Stdin: strings.NewReader(in)}
	for _, err := range dataset.Pairs("-", o) {
		if err == nil || !strings.Contains(err.Error(), "it has frage, gut, besser, schlecht") {
			t.Errorf("%v", err)
		}
	}
}
