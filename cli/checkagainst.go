package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"cai/dataset"
)

// otherFile is what another file holds, as hashes: prompts and pairs, byte for byte
// and as [dataset.NormalText] has them.
type otherFile struct{ prompts, normalPrompts, pairs, normalPairs map[dataset.Hash]bool }

// pairKeys are the hashes of a prompt and of a pair, whatever its order, byte for
// byte and normalised.
func pairKeys(p *dataset.Pair) (prompt, normalPrompt, pair, normalPair dataset.Hash) {
	key, normalPrompt := p.Key(), p.Prompt.Key()
	a := dataset.ResponseHash(normalPrompt, dataset.NormalText(p.First.Text))
	b := dataset.ResponseHash(normalPrompt, dataset.NormalText(p.Second.Text))
	if b.Less(a) {
		a, b = b, a
	}
	return key.Prompt, normalPrompt, key.Hash, dataset.HashOf("pair", string(a[:]), string(b[:]))
}

func (g *otherFile) add(p *dataset.Pair) {
	prompt, normalPrompt, pair, normalPair := pairKeys(p)
	g.prompts[prompt], g.normalPrompts[normalPrompt] = true, true
	g.pairs[pair], g.normalPairs[normalPair] = true, true
}

// againstOf reads the files of --against, nil where there are none.
func againstOf(ctx context.Context, in *inputs, p *progress) (*otherFile, error) {
	g := &otherFile{map[dataset.Hash]bool{}, map[dataset.Hash]bool{}, map[dataset.Hash]bool{}, map[dataset.Hash]bool{}}
	n := int64(0)
	for pair, err := range in.pairs() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		g.add(pair)
		if n++; n%256 == 0 {
			p.set(n, "of --against")
		}
	}
	return g, nil
}

// look counts what a pair shares with the other file.
func (l *linter) look(p *dataset.Pair) {
	if l.against == nil {
		return
	}
	prompt, normalPrompt, pair, normalPair := pairKeys(p)
	l.found("against_prompts", p, l.against.prompts[prompt])
	l.found("against_prompts_normalised", p, l.against.normalPrompts[normalPrompt])
	l.found("against_pairs", p, l.against.pairs[pair])
	l.found("against_pairs_normalised", p, l.against.normalPairs[normalPair])
}

// languagesText lists counts of languages, the commonest first.
func languagesText(counts map[string]int) string {
	names, all := sortedKeys(counts), 0
	for _, n := range counts {
		all += n
	}
	slices.SortStableFunc(names, func(x, y string) int { return counts[y] - counts[x] })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", cmp.Or(name, "(too short)"), 100*float64(counts[name])/float64(all)))
	}
	if len(parts) > 6 {
		parts = append(parts[:6], "…")
	}
	return strings.Join(parts, ", ")
}

// signsText tells which signs spoke, or how many were looked at.
func signsText(signs []*lintSign) string {
	var parts []string
	for _, s := range signs {
		if s.Says != "" {
			parts = append(parts, fmt.Sprintf("%s: only chosen %d, only rejected %d", s.Sign, s.Chosen, s.Rejected))
		}
	}
	if parts == nil {
		return "no sign is on one side beyond chance"
	}
	return strings.Join(parts, "; ")
}
