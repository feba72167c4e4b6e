package rm

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
)

func TestTokenize(t *testing.T) {
	hashes := func(words ...string) (h []uint64) {
		for _, w := range words {
			h = append(h, hashWord(w))
		}
		return h
	}
	for text, want := range map[string][]uint64{
		"":                        nil,
		" .,\n":                   nil,
		"Hello, World!":           hashes("hello", "world"),
		"don't DON’T":             hashes("don't", "don't"),
		"'quoted' it's' 7'":       hashes("quoted", "it's", "7"),
		"naïve ÉTÉ":               hashes("naïve", "été"),
		"x2 3.14":                 hashes("x2", "3", "14"),
		"我们 are":                  hashes("我", "们", "are"),
		"a" + "\xff" + "b":        hashes("a", "b"),
		"under_score hyphen-ated": hashes("under", "score", "hyphen", "ated"),
	} {
		if got := tokenize(text, nil); !slices.Equal(got, want) {
			t.Errorf("%q: %d tokens %x, want %d: %x", text, len(got), got, len(want), want)
		}
	}
}

// styleOf gives the style features of a reply by name.
func styleOf(prompt, reply string) map[string]float64 {
	e := newExtractor(spec{style: true})
	e.setPrompt(dataset.Prompt(prompt))
	f := make([]float32, len(styleNames))
	e.reply(reply, nil, f)
	out := map[string]float64{}
	for i, n := range styleNames {
		out[n] = float64(f[i])
	}
	return out
}

func TestStyle(t *testing.T) {
	ln := math.Log1p
	for _, c := range []struct {
		prompt, reply string
		want          map[string]float64
	}{
		{"", "", map[string]float64{"log_words": 0, "log_sentences": 0, "type_token": 1, "repeated_bigrams": 0, "ends_open": 0}},
		{"q", "One. Two! Three?", map[string]float64{"log_sentences": ln(3), "log_words": ln(3), "log_questions": ln(1), "log_exclamations": ln(1), "ends_asking": 1, "ends_open": 0}},
		{"q", "It costs 3.50 today.", map[string]float64{"log_sentences": ln(1)}},
		{"q", "He said \"stop.\" Then (he left.) Done", map[string]float64{"log_sentences": ln(2), "log_quotes": ln(2), "ends_open": 1}},
		{"q", "好。坏？", map[string]float64{"log_sentences": ln(2), "log_words": ln(2), "log_questions": ln(1), "ends_asking": 1, "non_ascii": 1}},
		{"q", "# Title\n\n- a\n* b\n+ c\n• d\n\n1. x\n22) y\n", map[string]float64{"log_headings": ln(1), "log_list_items": ln(4), "log_numbered_items": ln(2), "log_paragraphs": ln(3)}},
		{"q", "```go\nx\n```\n| a | b |", map[string]float64{"log_code_blocks": ln(2), "log_table_rows": ln(1), "ends_open": 0}},
		{"q", "**very** __bold__ https://x.test", map[string]float64{"log_bold": ln(2), "log_links": ln(1)}},
		{"q", "same line\nsame line\nother", map[string]float64{"repeated_lines": 1.0 / 3}},
		{"q", "I'm sorry, but I can’t help with that.", map[string]float64{"opens_refusing": 1, "log_refusals": ln(2), "log_apologies": ln(1)}},
		{"q", "Certainly! Here is a plan.", map[string]float64{"opens_agreeing": 1, "log_refusals": 0}},
		{"q", "As an AI, I might perhaps say so.", map[string]float64{"log_self_as_ai": ln(1), "log_hedges": ln(2)}},
		{"the red fox", "red fox and red hen", map[string]float64{
			"prompt_words_in_reply": 2.0 / 3, "reply_words_in_prompt": 0.5, "copies_prompt": 0.25,
			"log_length_to_prompt": math.Log(6.0 / 4), "type_token": ln(4) / ln(5),
		}},
		{"q", "go on go on go on", map[string]float64{"repeated_bigrams": 3.0 / 5}},
		{"q", "AbCd", map[string]float64{"upper": 0.5, "word_length": 4}},
	} {
		got := styleOf(c.prompt, c.reply)
		for name, want := range c.want {
			v, ok := got[name]
			if !ok || math.Abs(v-want) > 1e-6 {
				t.Errorf("%q: %s is %v, want %v", c.reply, name, v, want)
			}
		}
	}
	seen := map[string]bool{}
	for _, n := range styleNames {
		if seen[n] {
			t.Errorf("feature %s is named twice", n)
		}
		seen[n] = true
	}
}

// Whatever the text, the features are finite numbers, the same each time, and
// leave nothing behind for the next reply.
func TestFeaturesOfAnyText(t *testing.T) {
	s := spec{hash: true, style: true, dim: minDim, orders: orders}
	used := newExtractor(s)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string {
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}), rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.String().Draw(t, "part"), rapid.IntRange(0, 300).Draw(t, "times"))
		}))
		prompt, reply := dataset.Prompt(text.Draw(t, "prompt")), text.Draw(t, "reply")
		fresh := newExtractor(s)
		f1, f2 := make([]float32, len(styleNames)), make([]float32, len(styleNames))
		fresh.setPrompt(prompt)
		used.setPrompt(prompt)
		r1, r2 := fresh.reply(reply, nil, f1), used.reply(reply, nil, f2)
		if !slices.Equal(r1, r2) || !slices.Equal(f1, f2) {
			t.Fatalf("features %v %v, of a used extractor %v %v", r1, f1, r2, f2)
		}
		seen := map[uint32]bool{}
		for _, e := range r1 {
			if seen[e.bucket()] || e.bucket() >= minDim || e.count() == 0 {
				t.Fatalf("bucket %d with count %d", e.bucket(), e.count())
			}
			seen[e.bucket()] = true
		}
		for i, v := range f1 {
			if v64 := float64(v); math.IsNaN(v64) || math.IsInf(v64, 0) {
				t.Fatalf("%s is %v", styleNames[i], v)
			}
		}
	})
}

func TestPackKeepsBucketAndCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.Uint32Range(0, maxDim-1).Draw(t, "bucket")
		n := rapid.IntRange(-1000, 1000).Draw(t, "count")
		e := pack(b, n)
		if want := max(-127, min(127, n)); e.bucket() != b || e.count() != want {
			t.Fatalf("packed %d, %d; unpacked %d, %d", b, n, e.bucket(), e.count())
		}
		if n != 0 {
			want := math.Copysign(1+math.Log(math.Min(127, math.Abs(float64(n)))), float64(n))
			if e.tf() != want {
				t.Fatalf("value of count %d is %v, want %v", n, e.tf(), want)
			}
		}
	})
}

func TestWordSetIsASet(t *testing.T) {
	var s wordSet
	rapid.Check(t, func(t *rapid.T) {
		s.reset()
		want := map[uint64]bool{}
		for _, h := range rapid.SliceOfN(rapid.Uint64Range(0, 3000), 0, 2000).Draw(t, "hashes") {
			if s.has(h) != want[h] || s.add(h) == want[h] || !s.has(h) {
				t.Fatalf("%d: has or add disagree with the map's %v", h, want[h])
			}
			want[h] = true
		}
		if s.n != len(want) {
			t.Fatalf("%d members, want %d", s.n, len(want))
		}
	})
}
