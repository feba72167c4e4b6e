package eval

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"cai/dataset"
)

// Comparison is what a comparer says of a pair.
type Comparison struct {
	// Margin is the log-odds that First is the better reply; 0 is a tie. NaN
	// says that there is no answer: the pair is skipped.
	Margin float64
	// First and Second are the replies' scores, if Scored. A judge compares
	// without scoring.
	First, Second float64
	Scored        bool
	// Ordinal tells that Margin only ranks, so that its size is no log-odds. A
	// set with one such answer has no log loss, Brier score or calibration.
	Ordinal bool
	// Orders are the log-odds for First where it was shown first and where it was
	// shown second, if BothOrders: those of a judge that was asked in both. Margin is
	// their mean.
	Orders     [2]float64
	BothOrders bool
}

// Comparer compares the replies of a pair. It must not look at the label, and
// must be safe for concurrent use if it is run with more than one job.
type Comparer interface {
	Compare(ctx context.Context, p *dataset.Pair) (Comparison, error)
}

// ErrAbstain is returned, wrapped or bare, by a comparer that gives no answer
// to a pair: the pair is counted as skipped and the run goes on.
var ErrAbstain = errors.New("no answer")

// Options of an evaluation; the zero value is ready for use.
type Options struct {
	Seed      int64 // of the bootstrap
	Bootstrap int   // resamples; fewer than MinResamples are raised to it
	// Jobs is the number of pairs compared at the same time; 0 is one. It
	// changes no figure.
	Jobs int
	// Sample bounds the pairs that are kept: where there are more, the figures
	// are over all pairs of some of the prompts, a share of ½, ¼ … of them drawn
	// by hash, which is the same for any order of the pairs. 0 keeps all.
	Sample int
	// Authors are the strengths of the author baseline, fitted to other pairs, such
	// as those that a model was trained on. Nil fits them to the evaluated pairs
	// themselves, cross-fitted in five parts by prompt, so that a pair's own label
	// has no say.
	Authors *Strengths
	// WordPairs is for how many pairs at most the bag-of-words baseline is fitted,
	// cross-fitted by prompt as the authors are; 0 leaves it out, and so do fewer than
	// 50 prompts. Up to that number, four bytes are kept of each word that only one of
	// two replies has.
	WordPairs int
	// Words is that baseline fitted to other pairs, such as those that a model was
	// trained on; nil cross-fits.
	Words *Words
	// Subset names the subset that a pair belongs to, "" for none.
	Subset func(*dataset.Pair) string
	// Rule names the benchmark that pairs are of, by the first that counts: its own
	// score is then given beside the figures. Nil is [RulePairs]. Sample has no say
	// in a benchmark's score.
	Rule func(*dataset.Pair) Rule
	// Key tells prompts apart; nil is [dataset.Conversation.Key]. The figures of a
	// model whose training told them apart otherwise are those of its own key.
	Key func(dataset.Conversation) dataset.Hash
	// Bins asks for accuracy by length and by overlap, and for the reliability
	// table.
	Bins bool
	// Progress is called after each pair with the number of pairs read so far,
	// never by two goroutines at a time.
	Progress func(done int)
}

// key is what Key is for.
func (o *Options) key(c dataset.Conversation) dataset.Hash {
	if o.Key != nil {
		return o.Key(c)
	}
	return c.Key()
}

// Result is a pair with what a comparer said of it.
type Result struct {
	Pair *dataset.Pair
	Comparison
}

// Why a pair is left out of the figures; the keys of [Set.Skipped].
const (
	SkipUnlabelled = "unlabelled"    // nobody has said which reply is better
	SkipTiedLabel  = "tied_label"    // the label is 1/2: there is no chosen reply
	SkipBadLabel   = "invalid_label" // the label is no probability
	SkipAbstained  = "abstained"     // the comparer gave no answer
	SkipNaN        = "not_a_number"  // the margin or the difference of scores is NaN
)

// Run asks c about every labelled pair and sums up its answers under the given
// name. It reads pairs as they come and keeps some hundred bytes of each,
// never its texts.
//
// An error of the sequence or of the comparer ends the run and is returned with
// the figures over the pairs before it; to leave out bad records, filter the
// sequence.
func Run(ctx context.Context, name string, pairs iter.Seq2[*dataset.Pair, error], c Comparer, o Options) (Set, error) {
	sets, _, err := RunEach(ctx, name, pairs, []Comparer{c}, o)
	return sets[0], err
}

