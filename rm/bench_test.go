package rm_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cai/dataset"
	"cai/rm"
)

// realPairs gives pairs of real text: the first of RMB's training pairs if
// CAI_DATA names a folder with them, else those of the examples.
func realPairs(b *testing.B, n int) []*dataset.Pair {
	b.Helper()
	name := filepath.Join("..", "examples", "pairs.jsonl")
	if d := os.Getenv("CAI_DATA"); d != "" {
		name = filepath.Join(d, "rmb_train.jsonl.gz")
	}
	var pairs []*dataset.Pair
	for p, err := range dataset.Pairs(name, dataset.ReadOptions{}) {
		if err != nil {
			b.Fatal(err)
		}
		if !p.Labelled() {
			p.P = float64(len(pairs) % 2)
		}
		if pairs = append(pairs, p); len(pairs) == n {
			break
		}
	}
	return pairs
}

// thousand gives texts of 1,000 characters, of whole replies one after the
// other.
func thousand(pairs []*dataset.Pair, n int) []string {
	var texts []string
	for i := 0; len(texts) < n; {
		var all strings.Builder
		for all.Len() < 4000 {
			all.WriteString(pairs[i%len(pairs)].First.Text + "\n")
			i++
		}
		texts = append(texts, string([]rune(all.String())[:1000]))
	}
	return texts
}

// BenchmarkScoreText scores replies of 1,000 characters with a model of real
// size. An operation is one reply; each comes with another prompt.
func BenchmarkScoreText(b *testing.B) {
	pairs := realPairs(b, 5000)
	texts := thousand(pairs, 500)
	for _, features := range []string{"hash", "style", "hash,style"} {
		b.Run(features, func(b *testing.B) {
			seq := func(yield func(*dataset.Pair, error) bool) {
				for _, p := range pairs {
					if !yield(p, nil) {
						return
					}
				}
			}
			m, _, err := rm.Train(context.Background(), seq, rm.Options{L2: []float64{1}, Features: strings.Split(features, ",")})
			if err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				score(b, m, pairs[i%len(pairs)].Prompt, texts[i%len(texts)])
				i++
			}
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "replies/s")
		})
	}
}
