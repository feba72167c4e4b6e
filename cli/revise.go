package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/critique"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/llm"
	"cai/revise"
)

func (a *app) reviseCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "revise",
		Usage:     "critique replies and rewrite them, round by round",
		ArgsUsage: "FILE…",
		Description: "A FILE is one reply (text, Markdown) or JSON Lines of records with prompt or\n" +
			"messages, and response. Each round takes a principle that the reply violates: drawn\n" +
			"afresh (--seed), or the next of those named. The rewritten reply is kept only if the\n" +
			"judge prefers it to what it had, both orders asked, by all principles together; the\n" +
			"work ends early when no principle is violated. Every step is kept in the database\n" +
			"(cai export --from revisions makes training data of them), and a second run asks\n" +
			"nothing twice.\n\n" +
			"--json prints one line each: file, id, prompt, initial, final, clean, steps\n" +
			"[{round, principle, violation, critique, revision, accepted, p, reason}].\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.IntFlag{Name: "rounds", Value: 2, Usage: "at most `N` revisions a reply"},
			principleFlag(),
			promptFlag(),
			&urfave.BoolFlag{Name: "diff", Usage: "show what changed, word by word"},
			&urfave.Float64Flag{Name: "threshold", Value: 0.5, Usage: "revise from this probability of a violation; 0 always revises (`P`)"},
			&urfave.IntFlag{Name: "max-tokens", Value: revise.DefaultMaxTokens, Usage: "at most `N` tokens a revision"},
			&urfave.IntFlag{Name: "seed", Usage: "seed of the draw and of the model's sampler (`N`)"},
			shapeFlag(),
			againFlag(),
			outFlag("write the JSON Lines"),
		}, inputFlags()...),
		Action: a.runRevise,
	}
}

type reviseJSON struct {
	File    string               `json:"file"`
	ID      string               `json:"id"`
	Prompt  dataset.Conversation `json:"prompt"`
	Initial string               `json:"initial"`
	Final   string               `json:"final"`
	Clean   bool                 `json:"clean"`
	Steps   []stepJSON           `json:"steps"`
}

type stepJSON struct {
	Round     int         `json:"round"`
	Principle string      `json:"principle"`
	Violation eval.Figure `json:"violation"` // null where the critic was undecided
	Critique  string      `json:"critique"`
	Revision  string      `json:"revision"`
	Accepted  bool        `json:"accepted"`
	P         eval.Figure `json:"p"` // null where the judge was undecided
	Reason    string      `json:"reason"`
}

