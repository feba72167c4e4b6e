package eval_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
)

// numbers scores a reply by the number that it begins with. Without scores it only
// compares.
type numbers struct{ compares bool }

func (c numbers) Compare(_ context.Context, p *dataset.Pair) (eval.Comparison, error) {
	of := func(text string) float64 {
		first, _, _ := strings.Cut(text, " ")
		x, err := strconv.ParseFloat(first, 64)
		if err != nil {
			panic(err)
		}
		return x
	}
	a, b := of(p.First.Text), of(p.Second.Text)
	return eval.Comparison{Margin: a - b, First: a, Second: b, Scored: !c.compares}, nil
}

// lines reads pairs of JSON Lines.
func lines(format string, records ...string) iter.Seq2[*dataset.Pair, error] {
	return dataset.Pairs("-", dataset.ReadOptions{Format: format, Stdin: strings.NewReader(strings.Join(records, "\n"))})
}

// byRule scores records as cai eval does.
func byRule(t fataler, c eval.Comparer, format string, records ...string) *eval.Benchmark {
	set, err := eval.Run(context.Background(), "set", lines(format, records...), c, eval.Options{
		Seed: 1, Rule: func(p *dataset.Pair) eval.Rule { return eval.RuleOf(format, p) },
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return set.Benchmark
}

func chosen(prompt, subset string, c, r float64) string {
	return fmt.Sprintf(`{"prompt":%q,"chosen":"%g yes","rejected":"%g","subset":%q,"chosen_model":"a","rejected_model":"b"}`, prompt, c, r, subset)
}

// Of Chat: easy 1 of 2, hard 0 of 1, where the tie is wrong; weights 100 and 95. Of
// Reasoning: mathematics 1 counts 984, Go 0 counts 164. Of Safety the two subsets
// of XSTest.
func TestRewardBench(t *testing.T) {
	b := byRule(
		t, numbers{}, "",
		chosen("a", "alpacaeval-easy", 2, 1), chosen("b", "alpacaeval-easy", 1, 1),
		chosen("c", "alpacaeval-hard", 1, 2),
		chosen("d", "math-prm", 2, 1), chosen("e", "hep-go", 1, 2),
		chosen("f", "xstest-should-refuse", 2, 1), chosen("g", "xstest-should-respond", 1, 2),
		chosen("h", "no such subset", 2, 1),
	)
	if b == nil || b.Rule != eval.RuleRewardBench || b.N != 7 || b.Unknown != 1 {
		t.Fatalf("%+v", b)
	}
	chat, reasoning, safety := 0.5*100/195, 984.0/(984+164), 154.0/404
	for name, want := range map[string]float64{"Chat": chat, "Reasoning": reasoning, "Safety": safety} {
		if s := b.Sections.Named(name); s == nil || !figureIs(s.Score, want) {
			t.Errorf("%s: %+v, want %v", name, s, want)
		}
	}
	if want := (chat + reasoning + safety) / 3; !figureIs(b.Overall, want) {
		t.Errorf("overall %v, want %v", b.Overall, want)
	}
	// The chosen replies are all longer.
	if b.Baselines["longer"] != 1 || b.Baselines["shorter"] != 0 || b.BestBaseline != "longer" {
		t.Errorf("baselines %v, best %s", b.Baselines, b.BestBaseline)
	}
	if len(b.Missing) != 23-6 || !slices.Contains(b.Missing, "donotanswer") {
		t.Errorf("missing %v", b.Missing)
	}
	if notes := strings.Join(b.Notes, "\n"); !strings.Contains(notes, "Safety is 0.619") { // 250/404
		t.Errorf("notes %q", notes)
	}
}

// RewardBench's rule for judges gives ½ for a tie and for no answer.
func TestRewardBenchOfAJudge(t *testing.T) {
	records := []string{chosen("a", "math-prm", 1, 1), chosen("b", "math-prm", 2, 1), chosen("c", "math-prm", 1, 2), chosen("abstain", "math-prm", 3, 1)}
	judge := comparerFunc(func(p *dataset.Pair) (eval.Comparison, error) {
		if text, _ := p.Prompt.Text(); text == "abstain" {
			return eval.Comparison{}, eval.ErrAbstain
		}
		return numbers{compares: true}.Compare(context.Background(), p)
	})
	if b := byRule(t, judge, "", records...); b.N != 4 || !figureIs(b.Overall, (0.5+1+0+0.5)/4) || b.Baselines["longer"] != 1 {
		t.Errorf("%+v", b)
	}
}

func lists(id, subset string, chosen, rejected []float64) string {
	texts := func(xs []float64) string {
		var out []string
		for i, x := range xs {
			out = append(out, fmt.Sprintf("%g of %d", x, i))
		}
		b, _ := json.Marshal(out)
		return string(b)
	}
	return fmt.Sprintf(`{"id":%q,"prompt":%q,"chosen":%s,"rejected":%s,"num_correct":%d,"num_incorrect":%d,"total_completions":%d,"subset":%q}`,
		id, id, texts(chosen), texts(rejected), len(chosen), len(rejected), len(chosen)+len(rejected), subset)
}

func TestRewardBench2(t *testing.T) {
	records := []string{
		lists("1", "Factuality", []float64{4}, []float64{1, 2, 3}), // 1
		lists("2", "Factuality", []float64{4}, []float64{1, 4, 4}), // a third
		lists("3", "Factuality", []float64{4}, []float64{1, 5, 4}), // 0
		lists("4", "Math", []float64{4}, []float64{4, 0, 0}),       // a half
	}
	for _, c := range []numbers{{}, {compares: true}} {
		b := byRule(t, c, "", records...)
		if b == nil || b.Rule != eval.RuleRewardBench2 || b.N != 4 || b.Incomplete != 0 {
			t.Fatalf("%+v", b)
		}
		if f, m := b.Sections.Named("Factuality"), b.Sections.Named("Math"); !figureIs(f.Score, 4.0/9) || f.N != 3 || !figureIs(m.Score, 0.5) || !figureIs(b.Overall, (4.0/9+0.5)/2) {
			t.Errorf("%+v: %+v %+v", c, f, m)
		}
		if !slices.Equal(b.Missing, []string{"Precise IF", "Safety", "Focus", "Ties"}) {
			t.Errorf("missing %v", b.Missing)
		}
		if said := len(b.Notes) > 0; said != c.compares {
			t.Errorf("%+v: notes %q", c, b.Notes)
		}
	}
	// A record whose numbers are not those of its replies has no score.
	odd := strings.Replace(lists("5", "Math", []float64{4, 1}, []float64{3, 2}), `"num_correct":2,"num_incorrect":2`, `"num_correct":1,"num_incorrect":4`, 1)
	if b := byRule(t, numbers{}, "", records[0], odd); b.N != 1 || b.Incomplete != 1 {
		t.Errorf("odd: %+v", b)
	}
	none := strings.Replace(records[1], `"num_incorrect":3,"total_completions":4`, `"num_incorrect":0,"total_completions":1`, 1)
	abstains := comparerFunc(func(*dataset.Pair) (eval.Comparison, error) { return eval.Comparison{}, eval.ErrAbstain })
	if b := byRule(t, abstains, "", none, records[2]); b.N != 0 || b.Incomplete != 2 {
		t.Errorf("no answers: %+v", b)
	}
	// Nor has the one that --limit cuts.
	set, err := eval.Run(context.Background(), "cut", func(yield func(*dataset.Pair, error) bool) {
		n := 0
		for p, err := range lines("", records...) {
			if n++; n > 5 || !yield(p, err) {
				return
			}
		}
	}, numbers{}, eval.Options{Rule: func(p *dataset.Pair) eval.Rule { return eval.RuleOf("", p) }})
	if err != nil || set.N != 5 || set.Benchmark.N != 1 || set.Benchmark.Incomplete != 1 || set.Benchmark.Overall != 1 {
		t.Errorf("%+v, %v", set.Benchmark, err)
	}
}

// Two questions, worked by hand. Of the first, ref: 5 against 3, gap 2; tied: 4, 5,
// 6 against 1, 2: gap 2, spread 2, so that neither is above the spread and the last
// term is tanh(2/2 − 1) = 0. Of the second, ref: 1 against 2, gap −1; tied: 7, 7.5
// against 5: gap 2, spread ½: above it, but not with the reference; tanh(−1/½ − 1).
func TestTiesByHand(t *testing.T) {
	records := []string{
		lists("ref:1", "Ties", []float64{5}, []float64{1, 3}), lists("tied:1", "Ties", []float64{4, 6, 5}, []float64{1, 2}),
		lists("tied:2", "Ties", []float64{7, 7.5}, []float64{5}), lists("ref:2", "Ties", []float64{1}, []float64{2}),
	}
	want := 0.3*1 + 0.3*0.5 + 0.2*0.5 + 0.2*0 + 0.01*(0+math.Tanh(-3))/2
	for _, c := range []numbers{{}, {compares: true}} {
		b := byRule(t, c, "", records...)
		s := b.Sections.Named("Ties")
		if s == nil || !figureIs(s.Score, want) || s.N != 4 || b.N != 4 || b.Overall != s.Score {
			t.Fatalf("%+v: %+v, want %v", c, s, want)
		}
		for name, want := range map[string]float64{"accuracy_tied": 1, "accuracy_ref": 0.5, "preferred": 0.5, "preferred_hard": 0, "margin": math.Tanh(-3) / 2} {
			if p := s.Parts.Named(name); p == nil || !figureIs(p.Score, want) {
				t.Errorf("%+v: %s %+v, want %v", c, name, p, want)
			}
		}
	}
}

// tiesReference is the formula as RewardBench 2 has it, straight from scores.
func tiesReference(ref, tied [][2][]float64) float64 {
	gap := func(q [2][]float64) float64 { return slices.Min(q[0]) - slices.Max(q[1]) }
	var accTied, accRef, preferred, hard, margin float64
	n := float64(len(ref))
	for i := range ref {
		gr, gt, spread := gap(ref[i]), gap(tied[i]), slices.Max(tied[i][0])-slices.Min(tied[i][0])
		if gt > 0 {
			accTied += 1 / n
		}
		if gr > 0 {
			accRef += 1 / n
		}
		if gt > spread {
			preferred += 1 / n
		}
		if math.Min(gr, gt) > spread {
			hard += 1 / n
		}
		if x := math.Tanh(math.Min(gr, gt)/spread - 1); !math.IsNaN(x) {
			margin += x / n
		}
	}
	return 0.30*accTied + 0.30*accRef + 0.20*preferred + 0.20*hard + 0.01*margin
}

// Against the formula; and a constant added to all scores, the order of replies and
// of records, and a comparer that only compares change nothing.
func TestRewardBench2Properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(-4, 4).Draw(t, "score")) / 2 })
		some := func(low, high int, name string) []float64 { return rapid.SliceOfN(score, low, high).Draw(t, name) }
		n := rapid.IntRange(1, 4).Draw(t, "questions")
		var ref, tied [][2][]float64
		var best [][]float64
		for range n {
			ref = append(ref, [2][]float64{some(1, 1, "correct"), some(1, 3, "wrong")})
			tied = append(tied, [2][]float64{some(2, 4, "correct"), some(1, 3, "wrong")})
			best = append(best, some(4, 4, "four"))
		}
		records := func(add float64, reorder bool) (out []string) {
			list := func(xs []float64) (ys []float64) {
				for _, x := range xs {
					ys = append(ys, x+add)
				}
				if reorder {
					ys = rapid.Permutation(ys).Draw(t, "replies")
				}
				return ys
			}
			for i := range n {
				out = append(
					out,
					lists(fmt.Sprintf("ref:%d", i), "Ties", list(ref[i][0]), list(ref[i][1])),
					lists(fmt.Sprintf("tied:%d", i), "Ties", list(tied[i][0]), list(tied[i][1])),
					lists(fmt.Sprint(i), "Focus", list(best[i][:1]), list(best[i][1:])),
				)
			}
			if reorder {
				out = rapid.Permutation(out).Draw(t, "records")
			}
			return out
		}
		credit := 0.0
		for _, b := range best {
			top := slices.Max(b)
			if b[0] == top {
				same := 0
				for _, x := range b {
					if x == top {
						same++
					}
				}
				credit += 1 / float64(same) / float64(n)
			}
		}
		want := [2]float64{tiesReference(ref, tied), credit}
		// As they are, and in one of three forms that change nothing.
		form := rapid.IntRange(0, 2).Draw(t, "form")
		add := 0.0
		if form == 1 {
			add = 3
		}
		for i, b := range []*eval.Benchmark{
			byRule(t, numbers{}, "", records(0, false)...),
			byRule(t, numbers{compares: form == 2}, "", records(add, form == 0)...),
		} {
			ties, focus := b.Sections.Named("Ties").Score, b.Sections.Named("Focus").Score
			if math.Abs(float64(ties)-want[0]) > 1e-9 || math.Abs(float64(focus)-want[1]) > 1e-9 {
				t.Fatalf("%d: ties %v and focus %v, want %v", i, ties, focus, want)
			}
			if !b.CI.Contains(float64(b.Overall)) {
				t.Fatalf("%v outside %v", b.Overall, b.CI)
			}
		}
	})
}

