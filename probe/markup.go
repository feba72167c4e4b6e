package probe

import (
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

var markupEdits = []Edit{
	{
		Name: "markdown", Kind: Worthless, About: "a heading, a list of the sentences, bold words and a rule, the words kept", Strengths: []float64{1}, Idempotent: true,
		apply: func(t Text, _ float64, r *rand.Rand) string {
			const top, rule = "## Answer\n\n", "\n\n---"
			if strings.HasPrefix(t.Reply, top) {
				return t.Reply
			}
			t.Reply = bold(t, 0.15, r)
			return top + strings.TrimRight(list(t, 1, r), " \n") + rule
		},
	},
	{
		Name: "lists", Kind: Worthless, About: "a share of the sentences as items of a list", Strengths: []float64{0.5, 1}, Idempotent: true,
		apply: list,
	},
	{
		Name: "headings", Kind: Worthless, About: "headings that say nothing: one at the top, or before so many parts", Strengths: []float64{1, 3}, Idempotent: true,
		apply: head,
	},
	{
		Name: "bold", Kind: Worthless, About: "a share of the longer words in bold", Strengths: []float64{0.1, 0.3}, Idempotent: true,
		apply: bold,
	},
	{
		Name: "emoji", Kind: Worthless, About: "an emoji after a share of the sentences", Strengths: []float64{0.3, 1},
		apply: func(t Text, strength float64, r *rand.Rand) string {
			faces := []string{"😊", "👍", "✨", "🚀", "💡", "✅", "🎉", "🌟"}
			all := sentences(t.Reply)
			for i, yes := range some(len(all), strength, r) {
				if lead, body, gap := split(all[i]); yes && body != "" {
					all[i] = lead + body + " " + pick(r, faces) + gap
				}
			}
			return strings.Join(all, "")
		},
	},
}

// list makes items of the last sentences of a reply. One that has items is left
// alone.
func list(t Text, strength float64, _ *rand.Rand) string {
	all := sentences(t.Reply)
	for _, s := range all {
		if strings.HasPrefix(strings.TrimSpace(s), "- ") {
			return t.Reply
		}
	}
	var b strings.Builder
	first := len(all) - share(len(all), strength)
	for i, s := range all {
		_, body, _ := split(s)
		switch {
		case i < first:
			b.WriteString(s)
		case body == "":
		default:
			if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
				b.WriteString("\n")
			}
			b.WriteString("- " + body)
		}
	}
	return b.String()
}

var titles = []string{"## Overview", "## Details", "## Further points", "## More", "## Closing"}

func head(t Text, strength float64, _ *rand.Rand) string {
	if strings.HasPrefix(t.Reply, titles[0]) {
		return t.Reply
	}
	all := sentences(t.Reply)
	parts := min(len(all), max(1, int(strength)), len(titles))
	var b strings.Builder
	for p := range parts {
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		text := strings.Join(all[p*len(all)/parts:(p+1)*len(all)/parts], "")
		b.WriteString(titles[p] + "\n\n" + strings.TrimSpace(text))
	}
	return b.String()
}

// bold takes every so many words of four letters or more, those that are bold
// counted, so that a second time changes nothing.
func bold(t Text, strength float64, _ *rand.Rand) string {
	step := max(1, int(1/strength))
	n := 0
	var at []word
	var with []string
	for _, w := range words(t.Reply) {
		text := t.Reply[w.from:w.to]
		if utf8.RuneCountInString(text) < 4 {
			continue
		}
		if n%step == 0 && !strings.HasSuffix(t.Reply[:w.from], "**") {
			at, with = append(at, w), append(with, "**"+text+"**")
		}
		n++
	}
	return replace(t.Reply, at, with)
}
