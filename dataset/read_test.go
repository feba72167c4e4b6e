package dataset_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
)

// show writes a pair on one line, for comparison with what a test expects.
func show(p *dataset.Pair) string {
	var b strings.Builder
	for _, m := range p.Prompt {
		fmt.Fprintf(&b, "%s=%q ", m.Role, m.Content)
	}
	fmt.Fprintf(&b, "| %q", p.First.Text)
	if p.First.Author != "" {
		fmt.Fprintf(&b, " by %s", p.First.Author)
	}
	fmt.Fprintf(&b, " | %q", p.Second.Text)
	if p.Second.Author != "" {
		fmt.Fprintf(&b, " by %s", p.Second.Author)
	}
	fmt.Fprintf(&b, " | %.4g @%d.%d", p.P, p.Source.Line, p.Source.Sub)
	if p.Source.ID != "" {
		fmt.Fprintf(&b, " id=%s", p.Source.ID)
	}
	if p.Source.Extra != nil {
		raw, err := p.Source.Extra.MarshalJSON()
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, " %s", raw)
	}
	return b.String()
}

// pairs reads a text as a file on stdin would be and shows what came; a bad
// record is shown as its error and the reading goes on.
func pairs(text string, o dataset.ReadOptions) []string {
	o.Stdin = strings.NewReader(text)
	return pairsOf("-", o)
}

