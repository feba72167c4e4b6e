package fakeollama

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

func refuseV1(w http.ResponseWriter, status int, kind, code, format string, args ...any) {
	e := map[string]any{"message": fmt.Sprintf(format, args...), "type": kind, "param": nil, "code": nil}
	if code != "" {
		e["code"] = code
	}
	reply(w, status, map[string]any{"error": e})
}

// allowed asks for the key.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request) bool {
	got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if s.o.APIKey == "" || got == s.o.APIKey {
		return true
	}
	refuseV1(w, http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: %s.", got)
	return false
}

func (s *Server) v1Models(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r) {
		return
	}
	data := []map[string]any{}
	for _, m := range s.o.Models {
		data = append(data, map[string]any{"id": m.Name, "object": "model", "created": 0, "owned_by": "library", "max_model_len": m.Context})
	}
	reply(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

type v1Request struct {
	Model            string           `json:"model"`
	Messages         []Message        `json:"messages"`
	Stream           bool             `json:"stream"`
	MaxTokens        *int             `json:"max_tokens"`
	CompletionTokens *int             `json:"max_completion_tokens"`
	Temperature      *float64         `json:"temperature"`
	Seed             int              `json:"seed"`
	Stop             json.RawMessage  `json:"stop"`
	Logprobs         bool             `json:"logprobs"`
	TopLogprobs      int              `json:"top_logprobs"`
	StreamOptions    *v1StreamOptions `json:"stream_options"`
}

type v1StreamOptions struct {
	Usage bool `json:"include_usage"`
}

func (s *Server) v1Chat(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r) {
		return
	}
	var q v1Request
	data, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(data, &q)
	}
	if err != nil {
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "%v", err)
		return
	}
	var sent map[string]any
	if err := json.Unmarshal(data, &sent); err == nil && s.o.Refuse != nil {
		if status, body := s.o.Refuse(sent); status != 0 {
			reply(w, status, body)
			return
		}
	}
	m := s.find(q.Model)
	c := &Request{
		Path: r.URL.Path, Model: q.Model, Messages: q.Messages, Stream: q.Stream, MaxTokens: -1, Temperature: 1,
		Seed: q.Seed, Logprobs: q.Logprobs, TopLogprobs: q.TopLogprobs,
	}
	if q.Temperature != nil {
		c.Temperature = *q.Temperature
	}
	if q.MaxTokens != nil {
		c.MaxTokens = *q.MaxTokens
	}
	if q.CompletionTokens != nil {
		c.MaxTokens = *q.CompletionTokens
	}
	if len(q.Stop) > 0 && json.Unmarshal(q.Stop, &c.Stop) != nil {
		var one string
		if json.Unmarshal(q.Stop, &one) == nil {
			c.Stop = []string{one}
		}
	}
	switch {
	case m == nil:
		refuseV1(w, http.StatusNotFound, "invalid_request_error", "model_not_found", "model '%s' not found", q.Model)
		return
	case len(q.Messages) == 0:
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "[] is too short - 'messages'")
		return
	case s.o.CompletionTokens && q.MaxTokens != nil:
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
		return
	case q.TopLogprobs > s.o.MostLogprobs:
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "", "top_logprobs must be at most %d", s.o.MostLogprobs)
		return
	}
	c.NumCtx = m.Context
	s.answerV1(w, r, m, c, q.StreamOptions != nil && q.StreamOptions.Usage)
}

