package rm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"cai/dataset"
)

// ErrNoPairs tells that there was no pair to train on.
var ErrNoPairs = errors.New("no labelled pair of two different replies to train on")

// labelOne is the probability 1 in fixed point. Labels are averaged as
// integers, so that the mean of duplicates does not hang on their order, nor on
// which reply stood first.
const labelOne = 1 << 30

// row is one usable pair: features of both replies, a being the one with the
// smaller hash, and the label's P(a is better).
type row struct {
	key       dataset.Hash
	u         float64       // place of the prompt in [0, 1), by the seed
	prompt    dataset.Hash  // its key
	pair      *dataset.Pair // only where it may come into the holdout
	*features               // noFeatures where they are not in memory
	record                  // where else they are
	// What replies to the prompt are expected to be like; see expectation.
	expected [numExpected]float64
	weight   float64   // of the pair beside others
	by       string    // annotator
	votes    []float32 // P(a is better) by each principle, NaN where nobody was asked
	label    int64     // sum over duplicates, of labelOne
	n        int64     // duplicates
	swap     bool      // the pair's Second is a
}

// forget frees the features.
func (r *row) forget() {
	r.features = noFeatures
}

func (r *row) p() float64 { return float64(r.label) / float64(r.n*labelOne) }

// textsKept bounds for how many prompts every pair is held with its texts:
// until it is certain that no part of the split comes out empty.
const textsKept = 200

// batch is what a feature worker does at once.
const batch = 64

// collect reads the pairs and turns them into rows, ordered by the hashes of
// the pairs, each once. Where their features take too much of o.Memory they are
// on a shelf, which calls o.stop when it fails and has to be closed.
func collect(ctx context.Context, pairs iter.Seq2[*dataset.Pair, error], s spec, o Options) (_ []row, _ map[string]int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	skipped := map[string]int{}
	var (
		in      = make(chan []*dataset.Pair)
		mu      sync.Mutex
		rows    []row
		few     = map[dataset.Hash]struct{}{} // different prompts, while they are few
		copied  atomic.Bool                   // few has reached textsKept
		asking  error                         // why a source gave nothing, or a file
		wg      sync.WaitGroup
		held    int64 // bytes of features in memory
		shelved atomic.Pointer[shelf]
	)
	defer func() {
		if err != nil {
			err = errors.Join(err, shelved.Load().close())
		}
	}()
	// shelve moves what there is to disk when it is too much.
	shelve := func(out []row) error {
		for i := range out {
			held += out[i].bytes()
		}
		if o.Memory == 0 || o.keep || held <= o.Memory/memoryShare && shelved.Load() == nil {
			return nil
		}
		if !streams(o.Head) {
			return fmt.Errorf("%w of %.0f MB, and the head %s needs them there: allow more, or use the head %s", ErrMemory, float64(o.Memory)/1e6, o.Head, HeadLinear)
		}
		sh := shelved.Load()
		if sh == nil {
			var err error
			if sh, err = newShelf(o.TempDir, o.stop); err != nil {
				return err
			}
			shelved.Store(sh)
		}
		for part := range slices.Chunk(rows, batch) {
			if part[0].shelf == nil {
				if err := sh.put(part); err != nil {
					return err
				}
			}
		}
		return sh.put(out)
	}
	finish := func(out []row) error {
		mu.Lock()
		defer mu.Unlock()
		if o.keep {
			rows = append(rows, out...)
			return nil
		}
		if !copied.Load() {
			for i := range out {
				few[out[i].prompt] = struct{}{}
			}
			if len(few) >= textsKept {
				copied.Store(true)
				for i := range rows {
					dropText(&rows[i], o.Holdout)
				}
			}
		}
		if copied.Load() {
			for i := range out {
				dropText(&out[i], o.Holdout)
			}
		}
		if out[0].shelf == nil {
			if err := shelve(out); err != nil {
				return err
			}
		}
		rows = append(rows, out...)
		return nil
	}
	failed := func(e error) {
		mu.Lock()
		defer mu.Unlock()
		if asking == nil {
			asking = e
		}
		cancel()
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			e := newExtractor(s)
			var scratch []entry
			for b := range in {
				if ctx.Err() != nil {
					continue
				}
				out := make([]row, len(b))
				// What is in the holdout without doubt is scored as it will be later,
				// from its texts.
				sure := copied.Load() && len(o.Sources) == 0
				for i, p := range b {
					e.identify(p, &o, &out[i])
					if !sure || out[i].u >= o.Holdout {
						scratch = e.features(&out[i], scratch)
					}
				}
				if e := attach(ctx, o.Sources, s, b, out); e != nil {
					failed(e)
					continue
				}
				var err error
				if sh := shelved.Load(); sh != nil {
					if copied.Load() {
						for i := range out {
							dropText(&out[i], o.Holdout)
						}
					}
					err = sh.put(out)
				}
				if err == nil {
					err = finish(out)
				}
				if err != nil {
					failed(err)
				}
			}
		}()
	}
	var next []*dataset.Pair
	read := 0
	send := func() {
		select {
		case in <- next:
		case <-ctx.Done():
		}
		next = nil
		if o.Progress != nil {
			o.Progress("features", read, 0)
		}
	}
	for p, e := range pairs {
		if e != nil {
			err = e
			break
		}
		if err = ctx.Err(); err != nil {
			break
		}
		switch {
		case p.First.Text == p.Second.Text:
			skipped[SkippedIdentical]++
			continue
		case !p.Labelled():
			skipped[SkippedUnlabelled]++
			continue
		case !(p.P >= 0 && p.P <= 1):
			err = fmt.Errorf("%s:%d: label %v is no probability", p.Source.File, p.Source.Line, p.P)
		}
		if err != nil {
			break
		}
		read++
		if next = append(next, p); len(next) == batch {
			send()
		}
	}
	if err != nil {
		cancel() // what is queued is not wanted any more
	} else if len(next) > 0 {
		send()
	}
	close(in)
	wg.Wait()
	if asking != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = asking
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		rows = merge(rows, skipped)
		err = shelved.Load().failure()
	}
	if err != nil {
		return nil, skipped, err
	}
	return rows, skipped, nil
}

