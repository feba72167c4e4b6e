package rm_test

import (
	"context"
	"strings"
	"testing"

	"cai/dataset"
	"cai/rm"
)

func smallestEdit(t *testing.T, m *rm.Model, p *dataset.Pair, upTo int) *rm.Edit {
	t.Helper()
	x, err := m.ExplainPair(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.SmallestEdit(context.Background(), p, x, upTo)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSmallestEditTurnsThePreference(t *testing.T) {
	for _, name := range []string{"linear", "mlp", "ensemble"} {
		m := trained(t, name).m
		flips := 0
		for _, p := range makePairs(32, few(20, 4)) {
			before, _, _ := margin(t, m, p)
			e := smallestEdit(t, m, p, 15)
			if !e.Flips {
				continue
			}
			flips++
			q := *p
			old, edited := p.First.Text, &q.First.Text
			if e.Reply == 1 {
				old, edited = p.Second.Text, &q.Second.Text
			}
			*edited = e.Text
			if after, _, _ := margin(t, m, &q); after != e.Margin || after*before >= 0 {
				t.Errorf("%s: margin %v became %v, the edit says %v", name, before, after, e.Margin)
			}
			was, is := strings.Fields(old), strings.Fields(e.Text)
			if len(was)-len(is) != e.Words || e.Words > 15 || len(is) == 0 {
				t.Errorf("%s: %d words taken from %q: %q", name, e.Words, old, e.Text)
			}
			for _, w := range is { // what is left stands in the order in which it stood
				for len(was) > 0 && was[0] != w {
					was = was[1:]
				}
				if len(was) == 0 {
					t.Fatalf("%s: %q is no part of %q", name, e.Text, old)
				}
				was = was[1:]
			}
		}
		if flips == 0 {
			t.Errorf("%s: no pair was turned", name)
		}
	}
}

func TestSmallestEditTakesTheWordThatDecides(t *testing.T) {
	m, _ := mustTrain(t, makePairs(33, 400), rm.Options{Features: []string{rm.FeatureHash}})
	p := &dataset.Pair{
		First:  dataset.Response{Text: "the river tells of honest paths. many stones turn under low winds."},
		Second: dataset.Response{Text: "the river tells of fair paths. many stones turn under low winds."},
	}
	// Without its good word either reply is worse than the other.
	if e := smallestEdit(t, m, p, 5); !e.Flips || e.Words != 1 || e.Removed[0] != []string{"honest", "fair"}[e.Reply] {
		t.Errorf("edit %+v", e)
	}
}

func TestNoEditIsSaidToBeNone(t *testing.T) {
	m, _ := mustTrain(t, makePairs(34, 300), rm.Options{Features: []string{rm.FeatureHash}})
	p := &dataset.Pair{First: dataset.Response{Text: "kind clear honest patient thorough"}, Second: dataset.Response{Text: "rude vague false hasty sloppy reckless"}}
	if e := smallestEdit(t, m, p, 2); e.Flips || e.UpTo != 2 || e.Text != "" {
		t.Errorf("edit %+v", e)
	}
	q := &dataset.Pair{First: dataset.Response{Text: "same"}, Second: dataset.Response{Text: "same"}}
	if e := smallestEdit(t, m, q, 2); e != nil {
		t.Errorf("of a pair without a preference: %+v", e)
	}
}
