// Prefix measures what the principle's place in the prompt costs on a real
// server: the same pairs, both orders, under one principle and under sixteen,
// with the question last as cai label asks it; and the sixteen again with the
// question first, where the server's prefix cache is of no use.
//
//	go run ./bench/prefix -host URL [-model smollm2:135m] [-pairs 3]
//
// Every run has texts of its own, so that none finds another's in the cache.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"cai/bench/server"
	"cai/constitution"
	"cai/dataset"
	"cai/judge"
	"cai/llm"
)

func main() {
	host := flag.String("host", "", "the server; default OLLAMA_HOST")
	model := flag.String("model", "smollm2:135m", "the model")
	pairs := flag.Int("pairs", 3, "pairs")
	threads := flag.String("threads", "1", "threads of the server")
	file := flag.String("constitution", "principles.toml", "principles; the first 16 are asked")
	flag.Parse()
	if err := run(context.Background(), *host, *model, *threads, *file, *pairs); err != nil {
		fmt.Fprintln(os.Stderr, "prefix: error:", err)
		os.Exit(1)
	}
}

// ask counts what is asked of the model and keeps the longest prompt.
type ask struct {
	*llm.Client
	first  bool // the question stands first
	calls  int
	tokens int
}

// Chat puts the question first if it is to stand there.
func (a *ask) Chat(ctx context.Context, r llm.Request) (*llm.Reply, error) {
	if a.first {
		r = server.QuestionFirst(r)
	}
	reply, err := a.Client.Chat(ctx, r)
	if err == nil {
		a.calls++
		a.tokens = max(a.tokens, reply.PromptTokens)
	}
	return reply, err
}

func run(ctx context.Context, host, model, threads, file string, pairs int) error {
	con, err := constitution.Load(file)
	if err != nil {
		return err
	}
	if len(con.Principles) < 16 {
		return fmt.Errorf("%s has %d principles, 16 are needed", file, len(con.Principles))
	}
	ps := con.Principles[:16]
	options := map[string]string{"num_thread": threads, "num_ctx": "4096"}
	client, id, err := server.Open(ctx, host, model, options)
	if err != nil {
		return err
	}
	defer client.Close()
	a := &ask{Client: client}
	j, err := judge.New(a, id, judge.Settings{Mode: judge.ModeToken, Options: options})
	if err != nil {
		return err
	}
	// The model is loaded before the clock starts.
	if _, err := j.Prefer(ctx, dataset.Prompt("Hello?"), "Hi.", "No.", ps[:1]); err != nil {
		return err
	}
	timed := func(run int, ps []constitution.Principle, first bool) (time.Duration, error) {
		a.first, a.calls = first, 0
		start := time.Now()
		for i := range pairs {
			prompt, x, y := texts(run*pairs + i)
			if _, err := j.Prefer(ctx, dataset.Prompt(prompt), x, y, ps); err != nil {
				return 0, err
			}
		}
		d := time.Since(start)
		fmt.Fprintf(os.Stderr, "%d principles, question first %v: %d calls of at most %d tokens, %.1f s\n", len(ps), first, a.calls, a.tokens, d.Seconds())
		return d, nil
	}
	one, err := timed(0, ps[:1], false)
	if err != nil {
		return err
	}
	last, err := timed(1, ps, false)
	if err != nil {
		return err
	}
	first, err := timed(2, ps, true)
	if err != nil {
		return err
	}
	fmt.Printf("16 principles cost %.2f times what one does; with the question first they cost %.1f times as much again\n",
		last.Seconds()/one.Seconds(), first.Seconds()/last.Seconds())
	return nil
}

// texts makes the n-th pair: a conversation and two replies, some 700 tokens
// together.
func texts(n int) (prompt, a, b string) {
	words := []string{"harbour", "lantern", "orchard", "winter", "letter", "river", "market", "garden", "violin", "mountain", "kitchen", "station", "island", "teacher", "window", "bridge"}
	text := func(seed, sentences int) string {
		var s strings.Builder
		for i := range sentences {
			w := func(k int) string { return words[(seed*7+i*5+k*3+seed*i)%len(words)] }
			fmt.Fprintf(&s, "In year %d the %s near the %s was closer to the %s than to any %s. ", 1700+(seed*31+i*17)%300, w(0), w(1), w(2), w(3))
		}
		return s.String()
	}
	return fmt.Sprintf("Tell me story number %d. %s", n, text(n, 3)), text(n+101, 14), text(n+202, 14)
}
