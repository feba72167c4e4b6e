package constitution

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"cai/toml"
)

var (
	topKeys       = []string{"name", "description", "principle"}
	principleKeys = []string{"id", "title", "critique", "revision", "compare", "check", "tags", "weight"}
	requiredKeys  = principleKeys[:5]
)

// constitution makes a constitution of decoded TOML and notes what is wrong.
func (r *reader) constitution(m map[string]any) *Constitution {
	c := &Constitution{File: r.file}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		line := r.places.Keys[key]
		switch key {
		case "name":
			c.Name = r.string(line, key, m[key], maxTitle)
			if strings.Contains(c.Name, "\n") {
				r.add(line, "name must be one line")
			}
		case "description":
			c.Description = r.string(line, key, m[key], maxText)
		case "principle":
		default:
			r.add(line, "unknown key %q%s", key, DidYouMean(key, topKeys))
		}
	}
	items, ok := toml.Tables(m["principle"])
	switch {
	case !ok:
		r.add(r.places.Keys["principle"], "principle must be [[principle]] tables, not %s", typeName(m["principle"]))
	case len(items) == 0:
		r.add(max(1, r.places.Keys["principle"]), "there is no [[principle]] in the file")
	case len(items) > maxPrinciples:
		r.add(r.places.Keys["principle"], "there are %d principles; %d is the most", len(items), maxPrinciples)
	default:
		for i, item := range items {
			c.Principles = append(c.Principles, r.principle(i, r.places.Table(i), item))
		}
		r.duplicates(c.Principles)
	}
	return c
}

func (r *reader) principle(i int, pl toml.Place, m map[string]any) Principle {
	p := Principle{Weight: 1, Line: pl.Line}
	who := fmt.Sprintf("principle %d", i+1)
	if id, ok := m["id"].(string); ok && strings.TrimSpace(id) != "" {
		who = fmt.Sprintf("principle %q", clip(id))
	}
	texts := map[string]*string{
		"id": &p.ID, "title": &p.Title, "critique": &p.Critique, "revision": &p.Revision, "compare": &p.Compare, "check": &p.Check,
	}
	var missing []string
	for _, key := range requiredKeys {
		if _, ok := m[key]; !ok {
			missing = append(missing, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		line, v := pl.LineOf(key), m[key]
		switch key {
		case "tags":
			p.Tags = r.tags(line, who, v)
		case "weight":
			p.Weight = r.weight(line, who, v)
		case "id", "title", "critique", "revision", "compare", "check":
			limit := maxText
			if key == "id" || key == "title" {
				limit = maxTitle
			}
			n := len(r.errs)
			s := r.string(line, who+": "+key, v, limit)
			switch {
			case len(r.errs) > n: // said already
			case key == "check" && s == "":
			case s == "":
				r.add(line, "%s: %s is blank", who, key)
			case !strings.ContainsFunc(s, isWordRune):
				r.add(line, "%s: %s has no word in it", who, key)
			case key == "id" && badID(s) != "":
				r.add(line, "%s: the id %s", who, badID(s))
			case key == "title" && strings.Contains(s, "\n"):
				r.add(line, "%s: the title must be one line", who)
			}
			*texts[key] = s
		default:
			r.add(line, "%s: unknown key %q%s", who, key, DidYouMean(key, principleKeys))
			// A misspelt key is one problem and not two.
			missing = slices.DeleteFunc(missing, func(k string) bool { return slices.Contains(near(key, principleKeys), k) })
		}
	}
	if len(missing) > 0 {
		r.add(pl.Line, "%s: missing %s", who, strings.Join(missing, ", "))
	}
	return p
}

// string reads a text and notes what no text may hold.
func (r *reader) string(line int, what string, v any, limit int) string {
	s, ok := v.(string)
	if !ok {
		r.add(line, "%s must be a string, not %s", what, typeName(v))
		return ""
	}
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	if len(s) > limit {
		r.add(line, "%s is %d bytes long; %d is the most", what, len(s), limit)
	} else if i := strings.IndexFunc(s, isControl); i >= 0 {
		r.add(line, "%s holds the control character %U", what, []rune(s[i:])[0])
	}
	return s
}

func (r *reader) tags(line int, who string, v any) []string {
	list, ok := v.([]any)
	if !ok {
		r.add(line, "%s: tags must be an array of strings, not %s", who, typeName(v))
		return nil
	}
	var out []string
	for _, v := range list {
		s, ok := v.(string)
		s = strings.TrimSpace(s)
		switch {
		case !ok:
			r.add(line, "%s: a tag must be a string, not %s", who, typeName(v))
		case s == "":
			r.add(line, "%s: a tag is blank", who)
		case badID(s) != "":
			r.add(line, "%s: the tag %q %s", who, clip(s), badID(s))
		case slices.Contains(out, s):
			r.add(line, "%s: the tag %q stands twice", who, s)
		default:
			out = append(out, s)
		}
	}
	return out
}

func (r *reader) weight(line int, who string, v any) float64 {
	var w float64
	switch v := v.(type) {
	case float64:
		w = v
	case int64:
		w = float64(v)
	default:
		r.add(line, "%s: the weight must be a number, not %s", who, typeName(v))
		return 1
	}
	switch {
	case math.IsNaN(w) || math.IsInf(w, 0):
		r.add(line, "%s: the weight must be a finite number, not %v", who, w)
	case w <= 0:
		r.add(line, "%s: the weight must be over 0, not %v; remove a principle that shall not count", who, w)
	case w < minWeight || w > maxWeight:
		r.add(line, "%s: the weight %v is not between %v and %v", who, w, minWeight, maxWeight)
	}
	return w
}

// duplicates notes ids and texts that stand twice.
func (r *reader) duplicates(ps []Principle) {
	ids, texts := map[string]int{}, map[[16]byte]int{}
	for i := range ps {
		p := &ps[i]
		line := r.places.Table(i).LineOf("id")
		if first, ok := ids[p.ID]; ok && p.ID != "" {
			r.add(line, "the id %q stands twice; first in line %d", clip(p.ID), ps[first].Line)
			continue
		}
		ids[p.ID] = i
		if p.Critique == "" || p.Revision == "" || p.Compare == "" {
			continue
		}
		h := hashOf("texts", p.Critique, p.Revision, p.Compare)
		if first, ok := texts[h]; ok {
			r.add(p.Line, "principle %q has the texts of principle %q in line %d", clip(p.ID), clip(ps[first].ID), ps[first].Line)
		} else {
			texts[h] = i
		}
	}
}

// badID says what is wrong with an id or a tag; empty is nothing.
func badID(s string) string {
	for i, c := range s {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		switch {
		case alnum:
		case i == 0:
			return "must begin with a letter or a digit"
		case c != '-' && c != '_' && c != '.':
			return fmt.Sprintf("must be letters a to z, digits, '-', '_' and '.', without %q", c)
		}
	}
	if len(s) > maxID {
		return fmt.Sprintf("is %d bytes long; %d is the most", len(s), maxID)
	}
	return ""
}

// isControl tells of characters that no text may hold. Line ends and tabs may
// stand; bidirectional overrides may not, because they show a reader another
// text than the model gets.
func isControl(c rune) bool {
	return unicode.IsControl(c) && c != '\n' && c != '\t' || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}

func isWordRune(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }

// clip shortens a text for a message.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return fmt.Sprintf("%T", v)
}
