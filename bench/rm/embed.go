package main

import (
	"context"
	"fmt"

	"cai/dataset"
	"cai/rm"
	"cai/store"
)

// embedded is the embeddings that a database of cai holds, as features: those
// that `cai train --features embed:MODEL` left there.
type embedded struct {
	store *store.Store
	judge dataset.Judge
	dim   int
}

func openEmbedded(ctx context.Context, file, model string) (*embedded, error) {
	st, err := store.OpenExisting(ctx, file)
	if err != nil {
		return nil, err
	}
	j, ok, err := st.Embedder(ctx, model)
	if err == nil && !ok {
		err = fmt.Errorf("%s holds no embeddings of %s", file, model)
	}
	if err != nil {
		return nil, err
	}
	dim, err := st.EmbeddingDim(ctx, j.Hash())
	return &embedded{st, j, dim}, err
}

func (e *embedded) Name() string              { return "embed:" + e.judge.Model }
func (e *embedded) ID() string                { return e.judge.Hash().String() }
func (e *embedded) Dims() (prompt, reply int) { return e.dim, e.dim }
func (e *embedded) Columns() []string         { return nil }

func (e *embedded) Vectors(ctx context.Context, items []rm.Item) ([]rm.Vector, error) {
	var texts []dataset.Hash
	for _, it := range items {
		texts = append(texts, store.TextHash(lastTurn(it.Prompt)), store.TextHash(it.Reply))
	}
	vs, err := e.store.Embeddings(ctx, e.judge.Hash(), texts)
	if err != nil {
		return nil, err
	}
	out := make([]rm.Vector, len(items))
	for i := range out {
		p, r := vs[2*i], vs[2*i+1]
		out[i] = rm.Vector{Prompt: p, Reply: r, Known: p != nil && r != nil}
	}
	return out, nil
}

func lastTurn(c dataset.Conversation) string {
	if len(c) == 0 {
		return ""
	}
	return c[len(c)-1].Content
}

// has tells whether all of a pair is embedded.
func (e *embedded) has(ctx context.Context, p *dataset.Pair) bool {
	vs, err := e.Vectors(ctx, []rm.Item{{Prompt: p.Prompt, Reply: p.First.Text}, {Prompt: p.Prompt, Reply: p.Second.Text}})
	return err == nil && vs[0].Known && vs[1].Known
}
