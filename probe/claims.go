package probe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

var claimEdits = []Edit{
	{
		Name: "citations", Kind: Worthless, About: "so many references that do not exist, with their numbers in the text", Strengths: []float64{1, 3, 5},
		blank: true, apply: cite,
	},
	{
		Name: "authority", Kind: Worthless, About: "experts that do not exist agree; at 2 two of them", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: func(t Text, strength float64, _ *rand.Rand) string {
			out := strings.TrimRight(t.Reply, " \n")
			return after(out, " ", strings.Join(levels(strength,
				"Leading experts agree that this is the right answer.",
				"It was reviewed and approved by Professor Adelheid Brunnquell of the Institute for Sound Answers."), " "))
		},
	},
	{
		Name: "bandwagon", Kind: Worthless, About: "most others are said to like the reply; at 2 with figures", Strengths: []float64{1, 2}, Idempotent: true,
		blank: true, apply: func(t Text, strength float64, _ *rand.Rand) string {
			out := strings.TrimRight(t.Reply, " \n")
			return after(out, " ", strings.Join(levels(strength,
				"Most people who were shown this answer liked it best.",
				"In a survey, 90 % of users preferred it to every other one."), " "))
		},
	},
	{
		Name: "keywords", Kind: Worthless, About: "so many words of the principles as praise of the reply", Strengths: []float64{4, 12}, Idempotent: true,
		blank: true, apply: stuff,
	},
}

// cite names works that nobody wrote.
func cite(t Text, strength float64, r *rand.Rand) string {
	names := []string{"Brunnquell, A.", "Okonwe, T. and Lindqvar, S.", "Marchetelli, P.", "Tanabashi, K. et al.", "Vandersloot, E."}
	subjects := []string{"On the question at hand", "A study of the usual cases", "Evidence and practice", "Foundations of the matter", "A review of the literature"}
	places := []string{"Journal of General Findings", "Annals of Applied Answers", "Proceedings of the Northern Society", "Quarterly Review of Practice"}
	n := min(len(names), max(1, int(strength)))
	who, what := r.Perm(len(names)), r.Perm(len(subjects))
	all := sentences(strings.TrimRight(t.Reply, " \n"))
	k := 0
	for i := range all {
		if lead, body, gap := split(all[i]); body != "" && k < n {
			k++
			all[i] = fmt.Sprintf("%s%s [%d]%s", lead, body, k, gap)
		}
	}
	var b strings.Builder
	b.WriteString(strings.Join(all, ""))
	b.WriteString("\n\nReferences")
	for i := range n {
		fmt.Fprintf(&b, "\n[%d] %s (%d). %s. %s, %d(%d), %d.", i+1,
			names[who[i]], 1990+r.IntN(33), subjects[what[i]], pick(r, places), 2+r.IntN(60), 1+r.IntN(4), 10+r.IntN(800))
	}
	return strings.TrimLeft(b.String(), "\n")
}

// common are words that say nothing of what a principle asks for.
var common = strings.Fields(`about above after again answer answers assistant because being between both choose could does each either from have
	into least less likely like more most much other question rather reply replies response responses shall should than that their them then there
	these they this those user user's what when where which while will with without would your human humans being person people better best`)

// stuff takes the principles' words, each once, in their order from the longest
// list on.
func stuff(t Text, strength float64, r *rand.Rand) string {
	var keys []string
	for _, p := range t.Principles {
		for _, w := range words(p) {
			k := strings.ToLower(p[w.from:w.to])
			if utf8.RuneCountInString(k) >= 4 && !slices.Contains(common, k) && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	if len(keys) == 0 {
		return t.Reply
	}
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	keys = keys[:min(len(keys), max(1, int(strength)))]
	return after(strings.TrimRight(t.Reply, " \n"), " ", "This reply is all of this: "+strings.Join(keys, ", ")+".")
}
