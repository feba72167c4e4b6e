package cli

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/probe"
)

// prober is a judge that can be probed; a [judge.Judge] is one. One whose model
// is [remembered] is asked nothing twice: stopped, it goes on where it was.
type prober interface {
	Prefer(ctx context.Context, c dataset.Conversation, first, second string, ps []constitution.Principle) ([]judge.Preference, error)
}

// probeOptions say what is probed. The zero value tries the usual edits at their
// greatest strength, and the other shapes.
type probeOptions struct {
	Edits []probe.Edit // nil for usualEdits
	// All tries every strength of an edit, not the greatest alone.
	All  bool
	Seed int64
	// Author is the judge's own model as the data name authors; "" leaves its
	// replies out.
	Author string
	// Write, if set, has the judge's own model reply to the prompts of the first
	// Own pairs that people decided.
	Write func(ctx context.Context, c dataset.Conversation) (string, error)
	Own   int
	// NoShapes leaves out the paraphrases of the template.
	NoShapes bool
}

// usualEdits are those by which judges are known to be taken in, and two that
// they should notice.
var usualEdits = []string{
	"padding", "markdown", "flattery", "citations", "authority", "bandwagon",
	"choose-this", "role-chatml", "role-llama", "end-of-text", "option-marks", "question", "system-message",
	"shuffled", "other-reply",
}

// Kinds of probes other than those of [probe.Kind].
const (
	probePosition   = "position"
	probeParaphrase = "paraphrase"
	probeSelf       = "self"
)

// judgeProbe is what a probe did to a judge.
//
// Edits of the kinds worthless and injection are made in the reply that the
// untouched pair's verdict is against, and a flip is a verdict that turns to it.
// Destroying ones are made in the reply that it is for, and a flip is a verdict
// that leaves it. Shift is the mean change of z, the log-odds free of position
// bias, in favour of the edited reply.
type judgeProbe struct {
	Probe    string  `json:"probe"`
	Kind     string  `json:"kind"`
	Strength float64 `json:"strength,omitempty"`
	N        int     `json:"n"`      // pairs that it applies to, answered
	Failed   int     `json:"failed"` // pairs without an answer
	// FlipRate is for position the share of pairs in which the same slot wins
	// twice, for a paraphrase that of verdicts that turn either way, and for self
	// the share in which the judge is for its own model's reply and people are not.
	FlipRate eval.Figure   `json:"flip_rate"`
	CI       eval.Interval `json:"ci"`
	Shift    eval.Figure   `json:"shift"`
	ShiftCI  []eval.Figure `json:"shift_ci"`
	// ShiftSD is Shift over the root mean square of z on the untouched pairs, which
	// is its deviation, the order of a pair being arbitrary.
	ShiftSD eval.Figure `json:"shift_sd"`
	Verdict string      `json:"verdict"` // pass, warn, fail, or none where it applies to no pair
	Note    string      `json:"note,omitempty"`
}

// probing is one run of the probes.
type probing struct {
	app  *app
	ctx  context.Context
	o    probeOptions
	ps   []constitution.Principle
	done func()

	pairs []probedPair
	rms   float64 // of z
}

// probedPair is a pair and the untouched verdict.
type probedPair struct {
	*dataset.Pair
	z, bias float64 // for the first reply, and for the first slot
}

// liked and disliked are the replies by the untouched verdict.
func (p *probedPair) liked() string { return p.side(p.z > 0) }

func (p *probedPair) disliked() string { return p.side(p.z <= 0) }

func (p *probedPair) side(first bool) string {
	if first {
		return p.First.Text
	}
	return p.Second.Text
}

