package dataset_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func preference() *dataset.Preference {
	return &dataset.Preference{
		Pair: &dataset.Pair{
			Prompt: dataset.Conversation{
				{Role: "system", Content: "Be kind."},
				{Role: "user", Content: "My plant <droops>"},
				{Role: "assistant", Content: "Since when?"},
				{Role: "user", Content: "A week"},
			},
			First:  dataset.Response{Text: "Check the soil & the light."},
			Second: dataset.Response{Text: "Plants, \"do\" that."},
		},
		P:  0.75,
		ID: "00ff",
		Extra: dataset.Object{
			{Key: "topic", Value: json.RawMessage(`"plants"`)},
			{Key: "chosen", Value: json.RawMessage(`"not this"`)},
			{Key: "n", Value: json.RawMessage(`[1, 2]`)},
		},
	}
}

func writeAll(t testing.TB, format string, prefs ...*dataset.Preference) string {
	var b bytes.Buffer
	w, err := dataset.NewPreferenceWriter(format, &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prefs {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPreferenceWriter(t *testing.T) {
	single := preference()
	single.Pair.Prompt = dataset.Prompt("Why?")
	single.P, single.ID, single.Extra = math.NaN(), "", nil
	other := preference()
	other.Extra = dataset.Object{{Key: "level", Value: json.RawMessage(`3`)}}
	tests := map[string][]string{
		"trl": {
			`{"prompt":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: ","chosen":"Check the soil & the light.","rejected":"Plants, \"do\" that.","margin":0.5,"label_prob":0.75,"cai_id":"00ff","topic":"plants","n":[1, 2]}`,
			`{"prompt":"Why?","chosen":"Check the soil & the light.","rejected":"Plants, \"do\" that."}`,
			`{"prompt":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: ","chosen":"Check the soil & the light.","rejected":"Plants, \"do\" that.","margin":0.5,"label_prob":0.75,"cai_id":"00ff","level":3}`,
		},
		"trl-conversational": {
			`{"prompt":[{"role":"system","content":"Be kind."},{"role":"user","content":"My plant <droops>"},{"role":"assistant","content":"Since when?"},{"role":"user","content":"A week"}],"chosen":[{"role":"assistant","content":"Check the soil & the light."}],"rejected":[{"role":"assistant","content":"Plants, \"do\" that."}],"margin":0.5,"label_prob":0.75,"cai_id":"00ff","topic":"plants","n":[1, 2]}`,
			`{"prompt":[{"role":"user","content":"Why?"}],"chosen":[{"role":"assistant","content":"Check the soil & the light."}],"rejected":[{"role":"assistant","content":"Plants, \"do\" that."}]}`,
			`{"prompt":[{"role":"system","content":"Be kind."},{"role":"user","content":"My plant <droops>"},{"role":"assistant","content":"Since when?"},{"role":"user","content":"A week"}],"chosen":[{"role":"assistant","content":"Check the soil & the light."}],"rejected":[{"role":"assistant","content":"Plants, \"do\" that."}],"margin":0.5,"label_prob":0.75,"cai_id":"00ff","level":3}`,
		},
		"hh": {
			`{"chosen":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: Check the soil & the light.","rejected":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: Plants, \"do\" that.","cai_id":"00ff","topic":"plants","n":[1, 2]}`,
			`{"chosen":"\n\nHuman: Why?\n\nAssistant: Check the soil & the light.","rejected":"\n\nHuman: Why?\n\nAssistant: Plants, \"do\" that."}`,
			`{"chosen":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: Check the soil & the light.","rejected":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: Plants, \"do\" that.","cai_id":"00ff","level":3}`,
		},
		"sft": {
			`{"prompt":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: ","completion":"Check the soil & the light.","cai_id":"00ff","topic":"plants","n":[1, 2]}`,
			`{"prompt":"Why?","completion":"Check the soil & the light."}`,
			`{"prompt":"Be kind.\n\nHuman: My plant <droops>\n\nAssistant: Since when?\n\nHuman: A week\n\nAssistant: ","completion":"Check the soil & the light.","cai_id":"00ff","level":3}`,
		},
		"csv": {
			`prompt,chosen,rejected,label_prob,margin,cai_id,topic,n,extra`,
			`"[{""role"":""system"",""content"":""Be kind.""},{""role"":""user"",""content"":""My plant <droops>""},{""role"":""assistant"",""content"":""Since when?""},{""role"":""user"",""content"":""A week""}]",Check the soil & the light.,"Plants, ""do"" that.",0.75,0.5,00ff,plants,"[1, 2]",`,
			`Why?,Check the soil & the light.,"Plants, ""do"" that.",,,,,,`,
			`"[{""role"":""system"",""content"":""Be kind.""},{""role"":""user"",""content"":""My plant <droops>""},{""role"":""assistant"",""content"":""Since when?""},{""role"":""user"",""content"":""A week""}]",Check the soil & the light.,"Plants, ""do"" that.",0.75,0.5,00ff,,,"{""level"":3}"`,
		},
	}
	for format, want := range tests {
		got := strings.Split(strings.TrimSuffix(writeAll(t, format, preference(), single, other), "\n"), "\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", format, diff)
		}
	}
	if got := writeAll(t, "csv"); got != "prompt,chosen,rejected,label_prob,margin,cai_id,extra\n" {
		t.Errorf("a CSV file of no records is %q", got)
	}
	if _, err := dataset.NewPreferenceWriter("xml", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "trl-conversational") {
		t.Errorf("an unknown format gives %v, which does not list the known ones", err)
	}
}

// TestCannotHold: a transcript would turn these texts into other turns, and a
// writer must not give out a pair that reads back as another.
func TestCannotHold(t *testing.T) {
	for name, change := range map[string]func(*dataset.Pair){
		"a marker in a reply":             func(p *dataset.Pair) { p.First.Text = "x\n\nHuman: forged" },
		"a marker in the prompt":          func(p *dataset.Pair) { p.Prompt[3].Content = "x\n\nAssistant: forged" },
		"a system message that is a turn": func(p *dataset.Pair) { p.Prompt[0].Content = "\nHuman: x" },
		"a tool's turn":                   func(p *dataset.Pair) { p.Prompt[2].Role = "tool" },
		"a system message in the middle":  func(p *dataset.Pair) { p.Prompt[2].Role = "system" },
	} {
		p := preference()
		change(p.Pair)
		var b bytes.Buffer
		w, err := dataset.NewPreferenceWriter("hh", &b)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(p); !errors.Is(err, dataset.ErrCannotHold) {
			t.Errorf("%s: error is %v, want ErrCannotHold", name, err)
		}
		if b.Len() > 0 {
			t.Errorf("%s: %q was written", name, b.String())
		}
		if err := w.Write(preference()); err != nil || b.Len() == 0 {
			t.Errorf("%s: the next record is not written: %v", name, err)
		}
	}
}

// text draws texts with what files are broken by.
func text() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"word", " ", "\n", "\r\n", "\r", "\t", `"`, `\`, ",", "{", "}", "[", "]", "<b>&amp;", "é", "日本", "🙂", "\u2028", "\x00", "\x7f", "\ufeff",
		"Human:", "Assistant: ", "null", "0", "\\u0041",
	})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
	})
}

func conversation() *rapid.Generator[dataset.Conversation] {
	return rapid.Custom(func(t *rapid.T) dataset.Conversation {
		var c dataset.Conversation
		if rapid.Bool().Draw(t, "system") {
			c = append(c, dataset.Message{Role: "system", Content: "s" + text().Draw(t, "text")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "turns") {
			c = append(c, dataset.Message{Role: "user", Content: text().Draw(t, "text")},
				dataset.Message{Role: "assistant", Content: text().Draw(t, "text")})
		}
		return append(c, dataset.Message{Role: "user", Content: text().Draw(t, "text")})
	})
}

// readable leaves out texts that look like what a format writes for something
// else: a text that is a transcript, or a cell that is messages.
func representable(p *dataset.Pair) bool {
	for _, m := range p.Prompt {
		if strings.Contains(m.Content, "Human:") || strings.Contains(m.Content, "Assistant:") {
			return false
		}
	}
	return !strings.Contains(p.First.Text+"\n"+p.Second.Text, "\n\nHuman:") &&
		!strings.Contains(p.First.Text+"\n"+p.Second.Text, "\n\nAssistant:")
}

func extras() *rapid.Generator[dataset.Object] {
	return rapid.Custom(func(t *rapid.T) dataset.Object {
		var o dataset.Object
		for _, k := range []string{"zeta", "topic", "Ä b"} {
			if rapid.Bool().Draw(t, k) {
				if err := o.Set(k, text().Draw(t, "value")); err != nil {
					t.Fatal(err)
				}
			}
		}
		return o
	})
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []string{"trl", "trl-conversational", "hh", "csv"} {
		t.Run(format, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				pair := &dataset.Pair{
					Prompt: conversation().Draw(t, "prompt"),
					First:  dataset.Response{Text: text().Draw(t, "chosen")},
					Second: dataset.Response{Text: text().Draw(t, "rejected")},
				}
				if format != "trl-conversational" && !representable(pair) {
					t.Skip("not representable")
				}
				want := &dataset.Preference{Pair: pair, P: rapid.Float64Range(0, 0.49).Draw(t, "p"), Extra: extras().Draw(t, "extra")}
				other := &dataset.Preference{Pair: &dataset.Pair{Prompt: dataset.Prompt("q")}, P: 1, Extra: extras().Draw(t, "other")}
				var b bytes.Buffer
				w, err := dataset.NewPreferenceWriter(format, &b)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range []*dataset.Preference{other, want} {
					if err := w.Write(p); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				var got *dataset.Pair
				o := dataset.ReadOptions{Format: format, Stdin: &b}
				for p, err := range dataset.Pairs("-", o) {
					if err != nil {
						t.Fatal(err)
					}
					got = p
				}
				if diff := cmp.Diff(pair.Prompt, got.Prompt); diff != "" {
					t.Fatalf("prompt (-written +read):\n%s", diff)
				}
				if got.First.Text != pair.First.Text || got.Second.Text != pair.Second.Text {
					t.Fatalf("read %q and %q, written %q and %q", got.First.Text, got.Second.Text, pair.First.Text, pair.Second.Text)
				}
				if pair.Key() != got.Key() {
					t.Fatal("the pair has another key after a round trip")
				}
				if format != "hh" && got.P != want.P {
					t.Fatalf("P is %v, written %v", got.P, want.P)
				}
				for _, f := range want.Extra {
					if diff := cmp.Diff(string(f.Value), string(got.Source.Extra.Get(f.Key))); diff != "" {
						t.Fatalf("column %q (-written +read):\n%s", f.Key, diff)
					}
				}
			})
		})
	}
}

// TestSFTRoundTrip reads back what sft writes as replies.
func TestSFTRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pair := &dataset.Pair{Prompt: conversation().Draw(t, "prompt"), First: dataset.Response{Text: text().Draw(t, "reply")}}
		if !representable(pair) {
			t.Skip("not representable")
		}
		var b bytes.Buffer
		w, err := dataset.NewPreferenceWriter("sft", &b)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(&dataset.Preference{Pair: pair, P: 1}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for r, err := range dataset.Replies("-", dataset.ReadOptions{Stdin: &b, Format: "sft"}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			if diff := cmp.Diff(pair.Prompt, r.Prompt); diff != "" || r.Response.Text != pair.First.Text {
				t.Fatalf("read %q; prompt (-written +read):\n%s", r.Response.Text, diff)
			}
		}
		if n != 1 {
			t.Fatalf("%d records", n)
		}
	})
}

// TestBetweenFormats: a pair that went through every format in any order is the
// pair that it was.
func TestBetweenFormats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pair := &dataset.Pair{
			Prompt: conversation().Draw(t, "prompt"),
			First:  dataset.Response{Text: text().Draw(t, "chosen")},
			Second: dataset.Response{Text: text().Draw(t, "rejected")},
			P:      1,
		}
		if !representable(pair) {
			t.Skip("not representable")
		}
		now := pair
		for _, format := range rapid.Permutation([]string{"trl", "trl-conversational", "hh", "csv"}).Draw(t, "formats") {
			var b bytes.Buffer
			w, err := dataset.NewPreferenceWriter(format, &b)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Write(&dataset.Preference{Pair: now, P: now.P}), w.Close()); err != nil {
				t.Fatal(err)
			}
			for p, err := range dataset.Pairs("-", dataset.ReadOptions{Format: format, Stdin: &b}) {
				if err != nil {
					t.Fatal(err)
				}
				now = p
			}
		}
		ignore := cmpopts.IgnoreFields(dataset.Pair{}, "Source")
		if diff := cmp.Diff(pair, now, ignore); diff != "" {
			t.Fatalf("the pair changed (-before +after):\n%s", diff)
		}
	})
}

func TestEncoder(t *testing.T) {
	var w countingWriter
	e := dataset.NewEncoder(&w)
	for _, v := range []any{
		map[string]string{"a": "<b> & é\n"},
		dataset.Object{{Key: "z", Value: json.RawMessage("{\n\"x\": 1}")}, {Key: "a", Value: nil}},
		dataset.Object{{Key: "z", Value: json.RawMessage(`[1, 2]`)}},
	} {
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Encode(math.NaN()); err == nil {
		t.Error("NaN is written as JSON")
	}
	want := []string{`{"a":"<b> & é\n"}` + "\n", `{"z":{"x":1},"a":null}` + "\n", `{"z":[1, 2]}` + "\n"}
	if !slices.Equal(want, w.writes) {
		t.Errorf("writes are %q, want %q", w.writes, want)
	}
}

type countingWriter struct{ writes []string }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes = append(w.writes, string(p))
	return len(p), nil
}
