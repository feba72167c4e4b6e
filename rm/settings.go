package rm

import "unicode"

// Settings are what a reader in another language needs beside a model file to
// compute the features: the phrases of the style features, and the classes of
// characters as this program's Unicode tables have them.
type Settings struct {
	FeatureVersion int                  `json:"feature_version"`
	StyleNames     []string             `json:"style_names"`
	StyleClip      float64              `json:"style_clip"` // also of numbers from outside
	Phrases        map[string]string    `json:"phrases"`    // by category, lower case, one a comma
	Unicode        map[string][][2]rune `json:"unicode"`
	UnicodeVersion string               `json:"unicode_version"`
}

// categoryNames name the categories of phrases in their order.
var categoryNames = [numCats]string{
	"hedge", "refusal", "apology", "warning", "self", "connective", "offer", "agree", "first", "second",
}

// FeatureSettings gives them. Its Unicode tables are ranges of code points, both
// ends in; "lower" has pairs of a code point and its lower case, "word" what
// may stand in a word, "unspaced" the scripts of which each character is one.
func FeatureSettings() Settings {
	s := Settings{
		FeatureVersion: featureVersion, StyleNames: styleNames, StyleClip: styleClip,
		Phrases: map[string]string{}, Unicode: map[string][][2]rune{}, UnicodeVersion: unicode.Version,
	}
	for cat, list := range phraseLists {
		s.Phrases[categoryNames[cat]] = list
	}
	for name, in := range map[string]func(rune) bool{
		"letter": unicode.IsLetter, "upper": func(r rune) bool { return unicode.IsLetter(r) && unicode.IsUpper(r) },
		"digit": unicode.IsDigit, "space": unicode.IsSpace, "punct": unicode.IsPunct, "symbol": unicode.IsSymbol,
		"other_symbol": func(r rune) bool { return unicode.Is(unicode.So, r) },
		"word":         func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) },
		"unspaced":     unspaced,
	} {
		s.Unicode[name] = ranges(in)
	}
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if l := unicode.ToLower(r); l != r {
			s.Unicode["lower"] = append(s.Unicode["lower"], [2]rune{r, l})
		}
	}
	return s
}

// ranges gives the code points for which in holds.
func ranges(in func(rune) bool) (out [][2]rune) {
	open := false
	for r := rune(0); r <= unicode.MaxRune+1; r++ {
		is := r <= unicode.MaxRune && in(r)
		switch {
		case is && !open:
			out = append(out, [2]rune{r, r})
		case is:
			out[len(out)-1][1] = r
		}
		open = is
	}
	return out
}
