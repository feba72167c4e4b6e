package rm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"cai/dataset"
)

// profileVersion is that of the profile in a model file. A file with another one
// loads without its profile.
const profileVersion = 1

// Where the replies of a profile come from.
const (
	ProfileHoldout  = "holdout"  // pairs that the weights have not seen
	ProfileTraining = "training" // the training's own pairs, where there is no holdout: scores are further apart there
	ProfileFile     = "file"     // replies that somebody named
)

// Bounds of a profile that training makes: so many replies, in the order of their
// prompts' hashes, with as many of each prompt as the room allows, up to the last
// of profileEach.
const profileRows = 896

var profileEach = []int{2, 4, 8}

// Profile is what replies were like that a model scored where it was known to
// work: a sample of them, each as its prompt's number and a row of codes, from
// which a monitor simulates what batches of replies do by chance.
type Profile struct {
	Version int    `json:"version"`
	Source  string `json:"source"` // ProfileHoldout, ProfileTraining or ProfileFile
	Replies int    `json:"replies"`
	Prompts int    `json:"prompts"`
	// Columns are the values of [Model.Observed].
	Columns []ProfileColumn `json:"columns"`
	// Levels are those of ProfileColumn.Quantiles.
	Levels []float64 `json:"levels"`
	// Codes has for each reply 1 where another prompt begins, else 0, and then the
	// code of each column. Replies to one prompt stand together.
	Codes []byte `json:"codes"`
}

// ProfileColumn is one value of the replies. A value x has the code
// (x − Low)/Step, rounded, from 0 to 255.
type ProfileColumn struct {
	Name string  `json:"name"`
	Low  float64 `json:"low"`
	Step float64 `json:"step"`
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"`
	// Quantiles are those of the score and its deviation, at the profile's levels.
	Quantiles []float64 `json:"quantiles,omitempty"`
}

var profileLevels = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995}

// Code gives the code of a value; NaN has that of the mean.
func (c *ProfileColumn) Code(x float32) byte {
	v := float64(x)
	if v != v {
		v = c.Mean
	}
	return byte(math.RoundToEven(max(0, min(255, (v-c.Low)/c.Step))))
}

// Value gives the value that a code stands for.
func (c *ProfileColumn) Value(code byte) float64 { return c.Low + c.Step*float64(code) }

// NewProfile makes a profile of observed replies: names are those of
// [Model.Observed], and prompts has for each reply what tells its prompt from
// others. Replies to one prompt need not stand together.
func NewProfile(source string, names []string, prompts []dataset.Hash, rows [][]float32) (*Profile, error) {
	if len(rows) == 0 || len(rows) != len(prompts) {
		return nil, fmt.Errorf("profile: %d replies of %d prompts", len(rows), len(prompts))
	}
	p := &Profile{Version: profileVersion, Source: source, Replies: len(rows), Levels: profileLevels}
	for j, name := range names {
		column := make([]float64, len(rows))
		for i, r := range rows {
			if column[i] = float64(r[j]); math.IsNaN(column[i]) || math.IsInf(column[i], 0) {
				return nil, fmt.Errorf("profile: %s of reply %d is %v", name, i+1, column[i])
			}
		}
		p.Columns = append(p.Columns, newProfileColumn(name, column))
	}
	place, count := map[dataset.Hash]int{}, 0
	order := make([]int, len(rows))
	at := make([]int, len(rows))
	for i, h := range prompts {
		if _, ok := place[h]; !ok {
			place[h] = count
			count++
		}
		order[i], at[i] = i, place[h]
	}
	p.Prompts = count
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	last := -1
	for _, i := range order {
		start := byte(0)
		if at[i] != last {
			start, last = 1, at[i]
		}
		p.Codes = append(p.Codes, start)
		for j := range p.Columns {
			p.Codes = append(p.Codes, p.Columns[j].Code(rows[i][j]))
		}
	}
	return p, nil
}

// reachSDs is how far from the mean codes tell values apart, in standard
// deviations; roomSDs how far beyond the least and the largest value.
const reachSDs, roomSDs = 8, 2

