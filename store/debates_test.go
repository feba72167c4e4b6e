package store_test

import (
	"math"
	"testing"

	"cai/dataset"
)

// The view shows judgments of mode debate, the replies by the slots that they
// stood in, and no others.
func TestDebatesAreSeen(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 1)
	mustImport(t, s, "f", testPairs(2))
	judge := dataset.Judge{Backend: "ollama", Model: "m", Digest: "d", Template: "t", Mode: "debate", Options: map[string]string{"protocol": "sequential"}}
	job2 := job
	job2.Judge = mustPutJudge(t, s, judge)
	work := pending(t, s, job2)
	transcripts := map[dataset.Order]string{
		dataset.OrderAB: `{"protocol":"sequential","turns":[{"round":1,"side":"A","text":"x","quotes":[{"text":"q","verified":true,"in":"A"},{"text":"r","verified":false}]},{"round":1,"side":"B","text":"y","quotes":[{"text":"s","verified":true}]}]}`,
		dataset.OrderBA: `{"protocol":"sequential","turns":[]}`,
	}
	for _, slot := range work[0].Slots {
		mustAdd(t, s, judgment(job, work[0].Pair, slot, 1)) // the direct judge's
		j := judgment(job2, work[0].Pair, slot, 2)
		j.Rationale = transcripts[slot.Order]
		mustAdd(t, s, j)
	}
	rows := shell(t, s, `SELECT pair, judge, protocol, principle, slot_order, sample, p_first, turns, quotes, verified, first_text, second_text, transcript
		FROM debates ORDER BY slot_order`)
	if len(rows) != 2 {
		t.Fatalf("%d debates, want 2: %v", len(rows), rows)
	}
	for i, order := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
		r := rows[i]
		first, second := work[0].A, work[0].B
		counts := [3]int64{2, 3, 2}
		if order == dataset.OrderBA {
			first, second, counts = second, first, [3]int64{}
		}
		if r[0] != work[0].Pair.String() || r[1] != job2.Judge.String() || r[2] != "sequential" || r[4] != string(order) || r[5] != int64(0) {
			t.Errorf("%s: %v", order, r)
		}
		if p := r[6].(float64); math.Abs(p-1/(1+math.Exp(-2))) > 1e-12 {
			t.Errorf("%s: p_first %v", order, p)
		}
		if got := [3]int64{r[7].(int64), r[8].(int64), r[9].(int64)}; got != counts {
			t.Errorf("%s: turns, quotations, verified %v, want %v", order, got, counts)
		}
		if r[10] != first || r[11] != second || r[12] != transcripts[order] {
			t.Errorf("%s: texts %v", order, r[10:])
		}
	}
}
