package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"cai/debate"
	"cai/judge"
	"cai/label"
	"cai/llm"
	"cai/store"
)

// debatePrinciple is what is debated where no principle is named: a debate is
// too dear to be held under each.
const debatePrinciple = "overall"

func (a *app) debateCommand() *urfave.Command {
	var protocols strings.Builder
	for _, name := range debate.Protocols() {
		fmt.Fprintf(&protocols, "  %-13s %s\n", name, debate.About(name))
	}
	return &urfave.Command{
		Name:      "debate",
		Usage:     "debates over pairs of replies, and a judge who sees only the debate",
		ArgsUsage: "FILE…",
		Description: "Takes the files of cai label, and is one more way to label: each pair is debated in both\n" +
			"orders, so that either reply is debater A's once, and what the judge says is stored as\n" +
			"judgments, for cai labels, export, train and calibrate. What was said is in the database\n" +
			"as soon as it was said: started again, the same command goes on in mid-debate.\n\n" +
			"The judge sees the prompt and the debate, never the replies. Passages that a debater\n" +
			"writes as <quote>…</quote> are looked up in the replies and the prompt, white space aside,\n" +
			"and marked [verified], with the place, or [not in the text]. A turn of more than half as\n" +
			"many words again as --words is cut behind a sentence or a word, and marked [cut].\n\n" +
			"Protocols:\n" + protocols.String() +
			"In consultancy the position bias is mostly how far the judge follows the one it hears.\n" +
			"With blind both orders are the same question, so every label is a tie.\n\n" +
			"A debate of R rounds takes 2R answers of --words words in each order, where cai label\n" +
			"takes a token: --limit bounds the pairs, and only the principle overall is debated unless\n" +
			"--principle names others. Hold the labels against those of --protocol full before you pay\n" +
			"for more.\n\n" +
			"--print shows the debates. --transcripts writes JSON Lines: pair, principle, order, sample,\n" +
			"protocol, turns [{round, side, text, quotes [{text, verified, in}]}], p_first, coverage,\n" +
			"prompt, first and second (the replies of A and B). --tournament ranks the replies of each\n" +
			"prompt that has more than two (Bradley-Terry); with --pairs N not all of them meet.\n\n" +
			"--json prints what cai label prints, and protocol, rounds, debates, seconds_per_pair,\n" +
			"quotes, quotes_verified (the share), tournament.\n" + exitHelp,
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "protocol", Value: debate.Protocols()[0], Usage: fmt.Sprintf("%s (`NAME`)", strings.Join(debate.Protocols(), ", "))},
			&urfave.IntFlag{Name: "rounds", Value: debate.DefaultRounds, Usage: "turns of each side (`N`)"},
			&urfave.IntFlag{Name: "words", Value: debate.DefaultWords, Usage: "words that a turn is asked to keep to (`N`)"},
			&urfave.StringFlag{Name: "debater", Usage: "the model that argues, if it is not the judge's (`NAME`)"},
			&urfave.Float64Flag{Name: "temperature", Value: debate.DefaultTemperature, Usage: "of the debaters (`T`)"},
			principleFlag(),
			&urfave.IntFlag{Name: "orders", Value: 2, Usage: "debate each pair in both orders, or in `1`: half the time, and the bias for a side stays in the labels"},
			&urfave.IntFlag{Name: "samples", Value: 1, Usage: "debates of each question (`K`)"},
			&urfave.IntFlag{Name: "votes", Usage: "sample `N` answers of the judge and count them, for servers without log-probabilities"},
			limitFlag("pairs"),
			&urfave.IntFlag{Name: "pairs", Usage: "at most `N` pairs of a prompt with many responses, those that tell most about their ranking"},
			&urfave.IntFlag{Name: "seed", Usage: "seed of the debaters and of the choice of pairs (`N`)"},
			shapeFlag(),
			&urfave.BoolFlag{Name: "retry-failed", Usage: "debate again what failed before"},
			&urfave.BoolFlag{Name: "dry-run", Usage: "say how many debates would be held, and ask nothing"},
			minCoverageFlag(),
			&urfave.BoolFlag{Name: "print", Usage: "show the debates"},
			&urfave.StringFlag{Name: "transcripts", Usage: "write the debates as JSON Lines to `FILE`; .gz and .zst compress"},
			&urfave.BoolFlag{Name: "tournament", Usage: "rank the replies of each prompt that has more than two"},
		}, slices.Concat(spreadFlags(), inputFlags())...),
		Action: a.runDebate,
	}
}

