package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cai/cli"
)

// served trains a small model and serves it. It gives the address, and a
// function that stops the server and gives its exit code and log.
func served(t *testing.T) (url string, end func() (code int, log string)) {
	t.Helper()
	dir := t.TempDir()
	var pairs strings.Builder
	for i := range 30 {
		fmt.Fprintf(&pairs, `{"prompt":"question %d","chosen":"kind answer %d, please","rejected":"rude reply %d"}`+"\n", i, i, i)
	}
	data, model := filepath.Join(dir, "pairs.jsonl"), filepath.Join(dir, "rm.safetensors")
	if err := os.WriteFile(data, []byte(pairs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	talk := &bytes.Buffer{}
	if code := cli.Run(t.Context(), []string{"train", "--data", data, "--holdout", "0.3", "--out", model}, cli.Env{Out: io.Discard, Err: talk}); code != 0 {
		t.Fatalf("train: %d\n%s", code, talk)
	}
	stop := make(chan struct{})
	r, w := io.Pipe()
	ended := make(chan int, 1)
	talk.Reset()
	go func() {
		ended <- cli.Run(t.Context(), []string{"serve", "--rm", "judge=" + model, "--addr", "127.0.0.1:0", "--verbose"}, cli.Env{Out: w, Err: talk, Stop: stop})
		w.Close()
	}()
	url, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, talk)
	}
	return strings.TrimSpace(url), func() (int, string) {
		close(stop)
		code := <-ended
		return code, talk.String()
	}
}

// The server says where it listens, answers there, and ends well when it is
// told to stop.
func TestServeListensAndStops(t *testing.T) {
	url, end := served(t)
	resp, err := http.Post(url+"/get_reward", "application/json", strings.NewReader(`{"query":["hiking answer"],"prompts":["hiking"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"rewards":[`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	code, log := end()
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(log, `"route":"/get_reward"`) || !strings.Contains(log, `"msg":"stopped"`) || strings.Contains(log, "hiking") {
		t.Errorf("log:\n%s", log)
	}
}

// The reward functions of docs/serving.md do what they say.
func TestTheGuidesRewardFunctionsRun(t *testing.T) {
	guide, err := os.ReadFile("../docs/serving.md")
	if err != nil {
		t.Fatal(err)
	}
	url, end := served(t)
	defer end()
	var program strings.Builder
	blocks := 0
	for block := range strings.SplitSeq(string(guide), "```python\n") {
		code, _, ok := strings.Cut(block, "```")
		if ok && strings.Contains(code, "def ") {
			program.WriteString(code + "\n")
			blocks++
		}
	}
	if blocks != 2 {
		t.Fatalf("%d functions in the guide", blocks)
	}
	program.WriteString(`
kind = [{"role": "assistant", "content": "kind answer 7, please"}]
print(cai_reward(prompts=["question 7"], completions=["rude reply 7"], completion_ids=None)[0],
      cai_reward(prompts=[[{"role": "user", "content": "question 7"}]], completions=[kind])[0],
      compute_score("d", "kind answer 7, please", "", extra_info={"prompt": "question 7"})["score"])
`)
	text := strings.ReplaceAll(program.String(), "http://127.0.0.1:8642", url)
	cmd := exec.CommandContext(t.Context(), "python3", "-I", "-")
	cmd.Stdin = strings.NewReader(text)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &talk)
	}
	var rude, trl, verl float64
	if _, err := fmt.Sscan(string(out), &rude, &trl, &verl); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	if trl <= rude || verl != trl {
		t.Errorf("rude %v, kind by TRL's function %v, by verl's %v", rude, trl, verl)
	}
}
