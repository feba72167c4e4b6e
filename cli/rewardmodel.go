package cli

import (
	"context"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/rm"
)

// rewardModel loads the model of a file and gives it the sources of its features.
// The function that it returns closes them.
func (a *app) rewardModel(c *urfave.Context, file string) (*rm.Model, func() error, error) {
	m, err := rm.Load(file)
	if err != nil {
		return nil, nil, err
	}
	sources, done, err := a.sources(c, m.Sources(), sourceOptions{Columns: m.SourceColumns()})
	if err != nil {
		return nil, nil, err
	}
	if err := m.Bind(sources...); err != nil {
		_ = done() // the first error counts
		return nil, nil, hinted(err, "train again, or use what the model was trained with")
	}
	return m, done, nil
}

// scoredTogether is how many records are scored at once where other programs are
// asked for their features.
const scoredTogether = 32

// scoring scores records as they come, several at once where that saves calls.
type scoring struct {
	model   *rm.Model
	prompt  string // of replies that do not say
	pending []*dataset.Record
	// observed, if set, takes what is observed of the replies.
	observed func(items []rm.Item, seen [][]float32)
}

// add takes a record; flush is due when it says so.
func (s *scoring) add(r *dataset.Record) bool {
	s.pending = append(s.pending, r)
	return len(s.model.Sources()) == 0 || len(s.pending) >= scoredTogether
}

// replies gives those of a record with what they answer: one, the first and the
// second of a pair, or those of a list.
func (s *scoring) replies(r *dataset.Record) []rm.Item {
	switch {
	case r.Pair != nil:
		return []rm.Item{{Prompt: r.Pair.Prompt, Reply: r.Pair.First.Text}, {Prompt: r.Pair.Prompt, Reply: r.Pair.Second.Text}}
	case r.Reply != nil:
		return []rm.Item{{Prompt: conversationOf(r.Reply, s.prompt), Reply: r.Reply.Response.Text}}
	}
	items := make([]rm.Item, len(r.Responses))
	for i := range items {
		items[i] = rm.Item{Prompt: r.Prompt, Reply: r.Responses[i].Text}
	}
	return items
}

// flush calls f for each record that was added, with the scores of its replies.
func (s *scoring) flush(ctx context.Context, f func(*dataset.Record, []rm.Score) error) error {
	var items []rm.Item
	counts := make([]int, len(s.pending))
	for i, r := range s.pending {
		replies := s.replies(r)
		items, counts[i] = append(items, replies...), len(replies)
	}
	var scores []rm.Score
	var err error
	if s.observed == nil {
		scores, err = s.model.ScoreAll(ctx, items)
	} else {
		var seen [][]float32
		if scores, seen, err = s.model.ObserveAll(ctx, items); err == nil {
			s.observed(items, seen)
		}
	}
	if err != nil {
		return err
	}
	for i, r := range s.pending {
		if err := f(r, scores[:counts[i]]); err != nil {
			return err
		}
		scores = scores[counts[i]:]
	}
	s.pending = s.pending[:0]
	return nil
}