func (a *app) runRevise(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.Int("rounds") < 1 {
		return usagef("--rounds must be at least 1")
	}
	shape, err := shapeOf(c)
	if err != nil {
		return err
	}
	j, err := a.replies(c, c.Int("max-tokens"))
	if err != nil {
		return err
	}
	defer j.out.close()
	seed := c.Int("seed")
	r := &revise.Reviser{
		Principles: j.principles,
		Options: revise.Options{
			Rounds: c.Int("rounds"), InOrder: len(c.StringSlice("principle")) > 0,
			Threshold: c.Float64("threshold"), MaxTokens: c.Int("max-tokens"), Seed: uint64(seed),
		},
	}
	var seen outcomes
	r.OnVerdict = func(v critique.Verdict) { seen.answer(!v.Undecided(), v.First) }
	r.OnPreference = func(p judge.Preference) { seen.answer(p.Counts(), p.First) }
	ask := func(mode string, votes int) error {
		r.Critic = critique.New(j.model, j.model.id, 0, votes, seed, j.model.options)
		var err error
		if r.Judge, err = judge.New(j.model, j.model.id, judge.Settings{Shape: shape, Mode: mode, Votes: votes, Seed: seed, Options: j.model.options}); err != nil {
			return err
		}
		return errors.Join(j.store.PutJudge(ctx, r.Critic.ID), j.store.PutJudge(ctx, r.Judge.ID))
	}
	if err := ask(judge.ModeToken, 0); err != nil {
		return err
	}
	human := !c.Bool("json") && !j.out.toFile()
	enc := dataset.NewEncoder(j.out)
	p := a.progress(c, "revise", "replies", int64(j.total))
	defer p.done()
	done, failed, accepted, steps := 0, 0, 0, 0
	for reply, err := range j.in.replies() {
		if err != nil {
			return err
		}
		conv := j.conversation(reply)
		name := reply.Source.File
		if reply.Source.Line > 0 {
			name += " " + recordID(reply.Source)
		}
		onStep := func(s revise.Step) error {
			steps++
			if s.Accepted {
				accepted++
			}
			p.set(int64(done+failed), fmt.Sprintf("%d steps", steps))
			if human {
				a.printStep(name, s)
			}
			return j.store.AddRevision(ctx, &s.Revision)
		}
		res, err := r.Revise(ctx, conv, reply.Response, onStep)
		if steps == 0 && r.Critic.Votes == 0 && llm.KindOf(err) == llm.KindNoLogprobs {
			a.noLogprobs(c)
			if err := ask(judge.ModeVote, judge.DefaultVotes); err != nil {
				return err
			}
			res, err = r.Revise(ctx, conv, reply.Response, onStep)
		}
		if err != nil {
			if err := a.itemError(err, reply.Source, ""); err != nil {
				return err
			}
			failed++
			continue
		}
		done++
		if human {
			a.printRevision(c, name, res)
		} else if err := enc.Encode(reviseLine(reply.Source, conv, res)); err != nil {
			return err
		}
		p.set(int64(done+failed), fmt.Sprintf("%d steps", steps))
	}
	p.done()
	if err := j.out.commit(); err != nil {
		return err
	}
	a.note(c, "%d replies, %d steps, %d accepted, %d failed, %d calls, %d answers from the store", done, steps, accepted, failed, j.model.calls, j.model.hits)
	seen.say(a, c)
	if failed > 0 || seen.most() {
		return silent(ExitSomeFailed)
	}
	return nil
}

func reviseLine(s dataset.Source, conv dataset.Conversation, res *revise.Result) reviseJSON {
	line := reviseJSON{File: s.File, ID: recordID(s), Prompt: conv, Initial: res.Initial, Final: res.Final, Clean: res.Clean, Steps: []stepJSON{}}
	for _, st := range res.Steps {
		line.Steps = append(line.Steps, stepJSON{
			st.Round, st.PrincipleID, eval.Figure(st.Violation), st.Critique, st.After.Text, st.Accepted, eval.Figure(st.P), st.Reason,
		})
	}
	return line
}

func (a *app) printStep(name string, s revise.Step) {
	word := "kept as it was: " + s.Reason
	if s.Accepted {
		word = "revised"
	}
	if s.Reason == revise.ReasonAccepted || s.Reason == revise.ReasonRejected {
		word += fmt.Sprintf(" (P(better) %.2f)", s.P)
	}
	violates := "undecided"
	if !math.IsNaN(s.Violation) {
		violates = fmt.Sprintf("P(violates) %.2f", s.Violation)
	}
	fmt.Fprintf(a.Out, "%s: round %d, %s (%s): %s\n", printable(name), s.Round, s.PrincipleID, violates, word)
	fmt.Fprintf(a.Out, "  %s\n", printable(oneLine(s.Critique)))
}

func (a *app) printRevision(c *urfave.Context, name string, res *revise.Result) {
	switch {
	case len(res.Steps) == 0 && !res.Clean:
		fmt.Fprintf(a.Out, "%s: the critic is undecided; the reply stays\n\n", printable(name))
		return
	case len(res.Steps) == 0:
		fmt.Fprintf(a.Out, "%s: nothing to mend\n\n", printable(name))
		return
	case res.Final == res.Initial:
		fmt.Fprintf(a.Out, "%s: no revision was preferred; the reply stays\n\n", printable(name))
		return
	case c.Bool("diff"):
		wordDiff(a.Out, res.Initial, res.Final, isTerminal(a.Out))
	default:
		fmt.Fprint(a.Out, indent(printable(res.Final)))
	}
	fmt.Fprint(a.Out, "\n\n")
}

func indent(s string) string {
	return "  | " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  | ")
}
