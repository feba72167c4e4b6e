package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/llm"
	"cai/rm"
	"cai/store"
)

// embeddingMemory bounds the vectors that are remembered where no database keeps
// them, in bytes.
const embeddingMemory = 64 << 20

// embeddingRevision changes when what is made of a text before it is embedded
// does, so that old vectors are not taken for new ones.
const embeddingRevision = "text"

// embedSource is a model's embeddings as features. The prompt's vector is that of
// the conversation's last user turn, which is what the reply answers: models
// read a few hundred tokens, and the turns before would crowd it out. The
// reply's is that of the reply alone.
type embedSource struct {
	name  string
	judge dataset.Judge // the model as the store knows it
	hash  dataset.Hash
	dim   int
	ask   func(ctx context.Context, texts []string, take func(from int, vectors [][]float32) error) error
	cache vectorCache
	p     *progress

	mu       sync.Mutex
	inFlight map[dataset.Hash]*awaited

	asked, reused atomic.Int64 // texts
}

// vectorCache keeps vectors by the hash of their text.
type vectorCache interface {
	// get gives nil for what is not there.
	get(ctx context.Context, texts []dataset.Hash) ([][]float32, error)
	put(ctx context.Context, texts []dataset.Hash, vectors [][]float32) error
}

// awaited is a text that somebody is asking about.
type awaited struct {
	done   chan struct{} // closed when vector or err is there
	vector []float32
	err    error
}

// embedSource opens the embeddings of a model, by any name that --model takes,
// with a database or, st nil, without. Where no server answers, the model is the
// one that the database knows by this name, as long as it has all that is wanted.
func (a *app) embedSource(c *urfave.Context, name string, st *store.Store) (*embedSource, error) {
	options, err := llm.ParseOptions(c.StringSlice("option"))
	if err != nil {
		return nil, &exitError{code: ExitUsage, err: err}
	}
	client, err := llm.Open(llm.Config{Model: name, Hosts: c.StringSlice("host"), Options: options, OnRetry: a.onRetry(c)})
	if err != nil {
		return nil, &exitError{code: ExitUsage, err: err}
	}
	a.cleanup = append(a.cleanup, func() error { client.Close(); return nil })
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	e := &embedSource{name: embedPrefix + client.Model(), ask: client.EmbedEach, inFlight: map[dataset.Hash]*awaited{}}
	if e.judge, err = a.embedder(ctx, c, client, st); err != nil {
		return nil, err
	}
	client.Expect(e.judge.Digest)
	e.hash = e.judge.Hash()
	e.cache = &memory{bound: embeddingMemory}
	if st != nil {
		e.cache = &database{st: st, judge: e.judge, hash: e.hash, memory: memory{bound: embeddingMemory}}
		if e.dim, err = st.EmbeddingDim(ctx, e.hash); err != nil {
			return nil, err
		}
	}
	e.p = a.progress(c, "embed", "texts", 0)
	if e.dim == 0 {
		// What an empty text has is needed sooner or later, and tells the length.
		v, err := e.vectors(ctx, []string{""})
		if err != nil {
			return nil, err
		}
		e.dim = len(v[0])
	}
	return e, nil
}

// embedder says which weights answer, for the store.
func (a *app) embedder(ctx context.Context, c *urfave.Context, client *llm.Client, st *store.Store) (dataset.Judge, error) {
	j := dataset.Judge{Model: client.Model(), Template: embeddingRevision, Mode: store.EmbedMode}
	options, err := llm.ParseOptions(c.StringSlice("option"))
	if err != nil {
		return j, err
	}
	if n, ok := options["num_ctx"]; ok { // says where texts are cut
		j.Options = map[string]string{"num_ctx": n}
	}
	id, err := client.Identify(ctx)
	if err == nil {
		j.Backend, j.Digest = id.Backend, id.Digest
		return j, nil
	}
	if llm.KindOf(err) != llm.KindServerAbsent || st == nil {
		return j, err
	}
	known, ok, serr := st.Embedder(ctx, j.Model)
	if serr != nil {
		return j, serr
	}
	if !ok || known.Template != j.Template || !maps.Equal(known.Options, j.Options) {
		return j, err
	}
	a.note(c, "%v: the embeddings are those that %s holds", err, c.String("db"))
	return known, nil
}

// closeEmbed ends the progress and says what it came to.
func (a *app) closeEmbed(c *urfave.Context, e *embedSource) error {
	e.p.done()
	if n := e.asked.Load() + e.reused.Load(); n > 0 {
		a.note(c, "%s: %d texts embedded, %d were known", e.name, e.asked.Load(), e.reused.Load())
	}
	return nil
}

func (e *embedSource) Name() string { return e.name }

// ID is the hash of the weights and the options that change what they make.
func (e *embedSource) ID() string { return e.hash.String() }

func (e *embedSource) Dims() (prompt, reply int) { return e.dim, e.dim }

func (e *embedSource) Columns() []string { return nil }

