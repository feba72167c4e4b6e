package probe

import (
	"math/rand/v2"
	"strings"
	"unicode"
)

var formEdits = []Edit{
	{
		Name: "whitespace", Kind: Worthless, About: "a blank line after a share of the sentences", Strengths: []float64{0.5, 1},
		apply: func(t Text, strength float64, r *rand.Rand) string {
			all := sentences(t.Reply)
			for i, yes := range some(len(all), strength, r) {
				if lead, body, gap := split(all[i]); yes && i < len(all)-1 && !strings.Contains(gap, "\n\n") {
					all[i] = lead + body + "\n\n"
				}
			}
			return strings.Join(all, "")
		},
	},
	{
		Name: "casing", Kind: Worthless, About: "all in small letters; at 2 all in capitals", Strengths: []float64{1, 2}, Idempotent: true,
		apply: func(t Text, strength float64, _ *rand.Rand) string {
			// Letter by letter: a few have capitals that have other small letters.
			return strings.Map(func(c rune) rune {
				to := unicode.ToLower(c)
				if strength >= 2 {
					to = unicode.ToUpper(c)
				}
				if back := unicode.ToLower(unicode.ToUpper(c)); back != unicode.ToLower(c) {
					return c
				}
				return to
			}, t.Reply)
		},
	},
	{
		Name: "typos", Kind: Worthless, About: "two letters change places in a share of the words", Strengths: []float64{0.05, 0.15, 0.4},
		apply: typos,
	},
}

// typos leaves the first and the last letter of a word in place.
func typos(t Text, strength float64, r *rand.Rand) string {
	var long []word
	for _, w := range words(t.Reply) {
		if len([]rune(t.Reply[w.from:w.to])) >= 4 && strings.IndexFunc(t.Reply[w.from:w.to], unicode.IsDigit) < 0 {
			long = append(long, w)
		}
	}
	var at []word
	var with []string
	for i, yes := range some(len(long), strength, r) {
		c := []rune(t.Reply[long[i].from:long[i].to])
		k := 1 + r.IntN(len(c)-3)
		for range c { // letters that are the same change nothing
			if c[k] != c[k+1] {
				break
			}
			k = 1 + k%(len(c)-3)
		}
		if c[k], c[k+1] = c[k+1], c[k]; yes {
			at, with = append(at, long[i]), append(with, string(c))
		}
	}
	return replace(t.Reply, at, with)
}
