package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/constitution"
	"cai/dataset"
	"cai/label"
	"cai/rm"
	"cai/store"
)

// judgeCoverage is the coverage under which a judgment does not count, as it is
// by default when labels are read.
const judgeCoverage = 0.1

// judgeSource is what a judge said of a reply as features: for each principle
// half of z, the log-odds free of position bias that the reply is better than
// the one beside it, averaged over the stored pairs that the reply stands in. Of
// two replies that stand in one pair alone the values differ by z. A principle
// that was not asked, or abstains, is 0; a reply of which nothing is stored is
// not known, and nothing is asked.
//
// A model that is trained on the labels of the same judge finds them in these
// features: they are for labels of people or of another judge, and for models
// that are to do without the judge.
type judgeSource struct {
	name    string
	judge   store.JudgeInfo
	st      *store.Store
	columns []string
	column  map[dataset.Hash]int // by principle
	set     label.Settings
	filter  store.Filter
}

// judgeSource opens the stored judgments of a judge, named as --judge names it,
// under the constitution's principles or those with the given ids.
func (a *app) judgeSource(c *urfave.Context, name string, st *store.Store, ids []string) (*judgeSource, error) {
	if st == nil {
		return nil, hinted(fmt.Errorf("there is no database %s with judgments", c.String("db")), "--db FILE names it; cai label makes it")
	}
	all, err := judgesOf(c.Context, st)
	if err != nil {
		return nil, err
	}
	found := fitting(all, name)
	switch {
	case len(found) == 0:
		return nil, hinted(usagef("no judge %q has judged anything in %s", name, c.String("db")), "cai status lists the judges")
	case len(found) > 1:
		return nil, several(found, "name one by its ID")
	}
	ps, err := a.judgePrinciples(c, ids)
	if err != nil {
		return nil, err
	}
	return newJudgeSource(judgePrefix+name, found[0], st, ps), nil
}

// judgePrinciples gives the principles of the columns.
func (a *app) judgePrinciples(c *urfave.Context, ids []string) ([]constitution.Principle, error) {
	if len(ids) == 0 {
		_, ps, err := a.principles(c)
		return ps, err
	}
	con, err := a.constitution(c)
	if err != nil {
		return nil, err
	}
	var ps []constitution.Principle
	for i := range con.Principles {
		if slices.Contains(ids, con.Principles[i].ID) {
			ps = append(ps, con.Principles[i])
		}
	}
	if len(ps) != len(ids) {
		return nil, hinted(fmt.Errorf("%s lacks some of the principles that the model was trained with: %s", con.File, strings.Join(ids, ", ")),
			"name the constitution of the training with --constitution FILE")
	}
	return ps, nil
}

func newJudgeSource(name string, j store.JudgeInfo, st *store.Store, ps []constitution.Principle) *judgeSource {
	ps = slices.Clone(ps)
	slices.SortFunc(ps, func(a, b constitution.Principle) int { return cmp.Compare(a.ID, b.ID) })
	s := &judgeSource{
		name: name, judge: j, st: st, column: map[dataset.Hash]int{},
		set:    label.Settings{Rule: label.LogOdds, MinCoverage: judgeCoverage, Weights: map[dataset.Hash]float64{}},
		filter: store.Filter{Judge: j.Hash},
	}
	for i := range ps {
		h := ps[i].Hash()
		s.columns = append(s.columns, ps[i].ID)
		s.column[h] = i
		s.set.Weights[h] = 1
		s.filter.Principles = append(s.filter.Principles, h)
	}
	return s
}

func (s *judgeSource) Name() string { return s.name }

// ID is a hash of the judge and of the principles' texts.
func (s *judgeSource) ID() string {
	parts := []string{string(s.judge.Hash[:])}
	for _, h := range s.filter.Principles {
		parts = append(parts, string(h[:]))
	}
	return dataset.HashOf("judge source", parts...).String()
}

func (s *judgeSource) Dims() (prompt, reply int) { return 0, len(s.columns) }

// Columns are the ids of the principles, sorted.
func (s *judgeSource) Columns() []string { return slices.Clone(s.columns) }

// Vectors reads what is stored of the replies.
func (s *judgeSource) Vectors(ctx context.Context, items []rm.Item) ([]rm.Vector, error) {
	hashes := make([]dataset.Hash, len(items))
	distinct := make([]dataset.Hash, 0, len(items))
	seen := map[dataset.Hash]bool{}
	for i, it := range items {
		h := dataset.ResponseHash(it.Prompt.Hash(), it.Reply)
		hashes[i] = h
		if !seen[h] {
			seen[h] = true
			distinct = append(distinct, h)
		}
	}
	pairs, err := s.st.JudgedReplies(ctx, s.filter, distinct)
	if err != nil {
		return nil, fmt.Errorf("feature %s: %w", printable(s.name), err)
	}
	values := make(map[dataset.Hash][]float32, len(pairs))
	for h, in := range pairs {
		if v := s.values(in); v != nil {
			values[h] = v
		}
	}
	out := make([]rm.Vector, len(items))
	for i, h := range hashes {
		if v, ok := values[h]; ok {
			out[i] = rm.Vector{Reply: v, Known: true}
		}
	}
	return out, nil
}

// values averages a reply's pairs; nil where every judgment abstains.
func (s *judgeSource) values(in []store.JudgedReply) []float32 {
	sum, n := make([]float64, len(s.columns)), make([]int, len(s.columns))
	known := false
	for _, p := range in {
		l, ok := label.Aggregate(p.Judgments, s.set)
		if !ok {
			continue
		}
		for _, part := range l.Parts {
			z := part.Z / 2
			if !p.First {
				z = -z
			}
			k := s.column[part.Principle]
			sum[k] += z
			n[k]++
			known = true
		}
	}
	if !known {
		return nil
	}
	out := make([]float32, len(sum))
	for k := range sum {
		if n[k] > 0 {
			out[k] = float32(sum[k] / float64(n[k]))
		}
	}
	return out
}
