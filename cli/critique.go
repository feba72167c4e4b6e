package cli

import (
	"context"
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/critique"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
	"cai/store"
)

func (a *app) critiqueCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "critique",
		Usage:     "what is wrong with replies, principle by principle",
		ArgsUsage: "FILE…",
		Description: "A FILE is one reply (text, Markdown) or JSON Lines of records with prompt or\n" +
			"messages, and response. For each principle it prints the probability that the reply\n" +
			"violates it, read from the model's answer tokens, and a critique in words. Everything\n" +
			"is kept in the database, so that a second run asks nothing twice.\n\n" +
			"--json prints one line each: file, id, principle, violates, probability, coverage,\n" +
			"critique, revision_request, truncated, model. Where the answers had too little\n" +
			"probability on yes and no, undecided is true, and violates and probability are null:\n" +
			"that is neither a violation nor its absence.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			principleFlag(),
			promptFlag(),
			&urfave.BoolFlag{Name: "fail-on-violation", Usage: "exit with 4 if any reply violates a principle"},
			&urfave.Float64Flag{Name: "threshold", Value: 0.5, Usage: "the probability from which a reply violates a principle (`P`)"},
			&urfave.IntFlag{Name: "max-tokens", Value: critique.DefaultMaxTokens, Usage: "at most `N` tokens a critique"},
			&urfave.IntFlag{Name: "seed", Usage: "seed of the model's sampler (`N`)"},
			againFlag(),
			outFlag("write the JSON Lines"),
		}, inputFlags()...),
		Action: a.runCritique,
	}
}

func promptFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "prompt", Usage: "what the replies answer, where the file does not say (`TEXT`)"}
}

// againFlag is for commands that keep nothing of what failed but the answers of
// an older version.
func againFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "retry-failed", Usage: "ask again what an older version stored and cannot be used"}
}

type critiqueJSON struct {
	File            string      `json:"file"`
	ID              string      `json:"id"`
	Principle       string      `json:"principle"`
	Violates        *bool       `json:"violates"` // null where the model is undecided
	Undecided       bool        `json:"undecided,omitempty"`
	Probability     eval.Figure `json:"probability"`
	Coverage        float64     `json:"coverage"`
	Critique        string      `json:"critique"`
	RevisionRequest string      `json:"revision_request"`
	Truncated       bool        `json:"truncated"`
	Model           string      `json:"model"`
}

// replyJob is what critique and revise have in common: replies from files, one
// model, a store that remembers its answers.
type replyJob struct {
	in         *inputs
	out        *output
	store      *store.Store
	model      *remembered
	con        *constitution.Constitution
	principles []constitution.Principle
	total      int // replies
	prompt     string
}

// replies reads through the input once, so that bad records are found before
// the first call and the context length fits the longest, and opens the rest.
// answer is the most tokens that a call may answer with.
func (a *app) replies(c *urfave.Context, answer int) (*replyJob, error) {
	con, ps, err := a.principles(c)
	if err != nil {
		return nil, err
	}
	if t := c.Float64("threshold"); !(t >= 0 && t <= 1) {
		return nil, usagef("--threshold %v is not a probability", t)
	}
	if answer < 1 {
		return nil, usagef("--max-tokens must be at least 1")
	}
	in, err := a.inputs(c, "replies: text, Markdown or JSON Lines")
	if err != nil {
		return nil, err
	}
	if err := in.rewindable(); err != nil {
		return nil, err
	}
	j := &replyJob{in: in, con: con, principles: ps, prompt: c.String("prompt")}
	longest := 0
	for r, err := range in.replies() {
		if err != nil {
			return nil, err
		}
		j.total++
		n := len(r.Response.Text)
		for _, m := range r.Prompt {
			n += len(m.Content)
		}
		longest = max(longest, n)
	}
	if j.out, err = a.output(c); err != nil {
		return nil, err
	}
	m, err := a.model(c) // before the store, so that a wrong name leaves no file
	if err != nil {
		return nil, err
	}
	if j.store, err = a.store(c); err != nil {
		return nil, err
	}
	if err := j.store.PutConstitution(c.Context, con); err != nil {
		return nil, err
	}
	// A revision's prompt holds the reply, a critique and, for the judge, a
	// second reply about as long.
	if err := a.fit(c, m, prompt.Context(2*longest+len(j.prompt), 2*answer)); err != nil {
		return nil, err
	}
	j.model = a.remember(m, j.store)
	j.model.again = c.Bool("retry-failed")
	return j, nil
}

// conversation gives what a reply answers.
func (j *replyJob) conversation(r *dataset.Reply) dataset.Conversation {
	if len(r.Prompt) == 0 && j.prompt != "" {
		return dataset.Prompt(j.prompt)
	}
	return r.Prompt
}

