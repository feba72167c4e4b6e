package store_test

import (
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/llm"
	"cai/store"
)

// todays are the rules of the program, as far as these tests need them.
var todays = store.Rules{
	Thinks: func(text string) bool {
		_, answer, closed := llm.Thoughts(text)
		return !closed || answer != text
	},
	Refuses: func(answer []byte) bool { return strings.Contains(string(answer), "refuse me") },
}

// older makes a database of the schema that had no doubts, with a pair, two
// principles and a judge of each mode, and runs statements on it.
func older(tb testing.TB, path string, fill func(exec func(query string, args ...any))) {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(query string, args ...any) {
		if _, err := db.Exec(query, args...); err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
	}
	names, err := filepath.Glob("migrations/000[1-8]_*.sql")
	if err != nil || len(names) != 8 {
		tb.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		exec(string(b))
	}
	exec("PRAGMA application_id = 0x63616931")
	exec("PRAGMA user_version = 8")
	exec("BEGIN")
	exec("INSERT INTO prompts VALUES (1, ?, 'text', 'q')", hashOf(dataset.Prompt("q").Hash()))
	for i, text := range []string{"one", "two"} {
		exec("INSERT INTO responses (id, hash, prompt, text) VALUES (?, ?, 1, ?)", i+1, hashOf(dataset.ResponseHash(dataset.Prompt("q").Hash(), text)), text)
	}
	exec("INSERT INTO pairs VALUES (1, ?, 1, 1, 2, 7)", hashOf(oldPair()))
	for i, h := range hashes(testConstitution(2)) {
		exec("INSERT INTO principles VALUES (?, ?, 'p', 'p', 'c', 'r', 'w', '', 1)", i+1, hashOf(h))
	}
	for i, mode := range oldModes {
		exec("INSERT INTO judges VALUES (?, ?, 'ollama', 'm', '', '', ?, '{}', 0)", i+1, hashOf(oldJudge(mode).Hash()), mode)
	}
	fill(exec)
	exec("COMMIT")
}

var oldModes = []string{"token", "vote", "cot", "debate"}

func oldJudge(mode string) dataset.Judge {
	return dataset.Judge{Backend: "ollama", Model: "m", Mode: mode}
}

func hashOf(h dataset.Hash) []byte { return h[:] }

func oldPair() dataset.Hash {
	p := &dataset.Pair{Prompt: dataset.Prompt("q"), First: dataset.Response{Text: "one"}, Second: dataset.Response{Text: "two"}}
	return p.Key().Hash
}

// oldRow is a judgment as the older version stored it.
type oldRow struct {
	mode          string
	first, second float64
	coverage      float64
	censored      bool
	rationale     string
	wrong         bool // as it was made: not by the rule
}

func (r *oldRow) insert(exec func(string, ...any), sample int) {
	var rationale any
	if r.rationale != "" {
		rationale = r.rationale
	}
	exec(`INSERT INTO judgments (pair, principle, judge, slot_order, sample, mode, lp_first, lp_second, coverage, censored, prompt_tokens, milliseconds, rationale, created)
		SELECT 1, 1, id, 'ab', ?, mode, ?, ?, ?, ?, 5, 5, ?, 1700000000000 FROM judges WHERE mode = ?`, sample, r.first, r.second, r.coverage, r.censored, rationale, r.mode)
}

// listed draws what a server lists of two answers: the probabilities leave
// something, or nothing, for other tokens, and servers round their logarithms to
// as few as two decimals, which takes their sum a little above 1.
func listed(t *rapid.T) (first, second, sum float64) {
	all := rapid.Float64Range(1e-6, 1).Draw(t, "all")
	share := rapid.OneOf(rapid.Just(0.5), rapid.Float64Range(1e-9, 1-1e-9)).Draw(t, "share")
	round := math.Pow(10, float64(rapid.IntRange(2, 12).Draw(t, "decimals")))
	lp := func(p float64) float64 { return math.Round(math.Log(p)*round) / round }
	first, second = lp(all*share), lp(all*(1-share))
	return first, second, min(math.Exp(first)+math.Exp(second), 1)
}