func pairsOf(name string, o dataset.ReadOptions) []string {
	var out []string
	for p, err := range dataset.Pairs(name, o) {
		if err != nil {
			var bad *dataset.RecordError
			if !errors.As(err, &bad) {
				return append(out, "FATAL "+err.Error())
			}
			out = append(out, err.Error())
			continue
		}
		out = append(out, show(p))
	}
	return out
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPairs(t *testing.T) {
	tests := []struct {
		name   string
		in     string
		format string
		want   []string
	}{
		{
			name: "prompt as text, unknown columns kept in order",
			in:   `{"zeta": [1, 2], "prompt":"Why is the sea salty?","chosen":"Rivers carry salt into it.","rejected":"It is not.","alpha":{"x":null},"id":7}`,
			want: []string{`user="Why is the sea salty?" | "Rivers carry salt into it." | "It is not." | 1 @1.0 id=7 {"zeta":[1, 2],"alpha":{"x":null}}`},
		},
		{
			name: "prompt as messages",
			in:   `{"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],"chosen":"Hello.","rejected":"What?"}`,
			want: []string{`system="Be brief." user="Hi" | "Hello." | "What?" | 1 @1.0`},
		},
		{
			name: "a transcript in a prompt column is one user message",
			in:   `{"prompt":"Human: a\n\nAssistant: b\n\nHuman: c","chosen":"x","rejected":"y"}`,
			want: []string{`user="Human: a\n\nAssistant: b\n\nHuman: c" | "x" | "y" | 1 @1.0`},
		},
		{
			name:   "unless the format is said to be hh",
			format: "hh",
			in:     `{"prompt":"Human: a\n\nAssistant: b\n\nHuman: c","chosen":"x","rejected":"y"}`,
			want:   []string{`user="a" assistant="b" user="c" | "x" | "y" | 1 @1.0`},
		},
		{
			name: "or it asks for the assistant's turn",
			in:   `{"prompt":"\n\nHuman: a\n\nAssistant:","chosen":"x","rejected":"y"}`,
			want: []string{`user="a" | "x" | "y" | 1 @1.0`},
		},
		{
			name: "label_prob, margin and ties",
			in: `{"prompt":"p","chosen":"x","rejected":"y","label_prob":0.75,"margin":0.5}
{"prompt":"p","chosen":"x","rejected":"y","tie":true}
{"prompt":"p","chosen":"x","rejected":"y","margin":3}
{"prompt":"p","chosen":"x","rejected":"y","label_prob":1.5}`,
			want: []string{
				`user="p" | "x" | "y" | 0.75 @1.0 {"label_prob":0.75,"margin":0.5}`,
				`user="p" | "x" | "y" | 0.5 @2.0 {"tie":true}`,
				`user="p" | "x" | "y" | 1 @3.0 {"margin":3}`,
				`-:4: label_prob: 1.5 is no probability from 0 to 1`,
			},
		},
		{
			name: "two replies, unlabelled and labelled",
			in: `{"prompt":"p","response_a":"x","response_b":"y","model_a":"m1","model_b":"m2"}
{"prompt":"p","response_a":"x","response_b":"y","labels":["a","tie","b","a"]}
{"prompt":"p","response_a":"x","response_b":"y","winner":"model_b"}
{"prompt":"p","response_a":"x","response_b":"y","label":"harmless"}
{"prompt":"p","response_a":"x","response_b":"y","label":1}
{"prompt":"p","response_a":"x","response_b":"y","labels":["c"]}`,
			want: []string{
				`user="p" | "x" by m1 | "y" by m2 | NaN @1.0 {"model_a":"m1","model_b":"m2"}`,
				`user="p" | "x" | "y" | 0.625 @2.0 {"labels":["a","tie","b","a"]}`,
				`user="p" | "x" | "y" | 0 @3.0 {"winner":"model_b"}`,
				`user="p" | "x" | "y" | NaN @4.0 {"label":"harmless"}`,
				`user="p" | "x" | "y" | NaN @5.0 {"label":1}`,
				`-:6: labels: vote 1 is "c", outside its scale in this file: names such as a, b and tie`,
			},
		},
		{
			name: "a list of replies gives all pairs",
			in:   `{"prompt":"p","responses":["x",{"text":"y","model":"m"},{"role":"assistant","content":"z"}]}`,
			want: []string{
				`user="p" | "x" | "y" by m | NaN @1.0`,
				`user="p" | "x" | "z" | NaN @1.1`,
				`user="p" | "y" by m | "z" | NaN @1.2`,
			},
		},
		{
			name: "a ranking labels its pairs",
			in:   `{"prompt":"p","responses":["x","y","z"],"ranks":[2,1,2]}` + "\n" + `{"prompt":"p","responses":["x","y"],"ranks":["a","b"]}`,
			want: []string{
				`user="p" | "x" | "y" | 0 @1.0 {"list_weight":0.5}`,
				`user="p" | "x" | "z" | 0.5 @1.1 {"list_weight":1}`,
				`user="p" | "y" | "z" | 1 @1.2 {"list_weight":0.5}`,
				`user="p" | "x" | "y" | NaN @2.0 {"ranks":["a","b"]}`,
			},
		},
		{
			name: "a ranking of other replies",
			in:   `{"prompt":"p","responses":["x","y"],"ranks":[1]}` + "\n" + `{"prompt":"p","responses":["x","y"],"ranks":[1,"b"]}`,
			want: []string{`-:1: ranks: 1 numbers for 2 replies`, `-:2: ranks: a list of numbers is expected`},
		},
		{
			name: "one reply makes no pair",
			in:   `{"prompt":"p","responses":["x"]}` + "\n" + `{"prompt":"p","responses":[]}`,
			want: []string{`-:1: one reply in the list makes no pair`, `-:2: responses: no reply in the list`},
		},
		{
			name: "hh transcripts",
			in:   `{"chosen":"\n\nHuman: Hi\nthere \n\nAssistant: Yes?\n\nHuman: Bye\n\nAssistant: See you.","rejected":"\n\nHuman: Hi\nthere \n\nAssistant: Yes?\n\nHuman: Bye\n\nAssistant: Go."}`,
			want: []string{`user="Hi\nthere " assistant="Yes?" user="Bye" | "See you." | "Go." | 1 @1.0`},
		},
		{
			name: "hh transcripts that are none",
			in: `{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"}
{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: A\n\nAssistant: c"}
{"chosen":"\n\nHuman: a\n\nAssistant: b\n\nHuman: d","rejected":"\n\nHuman: a\n\nAssistant: c"}
{"chosen":"plain","rejected":"\n\nHuman: a\n\nAssistant: c"}`,
			want: []string{
				`user="a" | "b" | "c" | 1 @1.0`,
				`-:2: chosen and rejected part before their last turn, so they are not replies to one conversation`,
				`-:3: chosen: the last turn is the user's, so there is no reply`,
				`-:4: chosen is no transcript of "\n\nHuman: …\n\nAssistant: …"`,
			},
		},
		{
			name: "a damaged first record does not hide that the rest is hh",
			in: `{"chosen":"cut off here","rejected":"cut off there"}
{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"}`,
			want: []string{
				`-:1: chosen is no transcript of "\n\nHuman: …\n\nAssistant: …"`,
				`user="a" | "b" | "c" | 1 @2.0`,
			},
		},
		{
			name: "trl implicit, cut at words",
			in: `{"chosen":"The sky is blue.","rejected":"The sky is black."}
{"chosen":"One","rejected":"Two"}`,
			want: []string{
				`user="The sky is" | " blue." | " black." | 1 @1.0`,
				`-:2: no prompt, and chosen and rejected do not begin alike`,
			},
		},
		{
			name: "trl conversational: explicit, implicit, prompt as text beside it, content in parts",
			in: `{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"x"}],"rejected":[{"role":"assistant","content":"y"}]}
{"chosen":[{"role":"user","content":"q"},{"content":"x","role":"assistant"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"y"}]}
{"prompt":"q","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"x"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"y"}]}
{"prompt":[{"from":"human","value":"q"}],"chosen":[{"role":"assistant","content":[{"type":"text","text":"x"},{"type":"text","text":"z"}]}],"rejected":[{"from":"gpt","value":"y"}]}
{"prompt":"other","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"x"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"y"}]}
{"chosen":[{"role":"judge","content":"x"}],"rejected":[{"role":"assistant","content":"y"}]}`,
			want: []string{
				`user="q" | "x" | "y" | 1 @1.0`,
				`user="q" | "x" | "y" | 1 @2.0`,
				`user="q" | "x" | "y" | 1 @3.0`,
				`user="q" | "xz" | "y" | 1 @4.0`,
				`-:5: chosen begins with a conversation that is not the prompt`,
				`-:6: chosen: message 1: unknown role "judge" (system, user, assistant or tool)`,
			},
		},
		{
			name: "rmbench: nine pairs, told apart by level",
			in:   `{"id":"r1","prompt":"p","chosen":["c0","c1","c2"],"rejected":["r0","r1","r2"],"domain":"chat"}`,
			want: []string{
				`user="p" | "c0" | "r0" | 1 @1.0 id=r1 {"domain":"chat","subset":"chat","level":"normal"}`,
				`user="p" | "c0" | "r1" | 1 @1.1 id=r1 {"domain":"chat","subset":"chat","level":"hard"}`,
				`user="p" | "c0" | "r2" | 1 @1.2 id=r1 {"domain":"chat","subset":"chat","level":"hard"}`,
				`user="p" | "c1" | "r0" | 1 @1.3 id=r1 {"domain":"chat","subset":"chat","level":"easy"}`,
				`user="p" | "c1" | "r1" | 1 @1.4 id=r1 {"domain":"chat","subset":"chat","level":"normal"}`,
				`user="p" | "c1" | "r2" | 1 @1.5 id=r1 {"domain":"chat","subset":"chat","level":"hard"}`,
				`user="p" | "c2" | "r0" | 1 @1.6 id=r1 {"domain":"chat","subset":"chat","level":"easy"}`,
				`user="p" | "c2" | "r1" | 1 @1.7 id=r1 {"domain":"chat","subset":"chat","level":"easy"}`,
				`user="p" | "c2" | "r2" | 1 @1.8 id=r1 {"domain":"chat","subset":"chat","level":"normal"}`,
			},
		},
		{
			name: "pandalm",
			in: `{"prompt":"p","response_1":"x","response_2":"y","annotators":[1,0,2]}
{"prompt":"p","response_1":"x","response_2":"y","annotators":[2,2,0]}`,
			want: []string{
				`user="p" | "x" | "y" | 0.5 @1.0 {"annotators":[1,0,2]}`,
				`user="p" | "x" | "y" | 0.1667 @2.0 {"annotators":[2,2,0]}`,
			},
		},
		{
			name: "pandalm as its authors have it, in an array",
			in:   `[{"instruction":"Do it.","input":"Now","response1":"x","response2":"y","annotator1":1,"annotator2":1,"annotator3":0}]`,
			want: []string{`user="Do it.\n\nNow" | "x" | "y" | 0.8333 @1.0 {"annotator1":1,"annotator2":1,"annotator3":0}`},
		},
		{
			name: "llmbar",
			in:   `[{"input":"i","output_1":"x","output_2":"y","label":2}]`,
			want: []string{`user="i" | "x" | "y" | 0 @1.0 {"label":2}`},
		},
		{
			name: "alpaca",
			in:   `[{"instruction":"i","output_1":"x","generator_1":"g1","output_2":"y","generator_2":"g2","preference":1.25}]`,
			want: []string{`user="i" | "x" by g1 | "y" by g2 | 0.75 @1.0 {"generator_1":"g1","generator_2":"g2","preference":1.25}`},
		},
		{
			name: "judgebench",
			in:   `{"pair_id":"j","question":"q","response_A":"x","response_B":"y","label":"B>A"}`,
			want: []string{`user="q" | "x" | "y" | 0 @1.0 id=j {"pair_id":"j","label":"B>A"}`},
		},
		{
			name: "byte order mark, carriage returns, blank lines, no end of line",
			in:   "\ufeff\r\n" + `{"prompt":"p","chosen":"x\r\n","rejected":"y"}` + "\r\n\r\n  \n" + `{"prompt":"p","chosen":"x","rejected":"z"}`,
			want: []string{`user="p" | "x\r\n" | "y" | 1 @2.0`, `user="p" | "x" | "z" | 1 @5.0`},
		},
		{
			name: "bad records name their line and the rest is read",
			in: `{"prompt":"p","chosen":"x","rejected":"y"}
{"prompt":"p","chosen":"x"}
not json
{"prompt":"p","chosen":"x","rejected":null}
{"prompt":"p","chosen":3,"rejected":"y"}
{"prompt":"p","prompt":"q","chosen":"x","rejected":"y"}
{"prompt":"p","chosen":"\ud83d","rejected":"y"}
{"prompt":"p","chosen":"x` + "\xff" + `","rejected":"y"}
["p"]
{"prompt":"p","chosen":"x","rejected":"y"} {}
{"prompt":NaN,"chosen":"x","rejected":"y"}
{"prompt":5,"chosen":"x","rejected":"y"}
{"prompt":"last","chosen":"x","rejected":"y"}`,
			want: []string{
				`user="p" | "x" | "y" | 1 @1.0`,
				`-:2: no "rejected"`,
				`-:3: not valid JSON at byte 1: a record is an object {…}, not 'n'`,
				`-:4: rejected: null, not a text`,
				`-:5: chosen: not a text`,
				`-:6: not valid JSON at byte 15: key "prompt" is given twice`,
				`-:7: not valid JSON at byte 25: \ud83d is half a surrogate pair, which is no character`,
				`-:8: not valid UTF-8: byte 26 of the record is 0xff`,
				`-:9: not valid JSON at byte 1: a record is an object {…}, not '['`,
				`-:10: not valid JSON at byte 44: more text after the end of the record`,
				`-:11: not valid JSON at byte 11: NaN is no JSON value; write null`,
				`-:12: prompt: neither a text nor a list of messages`,
				`user="last" | "x" | "y" | 1 @13.0`,
			},
		},
		{
			name: "shapes that are none",
			in:   `{"question":"q"}` + "\n" + `{"prompt":"p","response":"r"}`,
			want: []string{
				`-:1: neither a pair (prompt, chosen, rejected) nor a reply (prompt, response): it has question`,
				`-:2: one reply and no pair; a pair has chosen and rejected, or response_a and response_b`,
			},
		},
		{
			name: "an array over lines, counted by record",
			in:   "[\n {\"prompt\":\"p\",\n \"chosen\":\"]x,{\",\"rejected\":\"y\\\"\"},\n {\"prompt\":\"p\"},\n{\"prompt\":\"p\",\"chosen\":\"x\",\"rejected\":\"z\"}\n]\n",
			want: []string{`user="p" | "]x,{" | "y\"" | 1 @1.0`, `-:2: no "chosen"`, `user="p" | "x" | "z" | 1 @3.0`},
		},
		{
			name: "an array cut off",
			in:   `[{"prompt":"p","chosen":"x","rejected":"y"},{"prompt":"p","ch`,
			want: []string{`user="p" | "x" | "y" | 1 @1.0`, `-:2: not valid JSON: the record has no end; the file is cut off`},
		},
		{
			name: "an array with text after it",
			in:   `[{"prompt":"p","chosen":"x","rejected":"y"}] {}`,
			want: []string{`user="p" | "x" | "y" | 1 @1.0`, `-:2: not valid JSON: "{" after the end of the array`},
		},
		{
			name: "objects over several lines",
			in:   "{\n\"prompt\":\"p\",\"chosen\":\"x\",\n\"rejected\":\"y\"}\n{\n\"prompt\":\"p\",\"chosen\":\"x\",\"rejected\":\"z\"}",
			want: []string{`user="p" | "x" | "y" | 1 @1.0`, `user="p" | "x" | "z" | 1 @2.0`},
		},
		{
			name:   "csv",
			format: "csv",
			in: "id,prompt,chosen,rejected,topic,label_prob\r\n" +
				"a,\"say \"\"hi\"\", please\",\"two\r\nlines\",y,tides,0.25\r\n" +
				"\r\n" +
				"b,\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"q\"\"},{\"\"role\"\":\"\"assistant\"\",\"\"content\"\":\"\"r\"\"},{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"s\"\"}]\",x,y,,\r\n" +
				"c,p,x\r\n" +
				"d,p,x\"y,z,,\r\n" +
				"e,p,x,\"y",
			want: []string{
				`user="say \"hi\", please" | "two\r\nlines" | "y" | 0.25 @2.0 id=a {"topic":"tides","label_prob":"0.25"}`,
				`user="q" assistant="r" user="s" | "x" | "y" | 1 @5.0 id=b {"topic":""}`,
				`-:6: 3 fields where the header has 6`,
				`-:7: a quote inside a field that does not begin with one; write the field as "…" with "" for each quote`,
				`-:8: the quoted field that begins on line 8 has no end`,
			},
		},
		{
			name:   "csv with a column twice",
			format: "csv",
			in:     "prompt,chosen,chosen\na,b,c\n",
			want:   []string{`FATAL -: line 1: columns 2 and 3 of the header are both named "chosen"`},
		},
		{name: "an empty file has no pairs", in: "\n\n", want: nil},
		{name: "an empty array has no pairs", in: "[ ]", want: nil},
		{
			name: "a format that is none", format: "hhh2", in: "",
			want: []string{`FATAL unknown format "hhh2": one of ` + strings.Join(dataset.Formats(), ", ")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := pairs(tt.in, dataset.ReadOptions{Format: tt.format})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pairs differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFormatOverride reads a file as the format that is named, not as the one
// that it looks like.
func TestFormatOverride(t *testing.T) {
	const in = `{"prompt":"p","chosen":"x","rejected":"y","response_a":"m","response_b":"n"}`
	for format, want := range map[string]string{
		"trl":   `user="p" | "x" | "y" | 1 @1.0 {"response_a":"m","response_b":"n"}`,
		"pairs": `user="p" | "m" | "n" | NaN @1.0 {"chosen":"x","rejected":"y"}`,
	} {
		if got := pairs(in, dataset.ReadOptions{Format: format}); len(got) != 1 || got[0] != want {
			t.Errorf("--format %s gives\n%q, want\n%q", format, got, want)
		}
	}
}

func TestPairsPerRecord(t *testing.T) {
	var in strings.Builder
	for range 3 {
		in.WriteString(`{"prompt":"p","responses":["a","b","c","d","e","f","g","h"]}` + "\n")
	}
	read := func(o dataset.ReadOptions) []string { return pairs(in.String(), o) }
	if n := len(read(dataset.ReadOptions{})); n != 3*28 {
		t.Errorf("all pairs of 8 replies in 3 records: %d, want 84", n)
	}
	few := read(dataset.ReadOptions{Pairs: 4, Seed: 1})
	if len(few) != 12 {
		t.Fatalf("4 pairs a record: %d, want 12", len(few))
	}
	seen := map[string]bool{}
	for _, p := range few {
		if seen[p] {
			t.Errorf("%s was drawn twice", p)
		}
		seen[p] = true
	}
	if diff := cmp.Diff(few, read(dataset.ReadOptions{Pairs: 4, Seed: 1})); diff != "" {
		t.Errorf("one seed gives different pairs:\n%s", diff)
	}
	if cmp.Equal(few, read(dataset.ReadOptions{Pairs: 4, Seed: 2})) {
		t.Error("two seeds give the same pairs")
	}
	if n := len(read(dataset.ReadOptions{Pairs: 100})); n != 84 {
		t.Errorf("at most 100 pairs a record: %d, want 84", n)
	}
}

func TestReplies(t *testing.T) {
	read := func(name string, o dataset.ReadOptions) []string {
		var out []string
		for r, err := range dataset.Replies(name, o) {
			if err != nil {
				out = append(out, strings.ReplaceAll(err.Error(), filepath.Dir(name)+"/", ""))
				continue
			}
			out = append(out, show(&dataset.Pair{Prompt: r.Prompt, First: r.Response, Source: r.Source, P: math.NaN()}))
		}
		return out
	}
	tests := []struct {
		name, in string
		want     []string
	}{
		{"answer.md", "# Tides\r\n\r\n[x](y)\n", []string{`| "# Tides\r\n\r\n[x](y)\n" | "" | NaN @0.0`}},
		{"answer.txt", `{"prompt":"p","response":"r"}`, []string{`| "{\"prompt\":\"p\",\"response\":\"r\"}" | "" | NaN @0.0`}},
		{"note", "plain words", []string{`| "plain words" | "" | NaN @0.0`}},
		{"link", "[a](b) and more", []string{`| "[a](b) and more" | "" | NaN @0.0`}},
		{"brace", "{ not a record\n}", []string{`| "{ not a record\n}" | "" | NaN @0.0`}},
		{"records", `{"prompt":"p","response":"r"}` + "\n", []string{`user="p" | "r" | "" | NaN @1.0`}},
		{"empty.txt", "", []string{"empty.txt:1: the file is empty, so there is no reply"}},
		{"latin1.txt", "a\nb\xe9\n", []string{"latin1.txt:2: not valid UTF-8; a reply is text"}},
		{
			"r.jsonl",
			`{"id":"i","prompt":"p","response":"r","model":"m"}
{"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}],"topic":"t"}
{"messages":[{"role":"user","content":"p"}],"response":"r"}
{"response":"alone"}
{"messages":[{"role":"user","content":"p"}]}
{"prompt":"p","completion":"r"}
{"prompt":"p"}
{"instruction":"i","input":"j","output":"r"}
{"prompt":"p","response":""}`,
			[]string{
				`user="p" | "r" by m | "" | NaN @1.0 id=i {"model":"m"}`,
				`user="p" | "r" | "" | NaN @2.0 {"topic":"t"}`,
				`user="p" | "r" | "" | NaN @3.0`,
				`| "alone" | "" | NaN @4.0`,
				`r.jsonl:5: messages: the last turn is the user's, so there is no reply`,
				`user="p" | "r" | "" | NaN @6.0`,
				`r.jsonl:7: no "response"`,
				`user="i\n\nj" | "r" | "" | NaN @8.0`,
				`user="p" | "" | "" | NaN @9.0`,
			},
		},
		{"p.jsonl", `{"prompt":"p","chosen":"x","rejected":"y"}`, []string{`p.jsonl:1: a pair, not a reply; a reply has prompt or messages, and response`}},
		{"l.jsonl", `{"prompt":"p","responses":["x","y"]}`, []string{`user="p" | "x" | "" | NaN @1.0`, `user="p" | "y" | "" | NaN @1.1`}},
		{"c.csv", "prompt,response\np,\"r,s\"\n", []string{`user="p" | "r,s" | "" | NaN @2.0`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, read(write(t, tt.name, tt.in), dataset.ReadOptions{})); diff != "" {
				t.Errorf("replies differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	in := `{"b":1,"prompt":"p","response":"r","a":[1, 2]}
{"b":2,"prompt":"p","response":"s","a":"<&>"}`
	var got []string
	for r, err := range dataset.Records("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Reply == nil || r.Pair != nil {
			t.Fatalf("a reply is given as %+v", r)
		}
		if err := r.Object.Set("score", 0.5); err != nil {
			t.Fatal(err)
		}
		raw, err := r.Object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(raw))
	}
	want := []string{
		`{"b":1,"prompt":"p","response":"r","a":[1, 2],"score":0.5}`,
		`{"b":2,"prompt":"p","response":"s","a":"<&>","score":0.5}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records differ (-want +got):\n%s", diff)
	}

	for r, err := range dataset.Records("-", dataset.ReadOptions{Stdin: strings.NewReader(`{"prompt":"p","chosen":["a","b"],"rejected":["c"]}`)}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Responses) != 3 || r.Chosen != 2 || r.Pair != nil || r.Reply != nil {
			t.Errorf("a list is given as %+v", r)
		}
	}
}

// TestStreams: a record is given when its line is there, not when the file
// ends, and a consumer that stops is not called again.
func TestStreams(t *testing.T) {
	for name, record := range map[string]string{
		"pair":  `{"prompt":"p","chosen":"x","rejected":"y"}` + "\n",
		"array": `[{"prompt":"p","chosen":"x","rejected":"y"},` + "\n",
		"hh":    `{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			r, w := io.Pipe()
			defer r.Close()
			go io.WriteString(w, record) // the writer then stays open and silent
			got := 0
			for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: r}) {
				if err != nil {
					t.Fatal(err)
				}
				if got++; p.Source.Line != 1 {
					t.Errorf("line %d", p.Source.Line)
				}
				break
			}
			if got != 1 {
				t.Errorf("%d pairs", got)
			}
		})
	}
	lists := strings.Repeat(`{"prompt":"p","responses":["a","b","c"]}`+"\nbad\n", 3)
	for stop := 1; stop < 12; stop++ {
		n := 0
		for range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(lists)}) {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("stopped after %d, wanted %d", n, stop)
		}
	}
}
