package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Plot is curves over a plane.
type Plot struct {
	Title          string
	XLabel, YLabel string
	// X and Y bound the plane; where both ends are equal they are those of the
	// data.
	X, Y     [2]float64
	Diagonal bool // draw y = x
	Series   []Series
}

// Series is points in the order in which they are joined. Low and High, where
// they are not nil, are a band or error bars. Points that are not finite are
// left out.
type Series struct {
	Name      string
	X, Y      []float64
	Low, High []float64
	Points    bool // marks that are not joined, with error bars
}

const (
	svgWidth, svgHeight                         = 560, 340
	marginLeft, marginRight, marginTop, marginB = 62, 16, 34, 48
)

// colours are told apart by people who see no red or no green (Okabe and Ito).
var colours = []string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// bounds gives the plane.
func (p *Plot) bounds() (x, y [2]float64) {
	x, y = p.X, p.Y
	auto := func(r *[2]float64, values ...[]float64) {
		if r[0] != r[1] {
			return
		}
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, vs := range values {
			for _, v := range vs {
				if finite(v) {
					lo, hi = min(lo, v), max(hi, v)
				}
			}
		}
		switch {
		case lo > hi:
			lo, hi = 0, 1
		case lo == hi:
			lo, hi = lo-0.5, hi+0.5
		}
		*r = [2]float64{lo, hi}
	}
	var xs, ys [][]float64
	for _, s := range p.Series {
		xs, ys = append(xs, s.X), append(ys, s.Y, s.Low, s.High)
	}
	auto(&x, xs...)
	auto(&y, ys...)
	return x, y
}

