package cli

import (
	"context"
	"sync"

	"cai/dataset"
	"cai/store"
)

// database keeps vectors in the store, and for the run where it is read-only.
type database struct {
	st    *store.Store
	judge dataset.Judge
	hash  dataset.Hash
	known sync.Once // the model is in the store
	memory
}

func (d *database) get(ctx context.Context, texts []dataset.Hash) ([][]float32, error) {
	out, err := d.st.Embeddings(ctx, d.hash, texts)
	if err != nil || !d.st.ReadOnly() {
		return out, err
	}
	more, err := d.memory.get(ctx, texts)
	for i, v := range more {
		if out[i] == nil {
			out[i] = v
		}
	}
	return out, err
}

func (d *database) put(ctx context.Context, texts []dataset.Hash, vectors [][]float32) error {
	if d.st.ReadOnly() {
		return d.memory.put(ctx, texts, vectors)
	}
	var err error
	d.known.Do(func() { err = d.st.PutJudge(ctx, d.judge) })
	if err != nil {
		return err
	}
	return d.st.PutEmbeddings(ctx, d.hash, texts, vectors)
}

// memory keeps vectors in two generations: when the young one has half of the
// bound it becomes the old one, and what was old and not asked for since is
// forgotten.
type memory struct {
	bound int // bytes

	mu         sync.Mutex
	young, old map[dataset.Hash][]float32
	size       int // of young, in bytes
}

// entryBytes is about what a vector takes beside its numbers.
const entryBytes = 80

func (m *memory) get(_ context.Context, texts []dataset.Hash) ([][]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]float32, len(texts))
	for i, h := range texts {
		if v, ok := m.young[h]; ok {
			out[i] = v
		} else if v, ok := m.old[h]; ok {
			out[i] = v
			m.add(h, v)
		}
	}
	return out, nil
}

func (m *memory) put(_ context.Context, texts []dataset.Hash, vectors [][]float32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, h := range texts {
		if _, ok := m.young[h]; !ok {
			m.add(h, vectors[i])
		}
	}
	return nil
}

// add puts a vector among the young; m.mu must be held.
func (m *memory) add(h dataset.Hash, v []float32) {
	n := entryBytes + 4*len(v)
	if m.young == nil || m.size+n > m.bound/2 {
		m.old, m.young, m.size = m.young, map[dataset.Hash][]float32{}, 0
	}
	m.young[h] = v
	m.size += n
}
