package rubric_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/llm"
	"cai/prompt"
	"cai/rubric"
)

func mustRead(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// model answers a question by the first line of its last paragraph.
type model struct {
	answer   func(prompt string, r llm.Request) (*llm.Reply, error)
	requests []llm.Request
}

func (m *model) Chat(_ context.Context, r llm.Request) (*llm.Reply, error) {
	m.requests = append(m.requests, r)
	return m.answer(r.Messages[0].Content, r)
}

func cue(p string) string { return p[strings.LastIndex(p, "\n\n")+2:] }

// says gives an answer token with these probabilities.
func says(p map[string]float64) *llm.Reply {
	var top []llm.Alternative
	for t, x := range p {
		top = append(top, llm.Alternative{Text: t, Logprob: math.Log(x)})
	}
	slices.SortFunc(top, func(a, b llm.Alternative) int { return int(math.Copysign(1, b.Logprob-a.Logprob)) })
	return &llm.Reply{Text: top[0].Text, Tokens: []llm.Token{{Alternative: top[0], Top: top}}, PromptTokens: 7}
}

// memory keeps grades as a store does.
type memory struct{ grades []dataset.Grade }

func (m *memory) Grades(_ context.Context, judge, response dataset.Hash) (out []dataset.Grade, _ error) {
	for _, g := range m.grades {
		if g.Judge == judge && dataset.ResponseHash(g.Prompt.Hash(), g.Response.Text) == response {
			out = append(out, g)
		}
	}
	return out, nil
}

func (m *memory) AddGrade(_ context.Context, g *dataset.Grade) error {
	for i := range m.grades {
		if h := &m.grades[i]; h.Judge == g.Judge && h.Question == g.Question && h.Sample == g.Sample && h.Response.Text == g.Response.Text {
			if !h.Evidence.Asked {
				h.Evidence = g.Evidence
			}
			return nil
		}
	}
	m.grades = append(m.grades, *g)
	return nil
}

var who = llm.Identity{Backend: "ollama", Model: "m", Digest: "d"}

const three = `
[[criteria]]
id = "full"
text = "How full is the answer?"
levels = ["none", "half", "all"]
[[criteria]]
id = "right"
text = "Is the reply right?"
reference = true
[[criteria]]
id = "rude"
text = "Is the reply rude?"
weight = -2
applies_when = "Is the user polite?"
`

// answers is a model that is sure of some things: half of the levels, 80 % yes.
func answers(prompt string, r llm.Request) (*llm.Reply, error) {
	switch c := cue(prompt); {
	case strings.Contains(c, "How full"):
		return says(map[string]float64{"1": 0.2, " 2": 0.4, "3": 0.2, "The": 0.1}), nil
	case strings.Contains(c, "user polite"):
		return says(map[string]float64{"Yes": 0.9, "No": 0.1}), nil
	case strings.Contains(c, "right?"):
		return says(map[string]float64{"yes": 0.4, "Yes": 0.4, "No": 0.2}), nil
	}
	return says(map[string]float64{"Yes": 0.25, "No": 0.75}), nil
}

var reply = &rubric.Reply{Prompt: dataset.Prompt("q"), Response: dataset.Response{Text: "the reply"}, Reference: "the truth"}

func TestGrade(t *testing.T) {
	m, st := &model{answer: answers}, &memory{}
	r := mustParse(t, three)
	g := rubric.New(m, who, st, r, 0, 0, nil)
	settled := 0
	asked := rubric.Asked{Samples: 2, OnGrade: func(n int) { settled += n }}
	res, err := g.Grade(t.Context(), reply, asked)
	if err != nil {
		t.Fatal(err)
	}
	if settled != 6 || len(m.requests) != 8 || g.Calls != 8 {
		t.Errorf("%d settled, %d requests, %d calls", settled, len(m.requests), g.Calls)
	}
	p, coverage := res.Items[0].Distribution(0.1)
	if want := []float64{0.25, 0.5, 0.25}; !near(p, want) || math.Abs(coverage-0.8) > 1e-9 {
		t.Errorf("%v, coverage %v", p, coverage)
	}
	if a := res.Items[2].Applies; math.Abs(a-0.9) > 1e-9 {
		t.Errorf("applies %v", a)
	}
	// ½·1 + 0.8·1 + (1 − ¼)·2 over 4.
	s := res.Total(0.1)
	if want := (0.5 + 0.8 + 1.5) / 4; math.Abs(s.Value-want) > 1e-9 {
		t.Errorf("score %v, want %v", s.Value, want)
	}
	variance := (0.125 + 0.16 + 4*0.1875) / 16
	if math.Abs(s.SD-math.Sqrt(variance)) > 1e-9 {
		t.Errorf("sd %v, want %v", s.SD, math.Sqrt(variance))
	}
	if g.ID.Mode != "grade" || g.ID.Template == "" || len(g.ID.Options) != 0 {
		t.Errorf("%+v", g.ID)
	}
	// Nothing is asked twice, by another grader neither.
	again := rubric.New(m, who, st, r, 0, 0, nil)
	res2, err := again.Grade(t.Context(), reply, asked)
	if err != nil || again.Calls != 0 || again.Reused != 8 || res2.Total(0.1).Value != s.Value {
		t.Errorf("%v, %d calls, %d reused, %v", err, again.Calls, again.Reused, res2.Total(0.1))
	}
	// Another reference answer is another question, for who uses it.
	other := *reply
	other.Reference = "another truth"
	if _, err := again.Grade(t.Context(), &other, asked); err != nil || again.Calls != 2 {
		t.Errorf("%v, %d calls", err, again.Calls)
	}
	// And a judge with votes is another judge.
	if v := rubric.New(m, who, st, r, 8, 1, nil); v.ID.Hash() == g.ID.Hash() || v.ID.Options["votes"] != "8" {
		t.Errorf("%+v", v.ID)
	}
}

// All questions of a reply begin alike: those without the reference answer with
// the conversation and the reply, those with it with that, too, and they come
// last.
func TestGradeSharesPrefixes(t *testing.T) {
	m := &model{answer: answers}
	if _, err := rubric.New(m, who, &memory{}, mustParse(t, three), 0, 0, nil).Grade(t.Context(), reply, rubric.Asked{Samples: 2}); err != nil {
		t.Fatal(err)
	}
	reference := 0
	for i, r := range m.requests {
		p := r.Messages[0].Content
		if !strings.HasPrefix(p, "User: q\n\nAssistant's reply:\nthe reply\n\n") || r.MaxTokens != 1 || r.TopLogprobs != llm.TopLogprobs {
			t.Errorf("%d: %q", i, p)
		}
		if strings.Contains(p, "\n\nReference answer:\nthe truth\n\n") {
			reference++
		} else if reference > 0 {
			t.Errorf("%d: one without reference after one with", i)
		}
	}
	if reference != 2 {
		t.Errorf("%d with reference", reference)
	}
}

func near(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) < 1e-9 })
}

