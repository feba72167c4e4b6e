package constitution_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/constitution"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sound is a principle that no rule has anything to say of.
func sound() constitution.Principle {
	return constitution.Principle{
		ID: "truth", Title: "Truthful", Critique: "Quote each false statement. If there is none, write: None.",
		Revision: "Rewrite the reply so that every statement is true.", Compare: "Which reply is more truthful?",
		Check: "Is everything in the reply true?", Tags: []string{"honesty"}, Weight: 1, Line: 1,
	}
}

// others make a constitution of one principle large enough that the rules on
// the whole are silent.
func others() []constitution.Principle {
	return []constitution.Principle{
		{
			ID: "sources", Title: "Sources", Critique: "Which quotations look invented? If all are real, write: All real.",
			Revision: "Take out invented quotations.", Compare: "Which reply has sounder sources?", Check: "Are the sources sound?",
			Tags: []string{"honesty"}, Weight: 1, Line: 100,
		},
		{
			ID: "spelling", Title: "Spelling", Critique: "List the misspelt words. If there are none, write: Spelt well.",
			Revision: "Correct the spelling.", Compare: "Which reply has the more careful spelling?", Check: "Is the spelling careful?",
			Tags: []string{"honesty"}, Weight: 1, Line: 200,
		},
	}
}

func lint(p constitution.Principle, more ...constitution.Principle) []string {
	c := &constitution.Constitution{Principles: append([]constitution.Principle{p}, append(more, others()...)...)}
	var out []string
	for _, f := range c.Lint() {
		out = append(out, f.Severity+" "+f.Rule)
	}
	return out
}

