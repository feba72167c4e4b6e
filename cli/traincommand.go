package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/rm"
)

// describe writes into the model what it will say of its training: the figures,
// the program's version and the command line. What differs between two runs on
// the same data, times and the file's name, is left out, so that they give the
// same bytes. SOURCE_DATE_EPOCH, where it is set, is the time of creation.
func describe(c *urfave.Context, m *rm.Model, out trainJSON) error {
	out.Tried = slices.Clone(out.Tried)
	for i := range out.Tried {
		out.Tried[i].Seconds = 0
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	figures := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &figures); err != nil {
		return err
	}
	for _, key := range []string{"train_seconds", "feature_seconds", "model"} {
		delete(figures, key)
	}
	d := &m.Metadata
	if d.Metrics, err = json.Marshal(figures); err != nil {
		return err
	}
	d.Version, d.HoldoutAuthors = Version(), c.String("holdout-authors")
	d.Command = commandLine(c, "features", "out", "memory", "db", "host", "json", "quiet", "verbose") +
		" --features " + quoted(strings.Join(d.Features, ",")) // by these names sources are without passwords
	if s := os.Getenv("SOURCE_DATE_EPOCH"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds", s)
		}
		d.Created = time.Unix(n, 0).UTC()
	}
	return nil
}

// commandLine gives the command with the options that were set, but for those
// named. Of files it has the names alone, not the folders.
func commandLine(c *urfave.Context, without ...string) string {
	words := []string{c.App.Name, c.Command.Name}
	for _, f := range slices.Concat(c.Command.Flags, c.App.Flags) {
		name := f.Names()[0]
		if !c.IsSet(name) || slices.Contains(without, name) {
			continue
		}
		doc, _ := f.(urfave.DocGenerationFlag)
		file := doc != nil && strings.Contains(doc.GetUsage(), "`FILE`")
		for _, v := range flagValues(c, f) {
			if file && v != "-" {
				v = filepath.Base(v)
			}
			words = append(words, "--"+name)
			if _, ok := f.(*urfave.BoolFlag); !ok {
				words = append(words, quoted(v))
			}
		}
	}
	return strings.Join(words, " ")
}

// flagValues gives what an option was set to, once for each time.
func flagValues(c *urfave.Context, f urfave.Flag) []string {
	name := f.Names()[0]
	var out []string
	switch f.(type) {
	case *urfave.StringSliceFlag:
		return c.StringSlice(name)
	case *urfave.Float64SliceFlag:
		for _, v := range c.Float64Slice(name) {
			out = append(out, strconv.FormatFloat(v, 'g', -1, 64))
		}
	case *urfave.BoolFlag:
		if c.Bool(name) {
			out = []string{""}
		}
	default:
		out = []string{fmt.Sprint(c.Value(name))}
	}
	return out
}

// quoted makes one word of a shell's line of s.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.,:/=@+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
