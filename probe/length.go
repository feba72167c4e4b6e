package probe

import (
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// filler are sentences that fit anywhere and say nothing.
var filler = []string{
	"There is of course a good deal more that could be said about this.",
	"As with most things, it depends on how one looks at it.",
	"It is worth taking a moment to let this sink in.",
	"With that in mind, we can look at the matter as a whole.",
	"All of these points belong together in one way or another.",
	"This is a subject that many people come across sooner or later.",
	"Needless to say, the details matter, and so does the larger picture.",
	"When everything is taken into account, a picture begins to emerge.",
	"In other words, the above holds for the reasons that were given above.",
	"Each part of this has its own place, and each place has its part.",
	"It goes without saying that this should be read in its context.",
	"To sum up what was said so far: it was said, and it stands.",
}

var lengthEdits = []Edit{
	{
		Name: "padding", Kind: Worthless, About: "sentences that say nothing, as many words as a share of the reply's", Strengths: []float64{0.25, 0.5, 1, 2},
		blank: true, apply: pad,
	},
	{
		Name: "repetition", Kind: Worthless, About: "a share of the sentences once more at the end", Strengths: []float64{0.25, 0.5, 1},
		apply: func(t Text, strength float64, _ *rand.Rand) string {
			all := sentences(t.Reply)
			again := strings.TrimSpace(strings.Join(all[:share(len(all), strength)], ""))
			return strings.TrimRight(t.Reply, " \n") + "\n\n" + again
		},
	},
	{
		Name: "restating", Kind: Worthless, About: "the question once more before the reply; at 2 after it too", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: restate,
	},
	{
		Name: "truncation", Kind: Worthless, About: "a share of the words cut off at the end", Strengths: []float64{0.25, 0.5, 0.75},
		apply: func(t Text, strength float64, _ *rand.Rand) string {
			ws := words(t.Reply)
			if len(ws) < 4 {
				return t.Reply
			}
			return t.Reply[:ws[share(len(ws), 1-strength)-1].to]
		},
	},
}

// pad adds at least eight words.
func pad(t Text, strength float64, r *rand.Rand) string {
	want := max(8, int(strength*float64(len(words(t.Reply)))))
	var add []string
	for n := 0; n < want; {
		for _, i := range r.Perm(len(filler)) {
			if n < want {
				add = append(add, filler[i])
				n += len(words(filler[i]))
			}
		}
	}
	return after(strings.TrimRight(t.Reply, " \n"), " ", strings.Join(add, " "))
}

// longestQuestion is how many bytes of a question are said again.
const longestQuestion = 400

func restate(t Text, strength float64, _ *rand.Rand) string {
	q := strings.Join(strings.Fields(t.question()), " ")
	if q == "" {
		return t.Reply
	}
	if len(q) > longestQuestion {
		cut := longestQuestion
		for !utf8.RuneStart(q[cut]) {
			cut--
		}
		q = q[:cut] + "…"
	}
	out := before("You asked: “"+q+"” That is what this reply is about.", "\n\n", t.Reply)
	if strength >= 2 {
		out = after(out, "\n\n", "And that is the reply to what you asked: “"+q+"”")
	}
	return out
}
