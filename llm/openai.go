package llm

import (
	"bufio"
	"bytes"
	"cmp"
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

	taken taken
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
	return &openAI{c: c, model: name, base: u, key: os.Getenv("OPENAI_API_KEY"), taken: taken{tell: c.onNotice}}, nil
}

func (o *openAI) name() string { return "openai" }

// release has nothing to do: such servers hold models as they see fit.
func (o *openAI) release(context.Context, *url.URL) error { return nil }

// openAIChunk is an event of a stream, and a whole response where the server
// does not stream.
type openAIChunk struct {
	Object  string `json:"object"` // "error" in some
	Choices []struct {
		Delta   openAIMessage `json:"delta"`
		Message openAIMessage `json:"message"`
		Finish  string        `json:"finish_reason"`
		Logs    logprobs      `json:"logprobs"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type openAIMessage struct {
	Content content `json:"content"`
	Refusal string  `json:"refusal"`
	// Servers name the thoughts in these ways, and some in two at once.
	Reasoning        content `json:"reasoning"`
	ReasoningContent content `json:"reasoning_content"`
	Thinking         content `json:"thinking"`
}

func (m *openAIMessage) thoughts() string {
	return m.Content.thoughts + cmp.Or(m.Reasoning.text, m.ReasoningContent.text, m.Thinking.text)
}

// content is a text, or a list of parts of which some may be thoughts.
type content struct{ text, thoughts string }

// UnmarshalJSON implements [json.Unmarshaler].
func (c *content) UnmarshalJSON(b []byte) error {
	*c = content{}
	if json.Unmarshal(b, &c.text) == nil {
		return nil
	}
	var parts []json.RawMessage
	if json.Unmarshal(b, &parts) != nil {
		parts = []json.RawMessage{b}
	}
	for _, part := range parts {
		var text string
		if json.Unmarshal(part, &text) == nil {
			c.text += text
			continue
		}
		var p struct {
			Type      string  `json:"type"`
			Text      content `json:"text"`
			Refusal   string  `json:"refusal"`
			Thinking  content `json:"thinking"`
			Reasoning content `json:"reasoning"`
		}
		if err := json.Unmarshal(part, &p); err != nil {
			return err
		}
		c.thoughts += p.Thinking.text + p.Reasoning.text
		if isThought.MatchString(p.Type) {
			c.thoughts += p.Text.text
		} else {
			c.text += p.Text.text + p.Refusal
		}
	}
	return nil
}

var isThought = regexp.MustCompile(`(?i)think|thought|reason`)

func (o *openAI) body(r Request) map[string]any {
	opts := o.c.choices(r)
	msgs := make([]map[string]string, len(r.Messages))
	for i, m := range r.Messages {
		msgs[i] = map[string]string{"role": m.Role, "content": m.Content}
	}
	b := map[string]any{
		"model": o.model, "messages": msgs, "stream": true, "stream_options": map[string]bool{"include_usage": true},
		"temperature": opts["temperature"], "seed": opts["seed"],
	}
	bound := boundNames[0]
	if !o.taken.has(bound) {
		bound = boundNames[1]
	}
	b[bound] = opts["num_predict"]
	if r.Think && r.ThinkTokens > 0 { // which models think, such a server does not tell
		b[bound] = opts["num_predict"].(int) + r.ThinkTokens
	}
	if stop, ok := opts["stop"]; ok {
		b["stop"] = stop
	}
	if r.TopLogprobs > 0 {
		b["logprobs"] = true
		if n, _ := o.taken.logprobs(r.TopLogprobs); n > 0 {
			b["top_logprobs"] = n
		}
	}
	if r.Plain {
		b["top_p"] = 1
	}
	if len(r.Format) > 0 {
		b["response_format"] = map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "answer", "strict": true, "schema": r.Format}}
	}
	// Those of OpenAI's own and those that most other servers add, if the user
	// named them.
	for _, p := range []string{"top_p", "presence_penalty", "frequency_penalty", "top_k", "min_p", "repeat_penalty"} {
		if v, ok := o.c.options[p]; ok {
			b[p] = v
		}
	}
	o.taken.apply(b)
	return b
}

func (o *openAI) chat(ctx context.Context, h *url.URL, r Request, f facts) (*Reply, error) {
	for {
		if _, ok := o.taken.logprobs(r.TopLogprobs); !ok && r.TopLogprobs > 0 {
			return nil, noLogprobs()
		}
		body := o.body(r)
		resp, err := o.do(ctx, http.MethodPost, h.JoinPath("chat", "completions"), body)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindRequest && o.adapt(e, body) {
				continue
			}
			return nil, err
		}
		reply, err := o.read(ctx, resp, r.OnText)
		resp.Body.Close()
		return reply, err
	}
}

// adapt learns from a refusal what the server wants otherwise, and tells whether
// there is something to try again.
func (o *openAI) adapt(e *Error, body map[string]any) bool {
	asked, _ := body["top_logprobs"].(int)
	if body["logprobs"] != nil && o.taken.logprobsRefused(e.said, asked) || o.taken.refused(e.said, body, o.c.options) {
		return true
	}
	for p := range o.c.options {
		if body[p] != nil && names(e.said, p) {
			e.Hint = "leave out --option " + p + ": the server refuses it"
		}
	}
	return false
}

// read takes an answer in: a stream of events, or one JSON object and whatever
// else the server says in their place.
func (o *openAI) read(ctx context.Context, resp *http.Response, onText func(string)) (*Reply, error) {
	a := openAIAnswer{o: o, onText: onText}
	body := bufio.NewReader(resp.Body)
	begin, err := beginsWith(body)
	switch {
	case err != nil && err != io.EOF:
		return nil, cause(ctx, err)
	case begin == '<':
		data, _ := io.ReadAll(io.LimitReader(body, 1<<16)) // its beginning is enough
		return nil, o.page(data)
	case begin == '{' || begin == '[':
		data, err := io.ReadAll(io.LimitReader(body, maxBody))
		if err != nil {
			return nil, cause(ctx, err)
		}
		err = a.objects(data)
		if err != nil {
			return nil, err
		}
	default:
		if err := a.events(ctx, body); err != nil {
			return nil, err
		}
	}
	return a.reply()
}

// openAIAnswer is an answer as far as it has come.
type openAIAnswer struct {
	o              *openAI
	onText         func(string)
	r              Reply
	text, thoughts strings.Builder
	finish         string
	some, ended    bool // something has come; and its end
	pieces         bool // of a text have come
}

func (a *openAIAnswer) objects(data []byte) error {
	a.ended = true
	if err := a.take(data); err == nil || !isSyntax(err) {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(data)) // an object a line
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := a.take(lines.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// events reads server-sent events. The data of one may be parted into lines; an
// error may be an event of that name, or llama.cpp's field of that name.
func (a *openAIAnswer) events(ctx context.Context, body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	var part []byte
	event := ""
	for !a.ended && lines.Scan() {
		field, data, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		data = bytes.TrimSpace(data)
		switch string(field) {
		case "event":
			event = string(data)
			continue
		case "error":
			return a.o.inStream(data)
		case "data":
		case "":
			if len(lines.Bytes()) > 0 { // a comment
				continue
			}
			if part != nil {
				return a.take(part)
			}
			event = ""
			continue
		default:
			if data = lines.Bytes(); len(data) == 0 || data[0] != '{' {
				continue
			}
		}
		if len(data) == 0 {
			continue
		}
		if part != nil {
			data = append(append(part, '\n'), data...)
		}
		switch err := a.data(event, data); {
		case isCutShort(err) && len(data) < maxLine:
			part = bytes.Clone(data)
		case err != nil:
			return err
		default:
			part = nil
		}
	}
	if err := lines.Err(); err != nil && !a.ended {
		return cause(ctx, err)
	}
	if part != nil {
		return a.take(part)
	}
	return nil
}

func (a *openAIAnswer) data(event string, data []byte) error {
	switch {
	case event == "error":
		return a.o.inStream(data)
	case isPage(data):
		return a.o.page(data)
	case string(data) == "[DONE]":
		a.ended = true
		return nil
	}
	return a.take(data)
}

// take reads one object.
func (a *openAIAnswer) take(data []byte) error {
	var p openAIChunk
	if err := decode(data, &p); err != nil {
		return &Error{Kind: KindOffFormat, Err: fmt.Errorf("the server's answer is not what the protocol says: %w", err), fatal: isSyntax(err), Hint: "check the URL in the model's name"}
	}
	if p.Object == "error" || len(p.Error) > 0 && string(p.Error) != "null" {
		return a.o.inStream(data)
	}
	if p.Usage != nil {
		a.r.PromptTokens, a.r.OutputTokens = p.Usage.Prompt, p.Usage.Completion
	}
	if len(p.Choices) == 0 {
		return nil
	}
	a.some = true
	c := &p.Choices[0]
	if c.Finish != "" {
		a.finish = c.Finish
	}
	for i := range c.Logs {
		a.r.Tokens = append(a.r.Tokens, c.Logs[i].token())
	}
	for i, m := range []*openAIMessage{&c.Delta, &c.Message} {
		if i == 1 && a.pieces {
			break // some servers repeat beside the pieces what has come so far
		}
		a.pieces = a.pieces || i == 0 && m.Content.text != ""
		a.thoughts.WriteString(m.thoughts())
		if piece := m.Content.text + m.Refusal; piece != "" {
			a.text.WriteString(piece)
			if a.onText != nil {
				a.onText(piece)
			}
		}
	}
	return nil
}

func (a *openAIAnswer) reply() (*Reply, error) {
	switch {
	case a.ended && !a.some:
		return nil, &Error{Kind: KindOffFormat, Err: errors.New("the server's answer is not what the protocol says: it holds no choices"), fatal: true, Hint: "check the URL in the model's name"}
	case !a.ended && a.finish == "":
		return nil, &Error{Kind: KindServer, Err: errors.New("the server broke the answer off"), retry: true}
	}
	var err error
	if a.r.Truncated, err = ended(a.finish); err != nil {
		return nil, err
	}
	a.r.Text, a.r.Thinking = a.text.String(), a.thoughts.String()
	return &a.r, nil
}

// beginsWith gives the first byte that is no white space, without taking it.
func beginsWith(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if !bytes.ContainsRune([]byte(" \t\r\n"), rune(b)) && b != 0xef && b != 0xbb && b != 0xbf { // a byte order mark
			return b, r.UnreadByte()
		}
	}
}

// page is the error of a web page in the place of an answer.
func (o *openAI) page(data []byte) *Error {
	return pageError(data, "what answers at "+Redact(o.base), "an OpenAI server", "check the URL in the model's name, and whether a proxy or a sign-in page stands before the server")
}

// inStream sorts an error that came in the place of an answer with status 200.
func (o *openAI) inStream(data []byte) error {
	var in struct {
		Code  any `json:"code"`
		Error struct {
			Code any `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(data, &in) // where there is no code, it is the server's own
	code := http.StatusInternalServerError
	for _, c := range []any{in.Code, in.Error.Code} {
		if n, ok := c.(float64); ok && n >= 400 && n < 600 {
			code = int(n)
		}
	}
	e := o.mistake(code, data, 0)
	e.retry = e.retry || e.Kind == KindServer
	return e
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

// aboutKey are refusals that another key may mend.
var aboutKey = regexp.MustCompile(`(?i)api[ _-]?key|\btoken\b.*(?:invalid|expired|missing)|(?:invalid|expired|missing).*\btoken\b|auth|credential|permission|access|sign(?:ed)? in|log(?:ged)? ?in|forbidden`)

// mistake sorts what a server answered.
func (o *openAI) mistake(code int, data []byte, wait time.Duration) *Error {
	text, said := o.message(data)
	cause := errors.New(text)
	switch {
	case isPage(data):
		cause = pageStatus(code, data)
	case text == "":
		cause = fmt.Errorf("the server answered %d %s", code, http.StatusText(code))
	}
	e := &Error{Kind: KindRequest, Err: cause, said: said}
	if isPage(data) && code >= http.StatusInternalServerError {
		e.Hint = proxyHint
	}
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden && (text == "" || aboutKey.MatchString(said)):
		if e.fatal, e.Hint = true, "set OPENAI_API_KEY to the server's key"; !isPage(data) {
			// Some servers repeat the key, or part of it, in what they say.
			e.Err = errors.New("the server does not accept the API key")
		}
	case tooLong.MatchString(said):
		e.Kind, e.Hint = KindContext, "start the server with a longer context, or shorten the text"
	case strings.Contains(said, "insufficient_quota"):
		e.fatal = true
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable, code == 529:
		e.Kind, e.retry, e.wait = KindBusy, true, wait
	case code == http.StatusNotFound && strings.Contains(said, "model"):
		e.Kind, e.Hint = KindModelMissing, "GET "+Redact(o.base)+"/models lists what the server has"
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		e.fatal, e.Hint = true, "check the URL in the model's name: "+Redact(o.base)+"/chat/completions is asked"
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		e.Kind, e.retry = KindServer, true
	case code == http.StatusNotImplemented:
	case code >= http.StatusInternalServerError:
		e.Kind, e.retry = KindServer, code == http.StatusInternalServerError && (text == "" || passing.MatchString(said))
	}
	return e
}

// message finds the text of an error, which is {"error":{"message"}} by
// OpenAI's protocol and {"error":"…"}, {"message":"…"}, {"detail":"…"} or a list
// of what is wrong with each parameter elsewhere. said is all that a refusal may
// tell a program.
func (o *openAI) message(data []byte) (text, said string) {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	var in struct {
		Message string `json:"message"`
		Type    any    `json:"type"`
		Code    any    `json:"code"`
		Param   any    `json:"param"`
	}
	var list []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	switch {
	case isPage(data):
	case json.Unmarshal(data, &e) != nil:
		text = string(data)
	case json.Unmarshal(e.Error, &in) == nil && in.Message != "":
		text = in.Message
	case json.Unmarshal(e.Error, &text) == nil && text != "":
	case json.Unmarshal(e.Detail, &list) == nil && len(list) > 0:
		var wrong []string
		for _, d := range list {
			at := make([]string, len(d.Loc))
			for i, l := range d.Loc {
				at[i] = fmt.Sprint(l)
			}
			wrong = append(wrong, strings.Join(at, ".")+": "+d.Msg)
		}
		text = strings.Join(wrong, "; ")
	case e.Message != "":
		text = e.Message
		_ = json.Unmarshal(data, &in) // its code and parameter stand beside it
	case json.Unmarshal(e.Detail, &text) != nil:
		text = string(e.Detail)
	}
	if o.key != "" {
		text = strings.ReplaceAll(text, o.key, "[key]")
	}
	text = clip(keyLike.ReplaceAllString(text, "[key]"))
	said = text
	for _, x := range []any{in.Type, in.Code, in.Param} {
		if x != nil {
			said += fmt.Sprintf(" %q", fmt.Sprint(x))
		}
	}
	return text, said
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

// list asks for the models. recognised tells that the answer is what OpenAI's
// protocol says; a server without such a list may chat all the same.
func (o *openAI) list(ctx context.Context, h *url.URL) (m openAIModels, recognised bool, _ error) {
	resp, err := o.do(ctx, http.MethodGet, h.JoinPath("models"), nil)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && (e.Kind == KindRequest || e.Kind == KindModelMissing) && !strings.Contains(e.Hint, "OPENAI_API_KEY") {
			return m, false, nil
		}
		return m, false, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		return m, false, err
	case isPage(data):
		return m, false, o.page(data)
	case !json.Valid(data) && len(bytes.TrimSpace(data)) > 0:
		return m, false, &Error{
			Kind: KindOffFormat, Err: fmt.Errorf("what answers at %s is not an OpenAI server: it lists its models as %q", Redact(o.base), clip(string(data))),
			fatal: true, Hint: "check the URL in the model's name",
		}
	case json.Unmarshal(data, &m) != nil:
		return openAIModels{}, false, nil
	}
	return m, m.Data != nil, nil
}

func (o *openAI) identify(ctx context.Context, h *url.URL) (Identity, error) {
	// A name that is not listed may be an alias: the first call will tell.
	_, _, err := o.list(ctx, h)
	return Identity{}, err
}

func (o *openAI) facts(ctx context.Context, h *url.URL) (facts, error) {
	m, recognised, err := o.list(ctx, h)
	f := facts{recognised: recognised}
	for _, d := range m.Data {
		if d.ID == o.model {
			f.context = max(d.MaxLen, d.Context, d.Meta.Train)
		}
	}
	return f, err
}
