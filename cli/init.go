package cli

import (
	"fmt"
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"
)

func (a *app) initCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "init",
		Usage:     "write a principles.toml to edit",
		ArgsUsage: "[DIR]",
		Description: "Writes the built-in constitution to DIR/principles.toml (default: the current\n" +
			"folder), where every command finds it. An existing file is left alone.\n" + exitHelp,
		Action: a.runInit,
	}
}

func (a *app) runInit(c *urfave.Context) error {
	if c.NArg() > 1 {
		return usagef("init takes one folder, not %d", c.NArg())
	}
	dir := "."
	if c.NArg() == 1 {
		dir = c.Args().First()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "principles.toml")
	if _, err := os.Lstat(path); err == nil {
		return hinted(fmt.Errorf("%s is already there: left as it is", path), "cai constitution diff shows how it differs from another")
	}
	if err := writeWhole(path, a.Principles); err != nil {
		return err
	}
	if c.Bool("json") {
		return a.writeJSON(map[string]string{"file": path})
	}
	fmt.Fprintln(a.Out, path)
	return nil
}
