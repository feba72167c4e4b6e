package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"cai/audit"
	"cai/dataset"
	"cai/report"
	"cai/rm"
)

// printed is a scorer that reads the score, and perhaps those of members, off the
// reply.
type printed struct{ members int }

func (p printed) ScoreAll(ctx context.Context, items []rm.Item) ([]rm.Score, error) {
	s, _, err := p.ScoreMembers(ctx, items)
	return s, err
}

func (p printed) ScoreMembers(_ context.Context, items []rm.Item) ([]rm.Score, [][]float64, error) {
	scores, members := make([]rm.Score, len(items)), make([][]float64, len(items))
	for i, it := range items {
		fields := strings.Fields(it.Reply)
		for k := range p.members {
			v, err := strconv.ParseFloat(fields[k], 64)
			if err != nil {
				return nil, nil, err
			}
			members[i] = append(members[i], v)
			scores[i].Mean += v / float64(p.members)
		}
	}
	if p.members == 1 {
		members = nil
	}
	return scores, members, nil
}

// simulated draws prompts whose replies have random scores and golds that make
// the best-of-n curve d(α − βd) on average, with prompts that differ and noise.
func simulated(prompts, replies int, alpha, beta float64, seed uint64) *audit.GoldSet {
	r := rand.New(rand.NewPCG(seed, 1))
	up := audit.RankGolds(replies, func(d float64) float64 { return d })
	down := audit.RankGolds(replies, func(d float64) float64 { return d * d })
	set := &audit.GoldSet{Name: "simulated"}
	for p := range prompts {
		a, b, level := alpha+0.3*r.NormFloat64(), beta+0.1*r.NormFloat64(), r.NormFloat64()
		gp := audit.GoldPrompt{Prompt: dataset.Prompt(fmt.Sprintf("prompt %d", p))}
		for rank := range replies {
			gold := level + a*up[rank] - b*down[rank] + 0.3*r.NormFloat64()
			score := float64(rank) + r.Float64()
			gp.Replies = append(gp.Replies, audit.GoldReply{Response: dataset.Response{Text: fmt.Sprintf("%.6f", score)}, Gold: gold})
		}
		r.Shuffle(replies, func(i, j int) { gp.Replies[i], gp.Replies[j] = gp.Replies[j], gp.Replies[i] })
		set.Prompts = append(set.Prompts, gp)
	}
	return set
}

// What RankGolds promises, by the estimator.
func TestRankGoldsMakeTheCurve(t *testing.T) {
	const n = 32
	gold := audit.RankGolds(n, func(d float64) float64 { return d * (1 - 0.3*d) })
	proxy := make([]float64, n)
	for i := range proxy {
		proxy[i] = float64(i)
	}
	r := ranked(t, proxy)
	for k := 1; k <= n; k++ {
		d := math.Sqrt(audit.KL(float64(k)))
		if got, want := r.BestOf(k, gold), d*(1-0.3*d); math.Abs(got-want) > 1e-5 {
			t.Errorf("best of %d: %v, want %v", k, got, want)
		}
	}
}

// Without noise and differences the fit gives back what went in.
func TestTheFitFindsKnownCoefficients(t *testing.T) {
	const n, alpha, beta = 32, 1.0, 0.4
	gold := audit.RankGolds(n, func(d float64) float64 { return d * (alpha - beta*d) })
	set := &audit.GoldSet{}
	for p := range 5 {
		gp := audit.GoldPrompt{Prompt: dataset.Prompt(strconv.Itoa(p))}
		for i, g := range gold {
			// A gold that differs between prompts by a constant and a factor whose
			// mean is 1.
			gp.Replies = append(gp.Replies, audit.GoldReply{Response: dataset.Response{Text: strconv.Itoa(i)}, Gold: float64(p) + g*(0.8+0.1*float64(p))})
		}
		set.Prompts = append(set.Prompts, gp)
	}
	out, err := audit.OverOptimise(t.Context(), set, printed{1}, audit.OverOptions{Resamples: 300})
	if err != nil {
		t.Fatal(err)
	}
	sd := float64(out.GoldSD)
	if a, b := float64(out.Alpha)*sd, float64(out.Beta)*sd; math.Abs(a-alpha) > 1e-4 || math.Abs(b-beta) > 1e-4 {
		t.Errorf("α %v, β %v, want %v and %v", a, b, alpha, beta)
	}
	if got := audit.KL(float64(out.PeakN)); math.Abs(math.Sqrt(got)-alpha/(2*beta)) > 1e-3 {
		t.Errorf("the peak is at n = %v, √KL %v, want %v", out.PeakN, math.Sqrt(got), alpha/(2*beta))
	}
	if out.Verdict != audit.Fail {
		t.Errorf("verdict %s: %s", out.Verdict, out.Text)
	}
}

