package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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
		Usage:     "accuracy of reward models, a judge or baselines, and benchmarks' own scores",
		ArgsUsage: "(--rm FILE… | --judge | --baseline NAME… | --matrix) FILE…",
		Description: "Compares with preference files that say which reply is better. Intervals are 95 %,\n" +
			"bootstrapped by prompt; every accuracy stands beside the null baselines on the same\n" +
			"pairs. --judge asks the model of --model in both orders under the principles and\n" +
			"keeps its answers in the database, so that a second run asks nothing twice.\n\n" +
			"RewardBench, RewardBench 2, RM-Bench, JudgeBench, LLMBar and HHH are recognised by their\n" +
			"columns and scored by their own rules too, with the parts that are missing named.\n" +
			"Files of one benchmark are also scored together.\n\n" +
			"Several models, the judge and baselines can be named at once: all answer the same pairs,\n" +
			"and each is compared with each that comes after it, by McNemar's exact test and by the\n" +
			"difference of accuracies with its interval.\n\n" +
			"Where the data name who wrote each reply (columns such as mc and mr, model_a and\n" +
			"model_b), one more baseline knows the author and nothing of the text: a Bradley-Terry\n" +
			"strength for each, in all and by subset, fitted to pairs of other prompts. A model that\n" +
			"is not above it may have learned to recognise authors.\n\n" +
			"A bag of words is the last baseline: logistic regression on which words stand in the\n" +
			"replies, in no order, cross-fitted by prompt as the authors are, from 50 prompts on.\n\n" +
			"--train FILE names what a model was trained on: the bag of words is then fitted there,\n" +
			"and prompts and replies of the evaluated files are looked for in it, by MinHash over\n" +
			"five words in a row (near-duplicates have a Jaccard index of 0.7 or more; case,\n" +
			"punctuation and Unicode form do not count). Accuracies with and without the pairs concerned are printed.\n\n" +
			"--matrix FILE… trains a model on each file, or on each value of the column --by, and tests\n" +
			"it on each; the last row is of models trained on all files but the one tested on. No\n" +
			"model is tested on a prompt that it was trained on. Where authors are named, models are\n" +
			"also trained without some of them and tested on those, in several draws.\n\n" +
			"--json prints {sets: [{name, n, accuracy, ci, baselines, author, bag_of_words, overlap,\n" +
			"length_spearman, log_loss, ece, subsets, by_length, by_overlap, reliability, benchmark}]},\n" +
			"of the first that is named; with --rm conformal {level, n, coverage, single, single_accuracy} in each\n" +
			"set; benchmark is {rule, overall, ci, baselines, sections, levels, matrix, agreement,\n" +
			"missing}; benchmarks, those of files together. With several: scorers [{name, kind, sets}]\n" +
			"and comparisons [{set, first, second, n, first_alone, second_alone, p, p_mid, delta,\n" +
			"delta_ci, benchmark}]. overlap is {train, threshold, prompts {n, exact, near}, replies,\n" +
			"prompt_found {n, accuracy, ci, longer}, reply_found, clean, prompt_clean, examples}. With\n" +
			"--matrix {matrix: {domains, cells [[{trained, n, accuracy, ci, log_loss, delta, delta_ci}]],\n" +
			"left_out, tests, authors {draws, mean, sd, longer}}}. A record's subset is its column of\n" +
			"that name.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringSliceFlag{Name: "rm", Usage: "a reward model's `FILE`; repeatable"},
			&urfave.BoolFlag{Name: "judge", Usage: "the model of --model as the judge"},
			&urfave.StringSliceFlag{Name: "baseline", Usage: "a null baseline: longer, shorter, markdown, author or bag-of-words; repeatable (`NAME`)"},
			&urfave.StringFlag{Name: "rule", Value: autoRule, Usage: "how a benchmark is scored: auto, pairs (no benchmark), rewardbench, rewardbench2, rmbench, judgebench, llmbar or hhh (`RULE`)"},
			&urfave.BoolFlag{Name: "bins", Usage: "print accuracy by length, by overlap of the replies' words, and the reliability of the certainty; --json always has them"},
			principleFlag(),
			shapeFlag(),
			limitFlag("pairs of each file that say which reply is better"),
			&urfave.Int64Flag{Name: "seed", Usage: "seed of the bootstrap (`N`)"},
			&urfave.StringFlag{Name: "card", Usage: "write all figures to `FILE`: .md, .json or .html"},
			requireFlag("sets.rmbench.benchmark.levels.hard.score>=0.5"),
		}, slices.Concat(inputFlags(), overlapFlags(), transferFlags())...),
		Action: a.runEval,
	}
}

