package dataset

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
)

// record takes the file's next record.
func (r *reader) record(rec rawRecord, yield func(*content, error) bool) bool {
	if rec.bad != "" && len(r.held) == 0 {
		return yield(nil, r.bad(rec.line, rec.bad))
	}
	if len(r.g.missing) > 0 {
		r.g.seenColumns(rec.obj)
	}
	next := heldRecord{rec: rec, named: r.g.rename(rec.obj)}
	if len(r.held) == 0 && r.g.begun {
		next.obj, next.rec.bad = r.g.unwrap(next.named)
		if next.rec.bad != "" || r.g.settledFor(next.obj) {
			return r.emit(&next, yield)
		}
	}
	if rec.bad == "" {
		next.named = next.named.clone()
		for _, f := range next.named {
			r.size += len(f.Value)
		}
	}
	r.held = append(r.held, next)
	return r.settle(len(r.held) >= lookahead || r.size >= heldBytes, yield)
}

// settle decides what the records that are held back leave open, and lets them go if
// nothing is any more. With final no more of them are awaited.
func (r *reader) settle(final bool, yield func(*content, error) bool) bool {
	for _, step := range []func(bool) (bool, error){r.openColumns, r.openTexts, r.openFormat, r.openLabels} {
		open, err := step(final)
		if err != nil {
			yield(nil, err)
			return false
		}
		if open {
			return true
		}
	}
	return r.release(yield)
}

// fresh gives the held records that a step has not seen, but for bad ones.
func (r *reader) fresh(step int) iter.Seq[*heldRecord] {
	return func(yield func(*heldRecord) bool) {
		for r.done[step] < len(r.held) {
			rec := &r.held[r.done[step]]
			r.done[step]++
			if rec.rec.bad == "" && !yield(rec) {
				return
			}
		}
	}
}

// openColumns tells whether columns that the user named may still come.
func (r *reader) openColumns(final bool) (bool, error) {
	if len(r.g.missing) == 0 || !final {
		return len(r.g.missing) > 0, nil
	}
	return false, fmt.Errorf("%s: no column %q in its first records; they have %s", r.name, r.g.missing[0], strings.Join(r.g.have, ", "))
}

// openTexts tells whether it is open that replies are the JSON of messages.
func (r *reader) openTexts(final bool) (open bool, err error) {
	g := r.g
	if g.begun {
		return false, nil
	}
	for rec := range r.fresh(0) {
		if key := g.lookAtTexts(rec.named); key != "" {
			g.repr = key
		}
	}
	for _, maybe := range g.open {
		open = open || maybe
	}
	if !open || !final {
		return open, nil
	}
	if g.repr != "" {
		return false, &UndecidedError{File: r.name, Column: g.repr, Reason: g.repr + ": " + reprReason}
	}
	maps.Copy(g.texts, g.open)
	return false, nil
}

// openFormat tells whether the format is open, and where the prompt is.
func (r *reader) openFormat(final bool) (bool, error) {
	g := r.g
	for rec := range r.fresh(1) {
		if rec.obj, rec.rec.bad = g.unwrap(rec.named); rec.rec.bad != "" || g.begun {
			continue
		}
		f, shape := g.format, g.format
		if !g.named {
			shape = detect(rec.obj)
		}
		if f == nil {
			f = shape
		}
		switch {
		case f == nil || g.certain:
		case shape != nil && shape.mayBeImplicit() && fitsTRL(rec.obj) && !fitsHH(rec.obj) && !hasPrompt(rec.obj):
			g.likely = f
		default:
			g.format, g.certain = f, true
		}
	}
	switch {
	case g.begun || g.certain || g.likely == nil:
	case !final:
		return true, nil
	default:
		g.format, g.certain, g.implicit = g.likely, true, true
		if err := r.noOtherPrompt(); err != nil {
			return false, err
		}
		g.note(ToldReading, "", "the prompt is what the two replies begin with in common")
	}
	if g.certain && !g.begun {
		g.begun, g.plan = true, plan{}
		g.found()
	}
	return false, nil
}

// noOtherPrompt makes sure that no column may be the prompt where what both replies
// begin with is taken for it.
func (r *reader) noOtherPrompt() error {
	if r.g.named {
		return nil
	}
	var columns []string
	for _, rec := range r.held {
		for _, key := range perhapsPrompts(rec.obj) {
			if !slices.Contains(columns, key) {
				columns = append(columns, key)
			}
		}
	}
	if columns == nil {
		return nil
	}
	e := &UndecidedError{
		File: r.name, Column: columns[0],
		Reason: fmt.Sprintf("no prompt column, and %s may be the prompt, or else what both replies begin with", strings.Join(columns, ", ")),
	}
	for _, name := range columns {
		e.Columns = append(e.Columns, "prompt="+r.g.original(name))
	}
	if r.g.format != &promptFormat {
		e.Format = r.g.format.name
	}
	return e
}

// openLabels tells whether it is open what a label column means.
func (r *reader) openLabels(final bool) (bool, error) {
	if r.g.format == nil || r.g.format.order == orderNone {
		return false, nil
	}
	for rec := range r.fresh(2) {
		r.g.tally(rec.obj)
	}
	return r.g.openLabels(final)
}

// release lets the records go that were held back.
func (r *reader) release(yield func(*content, error) bool) bool {
	held := r.held
	r.held, r.size, r.done = nil, 0, [3]int{}
	for i := range held {
		if !r.emit(&held[i], yield) {
			return false
		}
	}
	return true
}

// emit reads one record in the file's format.
func (r *reader) emit(rec *heldRecord, yield func(*content, error) bool) bool {
	line := rec.rec.line
	switch {
	case rec.rec.bad != "":
		return yield(nil, r.bad(line, rec.rec.bad))
	case r.g.format == nil:
		return yield(nil, r.bad(line, unknownShape(rec.obj)))
	}
	r.g.look(rec.obj)
	c := content{source: Source{File: r.name, Line: line}}
	v := view{obj: rec.obj, g: r.g, strength: math.NaN()}
	c.source.ID = v.id()
	if err := r.g.format.read(&v, &c); err != nil {
		bad := r.bad(line, err.Error())
		if columns := perhapsPrompts(rec.obj); errors.Is(err, errNoPrompt) && columns != nil {
			bad.Reason += "; it may be in " + strings.Join(columns, ", ")
		}
		var label *labelError
		if errors.As(err, &label) {
			bad.Label = label.column
		}
		return yield(nil, bad)
	}
	v.unread(&c)
	obj := rec.named
	if r.keep {
		obj = obj.clone()
		c.object = obj
	}
	c.source.Extra, c.source.Label = v.extra(obj, !r.keep), v.labels
	if finite(v.strength) && c.source.Extra.Get("margin") == nil {
		c.source.Extra = append(c.source.Extra[:len(c.source.Extra):len(c.source.Extra)], Field{"margin", jsonFloat(v.strength)})
	}
	c.dropped = append(c.dropped, v.dropped...)
	c.asked = v.prompts
	switch {
	case c.pair != nil:
		c.pair.Source = c.source
	case c.reply != nil:
		c.reply.Source = c.source
	}
	return yield(&c, nil)
}
