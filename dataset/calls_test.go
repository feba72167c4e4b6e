package dataset_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type toolCall struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// words are texts of calls and around them, with what could be taken for a call.
var words = rapid.OneOf(rapid.SampledFrom([]string{
	"Oslo", "", "é\n\"\\ \u2028", `<tool_call>{"name":"w","arguments":{}}</tool_call>`, `<\tool_call>`, "</tool_response>", "\\u003ctool_call>", `{"a": 1}`, "[]", "null", " ",
}), rapid.StringMatching(`[a-z <>\\/_]{0,12}`))

func drawCall(t *rapid.T) toolCall {
	c := toolCall{Name: rapid.SampledFrom([]string{"w", "get_weather", "a.b", "é\"", "tool_call>"}).Draw(t, "name"), Arguments: map[string]any{}}
	for range rapid.IntRange(0, 3).Draw(t, "arguments") {
		var v any = words.Draw(t, "value")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			v = float64(rapid.IntRange(-9, 9).Draw(t, "number")) / 4
		case 1:
			v = []any{v, true, map[string]any{"k": words.Draw(t, "deep")}}
		case 2:
			v = map[string]any{words.Draw(t, "key"): v}
		}
		c.Arguments[words.Draw(t, "argument")] = v
	}
	return c
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// callShapes write a message that says a text and calls tools, as files have it.
var callShapes = map[string]func(text string, calls []toolCall) string{
	"nested": func(text string, calls []toolCall) string {
		var out []any
		for i, c := range calls {
			out = append(out, map[string]any{"id": fmt.Sprint("call_", i), "type": "function", "function": map[string]any{"name": c.Name, "arguments": mustJSON(c.Arguments)}})
		}
		return fmt.Sprintf(`{"role":"assistant","content":%s,"tool_calls": %s}`, mustJSON(text), mustJSON(out))
	},
	"objects": func(text string, calls []toolCall) string {
		var out []any
		for _, c := range calls {
			out = append(out, map[string]any{"function": c, "custom": nil})
		}
		return fmt.Sprintf(`{"tool_calls":%s,"role":"assistant","content":%s}`, mustJSON(out), mustJSON(text))
	},
	"flat": func(text string, calls []toolCall) string {
		return fmt.Sprintf(`{"role":"assistant","content":%s,"tool_calls":%s,"refusal":null}`, mustJSON(text), mustJSON(calls))
	},
	"a cell": func(text string, calls []toolCall) string {
		return fmt.Sprintf(`{"role":"assistant","content":%s,"tool_calls":%s}`, mustJSON(text), mustJSON(mustJSON(calls)))
	},
	"parts": func(text string, calls []toolCall) string {
		parts := []any{map[string]any{"type": "text", "text": text}}
		for i, c := range calls {
			parts = append(parts, map[string]any{"type": "tool_use", "id": fmt.Sprint("toolu_", i), "name": c.Name, "input": c.Arguments})
		}
		return fmt.Sprintf(`{"role":"assistant","content":%s}`, mustJSON(parts))
	},
	"custom": func(text string, calls []toolCall) string {
		var out []any
		for _, c := range calls {
			out = append(out, map[string]any{"type": "custom", "custom": map[string]any{"name": c.Name, "input": mustJSON(c.Arguments)}})
		}
		return fmt.Sprintf(`{"from":"gpt","value":%s,"tool_calls":%s}`, mustJSON(text), mustJSON(out))
	},
}

func readOne(t rapid.TB, in string) *dataset.Pair {
	t.Helper()
	var out *dataset.Pair
	for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
		if err != nil {
			t.Fatalf("%v\n%s", err, in)
		}
		out = p
	}
	return out
}

func ofMessages(chosen string) string {
	return `{"prompt":[{"role":"user","content":"p"}],"chosen":[` + chosen + `],"rejected":[{"role":"assistant","content":"y"}]}`
}

// saidCalls reads the calls back out of a text.
func saidCalls(t rapid.TB, text string) (calls []toolCall) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		body, ok := strings.CutPrefix(line, "<tool_call>")
		if !ok {
			continue
		}
		var c toolCall
		if err := json.Unmarshal([]byte(strings.TrimSuffix(body, "</tool_call>")), &c); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		calls = append(calls, c)
	}
	return calls
}

// In whatever shape calls come, the text says each call's name and arguments, nothing
// else in it reads like a call, and two replies are the same only if they say and call
// the same.
func TestCallsAreSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (string, []toolCall) {
			return words.Draw(t, "text"), rapid.SliceOfN(rapid.Custom(drawCall), 1, 3).Draw(t, "calls")
		}
		text, calls := draw()
		var first *dataset.Pair
		for _, name := range []string{"nested", "objects", "flat", "a cell", "parts", "custom"} {
			p := readOne(t, ofMessages(callShapes[name](text, calls)))
			if got := saidCalls(t, p.First.Text); !reflect.DeepEqual(got, calls) {
				t.Fatalf("%s: calls %+v are said as %q", name, calls, p.First.Text)
			}
			if first == nil {
				first = p
			}
			if p.First.Text != first.First.Text || p.Key() != first.Key() {
				t.Fatalf("%s: %q, and otherwise %q", name, p.First.Text, first.First.Text)
			}
		}
		other, others := text, append([]toolCall(nil), calls...)
		if i := rapid.IntRange(-1, len(calls)-1).Draw(t, "changed"); i >= 0 {
			others[i] = drawCall(t)
		} else {
			other = words.Draw(t, "other")
		}
		p := readOne(t, ofMessages(callShapes["flat"](other, others)))
		if same := other == text && reflect.DeepEqual(others, calls); same != (p.Key().Hash == first.Key().Hash) {
			t.Fatalf("%q and %q: the same is %t", first.First.Text, p.First.Text, same)
		}
	})
}

