package store

import (
	"context"
	"strconv"

	"cai/dataset"
)

// PromptPairs gives the pairs of a prompt of which a judge has answered a
// question or failed to, by hash, with what it said. Prompt, replies and sources
// are left out, but for the hashes in Key.
func (s *Store) PromptPairs(ctx context.Context, judge, prompt dataset.Hash) ([]*Judged, error) {
	out, err := s.promptPairs(ctx, judge, prompt)
	return out, s.failed("read the judgments of a prompt", err)
}

func (s *Store) promptPairs(ctx context.Context, hash, prompt dataset.Hash) ([]*Judged, error) {
	judge, ok, err := s.judge(ctx, hash)
	if err != nil || !ok {
		return nil, err
	}
	byID, out, err := s.touched(ctx, judge.id, prompt)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	ids := make([]int64, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	return out, s.judgedJudgments(ctx, map[int64]dataset.Hash{judge.id: hash}, inList(ids), "", byID)
}

// touched gives the pairs of a prompt that a judge was asked about.
func (s *Store) touched(ctx context.Context, judge int64, prompt dataset.Hash) (map[int64]*Judged, []*Judged, error) {
	of := func(table string) string {
		return "EXISTS (SELECT 1 FROM " + table + " g WHERE g.judge = " + strconv.FormatInt(judge, 10) + " AND g.pair = p.id)"
	}
	rows, err := s.read.QueryContext(ctx, `SELECT p.id, p.hash, a.hash, b.hash
		FROM prompts q JOIN pairs p ON p.prompt = q.id
		JOIN responses a ON a.id = p.a JOIN responses b ON b.id = p.b
		WHERE q.hash = ? AND (`+of("judgments")+" OR "+of("failures")+") ORDER BY p.hash", prompt[:])
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	byID := map[int64]*Judged{}
	var out []*Judged
	for rows.Next() {
		var id int64
		j := &Judged{Key: dataset.PairKey{Prompt: prompt}}
		if err := rows.Scan(&id, hashInto(&j.Key.Hash), hashInto(&j.Key.A), hashInto(&j.Key.B)); err != nil {
			return nil, nil, err
		}
		byID[id] = j
		out = append(out, j)
	}
	return byID, out, rows.Err()
}
