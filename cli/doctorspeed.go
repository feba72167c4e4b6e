package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/llm"
)

const (
	further   = 3 // questions after the first that a long pair is asked
	countTo   = 24
	groupSize = 6 // questions of a group
	groups    = 4
	// tooFast is a time below which a server's clock says nothing.
	tooFast = 20 * time.Millisecond
)

// jobJSON is a job of a given size and what it would take.
type jobJSON struct {
	Pairs      int     `json:"pairs"`
	Principles int     `json:"principles"`
	Orders     int     `json:"orders"`
	Tokens     int     `json:"tokens"` // of a prompt and both replies
	Calls      int     `json:"calls"`
	First      float64 `json:"first_seconds"`   // of a pair's first question in both orders
	Further    float64 `json:"further_seconds"` // of each further one
	Hours      float64 `json:"hours"`

	group [2]float64 // seconds with one group in flight: alone, and in the best number
}

// shape is what the rest is measured with.
func (d *doctor) shape() (*judge.Judge, error) {
	s, err := judge.ParseShape(d.out.Shape)
	if err != nil {
		return nil, err
	}
	return d.judge(s)
}

// questions gives n principles of the constitution to ask, from the first again
// if it has fewer.
func (d *doctor) questions(n int) []constitution.Principle {
	out := make([]constitution.Principle, n)
	for i := range out {
		out[i] = d.asked[i%len(d.asked)]
		if i >= len(d.asked) {
			out[i].Compare = fmt.Sprintf("%s (%d)", out[i].Compare, i) // another text, as another principle has
		}
	}
	return out
}

// fresh marks a prompt that no cache holds.
func fresh(n int) string { return fmt.Sprintf("[%d.%d]", time.Now().UnixNano(), n) }

// speed measures what a pair of the job costs: its first question in each order,
// each further one, whose prompt differs only at the end, and tokens written.
func (d *doctor) speed() error {
	j, err := d.shape()
	if err != nil {
		return err
	}
	// Half the tokens of the built-in pairs are around the texts.
	tokens := min(d.c.Int("tokens"), d.model.NumCtx()*3/4)
	perByte := float64(d.tokens) / float64(max(1, d.bytes))
	if d.tokens == 0 {
		perByte = 0.25
	}
	texts := filler(int(float64(tokens) / perByte))
	ps := d.questions(1 + further)
	var first, more []time.Duration
	var read, readTime float64
	p := d.app.progress(d.c, "measure the speed", "answers", int64(2*len(ps)))
	defer p.done()
	// Two rounds: the first may wake a server that slept.
	conv := dataset.Prompt(fresh(0) + " " + texts[0])
	for order := range 2 {
		q := judge.Question{Prompt: conv, First: texts[1], Second: texts[2]}
		if order == 1 {
			q.First, q.Second = q.Second, q.First
		}
		for i := range ps {
			q.Principle = &ps[i]
			start := time.Now()
			r, err := j.Model.Chat(d.ctx, llm.Request{Messages: j.Shape.Render(q), MaxTokens: 1, TopLogprobs: llm.TopLogprobs})
			if err != nil {
				return d.unmeasured("rates", err)
			}
			took := time.Since(start)
			if i == 0 {
				first = append(first, took)
			} else {
				more = append(more, took)
			}
			if i == 0 && order == 0 {
				read, readTime = float64(r.PromptTokens), took.Seconds()
				if r.PromptTime > took/100 {
					readTime = r.PromptTime.Seconds()
				}
				tokens = r.PromptTokens
			}
			p.set(int64(order*len(ps)+i+1), "")
		}
	}
	write, err := d.writing()
	if err != nil {
		return d.unmeasured("rates", err)
	}
	p.done()
	rate := read / math.Max(readTime, 1e-9)
	d.pass("rates", map[string]any{"prompt_tokens_per_second": eval.Figure(rate), "answer_tokens_per_second": eval.Figure(write), "tokens": tokens},
		"%s prompt tokens a second, %s tokens a second written", rateText(rate), figureText(write))
	d.cache(first[0], mean(more), tokens)
	d.out.Job = &jobJSON{
		Pairs: d.c.Int("pairs"), Principles: d.c.Int("principles"), Orders: 2, Tokens: d.c.Int("tokens"),
		First: (first[0] + first[1]).Seconds(), Further: mean(more).Seconds(),
	}
	if tokens > 0 {
		// Reading grows with the text. What further questions cost does not, where
		// the text is cached.
		d.out.Job.First *= float64(d.out.Job.Tokens) / float64(tokens)
		if mean(more) > first[0]/2 {
			d.out.Job.Further *= float64(d.out.Job.Tokens) / float64(tokens)
		}
	}
	return nil
}

