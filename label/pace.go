package label

import (
	"cmp"
	"math"
	"slices"
	"time"

	"cai/dataset"
)

// Pace is what calls of one judge take, found from calls that were made.
type Pace struct {
	Calls int // it was found from
	// TokensPerByte is how many tokens of a prompt a byte of its texts makes,
	// the wording around them included.
	TokensPerByte float64
	// PerCall is what a call takes, in seconds, whatever it asks, and PerToken
	// what each token takes that the server has not in its prefix cache.
	PerCall, PerToken float64
	// Parallel is how many calls were under way at once, on the average of the
	// time in which there was one.
	Parallel float64
}

// AssumedTokensPerByte stands in where no call of a judge is known: four bytes
// a token, about what English prose has.
const AssumedTokensPerByte = 0.25

// Measure finds the pace of calls; question gives the bytes of a principle's
// question. It reports false where there are no calls.
//
// The first call of a pair in one order reads the whole prompt, later ones only
// the question, since the server still has the rest; the first call of the
// second order has the conversation. On the tokens so counted the time is
// fitted by least squares; where it does not grow with them, as with a server
// that is bound by something else, all is put down to the call.
func Measure(calls []dataset.Call, question func(dataset.Hash) int) (Pace, bool) {
	if len(calls) == 0 {
		return Pace{TokensPerByte: AssumedTokensPerByte, Parallel: 1}, false
	}
	calls = slices.Clone(calls)
	slices.SortFunc(calls, func(a, b dataset.Call) int { return cmp.Compare(a.Seq, b.Seq) })
	p := Pace{Calls: len(calls)}
	type group struct {
		pair  dataset.Hash
		order dataset.Order
	}
	asked := map[group]bool{}
	var bytes, tokens, sx, sy, sxx, sxy float64
	for _, c := range calls {
		all := float64(c.Prompt + c.Replies + question(c.Principle))
		bytes += all
		tokens += float64(c.Tokens)
		fresh := 1.0 // share of the prompt that the server reads
		switch this, other := (group{c.Pair, c.Order}), (group{c.Pair, turned(c.Order)}); {
		case asked[this]:
			fresh = float64(question(c.Principle)) / all
		case asked[other]:
			fresh = float64(c.Replies+question(c.Principle)) / all
		}
		asked[group{c.Pair, c.Order}] = true
		x, y := fresh*float64(c.Tokens), c.Duration.Seconds()
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if bytes > 0 {
		p.TokensPerByte = tokens / bytes
	}
	n := float64(len(calls))
	if spread := sxx - sx*sx/n; spread > 1e-9*sxx {
		p.PerToken = math.Max(0, (sxy-sx*sy/n)/spread)
	}
	if p.PerCall = (sy - p.PerToken*sx) / n; p.PerCall < 0 { // through the origin then
		p.PerCall, p.PerToken = 0, sxy/sxx
	}
	p.Parallel = parallel(calls)
	return p, true
}

func turned(o dataset.Order) dataset.Order {
	if o == dataset.OrderAB {
		return dataset.OrderBA
	}
	return dataset.OrderAB
}

// parallel gives the calls' total duration over the time in which any of them
// was under way, at least 1. Pauses between runs do not count.
func parallel(calls []dataset.Call) float64 {
	slices.SortFunc(calls, func(a, b dataset.Call) int { return a.Ended.Add(-a.Duration).Compare(b.Ended.Add(-b.Duration)) })
	var sum, busy time.Duration
	var until time.Time
	for _, c := range calls {
		from := c.Ended.Add(-c.Duration)
		if from.Before(until) {
			from = until
		}
		if c.Ended.After(from) {
			busy += c.Ended.Sub(from)
			until = c.Ended
		}
		sum += c.Duration
	}
	if busy == 0 {
		return 1
	}
	return math.Max(1, float64(sum)/float64(busy))
}

// Forecast is what the open questions of a job will take.
type Forecast struct {
	Calls  int64
	Tokens int64 // of the prompts, as servers count them
	Cached int64 // of those, tokens that a prefix cache saves
	Time   time.Duration
	// ByPrinciple are the prompt tokens of each principle's questions, in the
	// outlook's order.
	ByPrinciple []int64
}

// Forecast guesses what a job takes at this pace, with the given number of calls
// to a question.
func (p Pace) Forecast(o *dataset.Outlook, calls int64, question func(dataset.Hash) int) Forecast {
	open := o.Open()
	f := Forecast{Calls: open * calls, ByPrinciple: make([]int64, len(o.ByPrinciple))}
	if open == 0 {
		return f
	}
	texts := float64(o.Texts) / float64(open) // of a question, on average
	var tokens float64
	for i, k := range o.ByPrinciple {
		t := float64(k.Open*calls) * (texts + float64(question(k.Principle))) * p.TokensPerByte
		f.ByPrinciple[i] = int64(math.Round(t))
		tokens += t
	}
	// A question that is put again is in the cache but for its own words.
	cached := (float64(o.Cached) + float64(o.Texts)*float64(calls-1)) * p.TokensPerByte
	f.Tokens, f.Cached = int64(math.Round(tokens)), int64(math.Round(cached))
	seconds := (p.PerCall*float64(open) + p.PerToken*(tokens-cached)) / p.Parallel
	f.Time = time.Duration(seconds * float64(time.Second))
	return f
}

// Scaled is the forecast of a part of the questions of every kind.
func (f Forecast) Scaled(part float64) Forecast {
	scale := func(n int64) int64 { return int64(math.Round(float64(n) * part)) }
	out := Forecast{
		Calls: scale(f.Calls), Tokens: scale(f.Tokens), Cached: scale(f.Cached),
		Time: time.Duration(float64(f.Time) * part), ByPrinciple: slices.Clone(f.ByPrinciple),
	}
	for i, n := range out.ByPrinciple {
		out.ByPrinciple[i] = scale(n)
	}
	return out
}
