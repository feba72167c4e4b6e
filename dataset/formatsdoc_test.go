package dataset_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"cai/dataset"
)

// TestFormatsDocument: the table of docs/formats.md is what the writers do.
func TestFormatsDocument(t *testing.T) {
	base := func() *dataset.Pair {
		return &dataset.Pair{
			Prompt: dataset.Prompt("p"), First: dataset.Response{Text: "x"}, Second: dataset.Response{Text: "y"},
			P: 1, Source: dataset.Source{File: "f", Line: 1},
		}
	}
	probes := []struct {
		name   string
		change func(*dataset.Pair)
	}{
		{"ties", func(p *dataset.Pair) { p.P = 0.5 }},
		{"no label", func(p *dataset.Pair) { p.P = math.NaN() }},
		{"certainty", func(p *dataset.Pair) { p.P = 0.75 }},
		{"votes", func(p *dataset.Pair) { p.P, p.Votes = 1, []float64{1, 1} }},
		{"margin", func(p *dataset.Pair) {
			p.Source.Extra = dataset.Object{{Key: "margin", Value: []byte("3")}}
		}},
		{"keys of prompts", func(p *dataset.Pair) { p.Prompt[0].Extra = `{"name":"n"}` }},
		{"keys of replies", func(p *dataset.Pair) { p.First.Extra = `{"name":"n"}` }},
		{"tool turns", func(p *dataset.Pair) {
			p.Prompt = append(p.Prompt, dataset.Message{Role: "tool", Content: "t"}, dataset.Message{Role: "user", Content: "q"})
		}},
	}
	head := "| format |"
	for _, p := range probes {
		head += " " + p.name + " |"
	}
	lines := []string{head}
	for _, format := range dataset.WriteFormats() {
		if format == "rmbench" {
			continue // holds no pair
		}
		line := "| `" + format + "` |"
		for _, probe := range probes {
			pair := base()
			probe.change(pair)
			_, c := convertPairs(t, format, "x", pair)
			cell := "yes"
			switch losses := c.Losses(); {
			case c.Left() > 0:
				cell = "left out"
			case len(losses) > b2i(format == "sft"): // which always loses a reply
				cell = "lost"
			}
			line += " " + cell + " |"
		}
		lines = append(lines, line)
	}
	doc, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(doc), line+"\n") {
			t.Errorf("docs/formats.md has another line than\n%s", line)
		}
	}
	for _, format := range dataset.WriteFormats() {
		if !strings.Contains(string(doc), fmt.Sprintf("\n| `%s`", format)) && !strings.Contains(string(doc), fmt.Sprintf(", `%s` |", format)) {
			t.Errorf("docs/formats.md does not tell the columns of %s", format)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
