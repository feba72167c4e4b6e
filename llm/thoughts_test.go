package llm_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cai/llm"
)

// marks are those that models put around their thoughts, and what stands before
// the answer then.
var marks = []struct{ open, end string }{
	{"<think>", "</think>"},
	{"<THINK>\n", "\n</THINK>"},
	{"<thinking>", "</thinking>"},
	{"<thought>", "</thought>"},
	{"<thoughts>\n", "</thoughts>"},
	{"<reasoning>", "</reasoning>"},
	{"<seed:think>", "</seed:think>"},
	{"<longcat_think>", "</longcat_think>"},
	{"<think budget=\"100\">", "</think>"},
	{"<|think|>", "<|/think|>"},
	{"<|begin_of_thought|>", "<|end_of_thought|>\n\n<|begin_of_solution|>"},
	{"<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"},
	{"[THINK]", "[/THINK]"},
	{"◁think▷", "◁/think▷"},
	{"<|channel>thought\n", "<channel|>"},
	{"<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"},
	{"<|start|>assistant<|channel|>analysis<|message|>", "<|end|>\n<|start|>assistant <|channel|> final <|message|>"},
	{"<|inner_prefix|>", "<|inner_suffix|>"},
	{"Here is my thought process:", "Here is my response:"},
	{"<think>", "</think>\n<answer>"},
	{"<think>", "</thinking>"},
}

var (
	thinkWords = rapid.SliceOfN(rapid.SampledFrom([]string{"Okay,", "A is fine.", "I weigh.", "B?", "\n", "日本", "the <b> tag", "`</think>`", "(A)"}), 0, 6)
	sayWords   = rapid.SliceOfN(rapid.SampledFrom([]string{
		"Air scatters", "light.", "The tag `<think>` begins a thought,", "and </think> ends it.", "Write \"<think>\".", "\n\n", "[THINK] is another,", "of <|channel|> too,",
		"```\n<think>\nx\n</think>\n```", "B", "A.", "<br>",
	}), 1, 6)
)

// What a model thinks before it answers is no part of the answer, whatever marks
// it uses and however the answer comes in pieces; what an answer says of such
// marks stays.
func TestThoughtsAreNoPartOfAnAnswer(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, s := scripted(t, v1, llm.Config{})
		rapid.Check(t, func(t *rapid.T) {
			thought := strings.TrimSpace(strings.Join(thinkWords.Draw(t, "thought"), " "))
			answer := "It is: " + strings.Join(sayWords.Draw(t, "answer"), " ") + " So."
			m := rapid.SampledFrom(marks).Draw(t, "marks")
			if m.open == "<think>" && m.end == "</thinking>" && strings.Contains(thought+answer, "</think>") {
				return // which of them ends it, nobody can tell
			}
			before, opened, tail := "", m.open, ""
			switch rapid.SampledFrom([]string{"whole", "none", "twice", "lone", "blank"}).Draw(t, "case") {
			case "none":
				m.open, m.end, thought, opened = "", "", "", ""
			case "twice":
				before = m.open + "first" + m.end + "\n"
				if strings.Contains(m.end, "final") || strings.Contains(m.end, "<answer>") || strings.Contains(m.end, "solution") || strings.Contains(m.end, "RESPONSE") {
					before = ""
				}
			case "lone":
				if !strings.HasPrefix(m.end, "</") && !strings.HasPrefix(m.end, "[/") && !strings.HasPrefix(m.end, "◁/") && m.end != "<channel|>" || strings.Contains(m.end, "answer") || strings.Contains(thought, "think") {
					return // the template opens no such thought
				}
				m.open, thought = "", strings.TrimSpace(thought+" So.")
			case "blank":
				before = "\n \n"
			}
			if strings.Contains(m.end, "<answer>") {
				tail = "</answer>"
			}
			text := before + m.open + thought + m.end + rapid.SampledFrom([]string{"", "\n", "\n\n"}).Draw(t, "gap") + answer + tail
			if opened == "" {
				text = answer
			}
			s.set(said{cutUp(t, text), "", "stop"}.stream(v1))
			var heard strings.Builder
			req := ask("hi")
			req.OnText = func(s string) { heard.WriteString(s) }
			r, err := c.Chat(context.Background(), req)
			if err != nil || r.Text != answer {
				t.Fatalf("%q, %v of %q", r.Text, err, text)
			}
			if !strings.HasSuffix(r.Thinking, thought) || opened == "" && r.Thinking != "" {
				t.Fatalf("thought %q of %q", r.Thinking, text)
			}
			if m.open != "" && !strings.HasPrefix(heard.String(), answer) || opened == "" && heard.String() != answer {
				t.Fatalf("heard %q of %q", heard.String(), text)
			}
			if err := r.Settle(); err != nil || r.Text != answer {
				t.Fatalf("settled twice: %q, %v", r.Text, err)
			}
		})
	})
}

