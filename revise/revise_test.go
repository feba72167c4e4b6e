package revise_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"cai/constitution"
	"cai/critique"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
	"cai/revise"
)

// model finds a violation in replies with the word bad, rewrites by the
// function, and as a judge prefers the reply without the word.
type model struct {
	rewrite func(prompt string) string
	cut     bool
	judge   float64 // log-odds for the reply without the word
	fail    error
	unsure  string // answers to prompts with this text have next to no probability
}

func (m *model) Chat(_ context.Context, r llm.Request) (*llm.Reply, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	p := r.Messages[0].Content
	switch {
	case strings.Contains(p, "Write only the critique"):
		return &llm.Reply{Text: "It is bad."}, nil
	case strings.Contains(p, "Write only the new reply"):
		return &llm.Reply{Text: m.rewrite(p), Truncated: m.cut}, nil
	}
	var s float64 // log-odds of A
	if first, second, ok := strings.Cut(p, "\n(B) "); ok && strings.Contains(p, "Which reply") {
		s = m.judge * float64(btoi(strings.Contains(second, "bad"))-btoi(strings.Contains(first, "bad")))
	} else {
		s = 4
		if strings.Contains(p, "bad") == strings.Contains(p, "(A) Yes.") {
			s = -4
		}
	}
	top := []llm.Alternative{{Text: "A", Logprob: -math.Log1p(math.Exp(-s))}, {Text: "B", Logprob: -math.Log1p(math.Exp(s))}}
	if m.unsure != "" && strings.Contains(p, m.unsure) {
		for i := range top {
			top[i].Logprob -= 4
		}
	}
	return &llm.Reply{Tokens: []llm.Token{{Alternative: top[0], Top: top}}}, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func reviser(t testing.TB, m *model, o revise.Options) *revise.Reviser {
	t.Helper()
	id := llm.Identity{Backend: "ollama", Model: "m", Digest: "d"}
	j, err := judge.New(m, id, judge.Settings{Mode: judge.ModeToken})
	if err != nil {
		t.Fatal(err)
	}
	r := &revise.Reviser{Critic: critique.New(m, id, 0, 0, 0, nil), Judge: j, Options: o}
	for i := range 5 {
		r.Principles = append(r.Principles, constitution.Principle{
			ID: fmt.Sprint("p", i), Critique: fmt.Sprint("c", i), Revision: "r",
			Compare: "Which reply is better?", Check: "Is the reply good?", Weight: 1,
		})
	}
	return r
}

func run(t *testing.T, r *revise.Reviser, reply string) (*revise.Result, error) {
	t.Helper()
	return r.Revise(t.Context(), dataset.Prompt("q"), dataset.Response{Text: reply}, nil)
}

func TestARevisionThatTheJudgePrefersIsTakenAndTheWorkEnds(t *testing.T) {
	m := &model{judge: 3, rewrite: func(string) string { return "Revised reply: a fine reply" }}
	res, err := run(t, reviser(t, m, revise.Options{Rounds: 4, Threshold: 0.5}), "a bad reply")
	if err != nil {
		t.Fatal(err)
	}
	if res.Final != "a fine reply" || res.Initial != "a bad reply" || !res.Clean || len(res.Steps) != 1 {
		t.Fatalf("%+v", res)
	}
	if s := res.Steps[0]; !s.Accepted || s.Reason != revise.ReasonAccepted || s.P < 0.9 || s.Violation < 0.9 || s.Critique != "It is bad." || s.After.Author != "m" {
		t.Errorf("step %+v", s)
	}
}

func TestARevisionThatTheJudgeDoesNotPreferIsNotTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		m    *model
		want string
	}{
		"judge":     {&model{judge: -3, rewrite: func(string) string { return "a fine reply" }}, revise.ReasonRejected},
		"tie":       {&model{judge: 0, rewrite: func(string) string { return "a fine reply" }}, revise.ReasonRejected},
		"unchanged": {&model{judge: 3, rewrite: func(string) string { return " a bad reply\n" }}, revise.ReasonUnchanged},
		"cut off":   {&model{judge: 3, cut: true, rewrite: func(string) string { return "a fine re" }}, revise.ReasonTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := run(t, reviser(t, tt.m, revise.Options{Rounds: 2, Threshold: 0.5}), "a bad reply")
			if err != nil {
				t.Fatal(err)
			}
			if res.Final != "a bad reply" || res.Clean || len(res.Steps) != 2 {
				t.Fatalf("%+v", res)
			}
			for _, s := range res.Steps {
				if s.Accepted || s.Reason != tt.want {
					t.Errorf("step %+v, want %q", s, tt.want)
				}
			}
		})
	}
}

