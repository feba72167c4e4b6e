package cli

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
)

// lintCheck is one finding about a preference file.
type lintCheck struct {
	Check string      `json:"check"`
	N     int         `json:"n"`
	Share eval.Figure `json:"share"`
	// Effect is Cohen's d of the two sides' lengths, for length_gap only.
	Effect *eval.Figure `json:"effect,omitempty"`
	// Signs are what the check swapped_columns counted.
	Signs    []*lintSign `json:"signs,omitempty"`
	Examples []string    `json:"examples"` // file:line
	Verdict  string      `json:"verdict"`
	of       int
}

type lintResult struct {
	Pairs  int          `json:"pairs"`
	Checks []*lintCheck `json:"checks"`
	// Languages count what prompts, chosen and rejected replies seem to be written
	// in; "" stands for texts too short to tell.
	Languages map[string]map[string]int `json:"languages"`
}

// linter looks at pairs one by one and keeps only hashes of them.
type linter struct {
	checks  []*lintCheck
	byName  map[string]*lintCheck
	pairs   int
	seen    map[dataset.Hash]float64 // pair to the side that won, of a
	splits  map[dataset.Hash]string  // prompt to the first split that has it, byte for byte and normalised
	against *otherFile               // nil without --against
	sides   *sideSigns
	langs   map[string]map[string]int
	prompts map[dataset.Hash]bool // texts of prompts
	// sums of the sides' lengths and of their squares, in code points
	n, sum, squares [2]float64
}

const (
	lintExamples = 5
	longReply    = 200 // code points from which on an unfinished end is counted
)

// lintNames with the share from which on a finding warns and fails.
var lintNames = []struct {
	name       string
	warn, fail float64
}{
	{"duplicates", 0.001, 0.05},
	{"contradictions", 0, 0.01},
	{"identical", 0, 0.01},
	{"empty", 0, 0.01},
	{"swapped", 0.001, 0.02},
	{"swapped_columns", 0, 0}, // by signs
	{"leakage", 0, 0.01},
	{"leakage_normalised", 0, 0.01},
	{"against_prompts", 0, 0.01},
	{"against_prompts_normalised", 0, 0.01},
	{"against_pairs", 0, 0.01},
	{"against_pairs_normalised", 0, 0.01},
	{"language", 0.01, 0.1},
	{"reply_language", 0.02, 0.1},
	{"truncated", 0.1, 0.3},
	{"control", 0, 0.01},
	{"length_gap", 0, 0}, // by effect size
	{"position", 0, 0},   // by distance from one half
	{"unlabelled", 0, 0.5},
}

func newLinter(g *otherFile) *linter {
	l := &linter{byName: map[string]*lintCheck{}, seen: map[dataset.Hash]float64{}, splits: map[dataset.Hash]string{}, prompts: map[dataset.Hash]bool{}, sides: newSideSigns(), against: g, langs: map[string]map[string]int{"prompt": {}, "chosen": {}, "rejected": {}}}
	for _, c := range lintNames {
		if g == nil && strings.HasPrefix(c.name, "against") {
			continue
		}
		check := &lintCheck{Check: c.name, Examples: []string{}}
		l.checks = append(l.checks, check)
		l.byName[c.name] = check
	}
	return l
}

func (l *linter) found(name string, p *dataset.Pair, yes bool) {
	c := l.byName[name]
	c.of++
	if !yes {
		return
	}
	if c.N++; len(c.Examples) < lintExamples {
		c.Examples = append(c.Examples, fmt.Sprintf("%s:%d", p.Source.File, p.Source.Line))
	}
}

func (l *linter) add(p *dataset.Pair) {
	l.pairs++
	key := p.Key()
	same := p.First.Text == p.Second.Text
	l.found("identical", p, same)
	empty := func(s string) bool { return strings.TrimSpace(s) == "" }
	noPrompt := true
	for _, m := range p.Prompt {
		noPrompt = noPrompt && empty(m.Content)
	}
	l.found("empty", p, empty(p.First.Text) || empty(p.Second.Text) || noPrompt)
	side := p.P
	if key.Swapped {
		side = 1 - p.P
	}
	before, again := l.seen[key.Hash]
	l.found("duplicates", p, again)
	l.found("contradictions", p, again && !same && (before-0.5)*(side-0.5) < 0)
	if !again {
		l.seen[key.Hash] = side
	}
	text := func(s string) dataset.Hash { return dataset.HashOf("text", s) }
	isPrompt := false
	for _, m := range p.Prompt {
		if m.Role == "user" {
			l.prompts[text(m.Content)] = true
		}
	}
	for _, r := range []string{p.First.Text, p.Second.Text} {
		isPrompt = isPrompt || !empty(r) && l.prompts[text(r)]
	}
	l.found("swapped", p, isPrompt)
	split := p.Source.File
	if s, ok := textColumn(p.Source.Extra, "split"); ok {
		split = s
	}
	normal := p.Prompt.Key()
	for name, prompt := range map[string]dataset.Hash{"leakage": key.Prompt, "leakage_normalised": dataset.HashOf("normal", string(normal[:]))} {
		first, known := l.splits[prompt]
		if !known {
			l.splits[prompt] = split
		}
		l.found(name, p, known && first != split)
	}
	l.look(p)
	asked := language(lastTurn(p.Prompt))
	of := func(text string) *lintSide {
		s := &lintSide{text: text, language: language(text)}
		s.foreign = !sameLanguage(asked, s.language)
		return s
	}
	chosen, rejected := of(p.First.Text), of(p.Second.Text)
	l.found("language", p, !sameLanguage(chosen.language, rejected.language))
	l.found("reply_language", p, chosen.foreign || rejected.foreign)
	l.langs["prompt"][asked]++
	l.found("truncated", p, unfinished(p.First.Text) || unfinished(p.Second.Text))
	l.found("control", p, hasControl(p.First.Text) || hasControl(p.Second.Text))
	l.found("unlabelled", p, !p.Labelled())
	if !p.Labelled() || p.P == 0.5 {
		return
	}
	l.found("position", p, p.P > 0.5)
	if p.P < 0.5 {
		chosen, rejected = rejected, chosen
	}
	l.langs["chosen"][chosen.language]++
	l.langs["rejected"][rejected.language]++
	l.sides.add(p, chosen, rejected)
	c, r := float64(utf8.RuneCountInString(chosen.text)), float64(utf8.RuneCountInString(rejected.text))
	l.found("length_gap", p, c > r)
	for i, x := range []float64{c, r} {
		l.n[i]++
		l.sum[i] += x
		l.squares[i] += x * x
	}
}

