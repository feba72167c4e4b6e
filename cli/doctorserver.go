package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cai/judge"
	"cai/llm"
)

// describe says which model it is and what it can do.
func (d *doctor) describe() error {
	m := d.model
	i, err := m.Inspect(d.ctx)
	if err != nil {
		d.broke("model", err)
		return err
	}
	text := strings.TrimSpace(m.id.Model + " " + i.String())
	others, err := d.otherHosts()
	switch {
	case err != nil:
		d.broke("model", err)
		return err
	case others != "":
		d.warn("model", m.id.Digest, "pull the same model on each host: cai label refuses them otherwise, and leaves alone those that are away; the rest here is about "+m.Host(), "%s, digest %s; %s", text, short(m.id.Digest), others)
	case m.id.Digest == "":
		d.warn("model", m.id.Digest, "give another build another name: judgments of both would pass for those of one judge", "%s; the server tells no digest of the weights", text)
	default:
		d.pass("model", m.id.Digest, "%s, digest %s", text, short(m.id.Digest))
	}
	if m.id.Backend != "ollama" {
		return nil // what it can do will be seen
	}
	value := i.Capabilities
	if value == nil {
		value = []string{}
	}
	list := strings.Join(value, ", ")
	switch {
	case len(value) > 0 && !slices.Contains(value, "completion"):
		d.fail("capabilities", value, "take a model that can chat", "%s, and no chat", list)
		return errEnough
	case i.MustThink:
		d.warn("capabilities", value, "take a model whose thinking can be switched off: each of thousands of answers waits for the thoughts", "%s; its thinking cannot be switched off", list)
	case slices.Contains(value, "thinking"):
		d.pass("capabilities", value, "%s; thinking is switched off for judging", list)
	default:
		d.pass("capabilities", value, "%s", list)
	}
	return nil
}

// otherHosts says what is wrong with the hosts beside the one in use.
func (d *doctor) otherHosts() (string, error) {
	var says []string
	for _, h := range d.model.Hosts() {
		if h.Host() == d.model.Host() {
			continue
		}
		id, err := h.Identify(d.ctx)
		switch {
		case d.ctx.Err() != nil:
			return "", err
		case err != nil:
			says = append(says, fmt.Sprintf("%s: %v", h.Host(), bare(err)))
		case id.Digest != d.model.id.Digest:
			says = append(says, fmt.Sprintf("%s has other weights, %s", h.Host(), short(id.Digest)))
		}
	}
	return strings.Join(says, "; "), nil
}

// Texts that no template holds.
const (
	markSystem = "cai-system-7f3a"
	markUser   = "cai-user-7f3a"
)

// template looks at what the model would read. A base model without a template
// reads the bare texts, and often answers with the end of its turn.
func (d *doctor) template() error {
	if d.model.id.Backend != "ollama" {
		return nil // such servers do not tell
	}
	i, err := d.model.Inspect(d.ctx)
	if err != nil {
		d.broke("template", err)
		return err
	}
	if i.Loaded == 0 {
		d.app.note(d.c, "loading the model")
	}
	text, err := d.model.Rendered(d.ctx, llm.Message{Role: "system", Content: markSystem}, llm.Message{Role: "user", Content: markUser})
	if err != nil {
		d.broke("template", err)
		return err
	}
	value := map[string]any{"rendered": text, "renderer": i.Renderer}
	around := strings.TrimSpace(strings.NewReplacer(markSystem, "", markUser, "").Replace(text))
	const hint = "take an instruction-tuned build of the model, or give it its template with ollama create (TEMPLATE in a Modelfile)"
	switch {
	case text == "" && i.Bare(), text != "" && around == "":
		d.fail("template", value, hint, "there is none: the texts reach the model bare, as with a base model")
		return errEnough
	case text == "":
		d.pass("template", value, "there is one; this server does not show what it makes of a prompt")
	case !strings.Contains(text, markUser):
		d.fail("template", value, hint, "it leaves out what the user says")
		return errEnough
	case strings.Count(text, markUser) > 1:
		d.warn("template", value, "mend the template: each prompt costs twice what it should", "it writes what the user says %d times", strings.Count(text, markUser))
	case strings.Count(text, markSystem) == 0:
		d.warn("template", value, "the shapes system and bare cannot work with it", "it leaves out the system prompt")
	case strings.Count(text, markSystem) > 1:
		d.warn("template", value, "the shapes system and bare waste tokens with it; a template that uses .Messages need not write .System too", "it writes the system prompt %d times", strings.Count(text, markSystem))
	default:
		d.pass("template", value, "turns are marked, the system prompt is kept")
	}
	return nil
}