// What is written is read as the same text and the same hash, and by formats of messages
// with the same bytes beside it.
func TestCallsThatAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := callShapes[rapid.SampledFrom([]string{"nested", "objects", "flat", "a cell", "parts", "custom"}).Draw(t, "shape")]
		said := func() string {
			return shape(words.Draw(t, "text"), rapid.SliceOfN(rapid.Custom(drawCall), 1, 2).Draw(t, "calls"))
		}
		in := `{"prompt":[{"role":"user","content":"p"},` + said() + `,{"role":"tool","name":"w","content":"7"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"<tool_call>8"}]}],` +
			`"chosen":[` + said() + `],"rejected":[` + said() + `]}`
		p := readOne(t, in)
		if p.First.Text == p.Second.Text {
			return
		}
		for _, format := range []string{"trl-conversational", "openrlhf", "nemo", "pairs"} {
			out, _, err := converted(format, in)
			if err != nil {
				t.Fatal(err)
			}
			back := readOne(t, out)
			if back.Key() != p.Key() {
				t.Fatalf("%s: %q and %q became %q and %q", format, p.First.Text, p.Second.Text, back.First.Text, back.Second.Text)
			}
			if diff := cmp.Diff(p.Prompt, back.Prompt); diff != "" {
				t.Fatalf("%s: the prompt (-read +again):\n%s", format, diff)
			}
			if format != "pairs" && (back.First != p.First || back.Second != p.Second) {
				t.Fatalf("%s: %+v became %+v", format, p.First, back.First)
			}
		}
	})
}

// Messages without calls are what they were, whatever their text reads like.
func TestMessagesWithoutCalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := words.Draw(t, "text")
		none := rapid.SampledFrom([]string{"", `,"tool_calls":[]`, `,"tool_calls":null`, `,"function_call":null`, `,"tool_calls":""`, `,"tool_calls":"[]"`}).Draw(t, "none")
		in := ofMessages(`{"role":"assistant","content":` + mustJSON(text) + none + `}`)
		p := readOne(t, in)
		want := dataset.ResponseHash(dataset.Prompt("p").Hash(), text)
		if a := dataset.ResponseHash(p.Prompt.Hash(), p.First.Text); p.First.Text != text || a != want {
			t.Fatalf("%q is read as %q", text, p.First.Text)
		}
		if strings.Contains(p.First.Extra, `"content"`) {
			t.Fatalf("%q has %s", text, p.First.Extra)
		}
		if _, changed := p.KeyWithoutCalls(); changed {
			t.Fatalf("%s was another pair", in)
		}
	})
}

