package cli

import (
	"math"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"cai/eval"
)

type requireResult struct {
	Accuracy eval.Figure    `json:"accuracy"`
	None     eval.Figure    `json:"none"`
	CI       [2]float64     `json:"ci"`
	Name     string         `json:"name"`
	Findings []findingShape `json:"findings"`
}

type findingShape struct {
	Probe string  `json:"probe"`
	Rate  float64 `json:"win_rate"`
}

func TestBoundsOfAResult(t *testing.T) {
	result := requireResult{0.7, eval.Figure(math.NaN()), [2]float64{0.6, 0.8}, "x", []findingShape{{"markdown", 0.5}, {"length", 0.9}}}
	for text, want := range map[string]string{
		"accuracy>=0.7":               "",
		"accuracy > 0.7":              "does not",
		"accuracy==0.7":               "",
		"ci.0>=0.65":                  "does not",
		"probe.length.win_rate<=0.6":  "does not",
		"probe.markdown.win_rate<0.6": "",
		"findings.length.win_rate>=0": "",
		"none<=1":                     "does not",
		"name>=0":                     "refused",
		"nothing>=0":                  "refused",
		"probe.width.win_rate<=1":     "refused",
		"accuracy":                    "refused",
		"accuracy>=many":              "refused",
		">=1":                         "refused",
		"a..b>=1":                     "refused",
	} {
		got := ""
		app := &urfave.App{
			DisableSliceFlagSeparator: true, Flags: []urfave.Flag{requireFlag("x>=1")}, Writer: &strings.Builder{},
			Action: func(c *urfave.Context) error {
				bounds, err := parseBounds(c)
				var broken []string
				if err == nil {
					broken, err = unmet(bounds, result)
				}
				switch {
				case err != nil:
					got = "refused"
				case len(broken) > 0:
					got = "does not"
				}
				return nil
			},
		}
		if err := app.Run([]string{"cai", "--require", text}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
