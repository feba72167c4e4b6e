package dataset_test

import (
	"fmt"
	"strings"
	"testing"

	"cai/dataset"

	"github.com/google/go-cmp/cmp"
)

// brief shows a pair without its place and its other columns.
func brief(p *dataset.Pair) string {
	var b strings.Builder
	for _, m := range p.Prompt {
		fmt.Fprintf(&b, "%s:%s ", m.Role, m.Content)
	}
	fmt.Fprintf(&b, "| %s | %s | %g", p.First.Text, p.Second.Text, p.P)
	if m, ok := dataset.Number(p.Source.Extra.Get("margin")); ok {
		fmt.Fprintf(&b, " by %g", m)
	}
	return b.String()
}

// TestShapesOfOthers reads what other programs and published sets have, each by their
// own definition of columns and numbers.
func TestShapesOfOthers(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"ShareGPT with messages as chosen and rejected": {
			`{"conversations":[{"from":"system","value":"S"},{"from":"Human","value":"q"}],"chosen":{"from":"GPT","value":"good"},"rejected":{"from":"gpt","value":"bad"}}`,
			`system:S user:q | good | bad | 1`,
		},
		"LLaMA-Factory: system beside conversations, a tool's turn": {
			`{"conversations":[{"from":"human","value":"q"},{"from":"function_call","value":"{}"},{"from":"observation","value":"o"}],"system":"S","chosen":{"from":"gpt","value":"good"},"rejected":{"from":"gpt","value":"bad"}}`,
			`system:S user:q assistant:{} tool:o | good | bad | 1`,
		},
		"LLaMA-Factory: output of two, history": {
			`{"instruction":"i","input":"x","output":["good","bad"],"history":[["u","a"]]}`,
			"user:u assistant:a user:i\n\nx | good | bad | 1",
		},
		"LLaMA-Factory: output of three": {
			`{"instruction":"i","output":["a","b","c"]}`,
			`-:1: output: a list of two texts is expected, the better reply and the worse one; other lists of replies stand in responses, with ranks`,
		},
		"LLaMA-Factory: KTO": {
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"bad"}],"kto_tag":false}` + "\n" +
				`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"good"}],"kto_tag":true}`,
			`user:q | good | bad | 1`,
		},
		"axolotl: messages": {
			`{"messages":[{"role":"user","content":"q"}],"chosen":{"role":"assistant","content":"good"},"rejected":{"role":"assistant","content":"bad"}}`,
			`user:q | good | bad | 1`,
		},
		"axolotl: a whole dialogue beside chosen": {
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"good"}],"chosen":{"role":"assistant","content":"good"},"rejected":{"role":"assistant","content":"bad"}}`,
			`user:q | good | bad | 1`,
		},
		"a dialogue that ends with another reply": {
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"other"}],"chosen":{"role":"assistant","content":"good"},"rejected":{"role":"assistant","content":"bad"}}`,
			`-:1: messages ends with a turn of the assistant, to which chosen and rejected are no replies`,
		},
		"Argilla": {
			`{"system":"S","instruction":"q","chosen_response":"good","rejected_response":"bad"}`,
			`system:S user:q | good | bad | 1`,
		},
		"Orca of Intel": {
			`{"system":"","question":"q","chosen":"good","rejected":"bad"}`,
			`user:q | good | bad | 1`,
		},
		"a system message beside dialogues": {
			`{"system":"S","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"good"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"bad"}]}`,
			`system:S user:q | good | bad | 1`,
		},
		"Stack Exchange, paired": {
			`{"qid":1,"question":"q","response_j":"good","response_k":"bad"}`,
			`user:q | good | bad | 1`,
		},
		"WebGPT": {
			`{"question":{"full_text":"q"},"answer_0":"bad","score_0":-0.5,"answer_1":"good","score_1":0.5}` + "\n" +
				`{"question":{"full_text":"q"},"answer_0":"x","score_0":0.0,"answer_1":"y","score_1":0}`,
			"user:q | bad | good | 0\nuser:q | x | y | 0.5",
		},
		"summaries, of which choice is the place": {
			`{"info":{"post":"p"},"summaries":[{"text":"bad"},{"text":"good"}],"choice":1}` + "\n" + `{"info":{"article":"p"},"summaries":[{"text":"good"},{"text":"bad"}],"choice":0}`,
			"user:p | bad | good | 0\nuser:p | good | bad | 1",
		},
		"SHP": {
			`{"history":"p","human_ref_A":"good","human_ref_B":"bad","labels":1}` + "\n" + `{"history":"p","human_ref_A":"bad","human_ref_B":"good","labels":0}`,
			"user:p | good | bad | 1\nuser:p | bad | good | 0",
		},
		"PKU-SafeRLHF, one of its labels": {
			`{"prompt":"p","response_0":"bad","response_1":"good","better_response_id":1}` + "\n" + `{"prompt":"p","response_0":"good","response_1":"bad","better_response_id":0}`,
			"user:p | bad | good | 0\nuser:p | good | bad | 1",
		},
		"HelpSteer2: grades, and turns within the prompt": {
			`{"prompt":"a\n<extra_id_1>Assistant\nb\n\n<extra_id_1>User\nc","response_1":"bad","response_2":"good","preference_strength":2}` + "\n" + `{"prompt":"p","response_1":"x","response_2":"y","preference_strength":0}`,
			"user:a assistant:b\n user:c | bad | good | 0 by -2\nuser:p | x | y | 0.5 by 0",
		},
		"HelpSteer2: rows of one reply": {
			`{"prompt":"p","response":"x","helpfulness":3,"verbosity":1}`,
			`-:1: one reply and no pair; a pair has chosen and rejected, or response_a and response_b`,
		},
		"HelpSteer3": {
			`{"context":[{"role":"user","content":"q"}],"response1":"good","response2":"bad","overall_preference":-3}` + "\n" + `{"context":[{"role":"user","content":"q"}],"response1":"bad","response2":"good","overall_preference":1}`,
			"user:q | good | bad | 1 by 3\nuser:q | bad | good | 0 by -1",
		},
		"HelpSteer3 out of its grades": {
			`{"context":"q","response1":"x","response2":"y","overall_preference":-4}`,
			`-:1: overall_preference: -4 is outside its scale in this file: negative = first, 0 = tie, positive = second`,
		},
		"Arena: turns in cells, winners one by one": {
			`{"prompt":"[\"q\"]","response_a":"[\"bad\"]","response_b":"[\"good\"]","winner_model_a":0,"winner_model_b":1,"winner_tie":0}` + "\n" +
				`{"prompt":"[\"q\",\"r\"]","response_a":"[\"s\",\"x\"]","response_b":"[\"s\",\"y\"]","winner_model_a":0,"winner_model_b":0,"winner_tie":1}` + "\n" +
				`{"prompt":"[\"q\",\"r\"]","response_a":"[\"s\",\"x\"]","response_b":"[\"t\",\"y\"]","winner_model_a":1,"winner_model_b":0,"winner_tie":0}` + "\n" +
				`{"prompt":"[\"q\"]","response_a":"[null]","response_b":"[\"t\"]","winner_model_a":1,"winner_model_b":0,"winner_tie":0}`,
			"user:q | bad | good | 0\nuser:q assistant:s user:r | x | y | 0.5\n" +
				"-:3: response_a and response_b part before their last turn, so they are not replies to one conversation\n-:4: response_a: turn 1 is null, not a text",
		},
		"Arena: two winners": {
			`{"prompt":"p","response_a":"x","response_b":"y","winner_model_a":1,"winner_model_b":1,"winner_tie":0}`,
			`-:1: winner_model_a, winner_model_b, winner_tie: more than one of them is true`,
		},
		"Arena: content in parts": {
			`{"winner":"both_bad","conversation_a":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":"x"}]}],"conversation_b":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":"y"}]}]}`,
			`user:q | x | y | 0.5`,
		},
		"the winner by its model's name": {
			`{"prompt":"p","response_a":"x","response_b":"y","model_a":"m","model_b":"n","winner":"n"}`,
			`user:p | x | y | 0`,
		},
		"chosen and rejected that point at the replies": {
			`{"prompt":"p","response_a":"x","response_b":"y","chosen":2,"rejected":1}` + "\n" + `{"prompt":"p","response_a":"x","response_b":"y","chosen":"1","rejected":"2"}`,
			"user:p | x | y | 0\nuser:p | x | y | 1",
		},
		"names that count from 0": {
			`{"prompt":"p","response_0":"x","response_1":"y","winner":"response_1"}`,
			`user:p | x | y | 0`,
		},
		"more than two replies in columns": {
			`{"prompt":"p","response_1":"x","response_2":"y","response_3":"z"}`,
			`-:1: response_3 stands beside response_1 and response_2: more than two replies are a list in responses`,
		},
		"ratings with blanks": {
			`{"instruction":"p","completions":[{"response":"x","annotations":{"honesty":{"Rating":" 2 "}}},{"response":"y","annotations":{"honesty":{"Rating":"5"}}}]}`,
			`user:p | x | y | 0`,
		},
		"a question with its context": {
			`{"context":"The barn is red.","question":"Which colour?","chosen":"Red.","rejected":"Blue."}`,
			"user:The barn is red.\n\nWhich colour? | Red. | Blue. | 1",
		},
		"two labels that agree": {
			`{"prompt":"p","response_a":"x","response_b":"y","winner":"model_b","label":"B"}`,
			`user:p | x | y | 0`,
		},
		"two labels that do not": {
			`{"prompt":"p","response_a":"x","response_b":"y","winner":"model_b","preferred":"a"}`,
			`-:1: winner and preferred contradict each other about which reply is better`,
		},
		"a tie beside chosen and rejected": {
			`{"prompt":"p","chosen":"x","rejected":"y","winner":"tie"}` + "\n" + `{"prompt":"p","chosen":"x","rejected":"y","winner":"model_b"}`,
			"user:p | x | y | 0.5\nuser:p | x | y | 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(test.in)}) {
				if err != nil {
					got = append(got, err.Error())
					continue
				}
				got = append(got, brief(p))
			}
			if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestGradesKeepTheirStrength: a grade names the winner, and what it says beyond that
