package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cai/constitution"
	"cai/dataset"
)

// PutConstitution stores a constitution and its principles, which judgments,
// critiques and revisions refer to. Stored again, it becomes the one used last,
// which names and weights principles where they are listed.
func (s *Store) PutConstitution(ctx context.Context, c *constitution.Constitution) error {
	hash := c.Hash()
	return s.write(ctx, "store the constitution", func(t *tx) error {
		now := time.Now().UnixMilli()
		id, isNew, err := t.put("constitutions", hash[:],
			"INSERT INTO constitutions (hash, name, description, used) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			hash[:], c.Name, c.Description, now)
		if err != nil {
			return err
		}
		if !isNew {
			if _, err := t.exec("UPDATE constitutions SET name = ?, description = ?, used = ? WHERE id = ?",
				c.Name, c.Description, now, id); err != nil {
				return err
			}
			if _, err := t.exec("DELETE FROM constitution_principles WHERE constitution = ?", id); err != nil {
				return err
			}
		}
		for i := range c.Principles {
			if err := putPrinciple(t, id, i, &c.Principles[i]); err != nil {
				return fmt.Errorf("principle %q: %w", c.Principles[i].ID, err)
			}
		}
		return nil
	})
}

func putPrinciple(t *tx, constitution int64, position int, p *constitution.Principle) error {
	hash := p.Hash()
	id, isNew, err := t.put("principles", hash[:],
		`INSERT INTO principles (hash, name, title, critique, revision, comparison, question, weight)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		hash[:], p.ID, p.Title, p.Critique, p.Revision, p.Compare, p.Question(), p.Weight)
	if err != nil {
		return err
	}
	if !isNew {
		if _, err := t.exec("UPDATE principles SET name = ?, title = ?, weight = ? WHERE id = ?",
			p.ID, p.Title, p.Weight, id); err != nil {
			return err
		}
	}
	tags, err := json.Marshal(append([]string{}, p.Tags...))
	if err != nil {
		return err
	}
	// Two principles of one text are one principle; the first stands.
	_, err = t.exec(`INSERT INTO constitution_principles (constitution, principle, position, name, weight, tags)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, constitution, id, position, p.ID, p.Weight, string(tags))
	return err
}

// PrincipleInfo is a principle that the store knows.
type PrincipleInfo struct {
	Hash      dataset.Hash `json:"hash"`
	ID        string       `json:"id"`
	Title     string       `json:"title"`
	Weight    float64      `json:"weight"` // in the constitution used last
	Judgments int64        `json:"judgments"`
}

// Principles lists the principles of every constitution that was ever stored,
// the last one's first.
func (s *Store) Principles(ctx context.Context) ([]PrincipleInfo, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT p.hash, p.name, p.title, p.weight, ifnull(g.n, 0)
		FROM principles p
		LEFT JOIN (SELECT principle, count(*) AS n FROM judgments GROUP BY principle) g ON g.principle = p.id
		LEFT JOIN (SELECT m.principle, max(c.used) AS used, m.position
		           FROM constitution_principles m JOIN constitutions c ON c.id = m.constitution
		           GROUP BY m.principle) u ON u.principle = p.id
		ORDER BY u.used DESC, u.position, p.id`)
	if err != nil {
		return nil, s.failed("list the principles", err)
	}
	defer rows.Close()
	var out []PrincipleInfo
	for rows.Next() {
		var p PrincipleInfo
		if err := rows.Scan(hashInto(&p.Hash), &p.ID, &p.Title, &p.Weight, &p.Judgments); err != nil {
			return nil, s.failed("list the principles", err)
		}
		out = append(out, p)
	}
	return out, s.failed("list the principles", rows.Err())
}
