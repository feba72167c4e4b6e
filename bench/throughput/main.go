// Throughput holds cai label against a bare Go client: both put the same number
// of calls to one fake Ollama, in turn, several times, and the median of the
// ratios of their rates is printed. Cai's time is that of the whole process:
// the start, the import of the pairs, every answer committed, the summary.
//
//	go run ./bench/throughput                    # 5,000 calls of 50 ms, 32 slots
//	go run ./bench/throughput -latency 0 -slots 0 -calls 20000
//
// The bare client sends what cai sends and reads what cai reads, with -bare
// calls in flight, and keeps nothing.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama/ollama/api"
)

type settings struct {
	calls, slots, bare, runs, principles int
	latency                              time.Duration
	jobs                                 string
	verbose                              bool
}

func main() {
	var s settings
	flag.IntVar(&s.calls, "calls", 5000, "calls of a run")
	flag.DurationVar(&s.latency, "latency", 50*time.Millisecond, "time of each call")
	flag.IntVar(&s.slots, "slots", 32, "calls that the server answers at once; 0 is any number")
	flag.IntVar(&s.bare, "bare", 32, "calls that the bare client has in flight")
	flag.StringVar(&s.jobs, "jobs", "auto", "cai's --jobs")
	flag.IntVar(&s.principles, "principles", 4, "principles of each pair")
	flag.IntVar(&s.runs, "runs", 5, "runs of each")
	flag.BoolVar(&s.verbose, "v", false, "show what cai says")
	flag.Parse()
	if err := s.run(); err != nil {
		fmt.Fprintln(os.Stderr, "throughput: error:", err)
		os.Exit(1)
	}
}

func (s settings) run() error {
	dir, err := os.MkdirTemp("", "throughput")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, p := range []string{".", "./bench/fakeollama"} {
		build := exec.Command("go", "build", "-o", dir+"/", p)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", p, err)
		}
	}
	host, stop, err := s.serve(filepath.Join(dir, "fakeollama"))
	if err != nil {
		return err
	}
	defer stop()
	pairs := s.calls / (2 * s.principles)
	s.calls = pairs * 2 * s.principles
	if err := s.write(filepath.Join(dir, "pairs.jsonl"), filepath.Join(dir, "principles.toml"), pairs); err != nil {
		return err
	}
	fmt.Printf("%d calls, %s each, %d slots; bare client with %d in flight, cai label --jobs %s\n", s.calls, s.latency, s.slots, s.bare, s.jobs)
	var ratios []float64
	for i := range s.runs {
		bare, err := s.asBare(host)
		if err != nil {
			return err
		}
		whole, err := s.asCai(dir, host, i)
		if err != nil {
			return err
		}
		rate := func(d time.Duration) float64 { return float64(s.calls) / d.Seconds() }
		ratios = append(ratios, rate(whole)/rate(bare))
		fmt.Printf("run %d: bare %.1f/s, cai %.1f/s: %.3f\n", i+1, rate(bare), rate(whole), rate(whole)/rate(bare))
	}
	slices.Sort(ratios)
	fmt.Printf("median ratio %.3f\n", ratios[len(ratios)/2])
	return nil
}

// serve starts the fake server in a process of its own.
func (s settings) serve(program string) (host string, stop func(), err error) {
	cmd := exec.Command(program, "-addr", "127.0.0.1:0", "-latency", s.latency.String(), "-parallel", fmt.Sprint(s.slots))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	host, err = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(host), func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }, err
}

func (s settings) write(pairs, principles string, n int) error {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"prompt":"Question %d: how do I keep a garden alive in a dry summer?","chosen":"Answer %d. Water early, because less is lost; mulch the beds, and be careful with young plants.","rejected":"Answer %d. Only a fool has a garden."}`+"\n", i, i, i)
	}
	if err := os.WriteFile(pairs, b.Bytes(), 0o600); err != nil {
		return err
	}
	b.Reset()
	b.WriteString("name = \"bench\"\n")
	for i := range s.principles {
		fmt.Fprintf(&b, "\n[[principle]]\nid = \"p%d\"\ntitle = \"P%d\"\ncritique = \"Find what is wrong in respect %d.\"\nrevision = \"Mend what is wrong in respect %d.\"\ncompare = \"Which reply is better in respect %d?\"\n", i, i, i, i, i)
	}
	return os.WriteFile(principles, b.Bytes(), 0o600)
}

// asBare puts the calls as simply as Go can.
func (s settings) asBare(host string) (time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.bare}}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range s.bare {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(s.calls) || failed.Load() != nil {
					return
				}
				if err := chat(client, host, i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(start), nil
}

func chat(client *http.Client, host string, i int64) error {
	no := false
	body, err := json.Marshal(api.ChatRequest{
		Model: "judge:1b", Truncate: &no, Shift: &no, Logprobs: true, TopLogprobs: 20,
		Options: map[string]any{"num_predict": 1, "temperature": 0, "num_ctx": 4096},
		Messages: []api.Message{{Role: "user", Content: fmt.Sprintf("User: Question %d: how do I keep a garden alive in a dry summer?\n\n"+
			"(A) Answer %d. Water early, because less is lost; mulch the beds, and be careful with young plants.\n\n"+
			"(B) Answer %d. Only a fool has a garden.\n\nWhich reply is better in respect %d? Answer A or B.", i, i, i, i)}},
	})
	if err != nil {
		return err
	}
	resp, err := client.Post(host+"/api/chat", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	tokens := 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var r api.ChatResponse
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		tokens += len(r.Logprobs)
	}
	if tokens == 0 {
		return fmt.Errorf("call %d: no answer: %s", i, resp.Status)
	}
	return lines.Err()
}

// asCai gives the time of cai label, start and end included, and checks that
// every question was judged.
func (s settings) asCai(dir, host string, run int) (time.Duration, error) {
	cmd := exec.Command(filepath.Join(dir, "cai"), "label", "--json", "--host", host, "--model", "judge:1b",
		"--jobs", s.jobs, "--db", fmt.Sprintf("run%d.db", run), "pairs.jsonl")
	if s.verbose {
		cmd.Args = append(cmd.Args, "--verbose")
	}
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("cai label: %w", err)
	}
	took := time.Since(start)
	var got struct{ Judgments, Failed int }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return 0, fmt.Errorf("cai label: %w", err)
	}
	if got.Judgments != s.calls || got.Failed != 0 {
		return 0, fmt.Errorf("cai label made %d judgments and %d failures of %d questions", got.Judgments, got.Failed, s.calls)
	}
	return took, nil
}
