package fakeollama

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/types/model"
)

// defaultNumCtx is what Ollama takes where a call names none.
const defaultNumCtx = 4096

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	reply(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(r.Body).Decode(v)
	switch {
	case errors.Is(err, io.EOF):
		refuse(w, http.StatusBadRequest, "missing request body")
	case err != nil:
		refuse(w, http.StatusBadRequest, "%v", err)
	}
	return err == nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"version": s.o.Version})
}

func (m *Model) details() api.ModelDetails {
	return api.ModelDetails{Format: "gguf", Family: m.Family, Families: []string{m.Family}, ParameterSize: "1B", QuantizationLevel: "Q4_K_M"}
}

func (s *Server) tags(w http.ResponseWriter, _ *http.Request) {
	var list api.ListResponse
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.o.Models {
		m := &s.o.Models[i]
		list.Models = append(list.Models, api.ListModelResponse{
			Name: m.Name, Model: m.Name, Digest: m.Digest, Size: 1 << 30, Details: m.details(),
		})
	}
	reply(w, http.StatusOK, list)
}

func (s *Server) ps(w http.ResponseWriter, _ *http.Request) {
	var list api.ProcessResponse
	s.mu.Lock()
	for i := range s.o.Models {
		m := &s.o.Models[i]
		if l := s.running(m.Name); l != nil {
			expires := l.expires
			if expires.IsZero() {
				expires = time.Now().AddDate(292, 0, 0)
			}
			list.Models = append(list.Models, api.ProcessModelResponse{
				Name: m.Name, Model: m.Name, Digest: m.Digest, Size: 1 << 30, Details: m.details(),
				ExpiresAt: expires, ContextLength: l.numCtx,
			})
		}
	}
	s.mu.Unlock()
	reply(w, http.StatusOK, list)
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	var req api.ShowRequest
	if !read(w, r, &req) {
		return
	}
	m := s.find(req.Model)
	if m == nil {
		refuse(w, http.StatusNotFound, "model '%s' not found", req.Model)
		return
	}
	resp := api.ShowResponse{
		Template: cmp.Or(m.Template, chatML),
		Details:  m.details(),
		ModelInfo: map[string]any{
			"general.architecture":       m.Family,
			m.Family + ".context_length": m.Context,
		},
	}
	for _, c := range m.Capabilities {
		resp.Capabilities = append(resp.Capabilities, model.Capability(c))
	}
	reply(w, http.StatusOK, resp)
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var req api.ChatRequest
	if !read(w, r, &req) {
		return
	}
	if req.TopLogprobs < 0 || req.TopLogprobs > 20 {
		refuse(w, http.StatusBadRequest, "top_logprobs must be between 0 and 20")
		return
	}
	if !model.ParseName(req.Model).IsValid() {
		refuse(w, http.StatusBadRequest, "model is required")
		return
	}
	m := s.find(req.Model)
	if m == nil {
		refuse(w, http.StatusNotFound, "model '%s' not found", req.Model)
		return
	}
	if len(req.Messages) == 0 && req.KeepAlive != nil && req.KeepAlive.Duration == 0 {
		s.unload(m)
		s.oneLine(w, req.Model, "unload")
		return
	}
	if !m.can("thinking") && req.Think != nil && req.Think.Bool() {
		refuse(w, http.StatusBadRequest, "%q does not support thinking", req.Model)
		return
	}
	if !m.can("completion") {
		refuse(w, http.StatusBadRequest, "%q does not support chat", req.Model)
		return
	}
	opts := api.DefaultOptions()
	opts.NumCtx = defaultNumCtx
	if err := opts.FromMap(req.Options); err != nil {
		refuse(w, http.StatusInternalServerError, "%v", err)
		return
	}
	opts.NumCtx = min(opts.NumCtx, m.Context)
	if len(req.Messages) == 0 {
		s.load(m, opts.NumCtx, req.KeepAlive)
		s.oneLine(w, req.Model, "load")
		return
	}
	if req.DebugRenderOnly {
		s.load(m, opts.NumCtx, req.KeepAlive)
		reply(w, http.StatusOK, api.ChatResponse{
			Model: req.Model, CreatedAt: time.Now().UTC(),
			DebugInfo: &api.DebugInfo{RenderedTemplate: m.render(req.Messages)},
		})
		return
	}
	c := &Request{
		Path: r.URL.Path, Model: req.Model, Stream: req.Stream == nil || *req.Stream,
		MaxTokens: opts.NumPredict, Temperature: float64(opts.Temperature), Seed: opts.Seed, Stop: opts.Stop,
		NumCtx: opts.NumCtx, Logprobs: req.Logprobs, TopLogprobs: req.TopLogprobs,
		Truncate: req.Truncate, Shift: req.Shift, Options: req.Options,
		Format: string(req.Format),
	}
	if req.Think != nil {
		c.Think = new(req.Think.Bool())
	}
	if req.KeepAlive != nil {
		b, _ := json.Marshal(req.KeepAlive)
		c.KeepAlive = string(b)
		if req.KeepAlive.Duration == math.MaxInt64 {
			c.KeepAlive = "-1"
		}
	}
	for _, msg := range req.Messages {
		c.Messages = append(c.Messages, Message{msg.Role, msg.Content})
	}
	s.answerChat(w, r, m, c, req.KeepAlive)
}