// soundRow draws what each mode stores of an answer that tells something.
//
// Token, cot and debate read two listed answers, or one and a bound: the least
// that was listed, which is less than the one. Votes are a posterior, whose two
// shares sum to 1. A rationale may speak of thoughts and may hold those that came
// in a field of their own, without marks.
func soundRow(t *rapid.T) oldRow {
	r := oldRow{mode: rapid.SampledFrom(oldModes).Draw(t, "mode")}
	switch {
	case r.mode == "vote":
		n := rapid.IntRange(1, 32).Draw(t, "votes")
		named := rapid.IntRange(1, n).Draw(t, "named")
		a := float64(rapid.IntRange(0, named).Draw(t, "first"))
		r.first = math.Log((a + 0.5) / (float64(named) + 1))
		r.second = math.Log((float64(named) - a + 0.5) / (float64(named) + 1))
		r.coverage = float64(named) / float64(n)
	case rapid.Bool().Draw(t, "both"):
		r.first, r.second, r.coverage = listed(t)
	default:
		p := rapid.Float64Range(0.01, 1).Draw(t, "p")
		r.first, r.coverage, r.censored = math.Log(p), p, true
		r.second = math.Log(min(p*0.99, 1-p)*rapid.Float64Range(1e-9, 1).Draw(t, "least") + 1e-300)
		if rapid.Bool().Draw(t, "swapped") {
			r.first, r.second = r.second, r.first
		}
	}
	harmless := rapid.SampledFrom([]string{
		"A is < B", "[A] says <b>more</b>.", "The tag `<think>` is closed by `</think>`.", "Reply A has an analysis.", "Okay, let me see.\n\nA is better.",
	}).Draw(t, "text")
	r.reason(harmless)
	return r
}

// reason sets a rationale in the form of the mode.
func (r *oldRow) reason(text string) {
	switch r.mode {
	case "cot":
		r.rationale = text
	case "debate":
		r.rationale = fmt.Sprintf(`{"protocol":"sequential","turns":[{"round":1,"side":"A","text":"x","quotes":[]},{"round":1,"side":"B","text":%q,"quotes":[]}]}`, text)
	}
}

// wrongRow draws what the older version made of answers that tell nothing.
func wrongRow(t *rapid.T) oldRow {
	r := soundRow(t)
	r.wrong = true
	switch rapid.SampledFrom([]string{"null", "spelled", "one", "none", "thoughts"}).Draw(t, "fault") {
	case "null": // was read as 0, beside the other answer or a bound for it
		r.first, r.second = math.Log(rapid.Float64Range(0.011, 1).Draw(t, "other")), 0
		r.coverage, r.censored = 1, rapid.Bool().Draw(t, "censored")
	case "spelled": // beside another spelling of the same answer
		r.first, r.second = -9, math.Log1p(rapid.Float64Range(0.011, 1).Draw(t, "spelled"))
		r.coverage, r.censored = 1, false
	case "one": // answer is listed, and the other took its probability
		r.coverage = rapid.Float64Range(1e-6, 1).Draw(t, "p")
		r.first, r.censored = math.Log(r.coverage), true
		r.second = r.first
	case "none":
		r.first, r.second = math.Log(0.5), math.Log(0.5)
		r.coverage, r.censored = 0, rapid.Bool().Draw(t, "censored")
	case "thoughts":
		r.mode = rapid.SampledFrom([]string{"cot", "debate"}).Draw(t, "mode")
		r.reason(rapid.SampledFrom([]string{
			"<think>Hm.</think> A.", " <seed:think>Hm", "[THINK]Hm.[/THINK] A.", "◁think▷Hm.◁/think▷ A.", "Hm. So A wins.\n</think>\nA.",
			"<|channel|>analysis<|message|>Hm.<|end|>A.", "analysisHm, we need to choose.assistantfinalA.", "Here is my thought process: Hm. Here is my response: A.",
			"<|begin_of_thought|>Hm.<|end_of_thought|> A.", "<reasoning>Hm.</reasoning>A.", "\t<Thinking>Hm",
		}).Draw(t, "thoughts"))
	}
	return r
}

// Rows of every mode that tell something are never doubted and those that tell
// nothing always are, by the rule of the program.
func TestWhatIsDoubted(t *testing.T) {
	t.Parallel()
	var rows []oldRow
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			r := rapid.OneOf(rapid.Custom(soundRow), rapid.Custom(wrongRow)).Draw(rt, "row")
			rows = append(rows, r)
			byRule := llm.DoubtOf([]float64{r.first, r.second}, r.coverage, r.censored) != ""
			certain := r.censored && max(r.first, r.second) == 0 && math.Exp(r.first)+math.Exp(r.second) > 1.01
			if thinks := r.rationale != "" && strings.Contains(r.rationale, "Hm"); (byRule || certain || thinks) != r.wrong {
				rt.Fatalf("the rule says %v of %+v", byRule, r)
			}
		}
	})
	path := filepath.Join(t.TempDir(), "cai.db")
	older(t, path, func(exec func(string, ...any)) {
		for i := range rows {
			rows[i].insert(exec, i)
		}
	})
	s, err := store.Open(t.Context(), path, todays)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wrong := int64(0)
	for i, got := range shell(t, s, "SELECT EXISTS (SELECT 1 FROM sound_judgments s WHERE s.id = g.id) FROM judgments g ORDER BY id") {
		if doubted := got[0].(int64) == 0; doubted != rows[i].wrong {
			t.Errorf("doubted %v: %+v", doubted, rows[i])
		}
		if rows[i].wrong {
			wrong++
		}
	}
	if got := s.NewlyDoubtful(); got != (store.Doubtful{Judgments: wrong}) || wrong == 0 || wrong == int64(len(rows)) {
		t.Errorf("found %+v, want %d of %d judgments", got, wrong, len(rows))
	}
}

