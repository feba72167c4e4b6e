// Rubric measures cai grade on a real server: how well repeated gradings agree
// (ICC), how much the criteria say the same (halo), what it takes, and what the
// criterion's place in the prompt costs: the first replies are graded once more
// with each criterion before the conversation, where a server's prefix cache is
// of no use.
//
//	go run ./bench/rubric -host URL -data FILE [-model NAME] [-replies 40] [-first 8]
//
// FILE holds pairs, whose replies are graded; where it says which is better, the
// scores are compared with that. Nothing is written but what is printed; Ctrl-C
// ends it with the figures of the pairs that are done.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"cai/bench/server"
	"cai/dataset"
	"cai/eval"
	"cai/llm"
	"cai/rubric"
	"cai/store"
)

type config struct {
	host, model, data, rubric, threads string
	replies, first, samples, stride    int
}

func main() {
	var c config
	flag.StringVar(&c.host, "host", "", "the server; default OLLAMA_HOST")
	flag.StringVar(&c.model, "model", "qwen2.5-coder:1.5b", "the model")
	flag.StringVar(&c.data, "data", "", "pairs")
	flag.StringVar(&c.rubric, "rubric", "bench/rubric/five.toml", "the rubric")
	flag.StringVar(&c.threads, "threads", "1", "threads of the server")
	flag.IntVar(&c.replies, "replies", 40, "replies to grade")
	flag.IntVar(&c.first, "first", 8, "replies to grade with the criterion first, too")
	flag.IntVar(&c.samples, "samples", 2, "samples of each criterion")
	flag.IntVar(&c.stride, "stride", 25, "take one in so many pairs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "rubric: error:", err)
		os.Exit(1)
	}
}

// ask counts what is asked of the model.
type ask struct {
	*llm.Client
	first  bool // the question stands first
	calls  int
	tokens int
	read   time.Duration // of prompts, as the server says
}

// Chat puts the question first if it is to stand there.
func (a *ask) Chat(ctx context.Context, r llm.Request) (*llm.Reply, error) {
	if a.first {
		r = server.QuestionFirst(r)
	}
	reply, err := a.Client.Chat(ctx, r)
	if err == nil {
		a.calls++
		a.tokens += reply.PromptTokens
		a.read += reply.PromptTime
	}
	return reply, err
}

// spent is what the gradings of one kind took.
type spent struct {
	calls, tokens int
	read, wall    time.Duration
}

func (s *spent) String() string {
	return fmt.Sprintf("%d calls, %.0f prompt tokens a call, %.1f s, of which the server read prompts for %.1f s",
		s.calls, float64(s.tokens)/float64(max(1, s.calls)), s.wall.Seconds(), s.read.Seconds())
}

func run(ctx context.Context, c config) error {
	r, err := rubric.Load(c.rubric)
	if err != nil {
		return err
	}
	options := map[string]string{"num_thread": c.threads}
	client, id, err := server.Open(ctx, c.host, c.model, options)
	if err != nil {
		return err
	}
	defer client.Close()
	dir, err := os.MkdirTemp("", "cai-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a := &ask{Client: client}
	// The model is loaded before the clock starts.
	if _, err := a.Chat(ctx, llm.Request{Messages: []llm.Message{{Role: "user", Content: "Hello?"}}, MaxTokens: 1}); err != nil {
		return err
	}
	var graders [2]*rubric.Grader // with a database each, for both ask the same questions
	for i := range graders {
		st, err := store.Open(ctx, filepath.Join(dir, fmt.Sprintf("%d.db", i)))
		if err != nil {
			return err
		}
		defer st.Close()
		graders[i] = rubric.New(a, id, st, r, 0, 0, llm.AnswerOptions(options))
		if err := st.PutJudge(ctx, graders[i].ID); err != nil {
			return err
		}
		if err := st.PutRubric(ctx, r.Hash(), r.Name, string(r.TOML())); err != nil {
			return err
		}
	}
	asked := rubric.Asked{Samples: c.samples}
	var last, first, lastOfFirst spent
	timed := func(i int, reply *rubric.Reply, to ...*spent) (*rubric.Result, error) {
		a.first, a.calls, a.tokens, a.read = i == 1, 0, 0, 0
		start := time.Now()
		res, err := graders[i].Grade(ctx, reply, asked)
		if err != nil {
			return nil, err
		}
		for _, s := range to {
			s.calls += a.calls
			s.tokens += a.tokens
			s.read += a.read
			s.wall += time.Since(start)
		}
		return res, nil
	}
	var results []*rubric.Result
	var margins, labels []float64
	at := -1
	for p, err := range dataset.Pairs(c.data, dataset.ReadOptions{}) {
		if err != nil {
			return err
		}
		if len(results)+2 > c.replies {
			break
		}
		if at++; at%max(1, c.stride) != 0 {
			continue
		}
		var scores []float64
		var pair []*rubric.Result
		for _, text := range []dataset.Response{p.First, p.Second} {
			reply := &rubric.Reply{Prompt: p.Prompt, Response: text}
			to := []*spent{&last}
			if len(results) < c.first {
				to = append(to, &lastOfFirst)
			}
			res, err := timed(0, reply, to...)
			if err == nil && len(results) < c.first {
				_, err = timed(1, reply, &first)
			}
			if ctx.Err() != nil {
				break
			}
			if err != nil {
				return err
			}
			pair = append(pair, res)
			scores = append(scores, res.Total(0.1).Value)
		}
		if ctx.Err() != nil {
			break
		}
		results = append(results, pair...)
		margins, labels = append(margins, scores[0]-scores[1]), append(labels, p.P)
		fmt.Fprintf(os.Stderr, "%d replies: %s; %.0f s with the criterion first, %.0f s last\n", len(results), &last, first.wall.Seconds(), lastOfFirst.wall.Seconds())
	}
	rep := rubric.Consistency(r, results, 0.1, eval.Options{})
	out, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", out)
	fmt.Printf("%d replies, %d criteria, %d samples: %s; %.1f s a reply\n", rep.Replies, len(r.Criteria), rep.Samples, &last, last.wall.Seconds()/float64(len(results)))
	fmt.Printf("ICC %s %s, of the mean %s; halo %s %s, first factor %s; list bias %s\n", rep.ICC, rep.ICCCI, rep.ICCMean, rep.Halo, rep.HaloCI, rep.FirstShare, rep.ListBias)
	n, right := 0, 0.0
	for i, p := range labels {
		if p == 0.5 || p != p {
			continue
		}
		n++
		switch {
		case margins[i] == 0:
			right += 0.5
		case (margins[i] > 0) == (p > 0.5):
			right++
		}
	}
	if n > 0 {
		fmt.Printf("the higher score is the chosen reply's: %s %s over %d pairs\n", eval.Figure(right/float64(n)), eval.Wilson(right, n), n)
	}
	if first.calls > 0 {
		fmt.Printf("first %d replies, criterion last: %s\n", c.first, &lastOfFirst)
		fmt.Printf("the same, criterion first: %s\n", &first)
		fmt.Printf("criterion first takes %.1f times as long (reading: %.1f)\n", first.wall.Seconds()/lastOfFirst.wall.Seconds(), first.read.Seconds()/max(lastOfFirst.read.Seconds(), 1e-9))
	}
	return nil
}