// tokens counts a prompt with the marks of a chat template.
func promptTokens(msgs []Message) (string, int) {
	var b strings.Builder
	n := 3
	for _, m := range msgs {
		n += 4 + count(m.Content)
		b.WriteString(m.Role)
		b.WriteByte('\n')
		b.WriteString(m.Content)
		b.WriteByte('\n')
	}
	return b.String(), n
}

func (s *Server) answerChat(w http.ResponseWriter, r *http.Request, m *Model, c *Request, keep *api.Duration) {
	start := time.Now()
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
	old := fault == FaultOld || fault == FaultHalf
	switch fault {
	case FaultBusy:
		refuse(w, http.StatusServiceUnavailable, "server busy, please try again.  maximum pending requests exceeded")
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
		w.Header().Set("Content-Type", "application/x-ndjson")
		fmt.Fprintln(w, `{"model":"`+c.Model+`","message":{"role":"assistant","con`)
		return
	case FaultSilent:
		<-r.Context().Done()
		return
	case FaultRunner:
		refuse(w, http.StatusInternalServerError, "llama runner process has terminated: exit status 2")
		return
	case FaultBroken:
		refuse(w, http.StatusInternalServerError, "template: :1:7: executing \"\" at <.Nope>: can't evaluate field")
		return
	case FaultMemory:
		refuse(w, http.StatusInternalServerError, "model requires more system memory (12.1 GiB) than is available (3.9 GiB)")
		return
	case FaultGarbage:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>It works!</body></html>\n")
		return
	}
	if n > c.NumCtx {
		if !old && c.Truncate != nil && !*c.Truncate {
			refuse(w, http.StatusBadRequest, "the input length exceeds the context length")
			return
		}
		n = c.NumCtx
		if fault == FaultHalf {
			n /= 2
		}
	}
	fresh := s.load(m, c.NumCtx, keep)
	reading, done := s.think(r.Context(), m, prompt, fresh, fault)
	if done == nil {
		return
	}
	defer done()
	wait := time.Since(start)
	a := answer(*c)
	if c.Format != "" && !s.o.NoFormat {
		a = Answer{Text: example(c.Format), Thinking: a.Thinking}
	}
	a.Thinking = thinks(m, c, a.Thinking)
	if fault == FaultEmpty {
		a = Answer{}
	}
	a = fault.thinkAloud(a, *c)
	out, thinking, reason := s.cut(write(a, *c), a, c, n, old || c.Shift == nil || *c.Shift, fault)
	line := &liner{w: w, stream: c.Stream, model: c.Model, fault: fault}
	if fault == FaultWrongModel {
		line.model = "another:3b"
	}
	count := 0
	for i, t := range out {
		count++
		if !pause(r.Context(), s.o.TokenTime) {
			return
		}
		if (fault == FaultCut || fault == FaultStall || fault == FaultMidError) && i >= len(out)/2 {
			s.breakOff(w, r, line, fault)
			return
		}
		line.token(fault.listed(t), i < thinking, c.Logprobs && fault != FaultNoLogprobs)
	}
	if fault == FaultCut || fault == FaultStall || fault == FaultMidError {
		s.breakOff(w, r, line, fault)
		return
	}
	took := time.Since(start)
	line.done(fault.ends(reason), api.Metrics{
		TotalDuration: took, PromptEvalCount: n, PromptEvalDuration: reading + 1,
		EvalCount: count, EvalDuration: max(1, took-wait),
	})
}