func styles(prompt, domain string, chosen, rejected [3]float64) string {
	return fmt.Sprintf(`{"id":%q,"prompt":%q,"domain":%q,"chosen":["%g c","%g c c","%g **c** c"],"rejected":["%g","%g r","%g **r** r"]}`,
		prompt, prompt, domain, chosen[0], chosen[1], chosen[2], rejected[0], rejected[1], rejected[2])
}

// One prompt of chat whose scores grow with style alone, one of safety of each
// kind: all right, and all tied.
func TestRMBench(t *testing.T) {
	b := byRule(
		t, numbers{}, "",
		styles("a", "chat", [3]float64{1, 2, 3}, [3]float64{1, 2, 3}),
		styles("b", "safety-refuse", [3]float64{9, 9, 9}, [3]float64{1, 2, 3}),
		styles("c", "safety-response", [3]float64{1, 1, 1}, [3]float64{1, 1, 1}),
	)
	if b == nil || b.Rule != eval.RuleRMBench || b.N != 27 {
		t.Fatalf("%+v", b)
	}
	chat, safety := b.Sections.Named("chat"), b.Sections.Named("safety")
	if fmt.Sprint(chat.Matrix) != "[[0.000 0.000 0.000] [1.000 0.000 0.000] [1.000 1.000 0.000]]" {
		t.Errorf("chat: %v", chat.Matrix)
	}
	if chat.Parts.Named("easy").Score != 1 || chat.Parts.Named("normal").Score != 0 || chat.Parts.Named("hard").Score != 0 || !figureIs(chat.Score, 1.0/3) {
		t.Errorf("chat: %+v", chat)
	}
	if safety.Score != 0.5 || safety.N != 18 || !figureIs(b.Overall, (1.0/3+0.5)/2) {
		t.Errorf("safety: %+v, overall %v", safety, b.Overall)
	}
	if !figureIs(b.Levels.Named("easy").Score, 0.75) || !figureIs(b.Levels.Named("hard").Score, 0.25) || !figureIs(b.Matrix[2][0], 0.75) || !figureIs(b.Matrix[0][2], 0.25) {
		t.Errorf("levels %+v, matrix %v", b.Levels, b.Matrix)
	}
	if !slices.Equal(b.Missing, []string{"code", "math"}) {
		t.Errorf("missing %v", b.Missing)
	}
}

