package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cai/audit"
	"cai/dataset"
	"cai/report"
	"cai/rm"
)

// phrasebookSize is how many words, and how many pairs of words, the search may
// compose additions of.
const phrasebookSize = 2000

// attribute searches for exploits and says what carries them: the groups of the
// model's features, and the training pairs.
func (u *auditing) attribute(o audit.ProbeOptions) error {
	c := u.c
	var back *rm.Background
	if len(c.StringSlice("data")) > 0 && u.model.Linear() && (c.Int("influence") > 0 || c.Int("budget") > 0) {
		var err error
		if back, err = u.app.background(u.ctx, c, u.model); err != nil {
			return err
		}
	}
	if err := u.search(back, o); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	if u.model.Linear() {
		var err error
		if u.out.Groups, err = audit.Freeze(u.ctx, u.ref, u.model, u.out.Findings, u.out.Search, o); err != nil {
			return fmt.Errorf("groups of features: %w", err)
		}
	}
	if n := c.Int("influence"); n > 0 && back != nil && back.Linear() {
		p := u.app.progress(c, "audit: training pairs", "", 0)
		defer p.done()
		var err error
		if u.out.TaughtBy, err = audit.Lessons(u.ctx, u.ref, back, back.Pairs, u.out.Causes, u.out.Findings, n, o); err != nil {
			return fmt.Errorf("training pairs: %w", err)
		}
	}
	return nil
}

// search climbs the score.
func (u *auditing) search(back *rm.Background, o audit.ProbeOptions) error {
	n := u.c.Int("budget")
	if n == 0 {
		return nil
	}
	p := u.app.progress(u.c, "audit: search", "", 0)
	defer p.done()
	with := audit.ClimbOptions{Budget: n, Probes: o}
	if u.gold != nil {
		with.Gold = u.gold
	}
	book, err := u.model.NewPhrasebook(phrasebookSize)
	switch {
	case err == nil:
		for _, k := range u.ref.Cases {
			for _, reply := range k.Replies {
				book.Read(reply)
			}
		}
		if back != nil {
			for i := range back.Pairs {
				if err := u.ctx.Err(); err != nil {
					return err
				}
				pair := back.At(i)
				book.Read(pair.First.Text)
				book.Read(pair.Second.Text)
			}
		}
		book.Close()
		with.Composer = book
	case !errors.Is(err, rm.ErrNotLinear):
		return err
	}
	if u.out.Search, err = audit.Climb(u.ctx, u.ref, with); err != nil || !u.c.Bool("judge-exploits") {
		return err
	}
	p.done()
	return u.ask(u.out.Search)
}

