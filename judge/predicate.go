package judge

import (
	"regexp"
	"slices"
	"strings"
)

// imperative makes "Choose the reply that is more honest." of "Which reply is
// more honest?". A question that cannot be turned with certainty stays what it
// is: a clumsy sentence would be another question.
func imperative(question string) string {
	if p := predicate(question); p != "" {
		return "Choose the reply that " + p + "."
	}
	return question
}

var (
	whichReply = regexp.MustCompile(`(?i)^which( of (?:the|these|those)(?: two)?(?: replies| responses| answers)?| (?:ai |assistant(?:['’]s)? )?(?:reply|response|answer|one))? ([^?\n\r;:]+)\?$`)
	again      = regexp.MustCompile(`(?i)\bwhich\b`)
	comparing  = regexp.MustCompile(`(?i)^(more|less|better|best|most|least|worse|\pL+ly)$`)
	// foreign are ends and turns of sentences whose subject is not the reply:
	// "is a doctor more likely to give", "is the reader happier with".
	foreign = regexp.MustCompile(`(?i)\b(like(ly|lier)|unlikely|going|able|willing|inclined|apt|glad|happ(y|ier)|supposed|meant) to\b|\b(with|to|of|for|about|by|from|at|on|in)$`)
)

// beginsSubject are words that begin the subject of a sentence.
var beginsSubject = strings.Fields(`a an the i you we he she it they this that these those my your our his her its their
	any some people somebody someone one everybody everyone as unless towards`)

// predicate gives "is more honest" of "Which reply is more honest?", and ""
// where the reply is not surely the subject of one question of this form
// ("Which reply would you rather read?").
func predicate(question string) string {
	m := whichReply.FindStringSubmatch(question)
	if m == nil || again.MatchString(m[2]) {
		return ""
	}
	p := strings.TrimSpace(m[2])
	words := strings.Fields(strings.ToLower(p))
	if len(words) < 2 {
		return ""
	}
	verb, next := words[0], words[1]
	other := slices.Contains(beginsSubject, next)
	sure := false
	switch verb {
	case "is", "was":
		pronoun := slices.Contains([]string{"i", "you", "we", "he", "she", "it", "they"}, next)
		sure = !pronoun && !(other && foreign.MatchString(p))
	case "has", "had":
		sure = !other || next == "a" || next == "an" || next == "the"
	case "does":
		sure = comparing.MatchString(next)
	case "would", "should", "could", "can", "will", "may", "might", "must":
		sure = slices.Contains([]string{"be", "have", "do", "help", "make", "give", "keep", "leave", "better", "best"}, next)
	case "are", "were", "am", "do", "did", "have", "shall":
	default:
		// A verb in the third person, or an adverb before one. "Which helps
		// more?" leaves open what is meant.
		sure = m[1] != "" && !slices.Contains(beginsSubject, verb) && (strings.HasSuffix(verb, "s") || comparing.MatchString(verb))
	}
	if !sure {
		return ""
	}
	return p
}
