package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// wordDiff writes how b differs from a, word by word: [-gone-] and {+new+} as
// git's word diff has them, or in colours.
func wordDiff(w io.Writer, a, b string, colour bool) {
	gone, added, end := [2]string{"[-", "-]"}, [2]string{"{+", "+}"}, ""
	if colour {
		gone, added, end = [2]string{"\x1b[31m", ""}, [2]string{"\x1b[32m", ""}, "\x1b[0m"
	}
	for _, d := range diffWords(a, b) {
		text := printable(d.Text)
		switch d.Type {
		case diffmatchpatch.DiffDelete:
			fmt.Fprint(w, gone[0], text, gone[1], end)
		case diffmatchpatch.DiffInsert:
			fmt.Fprint(w, added[0], text, added[1], end)
		default:
			fmt.Fprint(w, text)
		}
	}
}

// diffWords compares words instead of characters: each different word or run
// of blanks stands for one character of the library's diff.
func diffWords(a, b string) []diffmatchpatch.Diff {
	ids := map[string]rune{}
	var words []string
	encode := func(s string) []rune {
		var out []rune
		for _, w := range splitWords(s) {
			id, ok := ids[w]
			if !ok {
				id = rune(len(words))
				words = append(words, w)
				ids[w] = id
			}
			out = append(out, id)
		}
		return out
	}
	ra, rb := encode(a), encode(b)
	if len(words) >= 0xd800 { // past here runes are not free to stand for words
		return []diffmatchpatch.Diff{{Type: diffmatchpatch.DiffDelete, Text: a}, {Type: diffmatchpatch.DiffInsert, Text: b}}
	}
	dmp := diffmatchpatch.New()
	diffs := dmp.DiffMainRunes(ra, rb, false)
	for i := range diffs {
		var t strings.Builder
		for _, r := range diffs[i].Text {
			t.WriteString(words[r])
		}
		diffs[i].Text = t.String()
	}
	return joined(diffs)
}

// joined makes one change of changes with nothing but blanks between them, so
// that a rewritten sentence reads as one that went and one that came.
func joined(diffs []diffmatchpatch.Diff) []diffmatchpatch.Diff {
	var out []diffmatchpatch.Diff
	var gone, added strings.Builder
	flush := func() {
		for _, d := range []diffmatchpatch.Diff{
			{Type: diffmatchpatch.DiffDelete, Text: gone.String()},
			{Type: diffmatchpatch.DiffInsert, Text: added.String()},
		} {
			if d.Text != "" {
				out = append(out, d)
			}
		}
		gone.Reset()
		added.Reset()
	}
	for i, d := range diffs {
		switch {
		case d.Type == diffmatchpatch.DiffDelete:
			gone.WriteString(d.Text)
		case d.Type == diffmatchpatch.DiffInsert:
			added.WriteString(d.Text)
		case gone.Len() > 0 && added.Len() > 0 && i+1 < len(diffs) && strings.TrimSpace(d.Text) == "":
			gone.WriteString(d.Text)
			added.WriteString(d.Text)
		default:
			flush()
			out = append(out, d)
		}
	}
	flush()
	return out
}

// splitWords cuts a text into words and the blanks between them.
func splitWords(s string) []string {
	var out []string
	start, blank := 0, false
	for i, r := range s {
		if b := unicode.IsSpace(r); i > start && b != blank {
			out = append(out, s[start:i])
			start = i
		}
		blank = unicode.IsSpace(r)
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}