func TestAReplyThatViolatesNothingIsLeftAlone(t *testing.T) {
	res, err := run(t, reviser(t, &model{}, revise.Options{Rounds: 3, Threshold: 0.5}), "a fine reply")
	if err != nil || !res.Clean || len(res.Steps) != 0 || res.Final != "a fine reply" {
		t.Fatalf("%+v, %v", res, err)
	}
}

// A resumed job draws what the interrupted one did, each principle at most
// once; another seed draws otherwise; named principles come in their order.
func TestTheDraw(t *testing.T) {
	m := &model{judge: -1, rewrite: func(string) string { return "other bad reply" }}
	draw := func(o revise.Options) string {
		o.Rounds = 5
		res, err := run(t, reviser(t, m, o), "a bad reply")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		seen := map[string]bool{}
		for _, s := range res.Steps {
			ids = append(ids, s.PrincipleID)
			if seen[s.PrincipleID] {
				t.Errorf("%s was drawn twice", s.PrincipleID)
			}
			seen[s.PrincipleID] = true
		}
		return strings.Join(ids, " ")
	}
	if a, b := draw(revise.Options{Seed: 1}), draw(revise.Options{Seed: 1}); a != b {
		t.Errorf("one seed drew %q and %q", a, b)
	}
	other := false
	for seed := range uint64(10) {
		other = other || draw(revise.Options{Seed: seed}) != draw(revise.Options{Seed: 1})
	}
	if !other {
		t.Error("every seed draws the same")
	}
	if got := draw(revise.Options{InOrder: true}); got != "p0 p1 p2 p3 p4" {
		t.Errorf("in order: %q", got)
	}
}

func TestAnErrorKeepsTheStepsThatWereDone(t *testing.T) {
	m := &model{judge: 3, rewrite: func(string) string { return "a less bad reply" }}
	r := reviser(t, m, revise.Options{Rounds: 3})
	broken := errors.New("broken")
	res, err := r.Revise(t.Context(), dataset.Prompt("q"), dataset.Response{Text: "a bad reply"}, func(s revise.Step) error {
		m.fail = broken
		return nil
	})
	if !errors.Is(err, broken) || len(res.Steps) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
}

// What nobody can tell is neither mended nor called clean, and no revision is
// taken on no information.
func TestUndecidedIsNoVerdict(t *testing.T) {
	verdicts := 0
	m := &model{judge: 3, unsure: "Is the reply good?"}
	r := reviser(t, m, revise.Options{Rounds: 2, Threshold: 0.5})
	r.OnVerdict = func(v critique.Verdict) {
		if v.Undecided() {
			verdicts++
		}
	}
	res, err := run(t, r, "a bad reply")
	if err != nil || res.Clean || len(res.Steps) != 0 || res.Undecided != 5 || verdicts != 5 {
		t.Errorf("%+v, %v, %d verdicts", res, err, verdicts)
	}
	m = &model{judge: 3, unsure: "Which reply", rewrite: func(string) string { return "a fine reply" }}
	res, err = run(t, reviser(t, m, revise.Options{Rounds: 1, Threshold: 0.5}), "a bad reply")
	if err != nil || len(res.Steps) != 1 || res.Final != "a bad reply" {
		t.Fatalf("%+v, %v", res, err)
	}
	if s := res.Steps[0]; s.Accepted || s.Reason != revise.ReasonUndecided || !math.IsNaN(s.P) {
		t.Errorf("%+v", s)
	}
}
