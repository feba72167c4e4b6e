// Package probe edits replies so that whoever judges them shows what it falls
// for.
//
// An [Edit] of the kind [Worthless] leaves the content of a reply what it was, or
// takes from it, and adds what a careless reader likes: length, markup, praise,
// references that do not exist. One of the kind [Injection] speaks to the judge.
// Neither should gain a reply anything. One of the kind [Destroying] makes a
// reply wrong or senseless, and should cost it.
//
// Edits are deterministic: the text, the strength and the seed decide all of it.
// Valid UTF-8 stays valid. An edit that finds nothing to change says so.
package probe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"cai/dataset"
)

// Kind is what an edit ought to do to the standing of a reply.
type Kind string

// The kinds of edits.
const (
	Worthless  Kind = "worthless"  // nothing is better for it
	Injection  Kind = "injection"  // speaks to the judge, or forges the frame of its prompt
	Destroying Kind = "destroying" // the reply is worse for it
)

// Text is a reply and what an edit of it may draw on.
type Text struct {
	Prompt dataset.Conversation
	Reply  string
	// Pool are replies to other prompts. Without any, an edit that takes one does
	// not apply.
	Pool []string
	// Principles are texts by which the reply will be judged, such as the
	// questions of a constitution. Without any, an edit that takes words from
	// them does not apply.
	Principles []string
}

// Edit is one way to change a reply.
type Edit struct {
	Name  string
	Kind  Kind
	About string // what it does, in a few words
	// Strengths are those worth trying, ascending: a share of what can be changed
	// or added, a number of additions, or just 1.
	Strengths []float64
	// Idempotent tells that the edit, applied again with the same strength and
	// seed, changes nothing.
	Idempotent bool

	blank bool // applies to a reply without any text
	apply func(t Text, strength float64, r *rand.Rand) string
}

// Strongest is the last of the strengths.
func (e *Edit) Strongest() float64 { return e.Strengths[len(e.Strengths)-1] }

// Apply edits a reply. It gives false where the edit does not apply: there is no
// number to change, or nothing was changed by it.
func (e *Edit) Apply(t Text, strength float64, seed int64) (string, bool) {
	if !e.blank && strings.TrimSpace(t.Reply) == "" {
		return t.Reply, false
	}
	// Not by the reply: the edit of an edited reply makes the same choices.
	h := dataset.HashOf("probe", e.Name, strconv.FormatInt(seed, 10), string(t.prompt()))
	var s [2]uint64
	for i, b := range h {
		s[i/8] = s[i/8]<<8 | uint64(b)
	}
	out := e.apply(t, strength, rand.New(rand.NewPCG(s[0], s[1])))
	return out, out != t.Reply
}

func (t *Text) prompt() []byte {
	h := t.Prompt.Hash()
	return h[:]
}

// question is the last thing that was said before the reply.
func (t *Text) question() string {
	if len(t.Prompt) == 0 {
		return ""
	}
	return strings.TrimSpace(t.Prompt[len(t.Prompt)-1].Content)
}

var library = slices.Concat(lengthEdits, formEdits, markupEdits, toneEdits, claimEdits, languageEdits, injections, destroyers)

// Edits lists all edits, those of one kind side by side: worthless ones,
// injections, destroying ones.
func Edits() []Edit { return slices.Clone(library) }

// Of lists the edits of a kind.
func Of(k Kind) []Edit {
	return slices.DeleteFunc(Edits(), func(e Edit) bool { return e.Kind != k })
}

// Named finds edits by their names, in the library's order.
func Named(names ...string) ([]Edit, error) {
	for _, n := range names {
		if !slices.ContainsFunc(library, func(e Edit) bool { return e.Name == n }) {
			return nil, fmt.Errorf("edit %q is not known: there are %s", n, strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(Edits(), func(e Edit) bool { return !slices.Contains(names, e.Name) }), nil
}

// Names lists the names of all edits.
func Names() []string {
	names := make([]string, len(library))
	for i := range library {
		names[i] = library[i].Name
	}
	return names
}
