package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"
	"unicode/utf8"

	"cai/dataset"
)

// A batch of an import is written in one transaction: large enough to pay for
// its commit, small enough that other writers do not wait for long.
const (
	batchPairs = 500
	batchBytes = 4 << 20
)

// abandoned is how long an import may lie untouched before another import of
// the same file takes its rows away.
const abandoned = 24 * time.Hour

// Import says what an import found and what of it was new.
type Import struct {
	File      int64 // the file's id, for [dataset.Job]
	Records   int64 // records read
	Pairs     int64 // different pairs of the file
	New       int64 // of those, pairs the store did not know
	Identical int64 // pairs whose replies are byte for byte the same: not stored
	Longest   int   // bytes of a prompt and both replies, at most
	// Recalled counts new pairs that the store has without their tool calls, as
	// versions that did not read them stored them.
	Recalled int64
	// Unchanged tells that the file has the pairs it had when it was last
	// imported, so nothing was written.
	Unchanged bool
}

// ImportPairs stores the pairs of a file, in their order, under the file's
// name. The rows become the file's only when the sequence has ended without an
// error, and then take the place of those it had; an import that was broken off
// changes none of them and can simply be done again. A label that the source
// gives is kept with the row. progress, if set, is called with the number of
// pairs read, now and then and at the end.
func (s *Store) ImportPairs(ctx context.Context, name string, pairs iter.Seq2[*dataset.Pair, error], progress func(done int64)) (Import, error) {
	if progress == nil {
		progress = func(int64) {}
	}
	m := &importer{s: s, ctx: ctx, name: name}
	if err := m.begin(); err != nil {
		return Import{}, err
	}
	var read int64
	line := -1
	for p, err := range pairs {
		if err != nil {
			return Import{}, err
		}
		if err := ctx.Err(); err != nil {
			return Import{}, err
		}
		read++
		if p.Source.Line != line {
			line = p.Source.Line
			m.out.Records++
		}
		if err := m.add(p); err != nil {
			return Import{}, err
		}
		if len(m.batch) == 0 {
			progress(read)
		}
	}
	if err := m.flush(); err != nil {
		return Import{}, err
	}
	if err := m.finish(); err != nil {
		return Import{}, err
	}
	progress(read)
	return m.out, nil
}

// importer reads a file's pairs beside the rows that it has. As long as both
// agree nothing is written; at the first difference it starts an import of its
// own and copies what agreed.
type importer struct {
	s    *Store
	ctx  context.Context
	name string
	out  Import

	current sql.NullInt64 // the import whose rows are the file's
	staging int64         // the import that is being written, 0 while both agree
	seq     int64         // rows so far
	batch   []sourceRow
	bytes   int
	seen    bitset
}

// sourceRow is a row of a file on its way into the store.
type sourceRow struct {
	pair  *dataset.Pair
	key   dataset.PairKey
	pA    any    // float64 or nil
	votes string // a JSON list, or empty
	extra string
}

func (m *importer) begin() error {
	return m.s.write(m.ctx, "import "+m.name, func(t *tx) error {
		if _, err := t.exec("INSERT INTO files (name) VALUES (?) ON CONFLICT DO NOTHING", m.name); err != nil {
			return err
		}
		_, err := t.one("SELECT id, import FROM files WHERE name = ?", []any{m.name}, &m.out.File, &m.current)
		return err
	})
}

