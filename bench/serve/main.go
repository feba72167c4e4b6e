// Serve puts load on a running cai serve and prints what it bears:
//
//	cai serve --rm rm.safetensors --quiet &
//	go run ./bench/serve -batch 64 -clients 4 -n 3000      # scores a second in batches
//	go run ./bench/serve -rate 1000 -n 30000               # latency of single requests at a given rate
//	go run ./bench/serve -clients 8 -n 1000000 -pid PID    # and whether memory stays flat
//
// Replies have 1,000 characters, of words drawn from a list. Latencies are taken
// from when a request was due, not from when it could be sent, so that a server
// that falls behind is not let off.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var words = strings.Fields(`the of and a to in is you that it he was for on are as with his they I at be this have from or
	one had by word but not what all were we when your can said there use an each which she do how their if will up other
	about out many then them these so some her would make like him into time has look two more write go see number no way
	could people my than first water been call who oil its now find long down day did get come made may part because help`)

func text(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

type item struct {
	Prompt   string `json:"prompt"`
	Response string `json:"response"`
}

func main() {
	url := flag.String("url", "http://127.0.0.1:8642", "the server")
	batch := flag.Int("batch", 1, "replies of a request")
	clients := flag.Int("clients", 4, "requests at once, where no rate is given")
	rate := flag.Float64("rate", 0, "requests a second; 0 is as many as it bears")
	n := flag.Int("n", 3000, "requests")
	chars := flag.Int("chars", 1000, "characters of a reply")
	pid := flag.Int("pid", 0, "the server's process, to watch its memory (Linux)")
	flag.Parse()
	log.SetFlags(0)

	r := rand.New(rand.NewPCG(1, 2))
	bodies := make([][]byte, 64)
	for i := range bodies {
		items := make([]item, *batch)
		for k := range items {
			items[k] = item{text(r, 80), text(r, *chars)}
		}
		b, err := json.Marshal(map[string]any{"items": items})
		if err != nil {
			log.Fatal(err)
		}
		bodies[i] = b
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1024, MaxConnsPerHost: 0}
	client := &http.Client{Transport: transport}
	post := func(i int) error {
		resp, err := client.Post(*url+"/v1/score", "application/json", bytes.NewReader(bodies[i%len(bodies)]))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, data)
		}
		return err
	}
	if err := post(0); err != nil {
		log.Fatal(err)
	}
	took := make([]time.Duration, *n)
	var failed atomic.Int64
	began := time.Now()
	before := memory(*pid)
	var wg sync.WaitGroup
	if *rate > 0 {
		gap := time.Duration(float64(time.Second) / *rate)
		for i := range *n {
			due := began.Add(time.Duration(i) * gap)
			time.Sleep(time.Until(due))
			wg.Go(func() {
				if post(i) != nil {
					failed.Add(1)
				}
				took[i] = time.Since(due)
			})
		}
	} else {
		var next atomic.Int64
		for range *clients {
			wg.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= *n {
						return
					}
					at := time.Now()
					if post(i) != nil {
						failed.Add(1)
					}
					took[i] = time.Since(at)
					if *pid > 0 && i > 0 && i%(*n/10) == 0 {
						log.Printf("  %d requests: server %d MB", i, memory(*pid))
					}
				}
			})
		}
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[min(len(took)-1, int(q*float64(len(took))))] }
	fmt.Printf("%d requests of %d replies in %.1f s: %.0f requests/s, %.0f scores/s, %d failed\n",
		*n, *batch, seconds, float64(*n)/seconds, float64(*n**batch)/seconds, failed.Load())
	fmt.Printf("latency: median %s, p95 %s, p99 %s, worst %s\n", at(0.5).Round(10*time.Microsecond), at(0.95).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond), at(1).Round(10*time.Microsecond))
	if *pid > 0 {
		fmt.Printf("server memory: %d MB before, %d MB after\n", before, memory(*pid))
	}
}

// memory is the resident size of a process in MB, 0 where it cannot be told.
func memory(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kb int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb / 1024
		}
	}
	return 0
}