// context compares the context length that calls ask for, the one that the
// server gave, and the one that the model was made for.
func (d *doctor) context() error {
	i, err := d.model.Inspect(d.ctx)
	if err != nil {
		d.broke("context", err)
		return err
	}
	asked := d.model.NumCtx()
	value := map[string]int{"asked": asked, "loaded": i.Loaded, "made_for": i.Context}
	if d.model.id.Backend != "ollama" {
		if i.Context == 0 {
			d.warn("context", value, "see to it that the server's context holds your longest pair", "the server does not tell how long it is")
		} else {
			d.pass("context", value, "%d tokens", i.Context)
		}
		return nil
	}
	switch {
	case i.Loaded == 0:
		d.warn("context", value, "see ollama ps", "%d tokens asked for; the server does not tell what it gave", asked)
	case i.Loaded < asked:
		d.warn("context", value, "longer texts will fail and be listed: a larger --option num_ctx needs more memory on the server", "%d tokens, though %d were asked for", i.Loaded, asked)
	case i.Context > 0 && i.Context < asked:
		d.warn("context", value, "shorten the texts or take a model with a longer context", "the model was made for %d tokens, and %d are asked for", i.Context, asked)
	default:
		d.pass("context", value, "%d tokens in use; the model was made for %d", i.Loaded, i.Context)
	}
	return nil
}

// logprobs asks one question as cai label does.
func (d *doctor) logprobs() error {
	j, err := d.judge(judge.DefaultShape())
	if err != nil {
		return err
	}
	a, err := j.Compare(d.ctx, judge.Probes()[0].Question(true, &d.principle))
	switch kind := llm.KindOf(err); {
	case err == nil:
		d.pass("logprobs", true, "given for the answer's token; a first answer took %s", seconds(a.Duration))
		return nil
	case kind == llm.KindNoLogprobs:
		hint := llm.HintOf(err)
		d.fail("logprobs", false, hint, "the server gives none, and without them one call says almost nothing about how sure the judge is")
		return errEnough
	case kind == llm.KindEmpty, kind == llm.KindThinking:
		d.fail("logprobs", false, llm.HintOf(err), "the model gave no answer: %v", bare(err))
		return errEnough
	default:
		d.broke("logprobs", err)
		return err
	}
}

const (
	// longestTry bounds the context that a prompt is made too long for.
	longestTry = 32768
	// refuseWithin is enough for a slow server to read a whole context of the
	// usual length, in which case it did not refuse.
	refuseWithin = 3 * time.Minute
)