const autoRule = "auto"

// evaluation is one run of cai eval.
type evaluation struct {
	app      *app
	c        *urfave.Context
	in       *inputs
	rule     eval.Rule // "" to recognise it
	scorers  []*evalScorer
	contests []comparisonJSON
	bounds   []bound
	trained  *trainedOn // nil without --train
	words    int        // for how many pairs at most the bag-of-words baseline is fitted
}

func (a *app) runEval(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	if c.Bool("matrix") {
		return a.evalMatrix(ctx, c)
	}
	e := &evaluation{app: a, c: c}
	if err := e.check(); err != nil {
		return err
	}
	if e.in, err = a.inputs(c, "preference files"); err != nil {
		return err
	}
	baselines := list(c.StringSlice("baseline"))
	if c.Bool("judge") || c.IsSet("train") || slices.Contains(baselines, eval.AuthorBaseline) || slices.Contains(baselines, eval.WordsBaseline) {
		if err := e.in.rewindable(); err != nil {
			return err
		}
	}
	if e.trained, err = a.trainedOn(ctx, c, e.in); err != nil {
		return err
	}
	if e.scorers, err = a.evalScorers(c, e.in, e.trained); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeScorers(e.scorers)) }()
	for _, f := range e.in.files {
		if err := e.file(ctx, f); err != nil {
			return err
		}
	}
	result := e.json()
	if c.Bool("json") {
		if err := a.writeJSON(result); err != nil {
			return err
		}
	} else {
		e.print(a.Out)
	}
	if err := a.writeCard(c.String("card"), e.document(), result); err != nil {
		return err
	}
	if err := a.require(e.bounds, result); err != nil {
		return err
	}
	if slices.ContainsFunc(e.scorers, func(s *evalScorer) bool { return s.seen != nil && s.seen.most() }) {
		return silent(ExitSomeFailed)
	}
	return nil
}

func (e *evaluation) check() error {
	c := e.c
	if len(c.StringSlice("rm")) == 0 && !c.Bool("judge") && len(list(c.StringSlice("baseline"))) == 0 {
		return usagef("eval takes at least one of --rm FILE, --judge and --baseline NAME, or --matrix")
	}
	if name := transferOnly(c); name != "" {
		return hinted(usagef("--%s goes with --matrix", name), "add --matrix, which trains and tests on each file")
	}
	var err error
	if e.words, err = wordPairs(c); err != nil {
		return err
	}
	if r := c.String("rule"); r != autoRule {
		e.rule = eval.Rule(r)
		if !slices.Contains(eval.Rules(), e.rule) {
			return usagef("--rule %q: use auto, pairs, rewardbench, rewardbench2, rmbench, judgebench, llmbar or hhh", r)
		}
	}
	if err := checkCard(c.String("card")); err != nil {
		return err
	}
	e.bounds, err = parseBounds(c)
	return err
}

// file evaluates all scorers on one file.
func (e *evaluation) file(ctx context.Context, f string) error {
	comparers := make([]eval.Comparer, len(e.scorers))
	asked := make([]eval.Comparer, len(e.scorers))
	for i, s := range e.scorers {
		by, err := s.of(f)
		if err != nil {
			return err
		}
		comparers[i], asked[i] = by, by
		if e.trained != nil {
			asked[i] = &partComparer{Comparer: by, texts: e.trained.in[f]}
		}
	}
	format := e.c.String("format")
	e.in.told = func(t dataset.Told) bool {
		if t.Kind == dataset.ToldFormat {
			format = t.Format
		}
		return false
	}
	p := e.app.progress(e.c, "eval "+filepath.Base(f), "pairs", 0)
	sets, contests, err := eval.RunEach(ctx, setNameAmong(f, e.in.files), decided(e.in, f, e.c.Int("limit")), asked, eval.Options{
		Seed: e.c.Int64("seed"), Subset: subset, Bins: true, Progress: func(n int) { p.set(int64(n), "") },
		WordPairs: e.words, Words: e.trained.bag(),
		Rule: func(p *dataset.Pair) eval.Rule {
			if e.rule != "" {
				return e.rule
			}
			return eval.RuleOf(format, p)
		},
	})
	p.done()
	if err != nil {
		return err
	}
	if sets[0].N == 0 && len(sets[0].Skipped) == 1 && sets[0].Skipped[eval.SkipAbstained] > 0 {
		return hinted(fmt.Errorf("%s: there is no answer about any of its pairs", f), "cai doctor tells what is wrong with a judge")
	}
	if sets[0].N == 0 {
		return hinted(fmt.Errorf("%s: no pair says which reply is better", f), "eval needs labelled pairs: chosen and rejected")
	}
	for i, s := range e.scorers {
		s.set(sets[i], comparers[i])
		if by, ok := asked[i].(*partComparer); ok {
			s.sets[len(s.sets)-1].Overlap = e.trained.overlap(by, e.c.Int64("seed"))
		}
	}
	for _, k := range contests {
		e.contests = append(e.contests, comparisonJSON{
			Set: sets[0].Name, First: e.scorers[k.First].name, Second: e.scorers[k.Second].name,
			Paired: k.Paired, Benchmark: k.Benchmark,
		})
	}
	return nil
}

