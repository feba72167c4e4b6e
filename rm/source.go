package rm

import (
	"context"

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
