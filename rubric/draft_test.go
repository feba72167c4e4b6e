package rubric_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
	"cai/rubric"
)

// writer gives its texts one after the other, the last one again and again.
func writer(texts ...string) *model {
	n := 0
	return &model{answer: func(string, llm.Request) (*llm.Reply, error) {
		n++
		return &llm.Reply{Text: texts[min(n, len(texts))-1]}, nil
	}}
}

func texts(cs []rubric.Criterion) (out []string) {
	for _, c := range cs {
		out = append(out, c.ID+": "+c.Text)
	}
	return out
}

func TestDraftFromPrinciples(t *testing.T) {
	ps := []constitution.Principle{
		{ID: "calm", Title: "Calm", Critique: "Say where it shouts.", Check: "Is the reply calm?", Weight: 2},
		{ID: "brief", Title: "Brief", Critique: "Say where it rambles.", Check: "Is the reply brief?", Weight: 1},
		{ID: "also", Title: "Brief too", Critique: "Say where it rambles.", Check: "Is the reply brief?", Weight: 1},
	}
	m := writer(
		`Sure! "does the reply keep a calm tone?" That is it.`,                              // words around it
		"Is the reply not long?", "Which reply is shorter?", "Is the reply brief and warm?", // nothing of use: its own check
		"Is the reply brief?", // said already, and its own check as well
	)
	d := &rubric.Draft{Model: m}
	cs, err := d.FromPrinciples(t.Context(), ps)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"calm: Does the reply keep a calm tone?", "brief: Is the reply brief?"}; !slices.Equal(texts(cs), want) {
		t.Errorf("%q", texts(cs))
	}
	if cs[0].Weight != 2 || d.Calls != 7 || len(d.Left) != 4 {
		t.Errorf("weight %v, %d calls, left %q", cs[0].Weight, d.Calls, d.Left)
	}
	for _, f := range (&rubric.Rubric{Criteria: cs}).Lint() {
		if f.Severity != constitution.SeverityInfo {
			t.Errorf("%+v", f)
		}
	}
}

func TestDraftFromPairs(t *testing.T) {
	var pairs []*dataset.Pair
	for i := range 5 {
		pairs = append(pairs, &dataset.Pair{
			Prompt: dataset.Prompt(fmt.Sprint("q", i)), First: dataset.Response{Text: "better"}, Second: dataset.Response{Text: "worse"}, P: float64(i % 2),
		})
	}
	m := writer("Is the reply polite?", "Does the reply name a source?", "Is the first reply longer?", "Is the reply short?")
	d := &rubric.Draft{Model: m}
	cs, err := d.FromPairs(t.Context(), pairs, 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"polite: Is the reply polite?", "name-source: Does the reply name a source?", "short: Is the reply short?"}; !slices.Equal(texts(cs), want) {
		t.Errorf("%q", texts(cs))
	}
	for i, good := range []string{"worse", "better", "worse"} {
		if p := m.requests[i].Messages[0].Content; !strings.Contains(p, "A good reply:\n"+good+"\n") {
			t.Errorf("pair %d: %q", i, p)
		}
	}
	// A server that fails ends it; a model that says nothing does not.
	m.answer = func(string, llm.Request) (*llm.Reply, error) { return nil, &llm.Error{Kind: llm.KindServer} }
	if _, err := d.FromPairs(t.Context(), pairs, 3); llm.KindOf(err) != llm.KindServer {
		t.Errorf("%v", err)
	}
	m.answer = func(string, llm.Request) (*llm.Reply, error) { return nil, &llm.Error{Kind: llm.KindEmpty} }
	if cs, err := d.FromPairs(t.Context(), pairs, 3); err != nil || len(cs) != 0 {
		t.Errorf("%v, %v", cs, err)
	}
}
