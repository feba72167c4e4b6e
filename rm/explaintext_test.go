package rm

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkReading holds a text's reading against what the features are made of.
func checkReading(t interface {
	Errorf(string, ...any)
}, text string,
) {
	r := newReading(text)
	if len(r.tokens) != len(r.hashes) {
		t.Errorf("%q: %d tokens, %d of them hashed", text, len(r.tokens), len(r.hashes))
		return
	}
	for i, s := range r.tokens {
		if s.start >= s.end || hashWord(r.names[i]) != r.hashes[i] {
			t.Errorf("%q: token %d is %q, named %q", text, i, text[s.start:s.end], r.names[i])
		}
	}
	end := 0
	for _, s := range r.sentences {
		if s.start != end || s.end <= s.start {
			t.Errorf("%q: sentences %v", text, r.sentences)
		}
		end = s.end
	}
	if end != len(text) {
		t.Errorf("%q: sentences %v", text, r.sentences)
	}
	for i, w := range r.words {
		if s := r.sentences[r.sentence[i]]; w.start < s.start || w.start >= s.end {
			t.Errorf("%q: word %v in sentence %v", text, w, s)
		}
	}
	e := newExtractor(spec{hash: true, chars: true, dim: 1 << 16, orders: orders})
	for _, k := range []struct {
		grams []gram
		want  []entry
	}{
		{e.wordGrams(r), e.reply(text, nil, nil)},
		{e.charGramsAt(r), e.charGrams(text, nil)},
	} {
		most := map[uint32]int{}
		for _, g := range k.grams {
			most[g.bucket] += len(g.at)
			for _, s := range g.at {
				if s.start >= s.end || s.end > len(r.words) {
					t.Errorf("%q: %q covers %v of %d words", text, g.name, s, len(r.words))
				}
			}
		}
		for _, w := range k.want {
			if n := max(w.count(), -w.count()); most[w.bucket()] < n || n < 127 && (most[w.bucket()]-n)%2 != 0 {
				t.Errorf("%q: bucket %d counts %d, its n-grams occur %d times", text, w.bucket(), w.count(), most[w.bucket()])
			}
			delete(most, w.bucket())
		}
		for b, n := range most {
			if n%2 != 0 { // others cancel
				t.Errorf("%q: bucket %d is no feature, its n-grams occur %d times", text, b, n)
			}
		}
	}
}

func TestReadingIsWhatFeaturesAreMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkReading(t, rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-zA-Z'’0-9]{0,4}[ .!?\n*中ก)]{0,2}){0,20}`)).Draw(t, "text"))
	})
	checkReading(t, strings.Repeat("x", 5000)+" "+strings.Repeat("yz ", 200))
	checkReading(t, strings.Repeat("中", 4096)+strings.Repeat("中", 4096))
}

func FuzzReading(f *testing.F) {
	f.Add("It's 1. a “test”. Is it?! Ja…\n- 中文。好！ don’t\xffx e\u0301")
	f.Fuzz(func(t *testing.T, text string) { checkReading(t, text) })
}

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"One. Two? Three":                   {"One. ", "Two? ", "Three"},
		"1. First item.\n2. Second.\n\nEnd": {"1. First item.\n", "2. Second.\n\n", "End"},
		"He said \"no.\" Then 3.5 came.":    {"He said \"no.\" ", "Then 3.5 came."},
		"你好。再见！":                            {"你好。", "再见！"},
		"":                                  nil,
		" \n":                               {" \n"},
		"no end ":                           {"no end "},
	} {
		var got []string
		for _, s := range sentenceSpans(text) {
			got = append(got, text[s.start:s.end])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
