package dataset_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// convertPairs writes pairs and gives the bytes and what was lost.
func convertPairs(t interface{ Fatal(...any) }, format, name string, pairs ...*dataset.Pair) ([]byte, *dataset.Converter) {
	var b bytes.Buffer
	c, err := dataset.NewConverter(format, name, &b, dataset.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if err := c.Write(&dataset.Record{Pair: p, Source: p.Source}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), c
}

// hold are the formats of which one pair comes back, and the containers that
// they fit.
var hold = []string{
	"trl", "trl-conversational", "hh", "csv", "pairs", "openrlhf", "rewardbench", "rewardbench2", "alpaca", "nemo",
	"ultrafeedback", "kto", "prometheus", "judgebench", "llmbar", "hhh", "pandalm",
}

// kinds are the containers that a file's name can ask for.
var kinds = []string{"jsonl", "json", "csv", "tsv", "parquet"}

func TestEveryFormatIsTested(t *testing.T) {
	for _, f := range dataset.WriteFormats() {
		if !slices.Contains(hold, f) && f != "sft" && f != "rmbench" {
			t.Errorf("no round trip of %s", f)
		}
	}
}

// TestFormatRoundTrips: in each format and container a pair comes back as it was,
// with its label, its authors and its other columns; or the converter says that
// the format cannot hold it.
func TestFormatRoundTrips(t *testing.T) {
	for _, format := range hold {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			rapid.Check(t, func(t *rapid.T) {
				ext := rapid.SampledFrom(kinds).Draw(t, "ext")
				if format == "csv" && ext != "tsv" {
					ext = "csv"
				}
				pair := &dataset.Pair{
					Prompt: conversation().Draw(t, "prompt"),
					First:  dataset.Response{Text: text().Draw(t, "first"), Author: rapid.SampledFrom([]string{"", "m1"}).Draw(t, "author")},
					Second: dataset.Response{Text: text().Draw(t, "second"), Author: rapid.SampledFrom([]string{"", "m2"}).Draw(t, "author")},
					P:      rapid.SampledFrom([]float64{0, 1, 0.5, 0.3, 0.75, math.NaN()}).Draw(t, "p"),
				}
				pair.Source = dataset.Source{File: "f", Line: 1, Extra: extras().Draw(t, "extra")}
				data, c := convertPairs(t, format, "x."+ext, pair)
				if c.Left() > 0 {
					if len(c.Losses()) == 0 || c.Losses()[0].First != "f:1" {
						t.Fatalf("left out without a place: %+v", c.Losses())
					}
					single, plain := pair.Prompt.Text()
					if pair.Labelled() && pair.P != 0.5 && plain && !strings.Contains(single+pair.First.Text+pair.Second.Text, ":") {
						t.Fatalf("an ordinary pair is left out: %+v", c.Losses())
					}
					return
				}
				var got []*dataset.Pair
				name := filepath.Join(dir, "x."+ext)
				if err := os.WriteFile(name, data, 0o600); err != nil {
					t.Fatal(err)
				}
				for p, err := range dataset.Pairs(name, dataset.ReadOptions{Format: readName(format)}) {
					if err != nil {
						t.Fatalf("%v in %s", err, data)
					}
					got = append(got, p)
				}
				if len(got) != 1 {
					t.Fatalf("%d pairs in %s", len(got), data)
				}
				want := *pair
				if !dataset.KeepsOrder(format) && want.P < 0.5 {
					want.First, want.Second, want.P = want.Second, want.First, 1-want.P
				}
				g := got[0]
				if diff := cmp.Diff(want.Prompt, g.Prompt); diff != "" {
					t.Fatalf("prompt (-written +read):\n%s\n%s", diff, data)
				}
				if g.First.Text != want.First.Text || g.Second.Text != want.Second.Text {
					t.Fatalf("read %q, %q; written %q, %q", g.First.Text, g.Second.Text, want.First.Text, want.Second.Text)
				}
				if g.First.Author != want.First.Author && format != "kto" || g.Second.Author != want.Second.Author && format != "kto" {
					t.Fatalf("authors %q, %q; written %q, %q", g.First.Author, g.Second.Author, want.First.Author, want.Second.Author)
				}
				lost := slices.ContainsFunc(c.Losses(), func(l dataset.Loss) bool { return strings.Contains(l.What, "certainty") })
				if !lost && g.P != want.P && !(math.IsNaN(g.P) && math.IsNaN(want.P)) {
					t.Fatalf("P is %v, written %v in %s", g.P, want.P, data)
				}
				for _, f := range pair.Source.Extra {
					if diff := cmp.Diff(string(f.Value), string(g.Source.Extra.Get(f.Key))); diff != "" {
						t.Fatalf("column %q (-written +read):\n%s", f.Key, diff)
					}
				}
			})
		})
	}
}

