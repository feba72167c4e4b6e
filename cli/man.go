package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

func (a *app) manCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "man",
		Usage:     "manual pages of the program and its commands",
		ArgsUsage: "[COMMAND…]",
		Description: "Prints the page of a command, of the program itself if none is named, in the language\n" +
			"that man reads: cai man label | man -l -\n" +
			"--dir writes all of them, cai.1, cai-label.1 …, as into ~/.local/share/man/man1.\n" + exitHelp,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "dir", Usage: "write every page into this folder (`DIR`)"},
		},
		Action: a.runMan,
	}
}

func (a *app) runMan(c *urfave.Context) error {
	pages := manPages(c.App)
	if dir := c.String("dir"); dir != "" {
		if c.NArg() > 0 {
			return usagef("--dir writes all pages: name no command")
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, p := range pages {
			if err := writeWhole(filepath.Join(dir, p.name()+".1"), []byte(p.roff(c.App))); err != nil {
				return err
			}
		}
		a.note(c, "%d pages in %s", len(pages), dir)
		return nil
	}
	want := strings.Join(append([]string{"cai"}, c.Args().Slice()...), "-")
	for _, p := range pages {
		if p.name() == want {
			_, err := io.WriteString(a.Out, p.roff(c.App))
			return err
		}
	}
	return hinted(usagef("no command %q", strings.Join(c.Args().Slice(), " ")), "commands: %s", strings.Join(commandNames(c.App.Commands), ", "))
}

// manPage is the page of a command, or of the program.
type manPage struct {
	path         []string // of names, the program's first
	usage        string
	args         string
	description  string
	flags        []urfave.Flag
	commands     []*urfave.Command
	relatedPages []string
}

// manPages gives the program's page first, then those of its commands.
func manPages(u *urfave.App) []manPage {
	pages := []manPage{{
		path: []string{u.Name}, usage: u.Usage, args: "COMMAND [options] [arguments]", description: u.Description,
		flags: u.VisibleFlags(), commands: u.VisibleCommands(),
	}}
	var walk func(path []string, cs []*urfave.Command)
	walk = func(path []string, cs []*urfave.Command) {
		for _, c := range cs {
			own := append(append([]string{}, path...), c.Name)
			args := c.ArgsUsage
			if len(c.Subcommands) > 0 {
				args = "COMMAND"
			}
			pages = append(pages, manPage{
				path: own, usage: c.Usage, args: args, description: c.Description,
				flags: c.VisibleFlags(), commands: c.VisibleCommands(), relatedPages: []string{strings.Join(path, "-")},
			})
			walk(own, c.Subcommands)
		}
	}
	walk(pages[0].path, u.VisibleCommands())
	return pages
}

func (p *manPage) name() string { return strings.Join(p.path, "-") }

// roff is the page in the macros of man(7).
func (p *manPage) roff(u *urfave.App) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	fmt.Fprintf(&b, ".TH %s 1 \"\" %s\n", roffQuoted(strings.ToUpper(p.name())), roffQuoted("cai "+u.Version))
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roffText(p.name()), roffText(p.usage))
	section("SYNOPSIS")
	fmt.Fprintf(&b, ".B %s\n", roffText(strings.Join(p.path, " ")))
	fmt.Fprintf(&b, "%s\n", roffText(strings.TrimSpace("[options] "+p.args)))
	if p.description != "" {
		section("DESCRIPTION")
		// The lines of a description are wrapped by hand, and some are tables.
		fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roffText(strings.TrimSpace(p.description)))
	}
	if len(p.commands) > 0 {
		section("COMMANDS")
		for _, c := range p.commands {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roffText(c.Name), roffText(c.Usage))
		}
	}
	if len(p.flags) > 0 {
		section("OPTIONS")
		for _, f := range p.flags {
			name, usage, _ := strings.Cut(f.String(), "\t")
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roffText(strings.TrimSpace(name)), roffText(strings.TrimSpace(usage)))
		}
	}
	section("SEE ALSO")
	see := p.relatedPages
	for _, c := range p.commands {
		see = append(see, p.name()+"-"+c.Name)
	}
	for i, name := range see {
		end := ","
		if i == len(see)-1 {
			end = ""
		}
		fmt.Fprintf(&b, ".BR %s (1)%s\n", roffText(name), end)
	}
	return b.String()
}

// roffText keeps a text from being read as commands: backslashes, dashes that are
// to stay ASCII, and lines that begin as a command does.
func roffText(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// roffQuoted is a text as one argument of a command.
func roffQuoted(s string) string { return `"` + strings.ReplaceAll(roffText(s), `"`, `\(dq`) + `"` }
