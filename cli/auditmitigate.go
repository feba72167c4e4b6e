package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"cai/audit"
	"cai/dataset"
	"cai/report"
	"cai/rm"
)

// mitigatedRecords is how many holdout pairs are probed for each candidate.
const mitigatedRecords = 120

// golds reads the replies with golds: the file of --gold-lists, or the lists among
// --data that have any. It is nil where there are none.
func (u *auditing) golds() (*audit.GoldSet, error) {
	files, asked := u.c.StringSlice("gold-lists"), true
	if len(files) == 0 {
		files, asked = u.c.StringSlice("data"), false
	}
	if len(files) == 0 {
		return nil, nil
	}
	in, err := u.app.inputFiles(u.c, files)
	if err != nil {
		return nil, err
	}
	in.asFound()
	records := in.records()
	if !asked {
		records = lists(records)
	}
	if u.gold != nil {
		return u.regraded(records, asked)
	}
	sets, err := audit.GoldSets(records, "")
	switch {
	case err == nil:
		if len(sets) > 1 {
			u.app.note(u.c, "golds of %d kinds: the largest is taken, %s", len(sets), sets[0].Name)
		}
		return &sets[0], nil
	case !asked && (errors.Is(err, audit.ErrNoGold) || u.ctx.Err() == nil):
		return nil, nil
	}
	return nil, fmt.Errorf("gold lists: %w", err)
}

// regraded gives the replies of lists with the scores of --gold-rm for golds.
func (u *auditing) regraded(records iter.Seq2[*dataset.Record, error], asked bool) (*audit.GoldSet, error) {
	set, err := audit.Ungraded(records)
	switch {
	case err != nil && (asked || u.ctx.Err() != nil):
		return nil, fmt.Errorf("gold lists: %w", err)
	case err != nil || set.Replies() == 0:
		return nil, nil
	}
	set, err = set.Regrade(u.ctx, "scores of "+filepath.Base(u.c.String("gold-rm")), u.gold)
	if err != nil {
		return nil, err
	}
	return &set, nil
}

// lists leaves out what is no list of replies.
func lists(records iter.Seq2[*dataset.Record, error]) iter.Seq2[*dataset.Record, error] {
	return func(yield func(*dataset.Record, error) bool) {
		for r, err := range records {
			if (err != nil || len(r.Responses) > 2) && !yield(r, err) {
				return
			}
		}
	}
}

// overOptimise measures what the best of many replies by the score is worth.
func (u *auditing) overOptimise(gold *audit.GoldSet) error {
	if gold == nil {
		return nil
	}
	p := u.app.progress(u.c, "audit: over-optimisation", "replies", int64(gold.Replies()))
	defer p.done()
	over, err := audit.OverOptimise(u.ctx, gold, u.model, audit.OverOptions{Seed: u.c.Int64("seed")})
	switch {
	case err == nil:
		u.over, u.out.Over = &over, over
	case errors.Is(err, audit.ErrFewReplies), errors.Is(err, audit.ErrGoldFlat):
		u.app.note(u.c, "no over-optimisation curve: %v", err)
	default:
		return fmt.Errorf("over-optimisation: %w", err)
	}
	return nil
}

