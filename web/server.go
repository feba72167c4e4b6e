// Package web serves the scores of reward models over HTTP, in the shapes that
// the clients of RLHF trainers and of ranking servers already speak: OpenRLHF's
// remote reward model, vLLM's and SGLang's classification and scoring, TEI's
// predict and rerank, Jina's and Cohere's rerank, and one of its own.
//
// Trainers want the score as it is; classification and ranking servers answer
// with its sigmoid unless they are told otherwise, and so do these routes.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"cai/monitor"
	"cai/rm"
)

// Options of a server. Zeros take the defaults.
type Options struct {
	// Token, if set, has to come with every request but GET /health: as a bearer
	// or as the first part of the path, /t/TOKEN/….
	Token string
	// Hosts are further names that a request may call the server by. Without
	// AnyHost, others than those of the loopback are refused, so that no web page
	// can reach a server on the reader's own machine by a name that points there.
	Hosts   []string
	AnyHost bool
	MaxBody int64         // bytes of a request, 32 MiB
	Timeout time.Duration // of a request, 60 s
	// Concurrent bounds the requests that are worked on, 256; as many again may
	// wait, and what is more is told to come back.
	Concurrent int
	Watch      time.Duration // how often model files are looked at, 2 s
	Version    string
	Log        *slog.Logger
	// Monitor says how the replies that are scored are watched (see package
	// monitor): against the profile in the model's file, or, with Reference, against
	// what that gives for each model. NoMonitor turns it off.
	Monitor   monitor.Options
	Reference Reference
	NoMonitor bool
}

// Server answers for models.
type Server struct {
	o       Options
	models  []*Model
	token   [sha256.Size]byte
	slots   chan struct{}
	queued  atomic.Int64
	handler http.Handler

	metrics   *metrics.Set
	scored    *metrics.Counter
	batchSize *metrics.PrometheusHistogram
	reward    *metrics.PrometheusHistogram
}

// New makes a server of models; the first is the one that requests mean that
// name none.
func New(models []*Model, o Options) (*Server, error) {
	if len(models) == 0 {
		return nil, errNoModel
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 32 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Concurrent <= 0 {
		o.Concurrent = 256
	}
	if o.Watch <= 0 {
		o.Watch = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, models: models, token: sha256.Sum256([]byte(o.Token)), slots: make(chan struct{}, o.Concurrent)}
	for _, m := range models {
		m.prepare = func(l *loaded) error { return s.watchModel(m.Name, l) }
		if err := m.prepare(m.current.Load()); err != nil {
			return nil, err
		}
	}
	s.measure()
	s.handler = s.guard(s.mux())
	return s, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves on a listener until ctx ends, then answers what it has accepted and
// returns. It looks at the model files meanwhile and takes changed ones.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	stop := make(chan struct{})
	var background sync.WaitGroup
	for _, m := range s.models {
		background.Go(func() { m.gather(stop) })
	}
	background.Go(func() { s.watch(stop) })
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: s.o.Timeout, WriteTimeout: s.o.Timeout + 5*time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
		err = srv.Shutdown(last)
		cancel()
		<-served
	}
	close(stop)
	background.Wait()
	for _, m := range s.models {
		err = errors.Join(err, m.close())
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) watch(stop <-chan struct{}) {
	tick := time.NewTicker(s.o.Watch)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		s.Reload()
	}
}

// Reload takes the model files that have changed. One that cannot be loaded is
// logged and leaves the model that is served.
func (s *Server) Reload() {
	for _, m := range s.models {
		changed, err := m.reload()
		switch {
		case err != nil:
			s.o.Log.Error("the model file cannot be taken; the one before is served on", "model", m.Name, "file", m.File, "error", err.Error())
		case changed:
			s.o.Log.Info("model reloaded", "model", m.Name, "file", m.File, "sha256", m.current.Load().sum)
		}
	}
}

