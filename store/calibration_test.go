package store_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cai/dataset"
	"cai/store"
)

// The votes of single people come back as votes for reply a, whichever of the
// replies stood first in the file; changed votes are a changed file.
func TestVotesComeBackForA(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	nan := math.NaN()
	votes := []float64{1, 0, 0.5, nan}
	pair := func(first, second string) *dataset.Pair {
		return &dataset.Pair{
			Prompt: dataset.Prompt("q"), First: dataset.Response{Text: first}, Second: dataset.Response{Text: second},
			P: 0.5, Votes: votes, Source: dataset.Source{File: "f", Line: 1},
		}
	}
	for _, p := range []*dataset.Pair{pair("one", "two"), pair("two", "one")} {
		want := []float64{1, 0, 0.5, nan}
		if p.Key().Swapped {
			want = []float64{0, 1, 0.5, nan}
		}
		if imp := mustImport(t, s, "f", []*dataset.Pair{p}); imp.Unchanged {
			t.Fatalf("import %+v", imp)
		}
		mustAdd(t, s, judgment(job, p.Key().Hash, dataset.Slot{Principle: job.Principles[0], Order: dataset.OrderAB}, 1))
		for _, got := range judged(t, s, store.Filter{Judge: job.Judge}) {
			if !cmp.Equal(got.Votes, want, cmpopts.EquateNaNs()) {
				t.Errorf("votes %v, want %v", got.Votes, want)
			}
			if len(got.Swapped) != 1 || got.Swapped[0] != p.Key().Swapped {
				t.Errorf("swapped %v, want %v", got.Swapped, p.Key().Swapped)
			}
		}
	}
}

func TestTheNewestCalibrationCounts(t *testing.T) {
	s := newStore(t)
	j := mustPutJudge(t, s, dataset.Judge{Backend: "ollama", Model: "m", Mode: "token"})
	subject := dataset.HashOf("subject", "one")
	if _, ok, err := s.Calibration(t.Context(), subject); ok || err != nil {
		t.Fatalf("a calibration of nothing: %v, %v", ok, err)
	}
	for _, c := range []store.Calibration{
		{Subject: subject, Judge: j, Method: "temperature", Params: json.RawMessage(`{"slope":1}`), Figures: json.RawMessage(`{}`), Gold: []string{"g"}, N: 3},
		{Subject: subject, Method: "isotonic", Params: json.RawMessage(`{"x":[1]}`), Figures: json.RawMessage(`{"ece":0.1}`), Gold: []string{"g", "h"}, N: 4},
	} {
		if err := s.PutCalibration(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		got, ok, err := s.Calibration(t.Context(), subject)
		if err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
		if got.Created.IsZero() {
			t.Error("no time")
		}
		got.Created = c.Created
		if d := cmp.Diff(&c, got); d != "" {
			t.Error(d)
		}
	}
}
