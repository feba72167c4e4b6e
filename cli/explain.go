package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/rm"
)

func (a *app) explainCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "explain",
		Usage:     "why a reward model scores as it does: features, principles, sentences, training pairs",
		ArgsUsage: "--rm FILE (--global | FILE…)",
		Description: "Divides the score of a reply, or the difference of a pair's two scores, into parts that\n" +
			"sum up to what cai score prints: by group of features, by member of the model (such as\n" +
			"principles), by feature, by word and by sentence. N-grams are shown as the words of the\n" +
			"text that they stand for; those that share a hash bucket share its part. What no word\n" +
			"gives (style, the prompt, features from outside) is the rest. Of a network the parts are\n" +
			"its integrated gradients, without any error of steps.\n\n" +
			"For a pair, parts above 0 speak for the chosen reply (or a), whatever reply they stand in.\n" +
			"The smallest edit is the fewest words found whose deletion from the reply that the model\n" +
			"prefers makes it prefer the other, up to --edit-words; the edited text is scored. Where\n" +
			"the model has embeddings each text that is tried is a call: then only if it is given.\n\n" +
			"With the training data (--data, else the labels of the database for a model trained on\n" +
			"them) it also shows the training pairs whose difference is nearest (cosine) and those\n" +
			"that the score hangs on most: by how much it would change without each of them\n" +
			"(influence functions; not for networks).\n\n" +
			"--global shows what the heads look at most, with --data each n-gram's words and an\n" +
			"example.\n\n" +
			"--json prints one line a record: id, score and std (or score_chosen, score_rejected,\n" +
			"margin; _a and _b where nothing is chosen), groups, members, features, words, sentences,\n" +
			"rest, kinds (of the prompt), nearest, influential, edit. Words with the rest, sentences\n" +
			"with the rest, and each of groups, members and features sum up to the score or margin,\n" +
			"unless --top cuts the features.\n" + exitHelp,
		Flags: append(append([]urfave.Flag{
			&urfave.StringFlag{Name: "rm", Usage: "the reward model's `FILE`"},
			&urfave.StringSliceFlag{Name: "data", Usage: "a preference `FILE` that the model was trained on; repeatable"},
			&urfave.BoolFlag{Name: "global", Usage: "what the model looks at in general instead of records"},
			&urfave.IntFlag{Name: "top", Value: 10, Usage: "show the `N` largest of each list; with --json, features are cut only where it is given"},
			&urfave.BoolFlag{Name: "nearest-only", Usage: "of the training pairs show the nearest, not the most influential ones: quicker"},
			&urfave.IntFlag{Name: "edit-words", Value: 40, Usage: "look for an edit of up to `N` words that turns a preference around; 0 looks for none"},
			promptFlag(),
			limitFlag("records"),
		}, readingFlags()...), inputFlags()...),
		Action: a.runExplain,
	}
}

func (a *app) runExplain(c *urfave.Context) (err error) {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	a.startsOver = true
	switch {
	case c.String("rm") == "":
		return hinted(usagef("no reward model is named"), "use --rm FILE; cai train makes one")
	case c.Int("top") < 1:
		return usagef("--top %d is not a number from 1 up", c.Int("top"))
	case c.Int("edit-words") < 0:
		return usagef("--edit-words cannot be negative")
	case c.Bool("global") && c.NArg() > 0:
		return hinted(usagef("--global takes no records"), "name the training data by --data FILE")
	}
	var in *inputs
	if !c.Bool("global") {
		if in, err = a.inputs(c, "replies or pairs"); err != nil {
			return err
		}
	}
	m, closeModel, err := a.rewardModel(c, c.String("rm"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeModel()) }()
	back, err := a.background(ctx, c, m)
	if err != nil {
		return err
	}
	if c.Bool("global") {
		err = a.explainGlobal(ctx, c, m, back)
	} else {
		err = a.explainRecords(ctx, c, in, m, back)
	}
	return err
}

// background reads the training data; nil where there are none.
func (a *app) background(ctx context.Context, c *urfave.Context, m *rm.Model) (*rm.Background, error) {
	const without = "no nearest and no influential training pairs"
	files := c.StringSlice("data")
	_, err := os.Stat(c.String("db"))
	stored := err == nil
	fromStore := m.Metadata.Judge != "" // the labels of a judge
	switch {
	case len(files) > 0:
	case !fromStore:
		a.note(c, "%s: the model was trained on files; name them by --data FILE", without)
		return nil, nil
	case !stored:
		a.note(c, "%s: the model was trained on the labels of a database, and %s is not there; name it by --db FILE", without, c.String("db"))
		return nil, nil
	}
	var o rm.Options
	var r *reading
	if len(files) == 0 || m.Metadata.Head == rm.HeadPrinciples && stored {
		if r, err = a.reading(c); err != nil {
			return nil, err
		}
	}
	var in *inputs
	var pairs iter.Seq2[*dataset.Pair, error]
	if len(files) == 0 {
		pairs = r.trainingPairs(ctx)
	} else {
		if in, err = a.inputFiles(c, files); err != nil {
			return nil, err
		}
		in.asFound() // --format, --columns and --scale are of the records
		pairs = in.pairs()
	}
	if r != nil && m.Metadata.Head == rm.HeadPrinciples {
		v, err := r.votes(ctx)
		if err != nil {
			return nil, err
		}
		o.Principles, o.Votes = v.ids, v.of
	}
	p := a.progress(c, c.Command.Name+": training data", "pairs", 0)
	defer p.done()
	o.Progress = func(_ string, done, _ int) { p.set(int64(done), "") }
	b, err := m.Background(ctx, pairs, o)
	if err != nil {
		return nil, err
	}
	p.done()
	if !b.Same {
		a.warn("the training data are not those of the model: its data hash is another, so influence is a guess")
	}
	if len(b.Unknown) > 0 && !c.Bool("global") {
		what := b.Unknown
		if len(what) > 4 {
			what = append(slices.Clone(what[:4]), "…")
		}
		a.note(c, "influence leaves out %v of the model: networks, and principles whose judgments are not at hand", what)
	}
	return b, nil
}

