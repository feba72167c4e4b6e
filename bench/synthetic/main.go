// Command synthetic writes preference pairs of any number, for figures of time
// and memory: replies of words from a vocabulary by Zipf's law, a few of which
// make a reply better. The label is drawn by Bradley–Terry from what the words
// of both come to. The same flags give the same pairs.
//
//	go run ./bench/synthetic -pairs 1000000 -out pairs.jsonl.gz
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"

	"cai/dataset"
)

func main() {
	pairs := flag.Int("pairs", 100_000, "number of pairs")
	words := flag.Int("words", 300, "mean number of words of a reply")
	vocabulary := flag.Int("vocabulary", 50_000, "number of different words")
	seed := flag.Uint64("seed", 1, "seed")
	out := flag.String("out", "", "file to write, .gz or .zst compressed; empty is standard output")
	flag.Parse()
	if err := write(*pairs, *words, *vocabulary, *seed, *out); err != nil {
		fmt.Fprintln(os.Stderr, "synthetic:", err)
		os.Exit(1)
	}
}

// signals is how many words, after the commonest, make a reply better or worse.
const signals = 400

func write(pairs, words, vocabulary int, seed uint64, out string) error {
	r := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(r, 1.1, 5, uint64(vocabulary-1))
	list := make([]string, vocabulary)
	worth := make([]float64, vocabulary)
	for i := range list {
		list[i] = word(i)
		if i >= 30 && i < 30+signals {
			worth[i] = r.NormFloat64()
		}
	}
	f, err := dataset.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	e := json.NewEncoder(f)
	text := func(n int, value *float64) string {
		var b strings.Builder
		for i := range n {
			w := zipf.Uint64()
			*value += worth[w]
			switch {
			case i == 0:
			case i%17 == 0:
				b.WriteString(". ")
			default:
				b.WriteByte(' ')
			}
			b.WriteString(list[w])
		}
		return b.String()
	}
	for range pairs {
		var a, b, none float64
		prompt := text(8+r.IntN(9), &none) + "?"
		first := text(words*3/4+r.IntN(words/2+1), &a)
		second := text(words*3/4+r.IntN(words/2+1), &b)
		if r.Float64() > 1/(1+math.Exp((b-a)/4)) {
			first, second = second, first
		}
		if err := e.Encode(map[string]string{"prompt": prompt, "chosen": first, "rejected": second}); err != nil {
			return err
		}
	}
	return f.Commit()
}

// word spells number i in syllables: the commoner it is, the shorter.
func word(i int) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for n := i + 1; n > 0; n /= len(consonants) * len(vowels) {
		k := n % (len(consonants) * len(vowels))
		b.WriteByte(consonants[k%len(consonants)])
		b.WriteByte(vowels[k/len(consonants)])
	}
	return b.String()
}
