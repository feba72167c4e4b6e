package eval

import (
	"cmp"
	"context"
	"math"
	"slices"

	"cai/dataset"
)

// scorers is the comparer and the null baselines, the columns of all that a
// benchmark computes.
const scorers = 1 + len(baselines)

// credits are what a pair or a prompt gives to each of the scorers, 0 to 1 but for
// the last term of the ties score.
type credits [scorers]float64

// observed is what is known of a pair when a rule looks at it, all of it turned to
// the chosen reply.
type observed struct {
	pair    *dataset.Pair
	cluster dataset.Hash // key of the prompt
	// diff is the score of the chosen reply less that of the rejected one; of a
	// comparer without scores, the log-odds.
	diff credits
	// chosen are the scores of the chosen reply; that of the comparer is NaN where it
	// only compares.
	chosen credits
	// orders are the log-odds for the chosen reply in both orders, if both is set.
	orders [2]float64
	both   bool
	// abstained tells that the comparer gave no answer: its figures are NaN.
	abstained bool
}

// nulls takes the scores of the null baselines; turn is −1 where the second reply
// is the chosen one, else 1.
func (o *observed) nulls(turn float64) {
	for i, b := range baselines {
		n, _ := baseline(b.score).Compare(context.Background(), o.pair) // never fails
		o.diff[1+i], o.chosen[1+i] = turn*n.Margin, n.First
		if turn < 0 {
			o.chosen[1+i] = n.Second
		}
	}
}

// answer takes what the comparer said; diff is that of its row.
func (o *observed) answer(a Comparison, turn, diff float64) {
	o.diff[0], o.chosen[0], o.both = diff, math.NaN(), a.BothOrders
	if a.Scored {
		o.chosen[0] = a.First
		if turn < 0 {
			o.chosen[0] = a.Second
		}
	}
	for i, z := range a.Orders {
		o.orders[i] = turn * z
	}
}

// compares tells that the comparer does not score.
func (o *observed) compares() bool { return math.IsNaN(o.chosen[0]) }

// strict is 1 for a diff above 0 and 0 else: a tie is no success.
func (o *observed) strict() (c credits) {
	for k, d := range o.diff {
		if d > 0 {
			c[k] = 1
		}
	}
	return c
}

// halves is strict with ½ for a tie.
func (o *observed) halves() (c credits) {
	for k, d := range o.diff {
		c[k] = half(d)
	}
	return c
}

func half(d float64) float64 {
	switch {
	case d > 0:
		return 1
	case d == 0:
		return 0.5
	}
	return 0
}

// unit is what a benchmark counts once.
type unit struct {
	cluster dataset.Hash
	cell    string
	credit  credits
}

func compareUnits(a, b unit) int {
	return cmp.Or(
		slices.Compare(a.cluster[:], b.cluster[:]),
		cmp.Compare(a.cell, b.cell),
		slices.Compare(a.credit[:], b.credit[:]),
	)
}

// ruleOf is how a benchmark is scored.
type rule struct {
	title, means string
	// prompts tells that records are counted and not pairs.
	prompts bool
	// take makes units of a pair.
	take func(*bench, *observed)
	// finish makes the units that need all the records; nil if there are none.
	finish func(*bench) []unit
	// plan says what is computed of the cells there are.
	plan func(*bench, cells) plan
}

var rules map[Rule]rule

func init() {
	rules = map[Rule]rule{
		RuleRewardBench:  rewardBench,
		RuleRewardBench2: rewardBench2,
		RuleRMBench:      rmBench,
		RuleJudgeBench:   judgeBench,
		RuleLLMBar:       llmBar,
		RuleHHH:          hhh,
	}
}

// bench gathers what a benchmark counts.
type bench struct {
	rule    Rule
	units   []unit
	unknown int
	compare bool // the comparer does not score
	// pending are records of several replies of which not all pairs came yet.
	pending map[place]*listed
	ties    []tiesPrompt
	styles  bool // RM-Bench: the data tell the styles of replies
	levels  bool // RM-Bench: some pairs come with a level alone
}

func newBench(r Rule) *bench { return &bench{rule: r, pending: map[place]*listed{}} }

// take counts a pair.
func (b *bench) take(o *observed) {
	b.compare = b.compare || o.compares() && !o.abstained
	rules[b.rule].take(b, o)
}

func (b *bench) add(o *observed, cell string, c credits) {
	b.units = append(b.units, unit{o.cluster, cell, c})
}

// merged puts together what several files of one benchmark gave.
func merged(parts []*bench) *bench {
	b := newBench(parts[0].rule)
	for i, p := range parts {
		b.units = append(b.units, p.units...)
		b.unknown += p.unknown
		b.compare = b.compare || p.compare
		b.ties = append(b.ties, p.ties...)
		b.styles, b.levels = b.styles || p.styles, b.levels || p.levels
		for at, l := range p.pending {
			at.part = i
			b.pending[at] = l
		}
	}
	return b
}

// place says which record a pair is of.
type place struct {
	part int // of merged benches
	file string
	line int
}

// listed is a record of several replies whose pairs are being compared.
type listed struct {
	seen []listedPair
}

type listedPair struct {
	sub           int
	diff, chosen  credits
	first, second dataset.Hash // of the texts
}

// list keeps a pair of a record with chosen and rejected replies and gives the
// record once it has the pairs that so many of them make. A record with others is
// incomplete.
func (b *bench) list(o *observed, correct, wrong int) *listed {
	at := place{0, o.pair.Source.File, o.pair.Source.Line}
	l := b.pending[at]
	if l == nil {
		l = &listed{}
		b.pending[at] = l
	}
	if !o.abstained {
		l.seen = append(l.seen, listedPair{
			o.pair.Source.Sub, o.diff, o.chosen,
			dataset.HashOf("text", o.pair.First.Text), dataset.HashOf("text", o.pair.Second.Text),
		})
	}
	if len(l.seen) != correct*wrong || len(l.seen) == 0 {
		return nil
	}
	slices.SortFunc(l.seen, func(a, b listedPair) int { return cmp.Compare(a.sub, b.sub) })
	for k := range l.seen {
		if l.seen[k].first != l.seen[k/wrong*wrong].first || l.seen[k].second != l.seen[k%wrong].second {
			return nil // the record counts other replies than it has
		}
	}
	delete(b.pending, at)
	return l
}

// cells tells what cells there are and how many units are in them.
type cells map[string]int

func (c cells) has(name string) bool { return c[name] > 0 }
