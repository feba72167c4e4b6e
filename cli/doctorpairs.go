package cli

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"cai/eval"
	"cai/judge"
	"cai/llm"
)

const (
	dozen     = 12 // pairs that every shape is tried on; a short preview of all kinds
	hopeless  = 4  // pairs in a row without an answer that end the trial of a shape
	retested  = 6  // pairs that are asked again, in both orders
	manyFlips = 0.1
)

// shapeTrial is one shape on the built-in pairs.
type shapeTrial struct {
	judge   *judge.Judge
	all     judge.Trial
	dozen   judge.Trial             // the same, of the first dozen
	answers map[int][2]judge.Answer // by pair: the better reply first, then second
	err     error                   // of the last failure
	// mayLose ends the trial as soon as it cannot reach what a judge has to; then
	// it is lost.
	mayLose, lost bool
}

func (t *shapeTrial) name() string { return t.judge.Shape.Name }

func (d *doctor) judge(shape judge.Shape) (*judge.Judge, error) {
	return judge.New(d.model, d.model.id, judge.Settings{Shape: shape, Mode: judge.ModeToken, Options: d.model.options})
}

// judgePairs has the model judge the built-in pairs and says what that comes to.
func (d *doctor) judgePairs() error {
	var ts []*shapeTrial
	for _, s := range judge.Shapes() {
		j, err := d.judge(s)
		if err != nil {
			return err
		}
		ts = append(ts, &shapeTrial{judge: j, answers: map[int][2]judge.Answer{}})
	}
	if err := d.tryShapes(ts); err != nil {
		return err
	}
	best := recommend(ts)
	for _, t := range ts {
		if t.all.Asked() == 0 {
			continue
		}
		d.out.Shapes = append(d.out.Shapes, shapeJSON{
			Name: t.name(), About: t.judge.Shape.About, Pairs: t.all.Asked(), Right: t.all.Right, Kept: t.all.Kept, Failed: t.all.Failed,
			SameSlot: t.all.SameSlot, SameSlotRate: eval.Figure(t.all.SameSlotRate()), Z: eval.Figure(t.all.Z()),
			PositionBias: eval.Figure(t.all.Bias()), Coverage: eval.Figure(t.all.Coverage()), Wrong: t.wrong(), Recommended: t == best,
		})
	}
	d.printShapes()
	d.out.Shape = best.name()
	d.verdicts(ts, best)
	if err := d.retest(best); err != nil {
		return err
	}
	if best.all.Right < leastRight || best.all.Coverage() < leastCoverage {
		return errEnough
	}
	return nil
}

// tryShapes tries the default shape on all pairs and each other one on a dozen,
// then those on the rest that may be better.
func (d *doctor) tryShapes(ts []*shapeTrial) error {
	n := len(judge.Probes())
	def := ts[0]
	if d.c.Bool("all-shapes") {
		for _, group := range byPrefix(ts) {
			if err := d.ask(0, n, group...); err != nil {
				return err
			}
		}
		return nil
	}
	// Shapes of one prefix are asked together: the second costs only its question.
	for i, group := range byPrefix(ts) {
		if err := d.ask(0, dozen, group...); err != nil {
			return err
		}
		if i == 0 {
			if err := d.ask(dozen, n, def); err != nil {
				return err
			}
		}
	}
	more := worthwhile(ts[1:], def)
	for _, t := range more {
		t.mayLose = true
	}
	for _, group := range byPrefix(more) {
		if err := d.ask(dozen, n, group...); err != nil {
			return err
		}
	}
	return nil
}

// worthwhile gives at most two of the shapes that may be better than the default
// by what they did on the first dozen, in their order.
func worthwhile(ts []*shapeTrial, def *shapeTrial) []*shapeTrial {
	var out []*shapeTrial
	for _, t := range ts {
		if promising(t, def) {
			out = append(out, t)
		}
	}
	if len(out) <= 2 {
		return out
	}
	best := slices.SortedStableFunc(slices.Values(out), func(a, b *shapeTrial) int {
		return cmp.Or(cmp.Compare(b.dozen.Kept, a.dozen.Kept), cmp.Compare(b.dozen.Z(), a.dozen.Z()))
	})[:2]
	return slices.DeleteFunc(out, func(t *shapeTrial) bool { return !slices.Contains(best, t) })
}

func byPrefix(ts []*shapeTrial) [][]*shapeTrial {
	var out [][]*shapeTrial
	for i, t := range ts {
		if i == 0 || t.judge.Shape.Prefix != ts[i-1].judge.Shape.Prefix {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], t)
	}
	return out
}