// thinks gives the thoughts of a call: a model that can think does unless it is
// told not to, and gptoss in any case.
func thinks(m *Model, c *Request, given string) string {
	if !m.can("thinking") {
		return ""
	}
	if c.Think != nil && !*c.Think && m.Family != "gptoss" {
		return ""
	}
	if given == "" {
		return "Let me weigh A and B. One of them is better."
	}
	return given
}

// cut applies what ends an answer: the bound, stops, the context. It gives the
// tokens that are left, how many of them are thoughts, and the reason.
func (s *Server) cut(out []token, a Answer, c *Request, prompt int, shift bool, fault Fault) (_ []token, thinking int, reason string) {
	reason = "stop"
	if a.Thinking != "" {
		thinking = len(tokenise("<think>" + a.Thinking + "</think>\n\n"))
	}
	if fault == FaultThinking {
		for len(out) == 0 || (c.MaxTokens > 0 && len(out) < c.MaxTokens) {
			out = append(out, plain(" hmm", *c))
		}
		thinking = len(out)
		reason = "length"
	}
	if len(c.Stop) > 0 {
		var text strings.Builder
		for i := thinking; i < len(out); i++ {
			text.WriteString(out[i].text)
			if slices.ContainsFunc(c.Stop, func(stop string) bool { return stop != "" && strings.Contains(text.String(), stop) }) {
				// As Ollama does, the tokens of the stop are left out whole.
				whole := text.String()
				at := len(whole)
				for _, stop := range c.Stop {
					if k := strings.Index(whole, stop); k >= 0 && stop != "" {
						at = min(at, k)
					}
				}
				out = out[:i+1]
				for len(whole) > at {
					last := &out[len(out)-1]
					keep := len(last.text) - (len(whole) - at)
					if keep > 0 {
						last.text = last.text[:keep]
						break
					}
					whole = whole[:len(whole)-len(last.text)]
					out = out[:len(out)-1]
				}
				break
			}
		}
	}
	if c.MaxTokens >= 0 && len(out) > c.MaxTokens {
		out, reason = out[:c.MaxTokens], "length"
	}
	if room := max(1, c.NumCtx-prompt); !shift && len(out) > room {
		out, reason = out[:room], "length"
	}
	return out, min(thinking, len(out)), reason
}

func (s *Server) breakOff(w http.ResponseWriter, r *http.Request, line *liner, fault Fault) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	switch fault {
	case FaultStall:
		<-r.Context().Done()
	case FaultMidError:
		line.send(map[string]string{"error": "an error was encountered while running the model: unexpected EOF"})
	default:
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) oneLine(w http.ResponseWriter, name, reason string) {
	reply(w, http.StatusOK, api.ChatResponse{
		Model: name, CreatedAt: time.Now().UTC(), Message: api.Message{Role: "assistant"}, Done: true, DoneReason: reason,
	})
}

// load puts a model into memory, and again if the context length is another. It
// tells whether it had to.
func (s *Server) load(m *Model, numCtx int, keep *api.Duration) bool {
	d := 5 * time.Minute
	if keep != nil {
		d = keep.Duration
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.running(m.Name)
	fresh := l == nil || l.numCtx != numCtx
	if fresh {
		l = &loaded{numCtx: numCtx}
		s.loaded[m.Name] = l
		s.loads.Add(1)
	}
	l.expires = time.Time{}
	if d < math.MaxInt64/2 {
		l.expires = time.Now().Add(d)
	}
	return fresh
}

func (s *Server) unload(m *Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loaded, m.Name)
}

