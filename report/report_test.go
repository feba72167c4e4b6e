package report_test

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cai/report"
)

func sample() *report.Document {
	return &report.Document{
		Title:    "A <b>judge</b> & its *errors*",
		Verdicts: []report.Verdict{{report.Fail, "κ is 0.1 | too low"}},
		Blocks: []report.Block{
			report.Heading("Agreement"),
			report.Text("One\nparagraph <script>alert(1)</script>."),
			report.Table{Head: []string{"figure", "value"}, Rows: [][]string{{"a|b", "0.123"}, {"c", "−4"}}},
			report.Plot{
				Title: "Reliability <x>", XLabel: "confidence", YLabel: "right", X: [2]float64{0.5, 1}, Y: [2]float64{0, 1}, Diagonal: true,
				Series: []report.Series{{
					Name: "judge", X: []float64{0.6, 0.9, math.NaN()}, Y: []float64{0.5, 0.8, 1},
					Low: []float64{0.3, 0.6, 0}, High: []float64{0.7, 0.9, 1}, Points: true,
				}, {Name: "curve", X: []float64{0.5, 1}, Y: []float64{0.5, 0.9}}},
			},
		},
	}
}

func render(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A text never becomes markup, whatever form the page has.
func TestTextsStayTexts(t *testing.T) {
	d := sample()
	html := render(t, d.HTML)
	if strings.Contains(html, "<script>") || strings.Contains(html, "<b>judge") || !strings.Contains(html, "&lt;script&gt;") {
		t.Errorf("a text is markup in HTML:\n%s", html)
	}
	for _, remote := range []string{"src=", "href=", "url(", "@import"} {
		if strings.Contains(html, remote) {
			t.Errorf("the page loads something: %s", remote)
		}
	}
	md := render(t, d.Markdown)
	if !strings.Contains(md, `a\|b`) || strings.Contains(md, "<script>") || !strings.Contains(md, `\*errors\*`) {
		t.Errorf("a text is markup in Markdown:\n%s", md)
	}
	text := render(t, d.Text)
	for _, want := range []string{"fail  κ is 0.1", "Agreement\n---------", "0.123", "o judge   * curve"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

// Whatever is plotted, the drawing is well-formed and has no number that is none.
func TestEveryPlotIsWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 6).Draw(t, "n")
		value := rapid.OneOf(rapid.Float64Range(-1e6, 1e6), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1)}))
		values := func(name string) []float64 { return rapid.SliceOfN(value, n, n).Draw(t, name) }
		p := report.Plot{
			Title: rapid.String().Draw(t, "title"), XLabel: "<&>", YLabel: `"`, Diagonal: rapid.Bool().Draw(t, "diagonal"),
			Series: []report.Series{{Name: "a", X: values("x"), Y: values("y"), Low: values("low"), High: values("high"), Points: rapid.Bool().Draw(t, "points")}},
		}
		svg := p.SVG()
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
		}
		if body := svg[strings.Index(svg, "</text>"):]; strings.Contains(body, "NaN") || strings.Contains(body, "Inf") {
			t.Fatalf("no number:\n%s", svg)
		}
		doc := report.Document{Title: "t", Blocks: []report.Block{p}}
		if err := doc.Text(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTextPlotHasItsPoints(t *testing.T) {
	d := report.Document{Title: "t", Blocks: []report.Block{report.Plot{
		Title: "p", X: [2]float64{0, 1}, Y: [2]float64{0, 1},
		Series: []report.Series{{X: []float64{0, 1}, Y: []float64{0, 1}, Points: true}},
	}}}
	text := render(t, d.Text)
	lines := strings.Split(text, "\n")
	top, bottom := lines[3], lines[18]
	if !strings.HasSuffix(top, "o") || !strings.Contains(bottom, "|o") {
		t.Errorf("the points are not in the corners:\n%s", text)
	}
}