// attach adds what the sources say of a batch of pairs to its rows.
func attach(ctx context.Context, sources []Source, s spec, pairs []*dataset.Pair, rows []row) error {
	if len(sources) == 0 {
		return nil
	}
	items := make([]Item, 0, 2*len(pairs))
	for i, p := range pairs {
		a, b := p.First.Text, p.Second.Text
		if rows[i].swap {
			a, b = b, a
		}
		items = append(items, Item{p.Prompt, a}, Item{p.Prompt, b})
	}
	reply, prompt, err := vectors(ctx, sources, s.sources, items)
	if err != nil {
		return err
	}
	for i := range rows {
		n := len(rows[i].dense) / 2
		copy(rows[i].dense[n-len(reply[2*i]):n], reply[2*i])
		copy(rows[i].dense[2*n-len(reply[2*i+1]):], reply[2*i+1])
		rows[i].asked = prompt[2*i]
	}
	return nil
}

// dropText forgets the texts of a row that the split cannot put into the
// holdout.
func dropText(r *row, holdout float64) {
	if r.u >= holdout {
		r.pair = nil
	}
}

// identify fills r from one pair but for its features.
func (e *extractor) identify(p *dataset.Pair, o *Options, r *row) {
	id := p.Key()
	if e.keyed == nil || !samePrompt(e.keyed, p.Prompt) {
		e.keyed, e.key = p.Prompt, o.keyOf(p.Prompt)
	}
	*r = row{features: noFeatures, key: id.Hash, prompt: e.key, u: place(e.key, o.Seed), pair: p, swap: id.Swapped, n: 1}
	// The same rounding whichever reply stands first: P and 1 − P together may
	// miss 1 by 2^-54, and that is rounded away.
	r.label = int64(math.Round(p.P * labelOne))
	if id.Swapped {
		r.label = labelOne - r.label
	}
	if o.Votes != nil {
		r.votes = votes(p, o, id.Swapped)
	}
	r.weight = 1
	if o.Weight != nil {
		r.weight = o.Weight(p)
	}
	if o.Annotator != nil {
		r.by = o.Annotator(p)
	}
}

