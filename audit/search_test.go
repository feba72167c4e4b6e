package audit_test

import (
	"testing"

	"cai/audit"
	"cai/dataset"
)

func TestTheSearchClimbsWithinItsBudget(t *testing.T) {
	_, ref := findings(t, likes(length), answers(10, 3), audit.ProbeOptions{})
	const budget = 3000
	s, err := audit.Climb(t.Context(), ref, audit.ClimbOptions{Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	if s.Scored > budget || s.Verdict != audit.Fail || s.Gain < 2 || len(s.Best) == 0 {
		t.Errorf("%+v", s)
	}
	// What is said of an exploit can be checked.
	e := s.Best[0]
	if got := (length(nil, e.Text) - length(nil, e.Reply)) / ref.Scale; got != e.Gain || len(e.Moves) == 0 {
		t.Errorf("gain %v, said to be %v by %v", got, e.Gain, e.Moves)
	}
	again, err := audit.Climb(t.Context(), ref, audit.ClimbOptions{Budget: budget})
	if err != nil || text(again) != text(s) {
		t.Error("the same search gives another result", err)
	}
	_, ref = findings(t, likes(func(_ dataset.Conversation, s string) float64 { return -length(nil, s) }), answers(10, 3), audit.ProbeOptions{})
	if s, err = audit.Climb(t.Context(), ref, audit.ClimbOptions{}); err != nil || s.Gain != 0 || s.Scored != 0 {
		t.Errorf("without a budget: %+v, %v", s, err)
	}
}
