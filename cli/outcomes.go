package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/llm"
)

// outcomes are what became of the questions that a run put to a model. A run
// that came to little says why.
type outcomes struct {
	answered, abstained int64
	begins              map[string]int64 // beginnings of the answers that abstained
	failed              map[llm.Kind]*failures
}

// failures are those of one kind.
type failures struct {
	n   int64
	err error // the first
}

// answer counts an answer, and how it began where it had too little probability
// on what was asked for.
func (o *outcomes) answer(counts bool, first string) {
	o.answered++
	if counts {
		return
	}
	o.abstained++
	if o.begins == nil {
		o.begins = map[string]int64{}
	}
	if _, known := o.begins[first]; known || len(o.begins) < 1000 {
		o.begins[first]++
	}
}

// failure counts a question without an answer.
func (o *outcomes) failure(err error) {
	if o.failed == nil {
		o.failed = map[llm.Kind]*failures{}
	}
	k := llm.KindOf(err)
	if o.failed[k] == nil {
		o.failed[k] = &failures{err: err}
	}
	o.failed[k].n++
}

// most tells that more than half of the answers abstained.
func (o *outcomes) most() bool { return 2*o.abstained > o.answered }

// say tells why questions failed, and, where most answers abstained, how those
// began and what to do.
func (o *outcomes) say(a *app, c *urfave.Context) {
	kinds := slices.SortedFunc(maps.Keys(o.failed), func(x, y llm.Kind) int {
		return cmp.Or(cmp.Compare(o.failed[y].n, o.failed[x].n), cmp.Compare(x, y))
	})
	for _, k := range kinds {
		f := o.failed[k]
		a.note(c, "%s, %d: %v", k, f.n, bare(f.err))
		if hint := llm.HintOf(f.err); hint != "" {
			a.note(c, "hint: %s", hint)
		}
	}
	if !o.most() {
		return
	}
	a.warn("%d of %d answers abstain: too little of their probability is on what was asked for", o.abstained, o.answered)
	a.note(c, "they begin with %s", o.beginnings())
	a.note(c, "hint: cai doctor tells whether this model can judge, and in which --shape; one that thinks first, or has no chat template, begins with something else")
}

// beginnings lists the commonest.
func (o *outcomes) beginnings() string {
	all := slices.SortedFunc(maps.Keys(o.begins), func(x, y string) int {
		return cmp.Or(cmp.Compare(o.begins[y], o.begins[x]), cmp.Compare(x, y))
	})
	var says []string
	for _, b := range all[:min(3, len(all))] {
		name := "nothing"
		if b != "" {
			name = strconv.Quote(clipped(b))
		}
		says = append(says, fmt.Sprintf("%s (%d)", name, o.begins[b]))
	}
	return strings.Join(says, ", ")
}

// clipped makes a text fit for a list.
func clipped(s string) string {
	if r := []rune(s); len(r) > 24 {
		return string(r[:24]) + "…"
	}
	return s
}