// decided gives the pairs of a file up to the first n of which it says which reply is
// better, all of them for 0.
func decided(in *inputs, file string, n int) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		left := n
		for p, err := range readFile(in, file, dataset.Pairs) {
			if !yield(p, err) {
				return
			}
			if err == nil && p.Labelled() && p.P != 0.5 {
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// comparisonJSON is two scorers on the same pairs of a file.
type comparisonJSON struct {
	Set    string `json:"set"`
	First  string `json:"first"`
	Second string `json:"second"`
	eval.Paired
	Benchmark *eval.Difference `json:"benchmark,omitempty"`
}

// scorerJSON is all that one of several scorers came to.
type scorerJSON struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Sets       []evalSet         `json:"sets"`
	Benchmarks []*eval.Benchmark `json:"benchmarks,omitempty"`
}

func (e *evaluation) json() any {
	out := struct {
		Sets        []evalSet         `json:"sets"`
		Benchmarks  []*eval.Benchmark `json:"benchmarks,omitempty"`
		Scorers     []scorerJSON      `json:"scorers,omitempty"`
		Comparisons []comparisonJSON  `json:"comparisons,omitempty"`
	}{Sets: e.scorers[0].sets, Benchmarks: e.together(e.scorers[0]), Comparisons: e.contests}
	if len(e.scorers) > 1 {
		for _, s := range e.scorers {
			out.Scorers = append(out.Scorers, scorerJSON{s.name, s.kind, s.sets, e.together(s)})
		}
	}
	return out
}

// together scores the files of each benchmark together.
func (e *evaluation) together(s *evalScorer) (out []*eval.Benchmark) {
	for _, r := range eval.Rules() {
		var of []*eval.Benchmark
		for i := range s.sets {
			if b := s.sets[i].Benchmark; b != nil && b.Rule == r {
				of = append(of, b)
			}
		}
		if b := eval.MergeBenchmarks(of, eval.Options{Seed: e.c.Int64("seed")}); b != nil {
			out = append(out, b)
		}
	}
	return out
}

// evalSet is the figures of a file, and how the conformal sets of a reward model
// did there.
type evalSet struct {
	eval.Set
	Conformal *rm.Coverage `json:"conformal,omitempty"`
	// Overlap is what the pairs share with the files of --train.
	Overlap *overlapJSON `json:"overlap,omitempty"`
}

// setName is how a file's figures are called.
func setName(file string) string {
	name := filepath.Base(file)
	for _, ext := range []string{".gz", ".zst", ".jsonl", ".json", ".csv", ".tsv", ".tab", ".parquet"} {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// setNameAmong is setName with as many of the folders before it as tell the file
// from the others.
func setNameAmong(file string, files []string) string {
	short := func(f string, folders int) string {
		parts := strings.Split(filepath.ToSlash(filepath.Dir(f)), "/")
		return strings.Join(append(slices.Clone(parts[max(0, len(parts)-folders):]), setName(f)), "/")
	}
	for folders := 0; ; folders++ {
		name, unique := short(file, folders), true
		for _, other := range files {
			unique = unique && (other == file || short(other, folders) != name)
		}
		if unique || folders > strings.Count(filepath.ToSlash(file), "/") {
			return name
		}
	}
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
