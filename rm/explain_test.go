package rm_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/rm"
)

// someText draws a reply: words of the made pairs, others, marks, other scripts.
func someText(t *rapid.T, name string) string {
	parts := append(append(append([]string{}, goodWords...), badWords...), fillWords...)
	parts = append(parts, ".", "!\n\n", "- ", "1. ", "**", "```", "don’t", "I'm", "— ", "中文。", "Ünbekannt", "e\u0301", "\xff", "?", "…\") ", "   ")
	var b strings.Builder
	for _, w := range rapid.SliceOfN(rapid.SampledFrom(parts), 0, 40).Draw(t, name) {
		b.WriteString(w)
		if rapid.Bool().Draw(t, "space") {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// near tells whether a sum is what it should be, as far as numbers of 32 bits
// allow.
func near(got, want, size float64) bool { return math.Abs(got-want) <= 1e-4*(1+size) }

func checkSums(t *rapid.T, x *rm.Explanation) {
	var groups, members, features, words, sentences, size float64
	byGroup := map[string]float64{}
	for _, g := range x.Groups {
		groups += g.Contribution
		byGroup[g.Name] = g.Contribution
	}
	for _, m := range x.Members {
		members += m.Contribution
	}
	for _, f := range x.Features {
		features += f.Contribution
		size += math.Abs(f.Contribution)
		byGroup[f.Group] -= f.Contribution
	}
	for _, w := range x.Words {
		words += w.Contribution
	}
	for _, s := range x.Sentences {
		sentences += s.Contribution
	}
	for name, sum := range map[string]float64{
		"groups": groups, "members": members, "features": features, "words": words + x.Rest, "sentences": sentences + x.Rest,
	} {
		if !near(sum, x.Total, size) {
			t.Errorf("%s sum up to %v, the total is %v", name, sum, x.Total)
		}
	}
	for name, d := range byGroup {
		if !near(d, 0, size) {
			t.Errorf("group %s is %v off the sum of its features", name, d)
		}
	}
}

func TestContributionsSumUpToScoreAndMargin(t *testing.T) {
	names := slices.Sorted(maps.Keys(trainings()))
	rapid.Check(t, func(rt *rapid.T) {
		m := trained(t, rapid.SampledFrom(names).Draw(rt, "form")).m
		t := rt
		ctx := context.Background()
		p := &dataset.Pair{
			Prompt: dataset.Prompt(someText(t, "prompt")),
			First:  dataset.Response{Text: someText(t, "first")}, Second: dataset.Response{Text: someText(t, "second")},
		}
		x, err := m.ExplainPair(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		checkSums(t, x)
		z, first, second, err := m.Margin(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if x.Total != z || x.Scores[0] != first || x.Scores[1] != second {
			t.Errorf("explained %v of %v, the margin is %v of %v and %v", x.Total, x.Scores, z, first, second)
		}
		one, err := m.Explain(ctx, rm.Item{Prompt: p.Prompt, Reply: p.First.Text})
		if err != nil {
			t.Fatal(err)
		}
		checkSums(t, one)
		// Alone: beside another reply a source may know more of the prompt.
		alone, err := m.Score(ctx, p.Prompt, p.First.Text)
		if err != nil {
			t.Fatal(err)
		}
		if one.Total != alone.Mean {
			t.Errorf("explained %v, the score is %v", one.Total, alone.Mean)
		}

		if w, _, _, err := m.Margin(ctx, mirror(p)); err != nil || w != -z {
			t.Fatalf("margin %v, of the mirrored pair %v, %v", z, w, err)
		}
		back, err := m.ExplainPair(ctx, mirror(p))
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string]float64{}
		for _, f := range x.Features {
			parts[f.Group+f.Name] += f.Contribution
		}
		for _, f := range back.Features {
			parts[f.Group+f.Name] += f.Contribution
		}
		for name, d := range parts {
			if math.Abs(d) > 1e-6 {
				t.Errorf("%s gives %v more one way round than the other", name, d)
			}
		}
	})
}

func TestSwappedPairHasTheSameWords(t *testing.T) {
	m, _ := mustTrain(t, makePairs(22, 200), rm.Options{})
	p := makePairs(23, 2)[0]
	x, err := m.ExplainPair(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	y, err := m.ExplainPair(context.Background(), mirror(p))
	if err != nil {
		t.Fatal(err)
	}
	n := len(strings.Fields(p.First.Text))
	for i, w := range x.Words {
		j := i - n
		if i < n {
			j = len(x.Words) - n + i
		}
		if v := y.Words[j]; v.Text != w.Text || math.Abs(v.Contribution+w.Contribution) > 1e-9 {
			t.Errorf("%+v and %+v", w, v)
		}
	}
}

func TestExplanationNamesWhatTheModelLearned(t *testing.T) {
	statistics(t)
	for _, name := range []string{"linear", "all features", "mlp", "stack"} {
		x, err := trained(t, name).m.Explain(context.Background(), rm.Item{
			Prompt: dataset.Prompt("Tell me story 1 about birds."),
			Reply:  "A river tells of honest paths. Many stones, rude words.",
		})
		if err != nil {
			t.Fatal(err)
		}
		word := map[string]float64{}
		for _, w := range x.Words {
			word[w.Text] = w.Contribution
		}
		if !(word["honest"] > 0 && word["rude"] < 0 && word["honest"] > word["river"] && word["rude"] < word["river"]) {
			t.Errorf("%s: words %v", name, word)
		}
		found := false
		for _, f := range x.Features {
			if f.Group == rm.FeatureHash && f.Name == "rude" {
				found = f.Contribution < 0 && f.Values[0] == 1
			}
		}
		if !found {
			t.Errorf("%s: no feature for the word rude in %+v", name, x.Features[:5])
		}
		if len(x.Sentences) != 2 || x.Sentences[0].Contribution <= x.Sentences[1].Contribution {
			t.Errorf("%s: sentences %+v", name, x.Sentences)
		}
	}
}
