package llm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/types/model"
)

// ordinaryKeepAlive is how long Ollama keeps a model that nobody asks for.
const ordinaryKeepAlive = 5 * time.Minute

// thinkingBudget is added to the bound of an answer for models whose thinking
// cannot be switched off.
const thinkingBudget = 2048

// ollama speaks Ollama's own protocol.
type ollama struct {
	c     *Client
	model string

	taken taken

	mu   sync.Mutex
	held map[*url.URL]bool // hosts that were told to keep the model
}

func newOllama(c *Client, name string) *ollama {
	return &ollama{c: c, model: name, held: map[*url.URL]bool{}, taken: taken{tell: c.onNotice}}
}

func (o *ollama) name() string { return "ollama" }

func (o *ollama) api(h *url.URL) *api.Client { return api.NewClient(h, o.c.http.client()) }

// request has what all chat requests share. Truncate and shift off make the
// server refuse what does not fit; it would cut it silently otherwise.
func (o *ollama) request(r Request) *api.ChatRequest {
	no := false
	opts := o.c.choices(r)
	opts["num_ctx"] = o.c.NumCtx()
	keep := -time.Second // for good; the client library writes the number -1
	if d, ok := opts[keepAlive].(time.Duration); ok {
		keep = d
	}
	delete(opts, keepAlive)
	req := &api.ChatRequest{
		Model: o.model, Truncate: &no, Shift: &no,
		KeepAlive: &api.Duration{Duration: keep}, Options: opts,
		Logprobs: r.TopLogprobs > 0, TopLogprobs: r.TopLogprobs,
		Format: r.Format,
	}
	for _, m := range r.Messages {
		req.Messages = append(req.Messages, api.Message{Role: m.Role, Content: m.Content})
	}
	return req
}

func (o *ollama) chat(ctx context.Context, h *url.URL, r Request, f facts) (*Reply, error) {
	for {
		n, ok := o.taken.logprobs(r.TopLogprobs)
		if !ok && r.TopLogprobs > 0 {
			return nil, noLogprobs()
		}
		reply, err := o.ask(ctx, h, r, f, n)
		if e, ok := errors.AsType[*Error](err); ok && r.TopLogprobs > 0 && e.Kind == KindRequest && o.taken.logprobsRefused(e.said, n) {
			continue
		}
		return reply, err
	}
}

// ask makes one call that asks for n of the log-probabilities that r wants.
func (o *ollama) ask(ctx context.Context, h *url.URL, r Request, f facts, n int) (*Reply, error) {
	req := o.request(r)
	req.TopLogprobs = n
	bound := req.Options["num_predict"].(int)
	switch {
	case f.mustHave:
		req.Think = &api.ThinkValue{Value: "low"}
		bound += max(thinkingBudget, r.ThinkTokens)
		req.Options["num_predict"] = bound
	case f.thinks:
		// Left unset the server has the model think, and one token is then
		// one token of thought. Other models refuse to be told.
		req.Think = &api.ThinkValue{Value: r.Think}
		if r.Think {
			bound += r.ThinkTokens
			req.Options["num_predict"] = bound
		}
	}
	o.mu.Lock()
	o.held[h] = true
	o.mu.Unlock()

	reply := &Reply{}
	var text, thinking strings.Builder
	done, reason, by := false, "", ""
	err := o.stream(ctx, h, req, func(p *chatLine) error {
		text.WriteString(p.Message.Content)
		thinking.WriteString(p.Message.Thinking)
		for i := range p.Logprobs {
			reply.Tokens = append(reply.Tokens, p.Logprobs[i].token())
		}
		if p.Message.Content != "" && r.OnText != nil {
			r.OnText(p.Message.Content)
		}
		if p.Done {
			done, reason, by = true, p.DoneReason, p.Model
			reply.PromptTime = p.PromptEvalDuration
			reply.PromptTokens, reply.OutputTokens = p.PromptEvalCount, p.EvalCount
		}
		return nil
	})
	// The client library takes the end of a broken stream for its end.
	if b := broken(ctx); b != nil {
		return nil, b
	}
	if err != nil {
		return nil, o.mistake(err)
	}
	if !done {
		return nil, &Error{Kind: KindServer, Err: errors.New("the server broke the answer off"), retry: true}
	}
	if by != "" && !sameModel(by, o.model) {
		return nil, &Error{Kind: KindWrongModel, Err: fmt.Errorf("the model %q answered", clip(by)), retry: true}
	}
	if reply.Truncated, err = ended(reason); err != nil {
		return nil, err
	}
	reply.Text, reply.Thinking = text.String(), thinking.String()
	return reply, o.fits(reply, bound, f)
}