// SVG draws the plot as one svg element, without scripts, styles or fonts from
// elsewhere.
func (p *Plot) SVG() string {
	x, y := p.bounds()
	px := func(v float64) float64 {
		return marginLeft + (v-x[0])/(x[1]-x[0])*(svgWidth-marginLeft-marginRight)
	}
	py := func(v float64) float64 {
		v = min(max(v, y[0]), y[1])
		return svgHeight - marginB - (v-y[0])/(y[1]-y[0])*(svgHeight-marginTop-marginB)
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s" font-family="sans-serif" font-size="12">`,
		svgWidth, svgHeight, svgWidth, svgHeight, escapeXML(p.Title))
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#fff"/>`, svgWidth, svgHeight)
	fmt.Fprintf(b, `<text x="%d" y="18" font-weight="bold">%s</text>`, marginLeft, escapeXML(p.Title))
	for _, v := range ticks(x) {
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#e4e4e4"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`,
			px(v), px(v), marginTop, svgHeight-marginB, px(v), svgHeight-marginB+16, number(v))
	}
	for _, v := range ticks(y) {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e4e4"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			marginLeft, svgWidth-marginRight, py(v), py(v), marginLeft-6, py(v)+4, number(v))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, (marginLeft+svgWidth-marginRight)/2, svgHeight-10, escapeXML(p.XLabel))
	fmt.Fprintf(b, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`, (marginTop+svgHeight-marginB)/2, escapeXML(p.YLabel))
	if p.Diagonal {
		lo, hi := max(x[0], y[0]), min(x[1], y[1])
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#888" stroke-dasharray="4 4"/>`, px(lo), py(lo), px(hi), py(hi))
	}
	for i, s := range p.Series {
		s.svg(b, colours[i%len(colours)], px, py)
		if len(p.Series) > 1 {
			fmt.Fprintf(b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d">%s</text>`,
				marginLeft+10, marginTop+6+16*i, colours[i%len(colours)], marginLeft+25, marginTop+15+16*i, escapeXML(s.Name))
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}

func (s *Series) svg(b *strings.Builder, colour string, px, py func(float64) float64) {
	has := s.Low != nil && s.High != nil
	at := make([]int, 0, len(s.X))
	for i := range s.X {
		if finite(s.X[i]) && finite(s.Y[i]) {
			at = append(at, i)
		}
	}
	if s.Points {
		for _, i := range at {
			if has && finite(s.Low[i]) && finite(s.High[i]) {
				fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/>`, px(s.X[i]), px(s.X[i]), py(s.Low[i]), py(s.High[i]), colour)
			}
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, px(s.X[i]), py(s.Y[i]), colour)
		}
		return
	}
	points := func(y []float64, order []int) string {
		var out []string
		for _, i := range order {
			if finite(y[i]) {
				out = append(out, fmt.Sprintf("%.1f,%.1f", px(s.X[i]), py(y[i])))
			}
		}
		return strings.Join(out, " ")
	}
	if has {
		back := make([]int, len(at))
		for k, i := range at {
			back[len(at)-1-k] = i
		}
		fmt.Fprintf(b, `<polygon points="%s %s" fill="%s" fill-opacity="0.15"/>`, points(s.High, at), points(s.Low, back), colour)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, points(s.Y, at), colour)
}

// ticks gives some five round numbers of a range.
func ticks(r [2]float64) (out []float64) {
	step := math.Pow(10, math.Floor(math.Log10((r[1]-r[0])/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (r[1]-r[0])/(step*m) <= 6 {
			step *= m
			break
		}
	}
	for k := math.Ceil(r[0]/step - 1e-9); k*step <= r[1]+1e-9*step; k++ {
		out = append(out, k*step)
	}
	return out
}

func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'g', 5, 64)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escapeXML also drops the characters that XML cannot hold.
func escapeXML(s string) string {
	return xmlEscapes.Replace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, line(s)))
}

const textColumns, textRows = 60, 16

// text draws the plot in characters: each series has a mark of its own, and a
// colon stands where the diagonal is.
func (p Plot) text(b *strings.Builder) {
	x, y := p.bounds()
	grid := make([][]rune, textRows)
	for i := range grid {
		grid[i] = []rune(strings.Repeat(" ", textColumns))
	}
	put := func(vx, vy float64, mark rune, over bool) {
		if !finite(vx) || !finite(vy) || vx < x[0] || vx > x[1] {
			return
		}
		vy = min(max(vy, y[0]), y[1])
		c := int(math.Round((vx - x[0]) / (x[1] - x[0]) * (textColumns - 1)))
		r := textRows - 1 - int(math.Round((vy-y[0])/(y[1]-y[0])*(textRows-1)))
		if over || grid[r][c] == ' ' {
			grid[r][c] = mark
		}
	}
	marks := []rune("o*x+#@")
	for i, s := range p.Series {
		mark := marks[i%len(marks)]
		for k := range s.X {
			if s.Points || k == 0 {
				continue
			}
			for t := 0.0; t < 1; t += 0.02 {
				put(s.X[k-1]+t*(s.X[k]-s.X[k-1]), s.Y[k-1]+t*(s.Y[k]-s.Y[k-1]), mark, false)
			}
		}
		for k := range s.X {
			if s.Points && s.Low != nil && s.High != nil && finite(s.Low[k]) && finite(s.High[k]) {
				for t := 0.0; t <= 1; t += 0.05 {
					put(s.X[k], s.Low[k]+t*(s.High[k]-s.Low[k]), '|', false)
				}
			}
			put(s.X[k], s.Y[k], mark, true)
		}
	}
	if p.Diagonal {
		for t := 0.0; t <= 1; t += 0.01 {
			v := x[0] + t*(x[1]-x[0])
			if v >= y[0] && v <= y[1] {
				put(v, v, ':', false)
			}
		}
	}
	fmt.Fprintf(b, "%s\n", line(p.Title))
	for r, row := range grid {
		label := ""
		switch r {
		case 0:
			label = number(y[1])
		case textRows - 1:
			label = number(y[0])
		case textRows / 2:
			label = clip(line(p.YLabel), 11)
		}
		fmt.Fprintf(b, "%11s |%s\n", label, strings.TrimRight(string(row), " "))
	}
	fmt.Fprintf(b, "%11s +%s\n", "", strings.Repeat("-", textColumns))
	ends := number(x[1])
	fmt.Fprintf(b, "%11s  %-*s%s\n", "", textColumns-len(ends), number(x[0])+"  "+clip(line(p.XLabel), textColumns-20), ends)
	if len(p.Series) > 1 {
		var names []string
		for i, s := range p.Series {
			names = append(names, fmt.Sprintf("%c %s", marks[i%len(marks)], line(s.Name)))
		}
		fmt.Fprintf(b, "%11s  %s\n", "", strings.Join(names, "   "))
	}
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n])
}
