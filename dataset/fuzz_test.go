package dataset_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"cai/dataset"

	"pgregory.net/rapid"
)

// checkPairs reads data in every way that a fuzz target may and checks what
// always holds: reading ends, each pair is UTF-8 with a place in the file, places are
// never given twice, and a pair survives being written and read again.
func checkPairs(t *testing.T, data []byte, format string) {
	type place struct{ line, sub int }
	seen := map[place]bool{}
	n := 0
	for p, err := range dataset.Pairs("-", dataset.ReadOptions{Format: format, Pairs: 20, Stdin: bytes.NewReader(data)}) {
		var bad *dataset.RecordError
		switch {
		case errors.As(err, &bad):
			if bad.Line < 1 || bad.Reason == "" || bad.File != "-" {
				t.Fatalf("an error without its place: %#v", bad)
			}
			continue
		case err != nil:
			return
		}
		at := place{p.Source.Line, p.Source.Sub}
		if at.line < 1 || seen[at] {
			t.Fatalf("two pairs, or none, stand at %v", at)
		}
		seen[at] = true
		if !utf8.ValidString(p.First.Text) || !utf8.ValidString(p.Second.Text) {
			t.Fatalf("%q, %q are not UTF-8", p.First.Text, p.Second.Text)
		}
		if p.Labelled() && !(p.P >= 0 && p.P <= 1) {
			t.Fatalf("P is %v", p.P)
		}
		if n++; n > 50 {
			return
		}
		checkWriters(t, p)
	}
}

// checkWriters writes a pair in each format and reads it again.
func checkWriters(t *testing.T, p *dataset.Pair) {
	for _, format := range []string{"trl-conversational", "hh"} {
		var b bytes.Buffer
		w, err := dataset.NewPreferenceWriter(format, &b)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Write(&dataset.Preference{Pair: p, P: p.P, Extra: p.Source.Extra})
		if errors.Is(err, dataset.ErrCannotHold) {
			continue
		} else if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		out := b.String()
		if format == "hh" && (len(p.Prompt) == 0 || p.Prompt[len(p.Prompt)-1].Role != "user") {
			continue
		}
		for q, err := range dataset.Pairs("-", dataset.ReadOptions{Format: format, Stdin: &b}) {
			if err != nil {
				t.Fatalf("%s: %v in %s", format, err, out)
			}
			if q.Key() != p.Key() {
				t.Fatalf("%s: %s is read as another pair: %+v, was %+v", format, out, q, p)
			}
		}
	}
}

func FuzzPairsJSONL(f *testing.F) {
	for _, s := range []string{
		`{"prompt":"p","chosen":"x","rejected":"y"}`,
		`{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"x"}],"rejected":[{"role":"assistant","content":"y"}]}`,
		`{"prompt":"p","response_a":"x","response_b":"y","labels":["a","tie"]}`,
		`{"prompt":"p","responses":["x",{"text":"y","model":"m"}]}`,
		`{"prompt":"p","chosen":["a","b","c"],"rejected":["d","e","f"],"domain":"chat"}`,
		`{"chosen":"The sky is blue.","rejected":"The sky is black."}`,
		`[{"prompt":"p","chosen":"x","rejected":"y"},{"prompt":1}]`,
		"{\n\"prompt\":\"p\",\"chosen\":\"x\",\"rejected\":\"y\"}\n{\n}",
		`{"context":[{"role":"user","content":"p"}],"completions":[{"rank":1,"completion":[{"role":"assistant","content":"x"}]},{"rank":0,"completion":[{"role":"assistant","content":"y"}]}]}`,
		`{"prompt":"p","completion":"x","label":true}` + "\n" + `{"prompt":"p","completion":"y","label":false}`,
		`{"instruction":"p","completions":[{"model":"m","response":"x","annotations":{"honesty":{"Rating":"2"}}},{"model":"n","response":"y","overall_score":7}]}`,
		`{"prompt":"p","chosen":[{"content":"p","role":"user"},{"content":"x","role":"assistant"}],"rejected":[{"content":"p","role":"user"},{"content":"y","role":"assistant"}],"score_chosen":8.0,"score_rejected":3}`,
		`{"input":"p","targets":{"choices":["x","y"],"labels":[1,0]}}`,
		`{"input":"p","target_scores":{"x":1,"y":0}}`,
		`{"instruction":"p","response_A":"x","response_B":"y","output":"So [RESULT] B"}`,
		`{"orig_instruction":"p","orig_response_A":"x","orig_response_B":"y","orig_preference":"B"}`,
		`{"prompt":[{"role":"user","content":"p","name":"n"},{"role":"assistant","content":null,"tool_calls":[1]},{"role":"tool","content":[{"type":"text","text":"t"}]}],"chosen":{"role":["assistant"],"content":["x"]},"rejected":{"role":["assistant"],"content":["y"]},"margin":2}`,
		`{"id":"q","prompt":"p","chosen":["a"],"rejected":["b","c"],"num_correct":1,"total_completions":3}`,
		`{"conversation_a":[{"role":"user","content":"p"},{"role":"assistant","content":"x"}],"conversation_b":[{"role":"user","content":"p"},{"role":"assistant","content":"y"}],"winner":"model_b"}`,
		"\ufeff{\"prompt\":\"\\ud83d\\ude00\",\"chosen\":\"\\n\",\"rejected\":null}\r\n\r\n{}",
		`[{"prompt":"p","chosen":"x","rejected":"y"}]` + "\n\ufeff" + `[{"prompt":"q","chosen":"x","rejected":"y"},]`,
		`{"version":1,"data":[{"prompt":"p","chosen":"x","rejected":"y"}],"n":1}`, `{"train":[{"prompt":"p"}],"test":[{}]}`, `{"data":[`, `{"data":`,
		`{"prompt":"p","chosen":"x","rejected":"y"}` + "\r" + `{"prompt":"q","chosen":"x","rejected":"y"}`,
		"prompt,chosen,rejected\np,x,y\n", "<!DOCTYPE html>", "PK\x03\x04\x00", "version https://git-lfs.github.com/spec/v1",
		string(wide16(`{"prompt":"p","chosen":"x","rejected":"y"}`, true)),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkPairs(t, data, "") })
}

