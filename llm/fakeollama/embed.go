package fakeollama

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

var errInput = errors.New("invalid input type")

// inputs reads the texts of a call: one, or a list. A single empty one is none.
func inputs(in any) ([]string, error) {
	switch in := in.(type) {
	case nil:
	case string:
		if in != "" {
			return []string{in}, nil
		}
	case []any:
		var texts []string
		for _, v := range in {
			t, ok := v.(string)
			if !ok {
				return nil, errInput
			}
			texts = append(texts, t)
		}
		return texts, nil
	default:
		return nil, errInput
	}
	return nil, nil
}

// embed gives every text the normalised sum of its words' vectors, so that
// texts with words in common are near each other.
func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	var req api.EmbedRequest
	if !read(w, r, &req) {
		return
	}
	texts, err := inputs(req.Input)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	m := s.find(req.Model)
	if m == nil {
		refuse(w, http.StatusNotFound, "model '%s' not found", req.Model)
		return
	}
	call := &Request{Path: r.URL.Path, Model: req.Model, Texts: texts, NumCtx: m.Context, Options: req.Options, Truncate: req.Truncate}
	if n, ok := req.Options["num_ctx"].(float64); ok {
		call.NumCtx = min(m.Context, int(n))
	}
	for _, t := range texts {
		n := count(t)
		if n > call.NumCtx && req.Truncate != nil && !*req.Truncate {
			refuse(w, http.StatusBadRequest, "the input length exceeds the context length")
			return
		}
		call.PromptTokens += min(n, call.NumCtx)
	}
	fault, ok := s.beginEmbedding(w, r, call)
	if !ok {
		return
	}
	defer s.leave()
	switch fault {
	case FaultBusy:
		refuse(w, http.StatusServiceUnavailable, "server busy, please try again.  maximum pending requests exceeded")
		return
	case FaultRunner:
		refuse(w, http.StatusInternalServerError, "do embedding request: Post \"http://127.0.0.1:1/embedding\": EOF")
		return
	case FaultBroken:
		refuse(w, http.StatusInternalServerError, "something is broken for good")
		return
	case FaultMemory:
		refuse(w, http.StatusInternalServerError, "model requires more system memory (9.9 GiB) than is available (1.0 GiB)")
		return
	case FaultNaN:
		refuse(w, http.StatusBadRequest, "embedding contains NaN or Inf values")
		return
	}
	if len(texts) > 0 {
		s.load(m, call.NumCtx, req.KeepAlive)
	}
	resp := api.EmbedResponse{Model: req.Model, PromptEvalCount: call.PromptTokens, Embeddings: vectors(texts, m.Dim, fault)}
	if fault == FaultWrongModel {
		resp.Model = "another:1b"
	}
	s.finish(w, r, fault, resp)
}

// v1Embed is the same by OpenAI's protocol.
func (s *Server) v1Embed(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r) {
		return
	}
	var q struct {
		Model string `json:"model"`
		Input any    `json:"input"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "%v", err)
		return
	}
	texts, err := inputs(q.Input)
	m := s.find(q.Model)
	switch {
	case m == nil:
		refuseV1(w, http.StatusNotFound, "invalid_request_error", "model_not_found", "model '%s' not found", q.Model)
		return
	case err != nil || len(texts) == 0:
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
		return
	case !m.can("embedding"):
		refuseV1(w, http.StatusBadRequest, "BadRequestError", "", "The model does not support Embeddings API")
		return
	}
	call := &Request{Path: r.URL.Path, Model: q.Model, Texts: texts, NumCtx: m.Context}
	for _, t := range texts {
		n := count(t)
		if t == "" {
			refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
			return
		}
		if n > m.Context {
			refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "This model's maximum context length is %d tokens, however you requested %d tokens", m.Context, n)
			return
		}
		call.PromptTokens += n
	}
	fault, ok := s.beginEmbedding(w, r, call)
	if !ok {
		return
	}
	defer s.leave()
	switch fault {
	case FaultBusy:
		w.Header().Set("Retry-After", "1")
		refuseV1(w, http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests")
		return
	case FaultRunner:
		refuseV1(w, http.StatusBadGateway, "server_error", "", "upstream connection reset")
		return
	case FaultBroken, FaultMemory:
		refuseV1(w, http.StatusInternalServerError, "server_error", "", "something is broken for good")
		return
	}
	data := []map[string]any{}
	for i, v := range vectors(texts, m.Dim, fault) {
		var e any = v
		if fault == FaultNaN {
			e = make([]*float32, len(v)) // as llama.cpp writes them
		}
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": e})
	}
	// The order is not promised.
	for i := range len(data) / 2 {
		data[i], data[len(data)-1-i] = data[len(data)-1-i], data[i]
	}
	s.finish(w, r, fault, map[string]any{
		"object": "list", "data": data, "model": q.Model,
		"usage": map[string]int{"prompt_tokens": call.PromptTokens, "total_tokens": call.PromptTokens},
	})
}

// beginEmbedding counts a call, waits for a slot and for as long as reading
// takes. It gives false where the call is over; else s.leave is owed.
func (s *Server) beginEmbedding(w http.ResponseWriter, r *http.Request, c *Request) (Fault, bool) {
	fault, _ := s.begin(c)
	switch fault {
	case FaultDrop:
		panic(http.ErrAbortHandler)
	case FaultReset:
		reset(w)
		return fault, false
	case FaultRestart:
		s.Restart(c.Model)
		panic(http.ErrAbortHandler)
	case FaultSilent:
		<-r.Context().Done()
		return fault, false
	}
	if !s.enter(r) {
		refuse(w, http.StatusServiceUnavailable, "server busy, please try again.  maximum pending requests exceeded")
		return fault, false
	}
	wait := s.o.Latency + time.Duration(c.PromptTokens)*s.o.PromptTime
	if fault == FaultSlow {
		wait += s.o.Slow
	}
	if !pause(r.Context(), wait) {
		s.leave()
		return fault, false
	}
	return fault, true
}

// finish writes an answer, or what a fault leaves of it.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, fault Fault, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%v", err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch fault {
	case FaultGarbage:
		fmt.Fprint(w, "<html>")
	case FaultMalformed:
		_, _ = w.Write(b[:len(b)/2])
	case FaultCut, FaultStall, FaultMidError:
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b[:len(b)/2])
		_ = http.NewResponseController(w).Flush()
		if fault == FaultStall {
			<-r.Context().Done()
			return
		}
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(b) // the caller may be gone
	}
}

func vectors(texts []string, dim int, fault Fault) [][]float32 {
	switch fault {
	case FaultEmpty:
		return [][]float32{}
	case FaultFewer:
		texts = texts[:max(0, len(texts)-1)]
	case FaultDimension:
		dim++
	}
	out := [][]float32{}
	for _, t := range texts {
		out = append(out, vector(t, dim))
	}
	return out
}

// vector is that of the empty word where there are no others, as a model still
// has the marks of a text's ends to read.
func vector(text string, dim int) []float32 {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		words = []string{""}
	}
	v := make([]float64, dim)
	for _, word := range words {
		for i := range v {
			v[i] += whim(word, string(rune(i)))
		}
	}
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	out := make([]float32, dim)
	for i, x := range v {
		if sum > 0 {
			out[i] = float32(x / math.Sqrt(sum))
		}
	}
	return out
}
