package store_test

import (
	"testing"

	"cai/dataset"
	"cai/store"
)

// A reply is found in each pair that the judge has judged, on its side, and in
// no other.
func TestJudgedReplies(t *testing.T) {
	s := newStore(t)
	con := testConstitution(2)
	if err := s.PutConstitution(t.Context(), con); err != nil {
		t.Fatal(err)
	}
	judge := mustPutJudge(t, s, testJudge)
	other := testJudge
	other.Digest = "sha256:99"
	mustPutJudge(t, s, other)
	// Three replies to one prompt make three pairs, of which the last is not judged.
	prompt := dataset.Prompt("question")
	replies := []string{"one", "two", "three"}
	var pairs []*dataset.Pair
	for i := range 3 {
		p := testPair(0)
		p.Prompt = prompt
		p.First.Text, p.Second.Text = replies[i], replies[(i+1)%3]
		p.Source.Line = i + 1
		pairs = append(pairs, p)
	}
	mustImport(t, s, "test.jsonl", pairs)
	add := func(p *dataset.Pair, judge dataset.Hash, principle int) {
		err := s.AddJudgment(t.Context(), &dataset.Judgment{
			Pair: p.Key().Hash, Principle: hashes(con)[principle], Judge: judge, Order: dataset.OrderAB, LPFirst: -1, LPSecond: -2, LPTie: -3, Coverage: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add(pairs[0], judge, 0)
	add(pairs[0], judge, 1)
	add(pairs[1], judge, 0)
	add(pairs[2], other.Hash(), 0)
	var keys []dataset.Hash
	for _, r := range replies {
		keys = append(keys, dataset.ResponseHash(prompt.Hash(), r))
	}
	asked := append([]dataset.Hash{dataset.HashOf("nobody")}, keys...)
	got, err := s.JudgedReplies(t.Context(), store.Filter{Judge: judge}, asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d replies were found, want 3", len(got))
	}
	for i, want := range [][]*dataset.Pair{{pairs[0]}, {pairs[0], pairs[1]}, {pairs[1]}} {
		if len(got[keys[i]]) != len(want) {
			t.Fatalf("reply %d is in %d pairs, want %d", i, len(got[keys[i]]), len(want))
		}
		for k, in := range got[keys[i]] {
			if first := want[k].Key().A == keys[i]; in.First != first || in.Judgments[0].Pair != want[k].Key().Hash {
				t.Errorf("reply %d, pair %d: %+v", i, k, in)
			}
		}
	}
	one, err := s.JudgedReplies(t.Context(), store.Filter{Judge: judge, Principles: hashes(con)[1:]}, asked)
	if err != nil || len(one) != 2 || len(one[keys[0]][0].Judgments) != 1 {
		t.Errorf("under the second principle: %v, %v", one, err)
	}
	if none, err := s.JudgedReplies(t.Context(), store.Filter{Judge: judge, Principles: []dataset.Hash{dataset.HashOf("new")}}, asked); err != nil || len(none) != 0 {
		t.Errorf("under a principle that the store does not know: %v, %v", none, err)
	}
	if _, err := s.JudgedReplies(t.Context(), store.Filter{Judge: dataset.HashOf("new")}, asked); err == nil {
		t.Error("a judge that the store does not know")
	}
}
