// Fakeollama serves a fake Ollama on loopback: everything around a model can be
// tried and measured with it, at any speed and with any fault.
//
//	go run ./bench/fakeollama -addr 127.0.0.1:11500 &
//	cai --host http://127.0.0.1:11500 --model judge:1b label pairs.jsonl
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cai/llm/fakeollama"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "fakeollama: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o fakeollama.Options
	f := flag.NewFlagSet("fakeollama", flag.ContinueOnError)
	addr := f.String("addr", "127.0.0.1:11500", "loopback address to listen on; port 0 chooses a free one")
	f.DurationVar(&o.Latency, "latency", 0, "time before the first byte of each answer")
	f.DurationVar(&o.PromptTime, "prompt-time", 0, "time for each prompt token that the prefix cache does not hold")
	f.DurationVar(&o.TokenTime, "token-time", 0, "time for each token of an answer")
	f.BoolVar(&o.OneCore, "one-core", false, "calls compute one after the other, as on a machine that one call keeps busy")
	f.DurationVar(&o.Slow, "slow", 3*time.Second, "what the fault slow adds before the first token")
	f.IntVar(&o.Parallel, "parallel", 0, "calls served at once; 0 is any number")
	f.IntVar(&o.Queue, "queue", 0, "calls that may wait before the server is busy; 0 is 512")
	f.Float64Var(&o.Bias, "bias", 0.5, "log-odds by which answers favour (A)")
	fault := f.String("fault", "", fmt.Sprintf("fault, one of %v", fakeollama.Faults()))
	from := f.Int("from", 1, "first call with the fault")
	to := f.Int("to", 0, "last call with the fault; 0 is without end")
	every := f.Int("every", 1, "of those, only each nth call")
	mix := f.String("mix", "", "shares of calls that fail, such as runner=0.1,malformed=0.05,empty=0.02")
	seed := f.Uint64("seed", 1, "which calls those are")
	if err := f.Parse(args); err != nil {
		return err
	}
	kind, err := fakeollama.ParseFault(*fault)
	if err != nil {
		return err
	}
	if *every < 1 {
		return fmt.Errorf("-every %d: must be at least 1", *every)
	}
	o.Fault = func(r fakeollama.Request) fakeollama.Fault {
		if r.Number%int64(*every) != 0 {
			return fakeollama.FaultNone
		}
		return fakeollama.During(kind, *from, *to)(r)
	}
	if *mix != "" {
		shares, err := fakeollama.ParseMix(*mix)
		if err != nil {
			return err
		}
		if *fault != "" {
			return errors.New("-fault and -mix: use one of them")
		}
		o.Fault = fakeollama.Mix(shares, *seed)
	}
	host, _, err := net.SplitHostPort(*addr)
	if err != nil {
		return fmt.Errorf("-addr: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("-addr %s: not a loopback address", *addr)
	}
	return serve(*addr, fakeollama.New(o))
}

func serve(addr string, fake *fakeollama.Server) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", ln.Addr())
	srv := &http.Server{Handler: fake, ReadHeaderTimeout: 10 * time.Second, ConnState: fake.ConnState}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	fmt.Fprintf(os.Stderr, "fakeollama: %d calls, at most %d at once, %d loads of a model\n", fake.Calls(), fake.MaxInFlight(), fake.Loads())
	return nil
}
