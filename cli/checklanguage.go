package cli

import (
	"strings"
	"unicode"
)

// scripts are the writing systems that texts are told apart by.
var scripts = []struct {
	name  string
	table *unicode.RangeTable
}{
	{"Latin", unicode.Latin},
	{"Han", unicode.Han},
	{"Kana", unicode.Hiragana},
	{"Kana", unicode.Katakana},
	{"Cyrillic", unicode.Cyrillic},
	{"Arabic", unicode.Arabic},
	{"Devanagari", unicode.Devanagari},
	{"Hangul", unicode.Hangul},
	{"Greek", unicode.Greek},
	{"Hebrew", unicode.Hebrew},
	{"Thai", unicode.Thai},
}

// scriptLetters is how many letters a text needs to have a script.
const scriptLetters = 20

// script names the writing system of most letters of a text, "" where there are
// too few to tell it by.
func script(text string) string {
	counts, letters := map[string]int{}, 0
	for _, r := range text {
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		if r < 0x250 {
			counts["Latin"]++
			continue
		}
		for _, s := range scripts {
			if unicode.Is(s.table, r) {
				counts[s.name]++
				break
			}
		}
	}
	if letters < scriptLetters {
		return ""
	}
	if counts["Kana"] > 0 { // Japanese is written in both
		counts["Kana"] += counts["Han"]
	}
	best := ""
	for name, n := range counts {
		if 2*n > letters && (best == "" || n > counts[best] || n == counts[best] && name < best) {
			best = name
		}
	}
	return best
}

// stopWords are the commonest words of languages in Latin script that the others of
// them have not, or hardly.
var stopWords = map[string]string{
	"en": "the and of to is that it for was with are this be have you not from they which what how your can",
	"es": "el los las del que y es una por con para se lo como pero más este está puede muy también",
	"fr": "le les des et est une dans que qui pour pas sur avec ce il vous plus sont nous être cette ou",
	"de": "der die das und ist nicht ein eine zu den mit sich auf für dem von werden sie auch wie können",
	"it": "il gli della di che è un per non con sono del questo anche nel come più essere alla dei",
	"pt": "o os da do que e não uma para com por mais como dos você são ser também pode isso em",
	"nl": "het een van en niet dat zijn op te met voor aan er maar ook je kunnen worden naar deze",
	"pl": "nie się jest na że do jak to przez które może dla są oraz być jego tak czy",
	"tr": "bir ve bu için ile da olarak daha çok olan gibi en değil olduğu ne her kadar",
	"id": "yang dan di untuk dengan ini itu dari tidak pada dapat adalah anda akan juga atau ke",
	"vi": "của và là các một có không được cho trong với những này để người bạn khi như",
	"sv": "och att det som en är på inte för av med den till har om ett kan jag du",
}

var stopWordsOf = func() map[string][]string {
	of := map[string][]string{}
	for lang, words := range stopWords {
		for _, w := range strings.Fields(words) {
			of[w] = append(of[w], lang)
		}
	}
	return of
}()

// language guesses what a text is written in: a script, or for Latin letters a
// language by its commonest words, "Latin" where these do not tell. It is "" where
// the text is too short. Code and lists of names are often "Latin".
func language(text string) string {
	if len(text) > 4000 {
		text = strings.ToValidUTF8(text[:4000], "") // enough to tell
	}
	s := script(text)
	if s != "Latin" {
		return s
	}
	counts, words := map[string]int{}, 0
	for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		words++
		for _, lang := range stopWordsOf[w] {
			counts[lang]++
		}
	}
	best, second := "", ""
	for lang, n := range counts {
		switch {
		case best == "" || n > counts[best] || n == counts[best] && lang < best:
			best, second = lang, best
		case second == "" || n > counts[second]:
			second = lang
		}
	}
	// A tenth of the words of running text are among these twenty, three times the
	// share in another language.
	if n := counts[best]; best == "" || n < 3 || 12*n < words || second != "" && 2*n < 3*counts[second] {
		return s
	}
	return best
}

// sameLanguage tells whether two guesses agree as far as they go.
func sameLanguage(a, b string) bool {
	if a == "" || b == "" || a == b {
		return true
	}
	latin := func(s string) bool { return s == "Latin" || stopWords[s] != "" }
	return latin(a) && latin(b) && (a == "Latin" || b == "Latin")
}