// ask has the judge compare the exploits with their replies.
func (u *auditing) ask(s *audit.Search) error {
	pairs := s.Pairs()
	j, err := u.app.judgeComparer(u.c, func(yield func(*dataset.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	p := u.app.progress(u.c, "audit: judge", "exploits", int64(len(pairs)))
	defer p.done()
	err = s.Ask(u.ctx, j, func(done, _ int) { p.set(int64(done), "") })
	p.done()
	return errors.Join(err, j.close())
}

// searchBlocks shows the best exploits.
func searchBlocks(k *audit.Search) []report.Block {
	if k == nil {
		return nil
	}
	t := report.Table{Head: []string{"gain, SD", "moves", "prompt", "from", "to"}}
	if k.GoldGain != nil {
		t.Head = slices.Insert(t.Head, 1, "gold, SD")
	}
	if k.Judge != nil {
		t.Head = slices.Insert(t.Head, len(t.Head)-4, "judge, log-odds")
	}
	for _, e := range k.Best {
		row := []string{fmt.Sprintf("%+.2f", e.Gain)}
		if k.GoldGain != nil {
			row = append(row, signedFigure(*e.Gold))
		}
		switch {
		case k.Judge == nil:
		case e.Judge == nil:
			row = append(row, "–")
		default:
			row = append(row, signedFigure(*e.Judge))
		}
		t.Rows = append(t.Rows, append(row, strings.Join(e.Moves, ", "), clip(e.Prompt), clip(e.Reply), clip(e.Text)))
	}
	out := []report.Block{report.Heading("Search"), t}
	if len(k.Steepest) > 0 {
		s := report.Table{Head: []string{"steepest additions", "words", "gain, SD", "by n-grams, SD", "gain a word"}}
		for _, a := range k.Steepest {
			s.Rows = append(s.Rows, []string{"“" + a.Text + "”", fmt.Sprint(a.Words), fmt.Sprintf("%+.2f", a.Gain), fmt.Sprintf("%+.2f", a.ByNGrams), fmt.Sprintf("%+.3f", a.Gain/float64(a.Words))})
		}
		out = append(out, s, report.Text("Words are composed by the model's own weights, exactly by the n-grams' counts and the text's norm; the gain is what the model scores, with all that the words change besides."))
	}
	return append(out, report.Text(audit.SearchText))
}

// groupBlocks shows what the model is without each of its groups of features.
func groupBlocks(gs []audit.Frozen) []report.Block {
	if len(gs) == 0 {
		return nil
	}
	t := report.Table{Head: []string{"group held at its mean", "share", "accuracy", "without", "difference", "interval"}}
	for _, g := range gs[0].Gains {
		t.Head = append(t.Head, g.Probe+", SD", "without")
	}
	for _, f := range gs {
		row := []string{f.Group, f.Share.String(), f.Accuracy.String(), f.Without.String(), signedFigure(f.Delta), figureCI(f.DeltaCI)}
		for _, g := range f.Gains {
			row = append(row, fmt.Sprintf("%+.2f", float64(g.Gain)), fmt.Sprintf("%+.2f", float64(g.Without)))
		}
		t.Rows = append(t.Rows, row)
	}
	return []report.Block{report.Heading("The model's own features"), t, report.Text(audit.FrozenText(gs[0].N))}
}

// lessonBlocks shows the training pairs behind what was found.
func lessonBlocks(ls []audit.Lesson) []report.Block {
	if len(ls) == 0 {
		return nil
	}
	out := []report.Block{
		report.Heading("Training pairs"),
		report.Text("Which pairs taught it: by how much the score's slope on a feature (in SD of both, between the audited replies), or an edit's mean gain, would be smaller without the pair, to the first order (influence functions)."),
	}
	t := report.Table{Head: []string{"of", "gain, SD", "pairs that taught it", "without the first", "gain left", "the better reply has", "in", "of"}}
	for _, l := range ls {
		more := "more " + l.Feature
		if !l.More {
			more = "less " + l.Feature
		}
		t.Rows = append(t.Rows, []string{
			lessonOf(&l), fmt.Sprintf("%+.3f", float64(l.Gain)), percent(float64(l.SharePositive)), fmt.Sprintf("%d", l.Removed),
			fmt.Sprintf("%+.3f", float64(l.GainWithout)), more, percent(float64(l.Agree)), fmt.Sprintf("%d", l.AgreeN),
		})
	}
	out = append(out, t)
	w := report.Table{Head: []string{"of", "influence, SD", "pair", "chosen", "rejected"}}
	for _, l := range ls {
		for _, p := range l.Pairs {
			w.Rows = append(w.Rows, []string{lessonOf(&l), fmt.Sprintf("%+.5f", p.Influence), p.Source, clip(p.Chosen), clip(p.Rejected)})
		}
	}
	return append(out, w)
}

func lessonOf(l *audit.Lesson) string {
	if l.Cause != "" {
		return "cause " + l.Cause
	}
	return "edit " + l.Probe
}

// lessonVerdict names what the training data teach of the first failed edit, else
// of the first cause that makes no reply better.
func lessonVerdict(o *hackAudit) (report.Verdict, bool) {
	for _, l := range o.TaughtBy {
		failed := l.Probe != ""
		for _, c := range o.Causes {
			failed = failed || c.Feature == l.Cause && c.Nuisance && c.CI[0] > someShare
		}
		if !failed || !l.Agree.Defined() {
			continue
		}
		more := "more"
		if !l.More {
			more = "less"
		}
		return report.Verdict{Level: report.Note, Text: fmt.Sprintf(
			"Taught by the training pairs: in %s of %d the better reply has %s %s; %s of the pairs add to the %s.",
			percent(float64(l.Agree)), l.AgreeN, more, l.Feature, percent(float64(l.SharePositive)), lessonOf(&l))}, true
	}
	return report.Verdict{}, false
}