// promising tells whether a shape may be better than the default by what it did
// on the first dozen.
func promising(t, def *shapeTrial) bool {
	if t.err != nil && t.dozen.Asked() < dozen {
		return false
	}
	if def.all.Right < leastRight || def.all.Coverage() < leastCoverage {
		return 3*t.dozen.Right >= 2*dozen
	}
	return beats(&t.dozen, &def.dozen)
}

// beats tells whether a trial is so much better than another that the shape is
// worth a change: a single pair more is no sign of anything. Of two that are
// right on as many, one that covers the answers is better than one that barely
// does, whose judgments stand for a part of what the model would say.
func beats(a, b *judge.Trial) bool {
	if a.Kept < b.Kept {
		return false
	}
	if a.Kept >= b.Kept+2 {
		return true
	}
	if ca, cb := a.Coverage(), b.Coverage(); min(ca, cb) < goodCoverage && math.Abs(ca-cb) >= 0.4 {
		return ca > cb
	}
	return a.Z() >= 1.25*b.Z() && a.Z() > b.Z()
}

// recommend gives the best of the shapes that were tried on all pairs.
func recommend(ts []*shapeTrial) *shapeTrial {
	best := ts[0]
	for _, t := range ts[1:] {
		if t.all.Asked() < len(judge.Probes()) || t.all.Coverage() < leastCoverage {
			continue
		}
		if best.all.Coverage() < leastCoverage || beats(&t.all, &best.all) {
			best = t
		}
	}
	return best
}

// ask puts the pairs from number from to number to (not included) in both
// orders, in each of the shapes. A shape that gets no answer at all is given
// up.
func (d *doctor) ask(from, to int, ts ...*shapeTrial) error {
	var names []string
	for _, t := range ts {
		names = append(names, t.name())
	}
	p := d.app.progress(d.c, "judge built-in pairs, shape "+strings.Join(names, ", "), "answers", int64(2*(to-from)*len(ts)))
	defer p.done()
	var done int64
	for i, probe := range judge.Probes()[:to] {
		if i < from || !slices.ContainsFunc(ts, func(t *shapeTrial) bool { return !t.gaveUp() }) {
			continue
		}
		got := make([][2]judge.Answer, len(ts))
		failed := make([]error, len(ts))
		for order, goodFirst := range []bool{true, false} {
			for k, t := range ts {
				if t.gaveUp() || failed[k] != nil {
					continue
				}
				q := probe.Question(goodFirst, &d.principle)
				a, err := t.judge.Compare(d.ctx, q)
				if err != nil && (llm.KindOf(err) == "" || llm.Fatal(err) || d.ctx.Err() != nil) {
					d.broke("builtin_pairs", err)
					return err
				}
				got[k][order], failed[k] = a, err
				d.tokens += int64(a.PromptTokens)
				if a.PromptTokens > 0 {
					for _, m := range t.judge.Shape.Render(q) {
						d.bytes += int64(len(m.Content))
					}
				}
				done++
				p.set(done, "")
			}
		}
		for k, t := range ts {
			if !t.gaveUp() {
				t.add(i, got[k], failed[k])
				t.lost = t.mayLose && t.all.Asked()-t.all.Right > len(judge.Probes())-leastRight
			}
		}
	}
	return nil
}

func (t *shapeTrial) gaveUp() bool {
	return t.all.Pairs == 0 && t.all.Failed >= hopeless || t.lost
}

// add takes in what came of a pair.
func (t *shapeTrial) add(i int, a [2]judge.Answer, err error) {
	both := []*judge.Trial{&t.all}
	if i < dozen {
		both = append(both, &t.dozen)
	}
	for _, trial := range both {
		if err != nil {
			trial.Failed++
			continue
		}
		trial.Add(judge.Preferred(a[0], a[1]))
	}
	if err != nil {
		t.err = err
		return
	}
	t.answers[i] = a
}

// wrong names the pairs that were answered and judged wrongly.
func (t *shapeTrial) wrong() []string {
	out := []string{}
	for i, p := range judge.Probes() {
		if a, ok := t.answers[i]; ok && judge.Preferred(a[0], a[1]).Z <= 0 {
			out = append(out, p.ID)
		}
	}
	return out
}

