package cli

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/rm"
)

// modelFlags say what a reward model is made of.
func modelFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "features", Usage: "`KIND`s of features, separated by commas: hash, style, chars, embed:MODEL, judge:MODEL; default hash,style"},
		&urfave.StringFlag{Name: "head", Value: rm.HeadLinear, Usage: "the `FORM` of the model: " + strings.Join(rm.Heads(), ", ")},
		&urfave.IntFlag{Name: "ensemble", Usage: "fit `N` models to resamples of the prompts: std is then their disagreement"},
		&urfave.StringSliceFlag{Name: "debias", Usage: "`WHAT` the model is kept from preferring: length, markup"},
		&urfave.Float64Flag{Name: "length-correlation", Usage: "with --debias: the correlation `RHO` of margin and length to end at"},
		&urfave.Float64SliceFlag{Name: "l2", Usage: "the strength `X` of L2; repeatable: the best one is chosen; default a path"},
	}
}

// modelOptions reads modelFlags, fitFlags and the seed. Features from outside are
// the caller's to open.
func modelOptions(c *urfave.Context) (rm.Options, error) {
	o := rm.Options{
		Features: slices.DeleteFunc(list(c.StringSlice("features")), fromOutside),
		Seed:     c.Int64("seed"), Head: c.String("head"), Ensemble: c.Int("ensemble"),
		Debias: list(c.StringSlice("debias")), LengthCorrelation: c.Float64("length-correlation"), L2: c.Float64Slice("l2"),
	}
	if !slices.Contains(rm.Heads(), o.Head) {
		return o, hinted(usagef("--head %s: there is no such form of model", o.Head), "use one of %s", strings.Join(rm.Heads(), ", "))
	}
	if o.Ensemble < 0 || o.Ensemble > rm.MaxEnsemble {
		return o, usagef("--ensemble %d is not a number from 0 to %d", o.Ensemble, rm.MaxEnsemble)
	}
	for _, d := range o.Debias {
		if d != rm.DebiasLength && d != rm.DebiasMarkup {
			return o, usagef("--debias %s: a model can be kept from preferring %s and %s", d, rm.DebiasLength, rm.DebiasMarkup)
		}
	}
	for _, l := range o.L2 {
		if !(l > 0) || math.IsInf(l, 0) {
			return o, usagef("--l2 %v is not a positive number", l)
		}
	}
	if rho := o.LengthCorrelation; !(rho >= 0 && rho <= 1) {
		return o, usagef("--length-correlation %v is not a number from 0 to 1", rho)
	} else if rho > 0 && len(o.Debias) == 0 {
		return o, hinted(usagef("--length-correlation without --debias"), "add --debias length")
	}
	return o, fitOptions(c, &o)
}

// fitFlags say how a reward model's labels come from margins, and what each
// counts.
func fitFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "weight", Usage: "a pair counts by the number in this `COLUMN` of its record, 1 where there is none"},
		&urfave.Float64Flag{Name: "margin", Usage: "a clear label wants a margin of `X` log-odds, others less in proportion"},
		&urfave.StringFlag{Name: "noise", Usage: "the `SHARE` of labels that are the wrong way round, or fit"},
		&urfave.StringFlag{Name: "annotator", Usage: "with --noise fit: who gave the label is in this `COLUMN`"},
		&urfave.BoolFlag{Name: "ties", Usage: "labels of 1/2 are ties, by the model of Davidson"},
	}
}

// fitOptions reads the flags into o.
func fitOptions(c *urfave.Context, o *rm.Options) error {
	o.Margin, o.Ties = c.Float64("margin"), c.Bool("ties")
	if !(o.Margin >= 0) || math.IsInf(o.Margin, 0) {
		return usagef("--margin %v is not a number from 0 on", o.Margin)
	}
	switch v := c.String("noise"); v {
	case "":
	case "fit":
		o.FitNoise = true
	default:
		e, err := strconv.ParseFloat(v, 64)
		if err != nil || !(e >= 0 && e < 0.5) {
			return hinted(usagef("--noise %s is not a share from 0 to less than 0.5", v), "or use --noise fit to learn it")
		}
		o.Noise = e
	}
	kinds := 0
	for _, on := range []bool{o.Margin > 0, o.Noise > 0 || o.FitNoise, o.Ties} {
		if on {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return usagef("only one of --margin, --noise and --ties can be there")
	case kinds > 0 && c.String("head") != rm.HeadLinear:
		return usagef("--margin, --noise and --ties go with --head linear")
	}
	if column := c.String("annotator"); column != "" {
		if !o.FitNoise {
			return hinted(usagef("--annotator without --noise fit"), "add --noise fit")
		}
		o.Annotator = func(p *dataset.Pair) string { return columnText(p, column) }
	}
	if column := c.String("weight"); column != "" {
		o.Weight = func(p *dataset.Pair) float64 { return columnNumber(p, column, 1) }
	}
	return nil
}

// columnText gives a column of the pair's record, text as it is and anything else
// as JSON; "" where there is none.
func columnText(p *dataset.Pair, name string) string {
	raw := p.Source.Extra.Get(name)
	var s string
	if raw != nil && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// columnNumber gives a number from a column; NaN where something else stands
// there, and otherwise where there is no such column.
func columnNumber(p *dataset.Pair, name string, otherwise float64) float64 {
	raw := p.Source.Extra.Get(name)
	if raw == nil {
		return otherwise
	}
	v, ok := dataset.Number(raw)
	if !ok {
		return math.NaN()
	}
	return v
}
