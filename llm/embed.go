package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/ollama/ollama/api"
	"golang.org/x/sync/errgroup"
)

const (
	// embedTexts and embedBytes bound a request, unless one text alone is longer.
	// A server gains nothing from more, and what a broken connection or a kill
	// loses is a request.
	embedTexts = 32
	embedBytes = 64 << 10
	// leastCut is the size in bytes under which a text is not cut further for a
	// server that says it is too long.
	leastCut = 16
)

// blank is sent in the place of an empty text. Ollama takes "" within a list and
// gives an empty list for "" alone; a model without a token for the beginning of
// a text has nothing to read in it, and other servers refuse it.
const blank = " "

// embedder is a backend whose servers turn texts into vectors.
type embedder interface {
	embed(ctx context.Context, h *url.URL, texts []string) ([][]float32, error)
}

// Embed gives the vector of each text, all of the same length, as the server
// makes them. A text that is longer than the model reads counts as far as it
// reads: the server cuts it, or it is halved until a server that refuses takes
// it. Several hosts share the texts. The errors are those of [Client.Chat]; that
// of a model that makes no embeddings is of KindRequest, and an answer that is
// not one finite vector for each text is of KindOffFormat.
func (c *Client) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	err := c.EmbedEach(ctx, texts, func(from int, vectors [][]float32) error {
		copy(out[from:], vectors)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// EmbedEach is [Client.Embed] for callers who keep what has come before the rest
// is there: take is given the vectors of texts[from], texts[from+1] … of one
// request after the other, in any order and never two at a time. An error of
// take ends the work.
func (c *Client) EmbedEach(ctx context.Context, texts []string, take func(from int, vectors [][]float32) error) error {
	if len(texts) == 0 {
		return nil
	}
	f, err := c.known(ctx)
	if err != nil {
		return err
	}
	if f.chatOnly {
		return noEmbeddings(&Error{Op: "embed", Model: c.model, Err: errors.New("the model writes text and makes no embeddings")})
	}
	hosts := []*Client{c}
	if len(c.servers) > 1 {
		hosts = c.Hosts()
	}
	var mu sync.Mutex
	from := 0
	next := func() (int, []string) {
		mu.Lock()
		defer mu.Unlock()
		at := from
		from += batch(texts[at:])
		return at, texts[at:from]
	}
	var taking sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		g.Go(func() error {
			for at, part := next(); len(part) > 0; at, part = next() {
				vectors, err := h.embedBatch(ctx, part)
				if KindOf(err).Transient() && h != c {
					h = c // which turns to the hosts that answer
					vectors, err = h.embedBatch(ctx, part)
				}
				if err != nil {
					return err
				}
				taking.Lock()
				err = take(at, vectors)
				taking.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// batch is how many of the texts go into the next request.
func batch(texts []string) int {
	n, size := 0, 0
	for n < min(len(texts), embedTexts) {
		if size += len(texts[n]); n > 0 && size > embedBytes {
			break
		}
		n++
	}
	return n
}

// noEmbeddings is the error of a model that can only chat.
func noEmbeddings(e *Error) *Error {
	e.Kind, e.fatal, e.retry = KindRequest, true, false
	e.Hint = "take a model made for embeddings, such as all-minilm, nomic-embed-text or bge-m3"
	return e
}

// embedBatch asks once, and again in parts where the server says that a text is
// too long.
func (c *Client) embedBatch(ctx context.Context, texts []string) ([][]float32, error) {
	b, ok := c.backend.(embedder)
	if !ok {
		return nil, noEmbeddings(&Error{Op: "embed", Model: c.model, Err: errors.New("the server makes no embeddings")})
	}
	sent := make([]string, len(texts))
	size, late := 0, 0
	for i, t := range texts {
		if sent[i] = t; strings.TrimSpace(t) == "" {
			sent[i] = blank
		}
		size += len(t)
	}
	vectors, err := call(ctx, c, "embed", func(ctx context.Context, s *server) ([][]float32, error) {
		first := min(c.first, s.pace.deadline(size, c.least, c.first)<<late)
		w, done := c.watch(ctx, first, min(c.stall, first))
		defer done()
		start := time.Now()
		v, err := b.embed(w, s.url, sent)
		if err != nil {
			if errors.Is(context.Cause(w), errSilent) {
				late++
			}
			return nil, err
		}
		s.pace.saw(size, firstByte(w, time.Since(start)))
		s.chatted.Store(true)
		if err := c.sound(v, len(sent)); err != nil {
			return nil, err
		}
		return v, c.believe(ctx, s)
	})
	if KindOf(err) != KindContext {
		return vectors, err
	}
	if n := len(texts); n > 1 {
		vectors, err = c.embedBatch(ctx, texts[:n/2])
		if err != nil {
			return nil, err
		}
		rest, err := c.embedBatch(ctx, texts[n/2:])
		return append(vectors, rest...), err
	}
	if len(texts[0]) <= leastCut {
		return nil, err
	}
	return c.embedBatch(ctx, []string{strings.ToValidUTF8(texts[0][:len(texts[0])/2], "")})
}

// sound tells whether an answer is one vector for each of n texts.
func (c *Client) sound(vectors [][]float32, n int) error {
	wrong := func(format string, args ...any) error {
		return &Error{Kind: KindOffFormat, Err: fmt.Errorf(format, args...), Hint: "is " + c.model + " a model for embeddings, and the server of a version that knows it?"}
	}
	if len(vectors) != n {
		return wrong("the server gave %d embeddings for %d texts", len(vectors), n)
	}
	for _, v := range vectors {
		if len(v) == 0 {
			return wrong("the server gave an embedding without numbers")
		}
		var sum float64
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			return wrong("the server gave an embedding with a number that is not finite")
		}
		if sum == 0 {
			return wrong("the server gave an embedding of nothing but zeros")
		}
		if c.dim.CompareAndSwap(0, int64(len(v))); int64(len(v)) != c.dim.Load() {
			return wrong("the server gave an embedding of %d numbers after others of %d", len(v), c.dim.Load())
		}
	}
	return nil
}

var (
	notFinite = regexp.MustCompile(`\bNaN\b|\bInf\b`)
	// tooLarge is how llama.cpp says that a text is longer than what it reads at
	// once.
	tooLarge = regexp.MustCompile(`(?i)too large to process`)
	noVector = regexp.MustCompile(`(?i)not support.*embedding|embedding.*not support`)
)

// embedMistake sees to what only these calls are told.
func embedMistake(e *Error) *Error {
	if e.Err == nil {
		return e
	}
	switch text := e.Err.Error(); {
	case noVector.MatchString(text):
		return noEmbeddings(e)
	case tooLarge.MatchString(text):
		e.Kind, e.retry = KindContext, false
	case notFinite.MatchString(text):
		e.Kind, e.retry = KindOffFormat, false
	}
	return e
}

// embed asks with the user's options and the client's context length, which the
// server lowers to what the model reads. One that differs from other clients'
// would have the server load the model anew for each in turn.
func (o *ollama) embed(ctx context.Context, h *url.URL, texts []string) ([][]float32, error) {
	opts := maps.Clone(o.c.options)
	opts["num_ctx"] = o.c.NumCtx()
	req := &api.EmbedRequest{Model: o.model, Input: texts, Options: opts}
	if d, ok := opts[keepAlive].(time.Duration); ok {
		req.KeepAlive = &api.Duration{Duration: d}
	}
	delete(opts, keepAlive)
	resp, err := o.api(h).Embed(ctx, req)
	if b := broken(ctx); b != nil {
		return nil, b
	}
	if err != nil {
		return nil, embedMistake(o.mistake(err))
	}
	if resp.Model != "" && !sameModel(resp.Model, o.model) {
		return nil, &Error{Kind: KindWrongModel, Err: fmt.Errorf("the model %q answered", clip(resp.Model)), retry: true}
	}
	return resp.Embeddings, nil
}

// openAIEmbeddings is an answer of /v1/embeddings.
type openAIEmbeddings struct {
	Data []struct {
		Index     int             `json:"index"`
		Embedding json.RawMessage `json:"embedding"`
	} `json:"data"`
	Error json.RawMessage `json:"error"`
}

func (o *openAI) embed(ctx context.Context, h *url.URL, texts []string) ([][]float32, error) {
	at := h.JoinPath("embeddings")
	body := map[string]any{"model": o.model, "input": texts, "encoding_format": "float"}
	o.taken.apply(body)
	resp, err := o.do(ctx, http.MethodPost, at, body)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			if e.Kind == KindRequest && o.taken.refused(e.said, body, nil) {
				return o.embed(ctx, h, texts)
			}
			if strings.Contains(e.Hint, "/chat/completions") {
				e.Hint = "check the URL in the model's name: " + Redact(at) + " is asked"
			}
			return nil, embedMistake(e)
		}
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, cause(ctx, err)
	}
	off := func(err error) error {
		return &Error{Kind: KindOffFormat, Err: fmt.Errorf("the server's answer is not what the protocol says: %w", err), fatal: isSyntax(err), Hint: "check the URL in the model's name"}
	}
	if isPage(data) {
		return nil, o.page(data)
	}
	var list openAIEmbeddings
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, off(err)
	}
	if len(list.Error) > 0 && string(list.Error) != "null" {
		return nil, embedMistake(o.mistake(http.StatusInternalServerError, data, 0))
	}
	vectors := make([][]float32, len(list.Data))
	for _, d := range list.Data {
		if d.Index < 0 || d.Index >= len(vectors) || vectors[d.Index] != nil {
			return nil, off(fmt.Errorf("index %d of %d embeddings is out of place", d.Index, len(vectors)))
		}
		v := []float32{}
		// What is no number in JSON comes as null, which would be read as 0.
		if bytes.Contains(d.Embedding, []byte("null")) {
			v = []float32{float32(math.NaN())}
		} else if err := json.Unmarshal(d.Embedding, &v); err != nil {
			return nil, off(err)
		}
		vectors[d.Index] = v
	}
	return vectors, nil
}