// textColumn gives a column that is a text.
func textColumn(o dataset.Object, key string) (string, bool) {
	raw := o.Get(key)
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return string(raw[1 : len(raw)-1]), true
}

// effect is Cohen's d of the lengths: the difference of the sides' means over the
// pooled standard deviation; positive where the chosen replies are longer.
func (l *linter) effect() float64 {
	n := l.n[0]
	if n < 2 {
		return math.NaN()
	}
	variance := func(i int) float64 {
		mean := l.sum[i] / n
		return max(0, (l.squares[i]-n*mean*mean)/(n-1))
	}
	return (l.sum[0] - l.sum[1]) / n / math.Sqrt((variance(0)+variance(1))/2)
}

// result judges what was found. keepsOrder tells that the files have replies in
// no order of merit, of which the place of the winner says something.
func (l *linter) result(keepsOrder bool) lintResult {
	for _, c := range l.checks {
		c.Share = eval.Figure(float64(c.N) / float64(c.of))
		level := func(x, warn, fail float64) string {
			switch {
			case x > fail:
				return "fail"
			case x > warn:
				return "warn"
			}
			return "pass"
		}
		switch c.Check {
		case "swapped_columns":
			var share float64
			c.N, share, c.Verdict = l.sides.verdict()
			c.Share, c.Signs = eval.Figure(share), l.sides.signs
		case "length_gap":
			// Cohen's own words: 0.2 is small, 0.5 medium, 0.8 large.
			d := eval.Figure(l.effect())
			c.Effect, c.Verdict = &d, level(math.Abs(float64(d)), 0.5, 0.8)
			c.Examples = []string{}
		case "position":
			c.Verdict = "pass"
			if keepsOrder && c.of > 0 {
				// Beyond what chance gives in 95 of 100 files.
				off := math.Abs(float64(c.Share) - 0.5)
				if off > 1.96*0.5/math.Sqrt(float64(c.of)) {
					c.Verdict = level(off, 0, 0.2)
				}
			}
			c.Examples = []string{}
		default:
			for _, known := range lintNames {
				if known.name == c.Check {
					c.Verdict = level(float64(c.Share), known.warn, known.fail)
				}
			}
		}
	}
	return lintResult{l.pairs, l.checks, l.langs}
}

// unfinished tells whether a long text ends in the middle of a sentence: with a
// letter or a comma.
func unfinished(text string) bool {
	text = strings.TrimSpace(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	return utf8.RuneCountInString(text) >= longReply && (unicode.IsLetter(last) || last == ',')
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
	})
}

func (a *app) runCheck(c *urfave.Context) error {
	ctx, cancel := a.untilStop(c.Context)
	defer cancel()
	a.startsOver = true
	bounds, err := parseBounds(c)
	if err != nil {
		return err
	}
	in, err := a.inputs(c, "preference files; several are taken for splits of one set")
	if err != nil {
		return err
	}
	prog := a.progress(c, "check", "pairs", 0)
	defer prog.done()
	var g *otherFile
	if files := c.StringSlice("against"); len(files) > 0 {
		other, err := a.inputFiles(c, files)
		if err != nil {
			return err
		}
		if g, err = againstOf(ctx, other, prog); err != nil {
			return err
		}
	}
	l := newLinter(g)
	keepsOrder := dataset.KeepsOrder(in.opts.Format)
	in.told = func(t dataset.Told) bool {
		keepsOrder = keepsOrder || t.Kind == dataset.ToldFormat && dataset.KeepsOrder(t.Format)
		return false
	}
	for p, err := range in.pairs() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		l.add(p)
		if l.pairs%256 == 0 {
			prog.set(int64(l.pairs), "")
		}
	}
	prog.done()
	res := l.result(keepsOrder)
	if c.Bool("json") {
		if err := dataset.NewEncoder(a.Out).Encode(res); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "%d pairs\tn\tshare\tverdict\texamples\n", res.Pairs)
		for _, k := range res.Checks {
			more := printable(strings.Join(k.Examples, " "))
			switch {
			case k.Effect != nil:
				more = fmt.Sprintf("chosen is longer; Cohen's d %s", k.Effect)
			case k.Signs != nil:
				more = signsText(k.Signs)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", k.Check, k.N, k.Share, k.Verdict, more)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for _, of := range []string{"prompt", "chosen", "rejected"} {
			fmt.Fprintf(a.Out, "languages of %s: %s\n", of, languagesText(res.Languages[of]))
		}
	}
	if err := a.require(bounds, res); err != nil {
		return err
	}
	return nil
}
