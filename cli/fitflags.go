package cli

import (
	"encoding/json"
	"math"
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"cai/dataset"
	"cai/rm"
)

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
	v := math.NaN()
	if json.Unmarshal(raw, &v) != nil {
		return math.NaN()
	}
	return v
}