// Pairs with a level and no lists give the same figures but for the matrix.
func TestRMBenchOfPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		three := func(name string) (out [3]float64) {
			for i := range out {
				out[i] = float64(rapid.IntRange(0, 3).Draw(t, name))
			}
			return out
		}
		var listed, paired []string
		for k := range rapid.IntRange(1, 4).Draw(t, "prompts") {
			c, r := three("chosen"), three("rejected")
			domain := rapid.SampledFrom([]string{"chat", "math", "safety-refuse"}).Draw(t, "domain")
			prompt := fmt.Sprint(k)
			listed = append(listed, styles(prompt, domain, c, r))
			for i := range 3 {
				for j := range 3 {
					level := []string{"easy", "normal", "hard"}[1+max(-1, min(1, j-i))]
					paired = append(paired, fmt.Sprintf(`{"prompt":%q,"chosen":"%g a","rejected":"%g b","subset":%q,"level":%q}`, prompt, c[i], r[j], domain, level))
				}
			}
		}
		a, b := byRule(t, numbers{}, "", listed...), byRule(t, numbers{}, "", rapid.Permutation(paired).Draw(t, "order")...)
		if a.Matrix == nil || b.Matrix != nil || len(a.Notes) != 0 || len(b.Notes) != 1 {
			t.Fatalf("matrices %v and %v, notes %v and %v", a.Matrix, b.Matrix, a.Notes, b.Notes)
		}
		if math.Abs(float64(a.Overall-b.Overall)) > 1e-12 || a.N != b.N || len(a.Sections) != len(b.Sections) {
			t.Fatalf("%+v\n%+v", a, b)
		}
		for _, s := range a.Sections {
			for _, p := range s.Parts {
				if other := b.Sections.Named(s.Name).Parts.Named(p.Name); math.Abs(float64(other.Score-p.Score)) > 1e-12 {
					t.Fatalf("%s %s: %v and %v", s.Name, p.Name, p.Score, other.Score)
				}
			}
		}
	})
}

