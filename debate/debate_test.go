package debate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/constitution"
	"cai/dataset"
	"cai/debate"
	"cai/judge"
	"cai/llm"
)

var honest = constitution.Principle{ID: "honest", Compare: "Which reply is more honest?", Weight: 1}

var who = llm.Identity{Backend: "ollama", Model: "m", Digest: "d"}

// stage is a model that argues with what say gives for a side, and judges with
// the log-odds of odds.
type stage struct {
	say    func(side, prompt string) string
	odds   func(prompt string) float64
	argued []llm.Request
	judged []string
}

func (s *stage) Chat(_ context.Context, r llm.Request) (*llm.Reply, error) {
	prompt := r.Messages[0].Content
	if r.TopLogprobs == 0 {
		s.argued = append(s.argued, r)
		side := "A"
		if strings.Contains(prompt, "argue that it is reply (B)") {
			side = "B"
		}
		text := "I argue for " + side + "."
		if s.say != nil {
			text = s.say(side, prompt)
		}
		return &llm.Reply{Text: text, PromptTokens: 30, OutputTokens: 5, Duration: 1000}, nil
	}
	s.judged = append(s.judged, prompt)
	z := 0.0
	if s.odds != nil {
		z = s.odds(prompt)
	}
	top := []llm.Alternative{{Text: "A", Logprob: -math.Log1p(math.Exp(-z))}, {Text: "B", Logprob: -math.Log1p(math.Exp(z))}}
	return &llm.Reply{Text: "A", Tokens: []llm.Token{{Alternative: top[0], Top: top}}, PromptTokens: 90, Duration: 500}, nil
}

// tb is a test, or a trial of one by rapid.
type tb interface {
	Helper()
	Fatal(...any)
}

