package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/eval"
	"cai/judge"
	"cai/llm"
	"cai/prompt"
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

// authorComparer reads a file for who wrote its replies.
func authorComparer(in *inputs, file string, limit int) (eval.Comparer, error) {
	bad := in.bad
	comparer, named, err := eval.Authors(limited(readFile(in, file, dataset.Pairs), limit), subset)
	if err != nil {
		return nil, err
	}
	if named == 0 {
		return nil, hinted(fmt.Errorf("%s: no labelled pair names who wrote both replies", file),
			"the author baseline reads columns such as chosen_model and rejected_model, mc and mr, model_a and model_b")
	}
	in.bad = bad // the same records are read again
	return comparer, nil
}

func (a *app) comparer(c *urfave.Context, in *inputs) (eval.Comparer, error) {
	switch {
	case c.String("baseline") == eval.AuthorBaseline:
		return nil, nil // there is one for each file
	case c.String("baseline") != "":
		b, err := eval.Baseline(c.String("baseline"))
		if err != nil {
			return nil, &exitError{code: ExitUsage, err: fmt.Errorf("%w, %s", err, eval.AuthorBaseline)}
		}
		return b, nil
	case c.String("rm") != "":
		m, done, err := a.rewardModel(c, c.String("rm"))
		if err != nil {
			return nil, err
		}
		return &rmComparer{Model: m, done: done}, nil
	}
	return a.judgeComparer(c, in)
}

// rmComparer is a reward model as a comparer.
type rmComparer struct {
	*rm.Model
	margins, labels []float64 // of the file that is compared
	done            func() error
}

// Compare serves one goroutine.
func (m *rmComparer) Compare(ctx context.Context, p *dataset.Pair) (eval.Comparison, error) {
	margin, first, second, err := m.Margin(ctx, p)
	if err != nil {
		return eval.Comparison{}, err
	}
	m.margins, m.labels = append(m.margins, margin), append(m.labels, p.P)
	return eval.Comparison{Margin: margin, First: first.Mean, Second: second.Mean, Scored: true}, nil
}

// judgeComparer is a judge as a comparer: both orders, all principles.
type judgeComparer struct {
	app        *app
	c          *urfave.Context
	judge      *judge.Judge
	shape      judge.Shape
	model      *remembered
	principles []constitution.Principle
	any        bool // it has answered
}

func (a *app) judgeComparer(c *urfave.Context, in *inputs) (*judgeComparer, error) {
	shape, err := shapeOf(c)
	if err != nil {
		return nil, err
	}
	_, ps, err := a.principles(c)
	if err != nil {
		return nil, err
	}
	longest := 0
	for p, err := range in.pairs() {
		if err != nil {
			return nil, err
		}
		n := len(p.First.Text) + len(p.Second.Text)
		for _, m := range p.Prompt {
			n += len(m.Content)
		}
		longest = max(longest, n)
	}
	m, err := a.model(c)
	if err != nil {
		return nil, err
	}
	st, err := a.store(c)
	if err != nil {
		return nil, err
	}
	if err := a.fit(c, m, prompt.Context(longest, 16)); err != nil {
		return nil, err
	}
	j := &judgeComparer{app: a, c: c, shape: shape, model: a.remember(m, st), principles: ps}
	return j, j.use(judge.ModeToken)
}

func (j *judgeComparer) use(mode string) error {
	var err error
	j.judge, err = judge.New(j.model, j.model.id, judge.Settings{Shape: j.shape, Mode: mode, Options: j.model.options})
	return err
}

// Compare leaves out, as an abstention, a pair that cannot be judged.
func (j *judgeComparer) Compare(ctx context.Context, p *dataset.Pair) (eval.Comparison, error) {
	prefs, err := j.judge.Prefer(ctx, p.Prompt, p.First.Text, p.Second.Text, j.principles)
	if !j.any && llm.KindOf(err) == llm.KindNoLogprobs && j.judge.ID.Mode == judge.ModeToken {
		j.app.noLogprobs(j.c)
		if err := j.use(judge.ModeVote); err != nil {
			return eval.Comparison{}, err
		}
		prefs, err = j.judge.Prefer(ctx, p.Prompt, p.First.Text, p.Second.Text, j.principles)
	}
	if err != nil {
		if err := j.app.itemError(err, p.Source, ""); err != nil {
			return eval.Comparison{}, err
		}
		return eval.Comparison{}, eval.ErrAbstain
	}
	j.any = true
	return eval.Comparison{Margin: logit(judge.Together(prefs, j.principles))}, nil
}

func printSet(w io.Writer, s *eval.Set) {
	fmt.Fprintf(w, "%s: accuracy %s %s over %d pairs, %d prompts; %s\n", printable(s.Name), s.Accuracy, s.CI, s.N, s.Prompts, baselineText(s.Figures))
	printAuthor(w, "  ", s.Author)
	fmt.Fprintf(w, "  log loss %s (chance 0.693), ECE %s, length Spearman %s", s.LogLoss, s.ECE, s.LengthSpearman)
	for _, reason := range sortedKeys(s.Skipped) {
		fmt.Fprintf(w, ", %d left out: %s", s.Skipped[reason], strings.ReplaceAll(reason, "_", " "))
	}
	fmt.Fprintln(w)
	for _, name := range sortedKeys(s.Subsets) {
		f := s.Subsets[name]
		fmt.Fprintf(w, "  %-28s %s %s over %d; %s\n", printable(name), f.Accuracy, f.CI, f.N, baselineText(f))
	}
	fmt.Fprint(w, "  ")
	verdict(w, "it", s.Figures)
}

// printAuthor says what knowing the authors alone comes to, where they are named.
func printAuthor(w io.Writer, indent string, f *eval.AuthorFigures) {
	if f != nil {
		fmt.Fprintf(w, "%swho wrote the replies, %d authors, tells %s %s over %d pairs; beyond it %+.3f %s\n",
			indent, f.Authors, f.Accuracy, f.CI, f.N, float64(f.Delta), f.DeltaCI)
	}
}

// verdict says in words what an accuracy beside its baselines comes to.
func verdict(w io.Writer, what string, f eval.Figures) {
	switch {
	case f.CI.Contains(0.5):
		fmt.Fprintf(w, "%s cannot be told from chance on these pairs\n", what)
	case float64(f.Accuracy) < 0.5:
		fmt.Fprintf(w, "%s is worse than chance on these pairs\n", what)
	case f.BestBaseline != "" && f.DeltaCI[0] <= 0:
		fmt.Fprintf(w, "%s is above chance, but not surely better than %q (%+.3f %s)\n", what, f.BestBaseline, float64(f.Delta), f.DeltaCI)
	default:
		fmt.Fprintf(w, "%s is better than every baseline on these pairs (%+.3f %s)\n", what, float64(f.Delta), f.DeltaCI)
	}
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