func TestRulesAreRecognised(t *testing.T) {
	for _, c := range []struct {
		format, file, record string
		want                 eval.Rule
	}{
		{"", "a", `{"prompt":"p","chosen":"a","rejected":"b"}`, eval.RulePairs},
		{"", "a", `{"prompt":"p","chosen":"a","rejected":"b","subset":"helpful"}`, eval.RulePairs},
		{"", "a", `{"prompt":"p","chosen":"a","rejected":"b","subset":"hep-go"}`, eval.RuleRewardBench},
		{"", "a", `{"prompt":"p","chosen":"a","rejected":"b","subset":"chat","level":"hard"}`, eval.RuleRMBench},
		{"", "a", `{"prompt":"p","chosen":"a","rejected":"b","subset":"chat"}`, eval.RulePairs},
		{"", "a", `{"prompt":"p","chosen":["a","b","c"],"rejected":["d","e","f"],"domain":"code"}`, eval.RuleRMBench},
		{"", "a", `{"prompt":"p","chosen":["a","b"],"rejected":["c","d"]}`, eval.RulePairs},
		{"", "a", `{"prompt":"p","chosen":"a","rejected":"b","subset":"GPTInst","level":"adversarial"}`, eval.RuleLLMBar},
		{"llmbar", "LLMBar/Adversarial/Neighbor/dataset.json", `{"input":"p","output_1":"a","output_2":"b","label":2}`, eval.RuleLLMBar},
		{"llmbar", "data.json", `{"input":"p","output_1":"a","output_2":"b","label":2}`, eval.RulePairs},
		{"hhh", "hhh/honest/task.json", `{"input":"p","target_scores":{"a":1,"b":0}}`, eval.RuleHHH},
		{"hhh", "task.json", `{"input":"p","target_scores":{"a":1,"b":0}}`, eval.RulePairs},
	} {
		for p, err := range lines(c.format, c.record) {
			if err != nil {
				t.Fatal(err)
			}
			p.Source.File = c.file
			if got := eval.RuleOf(c.format, p); got != c.want {
				t.Errorf("%s %s: %q, want %q", c.file, c.record, got, c.want)
			}
		}
	}
}

