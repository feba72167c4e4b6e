package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/store"
)

// judgeFlag names one judge.
func judgeFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "judge", Usage: "the judge, where the database holds several: its `ID` (as many digits as it takes) or model name"}
}

// judgesFlags name the judges of a label.
func judgesFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "judge", Usage: "the judge, where the database holds several: its `ID` (as many digits as it takes) or model name; repeated, or as ID=WEIGHT, judges are pooled"},
		&urfave.BoolFlag{Name: "pool", Usage: "pool all judges, or all that --judge fits: per principle, the mean of their z"},
	}
}

// panel is the judges that labels are read from.
type panel struct {
	judges  []store.JudgeInfo
	weights []float64
}

func (p *panel) add(j store.JudgeInfo, weight float64) error {
	for _, have := range p.judges {
		if have.Hash == j.Hash {
			return usagef("--judge: %s (%s) is named twice", shortID(j.Hash), j.Model)
		}
	}
	p.judges = append(p.judges, j)
	p.weights = append(p.weights, weight)
	return nil
}

// names lists the judges' models for people.
func (p *panel) names() string {
	var names []string
	for _, j := range p.judges {
		names = append(names, j.Model)
	}
	return strings.Join(names, " and ")
}

// hashes lists the judges' hashes, with the weights of a pool.
func (p *panel) hashes() string {
	if len(p.judges) == 1 {
		return p.judges[0].Hash.String()
	}
	var ids []string
	for i, j := range p.judges {
		ids = append(ids, fmt.Sprintf("%s=%g", j.Hash, p.weights[i]))
	}
	return strings.Join(ids, " ")
}

// byHash gives the weights of a pool, nil for a single judge.
func (p *panel) byHash() map[dataset.Hash]float64 {
	if len(p.judges) == 1 {
		return nil
	}
	out := map[dataset.Hash]float64{}
	for i, j := range p.judges {
		out[j.Hash] = p.weights[i]
	}
	return out
}

// others are the hashes of all judges but the first.
func (p *panel) others() (hs []dataset.Hash) {
	for _, j := range p.judges[1:] {
		hs = append(hs, j.Hash)
	}
	return hs
}

// panel gives the judges that --judge and --pool name, or the only one there
// is.
func (a *app) panel(c *urfave.Context, st *store.Store) (*panel, error) {
	return a.panelOf(c, st, pooling(c))
}

// panelOf is panel with judges pooled that are not named one by one, or refused.
func (a *app) panelOf(c *urfave.Context, st *store.Store, pool bool) (*panel, error) {
	all, err := judgesOf(c.Context, st)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, hinted(fmt.Errorf("%s holds no judgments", c.String("db")), "cai label makes them")
	}
	names := c.StringSlice("judge")
	p := &panel{}
	if len(names) == 0 {
		if len(all) > 1 && !pool {
			return nil, several(all, "name one with --judge ID, or several, or --pool them")
		}
		for _, j := range all {
			if err := p.add(j, 1); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
	for _, name := range names {
		found, weight := fitting(all, name), 1.0
		if at := strings.LastIndexByte(name, '='); len(found) == 0 && at > 0 {
			found = fitting(all, name[:at])
			weight, err = strconv.ParseFloat(name[at+1:], 64)
			if len(found) > 0 && (err != nil || !(weight > 0) || math.IsInf(weight, 1)) {
				return nil, usagef("--judge %s: weight %q is not a number above 0", name, name[at+1:])
			}
		}
		switch {
		case len(found) == 0:
			return nil, hinted(usagef("no judge %q has judged anything in %s", name, c.String("db")), "cai status lists the judges")
		case len(found) > 1 && !pool:
			return nil, several(found, "name one with --judge ID, or --pool them")
		}
		for _, j := range found {
			if err := p.add(j, weight); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// judgesOf lists the judges that have judged something.
func judgesOf(ctx context.Context, st *store.Store) (judges []store.JudgeInfo, err error) {
	all, err := st.Judges(ctx)
	for _, j := range all {
		if j.Judgments > 0 {
			judges = append(judges, j)
		}
	}
	return judges, err
}

// fitting gives the judges that a name means: the beginning of an id, or a
// model.
func fitting(all []store.JudgeInfo, name string) (found []store.JudgeInfo) {
	for _, j := range all {
		if name != "" && (strings.HasPrefix(j.Hash.String(), name) || j.Model == name) {
			found = append(found, j)
		}
	}
	return found
}

// several refuses to guess between judges.
func several(found []store.JudgeInfo, hint string) error {
	var list strings.Builder
	for _, j := range found {
		fmt.Fprintf(&list, "\n  %s  %s, %s, shape %s, %d judgments", shortID(j.Hash), j.Model, j.Mode, shapeText(j.Template), j.Judgments)
	}
	return hinted(usagef("%d judges have judged here:%s", len(found), list.String()), "%s", hint)
}

// shortID is enough of a hash to name it.
func shortID(h dataset.Hash) string { return h.String()[:12] }
