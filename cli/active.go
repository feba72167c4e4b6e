package cli

import (
	"context"
	"encoding/binary"

	"cai/dataset"
	"cai/label"
	"cai/store"
)

// chooser chooses the pairs of prompts with many replies for --pairs: those
// that the judge was asked about before, and further ones by what it said of
// them. It holds one prompt at a time.
type chooser struct {
	ctx   context.Context
	store *store.Store
	judge dataset.Hash
	set   label.Settings
	most  int // pairs of a prompt
	seed  uint64
	whole bool // choose all at once: for a plan, not for judging

	added   int // pairs that are new since the file was begun
	longest int // bytes of a prompt with two of its replies
}

// choose implements [dataset.ReadOptions.Choose].
func (ch *chooser) choose(prompt dataset.Conversation, replies []dataset.Response) ([][2]int, error) {
	hash := prompt.Hash()
	of := map[dataset.Hash]int{} // reply to its place among the different ones
	var places []int             // of those, in the list
	for i := range replies {
		h := dataset.ResponseHash(hash, replies[i].Text)
		if _, ok := of[h]; !ok {
			of[h] = len(places)
			places = append(places, i)
		}
	}
	ch.measure(prompt, replies)
	judged, err := ch.store.PromptPairs(ch.ctx, ch.judge, hash)
	if err != nil {
		return nil, err
	}
	taken := map[[2]int]bool{}
	var cs []label.Comparison
	var out [][2]int
	for _, j := range judged {
		a, okA := of[j.Key.A]
		b, okB := of[j.Key.B]
		if !okA || !okB || len(taken) == ch.most {
			continue
		}
		p := [2]int{min(a, b), max(a, b)}
		taken[p] = true
		out = append(out, [2]int{places[p[0]], places[p[1]]})
		if l, ok := label.Aggregate(j.Judgments, ch.set); ok {
			cs = append(cs, label.Comparison{I: a, J: b, P: l.P})
		}
	}
	seed := ch.seed ^ binary.LittleEndian.Uint64(hash[:])
	for {
		next := label.NextPairs(len(places), ch.most, cs, taken, seed)
		for _, p := range next {
			taken[p] = true
			out = append(out, [2]int{places[p[0]], places[p[1]]})
		}
		ch.added += len(next)
		if !ch.whole || len(next) == 0 {
			return out, nil
		}
	}
}

// measure keeps the size of the longest pair that could be chosen, so that one
// context length does for all the rounds.
func (ch *chooser) measure(prompt dataset.Conversation, replies []dataset.Response) {
	n, first, second := 0, 0, 0
	for i := range prompt {
		n += len(prompt[i].Content)
	}
	for i := range replies {
		switch l := len(replies[i].Text); {
		case l > first:
			first, second = l, first
		case l > second:
			second = l
		}
	}
	ch.longest = max(ch.longest, n+first+second)
}

// choose has --pairs choose by what the judge of a mode has said. Until then,
// no pair of the files is brought into the store.
func (l *labelRun) choose(mode string) error {
	if l.c.Int("pairs") == 0 {
		return nil
	}
	j, err := l.judges.make(l.model, mode)
	if err != nil {
		return err
	}
	set := settings{rule: label.LogOdds, minCoverage: l.c.Float64("min-coverage"), oneOrder: l.c.Int("orders") == 1}
	l.active = &chooser{
		ctx: l.c.Context, store: l.store, judge: j.id.Hash(), set: set.of(l.principles),
		most: l.c.Int("pairs"), seed: uint64(l.c.Int("seed")), whole: l.c.Bool("dry-run"),
	}
	l.in.opts.Choose = l.active.choose
	return l.bring()
}

// rounds asks what is pending and, with --pairs, goes on to the pairs that the
// answers make worth asking about, until there are enough of each prompt.
func (l *labelRun) rounds(mode string) (label.Count, error) {
	reused := l.plan.Done
	var sum label.Count
	for {
		n, err := l.ask()
		sum = plus(sum, n)
		l.plan.Done = reused
		if err != nil || l.active == nil || l.active.added == 0 || n.Judgments+n.Failed+n.Saved == 0 {
			return sum, err
		}
		if err := l.bring(); err != nil {
			return sum, err
		}
		if err := l.use(mode); err != nil {
			return sum, err
		}
	}
}

// plus adds what two rounds did.
func plus(a, b label.Count) label.Count {
	if n := a.Judgments + b.Judgments; n > 0 {
		b.Bias = (a.Bias*float64(a.Judgments) + b.Bias*float64(b.Judgments)) / float64(n)
	}
	b.Judgments += a.Judgments
	b.Failed += a.Failed
	b.Abstained += a.Abstained
	b.Calls += a.Calls
	b.PromptTokens += a.PromptTokens
	b.Saved += a.Saved
	return b
}
