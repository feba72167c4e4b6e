package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/llm"
	"cai/prompt"
)

func (a *app) sampleCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "sample",
		Usage:     "replies of a model to each prompt",
		ArgsUsage: "FILE…",
		Description: "A FILE is one prompt (text) or JSON Lines or CSV of records with prompt or messages;\n" +
			"replies that a record has already are left out. Each record comes out as a line of JSON\n" +
			"with its own columns and, added, id, responses (K texts), model, and truncated (how many\n" +
			"of them --max-tokens cut). Replies are drawn from the model's own distribution at the\n" +
			"temperature: no top-k, top-p or repeat penalty, unless --option sets them.\n\n" +
			"Each reply is kept in the database as it comes: a second run asks nothing twice, one that\n" +
			"was stopped goes on, and a larger --n keeps the replies that are there. A record some of\n" +
			"whose replies failed comes out with the others.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.IntFlag{Name: "n", Aliases: []string{"samples"}, Value: 8, Usage: "`K` replies to each prompt"},
			&urfave.Float64Flag{Name: "temperature", Value: 1, Usage: "of the model's sampler (`T`)"},
			&urfave.IntFlag{Name: "max-tokens", Value: 512, Usage: "at most `N` tokens a reply"},
			limitFlag("prompts"),
			&urfave.IntFlag{Name: "seed", Usage: "seed of the model's sampler (`N`)"},
			againFlag(),
			outFlag("write the JSON Lines"),
		}, inputFlags()...),
		Action: a.runSample,
	}
}

// sampleJob is one run of cai sample.
type sampleJob struct {
	app                     *app
	in                      *inputs
	model                   *remembered
	n, limit, seed          int
	request                 llm.Request // but for messages and seed
	drawn, failed, cutShort int
}

func (a *app) runSample(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	j := &sampleJob{app: a, n: c.Int("n"), limit: c.Int("limit"), seed: c.Int("seed")}
	j.request = llm.Request{MaxTokens: c.Int("max-tokens"), Temperature: c.Float64("temperature"), Plain: true}
	switch {
	case j.n < 1:
		return usagef("--n must be at least 1")
	case j.request.MaxTokens < 1:
		return usagef("--max-tokens must be at least 1")
	case !(j.request.Temperature >= 0 && j.request.Temperature <= 100):
		return usagef("--temperature %v is not from 0 to 100", j.request.Temperature)
	}
	var err error
	if j.in, err = a.inputs(c, "prompts: text, JSON Lines or CSV"); err != nil {
		return err
	}
	if err := j.in.rewindable(); err != nil {
		return err
	}
	// Bad records are found before the first call, and the longest prompt.
	total, longest := 0, 0
	for p, err := range j.prompts() {
		if err != nil {
			return err
		}
		total++
		n := 0
		for _, m := range p.Prompt {
			n += len(m.Content)
		}
		longest = max(longest, n)
	}
	if j.request.Temperature == 0 && j.n > 1 {
		a.warn("at a temperature of 0 all replies to a prompt are the same")
	}
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	m, err := a.model(c) // before the store, so that a wrong name leaves no file
	if err != nil {
		return err
	}
	st, err := a.store(c)
	if err != nil {
		return err
	}
	if err := a.fit(c, m, prompt.Context(longest, j.request.MaxTokens)); err != nil {
		return err
	}
	j.model = a.remember(m, st)
	j.model.again = c.Bool("retry-failed")
	enc := dataset.NewEncoder(out)
	p := a.progress(c, "sample", "replies", int64(total*j.n))
	defer p.done()
	for asked, err := range j.prompts() {
		if err != nil {
			return err
		}
		line, err := j.draw(ctx, asked, p)
		if err != nil {
			return err
		}
		if line == nil {
			continue
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	p.done()
	if err := out.commit(); err != nil {
		return err
	}
	a.note(c, "%d replies to %d prompts, %d failed, %d calls, %d answers from the store", j.drawn, total, j.failed, j.model.calls, j.model.hits)
	if j.cutShort > 0 {
		a.note(c, "%d replies were cut at %d tokens; --max-tokens allows more", j.cutShort, j.request.MaxTokens)
	}
	if j.failed > 0 {
		return silent(ExitSomeFailed)
	}
	return nil
}

func (j *sampleJob) prompts() iter.Seq2[*dataset.Asked, error] {
	return limited(read(j.in, dataset.Prompts), j.limit)
}

// draw asks for the replies to a prompt; nil where none came.
func (j *sampleJob) draw(ctx context.Context, asked *dataset.Asked, p *progress) (dataset.Object, error) {
	req := j.request
	for _, m := range asked.Prompt {
		req.Messages = append(req.Messages, llm.Message{Role: m.Role, Content: m.Content})
	}
	var texts []string
	cut := 0
	for k := range j.n {
		req.Seed = sampleSeed(j.seed, k)
		reply, err := j.model.Chat(ctx, req)
		switch {
		case err != nil:
			if err := j.app.itemError(fmt.Errorf("reply %d: %w", k+1, err), asked.Source, ""); err != nil {
				return nil, err
			}
			j.failed++
		default:
			j.drawn++
			if reply.Truncated {
				cut++
			}
			texts = append(texts, reply.Text)
		}
		p.set(int64(j.drawn+j.failed), "")
	}
	j.cutShort += cut
	if len(texts) == 0 {
		return nil, nil
	}
	o := asked.Object
	for _, f := range []struct {
		key   string
		value any
		once  bool // what the record says stays
	}{
		{"id", recordID(asked.Source), true},
		{"prompt", asked.Prompt, asked.Object != nil},
		{"responses", texts, false},
		{"model", j.model.id.Model, false},
		{"truncated", cut, false},
	} {
		if f.once && (f.key == "prompt" || o.Get(f.key) != nil) {
			continue
		}
		if err := o.Set(f.key, f.value); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", asked.Source.File, asked.Source.Line, err)
		}
	}
	return o, nil
}

// sampleSeed gives the sampler's seed of reply k, so that runs with neighbouring
// seeds have no reply in common. Servers take 31 bits.
func sampleSeed(seed, k int) int {
	h := dataset.HashOf("sample", strconv.Itoa(seed), strconv.Itoa(k))
	return int(binary.BigEndian.Uint32(h[:4]) >> 1)
}
