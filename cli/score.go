package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/rm"
)

func (a *app) scoreCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "score",
		Usage:     "scores of replies by a reward model, offline",
		ArgsUsage: "--rm FILE FILE…",
		Description: "A FILE is one reply (text, Markdown) or JSON Lines of records: replies (prompt or\n" +
			"messages, and response) or pairs. With --json, or --out, each record comes out with\n" +
			"its own columns in their order and, added, id, score and std; for a pair score_chosen,\n" +
			"score_rejected, std_chosen and std_rejected, or _a and _b where nothing is chosen; for\n" +
			"a list of responses scores and stds.\n" +
			"A difference of scores is the log-odds that the first reply is the better one; std is\n" +
			"the model's uncertainty in the same unit. For a pair, set holds the replies that may be\n" +
			"the better one: on pairs like those of training it holds the better reply in 90 %\n" +
			"of cases (conformal prediction).\n\n" +
			"--monitor watches for replies that have left what the model is known to work on, as they\n" +
			"do when a policy is optimised against it. Alarms are said on stderr, with statistic,\n" +
			"threshold and what has moved most; --monitor-out FILE has every window as a line of JSON.\n" +
			"Where one rang the exit code is 4: of N windows without any change one rings with the\n" +
			"probability 1 − (1 − P)^N.\n" + monitorHelp + exitHelp,
		Flags: append(append([]urfave.Flag{
			&urfave.StringFlag{Name: "rm", Usage: "the reward model's `FILE`"},
			promptFlag(),
			outFlag("write the JSON Lines"),
			&urfave.BoolFlag{Name: "monitor", Usage: "watch for replies unlike those that the model is known to work on; exits with 4 where an alarm rang"},
			&urfave.StringFlag{Name: "monitor-out", Usage: "with --monitor: write each window's statistics to `FILE` as JSON Lines"},
		}, monitorFlags()...), inputFlags()...),
		Action: a.runScore,
	}
}

func (a *app) runScore(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.String("rm") == "" {
		return hinted(usagef("no reward model is named"), "use --rm FILE; cai train makes one")
	}
	in, err := a.inputs(c, "replies or pairs")
	if err != nil {
		return err
	}
	m, closeModel, err := a.rewardModel(c, c.String("rm"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeModel()) }()
	watch, err := a.watch(ctx, c, m)
	if err != nil {
		return err
	}
	defer watch.close()
	out, err := a.output(c)
	if err != nil {
		return err
	}
	defer out.close()
	enc := dataset.NewEncoder(out)
	human := !c.Bool("json") && !out.toFile()
	p := a.progress(c, "score", "records", 0)
	if human && isTerminal(a.Out) {
		p.off = true
	}
	defer p.done()
	n := int64(0)
	s := scoring{model: m, prompt: c.String("prompt")}
	if watch != nil {
		s.observed = watch.observe
	}
	write := func(r *dataset.Record, scores []rm.Score) error {
		n++
		p.set(n, "")
		if human {
			a.printScore(r, scores)
			return nil
		}
		return encodeScore(enc, m, r, scores)
	}
	for r, err := range in.records() {
		if err != nil {
			return errors.Join(s.flush(ctx, write), err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.add(r) {
			if err := s.flush(ctx, write); err != nil {
				return err
			}
		}
	}
	if err := s.flush(ctx, write); err != nil {
		return err
	}
	p.done()
	if watch != nil {
		if err := watch.finish(c); err != nil {
			return err
		}
	}
	if err := out.commit(); err != nil {
		return err
	}
	if watch != nil && watch.rang > 0 {
		return silent(ExitCheck)
	}
	return nil
}

// conversationOf gives what a reply answers, the --prompt where the record does
// not say.
func conversationOf(r *dataset.Reply, text string) dataset.Conversation {
	if len(r.Prompt) == 0 && text != "" {
		return dataset.Prompt(text)
	}
	return r.Prompt
}

// sides are the names of a pair's replies in the output.
func sides(p *dataset.Pair) [2]string {
	switch {
	case !p.Labelled():
		return [2]string{"a", "b"}
	case p.P < 0.5:
		return [2]string{"rejected", "chosen"}
	}
	return [2]string{"chosen", "rejected"}
}

func encodeScore(enc *dataset.Encoder, m *rm.Model, r *dataset.Record, scores []rm.Score) error {
	o := r.Object
	set := func(key string, v any) error { return o.Set(key, v) }
	var err error
	if o.Get("id") == nil {
		err = set("id", recordID(r.Source))
	}
	if r.Pair != nil {
		for i, s := range scores {
			side := sides(r.Pair)[i]
			err = errors.Join(err, set("score_"+side, s.Mean), set("std_"+side, s.Std))
		}
		if m.Metadata.Tie > 0 {
			err = errors.Join(err, set("p_tie", m.Metadata.TieProbability(scores[0].Mean-scores[1].Mean)))
		}
		if c, ok := m.Metadata.Certainty.At(conformalLevel); ok {
			err = errors.Join(err, set("set", named(c, scores[0].Mean-scores[1].Mean, sides(r.Pair))))
		}
	} else if r.Reply != nil {
		err = errors.Join(err, set("score", scores[0].Mean), set("std", scores[0].Std))
	} else {
		means, stds := make([]float64, len(scores)), make([]float64, len(scores))
		for i, s := range scores {
			means[i], stds[i] = s.Mean, s.Std
		}
		err = errors.Join(err, set("scores", means), set("stds", stds))
	}
	if err != nil {
		return fmt.Errorf("%s:%d: %w", r.Source.File, r.Source.Line, err)
	}
	return enc.Encode(o)
}

// named gives the names of the replies in the set.
func named(c rm.ConformalPoint, margin float64, names [2]string) []string {
	out := []string{}
	first, second := c.Set(margin)
	if first {
		out = append(out, names[0])
	}
	if second {
		out = append(out, names[1])
	}
	return out
}

func (a *app) printScore(r *dataset.Record, scores []rm.Score) {
	name := filepath.Base(r.Source.File)
	if r.Source.Line > 0 {
		name += " " + recordID(r.Source)
	}
	if r.Pair != nil {
		s1, s2 := scores[0], scores[1]
		names := sides(r.Pair)
		fmt.Fprintf(a.Out, "%s\t%s %+.3f ± %.3f\t%s %+.3f ± %.3f\n", printable(name), names[0], s1.Mean, s1.Std, names[1], s2.Mean, s2.Std)
		return
	}
	if r.Reply == nil {
		for i, s := range scores {
			fmt.Fprintf(a.Out, "%s\treply %d\t%+.3f ± %.3f\n", printable(name), i+1, s.Mean, s.Std)
		}
		return
	}
	s := scores[0]
	fmt.Fprintf(a.Out, "%s\t%+.3f ± %.3f\n", printable(name), s.Mean, s.Std)
}