// unmeasured ends the measurements after an error. One that concerns a single
// answer says nothing against the judge.
func (d *doctor) unmeasured(name string, err error) error {
	if llm.KindOf(err) == "" || llm.Fatal(err) || d.ctx.Err() != nil {
		d.broke(name, err)
		return err
	}
	d.warn(name, nil, llm.HintOf(err), "could not be measured: %v", bare(err))
	return errEnough
}

// cache says whether the server read a pair once for several questions.
func (d *doctor) cache(first, more time.Duration, tokens int) {
	saved := 1 - more.Seconds()/first.Seconds()
	value := map[string]any{"first_seconds": first.Seconds(), "further_seconds": more.Seconds(), "saved": eval.Figure(saved)}
	text := fmt.Sprintf("the first question on a pair of %d tokens takes %s, each further one %s", tokens, seconds(first), seconds(more))
	switch {
	case first < tooFast:
		d.pass("prefix_cache", value, "%s: too fast to tell", text)
	case saved < 0.5:
		d.warn("prefix_cache", value, "the server reads the pair anew for each principle: switch its prefix cache on, or ask fewer principles", "%s", text)
	default:
		d.pass("prefix_cache", value, "%s", text)
	}
}

// writing gives the tokens a second of a longer answer; NaN if it stayed short.
func (d *doctor) writing() (float64, error) {
	var began time.Time
	pieces := 0
	r, err := d.model.Chat(d.ctx, llm.Request{
		Messages:  []llm.Message{{Role: "user", Content: fresh(1) + " Write the numbers from one to twenty as words."}},
		MaxTokens: countTo,
		OnText: func(string) {
			if pieces++; pieces == 1 {
				began = time.Now()
			}
		},
	})
	if err != nil {
		if llm.KindOf(err) != "" && !llm.Fatal(err) {
			return math.NaN(), nil
		}
		return 0, err
	}
	if n := r.OutputTokens - 1; n >= 4 && pieces > 1 {
		return float64(n) / math.Max(time.Since(began).Seconds(), 1e-6), nil
	}
	return math.NaN(), nil
}

func figureText(x float64) string {
	if math.IsNaN(x) {
		return "an unknown number of"
	}
	return rateText(x)
}

func mean(ds []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}
	return sum / time.Duration(max(1, len(ds)))
}

// filler makes a prompt and two replies of n bytes together of the built-in
// ones.
func filler(n int) [3]string {
	var parts [3][]string
	size := 0
	probes := judge.Probes()
	for i := 0; size < n; i++ {
		p := probes[i%len(probes)]
		for k, text := range []string{p.Prompt, p.Good, probes[(i+7)%len(probes)].Good} {
			if size >= n && i > 0 {
				break
			}
			parts[k] = append(parts[k], text)
			size += len(text) + 1
		}
	}
	return [3]string{strings.Join(parts[0], " "), strings.Join(parts[1], " "), strings.Join(parts[2], " ")}
}

