package constitution

import (
	"slices"
	"strings"
)

// What lint goes by in a question, for others who lint questions. The rules go
// by words and know English alone; they are hints and no proof.

// IsEnglish tells whether the rules on words can be applied to a question.
func IsEnglish(q string) bool { return isEnglish(q) || IsYesNo(q) }

// IsYesNo tells whether a text is one question that is answered by yes or no.
func IsYesNo(q string) bool {
	ws := words(q)
	return len(ws) > 0 && yesNo[ws[0]] && strings.Count(q, "?") == 1
}

// Negated gives the words that turn a question round or ask for something bad,
// each once.
func Negated(q string) []string { return negated(q) }

// Double gives the word that joins two questions in one, "" where there is
// none; set phrases do not count.
func Double(q string) string {
	return strings.ToLower(joins.FindString(setPhrase.ReplaceAllString(q, "")))
}

// Gist gives what a question is about: its words in alphabetical order, without
// endings, once each, those that any question about a reply has left out.
func Gist(q string) []string {
	var stems []string
	for _, w := range content(q, asking) {
		stems = append(stems, stem(w))
	}
	slices.Sort(stems)
	return slices.Compact(stems)
}

// IsVague tells whether a question names nothing but good or bad.
func IsVague(q string) bool { return isVague(q, asking) }
