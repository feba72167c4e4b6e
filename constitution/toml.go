package constitution

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// TOML writes the constitution as a file that people can edit and [Parse]
// reads: what Parse gave comes back equal, but for File and Line.
func (c *Constitution) TOML() []byte {
	var b strings.Builder
	if c.Name != "" {
		writeString(&b, "name", c.Name)
	}
	if c.Description != "" {
		writeString(&b, "description", c.Description)
	}
	for i := range c.Principles {
		p := &c.Principles[i]
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		b.WriteString("[[principle]]\n")
		writeString(&b, "id", p.ID)
		writeString(&b, "title", p.Title)
		writeString(&b, "critique", p.Critique)
		writeString(&b, "revision", p.Revision)
		writeString(&b, "compare", p.Compare)
		if p.Check != "" {
			writeString(&b, "check", p.Check)
		}
		if len(p.Tags) > 0 {
			quoted := make([]string, len(p.Tags))
			for j, t := range p.Tags {
				quoted[j] = `"` + escape(t, false) + `"`
			}
			fmt.Fprintf(&b, "tags = [%s]\n", strings.Join(quoted, ", "))
		}
		fmt.Fprintf(&b, "weight = %s\n", formatWeight(p.Weight))
	}
	return []byte(b.String())
}

func formatWeight(w float64) string {
	s := strconv.FormatFloat(w, 'g', -1, 64)
	if math.IsInf(w, 0) || math.IsNaN(w) || strings.ContainsAny(s, ".e") {
		return strings.ToLower(s)
	}
	return s + ".0"
}

// lineWidth is where long texts are wrapped.
const lineWidth = 100

// writeString writes a key and a text: on one line where it fits, else as a
// multi-line string that is wrapped by backslashes, which TOML takes away
// together with the line end.
func writeString(b *strings.Builder, key, s string) {
	one := key + ` = "` + escape(s, false) + `"`
	if !strings.Contains(s, "\n") && len([]rune(one)) <= lineWidth {
		b.WriteString(one + "\n")
		return
	}
	b.WriteString(key + " = \"\"\"\\\n")
	for i, line := range strings.Split(escape(s, true), "\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		wrap(b, line)
	}
	b.WriteString("\"\"\"\n")
}

// wrap breaks an escaped line after single blanks between words.
func wrap(b *strings.Builder, line string) {
	width := 0
	for i := 0; i < len(line); {
		end := i
		for end < len(line) && !breakable(line, end) {
			end++
		}
		if end < len(line) {
			end++ // the blank stays on this line
		}
		word := line[i:end]
		n := len([]rune(word))
		if width > 0 && width+n > lineWidth-2 {
			b.WriteString("\\\n")
			width = 0
		}
		b.WriteString(word)
		width += n
		i = end
	}
}

// breakable tells whether the line may end after the byte at i: a blank between
// two bytes that are none.
func breakable(s string, i int) bool {
	return s[i] == ' ' && i > 0 && s[i-1] != ' ' && i+1 < len(s) && s[i+1] != ' '
}

// escape writes a text as the inside of a basic string.
func escape(s string, multi bool) string {
	var b strings.Builder
	quotes := 0
	rs := []rune(s)
	for i, c := range rs {
		if c != '"' {
			quotes = 0
		}
		switch {
		case c == '\\':
			b.WriteString(`\\`)
		case c == '"' && multi && quotes < 2 && i < len(rs)-1:
			quotes++
			b.WriteByte('"')
		case c == '"':
			quotes = 0
			b.WriteString(`\"`)
		case c == '\n' && multi:
			b.WriteByte('\n')
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case isControl(c) && c > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, c)
		case isControl(c):
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