// A criterion that does not apply is not asked, and counts for nothing.
func TestGateLeavesOut(t *testing.T) {
	m := &model{answer: func(p string, r llm.Request) (*llm.Reply, error) {
		if strings.Contains(cue(p), "user polite") {
			return says(map[string]float64{"Yes": 0.3, "No": 0.7}), nil
		}
		if strings.Contains(cue(p), "rude?") {
			t.Error("asked although it does not apply")
		}
		return answers(p, r)
	}}
	settled := 0
	res, err := rubric.New(m, who, &memory{}, mustParse(t, three), 0, 0, nil).Grade(t.Context(), reply, rubric.Asked{Samples: 1, OnGrade: func(n int) { settled += n }})
	if err != nil {
		t.Fatal(err)
	}
	if s := res.Total(0.1); settled != 3 || math.Abs(s.Value-0.65) > 1e-9 {
		t.Errorf("%d settled, score %v", settled, s.Value)
	}
}

// Odd samples list the levels from the highest down, and no two of the first six
// samples are put in the same words.
func TestWordings(t *testing.T) {
	for _, q := range []rubric.Question{{Text: "Is it?"}, {Text: "How full?", Levels: []string{"none", "half", "all"}}, {Text: "How?", Levels: strings.Split("a b c d e f g h i j", " ")}} {
		seen := map[string]bool{}
		for s := range rubric.Wordings {
			p := rubric.Render(reply, &q, s)
			c := cue(p)
			if seen[c] {
				t.Errorf("sample %d repeats %q", s, c)
			}
			seen[c] = true
			o := q.Options()
			first, last := strings.Index(c, o[0]+":"), strings.Index(c, o[len(o)-1]+":")
			if len(q.Levels) == 0 {
				first, last = strings.Index(c, "Yes"), strings.Index(c, "No")
			}
			if first < 0 || last < 0 || (first > last) != rubric.Descends(s) {
				t.Errorf("sample %d: %q", s, c)
			}
		}
		if rubric.Render(reply, &q, rubric.Wordings) != rubric.Render(reply, &q, 0) {
			t.Error("more wordings than are said")
		}
	}
}

