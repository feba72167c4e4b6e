package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
)

// Rules are what today's reading of answers makes of those that an older version
// stored, as far as it takes more than arithmetic to tell. They are asked once,
// when a database is brought up to date; a rule that is nil refuses nothing.
type Rules struct {
	// Thinks tells that a text holds a model's thoughts.
	Thinks func(text string) bool
	// Refuses tells that an answer, as it was given to PutAnswer, cannot be used.
	Refuses func(answer []byte) bool
}

// Doubtful counts the rows that an older version stored and today's rules refuse.
// They stay as they are and count as questions that failed; a new answer takes
// their place.
type Doubtful struct {
	Judgments int64 `json:"judgments"` // debates among them
	Critiques int64 `json:"critiques"`
	Revisions int64 `json:"revisions"`
	Grades    int64 `json:"grades"`
	Responses int64 `json:"responses"` // that revisions wrote
	Answers   int64 `json:"answers"`   // that are kept of commands, samples among them
}

// Why a text is doubtful; the other reasons are those of the migration.
const (
	doubtThoughts = "thoughts"
	saidThoughts  = "stored by an older version: the text holds thoughts of the model"
)

const countDoubtful = `
	SELECT (SELECT count(*) FROM failures f WHERE EXISTS (SELECT 1 FROM judgments g WHERE g.judge = f.judge AND g.pair = f.pair
	          AND g.principle = f.principle AND g.slot_order = f.slot_order AND g.sample = f.sample)),
	       ifnull(sum(kind = 'critiques'), 0), ifnull(sum(kind = 'revisions'), 0), ifnull(sum(kind = 'grades'), 0),
	       ifnull(sum(kind = 'responses'), 0), ifnull(sum(kind = 'answers'), 0) FROM doubts`

func (d *Doubtful) scan(row *sql.Row) error {
	return row.Scan(&d.Judgments, &d.Critiques, &d.Revisions, &d.Grades, &d.Responses, &d.Answers)
}

// NewlyDoubtful counts what was found doubtful when opening the store brought it
// up to date; it is zero where that was done before.
func (s *Store) NewlyDoubtful() Doubtful { return s.doubtful }

// mayThink is a condition that every text with thoughts in it meets, so that
// only few texts leave the database.
func mayThink(text string) string {
	return fmt.Sprintf("(instr(%[1]s, '<') OR instr(%[1]s, '[') OR instr(%[1]s, '◁') OR instr(%[1]s, 'analysis') OR %[1]s LIKE '%%here is my thought%%')", text)
}

// doubtTexts marks what holds thoughts, and kept answers that are refused. It
// runs in the transaction that brings the schema to the version with doubts.
func doubtTexts(ctx context.Context, conn *sql.Conn, r Rules) error {
	thinks := r.Thinks
	if thinks == nil {
		thinks = func(string) bool { return false }
	}
	textThinks := func(text []byte) bool { return thinks(string(text)) }
	const ofJudgment = `INSERT INTO failures (pair, principle, judge, slot_order, sample, kind, message, created)
		SELECT pair, principle, judge, slot_order, sample, '` + doubtThoughts + `', '` + saidThoughts + `', created
		FROM judgments WHERE id = ? ON CONFLICT DO NOTHING`
	of := func(kind string) string {
		return "INSERT INTO doubts VALUES ('" + kind + "', ?, '" + doubtThoughts + "') ON CONFLICT DO NOTHING"
	}
	for _, step := range []struct {
		query, mark string
		bad         func([]byte) bool
	}{
		{"SELECT id, rationale FROM judgments WHERE mode <> 'debate' AND " + mayThink("rationale"), ofJudgment, textThinks},
		{`SELECT g.id, json_extract(t.value, '$.text') AS said FROM judgments g, json_each(g.rationale, '$.turns') t
			WHERE g.mode = 'debate' AND json_valid(g.rationale) AND ` + mayThink("said"), ofJudgment, textThinks},
		{"SELECT id, text FROM critiques WHERE " + mayThink("text"), of("critiques"), textThinks},
		{"SELECT id, critique FROM revisions WHERE " + mayThink("critique"), of("revisions"), textThinks},
		{`SELECT id, text FROM responses WHERE ` + mayThink("text") + ` AND id IN
			(SELECT reply_after FROM revisions WHERE reply_after <> reply_before)`, of("responses"), textThinks},
		{"SELECT id, value FROM answers", "INSERT INTO doubts VALUES ('answers', ?, 'refused')", r.Refuses},
	} {
		if step.bad == nil {
			continue
		}
		if err := doubtEach(ctx, conn, step.query, step.mark, step.bad); err != nil {
			return err
		}
	}
	// A step that wrote thoughts, or began with those of a step before.
	_, err := conn.ExecContext(ctx, `INSERT INTO doubts SELECT 'revisions', v.id, '`+doubtThoughts+`' FROM revisions v
		WHERE EXISTS (SELECT 1 FROM doubts d WHERE d.kind = 'responses' AND d.row IN (v.reply_before, v.reply_after))
		ON CONFLICT DO NOTHING`)
	return err
}

// doubtEach marks the rows of a query, which gives ids and texts, whose text is
// bad.
func doubtEach(ctx context.Context, conn *sql.Conn, query, mark string, bad func([]byte) bool) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		var text sql.RawBytes
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		if bad(text) {
			ids = append(ids, id)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	st, err := conn.PrepareContext(ctx, mark)
	if err != nil {
		return err
	}
	defer st.Close()
	for _, id := range ids {
		if _, err := st.ExecContext(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// doubted is the condition that a row of a table is doubtful.
func doubted(table, id string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM doubts d WHERE d.kind = '%s' AND d.row = %s)", table, id)
}

// believe takes the doubt off a row, since a new answer has come, and tells
// whether there was one.
func (t *tx) believe(table string, id int64) (bool, error) {
	res, err := t.exec("DELETE FROM doubts WHERE kind = ? AND row = ?", table, id)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// makeRoom removes the doubtful rows of a table that meet a condition, since a new
// answer takes their place.
func (t *tx) makeRoom(table, condition string, args ...any) error {
	if some, err := t.someDoubts(); err != nil || !some {
		return err
	}
	st, err := t.prepare("SELECT id FROM " + table + " WHERE " + condition + " AND " + doubted(table, "id"))
	if err != nil {
		return err
	}
	rows, err := st.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, id := range ids {
		if table == "revisions" {
			// What only this step wrote is nobody's any more.
			if _, err := t.exec(`DELETE FROM doubts WHERE kind = 'responses' AND row = (SELECT reply_after FROM revisions WHERE id = ?1)
				AND NOT EXISTS (SELECT 1 FROM revisions v, revisions o WHERE o.id = ?1 AND v.prompt = o.prompt
				  AND v.reply_after = o.reply_after AND v.id <> ?1)`, id); err != nil {
				return err
			}
		}
		if _, err := t.exec("DELETE FROM "+table+" WHERE id = ?", id); err != nil {
			return err
		}
		if _, err := t.believe(table, id); err != nil {
			return err
		}
	}
	return nil
}

// someDoubts tells whether a row of these tables is doubtful, which spares most
// databases a search beside each addition.
func (t *tx) someDoubts() (bool, error) {
	var one int
	return t.one("SELECT 1 FROM doubts LIMIT 1", nil, &one)
}

// undecided are the log-probabilities of two answers of which nothing is known.
var undecided = math.Log(0.5)