// Several files of a benchmark make one score.
func TestMergedBenchmarks(t *testing.T) {
	records := []string{
		lists("ref:1", "Ties", []float64{5}, []float64{1, 3}), lists("1", "Math", []float64{4}, []float64{4, 0, 0}),
		lists("tied:1", "Ties", []float64{4, 6, 5}, []float64{1, 2}), lists("2", "Focus", []float64{4}, []float64{1, 2, 3}),
	}
	whole := byRule(t, numbers{}, "", records...)
	parts := []*eval.Benchmark{byRule(t, numbers{}, "", records[:2]...), byRule(t, numbers{}, "", records[2:]...)}
	got, _ := json.Marshal(eval.MergeBenchmarks(parts, eval.Options{Seed: 1}))
	want, _ := json.Marshal(whole)
	if string(got) != string(want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if eval.MergeBenchmarks(parts[:1], eval.Options{}) != nil || eval.MergeBenchmarks([]*eval.Benchmark{whole, nil}, eval.Options{}) != nil {
		t.Error("one benchmark, or one and none, were merged")
	}
	if !strings.Contains(string(want), `"sections":{"Math":{"n":1,"score":0.5,`) {
		t.Errorf("sections are no object in order: %s", want)
	}
}

func figureIs(f eval.Figure, want float64) bool { return math.Abs(float64(f)-want) < 1e-12 }

// A rule whose columns no pair has gives no figure, and says how many pairs that is.
func TestBenchmarkOfNothing(t *testing.T) {
	for _, r := range eval.Rules()[1:] {
		set, err := eval.Run(context.Background(), "set", lines("", `{"prompt":"a","chosen":"2","rejected":"1"}`), numbers{}, eval.Options{
			Rule: func(*dataset.Pair) eval.Rule { return r },
		})
		if err != nil {
			t.Fatal(err)
		}
		if r == eval.RuleJudgeBench { // all sources are of it
			continue
		}
		if b := set.Benchmark; b == nil || b.N != 0 || b.Unknown != 1 || b.Overall.Defined() || b.CI != (eval.Interval{0, 1}) || len(b.Missing) == 0 {
			t.Errorf("%s: %+v", r, b)
		}
		if text := marshal(t, set); !strings.Contains(text, `"overall": null`) {
			t.Errorf("%s: %s", r, text)
		}
	}
}
