package store_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cai/constitution"
	"cai/dataset"
	"cai/store"
)

func sigma(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// viewRow is what the labels view says of one pair.
type viewRow struct {
	Z, P, Bias, SameSlot, Coverage float64
	Principles                     int64
	Chosen, Rejected               string
}

func labelsView(tb testing.TB, s *store.Store, judge, con dataset.Hash) map[string]viewRow {
	tb.Helper()
	out := map[string]viewRow{}
	for _, r := range shell(tb, s, `SELECT pair, z, p_a, position_bias, same_slot_rate, coverage, principles, chosen, rejected
		FROM labels WHERE judge = ? AND constitution = ?`, judge.String(), con.String()) {
		pair := r[0].(string)
		if _, ok := out[pair]; ok {
			tb.Fatalf("pair %s has two labels", pair)
		}
		out[pair] = viewRow{
			r[1].(float64), r[2].(float64), r[3].(float64), r[4].(float64), r[5].(float64),
			r[6].(int64), r[7].(string), r[8].(string),
		}
	}
	return out
}

var close9 = cmp.Comparer(func(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-9*(1+math.Abs(a)) })

// wantLabel is the rule as it is stated, written down once more: s₁ and s₂ are
// the log-odds that the first slot wins with a first and with b first, of the
// mean probability where there are several samples; z = (s₁ − s₂)/2,
// β = (s₁ + s₂)/2, P(a) = σ(Σ w z / Σ w).
func wantLabel(key dataset.PairKey, js []*dataset.Judgment, weights map[dataset.Hash]float64) (viewRow, bool) {
	row := viewRow{Coverage: math.Inf(1)}
	var sum, weight, bias, same float64
	for k, w := range weights {
		var s [2]float64
		both, coverage := true, math.Inf(1)
		for i, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
			var p, n float64
			for _, j := range js {
				if j.Principle == k && j.Order == o && j.Coverage >= 0.1 {
					n++
					p += sigma(j.LPFirst - j.LPSecond)
					coverage = min(coverage, j.Coverage)
				}
			}
			p /= n
			s[i] = math.Log(p / (1 - p))
			both = both && n > 0
		}
		if !both {
			continue
		}
		sum += w * (s[0] - s[1]) / 2
		weight += w
		bias += (s[0] + s[1]) / 2
		if s[0]*s[1] > 0 {
			same++
		}
		row.Coverage = min(row.Coverage, coverage)
		row.Principles++
	}
	if row.Principles == 0 {
		return row, false
	}
	n := float64(row.Principles)
	row.Z, row.Bias, row.SameSlot = sum/weight, bias/n, same/n
	row.P = sigma(row.Z)
	row.Chosen, row.Rejected = key.A.String(), key.B.String()
	if row.Z < 0 {
		row.Chosen, row.Rejected = row.Rejected, row.Chosen
	}
	return row, true
}

