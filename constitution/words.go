package constitution

import (
	"strings"
	"unicode"
)

// set makes a set of the words in a text.
func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// words gives a text's words in lower case; a hyphen parts them, an apostrophe
// does not.
func words(s string) []string {
	s = strings.ReplaceAll(strings.ToLower(s), "’", "'")
	return strings.FieldsFunc(s, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.IsMark(c) && c != '\''
	})
}

// tokens estimates how many tokens a text takes: one for each word, one more
// for each further five letters of it, one for each character of a script that
// is not Latin, one for each mark of punctuation.
func tokens(s string) int {
	n, run := 0, 0
	for _, c := range s {
		switch {
		case unicode.Is(unicode.Latin, c) || unicode.IsNumber(c):
			if run%5 == 0 {
				n++
			}
			run++
			continue
		case unicode.IsLetter(c) || unicode.IsPunct(c) || unicode.IsSymbol(c):
			n++
		}
		run = 0
	}
	return n
}

var (
	// negations turn a question round, or ask for the bad reply.
	negations = set(`not never no nor neither none nothing nobody without cannot
		avoid avoids avoiding refrain refrains refraining lack lacks lacking less fewer least fewest non
		bad worse worst wrong false harmful harms harm hurtful dangerous toxic racist sexist biased
		offensive violent rude hateful evasive preachy misleading deceptive insulting discriminatory
		unhelpful untrue untruthful unsafe unfair unethical unkind unclear uncertain unlawful unnecessary
		unpleasant unreliable unjust unfriendly unprofessional unsuitable unwilling
		inaccurate inappropriate inconsiderate incorrect indecent insensitive incoherent incomplete
		irrelevant irresponsible illegal immoral impolite imprecise improper
		dishonest disrespectful disturbing distressing`)
	// vague words name no quality that could be looked for.
	vague = set(`good better best well bad worse worst nice nicer nicest fine great okay ok right wrong
		appropriate inappropriate proper improper suitable acceptable adequate desirable preferable
		satisfactory positive quality poor problem problems issue issues improve improved improvement
		improvements ideal excellent superior properly nicely`)
	// asking words are those of any comparison.
	asking = set(`a an the this that these those it its to of in on at by for from with as so than how what which who whose
		is are was were be been do does did has have can could may might should will would
		not no never more most less least much very rather overall all two both or and
		reply replies response responses answer answers assistant assistant's reply's response's
		user user's users human human's person please question one you your`)
	// frame words are those of any critique or revision.
	frame = set(`a an the this that these those it its it's he she they them their you your i we one ones of to in on at by for from
		with as so than and or but if then where when how what which who whom whose whether why there
		is are was were be been being am do does did done has have had can could may might shall should will would must
		not no never more most less least much very really quite just only also any all each every some other another overall
		reply replies response responses answer answers assistant assistant's reply's response's text message version
		user user's human human's person people's please question
		say says tell point out name list find look identify explain describe discuss consider critique criticise criticize
		comment note quote show check see give gives make makes write rewrite revise amend change edit remove
		way ways passage passages anything something everything none nothing none part parts respect`)
	// english words are in no other common language.
	english = set(`which who whose what how does are the this with every everything more most better it its reply response answer`)
	yesNo   = set(`is are was were does do did can could has have had should would will may might must isn't doesn't don't aren't`)
	// comparatives of one word that the endings do not give away, or do.
	comparatives = set(`more most better best rather further farther prefer prefers preferred
		nicer nicest likelier clearer safer kinder fairer shorter longer simpler truer closer warmer wiser politer gentler plainer
		sounder stronger calmer deeper nearer braver freer fuller richer larger smaller quicker faster
		sooner higher lower broader cleaner brighter softer tighter sharper neater stricter smarter
		closest clearest safest kindest fairest shortest simplest truest warmest wisest gentlest`)
	// notComparative end in -er and compare nothing.
	notComparative = set(`proper other another ever never however whether user order matter manner reader writer
		clever eager tender sober bitter sinister answer offer consider remember together either neither over under after
		number letter paper power danger anger character member computer sheer mere inner outer upper utter`)
	linking = set(`is are sounds seems feels looks reads`)
)

// negated gives the words that turn a question round, each once.
func negated(s string) []string {
	var out []string
	seen := map[string]bool{}
	ws := words(s)
	for i, w := range ws {
		if !negations[w] && !strings.HasSuffix(w, "n't") || seen[w] {
			continue
		}
		if i >= 2 && (ws[i-1] == "of" || ws[i-1] == "from") && ws[i-2] == "free" {
			continue // "free of harm" is good
		}
		seen[w] = true
		out = append(out, w)
	}
	return out
}

// compares tells whether a question holds a comparative or a superlative.
func compares(s string) bool {
	ws := words(s)
	for i, w := range ws {
		if comparatives[w] || len(w) > 4 && (strings.HasSuffix(w, "ier") || strings.HasSuffix(w, "iest")) {
			return true
		}
		if i > 0 && linking[ws[i-1]] && strings.HasSuffix(w, "er") && !notComparative[w] {
			return true
		}
	}
	return false
}

// content gives the words of a text that say what it is about: those that are
// not of the frame that any such text has.
func content(s string, frame map[string]bool) []string {
	var out []string
	for _, w := range words(s) {
		if !frame[w] {
			out = append(out, w)
		}
	}
	return out
}

// isVague tells whether a text says nothing but good or bad.
func isVague(s string, frame map[string]bool) bool {
	for _, w := range content(s, frame) {
		if !vague[w] {
			return false
		}
	}
	return true
}

// isEnglish tells whether the rules on words can be applied to a question: it
// has an English function word, or is too short to tell.
func isEnglish(s string) bool {
	ws := words(s)
	for _, w := range ws {
		if english[w] {
			return true
		}
	}
	return len(ws) < 3 && !strings.ContainsFunc(s, func(c rune) bool { return unicode.IsLetter(c) && !unicode.Is(unicode.Latin, c) })
}

// stem takes the commonest endings away.
func stem(w string) string {
	for _, end := range []string{"'s", "fulness", "fully", "ness", "ingly", "edly", "ing", "ies", "ily", "ier", "est", "ed", "er", "ly", "es", "y", "s", "e"} {
		if s, ok := strings.CutSuffix(w, end); ok && len(s) >= 3 {
			return s
		}
	}
	return w
}
