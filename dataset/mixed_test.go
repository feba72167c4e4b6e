package dataset_test

import (
	"fmt"
	"strings"
	"testing"

	"cai/dataset"
)

// told reads pairs and gives the probabilities of their first replies, and what was
// said of the file.
func told(t *testing.T, text string) (p []float64, said []string) {
	t.Helper()
	o := dataset.ReadOptions{Stdin: strings.NewReader(text), Told: func(what dataset.Told) { said = append(said, what.Text) }}
	for pair, err := range dataset.Pairs("-", o) {
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, pair.P)
	}
	return p, said
}

func TestMessagesAmongTextsAreSaid(t *testing.T) {
	row := `{"prompt":"q","chosen":"[{\"role\":\"assistant\",\"content\":\"g\"}]","rejected":"[{\"role\":\"assistant\",\"content\":\"b\"}]"}` + "\n"
	plain := `{"prompt":"q","chosen":"plain","rejected":"also"}` + "\n"
	for _, text := range []string{plain + strings.Repeat(row, 5), strings.Repeat(plain, 600) + row} {
		if _, said := told(t, text); !strings.Contains(strings.Join(said, "\n"), "chosen: a text that is the JSON of messages") {
			t.Errorf("said %q", said)
		}
	}
}

func TestTiesAreYesOrTrue(t *testing.T) {
	for _, words := range [][2]string{{"No", "Yes"}, {"no", "YES"}, {"false", "true"}, {"0", "1"}} {
		p, _ := told(t, fmt.Sprintf("{\"prompt\":\"q\",\"chosen\":\"x\",\"rejected\":\"y\",\"tie\":%q}\n{\"prompt\":\"r\",\"chosen\":\"x\",\"rejected\":\"y\",\"tie\":%q}\n", words[0], words[1]))
		if len(p) != 2 || p[0] != 1 || p[1] != 0.5 {
			t.Errorf("%v: %v", words, p)
		}
	}
}

func TestNamesBesideChosenAreSaid(t *testing.T) {
	p, said := told(t, `{"prompt":"q","chosen":"x","rejected":"y","winner":"b"}`+"\n")
	if len(p) != 1 || p[0] != 1 || !strings.Contains(strings.Join(said, "\n"), "winner is not used") {
		t.Errorf("%v, said %q", p, said)
	}
}

func TestScoresOfOneKindAreCompared(t *testing.T) {
	for text, want := range map[string]float64{
		// The fine-grained score of one and the overall score of the other are on
		// different scales.
		`{"response":"x","fine-grained_score":4.75,"overall_score":null},{"response":"y","overall_score":5.0}`:                       -1,
		`{"response":"x","fine-grained_score":4.75,"overall_score":4.0},{"response":"y","overall_score":5.0}`:                        0,
		`{"response":"x","fine-grained_score":4.75,"overall_score":4.0},{"response":"y","fine-grained_score":4.5,"overall_score":9}`: 1,
	} {
		p, _ := told(t, `{"instruction":"q","completions":[`+text+"]}\n")
		if len(p) != 1 || p[0] != want && !(want < 0 && p[0] != p[0]) {
			t.Errorf("%s: %v, want %v", text, p, want)
		}
	}
}
