package constitution

import (
	"slices"
	"strings"
)

// The kinds of a [Change].
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
	Renamed = "renamed" // the same texts under a new id
)

// Whole stands as the ID of a change to the constitution's own name or
// description; no principle can have it.
const Whole = "(constitution)"

// Change is one difference between two constitutions.
type Change struct {
	Kind   string  `json:"kind"` // added, removed, changed or renamed
	ID     string  `json:"id"`   // the new one where it was renamed
	Fields []Field `json:"fields"`
	// Again tells that the texts a model sees are new, so that labelling asks
	// the principle again.
	Again bool `json:"asked_again"`
}

// Field is the old and the new text of one field; an added principle has no
// old ones, a removed one no new ones.
type Field struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// Diff gives what changed from a to b. Principles are matched by id, and where
// an id is gone and a new one has the same texts that is a rename. The order
// of principles and of tags is no difference. What stands in b comes first, in
// its order, then what was removed.
func Diff(a, b *Constitution) []Change {
	var out []Change
	if f := fields([]Field{{"name", a.Name, b.Name}, {"description", a.Description, b.Description}}); len(f) > 0 {
		out = append(out, Change{Kind: Changed, ID: Whole, Fields: f})
	}
	old := make(map[string]*Principle, len(a.Principles))
	for i := range a.Principles {
		old[a.Principles[i].ID] = &a.Principles[i]
	}
	stays := map[string]bool{}
	for i := range b.Principles {
		if id := b.Principles[i].ID; old[id] != nil {
			stays[id] = true
		}
	}
	gone := map[[16]byte]*Principle{} // by text, the first of each
	for i := range a.Principles {
		p := &a.Principles[i]
		if h := p.Hash(); !stays[p.ID] && gone[h] == nil {
			gone[h] = p
		}
	}
	for i := range b.Principles {
		p := &b.Principles[i]
		h := p.Hash()
		if q := old[p.ID]; q != nil {
			if f := fields(compared(q, p)); len(f) > 0 {
				out = append(out, Change{Kind: Changed, ID: p.ID, Fields: f, Again: q.Hash() != h})
			}
			continue
		}
		if q := gone[h]; q != nil {
			delete(gone, h)
			stays[q.ID] = true
			f := append([]Field{{"id", q.ID, p.ID}}, fields(compared(q, p))...)
			out = append(out, Change{Kind: Renamed, ID: p.ID, Fields: f})
			continue
		}
		out = append(out, Change{Kind: Added, ID: p.ID, Fields: fields(compared(&Principle{}, p)), Again: true})
	}
	for i := range a.Principles {
		if p := &a.Principles[i]; !stays[p.ID] {
			out = append(out, Change{Kind: Removed, ID: p.ID, Fields: fields(compared(p, &Principle{}))})
		}
	}
	return out
}

// compared lists all fields of two principles.
func compared(p, q *Principle) []Field {
	tags := func(p *Principle) string { return strings.Join(slices.Sorted(slices.Values(p.Tags)), " ") }
	weight := func(p *Principle) string {
		if p.Weight == 0 { // there is no such principle
			return ""
		}
		return formatWeight(p.Weight)
	}
	return []Field{
		{"title", p.Title, q.Title},
		{"critique", p.Critique, q.Critique},
		{"revision", p.Revision, q.Revision},
		{"compare", p.Compare, q.Compare},
		{"check", p.Check, q.Check},
		{"tags", tags(p), tags(q)},
		{"weight", weight(p), weight(q)},
	}
}

// fields keeps those that differ.
func fields(all []Field) []Field {
	return slices.DeleteFunc(all, func(f Field) bool { return f.Old == f.New })
}
