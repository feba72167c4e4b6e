package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cai/dataset"
)

// judgedPage is how many pairs are held in memory at a time.
const judgedPage = 200

// Filter names the judgments that are wanted.
type Filter struct {
	Judge      dataset.Hash
	Pool       []dataset.Hash // further judges, whose judgments come beside those of Judge
	Source     string         // the name of a file as it was imported; empty is all
	Files      []int64        // ids of files in place of Source, in the order that is wanted
	Principles []dataset.Hash // none is all
	// Limit takes only pairs that are among the first so many different ones of the
	// files, judged or not, as [dataset.Job].Limit does; 0 is all. It needs files.
	Limit int
	// OneIn takes one in so many of the pairs, some that came into the store one
	// after the other together, so that prompts stay whole; up to 1 takes all.
	OneIn int64
}

// together is how many neighbours a sample takes or leaves together.
const together = 16

// sampled says which pairs a filter takes, as a condition on a column.
func (f *Filter) sampled(column string) string {
	if f.OneIn <= 1 {
		return ""
	}
	return fmt.Sprintf(" AND %s / %d %% %d = 0", column, together, f.OneIn)
}

// Judged is a pair with what a judge made of it.
type Judged struct {
	Key       dataset.PairKey // Swapped is false
	Prompt    dataset.Conversation
	A, B      dataset.Response
	Judgments []dataset.Judgment // by judge, principle, order, sample
	// Sources are the places where the pair was found: those of the filter's
	// files, or of every file.
	Sources []dataset.Source
	// Swapped tells for each source whether its first reply is B.
	Swapped []bool
	// P is the probability that A is better as these sources say, their mean
	// where they differ, NaN where none says anything.
	P float64
	// Votes are those of single people in these sources, 1 for A, one after the
	// other; nil where there are none.
	Votes []float64
}

