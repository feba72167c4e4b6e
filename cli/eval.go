package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/rm"
)

func (a *app) evalCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "eval",
		Usage:     "accuracy of a reward model, a judge or a baseline",
		ArgsUsage: "(--rm FILE | --judge | --baseline NAME) FILE…",
		Description: "Compares with preference files that say which reply is better. Intervals are 95 %,\n" +
			"bootstrapped by prompt; every accuracy stands beside the null baselines on the same\n" +
			"pairs. --judge asks the model of --model in both orders under the principles and\n" +
			"keeps its answers in the database, so that a second run asks nothing twice.\n\n" +
			"Where the data name who wrote each reply (columns such as mc and mr, model_a and\n" +
			"model_b), one more baseline knows the author and nothing of the text: a Bradley-Terry\n" +
			"strength for each, in all and by subset, fitted to pairs of other prompts. A model that\n" +
			"is not above it may have learned to recognise authors.\n\n" +
			"--json prints {sets: [{name, n, accuracy, ci, baselines, author, length_spearman,\n" +
			"log_loss, ece, subsets}]}, with --rm conformal {level, n, coverage, single, single_accuracy} in\n" +
			"each set; a record's subset is its column of that name.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "rm", Usage: "a reward model's `FILE`"},
			&urfave.BoolFlag{Name: "judge", Usage: "the model of --model as the judge"},
			&urfave.StringFlag{Name: "baseline", Usage: "a null baseline: longer, shorter, markdown or author (`NAME`)"},
			principleFlag(),
			shapeFlag(),
			&urfave.IntFlag{Name: "limit", Usage: "only the first `N` pairs of each file"},
			&urfave.Int64Flag{Name: "seed", Usage: "seed of the bootstrap (`N`)"},
		}, inputFlags()...),
		Action: a.runEval,
	}
}

func (a *app) runEval(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	named := 0
	for _, on := range []bool{c.String("rm") != "", c.Bool("judge"), c.String("baseline") != ""} {
		if on {
			named++
		}
	}
	if named != 1 {
		return usagef("eval takes one of --rm FILE, --judge and --baseline NAME")
	}
	if c.Int("limit") < 0 {
		return usagef("--limit cannot be negative")
	}
	in, err := a.inputs(c, "preference files")
	if err != nil {
		return err
	}
	if c.Bool("judge") || c.String("baseline") == eval.AuthorBaseline {
		if err := in.rewindable(); err != nil {
			return err
		}
	}
	comparer, err := a.comparer(c, in)
	if err != nil {
		return err
	}
	authors := c.String("baseline") == eval.AuthorBaseline
	if m, ok := comparer.(*rmComparer); ok {
		defer func() { err = errors.Join(err, m.done()) }()
	}
	var sets []evalSet
	bad := 0
	for _, f := range in.files {
		if authors {
			if comparer, err = authorComparer(in, f, c.Int("limit")); err != nil {
				return err
			}
		}
		p := a.progress(c, "eval "+filepath.Base(f), "pairs", 0)
		set, err := eval.Run(ctx, setName(f), limited(readFile(in, f, dataset.Pairs), c.Int("limit")), comparer, eval.Options{
			Seed: c.Int64("seed"), Subset: subset, Progress: func(n int) { p.set(int64(n), "") },
		})
		p.done()
		if err != nil {
			return err
		}
		bad = in.bad
		if set.N == 0 {
			return hinted(fmt.Errorf("%s: no pair says which reply is better", f), "eval needs labelled pairs: chosen and rejected")
		}
		s := evalSet{Set: set}
		if m, ok := comparer.(*rmComparer); ok {
			s.Conformal = coverage(m.Model, m.margins, m.labels)
			m.margins, m.labels = nil, nil
		}
		sets = append(sets, s)
	}
	if c.Bool("json") {
		if err := a.writeJSON(map[string]any{"sets": sets}); err != nil {
			return err
		}
	} else {
		for i := range sets {
			printSet(a.Out, &sets[i].Set)
			if sets[i].Conformal != nil {
				fmt.Fprint(a.Out, "  ")
				printCoverage(a.Out, sets[i].Conformal)
			}
		}
	}
	if bad > 0 {
		return silent(ExitSomeFailed)
	}
	return nil
}

// evalSet is the figures of a file, and how the conformal sets of a reward model
// did there.
type evalSet struct {
	eval.Set
	Conformal *rm.Coverage `json:"conformal,omitempty"`
}

// setName is how a file's figures are called.
func setName(file string) string {
	name := filepath.Base(file)
	for _, ext := range []string{".gz", ".zst", ".jsonl", ".json", ".csv", ".parquet"} {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// subset is the column of that name, and the level beside it.
func subset(p *dataset.Pair) string {
	var parts []string
	for _, key := range []string{"subset", "level", "difficulty"} {
		var s string
		if raw := p.Source.Extra.Get(key); raw != nil && json.Unmarshal(raw, &s) == nil && s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "/")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// list splits the values of a repeatable option at commas.
func list(values []string) []string {
	var out []string
	for _, v := range values {
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}
