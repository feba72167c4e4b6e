package llm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxTries bounds the attempts at a call that fails for another transient
	// reason than a busy server.
	maxTries = 4
	// aloneTries is the same for callers who look after the server themselves.
	aloneTries = 2
	// maxSilent bounds the attempts that end because nothing came, each of
	// which takes minutes.
	maxSilent = 3
	// restart is how long a server that answered before is given to come back.
	restart = 10 * time.Second
)

// errSilent is the cause of a context that ended because nothing came.
var errSilent = errors.New("the server stopped answering")

// call does one thing on the host in use, with retries. If that host is absent
// the others are tried in turn, and the first that answers becomes the one in
// use.
func call[T any](ctx context.Context, c *Client, op string, do func(context.Context, *server) (T, error)) (T, error) {
	p := &pauses{patience: c.patience}
	if c.alone {
		p.patience = min(p.patience, busyPatience)
	}
	p.ExponentialBackOff = backoff.NewExponentialBackOff()
	p.InitialInterval = 250 * time.Millisecond
	p.MaxInterval = 15 * time.Second
	tries, silent := 0, 0
	var absent time.Time
	once := func() (T, error) {
		v, err := anyHost(ctx, c, op, do)
		if err == nil {
			return v, nil
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || !e.retry {
			return v, backoff.Permanent(err)
		}
		p.asked = e.wait
		give := false
		switch e.Kind {
		case KindBusy: // as long as there is patience
		case KindServerAbsent:
			if absent.IsZero() {
				absent = time.Now()
			}
			give = c.alone || time.Since(absent) > restart
		case KindTimeout:
			silent++
			give = c.alone || silent >= maxSilent
		default:
			tries++
			give = tries >= maxTries || c.alone && tries >= aloneTries
		}
		if give {
			return v, backoff.Permanent(err)
		}
		return v, err
	}
	v, err := backoff.Retry(ctx, once,
		backoff.WithBackOff(p),
		backoff.WithMaxElapsedTime(0), // the time that answers take does not count
		backoff.WithNotify(func(err error, wait time.Duration) {
			if c.onRetry != nil {
				c.onRetry(err, wait)
			}
		}))
	if err != nil && ctx.Err() != nil {
		var none T
		return none, fmt.Errorf("%s with %s: %w", op, c.model, ctx.Err())
	}
	return v, err
}

// pauses grow, are no shorter than the server asked for, and end when they have
// taken longer than the caller has patience for.
type pauses struct {
	*backoff.ExponentialBackOff
	asked, total, patience time.Duration
}

// NextBackOff implements [backoff.BackOff].
func (p *pauses) NextBackOff() time.Duration {
	d := max(p.ExponentialBackOff.NextBackOff(), p.asked)
	if p.total += d; p.total > p.patience {
		return backoff.Stop
	}
	return d
}

// anyHost tries the host in use and then the others until one answers.
func anyHost[T any](ctx context.Context, c *Client, op string, do func(context.Context, *server) (T, error)) (T, error) {
	var v T
	var err error
	from := int(c.current.Load())
	for k := range c.servers {
		i := (from + k) % len(c.servers)
		s := c.servers[i]
		v, err = do(ctx, s)
		if err == nil {
			s.answered.Store(true)
			c.current.Store(int32(i))
			return v, nil
		}
		e := c.classify(ctx, op, s, err)
		err = e
		if KindOf(e) != KindServerAbsent {
			return v, e
		}
	}
	// A server that answered a moment ago may be starting again.
	if e, ok := errors.AsType[*Error](err); ok && c.servers[from].answered.Load() {
		e.retry = true
	}
	return v, err
}

// classify makes any error of a call into an [Error]; those of the caller's own
// context stay what they are.
func (c *Client) classify(ctx context.Context, op string, s *server, err error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSilent) {
		return ctx.Err()
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = network(err)
	}
	if e.Op == "" {
		e.Op = op
	}
	e.Model, e.Host = c.model, Redact(s.url)
	c.mixed(s, e)
	if e.Kind == KindServerAbsent && e.Hint == "" {
		e.Hint = c.absentHint()
	}
	return e
}

func (c *Client) absentHint() string {
	if c.backend.name() == "openai" {
		return "check the address in the model's name and that the server runs"
	}
	return "start it with `ollama serve`, or name another with --host or OLLAMA_HOST"
}

