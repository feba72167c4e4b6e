package dataset_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cai/dataset"
)

// What single people said is kept beside the mean that it comes to, in the order
// in which the file names them.
func TestVotesOfSinglePeopleAreKept(t *testing.T) {
	nan := math.NaN()
	for in, want := range map[string]struct {
		votes []float64
		p     float64
	}{
		`{"prompt":"p","response_a":"x","response_b":"y","labels":["a","tie","b","b"]}`:                  {[]float64{1, 0.5, 0, 0}, 0.375},
		`{"prompt":"p","response_a":"x","response_b":"y","labels":["a",null]}`:                           {[]float64{1, nan}, 1},
		`{"prompt":"p","response_1":"x","response_2":"y","annotators":[2,0,1]}`:                          {[]float64{0, 0.5, 1}, 0.5},
		`{"prompt":"p","response1":"x","response2":"y","annotator1":1,"annotator2":1,"annotator3":2}`:    {[]float64{1, 1, 0}, 2.0 / 3},
		`{"prompt":"p","response_a":"x","response_b":"y","label":"b"}`:                                   {nil, 0},
		`{"prompt":"p","response_a":"x","response_b":"y","labels":["a","b"],"label_prob":0.9,"extra":1}`: {[]float64{1, 0}, 0.9},
		`{"prompt":"p","chosen":"x","rejected":"y"}`:                                                     {nil, 1},
	} {
		var got *dataset.Pair
		for p, err := range dataset.Pairs("-", dataset.ReadOptions{Stdin: strings.NewReader(in)}) {
			if err != nil {
				t.Fatalf("%s: %v", in, err)
			}
			got = p
		}
		if !cmp.Equal(got.Votes, want.votes, cmpopts.EquateNaNs()) || math.Abs(got.P-want.p) > 1e-12 {
			t.Errorf("%s: votes %v, P %v", in, got.Votes, got.P)
		}
	}
}