func newProfileColumn(name string, values []float64) ProfileColumn {
	c := ProfileColumn{Name: name}
	for _, v := range values {
		c.Mean += v / float64(len(values))
	}
	for _, v := range values {
		c.SD += (v - c.Mean) * (v - c.Mean) / float64(max(1, len(values)-1))
	}
	c.SD = math.Sqrt(c.SD)
	slices.Sort(values)
	unit := c.SD
	if !(unit > 1e-9) { // what never varied may do so later
		c.SD, unit = 0, 1
	}
	c.Low = max(c.Mean-reachSDs*unit, values[0]-roomSDs*unit)
	high := min(c.Mean+reachSDs*unit, values[len(values)-1]+roomSDs*unit)
	c.Step = (high - c.Low) / 255
	c.Low = values[0] - c.Step*math.Ceil((values[0]-c.Low)/c.Step) // the least value, often 0, has a code of its own
	if name == ObservedScore || name == ObservedStd {
		for _, level := range profileLevels {
			at := level * float64(len(values)-1)
			i := min(int(at), max(0, len(values)-2))
			q := values[i]
			if i+1 < len(values) {
				q += (at - float64(i)) * (values[i+1] - values[i])
			}
			c.Quantiles = append(c.Quantiles, q)
		}
	}
	return c
}

// check tells why p cannot be used.
func (p *Profile) check() error {
	width := 1 + len(p.Columns)
	switch {
	case len(p.Columns) < 2 || p.Columns[0].Name != ObservedScore || p.Columns[1].Name != ObservedStd:
		return errors.New("the first columns are not the score and its deviation")
	case p.Replies < 1 || p.Prompts < 1 || p.Prompts > p.Replies:
		return fmt.Errorf("%d replies to %d prompts", p.Replies, p.Prompts)
	case len(p.Codes) != p.Replies*width:
		return fmt.Errorf("%d codes, need %d for %d replies of %d columns", len(p.Codes), p.Replies*width, p.Replies, len(p.Columns))
	}
	for _, c := range p.Columns {
		numbers := append([]float64{c.Low, c.Step, c.Mean, c.SD}, c.Quantiles...)
		for _, v := range numbers {
			if math.IsNaN(v) || math.Abs(v) > math.MaxFloat32 {
				return fmt.Errorf("column %s: %v is no usable number", c.Name, v)
			}
		}
		if !(c.Step > 0) || c.SD < 0 {
			return fmt.Errorf("column %s: step %v, deviation %v", c.Name, c.Step, c.SD)
		}
		if n := len(c.Quantiles); n > 0 && n != len(p.Levels) {
			return fmt.Errorf("column %s: %d quantiles for %d levels", c.Name, n, len(p.Levels))
		}
	}
	starts := 0
	for i := 0; i < len(p.Codes); i += width {
		if s := p.Codes[i]; s > 1 || i == 0 && s == 0 {
			return fmt.Errorf("reply %d begins with %d", i/width+1, s)
		}
		starts += int(p.Codes[i])
	}
	if starts != p.Prompts {
		return fmt.Errorf("replies to %d prompts, need %d", starts, p.Prompts)
	}
	return nil
}

// profileOf makes the profile of a model, of the holdout where there is one, else
// of what was kept of the training; nil where there is nothing.
func (m *Model) profileOf(ctx context.Context, holdout []Scored, sample *keeper) (*Profile, error) {
	if sample != nil {
		return m.profile(ctx, ProfileTraining, sample.pairs())
	}
	pairs := make([]*dataset.Pair, len(holdout))
	for i, s := range holdout {
		pairs[i] = s.Pair
	}
	return m.profile(ctx, ProfileHoldout, pairs)
}

// profile makes the profile of a model of pairs; nil where there are none.
func (m *Model) profile(ctx context.Context, source string, pairs []*dataset.Pair) (*Profile, error) {
	items, prompts := profileItems(pairs)
	if len(items) == 0 {
		return nil, nil
	}
	_, rows, err := m.ObserveAll(ctx, items)
	if err != nil {
		return nil, err
	}
	return NewProfile(source, m.Observed(), prompts, rows)
}

