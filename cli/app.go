package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"cai/constitution"
	"cai/dataset"
	"cai/llm"
	"cai/store"
)

// app is one run of the program.
type app struct {
	Env
	cleanup    []func() error  // run in reverse at the end
	startsOver bool            // a command that is stopped keeps nothing
	hinted     map[string]bool // what was said about errors of single items
	said       map[string]bool // of the files that were read
	left       map[string]int  // records that --skip-bad left out, by file
}

func (a *app) close() error {
	var errs []error
	for i := len(a.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, a.cleanup[i]())
	}
	a.cleanup = nil
	return errors.Join(errs...)
}

func (a *app) globalFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "db", Value: "cai.db", EnvVars: []string{"CAI_DB"}, Usage: "the SQLite `FILE` that keeps every judgment"},
		&urfave.StringFlag{Name: "constitution", EnvVars: []string{"CAI_CONSTITUTION"}, Usage: "principles as TOML; default principles.toml in the current folder, else the built-in one (`FILE`)"},
		&urfave.StringSliceFlag{Name: "host", Usage: "an Ollama server's `URL`; repeatable; default $OLLAMA_HOST, else the local one"},
		&urfave.StringFlag{Name: "model", EnvVars: []string{"CAI_MODEL"}, Usage: "`NAME` in Ollama, or openai:NAME@URL for any OpenAI-compatible server"},
		&urfave.StringSliceFlag{Name: "option", Usage: "an Ollama option as `KEY=VALUE`, such as num_thread=1 or num_ctx=8192; repeatable"},
		&urfave.BoolFlag{Name: "json", Usage: "print JSON, one object a line"},
		&urfave.BoolFlag{Name: "quiet", Usage: "no progress and no notes"},
		&urfave.BoolFlag{Name: "verbose", Usage: "say more, such as each retry"},
	}
}

// note talks to the user unless --quiet is set.
func (a *app) note(c *urfave.Context, format string, args ...any) {
	if !c.Bool("quiet") {
		fmt.Fprintln(a.Err, "cai: "+printable(fmt.Sprintf(format, args...)))
	}
}

// warn talks to the user even with --quiet.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintln(a.Err, "cai: warning: "+printable(fmt.Sprintf(format, args...)))
}

// writeJSON prints one line of JSON on stdout.
func (a *app) writeJSON(v any) error { return dataset.NewEncoder(a.Out).Encode(v) }

// constitution loads the principles that the user means, and says in its File
// where they came from.
func (a *app) constitution(c *urfave.Context) (*constitution.Constitution, error) {
	if file := c.String("constitution"); file != "" {
		con, err := constitution.Load(file)
		if notFound(err) {
			return nil, hinted(err, "cai init writes a principles.toml to start from")
		}
		return con, err
	}
	con, err := constitution.Load("principles.toml")
	if notFound(err) {
		return constitution.Parse("built-in principles.toml", a.Principles)
	}
	return con, err
}

// principles loads the constitution and selects those of its principles that
// --principle names.
func (a *app) principles(c *urfave.Context) (*constitution.Constitution, []constitution.Principle, error) {
	con, err := a.constitution(c)
	if err != nil {
		return nil, nil, err
	}
	ps, err := con.Select(c.StringSlice("principle"))
	if err != nil {
		return nil, nil, &exitError{code: ExitUsage, err: err}
	}
	return con, ps, nil
}

// store opens the database, making it if it is not there.
func (a *app) store(c *urfave.Context) (*store.Store, error) {
	return a.current(c, store.Open)
}

// existingStore opens the database of a command that only reads it.
func (a *app) existingStore(c *urfave.Context) (*store.Store, error) {
	return a.current(c, store.OpenExisting)
}

// current opens the database, and says what bringing it up to date has found.
func (a *app) current(c *urfave.Context, open func(context.Context, string, ...store.Rules) (*store.Store, error)) (*store.Store, error) {
	st, err := a.keep(open(c.Context, c.String("db"), todaysRules))
	if err != nil {
		return nil, err
	}
	if d := st.NewlyDoubtful(); d != (store.Doubtful{}) {
		have, err := st.Status(c.Context)
		if err != nil {
			return nil, err
		}
		for _, line := range doubtfulLines(&have) {
			a.warn("%s", line)
		}
	}
	return st, nil
}

func (a *app) keep(st *store.Store, err error) (*store.Store, error) {
	if err != nil {
		return nil, err
	}
	a.cleanup = append(a.cleanup, st.Close)
	return st, nil
}

// model is an opened model.
type model struct {
	*llm.Client
	id      llm.Identity
	options map[string]string // that change answers
}

// model opens the model that --model names and asks the server which weights
// it has under that name. The server is told to keep the model loaded until
// the run ends.
func (a *app) model(c *urfave.Context) (*model, error) {
	return a.modelNamed(c, c.String("model"))
}

// modelNamed is model for one of another name.
func (a *app) modelNamed(c *urfave.Context, name string) (*model, error) {
	if name == "" {
		return nil, hinted(usagef("no model is named"), "use --model NAME or set CAI_MODEL; ollama list shows the models of the server")
	}
	options, err := llm.ParseOptions(c.StringSlice("option"))
	if err != nil {
		return nil, &exitError{code: ExitUsage, err: err}
	}
	client, err := llm.Open(llm.Config{
		Model: name, Hosts: c.StringSlice("host"), Options: options,
		OnRetry: a.onRetry(c), OnNotice: func(text string) { a.note(c, "%s", text) },
	})
	if err != nil {
		return nil, &exitError{code: ExitUsage, err: err}
	}
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	id, err := client.Identify(ctx)
	if err != nil {
		return nil, err
	}
	a.cleanup = append(a.cleanup, func() error {
		// The server may be gone; what it keeps in memory is then no matter.
		if err := client.Release(context.WithoutCancel(c.Context)); err != nil && c.Bool("verbose") {
			a.warn("%v", err)
		}
		return nil
	})
	return &model{Client: client, id: id, options: llm.AnswerOptions(options)}, nil
}

// fit sets the context length for a job whose longest prompt, in tokens, is
// need.
func (a *app) fit(c *urfave.Context, m *model, need int) error {
	limit, err := m.ContextLength(c.Context)
	if err != nil {
		return err
	}
	if limit > 0 && need > limit {
		a.note(c, "the longest texts may not fit the model's context of %d tokens; those that do not will fail and be listed", limit)
		need = limit
	}
	m.SetNumCtx(need)
	return nil
}

// onRetry says, with --verbose, why a call is made again.
func (a *app) onRetry(c *urfave.Context) func(error, time.Duration) {
	if !c.Bool("verbose") {
		return nil
	}
	return func(err error, wait time.Duration) {
		a.note(c, "trying again in %s: %v", wait.Round(time.Millisecond), err)
	}
}

// isTerminal tells whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printable takes away the control characters by which a text could steer a
// terminal; tabs and line ends stay.
func printable(s string) string {
	bad := func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if bad(r) {
			return -1
		}
		return r
	}, s)
}