// truncation sends a prompt that does not fit. The server has to refuse it: one
// that cuts it would have half a pair judged as if it were whole.
func (d *doctor) truncation() error {
	n := d.model.NumCtx()
	if d.model.id.Backend != "ollama" {
		var err error
		if n, err = d.model.ContextLength(d.ctx); err != nil {
			return err
		}
	}
	if n == 0 || n > longestTry {
		return nil
	}
	// The server only has to count the tokens; one that reads them instead may
	// take long.
	ctx, cancel := context.WithTimeout(d.ctx, refuseWithin)
	defer cancel()
	_, err := d.model.Chat(ctx, llm.Request{
		Messages:  []llm.Message{{Role: "user", Content: strings.Repeat("red green blue ", n/2) + "\n\nWhich colours are these?"}},
		MaxTokens: 1,
	})
	const hint = "update the server; until then labels of long pairs may rest on half of their text"
	switch {
	case d.ctx.Err() != nil:
		return d.ctx.Err()
	case errors.Is(err, llm.ErrCut):
		d.fail("truncation", "cut", hint, "the server cuts prompts that are longer than its %d tokens", n)
	case llm.KindOf(err) == llm.KindContext:
		d.pass("truncation", "refused", "a prompt of more than %d tokens is refused, not cut", n)
	case ctx.Err() != nil:
		d.warn("truncation", "unknown", "the server may be busy with others: try again", "a prompt of more than %d tokens was neither refused nor answered within %s", n, seconds(refuseWithin))
	case err == nil:
		d.fail("truncation", "cut", hint, "a prompt of more than %d tokens was cut without a word", n)
	case llm.Fatal(err):
		d.broke("truncation", err)
		return err
	default:
		d.warn("truncation", "unknown", llm.HintOf(err), "a prompt of more than %d tokens failed: %v", n, bare(err))
	}
	return nil
}

// verdictSchema is an answer that no model gives by itself.
const verdictSchema = `{"type":"object","properties":{"verdict":{"type":"string","enum":["accepted","refused"]},"grade":{"type":"integer"}},"required":["verdict","grade"],"additionalProperties":false}`

// structured asks for an answer by a JSON schema. Labelling does not need it.
func (d *doctor) structured() error {
	i, err := d.model.Inspect(d.ctx)
	if err != nil {
		return err
	}
	modes := []bool{false}
	if slices.Contains(i.Capabilities, "thinking") {
		modes = []bool{false, true}
	}
	value := map[string]string{}
	var bad []string
	for _, think := range modes {
		name, bound := "without thinking", 64
		if think {
			name, bound = "with thinking", 1024
		}
		r, err := d.model.Chat(d.ctx, llm.Request{
			Messages:  []llm.Message{{Role: "user", Content: "Say in one sentence why the sky is blue."}},
			MaxTokens: bound, Format: json.RawMessage(verdictSchema), Think: think,
		})
		switch {
		case llm.Fatal(err) || d.ctx.Err() != nil:
			return err
		case err != nil:
			value[name] = bare(err).Error()
			bad = append(bad, name+": "+value[name])
		default:
			if value[name] = keeps(r.Text); value[name] != "kept" {
				bad = append(bad, name+": "+value[name])
			}
		}
	}
	if len(bad) > 0 {
		d.warn("structured_output", value, "cai label does not need it", "a JSON schema is not kept to: %s", strings.Join(bad, "; "))
		return nil
	}
	text := "a JSON schema is kept to"
	if len(modes) > 1 {
		text += ", with and without thinking"
	}
	d.pass("structured_output", value, "%s", text)
	return nil
}

// keeps says how an answer to verdictSchema keeps to it.
func keeps(answer string) string {
	var v struct {
		Verdict *string `json:"verdict"`
		Grade   *int    `json:"grade"`
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(answer)))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&v); {
	case err != nil && !strings.HasPrefix(strings.TrimSpace(answer), "{"):
		return "the answer is no JSON"
	case err != nil:
		return fmt.Sprintf("the answer is not by the schema (%v)", err)
	case v.Verdict == nil || v.Grade == nil:
		return "a field is missing"
	case *v.Verdict != "accepted" && *v.Verdict != "refused":
		return "the list of values is not kept to"
	}
	return "kept"
}

// seconds is a short time span as a person says it.
func seconds(t time.Duration) string {
	switch s := t.Seconds(); {
	case s >= 100:
		return duration(t)
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	case s >= 1:
		return fmt.Sprintf("%.1f s", s)
	default:
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
}
