package judge_test

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/eval"
	"cai/judge"
)

// Nothing but what they say may give the better replies away, and no pair may
// count twice.
func TestTheProbesGiveNothingAway(t *testing.T) {
	all := judge.Probes()
	if len(all) != 40 {
		t.Fatalf("%d probes, want 40", len(all))
	}
	seen := map[string]string{}
	unique := func(id, what, text string) {
		t.Helper()
		if before := seen[text]; before != "" {
			t.Errorf("%s: the %s is that of %s", id, what, before)
		}
		seen[text] = id
	}
	longer, kinds := 0, map[string]int{}
	words := func(s string) int { return len(strings.Fields(s)) }
	for i, p := range all {
		unique(p.ID, "id", p.ID)
		unique(p.ID, "prompt", p.Prompt)
		kinds[p.Kind]++
		for _, reply := range []string{p.Good, p.Bad} {
			unique(p.ID, "reply", reply)
			if n := words(reply); n < 10 || n > 40 {
				t.Errorf("%s: a reply of %d words, want 10 to 40: %q", p.ID, n, reply)
			}
			if strings.ContainsAny(reply, "*#`_|!\n\t()[]{}<>") || !strings.HasSuffix(reply, ".") || strings.TrimSpace(reply) != reply {
				t.Errorf("%s: not a plain text that ends in a full stop: %q", p.ID, reply)
			}
		}
		if utf8.RuneCountInString(p.Good) > utf8.RuneCountInString(p.Bad) {
			longer++
		}
		if n := i + 1; n == 12 && (longer != 6 || len(kinds) != 5) {
			t.Errorf("of the first dozen the longer reply is better in %d, and %d kinds are among them", longer, len(kinds))
		}
	}
	if longer != 20 {
		t.Errorf("the longer reply is the better one in %d of 40", longer)
	}
	for _, k := range []string{"rude", "dangerous", "nonsense", "refusal", "off-topic"} {
		if kinds[k] < 7 || kinds[k] > 9 {
			t.Errorf("%d probes of kind %s", kinds[k], k)
		}
	}
}

func TestNoBaselinePassesTheProbes(t *testing.T) {
	for _, name := range eval.Baselines() {
		b, err := eval.Baseline(name)
		if err != nil {
			t.Fatal(err)
		}
		right := 0
		for _, p := range judge.Probes() {
			c, err := b.Compare(t.Context(), &dataset.Pair{
				Prompt: dataset.Prompt(p.Prompt), First: dataset.Response{Text: p.Good}, Second: dataset.Response{Text: p.Bad},
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.Margin > 0 {
				right++
			}
		}
		if right > 20 {
			t.Errorf("%q is right on %d of 40", name, right)
		}
	}
}

// What a trial says is what its preferences were made of: log-odds s1 that the
// first slot wins with the better reply first, s2 with the worse one first.
func TestATrialAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Away from 0, where rounding decides whether a slot was chosen.
		odds := rapid.OneOf(rapid.Float64Range(-5, -0.01), rapid.Float64Range(0.01, 5))
		n := rapid.IntRange(1, 20).Draw(t, "pairs")
		var trial judge.Trial
		right, same, kept := 0, 0, 0
		var z, bias, cover float64
		for range n {
			s1, s2 := odds.Draw(t, "s1"), odds.Draw(t, "s2")
			c1, c2 := rapid.Float64Range(0, 1).Draw(t, "c1"), rapid.Float64Range(0, 1).Draw(t, "c2")
			trial.Add(judge.Preferred(
				judge.Answer{LPFirst: s1, Coverage: c1},
				judge.Answer{LPFirst: s2, Coverage: c2},
			))
			if s1 > s2 {
				right++
				if min(c1, c2) >= judge.LeastCoverage {
					kept++
				}
			}
			if s1 > 0 && s2 > 0 || s1 < 0 && s2 < 0 {
				same++
			}
			z += (s1 - s2) / 2
			bias += (s1 + s2) / 2
			cover += min(c1, c2)
		}
		failed := rapid.IntRange(0, 3).Draw(t, "failed")
		trial.Failed = failed
		f := float64(n)
		close := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
		if trial.Right != right || trial.SameSlot != same || trial.Kept != kept || trial.Asked() != n+failed ||
			!close(trial.Z(), z/f) || !close(trial.Bias(), bias/f) || !close(trial.Coverage(), cover/float64(n+failed)) || !close(trial.SameSlotRate(), float64(same)/f) {
			t.Fatalf("%+v: right %d, same slot %d, z %v, bias %v, coverage %v", trial, right, same, z/f, bias/f, cover/float64(n+failed))
		}
	})
}

// A judge who only looks at the slot is right on no probe, however sure it is.
func TestASlotIsNoJudgment(t *testing.T) {
	j := newJudge(t, &model{odds: func(string) float64 { return 3 }}, judge.ModeToken)
	principle := judge.ProbePrinciple()
	var trial judge.Trial
	for _, p := range judge.Probes()[:5] {
		var got [2]judge.Answer
		for i, first := range []bool{true, false} {
			var err error
			if got[i], err = j.Compare(t.Context(), p.Question(first, &principle)); err != nil {
				t.Fatal(err)
			}
		}
		trial.Add(judge.Preferred(got[0], got[1]))
	}
	if trial.Right != 0 || trial.SameSlot != 5 || math.Abs(trial.Bias()-3) > 1e-9 || math.Abs(trial.Z()) > 1e-9 {
		t.Errorf("%+v, z %v, bias %v", trial, trial.Z(), trial.Bias())
	}
}
