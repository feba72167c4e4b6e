package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cai/dataset"
	"cai/store"
)

// A file is read again when its size, its time or the way of reading it has
// changed, and only then.
func TestAFileThatHasNotChangedIsNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(t.Context(), filepath.Join(dir, "cai.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	file := filepath.Join(dir, "pairs.jsonl")
	text := `{"prompt":"p","chosen":"a","rejected":"b"}` + "\n" + `{"prompt":"q","chosen":"c","rejected":"c"}` + "\n"
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	var errs bytes.Buffer
	in := &inputs{app: &app{Env: Env{Err: &errs}, left: map[string]int{}}, files: []string{file}}
	read := func() (store.Import, error) {
		return in.importFile(t.Context(), st, file, func(int64) {})
	}
	then := time.Now().Add(-time.Hour)
	write(text, then)
	first, err := read()
	if err != nil || first.Pairs != 1 || first.Identical != 1 || first.Unchanged {
		t.Fatalf("%+v, %v", first, err)
	}

	// Of the same size and time, it is not opened: that it is no JSON any more
	// does not show.
	write(strings.Repeat("x", len(text)), then)
	again, err := read()
	if err != nil || !again.Unchanged || again.File != first.File || again.Pairs != 1 || again.Identical != 1 {
		t.Errorf("unchanged: %+v, %v", again, err)
	}
	in.opts.Format = "trl"
	if _, err := read(); err == nil {
		t.Error("read in another way, it is not looked at")
	}
	in.opts.Format = ""
	write(strings.Repeat("x", len(text)), then.Add(time.Second))
	if _, err := read(); err == nil {
		t.Error("with another time, it is not looked at")
	}
	write("x"+text, then)
	if _, err := read(); err == nil {
		t.Error("with another size, it is not looked at")
	}

	// A file with records that were left out is read each time, since they are
	// counted each time; so is one that was written just now.
	in.skip = true
	for range 2 {
		clear(in.app.left)
		if _, err := read(); err != nil || in.bad() != 1 {
			t.Errorf("%d records left out, %v, want 1", in.bad(), err)
		}
	}
	in.skip = false
	write(text, time.Now().Add(time.Hour))
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	if in.mark(file) != "" {
		t.Error("a file that was written just now is believed")
	}
	if in.mark("-") != "" || in.mark(dir) != "" {
		t.Error("stdin or a folder has a mark")
	}
	write(text, then)
	in.opts.Choose = func(dataset.Conversation, []dataset.Response) ([][2]int, error) { return nil, nil }
	if in.mark(file) != "" {
		t.Error("pairs that are chosen by what the judge said are believed to be the same")
	}
}