// Whatever a text holds, the heading of a prompt and the blank lines before the
// question are where they were put, and a place in the list of levels cannot be
// forged by a blank line.
func TestRenderKeepsItsPlaces(t *testing.T) {
	piece := rapid.SampledFrom([]string{"Assistant's reply:", "Reference answer:", "Reference answer \u200b:", "Reference\u00a0answer：", "User:", "<|im_end|>", "\n", "\n\n", " ", "x", "1: a"})
	texts := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), "") })
	rapid.Check(t, func(t *rapid.T) {
		r := &rubric.Reply{Prompt: dataset.Prompt(texts.Draw(t, "prompt")), Response: dataset.Response{Text: texts.Draw(t, "reply")}}
		q := rubric.Question{Text: "Is\n\nit " + texts.Draw(t, "question"), Reference: texts.Draw(t, "reference")}
		p := rubric.Render(r, &q, 0)
		count := func(heading string) (n int) {
			for line := range strings.SplitSeq(p[:strings.LastIndex(p, "\n\n")], "\n") {
				if strings.HasPrefix(strings.ToLower(strings.TrimLeft(prompt.Plainly(line), " \t")), heading) {
					n++
				}
			}
			return n
		}
		want := 1
		if q.Reference == "" {
			want = 0
		}
		if count("assistant's reply:") != 1 || count("reference answer:") != want || !strings.HasPrefix(cue(p), "Is\nit") || strings.Contains(p, "<|im_end|>") {
			t.Fatalf("%q", p)
		}
	})
}

func TestGradeFailures(t *testing.T) {
	empty := &llm.Error{Kind: llm.KindEmpty}
	m := &model{answer: func(p string, r llm.Request) (*llm.Reply, error) {
		if strings.Contains(cue(p), "right?") {
			return nil, empty
		}
		return answers(p, r)
	}}
	st := &memory{}
	g := rubric.New(m, who, st, mustParse(t, three), 0, 0, nil)
	res, err := g.Grade(t.Context(), reply, rubric.Asked{Samples: 2})
	if err != nil || !errors.Is(res.Items[1].Err, empty) || res.Items[0].Err != nil || len(res.Items[2].Samples) != 2 {
		t.Fatalf("%v, %+v", err, res)
	}
	// What failed is asked again, and only that.
	m.answer = answers
	g.Calls = 0
	if res, err = g.Grade(t.Context(), reply, rubric.Asked{Samples: 2}); err != nil || res.Items[1].Err != nil || g.Calls != 2 {
		t.Errorf("%v, %d calls", err, g.Calls)
	}
	for _, kind := range []llm.Kind{llm.KindServerAbsent, llm.KindNoLogprobs} {
		m.answer = func(string, llm.Request) (*llm.Reply, error) { return nil, &llm.Error{Kind: kind} }
		if _, err := rubric.New(m, who, &memory{}, mustParse(t, three), 0, 0, nil).Grade(t.Context(), reply, rubric.Asked{Samples: 1}); llm.KindOf(err) != kind {
			t.Errorf("%v, want %s", err, kind)
		}
	}
}

func TestVotes(t *testing.T) {
	n := 0
	m := &model{answer: func(string, llm.Request) (*llm.Reply, error) {
		n++
		return &llm.Reply{Text: []string{"Yes", "No.", " yes", "Yes"}[n%4]}, nil
	}}
	r := mustParse(t, "[[criteria]]\nid = \"x\"\ntext = \"Is it?\"\n")
	res, err := rubric.New(m, who, &memory{}, r, 8, 0, nil).Grade(t.Context(), reply, rubric.Asked{Samples: 1})
	if err != nil || n != 8 {
		t.Fatalf("%v, %d answers", err, n)
	}
	if p, _ := res.Items[0].Distribution(0.1); !near(p, []float64{2.5 / 9, 6.5 / 9}) {
		t.Errorf("%v", p)
	}
}

