package llm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxLine bounds one event of a stream, and maxBody a response without a
// stream, in bytes.
const (
	maxLine = 8 << 20
	maxBody = 16 << 20
)

// openAI speaks OpenAI's chat protocol. The key comes from the environment
// (OPENAI_API_KEY) and goes nowhere but into the request's header.
type openAI struct {
	c     *Client
	model string
	base  *url.URL // up to and with /v1
	key   string

	// What the server turned out not to know.
	completionTokens atomic.Bool // wants max_completion_tokens
	noUsage          atomic.Bool // refuses stream_options
	fewer            atomic.Int32
}

var versioned = regexp.MustCompile(`/v\d+[a-z0-9]*(/|$)`)

// newOpenAI reads NAME@URL. The path /v1 is added unless the URL names a
// version of its own.
func newOpenAI(c *Client, s string) (*openAI, error) {
	name, addr, ok := s, "", false
	for _, sep := range []string{"@https://", "@http://"} {
		if i := strings.Index(s, sep); i > 0 {
			name, addr, ok = s[:i], s[i+1:], true
			break
		}
	}
	if !ok {
		// Names such as org/model@main hold the mark too: the address is last.
		if i := strings.LastIndex(s, "@"); i > 0 {
			name, addr, ok = s[:i], "http://"+s[i+1:], true
		}
	}
	if !ok || addr == "http://" {
		return nil, errors.New("an OpenAI-compatible model is named openai:NAME@URL")
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" {
		// The cause would repeat the address, which may hold a password.
		return nil, fmt.Errorf("model openai:%s: what follows the @ is not a URL", name)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if !versioned.MatchString(u.Path) {
		u.Path += "/v1"
	}
	return &openAI{c: c, model: name, base: u, key: os.Getenv("OPENAI_API_KEY")}, nil
}

func (o *openAI) name() string { return "openai" }

// release has nothing to do: such servers hold models as they see fit.
func (o *openAI) release(context.Context, *url.URL) error { return nil }

type openAIAlternative struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
}