// oldMixture has a sound and a wrong row of every table, and one of each that is
// at the edge.
func oldMixture(exec func(string, ...any)) {
	sound := oldRow{mode: "token", first: math.Log(0.7), second: math.Log(0.2), coverage: 0.9}
	null := oldRow{mode: "token", first: math.Log(0.9), second: 0, coverage: 1}
	sound.insert(exec, 0)
	null.insert(exec, 1)
	// That it had failed before it was judged was forgotten; that another one failed stays.
	exec("INSERT INTO failures VALUES (1, 1, 2, 1, 'ab', 0, 'timeout', 'late', 1)")
	exec("INSERT INTO stops VALUES (1, 1, 1, zeroblob(16), 0.01, 1), (2, 1, 2, zeroblob(16), 0.01, 1)")
	for i, c := range []struct {
		p, coverage float64
		text        string
	}{{0.7, 0.9, "fine"}, {0.5, 0, "fine"}, {0.5, 0.98, "as sure of both"}, {0.7, 0.9, "<think>Hm.</think>fine"}} {
		exec("INSERT INTO critiques VALUES (?1, randomblob(16), 1, 1, 1, 1, ?2, ?3, ?4, 0, 1, 1, 1, 1)", i+1, c.p, c.coverage, c.text)
	}
	exec("INSERT INTO responses (id, hash, prompt, text) VALUES (3, randomblob(16), 1, '<think>A user''s own'), (4, randomblob(16), 1, '<think>Hm'), (5, randomblob(16), 1, 'mended')")
	for i, v := range [][2]int{{1, 5}, {1, 4}, {4, 5}, {3, 3}, {3, 5}} { // one is of thoughts, one begins with them; a user's own are no matter
		exec("INSERT INTO revisions VALUES (?1, randomblob(16), 1, ?2, ?3, ?4, 1, 1, 'c', 0.6, 1, 1)", i+1, v[0], v[1], i+1)
	}
	exec("INSERT INTO rubrics VALUES (1, zeroblob(16), 'r', '', 1)")
	for i, g := range []struct {
		distribution string
		score        float64
		coverage     float64
		judge        int
	}{
		{"[0.1,0.9]", 0.9, 0.9, 1},
		{"[0.5,0.5]", 0.5, 0.9, 1},
		{"[0.25,0.5,0.25]", 0.5, 0.9, 1},
		{"[0.2,0.2,0.2,0.2,0.2]", 0.5, 1, 5},
		{"[0.2,0.2,0.2,0.2,0.2]", 0.5, 0.98, 1},
		{"[0.1,0.9]", 0.9, 0, 1},
	} {
		if i == 0 {
			exec(`INSERT INTO judges VALUES (5, zeroblob(16), 'ollama', 'm', '', '', 'grade', '{"votes":"5"}', 0)`)
		}
		exec("INSERT INTO grades VALUES (?1, 1, 1, ?2, 1, zeroblob(16), 'c', ?1, ?3, ?4, ?5, NULL, 0, 1, 1, 1)", i+1, g.judge, g.distribution, g.score, g.coverage)
	}
	exec("INSERT INTO answers VALUES (1, ?, 'refuse me', 1), (2, randomblob(16), 'fine', 1)", hashOf(dataset.HashOf("k")))
}

