package rubric

import (
	"fmt"
	"strconv"
	"strings"
)

// TOML writes the rubric as a file that people can edit and [Parse] reads: what
// Parse gave comes back equal, but for File and Line.
func (r *Rubric) TOML() []byte {
	var b strings.Builder
	text := func(key, s string) {
		if s != "" {
			b.WriteString(key + " = " + quoted(s) + "\n")
		}
	}
	text("name", r.Name)
	text("description", r.Description)
	for i := range r.Criteria {
		c := &r.Criteria[i]
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		b.WriteString("[[criteria]]\n")
		text("id", c.ID)
		text("title", c.Title)
		text("text", c.Text)
		if len(c.Levels) > 0 {
			b.WriteString("levels = [\n")
			for _, l := range c.Levels {
				b.WriteString("  " + quoted(l) + ",\n")
			}
			b.WriteString("]\n")
		}
		fmt.Fprintf(&b, "weight = %s\n", number(c.Weight))
		if c.Veto {
			fmt.Fprintf(&b, "veto = true\nthreshold = %s\n", number(c.Threshold))
		}
		text("applies_when", c.AppliesWhen)
		if c.Reference {
			b.WriteString("reference = true\n")
		}
	}
	return []byte(b.String())
}

// number writes a TOML float.
func number(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if strings.ContainsAny(s, ".e") {
		return s
	}
	return s + ".0"
}

// quoted writes a text as a basic string of TOML.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case isControl(c):
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
