package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cai/dataset"
	"cai/store"
)

// settled tells whether a file has lain untouched long enough for its size and
// time to be believed: within a tick of its file system's clock it could be
// written again without a trace. Some of them count whole seconds, or two.
func settled(modified time.Time) bool {
	tick := 100 * time.Millisecond
	if modified.Nanosecond() == 0 {
		tick = 2 * time.Second
	}
	return time.Since(modified) >= tick
}

// importFile brings a file's pairs into the store. A file that has the size and
// the time that it had when it was read last, in the same way by the same
// version of the program, is not read again.
func (in *inputs) importFile(ctx context.Context, st *store.Store, file string, progress func(int64)) (store.Import, error) {
	mark := in.mark(file)
	if mark != "" {
		imp, ok, err := st.Imported(ctx, file, mark)
		if ok || err != nil {
			return imp, err
		}
	}
	imp, err := st.ImportPairs(ctx, file, watched(readFile(in, file, dataset.Pairs), in.seen), progress)
	if err == nil && imp.Recalled > 0 {
		in.app.warn("%s: %d pairs with tool calls were stored by an older version without them: they are new pairs now", file, imp.Recalled)
	}
	if err != nil || mark == "" || in.app.left[file] > 0 || in.mark(file) != mark {
		return imp, err
	}
	return imp, st.Mark(ctx, imp, mark)
}

// mark describes a file and how it is read, with its tool calls, "" where only reading it can tell
// whether it is what it was.
func (in *inputs) mark(file string) string {
	st, err := os.Stat(file)
	if err != nil || !st.Mode().IsRegular() || in.opts.Choose != nil || in.opts.Pairs > 0 || !settled(st.ModTime()) {
		return ""
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s, %d bytes, %d, format %q, columns %v, scales %s, tool calls, cai %s", path, st.Size(), st.ModTime().UnixNano(), in.opts.Format, in.opts.Columns, in.opts.Scales, Version())
}
