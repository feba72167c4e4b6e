package eval

import (
	"cmp"
	"context"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"

	"cai/dataset"
)

// Duplicates finds the texts of a test set again in training data, so that what a
// model remembers is told from what it has learned. Texts are compared by words,
// not by case, punctuation or spacing: those of the same words in the same order
// are exact duplicates; those whose sets of shingles, [ShingleWords] words in a
// row, have a Jaccard index of at least [NearDuplicate] are near ones. A text of
// fewer words than a shingle has only exact duplicates.
//
// The test set is held, some 8 bytes for each word of its different texts and a
// kilobyte for each text; training data stream past it. Candidates are found by
// MinHash (Broder, 1997) in 32 bands of 4, which near-duplicates at the threshold
// miss in 2 of 10,000 cases, and verified on the shingles themselves. Time grows
// with the number of texts, not with the product of both numbers, also where a
// phrase is common to most of them.
type Duplicates struct {
	prompts, replies found
	frozen           bool
}

// found is the texts of one kind and where else they are.
type found struct {
	index textIndex
	of    []Duplicate // by text; Train.Line and File are 0 where it is not found
	hit   []bool
	order []int64 // of the training text
	mu    sync.Mutex
}

// Place is where a text stands.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
	ID   string `json:"id,omitempty"`
}

func placeOf(s dataset.Source) Place {
	return Place{strings.Clone(s.File), s.Line, strings.Clone(s.ID)}
}

// Duplicate is a text of the test set that the training data have too.
type Duplicate struct {
	Kind    string  `json:"kind"` // prompt or reply
	Exact   bool    `json:"exact"`
	Jaccard float64 `json:"jaccard"`
	// Test is where it stands first, Train where the most similar text does, the
	// first of several.
	Test  Place `json:"test"`
	Train Place `json:"train"`
}

// promptTexts are the contents of a conversation's turns.
func promptTexts(c dataset.Conversation) []string {
	texts := make([]string, len(c))
	for i, m := range c {
		texts[i] = m.Content
	}
	return texts
}

// Add indexes a pair of the test set. All are added before the first search.
func (d *Duplicates) Add(p *dataset.Pair) {
	var k sketcher
	if s, ok := k.sketch(promptTexts(p.Prompt)...); ok {
		d.prompts.add(s, "prompt", p.Source)
	}
	for _, text := range []string{p.First.Text, p.Second.Text} {
		if s, ok := k.sketch(text); ok {
			d.replies.add(s, "reply", p.Source)
		}
	}
}

func (f *found) add(s sketch, kind string, at dataset.Source) {
	if _, fresh := f.index.add(s); fresh {
		f.of = append(f.of, Duplicate{Kind: kind, Test: placeOf(at)})
		f.hit, f.order = append(f.hit, false), append(f.order, 0)
	}
}

// search notes that a training text, the one of the given number, is in the index.
func (f *found) search(s *sketch, seen *visited, order int64, at *dataset.Source) {
	f.index.search(s, seen, func(i int32, j float64, exact bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		d := &f.of[i]
		better := !f.hit[i]
		if !better {
			better = cmp.Or(cmp.Compare(boolean(exact), boolean(d.Exact)), cmp.Compare(j, d.Jaccard), cmp.Compare(f.order[i], order)) > 0
		}
		if better {
			f.hit[i], f.order[i] = true, order
			d.Exact, d.Jaccard, d.Train = exact, j, placeOf(*at)
		}
	})
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// numberedPairs is some training pairs in a row, the first of which has the number.
type numberedPairs struct {
	pairs []*dataset.Pair
	first int64
}

// searchBatch is how many training pairs a goroutine takes at once.
const searchBatch = 64

// FindDuplicates reads training pairs once and notes in each of the test sets
// which of its texts they have.
// Progress, which may be nil, is called by the caller's goroutine with the number
// of pairs read. What is found hangs on the pairs and their order alone.
func FindDuplicates(ctx context.Context, train iter.Seq2[*dataset.Pair, error], sets []*Duplicates, progress func(read int)) error {
	for _, d := range sets {
		if !d.frozen {
			d.frozen = true
			d.prompts.index.freeze()
			d.replies.index.freeze()
		}
	}
	work := make(chan numberedPairs)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var k sketcher
			seen := make([]visited, 2*len(sets))
			for b := range work {
				last := uint64(0)
				for i, p := range b.pairs {
					order := b.first + int64(i)
					if s, ok := k.sketch(promptTexts(p.Prompt)...); ok && (s.sequence != last || last == 0) {
						last = s.sequence
						s.sign()
						for n, d := range sets {
							d.prompts.search(&s, &seen[2*n], order, &p.Source)
						}
					}
					for _, text := range []string{p.First.Text, p.Second.Text} {
						if s, ok := k.sketch(text); ok {
							s.sign()
							for n, d := range sets {
								d.replies.search(&s, &seen[2*n+1], order, &p.Source)
							}
						}
					}
				}
			}
		})
	}
	n := int64(0)
	batch := numberedPairs{}
	send := func() {
		if len(batch.pairs) > 0 {
			work <- batch
		}
		batch = numberedPairs{first: n}
		if progress != nil {
			progress(int(n))
		}
	}
	err := each(ctx, train, func(p *dataset.Pair) error {
		batch.pairs = append(batch.pairs, p)
		if n++; len(batch.pairs) == searchBatch {
			send()
		}
		return nil
	})
	send()
	close(work)
	wg.Wait()
	return err
}

// Of tells whether the pair's prompt, and whether one of its replies, was found in
// the training data. It is for pairs of the test set, after the search.
func (d *Duplicates) Of(p *dataset.Pair) (prompt, reply bool) {
	var k sketcher
	has := func(f *found, texts ...string) bool {
		s, ok := k.sketch(texts...)
		if !ok {
			return false
		}
		i, ok := f.index.at[s.sequence]
		return ok && f.hit[i]
	}
	return has(&d.prompts, promptTexts(p.Prompt)...), has(&d.replies, p.First.Text) || has(&d.replies, p.Second.Text)
}

// Shared counts texts of one kind: the different ones of the test set, and those
// of them that have an exact duplicate in the training data, or else a near one.
type Shared struct {
	N     int `json:"n"`
	Exact int `json:"exact"`
	Near  int `json:"near"`
}

// Prompts counts the prompts.
func (d *Duplicates) Prompts() Shared { return d.prompts.count() }

// Replies counts the replies.
func (d *Duplicates) Replies() Shared { return d.replies.count() }

func (f *found) count() Shared {
	s := Shared{N: len(f.of)}
	for i, hit := range f.hit {
		switch {
		case hit && f.of[i].Exact:
			s.Exact++
		case hit:
			s.Near++
		}
	}
	return s
}

// Examples gives up to n duplicates of prompts and up to n of replies, the near
// ones first, since the others are alike: the most similar, in the order of the
// test set.
func (d *Duplicates) Examples(n int) []Duplicate {
	var out []Duplicate
	for _, f := range []*found{&d.prompts, &d.replies} {
		var of []Duplicate
		for i, hit := range f.hit {
			if hit {
				of = append(of, f.of[i])
			}
		}
		slices.SortStableFunc(of, func(a, b Duplicate) int {
			return cmp.Or(cmp.Compare(boolean(a.Exact), boolean(b.Exact)), cmp.Compare(b.Jaccard, a.Jaccard))
		})
		out = append(out, of[:min(n, len(of))]...)
	}
	return out
}
