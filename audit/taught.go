package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"cai/dataset"
	"cai/eval"
	"cai/probe"
	"cai/rm"
)

// Teacher knows what training pairs did to a sum of scores; an [rm.Background] is
// one.
type Teacher interface {
	// Influence gives for each training pair by how much Σ weightᵢ·score(itemᵢ),
	// whose weights add up to 0, would change without it.
	Influence(ctx context.Context, items []rm.Item, weight []float64) ([]float64, error)
	At(i int) *dataset.Pair
}

// Lesson is what the training pairs had to do with a cause or with the gain of an
// edit.
type Lesson struct {
	// Cause or Probe says what of.
	Cause string `json:"cause,omitempty"`
	Probe string `json:"probe,omitempty"`
	// Gain is what was learned, in standard deviations of the score: for one
	// standard deviation of the feature between the audited replies, or by the edit.
	Gain eval.Figure `json:"gain"`
	// Pairs are those that taught most of it, N how many pairs there are.
	N     int      `json:"n"`
	Pairs []Taught `json:"pairs"`
	// SharePositive is the share of the pairs that taught it: without which it would
	// be smaller.
	SharePositive eval.Figure `json:"share_positive"`
	// Feature is the cause, or what the edit changes most; Agree the share, of the
	// AgreeN pairs whose replies differ in it, in which the better reply has more of
	// it (or less, where that is what the score likes).
	Feature string      `json:"feature"`
	More    bool        `json:"more"`
	AgreeN  int         `json:"agree_n"`
	Agree   eval.Figure `json:"agree"`
	// Removed pairs, those that taught most, would by their influence leave
	// GainWithout.
	Removed     int         `json:"removed"`
	GainWithout eval.Figure `json:"gain_without"`
}

// Taught is a training pair and its part in what was learned.
type Taught struct {
	Source string `json:"source"` // file:line
	ID     string `json:"id,omitempty"`
	// Influence is what the pair adds to Lesson.Gain: by how much that would be
	// smaller without it.
	Influence float64 `json:"influence"`
	Chosen    string  `json:"chosen"`
	Rejected  string  `json:"rejected"`
	// More is by how much the better reply has more of the feature; null where no
	// reply is the better one.
	More eval.Figure `json:"more"`

	Pair *dataset.Pair `json:"-"`
}

const (
	taughtCauses = 3
	taughtProbes = 3
	// removedShare is how much of the pairs GainWithout is without.
	removedShare = 0.01
	snippetRunes = 160
	// largeChange is from how many standard deviations on a change counts no more.
	largeChange = 3
)