// features computes those of r's pair.
func (e *extractor) features(r *row, scratch []entry) []entry {
	a, b := r.pair.First.Text, r.pair.Second.Text
	if r.swap {
		a, b = b, a
	}
	r.features = &features{}
	if n := e.dense(); n > 0 {
		r.dense = make([]float32, 2*n)
	}
	e.setPrompt(r.pair.Prompt)
	half := len(r.dense) / 2
	scratch = e.reply(a, scratch[:0], r.dense[:half])
	n := len(scratch)
	scratch = e.reply(b, scratch, r.dense[half:])
	m := len(scratch)
	scratch = e.promptWords(scratch)
	k := len(scratch)
	if e.chars {
		scratch = e.charGrams(a, scratch)
	}
	l := len(scratch)
	if e.chars {
		scratch = e.charGrams(b, scratch)
	}
	all := slices.Clone(scratch)
	r.a, r.b, r.words, r.charsA, r.charsB = all[:n:n], all[n:m:m], all[m:k:k], all[k:l:l], all[l:]
	return scratch
}

// votes gives what the principles say of a.
func votes(p *dataset.Pair, o *Options, swapped bool) []float32 {
	out := unknown(len(o.Principles))
	for k, v := range o.Votes(p) {
		if swapped {
			v = 1 - v
		}
		out[k] = float32(v)
	}
	return out
}

// place gives the prompt's place in [0, 1) under the seed: uniform over
// prompts, and the same for one prompt wherever it occurs.
func place(prompt dataset.Hash, seed int64) float64 {
	h := mix(uint64(seed) + 0x9e3779b97f4a7c15)
	h = follow(h, binary.LittleEndian.Uint64(prompt[:8]))
	h = follow(h, binary.LittleEndian.Uint64(prompt[8:]))
	return float64(h>>11) / (1 << 53)
}

// merge orders the rows by the hashes of their pairs and makes one of
// duplicates, whose labels it averages.
func merge(rows []row, skipped map[string]int) []row {
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		x, y := &rows[i], &rows[j]
		if c := bytes.Compare(x.key[:], y.key[:]); c != 0 {
			return c
		}
		return before(x.thePair(), y.thePair())
	})
	arrange(rows, order)
	out := rows[:0]
	for _, r := range rows {
		if len(out) > 0 && out[len(out)-1].key == r.key {
			last := &out[len(out)-1]
			last.label += r.label
			last.n++
			skipped[SkippedDuplicate]++
			continue
		}
		out = append(out, r)
	}
	clear(rows[len(out):])
	return out
}

// arrange puts row order[i] at i. Rows are large, so that it is quicker to sort
// their numbers and to move each once. It spends order.
func arrange(rows []row, order []int32) {
	for i := range order {
		if int(order[i]) == i {
			continue
		}
		first, k := rows[i], i
		for {
			j := int(order[k])
			order[k] = int32(k)
			if j == i {
				break
			}
			rows[k] = rows[j]
			k = j
		}
		rows[k] = first
	}
}

// before orders duplicates by their place in the input, so that which of them
// stands for the others in the holdout does not hang on timing.
func before(x, y *dataset.Pair) int {
	if x == nil || y == nil {
		return 0
	}
	if c := bytes.Compare([]byte(x.Source.File), []byte(y.Source.File)); c != 0 {
		return c
	}
	if c := x.Source.Line - y.Source.Line; c != 0 {
		return c
	}
	return x.Source.Sub - y.Source.Sub
}
