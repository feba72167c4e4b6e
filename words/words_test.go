package words_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/words"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                          nil,
		" \t- … !?":                 nil,
		"Don't, DON’T: 'quoted'":    {"don't", "don't", "quoted"},
		"Ünïcode STRASSE 3.14":      {"ünïcode", "strasse", "3", "14"},
		"日本 ok":                     {"日", "本", "ok"},
		"snake_case-and\x00control": {"snake", "case", "and", "control"},
	} {
		var hashes []uint64
		for _, w := range want {
			hashes = append(hashes, words.Hash(w))
		}
		if got := words.Hashes(text, nil); !slices.Equal(got, hashes) {
			t.Errorf("%q: %d words, want %q", text, len(got), want)
		}
	}
}

// Words do not hang on what stands between them, nor on what dst holds.
func TestWordsForgetCaseAndPunctuation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := rapid.SliceOf(rapid.StringMatching(`[a-z0-9äß]{1,8}`)).Draw(t, "words")
		sep := rapid.SampledFrom([]string{" ", ", ", "\n\n- ", "… "}).Draw(t, "separator")
		plain := words.Hashes(strings.Join(ws, " "), nil)
		if len(plain) != len(ws) {
			t.Fatalf("%d words of %q", len(plain), ws)
		}
		if got := words.Hashes(strings.ToUpper(strings.ReplaceAll(strings.Join(ws, sep), "ß", "ẞ")), []uint64{7}); !slices.Equal(got[1:], plain) || got[0] != 7 {
			t.Fatalf("%q between %q changes the words", sep, ws)
		}
	})
}