// The view follows the log-odds rule, and neither the order of the rows nor
// that of the principles nor the order of a pair's replies in its file matters.
func TestLabelsViewFollowsTheRule(t *testing.T) {
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		s, mirror := newStore(t), newStore(t)
		con := testConstitution(rapid.IntRange(1, 4).Draw(r, "principles"))
		weights := map[dataset.Hash]float64{}
		for i := range con.Principles {
			con.Principles[i].Weight = rapid.Float64Range(0.1, 5).Draw(r, "weight")
			weights[dataset.Hash(con.Principles[i].Hash())] = con.Principles[i].Weight
		}
		pairs := testPairs(rapid.IntRange(1, 4).Draw(r, "pairs"))
		var swapped []*dataset.Pair
		for _, p := range pairs {
			q := *p
			q.First, q.Second = q.Second, q.First
			swapped = append(swapped, &q)
		}
		turned := *con
		turned.Principles = slices.Clone(con.Principles)
		slices.Reverse(turned.Principles)

		var js []*dataset.Judgment
		for _, p := range pairs {
			for i := range con.Principles {
				k := dataset.Hash(con.Principles[i].Hash())
				for _, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
					for sample := range rapid.IntRange(0, 2).Draw(r, "samples") {
						odds := rapid.Float64Range(-12, 12).Draw(r, "s")
						if math.Abs(odds) < 1e-9 {
							odds = 0 // two log-probabilities cannot hold less, and its side is rounding
						}
						j := judgment(dataset.Job{Judge: testJudge.Hash()}, p.Key().Hash, dataset.Slot{Principle: k, Order: o, Sample: sample}, odds)
						j.Coverage = rapid.SampledFrom([]float64{0.05, 0.1, 0.5, 1}).Draw(r, "coverage")
						js = append(js, j)
					}
				}
			}
		}
		fill := func(s *store.Store, con *constitution.Constitution, pairs []*dataset.Pair, js []*dataset.Judgment) map[string]viewRow {
			if err := s.PutConstitution(t.Context(), con); err != nil {
				r.Fatal(err)
			}
			if err := s.PutJudge(t.Context(), testJudge); err != nil {
				r.Fatal(err)
			}
			mustImport(t, s, "f", pairs)
			for _, j := range js {
				mustAdd(t, s, j)
			}
			return labelsView(t, s, testJudge.Hash(), dataset.Hash(con.Hash()))
		}
		got := fill(s, con, pairs, js)
		want := map[string]viewRow{}
		for _, p := range pairs {
			var of []*dataset.Judgment
			for _, j := range js {
				if j.Pair == p.Key().Hash {
					of = append(of, j)
				}
			}
			if row, ok := wantLabel(p.Key(), of, weights); ok {
				want[p.Key().Hash.String()] = row
			}
		}
		if diff := cmp.Diff(want, got, close9); diff != "" {
			r.Fatal(diff)
		}
		other := fill(mirror, &turned, swapped, rapid.Permutation(js).Draw(r, "order"))
		if diff := cmp.Diff(got, other, close9); diff != "" {
			r.Fatalf("the order of rows, principles or replies matters: %s", diff)
		}
	})
}

func TestLabelsOfEachConstitutionHaveItsWeights(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	mustImport(t, s, "f", testPairs(1))
	w := pending(t, s, job)[0]
	for _, slot := range w.Slots {
		z := map[dataset.Hash]float64{job.Principles[0]: 2, job.Principles[1]: -1}[slot.Principle]
		if slot.Order == dataset.OrderBA {
			z = -z
		}
		mustAdd(t, s, judgment(job, w.Pair, slot, z))
	}
	one := testConstitution(1)
	if err := s.PutConstitution(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	heavy := testConstitution(2)
	heavy.Name, heavy.Principles[1].Weight = "heavy", 8
	if err := s.PutConstitution(t.Context(), heavy); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		con  dataset.Hash
		want float64
	}{
		{dataset.Hash(one.Hash()), 2},
		{dataset.Hash(heavy.Hash()), (2 - 8) / 9.},
	} {
		got := labelsView(t, s, job.Judge, c.con)[w.Pair.String()]
		if math.Abs(got.Z-c.want) > 1e-9 {
			t.Errorf("z %g, want %g", got.Z, c.want)
		}
	}
	list, err := s.Principles(t.Context())
	if err != nil || len(list) != 2 || list[1].Weight != 8 || list[0].Judgments != 2 || list[0].ID != "p0" {
		t.Errorf("principles %+v, %v", list, err)
	}
}

