package dataset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// convert converts a file's text and gives what comes out and what was lost.
func convert(t testing.TB, from, to, in string) (string, []dataset.Loss) {
	t.Helper()
	out, losses, err := convertedFrom(from, to, in)
	if err != nil {
		t.Fatal(err)
	}
	return out, losses
}

func converted(to, in string) (string, []dataset.Loss, error) { return convertedFrom("", to, in) }

func convertedFrom(from, to, in string) (string, []dataset.Loss, error) {
	var b bytes.Buffer
	c, err := dataset.NewConverter(to, "-", &b, dataset.ReadOptions{})
	if err != nil {
		return "", nil, err
	}
	for r, err := range dataset.Records("-", dataset.ReadOptions{Format: from, Stdin: strings.NewReader(in)}) {
		if err == nil {
			err = c.Write(r)
		}
		if err != nil {
			return "", nil, err
		}
	}
	err = c.Close()
	return b.String(), c.Losses(), err
}

// A dialogue with a tool: what a message has beside role and content stays with it
// byte for byte where the format has messages.
const toolTalk = `{"prompt":[{"role":"user","name":"Zoë","content":"Weather?"},` +
	`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","function":{"arguments":"{\"at\":\"Ulm\"}"}, "n":1.50}]},` +
	`{"role":"tool","content":"","tool_call_id":"c1"}],` +
	`"chosen":[{"role":"assistant","content":"Rain.","refusal":"\u00e9"}],"rejected":[{"role":"assistant","content":"Sun."}]}`

func TestKeysOfMessages(t *testing.T) {
	want := []string{
		`{"role":"user","content":"Weather?","name":"Zoë"}`,
		`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","function":{"arguments":"{\"at\":\"Ulm\"}"}, "n":1.50}]}`,
		`{"role":"tool","content":"","tool_call_id":"c1"}`,
		`{"role":"assistant","content":"Rain.","refusal":"\u00e9"}`,
	}
	for _, format := range []string{"trl-conversational", "openrlhf", "nemo"} {
		out, losses := convert(t, "", format, toolTalk)
		for _, m := range want {
			if !strings.Contains(out, m) {
				t.Errorf("%s: %s is not in %s", format, m, out)
			}
		}
		if len(losses) > 0 {
			t.Errorf("%s: lost %+v", format, losses)
		}
		// Back again from what was written.
		if back, losses := convert(t, format, "trl-conversational", out); len(losses) > 0 || !strings.Contains(back, strings.Join(want[:3], ",")) {
			t.Errorf("%s, read again: %s, lost %+v", format, back, losses)
		}
	}
	out, losses := convert(t, "", "pairs", toolTalk)
	if !strings.Contains(out, strings.Join(want[:3], ",")) {
		t.Errorf("pairs: %s", out)
	}
	if diff := cmp.Diff([]dataset.Loss{{What: `the key "refusal" of messages`, Records: 1, First: "-:1"}}, losses); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
}

