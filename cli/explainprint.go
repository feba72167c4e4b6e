package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"cai/rm"
)

// explanationPrinter prints explanations for people: no wider than the terminal,
// in colour only on one.
type explanationPrinter struct {
	w      io.Writer
	width  int
	top    int
	colour bool
}

// plainWidth is the width of lines that go to no terminal.
const plainWidth = 100

func (a *app) explanationPrinter(c *urfave.Context) *explanationPrinter {
	p := &explanationPrinter{w: a.Out, width: plainWidth, top: c.Int("top")}
	if f, ok := a.Out.(*os.File); ok && isTerminal(f) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			p.width = w
		}
		p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return p
}

// Colours of contributions, for and against.
const (
	faintGreen, strongGreen = "\x1b[32m", "\x1b[1;32m"
	faintRed, strongRed     = "\x1b[31m", "\x1b[1;31m"
	boldText, endColour     = "\x1b[1m", "\x1b[0m"
)

// Shares of the largest contribution from which on a word is tinted.
const faintShare, strongShare = 0.15, 0.5

func (p *explanationPrinter) paint(colour, s string) string {
	if !p.colour || colour == "" {
		return s
	}
	return colour + s + endColour
}

// tint gives the colour of a contribution beside the largest one.
func tint(c, largest float64) string {
	share := math.Abs(c) / largest
	switch {
	case !(share >= faintShare):
		return ""
	case share >= strongShare && c > 0:
		return strongGreen
	case share >= strongShare:
		return strongRed
	case c > 0:
		return faintGreen
	}
	return faintRed
}

// line gives a text on one line of at most n characters.
func line(s string, n int) string {
	r := []rune(oneLine(printable(s)))
	if len(r) > n {
		return string(r[:max(0, n-1)]) + "…"
	}
	return string(r)
}

// cut gives the first n characters of a line.
func cut(s string, n int) string {
	r := []rune(strings.TrimRight(printable(s), " "))
	if len(r) > n {
		return string(r[:max(0, n-1)]) + "…"
	}
	return string(r)
}

// row prints a line with a number in front, cut to the width. Texts among args
// are put on one line before.
func (p *explanationPrinter) row(value float64, format string, args ...any) {
	colour := faintGreen
	if value < 0 {
		colour = faintRed
	}
	fmt.Fprintf(p.w, "    %s  %s\n", p.paint(colour, fmt.Sprintf("%+7.3f", value)), cut(fmt.Sprintf(format, args...), p.width-13))
}

func (p *explanationPrinter) head(format string, args ...any) {
	fmt.Fprintf(p.w, "  %s\n", p.paint(boldText, line(fmt.Sprintf(format, args...), p.width-2)))
}

func (p *explanationPrinter) print(e *explained) {
	name := filepath.Base(e.source.File)
	if e.source.Line > 0 {
		name += " " + e.id
	}
	if e.sides == nil {
		s := e.Scores[0]
		fmt.Fprintf(p.w, "%s  score %+.3f ± %.3f\n", p.paint(boldText, printable(name)), s.Mean, s.Std)
	} else {
		prefers := e.sides[0]
		if e.Total < 0 {
			prefers = e.sides[1]
		}
		verdict := fmt.Sprintf("prefers %s, with probability %.2f", prefers, 1/(1+math.Exp(-math.Abs(e.Total))))
		if e.Total == 0 {
			verdict = "prefers neither"
		}
		fmt.Fprintf(p.w, "%s  %s %+.3f, %s %+.3f: margin %+.3f, %s\n", p.paint(boldText, printable(name)),
			e.sides[0], e.Scores[0].Mean, e.sides[1], e.Scores[1].Mean, e.Total, verdict)
	}
	p.groups(e)
	p.words(e)
	p.sentences(e)
	p.features(e)
	p.edit(e)
	p.neighbours(e)
	fmt.Fprintln(p.w)
}

func (p *explanationPrinter) groups(e *explained) {
	var parts []string
	for _, g := range e.Groups {
		parts = append(parts, fmt.Sprintf("%s %+.3f", g.Name, g.Contribution))
	}
	fmt.Fprintf(p.w, "  %s %s\n", p.paint(boldText, "by group:"), printable(strings.Join(parts, ", ")))
	if len(e.Kinds) > 0 {
		var parts []string
		for _, k := range e.Kinds {
			parts = append(parts, fmt.Sprintf("%+.2f", k))
		}
		fmt.Fprintf(p.w, "  %s %s standard deviations (cai explain --global --data FILE shows the kinds)\n", p.paint(boldText, "kind of prompt:"), strings.Join(parts, ", "))
	}
	if len(e.Members) < 2 {
		return
	}
	p.head("by member (share of the sum)")
	ms := slices.Clone(e.Members)
	slices.SortStableFunc(ms, func(x, y rm.MemberPart) int {
		return cmp.Compare(math.Abs(y.Contribution), math.Abs(x.Contribution))
	})
	for _, m := range ms[:min(len(ms), p.top)] {
		p.row(m.Contribution, "%s (%.2f)", m.Name, m.Share)
	}
}