// Vectors looks the texts up and asks about those that are not known, each once,
// also where several callers want it. What came before an error is kept. The
// vectors may be shared between items and are not to be changed.
func (e *embedSource) Vectors(ctx context.Context, items []rm.Item) ([]rm.Vector, error) {
	texts := make([]string, 0, 2*len(items))
	for _, it := range items {
		texts = append(texts, lastUserTurn(it.Prompt), it.Reply)
	}
	vectors, err := e.vectors(ctx, texts)
	if err != nil {
		return nil, err
	}
	out := make([]rm.Vector, len(items))
	for i := range out {
		out[i] = rm.Vector{Prompt: vectors[2*i], Reply: vectors[2*i+1], Known: true}
	}
	return out, nil
}

// lastUserTurn is what the user said last, else the last that anybody said.
func lastUserTurn(conv dataset.Conversation) string {
	for i := len(conv) - 1; i >= 0; i-- {
		if conv[i].Role == "user" {
			return conv[i].Content
		}
	}
	return lastTurn(conv)
}

// vectors gives the vector of each text.
func (e *embedSource) vectors(ctx context.Context, texts []string) ([][]float32, error) {
	at := make([]int, len(texts)) // in the different ones
	byHash := map[dataset.Hash]int{}
	var hashes []dataset.Hash
	var distinct []string
	for i, t := range texts {
		h := store.TextHash(t)
		k, ok := byHash[h]
		if !ok {
			k = len(hashes)
			byHash[h] = k
			hashes, distinct = append(hashes, h), append(distinct, t)
		}
		at[i] = k
	}
	got, err := e.cache.get(ctx, hashes)
	if err != nil {
		return nil, err
	}
	for _, v := range got {
		if v != nil {
			e.reused.Add(1)
		}
	}
	for {
		var missing []int
		for k, v := range got {
			if v == nil {
				missing = append(missing, k)
			}
		}
		if len(missing) == 0 {
			break
		}
		if err := e.fetch(ctx, missing, hashes, distinct, got); err != nil {
			return nil, err
		}
	}
	out := make([][]float32, len(texts))
	for i, k := range at {
		if out[i] = got[k]; e.dim > 0 && len(out[i]) != e.dim {
			return nil, fmt.Errorf("%s gave %d numbers for a text, %d for others", e.name, len(out[i]), e.dim)
		}
	}
	return out, nil
}

// fetch asks about the missing texts that nobody else is asking about, and waits
// for the others. A text whose asker was stopped stays missing, for the next
// call to ask.
func (e *embedSource) fetch(ctx context.Context, missing []int, hashes []dataset.Hash, texts []string, got [][]float32) error {
	var mine []int
	others := map[int]*awaited{}
	e.mu.Lock()
	for _, k := range missing {
		if w := e.inFlight[hashes[k]]; w != nil {
			others[k] = w
			continue
		}
		e.inFlight[hashes[k]] = &awaited{done: make(chan struct{})}
		mine = append(mine, k)
	}
	e.mu.Unlock()
	if err := e.own(ctx, mine, hashes, texts, got); err != nil {
		return err
	}
	for k, w := range others {
		select {
		case <-w.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case w.err == nil:
			got[k] = w.vector
			e.reused.Add(1)
		case !errors.Is(w.err, context.Canceled) && !errors.Is(w.err, context.DeadlineExceeded):
			return w.err
		}
	}
	return nil
}

// own asks about texts that are in flight in this call's name.
func (e *embedSource) own(ctx context.Context, mine []int, hashes []dataset.Hash, texts []string, got [][]float32) (err error) {
	if len(mine) == 0 {
		return nil
	}
	// Whoever was asking before may have stored it since this call looked.
	keys := make([]dataset.Hash, len(mine))
	for i, k := range mine {
		keys[i] = hashes[k]
	}
	settle := func(k int, vector []float32, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		w := e.inFlight[hashes[k]]
		w.vector, w.err = vector, err
		delete(e.inFlight, hashes[k])
		close(w.done)
	}
	open := mine
	defer func() {
		for _, k := range open {
			settle(k, nil, err)
		}
	}()
	known, err := e.cache.get(ctx, keys)
	if err != nil {
		return err
	}
	var ask []int
	for i, k := range mine {
		if known[i] == nil {
			ask = append(ask, k)
			continue
		}
		got[k] = known[i]
		e.reused.Add(1)
		settle(k, known[i], nil)
	}
	open = ask
	send := make([]string, len(ask))
	for i, k := range ask {
		send[i] = texts[k]
	}
	left := map[int]bool{}
	for _, k := range ask {
		left[k] = true
	}
	err = e.ask(ctx, send, func(from int, vectors [][]float32) error {
		part := make([]dataset.Hash, len(vectors))
		for i := range vectors {
			part[i] = hashes[ask[from+i]]
		}
		// What has been paid for is kept, Ctrl-C or not.
		if err := e.cache.put(context.WithoutCancel(ctx), part, vectors); err != nil {
			return err
		}
		for i, v := range vectors {
			k := ask[from+i]
			got[k] = v
			settle(k, v, nil)
			delete(left, k)
		}
		e.p.set(e.asked.Add(int64(len(vectors))), "")
		return nil
	})
	open = nil
	for k := range left {
		open = append(open, k)
	}
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s: %d texts were not answered", e.name, len(left))
	}
	return err
}
