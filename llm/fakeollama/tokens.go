package fakeollama

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestToken is in bytes.
const longestToken = 6

// tokenise cuts a text as a byte-pair tokenizer might: a word with the blank
// before it, long words in pieces, marks for themselves. The pieces joined are
// the text.
func tokenise(s string) []string {
	var out []string
	for len(s) > 0 {
		n := next(s)
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

// count is len(tokenise(s)) without the pieces.
func count(s string) int {
	n := 0
	for len(s) > 0 {
		s = s[next(s):]
		n++
	}
	return n
}

func next(s string) int {
	i := 0
	if s[0] == ' ' && len(s) > 1 {
		i = 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return i + size
	}
	for i < len(s) && i < longestToken {
		r, size := utf8.DecodeRuneInString(s[i:])
		if i > 0 && r == ' ' || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ' ' {
			break
		}
		i += size
	}
	return i
}

// token is one of an answer, and what could have stood in its place.
type token struct {
	text string
	lp   float64
	top  []option
}

type option struct {
	text string
	lp   float64
}

// filler are tokens for the mass that an answer leaves.
var filler = []string{
	"The", "I", "It", "This", "Both", "Yes", "No", "\n", "Sure", "C", "1", "As", "We", "In", "To", "Well",
	"Option", "Response", "Neither", "**", "There", "That", "Based", "You", "Here",
}

// write gives the tokens of an answer.
func write(a Answer, r Request) []token {
	text := a.Text
	if text == "" && len(a.First) > 0 {
		text = draw(a.First, r)
	}
	var out []token
	if a.Thinking != "" {
		for _, t := range tokenise("<think>" + a.Thinking + "</think>\n\n") {
			out = append(out, plain(t, r))
		}
	}
	if text == "" {
		return out
	}
	pieces := tokenise(text)
	if a.Text == "" {
		pieces = []string{text}
	}
	for i, t := range pieces {
		if i == 0 && len(a.First) > 0 {
			out = append(out, first(t, a.First, r))
			continue
		}
		out = append(out, plain(t, r))
	}
	return out
}

// draw chooses the first token: the likeliest, or by the temperature and the
// seed.
func draw(p map[string]float64, r Request) string {
	o := alternatives(p, len(p)+8)
	if r.Temperature <= 0 {
		return o[0].text
	}
	var sum float64
	w := make([]float64, len(o))
	for i := range o {
		w[i] = math.Exp((o[i].lp - o[0].lp) / r.Temperature)
		sum += w[i]
	}
	h := uint64(math.Float64bits(whim(r.Prompt())))
	x := rand.New(rand.NewPCG(uint64(r.Seed), h)).Float64() * sum
	for i := range w {
		if x -= w[i]; x < 0 {
			return o[i].text
		}
	}
	return o[len(o)-1].text
}

// alternatives lists the n likeliest tokens, the rest of the mass spread over
// the filler.
func alternatives(p map[string]float64, n int) []option {
	var out []option
	left := 1.0
	for t, q := range p {
		if q > 0 {
			out = append(out, option{t, math.Log(q)})
		}
		left -= q
	}
	left = max(left, 1e-6)
	for i, t := range filler {
		if _, ok := p[t]; !ok {
			out = append(out, option{t, math.Log(left) - 0.8*float64(i+1)})
		}
	}
	slices.SortFunc(out, func(a, b option) int {
		return cmp.Or(cmp.Compare(b.lp, a.lp), strings.Compare(a.text, b.text))
	})
	return out[:min(n, len(out))]
}

func first(t string, p map[string]float64, r Request) token {
	lp := math.Log(1e-4)
	if q := p[t]; q > 0 {
		lp = math.Log(q)
	} else {
		for _, o := range alternatives(p, len(p)+len(filler)) {
			if o.text == t {
				lp = o.lp
			}
		}
	}
	return token{t, lp, alternatives(p, r.TopLogprobs)}
}

func plain(t string, r Request) token {
	if !r.Logprobs {
		return token{text: t}
	}
	p := 0.7 + 0.25*whim(t)
	return first(t, map[string]float64{t: p}, r)
}
