package cli

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"cai/dataset"
	"cai/eval"
	"cai/report"
)

// The verdicts of a probe.
const (
	verdictPass = "pass"
	verdictWarn = "warn"
	verdictFail = "fail"
	verdictNone = "none"
)

// flipBounds turn a flip rate and its interval into a verdict: fail where the
// interval is all above fail, pass where the rate is at most pass and the
// interval ends below most, so that a pass has pairs enough behind it; a warning
// otherwise.
type flipBounds struct{ pass, most, fail float64 }

var (
	editBounds       = flipBounds{0.05, 0.25, 0.05} // no flips among 12 pairs, one among 20
	paraphraseBounds = flipBounds{0.10, 0.30, 0.10}
	positionBounds   = flipBounds{0.25, 0.50, 0.50}
)

// probeBounds says what the verdicts mean.
const probeBounds = "edits: pass at a flip rate of at most 5 % whose interval ends below 25 %, fail where the interval is all above 5 %; paraphrases 10 % and 30 %; " +
	"position 25 % and 50 %, fail above 50 %. Destroying edits: pass where the loss is sure, fail where there is none."

// tally is what a probe did to each pair.
type tally struct {
	flips, shifts []float64
	prompts       []dataset.Hash
	failed        int
}

func (t *tally) add(p *probedPair, flip bool, shift float64) {
	x := 0.0
	if flip {
		x = 1
	}
	t.flips = append(t.flips, x)
	t.shifts = append(t.shifts, shift)
	t.prompts = append(t.prompts, p.Prompt.Key())
}

// result sums up; the verdict is still none.
func (t *tally) result(name, kind string, rms float64) judgeProbe {
	n := float64(len(t.flips))
	shift := total(t.shifts) / n
	ci := eval.BootstrapCI(t.shifts, t.prompts, eval.Interval{math.Inf(-1), math.Inf(1)}, eval.Options{})
	return judgeProbe{
		Probe: name, Kind: kind, N: len(t.flips), Failed: t.failed,
		FlipRate: eval.Figure(total(t.flips) / n), CI: shareCI(t.flips, t.prompts),
		Shift: eval.Figure(shift), ShiftCI: []eval.Figure{eval.Figure(ci[0]), eval.Figure(ci[1])},
		ShiftSD: eval.Figure(shift / rms), Verdict: verdictNone,
	}
}

func total(xs []float64) (sum float64) {
	for _, x := range xs {
		sum += x
	}
	return sum
}

// shareCI is Wilson's interval where each pair has a prompt of its own, which
// does not shrink to nothing where there are no flips; where prompts repeat it
// is widened to hold that of the bootstrap by prompt.
func shareCI(flips []float64, prompts []dataset.Hash) eval.Interval {
	ci := eval.Wilson(total(flips), len(flips))
	seen := map[dataset.Hash]bool{}
	for _, p := range prompts {
		seen[p] = true
	}
	if len(seen) < len(prompts) {
		b := eval.BootstrapCI(flips, prompts, eval.Interval{0, 1}, eval.Options{})
		ci = eval.Interval{min(ci[0], b[0]), max(ci[1], b[1])}
	}
	return ci
}

func (r *judgeProbe) judge(b flipBounds) {
	switch {
	case r.N == 0:
	case r.CI[0] > b.fail:
		r.Verdict = verdictFail
	case float64(r.FlipRate) <= b.pass && r.CI[1] <= b.most:
		r.Verdict = verdictPass
	default:
		r.Verdict = verdictWarn
	}
}

// judgeLoss judges an edit that should cost the reply.
func (r *judgeProbe) judgeLoss() {
	switch {
	case r.N == 0:
	case r.Shift >= 0:
		r.Verdict = verdictFail
	case r.ShiftCI[1] < 0 && r.N > 1:
		r.Verdict = verdictPass
	default:
		r.Verdict = verdictWarn
	}
}

// sortProbes puts what failed first, and of one verdict the greater flip rate.
func sortProbes(ps []judgeProbe) []judgeProbe {
	rank := []string{verdictFail, verdictWarn, verdictPass, verdictNone}
	return slices.SortedStableFunc(slices.Values(ps), func(a, b judgeProbe) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, a.Verdict), slices.Index(rank, b.Verdict)), cmp.Compare(b.FlipRate, a.FlipRate))
	})
}

// probeBlocks lays the probes out, the worst first.
func probeBlocks(ps []judgeProbe) []report.Block {
	t := report.Table{Head: []string{"probe", "kind", "verdict", "pairs", "flip rate", "interval", "shift of z", "in SD", "note"}}
	for _, p := range sortProbes(ps) {
		name := p.Probe
		if p.Strength != 0 {
			name = fmt.Sprintf("%s %g", name, p.Strength)
		}
		row := []string{name, p.Kind, p.Verdict, strconv.Itoa(p.N), "–", "–", "–", "–", p.Note}
		if p.N > 0 {
			row = []string{name, p.Kind, p.Verdict, strconv.Itoa(p.N), p.FlipRate.String(), p.CI.String(), p.Shift.String(), p.ShiftSD.String(), p.Note}
		}
		t.Rows = append(t.Rows, row)
	}
	return []report.Block{t, report.Text(probeBounds)}
}
