package llm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ollama/ollama/api"
)

// chatLine is what is used of one line of an answer of /api/chat.
type chatLine struct {
	Model   string `json:"model"`
	Message struct {
		Content  string `json:"content"`
		Thinking string `json:"thinking"`
	} `json:"message"`
	Logprobs           logprobs      `json:"logprobs"`
	Done               bool          `json:"done"`
	DoneReason         string        `json:"done_reason"`
	PromptEvalCount    int           `json:"prompt_eval_count"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration"`
	EvalCount          int           `json:"eval_count"`

	Error     string `json:"error"`
	SigninURL string `json:"signin_url"`
}

// lineBuffers are reused: most answers are two short lines.
var lineBuffers = sync.Pool{New: func() any { return new(make([]byte, 0, 64<<10)) }}

// stream asks /api/chat as [api.Client] does, and gives the same errors. That
// clears 8 MB for each call, which takes longer than everything else about a
// call of one token.
func (o *ollama) stream(ctx context.Context, h *url.URL, req *api.ChatRequest, fn func(*chatLine) error) error {
	if h.Hostname() == "ollama.com" { // which wants requests to be signed
		return o.api(h).Chat(ctx, req, func(r api.ChatResponse) error { return fn(lineOf(&r)) })
	}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.JoinPath("/api/chat").String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/x-ndjson")
	resp, err := o.c.http.client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	buf := lineBuffers.Get().(*[]byte)
	defer lineBuffers.Put(buf)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(*buf, maxLine)
	failed := resp.StatusCode >= http.StatusBadRequest
	status := func(text string) error {
		return api.StatusError{StatusCode: resp.StatusCode, Status: resp.Status, ErrorMessage: text}
	}
	var part []byte // of an object that is written over several lines
	for lines.Scan() {
		if isPage(lines.Bytes()) && part == nil {
			return status(wholePage(lines))
		}
		data := lines.Bytes()
		if part != nil {
			data = append(part, data...)
		}
		var l chatLine
		switch err := decode(data, &l); {
		case len(bytes.TrimSpace(data)) == 0:
			continue
		case err != nil && failed:
			return status(string(data))
		case isCutShort(err) && len(data) < maxLine:
			part = bytes.Clone(data)
			continue
		case err != nil:
			return err
		}
		part = nil
		switch {
		case resp.StatusCode == http.StatusUnauthorized:
			return api.AuthorizationError{StatusCode: resp.StatusCode, Status: resp.Status, SigninURL: l.SigninURL}
		case failed:
			return status(l.Error)
		case l.Error != "":
			return errors.New(l.Error)
		}
		if err := fn(&l); err != nil {
			return err
		}
	}
	switch {
	case failed: // with no word about it
		return status("")
	case part != nil && lines.Err() == nil:
		return json.Unmarshal(part, new(chatLine))
	}
	return lines.Err()
}

// lineOf takes what is used from the library's form of a line.
func lineOf(r *api.ChatResponse) *chatLine {
	l := &chatLine{
		Model: r.Model, Done: r.Done, DoneReason: r.DoneReason,
		PromptEvalCount: r.PromptEvalCount, PromptEvalDuration: r.PromptEvalDuration, EvalCount: r.EvalCount,
	}
	l.Message.Content, l.Message.Thinking = r.Message.Content, r.Message.Thinking
	for _, t := range r.Logprobs {
		p := lineLogprob{lineToken: lineToken{t.Token, (*logprob)(&t.Logprob)}}
		for _, a := range t.TopLogprobs {
			p.TopLogprobs = append(p.TopLogprobs, lineToken{a.Token, (*logprob)(&a.Logprob)})
		}
		l.Logprobs = append(l.Logprobs, p)
	}
	return l
}
