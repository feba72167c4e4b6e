package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/debate"
	"cai/eval"
	"cai/handover"
	"cai/judge"
	"cai/label"
	"cai/probe"
	"cai/rm"
)

// completeWord is what the scripts call: the words of the line behind the
// program's name, the one that is being written last.
const completeWord = "__complete"

// The scripts ask the program itself, so that they know whatever the program does.
// A candidate is a line, with a description behind a tab; with no candidate the
// shell completes file names.
var completionScripts = map[string]string{
	"bash": `# cai completion bash: source <(cai completion bash)
_cai() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("${COMP_WORDS[0]}" ` + completeWord + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _cai cai
`,
	"zsh": `#compdef cai
# cai completion zsh: source <(cai completion zsh), after compinit
_cai() {
    local -a candidates
    local line
    for line in ${(f)"$("${words[1]}" ` + completeWord + ` "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( ${#candidates} )); then
        _describe -V cai candidates
    else
        _files
    fi
}
compdef _cai cai
`,
	"fish": `# cai completion fish: cai completion fish | source
function __cai_complete
    set -l words (commandline -opc)
    $words[1] ` + completeWord + ` $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c cai -a '(__cai_complete)'
`,
}

func (a *app) completionCommand() *urfave.Command {
	shells := sortedKeys(completionScripts)
	return &urfave.Command{
		Name:      "completion",
		Usage:     "prints a script that completes commands, options and their values",
		ArgsUsage: strings.Join(shells, "|"),
		Description: "For one session: source <(cai completion bash), source <(cai completion zsh), or\n" +
			"cai completion fish | source. To keep it, write it where the shell looks, such as\n" +
			"~/.local/share/bash-completion/completions/cai.\n" + exitHelp,
		Action: func(c *urfave.Context) error {
			script, ok := completionScripts[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return usagef("completion takes a shell: %s", strings.Join(shells, ", "))
			}
			_, err := io.WriteString(a.Out, script)
			return err
		},
	}
}

// complete prints what the last of the words may become.
func (a *app) complete(words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	before, word := words[:len(words)-1], words[len(words)-1]
	u := a.urfave()
	path, _ := commandPath(before, u, arity(u.Flags))
	flags := u.Flags
	for _, c := range path {
		flags = append(slices.Clone(flags), c.Flags...)
	}
	for _, c := range candidates(before, word, u, path, flags) {
		if strings.HasPrefix(c[0], word) {
			fmt.Fprintln(a.Out, c[0]+"\t"+c[1])
		}
	}
}

// candidates are words with what they mean. A value of an option is completed
// behind it as a word of its own, or behind a "=", which bash makes a word.
func candidates(before []string, word string, u *urfave.App, path []*urfave.Command, flags []urfave.Flag) [][2]string {
	before = slices.DeleteFunc(slices.Clone(before), func(s string) bool { return s == "=" })
	if slices.Contains(before, "--") {
		return nil
	}
	if n := len(before); n > 0 {
		if name := strings.TrimLeft(before[n-1], "-"); name != before[n-1] && arity(flags)[name] {
			return valuesOf(name, path)
		}
	}
	if strings.HasPrefix(word, "-") {
		if name, _, glued := strings.Cut(word, "="); glued {
			var out [][2]string
			for _, v := range valuesOf(strings.TrimLeft(name, "-"), path) {
				out = append(out, [2]string{name + "=" + v[0], v[1]})
			}
			return out
		}
		var out [][2]string
		for _, f := range flags {
			out = append(out, [2]string{longName(f), flagUsage(f)})
		}
		return append(out, [2]string{"--help", "show help"})
	}
	commands := u.Commands
	if n := len(path); n > 0 {
		commands = path[n-1].Subcommands
	}
	var out [][2]string
	for _, c := range commands {
		out = append(out, [2]string{c.Name, c.Usage})
	}
	return out
}

// valuesOf are the values that an option can take, where there are only some.
func valuesOf(option string, path []*urfave.Command) (out [][2]string) {
	var names []string
	switch option {
	case "format", "from", "to":
		names = dataset.Formats()
		if len(path) == 1 && path[0].Name == "export" {
			names = append(names, handover.Formats()...)
		}
	case "shape":
		names = judge.ShapeNames()
	case "protocol":
		names = debate.Protocols()
	case "baseline":
		names = append(eval.Baselines(), eval.AuthorBaseline, eval.WordsBaseline)
	case "rule":
		names = []string{"auto"}
		for _, r := range eval.Rules() {
			names = append(names, string(r))
		}
	case "probe":
		names = probe.Names()
	case "mode":
		names = []string{judge.ModeToken, judge.ModeVote, judge.ModeReason}
	case "aggregate":
		for _, r := range []label.Rule{label.LogOdds, label.Mean, label.Vote} {
			names = append(names, string(r))
		}
	case "features":
		names = []string{rm.FeatureHash, rm.FeatureStyle, rm.FeatureChars}
	case "head":
		names = rm.Heads()
	}
	for _, n := range names {
		out = append(out, [2]string{n, ""})
	}
	return out
}

// longName is an option's longest name, with its dashes.
func longName(f urfave.Flag) string {
	name := slices.MaxFunc(f.Names(), func(a, b string) int { return len(a) - len(b) })
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// flagUsage is an option's text, without what it is called.
func flagUsage(f urfave.Flag) string {
	d, ok := f.(urfave.DocGenerationFlag)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(d.GetUsage(), "`", "")
}