// cutUp parts a text as a server streams it.
func cutUp(t *rapid.T, text string) []string {
	var out []string
	for rest := []rune(text); len(rest) > 0; {
		n := min(len(rest), rapid.IntRange(1, 12).Draw(t, "piece"))
		out = append(out, string(rest[:n]))
		rest = rest[n:]
	}
	return out
}

// A thought that does not end, or is followed by nothing, is no answer, wherever
// the limit cut it off.
func TestThoughtsThatDoNotEndAreNoAnswer(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		c, s := scripted(t, v1, llm.Config{})
		rapid.Check(t, func(t *rapid.T) {
			m := rapid.SampledFrom(marks).Draw(t, "marks")
			text := m.open + strings.TrimRight(strings.Join(thinkWords.Draw(t, "thought"), " "), " \n")
			finish := rapid.SampledFrom([]string{"length", "stop"}).Draw(t, "finish")
			if rapid.Bool().Draw(t, "ended") && (m.end != "</thinking>" || !strings.Contains(text, "</think>")) {
				text += m.end + "\n"
			} else if strings.Contains(text, "</think>") {
				return // it ends there, for all that can be told
			}
			s.set(said{cutUp(t, text), "", finish}.stream(v1))
			heard := ""
			req := ask("hi")
			req.OnText = func(s string) { heard += s }
			r, err := c.Chat(context.Background(), req)
			if llm.KindOf(err) != llm.KindThinking || llm.HintOf(err) == "" || heard != "" {
				t.Fatalf("%+v, %v, heard %q of %q", r, err, heard, text)
			}
		})
	})
}

// Where one token is asked for, the beginning of a thought is told as one, even
// where its mark is several tokens.
func TestOneTokenOfAThoughtIsToldAsOne(t *testing.T) {
	protocols(t, func(t *testing.T, v1 bool) {
		for _, pieces := range [][]string{{"<think>"}, {"<", "think", ">", "\n", "Okay"}, {"[THINK]"}, {"[", "THINK", "]"}, {"<|channel|>", "analysis"}, {"◁", "think", "▷"}, {"\n", "<think>"}, {"analysis", "We"}} {
			c, s := scripted(t, v1, llm.Config{})
			s.set(func(w http.ResponseWriter, asked map[string]any) {
				n, _ := asked["max_tokens"].(float64)
				if o, ok := asked["options"].(map[string]any); ok {
					n = o["num_predict"].(float64)
				}
				got := pieces[:min(int(n), len(pieces))]
				var all []string
				for _, p := range got {
					all = append(all, listed(entry{token: p, number: "-0.01"}, entry{token: "A", number: "-6"}, entry{token: "B", number: "-7"}))
				}
				said{got, wrap(v1, strings.Join(all, ",")), "length"}.stream(v1)(w, asked)
			})
			_, err := llm.Choose(t.Context(), c, ask(comparison), 0, "A", "B")
			if llm.KindOf(err) != llm.KindThinking || !strings.Contains(fmt.Sprint(err), "begins its answer with a thought") {
				t.Errorf("%q: %v", pieces, err)
			}
		}
	})
}

// An answer that is about thoughts is one.
func TestTalkOfThoughtsIsNoThought(t *testing.T) {
	for _, text := range []string{
		"Models write <think> before they think.",
		"The tag </think> ends it.\n\nI hope this helps.",
		"Use `</think>`.\nThen go on.",
		"It ends with </think>\n\nHope that helps.",
		"```\nx = text.split('</think>')[1]\n```\nThat is all.",
		"```xml\n</think>\n```\nends it.",
		"First [THINK], then [/THINK].",
		"`<think>` opens it.",
		"thinking about it: A.",
		"analysis of the two: A.",
		"A <thought> is not a </thought>.\n",
	} {
		if thoughts, answer, closed := llm.Thoughts(text); thoughts != "" || answer != text || !closed {
			t.Errorf("%q is taken for the thought %q and the answer %q", text, thoughts, answer)
		}
	}
}

func TestListenersHearOnlyWhatIsSaid(t *testing.T) {
	c, s := scripted(t, true, llm.Config{First: time.Second})
	s.set(said{[]string{"<thi", "nk>", "so", "</think>", "\n\n", "Yes", ", it is."}, "", "stop"}.stream(true))
	var pieces []string
	req := ask("hi")
	req.OnText = func(s string) { pieces = append(pieces, s) }
	if _, err := c.Chat(t.Context(), req); err != nil || len(pieces) != 2 || pieces[0] != "Yes" {
		t.Errorf("heard %q, %v", pieces, err)
	}
}

func TestAThoughtWithinAThought(t *testing.T) {
	for text, want := range map[string]string{
		"<think>a <think>S</think> S2</think>Final":                           "Final",
		"<think>a <think>S</think>Final":                                      "Final", // its own end never came
		"<think>a</think>Write </think> at the end.":                          "Write </think> at the end.",
		"<thinking>x <think>y</think> <think>z</think> w</thinking>\n\nFinal": "Final",
	} {
		if _, answer, closed := llm.Thoughts(text); answer != want || !closed {
			t.Errorf("%q: %q, %v", text, answer, closed)
		}
	}
}
