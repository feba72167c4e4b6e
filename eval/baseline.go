package eval

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cai/dataset"
)

// baselines are the null comparers, in the order in which they are listed: each
// gives a number to a reply's text and nothing else.
var baselines = [...]struct {
	name  string
	score func(text string) int
}{
	{"longer", utf8.RuneCountInString},
	{"shorter", func(text string) int { return -utf8.RuneCountInString(text) }},
	{"markdown", markdownMarks},
}

// Baselines names the null baselines.
func Baselines() []string {
	names := make([]string, len(baselines))
	for i, b := range baselines {
		names[i] = b.name
	}
	return names
}

// Baseline gives a comparer that looks at one surface feature of the replies:
//
//   - longer: the reply with more code points wins;
//   - shorter: the one with fewer;
//   - markdown: the one with more Markdown marks: headings, list items, bold
//     spans, code spans and fenced blocks.
//
// Equal numbers are a tie. The scores are those numbers, their difference ranks
// pairs and is no log-odds, so a baseline has neither log loss nor calibration.
func Baseline(name string) (Comparer, error) {
	for _, b := range baselines {
		if b.name == name {
			return baseline(b.score), nil
		}
	}
	return nil, fmt.Errorf("unknown baseline %q: known are %s", name, strings.Join(Baselines(), ", "))
}

type baseline func(text string) int

func (score baseline) Compare(_ context.Context, p *dataset.Pair) (Comparison, error) {
	a, b := float64(score(p.First.Text)), float64(score(p.Second.Text))
	return Comparison{Margin: a - b, First: a, Second: b, Scored: true, Ordinal: true}, nil
}

// markdownMarks counts headings, list items, bold spans, code spans and fenced
// blocks. It reads line by line: a span counts where it is closed on its own
// line, and nothing counts within a fenced block but the block.
func markdownMarks(text string) int {
	n, fence := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if fence != "" {
			// The block ends at a line of at least as many of the same mark.
			if strings.HasPrefix(line, fence) && strings.Trim(line, fence[:1]) == "" {
				fence = ""
			}
			continue
		}
		if f := fenceOf(line); f != "" {
			fence = f
			n++
			continue
		}
		for strings.HasPrefix(line, ">") { // a quotation may hold any of them
			line = strings.TrimSpace(line[1:])
		}
		if rest, ok := block(line); ok {
			n++
			line = rest
		}
		n += spans(line)
	}
	return n
}

// fenceOf gives the run of backticks or tildes that opens a fenced block.
func fenceOf(line string) string {
	for _, mark := range []string{"`", "~"} {
		rest := strings.TrimLeft(line, mark)
		run := len(line) - len(rest)
		// ```code``` on one line is a span, not a fence.
		if run >= 3 && (mark == "~" || !strings.Contains(rest, "`")) {
			return line[:run]
		}
	}
	return ""
}

// block tells whether the line is a heading or a list item, and what follows
// its mark.
func block(line string) (rest string, ok bool) {
	i := 0
	switch {
	case line == "":
		return line, false
	case line[0] == '#':
		for i < len(line) && line[i] == '#' {
			i++
		}
		if i > 6 {
			return line, false
		}
	case strings.IndexByte("-*+", line[0]) >= 0:
		i = 1
	case '0' <= line[0] && line[0] <= '9':
		for i < len(line) && '0' <= line[i] && line[i] <= '9' {
			i++
		}
		if i > 9 || i == len(line) || line[i] != '.' && line[i] != ')' {
			return line, false
		}
		i++
	default:
		return line, false
	}
	// The mark is one only before a space with text behind it: not in "-5",
	// "#tag", "3.14" or a rule of dashes.
	rest = strings.TrimLeft(line[i:], " \t")
	if rest == "" || len(rest) == len(line)-i || strings.Trim(line, "-* \t") == "" {
		return line, false
	}
	return rest, true
}

// spans counts the code spans and bold spans of a line.
func spans(line string) int {
	n := 0
	var dead []string // marks known to have no partner in the rest of the line
	for i := 0; i < len(line); {
		c := line[i]
		if c == '\\' {
			i += 2 // an escaped mark is text
			continue
		}
		if c != '`' && c != '*' && c != '_' {
			i++
			continue
		}
		run := len(line[i:]) - len(strings.TrimLeft(line[i:], line[i:i+1]))
		mark, rest := line[i:i+run], line[i+run:]
		i += run
		if c != '`' {
			// "** a" opens nothing; nor does the run inside snake__case.
			if run < 2 || rest == "" || unicode.IsSpace(rune(rest[0])) || c == '_' && wordBefore(line[:i-run]) {
				continue
			}
			mark = mark[:2]
		}
		if slices.Contains(dead, mark) {
			continue
		}
		end := closing(rest, mark)
		if end < 0 {
			dead = append(dead, mark)
			continue
		}
		n++
		i += end
	}
	return n
}

func wordBefore(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// closing gives the offset behind the mark that closes a span, -1 if there is
// none: a run of exactly as many backticks, or two stars or underscores behind
// something that isn't a space.
func closing(rest, mark string) int {
	for i := 0; i < len(rest); {
		if mark[0] != '`' && rest[i] == '\\' {
			i += 2
			continue
		}
		if rest[i] != mark[0] {
			i++
			continue
		}
		run := len(rest[i:]) - len(strings.TrimLeft(rest[i:], mark[:1]))
		if mark[0] == '`' && run == len(mark) ||
			mark[0] != '`' && run >= 2 && i > 0 && !unicode.IsSpace(rune(rest[i-1])) {
			return i + run
		}
		i += run
	}
	return -1
}
