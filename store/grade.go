package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cai/dataset"
)

// PutRubric stores a rubric, which grades refer to; text is its TOML.
func (s *Store) PutRubric(ctx context.Context, hash dataset.Hash, name, text string) error {
	return s.write(ctx, "store the rubric", func(t *tx) error {
		_, isNew, err := t.put("rubrics", hash[:],
			"INSERT INTO rubrics (hash, name, text, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			hash[:], clean(name), text, time.Now().UnixMilli())
		if err != nil || isNew {
			return err
		}
		_, err = t.exec("UPDATE rubrics SET name = ?1, text = ?2 WHERE hash = ?3 AND (name <> ?1 OR text <> ?2)", clean(name), text, hash[:])
		return err
	})
}

// AddGrade stores a grade with its prompt and reply and returns when it would
// survive a power cut. Where the question was answered before, the first answer
// stays and takes the new one's evidence if it has none, unless it is doubtful: the
// new one then takes its place. The judge and the rubric must be known.
func (s *Store) AddGrade(ctx context.Context, g *dataset.Grade) error {
	if g.Sample < 0 {
		return fmt.Errorf("store a grade: sample %d is negative", g.Sample)
	}
	sum := 0.0
	for _, p := range g.Distribution {
		if !finite(p) || p < 0 {
			return fmt.Errorf("store a grade: %v is not a distribution", g.Distribution)
		}
		sum += p
	}
	if len(g.Distribution) < 2 || sum < 0.999 || sum > 1.001 || !finite(g.Coverage) {
		return fmt.Errorf("store a grade: %v with coverage %v is not a distribution", g.Distribution, g.Coverage)
	}
	judge, ok, err := s.judge(ctx, g.Judge)
	if err == nil && !ok {
		err = fmt.Errorf("judge %s is not in %s", g.Judge, s.path)
	}
	if err != nil {
		return fmt.Errorf("store a grade: %w", err)
	}
	distribution, err := json.Marshal(g.Distribution)
	if err != nil {
		return fmt.Errorf("store a grade: %w", err)
	}
	var evidence any
	if g.Evidence.Asked {
		evidence = clean(g.Evidence.Quote)
	}
	prompt := g.Prompt.Hash()
	response := dataset.ResponseHash(prompt, g.Response.Text)
	return s.write(ctx, "store a grade", func(t *tx) error {
		idPrompt, _, err := putPrompt(t, prompt, g.Prompt)
		if err != nil {
			return err
		}
		idResponse, err := putResponse(t, response, idPrompt, &g.Response)
		if err != nil {
			return err
		}
		var idRubric int64
		found, err := t.one("SELECT id FROM rubrics WHERE hash = ?", []any{g.Rubric[:]}, &idRubric)
		if err != nil {
			return err
		}
		if !found {
			return refuse("rubric %s is not in the store", g.Rubric)
		}
		if err := t.makeRoom("grades", "judge = ? AND response = ? AND criterion = ? AND sample = ?",
			judge.id, idResponse, g.Question[:], g.Sample); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO grades (prompt, response, judge, rubric, criterion, name, sample,
			distribution, score, coverage, evidence, verified, prompt_tokens, milliseconds, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (judge, response, criterion, sample) DO UPDATE
			SET evidence = excluded.evidence, verified = excluded.verified
			WHERE grades.evidence IS NULL AND excluded.evidence IS NOT NULL`,
			idPrompt, idResponse, judge.id, idRubric, g.Question[:], clean(g.Name), g.Sample,
			string(distribution), g.Score(), g.Coverage, evidence, g.Evidence.Verified,
			g.PromptTokens, g.Duration.Milliseconds(), millis(g.Created))
		return err
	})
}

// Grades gives what a judge made of a reply, by the reply's content hash, in the
// order in which it was asked. The texts and the rubrics are left out. A doubtful
// one has no coverage.
func (s *Store) Grades(ctx context.Context, judge, response dataset.Hash) ([]dataset.Grade, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT g.criterion, g.name, g.sample, g.distribution, g.coverage, g.evidence IS NOT NULL, ifnull(g.evidence, ''),
		       g.verified, g.prompt_tokens, g.milliseconds, g.created, ifnull(d.reason, '')
		FROM grades g LEFT JOIN doubts d ON d.kind = 'grades' AND d.row = g.id
		WHERE g.judge = (SELECT id FROM judges WHERE hash = ?) AND g.response = (SELECT id FROM responses WHERE hash = ?)
		ORDER BY g.id`, judge[:], response[:])
	if err != nil {
		return nil, s.failed("read the grades", err)
	}
	defer rows.Close()
	var out []dataset.Grade
	for rows.Next() {
		g := dataset.Grade{Judge: judge}
		var distribution string
		var ms, created int64
		if err := rows.Scan(hashInto(&g.Question), &g.Name, &g.Sample, &distribution, &g.Coverage, &g.Evidence.Asked, &g.Evidence.Quote,
			&g.Evidence.Verified, &g.PromptTokens, &ms, &created, &g.Doubt); err != nil {
			return nil, s.failed("read the grades", err)
		}
		if err := json.Unmarshal([]byte(distribution), &g.Distribution); err != nil {
			return nil, s.failed("read the grades", fmt.Errorf("grade of %s: %w", g.Name, err))
		}
		if g.Doubt != "" {
			g.Coverage = 0
		}
		g.Duration, g.Created = time.Duration(ms)*time.Millisecond, fromMillis(created)
		out = append(out, g)
	}
	return out, s.failed("read the grades", rows.Err())
}