func FuzzHH(f *testing.F) {
	f.Add("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: c")
	f.Add("Human: a\n\nAssistant:", "system\n\nHuman: a\n\nHuman: b\n\nAssistant: \n\nAssistant: c")
	f.Add("\n\n\nHuman:a\n\nAssistant:b\n", "")
	f.Fuzz(func(t *testing.T, chosen, rejected string) {
		if !utf8.ValidString(chosen) || !utf8.ValidString(rejected) {
			t.Skip()
		}
		for _, c := range []string{chosen, rejected, chosen + "\n\nHuman: q\n\nAssistant: "} {
			o := dataset.Object{}
			if err := errors.Join(o.Set("chosen", c+"x"), o.Set("rejected", c+"y")); err != nil {
				t.Fatal(err)
			}
			raw, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			checkPairs(t, raw, "hh")
			checkPairs(t, raw, "")
		}
		o := dataset.Object{}
		if err := errors.Join(o.Set("chosen", chosen), o.Set("rejected", rejected)); err != nil {
			t.Fatal(err)
		}
		raw, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		checkPairs(t, raw, "hh")
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("prompt,chosen,rejected\np,x,y\n"))
	f.Add([]byte("prompt,chosen,rejected,extra\r\n\"p\r\n\"\"q\"\"\",x,y,\"{\"\"a\"\":1}\"\r\n\r\np,x\n"))
	f.Add([]byte("a\"b,c\n\"d\"e\n\"f"))
	for _, s := range []string{
		"sep=;\r\nprompt;chosen;rejected;margin\r\np;x;y;0,5\r\n",
		"prompt\tchosen\trejected\rp\t\"x\r\n\"\"\"\ty\r", "prompt|chosen|rejected\r\r\np|x|y\r\r\n",
		"\ufeffprompt,chosen,rejected\np,x,y\n\ufeffprompt,chosen,rejected\nq,x,y\n", ",prompt,chosen,rejected,\n0,p,x,y,\n",
		"frage;gut, besser;schlecht\nq;x, z;y\n", "prompt,chosen,rejected\np,caf\xe9,y\n\x00p,x,y\n\"p,x",
		string(wide16("prompt;chosen;rejected\np;x;y\n", false)), string(wide32("\ufeffprompt,chosen,rejected\np,x,y\n", true)),
		"prompt,response_a,response_b,label\np,x,y,\"1,0\"\n", "prompt,chosen,rejected,extra\np,x,y,\"{\"\"extra\"\":{}}\"\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkPairs(t, data, "csv") })
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte(`{"prompt":"p","response":"r"}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"p"},{"role":"assistant","content":[{"type":"text","text":"r"}]}]}`))
	f.Add([]byte("# A reply\n\nwith text"))
	f.Add([]byte("[link](x)"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for r, err := range dataset.Replies("-", dataset.ReadOptions{Stdin: bytes.NewReader(data)}) {
			if err == nil && (!utf8.ValidString(r.Response.Text) || r.Source.Line < 0) {
				t.Fatalf("%+v", r)
			}
		}
		for r, err := range dataset.Records("-", dataset.ReadOptions{Stdin: bytes.NewReader(data)}) {
			if err != nil {
				continue
			}
			if raw, err := r.Object.MarshalJSON(); err != nil {
				t.Fatal(err)
			} else if err := new(dataset.Object).UnmarshalJSON(raw); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
		}
	})
}

// TestCSVAgainstEncodingCSV reads what encoding/csv writes.
func TestCSVAgainstEncodingCSV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		rows := [][]string{{"chosen", "rejected", "prompt"}}
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			row := []string{text().Draw(t, "chosen"), text().Draw(t, "rejected"), "q"}
			for i := range row { // what encoding/csv leaves without quotes, and damaged files have
				row[i] = strings.TrimLeft(strings.ReplaceAll(row[i], "\x00", ""), "\ufeff")
			}
			rows = append(rows, row)
		}
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		i := 1
		for p, err := range dataset.Pairs("-", dataset.ReadOptions{Format: "csv", Stdin: &b}) {
			if err != nil {
				t.Fatal(err)
			}
			if p.First.Text != rows[i][0] || p.Second.Text != rows[i][1] {
				t.Fatalf("row %d is %q, %q, want %q", i, p.First.Text, p.Second.Text, rows[i])
			}
			i++
		}
		if i != len(rows) {
			t.Fatalf("%d rows of %d", i-1, len(rows)-1)
		}
	})
}

// lines gives the same record n times, without holding them.
type lines struct {
	line string
	n    int
	rest string
}

func (l *lines) Read(p []byte) (int, error) {
	if l.rest == "" {
		if l.n == 0 {
			return 0, io.EOF
		}
		l.n--
		l.rest = l.line
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

var benchLine = `{"id":"x1","prompt":"` + strings.Repeat("How do tides come about, and why twice a day? ", 4) +
	`","chosen":"` + strings.Repeat(`The moon pulls at the sea.\nThe \"far side\" is pulled less. `, 12) +
	`","rejected":"` + strings.Repeat("Nobody knows, but some say it is the wind. ", 15) + `","subset":"sea","level":"normal"}` + "\n"
