package cli

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
)

// inputFlags are the options of every command that reads records.
func inputFlags() []urfave.Flag {
	return append([]urfave.Flag{
		&urfave.StringFlag{Name: "format", Usage: "the input's `FORMAT`; default: found from the first records"},
	}, meaningFlags()...)
}

// meaningFlags are those of inputFlags that say what the columns mean.
func meaningFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "columns", Usage: "the input's columns by the names that are read here: `NAMES` such as prompt=question,chosen=good; repeatable"},
		&urfave.StringSliceFlag{Name: "scale", Usage: "what the `VALUES` of a label column mean (first, second, tie, none), such as 0=first,1=second,2=tie or -3..-1=first,0=tie,1..3=second; COLUMN:0=first,… where there are several; repeatable"},
		&urfave.BoolFlag{Name: "skip-bad", Usage: "count records that cannot be read instead of stopping at the first; exits with 3"},
	}
}

// limitFlag bounds what a command works on.
func limitFlag(what string) urfave.Flag {
	return &urfave.IntFlag{Name: "limit", Usage: "only the first `N` " + what + "; 0 takes all"}
}

// inputs reads the files of a command line. What can be read once only, stdin or a
// pipe, is kept aside in a temporary file where it has to be read twice.
type inputs struct {
	app   *app
	files []string
	opts  dataset.ReadOptions
	skip  bool
	quiet bool                // no notes
	kept  map[string]*os.File // of what can be read once only, by name
	seen  func(*dataset.Pair) // of an import, if set
	// told, if set, is told what is found out about a file, and tells whether it has
	// been seen to.
	told func(dataset.Told) bool
}

// inputs takes the files of the command line; what names them in the error for
// none.
func (a *app) inputs(c *urfave.Context, what string) (*inputs, error) {
	return a.inputsOf(c, c.Args().Slice(), what)
}

func (a *app) inputsOf(c *urfave.Context, files []string, what string) (*inputs, error) {
	if len(files) == 0 {
		return nil, hinted(usagef("%s: no file is named", c.Command.Name), "name %s, or - for stdin", what)
	}
	return a.inputFiles(c, files)
}

func (a *app) inputFiles(c *urfave.Context, files []string) (*inputs, error) {
	if c.Int("limit") < 0 {
		return nil, usagef("--limit cannot be negative")
	}
	in := &inputs{app: a, files: files, skip: c.Bool("skip-bad"), quiet: c.Bool("quiet"), kept: map[string]*os.File{}}
	in.opts = dataset.ReadOptions{Format: c.String("format"), Stdin: a.In, Told: in.tell}
	var err error
	if in.opts.Columns, err = dataset.ParseColumns(c.StringSlice("columns")); err != nil {
		return nil, usagef("--columns %v", err)
	}
	if in.opts.Scales, err = dataset.ParseScales(c.StringSlice("scale")); err != nil {
		return nil, usagef("--scale %v", err)
	}
	stdin := 0
	for _, f := range in.files {
		if f == "-" {
			stdin++
			continue
		}
		// Before the first call to a model, not after the tenth file.
		if st, err := os.Stat(f); err != nil {
			return nil, err
		} else if st.IsDir() {
			return nil, usagef("%s is a folder", f)
		}
	}
	if stdin > 1 {
		return nil, usagef("stdin is named %d times", stdin)
	}
	return in, nil
}

// asFound reads other files than those that the options for records speak of.
func (in *inputs) asFound() {
	in.opts.Format, in.opts.Columns, in.opts.Scales = "", nil, nil
}

// rewindable makes stdin and pipes readable more than once.
func (in *inputs) rewindable() error {
	for _, f := range in.files {
		if st, err := os.Stat(f); in.kept[f] != nil || f != "-" && (err != nil || st.Mode().IsRegular()) {
			continue
		}
		if err := in.keep(f); err != nil {
			return err
		}
	}
	return nil
}

// tell says once what was found out about a file.
func (in *inputs) tell(t dataset.Told) {
	if in.told != nil && in.told(t) || t.Kind == dataset.ToldFormat {
		return
	}
	text := t.File + ": " + t.Text
	if in.app.said[text] || t.Kind == dataset.ToldReading && in.quiet {
		return
	}
	if in.app.said == nil {
		in.app.said = map[string]bool{}
	}
	in.app.said[text] = true
	if t.Kind == dataset.ToldReading {
		fmt.Fprintln(in.app.Err, "cai: "+printable(text))
		return
	}
	in.app.warn("%s", text)
}

