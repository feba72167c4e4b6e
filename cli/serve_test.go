package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cai/cli"
)

// The server says where it listens, answers there, and ends well when it is
// told to stop.
func TestServeListensAndStops(t *testing.T) {
	dir := t.TempDir()
	var pairs strings.Builder
	for i := range 30 {
		fmt.Fprintf(&pairs, `{"prompt":"question %d","chosen":"kind answer %d, please","rejected":"rude reply %d"}`+"\n", i, i, i)
	}
	data, model := filepath.Join(dir, "pairs.jsonl"), filepath.Join(dir, "rm.safetensors")
	if err := os.WriteFile(data, []byte(pairs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var talk bytes.Buffer
	if code := cli.Run(t.Context(), []string{"train", "--data", data, "--holdout", "0.3", "--out", model}, cli.Env{Out: io.Discard, Err: &talk}); code != 0 {
		t.Fatalf("train: %d\n%s", code, &talk)
	}
	stop := make(chan struct{})
	r, w := io.Pipe()
	ended := make(chan int, 1)
	talk.Reset()
	go func() {
		ended <- cli.Run(t.Context(), []string{"serve", "--rm", "judge=" + model, "--addr", "127.0.0.1:0", "--verbose"}, cli.Env{Out: w, Err: &talk, Stop: stop})
		w.Close()
	}()
	url, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, &talk)
	}
	resp, err := http.Post(strings.TrimSpace(url)+"/get_reward", "application/json", strings.NewReader(`{"query":["hiking answer"],"prompts":["hiking"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"rewards":[`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	close(stop)
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := talk.String(); !strings.Contains(got, `"route":"/get_reward"`) || !strings.Contains(got, `"msg":"stopped"`) || strings.Contains(got, "hiking") {
		t.Errorf("log:\n%s", got)
	}
}
