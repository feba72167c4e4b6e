package rm

import (
	"context"
	"fmt"
)

// Ensemble tells whether the model's members are fitted to the same target, so
// that their disagreement is doubt; the members of a stack or of principles are
// parts of one score.
func (m *Model) Ensemble() bool { return m.blend.Kind == blendMean && len(m.members) > 1 }

// ScoreMembers is [Model.ScoreAll] with, for each item, what each member of an
// ensemble says, in the order of [Model.Members] and in the unit of scores; nil
// where the model is no ensemble.
func (m *Model) ScoreMembers(ctx context.Context, items []Item) ([]Score, [][]float64, error) {
	if !m.Ensemble() {
		s, err := m.ScoreAll(ctx, items)
		return s, nil, err
	}
	reply, prompt, err := m.outside(ctx, items)
	if err != nil {
		return nil, nil, fmt.Errorf("score: %w", err)
	}
	scores, members := make([]Score, len(items)), make([][]float64, len(items))
	for i := 0; i < len(items); {
		s := m.acquire(items[i].Prompt, prompt[i])
		j := i
		for ; j < len(items) && samePrompt(items[i].Prompt, items[j].Prompt); j++ {
			scores[j] = s.score(items[j].Reply, reply[j])
			members[j] = make([]float64, len(s.value))
			for k, v := range s.value {
				members[j][k] = v / m.Metadata.Temperature
			}
		}
		m.scratch.Put(s)
		i = j
	}
	return scores, members, nil
}
