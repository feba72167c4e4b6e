package cli

import (
	"math"
	"strings"
	"unicode/utf8"

	"cai/dataset"
)

// lintSign is one sign by which one reply of a pair is the worse one, counted on
// both sides: in a file whose columns chosen and rejected are swapped it points to
// chosen.
type lintSign struct {
	Sign     string `json:"sign"`
	Chosen   int    `json:"chosen"`   // pairs of which only the chosen reply has it
	Rejected int    `json:"rejected"` // only the rejected one
	// Says is which side is worse, "chosen" or "rejected", where the difference is
	// beyond chance; else empty.
	Says string `json:"says"`
}

// lintSigns are the signs. A sure one is said by the file itself, and one is enough.
// The others are heuristics: each is right more often than wrong over the sets that
// were looked at, and none in every set, so that one of them alone says nothing. A
// mute sign is counted and has no say: a refusal is the better reply in a set about
// harmlessness and the worse one elsewhere.
var lintSigns = []struct {
	name       string
	sure, mute bool
	is         func(p *dataset.Pair, s *lintSide) bool // nil for score
}{
	{name: "score", sure: true}, // by columns of the record, see scoredWorse
	{name: "empty", is: func(_ *dataset.Pair, s *lintSide) bool { return strings.TrimSpace(s.text) == "" }},
	{name: "unfinished", is: func(_ *dataset.Pair, s *lintSide) bool { return unfinished(s.text) }},
	{name: "repeats", is: func(_ *dataset.Pair, s *lintSide) bool { return repeatsItself(s.text) }},
	{name: "copies_prompt", is: func(p *dataset.Pair, s *lintSide) bool { return copiesPrompt(p.Prompt, s.text) }},
	{name: "other_language", is: func(_ *dataset.Pair, s *lintSide) bool { return s.foreign }},
	{name: "control", is: func(_ *dataset.Pair, s *lintSide) bool { return hasControl(s.text) }},
	{name: "refuses", mute: true, is: func(_ *dataset.Pair, s *lintSide) bool { return refuses(s.text) }},
}

// lintSide is one reply of a pair.
type lintSide struct {
	text, language string
	foreign        bool // in another language than the prompt
}

// sideSigns are the counts of a file's signs.
type sideSigns struct{ signs []*lintSign }

func newSideSigns() *sideSigns {
	s := &sideSigns{}
	for _, l := range lintSigns {
		s.signs = append(s.signs, &lintSign{Sign: l.name})
	}
	return s
}

// add counts a labelled pair.
func (s *sideSigns) add(p *dataset.Pair, chosen, rejected *lintSide) {
	for i, l := range lintSigns {
		c, r := false, false
		if l.is == nil {
			switch scoredWorse(p) {
			case 1:
				c = true
			case -1:
				r = true
			}
		} else {
			c, r = l.is(p, chosen), l.is(p, rejected)
		}
		switch {
		case c && !r:
			s.signs[i].Chosen++
		case r && !c:
			s.signs[i].Rejected++
		}
	}
}

// scoredWorse tells whether the record's own scores say that the chosen reply is
// the worse one, 1, or the better one, −1; 0 where there are none.
func scoredWorse(p *dataset.Pair) int {
	x := p.Source.Extra
	for _, keys := range [][2]string{{"score_chosen", "score_rejected"}, {"chosen_score", "rejected_score"}, {"chosen_rating", "rejected_rating"}} {
		a, okA := dataset.Number(x.Get(keys[0]))
		b, okB := dataset.Number(x.Get(keys[1]))
		if !okA || !okB || a == b {
			continue
		}
		if (a < b) == (p.P >= 0.5) { // First stands in the column chosen
			return 1
		}
		return -1
	}
	// A margin, or a probability of the label, is that of the reply in chosen.
	if m, ok := dataset.Number(x.Get("margin")); ok && m != 0 && (len(p.Source.Label) == 0 || x.Get("label_prob") != nil) {
		if m < 0 {
			return 1
		}
		return -1
	}
	if q, ok := dataset.Number(x.Get("label_prob")); ok && q < 0.5 && p.Source.Extra.Get("label") == nil {
		return 1
	}
	return 0
}

// signsTalk is how many one-sided pairs a sign needs, and by how many standard
// deviations of a fair coin it has to lean, before it says anything.
const (
	signsTalk = 10
	signsLean = 2.58 // 1 in 100 by chance, since there are several signs
)

// judge tells how many signs speak against each side.
func (s *sideSigns) judge() (chosen, rejected int, sure bool, share float64) {
	worse, all := 0, 0
	for i, g := range s.signs {
		n := g.Chosen + g.Rejected
		if g.Says = ""; !lintSigns[i].mute {
			worse, all = worse+g.Chosen, all+n
		}
		if n < signsTalk || math.Abs(float64(g.Chosen-g.Rejected)) < signsLean*math.Sqrt(float64(n)) {
			continue
		}
		if g.Chosen > g.Rejected {
			g.Says = "chosen"
			sure = sure || lintSigns[i].sure
		} else {
			g.Says = "rejected"
		}
		switch {
		case lintSigns[i].mute:
		case g.Chosen > g.Rejected:
			chosen++
		default:
			rejected++
		}
	}
	return chosen, rejected, sure, float64(worse) / float64(all)
}

// verdict is fail where the file itself says that its columns are swapped, or where
// at least three signs speak against the chosen replies and none for them; warn where
// two do.
func (s *sideSigns) verdict() (n int, share float64, verdict string) {
	chosen, rejected, sure, share := s.judge()
	switch {
	case sure, chosen >= 3 && rejected == 0:
		verdict = "fail"
	case chosen >= 2 && rejected == 0:
		verdict = "warn"
	default:
		verdict = "pass"
	}
	return chosen, share, verdict
}

// repeatsItself tells whether a line or sentence of some length stands in a text
// three times or more, as where a model has run into a loop.
func repeatsItself(text string) bool {
	if len(text) < longReply/2 {
		return false
	}
	seen := map[string]int{}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '.' || r == '!' || r == '?' || r == '。' }) {
		part = strings.TrimSpace(part)
		if utf8.RuneCountInString(part) < 15 {
			continue
		}
		if seen[part]++; seen[part] >= 3 {
			return true
		}
	}
	return false
}

// copiesPrompt tells whether a reply has the whole last turn in it, and that is
// some length.
func copiesPrompt(c dataset.Conversation, reply string) bool {
	last := strings.TrimSpace(lastTurn(c))
	return utf8.RuneCountInString(last) >= 30 && strings.Contains(reply, last)
}

var refusals = []string{
	"i'm sorry, but i c", "i am sorry, but i c", "i apologize, but i c", "sorry, but i c", "sorry, i c", "i'm sorry, i c",
	"i can't ", "i cannot ", "i can not ", "i won't ", "i will not ", "i'm not able to", "i am not able to", "i'm unable to", "i am unable to", "as an ai",
}

// refuses tells whether a reply begins by refusing, in English.
func refuses(text string) bool {
	text = strings.TrimSpace(text)
	if len(text) > 80 {
		text = text[:80]
	}
	text = strings.ToLower(strings.ReplaceAll(text, "’", "'"))
	for _, r := range refusals {
		if strings.HasPrefix(text, r) {
			return true
		}
	}
	return false
}