// think lets the time pass until the first token, and gives how much of it the
// prompt took and what ends the computing. That is nil if the caller left.
func (s *Server) think(ctx context.Context, m *Model, prompt string, fresh bool, fault Fault) (reading time.Duration, done func()) {
	wait := s.o.Latency
	if fault == FaultSlow {
		wait += s.o.Slow
	}
	if !pause(ctx, wait) {
		return 0, nil
	}
	if s.o.OneCore {
		s.core.Lock()
	}
	tokens, slot := s.uncached(m, prompt, fresh)
	reading = time.Duration(tokens) * s.o.PromptTime
	done = func() {
		s.free(slot)
		if s.o.OneCore {
			s.core.Unlock()
		}
	}
	if reading > 0 && !pause(ctx, reading) {
		done()
		return 0, nil
	}
	return reading, done
}

// uncached takes a slot of the cache and counts the prompt's tokens that it
// does not hold. The slot is -1 where reading takes no time.
func (s *Server) uncached(m *Model, prompt string, fresh bool) (tokens, slot int) {
	if s.o.PromptTime == 0 {
		return 0, -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh {
		clear(s.cache)
	}
	slot, same := -1, -1
	for i := range s.cache {
		k := &s.cache[i]
		if k.busy {
			continue
		}
		n := 0
		if k.model == m.Name {
			n = common(k.prompt, prompt)
		}
		if n > same {
			slot, same = i, n
		}
	}
	if slot < 0 { // more calls than slots, where Parallel is any number
		return count(prompt), -1
	}
	s.cache[slot] = cached{model: m.Name, prompt: prompt, busy: true}
	return count(prompt[same:]), slot
}

func (s *Server) free(slot int) {
	if slot < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache[slot].busy = false
}

// common is the length of the longest common prefix.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// reset breaks a connection as a kernel does whose program has died.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	conn.Close()
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// liner writes an answer as lines of JSON, or gathers it for one object.
type liner struct {
	w      http.ResponseWriter
	stream bool
	model  string
	fault  Fault
	all    api.ChatResponse
	opened bool
}

func (l *liner) send(v any) {
	if !l.opened {
		l.opened = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(`{"error":"line cannot be written"}`)
	}
	fmt.Fprintf(l.w, "%s\n", l.fault.written(b)) // the caller may be gone
	if f, ok := l.w.(http.Flusher); ok {
		f.Flush()
	}
}

func (l *liner) token(t token, thought, logprobs bool) {
	p := api.ChatResponse{Model: l.model, CreatedAt: time.Now().UTC(), Message: api.Message{Role: "assistant"}}
	if thought {
		// The marks are not part of what the server shows of the thoughts.
		p.Message.Thinking = strings.NewReplacer("<", "", ">", "", "think", "", "/", "").Replace(t.text)
	} else {
		p.Message.Content = t.text
	}
	if logprobs {
		lp := api.Logprob{TokenLogprob: apiToken(t.text, t.lp)}
		for _, o := range t.top {
			lp.TopLogprobs = append(lp.TopLogprobs, apiToken(o.text, o.lp))
		}
		p.Logprobs = []api.Logprob{lp}
	}
	if l.stream {
		l.send(p)
		return
	}
	l.all.Message.Content += p.Message.Content
	l.all.Message.Thinking += p.Message.Thinking
	l.all.Logprobs = append(l.all.Logprobs, p.Logprobs...)
}

func apiToken(text string, lp float64) api.TokenLogprob {
	b := make([]int, len(text))
	for i := range len(text) {
		b[i] = int(text[i])
	}
	return api.TokenLogprob{Token: text, Logprob: lp, Bytes: b}
}

func (l *liner) done(reason string, m api.Metrics) {
	l.all.Model, l.all.CreatedAt = l.model, time.Now().UTC()
	l.all.Message.Role = "assistant"
	l.all.Done, l.all.DoneReason, l.all.Metrics = true, reason, m
	if l.stream {
		l.send(l.all)
		return
	}
	reply(l.w, http.StatusOK, l.all)
}
