package cli

import (
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
)

// output is where a command's records go: the file that --out names, which
// appears whole at the end, or stdout.
type output struct {
	io.Writer
	file *dataset.File
}

func outFlag(what string) urfave.Flag {
	return &urfave.StringFlag{Name: "out", Usage: what + " to `FILE` instead of stdout; .gz and .zst compress"}
}

// output opens what --out names. The caller closes it; only commit keeps it.
func (a *app) output(c *urfave.Context) (*output, error) {
	name := c.String("out")
	if name == "" || name == "-" {
		return &output{Writer: a.Out}, nil
	}
	f, err := dataset.Create(name)
	if err != nil {
		return nil, err
	}
	return &output{Writer: f, file: f}, nil
}

// toFile tells whether the records go to a file, so that stdout is free for
// other things.
func (o *output) toFile() bool { return o.file != nil }

func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	return o.file.Commit()
}

func (o *output) close() {
	if o.file != nil {
		o.file.Close()
	}
}

// writeWhole writes a file as a whole or not at all.
func writeWhole(path string, data []byte) error {
	f, err := dataset.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Commit()
}
