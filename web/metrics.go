package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// durations and rewards are the upper bounds of the histograms' buckets.
var (
	durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	rewards   = []float64{-10, -5, -3, -2, -1, -.5, 0, .5, 1, 2, 3, 5, 10}
	batches   = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
)

// count notes a request that was answered. No label holds what a client sent.
func (s *Server) count(route string, code, items int, took time.Duration) {
	s.metrics.GetOrCreateCounter(fmt.Sprintf(`cai_requests_total{route=%q,code="%d"}`, route, code)).Inc()
	s.metrics.GetOrCreatePrometheusHistogramExt(fmt.Sprintf(`cai_request_duration_seconds{route=%q}`, route), durations).Update(took.Seconds())
	if items > 0 {
		s.scored.Add(items)
		s.batchSize.Update(float64(items))
	}
}

func (s *Server) measure() {
	s.metrics = metrics.NewSet()
	s.scored = s.metrics.NewCounter("cai_items_scored_total")
	s.batchSize = s.metrics.NewPrometheusHistogramExt("cai_batch_size", batches)
	s.reward = s.metrics.NewPrometheusHistogramExt("cai_reward", rewards)
	s.metrics.NewGauge("cai_requests_running", func() float64 { return float64(len(s.slots)) })
	s.metrics.NewGauge("cai_queue_depth", func() float64 { return float64(s.queued.Load()) })
	s.metrics.NewGauge(fmt.Sprintf(`cai_build_info{version=%q,goversion=%q}`, s.o.Version, runtime.Version()), func() float64 { return 1 })
}

func (s *Server) writeMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.metrics.WritePrometheus(w)
	for _, m := range s.models {
		fmt.Fprintf(w, "cai_model_info{model=%q,sha256=%q} 1\n", m.Name, m.current.Load().sum)
		m.writeAlarms(w)
	}
	metrics.WriteProcessMetrics(w)
}

// fileSum is the SHA-256 of a file, in hex.
func fileSum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
