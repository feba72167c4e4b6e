package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"cai/dataset"
)

// AddCritique stores a critique with its prompt and reply. The same text about
// the same reply by the same judge is stored once, with the last verdict. One that
// is doubtful gives its place to the new one. The principle and the judge must be
// known.
func (s *Store) AddCritique(ctx context.Context, c *dataset.Critique) error {
	judge, principle, err := s.by(ctx, c.Judge, c.Principle)
	if err != nil {
		return fmt.Errorf("store a critique: %w", err)
	}
	prompt := c.Prompt.Hash()
	response := dataset.ResponseHash(prompt, c.Response.Text)
	hash := dataset.HashOf("critique", string(response[:]), string(c.Principle[:]), string(c.Judge[:]), c.Text)
	return s.write(ctx, "store a critique", func(t *tx) error {
		idPrompt, _, err := putPrompt(t, prompt, c.Prompt)
		if err != nil {
			return err
		}
		idResponse, err := putResponse(t, response, idPrompt, &c.Response)
		if err != nil {
			return err
		}
		if err := t.makeRoom("critiques", "prompt = ? AND response = ? AND principle = ? AND judge = ?",
			idPrompt, idResponse, principle, judge.id); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO critiques (hash, prompt, response, principle, judge, probability, coverage,
			text, truncated, prompt_tokens, tokens, milliseconds, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE
			SET probability = excluded.probability, coverage = excluded.coverage, created = excluded.created
			WHERE probability IS NOT excluded.probability OR coverage IS NOT excluded.coverage`,
			hash[:], idPrompt, idResponse, principle, judge.id, orNull(c.Probability), orNull(c.Coverage),
			c.Text, c.Truncated, c.PromptTokens, c.Tokens, c.Duration.Milliseconds(), millis(c.Created))
		return err
	})
}

// AddRevision stores one step of a revision with its replies; the reply that
// was written becomes a child of the one it was written for. The same step is
// stored once. One that is doubtful gives its place to the new one, and with it go
// the doubtful steps that began from what it wrote. The principle and the judge
// must be known.
func (s *Store) AddRevision(ctx context.Context, r *dataset.Revision) error {
	judge, principle, err := s.by(ctx, r.Judge, r.Principle)
	if err != nil {
		return fmt.Errorf("store a revision: %w", err)
	}
	prompt := r.Prompt.Hash()
	before := dataset.ResponseHash(prompt, r.Before.Text)
	after := dataset.ResponseHash(prompt, r.After.Text)
	hash := dataset.HashOf("revision", string(before[:]), string(after[:]), strconv.Itoa(r.Round),
		string(r.Principle[:]), string(r.Judge[:]), r.Critique)
	return s.write(ctx, "store a revision", func(t *tx) error {
		idPrompt, _, err := putPrompt(t, prompt, r.Prompt)
		if err != nil {
			return err
		}
		idBefore, err := putResponse(t, before, idPrompt, &r.Before)
		if err != nil {
			return err
		}
		idAfter, err := putResponse(t, after, idPrompt, &r.After)
		if err != nil {
			return err
		}
		// A reply that somebody else wrote, or that comes again in a later
		// round, keeps the parent it has: replies never form a circle.
		if _, err := t.exec(`UPDATE responses SET parent = ?1, round = ?2, principle = ?3
			WHERE id = ?4 AND parent IS NULL AND id > ?1`, idBefore, r.Round, principle, idAfter); err != nil {
			return err
		}
		if err := t.makeRoom("revisions", `id IN (
			WITH RECURSIVE gone (id, reply_after) AS (
			  SELECT id, reply_after FROM revisions
			  WHERE prompt = ?1 AND reply_before = ?2 AND principle = ?3 AND judge = ?4 AND round = ?5 AND `+doubted("revisions", "id")+`
			  UNION SELECT v.id, v.reply_after FROM gone g JOIN revisions v ON v.reply_before = g.reply_after
			  WHERE v.prompt = ?1 AND v.judge = ?4 AND v.round > ?5 AND g.reply_after <> ?6
			) SELECT id FROM gone)`, idPrompt, idBefore, principle, judge.id, r.Round, idAfter); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO revisions (hash, prompt, reply_before, reply_after, round, principle, judge,
			critique, p, accepted, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			hash[:], idPrompt, idBefore, idAfter, r.Round, principle, judge.id,
			r.Critique, orNull(r.P), r.Accepted, millis(r.Created))
		return err
	})
}

// stepPage is how many critiques or revisions are held in memory at a time.
const stepPage = 200

// Critiques gives every critique that is not doubtful, by prompt and then as they were made.
func (s *Store) Critiques(ctx context.Context) iter.Seq2[*dataset.Critique, error] {
	return steps(s, ctx, `
		SELECT c.prompt, c.id, q.hash, q.form, q.text, x.text, ifnull(x.author, ''), r.hash, j.hash, c.probability, c.coverage,
		       c.text, c.truncated, c.prompt_tokens, c.tokens, c.milliseconds, c.created
		FROM critiques c JOIN prompts q ON q.id = c.prompt JOIN responses x ON x.id = c.response
		JOIN principles r ON r.id = c.principle JOIN judges j ON j.id = c.judge
		WHERE (c.prompt, c.id) > (?, ?) AND NOT `+doubted("critiques", "c.id")+` ORDER BY c.prompt, c.id LIMIT ?`,
		func(rows *sql.Rows, at *stepKey) (*dataset.Critique, error) {
			var c dataset.Critique
			var form, prompt string
			var hash dataset.Hash
			var p, coverage sql.NullFloat64
			var ms, created int64
			if err := rows.Scan(&at.prompt, &at.id, hashInto(&hash), &form, &prompt, &c.Response.Text, &c.Response.Author,
				hashInto(&c.Principle), hashInto(&c.Judge), &p, &coverage,
				&c.Text, &c.Truncated, &c.PromptTokens, &c.Tokens, &ms, &created); err != nil {
				return nil, err
			}
			c.Probability, c.Coverage = orNaN(p), orNaN(coverage)
			c.Duration, c.Created = time.Duration(ms)*time.Millisecond, fromMillis(created)
			var err error
			c.Prompt, err = readPrompt(hash, form, prompt)
			return &c, err
		})
}

// Revisions gives every step of every revision but the doubtful ones, by prompt and
// then as they were made.
func (s *Store) Revisions(ctx context.Context) iter.Seq2[*dataset.Revision, error] {
	return steps(s, ctx, `
		SELECT v.prompt, v.id, q.hash, q.form, q.text, x.text, ifnull(x.author, ''), y.text, ifnull(y.author, ''),
		       v.round, r.hash, j.hash, v.critique, v.p, v.accepted, v.created
		FROM revisions v JOIN prompts q ON q.id = v.prompt
		JOIN responses x ON x.id = v.reply_before JOIN responses y ON y.id = v.reply_after
		JOIN principles r ON r.id = v.principle JOIN judges j ON j.id = v.judge
		WHERE (v.prompt, v.id) > (?, ?) AND NOT `+doubted("revisions", "v.id")+` ORDER BY v.prompt, v.id LIMIT ?`,
		func(rows *sql.Rows, at *stepKey) (*dataset.Revision, error) {
			var v dataset.Revision
			var form, prompt string
			var hash dataset.Hash
			var p sql.NullFloat64
			var created int64
			if err := rows.Scan(&at.prompt, &at.id, hashInto(&hash), &form, &prompt, &v.Before.Text, &v.Before.Author,
				&v.After.Text, &v.After.Author, &v.Round, hashInto(&v.Principle), hashInto(&v.Judge),
				&v.Critique, &p, &v.Accepted, &created); err != nil {
				return nil, err
			}
			v.P, v.Created = orNaN(p), fromMillis(created)
			var err error
			v.Prompt, err = readPrompt(hash, form, prompt)
			return &v, err
		})
}

// stepKey is the place in the order of critiques or revisions.
type stepKey struct{ prompt, id int64 }

// steps reads a query page by page; it must take the place after which it goes
// on and the number of rows.
func steps[T any](s *Store, ctx context.Context, query string, scan func(*sql.Rows, *stepKey) (*T, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		at := stepKey{math.MinInt64, 0}
		page := make([]*T, 0, stepPage)
		for {
			page = page[:0]
			rows, err := s.read.QueryContext(ctx, query, at.prompt, at.id, stepPage)
			if err != nil {
				yield(nil, s.failed("read the steps", err))
				return
			}
			for err == nil && rows.Next() {
				var v *T
				if v, err = scan(rows, &at); err == nil {
					page = append(page, v)
				}
			}
			if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
				yield(nil, s.failed("read the steps", err))
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if len(page) < stepPage {
				return
			}
		}
	}
}
