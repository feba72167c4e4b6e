package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cai/dataset"
	"cai/monitor"
	"cai/rm"
	"cai/web"
)

var plainWords = strings.Fields("kind rude clear vague the a river stone tells of many paths where old birds sing and low winds turn")

func plainReply(r *rand.Rand) string {
	var words []string
	for range 6 + r.IntN(14) {
		words = append(words, plainWords[r.IntN(len(plainWords))])
	}
	return strings.Join(words, " ") + "."
}

// profiled is the file of a model with a profile of many prompts.
var profiled = sync.OnceValues(func() ([]byte, error) {
	r := rand.New(rand.NewPCG(5, 6))
	m, _, err := rm.Train(context.Background(), func(yield func(*dataset.Pair, error) bool) {
		for i := range 400 {
			p := &dataset.Pair{
				Prompt: dataset.Prompt(fmt.Sprintf("question %d about ducks", i)),
				First:  dataset.Response{Text: "kind " + plainReply(r)}, Second: dataset.Response{Text: "rude " + plainReply(r)}, P: 1,
			}
			if !yield(p, nil) {
				return
			}
		}
	}, rm.Options{Holdout: 0.3, L2: []float64{1}, Dim: 1 << 12})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "rm.safetensors")
	if err := m.Save(file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// watched serves that model.
func watched(t *testing.T, o web.Options) (h *httptest.Server, file string) {
	t.Helper()
	data, err := profiled()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "rm.safetensors")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	served, err := web.Open("rm", file, load)
	if err != nil {
		t.Fatal(err)
	}
	s, err := web.New([]*web.Model{served}, o)
	if err != nil {
		t.Fatal(err)
	}
	h = httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h, file
}

// send scores n replies, each to another prompt, and waits until so many windows
// were tested. It gives what /v1/monitor says of the model.
func send(t *testing.T, url string, n, windows int, reply func(i int) string) map[string]any {
	t.Helper()
	var items []map[string]string
	for i := range n {
		items = append(items, map[string]string{"prompt": fmt.Sprintf("question %d about ducks", 1000*windows+i), "response": reply(i)})
	}
	body, _ := json.Marshal(map[string]any{"items": items})
	if code, object, _ := call(t, "POST", url+"/v1/score", string(body)); code != http.StatusOK {
		t.Fatalf("%d: %v", code, object)
	}
	// Thresholds are drawn for the first window, which takes a while under the race
	// detector; how long is for go test's own limit to say.
	for {
		_, object, _ := call(t, "GET", url+"/v1/monitor", "")
		m := object["models"].([]any)[0].(map[string]any)
		if m["monitored"] != true || number(t, m, "windows") >= float64(windows) {
			return m
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Replies like those of the training ring nothing; replies that have left it ring
// everywhere where a client may look, and it is over when they are gone.
func TestAlarmsRingWhereClientsLook(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	h, _ := watched(t, web.Options{
		Monitor: monitor.Options{Window: 64, FalseAlarm: 0.02},
		Log:     slog.New(slog.NewJSONHandler(locked{&mu, &log}, nil)),
	})
	r := rand.New(rand.NewPCG(7, 8))
	like := func(i int) string { return []string{"kind ", "rude "}[i%2] + plainReply(r) }
	hacked := func(i int) string { return like(i) + strings.Repeat(" kind kind secretword.\n\n- one\n", 8) }
	one := `{"prompt":"question about ducks","response":"kind the old birds sing and turn."}`
	query := `{"query":["User: hi\nHello","x"],"prompts":["User: hi\n","y"]}`

	m := send(t, h.URL, 64, 1, like)
	if m["monitored"] != true || m["reference"].(map[string]any)["source"] != rm.ProfileHoldout || number(t, m, "rang") != 0 {
		t.Errorf("after a window of the usual: %v", m)
	}
	_, object, _ := call(t, "POST", h.URL+"/v1/score", one)
	if a, ok := object["alarms"].([]any); !ok || len(a) != 0 {
		t.Errorf("alarms %v, want none", object["alarms"])
	}
	_, object, _ = call(t, "POST", h.URL+"/get_reward", query)
	if got := number(t, object, "extra_logs", "alarm", 1); got != 0 {
		t.Errorf("extra_logs %v", object["extra_logs"])
	}

	m = send(t, h.URL, 64, 2, hacked)
	if number(t, m, "rang") != 1 || m["last_alarm"] == nil || len(m["alarms"].([]any)) == 0 {
		t.Errorf("after a window of hacked replies: %v", m)
	}
	_, object, _ = call(t, "POST", h.URL+"/v1/score", one)
	a, ok := object["alarms"].([]any)
	if !ok || len(a) == 0 {
		t.Fatalf("alarms %v, want some", object["alarms"])
	}
	if v, limit := number(t, a, 0, "value"), number(t, a, 0, "threshold"); !(v > limit) {
		t.Errorf("an alarm of %v at a threshold of %v", v, limit)
	}
	if text, _ := a[0].(map[string]any)["text"].(string); !strings.Contains(text, "moved most: ") {
		t.Errorf("text %q", text)
	}
	_, object, _ = call(t, "POST", h.URL+"/get_reward", query)
	if got := number(t, object, "extra_logs", "alarm", 0); got != 1 {
		t.Errorf("extra_logs %v", object["extra_logs"])
	}
	resp, err := http.Get(h.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, want := range []string{
		`cai_alarm_windows_total{model="rm"} 2`, `cai_alarm{model="rm",statistic="features"} 1`, `cai_alarm_rings_total{model="rm",statistic="features"} 1`,
		`cai_alarm_threshold{model="rm",statistic="score_drift"} `,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}
	mu.Lock()
	said := log.String()
	mu.Unlock()
	if !strings.Contains(said, `"msg":"alarm","model":"rm","window":2,"text":"`) || strings.Contains(said, "secretword") {
		t.Errorf("log:\n%s", said)
	}

	send(t, h.URL, 64, 3, like) // the rest of the window before is of single replies
	if m = send(t, h.URL, 64, 4, like); len(m["alarms"].([]any)) != 0 || m["last_alarm"] == nil {
		t.Errorf("after two windows of the usual: %v", m)
	}
}

// A model without enough of a profile is served, and it is said why it is not
// watched.
func TestModelsWithoutAProfileAreServed(t *testing.T) {
	h, _, _ := serve(t, web.Options{})
	off, _ := watched(t, web.Options{NoMonitor: true})
	for url, why := range map[string]string{h.URL: "at least 30", off.URL: "turned off"} {
		m := send(t, url, 300, 1, func(int) string { return "kind" })
		if reason, _ := m["reason"].(string); m["monitored"] != false || !strings.Contains(reason, why) {
			t.Errorf("%v, want %q", m, why)
		}
		_, object, _ := call(t, "POST", url+"/v1/score", `{"prompt":"p","response":"r"}`)
		if a, there := object["alarms"]; !there || a != nil {
			t.Errorf("alarms %v, want null", a)
		}
		_, object, _ = call(t, "POST", url+"/get_reward", `{"query":["x"]}`)
		if _, there := object["extra_logs"].(map[string]any)["alarm"]; there {
			t.Errorf("extra_logs %v", object["extra_logs"])
		}
	}
}

// A reference of the caller's own takes the place of the profile; where it cannot
// be had nothing is served by halves.
func TestReferenceOfTheCaller(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	usual := func(int) string { return plainReply(r) + strings.Repeat(" kind kind.\n\n- one\n", 1+r.IntN(8)) }
	h, file := watched(t, web.Options{
		Monitor: monitor.Options{Window: 64, FalseAlarm: 0.02},
		Reference: func(ctx context.Context, m *rm.Model) (*rm.Profile, error) {
			var items []rm.Item
			var hs []dataset.Hash
			for i := range 200 {
				c := dataset.Prompt(fmt.Sprintf("question %d about ducks", i))
				items, hs = append(items, rm.Item{Prompt: c, Reply: usual(i)}), append(hs, c.Hash())
			}
			_, rows, err := m.ObserveAll(ctx, items)
			if err != nil {
				return nil, err
			}
			return rm.NewProfile(rm.ProfileFile, m.Observed(), hs, rows)
		},
	})
	if m := send(t, h.URL, 64, 1, usual); number(t, m, "rang") != 0 || m["reference"].(map[string]any)["source"] != rm.ProfileFile {
		t.Errorf("replies like those of the reference: %v", m)
	}
	if m := send(t, h.URL, 64, 2, func(int) string { return "rude " + plainReply(r) }); number(t, m, "rang") != 1 {
		t.Errorf("replies unlike those of the reference: %v", m)
	}
	served, err := web.Open("rm", file, load)
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("no such file")
	if _, err := web.New([]*web.Model{served}, web.Options{Reference: func(context.Context, *rm.Model) (*rm.Profile, error) { return nil, gone }}); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}