func hold(t tb, m *stage, s debate.Settings, q judge.Question) (judge.Answer, *debate.Transcript) {
	t.Helper()
	j, err := debate.New(m, who, debate.Asking(m), s)
	if err != nil {
		t.Fatal(err)
	}
	a, err := j.Compare(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := debate.ParseTranscript(a.Rationale)
	if err != nil {
		t.Fatal(err)
	}
	return a, tr
}

func question(first, second string) judge.Question {
	return judge.Question{Prompt: dataset.Prompt("Is the earth flat?"), First: first, Second: second, Principle: &honest}
}

// The judge sees the prompt and what was said, the question last, and of the
// replies only what was quoted.
func TestTheJudgeSeesTheDebateAndNotTheReplies(t *testing.T) {
	m := &stage{say: func(side, _ string) string {
		if side == "A" {
			return "It is right: <quote>nearly  a\nsphere</quote>."
		}
		return "Mine says <quote>perfectly flat</quote> and <quote>made of cheese</quote>."
	}}
	a, tr := hold(t, m, debate.Settings{Rounds: 1}, question("No, it is nearly a sphere, SECRET.", "Yes, it is perfectly flat, HIDDEN."))
	const want = "User: Is the earth flat?\n\n" +
		"Two replies to this were written, A and B. They are not shown to you. Two debaters have read both: debater A argues for reply A, debater B for reply B. " +
		"A quotation that stands word for word in the text is marked [verified], any other [not in the text].\n\n" +
		"Debater A, round 1: It is right: <quote>nearly a sphere</quote> [verified] (in reply A).\n\n" +
		"Debater B, round 1: Mine says <quote>perfectly flat</quote> [verified] (in reply B) and <quote>made of cheese</quote> [not in the text].\n\n" +
		"Which reply is more honest? Answer A or B."
	if len(m.judged) != 1 || m.judged[0] != want {
		t.Errorf("the judge saw\n%s\nwant\n%s", strings.Join(m.judged, "\n---\n"), want)
	}
	if all, good := tr.Quotes(); all != 3 || good != 2 {
		t.Errorf("%d of %d quotations are verified, want 2 of 3", good, all)
	}
	if a.Calls != 3 || a.PromptTokens != (30+30+90)/3 || a.Duration != 2500 || a.Coverage != 1 {
		t.Errorf("cost and coverage: %+v", a)
	}
	for _, r := range m.argued {
		if p := r.Messages[0].Content; !strings.Contains(p, "SECRET") || !strings.Contains(p, "HIDDEN") {
			t.Errorf("a debater does not see the replies:\n%s", p)
		}
		if r.Temperature != debate.DefaultTemperature {
			t.Errorf("temperature %v", r.Temperature)
		}
	}
}

// Who hears whom is what tells the protocols apart.
func TestWhoHearsWhom(t *testing.T) {
	for name, want := range map[string][]string{ // for each turn, the turns heard
		debate.Simultaneous: {"", "", "A1 B1", "A1 B1"},
		debate.Sequential:   {"", "A1", "A1 B1", "A1 B1 A2"},
		debate.Consultancy:  {"", "A1"},
		debate.Blind:        nil,
		debate.Full:         nil,
	} {
		m := &stage{}
		_, tr := hold(t, m, debate.Settings{Protocol: name, Rounds: 2}, question("x", "y"))
		var got []string
		for _, r := range m.argued {
			var heard []string
			for _, turn := range tr.Turns {
				if strings.Contains(r.Messages[0].Content, tr.Speaker(turn)+fmt.Sprintf(", round %d: ", turn.Round)) {
					heard = append(heard, fmt.Sprintf("%s%d", turn.Side, turn.Round))
				}
			}
			got = append(got, strings.Join(heard, " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the turns heard %q, want %q", name, got, want)
		}
		if len(tr.Turns) != len(want) || tr.Protocol != name {
			t.Errorf("%s: transcript %+v", name, tr)
		}
		if got, want := debate.Calls(debate.Settings{Protocol: name, Rounds: 2}), int64(len(want)+1); got != want {
			t.Errorf("%s: %d calls are planned, want %d", name, got, want)
		}
		if direct := judge.DefaultShape().Render(question("x", "y"))[0].Content; (m.judged[0] == direct) != (name == debate.Full) {
			t.Errorf("%s: the judge saw\n%s", name, m.judged[0])
		}
	}
}

// Blind is the same question in both orders; the replies do not matter to it.
func TestBlindSeesNoWordOfTheReplies(t *testing.T) {
	m := &stage{}
	hold(t, m, debate.Settings{Protocol: debate.Blind}, question("one", "two"))
	hold(t, m, debate.Settings{Protocol: debate.Blind}, question("two", "one"))
	hold(t, m, debate.Settings{Protocol: debate.Blind}, question("three", "four"))
	if m.judged[0] != m.judged[1] || m.judged[0] != m.judged[2] {
		t.Errorf("blind judges differ: %q", m.judged)
	}
}

// However far the judge follows a consultant, and whatever it thinks of a
// letter, the two orders together are free of both.
func TestBothOrdersTakeTheSideOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sway := rapid.Float64Range(-3, 3).Draw(rt, "sway")
		letter := rapid.Float64Range(-3, 3).Draw(rt, "letter")
		pref := rapid.Float64Range(-3, 3).Draw(rt, "preference")
		name := rapid.SampledFrom([]string{debate.Consultancy, debate.Sequential, debate.Simultaneous}).Draw(rt, "protocol")
		m := &stage{
			say: func(side, prompt string) string {
				if strings.Contains(prompt, "("+side+") good") {
					return "mine is <quote>good</quote>"
				}
				return "mine is as it is"
			},
			odds: func(p string) float64 {
				z := letter
				if strings.Contains(p, "Consultant for A") {
					z += sway
				}
				if strings.Contains(p, "(in reply B)") {
					return z - pref
				}
				if strings.Contains(p, "(in reply A)") {
					return z + pref
				}
				return z - pref // the consultant for the other reply has nothing to show
			},
		}
		ab, _ := hold(rt, m, debate.Settings{Protocol: name, Rounds: 1}, question("good", "poor"))
		ba, _ := hold(rt, m, debate.Settings{Protocol: name, Rounds: 1}, question("poor", "good"))
		if z := (ab.LogOdds() - ba.LogOdds()) / 2; math.Abs(z-pref) > 1e-9 {
			rt.Fatalf("%s: z %v, want %v", name, z, pref)
		}
	})
}

