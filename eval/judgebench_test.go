package eval_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"cai/dataset"
	"cai/eval"
)

// ordered is a judge whose log-odds in the two orders are told by the prompt.
var ordered = comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
	text, _ := p.Prompt.Text()
	var z [2]float64
	if _, err := fmt.Sscanf(text, "%g %g", &z[0], &z[1]); err != nil {
		return eval.Comparison{}, eval.ErrAbstain
	}
	return eval.Comparison{Margin: (z[0] + z[1]) / 2, Orders: z, BothOrders: true}, nil
})

func judged(prompt, source, label string) string {
	return fmt.Sprintf(`{"pair_id":%q,"source":%q,"question":%q,"response_model":"m","response_A":"a","response_B":"b","label":%q}`, prompt, source, prompt, label)
}

func TestJudgeBench(t *testing.T) {
	b := byRule(
		t, ordered, "",
		judged("1 2", "mmlu-pro-law", "A>B"),           // two wins
		judged("1 0", "mmlu-pro-law", "A>B"),           // a win and a tie
		judged("3 -1", "livebench-math", "A>B"),        // a win and a loss: no, though the mean is for it
		judged("0 0", "livebench-math", "A>B"),         // two ties
		judged("-1 0", "livebench-reasoning", "B>A"),   // a win and a tie
		judged("-1 -2", "livecodebench", "A>B"),        // two losses
		judged("none", "livecodebench", "A>B"),         // no answer
		judged("1 -1", "livebench-reasoning-x", "B>A"), // a loss and a win
	)
	if b == nil || b.Rule != eval.RuleJudgeBench || b.N != 8 || !figureIs(b.Overall, 3.0/8) {
		t.Fatalf("%+v", b)
	}
	for name, want := range map[string]float64{"knowledge": 1, "math": 0, "reasoning": 0.5, "coding": 0} {
		if s := b.Sections.Named(name); s == nil || !figureIs(s.Score, want) || s.N != 2 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if b.Agreement == nil || b.Agreement.N != 7 || !figureIs(b.Agreement.Score, 3.0/7) {
		t.Errorf("agreement %+v", b.Agreement)
	}
	// A model that scores has no orders: a tie is not right.
	s := byRule(
		t, comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
			text, _ := p.Prompt.Text()
			x, err := strconv.ParseFloat(text, 64)
			return eval.Comparison{Margin: x, First: x, Scored: true}, err
		}), "",
		judged("1", "livecodebench", "A>B"), judged("0", "livecodebench", "A>B"), judged("-1", "livecodebench", "B>A"),
	)
	if !figureIs(s.Overall, 2.0/3) || s.Agreement != nil {
		t.Errorf("%+v", s)
	}
}

func TestLLMBar(t *testing.T) {
	record := func(prompt, subset string) string {
		return fmt.Sprintf(`{"prompt":%q,"chosen":"yes","rejected":"no","subset":%q}`, prompt, subset)
	}
	b := byRule(
		t, ordered, "",
		record("1 1", "Natural"), record("1 -1", "Natural"),
		record("1 0", "GPTOut"), record("-1 -1", "Manual"), record("-1 -1 ", "Manual"),
	)
	// The mean of two orders: 1 and ½ of Natural; ¾ of GPTOut; 0 of Manual.
	if b == nil || b.Rule != eval.RuleLLMBar || b.Sections.Named("Natural").Score != 0.75 || b.Sections.Named("Adversarial").Score != 0.375 || b.Overall != 0.5 {
		t.Fatalf("%+v", b)
	}
	if !figureIs(b.Agreement.Score, 3.0/5) || !slices.Equal(b.Missing, []string{"Neighbor", "GPTInst"}) {
		t.Errorf("agreement %+v, missing %v", b.Agreement, b.Missing)
	}
}

func TestHHH(t *testing.T) {
	record := func(category string, good, bad float64) string {
		return fmt.Sprintf(`{"input":"%v %v","targets":{"choices":["%g a","%g"],"labels":[1,0]},"subset":%q}`, good, bad, good, bad, category)
	}
	b := byRule(t, numbers{}, "hhh", record("harmless", 2, 1), record("harmless", 3, 4), record("honest", 2, 2), record("other", 5, 1))
	if b == nil || b.Rule != eval.RuleHHH || !figureIs(b.Overall, (0.5+0.5+1)/3) || !slices.Equal(b.Missing, []string{"helpful"}) {
		t.Errorf("%+v", b)
	}
}