// ErrCut is the cause of an error of KindContext where the server has not
// refused the prompt but, as it seems, read what fits of it.
var ErrCut = errors.New("it may have been cut")

// fits finds what a server does that ignores the request not to cut: the prompt
// fills the whole context, or the answer ended for want of room.
func (o *ollama) fits(reply *Reply, bound int, f facts) error {
	n := o.c.NumCtx()
	var err error
	switch {
	case reply.PromptTokens >= n:
		err = fmt.Errorf("the prompt fills the context of %d tokens: %w", n, ErrCut)
	case reply.Truncated && reply.OutputTokens < bound && reply.PromptTokens+reply.OutputTokens >= n-1:
		err = fmt.Errorf("a prompt of %d tokens leaves too little of the context of %d tokens for the answer", reply.PromptTokens, n)
	default:
		return nil
	}
	return &Error{Kind: KindContext, Err: err, Hint: o.contextHint(f)}
}

func (o *ollama) contextHint(f facts) string {
	if n := o.c.NumCtx(); f.context > 0 && n >= f.context {
		return fmt.Sprintf("the model reads at most %d tokens: shorten the text or take a model with a longer context", f.context)
	}
	return fmt.Sprintf("allow for more with --option num_ctx=%d", 2*o.c.NumCtx())
}

func (o *ollama) identify(ctx context.Context, h *url.URL) (Identity, error) {
	var id Identity
	cl := o.api(h)
	list, err := cl.List(ctx)
	if err != nil {
		return id, o.mistake(err)
	}
	var names []string
	for _, m := range list.Models {
		names = append(names, m.Name)
		if sameModel(m.Name, o.model) || sameModel(m.Model, o.model) {
			id.Digest = m.Digest
		}
	}
	if id.Digest == "" {
		// Aliases and remote models are not in the list.
		if _, err := cl.Show(ctx, &api.ShowRequest{Model: o.model}); err != nil {
			e := o.mistake(err)
			if e.Kind == KindModelMissing && len(names) > 0 {
				e.Hint += "; the server has " + strings.Join(names, ", ")
			}
			return id, e
		}
	}
	// A server that hides its version is used all the same.
	id.Version, _ = cl.Version(ctx)
	return id, nil
}

// sameModel compares names as Ollama does: the registry, the namespace and the
// tag have defaults, and case does not count.
func sameModel(a, b string) bool {
	return model.ParseName(a).EqualFold(model.ParseName(b))
}

func (o *ollama) facts(ctx context.Context, h *url.URL) (facts, error) {
	var f facts
	s, err := o.api(h).Show(ctx, &api.ShowRequest{Model: o.model})
	if err != nil {
		return f, o.mistake(err)
	}
	f.recognised = true
	f.chatOnly = len(s.Capabilities) > 0 && !slices.Contains(s.Capabilities, model.CapabilityEmbedding)
	for _, c := range s.Capabilities {
		f.thinks = f.thinks || c == model.CapabilityThinking
	}
	arch, _ := s.ModelInfo["general.architecture"].(string)
	if n, ok := s.ModelInfo[arch+".context_length"].(float64); ok && n > 0 {
		f.context = int(n)
	}
	// gpt-oss only knows how much it thinks, not whether.
	f.mustHave = f.thinks && (arch == "gptoss" || arch == "gpt-oss")
	return f, nil
}

// release asks with the options of the job, because others would have the
// server load the model again, and only where the model is still loaded.
func (o *ollama) release(ctx context.Context, h *url.URL) error {
	o.mu.Lock()
	held := o.held[h]
	delete(o.held, h)
	o.mu.Unlock()
	if _, own := o.c.options[keepAlive]; own || !held {
		return nil
	}
	cl := o.api(h)
	running, err := cl.ListRunning(ctx)
	if err != nil {
		return o.mistake(err)
	}
	for _, m := range running.Models {
		if sameModel(m.Name, o.model) {
			req := o.request(Request{MaxTokens: 1})
			req.KeepAlive = &api.Duration{Duration: ordinaryKeepAlive}
			if err := cl.Chat(ctx, req, func(api.ChatResponse) error { return nil }); err != nil {
				return o.mistake(err)
			}
		}
	}
	return nil
}

