package rm

import (
	"context"
	"fmt"
	"math"

	"cai/dataset"
)

// Item is a reply to a conversation, which may be nil where the prompt is
// unknown.
type Item struct {
	Prompt dataset.Conversation
	Reply  string
}

// Vector is what a [Source] says of an item: numbers of the prompt alone, and of
// the reply. Either may be of no length. Known is false where the source knows
// nothing of the item, which then counts as an average one.
type Vector struct {
	Prompt, Reply []float32
	Known         bool
}

// Source gives features that this package cannot compute from a text alone: the
// embeddings of a model, or what a judge said. It is safe for concurrent use.
type Source interface {
	// Name is as in Options.Features, such as "embed:all-minilm".
	Name() string
	// ID identifies what made the numbers, such as the digest of a model. A model
	// that was trained with one is not scored with another.
	ID() string
	// Dims gives the lengths of Vector.Prompt and Vector.Reply, the same for all
	// items that are known.
	Dims() (prompt, reply int)
	// Columns names the numbers of Vector.Reply, such as the ids of principles;
	// nil where they have no names.
	Columns() []string
	// Vectors gives a vector for each item, or an error for all of them.
	Vectors(ctx context.Context, items []Item) ([]Vector, error)
}

// sourceSpec is what a model remembers of a source.
type sourceSpec struct {
	Name    string   `json:"name"`
	ID      string   `json:"id"`
	Columns []string `json:"columns,omitempty"`
	Prompt  int      `json:"prompt"`
	Reply   int      `json:"reply"`
}

func specOf(s Source) sourceSpec {
	p, r := s.Dims()
	return sourceSpec{Name: s.Name(), ID: s.ID(), Columns: s.Columns(), Prompt: p, Reply: r}
}

// check tells why s is not the source that the model was trained with.
func (want sourceSpec) check(s Source) error {
	got := specOf(s)
	switch {
	case got.ID != want.ID:
		return fmt.Errorf("%s is now %s, the model was trained with %s", want.Name, got.ID, want.ID)
	case got.Prompt != want.Prompt || got.Reply != want.Reply:
		return fmt.Errorf("%s gives %d and %d numbers, the model was trained with %d and %d",
			want.Name, got.Prompt, got.Reply, want.Prompt, want.Reply)
	}
	return nil
}

// vectors asks every source about the items. It gives, item by item, what they
// say of the replies and of the prompts; NaN stands for what is not known.
func vectors(ctx context.Context, sources []Source, specs []sourceSpec, items []Item) (reply, prompt [][]float32, err error) {
	reply, prompt = make([][]float32, len(items)), make([][]float32, len(items))
	for k, s := range sources {
		vs, err := s.Vectors(ctx, items)
		if err != nil {
			return nil, nil, err
		}
		if len(vs) != len(items) {
			return nil, nil, fmt.Errorf("%s gave %d vectors for %d replies", specs[k].Name, len(vs), len(items))
		}
		for i, v := range vs {
			if !v.Known {
				v.Reply, v.Prompt = unknown(specs[k].Reply), unknown(specs[k].Prompt)
			}
			if len(v.Reply) != specs[k].Reply || len(v.Prompt) != specs[k].Prompt {
				return nil, nil, fmt.Errorf("%s gave %d and %d numbers for a reply, need %d and %d",
					specs[k].Name, len(v.Prompt), len(v.Reply), specs[k].Prompt, specs[k].Reply)
			}
			reply[i] = append(reply[i], v.Reply...)
			prompt[i] = append(prompt[i], v.Prompt...)
		}
	}
	// A prompt is the same for all its replies, also for those of which a source
	// knows nothing.
	share := func(from, to int) {
		if !samePrompt(items[from].Prompt, items[to].Prompt) {
			return
		}
		for j, v := range prompt[to] {
			if v != v {
				prompt[to][j] = prompt[from][j]
			}
		}
	}
	for i := 1; i < len(items); i++ {
		share(i-1, i)
	}
	for i := len(items) - 1; i > 0; i-- {
		share(i, i-1)
	}
	return reply, prompt, nil
}

func unknown(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.NaN())
	}
	return v
}
