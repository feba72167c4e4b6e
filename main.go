// Cai is Constitutional AI feedback on one workstation: it critiques, revises
// and labels replies with a local model, keeps every judgment in SQLite, and
// trains reward models on the labels and says how far to trust them.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"syscall"

	"cai/cli"
)

//go:embed principles.toml
var principles []byte

func main() { os.Exit(run()) }

func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		close(stop) // finish what is in flight
		<-signals
		cancel() // give that up, too
		<-signals
		os.Exit(cli.ExitInterrupted)
	}()
	return cli.Run(ctx, os.Args[1:], cli.Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Principles: principles, Stop: stop,
	})
}
