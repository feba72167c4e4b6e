package store

import (
	"encoding/json"
	"math"
)

// encodeVotes writes votes for the first reply as votes for a. NaN is null.
func encodeVotes(votes []float64, swapped bool) string {
	out := make([]*float64, len(votes))
	for i, v := range votes {
		if math.IsNaN(v) {
			continue
		}
		if swapped {
			v = 1 - v
		}
		out[i] = &v
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // numbers and nulls can be written
	}
	return string(b)
}

// decodeVotes reads what encodeVotes wrote; nil of nothing.
func decodeVotes(text string) ([]float64, error) {
	if text == "" {
		return nil, nil
	}
	var in []*float64
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, err
	}
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = math.NaN()
		if v != nil {
			out[i] = *v
		}
	}
	return out, nil
}
