package store

import (
	"context"
	"fmt"
	"strings"

	"cai/dataset"
)

// repliesRead is how many replies are looked up at a time.
const repliesRead = 100

// JudgedReply is one of the pairs in which a reply stands.
type JudgedReply struct {
	// First tells that the reply is the pair's a, else it is b.
	First     bool
	Judgments []dataset.Judgment // by principle, order, sample
}

// JudgedReplies gives, for each of the replies by their content hash, the pairs
// that it is in and that the filter's judge has judged, without their texts. A
// reply that is in none is not in the map. Of the filter only Judge and
// Principles count.
func (s *Store) JudgedReplies(ctx context.Context, f Filter, replies []dataset.Hash) (map[dataset.Hash][]JudgedReply, error) {
	judges, err := s.judgesOf(ctx, Filter{Judge: f.Judge})
	if err != nil {
		return nil, err
	}
	principles, err := s.onlyPrinciples(ctx, f.Principles)
	if err != nil {
		return nil, err
	}
	out := map[dataset.Hash][]JudgedReply{}
	for len(replies) > 0 {
		n := min(len(replies), repliesRead)
		if err := s.judgedReplies(ctx, judges, principles, replies[:n], out); err != nil {
			return nil, s.failed("read the judgments of replies", err)
		}
		replies = replies[n:]
	}
	return out, nil
}

// standing is a reply's place in a pair.
type standing struct {
	reply dataset.Hash
	pair  *Judged
	first bool
}

func (s *Store) judgedReplies(ctx context.Context, judges map[int64]dataset.Hash, principles string, replies []dataset.Hash, out map[dataset.Hash][]JudgedReply) error {
	args := make([]any, len(replies))
	for i := range replies {
		args[i] = replies[i][:]
	}
	// The pairs of a prompt are few and have an index.
	rows, err := s.read.QueryContext(ctx, `
		SELECT r.hash, p.id, p.hash, p.a = r.id
		FROM responses r CROSS JOIN pairs p ON p.prompt = r.prompt AND (p.a = r.id OR p.b = r.id)
		WHERE r.hash IN (?`+strings.Repeat(", ?", len(replies)-1)+`) ORDER BY p.id, r.id`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var all []standing
	byID := map[int64]*Judged{}
	var ids []string
	for rows.Next() {
		var st standing
		var id int64
		var hash dataset.Hash
		if err := rows.Scan(hashInto(&st.reply), &id, hashInto(&hash), &st.first); err != nil {
			return err
		}
		if byID[id] == nil {
			byID[id] = &Judged{Key: dataset.PairKey{Hash: hash}}
			ids = append(ids, fmt.Sprint(id))
		}
		st.pair = byID[id]
		all = append(all, st)
	}
	if err := rows.Err(); err != nil || len(ids) == 0 {
		return err
	}
	if err := s.judgedJudgments(ctx, judges, "("+strings.Join(ids, ",")+")", principles, byID); err != nil {
		return err
	}
	for _, st := range all {
		if len(st.pair.Judgments) > 0 {
			out[st.reply] = append(out[st.reply], JudgedReply{First: st.first, Judgments: st.pair.Judgments})
		}
	}
	return nil
}