// profileItems chooses the replies: prompts in the order of their keys, the
// replies to each in the order of the pairs, each text once.
func profileItems(pairs []*dataset.Pair) (items []Item, prompts []dataset.Hash) {
	replies := map[dataset.Hash][]Item{}
	seen := map[dataset.Hash]bool{}
	one := map[dataset.Hash]dataset.Conversation{} // of each hash, whose features are computed once
	most := profileEach[len(profileEach)-1]
	for _, p := range pairs {
		id := p.Key()
		h := p.Prompt.Key()
		if one[id.Prompt] == nil {
			one[id.Prompt] = p.Prompt
		}
		if _, ok := replies[h]; !ok {
			prompts = append(prompts, h)
		}
		a, b := p.First.Text, p.Second.Text
		if id.Swapped {
			a, b = b, a
		}
		for _, r := range []struct {
			hash dataset.Hash
			text string
		}{{id.A, a}, {id.B, b}} {
			if seen[r.hash] || len(replies[h]) == most {
				continue
			}
			seen[r.hash] = true
			replies[h] = append(replies[h], Item{one[id.Prompt], r.text})
		}
	}
	slices.SortFunc(prompts, func(a, b dataset.Hash) int { return slices.Compare(a[:], b[:]) })
	each := most
	for _, n := range profileEach {
		total := 0
		for _, h := range prompts {
			total += min(n, len(replies[h]))
		}
		if total >= profileRows {
			each = n
			break
		}
	}
	var of []dataset.Hash
	for _, h := range prompts {
		r := replies[h][:min(each, len(replies[h]))]
		if len(items)+len(r) > profileRows {
			break
		}
		for _, it := range r {
			items, of = append(items, it), append(of, h)
		}
	}
	return items, of
}

// keeper keeps the pairs of some prompts, whatever the order in which pairs come:
// those of the least places.
type keeper struct {
	seed  int64
	kept  []keptPair
	limit float64
}

type keptPair struct {
	at   float64
	key  dataset.Hash
	pair *dataset.Pair
}

// keptPrompts and keptEach bound what is kept.
const (
	keptPrompts = profileRows / 2
	keptEach    = 8
)

// watch gives the pairs as they are and offers them.
func (k *keeper) watch(pairs iter.Seq2[*dataset.Pair, error]) iter.Seq2[*dataset.Pair, error] {
	return func(yield func(*dataset.Pair, error) bool) {
		for p, err := range pairs {
			if err == nil {
				k.offer(p)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func (k *keeper) offer(p *dataset.Pair) {
	if p.First.Text == p.Second.Text || !p.Labelled() {
		return
	}
	id := p.Key()
	at := place(p.Prompt.Key(), k.seed)
	if k.limit > 0 && at > k.limit {
		return
	}
	if k.kept = append(k.kept, keptPair{at, id.Hash, p}); len(k.kept) >= 4*keptPrompts*keptEach {
		k.trim()
	}
}

func (k *keeper) trim() {
	slices.SortFunc(k.kept, func(a, b keptPair) int {
		return cmp.Or(cmp.Compare(a.at, b.at), slices.Compare(a.key[:], b.key[:]), before(a.pair, b.pair))
	})
	out, prompts, each := k.kept[:0], 0, 0
	last := -1.0
	for i, p := range k.kept {
		if p.at != last {
			if prompts == keptPrompts {
				break
			}
			last, prompts, each = p.at, prompts+1, 0
		} else if k.kept[i-1].key == p.key {
			continue
		}
		if each++; each <= keptEach {
			out = append(out, p)
			k.limit = p.at
		}
	}
	if prompts < keptPrompts {
		k.limit = 0
	}
	clear(k.kept[len(out):])
	k.kept = out
}

// pairs gives those that were kept.
func (k *keeper) pairs() []*dataset.Pair {
	k.trim()
	out := make([]*dataset.Pair, len(k.kept))
	for i, p := range k.kept {
		out[i] = p.pair
	}
	return out
}
