package probe

import (
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

var languageEdits = []Edit{{
	Name: "language-mix", Kind: Worthless, About: "a share of the small English words in German, French or Spanish", Strengths: []float64{0.3, 1},
	apply: func(t Text, strength float64, r *rand.Rand) string {
		var at []word
		for _, w := range words(t.Reply) {
			if smallWords[strings.ToLower(t.Reply[w.from:w.to])] != nil {
				at = append(at, w)
			}
		}
		tongue := r.IntN(3)
		with := make([]string, len(at))
		for i, yes := range some(len(at), strength, r) {
			with[i] = t.Reply[at[i].from:at[i].to]
			if yes {
				with[i] = cased(smallWords[strings.ToLower(with[i])][tongue], with[i])
			}
		}
		return replace(t.Reply, at, with)
	},
}}

// cased gives a word the capital that another one has.
func cased(s, like string) string {
	if c, _ := utf8.DecodeRuneInString(like); !unicode.IsUpper(c) {
		return s
	}
	c, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(c)) + s[n:]
}

// smallWords are English words in German, French and Spanish.
var smallWords = map[string][]string{
	"and": {"und", "et", "y"}, "or": {"oder", "ou", "o"}, "but": {"aber", "mais", "pero"}, "not": {"nicht", "pas", "no"},
	"with": {"mit", "avec", "con"}, "without": {"ohne", "sans", "sin"}, "for": {"für", "pour", "para"}, "in": {"in", "dans", "en"},
	"on": {"auf", "sur", "sobre"}, "from": {"von", "de", "desde"}, "because": {"weil", "parce que", "porque"}, "if": {"wenn", "si", "si"},
	"is": {"ist", "est", "es"}, "are": {"sind", "sont", "son"}, "was": {"war", "était", "era"}, "has": {"hat", "a", "tiene"},
	"can": {"kann", "peut", "puede"}, "you": {"du", "tu", "tú"}, "we": {"wir", "nous", "nosotros"}, "they": {"sie", "ils", "ellos"},
	"this": {"dies", "ceci", "esto"}, "also": {"auch", "aussi", "también"}, "very": {"sehr", "très", "muy"}, "more": {"mehr", "plus", "más"},
	"always": {"immer", "toujours", "siempre"}, "never": {"nie", "jamais", "nunca"}, "all": {"alle", "tous", "todos"}, "many": {"viele", "beaucoup", "muchos"},
	"good": {"gut", "bon", "bueno"}, "new": {"neu", "nouveau", "nuevo"}, "time": {"Zeit", "temps", "tiempo"}, "day": {"Tag", "jour", "día"},
	"water": {"Wasser", "eau", "agua"}, "house": {"Haus", "maison", "casa"}, "here": {"hier", "ici", "aquí"}, "where": {"wo", "où", "dónde"},
	"to": {"zu", "à", "a"}, "as": {"als", "comme", "como"}, "the": {"die", "le", "el"}, "a": {"ein", "un", "un"}, "of": {"von", "de", "de"},
}