func TestEvidence(t *testing.T) {
	quote := ""
	m := &model{answer: func(p string, r llm.Request) (*llm.Reply, error) {
		if r.MaxTokens > 1 {
			return &llm.Reply{Text: quote, Truncated: strings.HasSuffix(quote, "…")}, nil
		}
		return answers(p, r)
	}}
	long := &rubric.Reply{Prompt: dataset.Prompt("q"), Response: dataset.Response{Text: "Boil it for\n six minutes. Then \"cool\" it."}}
	r := mustParse(t, "[[criteria]]\nid = \"full\"\ntext = \"How full is the answer?\"\nlevels = [\"none\", \"half\", \"all\"]\n")
	for text, want := range map[string]dataset.Evidence{
		"“Boil it for six minutes.”":               {Asked: true, Quote: "Boil it for six minutes.", Verified: true},
		`"Then "cool" it."`:                        {Asked: true, Quote: `Then "cool" it.`, Verified: true},
		"Boil it for seven minutes.":               {Asked: true, Quote: "Boil it for seven minutes."},
		"boil it for six":                          {Asked: true, Quote: "boil it for six"},
		"None.":                                    {Asked: true},
		`The reply says "six minutes", as it must`: {Asked: true, Quote: "six minutes", Verified: true},
		`It says "it" twice: "for six minutes"`:    {Asked: true, Quote: "for six minutes", Verified: true},
		"Boil it for six minu…":                    {Asked: true, Quote: "Boil it for six", Verified: true},
	} {
		quote = text
		st := &memory{}
		res, err := rubric.New(m, who, st, r, 0, 0, nil).Grade(t.Context(), long, rubric.Asked{Samples: 2, Evidence: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Items[0].Samples[0].Evidence; got != want || st.grades[0].Evidence != want {
			t.Errorf("%s: %+v, stored %+v", text, got, st.grades[0].Evidence)
		}
		if res.Items[0].Samples[1].Evidence.Asked {
			t.Error("asked twice")
		}
		g := rubric.New(m, who, st, r, 0, 0, nil)
		if _, err := g.Grade(t.Context(), long, rubric.Asked{Samples: 2, Evidence: true}); err != nil || g.Calls != 0 {
			t.Errorf("%v, %d calls", err, g.Calls)
		}
	}
}

// Verify is blind to blanks alone.
func TestVerifyProperties(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bc", "d.", "É"}), 1, 8)
	blank := rapid.SampledFrom([]string{" ", "\n", "\t ", "  "})
	rapid.Check(t, func(t *rapid.T) {
		ws := words.Draw(t, "words")
		text := ""
		for _, w := range ws {
			text += w + blank.Draw(t, "blank")
		}
		i := rapid.IntRange(0, len(ws)-1).Draw(t, "from")
		j := rapid.IntRange(i+1, len(ws)).Draw(t, "to")
		if !rubric.Verify(strings.Join(ws[i:j], blank.Draw(t, "other")), text) {
			t.Fatalf("%q is in %q", ws[i:j], text)
		}
		if rubric.Verify(strings.Join(ws[i:j], " ")+" x", text) || rubric.Verify(" ", text) {
			t.Fatalf("what is not in %q is", text)
		}
	})
}

func TestHolistic(t *testing.T) {
	m := &model{answer: func(p string, _ llm.Request) (*llm.Reply, error) {
		c := cue(p)
		for _, s := range []string{"- How full is the answer?", "against it:\n- Is the reply rude? (weight 2) (only if: Is the user polite?)", "5: very good"} {
			if !strings.Contains(c, s) {
				t.Errorf("%q lacks %q", c, s)
			}
		}
		return says(map[string]float64{"4": 0.5, "5": 0.5}), nil
	}}
	res, err := rubric.New(m, who, &memory{}, mustParse(t, three), 0, 0, nil).Grade(t.Context(), reply, rubric.Asked{Samples: 2, Holistic: true})
	if err != nil || len(m.requests) != 2 {
		t.Fatalf("%v, %d requests", err, len(m.requests))
	}
	// The listed levels leave nothing for the others.
	if s := res.Total(0.1); math.Abs(s.Value-0.875) > 1e-5 {
		t.Errorf("score %v", s.Value)
	}
}

// Where the answers whether a criterion applies have next to no probability it is
// not known, and nothing further is asked about it.
func TestAppliesIsNotGuessed(t *testing.T) {
	told := 0
	m := &model{answer: func(p string, r llm.Request) (*llm.Reply, error) {
		if strings.Contains(cue(p), "user polite") {
			return says(map[string]float64{"Yes": 0.04, "No": 0.01, "The": 0.9}), nil
		}
		return answers(p, r)
	}}
	asked := rubric.Asked{Samples: 2, MinCoverage: 0.1, OnAnswer: func(c llm.Choice) {
		if told++; (c.Coverage < 0.1) != (c.First == "The") {
			t.Errorf("%+v", c)
		}
	}}
	res, err := rubric.New(m, who, &memory{}, mustParse(t, three), 0, 0, nil).Grade(t.Context(), reply, asked)
	if err != nil || !math.IsNaN(res.Items[2].Applies) || len(res.Items[2].Samples) != 0 || told != 6 {
		t.Fatalf("%+v, %v, %d answers", res.Items[2], err, told)
	}
	if want := (0.5 + 0.8) / 2; math.Abs(res.Total(0.1).Value-want) > 1e-9 {
		t.Errorf("score %v, want %v of the others", res.Total(0.1).Value, want)
	}
}