func TestJudgedFilters(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	pairs := testPairs(450) // more than two pages
	one := slices.Clone(pairs[:430])
	slices.Reverse(one)
	labelled := *pairs[3]
	labelled.P, labelled.Source.Line = 1, 77
	contrary := *pairs[3]
	contrary.P, contrary.Source.Line = 0.5, 78
	mustImport(t, s, "one", one)
	mustImport(t, s, "two", append([]*dataset.Pair{&labelled, &contrary}, pairs[430:]...))
	for _, w := range pending(t, s, job) {
		mustAdd(t, s, judgment(job, w.Pair, w.Slots[0], 1))
		if w.Pair == pairs[3].Key().Hash {
			mustAdd(t, s, judgment(job, w.Pair, w.Slots[1], 1))
		}
	}
	of := func(f store.Filter) []dataset.Hash {
		var out []dataset.Hash
		for _, j := range judged(t, s, f) {
			out = append(out, j.Key.Hash)
		}
		return out
	}
	f := store.Filter{Judge: job.Judge}
	if diff := cmp.Diff(append(keys(one), keys(pairs[430:])...), of(f)); diff != "" {
		t.Errorf("all: %s", diff)
	}
	f.Source = "two"
	if diff := cmp.Diff(append(keys(pairs[3:4]), keys(pairs[430:])...), of(f)); diff != "" {
		t.Errorf("two: %s", diff)
	}
	j := judged(t, s, f)[0]
	want := 0.75
	if pairs[3].Key().Swapped {
		want = 0.25
	}
	if j.P != want || len(j.Sources) != 2 || j.Sources[0].Line != 77 || len(j.Judgments) != 2 {
		t.Errorf("pair 3 in two: %+v", j)
	}
	f.Source = "one"
	f.Principles = job.Principles[1:]
	if diff := cmp.Diff(keys(pairs[3:4]), of(f)); diff != "" {
		t.Errorf("by principle: %s", diff)
	}
	if j := judged(t, s, f)[0]; !math.IsNaN(j.P) || len(j.Sources) != 1 || len(j.Judgments) != 1 {
		t.Errorf("pair 3 in one: %+v", j)
	}
	f.Principles = []dataset.Hash{{1}}
	if got := of(f); len(got) != 0 {
		t.Errorf("a principle that is not there gave %d pairs", len(got))
	}
	for _, f := range []store.Filter{{Judge: dataset.Hash{1}}, {Judge: job.Judge, Source: "three"}} {
		for _, err := range s.Judged(t.Context(), f) {
			if err == nil {
				t.Errorf("%+v gave no error", f)
			}
		}
	}
	list, err := s.Judges(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	info := store.JudgeInfo{Judge: testJudge, Hash: job.Judge, Judgments: 451, Pairs: 450}
	if diff := cmp.Diff(info, list[0]); diff != "" {
		t.Error(diff)
	}
}

func TestStepsComeBackByPromptAsTheyWereMade(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	var revisions []*dataset.Revision
	var critiques []*dataset.Critique
	for round := 1; round <= 250; round++ { // more than a page
		for q := range 2 {
			prompt := dataset.Prompt(fmt.Sprintf("question %d", q))
			before := dataset.Response{Text: fmt.Sprintf("reply %d", round-1)}
			after := dataset.Response{Text: fmt.Sprintf("reply %d", round), Author: "small:1b"}
			if round > 1 {
				before.Author = "small:1b"
			}
			p := 0.8
			if round == 2 {
				p = math.NaN()
			}
			r := &dataset.Revision{
				Prompt: prompt, Before: before, After: after, Round: round, Principle: job.Principles[round%2], Judge: job.Judge,
				Critique: "too long", P: p, Accepted: round%2 == 0, Created: fixedTime,
			}
			c := &dataset.Critique{
				Prompt: prompt, Response: before, Principle: r.Principle, Judge: job.Judge, Probability: 0.3, Coverage: 0.9,
				Text: "too long", Truncated: round == 3, PromptTokens: 7, Tokens: 3, Duration: fixedDuration, Created: fixedTime,
			}
			for range 2 { // the second time is nothing new
				if err := s.AddCritique(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				if err := s.AddRevision(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			revisions, critiques = append(revisions, r), append(critiques, c)
		}
	}
	byPrompt := func(i, j dataset.Conversation) int {
		a, _ := i.Text()
		b, _ := j.Text()
		return len(a) - len(b) + int(a[len(a)-1]) - int(b[len(b)-1])
	}
	slices.SortStableFunc(revisions, func(a, b *dataset.Revision) int { return byPrompt(a.Prompt, b.Prompt) })
	slices.SortStableFunc(critiques, func(a, b *dataset.Critique) int { return byPrompt(a.Prompt, b.Prompt) })
	var gotR []*dataset.Revision
	for r, err := range s.Revisions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		gotR = append(gotR, r)
	}
	if diff := cmp.Diff(revisions, gotR, nanEqual); diff != "" {
		t.Error(diff)
	}
	var gotC []*dataset.Critique
	for c, err := range s.Critiques(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		gotC = append(gotC, c)
	}
	if diff := cmp.Diff(critiques, gotC, nanEqual); diff != "" {
		t.Error(diff)
	}
	chain := shell(t, s, `WITH RECURSIVE up (id, n) AS (
		SELECT id, 0 FROM responses WHERE text = 'reply 250'
		UNION ALL SELECT r.parent, n + 1 FROM up JOIN responses r ON r.id = up.id WHERE r.parent IS NOT NULL)
		SELECT max(n) FROM up`)
	if chain[0][0] != int64(250) {
		t.Errorf("the last reply is %v revisions from its first, want 250", chain[0][0])
	}
}