// Intervals hold the truth about as often as they should. Seeds are fixed; the
// coverage over 200 simulations is measured by bench/overopt.
func TestIntervalsHoldKnownCoefficients(t *testing.T) {
	const runs, alpha, beta = 40, 1.0, 0.4
	peak := alpha / (2 * beta)
	var a, b, p int
	for k := range runs {
		out, err := audit.OverOptimise(t.Context(), simulated(40, 16, alpha, beta, uint64(k)), printed{1}, audit.OverOptions{ScoreOnly: true, Resamples: 200, Seed: int64(k)})
		if err != nil {
			t.Fatal(err)
		}
		sd := float64(out.GoldSD)
		holds := func(lo, hi, x float64) int {
			if (lo <= x || math.IsNaN(lo)) && (x <= hi || math.IsNaN(hi)) {
				return 1
			}
			return 0
		}
		a += holds(float64(out.AlphaCI[0])*sd, float64(out.AlphaCI[1])*sd, alpha)
		b += holds(float64(out.BetaCI[0])*sd, float64(out.BetaCI[1])*sd, beta)
		p += holds(math.Sqrt(audit.KL(float64(out.PeakCI[0]))), math.Sqrt(audit.KL(float64(out.PeakCI[1]))), peak)
	}
	for name, n := range map[string]int{"α": a, "β": b, "the peak": p} {
		if n < 34 {
			t.Errorf("the intervals of %s hold the truth in %d of %d", name, n, runs)
		}
	}
}

func TestVerdictsFollowTheCurve(t *testing.T) {
	for _, tt := range []struct {
		name        string
		alpha, beta float64
		want        audit.Verdict
	}{
		{"rises to the end", 1, 0.05, audit.Pass},
		{"peaks and falls", 1, 0.5, audit.Fail},
		{"falls from the start", -0.5, 0, audit.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := audit.OverOptimise(t.Context(), simulated(40, 32, tt.alpha, tt.beta, 7), printed{1}, audit.OverOptions{Seed: 1, Resamples: 300})
			if err != nil {
				t.Fatal(err)
			}
			if out.Verdict != tt.want {
				t.Errorf("verdict %s: %s", out.Verdict, out.Text)
			}
			gold := out.Ranking(audit.RankGold)
			for i := range out.Rankings {
				if r := &out.Rankings[i]; r.Gain > gold.Gain+1e-9 {
					t.Errorf("ranking by %s gains %v, by the gold itself %v", r.Name, r.Gain, gold.Gain)
				}
				if c := out.Rankings[i].Curve; c[0].Gold != 0 || c[0].Proxy != 0 || c[0].KL != 0 {
					t.Errorf("%s begins at %+v", out.Rankings[i].Name, c[0])
				}
			}
		})
	}
}

// One member of four has learned a trick that the gold does not reward: the lowest
// member is not taken in by it, the mean is.
func TestTheWorstMemberResistsOneMembersTrick(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	set := &audit.GoldSet{}
	for p := range 60 {
		gp := audit.GoldPrompt{Prompt: dataset.Prompt(strconv.Itoa(p))}
		for range 24 {
			gold := r.NormFloat64()
			trick := 0.0
			if r.IntN(8) == 0 {
				trick, gold = 40, gold-2
			}
			var text []string
			for m := range 4 {
				v := gold + 0.3*r.NormFloat64()
				if m == 0 {
					v += trick
				}
				text = append(text, fmt.Sprintf("%.4f", v))
			}
			gp.Replies = append(gp.Replies, audit.GoldReply{Response: dataset.Response{Text: strings.Join(text, " ")}, Gold: gold})
		}
		set.Prompts = append(set.Prompts, gp)
	}
	out, err := audit.OverOptimise(t.Context(), set, printed{4}, audit.OverOptions{Seed: 1, Resamples: 300})
	if err != nil {
		t.Fatal(err)
	}
	if out.Verdict != audit.Fail {
		t.Errorf("the mean: %s, %s", out.Verdict, out.Text)
	}
	for _, name := range []string{audit.RankWorst, audit.RankMinusStd} {
		if w := out.Ranking(name); !(w.DeltaCI[0] > 0.5) {
			t.Errorf("%s gains %v %v over the mean", name, w.Delta, w.DeltaCI)
		}
	}
	if w := out.Ranking(audit.RankWorst); w.Verdict != audit.Pass {
		t.Errorf("the worst member: %s", w.Verdict)
	}
}

