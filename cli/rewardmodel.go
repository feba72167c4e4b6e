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
}

// add takes a record; flush is due when it says so.
func (s *scoring) add(r *dataset.Record) bool {
	s.pending = append(s.pending, r)
	return len(s.model.Sources()) == 0 || len(s.pending) >= scoredTogether
}

// flush calls f for each record that was added, with the scores of its replies:
// one, or the first's and the second's of a pair.
func (s *scoring) flush(ctx context.Context, f func(*dataset.Record, []rm.Score) error) error {
	var items []rm.Item
	for _, r := range s.pending {
		if r.Pair != nil {
			items = append(items, rm.Item{Prompt: r.Pair.Prompt, Reply: r.Pair.First.Text}, rm.Item{Prompt: r.Pair.Prompt, Reply: r.Pair.Second.Text})
		} else {
			items = append(items, rm.Item{Prompt: conversationOf(r.Reply, s.prompt), Reply: r.Reply.Response.Text})
		}
	}
	scores, err := s.model.ScoreAll(ctx, items)
	if err != nil {
		return err
	}
	for _, r := range s.pending {
		n := 1
		if r.Pair != nil {
			n = 2
		}
		if err := f(r, scores[:n]); err != nil {
			return err
		}
		scores = scores[n:]
	}
	s.pending = s.pending[:0]
	return nil
}