// words shows the texts with each word tinted; without colour, the words that give
// most.
func (p *explanationPrinter) words(e *explained) {
	largest := 0.0
	for _, w := range e.Words {
		largest = max(largest, math.Abs(w.Contribution))
	}
	if largest == 0 {
		return
	}
	if !p.colour {
		var parts []string
		for _, w := range together(e.Words, p.top) {
			text := fmt.Sprintf("%s %+.3f", line(w.Text, 30), w.Contribution)
			if w.n > 1 {
				text = fmt.Sprintf("%s (%d×) %+.3f", line(w.Text, 30), w.n, w.Contribution)
			}
			if s := e.side(w.Reply); s != "" {
				text = s + ": " + text
			}
			parts = append(parts, text)
		}
		p.head("words")
		p.wrap(strings.Join(parts, ";  "))
		return
	}
	for i, text := range e.replies {
		title := "reply"
		if s := e.side(i); s != "" {
			title = s
		}
		p.head("%s", title)
		t := tinted{w: p.w, width: p.width}
		at := 0
		for _, w := range e.Words {
			if w.Reply == i {
				t.plain(text[at:w.Start])
				t.word(printable(text[w.Start:w.End]), func(s string) string { return p.paint(tint(w.Contribution, largest), s) })
				at = w.End
			}
		}
		t.plain(strings.TrimRight(text[at:], "\n\r\t "))
		t.newline()
	}
	if e.sides != nil {
		fmt.Fprintf(p.w, "    %s for %s, %s for %s\n", p.paint(faintGreen, "green speaks"), e.sides[0], p.paint(faintRed, "red"), e.sides[1])
	}
}

// tinted writes a text of coloured words in lines of a width, broken at white
// space.
type tinted struct {
	w          io.Writer
	width, col int
	held       strings.Builder // what has come since the last white space
	size       int             // of held, in characters
}

func (t *tinted) word(s string, paint func(string) string) {
	t.held.WriteString(paint(s))
	t.size += utf8.RuneCountInString(s)
}

func (t *tinted) plain(s string) {
	for _, r := range printable(s) {
		switch {
		case r == '\n':
			t.newline()
		case unicode.IsSpace(r):
			t.flush()
			if t.col > 0 {
				fmt.Fprint(t.w, " ")
				t.col++
			}
		default:
			t.held.WriteRune(r)
			t.size++
		}
	}
}

// flush writes what is held.
func (t *tinted) flush() {
	if t.size == 0 {
		return
	}
	if t.col > 0 && 4+t.col+t.size > t.width {
		fmt.Fprintln(t.w)
		t.col = 0
	}
	if t.col == 0 {
		fmt.Fprint(t.w, "    ")
	}
	fmt.Fprint(t.w, t.held.String())
	t.col += t.size
	t.held.Reset()
	t.size = 0
}

func (t *tinted) newline() {
	t.flush()
	fmt.Fprintln(t.w)
	t.col = 0
}

// sameWords are the occurrences of a word in a reply.
type sameWords struct {
	rm.Word
	n int
}

// together sums up the occurrences of each word and gives the n of the largest
// sums.
func together(ws []rm.Word, n int) []sameWords {
	type key struct {
		reply int
		text  string
	}
	at := map[key]int{}
	var out []sameWords
	for _, w := range ws {
		if w.Contribution == 0 {
			continue
		}
		k := key{w.Reply, strings.ToLower(w.Text)}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, sameWords{Word: rm.Word{Reply: w.Reply, Text: k.text}})
		}
		out[i].n++
		out[i].Contribution += w.Contribution
	}
	slices.SortStableFunc(out, func(x, y sameWords) int {
		return cmp.Compare(math.Abs(y.Contribution), math.Abs(x.Contribution))
	})
	return out[:min(len(out), n)]
}

// wrap prints a text in lines of the width.
func (p *explanationPrinter) wrap(s string) {
	col := 0
	for w := range strings.FieldsSeq(s) {
		switch n := len([]rune(w)); {
		case col == 0:
			fmt.Fprint(p.w, "    ", w)
			col = 4 + n
		case col+1+n > p.width:
			fmt.Fprint(p.w, "\n    ", w)
			col = 4 + n
		default:
			fmt.Fprint(p.w, " ", w)
			col += 1 + n
		}
	}
	fmt.Fprintln(p.w)
}