// network sorts errors that no server sent.
func network(err error) *Error {
	// A url.Error repeats the URL, user name included.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	var (
		op  *net.OpError
		dns *net.DNSError
		rec tls.RecordHeaderError
		ver *tls.CertificateVerificationError
		unk x509.UnknownAuthorityError
	)
	switch {
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{
			Kind: KindTimeout, Err: errSilent, retry: true,
			Hint: "the server's log may tell why; a model too large for the memory answers very slowly",
		}
	case errors.As(err, &dns):
		return &Error{Kind: KindServerAbsent, Err: fmt.Errorf("no server answers: no host has the name %q", dns.Name)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Kind: KindServerAbsent, Err: errors.New("no server answers: connection refused")}
	case errors.As(err, &op) && op.Op == "dial":
		return &Error{Kind: KindServerAbsent, Err: fmt.Errorf("no server answers: %w", op.Err)}
	case errors.As(err, &rec), errors.As(err, &ver), errors.As(err, &unk), strings.Contains(err.Error(), "gave HTTP response to HTTPS client"):
		return &Error{Kind: KindRequest, Err: err, fatal: true, Hint: "check whether the address is https or http, and its certificate"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "server closed idle connection"):
		return &Error{Kind: KindServer, Err: errors.New("the server broke the connection off"), retry: true}
	}
	return &Error{Kind: KindServer, Err: err}
}

// watchKey finds the [watch] of a request in its context.
type watchKey struct{}

// watch ends a call whose server has gone silent. The clock runs only while the
// server is waited for, so a listener that is slow to take an answer in does
// not end it.
type watch struct {
	timer *time.Timer
	start time.Time
	wait  time.Duration // for the next byte
	stall time.Duration
	first time.Duration // how long the first byte took, 0 until it came
	broke atomic.Value  // the error that ended the body early
}

// watch derives a context that ends when the server goes silent; done must be
// called.
func (c *Client) watch(ctx context.Context, first, stall time.Duration) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{start: time.Now(), wait: first, stall: stall}
	w.timer = time.AfterFunc(w.wait, func() { cancel(errSilent) })
	return context.WithValue(ctx, watchKey{}, w), func() {
		w.timer.Stop()
		cancel(nil)
	}
}

// broken gives the error that ended the body of a watched call before its time,
// nil if none did.
func broken(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		if err, ok := w.broke.Load().(*error); ok {
			return *err
		}
	}
	return nil
}

// firstByte gives how long the first byte of a watched call took, or else how
// long the whole did.
func firstByte(ctx context.Context, whole time.Duration) time.Duration {
	if w, ok := ctx.Value(watchKey{}).(*watch); ok && w.first > 0 {
		return w.first
	}
	return whole
}

// watchedTransport is an HTTP transport whose bodies keep a [watch] going.
type watchedTransport struct {
	base  *http.Transport
	dials sync.Map // host:port to the time of the last new connection
}

func newTransport() *watchedTransport {
	w := &watchedTransport{base: http.DefaultTransport.(*http.Transport).Clone()}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	w.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil {
			w.dials.Store(addr, time.Now())
		}
		return conn, err
	}
	w.base.MaxIdleConns, w.base.MaxIdleConnsPerHost = 0, 512
	return w
}

// dialed tells when a server was last connected to anew; the zero time if it
// was not, or is reached by way of another.
func (t *watchedTransport) dialed(u *url.URL) time.Time {
	at, _ := t.dials.Load(u.Host)
	last, _ := at.(time.Time)
	return last
}

func (t *watchedTransport) client() *http.Client { return &http.Client{Transport: t} }

// RoundTrip implements [http.RoundTripper].
func (t *watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	w, ok := req.Context().Value(watchKey{}).(*watch)
	if !ok {
		return resp, err
	}
	if err != nil {
		if errors.Is(context.Cause(req.Context()), errSilent) {
			err = errSilent
		}
		return resp, err
	}
	w.timer.Stop()
	resp.Body = &watchedBody{ReadCloser: resp.Body, watch: w}
	return resp, nil
}

type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.wait)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	if n > 0 {
		if b.watch.first == 0 {
			b.watch.first = time.Since(b.watch.start)
		}
		b.watch.wait = b.watch.stall
	}
	if err != nil && err != io.EOF {
		b.watch.broke.CompareAndSwap(nil, &err)
	}
	return n, err
}
