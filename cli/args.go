package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// reorder puts the options of a command line where urfave/cli reads them:
// global ones first, then the command, its own options, and the arguments after
// a --. On the line itself they may stand anywhere.
//
// An option that nobody knows is left with the command, which will refuse it.
func reorder(args []string, u *urfave.App) []string {
	global := arity(u.Flags)
	global["help"], global["h"], global["version"] = false, false, false
	path, places := commandPath(args, u, global)
	own := map[string]bool{"help": false, "h": false}
	for _, c := range path {
		for name, value := range arity(c.Flags) {
			own[name] = value
		}
	}

	var before, after, rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			for k := i + 1; k < len(args); k++ {
				if !slices.Contains(places, k) { // the command may stand there, if this -- seemed a global option's value
					rest = append(rest, args[k])
				}
			}
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			if !slices.Contains(places, i) {
				rest = append(rest, arg)
			}
			continue
		}
		name, _, glued := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		value, isOwn := own[name]
		isGlobal := false
		if !isOwn || len(path) == 0 {
			value, isGlobal = global[name]
		}
		option := []string{arg}
		if value && !glued && i+1 < len(args) && !slices.Contains(places, i+1) {
			i++
			option = append(option, args[i])
		}
		if isGlobal {
			before = append(before, option...)
		} else {
			after = append(after, option...)
		}
	}
	out := before
	for _, c := range path {
		out = append(out, c.Name)
	}
	out = append(out, after...)
	if len(rest) > 0 {
		out = append(append(out, "--"), rest...)
	}
	return out
}

// commandPath finds the command, and the command under it, that the arguments
// name, and where they are named.
func commandPath(args []string, u *urfave.App, global map[string]bool) (path []*urfave.Command, places []int) {
	commands := u.Commands
	for i := 0; i < len(args) && len(commands) > 0; i++ {
		arg := args[i]
		if arg == "--" {
			break
		}
		if len(arg) > 1 && arg[0] == '-' {
			name, _, glued := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if global[name] && !glued {
				i++
			}
			continue
		}
		at := slices.IndexFunc(commands, func(c *urfave.Command) bool { return c.HasName(arg) })
		if at < 0 {
			if len(path) > 0 {
				break
			}
			continue // the value of an option of the command that is still to come
		}
		path, places = append(path, commands[at]), append(places, i)
		commands = commands[at].Subcommands
	}
	return path, places
}

// arity tells for each name of the flags whether a value follows it.
func arity(flags []urfave.Flag) map[string]bool {
	m := map[string]bool{}
	for _, f := range flags {
		_, boolean := f.(*urfave.BoolFlag)
		for _, name := range f.Names() {
			m[name] = !boolean
		}
	}
	return m
}
