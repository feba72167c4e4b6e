package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"cai/store"
)

// shell asks the database as a person would, beside the store that has it open.
func shell(tb testing.TB, s *store.Store, query string, args ...any) [][]any {
	tb.Helper()
	db, err := sql.Open("sqlite", s.Path())
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(query, args...)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]any
	for rows.Next() {
		row := make([]any, len(cols))
		to := make([]any, len(cols))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			tb.Fatal(err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// dump gives every row of every table, in the order of their keys.
func dump(tb testing.TB, s *store.Store) map[string][]string {
	tb.Helper()
	out := map[string][]string{}
	for _, t := range shell(tb, s, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name") {
		name := t[0].(string)
		for _, row := range shell(tb, s, "SELECT * FROM "+name) {
			out[name] = append(out[name], fmt.Sprint(row...))
		}
	}
	return out
}

// The views are for people with the shell at hand, so they must need nothing
// that only the program has.
func TestTheShellCanReadTheViews(t *testing.T) {
	bin, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("no sqlite3 shell here")
	}
	s := newStore(t)
	job := testJob(t, s, 2)
	pairs := testPairs(3)
	pairs[0].P = 1
	mustImport(t, s, "f", pairs)
	for _, w := range pending(t, s, job) {
		for i, slot := range w.Slots {
			mustAdd(t, s, judgment(job, w.Pair, slot, float64(i)))
		}
	}
	for query, want := range map[string]string{
		"SELECT count(*), min(p_a > 0 AND p_a < 1), min(length(pair)) FROM labels":         "3|1|32\n",
		"SELECT source, model, principle, judgments, pairs, abstained FROM label_summary":  "f|small:1b|p0|6|3|0\nf|small:1b|p1|6|3|0\n",
		"SELECT count(*), count(p_a), min(file) FROM sources":                              "3|1|f\n",
		"SELECT count(*) FROM labels l JOIN sources s ON s.pair = l.pair WHERE s.line = 2": "1\n",
	} {
		cmd := exec.Command(bin, "-readonly", s.Path(), query)
		cmd.Stderr = os.Stderr
		got, err := cmd.Output()
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", query, got, err, want)
		}
	}
}