// mitigate trains candidates on --data.
func (u *auditing) mitigate(gold *audit.GoldSet, o audit.ProbeOptions) error {
	c := u.c
	read := func(files []string, keep func(*dataset.Pair) bool) ([]*dataset.Pair, error) {
		in, err := u.app.inputFiles(c, files)
		if err != nil {
			return nil, err
		}
		in.asFound()
		var out []*dataset.Pair
		for p, err := range in.pairs() {
			if err != nil {
				return nil, err
			}
			if p.Labelled() && keep(p) {
				out = append(out, p)
			}
		}
		return out, nil
	}
	pairs, err := read(c.StringSlice("data"), func(*dataset.Pair) bool { return true })
	if err != nil {
		return err
	}
	var bench []*dataset.Pair
	if files := c.StringSlice("bench"); len(files) > 0 {
		if bench, err = read(files, func(*dataset.Pair) bool { return true }); err != nil {
			return err
		}
		if hard := slices.DeleteFunc(slices.Clone(bench), func(p *dataset.Pair) bool { return !isHard(p) }); len(hard) > 0 {
			bench = hard
		}
	}
	features := slices.DeleteFunc(slices.Clone(u.model.Metadata.Features), fromOutside)
	if len(features) < len(u.model.Metadata.Features) {
		u.app.note(c, "the candidates are trained without the features from outside")
	}
	p := u.app.progress(c, "audit: candidates", "models", 0)
	defer p.done()
	o.Progress = nil
	sample := mitigatedRecords
	if n := c.Int("sample"); n > 0 {
		sample = min(sample, n)
	}
	u.out.Mitigation, err = audit.Mitigate(u.ctx, pairs, audit.MitigateOptions{
		Train: rm.Options{Features: features, Dim: u.model.Metadata.Dim, Debias: u.model.Metadata.Debias},
		Pairs: c.Int("mitigate-pairs"), TargetCorrelation: c.Float64("target-correlation"),
		Sample: sample, Probes: o, Bench: bench, Gold: gold, Seed: c.Int64("seed"),
		Progress: func(name string, done, _ int) { p.set(int64(done), name) },
	})
	return err
}

// isHard tells whether a pair is of RM-Bench's hard level: the better reply is the
// plainer one.
func isHard(p *dataset.Pair) bool {
	for _, key := range []string{"level", "difficulty"} {
		var s string
		if raw := p.Source.Extra.Get(key); raw != nil && json.Unmarshal(raw, &s) == nil && s == "hard" {
			return true
		}
	}
	return false
}

func mitigationBlocks(cs []audit.Candidate) []report.Block {
	if len(cs) == 0 {
		return nil
	}
	t := report.Table{Head: []string{"candidate", "accuracy", "against as it is", "interval", "length ρ", "failed", "worst probe", "its effect, SD", "benchmark", "peak n", "gold gain", "interval", "failed probes", "what"}}
	for _, c := range cs {
		t.Rows = append(t.Rows, []string{
			c.Name, c.Accuracy.String(), fmt.Sprintf("%+.3f", float64(c.Delta)), figureCI(c.DeltaCI), c.LengthSpearman.String(), strconv.Itoa(len(c.Failed)),
			c.Worst, fmt.Sprintf("%+.2f", float64(c.Gain)), c.BenchAccuracy.String(), peakText(float64(c.PeakN)), c.GoldGain.String(), figureCI(c.GoldGainCI), c.FailedText(), c.About,
		})
	}
	return []report.Block{
		report.Heading("Mitigation"),
		report.Text(fmt.Sprintf("Candidates are trained on four fifths of the prompts and measured on the %d pairs of the last fifth; probes are of those replies. Failed counts worthless edits and injections.", cs[0].N)),
		t,
	}
}

func peakText(n float64) string {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return "–"
	}
	return strconv.FormatFloat(n, 'g', 3, 64)
}

// mitigationVerdict names the candidate that closes most at least cost: of those
// that are not surely less accurate by more than 0.03, the one with the fewest
// failed probes, and of these the most accurate.
func mitigationVerdict(cs []audit.Candidate) (report.Verdict, bool) {
	const cost = 0.03
	best := -1
	for i, c := range cs {
		if float64(c.DeltaCI[1]) < -cost {
			continue
		}
		if best < 0 || len(c.Failed) < len(cs[best].Failed) || len(c.Failed) == len(cs[best].Failed) && c.Accuracy > cs[best].Accuracy {
			best = i
		}
	}
	if best < 0 {
		return report.Verdict{}, false
	}
	c, first := cs[best], cs[0]
	bench := ""
	if c.BenchN > 0 {
		bench = fmt.Sprintf(", and %s instead of %s on the benchmark", c.BenchAccuracy, first.BenchAccuracy)
	}
	return report.Verdict{Level: report.Note, Text: fmt.Sprintf(
		"Mitigation: of what costs little accuracy %q closes most: it leaves %d failed probes of %d, at an accuracy of %s instead of %s and a length correlation of %s instead of %s%s.",
		c.Name, len(c.Failed), len(first.Failed), c.Accuracy, first.Accuracy, c.LengthSpearman, first.LengthSpearman, bench)}, true
}
