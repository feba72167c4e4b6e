package constitution

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// duplicates finds principles that say the same.
func (l *linter) duplicates() {
	ps := l.c.Principles
	grams := make([]map[string]float64, len(ps))
	asked := map[string]int{}
	for i := range ps {
		grams[i] = trigrams(ps[i].Critique + " " + ps[i].Revision)
		var key string
		if isEnglish(ps[i].Compare) {
			var stems []string
			for _, w := range content(ps[i].Compare, asking) {
				stems = append(stems, stem(w))
			}
			slices.Sort(stems)
			key = strings.Join(slices.Compact(stems), " ")
		} else {
			key = "= " + strings.Join(words(ps[i].Compare), " ")
		}
		if key == "" {
			continue // vague, and said so
		}
		if first, ok := asked[key]; ok {
			l.add(&ps[i], SeverityWarning, "same-question", fmt.Sprintf("the comparison asks what that of %q asks", ps[first].ID),
				"ask for what sets the two apart, or keep one of them with a larger weight")
		} else {
			asked[key] = i
		}
	}
	for i := range ps {
		for j := range i {
			if d := cosine(grams[i], grams[j]); d >= alikeTexts {
				l.add(&ps[i], SeverityWarning, "near-duplicate", fmt.Sprintf("critique and revision are nearly those of %q (%.2f alike)", ps[j].ID, d),
					"keep one of them, or say what sets them apart")
				break
			}
		}
	}
}

// trigrams counts the letter trigrams of a text's words, frame words left out,
// scaled to length 1.
func trigrams(s string) map[string]float64 {
	out := map[string]float64{}
	for _, w := range content(s, frame) {
		r := []rune(" " + w + " ")
		for i := 0; i+3 <= len(r); i++ {
			out[string(r[i:i+3])]++
		}
	}
	var sum float64
	for _, n := range out {
		sum += n * n
	}
	for g, n := range out {
		out[g] = n / math.Sqrt(sum)
	}
	return out
}

func cosine(a, b map[string]float64) float64 {
	if len(a) > len(b) {
		a, b = b, a
	}
	var dot float64
	for g, n := range a {
		dot += n * b[g]
	}
	return dot
}

func (l *linter) weights() {
	ps := l.c.Principles
	if len(ps) == 0 {
		return
	}
	lo, hi := &ps[0], &ps[0]
	for i := range ps {
		if ps[i].Weight < lo.Weight {
			lo = &ps[i]
		}
		if ps[i].Weight > hi.Weight {
			hi = &ps[i]
		}
	}
	if hi.Weight > farWeights*lo.Weight {
		l.add(hi, SeverityWarning, "weights-apart", fmt.Sprintf("it weighs %g, %q only %g", hi.Weight, lo.ID, lo.Weight),
			fmt.Sprintf("over %d times as much leaves the light one without a say: remove it, or bring the two nearer", farWeights))
	}
}

// themes remarks on tags that stand alone and on small constitutions.
func (l *linter) themes() {
	ps := l.c.Principles
	count := map[string]int{}
	var names []string
	for i := range ps {
		for _, t := range ps[i].Tags {
			if count[t]++; count[t] == 1 {
				names = append(names, t)
			}
		}
	}
	for i := range ps {
		for _, t := range ps[i].Tags {
			if count[t] > 1 || t == "overall" {
				continue
			}
			hint := "a second principle on the theme makes its labels steadier"
			if m := DidYouMean(t, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == t })); m != "" {
				hint = strings.TrimPrefix(m, ": ")
			}
			l.add(&ps[i], SeverityInfo, "lone-theme", fmt.Sprintf("only this principle has the tag %q", t), hint)
		}
	}
	if n := len(ps); n > 0 && n < smallConstitution {
		l.add(&ps[0], SeverityInfo, "small", []string{"one principle decides every label", "two principles decide every label"}[n-1], "several short questions make steadier labels than one")
	}
}

// axis is a pair of aims that often want opposite replies.
type axis struct {
	one, other           string // named in the message
	oneTags, otherTags   map[string]bool
	oneWords, otherWords map[string]bool
}

var axes = []axis{
	{
		"caution", "readiness to answer",
		set("harmlessness safety"), set("helpfulness non-evasiveness"),
		set("harmless safe safer safely cautious lawful refuses declines"), set("direct directly willing forthcoming"),
	},
	{
		"brevity", "completeness", nil, nil,
		set("short shorter brief briefer concise succinct terse point"), set("detailed complete completely full fuller fully thorough thoroughly comprehensive long longer"),
	},
	{
		"kindness", "frankness", nil, nil,
		set("kind kinder gentle gentler warm warmer supportive encouraging polite respectful"), set("candid frank frankly blunt critical"),
	},
	{
		"warnings", "no lectures", nil, nil,
		set("warns warning warnings caveat caveats disclaimer disclaimers"), set("adult lecture lectures lecturing preaching sermon grown"),
	},
	{
		"plain words", "precision", nil, nil,
		set("simple simpler plain plainer easy easier understand"), set("precise technical rigorous exact nuanced expert"),
	},
	{
		"confidence", "doubt", nil, nil,
		set("confident assertive decisive"), set("modest doubt hedged humble uncertain tentative"),
	},
	{
		"formality", "ease", nil, nil,
		set("formal professional"), set("casual conversational funny humorous playful informal"),
	},
	{
		"balance", "a clear stand", nil, nil,
		set("balanced neutral impartial"), set("opinionated decisive stand persuasive"),
	},
}

// pullApart remarks on aims that often want opposite replies.
func (l *linter) pullApart() {
	for _, a := range axes {
		var one, other []*Principle
		for i := range l.c.Principles {
			p := &l.c.Principles[i]
			if p.hasTag("overall") {
				continue
			}
			is := func(tags, ws map[string]bool) bool {
				return slices.ContainsFunc(p.Tags, func(t string) bool { return tags[t] }) ||
					slices.ContainsFunc(words(p.Title+" "+p.Compare), func(w string) bool { return ws[w] })
			}
			switch x, y := is(a.oneTags, a.oneWords), is(a.otherTags, a.otherWords); {
			case x && !y:
				one = append(one, p)
			case y && !x:
				other = append(other, p)
			}
		}
		if len(one) == 0 || len(other) == 0 {
			continue
		}
		l.add(one[0], SeverityInfo, "pull-apart",
			fmt.Sprintf("%s (%s) and %s (%s) may want opposite replies", a.one, ids(one), a.other, ids(other)),
			"if both are meant, keep both: their weights decide")
	}
}

func ids(ps []*Principle) string {
	const most = 4
	var out []string
	for _, p := range ps[:min(most, len(ps))] {
		out = append(out, p.ID)
	}
	s := strings.Join(out, ", ")
	if len(ps) > most {
		s += fmt.Sprintf(" and %d more", len(ps)-most)
	}
	return s
}