// Each rule fires on what it is for, and stays silent on what comes near.
func TestLintRules(t *testing.T) {
	compare := func(q string) func(*constitution.Principle) {
		return func(p *constitution.Principle) { p.Compare = q }
	}
	critique := func(s string) func(*constitution.Principle) {
		return func(p *constitution.Principle) { p.Critique = s }
	}
	revision := func(s string) func(*constitution.Principle) {
		return func(p *constitution.Principle) { p.Revision = s }
	}
	check := func(s string) func(*constitution.Principle) {
		return func(p *constitution.Principle) { p.Check = s }
	}
	long := strings.Repeat("Quote each false statement about rivers. ", 20) + "If there is none, write: None."
	for _, tc := range []struct {
		name   string
		change func(*constitution.Principle)
		want   []string
	}{
		{"sound", func(*constitution.Principle) {}, nil},

		{"16 words", compare("Which reply is more truthful about the many rivers that flow through the old town today?"), nil},
		{"17 words", compare("Which reply is more truthful about the many rivers that flow through the very old town today?"), []string{"warning long-question"}},
		{"40 tokens", compare("Which reply is more " + strings.Repeat("extraordinarily ", 12) + "truthful?"), []string{"warning long-question"}},

		{"not", compare("Which reply is not more truthful?"), []string{"warning negated-question"}},
		{"n't", compare("Which reply doesn't stray further from truth?"), []string{"warning negated-question"}},
		{"less", compare("Which reply is less harmful?"), []string{"warning no-comparative", "warning negated-question"}},
		{"avoid", compare("Which reply is better at avoiding harm?"), []string{"warning negated-question"}},
		{"bad form", compare("Which reply is more misleading?"), []string{"warning negated-question"}},
		{"near: harmless", compare("Which reply is more harmless?"), nil},
		{"near: useful, nothing in it", compare("Which reply is more understandable, notable?"), nil},
		{"near: free of", compare("Which reply is more clearly free of harm?"), nil},

		{"yes-no", compare("Is reply one more truthful?"), []string{"error question-form"}},
		{"two questions", compare("Which reply is truer? Which reply is kinder?"), []string{"error question-form"}},
		{"A or B", compare("Which reply is more truthful, A or B?"), []string{"error question-form", "warning double-question"}},
		{"(A)", compare("Which reply is more truthful, (A)?"), []string{"error question-form"}},
		{"reply B", compare("Which reply is more truthful beside reply B?"), []string{"error question-form"}},
		{"near: a reply", compare("Which reply is a more truthful one?"), nil},
		{"near: vitamin A", compare("Which reply is more truthful about vitamin A?"), nil},

		{"no question", compare("Choose the reply that is more truthful."), []string{"warning question-start"}},
		{"no mark", compare("Which reply is more truthful"), []string{"warning question-start"}},
		{"What", compare("What reply is more truthful?"), []string{"warning question-start"}},
		{"near: response", compare("Which response is more truthful?"), nil},
		{"near: of the two", compare("Which of the two replies is more truthful?"), nil},

		{"no comparative", compare("Which reply tells the truth?"), []string{"warning no-comparative"}},
		{"near: proper", compare("Which reply is proper English?"), []string{"warning no-comparative"}},
		{"near: -er", compare("Which reply is crisper in its claims?"), nil},
		{"near: -ier", compare("Which reply is friendlier?"), nil},
		{"near: most", compare("Which reply is most truthful?"), nil},
		{"near: adverb", compare("Which reply keeps secrets safer?"), nil},

		{"and", compare("Which reply is more truthful and polite?"), []string{"warning double-question"}},
		{"slash", compare("Which reply is more truthful/polite?"), []string{"warning double-question"}},
		{"near: set phrase", compare("Which reply weighs pros and cons better?"), nil},
		{"near: brand", compare("Which reply is more truthful about brands?"), nil},
		{"near: overall", func(p *constitution.Principle) {
			p.Compare, p.Tags = "Which reply is more honest and harmless?", []string{"overall", "honesty"}
		}, nil},

		{"vague", compare("Which reply is better?"), []string{"warning vague-question"}},
		{"nicer", compare("Which response is the nicer one?"), []string{"warning vague-question"}},
		{"appropriate", compare("Which reply is more appropriate for the user?"), []string{"warning vague-question"}},
		{"near: for children", compare("Which reply is more appropriate for children?"), nil},
		{"near: to the point", compare("Which reply is more to the point?"), nil},

		{"asks nothing", critique("False statements are bad. If there are none, it may write so."), []string{"warning asks-nothing"}},
		{"near: a question", critique("False statements in it? If none, say so."), nil},
		{"near: after please", critique("Please carefully quote what is false. If nothing is, write: None."), nil},
		{"near: after a comma", critique("If something is false, quote it; if not, write: None."), nil},
		{"revision asks nothing", revision("The reply has to be true."), []string{"warning asks-nothing"}},
		{"vague critique", critique("Say where the reply is not good. If it is good, write: Good."), []string{"warning vague-text"}},
		{"vague revision", revision("Rewrite the reply so that it is better."), []string{"warning vague-text"}},
		{"long text", critique(long), []string{"warning long-text"}},
		{"invites faults", critique("Quote each false statement."), []string{"info invites-faults"}},

		{"same texts", func(p *constitution.Principle) {
			p.Critique = "Rewrite the false parts. If there are none, write: None."
			p.Revision = p.Critique + " "
		}, []string{"error same-texts"}},

		{"no check", check(""), []string{"info no-check"}},
		{"check is a request", check("Say whether it is true."), []string{"warning check-form"}},
		{"check is two", check("Is it true? Is it kind?"), []string{"warning check-form"}},
		{"yes is bad", check("Does the reply contain harmful statements?"), []string{"warning check-form"}},
		{"near: free of", check("Is the reply free of false statements?"), nil},

		{"no tags", func(p *constitution.Principle) { p.Tags = nil }, []string{"info no-tags"}},
		{"lone theme", func(p *constitution.Principle) { p.Tags = []string{"honesty", "rivers"} }, []string{"info lone-theme"}},
		{"near: overall", func(p *constitution.Principle) { p.Tags = []string{"honesty", "overall"} }, nil},

		{"heavy", func(p *constitution.Principle) { p.Weight = 10.1 }, []string{"warning weights-apart"}},
		{"near: ten times", func(p *constitution.Principle) { p.Weight = 10 }, nil},

		{"other language", func(p *constitution.Principle) {
			p.Compare, p.Critique, p.Revision, p.Check = "Welche Antwort sagt eher, was wahr und nicht falsch ist?", "Nenne Fehler.", "Schreibe neu.", "Stimmt alles?"
		}, []string{"info other-language"}},
		{"other script", func(p *constitution.Principle) { p.Compare = "どちらの答えがより正直ですか?" }, []string{"info other-language"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := sound()
			tc.change(&p)
			if d := cmp.Diff(tc.want, lint(p)); d != "" {
				t.Errorf("%q: %s", p.Compare, d)
			}
		})
	}
}