func TestEveryTableIsHeldAgainstTheRules(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cai.db")
	older(t, path, oldMixture)
	want := store.Doubtful{Judgments: 1, Critiques: 2, Revisions: 2, Grades: 2, Responses: 1, Answers: 1}
	for _, found := range []store.Doubtful{want, {}} { // once
		s, err := store.Open(t.Context(), path, todays)
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Status(t.Context())
		if err != nil || st.Doubtful != want || st.Judgments != 2 || st.Critiques != 4 || st.Failed != 2 || s.NewlyDoubtful() != found {
			t.Errorf("%+v, found %+v, %v", st, s.NewlyDoubtful(), err)
		}
		rows := shell(t, s, "SELECT kind || row FROM doubts UNION ALL SELECT 'stops' || id FROM stops ORDER BY 1")
		if got := fmt.Sprint(rows); got != "[[answers1] [critiques2] [critiques4] [grades5] [grades6] [responses4] [revisions2] [revisions3] [stops2]]" {
			t.Error(got)
		}
		n := 0
		for r, err := range s.Revisions(t.Context()) {
			if err != nil || strings.Contains(r.After.Text, "Hm") {
				t.Error(r, err)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d revisions are given", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A doubtful judgment is read as one without mass, counts as a failure, and gives
// its place to the next answer; a failure in between changes nothing.
func TestADoubtfulJudgmentIsAskedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cai.db")
	older(t, path, func(exec func(string, ...any)) {
		oldMixture(exec)
		exec("INSERT INTO files (id, name, import, rows, pairs) VALUES (1, 'f', 1, 1, 1)")
		exec("INSERT INTO imports VALUES (1, 1, 1)")
		exec("INSERT INTO source_rows (import, seq, pair, line, sub, swapped) VALUES (1, 0, 1, 1, 0, 0)")
	})
	s := mustOpen(t, path)
	judge := oldJudge("token").Hash()
	principle := hashes(testConstitution(2))[0]
	job := dataset.Job{Judge: judge, Principles: []dataset.Hash{principle}, Orders: []dataset.Order{dataset.OrderAB}, Samples: 2}
	both := func() []dataset.Judgment { return judged(t, s, store.Filter{Judge: judge})[0].Judgments }
	js := both()
	if js[0].Doubt != "" || js[0].Coverage != 0.9 || js[1].Doubt != "off_format" || js[1].Coverage != 0 || js[1].LogOdds() != 0 {
		t.Errorf("%+v", js)
	}
	if p, err := s.Plan(t.Context(), job); err != nil || p.Done != 1 || p.Failed != 1 {
		t.Errorf("plan %+v, %v", p, err)
	}
	if w := pending(t, s, job); len(w) != 0 {
		t.Errorf("pending without being asked for: %+v", w)
	}
	job.RetryFailed = true
	w := pending(t, s, job)
	slot := dataset.Slot{Principle: principle, Order: dataset.OrderAB, Sample: 1}
	if len(w) != 1 || len(w[0].Slots) != 1 || w[0].Slots[0] != slot {
		t.Fatalf("pending %+v", w)
	}
	if err := s.AddFailure(t.Context(), &dataset.Failure{Pair: oldPair(), Principle: principle, Judge: judge, Order: slot.Order, Sample: 1, Kind: "timeout"}); err != nil {
		t.Fatal(err)
	}
	if js := both(); js[1].Doubt != "timeout" || js[1].Coverage != 0 {
		t.Errorf("after a failure %+v", js[1])
	}
	for _, odds := range []float64{1, 2} { // the second is one too many
		mustAdd(t, s, judgment(job, oldPair(), slot, odds))
	}
	if js := both(); len(js) != 2 || js[1].Doubt != "" || js[1].Coverage != 0.9 || math.Abs(js[1].LogOdds()-1) > 1e-9 {
		t.Errorf("asked again %+v", js)
	}
	if st, err := s.Status(t.Context()); err != nil || st.Doubtful.Judgments != 0 || st.Failed != 1 || st.Judgments != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	key := dataset.HashOf("k")
	for _, value := range []string{"new", "one too many"} {
		if err := s.PutAnswer(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if v, doubtful, ok, err := s.Answer(t.Context(), key); string(v) != "refuse me" || doubtful || !ok || err != nil {
		t.Errorf("without rules %q, %v, %v", v, doubtful, err)
	}
}

// A new critique takes the place of the doubtful ones of its question, and a new
// step that of a doubtful one and of what began from it.
func TestDoubtfulStepsGiveTheirPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cai.db")
	older(t, path, oldMixture)
	s, err := store.Open(t.Context(), path, todays)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	judge, principle := oldJudge("token").Hash(), hashes(testConstitution(2))[0]
	c := &dataset.Critique{
		Prompt: dataset.Prompt("q"), Response: dataset.Response{Text: "one"}, Principle: principle, Judge: judge,
		Probability: 0.6, Coverage: 0.8, Text: "anew", Created: fixedTime,
	}
	r := &dataset.Revision{
		Prompt: c.Prompt, Before: c.Response, After: dataset.Response{Text: "clean"}, Round: 2, Principle: principle, Judge: judge,
		Critique: "c", P: 0.7, Accepted: true, Created: fixedTime,
	}
	for range 2 {
		if err := s.AddCritique(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := s.AddRevision(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	st, err := s.Status(t.Context())
	want := store.Doubtful{Judgments: 1, Grades: 2, Answers: 1}
	if err != nil || st.Doubtful != want || st.Critiques != 3 || st.Revisions != 4 {
		t.Errorf("%+v, %d critiques, %d revisions, %v", st.Doubtful, st.Critiques, st.Revisions, err)
	}
	// The same words with another verdict: the last one stands.
	c.Probability = 0.2
	if err := s.AddCritique(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var ps []float64
	for got, err := range s.Critiques(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, got.Probability)
	}
	if fmt.Sprint(ps) != "[0.7 0.5 0.2]" {
		t.Errorf("critiques with %v", ps)
	}
}
