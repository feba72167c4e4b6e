package probe

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var destroyers = []Edit{
	{
		Name: "shuffled", Kind: Destroying, About: "the sentences in another order; at 2 the words of each too", Strengths: []float64{1, 2},
		apply: shuffle,
	},
	{
		Name: "swapped-names", Kind: Destroying, About: "names within sentences change places", Strengths: []float64{1},
		apply: func(t Text, _ float64, _ *rand.Rand) string { return rotate(t.Reply, names(t.Reply)) },
	},
	{
		Name: "swapped-numbers", Kind: Destroying, About: "numbers change places", Strengths: []float64{1},
		apply: func(t Text, _ float64, _ *rand.Rand) string { return rotate(t.Reply, numbers(t.Reply)) },
	},
	{
		Name: "wrong-numbers", Kind: Destroying, About: "a share of the numbers replaced by other ones", Strengths: []float64{0.5, 1},
		apply: func(t Text, strength float64, r *rand.Rand) string {
			at := numbers(t.Reply)
			with := make([]string, len(at))
			for i, yes := range some(len(at), strength, r) {
				with[i] = t.Reply[at[i].from:at[i].to]
				if yes {
					with[i] = wrong(with[i], r)
				}
			}
			return replace(t.Reply, at, with)
		},
	},
	{
		Name: "negation", Kind: Destroying, About: "a share of the English statements turned round", Strengths: []float64{0.3, 1},
		apply: negate,
	},
	{
		Name: "off-topic", Kind: Destroying, About: "a text about something else in place of the reply", Strengths: []float64{1}, Idempotent: true,
		blank: true, apply: func(_ Text, _ float64, r *rand.Rand) string { return pick(r, elsewhere) },
	},
	{
		Name: "other-reply", Kind: Destroying, About: "the reply to another prompt in its place", Strengths: []float64{1}, Idempotent: true,
		blank: true, apply: func(t Text, _ float64, r *rand.Rand) string {
			if len(t.Pool) == 0 {
				return t.Reply
			}
			return pick(r, t.Pool)
		},
	},
}

var elsewhere = []string{
	"The old ferry leaves the harbour at seven, calls at two islands and is back before dusk. Bring a coat; there is always wind on the upper deck.",
	"Tomatoes want a sunny wall and deep watering twice a week. Pinch out the side shoots, and tie the stem to a stake before it bends.",
	"A bassoon has four joints and some two dozen keys. Players make their own reeds from cane, and most of them complain about it.",
	"The night train was late again. In the dining car they sold lukewarm tea and yesterday's rolls, and nobody seemed to mind.",
}

func shuffle(t Text, strength float64, r *rand.Rand) string {
	all := sentences(t.Reply)
	bodies, gaps := make([]string, len(all)), make([]string, len(all))
	for i, s := range all {
		lead, body, gap := split(s)
		bodies[i], gaps[i] = lead+body, gap
		if strength >= 2 {
			ws := strings.Fields(body)
			r.Shuffle(len(ws), func(i, j int) { ws[i], ws[j] = ws[j], ws[i] })
			bodies[i] = lead + strings.Join(ws, " ")
		}
	}
	was := slices.Clone(bodies)
	for range 8 { // a draw may be the order that it was
		r.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
		if !slices.Equal(bodies, was) {
			break
		}
	}
	var b strings.Builder
	for i := range bodies {
		b.WriteString(bodies[i])
		if i < len(bodies)-1 && gaps[i] == "" {
			gaps[i] = " "
		}
		b.WriteString(gaps[i])
	}
	return b.String()
}

// names finds words with a capital that do not begin a sentence.
func names(s string) []word {
	var out []word
	at := 0
	for _, sentence := range sentences(s) {
		for i, w := range words(sentence) {
			c, _ := utf8.DecodeRuneInString(sentence[w.from:])
			if i > 0 && unicode.IsUpper(c) && w.to-w.from > 1 && !slices.Contains(never, sentence[w.from:w.to]) {
				out = append(out, word{at + w.from, at + w.to})
			}
		}
		at += len(sentence)
	}
	return out
}

// never are words that have a capital and are no names.
var never = []string{"I'm", "I'll", "I've", "I'd", "I’m", "I’ll", "I’ve", "I’d"}

// numbers finds stretches of the digits 0 to 9.
func numbers(s string) []word {
	var out []word
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		out = append(out, word{from, i})
	}
	return out
}

// rotate puts in the place of each stretch the next one that is another text.
func rotate(s string, at []word) string {
	var distinct []string
	for _, w := range at {
		if text := s[w.from:w.to]; !slices.Contains(distinct, text) {
			distinct = append(distinct, text)
		}
	}
	with := make([]string, len(at))
	for i, w := range at {
		with[i] = distinct[(slices.Index(distinct, s[w.from:w.to])+1)%len(distinct)]
	}
	return replace(s, at, with)
}

// wrong gives another number of about the same size.
func wrong(s string, r *rand.Rand) string {
	n, err := strconv.ParseInt(s, 10, 62)
	if err != nil {
		return string('1'+(s[0]-'0')%9) + s[1:] // too long for arithmetic: another first digit
	}
	off := max(1, n/4)
	return strconv.FormatInt(n+off+r.Int64N(off+3), 10)
}

// turned are verbs and what says the opposite of them.
var turned = map[string]string{
	"is": "is not", "are": "are not", "was": "was not", "were": "were not", "can": "cannot", "will": "will not", "should": "should not",
	"must": "must not", "would": "would not", "could": "could not", "does": "does not", "do": "do not", "has": "has never", "have": "have never",
	"cannot": "can", "isn't": "is", "aren't": "are", "wasn't": "was", "weren't": "were", "can't": "can", "won't": "will", "shouldn't": "should",
	"doesn't": "does", "don't": "do", "always": "never", "never": "always", "increase": "decrease", "decrease": "increase", "increases": "decreases",
	"decreases": "increases", "more": "less", "less": "more", "before": "after", "after": "before", "true": "false", "false": "true",
}

// negate turns one word of each sentence that is chosen; "is not" becomes "is".
func negate(t Text, strength float64, r *rand.Rand) string {
	all := sentences(t.Reply)
	type spot struct {
		sentence int
		at       word
		with     string
	}
	var spots []spot
	for i, s := range all {
		ws := words(s)
		for k, w := range ws {
			text := strings.ReplaceAll(s[w.from:w.to], "’", "'")
			to, ok := turned[strings.ToLower(text)]
			if !ok {
				continue
			}
			if k+1 < len(ws) && strings.EqualFold(s[ws[k+1].from:ws[k+1].to], "not") {
				spots = append(spots, spot{i, word{w.from, ws[k+1].to}, s[w.from:w.to]})
			} else {
				spots = append(spots, spot{i, w, cased(to, text)})
			}
			break
		}
	}
	for k, yes := range some(len(spots), strength, r) {
		if p := spots[k]; yes {
			all[p.sentence] = replace(all[p.sentence], []word{p.at}, []string{p.with})
		}
	}
	return strings.Join(all, "")
}