func (m *importer) add(p *dataset.Pair) error {
	row := sourceRow{pair: p, key: p.Key()}
	if row.key.A == row.key.B {
		m.out.Identical++
		return nil
	}
	if !utf8.ValidString(p.First.Text) || !utf8.ValidString(p.Second.Text) || !validPrompt(p.Prompt) {
		return &dataset.RecordError{File: p.Source.File, Line: p.Source.Line, Reason: "not valid UTF-8 text"}
	}
	if !math.IsNaN(p.P) {
		if p.P < 0 || p.P > 1 {
			return &dataset.RecordError{File: p.Source.File, Line: p.Source.Line, Reason: fmt.Sprintf("probability %g is not between 0 and 1", p.P)}
		}
		row.pA = p.P
		if row.key.Swapped {
			row.pA = 1 - p.P
		}
	}
	if len(p.Votes) > 0 {
		row.votes = encodeVotes(p.Votes, row.key.Swapped)
	}
	if len(p.Source.Extra) > 0 {
		b, err := p.Source.Extra.MarshalJSON()
		if err != nil {
			return &dataset.RecordError{File: p.Source.File, Line: p.Source.Line, Reason: err.Error()}
		}
		row.extra = string(b)
	}
	bytes := len(p.First.Text) + len(p.Second.Text)
	for i := range p.Prompt {
		bytes += len(p.Prompt[i].Content)
	}
	m.out.Longest = max(m.out.Longest, bytes)
	m.batch = append(m.batch, row)
	m.bytes += bytes + len(row.extra) + 200
	if len(m.batch) >= batchPairs || m.bytes >= batchBytes {
		return m.flush()
	}
	return nil
}

func validPrompt(c dataset.Conversation) bool {
	for i := range c {
		if !utf8.ValidString(c[i].Role) || !utf8.ValidString(c[i].Content) {
			return false
		}
	}
	return true
}

// flush stores the batch, or only compares it with the rows that are there.
func (m *importer) flush() error {
	if len(m.batch) == 0 {
		return nil
	}
	rows := m.batch
	if m.staging == 0 && m.current.Valid {
		same, err := m.compare(rows)
		if err != nil {
			return err
		}
		rows = rows[same:]
	}
	if len(rows) > 0 {
		if err := m.stage(); err != nil {
			return err
		}
		if err := m.write(rows); err != nil {
			return err
		}
	}
	m.batch, m.bytes = m.batch[:0], 0
	return nil
}

// compare counts how many of rows, from the first on, stand in the file's
// current import as they are, and goes past them.
func (m *importer) compare(rows []sourceRow) (same int, err error) {
	have, err := m.s.read.QueryContext(m.ctx, `
		SELECT p.id, p.hash, s.line, s.sub, s.swapped, s.p_a, ifnull(s.votes, ''), s.record, s.extra, ifnull(a.author, ''), ifnull(b.author, '')
		FROM source_rows s JOIN pairs p ON p.id = s.pair
		JOIN responses a ON a.id = p.a JOIN responses b ON b.id = p.b
		WHERE s.import = ? AND s.seq >= ? ORDER BY s.seq LIMIT ?`, m.current.Int64, m.seq, len(rows))
	if err != nil {
		return 0, m.s.failed("import "+m.name, err)
	}
	defer have.Close()
	for same < len(rows) && have.Next() {
		var (
			id               int64
			hash             dataset.Hash
			line, sub        int
			swapped          bool
			pA               sql.NullFloat64
			votes            string
			record, extra    sql.NullString
			authorA, authorB string
		)
		if err := have.Scan(&id, hashInto(&hash), &line, &sub, &swapped, &pA, &votes, &record, &extra, &authorA, &authorB); err != nil {
			return 0, m.s.failed("import "+m.name, err)
		}
		r := &rows[same]
		a, b := r.replies()
		src := &r.pair.Source
		if r.key.Hash != hash || line != src.Line || sub != src.Sub || swapped != r.key.Swapped ||
			!sameP(pA, r.pA) || votes != r.votes || record.String != src.ID || extra.String != r.extra ||
			authorA == "" && a.Author != "" || authorB == "" && b.Author != "" {
			break
		}
		m.seq++
		same++
		if m.seen.add(id) {
			m.out.Pairs++
		}
	}
	return same, m.s.failed("import "+m.name, have.Err())
}

// replies gives replies a and b.
func (r *sourceRow) replies() (a, b *dataset.Response) {
	if r.key.Swapped {
		return &r.pair.Second, &r.pair.First
	}
	return &r.pair.First, &r.pair.Second
}

func sameP(have sql.NullFloat64, want any) bool {
	w, ok := want.(float64)
	return have.Valid == ok && (!ok || have.Float64 == w)
}