// verdicts says what the pairs came to in the best shape.
func (d *doctor) verdicts(ts []*shapeTrial, best *shapeTrial) {
	t := &best.all
	n := t.Asked()
	tried := fmt.Sprintf("in its best shape, %q", best.name())
	if len(d.out.Shapes) == 1 {
		tried = fmt.Sprintf("in the shape %q", best.name())
	}
	const chance = 20
	failed := ""
	if t.Failed > 0 {
		failed = fmt.Sprintf("; %d gave no answer (%v)", t.Failed, bare(best.err))
	}
	switch {
	case t.Right < leastRight:
		hint := "take a larger model, or one that is tuned to follow instructions"
		if t.Failed > n/2 {
			hint = llm.HintOf(best.err)
		}
		word := "the preference carries too little signal"
		if t.Right <= chance+4 {
			word = "it cannot be told from chance"
		}
		d.fail("builtin_pairs", t.Right, hint, "right on %d of %d in the shape %q, both orders put together, and no shape reaches the %d that are needed: %s%s", t.Right, n, best.name(), leastRight, word, failed)
	case t.Failed > 0:
		d.warn("builtin_pairs", t.Right, "cai label keeps such failures and lists them", "right on %d of %d %s%s", t.Right, n, tried, failed)
	default:
		d.pass("builtin_pairs", t.Right, "right on %d of %d %s, both orders put together (mean z %+.2f in log-odds)", t.Right, n, tried, t.Z())
	}
	cover := t.Coverage()
	switch value := eval.Figure(cover); {
	case cover < leastCoverage:
		d.fail("coverage", value, "take another model: labels abstain on such answers (--min-coverage)", "only %.3f of the probability falls on the answers", cover)
	case cover < goodCoverage:
		d.warn("coverage", value, "look at how many labels abstain (--min-coverage)", "%.2f of the probability falls on the answers", cover)
	default:
		d.pass("coverage", value, "%.2f of the probability falls on the answers", cover)
	}
	if t.Pairs == 0 {
		return
	}
	slot := "first"
	if t.Bias() < 0 {
		slot = "second"
	}
	value := map[string]any{"bias": eval.Figure(t.Bias()), "same_slot": t.SameSlot, "same_slot_rate": eval.Figure(t.SameSlotRate())}
	text := fmt.Sprintf("%.2f in log-odds for the %s slot; the same slot won in both orders on %d of %d pairs", math.Abs(t.Bias()), slot, t.SameSlot, t.Pairs)
	if 2*t.SameSlot >= t.Pairs {
		d.warn("position_bias", value, "one order alone says nothing: never use --orders 1 with this model", "%s", text)
	} else {
		d.pass("position_bias", value, "%s", text)
	}
	if t.Right < leastRight {
		return
	}
	def := &ts[0].all
	if best == ts[0] {
		d.pass("shape", best.name(), "%q, the default; no other is clearly better", best.name())
		return
	}
	d.warn("shape", best.name(), "say --shape "+best.name()+" to cai label", "%q: %d right, coverage %.2f, mean z %+.2f; the default %q: %d, %.2f, %+.2f",
		best.name(), t.Right, t.Coverage(), t.Z(), ts[0].name(), def.Right, def.Coverage(), def.Z())
}

// retest asks some questions again. Caches, batches and threads change the
// numbers a little; what turns an answer round was no answer.
func (d *doctor) retest(t *shapeTrial) error {
	p := d.app.progress(d.c, "ask again", "answers", 2*retested)
	defer p.done()
	n, flips := 0, 0
	var moved float64
	for i, probe := range judge.Probes()[:retested] {
		before, ok := t.answers[i]
		if !ok {
			continue
		}
		for order, goodFirst := range []bool{true, false} {
			a, err := t.judge.Compare(d.ctx, probe.Question(goodFirst, &d.principle))
			if err != nil && (llm.KindOf(err) == "" || llm.Fatal(err) || d.ctx.Err() != nil) {
				d.broke("flip_rate", err)
				return err
			}
			if err != nil {
				continue
			}
			was, is := before[order].LogOdds(), a.LogOdds()
			n++
			if was > 0 != (is > 0) {
				flips++
			}
			moved += math.Abs(is - was)
			p.set(int64(n), "")
		}
	}
	p.done()
	if n == 0 {
		return nil // no pair was answered, as the trial has said
	}
	rate := float64(flips) / float64(n)
	value := map[string]any{"rate": eval.Figure(rate), "asked": n, "mean_change": eval.Figure(moved / float64(n))}
	text := fmt.Sprintf("%d of %d answers turned round when asked again; mean change %.3f in log-odds", flips, n, moved/float64(n))
	if rate > manyFlips {
		d.warn("flip_rate", value, "judgments that are close to even are noise: use --min-margin, or more --samples", "%s", text)
	} else {
		d.pass("flip_rate", value, "%s", text)
	}
	return nil
}