func TestLintOnTheWhole(t *testing.T) {
	p := sound()
	q := p
	q.ID, q.Line = "other", 5
	q.Critique = "Which sentences about history are wrong? If none, write: None."
	q.Revision = "Correct dates."
	q.Compare = "Which of these responses is the more truthful?"
	if d := cmp.Diff([]string{"warning same-question"}, lint(p, q)); d != "" {
		t.Error(d)
	}
	q.Compare = "Which reply is more truthful about history?"
	if got := lint(p, q); got != nil {
		t.Errorf("near: %v", got)
	}
	q.Critique, q.Revision = "Please quote every false statement. If there is none, write: None.", p.Revision
	if d := cmp.Diff([]string{"warning near-duplicate"}, lint(p, q)); d != "" {
		t.Error(d)
	}
	q = p
	q.ID, q.Line, q.Critique, q.Revision = "brief", 5, "Which words could go? If none, write: None.", "Cut padding."
	q.Compare = "Which reply is shorter?"
	long := q
	long.ID, long.Line, long.Critique, long.Revision = "detail", 9, "What is left out? If nothing is, write: All there.", "Add what is missing."
	if got := lint(p, q); got != nil {
		t.Errorf("near: %v", got)
	}
	long.Compare = "Which reply is more detailed?"
	if d := cmp.Diff([]string{"info pull-apart"}, lint(p, q, long)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"info small"}, func() (out []string) {
		for _, f := range (&constitution.Constitution{Principles: []constitution.Principle{p, others()[0]}}).Lint() {
			out = append(out, f.Severity+" "+f.Rule)
		}
		return out
	}()); d != "" {
		t.Error(d)
	}
	if got := (&constitution.Constitution{}).Lint(); len(got) > 0 {
		t.Errorf("an empty one: %v", got)
	}
}

// What lint says of the built-in constitution and of a bad one stands in
// golden files; the built-in one has neither errors nor warnings.
func TestLintGolden(t *testing.T) {
	for _, tc := range []struct{ file, golden string }{
		{"../principles.toml", "builtin.lint"},
		{"testdata/bad.toml", "bad.lint"},
	} {
		c, err := constitution.Load(tc.file)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, f := range c.Lint() {
			fmt.Fprintf(&b, "%d: %s: %s: %s (%s)\n    %s\n", f.Line, f.Severity, f.Principle, f.Message, f.Rule, f.Hint)
			if tc.golden == "builtin.lint" && f.Severity != constitution.SeverityInfo {
				t.Errorf("%+v", f)
			}
		}
		golden := filepath.Join("testdata", tc.golden)
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), b.String()); d != "" {
			t.Errorf("go test ./constitution -run TestLintGolden -update accepts this:\n%s", d)
		}
	}
}

// The built-in constitution keeps what its header says.
func TestBuiltin(t *testing.T) {
	c, err := constitution.Load("../principles.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Name == "" || c.Description == "" || len(c.Principles) < 18 || c.Principles[0].ID != "overall" {
		t.Errorf("%q, %d principles", c.Name, len(c.Principles))
	}
	for _, tag := range []string{"overall", "harmlessness", "honesty", "helpfulness", "privacy", "fairness", "non-evasiveness"} {
		if ps, err := c.Select([]string{"tag:" + tag}); err != nil || len(ps) < 2 && tag != "overall" {
			t.Errorf("tag %s: %d principles, %v", tag, len(ps), err)
		}
	}
	for _, p := range c.Principles {
		if n := len(strings.Fields(p.Compare)); n > 10 || !strings.HasPrefix(p.Compare, "Which reply ") || p.Check == "" || p.Weight != 1 {
			t.Errorf("%s: %d words, check %q, weight %g", p.ID, n, p.Check, p.Weight)
		}
	}
}

// The help knows every rule and the limits, and fits a terminal.
func TestLintHelp(t *testing.T) {
	for _, rule := range []string{
		"question-form", "same-texts", "question-start", "no-comparative", "long-question", "negated-question", "double-question",
		"vague-question", "vague-text", "asks-nothing", "long-text", "check-form", "same-question", "near-duplicate", "weights-apart",
		"pull-apart", "invites-faults", "no-check", "no-tags", "lone-theme", "small", "other-language",
		"16 words", "40 tokens", "120 words", "0.85", "10 times", "fewer than 3",
	} {
		if !strings.Contains(constitution.LintHelp, rule) {
			t.Errorf("%s is not explained", rule)
		}
	}
	for line := range strings.SplitSeq(constitution.LintHelp, "\n") {
		if len([]rune(line)) > 77 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// Lint has an answer to everything, with a line, a severity and a known rule.
func TestLintProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := parse(t, string(constitutions().Draw(t, "constitution").TOML()))
		last := 0
		for _, f := range c.Lint() {
			if f.Line < last || f.Principle == "" || f.Message == "" || !strings.Contains(constitution.LintHelp, f.Rule) {
				t.Fatalf("%+v", f)
			}
			last = f.Line
		}
	})
}