// explained is a record with its explanation.
type explained struct {
	id      string
	source  dataset.Source
	prompt  dataset.Conversation
	replies []string
	sides   []string // of a pair
	pair    *dataset.Pair
	*rm.Explanation
	edit                 *rm.Edit
	nearest, influential []rm.Neighbour
	background           bool
}

func (a *app) explainRecords(ctx context.Context, c *urfave.Context, in *inputs, m *rm.Model, back *rm.Background) error {
	p := a.progress(c, "explain", "records", 0)
	p.off = p.off || !c.Bool("json") && isTerminal(a.Out)
	defer p.done()
	n := int64(0)
	pr := a.explanationPrinter(c)
	for r, err := range limited(in.records(), c.Int("limit")) {
		if err != nil {
			return err
		}
		for _, e := range a.parts(c, r) {
			if err := a.explainOne(ctx, c, m, back, e); err != nil {
				return err
			}
			if c.Bool("json") {
				if err := a.writeJSON(e.json(c)); err != nil {
					return err
				}
			} else {
				pr.print(e)
			}
		}
		n++
		p.set(n, "")
	}
	return nil
}

// parts gives what there is to explain in a record: a pair, a reply, or each
// reply of a list.
func (a *app) parts(c *urfave.Context, r *dataset.Record) []*explained {
	id := recordID(r.Source)
	if r.Pair != nil {
		s := sides(r.Pair)
		return []*explained{{
			id: id, source: r.Source, prompt: r.Pair.Prompt, pair: r.Pair, sides: s[:],
			replies: []string{r.Pair.First.Text, r.Pair.Second.Text},
		}}
	}
	if r.Reply != nil {
		return []*explained{{
			id: id, source: r.Source, prompt: conversationOf(r.Reply, c.String("prompt")), replies: []string{r.Reply.Response.Text},
		}}
	}
	var out []*explained
	for i, reply := range r.Responses {
		out = append(out, &explained{id: id + "." + strconv.Itoa(i+1), source: r.Source, prompt: r.Prompt, replies: []string{reply.Text}})
	}
	return out
}

func (a *app) explainOne(ctx context.Context, c *urfave.Context, m *rm.Model, back *rm.Background, e *explained) (err error) {
	at := func(err error) error {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%s:%d: %w", e.source.File, e.source.Line, err)
	}
	if e.pair != nil {
		e.Explanation, err = m.ExplainPair(ctx, e.pair)
	} else {
		e.Explanation, err = m.Explain(ctx, rm.Item{Prompt: e.prompt, Reply: e.replies[0]})
	}
	if err != nil {
		return at(err)
	}
	n := c.Int("edit-words")
	if len(m.Sources()) > 0 && !c.IsSet("edit-words") {
		n = 0 // each text that is tried would be a call
	}
	if n > 0 && e.pair != nil {
		if e.edit, err = m.SmallestEdit(ctx, e.pair, e.Explanation, n); err != nil {
			return at(err)
		}
	}
	if back != nil {
		e.background = true
		if e.nearest, e.influential, err = back.Nearest(ctx, e.prompt, e.replies, c.Int("top"), !c.Bool("nearest-only")); err != nil {
			return at(err)
		}
	}
	return nil
}

// kindPrompts is how many prompts are shown at each end of a kind.
const kindPrompts = 3

func (a *app) explainGlobal(ctx context.Context, c *urfave.Context, m *rm.Model, back *rm.Background) error {
	views := m.Overview(c.Int("top"))
	if back != nil {
		p := a.progress(c, "explain: features", "heads", 0)
		defer p.done()
		var err error
		if views, err = back.Overview(ctx, c.Int("top")); err != nil {
			return err
		}
		p.done()
	}
	var kinds []rm.Kind
	if back != nil {
		kinds = back.Kinds(kindPrompts)
	}
	if !c.Bool("json") {
		a.explanationPrinter(c).overview(views, kinds, back != nil)
		return nil
	}
	for _, v := range views {
		if err := a.writeJSON(globalOf(v)); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := a.writeJSON(k); err != nil {
			return err
		}
	}
	return nil
}