// Lessons finds the pairs behind the first causes and the worst failed probes, top
// for each.
func Lessons(ctx context.Context, r *Reference, t Teacher, n int, causes []Cause, findings []Finding, top int, o ProbeOptions) ([]Lesson, error) {
	k := &classroom{r: r, t: t, n: n, top: top}
	var out []Lesson
	add := func(l Lesson, feature int, items []rm.Item, weight []float64) error {
		if err := k.study(ctx, &l, feature, items, weight); err != nil {
			return fmt.Errorf("%s%s: %w", l.Cause, l.Probe, err)
		}
		out = append(out, l)
		return nil
	}
	by, _, err := r.observations(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range causes[:min(taughtCauses, len(causes))] {
		j := conceptAt(c.Feature)
		items, weight, gain := r.slopeOf(by, j)
		if gain == 0 || math.IsNaN(gain) {
			continue
		}
		if err := add(Lesson{Cause: c.Feature, Gain: eval.Figure(gain)}, j, items, weight); err != nil {
			return nil, err
		}
	}
	failed := slices.DeleteFunc(Failed(findings), func(f Finding) bool { return f.Kind == probe.Destroying || !(f.Effect > 0) })
	for _, f := range failed[:min(taughtProbes, len(failed))] {
		items, weight, changed, err := r.gainOf(&f, causes, o)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			continue
		}
		gain := 0.0
		scores, err := k.scores(ctx, items)
		if err != nil {
			return nil, err
		}
		for i, s := range scores {
			gain += weight[i] * s
		}
		if err := add(Lesson{Probe: f.Probe, Gain: eval.Figure(gain)}, changed, items, weight); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func conceptAt(name string) int {
	return slices.IndexFunc(concepts, func(c concept) bool { return c.name == name })
}

// slopeOf gives the regression slope of the score on concept j over the observed
// replies as a weighted sum of their scores, in standard deviations of both.
func (r *Reference) slopeOf(by [][]*observation, j int) (items []rm.Item, weight []float64, gain float64) {
	mean, n := 0.0, 0
	for _, of := range by {
		for _, o := range of {
			mean += o.x[j]
			n++
		}
	}
	mean /= float64(n)
	var y []float64
	sq := 0.0
	for i, of := range by {
		for _, o := range of {
			v := o.x[j] - mean
			items, weight, y = append(items, rm.Item{Prompt: r.Cases[i].Prompt, Reply: o.reply}), append(weight, v), append(y, o.y)
			sq += v * v
		}
	}
	if sq == 0 {
		return nil, nil, 0
	}
	unit := math.Sqrt(sq/float64(n)) / sq / r.Scale
	for i := range weight {
		weight[i] *= unit
		gain += weight[i] * y[i]
	}
	return items, weight, gain
}

// gainOf gives the mean gain of a finding as a weighted sum of scores, in standard
// deviations, and the concept that stands behind it: of which the edit changes
// most, counted by what the scores follow it.
func (r *Reference) gainOf(f *Finding, causes []Cause, o ProbeOptions) (items []rm.Item, weight []float64, changed int, err error) {
	edits, err := probe.Named(f.Edit)
	if err != nil {
		return nil, nil, 0, err
	}
	sum, sq := make([]float64, len(concepts)), make([]float64, len(concepts))
	all := make([]float64, len(concepts))
	n := 0
	for i := range r.Cases {
		c := &r.Cases[i]
		words := promptWords(c.Prompt)
		pool := r.pool(i)
		for _, reply := range c.Replies {
			own := measure(words, reply)
			for j, v := range own {
				all[j] += v
				sq[j] += v * v
			}
			n++
			t := probe.Text{Prompt: c.Prompt, Reply: reply, Pool: pool, Principles: o.Principles}
			edited, ok := edits[0].Apply(t, f.Strength, o.Seed)
			if !ok {
				continue
			}
			items = append(items, rm.Item{Prompt: c.Prompt, Reply: edited}, rm.Item{Prompt: c.Prompt, Reply: reply})
			for j, v := range measure(words, edited) {
				sum[j] += v - own[j]
			}
		}
	}
	weight = make([]float64, len(items))
	for i := range weight {
		weight[i] = float64(1-2*(i%2)) * 2 / float64(len(items)) / r.Scale
	}
	share := make([]float64, len(concepts))
	for _, c := range causes {
		share[conceptAt(c.Feature)] = max(0, float64(c.Share))
	}
	most := -1.0
	for j := range sum {
		m := all[j] / float64(n)
		sd := math.Sqrt(max(0, sq[j]/float64(n)-m*m))
		d := min(largeChange, math.Abs(sum[j])/float64(max(1, len(items)/2))/(sd+1e-3))
		if d *= share[j] + 1e-3; d > most {
			most, changed = d, j
		}
	}
	return items, weight, changed, nil
}

// classroom makes lessons.
type classroom struct {
	r      *Reference
	t      Teacher
	n, top int
	// By concept, how much more of it each training pair's better reply has, of all
	// concepts at once since texts are read once.
	more [][]float64
}

func (k *classroom) scores(ctx context.Context, items []rm.Item) ([]float64, error) {
	out := make([]float64, 0, len(items))
	for len(items) > 0 {
		n := 1
		for n < len(items) && samePrompt(items[0].Prompt, items[n].Prompt) {
			n++
		}
		texts := make([]string, n)
		for i := range texts {
			texts[i] = items[i].Reply
		}
		s, err := k.r.score(ctx, items[0].Prompt, texts)
		if err != nil {
			return nil, err
		}
		out, items = append(out, s...), items[n:]
	}
	return out, nil
}

func samePrompt(a, b dataset.Conversation) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// study fills in a lesson.
func (k *classroom) study(ctx context.Context, l *Lesson, feature int, items []rm.Item, weight []float64) error {
	removal, err := k.t.Influence(ctx, items, weight)
	if err != nil {
		return err
	}
	if err := k.compare(ctx); err != nil {
		return err
	}
	sign := 1.0
	if l.Gain < 0 {
		sign = -1
	}
	order := make([]int, len(removal))
	positive := 0
	for i, v := range removal {
		order[i] = i
		if -v*sign > 0 {
			positive++
		}
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(removal[i]*sign, removal[j]*sign), i-j) })
	l.N, l.SharePositive = len(removal), eval.Figure(float64(positive)/float64(max(1, len(removal))))
	l.Removed = int(math.Ceil(removedShare * float64(len(removal))))
	without := float64(l.Gain)
	for _, i := range order[:l.Removed] {
		without += removal[i]
	}
	l.GainWithout = eval.Figure(without)
	l.Pairs = []Taught{}
	for _, i := range order[:min(k.top, len(order))] {
		if -removal[i]*sign <= 0 {
			break
		}
		p := k.t.At(i)
		better, worse := p.First, p.Second
		if p.P < 0.5 {
			better, worse = worse, better
		}
		l.Pairs = append(l.Pairs, Taught{
			Source: fmt.Sprintf("%s:%d", p.Source.File, p.Source.Line), ID: p.Source.ID, Influence: -removal[i],
			Chosen: snippet(better.Text), Rejected: snippet(worse.Text), More: eval.Figure(k.more[i][feature]), Pair: p,
		})
	}
	l.Feature = concepts[feature].name
	up, n := 0, 0
	for i := range k.more {
		if d := k.more[i][feature]; d != 0 && !math.IsNaN(d) {
			n++
			if d > 0 {
				up++
			}
		}
	}
	l.AgreeN, l.More = n, k.likes(l, feature, items, weight)
	l.Agree = eval.Figure(float64(up) / float64(n))
	if !l.More {
		l.Agree = 1 - l.Agree
	}
	return nil
}

