package llm

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/ollama/ollama/api"
)

// Inspection is what a server tells about a model, beyond what calls need. What
// it does not tell is empty.
type Inspection struct {
	Capabilities []string // completion, thinking, embedding …
	Family       string   // qwen2, llama …
	Size         string   // number of parameters, as in 1.8B
	Quantization string
	Template     string // the chat template's source
	Renderer     string // the server's own code in place of a template
	Context      int    // tokens that the model was made for
	// Loaded is the context length, in tokens, with which the model is in memory
	// now; 0 if it is not.
	Loaded int
	// Recognised tells that the server has said what its protocol says; one of
	// OpenAI's protocol that does not list its models has not.
	Recognised bool
	// MustThink tells that the model's thinking cannot be switched off.
	MustThink bool
}

// inspector is a backend whose servers tell more than calls need.
type inspector interface {
	inspect(ctx context.Context, h *url.URL) (Inspection, error)
	rendered(ctx context.Context, h *url.URL, r Request) (string, error)
}

// Inspect asks the server what it knows about the model. Of a server that speaks
// OpenAI's protocol only the context is known, if that.
func (c *Client) Inspect(ctx context.Context) (Inspection, error) {
	f, err := c.known(ctx)
	if err != nil {
		return Inspection{}, err
	}
	b, ok := c.backend.(inspector)
	if !ok {
		return Inspection{Context: f.context, Recognised: f.recognised}, nil
	}
	i, err := call(ctx, c, "look at the model", func(ctx context.Context, s *server) (Inspection, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errSilent)
		defer cancel()
		return b.inspect(ctx, s.url)
	})
	i.Context, i.MustThink, i.Recognised = f.context, f.mustHave, f.recognised
	return i, err
}

// Rendered gives the text that the server makes of messages by the model's chat
// template, and "" from a server that does not show it. It loads the model.
func (c *Client) Rendered(ctx context.Context, messages ...Message) (string, error) {
	b, ok := c.backend.(inspector)
	if !ok {
		return "", nil
	}
	return call(ctx, c, "render a prompt", func(ctx context.Context, s *server) (string, error) {
		w, done := c.watch(ctx, c.first, c.stall)
		defer done()
		return b.rendered(w, s.url, Request{Messages: messages, MaxTokens: 1})
	})
}

func (o *ollama) inspect(ctx context.Context, h *url.URL) (Inspection, error) {
	var i Inspection
	cl := o.api(h)
	s, err := cl.Show(ctx, &api.ShowRequest{Model: o.model})
	if err != nil {
		return i, o.mistake(err)
	}
	for _, c := range s.Capabilities {
		i.Capabilities = append(i.Capabilities, string(c))
	}
	i.Family, i.Size, i.Quantization = s.Details.Family, s.Details.ParameterSize, s.Details.QuantizationLevel
	i.Template, i.Renderer = strings.TrimSpace(s.Template), s.Renderer
	running, err := cl.ListRunning(ctx)
	if err != nil {
		return i, o.mistake(err)
	}
	for _, m := range running.Models {
		if sameModel(m.Name, o.model) {
			i.Loaded = m.ContextLength
		}
	}
	return i, nil
}

// rendered uses a switch that Ollama calls a debugging one; a server that does
// not know it answers with one token instead.
func (o *ollama) rendered(ctx context.Context, h *url.URL, r Request) (string, error) {
	req := o.request(r)
	req.DebugRenderOnly = true
	o.mu.Lock()
	o.held[h] = true
	o.mu.Unlock()
	var text string
	err := o.api(h).Chat(ctx, req, func(p api.ChatResponse) error {
		if p.DebugInfo != nil {
			text = p.DebugInfo.RenderedTemplate
		}
		return nil
	})
	if b := broken(ctx); b != nil {
		return "", b
	}
	if err != nil {
		return "", o.mistake(err)
	}
	return text, nil
}

// bareTemplate is what Ollama takes for a model that comes without a template.
const bareTemplate = "{{.Prompt}}"

// Bare tells whether the model has no chat template, as far as its source says:
// the messages' texts would reach it as they are.
func (i Inspection) Bare() bool {
	t := strings.Join(strings.Fields(i.Template), "")
	return i.Renderer == "" && (t == "" || t == bareTemplate)
}

// String names the model's build, as in "qwen2 1.8B Q4_K_M".
func (i Inspection) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", i.Family, i.Size, i.Quantization)), " ")
}
