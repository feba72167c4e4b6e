package rm

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"cai/dataset"
)

// Bounds of the search for an edit. A model with features from outside is asked
// less often, since each text costs a call.
const (
	editTries, editTriesOutside = 48, 6
	editPrune, editPruneOutside = 1000, 40
)

// Edit is an edit of the reply that the model prefers, by deletions alone.
type Edit struct {
	// Flips tells whether one was found after which the model prefers the other
	// reply; if not, no such edit of up to UpTo words was found and the other
	// fields are empty.
	Flips bool `json:"flips"`
	UpTo  int  `json:"up_to_words"`
	// Reply is the number of the reply that was edited, Words how many words were
	// taken out, Removed the stretches of text that they were, Text what is left.
	Reply   int      `json:"-"`
	Words   int      `json:"words_removed,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Text    string   `json:"text,omitempty"`
	// Margin is the pair's with the edited reply: the first score less the second.
	Margin float64 `json:"margin"`
}

// editor looks for an edit of a text.
type editor struct {
	ctx     context.Context
	m       *Model
	prompt  dataset.Conversation
	text    string
	pieces  []span // of the text: words with the white space behind them
	weight  []float64
	from    []int   // the sentence of each piece
	other   float64 // the score to get below
	tries   int
	pruning int
	outside bool // there are features from outside
}

// SmallestEdit looks for the fewest words whose deletion from the preferred reply
// turns the preference of a pair around, up to upTo of them. x is the pair's
// explanation. The search is greedy, once by words and once by whole sentences,
// whose words are then put back as far as the preference stays turned; so there
// may be an edit that is smaller still. Every step is scored by the model. It
// gives nil where the model prefers neither reply.
func (m *Model) SmallestEdit(ctx context.Context, p *dataset.Pair, x *Explanation, upTo int) (*Edit, error) {
	if x.Total == 0 || math.IsNaN(x.Total) {
		return nil, nil
	}
	best := &Edit{UpTo: upTo}
	texts := [2]string{p.First.Text, p.Second.Text}
	sign := 1.0
	if x.Total < 0 {
		best.Reply, sign = 1, -1
	}
	e := &editor{ctx: ctx, m: m, prompt: p.Prompt, text: texts[best.Reply], other: x.Scores[1-best.Reply].Mean, tries: editTries, pruning: editPrune}
	if len(m.space.sources) > 0 {
		e.tries, e.pruning, e.outside = editTriesOutside, editPruneOutside, true
	}
	e.cut(x, best.Reply, sign)
	for _, units := range [][][]int{e.byWord(), e.bySentence()} {
		gone, err := e.greedy(units, upTo, len(units) == len(e.pieces))
		if err == nil && gone != nil {
			gone, err = e.prune(gone)
		}
		if err != nil {
			return nil, fmt.Errorf("smallest edit: %w", err)
		}
		n := taken(gone)
		if gone == nil || n > upTo || best.Flips && n >= best.Words {
			continue
		}
		text := e.without(gone)
		s, err := m.Score(ctx, p.Prompt, text)
		if err != nil {
			return nil, fmt.Errorf("smallest edit: %w", err)
		}
		best.Flips, best.Words, best.Text, best.Removed = true, n, text, e.removed(gone)
		best.Margin = sign * (s.Mean - e.other)
	}
	return best, nil
}

func taken(gone []bool) (n int) {
	for _, g := range gone {
		if g {
			n++
		}
	}
	return n
}

// cut makes the pieces: what stands between white space, or the single tokens of
// scripts without it, each with the white space behind it.
func (e *editor) cut(x *Explanation, reply int, sign float64) {
	var starts []int
	for _, c := range chunkSpans(e.text) {
		starts = append(starts, c.start)
		for i, r := range e.text[c.start:c.end] {
			if i > 0 && unspaced(r) {
				starts = append(starts, c.start+i)
			}
		}
	}
	for i, s := range starts {
		end := len(e.text)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		e.pieces = append(e.pieces, span{s, end})
	}
	e.weight, e.from = make([]float64, len(e.pieces)), make([]int, len(e.pieces))
	if len(e.pieces) == 0 {
		return
	}
	k := 0
	for _, w := range x.Words {
		if w.Reply != reply {
			continue
		}
		for k+1 < len(e.pieces) && w.Start >= e.pieces[k].end {
			k++
		}
		e.weight[k] += sign * w.Contribution
		e.from[k] = w.Sentence
	}
}

func (e *editor) byWord() [][]int {
	units := make([][]int, len(e.pieces))
	for i := range units {
		units[i] = []int{i}
	}
	return units
}

func (e *editor) bySentence() [][]int {
	var units [][]int
	for i, s := range e.from {
		if i == 0 || s != e.from[i-1] {
			units = append(units, nil)
		}
		units[len(units)-1] = append(units[len(units)-1], i)
	}
	return units
}

// without gives the text without some pieces.
func (e *editor) without(gone []bool) string {
	var b strings.Builder
	for i, p := range e.pieces {
		if !gone[i] {
			b.WriteString(e.text[p.start:p.end])
		}
	}
	return strings.TrimRight(b.String(), " \t\r\n")
}

// removed gives the stretches that gone takes out.
func (e *editor) removed(gone []bool) []string {
	var out []string
	for i, p := range e.pieces {
		switch {
		case !gone[i]:
		case i > 0 && gone[i-1]:
			out[len(out)-1] += e.text[p.start:p.end]
		default:
			out = append(out, e.text[p.start:p.end])
		}
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// scores scores the texts without some pieces.
func (e *editor) scores(gones [][]bool) ([]Score, error) {
	items := make([]Item, len(gones))
	for i, g := range gones {
		items[i] = Item{e.prompt, e.without(g)}
	}
	return e.m.ScoreAll(e.ctx, items)
}

// greedy takes out the unit that lowers the score most, again and again, until it
// is below the other reply's; nil where that takes more than upTo words (of
// single words) or the whole text, or, with features from outside, no deletion
// lowers the score any more.
func (e *editor) greedy(units [][]int, upTo int, single bool) ([]bool, error) {
	gone := make([]bool, len(e.pieces))
	left := slices.Clone(units)
	gain := func(u []int) (g float64) {
		for _, i := range u {
			g += e.weight[i]
		}
		return g
	}
	slices.SortStableFunc(left, func(a, b []int) int { return cmp.Compare(gain(b), gain(a)) })
	last := math.Inf(1)
	for len(left) > 1 && (!single || taken(gone) < upTo) {
		if err := e.ctx.Err(); err != nil {
			return nil, err
		}
		// Those of which the words alone say that they lower the score most.
		try := left[:min(len(left), e.tries)]
		gones := make([][]bool, len(try))
		for k, u := range try {
			gones[k] = slices.Clone(gone)
			for _, i := range u {
				gones[k][i] = true
			}
		}
		scores, err := e.scores(gones)
		if err != nil {
			return nil, err
		}
		best := 0
		for k, s := range scores {
			if s.Mean < scores[best].Mean {
				best = k
			}
		}
		if e.outside && scores[best].Mean >= last {
			return nil, nil // calls are dear; else a step up may lead down
		}
		last, gone = scores[best].Mean, gones[best]
		if last < e.other {
			return gone, nil
		}
		left = slices.Delete(left, best, best+1)
	}
	return nil, nil
}

// prune puts words back, those first that the words alone say to matter least, as
// far as the score stays below the other reply's.
func (e *editor) prune(gone []bool) ([]bool, error) {
	var order []int
	for i, g := range gone {
		if g {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(e.weight[a], e.weight[b]) })
	for k, i := range order {
		if k == e.pruning {
			break
		}
		if err := e.ctx.Err(); err != nil {
			return nil, err
		}
		gone[i] = false
		s, err := e.scores([][]bool{gone})
		if err != nil {
			return nil, err
		}
		gone[i] = s[0].Mean >= e.other
	}
	return gone, nil
}
