package report

import (
	"html/template"
	"io"
)

// HTML writes the document as one page that loads nothing.
func (d *Document) HTML(w io.Writer) error { return page.Execute(w, d) }

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"kind": func(b Block) string {
		switch b.(type) {
		case Heading:
			return "heading"
		case Text:
			return "text"
		case Table:
			return "table"
		}
		return "plot"
	},
	"right": func(t Table, column int) bool { return t.right(column) },
	// The drawing escapes the texts that it holds.
	"svg": func(p Plot) template.HTML { return template.HTML(p.SVG()) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1b1b; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
ul.verdicts { list-style: none; padding: 0 }
ul.verdicts li { margin: .25rem 0; padding: .35rem .6rem; border-left: 5px solid #888; background: #f5f5f5 }
li.pass { border-color: #009E73 } li.warn { border-color: #E69F00 } li.fail { border-color: #D55E00 }
li b { display: inline-block; min-width: 3rem }
table { border-collapse: collapse; margin: .5rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto }
</style>
</head>
<body>
<h1>{{.Title}}</h1>
{{with .Verdicts}}<ul class="verdicts">
{{range .}}<li class="{{.Level}}"><b>{{.Level}}</b> {{.Text}}</li>
{{end}}</ul>
{{end}}{{range .Blocks}}{{$kind := kind .}}{{if eq $kind "heading"}}<h2>{{.}}</h2>
{{else if eq $kind "text"}}<p>{{.}}</p>
{{else if eq $kind "table"}}{{$t := .}}<table>
<thead><tr>{{range $i, $h := .Head}}<th{{if right $t $i}} class="n"{{end}}>{{$h}}</th>{{end}}</tr></thead>
<tbody>
{{range .Rows}}<tr>{{range $i, $c := .}}<td{{if right $t $i}} class="n"{{end}}>{{$c}}</td>{{end}}</tr>
{{end}}</tbody>
</table>
{{else}}<figure>{{svg .}}</figure>
{{end}}{{end}}</body>
</html>
`))
