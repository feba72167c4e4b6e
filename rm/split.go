package rm

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"cai/dataset"
)

// split orders the rows as training, validation, holdout, each by hash, and
// gives the numbers of the first two. All pairs of a prompt fall into one part:
// below the holdout's share of [0, 1) by the prompt's place, then validation,
// then training. Where so few prompts leave a part empty, the prompts are dealt
// by rank instead; fewer than three of them are all trained on.
func split(rows []row, holdout float64) (train, validation int) {
	prompts := map[dataset.Hash]float64{}
	for i := range rows {
		prompts[rows[i].prompt] = rows[i].u
	}
	lo, hi := holdout, holdout+(1-holdout)*validationShare
	n := [3]int{}
	for _, u := range prompts {
		n[part(u, lo, hi)]++
	}
	if n[0] == 0 || n[1] == 0 || n[2] == 0 && holdout > 0 {
		lo, hi = byRank(prompts, holdout, len(prompts) < textsKept)
	}
	order := make([]int32, 0, len(rows))
	for k := range n {
		n[k] = 0
		for i := range rows {
			if part(rows[i].u, lo, hi) != k {
				continue
			}
			n[k]++
			order = append(order, int32(i))
			if k < 2 {
				rows[i].pair = nil
			}
		}
	}
	arrange(rows, order)
	return n[0], n[1]
}

// part tells where a place falls: 0 training, 1 validation, 2 holdout.
func part(u, lo, hi float64) int {
	switch {
	case u < lo:
		return 2
	case u < hi:
		return 1
	}
	return 0
}

// byRank gives the bounds that put at least one prompt into every part, as far
// as there are prompts. Without texts the holdout stays as it is.
func byRank(prompts map[dataset.Hash]float64, holdout float64, texts bool) (lo, hi float64) {
	us := make([]float64, 0, len(prompts))
	for _, u := range prompts {
		us = append(us, u)
	}
	slices.Sort(us)
	n := len(us)
	if n < 3 {
		return 0, 0
	}
	h := int(math.Round(holdout * float64(n)))
	if holdout > 0 {
		h = min(max(h, 1), n-2)
	}
	lo = us[h]
	if !texts {
		lo = holdout
		h, _ = slices.BinarySearch(us, lo)
		h = min(h, n-2)
	}
	v := max(int(math.Round(validationShare*float64(n-h))), 1)
	return lo, us[min(h+v, n-1)]
}

// dataHash identifies the rows and their labels.
func dataHash(rows []row) dataset.Hash {
	keys := make([]int, len(rows))
	for i := range keys {
		keys[i] = i
	}
	slices.SortFunc(keys, func(x, y int) int { return bytes.Compare(rows[x].key[:], rows[y].key[:]) })
	var b []byte
	for _, i := range keys {
		b = append(b, rows[i].key[:]...)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(rows[i].p()))
	}
	return dataset.HashOf("training", string(b))
}