// debateRun is one run of cai debate: a labelling job whose judge hears debates.
type debateRun struct {
	*labelRun
	settings debate.Settings
	debater  *model // nil where it is the judge's
	fleet    *fleet // of the debater
	window   int    // longest context of the debater, in tokens; 0 unknown
}

func (a *app) runDebate(c *urfave.Context) error {
	d := &debateRun{labelRun: a.newLabelRun(c)}
	d.judges = judges{modes: []string{debate.Mode}, make: d.debaters, report: d.figures}
	if err := d.setUp(); err != nil {
		return err
	}
	mode, err := d.prepare()
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return d.dryRun(mode)
	}
	count, err := d.judgeAll(mode)
	switch {
	case llm.KindOf(err) == llm.KindNoLogprobs:
		return hinted(err, "--votes %d samples the judge's answers and counts them", judge.DefaultVotes)
	case err != nil && !errors.Is(err, label.ErrStopped):
		return err
	}
	return errors.Join(d.show(), d.labelRun.report(count), err)
}

// setUp checks the options, and chooses the principle where none is named.
func (d *debateRun) setUp() error {
	a, c := d.app, d.c
	d.settings = debate.Settings{
		Protocol: c.String("protocol"), Rounds: c.Int("rounds"), Words: c.Int("words"),
		Temperature: c.Float64("temperature"), Seed: c.Int("seed"), Votes: c.Int("votes"),
	}
	switch t := d.settings.Temperature; {
	case !slices.Contains(debate.Protocols(), d.settings.Protocol):
		return usagef("--protocol %q is not known: use %s", d.settings.Protocol, strings.Join(debate.Protocols(), ", "))
	case d.settings.Rounds < 1:
		return usagef("--rounds must be at least 1")
	case d.settings.Words < 5:
		return usagef("--words must be at least 5")
	case d.settings.Votes < 0:
		return usagef("--votes cannot be negative")
	case !(t > 0 && t <= 2):
		return usagef("--temperature %v is not above 0 and up to 2", t)
	case c.Bool("print") && c.Bool("json"):
		return hinted(usagef("--print is for people and --json for programs"), "--transcripts FILE writes the debates as JSON Lines")
	}
	var err error
	if d.settings.Shape, err = shapeOf(c); err != nil {
		return err
	}
	d.judges.calls = debate.Calls(d.settings)
	if c.IsSet("principle") {
		return nil
	}
	con, err := a.constitution(c)
	if err != nil || len(con.Principles) == 1 {
		return err
	}
	for i := range con.Principles {
		if con.Principles[i].ID == debatePrinciple {
			return c.Set("principle", debatePrinciple)
		}
	}
	return hinted(usagef("%s has no principle %q, which is debated by default", con.File, debatePrinciple), "name what is to be debated with --principle ID")
}

// debaters makes the judge of a host, and who debates before it.
func (d *debateRun) debaters(m llm.Chatter, _ string) (asker, error) {
	if err := d.openDebater(); err != nil {
		return asker{}, err
	}
	s := d.settings
	s.Options = d.model.options
	turns := &keptTurns{Chatter: m, stop: d.app.Stop, known: d.app.remember(d.model, d.store)}
	if d.debater != nil {
		s.Debater = d.debater.id
		turns.known.model = d.debater
		turns.Chatter = d.beside(m)
		d.debater.SetNumCtx(within(d.model, d.window))
	}
	j, err := debate.New(m, d.model.id, turns, s)
	if err != nil {
		return asker{}, err
	}
	return asker{j, j.ID, j.Room()}, nil
}