// readName is the name by which a format is read: a CSV file of trl's columns is
// read as it is found.
func readName(format string) string {
	if format == "csv" {
		return "trl"
	}
	return format
}

// TestLists: lists of replies stay lists where the format has them.
func TestLists(t *testing.T) {
	in := `{"id":"q","prompt":"p","chosen":["a","b","c"],"rejected":["d","e","f"],"domain":"chat"}` + "\n"
	for format, want := range map[string]string{
		"rmbench":      `{"id":"q","prompt":"p","chosen":["a","b","c"],"rejected":["d","e","f"],"domain":"chat"}`,
		"rewardbench2": `{"id":"q","prompt":"p","chosen":["a","b","c"],"rejected":["d","e","f"],"num_correct":3,"num_incorrect":3,"total_completions":6,"domain":"chat"}`,
		"hhh":          `{"input":"p","targets":{"choices":["a","b","c","d","e","f"],"labels":[1,1,1,0,0,0]},"id":"q","domain":"chat"}`,
	} {
		var b bytes.Buffer
		c, err := dataset.NewConverter(format, "-", &b, dataset.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range dataset.Records("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
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
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", format, got, want)
		}
		if len(c.Losses()) > 0 {
			t.Errorf("%s: lost %+v", format, c.Losses())
		}
	}
}

// TestReadShapes reads the shapes that only other programs write.
func TestReadShapes(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want []string // chosen > rejected
	}{
		"UltraFeedback": {`{"instruction":"p","source":"s","completions":[{"model":"m","response":"x","annotations":{"honesty":{"Rating":"2"}}},{"model":"n","response":"y","annotations":{"honesty":{"Rating":"5"}}}]}`, []string{"y>x"}},
		"binarized":     {`{"prompt":"p","chosen":[{"content":"p","role":"user"},{"content":"x","role":"assistant"}],"rejected":[{"content":"p","role":"user"},{"content":"y","role":"assistant"}],"score_chosen":8.0,"score_rejected":3.0}`, []string{"x>y"}},
		"NeMo":          {`{"context":[{"role":"user","content":"p"}],"completions":[{"rank":1,"completion":[{"role":"assistant","content":"x"}]},{"rank":0,"completion":[{"role":"assistant","content":"y"}]}]}`, []string{"y>x"}},
		"HHH":           {`{"input":"p","target_scores":{"x":1,"y":0}}`, []string{"x>y"}},
		"Prometheus":    {`{"orig_instruction":"p","orig_response_A":"x","orig_response_B":"y","orig_preference":"B","instruction":"###Task"}`, []string{"y>x"}},
		"KTO":           {`{"prompt":"p","completion":"x","label":false}` + "\n" + `{"prompt":"p","completion":"y","label":true}`, []string{"y>x"}},
	} {
		var got []string
		for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(test.in)}) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if p.P < 0.5 {
				p.First, p.Second = p.Second, p.First
			}
			if text, ok := p.Prompt.Text(); !ok || text != "p" {
				t.Errorf("%s: prompt %+v", name, p.Prompt)
			}
			got = append(got, p.First.Text+">"+p.Second.Text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
