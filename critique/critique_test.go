package critique_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/constitution"
	"cai/critique"
	"cai/dataset"
	"cai/llm"
)

// model says yes to a check with log-odds yes, favours the letter A by bias,
// and writes text.
type model struct {
	yes, bias float64
	away      float64 // probability of something else
	text      string
	requests  []llm.Request
}

func (m *model) Chat(_ context.Context, r llm.Request) (*llm.Reply, error) {
	m.requests = append(m.requests, r)
	prompt := r.Messages[0].Content
	if r.MaxTokens > 1 {
		if r.OnText != nil {
			r.OnText(m.text)
		}
		return &llm.Reply{Text: m.text, PromptTokens: 5, OutputTokens: 3, Truncated: len(m.text) > 60}, nil
	}
	s := m.bias + m.yes
	if strings.Contains(prompt, "(A) No.") {
		s = m.bias - m.yes
	}
	less := math.Log1p(-m.away)
	top := []llm.Alternative{{Text: " A", Logprob: less - math.Log1p(math.Exp(-s))}, {Text: "B", Logprob: less - math.Log1p(math.Exp(s))}}
	return &llm.Reply{Text: "A", Tokens: []llm.Token{{Alternative: top[0], Top: top}}, PromptTokens: 9}, nil
}

var honest = constitution.Principle{
	ID: "honest", Critique: "Say where the reply misleads.", Revision: "Make it true.",
	Compare: "Which reply is more honest?", Check: "Is the reply honest?", Weight: 1,
}

var who = llm.Identity{Backend: "ollama", Model: "m", Digest: "d"}

// The probability is that of "no, the reply is not fine", whatever letter the
// model favours.
func TestCheckIsFreeOfTheLetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{yes: rapid.Float64Range(-5, 5).Draw(t, "yes"), bias: rapid.Float64Range(-5, 5).Draw(t, "bias")}
		v, err := critique.New(m, who, 0, 0, 0, nil).Check(context.Background(), dataset.Prompt("q"), "r", &honest)
		if err != nil {
			t.Fatal(err)
		}
		if want := 1 / (1 + math.Exp(m.yes)); math.Abs(v.Probability-want) > 1e-9 {
			t.Fatalf("P(violates) %v, want %v", v.Probability, want)
		}
	})
}

func TestCritiqueHasTheVerdictAndTheWords(t *testing.T) {
	m := &model{yes: -2, text: "  It says that eggs explode. "}
	c := critique.New(m, who, 50, 0, 3, nil)
	var heard []string
	got, _, err := c.Critique(t.Context(), dataset.Prompt("q"), dataset.Response{Text: "r"}, &honest, func(v critique.Verdict, s string) {
		heard = append(heard, s)
		if v.Probability < 0.8 {
			t.Errorf("verdict %+v", v)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "It says that eggs explode." || got.Judge != c.ID.Hash() || got.Principle != honest.Hash() || got.Truncated {
		t.Errorf("%+v", got)
	}
	if len(heard) != 2 || heard[0] != "" || heard[1] != m.text {
		t.Errorf("stream %q", heard)
	}
	if r := m.requests[2]; r.MaxTokens != 50 || r.Seed != 3 || !strings.Contains(r.Messages[0].Content, honest.Critique) {
		t.Errorf("request %+v", r)
	}
	// The three prompts share everything up to the question.
	head := "User: q\n\nAssistant's reply:\nr\n\n"
	for i, r := range m.requests {
		if !strings.HasPrefix(r.Messages[0].Content, head) {
			t.Errorf("prompt %d begins %q", i, r.Messages[0].Content)
		}
	}
}

func TestAReplyWithoutAPromptIsCriticisedAlone(t *testing.T) {
	m := &model{text: "x"}
	if _, err := critique.New(m, who, 0, 0, 0, nil).Check(t.Context(), nil, "r", &honest); err != nil {
		t.Fatal(err)
	}
	if p := m.requests[0].Messages[0].Content; !strings.HasPrefix(p, "Assistant's reply:\nr") {
		t.Errorf("prompt %q", p)
	}
}

// Where the answers have next to no probability the critic is undecided, whatever
// the rest says.
func TestAnAnswerWithoutMassIsUndecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			yes: rapid.Float64Range(-5, 5).Draw(t, "yes"), away: rapid.Float64Range(0, 0.9999).Draw(t, "on something else"),
			text: "It is fine.",
		}
		got, v, err := critique.New(m, who, 0, 0, 0, nil).Critique(context.Background(), dataset.Prompt("q"), dataset.Response{Text: "r"}, &honest, nil)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(v.Coverage-(1-m.away)) > 1e-9 || v.Undecided() != (1-v.Coverage > 0.9) || v.Undecided() != math.IsNaN(got.Probability) || strings.TrimSpace(v.First) != "A" {
			t.Fatalf("%+v, stored %v", v, got.Probability)
		}
	})
}