// Judged gives every pair that one of the filter's judges has judged under one
// of its principles: in the order of the file where one is named, else in the order in
// which pairs came into the store. It holds some hundred pairs at a time.
func (s *Store) Judged(ctx context.Context, f Filter) iter.Seq2[*Judged, error] {
	return func(yield func(*Judged, error) bool) {
		if err := s.judged(ctx, f, func(j *Judged) bool { return yield(j, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func (s *Store) judged(ctx context.Context, f Filter, yield func(*Judged) bool) error {
	judges, err := s.judgesOf(ctx, f)
	if err != nil {
		return err
	}
	principles, err := s.onlyPrinciples(ctx, f.Principles)
	if err != nil {
		return err
	}
	imports, err := s.filteredImports(ctx, f)
	if err != nil {
		return err
	}
	next := s.judgedPairs(ctx, f, judges)
	if len(imports) > 0 {
		next = s.filePairs(ctx, f, judges, imports)
	}
	for {
		ids, err := next()
		if err != nil || len(ids) == 0 {
			return err
		}
		page, err := s.judgedPage(ctx, judges, imports, ids, principles)
		if err != nil {
			return err
		}
		for _, j := range page {
			if len(j.Judgments) > 0 && !yield(j) {
				return nil
			}
		}
	}
}

// onlyPrinciples is the condition that judgments g are under one of some
// principles; none is every one.
func (s *Store) onlyPrinciples(ctx context.Context, hashes []dataset.Hash) (string, error) {
	if len(hashes) == 0 {
		return "", nil
	}
	var ids []string
	for _, h := range hashes {
		id, ok, err := s.principle(ctx, h)
		if err != nil {
			return "", err
		}
		if ok { // one that the store has not seen has judged nothing
			ids = append(ids, strconv.FormatInt(id, 10))
		}
	}
	return " AND g.principle IN (" + strings.Join(ids, ",") + ")", nil
}

// judgesOf looks up the filter's judges, by row id.
func (s *Store) judgesOf(ctx context.Context, f Filter) (map[int64]dataset.Hash, error) {
	judges := map[int64]dataset.Hash{}
	for _, h := range append([]dataset.Hash{f.Judge}, f.Pool...) {
		row, ok, err := s.judge(ctx, h)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("judge %s is not in %s", h, s.path)
		}
		judges[row.id] = h
	}
	return judges, nil
}

// filteredImports gives the imports of the filter's files, none where it names none.
func (s *Store) filteredImports(ctx context.Context, f Filter) ([]int64, error) {
	if len(f.Files) > 0 {
		return s.currentImports(ctx, f.Files)
	}
	if f.Source == "" {
		return nil, nil
	}
	var current sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT import FROM files WHERE name = ?", f.Source).Scan(&current)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !current.Valid {
		return nil, &Error{
			Path: s.path, Reason: fmt.Sprintf("no file was imported under the name %q", f.Source),
			Hint: "cai status lists the files",
		}
	}
	if err != nil {
		return nil, s.failed("find the file", err)
	}
	return []int64{current.Int64}, nil
}

// judgedPairs gives a function that gives the ids of some further pairs, none at
// the end.
func (s *Store) judgedPairs(ctx context.Context, f Filter, judges map[int64]dataset.Hash) func() ([]int64, error) {
	// Each judge's pairs come in order from the index, so that only a page of
	// each is read.
	var each []string
	for _, id := range slices.Sorted(maps.Keys(judges)) {
		each = append(each, fmt.Sprintf(
			"SELECT * FROM (SELECT DISTINCT pair FROM judgments WHERE judge = %d AND pair > ?1%s ORDER BY pair LIMIT ?2)", id, f.sampled("pair")))
	}
	query := "SELECT pair FROM (" + strings.Join(each, " UNION ") + ") ORDER BY pair LIMIT ?2"
	from := int64(-1)
	return func() (ids []int64, err error) {
		rows, err := s.read.QueryContext(ctx, query, from, judgedPage)
		if err != nil {
			return nil, s.failed("read the judgments", err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(&from); err != nil {
				return nil, s.failed("read the judgments", err)
			}
			ids = append(ids, from)
		}
		return ids, s.failed("read the judgments", rows.Err())
	}
}

// filePairs is judgedPairs for the pairs of some files.
func (s *Store) filePairs(ctx context.Context, f Filter, judges map[int64]dataset.Hash, imports []int64) func() ([]int64, error) {
	var has []string
	for _, id := range slices.Sorted(maps.Keys(judges)) {
		has = append(has, fmt.Sprintf("EXISTS (SELECT 1 FROM judgments g WHERE g.judge = %d AND g.pair = s.pair)", id))
	}
	wanted := "(" + strings.Join(has, " OR ") + ")" + f.sampled("s.pair")
	where := " AND " + wanted
	if f.Limit > 0 { // pairs that are not judged count
		where = ""
	}
	query := "SELECT s.pair, s.seq, " + wanted + " FROM source_rows s WHERE s.import = ?1 AND s.seq > ?2" + where + " ORDER BY s.seq LIMIT ?3"
	from, different := int64(-1), 0
	var seen bitset
	page := func() (ids []int64, n int, err error) {
		rows, err := s.read.QueryContext(ctx, query, imports[0], from, judgedPage)
		if err != nil {
			return nil, 0, err
		}
		defer rows.Close()
		for ; rows.Next(); n++ {
			var id int64
			var want bool
			if err := rows.Scan(&id, &from, &want); err != nil {
				return nil, 0, err
			}
			if f.Limit > 0 && different == f.Limit || !seen.add(id) {
				continue
			}
			different++
			if want {
				ids = append(ids, id)
			}
		}
		return ids, n, rows.Err()
	}
	return func() ([]int64, error) {
		for len(imports) > 0 && (f.Limit == 0 || different < f.Limit) {
			ids, n, err := page()
			if err != nil {
				return nil, s.failed("read the judgments", err)
			}
			if n == 0 {
				imports, from = imports[1:], -1
			}
			if len(ids) > 0 {
				return ids, nil
			}
		}
		return nil, nil
	}
}

func (s *Store) judgedPage(ctx context.Context, judges map[int64]dataset.Hash, imports, ids []int64, principles string) ([]*Judged, error) {
	var list strings.Builder
	page := make([]*Judged, len(ids))
	byID := make(map[int64]*Judged, len(ids))
	for i, id := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(strconv.FormatInt(id, 10))
		page[i] = &Judged{P: math.NaN()}
		byID[id] = page[i]
	}
	in := "(" + list.String() + ")"
	if err := s.judgedTexts(ctx, in, byID); err != nil {
		return nil, s.failed("read the judgments", err)
	}
	if err := s.judgedJudgments(ctx, judges, in, principles, byID); err != nil {
		return nil, s.failed("read the judgments", err)
	}
	if err := s.judgedSources(ctx, imports, in, byID); err != nil {
		return nil, s.failed("read the judgments", err)
	}
	return page, nil
}

func (s *Store) judgedTexts(ctx context.Context, in string, byID map[int64]*Judged) error {
	rows, err := s.read.QueryContext(ctx, `
		SELECT p.id, p.hash, q.hash, a.hash, b.hash, q.form, q.text, a.text, ifnull(a.author, ''), b.text, ifnull(b.author, '')
		FROM pairs p JOIN prompts q ON q.id = p.prompt
		JOIN responses a ON a.id = p.a JOIN responses b ON b.id = p.b WHERE p.id IN `+in)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var k dataset.PairKey
		var form, text string
		var a, b dataset.Response
		if err := rows.Scan(&id, hashInto(&k.Hash), hashInto(&k.Prompt), hashInto(&k.A), hashInto(&k.B),
			&form, &text, &a.Text, &a.Author, &b.Text, &b.Author); err != nil {
			return err
		}
		j := byID[id]
		j.Key, j.A, j.B = k, a, b
		if j.Prompt, err = readPrompt(k.Prompt, form, text); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) judgedJudgments(ctx context.Context, judges map[int64]dataset.Hash, in, principles string, byID map[int64]*Judged) error {
	for _, judge := range slices.Sorted(maps.Keys(judges)) {
		if err := s.judgmentsOf(ctx, judge, judges[judge], in, principles, byID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) judgmentsOf(ctx context.Context, judge int64, hash dataset.Hash, in, principles string, byID map[int64]*Judged) error {
	rows, err := s.read.QueryContext(ctx, `
		SELECT g.pair, r.hash, g.slot_order, g.sample, g.lp_first, g.lp_second, g.lp_tie, g.coverage, g.censored,
		       g.prompt_tokens, g.milliseconds, ifnull(g.rationale, ''), g.created, ifnull(f.kind, '')
		FROM judgments g JOIN principles r ON r.id = g.principle
		LEFT JOIN failures f ON f.judge = g.judge AND f.pair = g.pair AND f.principle = g.principle
		  AND f.slot_order = g.slot_order AND f.sample = g.sample
		WHERE g.judge = ? AND g.pair IN `+in+principles+`
		ORDER BY g.pair, g.principle, g.slot_order, g.sample`, judge)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, ms, created int64
		var tie sql.NullFloat64
		g := dataset.Judgment{Judge: hash}
		if err := rows.Scan(&id, hashInto(&g.Principle), &g.Order, &g.Sample, &g.LPFirst, &g.LPSecond, &tie, &g.Coverage,
			&g.Censored, &g.PromptTokens, &ms, &g.Rationale, &created, &g.Doubt); err != nil {
			return err
		}
		g.LPTie = orNaN(tie)
		if g.Doubt != "" {
			g.LPFirst, g.LPSecond, g.LPTie, g.Coverage = undecided, undecided, math.NaN(), 0
		}
		g.Duration = time.Duration(ms) * time.Millisecond
		g.Created = fromMillis(created)
		j := byID[id]
		g.Pair = j.Key.Hash
		j.Judgments = append(j.Judgments, g)
	}
	return rows.Err()
}

func (s *Store) judgedSources(ctx context.Context, imports []int64, in string, byID map[int64]*Judged) error {
	var of string
	if len(imports) > 0 {
		var list []string
		for _, imp := range imports {
			list = append(list, strconv.FormatInt(imp, 10))
		}
		of = " AND s.import IN (" + strings.Join(list, ",") + ")"
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT s.pair, f.name, s.line, s.sub, ifnull(s.record, ''), ifnull(s.extra, ''), s.p_a, ifnull(s.votes, ''), s.swapped
		FROM source_rows s JOIN files f ON f.import = s.import
		WHERE s.pair IN `+in+of+`
		ORDER BY s.pair, f.id, s.seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	labels := map[int64]int{}
	for rows.Next() {
		var id int64
		var src dataset.Source
		var extra, votes string
		var swapped bool
		var p sql.NullFloat64
		if err := rows.Scan(&id, &src.File, &src.Line, &src.Sub, &src.ID, &extra, &p, &votes, &swapped); err != nil {
			return err
		}
		if extra != "" {
			if err := src.Extra.UnmarshalJSON([]byte(extra)); err != nil {
				return fmt.Errorf("%s:%d: %w", src.File, src.Line, err)
			}
		}
		j := byID[id]
		j.Sources, j.Swapped = append(j.Sources, src), append(j.Swapped, swapped)
		given, err := decodeVotes(votes)
		if err != nil {
			return fmt.Errorf("%s:%d: the stored votes %q: %w", src.File, src.Line, votes, err)
		}
		j.Votes = append(j.Votes, given...)
		if p.Valid {
			n := labels[id]
			if n == 0 {
				j.P = 0
			}
			j.P += (p.Float64 - j.P) / float64(n+1) // the running mean
			labels[id] = n + 1
		}
	}
	return rows.Err()
}

func orNaN(v sql.NullFloat64) float64 {
	if !v.Valid {
		return math.NaN()
	}
	return v.Float64
}