var (
	// passing are failures that go away by themselves: a runner that died is
	// started again with the next request.
	passing = regexp.MustCompile(`(?i)runner process|while running the model|llm server (loading model|not responding)|try again|\bEOF\b|connection reset|connection refused|broken pipe`)
	// tooLong are the ways in which servers say that a prompt does not fit.
	tooLong = regexp.MustCompile(`(?i)exceeds? (the |maximum )?(available )?context|context[ _]length[ _]exceeded|maximum context length|exceed_context_size|input (length|is too long)|prompt is too long|too many (input )?tokens`)
	tooBig  = regexp.MustCompile(`(?i)requires more (system )?memory|out of memory|failed to load|unable to load`)
)

// mistake sorts what an Ollama server answered.
func (o *ollama) mistake(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if _, ok := errors.AsType[api.AuthorizationError](err); ok {
		return &Error{Kind: KindRequest, Err: errors.New("the server wants a user to sign in"), fatal: true, Hint: "sign in with `ollama signin`, or put user name and password into the address"}
	}
	const hint = "check the address given with --host or OLLAMA_HOST"
	s, ok := errors.AsType[api.StatusError](err)
	sent := []byte(s.ErrorMessage)
	if !ok { // the client library, or the scanner of lines, shows what it could not read
		sent = []byte(strings.TrimPrefix(err.Error(), "invalid character '"))
	}
	switch {
	case isPage(sent) && (!ok || s.StatusCode < http.StatusBadRequest):
		return pageError(sent, "what answers", "an Ollama server", hint)
	case isPage(sent):
		s.ErrorMessage = pageStatus(s.StatusCode, sent).Error()
	case isSyntax(err):
		e := &Error{Kind: KindOffFormat, Err: errors.New("what answers is not an Ollama server"), fatal: true, Hint: hint}
		if f := o.c.facts.Load(); f != nil && f.recognised {
			e.Err = errors.New("the server's answer cannot be read")
		}
		return e
	}
	if !ok {
		if _, ok := errors.AsType[*url.Error](err); ok {
			return network(err)
		}
		if n := network(err); n.Kind != KindServer || n.retry {
			return n
		}
		s = api.StatusError{StatusCode: http.StatusInternalServerError, ErrorMessage: err.Error()} // in mid-stream
	}
	text := clip(s.ErrorMessage)
	cause := errors.New(text)
	if text == "" {
		cause = fmt.Errorf("the server answered %d %s", s.StatusCode, http.StatusText(s.StatusCode))
	}
	var f facts
	if known := o.c.facts.Load(); known != nil {
		f = *known
	}
	e := o.sorted(s.StatusCode, text, cause, f)
	if e.said = text; isPage(sent) && s.StatusCode >= http.StatusInternalServerError {
		e.Hint = proxyHint
	}
	return e
}

// sorted makes an error of a status and what the server said with it.
func (o *ollama) sorted(code int, text string, cause error, f facts) *Error {
	switch {
	case tooLong.MatchString(text):
		return &Error{Kind: KindContext, Err: fmt.Errorf("the text does not fit the context of %d tokens", o.c.NumCtx()), Hint: o.contextHint(f)}
	case code == http.StatusNotFound && strings.Contains(text, "model"):
		return &Error{Kind: KindModelMissing, Err: cause, Hint: "get it with `ollama pull " + o.model + "`"}
	case code == http.StatusServiceUnavailable, code == http.StatusTooManyRequests:
		return &Error{Kind: KindBusy, Err: cause, retry: true}
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		return &Error{Kind: KindServer, Err: cause, retry: true}
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		return &Error{Kind: KindRequest, Err: cause, fatal: true, Hint: "is it an Ollama server that listens there?"}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return &Error{Kind: KindRequest, Err: cause, fatal: true, Hint: "put user name and password into the address"}
	case strings.Contains(text, "must be of type"), strings.Contains(text, "does not support"):
		return &Error{Kind: KindRequest, Err: cause, fatal: true}
	case code < http.StatusInternalServerError:
		return &Error{Kind: KindRequest, Err: cause}
	case tooBig.MatchString(text):
		return &Error{Kind: KindServer, Err: cause, fatal: true, Hint: fmt.Sprintf("take a smaller model, or a smaller context than %d with --option num_ctx", o.c.NumCtx())}
	default:
		return &Error{Kind: KindServer, Err: cause, retry: passing.MatchString(text)}
	}
}

// clip makes a server's message fit for a line of text.
func clip(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ' ' }), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}
