package dataset_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cai/dataset"

	"github.com/klauspost/compress/zstd"
)

func create(t *testing.T, path, text string) {
	t.Helper()
	f, err := dataset.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestCreateAppearsWhenComplete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jsonl")
	create(t, path, "old")
	f, err := dataset.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "new"); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("before Commit the file holds %q", b)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("Close after Commit: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "new" {
		t.Errorf("after Commit the file holds %q", b)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("a committed file takes more")
	}
	if err := f.Commit(); err == nil {
		t.Error("a file is committed twice")
	}

	for _, ext := range []string{"", ".gz", ".zst"} {
		f, err := dataset.Create(path + ext)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, "thrown away"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := entries(t, dir); len(got) != 1 || got[0] != "out.jsonl" {
		t.Errorf("the folder holds %v", got)
	}
	if b, _ := os.ReadFile(path); string(b) != "new" {
		t.Errorf("after a discarded output the file holds %q", b)
	}
}

func TestCreateMode(t *testing.T) {
	dir := t.TempDir()
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	path := filepath.Join(dir, "a")
	mode := func() os.FileMode {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode().Perm()
	}
	create(t, path, "x")
	if m := mode(); m != 0o640 {
		t.Errorf("a new file has mode %o, the umask 027 leaves 640", m)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	create(t, path, "y")
	if m := mode(); m != 0o600 {
		t.Errorf("a private file has mode %o after it was written again", m)
	}
}

func TestCreateFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	create(t, target, "old")
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	create(t, link, "new")
	if b, _ := os.ReadFile(target); string(b) != "new" {
		t.Errorf("the link's target holds %q", b)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", st, err)
	}
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                                  "it is a folder",
		filepath.Join(dir, "absent", "x.gz"): "create " + filepath.Join(dir, "absent", "x.gz") + ": no such file",
	} {
		if _, err := dataset.Create(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Create(%s): %v, want %q", path, err, want)
		}
	}
	if f, err := dataset.Create("/dev/full"); err == nil {
		_, werr := io.WriteString(f, "x")
		if cerr := f.Commit(); werr == nil && (cerr == nil || !strings.Contains(cerr.Error(), "/dev/full")) {
			t.Errorf("a full disk gives %v", cerr)
		}
	}
	f, err := dataset.Create(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Errorf("a device: %v", err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Errorf("the device was replaced: %v %v", st, err)
	}
}

const onePair = `{"prompt":"p","chosen":"x","rejected":"y"}` + "\n"

func TestCompressed(t *testing.T) {
	dir := t.TempDir()
	want := []string{`user="p" | "x" | "y" | 1 @1.0`}
	for _, name := range []string{"a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "A.JSONL.GZ", "a.json.zst"} {
		path := filepath.Join(dir, name)
		create(t, path, onePair)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if compressed := !strings.HasPrefix(string(raw), "{"); compressed != (name != "a.jsonl") {
			t.Errorf("%s begins with % x", name, raw[:4])
		}
		if got := pairsOf(path, dataset.ReadOptions{}); len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s holds %q", name, got)
		}
		// The name says nothing on stdin.
		if got := pairs(string(raw), dataset.ReadOptions{}); len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s on stdin holds %q", name, got)
		}
		if name == "a.jsonl" {
			continue
		}
		cut := filepath.Join(dir, "cut"+filepath.Ext(name))
		if err := os.WriteFile(cut, raw[:len(raw)-5], 0o600); err != nil {
			t.Fatal(err)
		}
		got := pairsOf(cut, dataset.ReadOptions{})
		if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "FATAL "+cut+": ") {
			t.Errorf("%s cut off gives %q", name, got)
		}
	}
	for _, ext := range []string{"gz", "zst"} {
		path := write(t, "plain.jsonl."+ext, onePair)
		if got := pairsOf(path, dataset.ReadOptions{}); len(got) != 1 || !strings.Contains(got[0], "although its name says so") {
			t.Errorf("a plain file named .%s gives %q", ext, got)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ path, want string }{
		"absent":  {filepath.Join(dir, "absent.jsonl"), "no such file"},
		"folder":  {dir, "a folder, not a file"},
		"utf16":   {write(t, "a.jsonl", "\xff\xfe{\x00"), "UTF-16"},
		"parquet": {write(t, "a.parquet", "PAR1"), "not readable as Parquet: "},
		"text":    {write(t, "a.csv.gz", ""), ""},
	} {
		got := strings.Join(pairsOf(tt.path, dataset.ReadOptions{}), "\n")
		if !strings.Contains(got, tt.want) || tt.want != "" && !strings.HasPrefix(got, "FATAL ") {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestBomb reads small files that grow without end: they stop with an error
// that says so, and memory stays small.
func TestBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("decompresses more than a gibibyte")
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	// Blank lines, which no limit on a line's length would stop.
	blank := bytes.Repeat(append(bytes.Repeat([]byte(" "), 1<<14), '\n'), 1<<6)
	for range 1100 {
		z.Write(blank)
	}
	z.Close()
	got := pairs(b.String(), dataset.ReadOptions{})
	if len(got) != 1 || !strings.Contains(got[0], "refusing to read on") {
		t.Errorf("a bomb of %d bytes gives %q", b.Len(), got)
	}
}

// TestLongLine: a line past the limit is one bad record, and the next is read.
func TestLongLine(t *testing.T) {
	if testing.Short() {
		t.Skip("a line of more than 64 MiB")
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, onePair)
	fmt.Fprintf(z, `{"prompt":"`)
	part := bytes.Repeat([]byte("long "), 1<<16)
	for range dataset.MaxRecord/len(part) + 2 {
		z.Write(part)
	}
	fmt.Fprint(z, "\"}\n"+onePair)
	z.Close()
	got := pairs(b.String(), dataset.ReadOptions{})
	if len(got) != 3 || got[1] != "-:2: longer than 64 MiB" || !strings.HasSuffix(got[2], "@3.0") {
		t.Errorf("got %.200q", got)
	}
}
