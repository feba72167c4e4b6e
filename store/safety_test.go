package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cai/dataset"
	"cai/store"
)

// The test binary runs itself as another process where a test needs one to be
// killed, to compete, or to be somebody who may not write everywhere.
func TestMain(m *testing.M) {
	if role := os.Getenv("STORE_TEST_ROLE"); role != "" {
		if err := child(role, os.Getenv("STORE_TEST_PATH")); err != nil {
			fmt.Println("error:", err)
			if h := store.HintOf(err); h != "" {
				fmt.Println("hint:", h)
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func child(role, path string) error {
	ctx := context.Background()
	if syscall.Geteuid() == 0 && strings.HasPrefix(role, "nobody ") {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	switch role {
	case "nobody open":
		s, err := store.Open(ctx, path)
		if err != nil {
			return err
		}
		return s.Close()
	case "nobody read":
		s, err := store.OpenExisting(ctx, path)
		if err != nil {
			return err
		}
		st, err := s.Status(ctx)
		if err != nil {
			return err
		}
		fmt.Println(st.Pairs, st.ReadOnly)
		err = s.PutAnswer(ctx, dataset.Hash{}, nil)
		return errors.Join(err, s.Close())
	case "label":
		s, err := store.Open(ctx, path)
		if err != nil {
			return err
		}
		job := childJob()
		var mu sync.Mutex
		var wg sync.WaitGroup
		work := make(chan dataset.Work)
		for range 4 {
			wg.Go(func() {
				for w := range work {
					for _, slot := range w.Slots {
						if err := s.AddJudgment(ctx, judgment(job, w.Pair, slot, 1)); err != nil {
							panic(err)
						}
						mu.Lock()
						fmt.Println(w.Pair, slot.Principle, slot.Order)
						mu.Unlock()
					}
				}
			})
		}
		for w, err := range s.Pending(ctx, job) {
			if err != nil {
				return err
			}
			work <- w
		}
		close(work)
		wg.Wait()
		return s.Close()
	case "import":
		s, err := store.Open(ctx, path)
		if err != nil {
			return err
		}
		for i := 0; ; i++ { // until killed
			pairs := testPairs(3000)
			pairs[0].Source.Line += i // never the file it was
			if _, err := s.ImportPairs(ctx, "f", seq(pairs), func(n int64) { fmt.Println(i, n) }); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("no such role: %s", role)
}

func childJob() dataset.Job {
	return dataset.Job{
		Judge: testJudge.Hash(), Principles: hashes(testConstitution(2)),
		Orders: []dataset.Order{dataset.OrderAB, dataset.OrderBA}, Samples: 1,
	}
}

func childCommand(tb testing.TB, role, path string) *exec.Cmd {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "STORE_TEST_ROLE="+role, "STORE_TEST_PATH="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestNothingReportedIsLostOnKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	testJob(t, s, 2)
	mustImport(t, s, "f", testPairs(20000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	job := childJob()
	reported := map[string]bool{}
	for round := range 3 {
		cmd := childCommand(t, "label", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		n := 0
		for lines.Scan() {
			if n++; n == 150+100*round {
				if err := cmd.Process.Kill(); err != nil { // SIGKILL
					t.Fatal(err)
				}
			}
			if reported[lines.Text()] {
				t.Errorf("asked twice: %s", lines.Text())
			}
			reported[lines.Text()] = true
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself: it had too little to do")
		}
	}
	s = mustOpen(t, path)
	stored := map[string]bool{}
	for _, j := range judged(t, s, store.Filter{Judge: job.Judge}) {
		for _, g := range j.Judgments {
			stored[fmt.Sprintln(g.Pair, g.Principle, g.Order)] = true
		}
	}
	for line := range reported {
		if !stored[line+"\n"] {
			t.Errorf("lost: %s", line)
		}
	}
	if extra := len(stored) - len(reported); extra < 0 || extra > 3*4 {
		t.Errorf("%d judgments beyond the %d reported, want at most those in flight", extra, len(reported))
	}
	plan, err := s.Plan(t.Context(), job)
	if err != nil || plan.Done != int64(len(stored)) {
		t.Errorf("plan %+v, %v; %d stored", plan, err, len(stored))
	}
	if ok := shell(t, s, "PRAGMA integrity_check"); ok[0][0] != "ok" {
		t.Errorf("integrity: %v", ok)
	}
	if bad := shell(t, s, "PRAGMA foreign_key_check"); len(bad) != 0 {
		t.Errorf("rows that refer to nothing: %v", bad)
	}
}

func TestAnImportThatIsKilledChangesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	cmd := childCommand(t, "import", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "1 1500" { // in the middle of the second import
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	s := mustOpen(t, path)
	files, err := s.Files(t.Context())
	if err != nil || len(files) != 1 || files[0].Rows != 3000 || files[0].Pairs != 3000 {
		t.Errorf("files %+v, %v", files, err)
	}
	if n := shell(t, s, "SELECT count(*) FROM sources"); n[0][0] != int64(3000) {
		t.Errorf("%v rows, want 3000", n)
	}
	if imp := mustImport(t, s, "f", testPairs(3000)); imp.New != 0 || imp.Pairs != 3000 {
		t.Errorf("import %+v", imp)
	}
}

func TestTwoProcessesShareOneStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cai.db")
	s := mustOpen(t, path)
	testJob(t, s, 2)
	mustImport(t, s, "f", testPairs(300))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			cmd := childCommand(t, "label", path)
			if out, err := cmd.Output(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	// Meanwhile this process writes too.
	for i := range 200 {
		if err := s.PutAnswer(t.Context(), dataset.HashOf("x", fmt.Sprint(i)), []byte("y")); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	plan, err := s.Plan(t.Context(), childJob())
	if err != nil || plan.Done != plan.Wanted || plan.Wanted != 1200 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Judgments != 1200 || st.Answers != 200 {
		t.Errorf("%d judgments and %d answers (%v), want 1200 and 200", st.Judgments, st.Answers, err)
	}
}

func TestTwoProcessesMayMakeTheStoreAtOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "cai.db")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.PutJudge(t.Context(), testJudge); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func sqliteExec(tb testing.TB, path, query string) {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		tb.Fatal(err)
	}
}

func TestFilesThatCannotBeOpenedSayWhy(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	newer := filepath.Join(dir, "newer.db")
	s, err := store.Open(t.Context(), newer)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sqliteExec(t, newer, "PRAGMA user_version = 1000")
	other := filepath.Join(dir, "other.db")
	sqliteExec(t, other, "CREATE TABLE things (x)")
	damaged := file("damaged.db", "SQLite format 3\x00"+strings.Repeat("garbage ", 1000))

	for _, c := range []struct{ path, want string }{
		{file("notes.txt", "dear diary"), "not a cai database: it is no SQLite file"},
		{file("short", "SQLite"), "not a cai database: it is no SQLite file"},
		{dir, "not a cai database but a folder"},
		{other, "not a cai database: it is an SQLite database of another program"},
		{damaged, "not a cai database"},
		{newer, "made by a newer cai (its schema is version 1000"},
		{filepath.Join(dir, "no", "such", "cai.db"), "the folder " + filepath.Join(dir, "no", "such") + " does not exist"},
	} {
		before, _ := os.ReadFile(c.path)
		for name, open := range map[string]func(context.Context, string, ...store.Rules) (*store.Store, error){"Open": store.Open, "OpenExisting": store.OpenExisting} {
			s, err := open(t.Context(), c.path)
			if err == nil {
				s.Close()
				t.Errorf("%s(%s): no error", name, c.path)
				continue
			}
			want := c.want
			if name == "OpenExisting" && strings.HasSuffix(c.path, filepath.Join("no", "such", "cai.db")) {
				want = "no such database"
			}
			if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), c.path+": ") {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
			if store.HintOf(err) == "" {
				t.Errorf("%s(%s): no hint", name, c.path)
			}
		}
		if after, _ := os.ReadFile(c.path); string(after) != string(before) {
			t.Errorf("%s was changed", c.path)
		}
	}
	_, err = store.OpenExisting(t.Context(), filepath.Join(dir, "absent.db"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing database gave %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "absent.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("OpenExisting made a database")
	}
	if _, err := store.OpenExisting(t.Context(), file("empty.db", "")); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file gave %v", err)
	}
	mustOpen(t, filepath.Join(dir, "empty.db")) // Open may use it
}

func TestReadOnlyPlaces(t *testing.T) {
	root, err := os.MkdirTemp("", "store")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Chmod(filepath.Join(root, "full"), 0o700)
		os.Chmod(filepath.Join(root, "log"), 0o700)
		os.RemoveAll(root)
	})
	chmod := func(p string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(root, 0o755)
	place := func(name string) string {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), filepath.Join(dir, "cai.db"))
		if err != nil {
			t.Fatal(err)
		}
		mustImport(t, s, "f", testPairs(2))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dir := place("full")
	path := filepath.Join(dir, "cai.db")
	run := func(role, path string) string {
		out, err := childCommand(t, role, path).Output()
		if err == nil {
			t.Errorf("%s %s: no error", role, path)
		}
		return string(out)
	}
	for _, c := range []struct {
		name              string
		file, dir         os.FileMode
		path, open, readd string
	}{
		{"file", 0o444, 0o755, path, "error: " + path + ": cannot write here: the file or its folder is read-only", "2 true\nerror: " + path + ": cannot store an answer: opened for reading only"},
		{"folder", 0o666, 0o555, path, "error: " + path, "2 true\nerror: " + path + ": cannot store an answer: opened for reading only"},
		{"nothing there", 0o666, 0o555, filepath.Join(dir, "new.db"), "error: " + filepath.Join(dir, "new.db") + ": cannot write here", "error: " + filepath.Join(dir, "new.db") + ": no such database"},
	} {
		chmod(path, c.file)
		chmod(dir, c.dir)
		if out := run("nobody open", c.path); !strings.HasPrefix(out, c.open) || !strings.Contains(out, "hint: ") {
			t.Errorf("%s: Open said %q, want %q", c.name, out, c.open)
		}
		if out := run("nobody read", c.path); !strings.HasPrefix(out, c.readd) {
			t.Errorf("%s: OpenExisting said %q, want %q", c.name, out, c.readd)
		}
		chmod(dir, 0o755)
	}

	// One of an older version would have to be written to.
	old := filepath.Join(dir, "old.db")
	older(t, old, oldMixture)
	chmod(old, 0o444)
	chmod(dir, 0o555)
	if out := run("nobody read", old); !strings.HasPrefix(out, "error: "+old+": made by an older cai (schema version 8 of 9) and read-only") || !strings.Contains(out, "hint: copy it") {
		t.Errorf("an older one: %q", out)
	}
	chmod(dir, 0o755)

	// What another process has not written back yet cannot be read there, and
	// must not be passed over in silence.
	dir = place("log")
	path = filepath.Join(dir, "cai.db")
	s := mustOpen(t, path)
	if err := s.PutAnswer(t.Context(), dataset.Hash{}, nil); err != nil {
		t.Fatal(err)
	}
	logged, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(root, "log", "copy.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{copied: data, copied + "-wal": logged} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	chmod(copied, 0o644)
	chmod(dir, 0o555)
	if out := run("nobody read", copied); !strings.Contains(out, "not yet written back") {
		t.Errorf("a log that cannot be read: %q", out)
	}
	chmod(dir, 0o755)
}

func TestAFullDiskLosesNothing(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	mustImport(t, s, "f", testPairs(400))
	work := pending(t, s, job)
	store.LimitPages(t, s, 20)
	var stored []*dataset.Judgment
	var mu sync.Mutex
	var full error
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; n < len(work); n += 8 {
				for _, slot := range work[n].Slots {
					j := judgment(job, work[n].Pair, slot, 1)
					err := s.AddJudgment(t.Context(), j)
					mu.Lock()
					if err != nil {
						full = err
					} else {
						stored = append(stored, j)
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if full == nil || !strings.Contains(full.Error(), "the disk is full; what was stored before is safe") || store.HintOf(full) == "" {
		t.Fatalf("a full disk gave %v after %d judgments", full, len(stored))
	}
	if len(stored) == 0 {
		t.Fatal("nothing was stored before the disk was full")
	}
	if _, err := s.ImportPairs(t.Context(), "g", seq(testPairs(3000)), nil); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("an import on a full disk gave %v", err)
	}
	got := 0
	for _, j := range judged(t, s, store.Filter{Judge: job.Judge}) {
		got += len(j.Judgments)
	}
	if got != len(stored) {
		t.Errorf("%d judgments are there, %d were reported", got, len(stored))
	}
	if files, err := s.Files(t.Context()); err != nil || len(files) != 1 {
		t.Errorf("files %+v, %v", files, err)
	}
	// With room again, it goes on where it was.
	store.LimitPages(t, s, 1<<20)
	for _, w := range pending(t, s, job) {
		for _, slot := range w.Slots {
			mustAdd(t, s, judgment(job, w.Pair, slot, 1))
		}
	}
	plan, err := s.Plan(t.Context(), job)
	if err != nil || plan.Done != plan.Wanted {
		t.Errorf("plan %+v, %v", plan, err)
	}
	mustImport(t, s, "g", testPairs(3000))
}

func TestALockedDatabaseSaysSo(t *testing.T) {
	store.SetLockWait(t, 100*time.Millisecond)
	path := filepath.Join(t.TempDir(), "cai.db")
	s := mustOpen(t, path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	err = s.PutJudge(t.Context(), testJudge)
	if err == nil || !strings.Contains(err.Error(), "locked by another process") || store.HintOf(err) == "" {
		t.Errorf("a locked database gave %v", err)
	}
	if list, err := s.Judges(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("reading beside the lock: %v, %v", list, err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutJudge(t.Context(), testJudge); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestOneBadAdditionTakesNoOtherWithIt(t *testing.T) {
	s := newStore(t)
	job := testJob(t, s, 2)
	mustImport(t, s, "f", testPairs(50))
	var wg sync.WaitGroup
	var mu sync.Mutex
	failures := 0
	for _, w := range pending(t, s, job) {
		for i, slot := range w.Slots {
			wg.Go(func() {
				j := judgment(job, w.Pair, slot, 1)
				if i == 1 {
					j.Pair = dataset.HashOf("no such pair", j.Pair.String())
				}
				if err := s.AddJudgment(t.Context(), j); err != nil {
					mu.Lock()
					failures++
					mu.Unlock()
				}
			})
		}
	}
	broken := store.BreakOne(s) // fails in the middle of the group, having written
	wg.Wait()
	if failures != 50 || broken == nil {
		t.Errorf("%d failures, want 50; the broken addition gave %v", failures, broken)
	}
	if st, err := s.Status(t.Context()); err != nil || st.Judgments != 150 || st.Answers != 0 {
		t.Errorf("%d judgments and %d answers (%v), want 150 and 0", st.Judgments, st.Answers, err)
	}
}