// likes tells whether the score likes more of the feature: for a cause by the sign
// of its slope, for an edit by what it changes.
func (k *classroom) likes(l *Lesson, feature int, items []rm.Item, weight []float64) bool {
	if l.Cause != "" {
		return l.Gain > 0
	}
	sum := 0.0
	for i, it := range items {
		sum += weight[i] * measure(promptWords(it.Prompt), it.Reply)[feature]
	}
	return sum*float64(l.Gain) > 0
}

// compare measures the training pairs.
func (k *classroom) compare(ctx context.Context) error {
	if k.more != nil {
		return nil
	}
	more := make([][]float64, k.n)
	err := k.r.each(ctx, k.n, func(i int) error {
		p := k.t.At(i)
		words := promptWords(p.Prompt)
		a, b := measure(words, p.First.Text), measure(words, p.Second.Text)
		for j := range a {
			switch {
			case p.P == 0.5:
				a[j] = math.NaN() // no reply is the better one
			case p.P < 0.5:
				a[j] = b[j] - a[j]
			default:
				a[j] -= b[j]
			}
		}
		more[i] = a
		return nil
	})
	k.more = more
	return err
}

// snippet is the beginning of a text, in one line.
func snippet(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= snippetRunes {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > snippetRunes {
			return s[:i] + "…"
		}
	}
	return s
}
