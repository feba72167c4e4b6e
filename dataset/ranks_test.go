package dataset_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/dataset"
)

// TestAChoiceOfARankingCountsOnce: of a ranking without ties the pairs that one
// reply wins have weights that sum to 1, for each but the last.
func TestAChoiceOfARankingCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "n")
		ranks := rapid.Permutation(func() (r []int) {
			for i := range n {
				r = append(r, i+1)
			}
			return r
		}()).Draw(t, "ranks")
		texts, numbers := make([]string, n), make([]string, n)
		for i := range n {
			texts[i], numbers[i] = fmt.Sprintf("%q", fmt.Sprint("r", i)), fmt.Sprint(ranks[i])
		}
		in := fmt.Sprintf(`{"prompt":"p","responses":[%s],"ranks":[%s]}`, strings.Join(texts, ","), strings.Join(numbers, ","))
		won := map[string]float64{}
		for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
			if err != nil {
				t.Fatal(err)
			}
			var w float64
			if err := json.Unmarshal(p.Source.Extra.Get("list_weight"), &w); err != nil {
				t.Fatal(err)
			}
			winner := p.First.Text
			if p.P == 0 {
				winner = p.Second.Text
			}
			won[winner] += w
		}
		if len(won) != n-1 {
			t.Fatalf("%d replies win, of %d", len(won), n)
		}
		for r, w := range won {
			if math.Abs(w-1) > 1e-4 {
				t.Errorf("%s counts %v", r, w)
			}
		}
	})
}