// guard is what all requests pass.
func (s *Server) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.knows(r.Host) {
			s.refuse(w, r, &apiError{http.StatusForbidden, fmt.Sprintf("this server does not answer to the name %q", r.Host)})
			return
		}
		if err := cross.Check(r); err != nil {
			s.refuse(w, r, &apiError{http.StatusForbidden, "requests from other web pages are refused"})
			return
		}
		given := ""
		if rest, ok := strings.CutPrefix(r.URL.Path, "/t/"); ok {
			token, path, _ := strings.Cut(rest, "/")
			given = token
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/"+path, ""
		}
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			given = bearer
		}
		if s.o.Token != "" && r.URL.Path != "/health" {
			sum := sha256.Sum256([]byte(given))
			if subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1 {
				w.Header().Set("WWW-Authenticate", "Bearer")
				s.refuse(w, r, &apiError{http.StatusUnauthorized, "a token is needed: Authorization: Bearer TOKEN, or /t/TOKEN before the path"})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers what does not get as far as a route.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err *apiError) {
	writeError(w, openAIStyle, err)
	s.count("refused", err.code, 0, 0)
	s.o.Log.Warn("refused", "code", err.code, "method", r.Method, "remote", r.RemoteAddr)
}

// knows tells whether a Host header names this server.
func (s *Server) knows(host string) bool {
	if s.o.AnyHost {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
		return true
	}
	if name == "localhost" {
		return true
	}
	for _, h := range s.o.Hosts {
		if strings.EqualFold(h, name) || strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// answer makes a handler of a route.
func (s *Server) answer(rt *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), s.o.Timeout)
		defer cancel()
		code, items := http.StatusOK, 0
		var out any
		q := &request{s: s, r: r, ctx: ctx}
		var err error
		if rt.method == http.MethodGet {
			out, err = rt.handle(q) // however much there is to do
		} else if err = s.enter(ctx); err == nil {
			func() {
				defer func() { <-s.slots }()
				r.Body = http.MaxBytesReader(w, r.Body, s.o.MaxBody)
				out, err = rt.handle(q)
				items = q.items
			}()
		}
		var body bytes.Buffer
		if err == nil {
			enc := json.NewEncoder(&body)
			enc.SetEscapeHTML(false)
			err = enc.Encode(out)
		}
		if err != nil {
			code = writeError(w, rt.errors, err)
		} else {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body.Bytes()) // who does not read it has gone
		}
		took := time.Since(began)
		s.count(rt.path, code, items, took)
		level := slog.LevelDebug
		attrs := []any{"route", rt.path, "code", code, "items", items, "ms", float64(took.Microseconds()) / 1000, "remote", r.RemoteAddr}
		if err != nil {
			level = slog.LevelWarn
			_, text := statusOf(err)
			attrs = append(attrs, "error", text)
		}
		s.o.Log.Log(r.Context(), level, "request", attrs...)
	}
}

// enter waits for a place among the requests that are worked on.
func (s *Server) enter(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	if s.queued.Add(1) > int64(s.o.Concurrent) {
		s.queued.Add(-1)
		return &apiError{http.StatusTooManyRequests, "too many requests at once; come back in a second"}
	}
	defer s.queued.Add(-1)
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// request is one request at work.
type request struct {
	s     *Server
	r     *http.Request
	ctx   context.Context
	items int
}

// read decodes the body. Fields that are not known are passed over.
func (q *request) read(v any) error {
	err := json.NewDecoder(q.r.Body).Decode(v)
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return err
	}
	return bad("the body is not JSON of the expected shape: %v", err)
}

// score scores replies with the model of a name.
func (q *request) score(model string, items []rm.Item) ([]rm.Score, *Model, error) {
	m, err := q.s.find(model)
	if err != nil {
		return nil, nil, err
	}
	q.items += len(items)
	if len(items) == 0 {
		return nil, m, nil
	}
	scores, err := m.score(q.ctx, items)
	if err != nil {
		return nil, nil, err
	}
	for i := range scores {
		if !finite(scores[i].Mean) || !finite(scores[i].Std) {
			return nil, nil, fmt.Errorf("the model has no score for item %d", i)
		}
		q.s.reward.Update(scores[i].Mean)
	}
	return scores, m, nil
}