// A score that is length and nothing else has nothing left without it.
func TestLengthControlTakesLengthAway(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	set := &audit.GoldSet{}
	for p := range 60 {
		gp := audit.GoldPrompt{Prompt: dataset.Prompt(strconv.Itoa(p))}
		for range 20 {
			n := int(20 * math.Exp(4.6*r.Float64()))
			quality := r.NormFloat64()
			score := 3*math.Log1p(float64(n)) + quality
			gp.Replies = append(gp.Replies, audit.GoldReply{
				Response: dataset.Response{Text: fmt.Sprintf("%-*.4f", n, score)}, Gold: quality - math.Log1p(float64(n)),
			})
		}
		set.Prompts = append(set.Prompts, gp)
	}
	out, err := audit.OverOptimise(t.Context(), set, printed{1}, audit.OverOptions{Seed: 1, Resamples: 300})
	if err != nil {
		t.Fatal(err)
	}
	if out.Verdict != audit.Fail {
		t.Errorf("the score: %s, %s", out.Verdict, out.Text)
	}
	if l := out.Ranking(audit.RankLength); !(l.DeltaCI[0] > 0.5) || !(l.GainCI[0] > 0) {
		t.Errorf("without length: gain %v %v, over the score %v", l.Gain, l.GainCI, l.DeltaCI)
	}
	if !(out.GoldLength < -0.3) {
		t.Errorf("ρ of gold and length is %v", out.GoldLength)
	}
}

// Neither the order of prompts nor that of replies matters, and a seed decides all.
func TestTheOrderDoesNotMatter(t *testing.T) {
	set := simulated(20, 12, 1, 0.3, 1)
	o := audit.OverOptions{Seed: 4, Resamples: 300}
	one, err := audit.OverOptimise(t.Context(), set, printed{1}, o)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	r.Shuffle(len(set.Prompts), func(i, j int) { set.Prompts[i], set.Prompts[j] = set.Prompts[j], set.Prompts[i] })
	for _, p := range set.Prompts {
		r.Shuffle(len(p.Replies), func(i, j int) { p.Replies[i], p.Replies[j] = p.Replies[j], p.Replies[i] })
	}
	two, err := audit.OverOptimise(t.Context(), set, printed{1}, o)
	if err != nil {
		t.Fatal(err)
	}
	if one.Text != two.Text || math.Abs(float64(one.AlphaCI[0]-two.AlphaCI[0])) > 1e-9 {
		t.Errorf("%s\nin another order: %s", one.Text, two.Text)
	}
}

func TestOverOptimiseRefusesWhatHasNoCurve(t *testing.T) {
	few := simulated(10, 2, 1, 0, 1)
	one := simulated(1, 10, 1, 0, 1)
	flat := simulated(10, 10, 1, 0, 1)
	none := simulated(10, 10, 1, 0, 1)
	for _, p := range flat.Prompts {
		for k := range p.Replies {
			p.Replies[k].Gold = 1
		}
	}
	for _, p := range none.Prompts {
		for k := range p.Replies {
			p.Replies[k].Gold = math.NaN()
		}
	}
	for _, tt := range []struct {
		set  *audit.GoldSet
		want error
	}{{few, audit.ErrFewReplies}, {one, audit.ErrFewReplies}, {flat, audit.ErrGoldFlat}, {none, audit.ErrNoGold}} {
		if _, err := audit.OverOptimise(t.Context(), tt.set, printed{1}, audit.OverOptions{}); !errors.Is(err, tt.want) {
			t.Errorf("%v, want %v", err, tt.want)
		}
	}
}

// A prompt with few replies does not shorten the curves of the others.
func TestPromptsWithFewRepliesAreLeftOut(t *testing.T) {
	set := simulated(20, 16, 1, 0, 1)
	set.Prompts[3].Replies = set.Prompts[3].Replies[:4]
	set.Prompts[4].Replies = set.Prompts[4].Replies[:12]
	out, err := audit.OverOptimise(t.Context(), set, printed{1}, audit.OverOptions{Resamples: 300})
	if err != nil {
		t.Fatal(err)
	}
	if out.LeftOut != 1 || out.Prompts != 19 || out.MaxN != 12 {
		t.Errorf("%d left out, %d prompts, n up to %d", out.LeftOut, out.Prompts, out.MaxN)
	}
}

func TestResultsTravel(t *testing.T) {
	out, err := audit.OverOptimise(t.Context(), simulated(20, 12, 1, 0, 2), printed{1}, audit.OverOptions{Resamples: 300})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"alpha":`, `"peak_n":`, `"peak_ci":`, `"gap":`, `"verdict":"`, `"rankings":[{"name":"mean"`, `"kl":`, `"proxy_ci":`, `"gold_ci":`} {
		if !bytes.Contains(data, []byte(key)) {
			t.Errorf("no %s in %s", key, data)
		}
	}
	doc := report.Document{Title: "t", Verdicts: out.Verdicts(), Blocks: out.Blocks()}
	var md, html bytes.Buffer
	if err := errors.Join(doc.Markdown(&md), doc.HTML(&html)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(html.String(), "<polygon") || !strings.Contains(md.String(), "upper bound") {
		t.Error("the card has no band or no caveat")
	}
}