// each calls f with every pair until something fails.
func each(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], f func(*dataset.Pair) error) error {
	for p, err := range pairs {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = f(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// numbered is a pair and its number in the sequence.
type numbered struct {
	*dataset.Pair
	n int
}

// runParallel reads pairs in the caller's goroutine and has them asked about in
// jobs others; it returns when all of them have.
func runParallel(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], jobs int, ask func(context.Context, numbered) error) error {
	g, gctx := errgroup.WithContext(ctx)
	work := make(chan numbered)
	for range jobs {
		g.Go(func() error {
			for p := range work {
				if err := ask(gctx, p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	n := 0
	readErr := each(gctx, pairs, func(p *dataset.Pair) error {
		select {
		case work <- numbered{p, n}:
			n++
			return nil
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	close(work)
	// A comparer's error cancels the reading, so it is the one to report.
	if err := g.Wait(); err != nil {
		return err
	}
	return readErr
}

// Evaluate sums up answers that are there already, such as those of a training
// run on its holdout, exactly as [Run] does.
func Evaluate(name string, results []Result, o Options) Set {
	col := newCollector(o)
	for i, r := range results {
		if why := skipLabel(r.Pair.P); why != "" {
			col.skip(why)
		} else {
			col.add(numbered{r.Pair, i}, r.Comparison)
		}
	}
	return col.set(name)
}

// row is what is kept of a pair. Everything is turned to the chosen reply, so
// that the order of the replies is forgotten here.
type row struct {
	cluster dataset.Hash // key of the prompt
	number  int          // of the pair, in the order of reading; no figure hangs on it
	subset  string
	margin  float64 // log-odds for the chosen reply
	diff    float64 // score of chosen − of rejected
	p       float64 // the label of the chosen reply, above 1/2
	length  float64 // code points of chosen − of rejected
	ratio   float64 // length of chosen over rejected; 0 without [Options].Bins
	overlap float64 // of their words; 0 without
	null    [3]int8 // sign of each baseline's margin for the chosen reply
	// Who wrote the replies, "" where nobody is named.
	chosenBy, rejectedBy string
	// The words that one reply has and the other has not, where a baseline is to be
	// fitted to them, and its margin for the chosen reply where it is worded.
	bag    bag
	words  float64
	worded bool
}

// collector gathers rows; its methods may be called concurrently.
type collector struct {
	o       Options
	mu      sync.Mutex
	rows    []row
	names   map[string]string // subsets and authors, so that a name is kept once
	skipped map[string]int
	ordinal bool
	done    int
	bench   *bench      // nil before the first pair and without a rule
	ruled   bool        // the first pair was seen
	halved  int         // how often the share of prompts that are kept was halved
	left    int         // pairs left out for it
	many    atomic.Bool // rows are too many for the bag-of-words baseline
}

// kept tells whether a prompt is among those whose pairs are kept.
func (c *collector) kept(cluster dataset.Hash) bool {
	return drawn(cluster, c.halved)
}

// drawn tells whether a prompt is among the share of 2^-halved of them all.
func drawn(prompt dataset.Hash, halved int) bool {
	return binary.BigEndian.Uint32(prompt[:])>>(32-halved) == 0
}

// thin halves the prompts until their pairs are few enough.
func (c *collector) thin() {
	for c.o.Sample > 0 && len(c.rows) > c.o.Sample && c.halved < 32 {
		c.halved++
		all := len(c.rows)
		c.rows = slices.DeleteFunc(c.rows, func(r row) bool { return !c.kept(r.cluster) })
		c.left += all - len(c.rows)
	}
}

func newCollector(o Options) *collector {
	return &collector{o: o, names: map[string]string{}, skipped: map[string]int{}}
}

// skipLabel tells why a pair with this label can't be evaluated, if so.
func skipLabel(p float64) string {
	switch {
	case math.IsNaN(p):
		return SkipUnlabelled
	case p < 0 || p > 1:
		return SkipBadLabel
	case p == 0.5:
		return SkipTiedLabel
	}
	return ""
}

// ask compares one pair and keeps the answer. A pair that can't count is not
// compared, since a judge's answer is expensive.
func (c *collector) ask(ctx context.Context, by Comparer, p numbered) error {
	if why := skipLabel(p.P); why != "" {
		c.skip(why)
		return nil
	}
	a, err := by.Compare(ctx, p.Pair)
	switch {
	case errors.Is(err, ErrAbstain):
		c.abstained(p.Pair)
	case err != nil && p.Source.File != "":
		return fmt.Errorf("%s:%d: compare: %w", p.Source.File, p.Source.Line, err)
	case err != nil:
		return fmt.Errorf("compare: %w", err)
	default:
		c.add(p, a)
	}
	return nil
}

func (c *collector) add(p numbered, a Comparison) {
	diff := a.Margin
	if a.Scored {
		diff = a.First - a.Second
	}
	if math.IsNaN(a.Margin) || math.IsNaN(diff) {
		c.skip(SkipNaN)
		return
	}
	r := row{
		cluster: c.o.key(p.Prompt), number: p.n,
		margin: a.Margin, diff: diff, p: p.P,
		length: float64(utf8.RuneCountInString(p.First.Text) - utf8.RuneCountInString(p.Second.Text)),
	}
	turn := 1.0
	if p.P < 0.5 {
		turn = -1
		r.p = 1 - p.P
	}
	// Adding 0 makes -0 a 0, so that a turned tie sorts as one that isn't.
	r.margin, r.diff, r.length = turn*r.margin+0, turn*r.diff+0, turn*r.length+0
	o := observed{pair: p.Pair, cluster: r.cluster}
	o.nulls(turn)
	for i := range r.null {
		r.null[i] = sign(o.diff[1+i])
	}
	o.answer(a, turn, r.diff)
	if c.o.Bins {
		first, second := utf8.RuneCountInString(p.First.Text), utf8.RuneCountInString(p.Second.Text)
		if turn < 0 {
			first, second = second, first
		}
		r.ratio, r.overlap = lengthRatio(first, second), Overlap(p.First.Text, p.Second.Text)
	}
	subset := ""
	if c.o.Subset != nil {
		subset = c.o.Subset(p.Pair)
	}
	chosen, rejected := p.First.Text, p.Second.Text
	if turn < 0 {
		chosen, rejected = rejected, chosen
	}
	switch {
	case c.o.Words != nil:
		r.words, r.worded = c.o.Words.Margin(chosen, rejected), true
	case c.o.WordPairs > 0 && !c.many.Load():
		var g bagger
		r.bag = g.difference(chosen, rejected)
	}
	by, against := p.First.Author, p.Second.Author
	if turn < 0 {
		by, against = against, by
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	r.subset, r.chosenBy, r.rejectedBy = c.name(subset), c.name(by), c.name(against)
	if c.kept(r.cluster) {
		c.rows = append(c.rows, r)
		c.thin()
		if c.o.WordPairs > 0 && len(c.rows) > c.o.WordPairs && !c.many.Load() {
			c.many.Store(true)
			for i := range c.rows {
				c.rows[i].bag = nil
			}
		}
	} else {
		c.left++
	}
	c.ordinal = c.ordinal || a.Ordinal
	c.count(&o)
	c.progress()
}

// abstained counts a pair that the comparer gave no answer to.
func (c *collector) abstained(p *dataset.Pair) {
	o := observed{pair: p, cluster: c.o.key(p.Prompt), abstained: true}
	turn := 1.0
	if p.P < 0.5 {
		turn = -1
	}
	o.nulls(turn)
	o.diff[0], o.chosen[0] = math.NaN(), math.NaN()
	c.skip(SkipAbstained)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(&o)
}

// count gives a pair to its benchmark, which the first pair tells. The caller
// holds the lock.
func (c *collector) count(o *observed) {
	if !c.ruled && c.o.Rule != nil {
		if r := c.o.Rule(o.pair); r != RulePairs {
			c.bench = newBench(r)
		}
	}
	c.ruled = true
	if c.bench != nil {
		c.bench.take(o)
	}
}

// name gives the one copy of a name that is kept: it may be a part of a record's
// whole text.
func (c *collector) name(s string) string {
	if s == "" {
		return ""
	}
	kept, ok := c.names[s]
	if !ok {
		kept = strings.Clone(s)
		c.names[kept] = kept
	}
	return kept
}

func (c *collector) skip(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped[why]++
	c.progress()
}

func (c *collector) progress() {
	c.done++
	if c.o.Progress != nil {
		c.o.Progress(c.done)
	}
}

func (c *collector) set(name string) Set {
	if c.many.Load() {
		c.o.WordPairs = 0
		for i := range c.rows { // of pairs that were compared meanwhile
			c.rows[i].bag = nil
		}
	}
	s := summarise(c.rows, c.ordinal, c.o)
	s.Name = name
	s.Skipped = maps.Clone(c.skipped)
	if c.bench != nil {
		s.Benchmark = c.bench.score(c.o)
	}
	if c.left > 0 {
		s.SampledFrom = s.N + c.left
	}
	return s
}

func sign(x float64) int8 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}