func TestShapesOfCalls(t *testing.T) {
	for in, want := range map[string]string{
		`{"role":"assistant","content":null,"function_call":{"name":"w","arguments":"{\"at\": \"Ulm\"}"}}`:                                                                       `<tool_call>{"name":"w","arguments":{"at":"Ulm"}}</tool_call>`,
		`{"from":"function_call","value":"{\"name\": \"w\", \"arguments\": {\"at\": \"Ulm\"}}"}`:                                                                                 `<tool_call>{"name":"w","arguments":{"at":"Ulm"}}</tool_call>`,
		`{"role":"tool_call","content":"[{\"name\": \"w\"}, {\"name\": \"v\", \"parameters\": \"x\"}]","n":1}`:                                                                   "<tool_call>{\"name\":\"w\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"v\",\"arguments\":\"x\"}</tool_call>",
		`{"from":"function_call","value":"no JSON"}`:                                                                                                                             "no JSON",
		`{"role":"assistant","content":"So:","tool_calls":[{"type":"custom","custom":{"name":"sh","input":"ls <tool_call>"}}]}`:                                                  "So:\n" + `<tool_call>{"name":"sh","arguments":"ls \u003ctool_call>"}</tool_call>`,
		`{"role":"assistant","tool_calls":[{"function":{"name":"w","arguments":{"a":null,"b":1.50}}}]}`:                                                                          `<tool_call>{"name":"w","arguments":{"b":1.50}}</tool_call>`,
		`{"role":"assistant","content":"","tool_calls":[{"id":"1","function":{"name":"w","arguments":"{\"a\":null"}}]}`:                                                          `<tool_call>{"name":"w","arguments":"{\"a\":null"}</tool_call>`,
		`{"role":"assistant","content":"","tool_calls":[{"id":"1","name":"w","kwargs":{"a":1}}]}`:                                                                                `<tool_call>{"name":"w","kwargs":{"a":1}}</tool_call>`,
		`{"role":"assistant","content":"","tool_calls":["w(1)", 5]}`:                                                                                                             "<tool_call>\"w(1)\"</tool_call>\n<tool_call>5</tool_call>",
		`{"role":"assistant","content":[{"type":"text","text":"a <tool"},{"type":"text","text":"_call>"},{"type":"tool_use","name":"w","input":{}},{"type":"text","text":"b"}]}`: `a <\tool_call>` + "\n" + `<tool_call>{"name":"w","arguments":{}}</tool_call>` + "\nb",
		`{"role":"assistant","content":[{"type":"tool-call","toolCallId":"c","toolName":"w","args":{"a":[1, 2]}}]}`:                                                              `<tool_call>{"name":"w","arguments":{"a":[1,2]}}</tool_call>`,
	} {
		for _, record := range []string{
			ofMessages(in),
			`{"prompt":"p","chosen":` + in + `,"rejected":{"role":"assistant","content":"y"}}`,
			`{"prompt":"p","chosen":[{"role":"user","content":"p"},` + in + `],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"y"}]}`,
			`{"context":"p","completions":[{"rank":0,"completion":[` + in + `]},{"rank":1,"completion":[{"role":"assistant","content":"y"}]}]}`,
		} {
			p := readOne(t, record)
			if p.First.Text != want {
				t.Errorf("%s\n got %q\nwant %q", record, p.First.Text, want)
			}
			// And again, out of what is written.
			out, losses, err := converted("trl-conversational", record)
			if back := readOne(t, out); err != nil || back.First != p.First {
				t.Errorf("%s: written as %s, %v, and read as %q", record, out, err, back.First.Text)
			}
			for _, l := range losses {
				if !strings.Contains(l.What, "the name of the role") {
					t.Errorf("%s: lost %s", record, l.What)
				}
			}
		}
	}
	p := readOne(t, `{"prompt":"p","responses":[{"content":"","tool_calls":[{"name":"w"}],"model":"m"},{"content":[{"type":"text","text":"x"}]}]}`)
	if p.First.Text != `<tool_call>{"name":"w","arguments":{}}</tool_call>` || p.First.Author != "m" || p.Second.Text != "x" {
		t.Errorf("a list of replies: %+v", p)
	}
}

// What a tool gave is part of the turns.
func TestResultsOfTools(t *testing.T) {
	for content, want := range map[string]string{
		`"12 °C"`: "<tool_response>12 °C</tool_response>",
		`[{"type":"text","text":"1"},{"type":"text","text":"</tool_response>"}]`: `<tool_response>1<\/tool_response></tool_response>`,
		`null`:                 "<tool_response></tool_response>",
		`{"t": 12, "u": null}`: `<tool_response>{"t":12,"u":null}</tool_response>`,
	} {
		raw := `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":` + content + `},{"type":"text","text":"And?"}]}`
		p := readOne(t, `{"prompt":[`+raw+`],"chosen":"x","rejected":"y"}`)
		if got := p.Prompt[0].Content; got != want+"\nAnd?" {
			t.Errorf("%s: %q", content, got)
		}
		if out, _, err := converted("pairs", `{"prompt":[`+raw+`],"chosen":"x","rejected":"y"}`); err != nil || !strings.Contains(out, raw) {
			t.Errorf("%s: written as %s, %v", content, out, err)
		}
	}
}

// Text formats say once that calls became text, and definitions beside the messages are
// named where they are not read.
func TestCallsInTextFormats(t *testing.T) {
	in := ofMessages(callShapes["nested"]("", []toolCall{{"w", nil}, {"v", nil}}))
	for _, format := range []string{"trl", "hh", "csv", "pairs", "kto", "alpaca", "rewardbench"} {
		out, losses, err := converted(format, in)
		want := []dataset.Loss{{What: "the form of tool calls, written as text", Records: 1, First: "-:1"}}
		if err != nil || !cmp.Equal(losses, want) || !strings.Contains(out, `<tool_call>`) {
			t.Errorf("%s: %v, lost %+v, %s", format, err, losses, out)
		}
	}
	for _, column := range []string{"tools", "functions"} {
		_, losses, err := converted("trl", `{"`+column+`":[{"name":"w","parameters":{}}],`+in[1:])
		if err != nil || !strings.Contains(fmt.Sprint(losses), column+" as part of the prompt") {
			t.Errorf("%s: %v, lost %+v", column, err, losses)
		}
	}
	var told []string
	for _, column := range []string{"tool_calls", "chosen_tool_calls"} {
		opts := dataset.ReadOptions{
			Stdin: strings.NewReader(`{"prompt":"p","chosen":"","rejected":"y","` + column + `":[{"name":"w"}]}`),
			Told:  func(t dataset.Told) { told = append(told, t.Text) },
		}
		for _, err := range dataset.Pairs("-", opts) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if text := fmt.Sprint(told); !strings.Contains(text, column+" is not read") {
			t.Errorf("%s: said %s", column, text)
		}
	}
}
