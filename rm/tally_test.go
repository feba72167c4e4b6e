package rm

import (
	"fmt"
	"hash/fnv"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
)

// A tally counts as a map does, whatever was counted before, and gives the
// buckets in the order in which they first occurred.
func TestTallyCounts(t *testing.T) {
	var used tally
	rapid.Check(t, func(t *rapid.T) {
		adds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) slot {
			return slot{rapid.Uint32Range(0, 400).Draw(t, "bucket") << rapid.IntRange(0, 1).Draw(t, "shift"), rapid.SampledFrom([]int32{-1, 1}).Draw(t, "sign")}
		}), 0, 600).Draw(t, "adds")
		counts, order := map[uint32]int{}, []uint32{}
		if rapid.Bool().Draw(t, "expected") {
			used.expect(rapid.IntRange(0, 700).Draw(t, "room"))
		}
		for _, a := range adds {
			used.add(a.bucket, a.n)
			if _, ok := counts[a.bucket]; !ok {
				order = append(order, a.bucket)
			}
			counts[a.bucket] += int(a.n)
		}
		var want []entry
		for _, b := range order {
			if counts[b] != 0 {
				want = append(want, pack(b, counts[b]))
			}
		}
		if got := used.drain(nil); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// The features of a version are the same bit for bit for ever: a model file of
// the version counts on it. The texts take every turn of the tokens and of the
// measures of style.
func TestFeaturesOfTheVersion(t *testing.T) {
	texts := []string{
		"", " \t\r\n", "Sure! I can't help with that, sorry.\n\n1. Don't.\n2) It’s illegal…\n\n- a\n* b\n+ c\n• d\n",
		"# Title\n\n| a | b |\n| a | b |\n\n```go\nx := \"1\"\n```\nSee https://example.com (or **bold**, __bold__)?",
		"你好。这是什么？我们去！ ภาษาไทย မြန်မာ", "Ünïcode É é İstanbul ٣ «quoted» “so” he said.” ’tis x’y",
		"\xff\xfe broken \xe2\x80 bytes \u00a0 and \u2028 spaces. 😀🚀 𝔸",
		"as an AI language model, I think it depends. Perhaps. Because of that, I hope this helps", "a'b 'c d' e''f I'm",
	}
	h := fnv.New64a()
	e := newExtractor(spec{hash: true, style: true, dim: 1 << 18, orders: 3})
	dense := make([]float32, len(styleNames))
	for _, prompt := range texts {
		e.setPrompt(dataset.Prompt(prompt))
		for _, reply := range texts {
			fmt.Fprintln(h, e.reply(reply, nil, dense), dense, e.promptWords(nil))
		}
	}
	if got, want := fmt.Sprintf("version %d: %016x", featureVersion, h.Sum64()), "version 1: 3eac6afa3fdcd3ea"; got != want {
		t.Errorf("features of %s, want %s; a change of them is a change of the version", got, want)
	}
}
