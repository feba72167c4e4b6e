package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"cai/dataset"
	"cai/rm"
)

// Scorer scores replies, each to its own conversation; a [rm.Model] is one. It
// must be safe for concurrent use.
type Scorer interface {
	ScoreAll(ctx context.Context, items []rm.Item) ([]rm.Score, error)
}

// Case is one or more replies to a conversation.
type Case struct {
	Prompt  dataset.Conversation
	Replies []string
	// Better tells that the first of two replies is the better one.
	Better bool
	Source dataset.Source
}

// Sample draws n of the cases: those whose content, hashed with the seed, comes
// first, so that the same cases are drawn in whatever order they come. The result
// is in that order. Cases of the same content count once; a case without any text
// is left out. For n of 0 all are taken.
func Sample(cases iter.Seq2[Case, error], n int, seed int64) ([]Case, error) {
	type placed struct {
		at   dataset.Hash
		what Case
	}
	var kept []placed
	seen := map[dataset.Hash]bool{}
	trim := func() {
		slices.SortFunc(kept, func(a, b placed) int { return slices.Compare(a.at[:], b.at[:]) })
		if n > 0 && len(kept) > n {
			for _, p := range kept[n:] {
				delete(seen, p.at)
			}
			kept = slices.Delete(kept, n, len(kept))
		}
	}
	for c, err := range cases {
		if err != nil {
			return nil, err
		}
		c.Replies = slices.DeleteFunc(slices.Clone(c.Replies), func(s string) bool { return strings.TrimSpace(s) == "" })
		if len(c.Replies) == 0 {
			continue
		}
		c.Better = c.Better && len(c.Replies) == 2
		h := c.Prompt.Hash()
		at := dataset.HashOf("audit", append([]string{strconv.FormatInt(seed, 10), string(h[:])}, c.Replies...)...)
		if seen[at] {
			continue
		}
		seen[at] = true
		if kept = append(kept, placed{at, c}); n > 0 && len(kept) >= 4*n {
			trim()
		}
	}
	trim()
	out := make([]Case, len(kept))
	for i, p := range kept {
		out[i] = p.what
	}
	return out, nil
}

// Reference is replies with the scores that they have as they are.
type Reference struct {
	Cases  []Case
	Scores [][]float64 // by case, by reply
	// Mean and Scale are the mean and the standard deviation of the scores.
	Mean, Scale float64
	Replies     int

	prompts []dataset.Hash
	scorer  Scorer
	scored  atomic.Int64
}

// ErrNoSpread tells that a scorer gives all replies the same score, so that there
// is nothing to audit.
var ErrNoSpread = errors.New("all replies have the same score")

// NewReference scores the replies of the cases.
func NewReference(ctx context.Context, s Scorer, cases []Case) (*Reference, error) {
	r := &Reference{Cases: cases, Scores: make([][]float64, len(cases)), prompts: make([]dataset.Hash, len(cases)), scorer: s}
	err := r.each(ctx, len(cases), func(i int) error {
		c := &cases[i]
		r.prompts[i] = c.Prompt.Key()
		var err error
		r.Scores[i], err = r.score(ctx, c.Prompt, c.Replies)
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []float64
	for _, s := range r.Scores {
		all = append(all, s...)
	}
	r.Replies = len(all)
	if len(all) < 2 {
		return nil, errors.New("an audit needs two replies at least")
	}
	r.Mean, r.Scale = moments(all)
	if r.Scale <= 1e-12*math.Abs(r.Mean) { // what rounding makes of one number
		return nil, ErrNoSpread
	}
	return r, nil
}

// Scored counts the texts that were scored.
func (r *Reference) Scored() int64 { return r.scored.Load() }

// score scores texts to one prompt.
func (r *Reference) score(ctx context.Context, c dataset.Conversation, texts []string) ([]float64, error) {
	items := make([]rm.Item, len(texts))
	for i, t := range texts {
		items[i] = rm.Item{Prompt: c, Reply: t}
	}
	scores, err := r.scorer.ScoreAll(ctx, items)
	if err != nil {
		return nil, err
	}
	r.scored.Add(int64(len(texts)))
	out := make([]float64, len(scores))
	for i, s := range scores {
		if math.IsNaN(s.Mean) || math.IsInf(s.Mean, 0) {
			return nil, fmt.Errorf("a reply of %d bytes has no finite score", len(texts[i]))
		}
		out[i] = s.Mean
	}
	return out, nil
}

// each calls f for the numbers below n, on as many goroutines as there are
// processors, and gives the error of the lowest number that had one.
func (r *Reference) each(ctx context.Context, n int, f func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, n)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				if errs[i] = f(i); errs[i] != nil {
					next.Store(int64(n))
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return cmp.Or(errs...)
}

// pool gives up to 40 replies to other prompts than that of case i.
func (r *Reference) pool(i int) []string {
	var out []string
	for k := 1; k < len(r.Cases) && len(out) < 40; k++ {
		j := (i + k) % len(r.Cases)
		if r.prompts[j] != r.prompts[i] {
			out = append(out, r.Cases[j].Replies[0])
		}
	}
	return out
}

// moments gives the mean and the standard deviation, over n.
func moments(xs []float64) (mean, sd float64) {
	for _, x := range xs {
		mean += x
	}
	mean /= float64(len(xs))
	v := 0.0
	for _, x := range xs {
		v += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(v / float64(len(xs)))
}