// undecided adds to an error what to type next.
func undecided(err error) error {
	var open *dataset.UndecidedError
	var bad *dataset.RecordError
	switch {
	case errors.As(err, &open):
		var ways []string
		for _, s := range open.Scales {
			ways = append(ways, "--scale "+shellWord(s))
		}
		for _, s := range open.Columns {
			ways = append(ways, "--columns "+shellWord(s))
		}
		if open.Format != "" {
			ways = append(ways, "--format "+open.Format)
		}
		if len(ways) > 0 {
			return hinted(err, "say which: %s", strings.Join(ways, ", or "))
		}
	case errors.As(err, &bad) && bad.Label != "":
		return hinted(err, "--scale VALUE=first,… says what each value of %s means; --skip-bad leaves such records out", bad.Label)
	}
	return err
}

// shellWord quotes a word where a shell would not take it as it is.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:=/") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// keep copies what can be read once only.
func (in *inputs) keep(name string) error {
	from := in.app.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	tmp, err := os.CreateTemp("", "cai-stdin-*")
	if err != nil {
		return err
	}
	in.app.cleanup = append(in.app.cleanup, func() error {
		return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
	})
	if _, err := io.Copy(tmp, from); err != nil {
		return fmt.Errorf("read %s: %w", nameOf(name), err)
	}
	in.kept[name] = tmp
	return nil
}

// nameOf is a file's name for people.
func nameOf(file string) string {
	if file == "-" {
		return "stdin"
	}
	return file
}

func (in *inputs) options(file string) (dataset.ReadOptions, error) {
	o := in.opts
	if f := in.kept[file]; f != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return o, err
		}
		o.Copy = f
	}
	return o, nil
}

// bad counts the records of the files that --skip-bad left out.
func (in *inputs) bad() (n int) {
	for _, f := range in.files {
		n += in.app.left[f]
	}
	return n
}

// read reads one kind of record from all the files. With --skip-bad, records
// that cannot be read are said and counted; otherwise the first one ends it.
func read[T any](in *inputs, each func(string, dataset.ReadOptions) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, f := range in.files {
			for v, err := range readFile(in, f, each) {
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
	}
}

// readFile is read for one of the files. A file without a record is an error. What
// was left out of a file is said and counted once, however often it is read.
func readFile[T any](in *inputs, file string, each func(string, dataset.ReadOptions) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		o, err := in.options(file)
		if err != nil {
			yield(zero, err)
			return
		}
		good, bad := 0, 0
		for v, err := range each(file, o) {
			var wrong *dataset.RecordError
			if in.skip && errors.As(err, &wrong) {
				if bad++; bad > in.app.left[file] {
					in.app.left[file] = bad
					in.app.warn("left out: %v", err)
				}
				continue
			}
			good++
			if !yield(v, undecided(err)) || err != nil {
				return
			}
		}
		if good == 0 && in.opts.Choose == nil { // which may choose nothing
			yield(zero, noRecord(file, bad))
		}
	}
}

// noRecord says that nothing could be read of a file.
func noRecord(file string, bad int) error {
	if bad > 0 {
		return fmt.Errorf("%s: none of its %d records can be read", nameOf(file), bad)
	}
	what := "it has no record, as a file of blank lines, a header alone or an empty list"
	if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Size() == 0 {
		what = "the file is empty"
	}
	return hinted(fmt.Errorf("%s: %s", nameOf(file), what), "check what made the file; records are lines of JSON, or rows of CSV or Parquet, with prompt and replies")
}

// tryOut reads each file up to its first record, so that a command that cannot work
// ends before it makes anything.
func tryOut[T any](in *inputs, each func(string, dataset.ReadOptions) iter.Seq2[T, error]) error {
	if err := in.rewindable(); err != nil {
		return err
	}
	for _, f := range in.files {
		for _, err := range readFile(in, f, each) {
			if err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func (in *inputs) replies() iter.Seq2[*dataset.Reply, error] { return read(in, dataset.Replies) }

func (in *inputs) records() iter.Seq2[*dataset.Record, error] { return read(in, dataset.Records) }

func (in *inputs) pairs() iter.Seq2[*dataset.Pair, error] { return read(in, dataset.Pairs) }

// recordID names a record in errors and in output.
func recordID(s dataset.Source) string {
	switch {
	case s.ID != "":
		return s.ID
	case s.Line > 0:
		return strconv.Itoa(s.Line)
	}
	return s.File
}

// limited is the first n of a sequence, all of it for 0.
func limited[T any](seq iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	if n == 0 {
		return seq
	}
	return func(yield func(T, error) bool) {
		left := n
		for v, err := range seq {
			if !yield(v, err) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}
