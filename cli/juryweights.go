package cli

import (
	"context"
	"fmt"
	"math"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/eval"
	"cai/label"
	"cai/store"
)

// The ways to weigh the judges of a jury.
const (
	juryEqual      = "equal"
	juryDawidSkene = "dawid-skene"
	juryGold       = "gold"
)

func juryFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "jury", Usage: "pool judges by measured weights: equal, dawid-skene (from how they agree, three or more) or gold (from the chosen replies of the sources), each over all pairs of the database (`METHOD`)"}
}

// pooling tells whether judges that are not named one by one are pooled.
func pooling(c *urfave.Context) bool { return c.Bool("pool") || c.String("jury") != "" }

// hearing is what several judges say of pairs, by judge and pair.
type hearing struct {
	rule    label.Rule
	leans   [][]float64 // what the rule adds up, NaN where the judge abstains
	truth   []float64   // P(a) as the sources say; NaN where they say nothing
	prompts []dataset.Hash
}

// hear reads the pairs of a filter that one of the judges has judged; see, where
// it is not nil, is given each with the labels of the single judges, the zero
// label of one that abstains.
func hear(ctx context.Context, st *store.Store, p *panel, set label.Settings, f store.Filter, see func(*store.Judged, []label.Label)) (*hearing, error) {
	h := &hearing{rule: set.Rule, leans: make([][]float64, len(p.judges))}
	if set.Rule == label.Vote { // a vote is the sign of the log-odds
		set.Rule = label.LogOdds
	}
	set.Temperature, set.Map = 0, nil
	alone := make([]label.Settings, len(p.judges))
	for k, j := range p.judges {
		alone[k] = set
		alone[k].Judges = map[dataset.Hash]float64{j.Hash: 1}
	}
	labels := make([]label.Label, len(p.judges))
	f.Judge, f.Pool = p.judges[0].Hash, p.others()
	for j, err := range st.Judged(ctx, f) {
		if err != nil {
			return nil, err
		}
		for k := range alone {
			l, ok := label.Aggregate(j.Judgments, alone[k])
			lean := math.NaN()
			switch {
			case !ok:
				l = label.Label{}
			case set.Rule == label.Mean:
				lean = l.P - 0.5
			default:
				lean = logit(l.P)
			}
			labels[k] = l
			h.leans[k] = append(h.leans[k], lean)
		}
		h.truth = append(h.truth, goldOf(j))
		h.prompts = append(h.prompts, j.Prompt.Key())
		if see != nil {
			see(j, labels)
		}
	}
	return h, nil
}

// goldOf is what the sources of a pair say, or else the people in them.
func goldOf(j *store.Judged) float64 {
	if !math.IsNaN(j.P) {
		return j.P
	}
	sum, n := 0.0, 0.0
	for _, v := range j.Votes {
		if !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	return sum / n
}

// golds counts the pairs that say which reply is better.
func (h *hearing) golds() (n int) {
	for _, p := range h.truth {
		if !math.IsNaN(eval.Correct(0, p)) {
			n++
		}
	}
	return n
}

// weigh gives the weights of a method, all 1 where the data do not tell them; why
// says so.
func (h *hearing) weigh(method string) (weights []float64, why string) {
	var j *eval.Jury
	switch method {
	case juryDawidSkene:
		if j = eval.JuryOfMargins(h.leans); !j.Identified {
			why = unidentified(len(h.leans))
		}
	case juryGold:
		j = eval.JuryOfGold(h.leans, h.truth)
		switch {
		case h.golds() == 0:
			why = "no pair of the database says which reply was chosen"
		case !j.Identified:
			why = "no judge tells which reply was chosen"
		}
	}
	weights = make([]float64, len(h.leans))
	for k := range weights {
		weights[k] = 1
	}
	if j == nil || why != "" {
		return weights, why
	}
	sum := 0.0
	for _, w := range j.Weights {
		sum += w
	}
	for k, w := range j.Weights { // four digits, with the mean 1
		weights[k] = math.Round(1e4*w/sum*float64(len(weights))) / 1e4
	}
	return weights, ""
}

// unidentified tells why reliability cannot be known without gold.
func unidentified(judges int) string {
	if judges < 3 {
		return "how often two judges agree is one number and cannot tell how good each of them is"
	}
	return "no three judges agree with each other beyond chance on pairs that they share"
}

// weigh gives a panel the weights that --jury asks for, measured over all pairs of
// the database, so that they do not hang on --source.
func (a *app) weigh(c *urfave.Context, st *store.Store, p *panel, set label.Settings, principles []dataset.Hash) error {
	method := c.String("jury")
	switch method {
	case juryEqual, juryDawidSkene, juryGold:
	default:
		return usagef("--jury %s: use equal, dawid-skene or gold", method)
	}
	if len(p.judges) < 2 {
		return hinted(usagef("--jury: %s is the only judge", p.names()), "cai label with another --model makes a second one")
	}
	for _, w := range p.weights {
		if w != 1 {
			return usagef("--jury %s measures the weights: name judges without =WEIGHT", method)
		}
	}
	h, err := hear(c.Context, st, p, set, store.Filter{Principles: principles}, nil)
	if err != nil {
		return err
	}
	weights, why := h.weigh(method)
	if why != "" {
		a.note(c, "jury: equal weights: %s", why)
	}
	p.weights = weights
	var parts []string
	for k, j := range p.judges {
		parts = append(parts, fmt.Sprintf("%s %s %g", shortID(j.Hash), j.Model, weights[k]))
	}
	if method != juryEqual && why == "" {
		a.note(c, "jury: weights by %s over %d pairs: %s", method, len(h.truth), strings.Join(parts, ", "))
	}
	return nil
}
