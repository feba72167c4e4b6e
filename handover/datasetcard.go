package handover

import (
	"bytes"
	"fmt"
	"strings"
)

// Labels is what a dataset card tells of exported labels.
type Labels struct {
	Name, File, Format      string // File is empty for the standard output
	License                 string
	Records                 int
	Source                  string // labels or revisions
	Judge, Constitution     string
	Aggregation, Calibrated string
	Version                 string
}

// sizeCategory is the Hub's name for a number of records.
func sizeCategory(n int) string {
	for _, c := range []struct {
		below int
		name  string
	}{{1e3, "n<1K"}, {1e4, "1K<n<10K"}, {1e5, "10K<n<100K"}, {1e6, "100K<n<1M"}, {1e7, "1M<n<10M"}} {
		if n < c.below {
			return c.name
		}
	}
	return "10M<n<100M"
}

// DatasetCard gives a card of the Hugging Face Hub for exported labels.
func DatasetCard(l *Labels) []byte {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("---\nlicense: %s\npretty_name: %s", yaml(license(l.License)), yaml(l.Name))
	p("annotations_creators:\n- machine-generated\ntags:\n- preference\n- rlaif\n- constitutional-ai")
	p("size_categories:\n- %s", sizeCategory(l.Records))
	if l.File != "" {
		p("configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: %s", yaml(l.File))
	}
	p("---\n\n# %s\n", l.Name)
	p("%d records of %s in the format %s, written by `cai export`.\n", l.Records, l.Source, l.Format)
	p("| | |\n|---|---|")
	for _, r := range [][2]string{
		{"records", fmt.Sprint(l.Records)},
		{"judge", l.Judge},
		{"constitution", l.Constitution},
		{"aggregation", l.Aggregation},
		{"calibration", l.Calibrated},
		{"written by cai", l.Version},
	} {
		if r[1] != "" {
			p("| %s | %s |", r[0], strings.ReplaceAll(r[1], "|", "\\|"))
		}
	}
	p("\n## Limits\n\nThe labels are a model's, by written principles: no person has looked at each of them. How often that judge agrees with people is measured by `cai calibrate --gold FILE`.")
	if license(l.License) == "unknown" {
		p("No licence was named at the export; that of the prompts and replies may bind.")
	}
	return b.Bytes()
}
