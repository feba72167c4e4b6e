package label_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cai/dataset"
	"cai/label"
)

// askedCalls are the calls that a server makes which takes perCall for each and
// perToken for each token that it has not in its cache, one after the other.
func askedCalls(pairs, principles int, perCall, perToken time.Duration, tokensPerByte float64, question func(dataset.Hash) int) []dataset.Call {
	at := time.Unix(1_700_000_000, 0)
	var calls []dataset.Call
	for p := range pairs {
		prompt, replies := 400+40*p, 800+100*p
		for i, o := range []dataset.Order{dataset.OrderAB, dataset.OrderBA} {
			for k := range principles {
				q := question(principle(k))
				fresh := float64(q)
				if k == 0 {
					fresh += float64(replies)
					if i == 0 {
						fresh += float64(prompt)
					}
				}
				took := perCall + time.Duration(fresh*tokensPerByte*float64(perToken))
				at = at.Add(took)
				calls = append(calls, dataset.Call{
					Pair: dataset.HashOf("pair", fmt.Sprint(p)), Principle: principle(k), Order: o, Seq: int64(len(calls)),
					Prompt: prompt, Replies: replies, Tokens: int(math.Round(tokensPerByte * float64(prompt+replies+q))),
					Duration: took, Ended: at,
				})
			}
		}
	}
	return calls
}

func sixty(dataset.Hash) int { return 60 }

// The forecast of a job on a server that follows the model is what the job then
// takes, whatever the number of principles that it was measured on.
func TestAForecastIsWhatTheJobTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perCall := time.Duration(rapid.IntRange(5, 500).Draw(t, "ms a call")) * time.Millisecond
		perToken := time.Duration(rapid.IntRange(100, 20_000).Draw(t, "µs a token")) * time.Microsecond
		known := askedCalls(rapid.IntRange(5, 30).Draw(t, "pairs"), rapid.IntRange(2, 6).Draw(t, "principles"), perCall, perToken, 0.25, sixty)
		shuffled := rapid.Permutation(known).Draw(t, "order")
		pace, ok := label.Measure(shuffled, sixty)
		if !ok || pace.Calls != len(known) || math.Abs(pace.TokensPerByte-0.25) > 0.002 || math.Abs(pace.Parallel-1) > 1e-6 {
			t.Fatalf("pace %+v", pace)
		}
		k := rapid.IntRange(1, 20).Draw(t, "principles of the job")
		job := askedCalls(40, k, perCall, perToken, 0.25, sixty)
		o := &dataset.Outlook{}
		var took time.Duration
		var tokens int64
		for i := range k {
			o.ByPrinciple = append(o.ByPrinciple, dataset.PrinciplePlan{Principle: principle(i), Open: 80})
		}
		seen := map[dataset.Hash]map[dataset.Order]bool{}
		for _, c := range job {
			took += c.Duration
			tokens += int64(c.Tokens)
			o.Texts += int64(c.Prompt + c.Replies)
			if seen[c.Pair] == nil {
				seen[c.Pair] = map[dataset.Order]bool{}
			}
			switch {
			case seen[c.Pair][c.Order]:
				o.Cached += int64(c.Prompt + c.Replies)
			case len(seen[c.Pair]) > 0:
				o.Cached += int64(c.Prompt)
			}
			seen[c.Pair][c.Order] = true
		}
		f := pace.Forecast(o, 1, sixty)
		if f.Calls != int64(len(job)) || math.Abs(float64(f.Tokens-tokens)) > 0.01*float64(tokens) {
			t.Fatalf("%d calls and %d tokens, want %d and %d", f.Calls, f.Tokens, len(job), tokens)
		}
		if d := float64(f.Time) / float64(took); d < 0.95 || d > 1.05 {
			t.Fatalf("forecast %v, takes %v", f.Time, took)
		}
		half := f.Scaled(0.5)
		if math.Abs(float64(half.Tokens)-float64(f.Tokens)/2) > 1 || half.Calls != f.Calls/2 {
			t.Fatalf("half of %+v is %+v", f, half)
		}
	})
}

// Calls that overlap share the clock; pauses between runs do not count.
func TestParallelCallsShareTheClock(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	var calls []dataset.Call
	for i := range 8 {
		// Four at once for a second, an hour later another four.
		calls = append(calls, dataset.Call{
			Pair: dataset.HashOf("pair", fmt.Sprint(i)), Order: dataset.OrderAB, Seq: int64(i),
			Prompt: 10, Replies: 90, Tokens: 40, Duration: time.Second, Ended: at.Add(time.Duration(i/4) * time.Hour),
		})
	}
	pace, _ := label.Measure(calls, sixty)
	if pace.Parallel != 4 || pace.PerCall != 1 || pace.PerToken != 0 {
		t.Fatalf("%+v, want 4 at once and a second a call", pace)
	}
	o := &dataset.Outlook{Texts: 800, ByPrinciple: []dataset.PrinciplePlan{{Principle: principle(0), Open: 8}}}
	if f := pace.Forecast(o, 1, sixty); f.Time != 2*time.Second || f.Calls != 8 || f.Tokens != 8*40 {
		t.Errorf("%+v, want 8 calls in 2 s with 320 tokens", f)
	}
	if f := pace.Forecast(o, 3, sixty); f.Calls != 24 || f.Tokens != 24*40 || f.Cached != 2*8*25 {
		t.Errorf("three votes: %+v", f)
	}
}

func TestWithoutCallsTokensAreReckonedAndTimeIsNot(t *testing.T) {
	pace, ok := label.Measure(nil, sixty)
	if ok {
		t.Error("a pace of no calls")
	}
	o := &dataset.Outlook{Texts: 3400, ByPrinciple: []dataset.PrinciplePlan{{Open: 10}}}
	if f := pace.Forecast(o, 1, sixty); f.Tokens != 1000 || f.Time != 0 {
		t.Errorf("%+v, want 1000 tokens", f)
	}
	if f := pace.Forecast(&dataset.Outlook{}, 1, sixty); f.Calls != 0 || f.Tokens != 0 || !slices.Equal(f.ByPrinciple, []int64{}) {
		t.Errorf("nothing open: %+v", f)
	}
}