func (s *Server) answerV1(w http.ResponseWriter, r *http.Request, m *Model, c *Request, usage bool) {
	prompt, n := promptTokens(c.Messages)
	c.PromptTokens = n
	fault, answer := s.begin(c)
	if !s.enter(r) {
		fault = FaultBusy
	} else {
		defer s.leave()
	}
	if fault.page(w) {
		return
	}
	switch fault {
	case FaultBusy:
		w.Header().Set("Retry-After", "1")
		refuseV1(w, http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests")
		return
	case FaultDrop:
		panic(http.ErrAbortHandler)
	case FaultReset:
		reset(w)
		return
	case FaultRestart:
		s.Restart(c.Model)
		panic(http.ErrAbortHandler)
	case FaultMalformed:
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"del\n\n")
		return
	case FaultSilent:
		<-r.Context().Done()
		return
	case FaultRunner:
		refuseV1(w, http.StatusBadGateway, "server_error", "", "upstream connection reset")
		return
	case FaultBroken, FaultMemory:
		refuseV1(w, http.StatusInternalServerError, "server_error", "", "something is broken for good")
		return
	case FaultGarbage:
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: <html>\n\n")
		return
	}
	if n > c.NumCtx {
		refuseV1(w, http.StatusBadRequest, "invalid_request_error", "context_length_exceeded",
			"This model's maximum context length is %d tokens. However, your messages resulted in %d tokens.", c.NumCtx, n)
		return
	}
	fresh := s.load(m, c.NumCtx, nil)
	_, done := s.think(r.Context(), m, prompt, fresh, fault)
	if done == nil {
		return
	}
	defer done()
	a := answer(*c)
	a.Thinking = thinks(m, c, a.Thinking)
	if fault == FaultEmpty {
		a = Answer{}
	}
	a = fault.thinkAloud(a, *c)
	out, thinking, reason := s.cut(write(a, *c), a, c, n, false, fault)
	v := &v1Writer{w: w, c: c, fault: fault, base: map[string]any{"id": fmt.Sprintf("chatcmpl-%d", c.Number), "created": time.Now().Unix(), "model": c.Model, "system_fingerprint": "fp_fake"}}
	for i, t := range out {
		if !pause(r.Context(), s.o.TokenTime) {
			return
		}
		if (fault == FaultCut || fault == FaultStall || fault == FaultMidError) && i >= len(out)/2 {
			break
		}
		v.token(fault.listed(t), i < thinking, c.Logprobs && fault != FaultNoLogprobs)
	}
	switch fault {
	case FaultCut:
		v.flush()
		panic(http.ErrAbortHandler)
	case FaultStall:
		v.flush()
		<-r.Context().Done()
		return
	case FaultMidError:
		v.event(map[string]any{"error": map[string]any{"message": "an error was encountered while running the model", "type": "server_error"}})
		return
	}
	v.done(fault.ends(reason), n, len(out), usage)
}

// v1Writer writes an answer as server-sent events, or gathers it.
type v1Writer struct {
	w              http.ResponseWriter
	c              *Request
	fault          Fault
	base           map[string]any
	text, thoughts strings.Builder
	logs           []any
}

func (v *v1Writer) flush() {
	if f, ok := v.w.(http.Flusher); ok {
		f.Flush()
	}
}

func (v *v1Writer) event(e any) {
	v.w.Header().Set("Content-Type", "text/event-stream")
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte(`{"error":{"message":"event cannot be written"}}`)
	}
	fmt.Fprintf(v.w, "data: %s\n\n", v.fault.written(b))
	v.flush()
}

func (v *v1Writer) object(kind string, add map[string]any) map[string]any {
	o := map[string]any{"object": kind}
	for k, x := range v.base {
		o[k] = x
	}
	for k, x := range add {
		o[k] = x
	}
	return o
}

func (v *v1Writer) token(t token, thought, logprobs bool) {
	delta := map[string]any{"role": "assistant", "content": ""}
	if thought {
		delta["reasoning"] = t.text
		v.thoughts.WriteString(t.text)
	} else {
		delta["content"] = t.text
		v.text.WriteString(t.text)
	}
	choice := map[string]any{"index": 0, "delta": delta, "finish_reason": nil}
	if logprobs {
		top := []any{}
		for _, o := range t.top {
			top = append(top, apiToken(o.text, o.lp))
		}
		l := map[string]any{"token": t.text, "logprob": t.lp, "top_logprobs": top}
		v.logs = append(v.logs, l)
		choice["logprobs"] = map[string]any{"content": []any{l}}
	}
	if v.c.Stream {
		v.event(v.object("chat.completion.chunk", map[string]any{"choices": []any{choice}}))
	}
}

func (v *v1Writer) done(reason string, prompt, completion int, usage bool) {
	u := map[string]int{"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
	if !v.c.Stream {
		msg := map[string]any{"role": "assistant", "content": v.text.String()}
		if v.thoughts.Len() > 0 {
			msg["reasoning"] = v.thoughts.String()
		}
		choice := map[string]any{"index": 0, "message": msg, "finish_reason": reason}
		if v.logs != nil {
			choice["logprobs"] = map[string]any{"content": v.logs}
		}
		reply(v.w, http.StatusOK, v.object("chat.completion", map[string]any{"choices": []any{choice}, "usage": u}))
		return
	}
	v.event(v.object("chat.completion.chunk", map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": reason}}}))
	if usage {
		v.event(v.object("chat.completion.chunk", map[string]any{"choices": []any{}, "usage": u}))
	}
	fmt.Fprint(v.w, "data: [DONE]\n\n")
	v.flush()
}