// openDebater opens the model that --debater names, once.
func (d *debateRun) openDebater() error {
	a, c := d.app, d.c
	name := c.String("debater")
	if d.debater != nil || name == "" || name == c.String("model") {
		return nil
	}
	if d.away != nil {
		return d.away
	}
	m, err := a.modelNamed(c, name)
	if err != nil {
		return err
	}
	if d.fleet, err = a.fleet(c, m); err != nil {
		return err
	}
	if d.window, err = m.ContextLength(c.Context); err != nil {
		return err
	}
	d.debater = m
	return nil
}

// within gives the context length that the judge's calls ask for, or the longest
// that another model has.
func within(m *model, most int) int {
	if m.Client == nil {
		return 0
	}
	if n := m.NumCtx(); most == 0 || n < most {
		return n
	}
	return most
}

// beside gives the debater on the host of a judge.
func (d *debateRun) beside(m llm.Chatter) llm.Chatter {
	if client, ok := m.(*llm.Client); ok {
		for _, other := range d.fleet.clients {
			if other.Host() == client.Host() {
				return other
			}
		}
	}
	return d.debater.Client
}

// keptTurns is a debater whose arguments are kept in the store as soon as they
// are made, so that a debate that was broken off goes on where it was. It may be
// used by several debates at once.
type keptTurns struct {
	llm.Chatter
	known *remembered
	stop  <-chan struct{}
}

// Argue answers from the store, or asks the model and keeps its answer. Once the
// user wants to stop it asks no more.
func (k *keptTurns) Argue(ctx context.Context, req llm.Request) (*llm.Reply, bool, error) {
	return k.known.answer(ctx, req, k.Chatter, k.stop)
}

// debatesJSON is what cai debate adds to the summary of cai label. Its figures
// are of all the debates that the judge has held on the files.
type debatesJSON struct {
	Protocol       string        `json:"protocol"`
	Rounds         int           `json:"rounds"` // 0 where no debate is held
	Debates        int64         `json:"debates"`
	SecondsPerPair *float64      `json:"seconds_per_pair"` // both orders and all principles, as it was asked; null where there is none
	Quotes         int64         `json:"quotes"`
	QuotesVerified *float64      `json:"quotes_verified"` // the share; null where nothing was quoted
	Tournament     []rankingJSON `json:"tournament,omitempty"`
}

// figures reads what the debates came to.
func (d *debateRun) figures(ctx context.Context) (*debatesJSON, error) {
	out := &debatesJSON{Protocol: d.settings.Protocol}
	var pairs, verified int64
	var took time.Duration
	cup := &tournament{}
	set := settings{rule: label.LogOdds, minCoverage: d.c.Float64("min-coverage"), oneOrder: d.c.Int("orders") == 1}.of(d.principles)
	for j, err := range d.debated(ctx) {
		if err != nil {
			return nil, err
		}
		pairs++
		for i := range j.Judgments {
			g := &j.Judgments[i]
			if g.Doubt != "" {
				continue
			}
			t, err := debate.ParseTranscript(g.Rationale)
			if err != nil {
				return nil, fmt.Errorf("pair %s: %w", g.Pair, err)
			}
			out.Debates++
			took += g.Duration
			all, good := t.Quotes()
			out.Quotes += int64(all)
			verified += int64(good)
			for _, turn := range t.Turns {
				out.Rounds = max(out.Rounds, turn.Round)
			}
		}
		if d.c.Bool("tournament") {
			cup.add(j, set)
		}
	}
	if pairs > 0 {
		out.SecondsPerPair = new(took.Seconds() / float64(pairs))
	}
	if out.Quotes > 0 {
		out.QuotesVerified = new(float64(verified) / float64(out.Quotes))
	}
	if d.c.Bool("tournament") {
		out.Tournament = cup.rankings()
		if len(out.Tournament) == 0 {
			d.app.note(d.c, "no prompt has more than two replies that were debated: there is nothing to rank")
		}
	}
	return out, nil
}

// debated gives the pairs that this judge has heard debates on.
func (d *debateRun) debated(ctx context.Context) func(func(*store.Judged, error) bool) {
	return d.store.Judged(ctx, d.judgedFilter())
}
