// Package cli is the command line of cai: one file for each command, with its
// options, the calls it makes and what it prints.
//
// Data goes to stdout and talk to stderr. Every option works anywhere on the
// line. Errors are returned up to [Run], which prints them and knows the exit
// code; nothing below it ends the process.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	urfave "github.com/urfave/cli/v2"

	"cai/label"
	"cai/llm"
)

// The exit codes.
const (
	ExitOK          = 0
	ExitError       = 1
	ExitUsage       = 2
	ExitSomeFailed  = 3 // finished, but some items failed
	ExitCheck       = 4 // a check that was asked for did not hold
	ExitInterrupted = 130
)

const exitHelp = "Exit codes: 0 done, 1 error, 2 usage, 3 finished but some items failed, 4 a check did not hold, 130 stopped by Ctrl-C."

// version is set by the linker in releases.
var version string

// Env is the world that a run sees.
type Env struct {
	In         io.Reader
	Out, Err   io.Writer
	Principles []byte          // the built-in constitution
	Stop       <-chan struct{} // closed by the first Ctrl-C
}

// exitError is an error with an exit code of its own and a hint for the user.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// usagef is an error of the command line itself.
func usagef(format string, args ...any) error {
	return &exitError{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

// hinted adds what a person can do about an error.
func hinted(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	e := &exitError{code: ExitError, err: err, hint: fmt.Sprintf(format, args...)}
	var inner *exitError
	if errors.As(err, &inner) {
		e.code = inner.code
	}
	return e
}

// silent ends a command with a code, everything having been said already.
func silent(code int) error { return &exitError{code: code} }

// Run runs the command line args, without the program's name, and returns the
// exit code.
func Run(ctx context.Context, args []string, env Env) int {
	if _, ok := env.Err.(*os.File); !ok {
		env.Err = &oneByOne{w: env.Err} // progress and notes are written by several goroutines
	}
	a := &app{Env: env, left: map[string]int{}}
	if len(args) > 0 && args[0] == completeWord {
		a.complete(args[1:])
		return ExitOK
	}
	defer a.close()
	err := a.urfave().RunContext(ctx, append([]string{"cai"}, reorder(args, a.urfave())...))
	if cerr := a.close(); err == nil {
		err = cerr
	}
	if err == nil && len(a.left) > 0 {
		err = silent(ExitSomeFailed)
	}
	return a.report(ctx, err)
}

// oneByOne lets several goroutines write, as a file does.
type oneByOne struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneByOne) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

// report prints an error and gives its exit code.
func (a *app) report(ctx context.Context, err error) int {
	if err == nil {
		return ExitOK
	}
	if a.stopped(ctx) && (errors.Is(err, context.Canceled) || errors.Is(err, label.ErrStopped)) {
		if a.startsOver {
			fmt.Fprintln(a.Err, "cai: stopped; nothing is kept, the same command starts from the beginning")
		} else {
			fmt.Fprintln(a.Err, "cai: stopped; start the same command again to go on from here")
		}
		return ExitInterrupted
	}
	code, hint := ExitError, llm.HintOf(err)
	var ee *exitError
	if errors.As(err, &ee) {
		code = ee.code
		if ee.hint != "" {
			hint = ee.hint
		}
	}
	if code == ExitUsage && hint == "" {
		hint = "cai COMMAND --help shows the options"
	}
	if text := err.Error(); text != "" {
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintln(a.Err, "cai: error: "+printable(line))
		}
	}
	if hint != "" {
		fmt.Fprintln(a.Err, "cai: hint: "+printable(hint))
	}
	return code
}

// stopped tells whether the user has asked to stop.
func (a *app) stopped(ctx context.Context) bool {
	select {
	case <-a.Stop:
		return true
	default:
		return ctx.Err() != nil
	}
}

// untilStop gives a context that ends with the first Ctrl-C.
func (a *app) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.Stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (a *app) urfave() *urfave.App {
	u := &urfave.App{
		Name:  "cai",
		Usage: "Constitutional AI feedback on one workstation",
		Description: "Critique, revise and label replies with a local model, keep every judgment in\n" +
			"SQLite, train reward models on the labels, and know how far to trust them.\n\n" +
			"Start with: cai init; cai label pairs.jsonl; cai train\n" +
			"Options work anywhere on the line; -- ends them. - is stdin or stdout.\n" + exitHelp,
		Version:                   Version(),
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*urfave.Context, error) {},
		OnUsageError:              onUsageError,
		Reader:                    a.In,
		Writer:                    a.Out,
		ErrWriter:                 a.Err,
		Flags:                     a.globalFlags(),
		Commands: []*urfave.Command{
			a.initCommand(),
			a.doctorCommand(),
			a.constitutionCommand(),
			a.critiqueCommand(),
			a.reviseCommand(),
			a.gradeCommand(),
			a.rubricCommand(),
			a.sampleCommand(),
			a.labelCommand(),
			a.debateCommand(),
			a.statusCommand(),
			a.calibrateCommand(),
			a.labelsCommand(),
			a.juryCommand(),
			a.importCommand(),
			a.exportCommand(),
			a.convertCommand(),
			a.trainCommand(),
			a.modelCommand(),
			a.scoreCommand(),
			a.explainCommand(),
			a.auditCommand(),
			a.evalCommand(),
			a.serveCommand(),
			a.completionCommand(),
			a.manCommand(),
		},
		Action: func(c *urfave.Context) error {
			if c.NArg() == 0 {
				return urfave.ShowAppHelp(c)
			}
			return hinted(usagef("no command %q", c.Args().First()), "commands: %s", strings.Join(commandNames(c.App.Commands), ", "))
		},
	}
	for _, c := range u.Commands {
		prepare(c)
	}
	return u
}

// prepare sets what all commands have in common.
func prepare(c *urfave.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = onUsageError
	if len(c.Subcommands) > 0 && c.Action == nil {
		names := commandNames(c.Subcommands)
		c.Action = func(ctx *urfave.Context) error {
			if ctx.NArg() == 0 {
				return hinted(usagef("%s: which one?", c.Name), "%s: %s", c.Name, strings.Join(names, ", "))
			}
			return hinted(usagef("%s: no command %q", c.Name, ctx.Args().First()), "%s: %s", c.Name, strings.Join(names, ", "))
		}
	}
	for _, s := range c.Subcommands {
		prepare(s)
	}
}

func onUsageError(_ *urfave.Context, err error, _ bool) error {
	return &exitError{code: ExitUsage, err: err}
}

func commandNames(cs []*urfave.Command) []string {
	var names []string
	for _, c := range cs {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// Version gives the version that the linker set, or what the build knows of
// its source.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += "+" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return v
}

func notFound(err error) bool { return errors.Is(err, fs.ErrNotExist) }