// Where the format has texts, each key that is lost is said.
func TestKeysOfMessagesThatAreLost(t *testing.T) {
	in := `{"prompt":[{"role":"user","content":"p","name":"Z"}],"chosen":[{"role":"assistant","content":"x","tool_calls":[]}],"rejected":[{"role":"assistant","content":"y","name":"N"}]}`
	want := []dataset.Loss{
		{What: `the key "name" of messages`, Records: 1, First: "-:1"},
		{What: `the key "tool_calls" of messages`, Records: 1, First: "-:1"},
	}
	for _, format := range dataset.WriteFormats() {
		switch format {
		case "trl-conversational", "openrlhf", "nemo", "ultrafeedback", "pairs", "csv", "rmbench":
			continue
		}
		_, losses := convert(t, "", format, in)
		got := slices.DeleteFunc(losses, func(l dataset.Loss) bool { return !strings.Contains(l.What, "of messages") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
	// A list keeps its losses, too, and replies that stand alone.
	for _, in := range []string{
		`{"context":[{"role":"user","content":"p","name":"Z"}],"completions":[{"rank":0,"completion":[{"role":"assistant","content":"x","tool_calls":[]}]},{"rank":1,"completion":[{"role":"assistant","content":"y"}]},{"rank":1,"completion":[{"role":"assistant","content":"z"}]}]}`,
		`{"messages":[{"role":"user","content":"p","name":"Z"},{"role":"assistant","content":"x","tool_calls":[]}]}`,
	} {
		to := "rewardbench2"
		if strings.Contains(in, "messages") {
			to = "sft"
		}
		if _, losses := convert(t, "", to, in); !cmp.Equal(want, losses) {
			t.Errorf("%s to %s: lost %+v", in, to, losses)
		}
	}
}

func TestContentInParts(t *testing.T) {
	in := `{"id":"x","conversation_a":[{"role":"user","content":[{"type":"text","text":"Hi ","image":null},{"type":"text","text":"there é"}]},{"role":"assistant","content":[{"type":"text","text":"A","mimeType":null}]}],` +
		`"conversation_b":[{"role":"user","content":[{"type":"text","text":"Hi ","image":null},{"type":"text","text":"there é"}]},{"role":"assistant","content":[{"type":"text","text":""}]}],"model_a":"m","model_b":"n","winner":"model_b"}`
	out, losses := convert(t, "", "pairs", in)
	if want := `{"prompt":"Hi there é","response_a":"A","response_b":"","model_a":"m","model_b":"n","label_prob":0.0,"id":"x"}` + "\n"; out != want {
		t.Errorf("got %s, want %s", out, want)
	}
	if want := []dataset.Loss{{What: "how the content of a message is divided into parts", Records: 1, First: "-:1"}}; !cmp.Equal(want, losses) {
		t.Errorf("lost %+v", losses)
	}
	for in, want := range map[string]string{
		`{"prompt":[{"role":"user","content":[{"type":"image","image":"x"}]}],"chosen":"a","rejected":"b"}`: `-:1: prompt: message 1: content part 1 is "image"; only text can be judged`,
		`{"prompt":[{"role":"user","content":null}],"chosen":"a","rejected":"b"}`:                           `-:1: prompt: message 1: content is null, not a text`,
	} {
		for _, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
	if _, losses := convert(t, "", "trl", `{"prompt":[{"role":"developer","content":"s"},{"role":"user","content":"p"}],"chosen":"a","rejected":"b"}`); len(losses) != 1 || losses[0].What != `the name of the role "developer", which is written "system"` {
		t.Errorf("lost %+v", losses)
	}
}

// Messages as an object of lists are what older versions of datasets made of a
// list of objects.
func TestListsOfMessages(t *testing.T) {
	in := `{"prompt":{"content":["s","p"],"role":["system","user"],"name":[null,"Z"]},"chosen":{"role":["assistant"],"content":["x"]},"rejected":{"role":["assistant"],"content":["y"]}}`
	out, losses := convert(t, "", "trl-conversational", in)
	want := `{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"p","name":"Z"}],"chosen":[{"role":"assistant","content":"x"}],"rejected":[{"role":"assistant","content":"y"}],"margin":1.0,"label_prob":1.0}` + "\n"
	if out != want || len(losses) > 0 {
		t.Errorf("got %s lost %+v, want %s", out, losses, want)
	}
	for _, err := range dataset.Pairs("-", dataset.ReadOptions{Format: "trl-conversational", Stdin: strings.NewReader(strings.Replace(in, `["s","p"]`, `["s"]`, 1))}) {
		if err == nil || !strings.Contains(err.Error(), `messages as lists: 2 under "role", 1 under "content"`) {
			t.Errorf("lists of unequal length: %v", err)
		}
	}
}

// TestKeysOfMessagesRoundTrip: the keys of messages come back from every format and
// container that has messages.
func TestKeysOfMessagesRoundTrip(t *testing.T) {
	dir := t.TempDir()
	extra := rapid.Custom(func(t *rapid.T) string {
		var o dataset.Object
		for _, k := range []string{"name", "é b", "weight"} {
			if !rapid.Bool().Draw(t, k) {
				continue
			}
			raw := json.RawMessage(fmt.Sprintf(`{"a":[%d]}`, rapid.IntRange(0, 9).Draw(t, "n")))
			if k != "weight" {
				raw, _ = json.Marshal(text().Draw(t, "value"))
			}
			o = append(o, dataset.Field{Key: k, Value: raw})
		}
		if o == nil {
			return ""
		}
		raw, _ := o.MarshalJSON()
		return string(raw)
	})
	rapid.Check(t, func(t *rapid.T) {
		pair := &dataset.Pair{
			Prompt: conversation().Draw(t, "prompt"),
			First:  dataset.Response{Text: text().Draw(t, "first"), Extra: extra.Draw(t, "of first")},
			Second: dataset.Response{Text: text().Draw(t, "second"), Extra: extra.Draw(t, "of second")},
			P:      1, Source: dataset.Source{File: "f", Line: 1},
		}
		for i := range pair.Prompt {
			pair.Prompt[i].Extra = extra.Draw(t, "of message")
		}
		format := rapid.SampledFrom([]string{"trl-conversational", "openrlhf", "nemo", "ultrafeedback"}).Draw(t, "format")
		ext := rapid.SampledFrom([]string{"jsonl", "json", "parquet"}).Draw(t, "ext")
		data, c := convertPairs(t, format, "x."+ext, pair)
		if len(c.Losses()) > 0 {
			t.Fatalf("lost %+v", c.Losses())
		}
		name := filepath.Join(dir, "x."+ext)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for p, err := range dataset.Pairs(name, dataset.ReadOptions{Format: format}) {
			if err != nil {
				t.Fatal(err)
			}
			same := func(a, b string) bool { return ext != "parquet" && a == b || ext == "parquet" && sameObject(a, b) }
			if len(p.Prompt) != len(pair.Prompt) || !same(p.First.Extra, pair.First.Extra) || !same(p.Second.Extra, pair.Second.Extra) {
				t.Fatalf("%s: read %+v, written %+v", data, p, pair)
			}
			for i := range p.Prompt {
				if p.Prompt[i].Content != pair.Prompt[i].Content || !same(p.Prompt[i].Extra, pair.Prompt[i].Extra) {
					t.Fatalf("%s: message %d is %+v, written %+v", data, i, p.Prompt[i], pair.Prompt[i])
				}
			}
		}
	})
}

// sameObject compares objects whose keys may stand in another order, as the columns
// of Parquet have one for all rows.
func sameObject(a, b string) bool {
	var x, y map[string]any
	if a == "" || b == "" {
		return a == b
	}
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}