// stage starts an import beside the file's current one, with a copy of the rows
// that agreed.
func (m *importer) stage() error {
	if m.staging != 0 {
		return nil
	}
	err := m.s.write(m.ctx, "import "+m.name, func(t *tx) error {
		res, err := t.exec("INSERT INTO imports (file, touched) VALUES (?, ?)", m.out.File, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		m.staging, err = res.LastInsertId()
		return err
	})
	if err != nil {
		m.staging = 0
		return err
	}
	const chunk = 20_000
	for from := int64(0); from < m.seq; from += chunk {
		to := min(from+chunk, m.seq)
		err := m.s.write(m.ctx, "import "+m.name, func(t *tx) error {
			res, err := t.exec(`INSERT INTO source_rows (import, seq, pair, line, sub, swapped, p_a, votes, record, extra)
				SELECT ?, seq, pair, line, sub, swapped, p_a, votes, record, extra FROM source_rows
				WHERE import = ? AND seq >= ? AND seq < ? ORDER BY seq`, m.staging, m.current.Int64, from, to)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != to-from {
				return errors.Join(err, errChanged(m.name))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func errChanged(name string) error {
	return refuse("another process imported %s at the same time; import it again", name)
}

func (m *importer) write(rows []sourceRow) error {
	type result struct {
		id              int64
		isNew, recalled bool
	}
	results := make([]result, len(rows))
	err := m.s.write(m.ctx, "import "+m.name, func(t *tx) error {
		res, err := t.exec("UPDATE imports SET touched = ? WHERE id = ?", time.Now().UnixMilli(), m.staging)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errChanged(m.name))
		}
		var prompt putPromptCache
		for i := range rows {
			r := &rows[i]
			id, isNew, err := putPair(t, r, &prompt)
			if err != nil {
				return err
			}
			results[i] = result{id: id, isNew: isNew}
			if old, ok := r.pair.KeyWithoutCalls(); ok && isNew {
				if results[i].recalled, err = t.one("SELECT 1 FROM pairs WHERE hash = ?", []any{old.Hash[:]}, new(int)); err != nil {
					return err
				}
			}
			var votes, record, extra any
			if r.votes != "" {
				votes = r.votes
			}
			if r.pair.Source.ID != "" {
				record = r.pair.Source.ID
			}
			if r.extra != "" {
				extra = r.extra
			}
			if _, err := t.exec(`INSERT INTO source_rows (import, seq, pair, line, sub, swapped, p_a, votes, record, extra)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, m.staging, m.seq+int64(i), id,
				r.pair.Source.Line, r.pair.Source.Sub, r.key.Swapped, r.pA, votes, record, extra); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.seq += int64(len(rows))
	for _, r := range results {
		if m.seen.add(r.id) {
			m.out.Pairs++
		}
		if r.isNew {
			m.out.New++
		}
		if r.recalled {
			m.out.Recalled++
		}
	}
	return nil
}

// finish makes the rows the file's, in one transaction, and then removes those
// that it had.
func (m *importer) finish() error {
	if m.staging == 0 && m.current.Valid {
		var more bool
		err := m.s.read.QueryRowContext(m.ctx, "SELECT EXISTS (SELECT 1 FROM source_rows WHERE import = ? AND seq >= ?)",
			m.current.Int64, m.seq).Scan(&more)
		if err != nil {
			return m.s.failed("import "+m.name, err)
		}
		if !more {
			m.out.Unchanged = true
			return nil
		}
	}
	if err := m.stage(); err != nil { // an empty file, or the start of what it was
		return err
	}
	err := m.s.write(m.ctx, "import "+m.name, func(t *tx) error {
		var rows int64
		if _, err := t.one("SELECT count(*) FROM source_rows WHERE import = ?", []any{m.staging}, &rows); err != nil {
			return err
		}
		if rows != m.seq {
			return errChanged(m.name)
		}
		_, err := t.exec("UPDATE files SET import = ?, rows = ?, pairs = ?, imported = ?, mark = NULL WHERE id = ?",
			m.staging, m.seq, m.out.Pairs, time.Now().UnixMilli(), m.out.File)
		return err
	})
	if err != nil {
		return err
	}
	return m.sweep()
}

// sweep removes the rows of imports that are no file's any more, some at a time.
// Those of another process that may still be at work stay.
func (m *importer) sweep() error {
	for {
		var left int64
		err := m.s.write(m.ctx, "remove the old rows of "+m.name, func(t *tx) error {
			left = 0
			var old int64
			found, err := t.one(`SELECT i.id FROM imports i JOIN files f ON f.id = i.file
				WHERE i.file = ? AND i.id <> f.import AND (i.id = ? OR i.touched < ?) LIMIT 1`,
				[]any{m.out.File, m.current.Int64, time.Now().Add(-abandoned).UnixMilli()}, &old)
			if err != nil || !found {
				return err
			}
			left = 1
			res, err := t.exec(`DELETE FROM source_rows WHERE id IN
				(SELECT id FROM source_rows WHERE import = ? LIMIT 20000)`, old)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n > 0 {
				return err
			}
			_, err = t.exec("DELETE FROM imports WHERE id = ?", old)
			return err
		})
		if err != nil || left == 0 {
			return err
		}
	}
}

// putPromptCache keeps the prompt of the row before: rows of one record share it.
type putPromptCache struct {
	hash  dataset.Hash
	id    int64
	bytes int
}

func putPair(t *tx, r *sourceRow, prompt *putPromptCache) (id int64, isNew bool, err error) {
	if prompt.id == 0 || prompt.hash != r.key.Prompt {
		id, bytes, err := putPrompt(t, r.key.Prompt, r.pair.Prompt)
		if err != nil {
			return 0, false, err
		}
		*prompt = putPromptCache{r.key.Prompt, id, bytes}
	}
	a, b := r.replies()
	idA, err := putResponse(t, r.key.A, prompt.id, a)
	if err != nil {
		return 0, false, err
	}
	idB, err := putResponse(t, r.key.B, prompt.id, b)
	if err != nil {
		return 0, false, err
	}
	return t.put("pairs", r.key.Hash[:],
		"INSERT INTO pairs (hash, prompt, a, b, bytes) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		r.key.Hash[:], prompt.id, idA, idB, prompt.bytes+len(a.Text)+len(b.Text))
}

// putPrompt stores a prompt; bytes is the length of its contents.
func putPrompt(t *tx, hash dataset.Hash, c dataset.Conversation) (id int64, bytes int, err error) {
	form, text := "text", ""
	if s, ok := c.Text(); ok && c[0].Extra == "" {
		text = s
	} else {
		form = "messages"
		b, err := c.MarshalJSON()
		if err != nil {
			return 0, 0, err
		}
		text = string(b)
	}
	for i := range c {
		bytes += len(c[i].Content)
	}
	id, _, err = t.put("prompts", hash[:],
		"INSERT INTO prompts (hash, form, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", hash[:], form, text)
	return id, bytes, err
}

// putResponse stores a reply. Its author is learned when a source knows it.
func putResponse(t *tx, hash dataset.Hash, prompt int64, r *dataset.Response) (int64, error) {
	var author any
	if r.Author != "" {
		author = r.Author
	}
	id, isNew, err := t.put("responses", hash[:],
		"INSERT INTO responses (hash, prompt, text, author) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		hash[:], prompt, r.Text, author)
	if err == nil && !isNew && author != nil {
		_, err = t.exec("UPDATE responses SET author = ? WHERE id = ? AND author IS NULL", author, id)
	}
	return id, err
}

// readPrompt is the inverse of putPrompt. A prompt that a version stored which did not
// read tool calls is what it was then, as its hash tells.
func readPrompt(hash dataset.Hash, form, text string) (dataset.Conversation, error) {
	if form == "text" {
		return dataset.Prompt(text), nil
	}
	var m []dataset.Message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fmt.Errorf("a prompt in the store: %w", err)
	}
	c := dataset.Conversation(m)
	if before, ok := c.WithoutCalls(); ok && before.Hash() == hash {
		return before, nil
	}
	return c, nil
}