// itemError decides about an error of one reply: nil if it was said and the
// job goes on.
func (a *app) itemError(err error, s dataset.Source, principle string) error {
	if llm.KindOf(err) == "" || llm.Fatal(err) || errors.Is(err, context.Canceled) {
		return err
	}
	where := s.File
	if s.Line > 0 {
		where = fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	if principle != "" {
		where += ": principle " + principle
	}
	fmt.Fprintf(a.Err, "cai: error: %s: %s\n", printable(where), printable(err.Error()))
	if hint := llm.HintOf(err); hint != "" && !a.hinted[hint] {
		if a.hinted == nil {
			a.hinted = map[string]bool{}
		}
		a.hinted[hint] = true
		fmt.Fprintln(a.Err, "cai: hint: "+printable(hint))
	}
	return nil
}

func (a *app) runCritique(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	j, err := a.replies(c, c.Int("max-tokens"))
	if err != nil {
		return err
	}
	defer j.out.close()
	var critic *critique.Critic
	ask := func(votes int) error {
		critic = critique.New(j.model, j.model.id, c.Int("max-tokens"), votes, c.Int("seed"), j.model.options)
		return j.store.PutJudge(ctx, critic.ID)
	}
	if err := ask(0); err != nil {
		return err
	}
	human := !c.Bool("json") && !j.out.toFile()
	enc := dataset.NewEncoder(j.out)
	p := a.progress(c, "critique", "critiques", int64(j.total*len(j.principles)))
	defer p.done()
	if human && isTerminal(a.Out) {
		p.off = true // the text itself shows how far it is
	}
	done, failed, violations := 0, 0, 0
	var seen outcomes
	for r, err := range j.in.replies() {
		if err != nil {
			return err
		}
		conv := j.conversation(r)
		for i := range j.principles {
			pr := &j.principles[i]
			var stream func(critique.Verdict, string)
			if human {
				stream = a.critiqueStream(r.Source, pr, c.Float64("threshold"))
			}
			cr, v, err := critic.Critique(ctx, conv, r.Response, pr, stream)
			if done == 0 && critic.Votes == 0 && llm.KindOf(err) == llm.KindNoLogprobs {
				a.noLogprobs(c)
				if err := ask(judge.DefaultVotes); err != nil {
					return err
				}
				cr, v, err = critic.Critique(ctx, conv, r.Response, pr, stream)
			}
			if human && err == nil {
				if !isTerminal(a.Out) { // where what was heard cannot be taken back
					fmt.Fprint(a.Out, printable(cr.Text))
				}
				fmt.Fprint(a.Out, "\n\n")
			}
			if err != nil {
				if err := a.itemError(err, r.Source, pr.ID); err != nil {
					return err
				}
				failed++
				continue
			}
			if err := j.store.AddCritique(ctx, cr); err != nil {
				return err
			}
			seen.answer(!v.Undecided(), v.First)
			line := critiqueJSON{
				r.Source.File, recordID(r.Source), pr.ID, nil, v.Undecided(), eval.Figure(cr.Probability), cr.Coverage,
				cr.Text, pr.Revision, cr.Truncated, j.model.id.Model,
			}
			if !v.Undecided() {
				line.Violates = new(cr.Probability >= c.Float64("threshold"))
				if *line.Violates {
					violations++
				}
			}
			if !human {
				if err := enc.Encode(line); err != nil {
					return err
				}
			}
			done++
			p.set(int64(done+failed), "")
		}
	}
	p.done()
	if err := j.out.commit(); err != nil {
		return err
	}
	a.note(c, "%d critiques, %d violations, %d undecided, %d failed, %d calls, %d answers from the store", done, violations, seen.abstained, failed, j.model.calls, j.model.hits)
	seen.say(a, c)
	switch {
	case c.Bool("fail-on-violation") && violations > 0:
		return silent(ExitCheck)
	case failed > 0 || seen.most():
		return silent(ExitSomeFailed)
	}
	return nil
}

// noLogprobs says that answers are sampled instead of read out.
func (a *app) noLogprobs(c *urfave.Context) {
	a.note(c, "the server gives no log-probabilities: each answer is sampled %d times instead, which costs as many calls and is coarser", judge.DefaultVotes)
}

// critiqueStream prints a verdict and then, on a terminal, the critique's text as
// it is written.
func (a *app) critiqueStream(s dataset.Source, p *constitution.Principle, threshold float64) func(critique.Verdict, string) {
	first := true
	return func(v critique.Verdict, text string) {
		if first {
			first = false
			name := s.File
			if s.Line > 0 {
				name += " " + recordID(s)
			}
			switch {
			case v.Undecided():
				fmt.Fprintf(a.Out, "%s: undecided about %s (coverage %.2f)\n", printable(name), p.ID, v.Coverage)
			case v.Probability >= threshold:
				fmt.Fprintf(a.Out, "%s: violates %s (P(violates) %.2f, coverage %.2f)\n", printable(name), p.ID, v.Probability, v.Coverage)
			default:
				fmt.Fprintf(a.Out, "%s: keeps to %s (P(violates) %.2f, coverage %.2f)\n", printable(name), p.ID, v.Probability, v.Coverage)
			}
		}
		if isTerminal(a.Out) {
			fmt.Fprint(a.Out, printable(text))
		}
	}
}