// openAIChunk is an event of a stream, and a whole response where the server
// does not stream.
type openAIChunk struct {
	Choices []struct {
		Delta   openAIMessage `json:"delta"`
		Message openAIMessage `json:"message"`
		Finish  string        `json:"finish_reason"`
		Logs    *struct {
			Content []struct {
				openAIAlternative
				Top []openAIAlternative `json:"top_logprobs"`
			} `json:"content"`
		} `json:"logprobs"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type openAIMessage struct {
	Content string `json:"content"`
	// Servers name the thoughts in two ways.
	Reasoning  string `json:"reasoning"`
	Reasoning2 string `json:"reasoning_content"`
}

func (o *openAI) body(r Request) map[string]any {
	opts := o.c.choices(r)
	msgs := make([]map[string]string, len(r.Messages))
	for i, m := range r.Messages {
		msgs[i] = map[string]string{"role": m.Role, "content": m.Content}
	}
	b := map[string]any{"model": o.model, "messages": msgs, "stream": true, "temperature": opts["temperature"], "seed": opts["seed"]}
	bound := "max_tokens"
	if o.completionTokens.Load() {
		bound = "max_completion_tokens"
	}
	b[bound] = opts["num_predict"]
	if r.Think && r.ThinkTokens > 0 { // which models think, such a server does not tell
		b[bound] = opts["num_predict"].(int) + r.ThinkTokens
	}
	if !o.noUsage.Load() {
		b["stream_options"] = map[string]bool{"include_usage": true}
	}
	if stop, ok := opts["stop"]; ok {
		b["stop"] = stop
	}
	if r.TopLogprobs > 0 {
		n := r.TopLogprobs
		if f := int(o.fewer.Load()); f > 0 {
			n = min(n, f)
		}
		b["logprobs"], b["top_logprobs"] = true, n
	}
	if r.Plain {
		b["top_p"] = 1
	}
	if len(r.Format) > 0 {
		b["response_format"] = map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "answer", "strict": true, "schema": r.Format}}
	}
	// Those of OpenAI's own and those that most other servers add, if the user
	// named them.
	for ours, theirs := range map[string]string{
		"top_p": "top_p", "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
		"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repeat_penalty",
	} {
		if v, ok := o.c.options[ours]; ok {
			b[theirs] = v
		}
	}
	return b
}

func (o *openAI) chat(ctx context.Context, h *url.URL, r Request, f facts) (*Reply, error) {
	for {
		resp, err := o.do(ctx, http.MethodPost, h.JoinPath("chat", "completions"), o.body(r))
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindRequest && o.adapt(e.Error()) {
				continue
			}
			return nil, err
		}
		reply, err := o.read(ctx, resp, r.OnText)
		resp.Body.Close()
		return reply, err
	}
}

var atMost = regexp.MustCompile(`(?i)(?:at most|maximum(?: value)?(?: of| is)?|less than or equal to|<=|between 0 and) *(\d+)`)

// adapt learns from a refusal what the server wants otherwise, and tells whether
// there is something to try again.
func (o *openAI) adapt(text string) bool {
	switch {
	case strings.Contains(text, "max_completion_tokens"):
		return o.completionTokens.CompareAndSwap(false, true)
	case strings.Contains(text, "stream_options"):
		return o.noUsage.CompareAndSwap(false, true)
	case strings.Contains(text, "logprobs"):
		if m := atMost.FindStringSubmatch(text); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n >= 2 && n < TopLogprobs {
				return o.fewer.CompareAndSwap(0, int32(n))
			}
		}
	}
	return false
}

// read takes an answer in, as a stream of events or as one JSON object.
func (o *openAI) read(ctx context.Context, resp *http.Response, onText func(string)) (*Reply, error) {
	reply := &Reply{}
	var text, thinking strings.Builder
	finish, ended := "", false
	take := func(data []byte) error {
		var p openAIChunk
		if err := json.Unmarshal(data, &p); err != nil {
			return &Error{Kind: KindOffFormat, Err: fmt.Errorf("the server's answer is not what the protocol says: %w", err), fatal: isSyntax(err), Hint: "check the URL in the model's name"}
		}
		if len(p.Error) > 0 && string(p.Error) != "null" {
			return o.mistake(http.StatusInternalServerError, data, 0)
		}
		if p.Usage != nil {
			reply.PromptTokens, reply.OutputTokens = p.Usage.Prompt, p.Usage.Completion
		}
		if len(p.Choices) == 0 {
			return nil
		}
		c := p.Choices[0]
		piece := c.Delta.Content + c.Message.Content
		text.WriteString(piece)
		thinking.WriteString(c.Delta.Reasoning + c.Delta.Reasoning2 + c.Message.Reasoning + c.Message.Reasoning2)
		if c.Finish != "" {
			finish = c.Finish
		}
		if c.Logs != nil {
			for _, l := range c.Logs.Content {
				t := Token{Alternative: Alternative{Text: l.Token, Logprob: l.Logprob}}
				for _, a := range l.Top {
					t.Top = append(t.Top, Alternative{Text: a.Token, Logprob: a.Logprob})
				}
				reply.Tokens = append(reply.Tokens, t)
			}
		}
		if piece != "" && onText != nil {
			onText(piece)
		}
		return nil
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil {
			return nil, cause(ctx, err)
		}
		if err := take(data); err != nil {
			return nil, err
		}
		ended = true
	} else {
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, maxLine)
		for !ended && lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
			if !ok {
				continue // blank lines, comments, names of events
			}
			if data = bytes.TrimSpace(data); string(data) == "[DONE]" {
				ended = true
			} else if err := take(data); err != nil {
				return nil, err
			}
		}
		if err := lines.Err(); err != nil && !ended {
			return nil, cause(ctx, err)
		}
	}
	if !ended && finish == "" {
		return nil, &Error{Kind: KindServer, Err: errors.New("the server broke the answer off"), retry: true}
	}
	reply.Text, reply.Thinking = text.String(), thinking.String()
	reply.Truncated = finish == "length"
	return reply, nil
}

// isSyntax tells that what came is no JSON at all.
func isSyntax(err error) bool {
	_, ok := errors.AsType[*json.SyntaxError](err)
	return ok
}

// cause prefers the reason why a body ended to the way it did.
func cause(ctx context.Context, err error) error {
	if b := broken(ctx); b != nil {
		return b
	}
	return err
}

// do sends a request and gives the response if it is a success.
func (o *openAI) do(ctx context.Context, method string, u *url.URL, body any) (*http.Response, error) {
	var send io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, &Error{Kind: KindRequest, Err: err}
		}
		send = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), send)
	if err != nil {
		return nil, &Error{Kind: KindRequest, Err: errors.New("the address is not a URL"), fatal: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream, application/json")
	if o.key != "" {
		req.Header.Set("Authorization", "Bearer "+o.key)
	}
	resp, err := o.c.http.client().Do(req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // what came of it is enough for a message
	wait := time.Duration(0)
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		wait = time.Duration(s) * time.Second
	}
	return nil, o.mistake(resp.StatusCode, data, wait)
}

var keyLike = regexp.MustCompile(`\b(sk|pk|key)-[A-Za-z0-9_*.-]+`)

// mistake sorts what a server answered.
func (o *openAI) mistake(code int, data []byte, wait time.Duration) *Error {
	text, kind := o.message(data)
	cause := errors.New(text)
	if text == "" {
		cause = fmt.Errorf("the server answered %d %s", code, http.StatusText(code))
	}
	all := kind + " " + text
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		// Some servers repeat the key, or part of it, in what they say.
		return &Error{Kind: KindRequest, Err: errors.New("the server does not accept the API key"), fatal: true, Hint: "set OPENAI_API_KEY to the server's key"}
	case tooLong.MatchString(all):
		return &Error{Kind: KindContext, Err: cause, Hint: "start the server with a longer context, or shorten the text"}
	case strings.Contains(all, "insufficient_quota"):
		return &Error{Kind: KindRequest, Err: cause, fatal: true}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable, code == 529:
		return &Error{Kind: KindBusy, Err: cause, retry: true, wait: wait}
	case code == http.StatusNotFound && strings.Contains(all, "model"):
		return &Error{Kind: KindModelMissing, Err: cause, Hint: "GET " + Redact(o.base) + "/models lists what the server has"}
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		return &Error{Kind: KindRequest, Err: cause, fatal: true, Hint: "check the URL in the model's name: " + Redact(o.base) + "/chat/completions is asked"}
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		return &Error{Kind: KindServer, Err: cause, retry: true}
	case code < http.StatusInternalServerError:
		return &Error{Kind: KindRequest, Err: cause}
	default:
		return &Error{Kind: KindServer, Err: cause, retry: code == http.StatusInternalServerError && (text == "" || passing.MatchString(all))}
	}
}

// message finds the text of an error, which is {"error":{"message"}} by
// OpenAI's protocol and {"error":"…"}, {"message":"…"} or {"detail":"…"} elsewhere.
func (o *openAI) message(data []byte) (text, kind string) {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(data, &e) != nil {
		text = string(data)
	} else {
		var in struct {
			Message string `json:"message"`
			Type    string `json:"type"`
			Code    any    `json:"code"`
		}
		switch {
		case json.Unmarshal(e.Error, &in) == nil && in.Message != "":
			text, kind = in.Message, fmt.Sprint(in.Type, " ", in.Code)
		case json.Unmarshal(e.Error, &text) == nil && text != "":
		case e.Message != "":
			text = e.Message
		default:
			if json.Unmarshal(e.Detail, &text) != nil {
				text = string(e.Detail)
			}
		}
	}
	if o.key != "" {
		text = strings.ReplaceAll(text, o.key, "[key]")
	}
	return clip(keyLike.ReplaceAllString(text, "[key]")), kind
}

// models lists what the server offers; servers name the context length in
// different ways, if at all.
type openAIModels struct {
	Data []struct {
		ID      string `json:"id"`
		MaxLen  int    `json:"max_model_len"`  // vLLM
		Context int    `json:"context_length"` // OpenRouter, LM Studio
		Meta    struct {
			Train int `json:"n_ctx_train"` // llama.cpp
		} `json:"meta"`
	} `json:"data"`
}

func (o *openAI) list(ctx context.Context, h *url.URL) (openAIModels, error) {
	var m openAIModels
	resp, err := o.do(ctx, http.MethodGet, h.JoinPath("models"), nil)
	if err != nil {
		// The list is a courtesy: a server without one may chat all the same.
		if e, ok := errors.AsType[*Error](err); ok && (e.Kind == KindRequest || e.Kind == KindModelMissing) && !strings.Contains(e.Hint, "OPENAI_API_KEY") {
			return m, nil
		}
		return m, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return m, err
	}
	if json.Unmarshal(data, &m) != nil {
		return openAIModels{}, nil
	}
	return m, nil
}

func (o *openAI) identify(ctx context.Context, h *url.URL) (Identity, error) {
	// A name that is not listed may be an alias: the first call will tell.
	_, err := o.list(ctx, h)
	return Identity{}, err
}

func (o *openAI) facts(ctx context.Context, h *url.URL) (facts, error) {
	m, err := o.list(ctx, h)
	for _, d := range m.Data {
		if d.ID == o.model {
			return facts{context: max(d.MaxLen, d.Context, d.Meta.Train)}, err
		}
	}
	return facts{}, err
}
