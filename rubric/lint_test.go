package rubric_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cai/rubric"
)

// Each rule finds what it is for, at its criterion, and says nothing about a
// clean rubric.
func TestLint(t *testing.T) {
	const fine = "[[criteria]]\nid = \"clear\"\ntext = \"Is the reply easy to follow?\"\n[[criteria]]\nid = \"honest\"\ntext = \"Does the reply say what it cannot know?\"\n"
	clean := "[[criteria]]\nid = \"clear\"\ntext = \"Is the reply easy to follow?\"\n[[criteria]]\nid = \"polite\"\ntext = \"Is the reply polite?\"\n"
	if found := mustParse(t, clean).Lint(); len(found) > 0 {
		t.Errorf("a clean rubric: %+v", found)
	}
	if !has(mustParse(t, fine).Lint(), "honest", "negated-question") {
		t.Error("cannot is not found")
	}
	for text, want := range map[string]string{
		`id = "clear"` + "\n" + `text = "Does it name a source?"`:                                              "error same-id",
		`id = "x"` + "\n" + `text = "How full is the answer?"` + "\n" + `levels = ["some", "Some ", "all"]`:    "error same-levels",
		`id = "x"` + "\n" + `text = "Does it name a source?"` + "\n" + `weight = 0`:                            "error no-weight",
		`id = "x"` + "\n" + `text = "Sources."`:                                                                "warning question-form",
		`id = "x"` + "\n" + `text = "Is the reply misleading?"`:                                                "warning negated-question",
		`id = "x"` + "\n" + `text = "Does the reply not name a source?"` + "\n" + `weight = -1`:                "warning negated-question",
		`id = "x"` + "\n" + `text = "Is the reply helpful?"` + "\n" + `weight = -1`:                            "warning positive-pitfall",
		`id = "x"` + "\n" + `text = "Is the reply brief and warm?"`:                                            "warning double-question",
		`id = "x"` + "\n" + `text = "Is the reply good?"`:                                                      "warning vague-question",
		`id = "x"` + "\n" + `text = "Does the reply name sources? Answer yes or no."`:                          "warning answer-form",
		`id = "x"` + "\n" + `text = "How many sources, on a scale from 1 to 3?"` + "\n" + `levels = ["a","b"]`: "warning answer-form",
		`id = "x"` + "\n" + `text = "How full is the answer?"` + "\n" + `levels = ["1: some", "2: all"]`:       "warning numbered-levels",
		`id = "x"` + "\n" + `text = "Does the reply` + strings.Repeat(" very", 40) + ` briefly name sources?"`: "warning long-text",
		`id = "x"` + "\n" + `text = "Does the reply follow easily?"`:                                           "warning same-question",
		`id = "x"` + "\n" + `text = "Does it name a source?"` + "\n" + `applies_when = "A question"`:           "warning applies-form",
		`id = "x"` + "\n" + `text = "Does it name a source?"` + "\n" + `applies_when = "Is it not private?"`:   "warning applies-form",
		`id = "x"` + "\n" + `text = "Does it name a source?"` + "\n" + `weight = 30`:                           "info weights-apart",
		`id = "x"` + "\n" + `text = "Does it agree with the reference answer?"`:                                "info no-reference",
		`id = "x"` + "\n" + `text = "Nennt die Antwort eine Quelle?"`:                                          "info other-language",
	} {
		severity, rule, _ := strings.Cut(want, " ")
		found := mustParse(t, clean+"[[criteria]]\n"+text+"\n").Lint()
		i := slices.IndexFunc(found, func(f rubric.Finding) bool { return f.Rule == rule })
		if i < 0 {
			t.Errorf("%s: %+v, want %s", text, found, want)
			continue
		}
		if f := found[i]; f.Severity != severity || f.Line != 7 {
			t.Errorf("%s: %+v", text, f)
		}
	}
	// A zero weight is fine for a veto, and a fault for a pitfall.
	if found := mustParse(t, clean+"[[criteria]]\nid = \"x\"\ntext = \"Is the reply insulting?\"\nweight = 0\nveto = true\n[[criteria]]\nid = \"y\"\ntext = \"Is the reply misleading?\"\nweight = -1\n").Lint(); has(found, "x", "no-weight") || has(found, "y", "negated-question") {
		t.Errorf("%+v", found)
	}
	if found := mustParse(t, "[[criteria]]\nid = \"y\"\ntext = \"Is the reply misleading?\"\nweight = -1\n").Lint(); !has(found, "y", "only-pitfalls") || !has(found, "y", "one-criterion") {
		t.Errorf("%+v", found)
	}
	var many strings.Builder
	for i := range 21 {
		fmt.Fprintf(&many, "[[criteria]]\nid = \"c%d\"\ntext = \"Does the reply name city%d%d?\"\n", i, i, i)
	}
	if found := mustParse(t, many.String()).Lint(); !has(found, "c20", "many-criteria") {
		t.Errorf("%+v", found)
	}
}

func has(found []rubric.Finding, criterion, rule string) bool {
	return slices.ContainsFunc(found, func(f rubric.Finding) bool { return f.Criterion == criterion && f.Rule == rule })
}

// Every rule stands in the help, and nothing but rules does.
func TestLintHelpNamesTheRules(t *testing.T) {
	source := mustRead(t, "lint.go")
	var rules []string
	for line := range strings.SplitSeq(rubric.LintHelp, "\n") {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			rules = append(rules, strings.Fields(line)[0])
		}
	}
	if len(rules) < 10 {
		t.Fatal(rules)
	}
	for _, r := range rules {
		if !strings.Contains(source, `"`+r+`"`) {
			t.Errorf("%s is in the help and not in the code", r)
		}
	}
}
