package judge_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"cai/dataset"
	"cai/judge"
	"cai/llm"
)

// thinker writes a rationale and then answers by what it wrote.
type thinker struct {
	rationale, thinking string
	fail                error
	requests            []llm.Request
}

func (m *thinker) Chat(_ context.Context, r llm.Request) (*llm.Reply, error) {
	m.requests = append(m.requests, r)
	if r.TopLogprobs == 0 {
		if m.fail != nil {
			return nil, m.fail
		}
		return &llm.Reply{Text: m.rationale, Thinking: m.thinking, PromptTokens: 50}, nil
	}
	top := []llm.Alternative{{Text: "B", Logprob: -0.1}, {Text: "A", Logprob: -2.4}}
	return &llm.Reply{Text: "B", PromptTokens: 90, Tokens: []llm.Token{{Alternative: top[0], Top: top}}}, nil
}

func reasoning(t *testing.T, m llm.Chatter, r judge.Reason) *judge.Judge {
	t.Helper()
	j, err := judge.New(m, llm.Identity{Backend: "ollama", Model: "m", Digest: "d"}, judge.Settings{Mode: judge.ModeReason, Reason: r})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestARationaleStandsBetweenTheTextsAndTheAnswer(t *testing.T) {
	m := &thinker{rationale: "  (B) is kinder.<|im_end|>\n", thinking: "hm"}
	j := reasoning(t, m, judge.Reason{Tokens: 80, Think: 500})
	q := judge.Question{Prompt: dataset.Prompt("q"), First: "one", Second: "two", Principle: &honest}
	a, err := j.Compare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	first, second := m.requests[0], m.requests[1]
	if first.MaxTokens != 80 || first.ThinkTokens != 500 || !first.Think || first.Temperature != 0 {
		t.Errorf("the rationale was asked for with %+v", first)
	}
	if second.MaxTokens != 1 || second.Think {
		t.Errorf("the answer was asked for with %+v", second)
	}
	if len(second.Messages) != 3 || second.Messages[0].Content != first.Messages[0].Content {
		t.Errorf("the answer's prompt does not go on from the rationale's: %+v", second.Messages)
	}
	if got := second.Messages[1]; got.Role != "assistant" || strings.Contains(got.Content, "<|im_end|>") {
		t.Errorf("the rationale stands in the prompt as %+v", got)
	}
	if last := second.Messages[2].Content; !strings.HasSuffix(last, "Which reply is more honest? Answer A or B.") {
		t.Errorf("the prompt ends in %q", last)
	}
	if a.LogOdds() > -2 || a.Calls != 2 || a.Rationale != "hm\n\n(B) is kinder.<|im_end|>" || a.PromptTokens != 70 {
		t.Errorf("answer %+v", a)
	}
	q.Sample = 2
	if _, err := j.Compare(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if again := m.requests[2]; again.Temperature != judge.DefaultReasonTemperature || again.Seed != 2 {
		t.Errorf("a further sample was drawn with temperature %v, seed %d", again.Temperature, again.Seed)
	}
}

// Thoughts that use up their budget, and an empty rationale, are failures of a
// known kind: the answer is not asked for.
func TestARationaleThatFailsIsATypedFailure(t *testing.T) {
	q := judge.Question{Prompt: dataset.Prompt("q"), First: "one", Second: "two", Principle: &honest}
	for want, m := range map[llm.Kind]*thinker{
		llm.KindThinking: {fail: &llm.Error{Kind: llm.KindThinking, Err: errors.New("all spent")}},
		llm.KindEmpty:    {rationale: " \n"},
	} {
		a, err := reasoning(t, m, judge.Reason{}).Compare(t.Context(), q)
		if llm.KindOf(err) != want || a.Calls != 1 || len(m.requests) != 1 {
			t.Errorf("%s: error %v, %d calls", want, err, len(m.requests))
		}
	}
}

// What bounds a rationale changes its judgments, so judges that differ in it
// are different ones; the shape is still known by its template.
func TestReasoningIsPartOfTheJudge(t *testing.T) {
	m := &thinker{}
	token, err := judge.New(m, llm.Identity{Model: "m"}, judge.Settings{Mode: judge.ModeToken})
	if err != nil {
		t.Fatal(err)
	}
	a, b := reasoning(t, m, judge.Reason{}), reasoning(t, m, judge.Reason{Tokens: 81})
	if a.ID.Hash() == b.ID.Hash() || a.ID.Template == token.ID.Template || a.ID.Template != b.ID.Template {
		t.Errorf("identities %+v, %+v, %+v", token.ID, a.ID, b.ID)
	}
	if got := judge.ShapeOf(a.ID.Template); got != judge.DefaultShape().Name {
		t.Errorf("the shape of a reasoning judge is %q", got)
	}
	if a.Room() <= token.Room()+judge.DefaultThinkTokens {
		t.Errorf("room %d beside %d", a.Room(), token.Room())
	}
}
