package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// first runs a command with --host set to a proxy before the server, and says
// when the first question came, how many there were, and what the command took.
func first(args []string) error {
	f := flag.NewFlagSet("first", flag.ContinueOnError)
	host := f.String("host", "http://127.0.0.1:11500", "the server")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("first: which command?")
	}
	to, err := url.Parse(*host)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var at time.Time
	calls := 0
	proxy := httputil.NewSingleHostReverseProxy(to)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// A chat without messages loads a model or lets it go.
		if r.URL.Path == "/api/chat" && bytes.Contains(body, []byte(`"role"`)) {
			mu.Lock()
			if calls++; calls == 1 {
				at = time.Now()
			}
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	defer web.Close()
	cmd := exec.Command(f.Arg(0), append(f.Args()[1:], "--host", web.URL)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	when := "no call"
	if calls > 0 {
		when = fmt.Sprintf("first of %d calls after %.2f s", calls, at.Sub(start).Seconds())
	}
	s := cmd.ProcessState
	fmt.Fprintf(os.Stderr, "scale: %s, %.1f s in all, %.1f s of processor", when, time.Since(start).Seconds(), (s.UserTime() + s.SystemTime()).Seconds())
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		fmt.Fprintf(os.Stderr, ", peak %.1f MB", float64(u.Maxrss)/1024) // kilobytes on Linux
	}
	fmt.Fprintln(os.Stderr)
	return nil
}