// parallel measures groups of questions, each group on one pair as cai label
// asks them, with one, two and four groups in flight. More is better only where
// the server computes them together and keeps a cache for each.
func (d *doctor) parallel() error {
	j, err := d.shape()
	if err != nil {
		return err
	}
	ps := d.questions(groupSize)
	levels := []int{1, 2, 4}
	rates := make([]float64, len(levels))
	best := 0
	var alone time.Duration
	p := d.app.progress(d.c, "measure pairs at once", "answers", int64(len(levels)*groups*groupSize))
	defer p.done()
	var done atomic.Int64
	for k, n := range levels {
		limit := time.Hour
		if k > 0 {
			limit = alone + alone/2 // a number that is slower need not come to its end
		}
		calls, took, err := d.inFlight(j, ps, n, limit, func() { p.set(done.Add(1), "") })
		if err != nil {
			return d.unmeasured("parallel", err)
		}
		if k == 0 {
			alone = took
		}
		rates[k] = float64(calls) / math.Max(took.Seconds(), 1e-9)
		if rates[k] > 1.05*rates[best] {
			best = k
		}
	}
	p.done()
	d.out.Jobs = levels[best]
	var says []string
	value := map[string]any{"jobs": d.out.Jobs}
	for k, n := range levels {
		says = append(says, fmt.Sprintf("%d: %s", n, rateText(rates[k])))
		value[fmt.Sprint(n)] = eval.Figure(rates[k])
	}
	text := "answers a second with so many pairs at once: " + strings.Join(says, ", ")
	d.out.Job.group = [2]float64{rates[0], rates[best]}
	switch {
	case alone < groups*groupSize*time.Millisecond:
		d.pass("parallel", value, "%s", text)
	case best == 0:
		d.pass("parallel", value, "%s: more does not pay (--jobs 1, or auto)", text)
	default:
		d.pass("parallel", value, "%s: it pays (--jobs %d, or auto)", text, d.out.Jobs)
	}
	return nil
}

// inFlight asks groups of questions with n groups in flight. After limit no more
// are asked.
func (d *doctor) inFlight(j *judge.Judge, ps []constitution.Principle, n int, limit time.Duration, each func()) (calls int, took time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(d.ctx)
	defer cancel(nil)
	work := make(chan judge.Question)
	var wg sync.WaitGroup
	var answered atomic.Int64
	start := time.Now()
	for range n {
		wg.Go(func() {
			for q := range work {
				for i := range ps {
					if ctx.Err() != nil || time.Since(start) > limit {
						break
					}
					q.Principle = &ps[i]
					if _, err := j.Compare(ctx, q); err != nil && llm.KindOf(err) != llm.KindEmpty {
						cancel(err)
						return
					}
					answered.Add(1)
					each()
				}
			}
		})
	}
	mark := fresh(n)
	for i, probe := range judge.Probes()[:groups] {
		q := probe.Question(i%2 == 0, nil)
		// No cache may hold the pair from before.
		q.Prompt = dataset.Prompt(mark + " " + probe.Prompt)
		select {
		case work <- q:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	took = time.Since(start)
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) || d.ctx.Err() != nil {
		return 0, took, errors.Join(err, d.ctx.Err())
	}
	return int(answered.Load()), took, nil
}

// hours says what the job would take, both orders of each pair.
func (d *doctor) hours() error {
	job := d.out.Job
	if job.Principles == 0 {
		job.Principles = len(d.asked)
	}
	job.Calls = job.Pairs * job.Principles * job.Orders
	s := float64(job.Pairs) * (job.First + float64(job.Orders*(job.Principles-1))*job.Further)
	if job.group[0] > 0 && job.group[1] > job.group[0] {
		s *= job.group[0] / job.group[1]
	}
	job.Hours = s / 3600
	d.pass("hours", job.Hours, "%s for %d pairs of %d tokens × %d principles × both orders, %d calls",
		spanText(s), job.Pairs, job.Tokens, job.Principles, job.Calls)
	return nil
}

// spanText is a number of seconds in hours, or in minutes where that is less
// than one.
func spanText(s float64) string {
	switch {
	case s >= 3600:
		return fmt.Sprintf("%.1f hours", s/3600)
	case s >= 60:
		return fmt.Sprintf("%.1f minutes", s/60)
	}
	return fmt.Sprintf("%.1f seconds", s)
}