func (p *explanationPrinter) sentences(e *explained) {
	ss := slices.DeleteFunc(slices.Clone(e.Sentences), func(s rm.Sentence) bool { return s.Contribution == 0 })
	if len(ss) < 2 {
		return
	}
	slices.SortStableFunc(ss, func(x, y rm.Sentence) int {
		return cmp.Compare(math.Abs(y.Contribution), math.Abs(x.Contribution))
	})
	p.head("sentences, by their words (what no word gives: %+.3f)", e.Rest)
	for _, s := range ss[:min(len(ss), (p.top+1)/2)] {
		if side := e.side(s.Reply); side != "" {
			p.row(s.Contribution, "%s: %s", side, oneLine(s.Text))
		} else {
			p.row(s.Contribution, "%s", oneLine(s.Text))
		}
	}
}

// features are those of the largest contributions, with their values.
func (p *explanationPrinter) features(e *explained) {
	title := "features"
	if e.sides != nil {
		title += " (" + e.sides[0] + " | " + e.sides[1] + ")"
	}
	p.head("%s", title)
	for _, f := range e.Features[:min(len(e.Features), p.top)] {
		name, values := f.Name, ""
		if f.Group == rm.FeatureHash || f.Group == rm.FeatureChars {
			name = "“" + name + "”"
		}
		for i, v := range f.Values {
			if i > 0 {
				values += " | "
			}
			if f.Group == rm.FeatureHash || f.Group == rm.FeatureChars {
				values += fmt.Sprintf("%.0f×", v)
			} else {
				values += fmt.Sprintf("%.2f", v)
			}
		}
		p.row(f.Contribution, "%-12s %-32s %s", f.Group, name, values)
	}
}

func (p *explanationPrinter) edit(e *explained) {
	if e.edit == nil {
		return
	}
	d := e.edit
	if !d.Flips {
		p.head("smallest edit: no deletion of up to %d words from %s was found that turns the preference", d.UpTo, e.side(d.Reply))
		return
	}
	words := "words"
	if d.Words == 1 {
		words = "word"
	}
	p.head("smallest edit: it prefers %s (margin %+.3f) without %d %s of %s:", e.side(1-d.Reply), d.Margin, d.Words, words, e.side(d.Reply))
	var parts []string
	for _, r := range d.Removed {
		parts = append(parts, "“"+line(r, 200)+"”")
	}
	p.wrap(strings.Join(parts, ", "))
}

func (p *explanationPrinter) neighbours(e *explained) {
	if !e.background {
		return
	}
	show := func(ns []rm.Neighbour, of func(*rm.Neighbour) float64) {
		for i := range ns[:min(len(ns), (p.top+1)/2)] {
			n := &ns[i]
			chosen, rejected, prob := better(n.Pair)
			label := ""
			if prob < 1 {
				label = fmt.Sprintf(" (p %.2f)", prob)
			}
			p.row(of(n), "%s%s: %s", filepath.Base(sourceName(n.Pair.Source)), label, oneLine(lastTurn(n.Pair.Prompt)))
			fmt.Fprintf(p.w, "             chosen:   %s\n             rejected: %s\n", line(chosen, p.width-23), line(rejected, p.width-23))
		}
	}
	p.head("nearest training pairs (cosine; below 0 the label speaks against %s)", e.against())
	show(e.nearest, func(n *rm.Neighbour) float64 { return n.Cosine })
	if len(e.influential) > 0 {
		p.head("most influential training pairs (change of the %s without the pair)", e.what())
		show(e.influential, func(n *rm.Neighbour) float64 { return n.Removal })
	}
}

func (e *explained) against() string {
	if e.sides == nil {
		return "the reply"
	}
	return e.sides[0]
}

func (e *explained) what() string {
	if e.sides == nil {
		return "score"
	}
	return "margin"
}

// overview prints what the heads look at.
func (p *explanationPrinter) overview(views []rm.HeadView, kinds []rm.Kind, named bool) {
	for _, v := range views {
		fmt.Fprintf(p.w, "%s  share %.2f\n", p.paint(boldText, printable(v.Name)), v.Share)
		if v.Note != "" {
			fmt.Fprintf(p.w, "  %s\n", v.Note)
			continue
		}
		for i, list := range [][]rm.FeatureView{v.Positive, v.Negative} {
			p.head("%s (weight × spread of the difference between two replies)", []string{"raises the score", "lowers the score"}[i])
			for _, f := range list {
				name := f.Name
				if len(f.Names) > 1 {
					name += " (also “" + strings.Join(f.Names[1:], "”, “") + "”)"
				}
				p.row(f.Effect, "%-12s %-40s %s", f.Group, name, oneLine(f.Example))
			}
		}
	}
	for _, k := range kinds {
		p.head("%s, in standard deviations: how replies to such prompts tend to look", k.Name)
		for i, list := range [][]string{k.High, k.Low} {
			for _, text := range list {
				fmt.Fprintf(p.w, "    %s  %s\n", []string{"high", "low "}[i], line(text, p.width-10))
			}
		}
	}
	if !named {
		fmt.Fprintf(p.w, "n-grams are shown by their buckets: a model does not hold words; --data FILE names them\n")
	}
}
