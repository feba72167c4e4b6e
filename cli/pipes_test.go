//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAPipeIsReadTwice: a file that can be read once only, such as <(zcat x.gz) of a
// shell, is kept for the commands that read it again.
func TestAPipeIsReadTwice(t *testing.T) {
	b := newReadingBench(t)
	replies := strings.ReplaceAll(readingPairs(3), "response_a", "response")
	for line, text := range map[string]string{
		"critique FILE": replies, "grade --rubric SCRATCH/rubric.toml FILE": replies, "sample --n 1 FILE": replies,
		"label FILE": readingPairs(3), "import FILE": readingPairs(3), "eval --judge FILE": readingPairs(3),
		"convert --split a=0.5,b=0.5 FILE SCRATCH/new.jsonl": readingPairs(3),
	} {
		pipe := filepath.Join(b.dir, "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Skip(err)
		}
		done := make(chan error)
		go func() { done <- os.WriteFile(pipe, []byte(text), 0) }()
		code, _, errs := b.run(t, line, pipe, "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if code != ExitOK || strings.Contains(line, "critique") && !strings.Contains(errs, "3 critiques") {
			t.Errorf("cai %s of a pipe exits with %d: %s", line, code, errs)
		}
		os.Remove(pipe)
	}
}