// goes out as the margin of the chosen reply.
func TestGradesKeepTheirStrength(t *testing.T) {
	in := `{"context":"q","response1":"good","response2":"bad","overall_preference":-3}` + "\n" + `{"context":"q","response1":"bad","response2":"good","overall_preference":1}` + "\n"
	out, losses := convert(t, "", "trl", in)
	want := `{"prompt":"q","chosen":"good","rejected":"bad","margin":3.0,"label_prob":1.0}` + "\n" + `{"prompt":"q","chosen":"good","rejected":"bad","margin":1.0,"label_prob":1.0}` + "\n"
	if out != want || len(losses) > 0 {
		t.Errorf("got %s, lost %+v; want %s", out, losses, want)
	}
}

// TestWhatIsSaidOfAFile: a reading that could have been another is stated once.
func TestWhatIsSaidOfAFile(t *testing.T) {
	for in, want := range map[string]string{
		`{"prompt":"p","response_a":"x","response_b":"y","label":1}` + "\n" + `{"prompt":"p","response_a":"x","response_b":"y","label":2}`: `label: 1 = first, 2 = second`,
		`{"prompt":"p","response_a":"x","response_b":"y","a_wins":false}`:                                                                  `a_wins: true = first, false = second`,
		`{"prompt":"p","response_a":"x","response_b":"y","label":"a"}`:                                                                     ``,
		`{"prompt":"p","response_a":"x","response_b":"y","label":"fine"}`:                                                                  `label is not used: no value of it, such as "fine", says which reply is better`,
		`{"prompt":"p","chosen":"x","rejected":"y","label":1}`:                                                                             `label is not used: numbers, or true and false, beside chosen and rejected say nothing of which is better`,
		`{"prompt":"p","responses":["x","y"],"label":1}`:                                                                                   `label is not used: beside a list of responses, ranks says which of them are better`,
		`{"chosen":"The sea is blue.","rejected":"The sea is red."}`:                                                                       `the prompt is what the two replies begin with in common`,
		`{"prompt":"p","chosen":"x","rejected":"y","system":"S","documents":["d"]}`:                                                        "the prompt is system and prompt\ndocuments may belong to the prompt, and is not read into it",
		`{"prompt":"p","chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"x"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"y"}],"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"x"}]}`: ``,
	} {
		for range 2 { // a record more says nothing more
			var got []string
			for _, told := range readAll(in, dataset.ReadOptions{}).told {
				if told.Kind != dataset.ToldFormat {
					got = append(got, told.Text)
				}
			}
			if s := strings.Join(got, "\n"); s != want {
				t.Errorf("%s:\n got %q\nwant %q", in, s, want)
			}
			in += "\n" + in
		}
	}
}