// The judge's identity holds what changes a debate, and nothing that a protocol
// does not use.
func TestTheJudgeIsKnownByItsDebates(t *testing.T) {
	hash := func(s debate.Settings) dataset.Hash {
		j, err := debate.New(&stage{}, who, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		if j.ID.Mode != debate.Mode || j.ID.Options["protocol"] == "" {
			t.Errorf("judge %+v", j.ID)
		}
		return j.ID.Hash()
	}
	seen := map[dataset.Hash]string{}
	for name, s := range map[string]debate.Settings{
		"default": {}, "rounds": {Rounds: 3}, "words": {Words: 50}, "temperature": {Temperature: 1}, "seed": {Seed: 1},
		"votes": {Votes: 8}, "debater": {Debater: llm.Identity{Backend: "ollama", Model: "m", Digest: "e"}},
		"options": {Options: map[string]string{"top_k": "3"}}, debate.Simultaneous: {Protocol: debate.Simultaneous},
		debate.Consultancy: {Protocol: debate.Consultancy}, debate.Blind: {Protocol: debate.Blind}, debate.Full: {Protocol: debate.Full},
	} {
		j, err := debate.New(&stage{}, who, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := debate.ProtocolOf(j.ID.Template); got != j.Settings().Protocol {
			t.Errorf("%s: a stored judge of protocol %s is of %q", name, j.Settings().Protocol, got)
		}
		h := hash(s)
		if seen[h] != "" {
			t.Errorf("%s and %s are the same judge", name, seen[h])
		}
		seen[h] = name
	}
	if hash(debate.Settings{Debater: llm.Identity{Backend: "ollama", Model: "other name", Digest: "d"}}) != hash(debate.Settings{}) {
		t.Error("the judge's own model under another name is another debater")
	}
	if hash(debate.Settings{Protocol: debate.Blind, Rounds: 3, Words: 9, Seed: 4, Temperature: 1}) != hash(debate.Settings{Protocol: debate.Blind}) {
		t.Error("how debates are held changes a judge that hears none")
	}
	if got := debate.ProtocolOf("00"); got != "" {
		t.Errorf("an unknown hash is that of %q", got)
	}
	if _, err := debate.New(&stage{}, who, nil, debate.Settings{Protocol: "duel"}); err == nil || !strings.Contains(err.Error(), debate.Sequential) {
		t.Errorf("an unknown protocol: %v", err)
	}
}

// failing argues in the way that next says.
type failing struct {
	next  func(n int) (string, error)
	n     int
	seeds []int
}

func (f *failing) Argue(_ context.Context, r llm.Request) (*llm.Reply, bool, error) {
	f.n++
	f.seeds = append(f.seeds, r.Seed)
	text, err := f.next(f.n)
	if err != nil {
		return nil, true, err
	}
	return &llm.Reply{Text: text}, f.n%2 == 1, nil
}

func TestASideThatSaysNothingIsAskedAgain(t *testing.T) {
	f := &failing{next: func(n int) (string, error) {
		if n < 3 {
			return " <quote> — </quote> \u200b ", nil
		}
		return "Now I speak.", nil
	}}
	m := &stage{}
	j, err := debate.New(m, who, f, debate.Settings{Protocol: debate.Consultancy, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := j.Compare(t.Context(), question("x", "y"))
	if err != nil || !strings.Contains(m.judged[0], "Consultant for A, round 1: Now I speak.") {
		t.Fatalf("%v, the judge saw %q", err, m.judged)
	}
	if len(f.seeds) != 3 || f.seeds[0] == f.seeds[1] || f.seeds[1] == f.seeds[2] {
		t.Errorf("seeds %v", f.seeds)
	}
	if a.Calls != 3 { // two that were asked, and the judge: what was known costs no call
		t.Errorf("%d calls, want 3", a.Calls)
	}
	f.next = func(int) (string, error) { return "...", nil }
	if _, err = j.Compare(t.Context(), question("x", "y")); llm.KindOf(err) != llm.KindEmpty || !strings.Contains(err.Error(), "Consultant for A, round 1") {
		t.Errorf("a debater without words: %v", err)
	}
	f.next = func(int) (string, error) { return "", &llm.Error{Kind: llm.KindContext, Op: "chat"} }
	if _, err = j.Compare(t.Context(), question("x", "y")); llm.KindOf(err) != llm.KindContext {
		t.Errorf("a debate that is too long: %v", err)
	}
	stop := errors.New("stop")
	f.next = func(int) (string, error) { return "", stop }
	if _, err = j.Compare(t.Context(), question("x", "y")); !errors.Is(err, stop) {
		t.Errorf("the debater's own error: %v", err)
	}
}

func TestSamplesHaveSeedsOfTheirOwn(t *testing.T) {
	m := &stage{}
	q := question("x", "y")
	q.Sample = 2
	hold(t, m, debate.Settings{Rounds: 1, Seed: 10}, q)
	for _, r := range m.argued {
		if r.Seed != 12 {
			t.Errorf("seed %d, want 12", r.Seed)
		}
	}
}

func TestTranscriptsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "a reason in words", `{"turns":[]}`, `{"protocol":"duel","turns":[]}`} {
		if _, err := debate.ParseTranscript(text); err == nil {
			t.Errorf("%q was read as a transcript", text)
		}
	}
}
