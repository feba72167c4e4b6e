package constitution

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Select gives the principles that ids name, each once, in the order of the
// request. Each element is one id, or tag:NAME for all principles with that
// tag, in the order of the file. No ids at all select everything. An unknown
// one is an error that says what is there.
func (c *Constitution) Select(ids []string) ([]Principle, error) {
	if len(ids) == 0 {
		return slices.Clone(c.Principles), nil
	}
	var out []Principle
	var errs []error
	taken := map[int]bool{}
	for _, want := range ids {
		want = strings.TrimSpace(want)
		tag, byTag := strings.CutPrefix(want, "tag:")
		found := false
		for i := range c.Principles {
			p := &c.Principles[i]
			if byTag && !slices.Contains(p.Tags, tag) || !byTag && p.ID != want {
				continue
			}
			found = true
			if !taken[i] {
				taken[i] = true
				out = append(out, *p)
			}
		}
		if !found {
			errs = append(errs, c.unknown(want, tag, byTag))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Constitution) unknown(want, tag string, byTag bool) error {
	var ids, tags []string
	for i := range c.Principles {
		ids = append(ids, c.Principles[i].ID)
		for _, t := range c.Principles[i].Tags {
			if !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	slices.Sort(tags)
	switch {
	case want == "":
		return errors.New("a principle's id is blank")
	case byTag && len(tags) == 0:
		return fmt.Errorf("no principle has the tag %q: none has any tag", clip(tag))
	case byTag:
		return fmt.Errorf("no principle has the tag %q%s; there are %s", clip(tag), DidYouMean(tag, tags), listed(tags))
	}
	hint := DidYouMean(want, ids)
	if hint == "" && slices.Contains(tags, want) {
		hint = fmt.Sprintf(": did you mean \"tag:%s\"?", want)
	}
	if hint == "" && strings.Contains(want, ",") {
		hint = ": name each one by itself"
	}
	return fmt.Errorf("no principle %q%s; there are %s", clip(want), hint, listed(ids))
}

// listed joins names, the first thirty of them.
func listed(names []string) string {
	const most = 30
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// DidYouMean suggests the names that a misspelt one may have meant.
func DidYouMean(word string, names []string) string {
	found := near(word, names)
	if len(found) == 0 {
		return ""
	}
	for i, f := range found {
		found[i] = fmt.Sprintf("%q", f)
	}
	return ": did you mean " + strings.Join(found, " or ") + "?"
}

// near gives up to three names that are within a third of the word's length in
// edits, the nearest first.
func near(word string, names []string) []string {
	if len(word) > 2*maxID {
		return nil
	}
	type hit struct {
		name string
		d    int
	}
	var hits []hit
	for _, n := range names {
		d := distance(strings.ToLower(word), strings.ToLower(n))
		if d <= max(1, len(word)/3) && d < len(n) {
			hits = append(hits, hit{n, d})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return a.d - b.d })
	var out []string
	for _, h := range hits[:min(3, len(hits))] {
		out = append(out, h.name)
	}
	return out
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, prev, cur := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		cur[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(y)]
}
