package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/rm"
	"cai/web"
)

func (a *app) serveCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "serve",
		Usage:     "scores of reward models over HTTP",
		ArgsUsage: "--rm [NAME=]FILE",
		Description: "Answers where trainers and ranking clients ask: POST /get_reward (OpenRLHF), /classify\n" +
			"(vLLM, SGLang), /v1/embeddings, /pooling, /score (vLLM), /rerank, /v1/rerank and\n" +
			"/v2/rerank (vLLM, Jina, Cohere, TEI), /predict (TEI), and /v1/score of its own: items of\n" +
			"prompt and response, answered with score and std. GET /openapi.json describes them,\n" +
			"/health, /v1/models and /metrics (Prometheus) are there, too.\n\n" +
			"/get_reward, /v1/embeddings and /pooling give the score as it is; the others its\n" +
			"sigmoid, unless use_activation is false or raw_scores is true.\n\n" +
			"The server listens on this machine alone. For another --addr a token is needed, in the\n" +
			"environment variable CAI_TOKEN or in the file that --token-file names; it comes with\n" +
			"each request but /health as a bearer, or before the path, /t/TOKEN/get_reward, for\n" +
			"clients that send no header. A model file that changes is taken without a restart.\n" +
			"The replies that are scored are watched where the model has a profile: alarms stand in\n" +
			"/v1/score's alarms, /get_reward's extra_logs.alarm (0 or 1), /v1/monitor, the metrics\n" +
			"cai_alarm… and the log.\n" + monitorHelp + "\n" +
			"Logs are JSON on stderr and hold no texts; --verbose logs every request.\n" +
			"Ctrl-C answers what was accepted and stops.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringSliceFlag{Name: "rm", Usage: "a reward model's `FILE`, or NAME=FILE; repeated for several, of which the first is the default"},
			&urfave.StringFlag{Name: "addr", Value: "127.0.0.1:8642", Usage: "where to listen (`HOST:PORT`)"},
			&urfave.StringFlag{Name: "token-file", Usage: "the token stands in `FILE`"},
			&urfave.StringSliceFlag{Name: "allow-host", Usage: "a further `NAME` by which clients may call the server"},
			&urfave.IntFlag{Name: "concurrent", Value: 256, Usage: "requests worked on at once; as many again may wait (`N`)"},
			&urfave.IntFlag{Name: "max-body", Value: 32, Usage: "bound of a request in MiB (`N`)"},
			&urfave.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "bound of a request's time (`TIME`)"},
			&urfave.BoolFlag{Name: "no-monitor", Usage: "do not watch the replies that are scored"},
		}, monitorFlags()...),
		Action: a.runServe,
	}
}

func (a *app) runServe(c *urfave.Context) error {
	if c.NArg() > 0 {
		return usagef("serve takes no file; name a model with --rm")
	}
	if c.Int("concurrent") < 1 || c.Int("max-body") < 1 || c.Duration("timeout") <= 0 {
		return usagef("--concurrent, --max-body and --timeout must be above 0")
	}
	token, err := serveToken(c)
	if err != nil {
		return err
	}
	local, err := loopback(c.String("addr"))
	if err != nil {
		return err
	}
	if !local && token == "" {
		return hinted(usagef("--addr %s can be reached from other machines, and there is no token", c.String("addr")),
			"set CAI_TOKEN or name a file with --token-file")
	}
	watch, err := monitorOptions(c)
	if err != nil {
		return err
	}
	models, err := a.served(c)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	switch {
	case c.Bool("verbose"):
		level = slog.LevelDebug
	case c.Bool("quiet"):
		level = slog.LevelError
	}
	log := slog.New(slog.NewJSONHandler(a.Err, &slog.HandlerOptions{Level: level}))
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	var reference web.Reference
	if file := c.String("reference"); file != "" {
		reference = func(_ context.Context, m *rm.Model) (*rm.Profile, error) { return a.referenceProfile(ctx, c, m, file) }
	}
	s, err := web.New(models, web.Options{
		Monitor: watch, Reference: reference, NoMonitor: c.Bool("no-monitor"),
		Token: token, Hosts: c.StringSlice("allow-host"), AnyHost: !local, MaxBody: int64(c.Int("max-body")) << 20,
		Timeout: c.Duration("timeout"), Concurrent: c.Int("concurrent"), Version: Version(), Log: log,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.String("addr"))
	if err != nil {
		return err
	}
	for _, m := range models {
		log.Info("model", "name", m.Name, "file", m.File)
	}
	log.Info("listening", "addr", "http://"+l.Addr().String())
	fmt.Fprintf(a.Out, "http://%s\n", l.Addr())
	if err := s.Run(ctx, l); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("stopped")
	return nil
}

// served loads the models that --rm names.
func (a *app) served(c *urfave.Context) ([]*web.Model, error) {
	if len(c.StringSlice("rm")) == 0 {
		return nil, hinted(usagef("no reward model is named"), "use --rm FILE; cai train makes one")
	}
	load := func(file string) (*rm.Model, func() error, error) { return a.rewardModel(c, file) }
	var models []*web.Model
	names := map[string]bool{}
	for _, arg := range c.StringSlice("rm") {
		name, file, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			file = arg
			name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		}
		if names[name] {
			return nil, usagef("--rm: two models are called %q; name one with NAME=FILE", name)
		}
		names[name] = true
		m, err := web.Open(name, file, load)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	return models, nil
}

// serveToken reads the token; "" is none.
func serveToken(c *urfave.Context) (string, error) {
	file := c.String("token-file")
	if file == "" {
		return os.Getenv("CAI_TOKEN"), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, " \t\r\n/") {
		return "", usagef("--token-file %s: a token is one word without a slash", file)
	}
	return token, nil
}

// loopback tells whether an address can be reached from this machine alone.
func loopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, usagef("--addr %s: %v", addr, err)
	}
	if host == "localhost" {
		return true, nil
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback(), nil
}