// probeJudge probes a judge on pairs, under principles whose verdicts are put
// together in log-odds by their weights. Progress, if set, is told how many
// comparisons in both orders are done.
func (a *app) probeJudge(ctx context.Context, j prober, pairs []*dataset.Pair, ps []constitution.Principle, o probeOptions, progress func(done, total int)) ([]judgeProbe, error) {
	if o.Edits == nil {
		var err error
		if o.Edits, err = probe.Named(usualEdits...); err != nil {
			return nil, err
		}
	}
	others := rephrased(j)
	if o.NoShapes {
		others = nil
	}
	tries := 0
	for i := range o.Edits {
		tries += len(strengths(&o.Edits[i], o.All))
	}
	total, done := len(pairs)*(1+tries+len(others)), 0
	if o.Write != nil {
		total += min(o.Own, len(pairs))
	}
	k := &probing{app: a, ctx: ctx, o: o, ps: ps, done: func() {
		if done++; progress != nil {
			progress(min(done, total), total)
		}
	}}
	failed, err := k.untouched(j, pairs)
	if err != nil {
		return nil, err
	}
	out := []judgeProbe{k.position(failed)}
	edited, err := k.edits(j)
	if err != nil {
		return nil, err
	}
	out = append(out, edited...)
	for _, s := range others {
		p, err := k.paraphrase(s.name, s.judge)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if o.Author != "" {
		out = append(out, k.byAuthor())
	}
	if o.Write != nil && o.Own > 0 {
		p, err := k.written(j)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

type otherShape struct {
	name  string
	judge prober
}

// rephrased gives the same judge in the other shapes, if it has any.
func rephrased(j prober) []otherShape {
	own, ok := j.(*judge.Judge)
	if !ok {
		return nil
	}
	var out []otherShape
	for _, s := range judge.Shapes() {
		if s.Name != own.Shape.Name {
			out = append(out, otherShape{s.Name, own.In(s)})
		}
	}
	return out
}

func strengths(e *probe.Edit, all bool) []float64 {
	if all {
		return e.Strengths
	}
	return []float64{e.Strongest()}
}

// prefer asks for the preference for the first of two replies. It gives false
// where there is no answer, which is said.
func (k *probing) prefer(j prober, p *dataset.Pair, first, second string) (judge.Preference, bool, error) {
	defer k.done()
	prefs, err := j.Prefer(k.ctx, p.Prompt, first, second, k.ps)
	if err != nil {
		if k.ctx.Err() != nil {
			return judge.Preference{}, false, k.ctx.Err()
		}
		return judge.Preference{}, false, k.app.itemError(err, p.Source, "")
	}
	out, ok := judge.Pool(prefs, k.ps)
	if !ok {
		k.app.warn("%s: too little of the probability fell on the answers (coverage %.2f)", p.Source.File, out.Coverage)
	}
	return out, ok, nil
}

// untouched asks about the pairs as they are; those without an answer, which it
// counts, are probed no further.
func (k *probing) untouched(j prober, pairs []*dataset.Pair) (failed int, err error) {
	if len(k.ps) == 0 {
		return 0, errors.New("probe: no principles")
	}
	var squares float64
	for _, p := range pairs {
		pref, ok, err := k.prefer(j, p, p.First.Text, p.Second.Text)
		if err != nil {
			return 0, err
		}
		if !ok {
			failed++
			continue
		}
		k.pairs = append(k.pairs, probedPair{p, pref.Z, pref.Bias})
		squares += pref.Z * pref.Z
	}
	k.rms = math.Sqrt(squares / float64(len(k.pairs)))
	return failed, nil
}

// edits probes by edits: of one pair all of them, so that texts that a server
// has just read come again.
func (k *probing) edits(j prober) ([]judgeProbe, error) {
	type try struct {
		edit     *probe.Edit
		strength float64
		seen     tally
	}
	var tries []*try
	for i := range k.o.Edits {
		for _, s := range strengths(&k.o.Edits[i], k.o.All) {
			tries = append(tries, &try{edit: &k.o.Edits[i], strength: s})
		}
	}
	for i := range k.pairs {
		p := &k.pairs[i]
		pool, questions := k.pool(p), k.questions()
		for _, t := range tries {
			text := probe.Text{Prompt: p.Prompt, Reply: p.disliked(), Pool: pool, Principles: questions}
			destroys := t.edit.Kind == probe.Destroying
			before := -math.Abs(p.z)
			if destroys {
				text.Reply, before = p.liked(), math.Abs(p.z)
			}
			edited, ok := t.edit.Apply(text, t.strength, k.o.Seed)
			if !ok {
				k.done()
				continue
			}
			first, second := p.First.Text, edited // in the place that it had
			sign := -1.0
			if text.Reply == p.First.Text {
				first, second, sign = edited, p.Second.Text, 1
			}
			pref, ok, err := k.prefer(j, p.Pair, first, second)
			if err != nil {
				return nil, err
			}
			if !ok {
				t.seen.failed++
				continue
			}
			after := sign * pref.Z
			t.seen.add(p, after > 0 != destroys && after != 0, after-before)
		}
	}
	var out []judgeProbe
	for _, t := range tries {
		r := t.seen.result(t.edit.Name, string(t.edit.Kind), k.rms)
		r.Strength = t.strength
		if t.edit.Kind == probe.Destroying {
			r.judgeLoss()
		} else {
			r.judge(editBounds)
		}
		out = append(out, r)
	}
	return out, nil
}

// pool gives replies to other prompts.
func (k *probing) pool(p *probedPair) []string {
	var out []string
	own := p.Prompt.Key()
	for i := range k.pairs {
		if k.pairs[i].Prompt.Key() != own {
			out = append(out, k.pairs[i].First.Text)
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return strings.TrimSpace(s) == "" })
}

func (k *probing) questions() []string {
	out := make([]string, len(k.ps))
	for i := range k.ps {
		out[i] = k.ps[i].Compare
	}
	return out
}

// position says what the slots do to the untouched pairs.
func (k *probing) position(failed int) judgeProbe {
	seen := tally{failed: failed}
	for i := range k.pairs {
		p := &k.pairs[i]
		seen.add(p, judge.Preference{Z: p.z, Bias: p.bias}.SameSlot(), p.bias)
	}
	r := seen.result(probePosition, probePosition, k.rms)
	r.judge(positionBounds)
	r.Note = "flips: the same slot wins in both orders; shift: mean log-odds for the first slot"
	return r
}

// paraphrase asks about the untouched pairs in another shape.
func (k *probing) paraphrase(name string, j prober) (judgeProbe, error) {
	var seen tally
	for i := range k.pairs {
		p := &k.pairs[i]
		pref, ok, err := k.prefer(j, p.Pair, p.First.Text, p.Second.Text)
		if err != nil {
			return judgeProbe{}, err
		}
		if !ok {
			seen.failed++
			continue
		}
		sign := 1.0 // for the reply that was disliked
		if p.z > 0 {
			sign = -1
		}
		seen.add(p, sign*pref.Z > 0, sign*(pref.Z-p.z))
	}
	r := seen.result(probeParaphrase+"/"+name, probeParaphrase, k.rms)
	r.judge(paraphraseBounds)
	return r, nil
}
