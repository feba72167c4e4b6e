// Package report lays out what was measured for people: a document of verdicts,
// tables and plots, as Markdown, as HTML that needs no network, or as text for a
// terminal.
package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Document is a page. Texts are plain: what could be markup in one of the forms
// is escaped there.
type Document struct {
	Title    string
	Verdicts []Verdict // first on the page
	Blocks   []Block
}

// Level is how good a verdict is.
type Level string

// The levels.
const (
	Pass Level = "pass"
	Warn Level = "warn"
	Fail Level = "fail"
	Note Level = "note"
)

// Verdict is a sentence that a reader needs even if nothing else is read.
type Verdict struct {
	Level Level
	Text  string
}

// Block is a part of a document.
type Block interface{ block() }

// Heading begins a section.
type Heading string

// Text is a paragraph.
type Text string

// Table has a row of headings; cells that begin with a digit, a sign or a bracket
// are set to the right.
type Table struct {
	Head []string
	Rows [][]string
}

func (Heading) block() {}
func (Text) block()    {}
func (Table) block()   {}
func (Plot) block()    {}

// Markdown writes the document as Markdown; plots are drawn in text.
func (d *Document) Markdown(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# %s\n", markdown(d.Title))
	if len(d.Verdicts) > 0 {
		b.WriteString("\n")
	}
	for _, v := range d.Verdicts {
		fmt.Fprintf(b, "- **%s** %s\n", v.Level, markdown(v.Text))
	}
	for _, block := range d.Blocks {
		b.WriteString("\n")
		switch x := block.(type) {
		case Heading:
			fmt.Fprintf(b, "## %s\n", markdown(string(x)))
		case Text:
			fmt.Fprintf(b, "%s\n", markdown(string(x)))
		case Table:
			x.markdown(b)
		case Plot:
			fmt.Fprintf(b, "```text\n")
			x.text(b)
			fmt.Fprintf(b, "```\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var escapes = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "<", "&lt;", "[", "\\[", "]", "\\]", "|", "\\|", "#", "\\#", "\n", " ", "\r", " ",
)

// markdown escapes what could be markup.
func markdown(s string) string { return escapes.Replace(s) }

func (t Table) markdown(b *strings.Builder) {
	row := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(b, "| %s ", markdown(c))
		}
		b.WriteString("|\n")
	}
	row(t.Head)
	for i := range t.Head {
		if t.right(i) {
			b.WriteString("|---:")
		} else {
			b.WriteString("|---")
		}
	}
	b.WriteString("|\n")
	for _, r := range t.Rows {
		row(r)
	}
}

// right tells whether a column holds numbers.
func (t Table) right(column int) bool {
	numbers, others := 0, 0
	for _, r := range t.Rows {
		if column >= len(r) || r[column] == "" || r[column] == "–" {
			continue
		}
		if strings.ContainsRune("0123456789+-−[", []rune(r[column])[0]) {
			numbers++
		} else {
			others++
		}
	}
	return numbers > others
}

// Text writes the document for a terminal.
func (d *Document) Text(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s\n", line(d.Title))
	for _, v := range d.Verdicts {
		fmt.Fprintf(b, "  %-4s  %s\n", v.Level, line(v.Text))
	}
	for _, block := range d.Blocks {
		b.WriteString("\n")
		switch x := block.(type) {
		case Heading:
			fmt.Fprintf(b, "%s\n%s\n", line(string(x)), strings.Repeat("-", utf8.RuneCountInString(line(string(x)))))
		case Text:
			fmt.Fprintf(b, "%s\n", line(string(x)))
		case Table:
			x.text(b)
		case Plot:
			x.text(b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line puts a text on one line.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

// cell is line that keeps the blanks before the text.
func cell(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, " "))] + line(s)
}

func (t Table) text(b *strings.Builder) {
	rows := append([][]string{t.Head}, t.Rows...)
	width := make([]int, len(t.Head))
	for _, r := range rows {
		for i := range width {
			if i < len(r) {
				width[i] = max(width[i], utf8.RuneCountInString(cell(r[i])))
			}
		}
	}
	for _, r := range rows {
		var out strings.Builder
		for i := range width {
			text := ""
			if i < len(r) {
				text = cell(r[i])
			}
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(text))
			if t.right(i) {
				text = pad + text
			} else {
				text += pad
			}
			out.WriteString("  " + text)
		}
		b.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
}
